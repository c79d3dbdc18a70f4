"""Train the encoder: `python training/encoder/train.py --model FOLDER --dataset_name FOLDER --output_dir runs/encoder`.

The generator stays as it is. Real faces teach the encoder to draw what it sees; pictures of the generator, whose codes
and features are known, teach it what the two mean. The same command resumes a run that was stopped or killed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

import training.common.start  # noqa: F401

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.errors import ConfigError
from gan_space.latents.inversion import charbonnier, structure_distance
from gan_space.models.encoder import Encoder
from gan_space.models.synthesis import SynthesisState
from gan_space.settings import least_faults, values_of
from training.common.command import script
from training.common.export import export_network
from training.common.faces import load_faces
from training.common.fit_network import HeldOutFitConfig, Measurement, fit_device, fit_network, start_from, to_device
from training.common.frozen_maps import EfficientNetMaps
from training.common.model_bundle import ModelBundle
from training.common.optimizers import make_optimizer
from training.common.order import generator_of_step, rows_of_step
from training.common.precision import training_dtype
from training.encoder.data import EncoderBatch, augment_faces
from training.encoder.losses import (
    Samples,
    code_distance,
    code_excess,
    draw_samples,
    feature_distance,
    state_distance,
)
from training.encoder.measure import measure, save_grid

TEACHER = "itself, its generator and what an EfficientNet-Lite0 (Apache-2.0, of ImageNet) sees in them"  # for the card
PERCEPTUAL_STRIDES = (2, 4, 8)  # lashes and teeth; what they belong to, our own discriminator knows better
CODE_PICTURE_SHRINK = 4  # the code alone is asked for the face at this many times fewer pixels, where it can succeed


@dataclass(frozen=True)
class EncoderLossWeights:
    """How much each term counts; 0 leaves it out, and where it costs time saves that too."""

    pixel: float = 5.0
    """Charbonnier distance between face and reconstruction."""
    structure: float = 5.0
    """Edges at three scales."""
    features: float = 0.5
    """Distance in the features of the model's discriminator; left out where the model folder has none."""
    perceptual: float = 0.0
    """Distance in what EfficientNet learned on ImageNet (`pip install "gan-space[features]"`)."""
    code_picture: float = 2.0
    """What the code alone draws, four times smaller, and in the discriminator's features."""
    prior: float = 0.05
    """How far the features are from those that the code alone gives."""
    excess: float = 0.2
    """How far codes of real faces leave W."""
    sample_code: float = 1.0
    """On pictures of the generator: the code."""
    sample_state: float = 0.3
    """The features."""
    sample_picture: float = 2.0
    """The picture again."""
    consistency: float = 2.0
    """The features, finished with another picture's look, against the true ones finished with it."""


@dataclass(frozen=True, kw_only=True)
class TrainEncoderConfig(HeldOutFitConfig):
    """Train the encoder of a model on aligned faces. The same command resumes a stopped run."""

    dataset_name: str
    """Folder, parquet or Hub data set of aligned faces."""
    model: str | None = None
    """Model folder with generator/ and, for the terms that need it, discriminator/; None is the embedded default."""
    output_dir: str = "runs/encoder"
    init_from: str | None = None
    """Folder of an earlier encoder to start from; tensors of another shape start anew."""
    image_column: str | None = None
    """Column of the pictures; None finds it."""
    feature_resolution: int = 32
    """Block of the generator behind which the features stand."""
    width: int = 32
    """Channels of the encoder at half the resolution."""
    batch_size: int = 16
    sample_batch: int = 4
    """Pictures of the generator a step, drawn anew each time."""
    code_share: float = 0.5
    """Share of the real faces that are also drawn from the code alone."""
    feature_share: float = 0.5
    """Share of the real faces that are compared in the discriminator's features, and in EfficientNet's."""
    total_kimg: float = 300.0
    lr: float = 0.001
    ema_halflife_kimg: float = 5.0
    augment_strength: float = 1.0
    """Of light, colour, blur and noise; 0 is none."""
    weights: EncoderLossWeights = field(default_factory=EncoderLossWeights)
    """How much each term counts."""
    checkpoint_kimg: float = 10.0
    eval_images: int = 256

    def faults(self) -> list[str]:
        """Return what is wrong, a message for each."""
        faults = super().faults(("width",), shares=("code_share", "feature_share"))
        if self.sample_batch < 2:
            faults.append(f"--sample_batch must be 2 or more, each takes the look of another; got {self.sample_batch}")
        faults += least_faults(2, values_of(self, "eval_images"), "--")
        faults += least_faults(0, values_of(self, "augment_strength"), "--")
        return faults


