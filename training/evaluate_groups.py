"""Whom a generator draws: `python training/evaluate_groups.py --model FOLDER --dataset_name NAME`.

The analyzer looks at samples and at training pictures, and the shares of sex, age groups and the data's race labels
among them are compared. It errs on both alike, so the comparison says more than the shares do; what it cannot tell
apart in photographs (docs/analyzer.md) it cannot count here.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import training.common.start  # noqa: F401

from gan_space.errors import ConfigError, raise_all
from gan_space.latents.truncation import load_centers
from gan_space.models.analyzer import Analyzer
from gan_space.models.hashing import weights_sha256
from gan_space.whole_files import write_json
from training.common.command import script
from training.common.files import no_folder_faults
from training.groups import compare_shares, format_groups, group_probabilities
from training.measure import SEEDS_APART, Reals, sample, sample_seeds


@dataclass(frozen=True)
class EvaluateGroupsConfig:
    """Compare the shares of groups among samples and among real pictures."""

    model: str
    """Model folder with a `generator` subfolder, or a Hub repository user/name."""
    dataset_name: str
    """Training images, faces in the tight frame: folder, parquet or Hub data set."""
    analyzer: str | None = None
    """Folder of the analyzer; None takes the one in the model's subfolder `analyzer`."""
    num_images: int = 2000
    """Generated images, and real ones against them."""
    seed: int = 0
    """Of latents and of the draw of real images."""
    truncation_psi: float = 1.0
    """1 draws the whole distribution; less draws nearer to the average face."""
    truncation: Literal["mean", "centers"] = "mean"
    """Towards the average face, or towards the nearest of the centres in the model's folder `truncation`."""
    image_column: str | None = None
    """Column of the pictures; None finds it."""
    train_split: str = "train"
    """Split that the model was trained on."""
    output: Path | None = None
    """JSON file for the numbers and what they depend on."""
    batch_size: int = 32
    """Images the generator makes at once."""

    def check(self) -> None:
        """Raise ConfigError with all faults at once."""
        faults = []
        if not 10 <= self.num_images <= SEEDS_APART:
            faults.append(f"num_images must be from 10 to {SEEDS_APART}, got {self.num_images}")
        if self.batch_size < 1:
            faults.append(f"batch_size must be 1 or more, got {self.batch_size}")
        faults += no_folder_faults(self, "output")
        raise_all(faults, ConfigError)


def run(config: EvaluateGroupsConfig) -> dict[str, Any]:
    """Compare as configured, print the table, write the file, and return the report.

    Raises:
        InputError: settings, model, data or analyzer that cannot be used.
    """
    config.check()
    from gan_space.models.generator import Generator
    from training.data import open_dataset

    generator = Generator.from_pretrained(config.model, subfolder="generator").eval()
    if config.analyzer is None:
        analyzer = Analyzer.from_pretrained(config.model, subfolder="analyzer").eval()
    else:
        analyzer = Analyzer.from_pretrained(config.analyzer).eval()
    if generator.config.c_dim > 0:
        raise ConfigError(
            "groups of a conditional model are those of the labels it is given; an unconditional is needed"
        )
    train = open_dataset(
        config.dataset_name, generator.config.resolution, config.train_split, image_column=config.image_column
    )
    reals = Reals.from_datasets(train, num_images=config.num_images, seed=config.seed).images
    seeds = sample_seeds(config.seed, config.num_images)
    centers = load_centers(config.model, generator) if config.truncation == "centers" else None
    samples = sample(
        generator, seeds, truncation_psi=config.truncation_psi, centers=centers, batch_size=config.batch_size
    )
    report = {
        "model": config.model,
        "dataset_name": config.dataset_name,
        "seed": config.seed,
        "truncation_psi": config.truncation_psi,
        "truncation": config.truncation,
        "num_real": len(reals),
        "num_fake": len(samples),
        "model_sha256": weights_sha256(generator),
        "analyzer_sha256": weights_sha256(analyzer),
        "groups": compare_shares(group_probabilities(analyzer, samples), group_probabilities(analyzer, reals)),
    }
    print(format_groups(report["groups"]))
    if config.output is not None:
        write_json(config.output, report)
    return report


main = script(EvaluateGroupsConfig, run)


if __name__ == "__main__":
    sys.exit(main())
