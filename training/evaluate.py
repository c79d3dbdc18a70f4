"""Measure a generator against real images: `python training/evaluate.py --model FOLDER --dataset_name NAME`.

Every number is stored with what it depends on: how many images, which seed, extractor, resolution, truncation and
weights. Two numbers may be compared when all of these but the weights agree. The training loop calls
`evaluate_generator` at each evaluation, with one `Reals` that keeps what was measured on the real images.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import training.common.start  # noqa: F401

import torch

from gan_space.errors import ConfigError, DataError, raise_all
from gan_space.images import from_uint8, image_grid
from gan_space.latents.truncation import load_centers
from gan_space.metrics import swd
from gan_space.metrics.features import extractor_from_spec, weights_sha256
from gan_space.pipelines.rejection import load_landmarker
from gan_space.whole_files import write_json
from training.common.columns import balancing_weights
from training.common.command import script
from training.common.files import no_folder_faults
from training.common.samples import ending_faults
from training.common.tables import open_table
from training.config import MIN_EVALUATED
from training.data import open_dataset
from training.measure import SEEDS_APART, Reals, evaluate_generator, sample, shrink

if TYPE_CHECKING:
    from gan_space.models.generator import Generator


def format_table(report: dict[str, Any]) -> str:
    """Lay a report out as text, one metric a line."""
    rows = [("metric", "value", "N real", "N fake")]
    for name, record in report["metrics"].items():
        value = f"{record['value']:.5g}" + (f" ± {record['std']:.2g}" if "std" in record else "")
        judged = record.get("num_fake", record.get("num_heldout"))
        rows.append((name, value, str(record["num_real"]), str(judged)))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def save_neighbours(path: Path, generator: Generator, reals: Reals, report: dict[str, Any], **drawing) -> None:
    """Write a labelled contact sheet: samples and their nearest training images in pairs, the nearest pair first."""
    from gan_space.output.provenance import save_image

    pairs = report["neighbours"]
    rows = torch.tensor([pair["sample_index"] for pair in pairs])
    labels = None if reals.labels is None else reals.labels[rows % len(reals.labels)]
    fakes = sample(generator, [pair["seed"] for pair in pairs], labels=labels, **drawing)
    fakes = shrink(fakes, reals.images.shape[-1])
    nearest = reals.images[[pair["train_index"] for pair in pairs]]
    cells = torch.stack([fakes, nearest], dim=1).flatten(0, 1)  # sample, neighbour, sample, neighbour, …
    recipe = {"kind": "nearest training images", "model_sha256": weights_sha256(generator), "pairs": pairs}
    save_image(image_grid(from_uint8(cells), columns=8), path, recipe=recipe)


@dataclass(frozen=True)
class EvaluateConfig:
    """Measure a generator against real images."""

    model: str
    """Model folder with a `generator` subfolder, or a Hub repository user/name."""
    dataset_name: str
    """Training images: folder, parquet or Hub data set."""
    num_images: int = 2000
    """Generated images, and real ones against them."""
    resolution: int | Literal["auto"] = "auto"
    """Side in px to measure at; auto is the model's own."""
    seed: int = 0
    """Of latents, of the draw of real images, and of everything random in the metrics."""
    features: str = "random_conv"
    """random_conv, efficientnet, discriminator:FOLDER, analyzer:FOLDER or inception:FILE."""
    truncation_psi: float = 1.0
    """1 measures the whole distribution."""
    truncation: Literal["mean", "centers"] = "mean"
    """Towards the average face, or towards the nearest of the centres in the model's folder `truncation`."""
    rejection_sampling: bool = False
    """Replace broken faces, found by the landmarker in the model's folder."""
    image_column: str | None = None
    """Column of the pictures; None finds it."""
    label_column: str | None = None
    """Column of the labels; needed for a conditional model only."""
    balance_column: str | None = None
    """Column of groups whose rare values the model was shown more often, see `training/train.py`: the training images
    that samples stand against are drawn in the same way. Held-out images, which are too few for that, are then only
    used in the test for copies."""
    balance_power: float = 0.5
    """See `training/train.py`."""
    train_split: str = "train"
    """Split that the model was trained on."""
    heldout_split: str | None = "test"
    """Split that the model never saw, for the test for copies; None to leave the test out."""
    num_train: int = 20000
    """Training images that are searched for copies; not below num_images."""
    output: Path | None = None
    """JSON file for the numbers and what they depend on."""
    neighbours: Path | None = None
    """Picture file (.png) for the samples nearest to training images, beside these images."""
    batch_size: int = 32
    """Images the generator makes at once."""

    def check(self) -> None:
        """Raise ConfigError with all faults at once.

        Not in `__post_init__`: tyro would draw a box of several lines around the error.
        """
        faults = []
        if self.num_images < MIN_EVALUATED:
            faults.append(f"num_images must be {MIN_EVALUATED} or more, got {self.num_images}")
        if self.num_images > SEEDS_APART:
            faults.append(f"num_images must be at most {SEEDS_APART}, got {self.num_images}")
        if not 0 <= self.balance_power <= 1:
            faults.append(f"balance_power must be from 0 to 1, got {self.balance_power}")
        if self.batch_size < 1:
            faults.append(f"batch_size must be 1 or more, got {self.batch_size}")
        if self.neighbours is not None and self.heldout_split is None:
            faults.append("neighbours needs held-out images: name a heldout_split")
        faults += no_folder_faults(self, "output", "neighbours")
        faults += ending_faults("neighbours", self.neighbours)
        if self.heldout_split is not None and Path(self.dataset_name).is_file():
            faults.append(
                f"{self.dataset_name} is one file, with no held-out images: give a folder, or --heldout_split None"
            )
        raise_all(faults, ConfigError)


