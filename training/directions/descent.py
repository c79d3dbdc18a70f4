"""Descent on a direction: every face shows as much of the attribute as was asked for, and stays the face that it was.

A readout is linear and sees codes, not faces. Here the move itself is improved on drawn faces, row by row, by the
gradients of the networks that judge it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from gan_space.models.generator import Generator
from gan_space.seeding import latents_from_seeds
from training.directions.checks import Judge, Scores

BATCH = 8  # faces a step, half of them moved up and half down
AMOUNTS = (0.25, 2.5)  # how far faces are moved, about as sliders do
LEARNING_RATE = 0.02  # of coordinates in which W is round; falls to zero over the second half
LEAK_WEIGHT = 1.0  # of what other scores change on average
LEAK_MEMORY = 0.04  # how fast pressure builds up against a leak that stays
EACH_WEIGHT = 0.3  # of what they change on single faces, most of which nobody can help
REAL_WEIGHT = 0.3
JITTER = 1 / 32  # of the picture: how far judges see it shifted


def descend(
    vector: Tensor, target: int, judge: Judge, generator: Generator, *, steps: int, first_seed: int, psi: float,
    length_weight: float = 0.02, identity_weight: float = 0.3,
) -> Tensor:  # fmt: skip
    """Improve a direction by Adam on drawn faces.

    Minimised are: how far single faces are from changing by what was asked; what the other scores change, on average
    and on single faces; what identity and realism lose; and the Mahalanobis length of the move, each row for itself.
    Judges see the pictures shifted and at times at half the size, so that no pattern of pixels deceives them. Something
    cheaper than what a person would look for still may, so look at the faces.

    Args:
        vector: [num_ws, w_dim], where to start; about one standard deviation of the score.
        target: number of the score.
        judge: scorer and logits, both differentiable.
        generator: draws the faces.
        steps: of Adam, on 8 new faces each; 0 returns the vector.
        first_seed: of the faces.
        psi: truncation of the faces.
        length_weight: of the length. Short moves go further before a code is unusual, but cost more of the person.
        identity_weight: of what identity loses.

    Returns:
        [num_ws, w_dim].
    """
    if not steps:
        return vector
    population = judge.population
    spread = population.w.spread().float()  # [w_dim, w_dim]
    whitened = torch.linalg.solve(spread, vector.float().T).T.clone().requires_grad_()  # [num_ws, w_dim]
    optimizer = torch.optim.Adam([whitened], lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, 2 * (steps - step) / steps))
    random = torch.Generator().manual_seed(first_seed)
    leak = _Leak(target, len(population.names))
    sign = torch.tensor([1.0, -1.0]).repeat(BATCH // 2)
    for step in range(steps):
        seeds = range(first_seed + step * BATCH, first_seed + (step + 1) * BATCH)
        amount = sign * torch.empty(BATCH).uniform_(*AMOUNTS, generator=random)
        see = _view(random)
        with torch.no_grad():
            w_plus = generator.mapping(latents_from_seeds(seeds, generator.config.z_dim), truncation_psi=psi)
            before = _judged(judge, see(generator.synthesis(w_plus, noise_mode="const")))
        moved = w_plus + amount[:, None, None] * (whitened @ spread.T)
        after = _judged(judge, see(generator.synthesis(moved, noise_mode="const")))
        change = after.scores - before.scores  # [N, K]
        others = torch.arange(change.shape[1]) != target
        loss = (change[:, target] - amount).square().mean()
        loss = loss + leak(change, amount) + length_weight * _length(whitened)
        if others.any():
            loss = loss + EACH_WEIGHT * change[:, others].square().mean()
        if after.embedding is not None:
            other_person = population.other_person
            loss = loss + identity_weight * (1 - (after.embedding * before.embedding).sum(dim=1)).mean() / other_person
        if after.logits is not None:
            loss = loss + REAL_WEIGHT * F.relu(before.logits - after.logits).mean() / population.usual_drop
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return (whitened.detach() @ spread.T).to(vector.dtype)


@dataclass(frozen=True, eq=False)
class _Judged:
    scores: Tensor  # [N, K] in standard deviations
    embedding: Tensor | None
    logits: Tensor | None


def _judged(judge: Judge, images: Tensor) -> _Judged:
    scores: Scores = judge.scorer(images)
    logits = None if judge.logits is None else judge.logits(images)
    return _Judged(judge.population.standardise(scores).float(), scores.embedding, logits)


def _view(random: torch.Generator) -> Callable[[Tensor], Tensor]:
    """One disturbance for faces before and after: shifted by a few pixels, and half of the time blurred."""
    dx, dy, blur = torch.rand(3, generator=random).tolist()

    def see(images: Tensor) -> Tensor:
        images = images.clamp(-1, 1)
        size = images.shape[-1]
        reach = int(JITTER * size)
        if reach:
            padded = F.pad(images, [reach] * 4, mode="reflect")
            left, top = int(dx * (2 * reach + 1)), int(dy * (2 * reach + 1))
            images = padded[:, :, top : top + size, left : left + size]
        if blur < 0.5:
            images = F.interpolate(F.avg_pool2d(images, 2), scale_factor=2, mode="bilinear", align_corners=False)
        return images

    return see


class _Leak:
    """What an amount of 1 changes the other scores by on average: its square, and a pressure that grows while it lasts.

    The square alone leaves a rest, since some scores like to change together; the pressure is the integral part of a
    controller, or the multiplier of a constraint.
    """

    def __init__(self, target: int, count: int) -> None:
        self.others = torch.arange(count) != target
        self.pressure = torch.zeros(count - 1)

    def __call__(self, change: Tensor, amount: Tensor) -> Tensor:
        effect = (change[:, self.others] * amount[:, None]).sum(dim=0) / amount.square().sum()
        self.pressure += LEAK_MEMORY * effect.detach()
        return LEAK_WEIGHT * effect.square().sum() + (self.pressure * effect).sum()


def _length(whitened: Tensor) -> Tensor:
    """Squared Mahalanobis length: of what all rows share, and of how far they stand apart."""
    middle = whitened.mean(dim=0)
    return middle.square().sum() + (whitened - middle).square().sum()
