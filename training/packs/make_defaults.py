"""Tune all default packs: `python training/packs/make_defaults.py --faces FAIRFACE128 --output_dir MODEL/packs`.

One pack for every look in `looks.py`, and one for every folder of pictures given. A pack that is there and was
tuned for the same weights with the same settings is kept, so the same command goes on after it was stopped.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

import training.common.start  # noqa: F401

import torch
from torch import Tensor

from gan_space.errors import ConfigError, PackError, raise_all
from gan_space.images import from_uint8, image_grid
from gan_space.output.provenance import save_image
from gan_space.packs.style import StylePack, finish_with_packs
from gan_space.packs.tuning import TuneSettings
from training.common.command import script
from training.common.face_labels import load_labelled_faces
from training.common.files import folder_faults, no_folder_faults
from training.common.model_bundle import ModelBundle
from training.packs.looks import LOOKS
from training.packs.style import TrainStylePackConfig, load_base, train


@dataclass(frozen=True)
class MakeDefaultPacksConfig:
    """Tune all default packs of a model."""

    output_dir: Path
    """Folder to put the packs in, one folder each; packs/ of the model folder."""
    faces: str
    """Folder, parquet or Hub data set of aligned faces."""
    model: str | None = None
    """Folder or Hub id of the model with generator and encoder; None is the embedded one."""
    looks: tuple[str, ...] = tuple(LOOKS)
    """Which looks; all by default."""
    paintings: tuple[Path, ...] = ()
    """Folders or files of pictures, each tuned into one pack named after it; only what may be passed on."""
    paintings_credit: str = ""
    """Line to show with these packs."""
    paintings_license: str = ""
    """Licence of these packs."""
    license: str = "CC BY 4.0"
    """Licence of the packs made from looks."""
    sheet: Path | None = None
    """PNG to write with every pack on eight held-out faces."""
    sheet_split: str = "test"
    """Split of --faces for the sheet."""
    num_faces: int = 1000
    """How many faces a look is rendered on."""
    init_from: Path | None = None
    """Folder with packs of the same looks to start from, such as those of a model that this one goes on from; fewer
    --tune.num_steps are enough then."""
    tune: TuneSettings = field(default_factory=lambda: TuneSettings(num_steps=1500, rank=32, lr=0.012))
    """How each is tuned."""

    def check(self) -> None:
        """Raise ConfigError with all faults at once."""
        faults = [
            f"there is no look {name!r}; there are {', '.join(LOOKS)}" for name in self.looks if name not in LOOKS
        ]
        if not self.looks and not self.paintings:
            faults.append("give --looks, --paintings or both")
        faults += folder_faults(self, "output_dir") + no_folder_faults(self, "sheet")
        raise_all(faults, ConfigError)


def is_done(folder: Path, base: ModelBundle, settings: TuneSettings) -> bool:
    """Tell whether the folder holds a whole pack for this base, tuned with these settings to the end."""
    if not folder.is_dir():
        return False
    try:
        pack = StylePack.from_pretrained(folder)
    except PackError:
        return False
    record = pack.training
    return pack.base_hash == base.base_hash and record.get("settings") == asdict(settings) and not record.get("stopped")


def make(config: MakeDefaultPacksConfig) -> list[Path]:
    """Tune what is missing and return the folders of all packs.

    Raises:
        InputError: settings, model, faces or pictures that cannot be used.
    """
    config.check()
    common = {"model": config.model, "faces": config.faces, "num_faces": config.num_faces, "tune": config.tune}
    jobs = [
        TrainStylePackConfig(
            config.output_dir / name,
            look=name,
            license=config.license,
            init_from=config.init_from and config.init_from / name,
            **common,
        )
        for name in config.looks
    ]
    jobs += [
        TrainStylePackConfig(
            config.output_dir / path.stem.lower().replace("_", "-"), pictures=(path,),
            credit=config.paintings_credit, license=config.paintings_license, **common,
        )
        for path in config.paintings
    ]  # fmt: skip
    for job in jobs:
        job.check()  # before anything is loaded, let alone tuned
    base = load_base(config.model)
    faces = load_labelled_faces(config.faces, "train", face_px=base.encoder.resolution, limit=config.num_faces)
    for job in jobs:
        if is_done(job.output_dir, base, job.tune):
            print(f"{job.output_dir.name}: already there")
        else:
            train(job, base, from_uint8(faces.images))
    folders = [job.output_dir for job in jobs]
    if config.sheet is not None:
        held_out = load_labelled_faces(config.faces, config.sheet_split, face_px=base.encoder.resolution, limit=8)
        save_sheet(config.sheet, base, folders, from_uint8(held_out.images))
    return folders


@torch.no_grad()
def save_sheet(file: Path, base: ModelBundle, folders: list[Path], faces: Tensor) -> None:
    """Write one row of faces, their reconstructions, and one row a pack."""
    code = base.encoder(faces)
    rows = [faces, base.reconstruct(faces)]
    for folder in folders:
        pack = StylePack.from_pretrained(folder)
        rows.append(finish_with_packs(base.generator, code.state, code.w_plus, [(pack, 1.0)]))
    names = [folder.name for folder in folders]
    save_image(
        image_grid(torch.cat(rows), columns=len(faces)), file, recipe={"model": base.name, "packs": names},
        source="edited",
    )  # fmt: skip


main = script(MakeDefaultPacksConfig, make, lambda _, folders: "\n".join(f"pack: {folder}" for folder in folders))


if __name__ == "__main__":
    sys.exit(main())
