"""What is measured of an encoder, while it is trained and afterwards."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.errors import ConfigError
from gan_space.images import from_uint8
from gan_space.latents.inversion import refine
from gan_space.models.encoder import Encoder
from gan_space.models.generator import Generator
from training.common.model_bundle import ModelBundle
from training.common.samples import save_samples
from training.encoder.losses import code_distance, code_excess, draw_samples, feature_distance, ms_ssim, psnr

GRID_FACES = 10


@torch.no_grad()
def measure(
    encoder: Encoder, frozen: ModelBundle, images: Tensor, seed: int = 0, batch_size: int = 32
) -> dict[str, float]:
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
    """Save four rows: faces, reconstructions, what the codes alone draw, and each face in the look of the next one."""
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
    """Say how often face and reconstruction are the same person for an identity network.

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
    """Return milliseconds (median) that one face, its drawing, and the features of a photo of 3 x 3 faces take."""
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
