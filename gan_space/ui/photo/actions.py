"""What the first tab does, without gradio: open a photo, draw it in a look, sketch all looks, write the file."""

from __future__ import annotations

import base64
import io
import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from threading import Lock

from PIL import Image
from torch import Tensor

from gan_space.errors import FaceError, InputError
from gan_space.faces.find import Face
from gan_space.looks.makeup_reference import MakeupReference
from gan_space.looks.recipe import LookRecipe
from gan_space.output.visible_label import draw_visible_label
from gan_space.photos.opening import open_picture, to_picture
from gan_space.pipelines.inspection import SeenFace, inspect_faces, seen_layer
from gan_space.pipelines.personalization import PersonalizationPipeline
from gan_space.pipelines.saving import save_portrait
from gan_space.portraits.glasses import FRAMES
from gan_space.portraits.portrait import Portrait, scaled_face
from gan_space.ui.create.actions import CreateActions
from gan_space.ui.i18n import translate
from gan_space.ui.last_used import LastUsed
from gan_space.ui.opened_photos import OpenedPhoto
from gan_space.ui.photo.ahead import MAX_PIXELS, FilesAhead, Waiting
from gan_space.ui.photo.api import PhotoAsk
from gan_space.ui.photo.cards import layers_of, look_cards, slider_cards
from gan_space.ui.server.files import FileFolder, Shown
from gan_space.ui.server.jobs import one_core_worker, steps_in

STRIP_PATIENCE_SEC = 5.0  # how long a strip of small pictures waits for others, all together
THUMB_PX = 128  # screens of phones have three pixels for each of the 76 that the page gives them
GREETING_PX = 640  # of the example, which greets in a look of each group
# That are seen at a glance; of other groups, the first.
GREETING_LOOKS = ("evening-glam", "copper-hair", "silver-print", "id-photo-blue", "comic")
MAX_FACES_SHOWN = 8
PLAIN = LookRecipe("plain", {"en": "Original", "zh-CN": "原图"}, "mine")
KEPT_MAKEUP = 32  # of other pictures, some 100 KB each


