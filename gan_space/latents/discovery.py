"""Finding directions: from scores, from marks that a person made, or from the network alone.

All of it is closed form. Codes of one face are read in groups of layers: [N, G, w_dim], the w that each group gets.
A *readout* [G, w_dim] says how a score depends on the codes: score ≈ readout · codes. The *move* that changes a score
is another vector: of all moves with the same effect, the one that makes the code least unusual among the codes of W.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

from gan_space.errors import InputError, raise_all
from gan_space.latents.directions import Direction
from gan_space.latents.layers import parse_layers
from gan_space.models.synthesis import SynthesisNetwork

RIDGE_STRENGTHS = (1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0)  # in units of the mean variance of a coordinate
VARIANCE_FLOOR = 1e-3  # of the largest; W is nearly flat in some coordinates, where "unusual" would mean noise
FOUND_RANGE = (-3.0, 3.0)  # in standard deviations of W, for directions that no score calibrates


class WStatistics(NamedTuple):
    """Mean and spread of W: what is usual."""

    mean: Tensor  # [w_dim] float64
    covariance: Tensor  # [w_dim, w_dim] float64

    def whiten(self, w: Tensor) -> Tensor:
        """Return w [..., w_dim] in coordinates in which W is round: mean 0 and variance 1 every way."""
        variances, vectors = self._axes()
        return (w.double() - self.mean) @ vectors * variances.rsqrt()

    def spread(self) -> Tensor:
        """Return the way back from these coordinates: w = mean + spread @ whitened, [w_dim, w_dim]."""
        variances, vectors = self._axes()
        return vectors * variances.sqrt()

    def _axes(self) -> tuple[Tensor, Tensor]:
        """Variances [w_dim] along the axes of W, none nearly zero, and the axes as columns [w_dim, w_dim]."""
        values, vectors = torch.linalg.eigh(self.covariance)
        return values.clamp(min=VARIANCE_FLOOR * values[-1]), vectors

    def distance(self, w: Tensor) -> Tensor:
        """Return the Mahalanobis distance of w [..., w_dim] from the mean; about sqrt(w_dim) for usual codes: [...]."""
        return self.whiten(w).norm(dim=-1)


def w_statistics(w: Tensor) -> WStatistics:
    """Measure W on samples [N, w_dim]; a thousand or more, N above w_dim."""
    if w.ndim != 2 or len(w) < 3:
        raise InputError(f"expected 3 or more codes [N, w_dim], got {list(w.shape)}")
    w = w.double()
    return WStatistics(w.mean(dim=0), torch.cov(w.T))


class Readouts(NamedTuple):
    """How K scores depend on the codes, by ridge regression."""

    weights: Tensor  # [K, G, w_dim] float64, score per unit of code
    explained: Tensor  # [K] share of the variance explained on codes held out, at most 1
    accuracy: Tensor  # [K] share of held-out codes put on the right side of the median; 0.5 is chance


def fit_readouts(codes: Tensor, scores: Tensor, held_out: float = 0.2) -> Readouts:
    """Fit one linear readout a score.

    The strength of the ridge is the one of `RIDGE_STRENGTHS` that explains most of the held-out part; the readout is
    then fitted on all. With so many more codes than strengths, choosing on them flatters the numbers little.

    Args:
        codes: [N, G, w_dim]; the last part is held out, so the order should be random.
        scores: [N, K].
        held_out: share held out.

    Raises:
        InputError: shapes that do not fit, or too few codes.
    """
    count = len(codes)
    test = int(count * held_out)
    if codes.ndim != 3 or scores.shape[:1] != codes.shape[:1] or scores.ndim != 2 or test < 5 or count - test < 5:
        raise InputError(
            f"expected codes [N, G, w_dim] and scores [N, K] with 25 or more faces, got {list(codes.shape)} and "
            f"{list(scores.shape)}"
        )
    x, y = codes.flatten(1).double(), scores.double()
    train_x, train_y, test_x, test_y = x[:-test], y[:-test], x[-test:], y[-test:]
    best = torch.full([y.shape[1]], -torch.inf, dtype=torch.float64)
    strength = torch.zeros_like(best)
    accuracy = torch.zeros_like(best)
    middle = train_y.median(dim=0).values
    spread = (test_y - train_y.mean(dim=0)).square().sum(dim=0).clamp(min=1e-12)
    for value, weights in _ridge_path(train_x, train_y):
        predicted = (test_x - train_x.mean(dim=0)) @ weights + train_y.mean(dim=0)
        explained = 1 - (predicted - test_y).square().sum(dim=0) / spread
        right = ((predicted > middle) == (test_y > middle)).double().mean(dim=0)
        better = explained > best
        best, strength = torch.where(better, explained, best), torch.where(better, value, strength)
        accuracy = torch.where(better, right, accuracy)
    final = torch.zeros(x.shape[1], y.shape[1], dtype=torch.float64)
    for value, weights in _ridge_path(x, y):
        final = torch.where(strength == value, weights, final)
    return Readouts(final.T.reshape(-1, *codes.shape[1:]), best, accuracy)


def _ridge_path(x: Tensor, y: Tensor):
    """Yield (strength, weights [D, K]) for every strength; one eigendecomposition serves all."""
    x, y = x - x.mean(dim=0), y - y.mean(dim=0)
    values, vectors = torch.linalg.eigh(x.T @ x / len(x))
    projected = vectors.T @ (x.T @ y) / len(x)  # [D, K]
    for strength in RIDGE_STRENGTHS:
        yield strength, vectors @ (projected / (values.clamp(min=0) + strength * values.mean())[:, None])


def least_unusual_move(
    readouts: Tensor, covariance: Tensor, wanted: Mapping[int, float], groups: Sequence[int]
) -> Tensor:
    """Find, of all moves with given effects, the one that changes the code least, in units of what is usual in W.

    Minimises the sum over groups of d_g' Σ⁻¹ d_g under readouts[k] · d = wanted[k]; the solution is Σ times a mix of
    the readouts. With one effect and one group it is the covariance of score and code; each further effect of 0 is one
    attribute held still (the conditional boundaries of InterFaceGAN, with W's own metric in place of the Euclidean).

    Args:
        readouts: [K, G, w_dim].
        covariance: [w_dim, w_dim] of W.
        wanted: effect by number of the readout; the others are left to chance.
        groups: which groups may change.

    Returns:
        [G, w_dim] float64, zero outside `groups`.

    Raises:
        InputError: the effects contradict each other.
    """
    keys = list(wanted)
    constraints = torch.zeros_like(readouts[keys])
    constraints[:, list(groups)] = readouts[keys][:, list(groups)]
    usual = constraints @ covariance  # [k, G, w_dim]
    gram = torch.einsum("kgw,lgw->kl", constraints, usual)
    scale = gram.diagonal().clamp(min=1e-300).rsqrt()
    if not gram.diagonal().gt(0).all() or torch.linalg.cond(scale[:, None] * gram * scale) > 1e8:
        raise InputError("these scores change together in these layers: no move can change one and keep the others")
    targets = torch.tensor([wanted[key] for key in keys], dtype=torch.float64)
    return torch.einsum("k,kgw->gw", torch.linalg.solve(gram, targets), usual)


def spread_over_layers(vectors: Tensor, groups: Sequence[Sequence[int]], num_ws: int) -> Tensor:
    """Write one vector a group, [G, w_dim], into the rows of its group: [num_ws, w_dim] float32."""
    rows = torch.zeros(num_ws, vectors.shape[1])
    for vector, layers in zip(vectors, groups, strict=True):
        rows[list(layers)] = vector.float()
    return rows


def sefa(
    synthesis: SynthesisNetwork, layers: str | Sequence[int], count: int, statistics: WStatistics
) -> list[Direction]:
    """Find what the style layers react to most (SeFa, Shen & Zhou 2021): eigenvectors of AᵀA of their weights.

    Args:
        synthesis: whose affine layers are read.
        layers: which rows of w_plus, see `parse_layers`; the directions change the same rows.
        count: how many, strongest first.
        statistics: of W; sets the length, so that an amount of 1 is one standard deviation of W along the direction.

    Returns:
        Directions "sefa_1", … to be named by a person.
    """
    rows = parse_layers(layers, synthesis.num_ws)
    gram = torch.zeros(synthesis.w_dim, synthesis.w_dim, dtype=torch.float64)
    for weight in affine_weights(synthesis, rows):
        gram += weight.T @ weight
    vectors = torch.linalg.eigh(gram).eigenvectors.flip(1)  # strongest first
    return _found("sefa", vectors, rows, synthesis.num_ws, count, statistics)


def affine_weights(synthesis: SynthesisNetwork, rows: Sequence[int]) -> list[Tensor]:
    """Return the weights [I, w_dim] of every layer that turns one of these rows of w_plus into styles."""
    weights = []
    row = 0
    for resolution in synthesis.block_resolutions:
        block = synthesis.block(resolution)
        layers = [block.torgb, block.conv1] if block.is_first else [block.torgb, block.conv0, block.conv1]
        # to_rgb reads the row after the block's convolutions, which the next block's first convolution reads too.
        numbers = [row + block.num_conv, *range(row, row + block.num_conv)]
        weights += [
            layer.affine.weight.detach().double().cpu()
            for layer, number in zip(layers, numbers, strict=True)
            if number in rows
        ]
        row += block.num_conv
    return weights


def ganspace(statistics: WStatistics, layers: str | Sequence[int], count: int, num_ws: int) -> list[Direction]:
    """Return directions along which W varies most (GANSpace, Härkönen et al. 2020): its principal components.

    Args:
        statistics: of W.
        layers: which rows of w_plus change, see `parse_layers`.
        count: how many, strongest first.
        num_ws: rows of w_plus.

    Returns:
        Directions "ganspace_1", … to be named by a person; an amount of 1 is one standard deviation.
    """
    vectors = torch.linalg.eigh(statistics.covariance).eigenvectors.flip(1)
    return _found("ganspace", vectors, parse_layers(layers, num_ws), num_ws, count, statistics)


def _found(
    kind: str, vectors: Tensor, rows: Sequence[int], num_ws: int, count: int, statistics: WStatistics
) -> list[Direction]:
    if not 1 <= count <= vectors.shape[1]:
        raise InputError(f"count must be from 1 to {vectors.shape[1]}, got {count}")
    directions = []
    for number, vector in enumerate(vectors.T[:count], start=1):
        vector = vector * vector[vector.abs().argmax()].sign()  # an eigenvector has no sign of its own
        deviation = (vector @ statistics.covariance @ vector).clamp(min=0).sqrt()
        directions.append(
            Direction(
                name=f"{kind}_{number}",
                vector=spread_over_layers((vector * deviation)[None], [rows], num_ws),
                label={"en": f"{kind} {number}", "zh-CN": f"{kind} {number}"},
                group="found",
                safe_range=FOUND_RANGE,
                unit="standard deviations of W",
            )
        )
    return directions


def name_direction(direction: Direction, text: str, taken: Collection[str] = ()) -> Direction:
    """Return the same direction under the name that a person gave it.

    Args:
        direction: found or marked.
        text: 1 to 60 characters in any language, which people read; a name for programs is made from it.
        taken: names for programs that are in use.

    Raises:
        InputError: no text, too much, or a name for race or skin tone.

    Example:
        >>> one = name_direction(Direction("sefa_1", torch.ones(2, 3)), "Fringe!", taken={"fringe"})
        >>> one.name, one.text("zh-CN")
        ('fringe_2', 'Fringe!')
    """
    text = " ".join((text or "").split())
    if not 1 <= len(text) <= 60 or not text.isprintable():
        raise InputError(f"a direction needs a name of 1 to 60 characters, got {text[:80]!r}")
    plain = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:36]
    plain = plain if plain[:1].isalpha() else f"own_{plain}".rstrip("_")  # such as a name in Chinese
    numbered = (plain, *(f"{plain}_{number}" for number in range(2, len(taken) + 3)))
    name = next(name for name in numbered if name not in taken)
    return replace(direction, name=name, label={"en": text, "zh-CN": text})


@dataclass(frozen=True, eq=False)
class MarkedDirection:
    """What `direction_from_marks` found, and how far to trust it.

    Args:
        direction: an amount of 1 is one standard deviation of the readout over W.
        accuracy: share of marks told rightly by a fit that did not see them; 0.5 is chance.
    """

    direction: Direction
    accuracy: float


def direction_from_marks(
    w_plus_more: Tensor,
    w_plus_less: Tensor,
    statistics: WStatistics,
    *,
    name: str,
    label: Mapping[str, str] | None = None,
    layers: str | Sequence[int] = "all",
) -> MarkedDirection:
    """Return a direction from faces that a person marked as having more or less of something; 20 of each do.

    Ridge regression on the marks, its strength chosen by leaving out each mark in turn, and the least unusual move
    for it. With fewer faces than dimensions the ridge leans on the coordinates in which W varies most.

    Args:
        w_plus_more, w_plus_less: [N, num_ws, w_dim] and [M, num_ws, w_dim], 2 or more of each.
        statistics: of W.
        name, label: of the new direction; those for race and skin tone are refused.
        layers: rows of w_plus that are read and changed.

    Raises:
        InputError: too few marks, codes of the wrong shape, or a refused name.
    """
    shapes = [list(w_plus_more.shape), list(w_plus_less.shape)]
    width = len(statistics.mean)
    faults = []
    if any(len(shape) != 3 or shape[2] != width for shape in shapes) or shapes[0][1:] != shapes[1][1:]:
        faults.append(f"expected codes [N, num_ws, {width}] for both, got {shapes[0]} and {shapes[1]}")
    elif min(shapes[0][0], shapes[1][0]) < 2:
        faults.append(f"mark 2 faces or more on each side (20 are better), got {shapes[0][0]} and {shapes[1][0]}")
    raise_all(faults, InputError)
    num_ws = shapes[0][1]
    rows = list(parse_layers(layers, num_ws))
    # Faces drawn from a seed have the same w in every row; of edited ones the mean is taken.
    x = torch.cat([w_plus_more, w_plus_less])[:, rows].double().mean(dim=1) - statistics.mean  # [N + M, w_dim]
    y = torch.cat([torch.ones(shapes[0][0]), -torch.ones(shapes[1][0])]).double()
    readout, predictions = _ridge_leaving_one_out(x, y, statistics.covariance.diagonal().mean())
    deviation = (readout @ statistics.covariance @ readout).clamp(min=1e-300).sqrt()
    direction = Direction(
        name=name,
        vector=spread_over_layers((statistics.covariance @ readout / deviation)[None], [rows], num_ws),
        label=label or {},
        group="found",
        safe_range=FOUND_RANGE,
        unit="standard deviations of the marks",
    )
    return MarkedDirection(direction, ((predictions > 0) == (y > 0)).double().mean().item())


def _ridge_leaving_one_out(x: Tensor, y: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Ridge readout [D] with the best strength, and what fits without mark i predict for it [N]."""
    count = len(x)
    best_error, best = torch.inf, None
    centred, middle = x - x.mean(dim=0), y.mean()
    gram = centred @ centred.T
    identity = torch.eye(count, dtype=x.dtype)
    for strength in RIDGE_STRENGTHS:
        weights = torch.linalg.solve(gram + count * strength * variance * identity, identity)  # dual form: N x N
        hat = gram @ weights + 1 / count  # predictions = hat @ y; the mean is one more, unpunished, coefficient
        leverage = hat.diagonal()
        without = y - (y - hat @ y) / (1 - leverage).clamp(min=1e-9)
        error = (without - y).square().mean().item()
        if error < best_error:
            best_error, best = error, (centred.T @ (weights @ (y - middle)), without)
    return best
