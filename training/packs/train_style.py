"""Tune a style pack: `python training/packs/train_style.py --pictures painting.jpg --output_dir packs/my-look`.

From one to a hundred pictures of a look, or with `--look` from one of `looks.py`, rendered on photos. The pack
is written whole at the end, with a preview; about a minute on two CPU cores. `--help` lists all settings.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from gan_space.errors import ConfigError, DataError, FaceError, InputError, raise_all
from gan_space.faces.find import choose_face, find_faces
from gan_space.images import from_pil, from_uint8
from gan_space.output.provenance import save_image
from gan_space.packs.style import SCOPES, TRANSFERS, StylePack
from gan_space.packs.tuning import MAX_PICTURES, Callback, TunedStyle, TuneSettings, tune_on_pairs, tune_on_pictures
from gan_space.photos.folders import find_pictures
from gan_space.photos.opening import open_photo, to_picture
from gan_space.pipelines.pack_preview import draw_preview
from training.common.command import exit_code
from training.common.face_labels import load_labelled_faces
from training.common.memory import keep_freed_memory
from training.common.model_bundle import ModelBundle
from training.packs.looks import Look, find_look

FRAMINGS = ("find", "middle")
PREVIEW_SEEDS = (11, 3, 24, 38)


@dataclass(frozen=True)
class TrainStylePackConfig:
    """Tune a style pack from pictures of a look, or from a look that is rendered."""

    output_dir: Path
    """Folder of the pack; its name becomes the pack's id. An old pack there is replaced."""
    pictures: tuple[Path, ...] = ()
    """Pictures of the look with a face in each, or folders of them; 1 to 100."""
    look: str | None = None
    """Instead of pictures: name of a look in training/packs/looks.py; needs --faces."""
    model: str | None = None
    """Folder or Hub id of the model that the pack is for, with generator and encoder; None is the embedded one."""
    framing: str = "find"
    """find: look for the face in every picture and place it; middle: the middle square already is an aligned face."""
    faces: str | None = None
    """Folder, parquet or Hub data set of aligned faces that the look is tried on; None draws faces with the model."""
    faces_split: str = "train"
    """Split of --faces."""
    name_en: str = ""
    """Name in English; empty for the look's own, or the id."""
    name_zh: str = ""
    """Name in Chinese."""
    description_en: str = ""
    """One sentence on the look."""
    description_zh: str = ""
    """The same in Chinese."""
    scope: str | None = None
    """face, or photo where everything around takes the look too; None: the look's own, or photo."""
    transfer: str | None = None
    """change: photos keep their own pixels, recoloured; picture: drawn anew. None: the look's own, or picture."""
    credit: str = ""
    """Line to show with the look, such as who painted the pictures."""
    license: str = ""
    """Short name of the licence that the pack may be passed on under."""
    num_faces: int = 256
    """How many of --faces are used."""
    init_from: Path | None = None
    """With --look: folder of a pack of the same rank to start from, such as that of a model that this one goes on
    from."""
    tune: TuneSettings = field(default_factory=TuneSettings)
    """How it is tuned."""

    def check(self) -> None:
        """Raise ConfigError with all faults at once."""
        faults = []
        if bool(self.pictures) == (self.look is not None):
            faults.append("give either --pictures or --look")
        if self.look is not None and self.faces is None:
            faults.append("--look needs --faces, photos that the look is rendered on")
        if self.init_from is not None and self.look is None:
            faults.append("--init_from is for --look; pictures are tuned from the start")
        for name, known in (("framing", FRAMINGS), ("scope", (None, *SCOPES)), ("transfer", (None, *TRANSFERS))):
            if getattr(self, name) not in known:
                choices = ", ".join(filter(None, known))
                faults.append(f"--{name} must be one of {choices}, got {getattr(self, name)!r}")
        if self.num_faces < 2:
            faults.append(f"--num_faces must be 2 or more, got {self.num_faces}")
        raise_all(faults, ConfigError)


def load_base(model: str | None) -> ModelBundle:
    """The networks that packs are tuned for, and the discriminator and aligner of a model that has them."""
    return ModelBundle.load(model, "discriminator", "aligner", needed=("encoder",))


def load_pictures(paths: tuple[Path, ...], base: ModelBundle, framing: str) -> tuple[Tensor, list[str]]:
    """Read the pictures of a look as aligned faces.

    Returns:
        [K, 3, R, R] in [-1, 1], and one line for each picture that had to be left out.

    Raises:
        DataError: not one picture can be used; says why for each.
        InputError: too many, or the model has no aligner to find faces with.
    """
    files = []
    for path in paths:
        if path.is_dir():
            files += find_pictures(path, deep=True).files
        else:
            files.append(path)
    if len(files) > MAX_PICTURES:
        raise InputError(f"a look is tuned from 1 to {MAX_PICTURES} pictures, got {len(files)}; choose some")
    if framing == "find" and base.aligner is None:
        raise InputError(f"the model {base.name} has no aligner to find faces with; use --framing middle")
    crops, left_out = [], []
    for file in files:
        try:
            photo = open_photo(file)
            if framing == "middle":
                crops.append(from_pil(to_picture(photo), base.encoder.resolution))
            else:
                face = choose_face(find_faces(photo, base.aligner))
                crops.append(face.transform.crop(photo, base.encoder.resolution))
        except (FaceError, InputError, OSError) as error:
            left_out.append(f"{file.name}: {str(error).splitlines()[0]}")
    if not crops:
        raise DataError("no picture can be used:\n  " + "\n  ".join(left_out or ["the folders hold none"]))
    return torch.cat(crops), left_out