class PhotoActions:
    """Opens photos and draws them.

    Args:
        create: opens and remembers the photos, shared with the other tabs.
        person: moves the sliders of "Adjust"; None where the model cannot.
        gpu: wraps the functions that use the networks, such as `spaces.GPU`; None leaves them as they are.
    """

    def __init__(
        self,
        create: CreateActions,
        person: PersonalizationPipeline | None = None,
        gpu: Callable[[Callable], Callable] | None = None,
    ):
        self.photos, self.examples = create.photos, create.examples
        self._pipe, self._person = create.pipe, person
        self._files = FileFolder()
        self._greeting: list[tuple[str, str]] = []
        self._greeting_lock = Lock()
        self._waiting = Waiting()
        self._makeup: LastUsed[str, MakeupReference] = LastUsed(KEPT_MAKEUP)
        self.takes_makeup = self.sees = self._pipe.landmarker is not None
        self.frames = list(FRAMES) if person is not None and person.landmarker is not None else []
        self.looks = look_cards(self._pipe.looks)
        self.sliders = slider_cards(self._pipe, person)

        # Only pictures and recipes come back: another process must not hand over GPU tensors.
        def draw(portrait: Portrait, ask: PhotoAsk) -> tuple[Image.Image, Portrait, dict]:
            (changed, recipe), drawn = self._adjust(portrait, ask), None
            # A look's make-up goes below the glasses; all else of a look, such as black and white, is for them, too.
            last = bool(ask.look) and bool(self._pipe.looks[ask.look].makeup)
            if not last:
                changed = self._put_on(changed, ask.glasses)
            if ask.look:
                out = self._pipe(changed, look=ask.look, strength=ask.strength)
                recipe = out.recipe[0] | ({"edits": dict(ask.edits)} if ask.edits else {})
                drawn = out.images[0]
                if "A" in drawn.getbands() or (last and ask.glasses != "none"):
                    changed = changed.painted_over(open_picture(drawn.convert("RGB")).pixels)
                    drawn = None
            if last:
                changed = self._put_on(changed, ask.glasses)
            worn = {"glasses": ask.glasses} if ask.glasses != "none" else {}
            if ask.makeup_from:
                said = translate("photo.makeup_consent", "en")
                worn |= {"makeup_from": f"another picture ({said})"}
                worn |= {"makeup_strength": ask.makeup_strength, "makeup_tone": ask.makeup_tone}
            # A picture that is ready is not taken apart again: of 12 megapixels each copy takes a tenth of a second.
            picture = portrait.opened.with_alpha(to_picture(changed.pixels)) if drawn is None else drawn
            return picture, changed, recipe | worn

        def sketch(portrait: Portrait, looks: dict[str, LookRecipe], px: int) -> Iterator[tuple[str, Image.Image]]:
            yield from self._pipe.thumbnails(portrait, px, looks)

        def see(pixels: Tensor, faces: list[Face]) -> list[SeenFace]:
            return inspect_faces(pixels, faces, self._pipe.landmarker)

        wrapped = ((function if gpu is None else gpu(function)) for function in (draw, sketch, see))
        self._draw, self._sketch, self._see = wrapped
        # A borrowed GPU counts the seconds: there nothing is drawn that nobody may ask for.
        self._sketcher = one_core_worker("strip") if gpu is None else None
        self._ahead = FilesAhead(self._write_file, self._waiting) if gpu is None else None

    # Photos

    def open(self, path: str, *, own: bool = True) -> OpenedPhoto:
        """Read a photo and find its faces; a visitor's own comes with consent, which is kept with it.

        Raises:
            InputError: not a picture.
        """
        return self.photos.open(path, own=own)

    def look_closer(self, opened: OpenedPhoto) -> OpenedPhoto:
        """Search a photo with patience, for all of its faces."""
        if opened.thorough:
            return opened
        self.forget(opened)
        return self.photos.open(opened.path, own=opened.own, thorough=True)

    def fault_of(self, opened: OpenedPhoto) -> FaceError | None:
        """Tell why no face of a photo can be used as it is; None where one can."""
        try:
            _ = self.photos.portrait(opened, "largest").chosen_faces
        except FaceError as error:
            return error
        return None

    def faces(self, opened: OpenedPhoto) -> list[list[float]]:
        """Say where the faces are that can be chosen: [left, top, width, height] as shares of the photo's."""
        width, height = opened.size
        places = []
        for face in opened.faces[:MAX_FACES_SHOWN]:
            x, y = face.transform.inverse.apply([0.5, 0.5])
            side = face.frame_px
            places.append([(x - side / 2) / width, (y - side / 2) / height, side / width, side / height])
        return [[round(float(part), 4) for part in place] for place in places]

    def seen(self, opened: OpenedPhoto) -> tuple[str, list[SeenFace]]:
        """Show where the parts of the faces are in the copy for the screen; nothing of it is kept.

        Returns:
            A layer of the copy's size, to be laid over it, as an address that holds it; and its faces.

        Raises:
            InputError: the model has no network for it.
        """
        if not self.sees:
            raise InputError("this model does not find the parts of a face")
        pixels = open_picture(opened.before).pixels
        faces = [scaled_face(face, opened.shown_scale) for face in opened.faces[:MAX_FACES_SHOWN]]
        found = self._see(pixels, faces)
        buffer = io.BytesIO()
        seen_layer((pixels.shape[2], pixels.shape[1]), found).save(buffer, "WEBP", lossless=True, quality=50)
        return address_of(buffer.getvalue(), "webp"), found

    def makeup_of(self, path: str) -> MakeupReference:
        """Read the make-up in a picture, or remember what was read.

        Raises:
            InputError: not a picture, or one without a face.
        """
        return self._makeup.get_or_make(path, lambda: self._pipe.read_makeup(path))

    # Drawing

    def preview(self, opened: OpenedPhoto, ask: PhotoAsk) -> Shown:
        """Draw for the screen, at most 1024 px long, as a labelled file with the visible mark.

        Raises:
            FaceError: what is asked for needs a face, and none can be used.
            InputError: the photo was swept away, or has no such face.
        """
        with self._waiting.one_more():
            shown = self._write(opened, ask, full_size=False)
        if self._ahead is not None and opened.size[0] * opened.size[1] <= MAX_PIXELS:
            self._ahead.begin(opened, ask)
        return shown

    def file(self, opened: OpenedPhoto, ask: PhotoAsk) -> Shown:
        """Draw at the photo's own size, as a labelled file, or take what was drawn ahead; raises as `preview`."""
        drawn = None if self._ahead is None else self._ahead.take(opened, ask)
        if drawn is not None:
            return drawn
        with self._waiting.one_more():
            return self._write(opened, ask, full_size=True)

    def forget(self, opened: OpenedPhoto | None) -> None:
        """Throw away what was drawn ahead of a photo that is closed."""
        if self._ahead is not None and opened is not None:
            self._ahead.drop(opened)

    def thumbnails(
        self, opened: OpenedPhoto, ask: PhotoAsk, first: Sequence[str] = (), done: Collection[str] = ()
    ) -> Iterator[tuple[str, str]]:
        """Yield (name of a look, small picture as a data: address) for no look, "", and each that this photo can have.

        Args:
            first: names of looks that are drawn before the others.
            done: names of those that are left out.

        Raises:
            InputError: as `preview`.
        """
        looks = self._pipe.looks
        order = [*(name for name in dict.fromkeys(first) if name in looks), *looks]
        looks = {"": PLAIN} | {name: looks[name] for name in order}
        looks = {name: look for name, look in looks.items() if name not in done}
        patience = STRIP_PATIENCE_SEC
        sketches = self._sketch(self._portrait(opened, ask.faces), looks, THUMB_PX)
        for name, picture in sketches if self._sketcher is None else steps_in(self._sketcher, sketches):
            yield name, data_url(picture, quick=True)
            asked = time.monotonic()
            self._waiting.rest(patience)
            patience -= time.monotonic() - asked

    def greeting(self, *, wait: bool = True) -> list[tuple[str, str]]:
        """Return (name of a look, picture as a data: address) of the first example in a few looks; drawn once.

        Args:
            wait: until they are drawn; else nothing comes back before they are.
        """
        if not wait:
            return self._greeting
        with self._greeting_lock:
            if not self._greeting and self.examples:
                opened = self.photos.open(self.examples[0], own=False)
                portrait = self._portrait(opened, "largest").thumbnail(GREETING_PX)
                usable = [card for card in self.looks if portrait.chosen or not card.needs_faces]
                greets = {card.group: card for card in reversed(usable)}
                greets |= {card.group: card for card in usable if card.name in GREETING_LOOKS}
                drawn = []
                for card in greets.values():
                    picture, *_ = self._draw(portrait, PhotoAsk(look=card.name, strength=card.strength))
                    labelled = draw_visible_label(picture, portrait.face_boxes())
                    drawn.append((card.name, data_url(labelled, GREETING_PX)))
                self._greeting = drawn
            return self._greeting

    # Inside

    def _portrait(self, opened: OpenedPhoto, faces: str | int, *, full_size: bool = False) -> Portrait:
        """The photo for the screen or at its own size; also one without any face that can be used."""
        return self.photos.portrait(opened, faces, full_size=full_size, needs_faces=False)

    def _adjust(self, portrait: Portrait, ask: PhotoAsk) -> tuple[Portrait, dict]:
        """The photo with sliders moved and another picture's make-up on, and how it was made; itself without any."""
        recipe: dict = {}
        moved, skin, makeup = layers_of(dict(ask.edits))
        if moved:
            if self._person is None:
                raise InputError("this model has no sliders for photos")
            out = self._person.edit(portrait, moved)
            portrait, recipe = out.changed, out.recipe
        if skin or makeup or ask.makeup_from:
            look = LookRecipe("adjusted", {"en": "Adjusted", "zh-CN": "调整"}, "mine", skin=skin, makeup=makeup)
            worn = {"makeup_from": self.makeup_of(ask.makeup_from)} if ask.makeup_from else {}
            out = self._pipe(portrait, look=look, strength=1.0, makeup_strength=ask.makeup_shares, **worn)
            portrait = portrait.painted_over(open_picture(out.images[0].convert("RGB")).pixels)
            recipe = out.recipe[0] | {"attributes": recipe.get("attributes", {}), "skin": skin, "makeup": makeup}
        return portrait, recipe

    def _put_on(self, portrait: Portrait, glasses: str) -> Portrait:
        """The face with glasses; GlassesError where it wears some."""
        if glasses == "none":
            return portrait
        if self._person is None:
            raise InputError("this model has no glasses for photos")
        return self._person.edit(portrait, {}, glasses=glasses).changed

    def _write_file(self, opened: OpenedPhoto, ask: PhotoAsk, go_on: Callable[[], None]) -> Shown:
        return self._write(opened, ask, full_size=True, go_on=go_on)

    def _write(
        self, opened: OpenedPhoto, ask: PhotoAsk, *, full_size: bool, go_on: Callable[[], None] = lambda: None
    ) -> Shown:
        """Draw and save; `go_on` is called between the steps, and may raise to end them."""
        if not ask.look and not ask.adjusts:
            raise InputError("choose a look, or move a slider")
        portrait = self._portrait(opened, ask.faces, full_size=full_size)
        go_on()
        picture, portrait, recipe = self._draw(portrait, ask)
        go_on()
        recipe |= opened.record()
        stem = re.sub(r"[^\w-]+", "-", f"{Path(opened.path).stem[:40]}-{ask.look or 'changed'}").strip("-")
        path = self._files.new_folder() / (stem + (".png" if "A" in picture.getbands() else ".jpg"))
        save_portrait(picture, path, portrait=portrait, recipe=recipe, photo=opened.path)
        return Shown(str(path), recipe, Path(opened.path).name)


def data_url(picture: Image.Image, px: int = THUMB_PX, *, quick: bool = False) -> str:
    """Make a small copy of a picture as an address that holds it; `quick` takes a thirtieth of the time."""
    small = picture.convert("RGB")
    small.thumbnail((px, px), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    if quick:
        small.save(buffer, "JPEG", quality=85)  # half as large again as the WebP
    else:
        small.save(buffer, "WEBP", quality=82)
    kind = "jpeg" if quick else "webp"
    return address_of(buffer.getvalue(), kind)


def address_of(content: bytes, kind: str) -> str:
    """Write a picture file as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
