"""Tuning of one style pack, from pictures of a look or from a look that is rendered by formula."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from gan_space.errors import ConfigError, InputError, raise_all
from gan_space.images import from_uint8
from gan_space.packs.files import check_place
from gan_space.packs.style import SCOPES, TRANSFERS, StylePack
from gan_space.packs.tuning import Callback, TunedStyle, TuneSettings, tune_on_pairs
from gan_space.photos.folders import find_pictures
from gan_space.pipelines.pack_fitting import LookPictures, PackInfo, build_pack, fit_pack, read_look_pictures
from gan_space.settings import least_faults, values_of
from training.common.face_labels import load_labelled_faces
from training.common.files import folder_faults
from training.common.model_bundle import ModelBundle
from training.packs.looks import FormulaLook, find_look

FRAMINGS = ("find", "middle")


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
        """Raise ConfigError with all faults at once; PackError if the folder holds something else."""
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
        faults += least_faults(2, values_of(self, "num_faces"), "--")
        raise_all(faults + folder_faults(self, "output_dir"), ConfigError)
        check_place(self.output_dir)


def load_base(model: str | None) -> ModelBundle:
    """Return the networks that packs are tuned for, and the discriminator and aligner of a model that has them."""
    return ModelBundle.load(model, "discriminator", "aligner", "landmarker", needed=("encoder",))


def load_pictures(config: TrainStylePackConfig, base: ModelBundle) -> LookPictures:
    """Return the pictures of a look as aligned faces; InputError where not one can be used."""
    if config.framing == "find" and base.aligner is None:
        raise InputError(f"the model {base.name} has no aligner to find faces with; use --framing middle")
    files = []
    for path in config.pictures:
        files += find_pictures(path, deep=True).files if path.is_dir() else [path]
    aligner = base.aligner if config.framing == "find" else None
    return read_look_pictures(files, aligner, base.encoder.resolution, landmarker=base.landmarker)


def load_faces(config: TrainStylePackConfig, resolution: int) -> Tensor | None:
    """Return `num_faces` aligned faces [N, 3, R, R] in [-1, 1], or None without `faces`."""
    if config.faces is None:
        return None
    faces = load_labelled_faces(config.faces, config.faces_split, face_px=resolution, limit=config.num_faces)
    return from_uint8(faces.images)


def tune_look(
    base: ModelBundle,
    look: FormulaLook,
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


def info_of(config: TrainStylePackConfig, look: FormulaLook | None) -> PackInfo:
    """Return what the pack says of itself: as the settings say, else as the look does."""
    name, description = (look.name, look.description) if look else ({}, {})
    own_name = {"en": config.name_en, "zh-CN": config.name_zh}
    own_description = {"en": config.description_en, "zh-CN": config.description_zh}
    return PackInfo(
        config.output_dir.resolve().name,
        name | {language: text for language, text in own_name.items() if text},
        description | {language: text for language, text in own_description.items() if text},
        scope=config.scope or (look.scope if look else "photo"),
        transfer=config.transfer or (look.transfer if look else "picture"),
        credit=config.credit,
        license=config.license,
    )


def train(config: TrainStylePackConfig, base: ModelBundle | None = None, faces: Tensor | None = None) -> StylePack:
    """Tune and write one pack.

    Args:
        config: what to do.
        base, faces: where they are loaded already, for several packs in a row.

    Raises:
        ConfigError: bad settings.
        DataError: faces cannot be used.
        InputError: model or pictures cannot be used.
        PackError: the folder holds something else, the pack does not fit into 1 MB, or `init_from` does not fit.
    """
    config.check()
    init = None if config.init_from is None else StylePack.from_pretrained(config.init_from)
    look = find_look(config.look) if config.look is not None else None
    base = base or load_base(config.model)
    if faces is None:
        faces = load_faces(config, base.encoder.resolution)
    say = _progress(config.output_dir.name)
    info, named = info_of(config, look), {"base_model": base.name, "base_hash": base.base_hash}
    if look is not None:
        tuned = tune_look(base, look, faces, config.tune, say, init)
        pack = build_pack(base, tuned, info, source=f"look {config.look}", **named)
    else:
        pictures = load_pictures(config, base)
        for line in pictures.left_out:
            print(f"left out: {line}", file=sys.stderr)
        pack = fit_pack(base, pictures.faces, info, faces=faces, settings=config.tune, callback=say, **named)
    pack.save_pretrained(config.output_dir)
    return pack


def _progress(name: str) -> Callback:
    def say(step: int, total: int, preview) -> None:
        if step % 20 == 0 or step == total:
            print(f"{name}: step {step} of {total}", flush=True)

    return say
