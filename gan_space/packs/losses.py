"""How far a drawn face is from a look: patches, features, structure. Free functions on images in [-1, 1]."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.images import luminance

# Weights of the bands of `band_correlation_distance`, by the pixels they need: most for what eyes and mouth are drawn
# with, little for the coarse ones, since a drawing may leave out all shading.
STRUCTURE_BANDS = {128: 1.0, 64: 2.0, 32: 1.0, 16: 0.3, 8: 0.3}


def lightening(drawn: Tensor, faces: Tensor, looks: Tensor) -> Tensor:
    """Say how much lighter aligned faces got, place by place, where a look paints skin in colours of skin.

    Place by place, or dark blots would make up for light cheeks. A look in ink on paper has no colour for skin.

    Args:
        drawn, faces: [N, 3, H, W] in [-1, 1].
        looks: [N, 3, H, W] in [-1, 1], pictures of the look.
    """
    grid = (16, 16)
    y, x = (torch.arange(side, device=faces.device).add(0.5) / side for side in grid)
    face = torch.exp(-0.5 * (((x - 0.5) / 0.28) ** 2 + ((y[:, None] - 0.55) / 0.3) ** 2) ** 2)  # [16, 16]
    rise = F.adaptive_avg_pool2d(luminance(drawn) - luminance(faces), grid).clamp(min=0)[:, 0]
    red, green, blue = (F.adaptive_avg_pool2d(looks, grid) * face).sum(dim=(2, 3)).div(face.sum()).unbind(dim=1)
    skin = ((red - blue) / 0.2).clamp(0, 1) * ((red - green) / 0.05).clamp(0, 1)  # [N]
    return (skin * (rise * face).sum(dim=(1, 2)) / face.sum()).mean()


def sliced_distance(x: Tensor, y: Tensor) -> Tensor:
    """Average the 1-Wasserstein distance of P one-dimensional distributions: x [P, n], y [P, m] -> number.

    Each value of x is compared with the value of y at the same quantile. With random projections as rows this is the
    sliced Wasserstein distance (Rabin et al. 2011). Gradients go to x alone.
    """
    return (x - _partners(x.detach(), y.detach())).abs().mean()


def _partners(x: Tensor, y: Tensor) -> Tensor:
    """For each value of x the value of y at its quantile: [P, n]."""
    if x.device.type == "cpu":  # NumPy's sorting is vectorised there; torch's takes two to twenty times as long
        order, ordered = torch.from_numpy(np.argsort(x.numpy(), axis=1)), torch.from_numpy(np.sort(y.numpy(), axis=1))
    else:
        order, ordered = x.argsort(dim=1), y.sort(dim=1).values
    return torch.empty_like(x).scatter_(1, order, _quantiles(ordered, x.shape[1]))


def _quantiles(ordered: Tensor, count: int) -> Tensor:
    """`count` values at even steps along each row."""
    if ordered.shape[1] == count:
        return ordered
    return F.interpolate(ordered[None], count, mode="linear", align_corners=True)[0]


def patch_distance(
    x: Tensor,
    y: Tensor,
    random: torch.Generator,
    *,
    patches: Sequence[tuple[int, int]] = ((1, 4), (5, 1), (5, 2), (5, 4)),
    num_projections: int = 48,
    num_places: int = 3072,
) -> Tensor:
    """Return the sliced Wasserstein distance of the patches of two sets of pictures, wherever they stand in them.

    Raw patches at several scales are enough to carry a texture (Elnekave & Weiss 2022, "Generating natural images with
    direct patch distributions matching"); patches of one pixel carry the palette.

    Args:
        x: [N, 3, H, W].
        y: [M, 3, h, w].
        random: on the CPU; draws projections and places.
        patches: (side of a patch in px, factor by which the picture is made smaller before); those that are larger
            than such a picture are left out.
        num_projections: directions a patch size.
        num_places: about how many patches are looked at.
    """
    least = min(*x.shape[2:], *y.shape[2:])
    patches = [(side, down) for side, down in patches if side <= least // down]
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


def feature_l1_distance(x: Sequence[Tensor], y: Sequence[Tensor]) -> Tensor:
    """Average the differences of feature maps, each in units of the spread of y (as in LPIPS' idea; Zhang 2018)."""
    parts = []
    for a, b in zip(x, y, strict=True):
        a, b = a.float(), b.float().detach()
        parts.append((a - b).abs().mean() / b.std().clamp(min=1e-4))
    return torch.stack(parts).mean()


def feature_statistics_distance(x: Sequence[Tensor], y: Sequence[Tensor]) -> Tensor:
    """Return the distance of the Gram matrices of feature maps, averaged over the pictures (Gatys et al. 2016)."""
    parts = []
    for a, b in zip(x, y, strict=True):
        one, other = gram_matrix(a.float()).mean(dim=0), gram_matrix(b.float().detach()).mean(dim=0)
        parts.append((one - other).norm() / other.norm().clamp(min=1e-4))
    return torch.stack(parts).mean()


def gram_matrix(features: Tensor) -> Tensor:
    """Return [N, C, H, W] -> [N, C, C], mean over the pixels: which features come together, wherever they are.

    Gatys, Ecker and Bethge 2016, eq. 3, divided by the number of places.
    """
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def pyramid_distance(x: Tensor, y: Tensor, levels: int = 4) -> Tensor:
    """Average the differences of [N, 3, H, W], averaged over `levels` halvings."""
    parts = []
    for level in range(levels):
        if level:
            x, y = F.avg_pool2d(x, 2), F.avg_pool2d(y, 2)
        parts.append((x - y).abs().mean())
    return torch.stack(parts).mean()


def band_correlation_distance(x: Tensor, y: Tensor) -> Tensor:
    """Say how far light and dark are from standing in the same places: 0 if they do, 2 if the picture is turned over.

    Luminance is taken apart into bands (Laplacian pyramid; Burt & Adelson 1983), and 1 - correlation averaged over them
    with the weights of `STRUCTURE_BANDS`. A correlation does not see contrast or colour: these are the look's. With
    coarse light alone a face may blur, and details of a look's own eyes show up on it.

    Args:
        x, y: [N, 3, H, W], H and W one power of two, 8 or more.
    """
    total = x.new_zeros([])
    one, other = _luminance_bands(x), _luminance_bands(y)
    for size, band in one.items():
        total = total + STRUCTURE_BANDS[size] * (1 - (_unit(band) * _unit(other[size])).mean())
    return total / sum(STRUCTURE_BANDS[size] for size in one)


def _luminance_bands(images: Tensor) -> dict[int, Tensor]:
    """Details of the luminance that need so many pixels, [N, 1, size, size]; the coarsest holds all that is left."""
    grey = luminance(images)
    finest, coarsest = max(STRUCTURE_BANDS), min(STRUCTURE_BANDS)
    if grey.shape[-1] > finest:  # what is finer is the look's
        grey = F.adaptive_avg_pool2d(grey, finest)
    bands = {}
    while grey.shape[-1] > coarsest:
        low = F.avg_pool2d(grey, 2)
        bands[grey.shape[-1]] = grey - F.interpolate(low, scale_factor=2, mode="bilinear", align_corners=False)
        grey = low
    bands[coarsest] = grey
    return bands


def _unit(x: Tensor) -> Tensor:
    """Every picture of [N, 1, H, W] moved to zero mean and unit mean square."""
    x = x - x.mean(dim=[1, 2, 3], keepdim=True)
    return x * (x.square().mean(dim=[1, 2, 3], keepdim=True) + 1e-7).rsqrt()
