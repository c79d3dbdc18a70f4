"""Photos that visitors opened: their faces and a copy for the screen in the visit, what networks know of them here."""

from __future__ import annotations

import filecmp
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from PIL import Image

from gan_space.errors import FaceError, InputError
from gan_space.faces.detect import FaceBox
from gan_space.faces.find import Face
from gan_space.photos.opening import OpenedPicture, open_picture, to_picture
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from gan_space.portraits.choosing import Which, choose, search
from gan_space.portraits.overlay import draw_faces
from gan_space.portraits.portrait import Portrait, scaled_face
from gan_space.portraits.refinement import Refinement
from gan_space.ui.i18n import translate
from gan_space.ui.last_used import LastUsed
from gan_space.ui.server.files import FileFolder

SHOWN_PX = 1024  # longer side of what is drawn for the screen; files are drawn at full size
SHOWN_BY_BROWSERS = {".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif", ".bmp"}
CLEAR_FACE = 2.0  # width of a face for which a photo need not be read whole, in sides of the networks' pictures
KEPT_PORTRAITS = 12  # with what networks made of them, some 20 MB each
CLICK_SHARE = 0.3  # side of a face marked by a click, of the photo's shorter side; the aligner finds its true size


@dataclass(frozen=True)
class RefinedFaces:
    """What was refined, and of which faces of which photo: numbers, the largest first."""

    path: str
    numbers: tuple[int, ...]
    refinement: Refinement

    def fits(self, path: str, numbers: Sequence[int]) -> bool:
        """Tell whether it is of these faces of this photo."""
        return self.path == path and self.numbers == tuple(numbers)


@dataclass(frozen=True)
class OpenedPhoto:
    """A photo whose faces were searched; small, since a visit keeps it.

    Args:
        path: the file as it came.
        before: a copy for the screen, upright and at most 1024 px long.
        size: (width, height) of the photo, upright.
        faces: in px of the whole photo, the largest first.
        own: whether a visitor brought it; False for the examples.
        thorough: whether small faces were looked for with patience.
        refined: what was made of some of the faces by optimisation.
        consent: what the visitor said by choosing it, and when; "" for the examples.
        frames: pictures in the file, of which this is the first.
        reduced: whether it was read at half its width and height.
    """

    path: str
    before: str
    size: tuple[int, int]
    faces: list[Face]
    own: bool = True
    thorough: bool = False
    refined: RefinedFaces | None = None
    consent: str = ""
    frames: int = 1
    reduced: bool = False

    def remark(self, language: str) -> str:
        """Say what of the file is not used; "" where all of it is."""
        texts = [translate("photo.frames", language, count=self.frames)] if self.frames > 1 else []
        texts += [translate("photo.reduced", language)] if self.reduced else []
        return " ".join(texts)

    def record(self) -> dict[str, str]:
        """Return what files made of it say about consent."""
        return {"consent": self.consent} if self.consent else {}

    def is_its_copy(self, path: str | None) -> bool:
        """Tell whether a box holds the copy for the screen, put there by the server.

        gradio hands over that, and not nothing, when a visitor takes such a picture out of its box.
        """
        there = path is not None and all(Path(one).is_file() for one in (path, self.before))
        return there and filecmp.cmp(path, self.before, shallow=False)

    @property
    def needs_copy(self) -> bool:
        """Whether browsers cannot show the photo itself, so that its copy has to stand where it was chosen."""
        return Path(self.path).suffix.lower() not in SHOWN_BY_BROWSERS

    @property
    def shown_scale(self) -> float:
        """Width of the copy over that of the photo."""
        return min(1.0, SHOWN_PX / max(self.size))


