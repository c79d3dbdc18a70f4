"""Portrait: a photo opened once, with the faces in it, which of them are meant, and what networks made of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from gan_space.errors import FaceError, InputError, raise_all
from gan_space.faces.align import AlignTransform
from gan_space.faces.detect import AlignerLike, FaceBox, FaceDetector
from gan_space.faces.find import Face
from gan_space.faces.head import Head, SegmenterLike, beside, find_head
from gan_space.faces.landmarks import LandmarkerLike, Landmarks, find_landmarks
from gan_space.faces.person import find_person
from gan_space.models.encoder import Encoder, EncoderOutput
from gan_space.models.synthesis import SynthesisState
from gan_space.output.visible_label import Box
from gan_space.photos.opening import OpenedPicture, PhotoLike, open_picture, to_picture
from gan_space.portraits.canvas import Canvas
from gan_space.portraits.choosing import LeftOut, Which, choose, parse_boxes, scaled_face, search, which_faults
from gan_space.portraits.memory import Memory
from gan_space.portraits.overlay import draw_faces

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Portrait:
    """A photo and the faces found in it. Opened by `open_portrait` or a pipeline's `open`.

    What networks make of it (crops, codes, drawings) is computed when it is first asked for and kept for one set of
    weights, by this object and all that are made from it: `choose`, `thumbnail` and `over` lose nothing.

    Args:
        opened: the photo as its file has it: colours, transparency, what is to be said about it.
        faces: all that were found, in px of `pixels`, the largest first.
        which: those that are meant: the "largest" usable one, "all" from 32 px on, or the number of one.
        by_hand: they were marked with boxes: small and turned ones are usable, too. One named by number always is.
    """

    opened: OpenedPicture
    faces: tuple[Face, ...]
    which: Which = "largest"
    by_hand: bool = False
    _as_found: tuple[Face, ...] | None = field(default=None, repr=False)  # whatever the size now, what was usable stays
    _left_out: LeftOut | None = field(default=None, repr=False)  # by a search that was content with a large face
    _memory: Memory = field(default_factory=Memory, repr=False)
    _at_this_size: Memory = field(default_factory=Memory, repr=False)  # masks as large as the photo: not for its copies

    @cached_property
    def pixels(self) -> Tensor:
        """[3, H, W] uint8, upright, sRGB, transparency over white."""
        return self.opened.over_white()

    # Faces

    @property
    def chosen(self) -> tuple[int, ...]:
        """Numbers of the faces that are meant; empty where none can be used."""
        try:
            return self._choose()
        except FaceError:
            return ()

    @property
    def chosen_faces(self) -> list[Face]:
        """The faces that are meant.

        Raises:
            NoFaceError, FaceTooSmallError, FaceTooTurnedError: none can be used; `picture()` shows what was found.
        """
        return [self.faces[number] for number in self._choose()]

    def _choose(self) -> tuple[int, ...]:
        return choose(self.as_found, self.which, by_hand=self.by_hand)

    def choose(self, which: Which, *, by_hand: bool | None = None) -> Portrait:
        """Choose other faces of those that were found.

        Raises:
            InputError: no such choice, or a number that no face has.
        """
        raise_all(which_faults(which), InputError)
        if isinstance(which, int) and which >= len(self.faces) > 0:
            raise InputError(
                f"the photo has {len(self.faces)} face(s), numbered from 0, the largest first; got number {which}"
            )
        return replace(self, which=which, by_hand=self.by_hand if by_hand is None else by_hand)

    def face_boxes(self) -> list[Box]:
        """Say where all faces are that were found, in px of `pixels`: upright boxes around their frames."""
        corners = [face.transform.inverse.apply([[0, 0], [1, 0], [1, 1], [0, 1]]) for face in self.faces]
        return [Box(*map(float, (*one.min(axis=0), *one.max(axis=0)))) for one in corners]

    def picture(self) -> Image.Image:
        """Draw the photo with a numbered frame around every face, those that are meant in green."""
        return draw_faces(self.pixels, self.faces, self.chosen)

    @property
    def whole_size(self) -> tuple[int, int]:
        """(width, height) of the photo, also where it was read smaller."""
        return self.opened.whole_size or (self.pixels.shape[2], self.pixels.shape[1])

    @property
    def as_found(self) -> tuple[Face, ...]:
        """The faces in px of the whole photo, by which they are judged to be small, whatever the size is now."""
        if self._as_found is not None:
            return self._as_found
        scale = self.whole_size[0] / self.pixels.shape[2]
        return tuple(scaled_face(face, scale) for face in self.faces)

    # The same photo at other sizes

    def over(self, picture: OpenedPicture) -> Portrait:
        """Take another copy of the photo, of any size, in place of this one."""
        scale = picture.pixels.shape[2] / self.opened.pixels.shape[2]
        faces = tuple(scaled_face(face, scale) for face in self.faces)
        return replace(self, opened=picture, faces=faces, _as_found=self.as_found, _at_this_size=Memory())

    def painted_over(self, pixels: Tensor, *, on_white: bool = False) -> Portrait:
        """Put the same faces into other pixels [3, H, W]; what networks know of the old ones does not hold for them.

        Args:
            on_white: they were made of `Portrait.pixels`, so the white under what is transparent is in them already.
        """
        opened = replace(self.opened, pixels=pixels, alpha=None if on_white else self.opened.alpha)
        return Portrait(opened, self.faces, self.which, self.by_hand, self._as_found, self._left_out)

    def thumbnail(self, max_side: int) -> Portrait:
        """Return a copy whose longer side is at most `max_side` px; itself where it is no longer."""
        height, width = self.opened.pixels.shape[1:]
        if max(height, width) <= max_side:
            return self
        picture = to_picture(self.pixels)
        picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
        return self.over(open_picture(picture))

    # What networks make of it

    def remember(self, name: Hashable, networks: Sequence[nn.Module], make: Callable[[], T]) -> T:
        """Return what `make` gave when it was first asked for by this name, for these networks and chosen faces."""
        return self._memory.get((name, self.chosen), networks, make)

    def remember_at_this_size(self, name: Hashable, networks: Sequence[nn.Module], make: Callable[[], T]) -> T:
        """Do the same, but forget it with these pixels: copies of other sizes know nothing of it, nor keep it alive."""
        return self._at_this_size.get((name, self.chosen), networks, make)

    def crops(self, resolution: int) -> Tensor:
        """Cut the frames of the N chosen faces out of the photo: [N, 3, R, R] float32 in [-1, 1], on the CPU."""
        faces = self.chosen_faces

        def cut() -> Tensor:
            return torch.cat([face.transform.crop(self.pixels, resolution) for face in faces])

        return self.remember(("crops", resolution), [], cut)

    def code(self, encoder: Encoder) -> EncoderOutput:
        """Return what an encoder says about the N chosen faces, on its device."""
        return self.remember("code", [encoder], lambda: encoder(self.crops(encoder.resolution).to(encoder.device)))

    def landmarks(self, landmarker: LandmarkerLike) -> list[Landmarks]:
        """Return the 468 places of each chosen face, in px of `pixels`."""
        transforms = [face.transform for face in self.chosen_faces]

        def find() -> tuple[list[Landmarks], int]:
            return find_landmarks(self.pixels, transforms, landmarker), self.pixels.shape[2]

        found, width = self.remember("landmarks", [landmarker], find)
        scale = self.pixels.shape[2] / width
        return found if scale == 1 else [replace(one, points=one.points * scale) for one in found]

    def knows(self, landmarker: LandmarkerLike, found: list[Landmarks]) -> Portrait:
        """Take over known places of each chosen face, in px of `pixels`, which are not found anew; returns itself."""
        self.remember("landmarks", [landmarker], lambda: (found, self.pixels.shape[2]))
        return self

    def heads(self, segmenter: SegmenterLike) -> list[Head]:
        """Return where hair and person are around each chosen face, in px of `pixels`; hair of others is none."""
        chosen = self.chosen

        def find() -> list[Head]:
            faces = [face.transform for face in self.faces]
            heads = [find_head(self.pixels, faces[number], segmenter) for number in chosen]
            around = [faces[:number] + faces[number + 1 :] for number in chosen]
            return [beside(head, faces[i], others) for head, i, others in zip(heads, chosen, around, strict=True)]

        return self.remember_at_this_size("heads", [segmenter], find)

    def person(self, segmenter: SegmenterLike) -> np.ndarray:
        """Return where everybody is, chosen or not: [H, W] uint8, 255 where a pixel is all person.

        Where the search for faces was content with a large one, the others are searched now, once for all its sizes.
        What is transparent is no person: a photo that was cut out can stand before a wall.
        """
        heads = self.heads(segmenter)
        chosen = [face.transform for face in self.chosen_faces]

        def find() -> np.ndarray:
            others = [face.transform for number, face in enumerate(self.faces) if number not in self.chosen]
            if self._left_out is not None:
                others += [face.transform for face in self._left_out.beside(self.faces, self.pixels)]
            person = find_person(self.pixels, chosen, others, heads, segmenter)
            return person if self.opened.alpha is None else np.minimum(person, self.opened.alpha.cpu().numpy())

        return self.remember_at_this_size("person", [segmenter], find)

    def canvas(self, encoder: Encoder) -> Canvas:
        """Return the whole photo at the scale at which an encoder knows its largest chosen face."""
        # Coarser steps than the encoder needs: whatever the size of a photo, convolutions see one of few shapes.
        step = max(8, encoder.resolution // encoder.feature_resolution)
        transforms = [face.transform for face in self.chosen_faces]

        def make() -> Canvas:
            return Canvas.make(self.pixels, transforms, encoder.resolution, step)

        return self.remember(("canvas", encoder.resolution, step), [], make)

    def features(self, encoder: Encoder) -> SynthesisState:
        """Return what an encoder says about the canvas."""
        image = self.canvas(encoder).image
        return self.remember("features", [encoder], lambda: encoder.features(image.to(encoder.device)))


def open_portrait(
    source: PhotoLike | Portrait,
    aligner: AlignerLike,
    faces: Which | None = None,
    *,
    landmarker: LandmarkerLike | None = None,
    boxes: Sequence[FaceBox | Sequence[float]] | None = None,
    detector: FaceDetector | None = None,
) -> Portrait:
    """Open a photo and find its faces; no face at all is no error yet.

    Args:
        source: a picture, a file name, or a tensor [3, H, W] uint8; a `Portrait` is not searched again.
        aligner: places the faces.
        faces: which are meant: "largest" (also lets a quick search do where it finds a large one), "all", or a number
            from 0, the largest first; None: the largest, or what the `Portrait` says.
        landmarker: decides where the aligner is in doubt.
        boxes: faces marked by hand instead of a search: `FaceBox` or (x, y, size[, roll in degrees]) in px of the file.
        detector: finds faces instead of OpenCV's cascade.

    Raises:
        InputError: not a picture, or an argument that does not work.
    """
    if isinstance(source, Portrait):
        if boxes is not None or detector is not None:
            raise InputError("boxes and detector are for opening a photo; this one is open: give them to open()")
        return source if faces is None else source.choose(faces)
    which = "largest" if faces is None else faces
    raise_all(which_faults(which), InputError)
    opened = open_picture(source)
    if boxes is not None:
        boxes = [_reduced(box, opened.reduced_by) for box in parse_boxes(boxes)]
        raise_all([fault for box in boxes if (fault := _misses(box, opened))], InputError)
    found = search(opened.over_white(), aligner, landmarker, which=which, boxes=boxes, detector=detector)
    by_hand = boxes is not None
    left_out = LeftOut(aligner, landmarker) if which == "largest" and boxes is None and detector is None else None
    return Portrait(opened, tuple(found), "all" if by_hand else which, by_hand, _left_out=left_out)


def _misses(box: FaceBox, opened: OpenedPicture) -> str:
    """Say that the middle of a box lies outside of the photo, where no face can be; "" where it does not."""
    height, width = opened.pixels.shape[1:]
    (x, y), scale = box.center, opened.reduced_by
    if 0 <= x < width and 0 <= y < height:
        return ""
    return (
        f"the middle of a box lies at {x * scale:.0f}, {y * scale:.0f}, outside of the photo of "
        f"{width * scale} x {height * scale} px; boxes are x, y of the upper left corner and the size"
    )


def _reduced(box: FaceBox, factor: int) -> FaceBox:
    """A box that was drawn on a photo in the photo as it was read, smaller by a factor."""
    return replace(box, x=box.x / factor, y=box.y / factor, size=box.size / factor)


def moved_face(face: Face, back: AlignTransform) -> Face:
    """Return the same face in a part of the photo, or another size of it; `back` leads from its px to the photo's."""
    there = back.inverse
    (x, y), scale = there.apply([face.box.x, face.box.y]), there.scale
    box = replace(face.box, x=float(x), y=float(y), size=face.box.size * scale)
    return replace(face, box=box, transform=back.then(face.transform), landmarks=there.apply(face.landmarks))
