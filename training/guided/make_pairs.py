"""Draw pairs for the guided upscaler: `python training/guided/make_pairs.py --dataset_name FOLDER --output FILE`.

Written once, read by every training run. What a pair is: training/guided/data.py.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import training.common.start  # noqa: F401

import torch

from gan_space.errors import ConfigError, DataError, raise_all
from gan_space.packs.style import StylePack
from gan_space.settings import least_faults, multiple_faults, values_of
from training.common.command import script
from training.common.faces import load_faces
from training.common.files import no_folder_faults
from training.common.model_bundle import ModelBundle
from training.guided.data import STEP_PX, Pairs, draw_by_pack, draw_random, join
from training.packs.looks import LOOKS


@dataclass(frozen=True)
class MakePairsConfig:
    """Draw the pairs that the guided upscaler is trained on, and write them into one file."""

    dataset_name: str
    """Folder, parquet or Hub data set of aligned faces; the larger and crisper the better."""
    output: Path
    """Safetensors file to write; 190 KB a pair at 208 px."""
    model: str | None = None
    """Model folder with generator, encoder and packs; None is the embedded default."""
    split: str = "train"
    """Split to draw."""
    image_column: str | None = None
    """Column of the pictures; None finds it."""
    face_px: int = 208
    """Size of the drawings; a multiple of 8, and no larger than the pictures are."""
    held_back: int = 96
    """Faces at the end of the data that are left to be measured on."""
    looks_per_face: int = 2
    """Random looks of each face."""
    faces_per_pack: int = 400
    """Faces that each of the model's packs with a formula draws; 0 for none."""
    seed: int = 0
    """Of the looks."""

    def check(self) -> None:
        """Raise ConfigError with all faults at once."""
        faults = multiple_faults("--face_px", self.face_px, STEP_PX, 8 * STEP_PX)
        faults += least_faults(1, values_of(self, "looks_per_face"), "--")
        faults += least_faults(0, values_of(self, "held_back", "faces_per_pack"), "--")
        faults += no_folder_faults(self, "output")
        raise_all(faults, ConfigError)


def make(config: MakePairsConfig) -> Pairs:
    """Draw as configured and write the file.

    Raises:
        ConfigError, DataError, WeightsError: settings, data or model that cannot be used.
    """
    config.check()
    options = dict(image_column=config.image_column, face_px=config.face_px)
    faces = load_faces(config.dataset_name, config.split, **options).images
    if config.held_back:
        faces = faces[: -config.held_back]
    if not len(faces):
        raise DataError(f"--held_back {config.held_back} leaves no face to draw")
    base = ModelBundle.load(config.model, needed=("encoder",))
    random = torch.Generator().manual_seed(config.seed)
    parts = [draw_random(faces, base, random) for _ in range(config.looks_per_face)]
    folder = base.folder / "packs"
    for number, look in enumerate(LOOKS):
        if config.faces_per_pack and LOOKS[look].transfer == "picture" and (folder / look).is_dir():
            rows = (torch.arange(config.faces_per_pack) + number * config.faces_per_pack) % len(faces)
            parts.append(draw_by_pack(faces[rows], base, StylePack.from_pretrained(folder / look), look))
    pairs = join(parts)
    pairs.save(config.output)
    print(f"{len(pairs.photos)} pairs in {config.output}")
    return pairs


main = script(MakePairsConfig, make)


if __name__ == "__main__":
    sys.exit(main())
