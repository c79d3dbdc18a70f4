"""Train the guided upscaler: `python training/guided/train.py --pairs FILE --dataset_name FOLDER --output_dir RUN`.

Learns from the pairs of `training/guided/data.py`. The same command resumes a run that was stopped or killed. `--help`
lists all settings.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from gan_space.errors import ConfigError, raise_all
from gan_space.models.guided_upscaler import GuidedUpscaler
from training.common.claim import claim_run
from training.common.command import exit_code
from training.common.faces import load_faces
from training.common.files import whole_folder
from training.common.fit_network import Look, copy_fitting, fit_network, settings_faults
from training.common.memory import keep_freed_memory
from training.common.order import rows_of_step
from training.common.precision import training_dtype
from training.guided.data import STEP_PX, GuidedBatch, Pairs, make_batch
from training.guided.evaluate import held_back_drawings, measure, save_grid, told
from training.guided.losses import guided_losses

MAY_CHANGE = ("output_dir", "total_kimg", "checkpoint_kimg", "eval_images")


@dataclass(frozen=True)
class GuidedLossWeights:
    """How much each term counts."""

    pixel: float = 5.0
    """Charbonnier distance between drawing and enlargement."""
    structure: float = 5.0
    """Edges at three scales."""


@dataclass(frozen=True)
class TrainGuidedConfig:
    """Train the guided upscaler on drawn pairs. The same command resumes a stopped run."""

    pairs: Path
    """File that training/guided/data.py wrote."""
    dataset_name: str
    """The faces that it was made of; the last of them, which it left out, are measured on."""
    output_dir: str = "runs/guided"
    """Folder of the run; an existing one is resumed."""
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
    """Patches a step; these are what kimg count."""
    spoil: float = 1.0
    """Share of the usual blots, bends, blur and drifting colours; 0 leaves the small drawings alone."""
    twice_share: float = 0.5
    """Share of the patches that are doubled twice from a quarter of their size."""
    total_kimg: float = 300.0
    """When to stop, in thousand patches."""
    lr: float = 0.002
    """Learning rate of Adam; warmed up over 2 kimg, then a cosine to zero."""
    ema_halflife_kimg: float = 5.0
    """Half-life of the weight average, which is what gets measured and saved."""
    weights: GuidedLossWeights = field(default_factory=GuidedLossWeights)
    """How much each term counts."""
    checkpoint_kimg: float = 20.0
    """Thousand patches between checkpoints, each with a measurement and a grid."""
    eval_images: int = 32
    """Faces in a measurement."""
    mixed_precision: str = "bf16"
    """bf16 runs the convolutions of the training steps in bfloat16; "no" does not."""
    seed: int = 0
    """Of weights, order and what spoils the drawings."""

    def check(self) -> None:
        """Raise ConfigError with all faults at once."""
        positive = ("batch_size", "total_kimg", "lr", "ema_halflife_kimg", "checkpoint_kimg", "eval_images")
        faults = settings_faults(self, positive, shares=("twice_share", "spoil"))
        if self.patch_px % STEP_PX or self.patch_px < 4 * STEP_PX:
            faults.append(f"--patch_px must be a multiple of {STEP_PX} from {4 * STEP_PX} on, got {self.patch_px}")
        raise_all(faults, ConfigError)


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
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pairs = Pairs.load(config.pairs)
    side = pairs.photos.shape[-1]
    if config.patch_px > side:
        raise ConfigError(f"--patch_px must be at most {side}, the size of the pairs, got {config.patch_px}")
    faces = load_faces(config.dataset_name, config.split, image_column=config.image_column, face_px=side).images
    drawings = held_back_drawings(faces[-config.eval_images :])
    torch.manual_seed(config.seed)
    guided = GuidedUpscaler(config.width, config.num_blocks, config.deep_width, config.num_deep_blocks)
    remark = ""
    if config.init_from is not None:
        remark = copy_fitting(guided, GuidedUpscaler.from_pretrained(config.init_from), config.init_from)
    claim_run(output_dir, config, MAY_CHANGE)

    guided = guided.to(device, memory_format=torch.channels_last).train()
    guided.compute_dtype = training_dtype(config.mixed_precision, device)

    def losses(nimg: int) -> dict[str, Tensor]:
        rows = rows_of_step(len(pairs.photos), config.seed, nimg, config.batch_size)
        random = torch.Generator().manual_seed(config.seed * 1_000_000_007 + nimg)
        batch = make_batch(pairs, torch.as_tensor(rows), random, patch_px=config.patch_px, spoil=config.spoil)
        return guided_losses(guided, GuidedBatch(*(part.to(device) for part in batch)), config.twice_share)

    def look(ema: GuidedUpscaler, nimg: int) -> Look:
        numbers = measure(ema, drawings)
        save_grid(ema, drawings, output_dir / "samples" / f"nimg-{nimg:09d}.png")
        flat = {f"{case}: {name}": value for case, one in numbers.items() for name, value in one["guided"].items()}
        return Look(numbers, told(numbers), flat)

    optimizers = {"optimizer": torch.optim.Adam(guided.parameters(), lr=config.lr, betas=(0.9, 0.99))}
    fitted = fit_network(
        {"guided": guided}, optimizers, config, losses, look, weights=vars(config.weights), remark=remark
    )
    return _export(output_dir / "export", fitted.ema, config, fitted.nimg, fitted.numbers)


def _export(folder: Path, ema: GuidedUpscaler, config: TrainGuidedConfig, nimg: int, numbers: dict) -> Path:
    model = GuidedUpscaler(config.width, config.num_blocks, config.deep_width, config.num_deep_blocks)
    model.load_state_dict({name: value.cpu().contiguous() for name, value in ema.state_dict().items()})
    names = ("patch_px", "batch_size", "lr", "spoil", "twice_share")
    record = {"patches_seen": nimg, "patches_before": _patches_before(config.init_from)}
    record |= {name: getattr(config, name) for name in names} | {"weights": vars(config.weights)}
    with whole_folder(folder) as partial:
        model.save_pretrained(partial)
        (partial / "training.json").write_text(json.dumps(record | {"held_back": numbers}, indent=1))
    return folder


def _patches_before(init_from: str | None) -> int:
    """What the network that this one started from had seen, as far as its folder says."""
    file = Path(init_from or ".") / "training.json"
    if init_from is None or not file.is_file():
        return 0
    earlier = json.loads(file.read_text())
    return earlier.get("patches_seen", 0) + earlier.get("patches_before", 0)


@exit_code
def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    import tyro

    config = tyro.cli(TrainGuidedConfig, args=arguments, use_underscores=True)
    keep_freed_memory()
    print(f"exported to {train(config)}")


if __name__ == "__main__":
    sys.exit(main())
