"""Train the upscaler: `python training/train_upscaler.py --dataset_name FOLDER --output_dir runs/upscaler`.

Learns from aligned faces alone, plain and rendered in our looks: they are made small and spoiled, and the network has
to give them back. It needs no generator, so new weights of the others do not call for a new one. The same command
resumes a run that was stopped or killed. `--help` lists all settings.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.errors import ConfigError, raise_all
from gan_space.latents.inversion import charbonnier, structure_distance
from gan_space.models.discriminator import Discriminator
from gan_space.models.upscaler import FACTOR, Upscaler
from training.claim import claim_run
from training.command import exit_code
from training.data import rows_of_step
from training.evaluate_upscaler import load_discriminator, measure, save_grid, texture_distance
from training.files import whole_folder
from training.fit_network import Look, fit_network, settings_faults
from training.memory import keep_freed_memory
from training.precision import training_dtype
from training.train_aligner import load_faces
from training.upscaler_data import FACE_STEP_PX, UpscalerBatch, make_pairs, max_patch_px

WATCHED = ("photo", "photo, soft", "pencil, shrunk")  # cases of the measurements on the way
MAY_CHANGE = ("output_dir", "total_kimg", "checkpoint_kimg", "eval_images")


@dataclass(frozen=True)
class UpscalerLossWeights:
    """How much each term counts; 0 leaves it out, and where it costs time saves that too."""

    pixel: float = 5.0
    """Charbonnier distance between patch and enlargement."""
    structure: float = 5.0
    """Edges at three scales."""
    features: float = 0.0
    """Texture in the features of the model's discriminator, if it has one; 0.5 was tried and gained nothing."""


@dataclass(frozen=True)
class TrainUpscalerConfig:
    """Train the upscaler on aligned faces. The same command resumes a stopped run."""

    dataset_name: str
    """Folder, parquet or Hub data set of aligned faces."""
    model: str | None = None
    """Model folder whose discriminator/ gives the features; None is the embedded default."""
    output_dir: str = "runs/upscaler"
    """Folder of the run; an existing one is resumed."""
    train_split: str = "train"
    """Split to train on."""
    eval_split: str = "test"
    """Split to measure on; never trained on."""
    image_column: str | None = None
    """Column of the pictures; None finds it."""
    face_px: int = 128
    """Size at which faces are kept; a multiple of 64, and no larger than the pictures are."""
    patch_px: int = 64
    """Side of the patches that the network has to give back; even, at most half of --face_px."""
    width: int = 32
    """Channels of the network."""
    num_blocks: int = 5
    """Residual blocks of the network."""
    batch_size: int = 16
    """Patches a step; these are what kimg count."""
    looks_share: float = 0.25
    """Share of the patches that are rendered in one of our looks."""
    spoil: float = 1.0
    """Share of the usual blur, noise and JPEG; 0 keeps the small pictures clean."""
    twice_share: float = 0.25
    """Share of the patches that are also doubled twice from a quarter of their size: a second pass has to know one."""
    feature_share: float = 0.125
    """Share of the patches that are compared in the discriminator's features, the dearest term by far."""
    total_kimg: float = 300.0
    """When to stop, in thousand patches."""
    lr: float = 0.002
    """Learning rate of Adam; warmed up over 2 kimg, then a cosine to zero."""
    ema_halflife_kimg: float = 5.0
    """Half-life of the weight average, which is what gets measured and saved."""
    weights: UpscalerLossWeights = field(default_factory=UpscalerLossWeights)
    """How much each term counts."""
    checkpoint_kimg: float = 20.0
    """Thousand patches between checkpoints, each with a measurement and a grid."""
    eval_images: int = 64
    """Faces in a measurement."""
    mixed_precision: str = "bf16"
    """bf16 runs the convolutions of the training steps in bfloat16; "no" does not."""
    seed: int = 0
    """Of weights, order and what spoils the pictures."""

    def check(self) -> None:
        """Raise ConfigError with all faults at once."""
        positive = ("batch_size", "total_kimg", "lr", "ema_halflife_kimg", "checkpoint_kimg", "eval_images")
        faults = settings_faults(self, positive, shares=("looks_share", "twice_share", "feature_share", "spoil"))
        if self.face_px < FACE_STEP_PX or self.face_px % FACE_STEP_PX:
            faults.append(f"--face_px must be a multiple of {FACE_STEP_PX}, got {self.face_px}")
        elif self.patch_px % 2 or not 16 <= self.patch_px <= max_patch_px(self.face_px):
            faults.append(f"--patch_px must be even, from 16 to {max_patch_px(self.face_px)}, got {self.patch_px}")
        raise_all(faults, ConfigError)


