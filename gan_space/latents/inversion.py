"""Refining what the encoder says about one face, by a few steps of optimisation; and the losses that measure it.

The encoder answers in one pass and is right on the whole; a mole or an earring it has never seen takes a little
descent on the picture itself (as in PTI, Roich et al. 2021, but on the features instead of the generator's weights, so
the model stays the same for everybody and the codes stay editable).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.errors import InputError, raise_all
from gan_space.models.encoder import EncoderOutput
from gan_space.models.generator import Generator
from gan_space.models.synthesis import SynthesisState

CHARBONNIER_EPS = 1e-2  # below this difference (1.3 grey levels) the loss is quadratic
STRUCTURE_SCALES = 3
STRUCTURE_WEIGHT = 1.0
STATE_UNIT_SHARE = 0.02  # one Adam step of lr 1 moves a feature by this share of its channel's standard deviation
CODE_UNIT_SHARE = 0.02  # the same for w_plus, in standard deviations of its numbers
STAY_WEIGHT = 0.01  # pull back towards the encoder's answer: far from it, edits stop working

Callback = Callable[[int, int, float], bool | None]


class Refined(NamedTuple):
    """What `refine` gives back."""

    output: EncoderOutput  # without gradients, in float32
    error_map: Tensor  # [N, 1, R, R] in [0, 2], what was lost: see `error_map`
    losses: list[float]  # before the first step, then after each


def charbonnier(images: Tensor, targets: Tensor, eps: float = CHARBONNIER_EPS) -> Tensor:
    """Return a smooth absolute difference (Charbonnier et al. 1994): [N, ...], [N, ...] -> [N], 0 where equal."""
    squares = (images.float() - targets.float()).square()
    return ((squares + eps**2).sqrt() - eps).flatten(1).mean(dim=1)


def structure_distance(images: Tensor, targets: Tensor, scales: int = STRUCTURE_SCALES) -> Tensor:
    """Say how far edges are apart at several scales: mean absolute difference of the gradients, [N].

    Args:
        images, targets: [N, C, H, W], H and W at least 2 ** scales.
        scales: the picture itself, then halved each time.
    """
    difference = images.float() - targets.float()  # gradients are linear, so one pass does for both
    total = difference.new_zeros(len(difference))
    for scale in range(scales):
        across = (difference[..., 1:] - difference[..., :-1]).abs().flatten(1).mean(dim=1)
        down = (difference[..., 1:, :] - difference[..., :-1, :]).abs().flatten(1).mean(dim=1)
        total = total + across + down
        if scale + 1 < scales:
            difference = F.avg_pool2d(difference, 2)
    return total / (2 * scales)


def error_map(images: Tensor, targets: Tensor) -> Tensor:
    """Average the difference over the colours, pixel by pixel: [N, C, H, W] twice, in [-1, 1] -> [N, 1, H, W]."""
    return (images.float().clamp(-1, 1) - targets.float()).abs().mean(dim=1, keepdim=True)


def refine(
    generator: Generator,
    output: EncoderOutput,
    images: Tensor,
    num_steps: int = 60,
    *,
    lr: float = 1.0,
    stay_weight: float = STAY_WEIGHT,
    callback: Callback | None = None,
) -> Refined:
    """Improve w_plus and the state of faces by gradient descent (Adam, cosine decay) on the picture itself.

    Args:
        generator: its weights are not changed.
        output: of the encoder for `images`; not changed.
        images: [N, 3, R, R] in [-1, 1].
        num_steps: Adam steps; 0 only measures.
        lr: 1 moves features and code by up to 2 % of their spread a step.
        stay_weight: how strongly the result is held near `output`.
        callback: called as callback(step, num_steps, loss) after each step, step from 1; returning False stops, and
            what was reached so far is returned.

    Returns:
        For each picture the best of all steps, never worse than `output` itself. Pictures of a batch come out as each
        would alone.

    Raises:
        InputError: shapes that do not fit, or settings out of range; all faults at once.

    Example:
        >>> from gan_space import Generator
        >>> generator = Generator(16, z_dim=4, w_dim=4, channel_base=64, use_noise=False)
        >>> w_plus = generator.mapping(torch.randn(1, 4)).detach()
        >>> state = SynthesisState(torch.zeros(1, 8, 8, 8), torch.zeros(1, 3, 8, 8))
        >>> refined = refine(generator, EncoderOutput(w_plus, state), torch.zeros(1, 3, 16, 16), num_steps=3)
        >>> len(refined.losses), refined.error_map.shape
        (4, torch.Size([1, 1, 16, 16]))
    """
    _check_refine(generator, output, images, num_steps, lr, stay_weight)
    resolution = output.state.x.shape[-1]
    start = [part.detach().float() for part in (output.w_plus, *output.state)]
    units = _units(generator, start)
    # Every number is optimised in units of its own spread, so that one learning rate fits all.
    moves = [torch.zeros_like(part, requires_grad=True) for part in start]
    optimizer = torch.optim.Adam(moves, lr=lr, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(num_steps, 1), eta_min=lr / 10)
    was_trainable = [parameter.requires_grad for parameter in generator.parameters()]
    generator.requires_grad_(False)  # no gradient of the weights: half of the work
    best_fit, best, losses = images.new_full([len(images)], float("inf")), [move.detach().clone() for move in moves], []
    try:
        with torch.enable_grad():
            for step in range(num_steps + 1):
                w_plus, x, rgb = (part + unit * move for part, unit, move in zip(start, units, moves, strict=True))
                drawn = generator.synthesis.finish(SynthesisState(x, rgb), w_plus, resolution)
                fit = charbonnier(drawn, images) + STRUCTURE_WEIGHT * structure_distance(drawn, images)
                # In units of a step: 1 / share of a standard deviation.
                stay = sum((move * CODE_UNIT_SHARE).square().mean() for move in moves)
                losses.append(fit.mean().item())
                better = fit.detach() < best_fit
                best_fit = torch.where(better, fit.detach(), best_fit)
                for kept, move in zip(best, moves, strict=True):
                    kept[better] = move.detach()[better]
                stopped = step > 0 and callback is not None and callback(step, num_steps, losses[-1]) is False
                if stopped or step == num_steps:
                    break
                optimizer.zero_grad(set_to_none=True)
                (fit.sum() + stay_weight * len(images) * stay).backward()
                optimizer.step()
                schedule.step()
    finally:
        for parameter, trainable in zip(generator.parameters(), was_trainable, strict=True):
            parameter.requires_grad_(trainable)
    w_plus, x, rgb = (part + unit * move for part, unit, move in zip(start, units, best, strict=True))
    refined = EncoderOutput(w_plus, SynthesisState(x, rgb))
    with torch.no_grad():
        lost = error_map(generator.synthesis.finish(refined.state, w_plus, resolution), images)
    return Refined(refined, lost, losses)


def _units(generator: Generator, start: list[Tensor]) -> list[Tensor]:
    """How far one step may go, for each picture: w_plus, each channel of the features, the picture so far."""
    w_plus, x, rgb = start
    spread = (w_plus - generator.mapping.w_avg).square().mean(dim=(1, 2), keepdim=True).sqrt()
    std = x.std(dim=(2, 3), keepdim=True)
    # What is all but constant must still be free to move.
    std = torch.maximum(std, 0.1 * std.mean(dim=1, keepdim=True)).clamp(min=1e-3)
    return [CODE_UNIT_SHARE * spread.clamp(min=1e-3), STATE_UNIT_SHARE * std, rgb.new_tensor(STATE_UNIT_SHARE)]


def _check_refine(
    generator: Generator, output: EncoderOutput, images: Tensor, num_steps: int, lr: float, stay_weight: float
) -> None:
    faults, synthesis, count = [], generator.synthesis, len(images)
    side = synthesis.resolution
    if images.ndim != 4 or images.shape[1:] != (generator.config.img_channels, side, side):
        faults.append(f"images must be aligned faces [N, 3, {side}, {side}], got {list(images.shape)}")
    resolution = output.state.x.shape[-1]
    if output.state.x.shape[-2] != resolution or resolution not in synthesis.block_resolutions[:-1]:
        faults.append(
            f"the state must be of an aligned face, r x r features with r one of {synthesis.block_resolutions[:-1]}, "
            f"got {list(output.state.x.shape)}"
        )
    if list(output.w_plus.shape) != [count, synthesis.num_ws, synthesis.w_dim] or len(output.state.x) != count:
        faults.append(
            f"w_plus must be [{count}, {synthesis.num_ws}, {synthesis.w_dim}] and the state of {count} faces, "
            f"got {list(output.w_plus.shape)} and {len(output.state.x)}"
        )
    if num_steps < 0 or lr <= 0 or stay_weight < 0:
        faults.append(
            f"num_steps and stay_weight must be 0 or more and lr more than 0, got {num_steps}, {stay_weight}, {lr}"
        )
    raise_all(faults, InputError)
