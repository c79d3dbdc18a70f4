"""Latents and noise that depend on a seed alone: not on batch size, device, or what was drawn before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from gan_space.errors import InputError
from gan_space.settings import MAX_SEED, brief, is_whole


def check_seed(seed: int) -> int:
    """Return `seed` as an int, or raise InputError unless it is a whole number in [0, 2**32 - 1]."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed <= MAX_SEED:
        raise InputError(f"a seed must be a whole number from 0 to {MAX_SEED}, got {seed!r}")
    return int(seed)


def seed_faults(name: str, seeds: Iterable[object]) -> list[str]:
    """Return one fault for each entry of `seeds` that is no seed."""
    return [
        f"{name} must be whole numbers from 0 to {MAX_SEED}, got {brief(seed)}"
        for seed in seeds
        if not (is_whole(seed) and 0 <= seed <= MAX_SEED)
    ]


def latents_from_seeds(seeds: Sequence[int], z_dim: int, device: torch.device | str = "cpu") -> Tensor:
    """Draw one latent per seed, as every published StyleGAN does, so that known seeds give known pictures.

    Args:
        seeds: N whole numbers in [0, 2**32 - 1].
        z_dim: length of a latent.
        device: where the result is put; the numbers are always drawn on the CPU.

    Returns:
        z: [N, z_dim] float32, standard normal.

    Raises:
        InputError: a seed is out of range.

    Example:
        >>> latents_from_seeds([7], 4).shape
        torch.Size([1, 4])
    """
    rows = [np.random.RandomState(check_seed(seed)).randn(z_dim) for seed in seeds]
    latents = np.stack(rows) if rows else np.empty((0, z_dim))
    return torch.from_numpy(latents.astype(np.float32)).to(device)  # float32 first: MPS has no float64


def noise_from_seed(seed: int) -> torch.Generator:
    """Return a generator for the random noise inputs of one picture, on the CPU so that every device draws the same."""
    return torch.Generator().manual_seed(check_seed(seed))
