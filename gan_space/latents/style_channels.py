"""Single channels of style space (StyleSpace, Wu et al. 2021): what one number in front of one layer changes.

A style is what a layer's affine makes of its row of w_plus, one number a channel; the layers of a network have some
hundred to thousand of them. They move far less together than the coordinates of W do. A step of one channel is no
direction in W+ where a layer has more channels than W has dimensions, so it is applied to the styles themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from gan_space.errors import InputError, raise_all
from gan_space.models.synthesis import SynthesisNetwork


class StyleChannel(NamedTuple):
    """One channel of one layer."""

    layer: str  # such as "b16.conv0"
    channel: int

    def __str__(self) -> str:
        return f"{self.layer}:{self.channel}"


class StyleStatistics(NamedTuple):
    """What is usual in style space; by layer, [C] float64 each."""

    mean: dict[str, Tensor]
    deviation: dict[str, Tensor]


def style_layers(synthesis: SynthesisNetwork) -> dict[str, nn.Module]:
    """The affine of every layer by the layer's name, in the order in which they draw."""
    names = [name for name, _ in synthesis.named_modules() if name.endswith(".affine")]
    return {name.removesuffix(".affine"): synthesis.get_submodule(name) for name in names}


@contextmanager
def shifted_styles(synthesis: SynthesisNetwork, shifts: Mapping[str, Tensor]) -> Iterator[None]:
    """While it is open, every drawing has `shifts` added to its styles; not for networks that threads share.

    Args:
        synthesis: whose styles move.
        shifts: by layer, [C] or [N, C].

    Raises:
        InputError: a layer that the network lacks, or a shift of another width; all faults at once.
    """
    layers = style_layers(synthesis)
    faults = [f"no layer {name!r}; there are {', '.join(layers)}" for name in shifts if name not in layers]
    faults += [
        f"layer {name} has {layers[name].weight.shape[0]} styles, got a shift {list(shift.shape)}"
        for name, shift in shifts.items()
        if name in layers and shift.shape[-1] != layers[name].weight.shape[0]
    ]
    raise_all(faults, InputError)
    handles = [
        layers[name].register_forward_hook(lambda _, inputs, styles, shift=shift: styles + shift.to(styles))
        for name, shift in shifts.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@torch.no_grad()
def style_statistics(synthesis: SynthesisNetwork, w: Tensor) -> StyleStatistics:
    """Mean and deviation of every channel over w [N, w_dim]; N of 3 or more."""
    if w.ndim != 2 or len(w) < 3:
        raise InputError(f"expected 3 or more codes [N, w_dim], got {list(w.shape)}")
    styles = {name: affine(w).double() for name, affine in style_layers(synthesis).items()}
    return StyleStatistics(
        {name: value.mean(dim=0) for name, value in styles.items()},
        {name: value.std(dim=0) for name, value in styles.items()},
    )


def channel_effects(
    synthesis: SynthesisNetwork,
    w_plus: Tensor,
    score: Callable[[Tensor], Tensor],
    statistics: StyleStatistics,
    batch_size: int = 8,
) -> dict[str, Tensor]:
    """By how much each score changes while a channel moves by its own deviation: the mean gradient over faces.

    One backward pass a score tells it of all channels at once; steps of a whole deviation may do something else, so
    what looks good is to be tried.

    Args:
        synthesis: in evaluation mode.
        w_plus: [N, num_ws, w_dim] of the faces.
        score: of images [n, 3, R, R], differentiable: [n, K].
        statistics: of the styles.
        batch_size: faces drawn at once.

    Returns:
        By layer, [K, C] float64.
    """
    layers = style_layers(synthesis)
    total = {name: torch.zeros(0) for name in layers}
    with torch.enable_grad():
        for batch in w_plus.split(batch_size):
            shifts = {
                name: torch.zeros(len(batch), affine.weight.shape[0], device=batch.device, requires_grad=True)
                for name, affine in layers.items()
            }
            with shifted_styles(synthesis, shifts):
                scores = score(synthesis(batch, noise_mode="const").float())
            found: dict[str, list[Tensor]] = {name: [] for name in layers}
            for number in range(scores.shape[1]):
                gradients = torch.autograd.grad(scores[:, number].sum(), list(shifts.values()), retain_graph=True)
                for name, gradient in zip(layers, gradients, strict=True):
                    found[name].append(gradient.sum(dim=0).double().cpu())
            for name, rows in found.items():
                stacked = torch.stack(rows)
                total[name] = stacked if not len(total[name]) else total[name] + stacked
    return {name: value / len(w_plus) * statistics.deviation[name].cpu() for name, value in total.items()}


def best_channels(effects: Mapping[str, Tensor], target: int, count: int, least: float = 0.02) -> list[StyleChannel]:
    """The channels that move one score most beside what they move of the others.

    Args:
        effects: see `channel_effects`, of standardised scores.
        target: number of the score.
        count: how many at most.
        least: deviations that the channel must move the score by.

    Returns:
        Those with the largest |own| - largest |other|, best first.
    """
    ranked = []
    for layer, values in effects.items():
        own = values[target].abs()
        others = values.clone()
        others[target] = 0
        merit = own - others.abs().amax(dim=0)
        for channel in torch.nonzero(own >= least).flatten().tolist():
            ranked.append((merit[channel].item(), StyleChannel(layer, channel)))
    ranked.sort(key=lambda pair: -pair[0])
    return [channel for _, channel in ranked[:count]]
