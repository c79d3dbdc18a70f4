"""What the buttons of "Style transfer" do, without any gradio: find faces, draw looks, write labelled files."""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
import weakref
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from gan_space.errors import InputError, PackError, raise_all
from gan_space.faces.align import AlignTransform
from gan_space.faces.detect import FaceBox
from gan_space.faces.find import Face, choose_face
from gan_space.output.provenance import read_provenance, save_image
from gan_space.packs.tuning import TuneSettings
from gan_space.photos.opening import open_photo, to_picture
from gan_space.pipelines.found_faces import draw_faces, search, which_faults
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.looks import ReferenceLook
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from gan_space.ui.files import FileFolder, Shown
from gan_space.ui.own_packs import check_pack_order, save_pack, tune_pack, unzip_pack, zip_pack
from gan_space.ui.refining import RefinedFaces, Refiner

logger = logging.getLogger(__name__)

SHOWN_PX = 1024  # longer side of what is drawn for the screen; files are drawn at full size
MAX_PHOTOS = 24
KEPT_LOOKS = 8  # references, and packs of visitors, that stay in memory
CLICK_SHARE = 0.3  # side of a face marked by a click, of the photo's shorter side; the aligner finds its true size
FORMATS = {"png": ".png", "jpeg": ".jpg"}


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
    """What people call a look in the language `tag`; what recipes have where it is not among `looks`."""
    return {one.recorded: one.name[tag] for one in looks}.get(recorded, recorded)


@dataclass(frozen=True)
class OpenedPhoto:
    """A photo whose faces were searched.

    Args:
        path: the file as it came.
        before: a copy for the screen, upright and at most 1024 px long.
        size: (width, height) of the photo, upright.
        faces: in px of the whole photo, the largest first.
        own: whether a visitor brought it; False for the examples.
        thorough: whether small faces were looked for with patience.
        refined: what was made of some of the faces, see `gan_space.ui.refining`.
    """

    path: str
    before: str
    size: tuple[int, int]
    faces: list[Face]
    own: bool = True
    thorough: bool = False
    refined: RefinedFaces | None = None

    @property
    def shown_scale(self) -> float:
        """Width of the copy over that of the photo."""
        return min(1.0, SHOWN_PX / max(self.size))


@dataclass(frozen=True)
class StyleRequest:
    """A look and how it is applied; see `StyleTransferPipeline.__call__`.

    Args:
        look: pack, or None.
        reference: file of a picture whose look is taken, or None.
        faces: "largest", "all", or the number of a face, the largest first.
    """

    look: LookEntry | None = None
    reference: str | None = None
    strength: float = 0.7
    layers: str = "middle+fine"
    preserve_color: bool = False
    keep_identity: float | None = None
    scope: str = "auto"
    transfer: str = "auto"
    upscale: str = "auto"
    faces: str | int = "largest"
    post_processing: tuple[tuple[str, float], ...] = ()

    def arguments(self) -> dict:
        """Arguments of the pipeline, apart from photo, faces and look."""
        names = ("strength", "layers", "preserve_color", "keep_identity", "scope", "transfer", "upscale")
        names += ("post_processing",)
        return {name: getattr(self, name) for name in names}


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
    """The pipeline for photos that shares `pipe`'s networks, or None where its model has no encoder or aligner."""
    folder = pipe.source.folder
    if folder is None or not all((folder / name / "config.json").is_file() for name in ("encoder", "aligner")):
        return None
    return StyleTransferPipeline.from_pipe(pipe)


def list_examples() -> list[Path]:
    """Photos that anybody may try, from the package."""
    folder = Path(str(files("gan_space"))) / "assets" / "examples"
    return sorted(folder.glob("*.jpg"), reverse=True)


