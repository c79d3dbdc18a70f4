"""Train the aligner: `python training/aligner/train.py --dataset_name FOLDER --output_dir runs/aligner`.

Learns from aligned faces alone: they are disturbed by known similarities, and the network has to say where eyes and
mouth went. The same command resumes a run that was stopped or killed. `--help` lists all settings.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from gan_space.errors import ConfigError, raise_all
from gan_space.models.aligner import MEAN_POINTS, Aligner, AlignerOutput
from training.aligner.losses import aligner_loss, point_errors
from training.common.claim import claim_run
from training.common.command import exit_code
from training.common.disturb import disturb, mirror_half
from training.common.faces import Faces, load_faces
from training.common.files import whole_folder
from training.common.fit_network import Look, fit_network, settings_faults
from training.common.memory import keep_freed_memory
from training.common.order import rows_of_step
from training.common.precision import training_dtype

YAW_WEIGHT, SPREAD_WEIGHT, FACE_WEIGHT = 0.5, 0.05, 0.2  # so that the points, in eye distances, lead
MAY_CHANGE = ("output_dir", "total_kimg", "checkpoint_kimg", "eval_images")


@dataclass(frozen=True)
class TrainAlignerConfig:
    """Train the aligner on faces in the tight frame. The same command resumes a stopped run."""

    dataset_name: str
    """Folder, parquet or Hub data set of aligned faces: eyes at (0.305, 0.309) and (0.695, 0.309), mouth at
    (0.500, 0.703) of the width."""
    output_dir: str = "runs/aligner"
    """Folder of the run; an existing one is resumed."""
    train_split: str = "train"
    """Split to train on."""
    eval_split: str = "test"
    """Split to measure on; never trained on."""
    image_column: str | None = None
    """Column of the pictures; None finds it."""
    yaw_column: str | None = "yaw"
    """Column with the sideways offset of the nose tip over the eye distance; left out where the data has none."""
    resolution: int = 64
    """Side of the crops that the network sees, in px."""
    width: int = 24
    """Channels of the first layer."""
    batch_size: int = 128
    """Crops a step."""
    total_kimg: float = 400.0
    """When to stop, in thousand crops."""
    lr: float = 0.002
    """Learning rate of AdamW; warmed up over 4 kimg, then a cosine to zero."""
    ema_halflife_kimg: float = 5.0
    """Half-life of the weight average, which is what gets measured and saved."""
    checkpoint_kimg: float = 20.0
    """Thousand crops between checkpoints, each with a measurement."""
    eval_images: int = 512
    """Faces in a measurement."""
    mixed_precision: str = "bf16"
    """bf16 runs the convolutions of the training steps in bfloat16; "no" does not."""
    seed: int = 0
    """Of weights, order and disturbances."""

    def check(self) -> None:
        """Raise ConfigError with all faults at once."""
        positive = ("batch_size", "total_kimg", "lr", "ema_halflife_kimg", "checkpoint_kimg", "eval_images")
        faults = settings_faults(self, positive)
        if self.batch_size == 1:
            faults.append("--batch_size must be 2 or more: backgrounds come from the other pictures of the batch")
        if self.resolution < 16 or self.resolution % 8:
            faults.append(f"--resolution must be a multiple of 8 from 16 up, got {self.resolution}")
        raise_all(faults, ConfigError)


@torch.no_grad()
def measure(model: Aligner, faces: Faces, seed: int = 0, batch_size: int = 128) -> dict[str, float]:
    """Measure one pass on disturbed crops that are the same every time.

    Returns:
        error_median, error_p95: of the points, in percent of the eye distance. face_accuracy: share of crops judged
        rightly. error_estimate_correlation: rank correlation of the predicted with the real error.
    """
    errors, estimates, right = [], [], []
    for number, images in enumerate(faces.images.split(batch_size)):
        if len(images) < 2:
            continue
        batch = disturb(images, model.resolution, torch.Generator().manual_seed(seed * 1000 + number))
        output = model(batch.images)
        errors.append(point_errors(output.points, batch)[batch.is_face])
        estimates.append(output.error[batch.is_face])
        right.append((output.face_logit > 0) == batch.is_face)
    error, estimate = torch.cat(errors).double(), torch.cat(estimates).double()
    ranks = torch.stack([error.argsort().argsort(), estimate.argsort().argsort()]).double()
    return {
        "error_median": 100 * error.median().item(),
        "error_p95": 100 * error.quantile(0.95).item(),
        "face_accuracy": torch.cat(right).float().mean().item(),
        "error_estimate_correlation": torch.corrcoef(ranks)[0, 1].item() if len(error) > 1 else 0.0,
    }


def train(config: TrainAlignerConfig) -> Path:
    """Train until `total_kimg`, going on from the newest checkpoint in `output_dir` if there is one.

    Returns:
        The folder with config.json and the averaged weights.

    Raises:
        ConfigError: bad settings, or the run in `output_dir` has other ones.
        DataError: the data set cannot be used.
        TrainingError: the loss is not finite.
    """
    config.check()
    output_dir = Path(config.output_dir)
    options = dict(image_column=config.image_column, yaw_column=config.yaw_column)
    faces = load_faces(config.dataset_name, config.train_split, **options)
    heldout = load_faces(config.dataset_name, config.eval_split, limit=config.eval_images, **options)
    claim_run(output_dir, config, MAY_CHANGE)

    torch.manual_seed(config.seed)
    model = Aligner(config.resolution, config.width).to(memory_format=torch.channels_last).train()
    dtype = training_dtype(config.mixed_precision, torch.device("cpu"))

    def losses(nimg: int) -> dict[str, Tensor]:
        rows = rows_of_step(len(faces.images), config.seed, nimg, config.batch_size)
        generator = torch.Generator().manual_seed(config.seed * 1_000_000_007 + nimg)
        images, yaw = mirror_half(faces.images[rows], faces.yaw[rows], generator)
        batch = disturb(images, config.resolution, generator)
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            output = model(batch.images.contiguous(memory_format=torch.channels_last))
        return aligner_loss(AlignerOutput(*(part.float() for part in output)), batch, yaw)

    def look(ema: Aligner, nimg: int) -> Look:
        numbers = measure(ema, heldout)
        summary = (
            f"one pass: median {numbers['error_median']:.1f} %, 95th percentile {numbers['error_p95']:.1f} % of the "
            f"eye distance, faces told apart {numbers['face_accuracy']:.1%}"
        )
        return Look(numbers, summary)

    weights = {"spread": SPREAD_WEIGHT, "face": FACE_WEIGHT, "yaw": YAW_WEIGHT}
    optimizers = {"optimizer": torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=1e-4)}
    fitted = fit_network({"aligner": model}, optimizers, config, losses, look, weights=weights, warmup_kimg=4.0)
    return _export(output_dir / "export", fitted.ema, config, fitted.nimg)


def _export(folder: Path, ema: Aligner, config: TrainAlignerConfig, nimg: int) -> Path:
    model = Aligner(config.resolution, config.width)
    model.load_state_dict({name: value.contiguous() for name, value in ema.state_dict().items()})
    record = {"crops_seen": nimg, "mean_points": MEAN_POINTS, "batch_size": config.batch_size, "lr": config.lr}
    with whole_folder(folder) as partial:
        model.save_pretrained(partial)
        (partial / "training.json").write_text(json.dumps(record, indent=1))
    return folder


@exit_code
def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    import tyro

    config = tyro.cli(TrainAlignerConfig, args=arguments, use_underscores=True)
    keep_freed_memory()
    print(f"exported to {train(config)}")


if __name__ == "__main__":
    sys.exit(main())