class OpenedPhotos:
    """Opens photos, and keeps the portraits that were used last, so that nothing is found or encoded twice.

    Args:
        pipe: whose networks look at them.
        files: where the copies for the screen go; a photo whose copy was swept away is closed.
        gpu: wraps the function that uses a network; None leaves it as it is.
    """

    def __init__(
        self, pipe: StyleTransferPipeline, files: FileFolder, gpu: Callable[[Callable], Callable] | None = None
    ):
        self.pipe, self._files = pipe, files
        self._kept: LastUsed[tuple, Portrait] = LastUsed(KEPT_PORTRAITS)

        def find(opened: OpenedPicture, which: Which, boxes: list[FaceBox] | None) -> list[Face]:
            return search(opened.over_white(), pipe.aligner, which=which, boxes=boxes)

        self._find = find if gpu is None else gpu(find)

    def open(self, path: str, *, own: bool = True, thorough: bool = False) -> OpenedPhoto:
        """Read a photo, find its faces, and write the copy for the screen; there may be no face at all."""
        full = self._look_at(path, thorough)
        shown = full.thumbnail(SHOWN_PX)
        before = self._files.new_folder() / "before.jpg"
        # The visitor's own pixels, without place and camera.
        to_picture(shown.pixels).save(before, quality=95, subsampling=0)
        consent = consent_record() if own else ""
        opened = OpenedPhoto(
            str(path),
            str(before),
            full.whole_size,
            list(full.as_found),
            own,
            thorough,
            consent=consent,
            frames=full.opened.frames,
            reduced=full.opened.reduced_by > 1,
        )
        if full.chosen:
            self._keep(opened, "largest", full, shown)
        return opened

    def read(self, path: str, *, thorough: bool = False) -> Portrait:
        """Read a photo and find its faces; nothing of it is kept."""
        picture = open_picture(path)
        return Portrait(picture, tuple(self._find(picture, "all" if thorough else 0, None)))

    def _look_at(self, path: str, thorough: bool) -> Portrait:
        """A photo and its faces, read no larger than the screen and the networks need; whole where faces are small."""
        if not thorough:
            picture = open_picture(path, enough_px=SHOWN_PX)
            found = Portrait(picture, tuple(self._find(picture, 0, None)))
            smallest_px = min((face.frame_px for face in found.faces), default=0)
            if picture.whole_size is None or smallest_px >= CLEAR_FACE * self.pipe.resolution:
                return found
        return self.read(path, thorough=thorough)

    def mark(self, opened: OpenedPhoto, x: float, y: float) -> tuple[OpenedPhoto, int]:
        """Take the face at a place of the copy on the screen; where none was found, one is placed there by hand.

        Returns:
            The photo, perhaps with one more face, and the number of the face.
        """
        point = (x / opened.shown_scale, y / opened.shown_scale)
        for number, face in enumerate(opened.faces):
            if all(0 <= part <= 1 for part in face.transform.apply(point)):
                return opened, number
        side = CLICK_SHARE * min(opened.size)
        box = FaceBox(point[0] - side / 2, point[1] - side / 2, side)
        (placed,) = self._find(open_picture(opened.path), 0, [box])
        faces = sorted([*opened.faces, placed], key=lambda face: -face.frame_px)
        return replace(opened, faces=faces, refined=None), next(n for n, face in enumerate(faces) if face is placed)

    def faces_picture(self, opened: OpenedPhoto, which: Which) -> Image.Image:
        """Draw the copy with the faces that were found and their numbers; those that are meant in green."""
        faces = [scaled_face(face, opened.shown_scale) for face in opened.faces]
        try:
            chosen = choose(opened.faces, which)
        except InputError:
            chosen = ()
        return draw_faces(open_picture(opened.before).pixels, faces, chosen)

    def portrait(
        self, opened: OpenedPhoto, which: Which, *, full_size: bool = False, needs_faces: bool = True
    ) -> Portrait:
        """Give a photo for the screen or at its own size; a face named by number is taken even if small or turned.

        Raises:
            FaceError: no face can be used; without `needs_faces` the photo then comes without any.
            InputError: it was swept away, or has no such face.
        """
        try:
            return self._portrait(opened, which, full_size)
        except FaceError:
            if needs_faces:
                raise
            return Portrait(open_picture(opened.path if full_size else opened.before), ())

    def _portrait(self, opened: OpenedPhoto, which: Which, full_size: bool) -> Portrait:
        self._kept.drop(lambda key: not Path(key[0]).is_file())  # their photos were swept away
        if not Path(opened.before).is_file() or (full_size and not Path(opened.path).is_file()):
            raise InputError("the photo is no longer on the server: choose it again")
        shown = self._kept.get(_key(opened, which))
        picture = open_picture(opened.path) if full_size or shown is None else None
        if shown is None:
            full = Portrait(picture, tuple(opened.faces)).choose(which)
            shown = self._keep(opened, which, full, full.thumbnail(SHOWN_PX))
        return shown.over(picture) if full_size else shown

    def _keep(self, opened: OpenedPhoto, which: Which, full: Portrait, shown: Portrait) -> Portrait:
        """Cut out of the large photo all that networks look at, and keep the small one, which remembers it."""
        full.crops(self.pipe.resolution)
        full.canvas(self.pipe.encoder)
        return self._kept.get_or_make(_key(opened, which), lambda: shown)


def consent_record() -> str:
    """Return what a visitor says by choosing a photo, and when; saved files carry it."""
    return f"{translate('photo.consent', 'en')} ({datetime.now(UTC):%Y-%m-%d})"


def _key(opened: OpenedPhoto, which: Which) -> tuple:
    return opened.before, which, len(opened.faces)
