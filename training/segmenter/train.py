"""Train the segmenter: `python training/segmenter/train.py --dataset_name FOLDER ...`.

Learns from pictures in the head frame with masks of hair and person that a teacher drew. The same command resumes a
run that was stopped or killed. `--help` lists all settings.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import training.common.start  # noqa: F401

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.errors import DataError
from gan_space.models.segmenter import TOTAL_STRIDE_PX, Segmenter, SegmenterOutput
from gan_space.settings import multiple_faults
from training.common.command import script
from training.common.export import export_network
from training.common.fit_network import HeldOutFitConfig, Measurement, fit_device, fit_network, start_from, to_device
from training.common.optimizers import OptimizerName, make_optimizer
from training.common.order import rows_of_step
from training.common.precision import autocast
from training.segmenter.data import load_segmented_heads
from training.segmenter.disturb import disturbed_crops
from training.segmenter.losses import segmenter_loss
from training.segmenter.measure import measure

WARMUP_KIMG = 2.0
WEIGHT_DECAY = 0.02
TERM_WEIGHTS = {"hair": 1.0, "hair_dice": 0.5, "person": 0.7, "person_dice": 0.3}


@dataclass(frozen=True, kw_only=True)
class TrainSegmenterConfig(HeldOutFitConfig):
    """Train the segmenter on heads with masks. The same command resumes a stopped run."""

    MAY_CHANGE: ClassVar[tuple[str, ...]] = (*HeldOutFitConfig.MAY_CHANGE, "teacher")

    dataset_name: str
    """Folder, parquet or Hub data set of pictures in the head frame, with grey PNG masks hair, person and weight.
    Pictures in which no pixel is a person serve as scenery."""
    init_from: str | None = None
    """Folder of a segmenter to start from."""
    teacher: str = ""
    """Whose masks they are, and under which licence; goes into the card."""
    output_dir: str = "runs/segmenter"
    resolution: int = 192
    """Side of the crops that the network sees, in px."""
    width: int = 32
    """Channels of the largest maps."""
    optimizer: OptimizerName = "muon"
    """adam, or muon, which gives the directions of a large matrix steps of the same length."""
    batch_size: int = 32
    total_kimg: float = 120.0
    lr: float = 0.002
    ema_halflife_kimg: float = 3.0
    checkpoint_kimg: float = 20.0
    eval_images: int = 300

    def faults(self) -> list[str]:
        """Return what is wrong, a message for each."""
        return super().faults() + multiple_faults("--resolution", self.resolution, TOTAL_STRIDE_PX)


def train(config: TrainSegmenterConfig) -> Path:
    """Train until `total_kimg`, going on from the newest checkpoint in `output_dir` if there is one.

    Returns:
        The folder with config.json and the averaged weights.

    Raises:
        ConfigError: bad settings, or the run in `output_dir` has other ones.
        DataError: the data set cannot be used.
        TrainingError: the loss is not finite.
    """
    config.check()
    cv2.setNumThreads(1)  # crops are small: threads would wait for each other
    device = fit_device()
    heads = load_segmented_heads(config.dataset_name, config.train_split)
    heldout = load_segmented_heads(config.dataset_name, config.eval_split, limit=config.eval_images)
    torch.manual_seed(config.seed)
    model = Segmenter(config.resolution, config.width)
    remark = start_from(model, config.init_from)
    model = model.to(device, memory_format=torch.channels_last).train()

    shown = heads.with_person
    if not len(shown):
        raise DataError(
            f"{config.dataset_name} (split {config.train_split}): no mask in the column person marks anybody"
        )

    def losses(nimg: int) -> dict[str, Tensor]:
        rows = shown[rows_of_step(len(shown), config.seed, nimg, config.batch_size).numpy()]
        random = np.random.default_rng([config.seed, nimg])
        batch = to_device(disturbed_crops(heads, rows, config.resolution, random), device)
        with autocast(config.mixed_precision, device):
            output = model(batch.images)
        return segmenter_loss(SegmenterOutput(*(part.float() for part in output)), batch)

    def measured(ema: Segmenter, nimg: int) -> Measurement:
        numbers = measure(ema, heldout)
        return Measurement(numbers, ", ".join(f"{name} {share:.3f}" for name, share in numbers.items()))

    optimizers = {"optimizer": make_optimizer(model, config.optimizer, config.lr, weight_decay=WEIGHT_DECAY)}
    fitted = fit_network(
        {"segmenter": model}, optimizers, config, losses, measured,
        weights=TERM_WEIGHTS, warmup_kimg=WARMUP_KIMG, max_grad_norm=1.0, remark=remark,
    )  # fmt: skip
    record = {"teacher": config.teacher, "crops_seen": fitted.nimg, "batch_size": config.batch_size, "lr": config.lr}
    record |= {"optimizer": config.optimizer}
    return export_network(Path(config.output_dir) / "export", fitted.ema, record | fitted.numbers)


main = script(TrainSegmenterConfig, train, "exported to {}")


if __name__ == "__main__":
    sys.exit(main())
