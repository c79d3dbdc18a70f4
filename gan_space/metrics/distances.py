"""How far two sets of feature vectors are apart: Fréchet, kernel, precision and recall, density and coverage."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gan_space.errors import InputError
from gan_space.seeding import check_seed

_CHUNK = 2048  # rows of a distance matrix held at once: 2048 x 50,000 float64 are 0.8 GB


class Moments(NamedTuple):
    """Mean [F] and covariance [F, F] of a set of features, float64."""

    mean: Tensor
    covariance: Tensor


class KernelDistance(NamedTuple):
    """Mean and standard deviation of the squared MMD over random subsets."""

    mean: float
    std: float


class PrecisionRecall(NamedTuple):
    """Share of the fakes inside the reals' manifold, and of the reals inside the fakes', each in [0, 1]."""

    precision: float
    recall: float


class DensityCoverage(NamedTuple):
    """Mean number of real balls around a fake over k (may pass 1), and share of real balls that hold a fake."""

    density: float
    coverage: float


def check_features(minimum: int = 2, **sets: Tensor) -> None:
    """Raise InputError unless every set is [N, F] with N >= `minimum`, one F, and finite numbers only."""
    widths = set()
    for name, features in sets.items():
        if features.ndim != 2 or features.shape[0] < minimum:
            raise InputError(f"{name} must be features [N, F] with N >= {minimum}, got shape {list(features.shape)}")
        if not torch.isfinite(features).all():
            raise InputError(f"{name} holds features that are not finite: the images or the extractor are broken")
        widths.add(features.shape[1])
    if len(widths) > 1:
        raise InputError(f"features of different lengths {sorted(widths)}: measure both sets with one extractor")


def feature_moments(features: Tensor) -> Moments:
    """Return mean and unbiased covariance of features [N, F] in float64; keep them to compare many sets with one."""
    check_features(features=features)
    features = features.double()
    mean = features.mean(dim=0)
    centred = features - mean
    return Moments(mean, centred.T @ centred / (len(features) - 1))


def frechet_from_moments(a: Moments, b: Moments) -> float:
    """Return |mean_a - mean_b|² + tr(A + B - 2 (A B)^½), the Fréchet distance of two Gaussians (Dowson 1982).

    The trace of (A B)^½ is that of (A^½ B A^½)^½, where every matrix is symmetric: two symmetric eigenproblems, stable
    for the singular covariances that fewer images than features give, where a general matrix root turns complex.
    """
    values, vectors = torch.linalg.eigh(a.covariance)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T  # A^½
    product = root @ b.covariance @ root
    cross = torch.linalg.eigvalsh((product + product.T) / 2).clamp(min=0).sqrt().sum()
    distance = (a.mean - b.mean).square().sum() + a.covariance.trace() + b.covariance.trace() - 2 * cross
    return max(0.0, distance.item())  # rounding may leave -1e-12 for equal sets


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Return the Fréchet distance between Gaussians fitted to two sets of features (Heusel 2017, FID).

    It is biased: fewer images give a larger number, so compare at equal N only.

    Args:
        a: [N, F].
        b: [M, F].

    Raises:
        InputError: fewer than two rows, rows of different lengths, or numbers that are not finite.

    Example:
        >>> frechet_distance(torch.tensor([[0.0], [2.0]]), torch.tensor([[3.0], [5.0]]))
        9.0
    """
    check_features(a=a, b=b)
    return frechet_from_moments(feature_moments(a), feature_moments(b))


def squared_mmd(a: Tensor, b: Tensor) -> float:
    """Return the unbiased estimate of the squared MMD with the kernel (x·y / F + 1)³ (Gretton 2012, Bińkowski 2018).

    Unbiased means that it averages to 0 for two samples of one distribution, so single values may be negative.

    Args:
        a: [N, F].
        b: [M, F].
    """
    check_features(a=a, b=b)
    a, b = a.double(), b.double()
    n, m = len(a), len(b)
    kernel_aa, kernel_bb, kernel_ab = (_polynomial(x, y) for x, y in ((a, a), (b, b), (a, b)))
    within_a = (kernel_aa.sum() - kernel_aa.trace()) / (n * (n - 1))  # the diagonal is what makes it biased
    within_b = (kernel_bb.sum() - kernel_bb.trace()) / (m * (m - 1))
    return (within_a + within_b - 2 * kernel_ab.mean()).item()


def _polynomial(x: Tensor, y: Tensor) -> Tensor:
    base = x @ y.T / x.shape[1] + 1
    return base * base * base  # several times faster than a power


