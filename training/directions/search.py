"""Where a direction starts, and how long it is: for drawn faces, and for photos."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_space.errors import InputError
from gan_space.latents.directions import MAX_PHOTO_SCALE
from gan_space.latents.discovery import least_unusual_move, spread_over_layers
from gan_space.latents.layers import LAYER_GROUPS, group_layers
from training.directions.checks import DrawnFaces, EncodedFaces, Judge, Measured, Population, success_share

SCALE_STEP = 4.0  # a first guess of the length is corrected by at most this factor at a time
PHOTO_SCALES = (1.0, 1.25, MAX_PHOTO_SCALE)
ENOUGH = 0.9  # of the photos arrive: nobody is moved further for the others
LEAST_YIELD = 0.5  # of going further with photos: what has to be reached, where all would be in proportion
LEAST_MORE = 0.02  # or so many more of the photos have to arrive, while they are not enough


def layer_groups(num_ws: int) -> list[tuple[int, ...]]:
    """Return rows of the groups that a network has: coarse, middle and, from 64 px on, fine."""
    return [rows for rows in (group_layers(name, num_ws) for name in LAYER_GROUPS) if rows]


def least_unusual_direction(
    target: int, readouts: Tensor, population: Population, num_ws: int, leak_limit: float
) -> Tensor | None:
    """Return the least unusual move that the readouts expect to change one score by one and no other by half the limit.

    Where nothing is left once the others are held still, they are not: a slider that leaks, and says so, is better than
    none.

    Args:
        target: number of the score.
        readouts: [K, G, w_dim] of the standardised scores.
        population: what is usual in W.
        num_ws: rows of w_plus.
        leak_limit: standard deviations.

    Returns:
        [num_ws, w_dim], or None where no move changes the score.
    """

    def move(wanted: dict[int, float]) -> Tensor | None:
        try:
            return least_unusual_move(readouts, population.w.covariance, wanted, range(readouts.shape[1]))
        except InputError:
            return None

    wanted = {target: 1.0}
    vectors = free = move(wanted)
    while vectors is not None:
        effects = torch.einsum("kgw,gw->k", readouts, vectors)
        leaking = [key for key in range(len(effects)) if key not in wanted and abs(effects[key]) > leak_limit / 2]
        if not leaking:
            break
        wanted |= dict.fromkeys(leaking, 0.0)
        vectors = move(wanted)
    best = free if vectors is None else vectors
    return None if best is None else spread_over_layers(best, layer_groups(num_ws), num_ws)


def calibration(judge: Judge, faces: DrawnFaces, vector: Tensor, target: int, rounds: int = 1) -> float | None:
    """Find the factor by which `vector` must grow so that amounts of ±1 change the score by ±1 deviation on average.

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
    judge: Judge, faces: EncodedFaces, vector: Tensor, target: int, drawn: Measured, threshold: float | None
) -> float:
    """Say how many times further the codes of photos have to move than those of drawn faces, for the same step.

    The smallest of PHOTO_SCALES with which an amount of 1 does what it does to drawn faces, and with which as many
    arrive at the ends of the slider, or ENOUGH; where none does, the largest that is still worth it. Where the score
    hardly follows any more, faces are smeared instead.

    Args:
        judge: scores the faces.
        faces: real ones.
        vector: [num_ws, w_dim], an amount of 1.
        target: number of the score.
        drawn: what the direction does to drawn faces.
        threshold: see `measure_direction`.
    """
    (low, high), effect = drawn.safe_range, list(drawn.effects.values())[target]
    best, most, most_arrived = None, 0.0, 0.0
    for scale in PHOTO_SCALES:
        sweep = judge.sweep(faces, scale * vector, (low, 0.0, high))
        reached = sweep.effects(low, high)[target].item()
        arrived = success_share(sweep, target, judge.population, drawn.safe_range, threshold)
        if best is not None:
            further = reached > most * (1 + LEAST_YIELD * (scale / best - 1))
            more = most_arrived < ENOUGH and arrived >= most_arrived + LEAST_MORE
            if not further and not more:
                break
        best, most, most_arrived = scale, reached, arrived
        if reached >= effect and arrived >= min(drawn.success, ENOUGH):
            break
    return best
