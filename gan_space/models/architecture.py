"""Sizes that generator and discriminator share."""

from __future__ import annotations

import math

from gan_space.errors import ConfigError, raise_all
from gan_space.settings import least_faults

MIN_RESOLUTION, MAX_RESOLUTION = 16, 1024


def channels_at(resolution: int, channel_base: int, channel_max: int) -> int:
    """Return the number of feature maps at a resolution: halves with every octave, at most `channel_max`."""
    return min(channel_base // resolution, channel_max)


def block_resolutions(resolution: int) -> list[int]:
    """Return [4, 8, …, resolution]."""
    return [2**octave for octave in range(2, int(math.log2(resolution)) + 1)]


def check_architecture(resolution: int, channel_base: int, channel_max: int, **dims: int) -> None:
    """Raise one ConfigError with all faults of a network's size."""
    faults = []
    if resolution not in [2**octave for octave in range(4, 11)]:
        faults.append(f"resolution must be a power of two from {MIN_RESOLUTION} to {MAX_RESOLUTION}, got {resolution}")
    elif channels_at(resolution, channel_base, channel_max) < 1:
        faults.append(f"channel_base {channel_base} leaves no channel at {resolution} px; use {resolution} or more")
    raise_all(faults + least_faults(1, dims), ConfigError)