def kernel_distance(
    a: Tensor, b: Tensor, subsets: int = 50, subset_size: int | None = None, seed: int = 0
) -> KernelDistance:
    """Return the kernel distance over random subsets, which is KID for Inception features (Bińkowski 2018).

    Args:
        a: [N, F].
        b: [M, F].
        subsets: how often subsets are drawn.
        subset_size: rows of each subset; None takes half of the smaller set, at most 1000, so that subsets differ and
            the deviation over them says something.
        seed: of the subsets.

    Raises:
        InputError: `subset_size` is below 2 or above a set's size, `subsets` below 1, or the features do not fit.

    Example:
        >>> kernel_distance(torch.randn(64, 8), torch.randn(64, 8) + 3).mean > 1
        True
    """
    check_features(a=a, b=b)
    smaller = min(len(a), len(b))
    size = max(2, min(1000, smaller // 2)) if subset_size is None else subset_size
    if not 2 <= size <= smaller:
        raise InputError(f"subset_size must be from 2 to the smaller set's {smaller} rows, got {size}")
    if subsets < 1:
        raise InputError(f"subsets must be 1 or more, got {subsets}")
    random = np.random.RandomState(check_seed(seed))
    values = []
    for _ in range(subsets):
        rows_a = torch.from_numpy(random.choice(len(a), size, replace=False))
        rows_b = torch.from_numpy(random.choice(len(b), size, replace=False))
        values.append(squared_mmd(a[rows_a], b[rows_b]))
    return KernelDistance(float(np.mean(values)), float(np.std(values)))


def nearest(queries: Tensor, references: Tensor, k: int = 1, exclude_self: bool = False) -> tuple[Tensor, Tensor]:
    """Find the k nearest references of every query by Euclidean distance, in chunks.

    Args:
        queries: [N, F].
        references: [M, F].
        k: neighbours per query.
        exclude_self: row i of both sets is the same item, which does not count as its own neighbour.

    Returns:
        distances [N, k] float64, ascending, and indices [N, k] into the references.

    Raises:
        InputError: fewer than k references, or features that do not fit.
    """
    check_features(1, queries=queries, references=references)
    available = len(references) - int(exclude_self)
    if not 1 <= k <= available:
        raise InputError(f"k must be from 1 to the {available} neighbours there are, got {k}")
    if exclude_self and len(queries) != len(references):
        raise InputError(f"exclude_self needs one set, got {len(queries)} queries and {len(references)} references")
    distances, indices = [], []
    for start, block in _distance_blocks(queries, references):
        if exclude_self:
            rows = torch.arange(len(block))
            block[rows, rows + start] = torch.inf
        nearest_block = block.topk(k, dim=1, largest=False)
        distances.append(nearest_block.values)
        indices.append(nearest_block.indices)
    return torch.cat(distances), torch.cat(indices)


def _distance_blocks(queries: Tensor, references: Tensor):
    """Yield (first row, distances [rows, M] float64) over chunks of the queries."""
    # Centring first: |x|² + |y|² - 2 x·y loses the digits that a large common mean takes.
    centre = references.double().mean(dim=0)
    references = references.double() - centre
    for start in range(0, len(queries), _CHUNK):
        yield start, torch.cdist(queries[start : start + _CHUNK].double() - centre, references)


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> PrecisionRecall:
    """Return improved precision and recall (Kynkäänniemi 2019).

    A set's manifold is the union of balls around its points, each reaching to that point's k-th neighbour.

    Args:
        real: [N, F].
        fake: [M, F].
        k: neighbour that sets the radius.

    Raises:
        InputError: a set has k rows or fewer, or the features do not fit.
    """
    real_radius = nearest(real, real, k, exclude_self=True)[0][:, -1]  # [N]
    fake_radius = nearest(fake, fake, k, exclude_self=True)[0][:, -1]  # [M]
    real_inside = []
    fake_inside = torch.zeros(len(fake), dtype=torch.bool)
    for start, block in _distance_blocks(real, fake):  # [rows, M]
        real_inside.append((block <= fake_radius).any(dim=1))
        fake_inside |= (block <= real_radius[start : start + len(block), None]).any(dim=0)
    return PrecisionRecall(fake_inside.double().mean().item(), torch.cat(real_inside).double().mean().item())


def density_coverage(real: Tensor, fake: Tensor, k: int = 5) -> DensityCoverage:
    """Return density and coverage (Naeem 2020), which outliers among the points disturb less than precision/recall.

    Args:
        real: [N, F].
        fake: [M, F].
        k: neighbour that sets the radius of the real balls.

    Raises:
        InputError: there are k reals or fewer, or the features do not fit.
    """
    radius = nearest(real, real, k, exclude_self=True)[0][:, -1]  # [N]
    covered, inside = [], 0
    for start, block in _distance_blocks(real, fake):  # [rows, M]
        hits = block <= radius[start : start + len(block), None]
        inside += int(hits.sum())
        covered.append(hits.any(dim=1))
    return DensityCoverage(inside / (k * len(fake)), torch.cat(covered).double().mean().item())
