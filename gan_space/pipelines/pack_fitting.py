"""Style packs from pictures of a look: their faces are read, a pack is tuned and gets its preview.

The preview is the picture by which a look is chosen: the same faces for every pack, none of them a real person's.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor

from gan_space.errors import Cancelled, FaceError, InputError, PackError, raise_all
from gan_space.faces.detect import AlignerLike, FaceDetector, HaarDetector
from gan_space.faces.landmarks import LandmarkerLike
from gan_space.images import from_pil, image_grid
from gan_space.models.discriminator import Discriminator
from gan_space.models.encoder import Encoder
from gan_space.models.generator import Generator
from gan_space.output.provenance import save_image
from gan_space.packs.style import StylePack, label_faults
from gan_space.packs.tuning import MAX_PICTURES, TunedStyle, TuneSettings, tune_on_pictures
from gan_space.photos.opening import PhotoLike, list_photos, open_photo, to_picture, without_name
from gan_space.portraits.portrait import open_portrait
from gan_space.seeding import latents_from_seeds
from gan_space.settings import brief
from gan_space.styles.apply import NetworkLook, Renderer

PREVIEW_PX = 256
PREVIEW_SEEDS = (11, 3, 24, 38)
FitCallback = Callable[[int, int, Image.Image | None], bool | None]


class PackBase(Protocol):
    """The networks that a pack is tuned for."""

    generator: Generator
    encoder: Encoder
    discriminator: Discriminator | None


@dataclass(frozen=True)
class PackInfo:
    """What a pack says of itself; see `StylePack`.

    Args:
        id: short name for files: small letters, digits, "-".
        name, description: {"en": …, "zh-CN": …}; what is missing is made from the id and the pictures.
        scope, transfer, credit, license: as in `StylePack`.

    Raises:
        PackError: an id, scope or transfer that does not work; all faults at once.
    """

    id: str
    name: dict[str, str] | None = None
    description: dict[str, str] | None = None
    scope: str = "photo"
    transfer: str = "picture"
    credit: str = ""
    license: str = ""

    def __post_init__(self):
        raise_all([f"pack {self.id}: {fault}" for fault in label_faults(self.id, self.scope, self.transfer)], PackError)


@dataclass(frozen=True)
class LookPictures:
    """Pictures of a look as aligned faces.

    Args:
        faces: [K, 3, R, R] in [-1, 1].
        left_out: one line for each picture that could not be used.
    """

    faces: Tensor
    left_out: list[str]


def read_look_pictures(
    pictures: Sequence[PhotoLike],
    aligner: AlignerLike | None,
    side_px: int,
    *,
    landmarker: LandmarkerLike | None = None,
    detector: FaceDetector | None = None,
) -> LookPictures:
    """Read pictures of a look, the largest face of each.

    Args:
        pictures: files or pictures, 1 to 100.
        aligner: places the faces; None: the middle squares are aligned faces already.
        side_px: R, of the networks.
        landmarker: decides where the aligner is in doubt.
        detector: finds faces instead of OpenCV's cascade.

    Raises:
        InputError: too many, or not one can be used; gives the reason for each.
    """
    given, pictures = pictures, list_photos(pictures)
    if pictures is None:
        raise InputError(f"a look is tuned from a list of 1 to {MAX_PICTURES} pictures, got {brief(given)}")
    if len(pictures) > MAX_PICTURES:
        raise InputError(f"a look is tuned from 1 to {MAX_PICTURES} pictures, got {len(pictures)}; choose some")
    faces, left_out = [], []
    for number, picture in enumerate(pictures):
        try:
            if aligner is None:
                faces.append(from_pil(to_picture(open_photo(picture)), side_px))
            else:  # all sizes of faces are looked for: paintings show small ones, and there is time
                how = {"landmarker": landmarker, "detector": detector or HaarDetector()}
                faces.append(open_portrait(picture, aligner, **how).crops(side_px))
        except (FaceError, InputError, OSError) as error:
            name = Path(picture).name if isinstance(picture, str | Path) else f"picture {number + 1}"
            left_out.append(f"{name}: {without_name(error, name).splitlines()[0]}")
    if not faces:
        raise InputError("no picture can be used:\n  " + "\n  ".join(left_out or ["there are none"]))
    return LookPictures(torch.cat(faces), left_out)


def fit_pack(
    base: PackBase,
    pictures: Tensor,
    info: PackInfo,
    *,
    base_model: str,
    base_hash: str,
    faces: Tensor | None = None,
    settings: TuneSettings | None = None,
    callback: FitCallback | None = None,
) -> StylePack:
    """Tune a pack from 1 to 100 pictures of a look; about 45 s of one core.

    Args:
        base: the networks; not changed.
        pictures: [K, 3, R, R] in [-1, 1], faces aligned.
        info: what the pack says of itself.
        base_model, base_hash: of the networks, see `StylePack`.
        faces: [N, 3, R, R] photos that the look is tried on; None draws random ones.
        settings: how it is tuned.
        callback: called as callback(step, num_steps, preview or None) after every step; False stops.

    Raises:
        InputError: pictures of another shape or number.
        Cancelled: the callback answered False.
    """

    def say(step: int, total: int, preview: Tensor | None) -> bool | None:
        return callback(step, total, None if preview is None else image_grid(preview.cpu(), columns=2))

    tuned = tune_on_pictures(
        base.generator,
        base.encoder,
        pictures,
        faces=faces,
        discriminator=base.discriminator,
        settings=settings,
        callback=None if callback is None else say,
    )
    if tuned.training["stopped"]:
        raise Cancelled("the tuning was stopped; nothing was kept")
    source = f"{len(pictures)} picture{'' if len(pictures) == 1 else 's'}"
    return build_pack(base, tuned, info, source=source, base_model=base_model, base_hash=base_hash)


def build_pack(
    base: PackBase, tuned: TunedStyle, info: PackInfo, *, source: str, base_model: str, base_hash: str
) -> StylePack:
    """Put together what was tuned and what is known of it, with a preview.

    Args:
        base, info, base_model, base_hash: see `fit_pack`.
        tuned: what tuning found.
        source: what it was tuned from, such as "2 pictures".
    """
    name, description = info.name or {}, info.description or {}
    english = name.get("en") or info.id.replace("-", " ").capitalize()
    pack = StylePack(
        id=info.id,
        name={"en": english, "zh-CN": name.get("zh-CN") or english},
        description={
            "en": description.get("en") or f"A look made from {source}.",
            "zh-CN": description.get("zh-CN") or f"由 {source.split()[0]} 张图片生成的风格。",
        },
        base_model=base_model,
        base_hash=base_hash,
        feature_resolution=base.encoder.feature_resolution,
        delta=tuned.delta,
        w_offset=tuned.w_offset,
        state_change=tuned.state_change,
        scope=info.scope,
        transfer=info.transfer,
        credit=info.credit,
        license=info.license,
        training=tuned.training | {"source": source},
    )
    return pack.with_preview(labelled_preview(base.generator, base.encoder, pack))


def labelled_preview(
    generator: Generator, encoder: Encoder, pack: StylePack, seeds: Sequence[int] = PREVIEW_SEEDS
) -> bytes:
    """Return preview.png: faces that the model drew, in the look, labelled as every picture is."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = {"model": pack.base_model, "pack": pack.id, "seeds": list(seeds)}
        file = save_image(draw_preview(generator, encoder, pack, seeds), Path(folder) / "preview.png", recipe=recipe)
        return file.read_bytes()


@torch.no_grad()
def draw_preview(
    generator: Generator, encoder: Encoder, pack: StylePack, seeds: Sequence[int], side_px: int = PREVIEW_PX
) -> Image.Image:
    """Draw faces from seeds and show them in a look as photos would be, as a square of about square numbers.

    Args:
        generator, encoder: that the pack was tuned for.
        pack: the look, applied in full.
        seeds: of the faces.
        side_px: width of the picture.
    """
    z = latents_from_seeds(seeds, generator.config.z_dim, next(generator.parameters()).device)
    faces = generator.synthesis(generator.mapping(z, truncation_psi=0.6), noise_mode="const").clamp(-1, 1)
    sheet = image_grid(Renderer(generator, encoder).over(faces, NetworkLook(packs=((pack, 1.0),))))
    height = round(sheet.height * side_px / sheet.width)
    return sheet.resize((side_px, height), Image.Resampling.LANCZOS)