def encoder_losses(
    encoder: Encoder, frozen: ModelBundle, batch: EncoderBatch, samples: Samples, config: TrainEncoderConfig,
    imagenet: EfficientNetMaps | None = None,
) -> dict[str, Tensor]:  # fmt: skip
    """Return all terms of one step, unweighted, by the names of `EncoderLossWeights`; terms of weight 0 are left out.

    Args:
        imagenet: for the perceptual term; None leaves it out.
    """
    synthesis, discriminator, weights = frozen.generator.synthesis, frozen.discriminator, config.weights
    num, num_samples, r = len(batch.inputs), len(samples.images), encoder.feature_resolution
    w_plus, state = encoder(torch.cat([batch.inputs, samples.images]))
    real_codes, sample_codes = w_plus.split([num, num_samples])
    sample_state = SynthesisState(*(part[num:] for part in state))

    # Real faces from the code alone: only those in the frame, since the generator knows no others.
    chosen = batch.aligned[: round(num * config.code_share)].nonzero().flatten()
    code_state = synthesis.features(real_codes[chosen], r)
    looks = samples.w_plus.roll(1, dims=0)  # each sample in the look of the next
    # One call for all that is drawn: reconstructions, samples in another look, faces from the code alone.
    drawn = synthesis.finish(
        SynthesisState(*(torch.cat(parts) for parts in zip(state, sample_state, code_state, strict=True))),
        torch.cat([w_plus, looks, real_codes[chosen]]),
        r,
    )
    faces, again, restyled, code_faces = drawn.split([num, num_samples, num_samples, len(chosen)])
    with torch.no_grad():
        restyled_truth = synthesis.finish(samples.state, looks, r)

    pixel, structure = charbonnier(faces, batch.targets), structure_distance(faces, batch.targets)
    true_features = SynthesisState(*(part[chosen] for part in state))
    small_faces, small_targets = (
        F.avg_pool2d(part, CODE_PICTURE_SHRINK) for part in (code_faces, batch.targets[chosen])
    )
    terms = {
        "pixel": pixel.mean(),
        "structure": structure.mean(),
        "code_picture": _mean(charbonnier(small_faces, small_targets)),
        "prior": _mean(state_distance(true_features, code_state, encoder.feature_std)),
        "excess": _mean(code_excess(real_codes[batch.aligned], encoder)),
        "sample_code": code_distance(sample_codes, samples.w_plus, encoder.w_std).mean(),
        "sample_state": state_distance(sample_state, samples.state, encoder.feature_std).mean(),
        "sample_picture": charbonnier(again, samples.images).mean(),
        "consistency": charbonnier(restyled, restyled_truth).mean(),
    }
    first = max(1, round(num * config.feature_share))
    if imagenet is not None and config.feature_share > 0:
        with torch.no_grad():
            wanted = imagenet(batch.targets[:first].contiguous(memory_format=torch.channels_last))
        # In float32: depthwise convolutions gain nothing from bfloat16 on a CPU, on the way back they lose.
        maps = imagenet(faces[:first].contiguous(memory_format=torch.channels_last))
        terms["perceptual"] = feature_distance(maps, wanted).mean()
    if discriminator is not None and weights.features > 0 and config.feature_share > 0:
        with torch.no_grad():
            wanted = discriminator.features(torch.cat([batch.targets[:first], batch.targets[chosen]]))
        maps = discriminator.features(torch.cat([faces[:first], code_faces]))
        distance = feature_distance(maps, wanted)
        terms["features"] = distance[:first].mean()
        terms["code_picture"] = terms["code_picture"] + 0.1 * _mean(distance[first:])
    return terms


