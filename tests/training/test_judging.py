"""A discriminator judges any number of pictures, each among as many others."""

from __future__ import annotations

import pytest
import torch

from gan_space import Discriminator
from gan_space.images import from_uint8
from training.judging import logits_of


def network(**options) -> Discriminator:
    torch.manual_seed(0)
    return Discriminator(resolution=16, channel_base=64, channel_max=8, **options).eval()


@torch.no_grad()
@pytest.mark.parametrize("count", [1, 2, 3, 10, 21, 31, 33])
def test_a_group_that_is_not_full_is_filled_up_with_the_first(count):
    images = torch.randint(0, 256, (count, 3, 16, 16), dtype=torch.uint8)
    judge = network()
    filled = from_uint8(torch.cat([images] * 4)[: -(-count // 4) * 4])
    expected = torch.cat([judge(part)[:, 0] for part in filled.split(8)])[:count]
    torch.testing.assert_close(logits_of(judge, images, batch_size=8), expected)


@torch.no_grad()
def test_whole_batches_are_judged_as_they_are_and_labels_go_along():
    images, c = torch.rand(8, 3, 16, 16) * 2 - 1, torch.eye(2).repeat(4, 1)
    judge = network(c_dim=2)
    torch.testing.assert_close(logits_of(judge, images, c), judge(images, c)[:, 0])
    assert not torch.equal(logits_of(judge, images, c), logits_of(judge, images, c.flip(1)))
    assert logits_of(judge, images[:5], c[:5]).shape == (5,)
