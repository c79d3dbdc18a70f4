"""From seeds to codes, and from codes to pictures, in batches that leave no trace in the pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gan_space.images import to_pil
from gan_space.latents.truncation import TruncationCenters
from gan_space.models.generator import Generator
from gan_space.seeding import latents_from_seeds, noise_from_seed

Progress = Callable[[int, int], None]
Pictures = list[Image.Image] | Tensor | np.ndarray


def codes_of_seeds(
    generator: Generator,
    seeds: Sequence[int],
    truncation_psi: float,
    truncation_cutoff: int | None,
    class_numbers: Sequence[int | None],
    centers: TruncationCenters | None = None,
) -> Tensor:
    """Return [N, num_ws, w_dim] of N seeds, truncated towards `centers`, or towards the average face if None.

    Class numbers are read by a generator with classes only.
    """
    config = generator.config
    z = latents_from_seeds(seeds, config.z_dim, generator.device)
    c = None
    if config.c_dim:
        c = torch.nn.functional.one_hot(torch.tensor(class_numbers), config.c_dim).float().to(generator.device)
    if centers is not None:
        return centers.truncate(generator.mapping(z, c), truncation_psi, truncation_cutoff)
    return generator.mapping(z, c, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff)


def draw_codes(
    generator: Generator,
    codes: Tensor,
    seeds: Sequence[int | None],
    *,
    noise_mode: str,
    upscale_factor: int,
    batch_size: int,
    output_type: str,
    callback: Progress | None,
) -> Pictures:
    """Draw codes [N, num_ws, w_dim] as `GenerationPipelineOutput.images` holds them; arguments as in the pipeline."""
    codes = codes.to(generator.device)
    # Random noise must come from the picture's own seed, whatever else is in the batch: so one by one.
    step = 1 if noise_mode == "random" else batch_size
    parts = []
    for start in range(0, len(codes), step):
        batch = codes[start : start + step]
        noise = noise_from_seed(seeds[start]) if noise_mode == "random" else None
        images = generator.synthesis(batch, noise_mode=noise_mode, generator=noise).float()
        parts.append(to_output(images, output_type, upscale_factor))
        if callback is not None:
            callback(min(start + step, len(codes)), len(codes))
    return join_outputs(parts, output_type)


def to_output(images: Tensor, output_type: str, upscale_factor: int) -> Pictures:
    """Turn a batch [N, 3, R, R] in about [-1, 1] into what `GenerationPipelineOutput.images` holds."""
    if output_type == "pt":
        return images.cpu()
    pictures = to_pil(images)
    if output_type == "np":
        return np.stack([np.asarray(picture) for picture in pictures])
    return [enlarge(picture, upscale_factor) for picture in pictures]


def join_outputs(parts: Sequence[Pictures], output_type: str) -> Pictures:
    """Put batches from `to_output` together."""
    if output_type == "pt":
        return torch.cat(list(parts))
    return np.concatenate(parts) if output_type == "np" else [picture for part in parts for picture in part]


def enlarge(picture: Image.Image, factor: int) -> Image.Image:
    """Enlarge a picture `factor` times with a Lanczos filter; the picture itself for 1."""
    if factor == 1:
        return picture
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.LANCZOS)
