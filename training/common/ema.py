"""The moving average of the generator's weights, which is what gets evaluated, exported and shared."""

from __future__ import annotations

import copy

import torch
from torch import nn

from gan_space.nn.modulated import weights_have_changed


def make_ema(model: nn.Module) -> nn.Module:
    """Return a frozen copy in evaluation mode."""
    return copy.deepcopy(model).eval().requires_grad_(False)


@torch.no_grad()
def update_ema(ema: nn.Module, model: nn.Module, decay: float) -> None:
    """Move every parameter of `ema` towards `model`; copy the buffers.

    Buffers are either constant or averages themselves (`w_avg`), so they are taken as they are.
    """
    torch._foreach_lerp_(list(ema.parameters()), [p.detach() for p in model.parameters()], 1 - decay)
    weights_have_changed(ema)
    if buffers := list(ema.buffers()):
        torch._foreach_copy_(buffers, list(model.buffers()))