class StyleStudio:
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
        self._previews = Path(tempfile.mkdtemp(prefix="gan_space-looks-"))  # stay as long as the app
        weakref.finalize(self, shutil.rmtree, self._previews, ignore_errors=True)
        self._references: OrderedDict[str, ReferenceLook] = OrderedDict()
        self._own_keys: OrderedDict[str, None] = OrderedDict()
        self.looks = self._load_looks()
        self.examples = [shutil.copy(path, self._previews) for path in list_examples()]

        # Only pictures, recipes and places come back: another process must not hand over GPU tensors.
        def find(photo: Tensor, which: str | int, boxes: list[FaceBox] | None) -> list[Face]:
            return search(photo, pipe.aligner, which=which, boxes=boxes).faces

        def draw(photo: Tensor, reference: str | None, arguments: dict) -> tuple[Image.Image, dict]:
            look = None if reference is None else self._read_look(reference)
            out = pipe(photo, look, **arguments)
            return out.images[0], out.recipe[0]

        def tune(pictures: Tensor, name: str, stop_file: Path):
            yield from tune_pack(pipe, pictures, name, stop_file, self.tune_settings)

        self.refiner = Refiner(self, gpu)
        self._find, self._draw, self._tune = (
            (function if gpu is None else gpu(function)) for function in (find, draw, tune)
        )

    # Photos

    def open(self, path: str, *, own: bool = True, thorough: bool = False) -> OpenedPhoto:
        """Read a photo, find its faces, and write the copy for the screen; there may be no face at all."""
        photo = open_photo(path)
        faces = self._find(photo, "all" if thorough else 0, None)
        picture = to_picture(photo)
        picture.thumbnail((SHOWN_PX, SHOWN_PX), Image.Resampling.LANCZOS)
        before = self._files.new_folder() / "before.jpg"
        picture.save(before, quality=95, subsampling=0)  # the visitor's own pixels, without place and camera
        return OpenedPhoto(str(path), str(before), (photo.shape[2], photo.shape[1]), faces, own, thorough)

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
        (placed,) = self._find(open_photo(opened.path), 0, [box])
        faces = sorted([*opened.faces, placed], key=lambda face: -face.frame_px)
        return replace(opened, faces=faces, refined=None), next(n for n, face in enumerate(faces) if face is placed)

    def faces_picture(self, opened: OpenedPhoto, which: str | int) -> str:
        """File that shows the faces that were found, with their numbers; those that are meant in green."""
        photo = open_photo(opened.before)
        faces = [_scaled(face, photo.shape[2] / opened.size[0]) for face in opened.faces]
        try:
            chosen = _chosen(opened.faces, which)
        except InputError:
            chosen = []
        path = self._files.new_folder() / "faces.jpg"
        draw_faces(photo, faces, chosen).save(path, quality=90)
        return str(path)

    # Drawing

    def preview(self, opened: OpenedPhoto, request: StyleRequest) -> Shown:
        """Draw for the screen: the photo in its look, at most 1024 px long, as a labelled file.

        Raises:
            FaceError: the photo has no face that can be used.
            InputError: no look is chosen, or a setting does not work.
        """
        picture, recipe = self._style(opened, opened.before, request)
        return self._save(picture, recipe, opened.path, "jpeg", False)

    def file(self, opened: OpenedPhoto, request: StyleRequest, image_format: str, visible_label: bool) -> Shown:
        """Draw at the photo's own size, as a labelled file of one of FORMATS; raises as `preview`."""
        picture, recipe = self._style(opened, opened.path, request)
        return self._save(picture, recipe, opened.path, image_format, visible_label)

    def many(
        self, paths: Sequence[str], request: StyleRequest, image_format: str, visible_label: bool
    ) -> Iterator[ManyStep]:
        """Style several photos at their own size, one step a photo; the last step brings a zip of all files.

        Raises:
            InputError: no photo, too many, or no look.
        """
        if not 1 <= len(paths) <= MAX_PHOTOS:
            raise InputError(f"expected 1 to {MAX_PHOTOS} photos, got {len(paths)}")
        _check_look(request)
        faces = request.faces if request.faces == "all" else "largest"
        request = replace(request, faces=faces)  # a number means nothing in another photo
        shown: list[Shown] = []
        failed: list[tuple[str, InputError]] = []
        yield ManyStep(0, len(paths))
        for number, path in enumerate(paths):
            try:
                opened = self.open(path, thorough=faces == "all")
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

    def make_pack(self, paths: Sequence[str], name: str, job: str) -> Iterator[MakeStep]:
        """Tune a look from 1 to 20 pictures; pictures without a usable face are told of in the last step.

        Args:
            paths: picture files.
            name: for people.
            job: name under which `stop_making` stops it: letters and digits.

        Raises:
            InputError: no name, no or too many pictures, or none of them can be used.
            Cancelled: it was stopped.
        """
        name = check_pack_order(paths, name)
        stop_file = self.stop_file(job)
        stop_file.unlink(missing_ok=True)
        crops, left_out = [], []
        for path in paths:
            try:
                photo = open_photo(path)
                face = choose_face(self._find(photo, "largest", None))
                crops.append(face.transform.crop(photo, self.pipe.resolution))
            except InputError as error:
                left_out.append((Path(path).name, error))
        if not crops:
            kind = type(left_out[0][1])
            raise kind("; ".join(f"{file}: {error}" for file, error in left_out))
        total = self.tune_settings.num_steps
        yield MakeStep(0, total, left_out=left_out)
        for step in self._tune(torch.cat(crops), name, stop_file):
            if step.pack is None:
                preview = None if step.preview is None else self._save_making(step.preview, step.done)
                yield MakeStep(step.done, total, preview, left_out=left_out)
            else:
                folder = save_pack(step.pack, step.preview, self._files.new_folder())
                look = self._own_look(folder)
                archive = zip_pack(folder, self._files.new_folder() / f"{folder.name}.zip")
                yield MakeStep(total, total, look.preview, look, str(archive), left_out)

    def stop_making(self, job: str) -> None:
        """Stop the tuning of that name, if there is one."""
        self.stop_file(job).touch()

    def add_pack(self, archive: str) -> LookEntry:
        """Load a pack from the zip that was downloaded once; PackError if it is none, or for another model."""
        return self._own_look(unzip_pack(archive, self._files.new_folder()))

    # For others

    def numbers(self, opened: OpenedPhoto, which: str | int) -> list[int]:
        """Numbers of the faces that are meant; FaceError where none is usable."""
        raise_all(which_faults(which), InputError)
        return _chosen(opened.faces, which)

    def boxes(self, opened: OpenedPhoto, numbers: Sequence[int], photo: Tensor) -> list[FaceBox]:
        """Exact frames of faces in the photo or in a copy of another size, [3, H, W]."""
        scale = photo.shape[2] / opened.size[0]
        return [_box(_scaled(opened.faces[number], scale)) for number in numbers]

    def new_folder(self) -> Path:
        """For one file; swept after an hour."""
        return self._files.new_folder()

    def stop_file(self, job: str) -> Path:
        """A file whose existence stops a job, whichever process does it."""
        folder = self._previews / "stop"
        folder.mkdir(exist_ok=True)
        return folder / re.sub(r"\W", "", job)[:64]

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
        self._load_own(key, folder)
        pack = self.pipe.get_pack(key)
        return LookEntry(key, pack.name, pack.description, str(folder / "preview.png"), str(folder))

    def _load_own(self, key: str, folder: Path) -> None:
        """Have a visitor's pack loaded; the one that was not used for longest has to go."""
        if not folder.is_dir():
            raise PackError("this look is no longer on the server: bring its zip again")
        folder.parent.touch()  # still in use, not to be swept
        if key not in self.pipe.packs:
            self.pipe.load_style_pack(folder, key)
        self._own_keys[key] = None
        self._own_keys.move_to_end(key)
        while len(self._own_keys) > KEPT_LOOKS:
            oldest, _ = self._own_keys.popitem(last=False)
            self.pipe.unload_packs([oldest])

    def _read_look(self, path: str) -> ReferenceLook:
        """Read a reference once; sliders then cost no second look at it."""
        look = self._references.pop(path, None) or self.pipe.read_look(path)
        self._references[path] = look
        while len(self._references) > KEPT_LOOKS:
            self._references.popitem(last=False)
        return look

    def _style(self, opened: OpenedPhoto, path: str, request: StyleRequest) -> tuple[Image.Image, dict]:
        _check_look(request)
        if not Path(path).is_file():  # swept away after an hour
            raise InputError("the photo is no longer on the server: choose it again")
        numbers = self.numbers(opened, request.faces)
        photo = open_photo(path)
        arguments = request.arguments() | {"boxes": self.boxes(opened, numbers, photo)}
        if opened.refined is not None and opened.refined.fits(opened.path, numbers):
            arguments["refined"] = opened.refined.refinement
        if request.look is not None:
            if request.look.folder:
                self._load_own(request.look.key, Path(request.look.folder))
            arguments["packs"] = {request.look.key: 1.0}
        picture, recipe = self._draw(photo, request.reference, arguments)
        recipe |= {"faces": request.faces, "faces_in_photo": len(opened.faces)}
        if request.look is not None and request.look.folder:  # its own name, not that of this visit
            recipe["pack"] = recipe["packs"][0]["name"] = request.look.recorded
        return picture, recipe

    def _save(self, picture: Image.Image, recipe: dict, source: str, image_format: str, visible_label: bool) -> Shown:
        if image_format not in FORMATS:
            raise InputError(f"the format must be one of {', '.join(FORMATS)}, got {image_format!r}")
        look = recipe.get("pack") or ("reference" if "reference_sha256" in recipe else "finished")
        name = re.sub(r"[^\w-]+", "-", f"{Path(source).stem[:40]}-{look}").strip("-")
        path = self._files.new_folder() / (name + FORMATS[image_format])
        inherited = None
        with suppress(InputError):  # a damaged label is no reason to refuse a photo that can be read
            inherited = read_provenance(source)
        save_image(picture, path, recipe=recipe, source="edited", visible_label=visible_label, inherited=inherited)
        return Shown(str(path), recipe, Path(source).name)

    def _save_making(self, preview: Image.Image, done: int) -> str:
        recipe = {"model": self.pipe.model_name, "revision": self.pipe.revision, "pack": "in the making", "step": done}
        return str(save_image(preview, self._files.new_folder() / "preview.png", recipe=recipe))


def _check_look(request: StyleRequest) -> None:
    if request.look is None and request.reference is None and not request.post_processing:
        raise InputError("choose a look, or a picture whose look is taken")


def _chosen(faces: list[Face], which: str | int) -> list[int]:
    """Numbers of the faces that are meant; one named by its number is taken even if it is small or turned."""
    if isinstance(which, int):
        if not 0 <= which < len(faces):
            raise InputError(f"the photo has {len(faces)} face(s), numbered from 0; got number {which}")
        return [which]
    best = choose_face(faces)  # FaceError where none is usable
    return [number for number, face in enumerate(faces) if (face.usable if which == "all" else face is best)]


def _scaled(face: Face, scale: float) -> Face:
    """The same face in a photo that is `scale` times as large."""
    transform = AlignTransform(1 / scale, 0.0, 0.0, 0.0).then(face.transform)
    return replace(face, transform=transform, landmarks=face.landmarks * scale)


def _box(face: Face) -> FaceBox:
    """The exact frame of a face as a box, so that nothing has to be searched again."""
    side = face.frame_px
    x, y = face.transform.inverse.apply([0.5, 0.5])
    return FaceBox(float(x - side / 2), float(y - side / 2), side, face.score, face.transform.roll_deg)
