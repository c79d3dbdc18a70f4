"""Measure an encoder: `python training/encoder/evaluate.py --model FOLDER --dataset_name FOLDER`.

How well unseen faces come back (PSNR, MS-SSIM, the discriminator's features, the same person or not), what the code
alone draws, and how long one face takes.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.errors import ConfigError, WeightsError, raise_all
from gan_space.images import from_uint8
from gan_space.latents.inversion import refine
from gan_space.models.discriminator import Discriminator
from gan_space.models.encoder import Encoder
from gan_space.models.generator import Generator
from gan_space.pipelines.loading import default_model_folder
from training.common.command import exit_code
from training.common.faces import load_faces
from training.common.memory import keep_freed_memory
from training.common.samples import ending_faults, save_samples
from training.encoder.losses import code_distance, code_excess, draw_samples, feature_distance, ms_ssim, psnr

GRID_FACES = 10


class Frozen(NamedTuple):
    """What the encoder is trained against."""

    generator: Generator
    discriminator: Discriminator | None


def load_frozen(folder: str | Path | None) -> Frozen:
    """Generator and, if there is one, discriminator of a model folder, without gradients.

    Raises:
        WeightsError: no generator there, or files that do not fit.
    """
    folder = default_model_folder() if folder is None else Path(folder)
    if not (folder / "generator" / "config.json").is_file():  # else the name would be taken for one on the Hub
        raise WeightsError(f"{folder} has no generator/config.json: expected a model folder")
    generator = Generator.from_pretrained(folder / "generator").eval().requires_grad_(False)
    discriminator = None
    if (folder / "discriminator" / "config.json").is_file():
        discriminator = Discriminator.from_pretrained(folder / "discriminator").eval().requires_grad_(False)
    return Frozen(generator, discriminator)


@torch.no_grad()
def measure(encoder: Encoder, frozen: Frozen, images: Tensor, seed: int = 0, batch_size: int = 32) -> dict[str, float]:
    """Measure on faces and on samples that are the same every time.

    Args:
        images: [N, 3, R, R] uint8, aligned and never trained on.

    Returns:
        psnr (dB), ms_ssim, feature_distance (with a discriminator): of the reconstruction. small_psnr, small_ms_ssim:
        of the face shrunk to r px and enlarged again, all that the picture so far in the state holds by itself; only
        what a reconstruction gains over it is owed to the features. code_psnr: of what the code alone draws.
        code_excess: how far codes of faces leave W. sample_code_error: of samples, mean absolute error in standard
        deviations, where answering with the average face gives `sample_code_baseline`.
    """
    synthesis, r = frozen.generator.synthesis, encoder.feature_resolution
    device = next(encoder.parameters()).device
    sums: dict[str, list[Tensor]] = {}
    for part in images.split(batch_size):
        faces = from_uint8(part).to(device)
        output = encoder(faces)
        drawn = synthesis.finish(output.state, output.w_plus, r)
        code_faces = synthesis.finish(synthesis.features(output.w_plus, r), output.w_plus, r)
        numbers = {"psnr": psnr(drawn, faces), "ms_ssim": ms_ssim(drawn, faces), "code_psnr": psnr(code_faces, faces)}
        shrunk = F.interpolate(faces, size=(r, r), mode="area")
        enlarged = F.interpolate(shrunk, size=faces.shape[-2:], mode="bicubic", align_corners=False)
        numbers |= {"small_psnr": psnr(enlarged, faces), "small_ms_ssim": ms_ssim(enlarged, faces)}
        numbers["code_excess"] = code_excess(output.w_plus, encoder)
        if frozen.discriminator is not None:
            features = frozen.discriminator.features
            numbers["feature_distance"] = feature_distance(features(drawn.clamp(-1, 1)), features(faces))
        for name, values in numbers.items():
            sums.setdefault(name, []).append(values)
    samples = draw_samples(frozen.generator, r, 64, torch.Generator().manual_seed(seed))
    error = code_distance(encoder(samples.images).w_plus, samples.w_plus, encoder.w_std)
    baseline = code_distance(encoder.w_avg.expand_as(samples.w_plus), samples.w_plus, encoder.w_std)
    result = {name: torch.cat(values).double().mean().item() for name, values in sums.items()}
    return result | {"sample_code_error": error.mean().item(), "sample_code_baseline": baseline.mean().item()}


@torch.no_grad()
def measure_refined(
    encoder: Encoder, generator: Generator, images: Tensor, num_steps: int, batch_size: int = 8
) -> dict[str, float]:
    """Measure what refinement by optimisation adds (`latents.inversion.refine`).

    Args:
        images: [N, 3, R, R] uint8, aligned and never trained on.

    Returns:
        refined_psnr, refined_ms_ssim: of the reconstruction afterwards; refined_share: of the faces, where it is nearer
        by PSNR than the encoder's own; refine_cpu_sec: CPU time of the calling thread for one face.
    """
    synthesis, r = generator.synthesis, encoder.feature_resolution
    device = next(encoder.parameters()).device
    sums: dict[str, list[Tensor]] = {}
    begin = time.thread_time()
    for part in images.split(batch_size):
        faces = from_uint8(part).to(device)
        output = encoder(faces)
        refined = refine(generator, output, faces, num_steps).output
        drawn = synthesis.finish(refined.state, refined.w_plus, r)
        after, before = psnr(drawn, faces), psnr(synthesis.finish(output.state, output.w_plus, r), faces)
        numbers = {"refined_psnr": after, "refined_ms_ssim": ms_ssim(drawn, faces), "refined_share": after > before}
        for name, values in numbers.items():
            sums.setdefault(name, []).append(values)
    seconds = (time.thread_time() - begin) / len(images)
    result = {name: torch.cat(values).double().mean().item() for name, values in sums.items()}
    return result | {"refine_steps": num_steps, "refine_cpu_sec": seconds}


@torch.no_grad()
def save_grid(encoder: Encoder, generator: Generator, images: Tensor, path: Path) -> None:
    """Four rows: faces, reconstructions, what the codes alone draw, and each face in the look of the next one."""
    faces = from_uint8(images[:GRID_FACES]).to(next(encoder.parameters()).device)
    w_plus, state = encoder(faces)
    synthesis, r = generator.synthesis, encoder.feature_resolution
    rows = [faces, synthesis.finish(state, w_plus, r)]
    rows += [synthesis.finish(synthesis.features(w_plus, r), w_plus, r)]
    rows += [synthesis.finish(state, w_plus.roll(-1, dims=0), r)]
    recipe = {"kind": "faces, reconstructions, codes alone, each in the look of the next"}
    save_samples(path, torch.cat(rows), recipe, columns=len(faces), source="edited")


@torch.no_grad()
def same_person(encoder: Encoder, generator: Generator, identity, images: Tensor, threshold: float) -> dict[str, float]:
    """How often face and reconstruction are the same person for an identity network.

    Args:
        identity: gives vectors [N, D] of unit length.
        images: [N, 3, R, R] uint8.
        threshold: cosine similarity from which on two pictures count as one person, such as the network's EER point.

    Returns:
        identity_share, identity_mean; other_share, other_mean: the same between neighbours, who are different people.
    """
    similar, others = [], []
    for part in images.split(32):
        faces = from_uint8(part)
        output = encoder(faces)
        drawn = generator.synthesis.finish(output.state, output.w_plus, encoder.feature_resolution).clamp(-1, 1)
        original, again = identity(faces), identity(drawn)
        similar.append(F.cosine_similarity(original, again))
        others.append(F.cosine_similarity(original.roll(1, dims=0), again)[: len(part) if len(part) > 1 else 0])
    one, other = torch.cat(similar), torch.cat(others)
    return {
        "identity_share": (one >= threshold).float().mean().item(), "identity_mean": one.mean().item(),
        "other_share": (other >= threshold).float().mean().item(), "other_mean": other.mean().item(),
    }  # fmt: skip


@torch.no_grad()
def time_once(encoder: Encoder, generator: Generator, runs: int = 25) -> dict[str, float]:
    """Milliseconds (median) that one face, its drawing, and the features of a photo of 3 x 3 faces take."""
    side, r = encoder.resolution, encoder.feature_resolution
    face, photo = torch.zeros(1, 3, side, side), torch.zeros(1, 3, 3 * side, 3 * side)
    output = encoder(face)
    jobs = {
        "encode_ms": lambda: encoder(face),
        "finish_ms": lambda: generator.synthesis.finish(output.state, output.w_plus, r),
        "photo_features_ms": lambda: encoder.features(photo),
    }
    numbers = {}
    for name, job in jobs.items():
        seconds = []
        for _ in range(runs + 2):
            start = time.perf_counter()
            job()
            seconds.append(time.perf_counter() - start)
        numbers[name] = 1000 * float(np.median(seconds[2:]))  # the first two prepare weights and memory
    return numbers


@dataclass(frozen=True)
class EvaluateEncoderConfig:
    """Measure an encoder on faces that it has never seen."""

    dataset_name: str
    """Folder, parquet or Hub data set of aligned faces."""
    model: str | None = None
    """Model folder with generator/ and encoder/, and discriminator/ for the feature distance; None: the default."""
    encoder: str | None = None
    """Folder of the encoder, if it is not in the model folder: `<run>/export`."""
    identity: str | None = None
    """Folder of an identity network, to measure whether the person stays the same."""
    identity_threshold: float = 0.5
    """Cosine similarity of embeddings from which on two pictures show one person; take the network's EER point."""
    split: str = "test"
    """Split to measure on."""
    image_column: str | None = None
    """Column of the pictures; None finds it."""
    num_images: int = 1000
    """Faces to measure on, at most."""
    refine_steps: int = 0
    """Also measure what so many steps of optimisation add; 0: none. Takes about a second a face."""
    output: Path | None = None
    """JSON file for the numbers."""
    grid: Path | None = None
    """PNG: faces, reconstructions, from the code alone, in the look of the next face."""

    def check(self) -> None:
        """Raise ConfigError with all faults at once."""
        faults = []
        if self.num_images < 2:
            faults.append(f"--num_images must be 2 or more, got {self.num_images}")
        if self.refine_steps < 0:
            faults.append(f"--refine_steps must be 0 or more, got {self.refine_steps}")
        if not -1 <= self.identity_threshold <= 1:
            faults.append(f"--identity_threshold is a cosine, from -1 to 1, got {self.identity_threshold}")
        for name in ("output", "grid"):
            path = getattr(self, name)
            if path is not None and not path.parent.is_dir():
                faults.append(f"--{name}: the folder {path.parent} does not exist, make it first")
        faults += ending_faults("--grid", self.grid)
        raise_all(faults, ConfigError)


