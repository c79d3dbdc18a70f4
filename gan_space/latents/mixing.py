"""Mixing and interpolating codes in W+: plain functions of tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gan_space.errors import InputError
from gan_space.latents.layers import parse_layers


def mix_styles(w_plus: Tensor, style_w_plus: Tensor, layers: str | Sequence[int]) -> Tensor:
    """Take the rows in `layers` from another code (style mixing, Karras et al. 2019, section 3.1).

    Args:
        w_plus: [N, num_ws, w_dim], keeps all other rows; not changed.
        style_w_plus: [N or 1, num_ws, w_dim], gives the rows in `layers`.
        layers: see `parse_layers`, for example "middle+fine".

    Returns:
        [N, num_ws, w_dim].
    """
    if w_plus.shape[1:] != style_w_plus.shape[1:] or len(style_w_plus) not in (1, len(w_plus)):
        raise InputError(f"cannot mix codes of shapes {list(w_plus.shape)} and {list(style_w_plus.shape)}")
    rows = list(parse_layers(layers, w_plus.shape[1]))
    mixed = w_plus.clone()
    mixed[:, rows] = style_w_plus[:, rows]
    return mixed


def interpolation_positions(num_keys: int, frames_between: int, loop: bool) -> list[tuple[int, int, float]]:
    """Return the frames of a walk through `num_keys` stops, as (from stop, to stop, position in [0, 1)).

    `frames_between` frames stand between two stops, so one leg takes frames_between + 1 frames. With `loop` the walk
    returns to the first stop, whose frame is not shown twice; without, it ends on the last stop.

    Example:
        >>> interpolation_positions(2, frames_between=1, loop=False)
        [(0, 1, 0.0), (0, 1, 0.5), (1, 1, 0.0)]
    """
    if num_keys < 1 or frames_between < 0:
        raise InputError(f"expected 1 or more stops and 0 or more frames between, got {num_keys} and {frames_between}")
    if num_keys == 1:
        return [(0, 0, 0.0)]
    steps = frames_between + 1
    legs = num_keys if loop else num_keys - 1
    frames = [(leg, (leg + 1) % num_keys, step / steps) for leg in range(legs) for step in range(steps)]
    return frames if loop else [*frames, (num_keys - 1, num_keys - 1, 0.0)]


def lerp_codes(start: Tensor, end: Tensor, position: float) -> Tensor:
    """Follow a straight line in W+ from `start` (position 0) to `end` (position 1); W is near linear, unlike Z."""
    return torch.lerp(start, end, position)