def _mean(values: Tensor) -> Tensor:
    """Of an empty selection 0, where the plain mean would be nan."""
    return values.sum() / max(len(values), 1)


def train(config: TrainEncoderConfig) -> Path:
    """Train until `total_kimg`, going on from the newest checkpoint in `output_dir` if there is one.

    Returns:
        The folder with config.json and the averaged weights.

    Raises:
        ConfigError: bad settings, or the run in `output_dir` has other ones.
        DataError: the data set cannot be used.
        WeightsError: the model folder cannot be used.
        TrainingError: the loss is not finite.
    """
    config.check()
    output_dir = Path(config.output_dir)
    device = fit_device()
    frozen = ModelBundle.load(config.model, "discriminator")
    _check_model(config, frozen)
    torch.manual_seed(config.seed)
    encoder = Encoder.for_generator(frozen.generator, config.feature_resolution, width=config.width)
    remark = start_from(encoder, config.init_from)
    options = dict(image_column=config.image_column, yaw_column=None, face_px=encoder.resolution)
    faces = load_faces(config.dataset_name, config.train_split, **options).images
    heldout = load_faces(config.dataset_name, config.eval_split, limit=config.eval_images, **options).images

    dtype = training_dtype(config.mixed_precision, device)
    encoder = encoder.to(device, memory_format=torch.channels_last).train()
    networks = [encoder, *(network.to(device) for network in frozen.networks)]
    for network in networks:
        network.compute_dtype = dtype
    imagenet = EfficientNetMaps(PERCEPTUAL_STRIDES).eval().to(device) if config.weights.perceptual > 0 else None
    optimizer = make_optimizer(encoder, config.optimizer, config.lr, betas=(0.9, 0.99))

    def losses(nimg: int) -> dict[str, Tensor]:
        rows = rows_of_step(len(faces), config.seed, nimg, config.batch_size)
        random = generator_of_step(config.seed, nimg)
        batch = to_device(augment_faces(faces[rows], random, strength=config.augment_strength), device)
        samples = draw_samples(frozen.generator, config.feature_resolution, config.sample_batch, random)
        return encoder_losses(encoder, frozen, batch, samples, config, imagenet)

    def measured(ema: Encoder, nimg: int) -> Measurement:
        numbers = measure(ema, frozen, heldout)
        save_grid(ema, frozen.generator, heldout, output_dir / "samples" / f"nimg-{nimg:09d}.png")
        r = config.feature_resolution
        summary = (
            f"PSNR {numbers['psnr']:.2f} dB (enlarged from {r} px {numbers['small_psnr']:.2f}), "
            f"MS-SSIM {numbers['ms_ssim']:.3f}, from the code alone {numbers['code_psnr']:.2f} dB; codes of samples "
            f"{numbers['sample_code_error']:.2f} off (the average face: {numbers['sample_code_baseline']:.2f})"
        )
        return Measurement(numbers, summary)

    options = {"weights": vars(config.weights), "remark": remark}
    fitted = fit_network({"encoder": encoder}, {"optimizer": optimizer}, config, losses, measured, **options)
    record = {"teacher": TEACHER} if imagenet is not None else {}
    record |= {"faces_seen": fitted.nimg, "batch_size": config.batch_size, "lr": config.lr}
    record |= {"optimizer": config.optimizer}
    record |= {"weights": vars(config.weights), "held_out": fitted.numbers}
    return export_network(output_dir / "export", fitted.ema, record)


def _check_model(config: TrainEncoderConfig, frozen: ModelBundle) -> None:
    resolution, discriminator = frozen.generator.config.resolution, frozen.discriminator
    if discriminator is not None and (discriminator.config.resolution != resolution or discriminator.config.c_dim):
        raise ConfigError(
            f"the discriminator must be for {resolution} px without labels, it is for "
            f"{discriminator.config.resolution} px with c_dim {discriminator.config.c_dim}"
        )


main = script(TrainEncoderConfig, train, "exported to {}")


if __name__ == "__main__":
    sys.exit(main())
