"""Grey as an eye would draw it: red skin is no shadow, and lips are darker than what is around them.

A luminance weighs red little: blush and sunburn would stand as grey patches in drawings of one tone, while lips that
are told from skin by their red alone would be lost.
"""

from __future__ import annotations

from torch import Tensor

from gan_space.images import luminance
from gan_space.looks.drawing.blocks import blur

_WEIGHT = 0.7  # of green and blue in a luminance, which is what red pigment takes
_LIPS = 0.8  # of the light of the skin, which lips have at most
_NEAR, _WIDE = 0.3, 1.0  # units; around a mouth, and over a whole face


def level_redness(x: Tensor, skin: Tensor, lips: Tensor, unit: float) -> tuple[Tensor, Tensor]:
    """Return what to add to the luminance of flushed skin, and what to take from lips, each [1, 1, h, w].

    Args:
        x: [1, 3, h, w] in [0, 1]; may be small, as what is returned changes slowly.
        skin, lips: [1, 1, h, w] in [0, 1].
        unit: in their pixels.
    """
    red, green, _ = x.split(1, dim=1)
    share = (red - green) / red.clamp(min=0.05)
    own = _mean(share, skin, _WIDE, unit)
    spread = _mean((share - own).abs(), skin, _WIDE, unit)
    flushed = _WEIGHT * red * (share - own - 0.3 * spread).clamp_(min=0) * skin
    y = luminance(x)
    around, mouth = _mean(y, skin, _NEAR, unit), _mean(y, lips, _NEAR, unit)
    return flushed, (mouth - _LIPS * around).clamp_(min=0)


def _mean(x: Tensor, where: Tensor, sigma: float, unit: float) -> Tensor:
    """Mean over a mask around each place."""
    return blur(x * where, sigma, unit) / blur(where, sigma, unit).clamp(min=1e-3)
