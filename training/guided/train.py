"""Train the guided upscaler: `python training/guided/train.py --pairs FILE --dataset_name FOLDER --output_dir RUN`.

Learns from the pairs of `training/guided/data.py`. The same command resumes a run that was stopped or killed. `--help`
lists all settings.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import training.common.start  # noqa: F401

import torch
from torch import Tensor

from gan_space.errors import ConfigError
from gan_space.models.guided_upscaler import GuidedUpscaler
from training.common.command import script
from training.common.export import export_network
from training.common.faces import load_faces
from training.common.fit_network import FitConfig, Measurement, fit_device, fit_network, start_from, to_device
from training.common.optimizers import make_optimizer
from training.common.order import generator_of_step, rows_of_step
from training.common.precision import training_dtype
from training.guided.data import STEP_PX, Pairs, make_batch
from training.guided.losses import guided_losses
from training.guided.measure import held_back_drawings, log_line, measure, save_grid


@dataclass(frozen=True)
class GuidedLossWeights:
    """How much each term counts."""

    pixel: float = 5.0
    """Charbonnier distance between drawing and enlargement."""
    structure: float = 5.0
    """Edges at three scales."""


@dataclass(frozen=True, kw_only=True)
class TrainGuidedConfig(FitConfig):
    """Train the guided upscaler on drawn pairs. The same command resumes a stopped run."""

    pairs: Path
    """File that training/guided/make_pairs.py wrote."""
    dataset_name: str
    """The faces that it was made of; the last of them, which it left out, are measured on."""
    output_dir: str = "runs/guided"
    init_from: str | None = None
    """Folder of a guided upscaler to start from."""
    split: str = "train"
    """Split of the faces."""
    image_column: str | None = None
    """Column of the pictures; None finds it."""
    patch_px: int = 96
    """Side of the patches that the network has to give back; a multiple of 8."""
    width: int = 32
    """Channels at the drawing's size."""
    num_blocks: int = 2
    """Residual blocks there."""
    deep_width: int = 64
    """Channels at half of that size."""
    num_deep_blocks: int = 2
    """Residual blocks there."""
    batch_size: int = 16
    spoil: float = 1.0
    """Share of the usual blots, bends, blur and drifting colours; 0 leaves the small drawings alone."""
    twice_share: float = 0.5
    """Share of the patches that are doubled twice from a quarter of their size."""
    total_kimg: float = 300.0
    lr: float = 0.002
    ema_halflife_kimg: float = 5.0
    weights: GuidedLossWeights = field(default_factory=GuidedLossWeights)
    """How much each term counts."""
    checkpoint_kimg: float = 20.0
    eval_images: int = 32

    def faults(self) -> list[str]:
        """Return what is wrong, a message for each."""
        faults = super().faults(shares=("twice_share", "spoil"))
        if self.patch_px % STEP_PX or self.patch_px < 4 * STEP_PX:
            faults.append(f"--patch_px must be a multiple of {STEP_PX} from {4 * STEP_PX} on, got {self.patch_px}")
        return faults


def train(config: TrainGuidedConfig) -> Path:
    """Train until `total_kimg`, going on from the newest checkpoint in `output_dir` if there is one.

    Returns:
        The folder with config.json and the averaged weights.

    Raises:
        ConfigError: bad settings, or the run in `output_dir` has other ones.
        DataError: pairs or faces cannot be used.
        WeightsError: `init_from` cannot be read.
        TrainingError: the loss is not finite.
    """
    config.check()
    output_dir = Path(config.output_dir)
    device = fit_device()
    pairs = Pairs.load(config.pairs)
    side = pairs.photos.shape[-1]
    if config.patch_px > side:
        raise ConfigError(f"--patch_px must be at most {side}, the size of the pairs, got {config.patch_px}")
    faces = load_faces(config.dataset_name, config.split, image_column=config.image_column, face_px=side).images
    drawings = held_back_drawings(faces[-config.eval_images :])
    torch.manual_seed(config.seed)
    guided = GuidedUpscaler(config.width, config.num_blocks, config.deep_width, config.num_deep_blocks)
    remark = start_from(guided, config.init_from)

    guided = guided.to(device, memory_format=torch.channels_last).train()
    guided.compute_dtype = training_dtype(config.mixed_precision, device)

    def losses(nimg: int) -> dict[str, Tensor]:
        rows = rows_of_step(len(pairs.photos), config.seed, nimg, config.batch_size)
        random = generator_of_step(config.seed, nimg)
        batch = make_batch(pairs, torch.as_tensor(rows), random, patch_px=config.patch_px, spoil=config.spoil)
        return guided_losses(guided, to_device(batch, device), config.twice_share)

    def measured(ema: GuidedUpscaler, nimg: int) -> Measurement:
        numbers = measure(ema, drawings)
        save_grid(ema, drawings, output_dir / "samples" / f"nimg-{nimg:09d}.png")
        flat = {f"{case}: {name}": value for case, one in numbers.items() for name, value in one["guided"].items()}
        return Measurement(numbers, log_line(numbers), flat)

    optimizers = {"optimizer": make_optimizer(guided, config.optimizer, config.lr, betas=(0.9, 0.99))}
    fitted = fit_network(
        {"guided": guided}, optimizers, config, losses, measured, weights=vars(config.weights), remark=remark
    )
    names = ("patch_px", "batch_size", "optimizer", "lr", "spoil", "twice_share")
    record = {"patches_seen": fitted.nimg, "patches_before": _patches_before(config.init_from)}
    record |= {name: getattr(config, name) for name in names}
    record |= {"weights": vars(config.weights), "held_back": fitted.numbers}
    return export_network(output_dir / "export", fitted.ema, record)


def _patches_before(init_from: str | None) -> int:
    """What the network that this one started from had seen, as far as its folder says."""
    file = Path(init_from or ".") / "training.json"
    if init_from is None or not file.is_file():
        return 0
    earlier = json.loads(file.read_text())
    return earlier.get("patches_seen", 0) + earlier.get("patches_before", 0)


main = script(TrainGuidedConfig, train, "exported to {}")


if __name__ == "__main__":
    sys.exit(main())
