"""Which faces of a photo are meant, and a picture that shows what was found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from gan_space.errors import InputError, raise_all
from gan_space.faces.align import TIGHT_FRAME
from gan_space.faces.detect import FaceBox, FaceDetector, HaarDetector
from gan_space.faces.find import AlignerLike, Face, choose_face, find_faces, refine
from gan_space.photos.opening import to_picture

WHICH = ("largest", "all")
QUICK_MIN_SHARE = 0.12  # where only the largest face is asked for, small ones are looked for only if there is no other
MIN_BOX_PX = 16.0
SURE_SCORE, SURE_ERROR = 0.9, 0.07  # else a box drawn by hand stays where it was drawn
_USABLE, _NOT_USABLE, _CHOSEN = (80, 200, 255), (255, 150, 60), (90, 240, 120)


@dataclass(frozen=True)
class FoundFaces:
    """A photo, all faces found in it, the largest first, and the numbers of those that are meant."""

    photo: Tensor  # [3, H, W] uint8
    faces: list[Face]
    chosen: tuple[int, ...] = ()

    @property
    def chosen_faces(self) -> list[Face]:
        """The faces that are meant."""
        return [self.faces[number] for number in self.chosen]

    def picture(self) -> Image.Image:
        """The photo with a numbered frame around every face, see `draw_faces`."""
        return draw_faces(self.photo, self.faces, self.chosen)


def search(
    photo: Tensor,
    aligner: AlignerLike,
    *,
    which: str | int = "largest",
    boxes: Sequence[FaceBox | Sequence[float]] | None = None,
    detector: FaceDetector | None = None,
) -> FoundFaces:
    """Find the faces of a photo; nothing is chosen yet.

    Args:
        photo: [3, H, W] uint8.
        aligner: the network.
        which: "largest" lets a quick search for larger faces do where it finds a usable one.
        boxes: squares drawn by hand instead of a search: `FaceBox`, or x, y, size in px and perhaps roll in degrees.
        detector: instead of OpenCV's cascade.

    Raises:
        InputError: boxes that are none; all faults at once.
    """
    if boxes is not None:
        return FoundFaces(photo, _from_boxes(photo, aligner, parse_boxes(boxes)))
    if which == "largest" and detector is None:
        quick = find_faces(photo, aligner, HaarDetector(min_share=QUICK_MIN_SHARE)(photo))
        if any(face.usable for face in quick):
            return FoundFaces(photo, quick)
    return FoundFaces(photo, find_faces(photo, aligner, detector=detector, thorough=which == "all"))


def choose(found: FoundFaces, which: str | int = "largest", *, by_hand: bool = False) -> FoundFaces:
    """Choose among the faces that were found.

    Args:
        found: from `search`.
        which: "largest" usable one, "all" usable ones, or a number, counted from 0, the largest face first.
        by_hand: the boxes were drawn by hand: take all of them, also small and turned faces.

    Raises:
        NoFaceError, FaceTooSmallError, FaceTooTurnedError: nothing usable is among them; says what to do.
        InputError: a number that no face has.
    """
    faces = found.faces
    if by_hand and faces:
        return replace(found, chosen=tuple(range(len(faces))))
    if which == "all":
        usable = tuple(number for number, face in enumerate(faces) if face.usable)
        if not usable:
            choose_face(faces)  # raises what fits
        return replace(found, chosen=usable)
    if which == "largest" or not faces:
        best = choose_face(faces)
        return replace(found, chosen=(next(n for n, face in enumerate(faces) if face is best),))
    if not 0 <= int(which) < len(faces):
        raise InputError(f"the photo has {len(faces)} face(s), numbered from 0, the largest first; got number {which}")
    choose_face([faces[int(which)]])
    return replace(found, chosen=(int(which),))


def which_faults(which: object) -> list[str]:
    """What is wrong with the argument `faces`; empty if nothing."""
    if which in WHICH or (isinstance(which, int) and not isinstance(which, bool) and which >= 0):
        return []
    return [f"faces must be 'largest', 'all' or the number of a face from 0, got {which!r}"]


def parse_boxes(boxes: Sequence[FaceBox | Sequence[float]]) -> list[FaceBox]:
    """Turn (x, y, size) or (x, y, size, roll_deg) into `FaceBox`; InputError with all faults at once."""
    parsed, faults = [], []
    for box in boxes:
        if not isinstance(box, FaceBox):
            try:
                numbers = [float(number) for number in box]
            except (TypeError, ValueError):
                numbers = []
            if len(numbers) not in (3, 4):
                faults.append(f"a box is x, y, size in px and, if wanted, roll in degrees; got {box!r}")
                continue
            box = FaceBox(*numbers[:3], roll_deg=numbers[3] if len(numbers) == 4 else 0.0)
        if not box.size >= MIN_BOX_PX:
            faults.append(f"a box must be {MIN_BOX_PX:.0f} px or more wide, got {box.size:.0f}")
        parsed.append(box)
    faults += [] if len(boxes) else ["boxes is empty: give one for each face, or None to search"]
    raise_all(faults, InputError)
    return parsed


def draw_faces(photo: Tensor, faces: Sequence[Face], chosen: Sequence[int] = ()) -> Image.Image:
    """Draw what was found, for a person to see and choose from.

    Args:
        photo: [3, H, W] uint8.
        faces: as they were found; their numbers are drawn beside them.
        chosen: numbers that are drawn in green; other usable faces are blue, those too small or too turned orange.
    """
    picture = to_picture(photo)
    draw = ImageDraw.Draw(picture)
    line = max(2, round(min(picture.size) / 250))
    font = ImageFont.load_default(max(12, min(picture.size) // 24))
    for number, face in enumerate(faces):
        color = _CHOSEN if number in chosen else _USABLE if face.usable else _NOT_USABLE
        corners = face.transform.inverse.apply([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]])
        draw.line([tuple(corner) for corner in corners], fill=color, width=line, joint="curve")
        for x, y in face.landmarks:
            draw.ellipse((x - line, y - line, x + line, y + line), fill=color)
        reason = " too small" if face.too_small else " too turned" if face.too_turned else ""
        x, y = (float(part) for part in corners[0])
        draw.text(
            (x + 2 * line, y + 2 * line), f"{number}{reason}", color, font, stroke_width=line, stroke_fill="black"
        )
    return picture


def _from_boxes(photo: Tensor, aligner: AlignerLike, boxes: list[FaceBox]) -> list[Face]:
    """Place a face for each box; where the aligner sees none, the box itself is the frame."""
    faces = []
    for face in refine(photo, aligner, boxes):
        if face.score < SURE_SCORE or face.error > SURE_ERROR:
            transform = face.box.transform
            landmarks = transform.inverse.apply(TIGHT_FRAME)
            face = Face(face.box, transform, landmarks, face.score, face.error, yaw=0.0)
        faces.append(face)
    return sorted(faces, key=lambda one: -one.frame_px)