def upscaler_losses(
    upscaler: Upscaler, discriminator: Discriminator | None, batch: UpscalerBatch, config: TrainUpscalerConfig
) -> dict[str, Tensor]:
    """The terms of one step, unweighted, by the names of `UpscalerLossWeights`; features only with a discriminator."""
    enlarged, targets = upscaler(batch.inputs), batch.targets
    chosen = torch.arange(0, len(targets), max(1, round(1 / config.twice_share))) if config.twice_share > 0 else []
    if len(chosen):
        quarter = F.avg_pool2d(batch.inputs[chosen], FACTOR)
        twice = upscaler(upscaler(quarter).clamp(-1, 1))
        enlarged, targets = torch.cat([twice, enlarged]), torch.cat([targets[chosen], targets])
    terms = {
        "pixel": charbonnier(enlarged, targets).mean(),
        "structure": structure_distance(enlarged, targets).mean(),
    }
    if discriminator is not None and config.weights.features > 0 and config.feature_share > 0:
        # From the end: the first patches are those in a look, which the discriminator has never seen.
        count = max(1, round(len(batch.inputs) * config.feature_share))
        terms["features"] = texture_distance(discriminator, enlarged[-count:], targets[-count:]).mean()
    return terms


def train(config: TrainUpscalerConfig) -> Path:
    """Train until `total_kimg`, going on from the newest checkpoint in `output_dir` if there is one.

    Returns:
        The folder with config.json and the averaged weights.

    Raises:
        ConfigError: bad settings, or the run in `output_dir` has other ones.
        DataError: the data set cannot be used.
        WeightsError: the discriminator cannot be read.
        TrainingError: the loss is not finite.
    """
    config.check()
    output_dir = Path(config.output_dir)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    discriminator = load_discriminator(config.model) if config.weights.features > 0 else None
    torch.manual_seed(config.seed)
    upscaler = Upscaler(config.width, config.num_blocks)
    options = dict(image_column=config.image_column, yaw_column=None, face_px=config.face_px)
    faces = load_faces(config.dataset_name, config.train_split, **options).images
    heldout = load_faces(config.dataset_name, config.eval_split, limit=config.eval_images, **options).images
    claim_run(output_dir, config, MAY_CHANGE)

    dtype = training_dtype(config.mixed_precision, device)
    upscaler = upscaler.to(device, memory_format=torch.channels_last).train()
    upscaler.compute_dtype = dtype
    if discriminator is not None:
        discriminator.to(device).compute_dtype = dtype

    def losses(nimg: int) -> dict[str, Tensor]:
        rows = rows_of_step(len(faces), config.seed, nimg, config.batch_size)
        random = torch.Generator().manual_seed(config.seed * 1_000_000_007 + nimg)
        shares = {"looks_share": config.looks_share, "spoil": config.spoil}
        batch = make_pairs(faces[rows], random, patch_px=config.patch_px, **shares)
        batch = UpscalerBatch(*(part.to(device) for part in batch))
        return upscaler_losses(upscaler, discriminator, batch, config)

    def look(ema: Upscaler, nimg: int) -> Look:
        numbers = measure(ema, heldout, factors=(2,), only=WATCHED)
        save_grid(ema, heldout, output_dir / "samples" / f"nimg-{nimg:09d}.png")
        return Look(numbers, "network (bicubic): " + "; ".join(_told(numbers)), _flat(numbers))

    optimizers = {"optimizer": torch.optim.Adam(upscaler.parameters(), lr=config.lr, betas=(0.9, 0.99))}
    fitted = fit_network({"upscaler": upscaler}, optimizers, config, losses, look, weights=vars(config.weights))
    return _export(output_dir / "export", fitted.ema, config, fitted.nimg, fitted.numbers)


def _flat(numbers: dict) -> dict[str, float]:
    """The network's numbers, as one level of names for the log."""
    return {
        f"{case}: {name}": value
        for case, methods in numbers.items()
        for name, value in methods["network"].items()
    }  # fmt: skip


def _told(numbers: dict) -> list[str]:
    return [
        f"{case} {methods['network']['psnr']:.2f} dB ({methods['bicubic']['psnr']:.2f}), "
        f"edges {methods['network']['edge_share']:.2f} ({methods['bicubic']['edge_share']:.2f})"
        for case, methods in numbers.items()
        if "drawn" not in case
    ]


def _export(folder: Path, ema: Upscaler, config: TrainUpscalerConfig, nimg: int, numbers: dict) -> Path:
    model = Upscaler(config.width, config.num_blocks)
    model.load_state_dict({name: value.cpu().contiguous() for name, value in ema.state_dict().items()})
    record = {"patches_seen": nimg, "patch_px": config.patch_px, "batch_size": config.batch_size, "lr": config.lr}
    record |= {
        "looks_share": config.looks_share,
        "twice_share": config.twice_share,
        "spoil": config.spoil,
        "weights": vars(config.weights),
    }
    with whole_folder(folder) as partial:
        model.save_pretrained(partial)
        (partial / "training.json").write_text(json.dumps(record | {"held_out": numbers}, indent=1))
    return folder


@exit_code
def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    import tyro

    config = tyro.cli(TrainUpscalerConfig, args=arguments, use_underscores=True)
    keep_freed_memory()
    print(f"exported to {train(config)}")


if __name__ == "__main__":
    sys.exit(main())
