"""CIE Lab, where a distance is about what an eye sees, and the colour statistics that a look is matched by."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

# sRGB (IEC 61966-2-1) to XYZ, white D65, each row divided by the white's value.
_TO_XYZ = torch.tensor(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_TO_XYZ = _TO_XYZ / _TO_XYZ.sum(dim=1, keepdim=True)
_FROM_XYZ = torch.linalg.inv(_TO_XYZ.double()).float()
_EPSILON, _KAPPA = 216 / 24389, 24389 / 27  # where the cube root becomes a line
MAX_GAIN = 3.0  # matching stretches no colours by more, nor squeezes lightness by less than one over it
MIN_DEVIATION = 1.0  # of L; below, a picture has one lightness and no contrast to be stretched
KNOTS = 17  # of the curves of a and b


class Palette(NamedTuple):
    """What colours a picture has: mean and deviation of L [2], quantiles of a and b at `KNOTS` even shares [2, K]."""

    lightness: Tensor
    chroma: Tensor


def rgb_to_lab(images: Tensor) -> Tensor:
    """Map [N, 3, H, W] sRGB in [-1, 1], values outside clipped -> L in [0, 100], a and b in about [-100, 100]; float32.

    Example:
        >>> rgb_to_lab(torch.ones(1, 3, 1, 1)).flatten().round().abs().tolist()
        [100.0, 0.0, 0.0]
    """
    linear = _linear(images)
    xyz = torch.einsum("ij,njhw->nihw", _TO_XYZ.to(linear), linear)
    x, y, z = _root(xyz).unbind(dim=1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def rgb_to_lightness(images: Tensor) -> Tensor:
    """Return only the L of `rgb_to_lab`, [N, 1, H, W], in a third of the time."""
    red, green, blue = _linear(images).split(1, dim=1)
    weights = _TO_XYZ[1].tolist()
    return 116 * _root(weights[0] * red + weights[1] * green + weights[2] * blue) - 16


def _linear(images: Tensor) -> Tensor:
    rgb = (images.float().clamp(-1, 1) + 1) / 2
    return torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _root(xyz: Tensor) -> Tensor:
    return torch.where(xyz > _EPSILON, xyz.clamp(min=_EPSILON) ** (1 / 3), (_KAPPA * xyz + 16) / 116)


def lab_to_rgb(lab: Tensor, clip: bool = True) -> Tensor:
    """Return the inverse of `rgb_to_lab`; colours that sRGB lacks are clipped to [-1, 1], or lie outside of it."""
    lightness, a, b = lab.unbind(dim=1)
    y = (lightness + 16) / 116
    f = torch.stack([y + a / 500, y, y - b / 200], dim=1)
    xyz = torch.where(f**3 > _EPSILON, f**3, (116 * f - 16) / _KAPPA)
    linear = torch.einsum("ij,njhw->nihw", _FROM_XYZ.to(xyz), xyz)
    linear = linear.clamp(0, 1) if clip else linear
    rgb = torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055)
    return rgb * 2 - 1


def palette(lab: Tensor) -> Palette:
    """Measure the colours of a picture [1, 3, H, W] in Lab."""
    lightness, *chroma = lab[0].flatten(1).double()
    shares = torch.linspace(0, 1, KNOTS, dtype=torch.float64, device=lab.device)
    # Sorted by hand: torch.quantile refuses more than 16 million values.
    places = (shares * (len(lightness) - 1)).round().long()
    quantiles = [values.sort().values[places] for values in chroma]
    return Palette(torch.stack([lightness.mean(), lightness.std(correction=0)]), torch.stack(quantiles))


def match_palette(lab: Tensor, source: Palette, target: Palette, *, lightness_only: bool = False) -> Tensor:
    """Move colours so that the palette `source` becomes `target`.

    L takes on mean and deviation, as in Reinhard et al. 2001. a and b go through curves that take quantiles to
    quantiles (histogram matching), so that a look's second and third colour arrive too; light and dark stay out of it.

    Args:
        lab: [N, 3, H, W]; may be a larger picture than the one that was measured.
        source: what `lab` has now, `target`: what it shall have.
        lightness_only: leave a and b.
    """
    mean, deviation = source.lightness.tolist()
    new_mean, new_deviation = target.lightness.tolist()
    gain = (new_deviation + MIN_DEVIATION) / (deviation + MIN_DEVIATION)
    lightness = (lab[:, :1] - mean) * min(max(gain, 1 / MAX_GAIN), MAX_GAIN) + new_mean
    if lightness_only:
        return torch.cat([lightness, lab[:, 1:]], dim=1)
    curves = zip(lab[:, 1:].split(1, dim=1), source.chroma, target.chroma, strict=True)
    return torch.cat([lightness, *(_through_curve(values, *knots) for values, *knots in curves)], dim=1)


def _through_curve(values: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Piecewise linear from knots `start` [K] to `end` [K], shifted beyond them; no piece steeper than `MAX_GAIN`."""
    # From the median outwards, so that what is cut off a steep piece is missing at the ends and not in the middle.
    middle = len(start) // 2
    steps = torch.minimum(end.diff(), MAX_GAIN * start.diff())
    end = torch.cat([end[middle] - steps[:middle].flip(0).cumsum(0).flip(0), end[middle : middle + 1],
                     end[middle] + steps[middle:].cumsum(0)])  # fmt: skip
    start, end = start.to(values), end.to(values)
    piece = torch.searchsorted(start, values.contiguous()).clamp(1, len(start) - 1)
    low, high = start[piece - 1], start[piece]
    along = ((values - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
    inside = torch.lerp(end[piece - 1], end[piece], along)
    return inside + (values - values.clamp(float(start[0]), float(start[-1])))
