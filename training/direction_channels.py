"""Are single style channels better sliders than directions in W? The best of each attribute are tried on faces."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from gan_space.latents.style_channels import (
    StyleChannel,
    StyleStatistics,
    best_channels,
    channel_effects,
    shifted_styles,
    style_layers,
    style_statistics,
)
from gan_space.models.generator import Generator
from gan_space.models.synthesis import SynthesisNetwork
from training.direction_checks import (
    USUAL_ALONG,
    USUAL_SHARE,
    DrawnFaces,
    Judge,
    believed_range,
    measure_direction,
    outward,
)
from training.direction_search import calibration


@dataclass(frozen=True, eq=False)
class StyledFaces:
    """Faces of the generator that move along one style channel; a shift is one number [1], a step of that channel."""

    synthesis: SynthesisNetwork
    w_plus: Tensor
    channel: StyleChannel

    def __len__(self) -> int:
        return len(self.w_plus)

    def draw(self, shift: Tensor, rows: slice) -> Tensor:
        layer, channel = self.channel
        steps = torch.zeros(style_layers(self.synthesis)[layer].weight.shape[0])
        steps[channel] = shift.item()
        with shifted_styles(self.synthesis, {layer: steps}):
            return self.synthesis(self.w_plus[rows], noise_mode="const")


def measure_channels(
    generator: Generator,
    judge: Judge,
    w: Tensor,
    search: DrawnFaces,
    measure: DrawnFaces,
    amounts: tuple[float, ...],
    thresholds: dict[str, float | None],
    count: int,
) -> dict[str, list[dict[str, Any]]]:
    """Find the most promising channels for each attribute by their gradients, and measure them as sliders.

    Args:
        judge: scores and standardises; its scorer is differentiable in the attributes.
        w: [N, w_dim], what is usual.
        search: faces on which channels are chosen and calibrated.
        measure: other faces, on which they are measured.
        amounts: of the sweep.
        thresholds: by attribute, see `success_share`.
        count: channels tried for each attribute.

    Returns:
        By attribute, channels with success, monotone, leak, identity and safe range, best merit first.
    """
    population = judge.population
    names = population.names[: population.num_attributes]
    statistics = style_statistics(generator.synthesis, w)
    mean, deviation = population.mean[: len(names)], population.std[: len(names)]

    def score(images: Tensor) -> Tensor:
        values = judge.scorer(images.clamp(-1, 1)).values
        return (torch.stack([values[name] for name in names], dim=1).double() - mean) / deviation

    effects = channel_effects(generator.synthesis, search.w_plus, score, statistics)
    found: dict[str, list[dict[str, Any]]] = {}
    for target, name in enumerate(names):
        tried = []
        for channel in best_channels(effects, target, count):
            step = statistics.deviation[channel.layer][channel.channel].float()[None]
            step = step * effects[channel.layer][target, channel.channel].sign().float()
            scale = calibration(judge, StyledFaces(generator.synthesis, search.w_plus, channel), step, target, rounds=2)
            if scale is None:
                continue
            vector = scale * step
            sweep = judge.sweep(StyledFaces(generator.synthesis, measure.w_plus, channel), vector, amounts)
            usual = _usual_range(generator.synthesis, channel, vector.item(), measure.w_plus, statistics, amounts)
            safe_range = believed_range(sweep, target, population, usual)
            if safe_range == (0.0, 0.0):
                continue
            measured = measure_direction(sweep, target, population, safe_range, thresholds.get(name))
            record = {"channel": str(channel), **asdict(measured), "leak": measured.leak(name)}
            tried.append(
                record
                | {"deviations": abs(vector.item()) / statistics.deviation[channel.layer][channel.channel].item()}
            )
        found[name] = sorted(tried, key=lambda record: -merit(record))
    return found


def merit(record: dict[str, Any]) -> float:
    """Success minus the largest leak, the person among them."""
    leaks = [abs(value) for value in record["leak"].values()]
    return record["success"] - max([*leaks, record["identity"] or 0.0])


@torch.no_grad()
def _usual_range(
    synthesis: SynthesisNetwork,
    channel: StyleChannel,
    step: float,
    w_plus: Tensor,
    statistics: StyleStatistics,
    amounts: tuple[float, ...],
) -> tuple[float, float]:
    """As far as the channel itself stays within what is usual, on nine faces in ten."""
    affine = style_layers(synthesis)[channel.layer]
    middle = statistics.mean[channel.layer][channel.channel].item()
    reach = USUAL_ALONG * statistics.deviation[channel.layer][channel.channel].item()
    styles = affine(w_plus[:, 0])[:, channel.channel]  # drawn faces have one w in all rows

    def is_usual(amount: float) -> bool:
        return ((styles + amount * step - middle).abs() <= reach).double().mean().item() >= USUAL_SHARE

    return outward(amounts, is_usual)
