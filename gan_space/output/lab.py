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
MAX_GAIN = 2.0  # colour matching stretches no axis by more, nor shrinks it by less than one over it
MIN_VARIANCE = 1.0  # Lab units squared; below, a colour is a constant and its direction means nothing


class ColorStatistics(NamedTuple):
    """Mean [3] and covariance [3, 3] of L, a and b, float64."""

    mean: Tensor
    covariance: Tensor


def rgb_to_lab(images: Tensor) -> Tensor:
    """[N, 3, H, W] sRGB in [-1, 1], values outside clipped -> L in [0, 100], a and b in about [-100, 100]; float32.

    Example:
        >>> rgb_to_lab(torch.ones(1, 3, 1, 1)).flatten().round().abs().tolist()
        [100.0, 0.0, 0.0]
    """
    rgb = (images.float().clamp(-1, 1) + 1) / 2
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = torch.einsum("ij,njhw->nihw", _TO_XYZ.to(linear), linear)
    f = torch.where(xyz > _EPSILON, xyz.clamp(min=_EPSILON) ** (1 / 3), (_KAPPA * xyz + 16) / 116)
    x, y, z = f.unbind(dim=1)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=1)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Inverse of `rgb_to_lab`; colours that sRGB lacks are clipped to [-1, 1]."""
    lightness, a, b = lab.unbind(dim=1)
    y = (lightness + 16) / 116
    f = torch.stack([y + a / 500, y, y - b / 200], dim=1)
    xyz = torch.where(f**3 > _EPSILON, f**3, (116 * f - 16) / _KAPPA)
    linear = torch.einsum("ij,njhw->nihw", _FROM_XYZ.to(xyz), xyz).clamp(0, 1)
    rgb = torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055)
    return rgb * 2 - 1


def color_statistics(lab: Tensor, weight: Tensor | None = None) -> ColorStatistics:
    """Weighted mean and covariance of all pixels.

    Args:
        lab: [1, 3, H, W].
        weight: [H, W] of 0 or more; None: all pixels alike.
    """
    pixels = lab[0].flatten(1).double()  # [3, P]
    share = torch.ones_like(pixels[0]) if weight is None else weight.flatten().to(pixels)
    share = share / share.sum()
    mean = (pixels * share).sum(dim=1)
    centered = pixels - mean[:, None]
    return ColorStatistics(mean, (centered * share) @ centered.T)


def transport_matrix(source: ColorStatistics, target: ColorStatistics) -> Tensor:
    """The [3, 3] matrix that gives colours of one covariance the other with least change on the whole.

    It is the optimal transport between two normal distributions (Monge-Kantorovich; Pitié and Kokaram 2007). Its
    stretch is kept within `MAX_GAIN`.
    """
    floor = MIN_VARIANCE * torch.eye(3, dtype=torch.float64)
    root = _power(source.covariance.cpu() + floor, 0.5)
    back = torch.linalg.inv(root)
    matrix = back @ _power(root @ (target.covariance.cpu() + floor) @ root, 0.5) @ back
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors * values.clamp(1 / MAX_GAIN, MAX_GAIN)) @ vectors.T


def match_colors(
    lab: Tensor, source: ColorStatistics, target: ColorStatistics, amount: float, *, lightness_only: bool = False
) -> Tensor:
    """Move colours so that statistics `source` become `target`.

    Args:
        lab: [N, 3, H, W]; may be a larger picture than the one that was measured.
        source: what `lab` has now, `target`: what it shall have.
        amount: 0 changes nothing, 1 matches; beyond goes further.
        lightness_only: match L alone, by mean and deviation, and leave a and b.
    """
    if lightness_only:
        gain = ((target.covariance[0, 0] + MIN_VARIANCE) / (source.covariance[0, 0] + MIN_VARIANCE)).sqrt()
        matrix = torch.eye(3, dtype=torch.float64)
        matrix[0, 0] = gain.clamp(1 / MAX_GAIN, MAX_GAIN)
        mean = torch.cat([target.mean[:1], source.mean[1:]])
    else:
        matrix, mean = transport_matrix(source, target), target.mean
    matrix, mean, old = matrix.to(lab), mean.to(lab)[:, None, None], source.mean.to(lab)[:, None, None]
    matched = torch.einsum("ij,njhw->nihw", matrix, lab - old) + mean
    return lab + amount * (matched - lab)


def _power(matrix: Tensor, exponent: float) -> Tensor:
    """Power of a symmetric positive definite matrix."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=1e-12) ** exponent) @ vectors.T
