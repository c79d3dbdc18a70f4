"""One step down the losses of a pack that is tuned; profiles and style packs share it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

MAX_GRAD_NORM = 10.0


def descend(
    losses: Mapping[str, Tensor], weights: object, trained: Sequence[Tensor], optimizer: torch.optim.Optimizer
) -> None:
    """Move what is trained one step down the weighted sum of the losses.

    Args:
        losses: name -> number, with gradients to `trained`.
        weights: settings with a weight of each name.
    """
    with torch.enable_grad():
        loss = sum(getattr(weights, name) * part for name, part in losses.items())
    gradients = torch.autograd.grad(loss, trained)
    for tensor, gradient in zip(trained, gradients, strict=True):
        tensor.grad = gradient
    nn.utils.clip_grad_norm_(trained, MAX_GRAD_NORM)
    optimizer.step()


def wants_preview(done: int, every: int, total: int) -> bool:
    """Tell whether a preview is due after `done` of `total` steps: every so many, and after the last; 0: never."""
    return every > 0 and (done % every == 0 or done == total)
