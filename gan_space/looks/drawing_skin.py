"""Hold the lightness of skin in drawings that keep its colour: paper and chalk must not make a dark face lighter.

One curve does it for skin, hair and ground, so that a neck goes with its face and nothing has a halo: odds y / (1 - y)
of the luminance are divided by one number, which leaves black and white where they are, and shadows open.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from gan_space.images import luminance
from gan_space.looks.drawing_blocks import blur, ramp, resize
from gan_space.looks.drawing_canvas import Canvas
from gan_space.output.lab import rgb_to_lightness

_CELL = 0.02  # units, of the small picture on which the curve is found
_WIDE = 1.0  # units, over which one face's curve goes over into another's
_ROUNDS = 4


@dataclass(frozen=True)
class _Skin:
    """Skin of the faces on the small picture, [1, 1, h, w] in [0, 1], and its lightness in the photo."""

    skin: Tensor
    wide: Tensor
    wanted: Tensor
    unit: float

    @classmethod
    def of(cls, c: Canvas) -> _Skin | None:
        """Find it; None where there is none."""
        size = tuple(math.ceil(side / max(1.0, _CELL * c.unit)) for side in c.size)
        skin = resize(c.shrunk.skin, size) if c.faces else torch.zeros(1)
        if float(skin.sum()) < 4:
            return None
        unit = c.unit * size[1] / c.size[1]
        photo = lightness(resize(c.x, size))
        all_of_it = cls(skin, blur(skin, _WIDE, unit), photo, unit)
        # A beard gets lighter on paper, and is no skin.
        skin = skin * ramp(photo / all_of_it.mean(photo).clamp(min=0.01), 0.55, 0.8)
        bare = cls(skin, blur(skin, _WIDE, unit), photo, unit)
        return replace(bare, wanted=bare.mean(photo))

    def mean(self, light: Tensor) -> Tensor:
        """Average over the skin of the nearest face, everywhere."""
        weighted = self.skin * light
        return (blur(weighted, _WIDE, self.unit) + 1e-4 * weighted.mean()) / (self.wide + 1e-4 * self.skin.mean())


def hold_skin(c: Canvas, drawn: Tensor) -> Tensor:
    """Give the skin of every face back the mean lightness that it has in the photo.

    Args:
        c: what the drawing was made from; without faces nothing changes.
        drawn: [1, 3, h, w] in [0, 1], at any size.
    """
    drawn, found = drawn.clamp(0, 1), c.once("skin", _Skin.of)
    if found is None:
        return drawn
    divisor = find_divisor(resize(drawn, tuple(found.skin.shape[-2:])), found.wanted, found.mean)
    return divide_odds(drawn, resize(divisor, tuple(drawn.shape[-2:])))


def find_divisor(drawn: Tensor, wanted: Tensor, mean: Callable[[Tensor], Tensor]) -> Tensor:
    """Find by what to divide the odds of a drawing so that the mean of its lightness is what is wanted.

    Args:
        drawn: [N, 3, h, w] in [0, 1].
        wanted: what `mean` gives for lightness [N, 1, h, w] in [0, 1].
    """
    divisor = torch.ones_like(wanted)
    for _ in range(_ROUNDS):
        seen = mean(lightness(divide_odds(drawn, divisor)))
        divisor = divisor * (_odds(seen) / _odds(wanted)).clamp(0.4, 2.5)
    return divisor


def divide_odds(x: Tensor, divisor: Tensor) -> Tensor:
    """Make y / (1 - y) of the luminance of [N, 3, H, W] smaller by a divisor; colours go a third of the way."""
    y = luminance(x)
    shifted = y / (y + divisor * (1 - y)).clamp_(min=1e-6)
    return (shifted + (shifted / y.clamp(min=1e-3)).clamp_(max=1.5).pow_(0.3) * (x - y)).clamp_(0, 1)


def lightness(x: Tensor) -> Tensor:
    """CIE L* in [0, 1] of [N, 3, H, W] in [0, 1]; [N, 1, H, W]."""
    return rgb_to_lightness(2 * x - 1) / 100


def _odds(v: Tensor) -> Tensor:
    v = v.clamp(0.03, 0.97)
    return v / (1 - v)
