"""The search for one direction: which layers, what to hold still, how long.

Readouts of all scores are fitted once. For every choice of layer groups the least unusual move is tried on faces, and
the one with the best success minus leak wins; what still leaks is then held still, and the length is calibrated.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_space.errors import InputError
from gan_space.latents.directions import MAX_PHOTO_SCALE
from gan_space.latents.discovery import least_unusual_move, spread_over_layers
from gan_space.latents.layers import LAYER_GROUPS, group_layers
from training.direction_checks import (
    LEAST_GAIN,
    DrawnFaces,
    EncodedFaces,
    Judge,
    identity_change,
    success_share,
    usual_range,
)

TRIED_AT = (0.5, 1.0, 1.5, 2.0)  # choices are compared at the largest of these up and down that is usual in W
LONGEST = 2.5  # a choice of layers whose move is so many times longer than the shortest is not tried
CORRECTIONS = 3  # rounds of holding still what leaks
SCALE_STEP = 4.0  # a first guess of the length is corrected by at most this factor at a time
PHOTO_SCALES = (1.0, 1.25, MAX_PHOTO_SCALE)
LEAST_YIELD = 0.5  # of going further with photos: what has to arrive, where all would be in proportion


def layer_groups(num_ws: int) -> list[tuple[int, ...]]:
    """Rows of the groups that a network has: coarse, middle and, from 64 px on, fine."""
    return [rows for rows in (group_layers(name, num_ws) for name in LAYER_GROUPS) if rows]


@dataclass(frozen=True, eq=False)
class Found:
    """A move that was tried.

    Args:
        vector: [num_ws, w_dim]; an amount of 1 is one standard deviation of the score.
        groups: numbers of the layer groups that it changes.
        success, leak: at up to ±2, on the faces of the search; leak is the largest, identity among them.
    """

    vector: Tensor
    groups: tuple[int, ...]
    success: float
    leak: float
    leaks: Tensor  # [K], of every score, 0 for its own

    @property
    def merit(self) -> float:
        return self.success - self.leak


def find_direction(
    target: int,
    readouts: Tensor,
    judge: Judge,
    faces: DrawnFaces,
    *,
    threshold: float | None,
    leak_limit: float = 0.2,
) -> Found | None:
    """Search the direction of one attribute.

    Args:
        target: its number among the scores.
        readouts: [K, G, w_dim] of the standardised scores.
        judge: scores faces.
        faces: to try on; others than those it is measured on in the end.
        threshold: see `success_share`.
        leak_limit: leaks above it are worked on.

    Returns:
        The best that was found, or None where no move changes the score.
    """
    search = _Search(target, readouts, judge, faces, threshold, leak_limit)
    # Where nothing is left once the rest is held still, a slider that leaks, and says so, is better than none.
    tried = search.tries(hold_still=True) or search.tries(hold_still=False)
    if not tried:
        return None
    best, wanted = max(tried, key=lambda pair: pair[0].merit)
    for _ in range(CORRECTIONS):
        leaking = [key for key in range(len(readouts)) if abs(best.leaks[key]) > leak_limit]
        if not leaking:
            break
        # What leaked on faces is taken off what the readouts are asked for: they are linear, faces are not quite.
        wanted = wanted | {key: wanted.get(key, 0.0) - best.leaks[key].item() for key in leaking}
        move = search.move(best.groups, wanted)
        again = search.attempt(best.groups, move[0]) if move is not None else None
        if again is None or again.merit <= best.merit:
            break
        best = again
    return best


def _subsets(items: Sequence[int]) -> list[tuple[int, ...]]:
    return [subset for size in range(1, len(items) + 1) for subset in itertools.combinations(items, size)]


@dataclass(frozen=True, eq=False)
class _Search:
    target: int
    readouts: Tensor
    judge: Judge
    faces: DrawnFaces
    threshold: float | None
    leak_limit: float

    def tries(self, hold_still: bool) -> list[tuple[Found, dict[int, float]]]:
        """The best move of every choice of layers, on faces; without those that need a far longer one than others."""
        moves = []
        for groups in _subsets(range(self.readouts.shape[1])):
            move = self.move(groups, {self.target: 1.0}, hold_still)
            if move is not None:
                moves.append((groups, *move))
        lengths = [self.length(vectors) for _, vectors, _ in moves]
        near = [move for move, length in zip(moves, lengths, strict=True) if length <= LONGEST * min(lengths)]
        return [(found, wanted) for groups, vectors, wanted in near if (found := self.attempt(groups, vectors))]

    def move(
        self, groups: tuple[int, ...], wanted: dict[int, float], hold_still: bool = True
    ) -> tuple[Tensor, dict[int, float]] | None:
        """The least unusual move, holding still what the readouts say would leak, and all effects asked for."""
        covariance = self.judge.population.w.covariance
        wanted = dict(wanted)
        for _ in range(len(self.readouts)):
            try:
                vectors = least_unusual_move(self.readouts, covariance, wanted, groups)
            except InputError:
                return None
            effects = torch.einsum("kgw,gw->k", self.readouts, vectors)
            leaking = [
                key for key in range(len(effects)) if key not in wanted and abs(effects[key]) > self.leak_limit / 2
            ]
            if not leaking or not hold_still:
                break
            wanted |= dict.fromkeys(leaking, 0.0)
        return vectors, wanted

    def length(self, vectors: Tensor) -> float:
        """How unusual an amount of 1 is, as the Mahalanobis length over all groups."""
        w = self.judge.population.w
        return w.distance(w.mean + vectors).square().sum().sqrt().item()

    def attempt(self, groups: tuple[int, ...], vectors: Tensor) -> Found | None:
        """Try a move on the faces; None where it does not change the score the right way."""
        num_ws = self.faces.synthesis.num_ws
        vector = spread_over_layers(vectors, layer_groups(num_ws), num_ws)
        scale = calibration(self.judge, self.faces, vector, self.target)
        if scale is None:
            return None
        vector = scale * vector
        amounts = [sign * amount for sign in (-1, 1) for amount in TRIED_AT]
        ends = usual_range(vector, self.faces.w_plus, self.judge.population, amounts)
        if ends == (0.0, 0.0):
            return None
        sweep = self.judge.sweep(self.faces, vector, sorted({*ends, 0.0}))
        effects = sweep.effects(*ends)
        if effects[self.target] < LEAST_GAIN:
            return None
        leaks = effects / effects[self.target]
        leaks[self.target] = 0.0
        success = success_share(sweep, self.target, self.judge.population, ends, self.threshold)
        identity = identity_change(sweep, self.judge.population, ends) or 0.0
        return Found(vector, groups, success, max(leaks.abs().max().item(), identity), leaks)


def calibration(judge: Judge, faces: DrawnFaces, vector: Tensor, target: int, rounds: int = 1) -> float | None:
    """Factor by which `vector` must grow so that amounts of ±1 change the score by ±1 standard deviation on average.

    Returns:
        The factor; None where the score does not follow.
    """
    scale = 1.0
    for _ in range(rounds):
        effect = judge.sweep(faces, scale * vector, (-1.0, 1.0)).effects(-1.0, 1.0)[target].item()
        if effect <= 0.02:
            return None
        scale *= min(max(1 / effect, 1 / SCALE_STEP), SCALE_STEP)
    return scale


def photo_scale(
    judge: Judge,
    faces: EncodedFaces,
    vector: Tensor,
    target: int,
    safe_range: tuple[float, float],
    effect: float,
) -> float:
    """How many times further the codes of photos have to move than those of drawn faces, for the same step.

    The smallest of PHOTO_SCALES with which an amount of 1 does what it does to drawn faces; where none does, the
    largest that is still worth it. Where the score hardly follows any more, faces are smeared instead.

    Args:
        judge: scores the faces.
        faces: real ones.
        vector: [num_ws, w_dim], an amount of 1.
        target: number of the score.
        safe_range: ends of the slider.
        effect: what an amount of 1 does to drawn faces, in standard deviations.
    """
    low, high = safe_range
    best, most = None, 0.0
    for scale in PHOTO_SCALES:
        reached = judge.sweep(faces, scale * vector, (low, high)).effects(low, high)[target].item()
        if best is not None and reached <= most * (1 + LEAST_YIELD * (scale / best - 1)):
            break
        best, most = scale, reached
        if reached >= effect:
            break
    return best
