"""How different the images of one set are from each other: a cheap alarm for mode collapse."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gan_space.errors import InputError
from gan_space.images import from_uint8
from gan_space.metrics.distances import check_features, nearest
from gan_space.metrics.features import check_images

THUMBNAIL_PX = 16


class Diversity(NamedTuple):
    """Mean distance between two items of a set, and the share of items that have a near-duplicate in it."""

    mean_distance: float
    duplicate_rate: float


def thumbnails(images: Tensor, side: int = THUMBNAIL_PX) -> Tensor:
    """Shrink images to `side` px by area and flatten them, scaled so that a distance is an RMS difference per value.

    Small differences of texture and place vanish at 16 px; pose, light, hair and background stay.

    Args:
        images: [N, 3, H, W], uint8 or float in [-1, 1]; H, W >= side.
        side: px of the thumbnail.

    Returns:
        [N, 3 * side * side] float32; Euclidean distances lie in [0, 2].
    """
    check_images(images, "the diversity measure")
    if min(images.shape[2:]) < side:
        raise InputError(f"images must be at least {side} px on a side, got {images.shape[3]}x{images.shape[2]} px")
    rows = [torch.empty(0, 3 * side * side)]
    for batch in images.split(256):
        batch = from_uint8(batch) if batch.dtype == torch.uint8 else batch.float()
        rows.append(F.adaptive_avg_pool2d(batch, side).flatten(1).cpu())
    return torch.cat(rows) / (3 * side * side) ** 0.5


def structure(thumbnail_rows: Tensor) -> Tensor:
    """Take mean colour and contrast out of thumbnails: what is left tells whether faces differ in more than light.

    A generator that has collapsed onto one face still varies its brightness, which alone makes plain thumbnails differ.

    Args:
        thumbnail_rows: [N, F] from `thumbnails`.

    Returns:
        [N, F] rows of length one.
    """
    planes = thumbnail_rows.reshape(len(thumbnail_rows), 3, -1)
    return F.normalize((planes - planes.mean(dim=2, keepdim=True)).flatten(1), dim=1)


def mean_pairwise_distance(features: Tensor) -> float:
    """Return the mean Euclidean distance over all pairs of different rows of [N, F], N >= 2."""
    check_features(features=features)
    centred = features.double() - features.double().mean(dim=0)
    return torch.pdist(centred).mean().item()


def duplicate_threshold(reals: Tensor) -> float:
    """Return the distance below which two items count as near-duplicates: half of what is rare among reals.

    Args:
        reals: [N, F]; N should equal the size of the set that is judged, since neighbours are nearer in larger sets.

    Returns:
        Half of the 1st percentile of the reals' distances to their nearest neighbours.
    """
    distances = nearest(reals, reals, exclude_self=True)[0][:, 0]
    return torch.quantile(distances, 0.01).item() / 2


def duplicate_rate(features: Tensor, threshold: float) -> float:
    """Return the share of the rows of [N, F] with another row within `threshold`."""
    distances = nearest(features, features, exclude_self=True)[0][:, 0]
    return (distances <= threshold).double().mean().item()


def diversity(features: Tensor, threshold: float) -> Diversity:
    """Measure a set of features or thumbnails [N, F], N >= 2, with the near-duplicate distance `threshold`.

    Example:
        >>> diversity(torch.zeros(4, 3), threshold=0.1)
        Diversity(mean_distance=0.0, duplicate_rate=1.0)
    """
    return Diversity(mean_pairwise_distance(features), duplicate_rate(features, threshold))


def diversity_against(reals: Tensor, fakes: Tensor) -> Diversity:
    """Measure fakes by reals: 1 and 0 for two samples of one distribution.

    The near-duplicate distance shrinks with the fakes' own spread, down to a tenth: pale or blurred images, all
    different, lie near each other without being copies of each other.

    Args:
        reals: [N, F] thumbnails or features.
        fakes: [N, F], as many, since neighbours are nearer in larger sets.

    Returns:
        Mean distance over that of the reals, and the share of near-duplicates beyond the reals' own share.

    Raises:
        InputError: fewer than two rows, different numbers of rows, or features that do not fit.
    """
    if len(reals) != len(fakes):
        raise InputError(f"diversity is compared at equal numbers, got {len(reals)} reals and {len(fakes)} fakes")
    check_features(reals=reals, fakes=fakes)
    relative = mean_pairwise_distance(fakes) / max(mean_pairwise_distance(reals), 1e-12)
    threshold = duplicate_threshold(reals)
    duplicates = duplicate_rate(fakes, threshold * min(1.0, max(0.1, relative))) - duplicate_rate(reals, threshold)
    return Diversity(relative, max(0.0, duplicates))