def run(config: EvaluateEncoderConfig) -> dict[str, float]:
    """Measure as configured, print the numbers and return them."""
    config.check()
    frozen = load_frozen(config.model)
    folder = default_model_folder() if config.model is None else Path(config.model)
    encoder = Encoder.from_pretrained(config.encoder or folder / "encoder").eval()
    check_fit(encoder, frozen.generator)
    options = dict(image_column=config.image_column, limit=config.num_images, face_px=encoder.resolution)
    images = load_faces(config.dataset_name, config.split, **options).images
    numbers: dict[str, float] = {"num_images": len(images), **measure(encoder, frozen, images)}
    if config.refine_steps:
        numbers |= measure_refined(encoder, frozen.generator, images, config.refine_steps)
    if config.identity is not None:
        from gan_space.models.face_identity import FaceIdentity

        identity = FaceIdentity.from_pretrained(config.identity).eval()
        numbers |= {"identity_threshold": config.identity_threshold}
        numbers |= same_person(encoder, frozen.generator, identity, images, config.identity_threshold)
    numbers |= time_once(encoder, frozen.generator) | {"threads": torch.get_num_threads()}
    for name, value in numbers.items():
        print(f"{name:22s} {value:.4g}")
    if config.output is not None:
        config.output.write_text(json.dumps(numbers, indent=1) + "\n")
    if config.grid is not None:
        save_grid(encoder, frozen.generator, images, config.grid)
    return numbers


def check_fit(encoder: Encoder, generator: Generator) -> None:
    """Raise ConfigError unless the encoder speaks of this generator's sizes."""
    synthesis, r = generator.synthesis, encoder.feature_resolution
    channels = synthesis.block(r).conv1.weight.shape[0] if r in synthesis.block_resolutions else None
    wanted = (synthesis.resolution, synthesis.num_ws, synthesis.w_dim, channels)
    got = (encoder.resolution, encoder.config.num_ws, encoder.config.w_dim, encoder.config.feature_channels)
    if wanted != got:
        raise ConfigError(
            f"the encoder is for another generator: resolution, num_ws, w_dim and channels at {r} px are {got}, "
            f"the generator has {wanted}; train one with training/encoder/train.py"
        )


@exit_code
def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    import tyro

    config = tyro.cli(EvaluateEncoderConfig, args=arguments, use_underscores=True)
    keep_freed_memory()
    run(config)


if __name__ == "__main__":
    sys.exit(main())
