"""The order of pictures in training: shuffled anew each epoch, and the same from any position on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Sampler

from training.common.columns import weighted_rows


class EndlessSampler(Sampler[int]):
    """Indices for one of several processes, shuffled anew each epoch, from any position on.

    Process r of W gets positions start + r, start + r + W, …; together they see every index once an epoch, or, given
    weights ([length], mean 1), as many times as its weight says, rounded up or down by chance.
    """

    def __init__(
        self,
        length: int,
        *,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        start: int = 0,
        weights: np.ndarray | None = None,
    ):
        self.length, self.seed, self.rank, self.world_size, self.start = length, seed, rank, world_size, start
        self.weights = weights

    def __iter__(self) -> Iterator[int]:
        epoch, order = -1, None
        position = self.start + self.rank
        while True:
            if position // self.length != epoch:
                epoch = position // self.length
                order = self._order(np.random.default_rng([self.seed, epoch]))
            yield int(order[position % self.length])
            position += self.world_size

    def _order(self, chance: np.random.Generator) -> np.ndarray:
        if self.weights is None:
            return chance.permutation(self.length)
        return chance.permutation(weighted_rows(self.weights, self.length, chance))


def rows_of_step(length: int, seed: int, start: int, count: int) -> Tensor:
    """Return the `count` indices from position `start` on, in the order of `EndlessSampler`: [count] int64."""
    return torch.tensor(list(itertools.islice(EndlessSampler(length, seed=seed, start=start), count)))


def generator_of_step(seed: int, nimg: int) -> torch.Generator:
    """Return a source of random numbers on the CPU that depends on the seed and the pictures seen before alone."""
    return torch.Generator().manual_seed(seed * 1_000_000_007 + nimg)
