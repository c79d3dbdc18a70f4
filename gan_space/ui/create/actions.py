"""What the buttons of "Create a look" do, without any gradio: find faces, draw looks, write labelled files."""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
import weakref
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from threading import RLock

import torch
from PIL import Image
from torch import Tensor

from gan_space.errors import InputError, PackError
from gan_space.output.provenance import save_image
from gan_space.packs.consent import now
from gan_space.packs.tuning import TuneSettings
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.saving import save_portrait
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from gan_space.portraits.choosing import Which
from gan_space.portraits.portrait import Portrait
from gan_space.styles.reference import ReferenceLook
from gan_space.styles.settings import StyleSettings
from gan_space.ui.create.own_packs import check_pack_order, tune_pack, unzip_pack, zip_pack
from gan_space.ui.create.refining import Refiner
from gan_space.ui.i18n import translate
from gan_space.ui.last_used import LastUsed
from gan_space.ui.opened_photos import OpenedPhoto, OpenedPhotos
from gan_space.ui.server.files import FileFolder, Shown, suffix_of
from gan_space.ui.server.folder import mark_used, server_folder
from gan_space.ui.server.jobs import Stops, StopSign

logger = logging.getLogger(__name__)

MAX_PHOTOS = 24
KEPT_LOOKS = 8  # references, and packs of visitors, that stay in memory


@dataclass(frozen=True)
class LookEntry:
    """One style pack to choose from.

    Args:
        key: name of the pack in the pipeline.
        name, description: {"en": …, "zh-CN": …}.
        preview: file of its picture.
        folder: of a pack made or brought along in this visit; "" for those that everybody sees.
    """

    key: str
    name: dict[str, str]
    description: dict[str, str]
    preview: str
    folder: str = ""

    @property
    def recorded(self) -> str:
        """Its name in recipes: the pack's id for a visitor's own, whose key is of this visit only."""
        return Path(self.folder).name if self.folder else self.key


def look_name(looks: Sequence[LookEntry], recorded: str, tag: str) -> str:
    """Return what people call a look in the language `tag`; what recipes have where it is not among `looks`."""
    return {one.recorded: one.name[tag] for one in looks}.get(recorded, recorded)


@dataclass(frozen=True)
class StyleRequest:
    """A look and how it is applied.

    Args:
        look: pack, or None.
        reference: file of a picture whose look is taken, or None.
        settings: how; without `faces`, the largest.
        recipe: name of one of the pipeline's looks instead, as the page for a photo has them.
    """

    look: LookEntry | None = None
    reference: str | None = None
    settings: StyleSettings = field(default_factory=StyleSettings)
    recipe: str = ""

    @property
    def faces(self) -> Which:
        """Which of a photo's faces are meant."""
        return "largest" if self.settings.faces is None else self.settings.faces


@dataclass(frozen=True)
class ManyStep:
    """How far several photos are: files done so far, and (name, error) of those that could not be done."""

    done: int
    total: int
    shown: list[Shown] = field(default_factory=list)
    failed: list[tuple[str, InputError]] = field(default_factory=list)
    archive: str | None = None


@dataclass(frozen=True)
class MakeStep:
    """How far the making of a pack is.

    Args:
        done, total: steps.
        preview: labelled picture of the look so far, or None for no new one.
        look, archive: the finished pack, and a zip of it.
        left_out: (name, error) of pictures without a usable face.
    """

    done: int
    total: int
    preview: str | None = None
    look: LookEntry | None = None
    archive: str | None = None
    left_out: list[tuple[str, InputError]] = field(default_factory=list)


def style_pipeline(pipe: GenerationPipeline) -> StyleTransferPipeline | None:
    """Make the pipeline for photos of `pipe`'s networks; None where its model has no encoder or aligner."""
    folder = pipe.source.folder
    if folder is None or not all((folder / name / "config.json").is_file() for name in ("encoder", "aligner")):
        return None
    return StyleTransferPipeline.from_pipe(pipe)


def list_examples() -> list[Path]:
    """Return photos that anybody may try, from the package."""
    folder = Path(str(files("gan_space"))) / "assets" / "examples"
    return sorted(folder.glob("*.jpg"), reverse=True)


