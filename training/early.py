"""Supervision of the early layers: a part of each batch is judged as an earlier block drew it.

In a generator with skip connections every block adds to a picture that can be looked at. Where the discriminator sees
some of these, enlarged, beside real pictures made as coarse, early blocks learn from it directly and not only through
all later ones. In the spirit of the multi-level guidance of GAT (Hyun et al. 2025), without its noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_space.models.generator import Generator
from gan_space.nn.fir import downsample2d, make_filter, upsample2d

SMALLEST = 16  # px: below, there is no face to judge


@dataclass(frozen=True)
class EarlyLook:
    """Which pictures of a batch of N are judged early, and after which block.

    Args:
        chosen: [N] bool.
        octaves: how many blocks before the last one.
    """

    chosen: Tensor
    octaves: int

    @classmethod
    def choose(cls, num: int, share: float, group_size: int, resolution: int, device: torch.device) -> EarlyLook | None:
        """Choose about `share` of a batch, and a block at random; None if nothing is to be judged early.

        Whole groups are chosen, of those that the discriminator compares with each other: sharp pictures beside coarse
        ones would tell it nothing about variety.
        """
        num_groups = num // min(group_size, num)
        count = min(round(share * num_groups), num_groups - 1)  # the last block is judged in every step
        most = (resolution // SMALLEST).bit_length() - 1
        if not count or not most:
            return None
        chosen = torch.arange(num, device=device) % num_groups < count  # a group's members lie num_groups apart
        return cls(chosen, 1 + int(torch.randint(most, [])))

    def real(self, images: Tensor) -> Tensor:
        """[N, 3, R, R] with the chosen ones as coarse as the block could draw them."""
        coarse = images[self.chosen]
        kernel = make_filter().to(images.device)
        for _ in range(self.octaves):
            coarse = downsample2d(coarse, kernel)
        return self._join(images[~self.chosen], enlarge(coarse, self.octaves))

    def fake(self, generator: Generator, draw: Callable[..., Tensor], w_plus: Tensor) -> Tensor:
        """Draw [N, num_ws, w_dim] -> [N, 3, R, R]; of the chosen ones only the blocks that are judged."""
        resolution = generator.config.resolution >> self.octaves
        state = generator.synthesis.features(w_plus[self.chosen], resolution, noise_mode="random")
        return self._join(draw(w_plus[~self.chosen], noise_mode="random"), enlarge(state.rgb, self.octaves))

    def _join(self, others: Tensor, chosen: Tensor) -> Tensor:
        order = torch.argsort(self.chosen.int(), stable=True).argsort()  # where each picture is in [others, chosen]
        return torch.cat([others, chosen])[order]


def enlarge(images: Tensor, octaves: int) -> Tensor:
    """Double [N, 3, h, w] so many times, as a generator's skip connections do."""
    kernel = make_filter().to(images.device)
    for _ in range(octaves):
        images = upsample2d(images, kernel)
    return images
