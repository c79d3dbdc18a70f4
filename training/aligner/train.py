"""Train the aligner: `python training/aligner/train.py --dataset_name FOLDER --output_dir runs/aligner`.

Learns from aligned faces alone: they are disturbed by known similarities, and the network has to say where eyes and
mouth went. The same command resumes a run that was stopped or killed. `--help` lists all settings.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import training.common.start  # noqa: F401

import torch
from torch import Tensor

from gan_space.models.aligner import MEAN_POINTS, Aligner, AlignerOutput
from gan_space.settings import multiple_faults
from training.aligner.losses import aligner_loss, point_errors
from training.common.command import script
from training.common.disturb import disturb, mirror_half
from training.common.export import export_network
from training.common.faces import Faces, load_faces
from training.common.fit_network import HeldOutFitConfig, Measurement, fit_device, fit_network, to_device
from training.common.optimizers import make_optimizer
from training.common.order import generator_of_step, rows_of_step
from training.common.precision import autocast

YAW_WEIGHT, SPREAD_WEIGHT, FACE_WEIGHT = 0.5, 0.05, 0.2  # so that the points, in eye distances, lead


@dataclass(frozen=True, kw_only=True)
class TrainAlignerConfig(HeldOutFitConfig):
    """Train the aligner on faces in the tight frame. The same command resumes a stopped run."""

    dataset_name: str
    """Folder, parquet or Hub data set of aligned faces: eyes at (0.305, 0.309) and (0.695, 0.309), mouth at
    (0.500, 0.703) of the width."""
    output_dir: str = "runs/aligner"
    image_column: str | None = None
    """Column of the pictures; None finds it."""
    yaw_column: str | None = "yaw"
    """Column with the sideways offset of the nose tip over the eye distance; left out where the data has none."""
    resolution: int = 64
    """Side of the crops that the network sees, in px."""
    width: int = 24
    """Channels of the first layer."""
    batch_size: int = 128
    total_kimg: float = 400.0
    lr: float = 0.002
    ema_halflife_kimg: float = 5.0
    checkpoint_kimg: float = 20.0
    eval_images: int = 512

    def faults(self) -> list[str]:
        """Return what is wrong, a message for each."""
        faults = super().faults()
        if self.batch_size == 1:
            faults.append("--batch_size must be 2 or more: backgrounds come from the other pictures of the batch")
        faults += multiple_faults("--resolution", self.resolution, 8)
        return faults


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
        batch = to_device(batch, model.device)
        output = model(batch.images)
        errors.append(point_errors(output.points, batch)[batch.is_face])
        estimates.append(output.error[batch.is_face])
        right.append((output.face_logit > 0) == batch.is_face)
    error, estimate = torch.cat(errors).double().cpu(), torch.cat(estimates).double().cpu()
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
    device = fit_device()
    options = dict(image_column=config.image_column, yaw_column=config.yaw_column)
    faces = load_faces(config.dataset_name, config.train_split, **options)
    heldout = load_faces(config.dataset_name, config.eval_split, limit=config.eval_images, **options)

    torch.manual_seed(config.seed)
    model = Aligner(config.resolution, config.width).to(device, memory_format=torch.channels_last).train()

    def losses(nimg: int) -> dict[str, Tensor]:
        rows = rows_of_step(len(faces.images), config.seed, nimg, config.batch_size)
        generator = generator_of_step(config.seed, nimg)
        images, yaw = mirror_half(faces.images[rows], faces.yaw[rows], generator)
        batch = to_device(disturb(images, config.resolution, generator), device)
        with autocast(config.mixed_precision, device):
            output = model(batch.images.contiguous(memory_format=torch.channels_last))
        return aligner_loss(AlignerOutput(*(part.float() for part in output)), batch, yaw.to(device))

    def measured(ema: Aligner, nimg: int) -> Measurement:
        numbers = measure(ema, heldout)
        summary = (
            f"one pass: median {numbers['error_median']:.1f} %, 95th percentile {numbers['error_p95']:.1f} % of the "
            f"eye distance, faces told apart {numbers['face_accuracy']:.1%}"
        )
        return Measurement(numbers, summary)

    weights = {"spread": SPREAD_WEIGHT, "face": FACE_WEIGHT, "yaw": YAW_WEIGHT}
    optimizers = {"optimizer": make_optimizer(model, config.optimizer, config.lr, weight_decay=1e-4)}
    fitted = fit_network({"aligner": model}, optimizers, config, losses, measured, weights=weights, warmup_kimg=4.0)
    record = {"crops_seen": fitted.nimg, "mean_points": MEAN_POINTS, "batch_size": config.batch_size, "lr": config.lr}
    record |= {"optimizer": config.optimizer}
    return export_network(Path(config.output_dir) / "export", fitted.ema, record)


main = script(TrainAlignerConfig, train, "exported to {}")


if __name__ == "__main__":
    sys.exit(main())
