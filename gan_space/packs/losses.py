"""How far a drawn face is from a look: patches, features, structure. Free functions on images in [-1, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

LUMINANCE = (0.299, 0.587, 0.114)


def sliced_distance(x: Tensor, y: Tensor) -> Tensor:
    """Mean 1-Wasserstein distance of P one-dimensional distributions: x [P, n], y [P, m] -> number.

    Both are sorted and compared at the same quantiles. With random projections as rows this is the sliced Wasserstein
    distance (Rabin et al. 2011).
    """
    x, y = x.sort(dim=1).values, y.sort(dim=1).values
    if x.shape[1] != y.shape[1]:  # take both at the quantiles of the shorter one
        count = min(x.shape[1], y.shape[1])
        x, y = (F.interpolate(values[None], count, mode="linear", align_corners=True)[0] for values in (x, y))
    return (x - y).abs().mean()


def patch_distance(
    x: Tensor,
    y: Tensor,
    random: torch.Generator,
    *,
    patches: Sequence[tuple[int, int]] = ((1, 4), (5, 1), (5, 2), (5, 4)),
    num_projections: int = 48,
    num_places: int = 3072,
) -> Tensor:
    """Sliced Wasserstein distance between the patches of two sets of pictures, wherever in the pictures they stand.

    Raw patches at several scales are enough to carry a texture (Elnekave & Weiss 2022, "Generating natural images with
    direct patch distributions matching"); patches of one pixel carry the palette.

    Args:
        x: [N, 3, H, W].
        y: [M, 3, h, w].
        random: on the CPU; draws projections and places.
        patches: (side of a patch in px, factor by which the picture is made smaller before).
        num_projections: directions a patch size.
        num_places: about how many patches are looked at.
    """
    total = x.new_zeros([])
    for side, down in patches:
        filters = torch.randn(num_projections, 3, side, side, generator=random)
        if side > 1:
            filters = filters - filters.mean(dim=[2, 3], keepdim=True)  # colour itself is the one-pixel patches' part
        filters = (filters / filters.flatten(1).norm(dim=1)[:, None, None, None]).to(x.device)
        total = total + sliced_distance(
            _project(x, filters, down, num_places, random), _project(y, filters, down, num_places, random)
        )
    return total / len(patches)


def _project(images: Tensor, filters: Tensor, down: int, num_places: int, random: torch.Generator) -> Tensor:
    """Answers of the filters at a grid of places with a random start: [P, n]."""
    side, (H, W) = filters.shape[-1], (size // down for size in images.shape[2:])
    stride = max(1, int((len(images) * H * W / num_places) ** 0.5))
    room = min(down * stride, down * (min(H, W) - side) + 1)  # a start further in would leave no whole patch
    top, left = (int(torch.randint(max(1, room), [], generator=random)) for _ in range(2))
    images = images[:, :, top:, left:]
    images = F.avg_pool2d(images, down) if down > 1 else images
    return F.conv2d(images, filters, stride=stride).transpose(0, 1).flatten(1)


def feature_distance(x: Sequence[Tensor], y: Sequence[Tensor]) -> Tensor:
    """Mean absolute difference of feature maps, each in units of the spread of y (as in LPIPS' idea; Zhang 2018)."""
    parts = []
    for a, b in zip(x, y, strict=True):
        a, b = a.float(), b.float().detach()
        parts.append((a - b).abs().mean() / b.std().clamp(min=1e-4))
    return torch.stack(parts).mean()


def feature_statistics_distance(x: Sequence[Tensor], y: Sequence[Tensor]) -> Tensor:
    """Distance of the Gram matrices of feature maps, averaged over the pictures (Gatys et al. 2016)."""
    parts = []
    for a, b in zip(x, y, strict=True):
        one, other = gram_matrix(a.float()).mean(dim=0), gram_matrix(b.float().detach()).mean(dim=0)
        parts.append((one - other).norm() / other.norm().clamp(min=1e-4))
    return torch.stack(parts).mean()


def gram_matrix(features: Tensor) -> Tensor:
    """[N, C, H, W] -> [N, C, C], mean over the pixels."""
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def pyramid_distance(x: Tensor, y: Tensor, levels: int = 4) -> Tensor:
    """Mean absolute difference of [N, 3, H, W], averaged over `levels` halvings."""
    parts = []
    for level in range(levels):
        if level:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        parts.append((x - y).abs().mean())
    return torch.stack(parts).mean()


def structure_distance(x: Tensor, y: Tensor, resolution: int = 16) -> Tensor:
    """1 - correlation of coarse luminance: 0 where the same parts are light and dark, whatever the colours.

    Args:
        x, y: [N, 3, H, W], H and W multiples of `resolution`.
        resolution: height and width at which they are compared.
    """
    return 1 - (_coarse_luminance(x, resolution) * _coarse_luminance(y, resolution)).mean(dim=1).mean()


def _coarse_luminance(images: Tensor, resolution: int) -> Tensor:
    """[N, resolution²], zero mean and unit mean square."""
    weights = torch.tensor(LUMINANCE, device=images.device).view(1, 3, 1, 1)
    grey = (F.adaptive_avg_pool2d(images, resolution) * weights).sum(dim=1).flatten(1)
    grey = grey - grey.mean(dim=1, keepdim=True)
    return grey * (grey.square().mean(dim=1, keepdim=True) + 1e-4).rsqrt()