def load_faces(config: TrainStylePackConfig, resolution: int) -> Tensor | None:
    """`num_faces` aligned faces [N, 3, R, R] in [-1, 1], or None without `faces`."""
    if config.faces is None:
        return None
    faces = load_labelled_faces(config.faces, config.faces_split, face_px=resolution, limit=config.num_faces)
    return from_uint8(faces.images)


def tune_look(
    base: ModelBundle,
    look: Look,
    faces: Tensor,
    settings: TuneSettings,
    callback: Callback | None = None,
    init: StylePack | None = None,
) -> TunedStyle:
    """Tune on photos and the same photos rendered in a look."""
    # A look that leaves photos their own pixels is learned as a change of the reconstruction, which is all that is
    # carried over; one that draws anew as the finished drawing of the photo.
    inputs = base.reconstruct(faces) if look.transfer == "change" else faces
    targets = torch.cat([look.render(part) for part in inputs.split(16)])
    return tune_on_pairs(
        base.generator, base.encoder, faces, targets, discriminator=base.discriminator, init=init, settings=settings,
        callback=callback,
    )  # fmt: skip


def build_pack(
    config: TrainStylePackConfig, base: ModelBundle, tuned: TunedStyle, look: Look | None, num_pictures: int
) -> StylePack:
    """The pack with its preview, ready to be saved."""
    pack_id = config.output_dir.resolve().name
    name, description = (look.name, look.description) if look else ({}, {})
    plain = pack_id.replace("-", " ")
    pack = StylePack(
        id=pack_id,
        name={
            "en": config.name_en or name.get("en") or plain.capitalize(),
            "zh-CN": config.name_zh or name.get("zh-CN") or config.name_en or plain.capitalize(),
        },
        description={
            "en": config.description_en or description.get("en") or f"A look made from {num_pictures} picture(s).",
            "zh-CN": config.description_zh or description.get("zh-CN") or f"由 {num_pictures} 张图片生成的风格。",
        },
        base_model=base.name,
        base_hash=base.base_hash,
        feature_resolution=base.encoder.feature_resolution,
        delta=tuned.delta,
        w_offset=tuned.w_offset,
        state_change=tuned.state_change,
        scope=config.scope or (look.scope if look else "photo"),
        transfer=config.transfer or (look.transfer if look else "picture"),
        credit=config.credit,
        license=config.license,
        training=tuned.training | {"source": f"look {config.look}" if look else f"{num_pictures} pictures"},
    )
    return pack.with_preview(labelled_preview(base, pack))


def labelled_preview(base: ModelBundle, pack: StylePack) -> bytes:
    """preview.png: four faces that the model drew, in the look, labelled as every picture is."""
    picture = draw_preview(base.generator, base.encoder, pack, PREVIEW_SEEDS)
    with tempfile.TemporaryDirectory() as folder:
        recipe = {"model": base.name, "pack": pack.id, "seeds": list(PREVIEW_SEEDS)}
        return save_image(picture, Path(folder) / "preview.png", recipe=recipe).read_bytes()


def train(config: TrainStylePackConfig, base: ModelBundle | None = None, faces: Tensor | None = None) -> StylePack:
    """Tune and write one pack.

    Args:
        config: what to do.
        base, faces: where they are loaded already, for several packs in a row.

    Raises:
        ConfigError: bad settings.
        DataError: pictures or faces cannot be used.
        InputError: the model cannot be used.
        PackError: the folder holds something else, the pack does not fit into 1 MB, or `init_from` does not fit.
    """
    config.check()
    init = None if config.init_from is None else StylePack.from_pretrained(config.init_from)
    look = find_look(config.look) if config.look is not None else None
    base = base or load_base(config.model)
    if faces is None:
        faces = load_faces(config, base.encoder.resolution)
    say = _progress(config.output_dir.name)
    if look is not None:
        tuned, num_pictures = tune_look(base, look, faces, config.tune, say, init), 0
    else:
        pictures, left_out = load_pictures(config.pictures, base, config.framing)
        for line in left_out:
            print(f"left out: {line}", file=sys.stderr)
        num_pictures = len(pictures)
        tuned = tune_on_pictures(
            base.generator, base.encoder, pictures, faces=faces, discriminator=base.discriminator,
            settings=config.tune, callback=say,
        )  # fmt: skip
    pack = build_pack(config, base, tuned, look, num_pictures)
    pack.save_pretrained(config.output_dir)
    return pack


def _progress(name: str) -> Callback:
    def say(step: int, total: int, preview: Tensor | None) -> None:
        if step % 20 == 0 or step == total:
            print(f"{name}: step {step} of {total}", flush=True)

    return say


@exit_code
def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    import tyro

    config = tyro.cli(TrainStylePackConfig, args=arguments, use_underscores=True)
    keep_freed_memory()
    pack = train(config)
    print(f"wrote {config.output_dir}: {json.dumps(pack.training['losses'])}")


if __name__ == "__main__":
    sys.exit(main())
