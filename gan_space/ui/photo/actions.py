"""What the first tab does, without gradio: open a photo, draw it in a look, sketch all looks, write the file."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from PIL import Image

from gan_space.errors import InputError
from gan_space.faces.shape import SLIDERS
from gan_space.photos.opening import to_picture
from gan_space.pipelines.personalization import PersonalizationPipeline
from gan_space.pipelines.saving import save_portrait
from gan_space.portraits.portrait import Portrait
from gan_space.ui.files import FileFolder, Shown
from gan_space.ui.i18n import translate
from gan_space.ui.opened_photos import OpenedPhoto
from gan_space.ui.photo.api import PhotoAsk
from gan_space.ui.photo.looks import draw_look, draw_thumbnails, find_looks
from gan_space.ui.style_studio import StyleStudio

THUMB_PX = 96
MAX_FACES_SHOWN = 8
EXAMPLE_LOOKS, GREETING_PX = 3, 640  # that the greeting shows on the example
GROUP_OF = {  # of sliders on the page; any other is one of the face
    **dict.fromkeys(("smile", "mouth_open", "eyes_open", "brows_up", "turn", "tilt"), "expression"),
    "age": "age",
}


@dataclass(frozen=True)
class LookCard:
    """A look on the page: its `name`, what people call it by language tag, and its group."""

    name: str
    title: dict[str, str]
    group: str


@dataclass(frozen=True)
class SliderCard:
    """A slider of "Adjust": `title` by language tag, range, and group."""

    name: str
    title: dict[str, str]
    group: str
    low: float
    high: float


class PhotoActions:
    """Opens photos and draws them.

    Args:
        studio: opens and remembers the photos, shared with the other tabs.
        person: moves the sliders of "Adjust"; None where the model cannot.
        gpu: wraps the functions that use the networks, such as `spaces.GPU`; None leaves them as they are.
    """

    def __init__(
        self,
        studio: StyleStudio,
        person: PersonalizationPipeline | None = None,
        gpu: Callable[[Callable], Callable] | None = None,
    ):
        self.photos, self.examples = studio.photos, studio.examples
        self._pipe, self._person = studio.pipe, person
        self._files = FileFolder()
        self._example_drawn: list[tuple[str, str]] = []
        self._example_lock = Lock()
        self.looks = [
            LookCard(name, {"en": look.title["en"], "zh-CN": look.title["zh"]}, look.group)
            for name, look in find_looks(self._pipe).items()
        ]
        self.sliders = self._find_sliders()

        # Only pictures and recipes come back: another process must not hand over GPU tensors.
        def draw(portrait: Portrait, ask: PhotoAsk) -> tuple[Image.Image, Portrait, dict]:
            recipe: dict = {}
            if ask.edits:
                portrait, recipe = self._change(portrait, ask)
            if not ask.look:
                return portrait.opened.with_alpha(to_picture(portrait.pixels)), portrait, recipe
            out = draw_look(self._pipe, portrait, ask.look, ask.strength)
            return out.images[0], portrait, ({"edits": recipe["attributes"]} if recipe else {}) | out.recipe[0]

        def sketch(portrait: Portrait, names: Sequence[str], px: int) -> Iterator[tuple[str, Image.Image]]:
            yield from draw_thumbnails(self._pipe, portrait, names, px)

        self._draw, self._sketch = ((function if gpu is None else gpu(function)) for function in (draw, sketch))

    def _find_sliders(self) -> list[SliderCard]:
        person = self._person
        if person is None:
            return []
        cards = []
        if person.landmarker is not None and person.shapes is not None:
            cards += [
                SliderCard(name, _titles(f"shape.{name}"), GROUP_OF.get(name, "face"), slider.low, slider.high)
                for name, slider in SLIDERS.items()
            ]
        if person.directions is not None and "age" in person.directions:
            age = person.directions["age"]
            titles = {tag: age.text(tag) for tag in ("en", "zh-CN")}
            cards.append(SliderCard("age", titles, "age", *age.safe_range))
        return cards

    # Photos

    def open(self, path: str, *, own: bool = True) -> OpenedPhoto:
        """Read a photo and find its faces; a visitor's own comes with consent, which is kept with it.

        Raises:
            InputError: not a picture.
            NoFaceError, FaceTooSmallError, FaceTooTurnedError: there is nothing to work on.
        """
        opened = self.photos.open(path, own=own)
        if own:
            said = f"{translate('photo.consent', 'en')} ({datetime.now(UTC):%Y-%m-%d})"
            opened = replace(opened, consent=said)
        _ = self.photos.portrait(opened, "largest").chosen_faces  # raises where there is none
        return opened

    def look_closer(self, opened: OpenedPhoto) -> OpenedPhoto:
        """Search a photo with patience, for all of its faces."""
        if opened.thorough:
            return opened
        again = self.photos.open(opened.path, own=opened.own, thorough=True)
        return replace(again, consent=opened.consent)

    def faces(self, opened: OpenedPhoto) -> list[list[float]]:
        """Where the faces are that can be chosen: [left, top, width, height] as shares of the photo's."""
        width, height = opened.size
        places = []
        for face in opened.faces[:MAX_FACES_SHOWN]:
            x, y = face.transform.inverse.apply([0.5, 0.5])
            side = face.frame_px
            places.append([(x - side / 2) / width, (y - side / 2) / height, side / width, side / height])
        return [[round(float(part), 4) for part in place] for place in places]

    # Drawing

    def preview(self, opened: OpenedPhoto, ask: PhotoAsk) -> Shown:
        """Draw for the screen, at most 1024 px long, as a labelled file with the visible mark.

        Raises:
            FaceError: the photo has no face that can be used.
            InputError: the photo was swept away, or has no such face.
        """
        return self._write(opened, ask, full_size=False)

    def file(self, opened: OpenedPhoto, ask: PhotoAsk) -> Shown:
        """Draw at the photo's own size, as a labelled file; raises as `preview`."""
        return self._write(opened, ask, full_size=True)

    def thumbnails(self, opened: OpenedPhoto, ask: PhotoAsk, first: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
        """(name of a look, small picture as a data: address) for every look, those of `first` before the others.

        Raises:
            as `preview`.
        """
        names = [card.name for card in self.looks]
        names = [*(name for name in first if name in names), *(name for name in names if name not in first)]
        portrait = self.photos.portrait(opened, ask.faces)
        for name, picture in self._sketch(portrait, names, THUMB_PX):
            yield name, data_url(picture)

    def example(self) -> list[tuple[str, str]]:
        """(name of a look, file) of the first example in some looks; drawn once."""
        with self._example_lock:
            if not self._example_drawn and self.examples and self.looks:
                names = [card.name for card in self.looks]
                names = names[:: max(len(names) // EXAMPLE_LOOKS, 1)][:EXAMPLE_LOOKS]
                opened = self.photos.open(self.examples[0], own=False)
                if opened.faces:  # another model may not see what is in our examples
                    portrait = self.photos.portrait(opened, "largest")
                    drawn = self._sketch(portrait, names, GREETING_PX)
                    self._example_drawn = [(name, data_url(picture, GREETING_PX)) for name, picture in drawn]
            return self._example_drawn

    # Inside

    def _change(self, portrait: Portrait, ask: PhotoAsk) -> tuple[Portrait, dict]:
        """The photo with its sliders moved, opened; and how it was made."""
        if self._person is None:
            raise InputError("this model has no sliders for photos")
        out = self._person.edit(portrait, dict(ask.edits), faces="largest" if ask.faces == "all" else None)
        return out.changed, out.recipe

    def _write(self, opened: OpenedPhoto, ask: PhotoAsk, *, full_size: bool) -> Shown:
        if not ask.look and not ask.edits:
            raise InputError("choose a look, or move a slider")
        portrait = self.photos.portrait(opened, ask.faces, full_size=full_size)
        picture, portrait, recipe = self._draw(portrait, ask)
        if opened.consent:
            recipe |= {"consent": opened.consent}
        stem = re.sub(r"[^\w-]+", "-", f"{Path(opened.path).stem[:40]}-{ask.look or 'changed'}").strip("-")
        suffix = ".png" if "A" in picture.getbands() else ".jpg"
        path = self._files.new_folder() / (stem + suffix)
        save_portrait(picture, path, portrait=portrait, recipe=recipe, photo=opened.path)
        return Shown(str(path), recipe, Path(opened.path).name)


def data_url(picture: Image.Image, px: int = THUMB_PX) -> str:
    """A small copy of a picture as an address that holds the picture itself."""
    small = picture.convert("RGB")
    small.thumbnail((px, px), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "WEBP", quality=82)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _titles(key: str) -> dict[str, str]:
    return {tag: translate(key, tag) for tag in ("en", "zh-CN")}