def run(config: EvaluateConfig) -> dict[str, Any]:
    """Evaluate as configured, print the table, write the files, and return the report.

    Raises:
        InputError: settings, model, data or features that cannot be used.
    """
    config.check()
    from gan_space.models.generator import Generator

    generator = Generator.from_pretrained(config.model, subfolder="generator").eval()
    centers = load_centers(config.model, generator) if config.truncation == "centers" else None
    landmarker = load_landmarker(Path(config.model)) if config.rejection_sampling else None
    if config.rejection_sampling and landmarker is None:
        raise ConfigError(f"--rejection_sampling needs a folder landmarker in {config.model}, a local model folder")
    drawing = {"truncation_psi": config.truncation_psi, "centers": centers, "landmarker": landmarker}
    own = generator.config.resolution
    resolution = own if config.resolution == "auto" else config.resolution
    if not swd.MIN_LEVEL_PX <= resolution <= own:
        raise ConfigError(f"resolution must be from {swd.MIN_LEVEL_PX} to the model's {own} px, got {resolution}")
    extractor = extractor_from_spec(config.features)
    use_labels = generator.config.c_dim > 0
    if use_labels and config.label_column is None:
        raise ConfigError(f"{config.model} takes labels [N, {generator.config.c_dim}]: name their --label_column")
    columns = {"image_column": config.image_column, "label_column": config.label_column if use_labels else None}
    train = open_dataset(config.dataset_name, own, config.train_split, **columns)
    heldout = None
    if config.heldout_split is not None:
        try:
            heldout = open_dataset(config.dataset_name, own, config.heldout_split, image_column=config.image_column)
        except DataError as error:
            raise DataError(f"{error}; `--heldout_split None` leaves the test for copies out") from error
    count = max(config.num_images, config.num_train if heldout is not None else 0)
    weights = None
    if config.balance_column is not None:
        table = open_table(config.dataset_name, config.train_split)
        weights = balancing_weights(table, config.balance_column, config.balance_power, config.dataset_name)
    drawn = {"num_images": count, "seed": config.seed, "weights": weights, "num_weighted": config.num_images}
    read = f"{min(count, len(train))} training images" + ("" if heldout is None else f", {len(heldout)} held-out ones")
    print(f"reading {read}", file=sys.stderr, flush=True)
    reals = Reals.from_datasets(train, heldout, use_labels=use_labels, **drawn)
    reals = reals.shrunk(resolution)  # the same filter as for the fakes
    print(f"drawing {config.num_images} samples, measuring", file=sys.stderr, flush=True)
    report = evaluate_generator(
        generator,
        reals,
        num_images=config.num_images,
        seed=config.seed,
        extractor=extractor,
        **drawing,
        batch_size=config.batch_size,
    )
    report = {"model": config.model, "dataset_name": config.dataset_name} | report
    if config.balance_column is not None:
        report["balance"] = {"column": config.balance_column, "power": config.balance_power}
        unfit = [name for name in report["metrics"] if name.endswith("_of_heldout")]  # not drawn by the same weights
        for name in unfit:
            del report["metrics"][name]
    print(format_table(report))
    print(
        f"{resolution} px, seed {config.seed}, truncation_psi {config.truncation_psi:g}, features {extractor.name} "
        f"{extractor.sha256[:12]}, model {weights_sha256(generator)[:12]}"
    )
    if config.output is not None:
        write_json(config.output, report)
    if config.neighbours is not None:
        save_neighbours(config.neighbours, generator, reals, report, **drawing)
    return report


main = script(EvaluateConfig, run)


if __name__ == "__main__":
    sys.exit(main())
