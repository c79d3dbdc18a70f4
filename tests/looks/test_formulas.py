"""The formulas that packs learned, against slow and obvious code."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gan_space.images import luminance
from gan_space.looks.drawing import blocks
from tests.looks.painted_face import portrait
from training.packs import looks


def slow_blur(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """Sum over a whole Gaussian window, pixel by pixel, in float64."""
    sigma = sigma * x.shape[-1]
    radius = int(np.ceil(2.5 * sigma))
    offsets = torch.arange(-radius, radius + 1).double()
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = torch.outer(kernel, kernel)
    padded = F.pad(x.double(), [radius] * 4, mode="reflect")
    windows = padded.unfold(2, 2 * radius + 1, 1).unfold(3, 2 * radius + 1, 1)
    return (windows * (kernel / kernel.sum())).sum(dim=(-2, -1))


def faces(px: int = 64) -> torch.Tensor:
    """Two faces in the tight frame, [2, 3, px, px] in [0, 1]."""
    cut = [marks[0].transform.crop(pixels, px) for pixels, marks in (portrait(256, 200), portrait(256, 70))]
    return (torch.cat([one.view(1, 3, px, px) for one in cut]) + 1) / 2


@pytest.mark.parametrize(("sigma", "far"), [(0.02, 1e-5), (0.08, 1e-5), (0.15, 0.025)])
def test_blur_is_the_gaussian(sigma, far):
    x = faces()
    assert (blocks.blur(x, sigma) - slow_blur(x, sigma)).abs().max() < far


def test_even_light_makes_dark_and_bright_photos_alike():
    y = luminance(faces())
    for one in (y, 0.4 * y, 0.5 + 0.5 * y):
        assert torch.allclose(blocks.even_light(one).mean(dim=[2, 3]), torch.tensor(0.52), atol=0.03)


def test_smooth_is_the_guided_filter():
    x, sigma, edge = faces(), 0.03, 0.07
    guide = luminance(x)
    mean_guide, mean_x = slow_blur(guide, sigma), slow_blur(x, sigma)
    slope = slow_blur(guide * x, sigma) - mean_guide * mean_x
    slope = slope / (slow_blur(guide * guide, sigma) - mean_guide**2 + edge**2)
    expected = slow_blur(slope, sigma) * guide + slow_blur(mean_x - slope * mean_guide, sigma)
    assert (blocks.smooth(x, sigma, edge) - expected).abs().max() < 1e-4
    wide = F.interpolate(x, scale_factor=4, mode="bilinear")  # where slope and offset are found on a smaller picture
    assert (blocks.smooth(wide, sigma, edge)[..., ::4, ::4] - expected[..., :, :]).abs().mean() < 0.02


def test_the_formulas_are_those_that_packs_learned():
    """Pencil, poster and duotone written out once more from slow parts."""
    x = faces()
    y = luminance(x).double()
    mean, std = y.mean(dim=(2, 3), keepdim=True), y.std(dim=(2, 3), keepdim=True)

    def even(mid, spread):
        return ((y - mean) / std * spread + mid).clamp(0, 1)

    def step(v, low, high):
        t = ((v - low) / (high - low)).clamp(0, 1)
        return 3 * t**2 - 2 * t**3

    def between(v, low, high):
        low, high = (torch.tensor(c).double().view(1, 3, 1, 1) / 255 for c in (low, high))
        return low + v * (high - low)

    light = even(0.52, 0.23)
    dodge = (light / slow_blur(light, 0.025).clamp(min=0.05)).clamp(0, 1) ** 2
    stroke = (7 * (slow_blur(light, 1.6 * 0.008) - slow_blur(light, 0.008) - 0.008)).clamp(0, 1)
    shade = 0.68 + 0.32 * step(slow_blur(light, 0.012), 0.08, 0.62)
    pencil = between(dodge * shade * (1 - 0.6 * stroke), (38, 38, 42), (250, 250, 248))
    assert _apart("pencil", x, pencil) < 2e-4

    tone = 0.5 * y + 0.5 * even(0.5, 0.24)
    inks = [(0, (28, 12, 74)), (0.3, (92, 24, 120)), (0.6, (238, 86, 96)), (1, (255, 236, 180))]
    duotone = torch.zeros_like(x).double()
    for (low, one), (high, other) in pairwise(inks):
        here = between(((tone - low) / (high - low)).clamp(0, 1), one, other)
        duotone = torch.where(tone >= low, here, duotone)
    assert _apart("duotone", x, duotone) < 2e-4


def _apart(name: str, x: torch.Tensor, expected: torch.Tensor) -> float:
    rendered = (looks.render_look(name, 2 * x - 1) + 1) / 2
    return (rendered - expected.clamp(0, 1)).abs().max().item()
