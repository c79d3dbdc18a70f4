"""Fit the last layer of an identity network anew: `python -m training.identity.finish --model FOLDER ...`.

Training does so by itself at its end.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import training.common.start  # noqa: F401

from gan_space.errors import ConfigError, raise_all
from gan_space.models.face_identity import FaceIdentity
from gan_space.settings import least_faults, values_of
from training.common.command import script
from training.common.export import export_network
from training.identity.data import load_taught_faces
from training.identity.last_layer import RIDGE, SPREAD, finish, last_layer_record


@dataclass(frozen=True)
class FinishIdentityConfig:
    """Fit the last layer of an identity network anew."""

    model: Path
    """Folder of the network."""
    dataset_names: tuple[str, ...]
    """Folders, parquet files or Hub data sets of faces in the tight frame, those that it learned from."""
    label_names: tuple[str, ...] = ()
    """The same with the columns `source_file` and `embedding`, for pictures that come without a vector."""
    output_dir: Path = Path("runs/identity/finished")
    """Folder for the network."""
    train_split: str = "train"
    """Split to learn from."""
    ridge: float = RIDGE
    """Holds the weights small, in mean variances of a feature."""
    spread: float = SPREAD
    """0 leaves the vectors as fitted, 1 gives every direction the same variance."""

    def check(self) -> None:
        """Raise ConfigError with all faults at once."""
        faults = []
        if not self.dataset_names:
            faults.append("--dataset_names must name one data set or more")
        faults += least_faults(0, values_of(self, "ridge"), "--")
        if not 0 <= self.spread <= 1:
            faults.append(f"--spread must be from 0 to 1, got {self.spread}")
        raise_all(faults, ConfigError)


def run(config: FinishIdentityConfig) -> Path:
    """Fit as configured and write config.json, weights and training.json.

    Raises:
        ConfigError: bad settings.
        DataError: a data set cannot be used.
    """
    config.check()
    model = FaceIdentity.from_pretrained(config.model).eval()
    names = (config.dataset_names, config.label_names)
    faces = load_taught_faces(*names, config.train_split, face_px=model.resolution)
    finish(model, faces, ridge=config.ridge, spread=config.spread)
    file = config.model / "training.json"
    record = json.loads(file.read_text()) if file.is_file() else {}
    record["last_layer"] = last_layer_record(faces, config.ridge, config.spread)
    return export_network(config.output_dir, model, record)


main = script(FinishIdentityConfig, run, "exported to {}")


if __name__ == "__main__":
    sys.exit(main())