class CreateActions:
    """Styles photos for the app.

    Args:
        pipe: the loaded pipeline; all packs of its model's folder are loaded too, broken ones left out.
        gpu: wraps the functions that use the networks, such as `spaces.GPU`; None leaves them as they are.
        tune_settings: how visitors' packs are tuned.
    """

    def __init__(
        self,
        pipe: StyleTransferPipeline,
        gpu: Callable[[Callable], Callable] | None = None,
        tune_settings: TuneSettings | None = None,
    ):
        self.pipe = pipe
        self.tune_settings = tune_settings or TuneSettings(preview_every=15)
        self._files = FileFolder()
        self._stops = Stops("look")
        self._previews = Path(tempfile.mkdtemp(dir=server_folder().kept))  # stay as long as the app
        weakref.finalize(self, shutil.rmtree, self._previews, ignore_errors=True)
        self._references: LastUsed[str, ReferenceLook] = LastUsed(KEPT_LOOKS)
        self._own_keys: LastUsed[str, bool] = LastUsed(KEPT_LOOKS)
        self._own_lock = RLock()  # held for as long as a visitor's pack is worked with: none is taken off meanwhile
        self.looks = self._load_looks()
        self.examples = [shutil.copy(path, self._previews) for path in list_examples()]

        self.photos = OpenedPhotos(pipe, self._files, gpu)

        # Only pictures and recipes come back: another process must not hand over GPU tensors.
        def draw(portrait: Portrait, reference: str | None, arguments: dict) -> tuple[Image.Image, dict]:
            look = None if reference is None else self._read_look(reference)
            out = pipe(portrait, look, **arguments)
            return out.images[0], out.recipe[0]

        def tune(pictures: Tensor, name: str, stop: StopSign):
            yield from tune_pack(pipe, pictures, name, stop, self.tune_settings)

        self.refiner = Refiner(self.photos, self._files, gpu)
        self._draw, self._tune = ((function if gpu is None else gpu(function)) for function in (draw, tune))

    # Photos

    def open(self, path: str, *, own: bool = True, thorough: bool = False) -> OpenedPhoto:
        """Read a photo and find its faces, see `OpenedPhotos`."""
        return self.photos.open(path, own=own, thorough=thorough)

    def mark(self, opened: OpenedPhoto, x: float, y: float) -> tuple[OpenedPhoto, int]:
        """Take the face at a place of the copy on the screen, see `OpenedPhotos`."""
        return self.photos.mark(opened, x, y)

    def faces_picture(self, opened: OpenedPhoto, which: Which) -> str:
        """Return the file that shows the faces that were found, with their numbers; those that are meant in green."""
        path = self._files.new_folder() / "faces.jpg"
        self.photos.faces_picture(opened, which).save(path, quality=90)
        return str(path)

    # Drawing

    def preview(self, opened: OpenedPhoto, request: StyleRequest) -> Shown:
        """Draw for the screen: the photo in its look, at most 1024 px long, as a labelled file.

        Raises:
            FaceError: the photo has no face that can be used.
            InputError: no look is chosen, or a setting does not work.
        """
        return self._save(*self._style(opened, request, full_size=False), opened.path, "jpeg", False)

    def file(self, opened: OpenedPhoto, request: StyleRequest, image_format: str, visible_label: bool) -> Shown:
        """Draw at the photo's own size, as a labelled file of one of FORMATS; raises as `preview`."""
        return self._save(*self._style(opened, request, full_size=True), opened.path, image_format, visible_label)

    def many(
        self, paths: Sequence[str], request: StyleRequest, image_format: str, visible_label: bool
    ) -> Iterator[ManyStep]:
        """Style several photos at their own size, one step a photo; the last step brings a zip of all files.

        Raises:
            InputError: no photo, too many, or no look.
        """
        if not 1 <= len(paths) <= MAX_PHOTOS:
            raise InputError(f"expected 1 to {MAX_PHOTOS} photos, got {len(paths)}")
        check_look(request)
        if request.faces != "all":  # a number means nothing in another photo
            request = replace(request, settings=replace(request.settings, faces="largest"))
        shown: list[Shown] = []
        failed: list[tuple[str, InputError]] = []
        yield ManyStep(0, len(paths))
        for number, path in enumerate(paths):
            try:
                opened = self.open(path, thorough=request.faces == "all")
                shown.append(self.file(opened, request, image_format, visible_label))
            except InputError as error:
                failed.append((Path(path).name, error))
            yield ManyStep(number + 1, len(paths), list(shown), list(failed))
        if shown:
            archive = self._files.new_folder() / "styled-photos.zip"
            with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:  # pictures do not get smaller
                for number, item in enumerate(shown):
                    file.write(item.path, f"{number + 1:02d}-{Path(item.path).name}")
            yield ManyStep(len(paths), len(paths), list(shown), list(failed), str(archive))

    # Packs of a visitor

    def make_pack(self, paths: Sequence[str], name: str, job: str, asked_ns: int | None = None) -> Iterator[MakeStep]:
        """Tune a look from 1 to 20 pictures; pictures without a usable face are told of in the last step.

        Args:
            paths: picture files.
            name: for people.
            job: name under which `stop_making` stops it: letters and digits.
            asked_ns: when it was asked for, if not now; a stop since then keeps it from starting.

        Raises:
            InputError: no name, no or too many pictures, or none of them can be used.
            Cancelled: it was stopped.
        """
        return self._make_pack(paths, name, self._stops.sign(job, asked_ns))

    def _make_pack(self, paths: Sequence[str], name: str, stop: StopSign) -> Iterator[MakeStep]:
        stop.check()
        name = check_pack_order(paths, name)
        crops, left_out = [], []
        for path in paths:
            stop.check()
            try:
                crops.append(self.photos.read(path).crops(self.pipe.resolution))
            except InputError as error:
                left_out.append((Path(path).name, error))
        if not crops:
            kind = type(left_out[0][1])
            raise kind("; ".join(f"{file}: {error}" for file, error in left_out))
        total = self.tune_settings.num_steps
        yield MakeStep(0, total, left_out=left_out)
        for step in self._tune(torch.cat(crops), name, stop):
            if step.pack is None:
                preview = None if step.preview is None else self._save_making(step.preview, step.done)
                yield MakeStep(step.done, total, preview, left_out=left_out)
            else:
                said = {"agreed": translate("style.consent", "en").partition(". ")[0], "when": now()}
                pack = replace(step.pack, training=step.pack.training | {"consent": said})
                folder = pack.save_pretrained(self._files.new_folder() / pack.id)
                look = self._own_look(folder)
                archive = zip_pack(folder, self._files.new_folder() / f"{folder.name}.zip")
                yield MakeStep(total, total, look.preview, look, str(archive), left_out)

    def stop_making(self, job: str) -> None:
        """Stop the tuning of that name, if there is one, also one that waits for its turn."""
        self._stops.stop(job)

    def add_pack(self, archive: str) -> LookEntry:
        """Load a pack from the zip that was downloaded once; PackError if it is none, or for another model."""
        return self._own_look(unzip_pack(archive, self._files.new_folder()))

    # Inside

    def _load_looks(self) -> list[LookEntry]:
        for name in self.pipe.shipped_packs():
            try:
                if name not in self.pipe.packs:
                    self.pipe.load_style_pack(name, name)
            except PackError as error:  # one broken pack must not keep the page from opening
                logger.error("pack %s is left out: %s", name, error)
        entries = []
        for key in self.pipe.packs:
            pack = self.pipe.get_pack(key)
            preview = self._previews / f"{len(entries)}-{pack.id}.png"
            preview.write_bytes(pack.preview)
            entries.append(LookEntry(key, pack.name, pack.description, str(preview)))
        return entries

    def _own_look(self, folder: Path) -> LookEntry:
        key = f"{folder.name}-{folder.parent.name}"  # nobody else's has this name
        with self._own_lock:
            self._load_own(key, folder)
            pack = self.pipe.get_pack(key)
        return LookEntry(key, pack.name, pack.description, str(folder / "preview.png"), str(folder))

    def _load_own(self, key: str, folder: Path) -> None:
        """Have a visitor's pack loaded; the one that was not used for longest has to go."""
        if not folder.is_dir():
            raise PackError("this look is no longer on the server: bring its zip again")
        mark_used(folder.parent)
        if key not in self.pipe.packs:
            self.pipe.load_style_pack(folder, key)
        self.pipe.unload_packs(self._own_keys.put(key, True))

    def _read_look(self, path: str) -> ReferenceLook:
        """Read a reference once; sliders then cost no second look at it."""
        return self._references.get_or_make(path, lambda: self.pipe.read_look(path))

    def _style(
        self, opened: OpenedPhoto, request: StyleRequest, *, full_size: bool
    ) -> tuple[Image.Image, Portrait, dict]:
        check_look(request)
        recipe = self.pipe.looks[request.recipe] if request.recipe else None
        needs_faces = recipe is None or recipe.needs_faces
        portrait = self.photos.portrait(opened, request.faces, full_size=full_size, needs_faces=needs_faces)
        arguments = request.settings.arguments() | ({"look": request.recipe} if recipe else {})
        if opened.refined is not None and opened.refined.fits(opened.path, portrait.chosen):
            arguments["refined"] = opened.refined.refinement
        if request.look is not None:
            arguments["packs"] = {request.look.key: 1.0}
        if request.look is not None and request.look.folder:
            with self._own_lock:
                self._load_own(request.look.key, Path(request.look.folder))
                picture, recipe = self._draw(portrait, request.reference, arguments)
            recipe["pack"] = recipe["packs"][0]["name"] = request.look.recorded  # not the name of this visit
        else:
            picture, recipe = self._draw(portrait, request.reference, arguments)
        return picture, portrait, recipe | opened.record()

    def _save(
        self, picture: Image.Image, portrait: Portrait, recipe: dict, source: str, image_format: str, label: bool
    ) -> Shown:
        suffix = suffix_of(image_format)
        look = recipe.get("look") or recipe.get("pack") or ("reference" if "reference_sha256" in recipe else "finished")
        name = re.sub(r"[^\w-]+", "-", f"{Path(source).stem[:40]}-{look}").strip("-")
        path = self._files.new_folder() / (name + suffix)
        save_portrait(picture, path, portrait=portrait, recipe=recipe, visible_label=label, photo=source)
        return Shown(str(path), recipe, Path(source).name)

    def _save_making(self, preview: Image.Image, done: int) -> str:
        recipe = {"model": self.pipe.model_name, "revision": self.pipe.revision, "pack": "in the making", "step": done}
        return str(save_image(preview, self._files.new_folder() / "preview.png", recipe=recipe))


def check_look(request: StyleRequest) -> None:
    """Raise InputError for a request that would change nothing."""
    if not (request.look or request.recipe or request.reference or request.settings.post_processing):
        raise InputError("choose a look, or a picture whose look is taken")
