"""Measure an encoder: `python training/encoder/evaluate.py --model FOLDER --dataset_name FOLDER`.

How well unseen faces come back (PSNR, MS-SSIM, the discriminator's features, the same person or not), what the code
alone draws, and how long one face takes.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import training.common.start  # noqa: F401

import torch

from gan_space.errors import ConfigError, raise_all
from gan_space.models.encoder import Encoder
from gan_space.settings import least_faults, values_of
from gan_space.whole_files import write_json
from training.common.command import script
from training.common.faces import load_faces
from training.common.files import no_folder_faults
from training.common.model_bundle import ModelBundle
from training.common.samples import ending_faults
from training.encoder.measure import check_fit, measure, measure_refined, same_person, save_grid, time_once


@dataclass(frozen=True)
class EvaluateEncoderConfig:
    """Measure an encoder on faces that it has never seen."""

    dataset_name: str
    """Folder, parquet or Hub data set of aligned faces."""
    model: str | None = None
    """Model folder with generator/ and encoder/, and discriminator/ for the feature distance; None: the default."""
    encoder: str | None = None
    """Folder of the encoder, if it is not in the model folder: `<run>/export`."""
    identity: str | None = None
    """Folder of an identity network, to measure whether the person stays the same."""
    identity_threshold: float = 0.5
    """Cosine similarity of embeddings from which on two pictures show one person; take the network's EER point."""
    split: str = "test"
    """Split to measure on."""
    image_column: str | None = None
    """Column of the pictures; None finds it."""
    num_images: int = 1000
    """Faces to measure on, at most."""
    refine_steps: int = 0
    """Also measure what so many steps of optimisation add; 0: none. Takes about a second a face."""
    output: Path | None = None
    """JSON file for the numbers."""
    grid: Path | None = None
    """PNG: faces, reconstructions, from the code alone, in the look of the next face."""

    def check(self) -> None:
        """Raise ConfigError with all faults at once."""
        faults = least_faults(2, values_of(self, "num_images"), "--")
        faults += least_faults(0, values_of(self, "refine_steps"), "--")
        if not -1 <= self.identity_threshold <= 1:
            faults.append(f"--identity_threshold is a cosine, from -1 to 1, got {self.identity_threshold}")
        faults += no_folder_faults(self, "output", "grid")
        faults += ending_faults("--grid", self.grid)
        raise_all(faults, ConfigError)


def run(config: EvaluateEncoderConfig) -> dict[str, float]:
    """Measure as configured, print the numbers and return them."""
    config.check()
    frozen = ModelBundle.load(config.model, "discriminator")
    encoder = Encoder.from_pretrained(config.encoder or frozen.folder / "encoder").eval()
    check_fit(encoder, frozen.generator)
    options = dict(image_column=config.image_column, limit=config.num_images, face_px=encoder.resolution)
    images = load_faces(config.dataset_name, config.split, **options).images
    numbers: dict[str, float] = {"num_images": len(images), **measure(encoder, frozen, images)}
    if config.refine_steps:
        numbers |= measure_refined(encoder, frozen.generator, images, config.refine_steps)
    if config.identity is not None:
        from gan_space.models.face_identity import FaceIdentity

        identity = FaceIdentity.from_pretrained(config.identity).eval()
        numbers |= {"identity_threshold": config.identity_threshold}
        numbers |= same_person(encoder, frozen.generator, identity, images, config.identity_threshold)
    numbers |= time_once(encoder, frozen.generator) | {"threads": torch.get_num_threads()}
    for name, value in numbers.items():
        print(f"{name:22s} {value:.4g}")
    if config.output is not None:
        write_json(config.output, numbers)
    if config.grid is not None:
        save_grid(encoder, frozen.generator, images, config.grid)
    return numbers


main = script(EvaluateEncoderConfig, run)


if __name__ == "__main__":
    sys.exit(main())
