from __future__ import annotations

import pytest
import torch

from gan_space.errors import InputError
from gan_space.images import from_uint8
from gan_space.metrics.diversity import (
    diversity,
    diversity_against,
    duplicate_threshold,
    mean_pairwise_distance,
    thumbnails,
)


def random_images(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(seed)).clamp(-1, 1)


def test_thumbnail_distance_is_the_rms_difference():
    black, white = -torch.ones(1, 3, 32, 48), torch.ones(1, 3, 32, 48)
    rows = thumbnails(torch.cat([black, white]))
    assert rows.shape == (2, 768)
    assert (rows[0] - rows[1]).norm().item() == pytest.approx(2)


def test_thumbnails_average_areas_of_both_kinds_of_images():
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    floats = from_uint8(images)
    expected = floats.view(3, 3, 16, 2, 16, 2).mean((3, 5)).flatten(1) / 768**0.5
    torch.testing.assert_close(thumbnails(images), expected)
    torch.testing.assert_close(thumbnails(floats), expected)


def test_mean_distance_equals_the_double_loop():
    features = torch.randn(9, 4).double() + 50
    pairs = [(features[i] - features[j]).norm() for i in range(9) for j in range(9) if i != j]
    assert mean_pairwise_distance(features) == pytest.approx(torch.stack(pairs).mean().item(), rel=1e-9)


def test_duplicates_are_counted_against_what_is_usual_among_reals():
    reals = thumbnails(random_images(100))
    threshold = duplicate_threshold(reals)
    other = thumbnails(random_images(100, seed=1))
    assert diversity(other, threshold).duplicate_rate == 0
    repeated = other.clone()
    repeated[:30] = repeated[30:60]  # 30 pairs: 60 images have a twin
    assert diversity(repeated, threshold).duplicate_rate == pytest.approx(0.6)
    assert diversity(other[:1].expand(50, -1), threshold) == (0.0, 1.0)


def test_fakes_are_measured_by_reals():
    reals, others = thumbnails(random_images(200)), thumbnails(random_images(200, seed=1))
    same = diversity_against(reals, others)
    assert same.mean_distance == pytest.approx(1, abs=0.02) and same.duplicate_rate == 0
    pale = diversity_against(reals, others * 0.3)  # pale is not the same as alike
    assert pale.mean_distance == pytest.approx(0.3, abs=0.02) and pale.duplicate_rate == 0
    modes = diversity_against(reals, others[:10].repeat(20, 1))
    assert modes.mean_distance > 0.8 and modes.duplicate_rate == 1
    twins = others.repeat_interleave(2, 0)[:200]
    assert diversity_against(twins, twins) == (1.0, 0.0)  # repeats that the reals have too are no fault
    with pytest.raises(InputError, match="equal numbers"):
        diversity_against(reals, others[:5])


def test_unusable_images_are_refused():
    with pytest.raises(InputError, match="at least 16 px"):
        thumbnails(torch.zeros(2, 3, 8, 8))
    with pytest.raises(InputError, match="N >= 2"):
        mean_pairwise_distance(torch.zeros(1, 4))
