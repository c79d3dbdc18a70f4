from __future__ import annotations

import pytest
import torch

from gan_space.errors import InputError
from gan_space.metrics.memorisation import memorisation


def normal(rows: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, 6, generator=torch.Generator().manual_seed(seed))


def test_clean_samples_lie_as_near_as_held_out_images():
    result = memorisation(normal(600, 0), normal(800, 1), normal(600, 2))
    assert 0.9 < result.median_ratio < 1.1
    assert result.share_closer < 0.03


def test_copies_are_flagged_and_come_first():
    train = normal(800, 1)
    samples = normal(100, 0)
    copied = torch.arange(20) * 7
    samples[30:50] = train[copied] + 0.001 * normal(20, 3)
    result = memorisation(samples, train, normal(300, 2))
    assert result.share_closer >= 0.2
    pairs = result.closest_pairs(20)
    assert {(row, index) for row, index, _ in pairs} == {(30 + place, int(index)) for place, index in enumerate(copied)}
    distances = [distance for _, _, distance in pairs]
    assert distances == sorted(distances) and distances[-1] < result.threshold


def test_a_set_of_copies_has_ratio_zero_and_a_far_one_a_large_ratio():
    train, heldout = normal(200, 1), normal(100, 2)
    copies = memorisation(train[:50].clone(), train, heldout)
    assert copies.median_ratio < 1e-6 and copies.share_closer == 1.0
    assert copies.indices.tolist() == list(range(50))
    far = memorisation(normal(50, 3) + 20, train, heldout)
    assert far.median_ratio > 5 and far.share_closer == 0.0


def test_nothing_to_compare_with_is_refused():
    with pytest.raises(InputError, match="heldout"):
        memorisation(normal(5, 0), normal(5, 1), torch.empty(0, 6))
