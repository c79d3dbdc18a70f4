from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gan_space.errors import InputError
from gan_space.metrics.distances import (
    Moments,
    density_coverage,
    feature_moments,
    frechet_distance,
    frechet_from_moments,
    kernel_distance,
    nearest,
    precision_recall,
    squared_mmd,
)


def normal(rows: int, width: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.RandomState(seed).randn(rows, width))


def test_frechet_of_diagonal_gaussians_has_a_closed_form():
    mean_a, mean_b = torch.tensor([0.0, 1.0, -2.0]).double(), torch.tensor([1.0, 1.0, 3.0]).double()
    var_a, var_b = torch.tensor([1.0, 4.0, 0.0]).double(), torch.tensor([9.0, 4.0, 2.0]).double()
    expected = (mean_a - mean_b).square().sum() + (var_a.sqrt() - var_b.sqrt()).square().sum()
    distance = frechet_from_moments(Moments(mean_a, var_a.diag()), Moments(mean_b, var_b.diag()))
    assert distance == pytest.approx(expected.item(), abs=1e-12)


def test_frechet_agrees_with_the_eigenvalues_of_the_product():
    a = normal(200, 12, 0) @ normal(12, 12, 1) + 0.5
    b = normal(150, 12, 2) @ normal(12, 12, 3)
    cov_a, cov_b = np.cov(a.numpy().T), np.cov(b.numpy().T)
    root_trace = np.sqrt(np.linalg.eigvals(cov_a @ cov_b)).sum().real  # of its root, which need not be found
    gap = a.numpy().mean(0) - b.numpy().mean(0)
    assert frechet_distance(a, b) == pytest.approx(gap @ gap + np.trace(cov_a + cov_b) - 2 * root_trace, rel=1e-9)


def test_frechet_is_stable_when_covariances_are_singular():
    a, b = normal(10, 40, 0), normal(12, 40, 1)  # fewer rows than columns
    moments = feature_moments(a), feature_moments(b)
    # tr (A B)^½ is the nuclear norm of the product of the centred data, which needs no root of a singular matrix.
    centred = [(x - x.mean(0)) / math.sqrt(len(x) - 1) for x in (a, b)]
    cross = torch.linalg.svdvals(centred[0] @ centred[1].T).sum()
    expected = (a.mean(0) - b.mean(0)).square().sum() + sum(m.covariance.trace() for m in moments) - 2 * cross
    assert frechet_from_moments(*moments) == pytest.approx(expected.item(), rel=1e-6)
    assert frechet_distance(a, a) < 1e-6
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-6)


def test_frechet_keeps_its_digits_in_float32_features_with_a_large_mean():
    a, b = normal(300, 6, 0) + 1000, normal(300, 6, 1) + 1000
    assert frechet_distance(a.float(), b.float()) == pytest.approx(frechet_distance(a, b), rel=1e-3)


def test_squared_mmd_equals_the_double_loop():
    a, b = normal(7, 3, 0), normal(5, 3, 1) + 0.3

    def kernel(x: torch.Tensor, y: torch.Tensor) -> float:
        return (float(x @ y) / 3 + 1) ** 3

    within_a = sum(kernel(a[i], a[j]) for i in range(7) for j in range(7) if i != j) / (7 * 6)
    within_b = sum(kernel(b[i], b[j]) for i in range(5) for j in range(5) if i != j) / (5 * 4)
    between = sum(kernel(a[i], b[j]) for i in range(7) for j in range(5)) / (7 * 5)
    assert squared_mmd(a, b) == pytest.approx(within_a + within_b - 2 * between, rel=1e-12)


def test_squared_mmd_averages_to_zero_for_one_distribution():
    values = np.array([squared_mmd(normal(20, 4, 2 * trial), normal(20, 4, 2 * trial + 1)) for trial in range(400)])
    error = values.std() / math.sqrt(len(values))
    assert (values < 0).any() and (values > 0).any()
    assert abs(values.mean()) < 4 * error


def test_kernel_distance_tells_distributions_apart_and_repeats():
    a, same, other = normal(300, 8, 0), normal(300, 8, 1), normal(300, 8, 2) * 1.3 + 0.5
    near, far = kernel_distance(a, same), kernel_distance(a, other)
    assert abs(near.mean) < 3 * near.std + 1e-9
    assert far.mean > 5 * far.std
    assert kernel_distance(a, other, seed=0) == far
    assert kernel_distance(a, other, seed=1).mean != far.mean
    whole = kernel_distance(a, other, subsets=2, subset_size=300)
    assert whole.mean == pytest.approx(squared_mmd(a, other)) and whole.std == pytest.approx(0, abs=1e-12)


def test_nearest_equals_brute_force_in_any_chunk(monkeypatch):
    queries, references = normal(23, 5, 0) + 100, normal(31, 5, 1) + 100
    expected = (queries[:, None] - references[None]).square().sum(2).sqrt().sort(dim=1)
    monkeypatch.setattr("gan_space.metrics.distances._CHUNK", 4)
    distances, indices = nearest(queries, references, k=3)
    torch.testing.assert_close(distances, expected.values[:, :3], rtol=1e-9, atol=1e-9)
    assert indices.equal(expected.indices[:, :3])
    _, own = nearest(queries, queries, exclude_self=True)
    assert (own[:, 0] != torch.arange(23)).all()


def test_precision_and_recall_of_points_placed_by_hand():
    real = torch.tensor([[0.0, 0], [1, 0], [2, 0], [3, 0]])  # k = 1: every radius is 1
    fake = torch.tensor([[0.5, 0], [0.6, 0], [9, 0], [9.1, 0]])  # radii 0.1, 0.1, 0.1, 0.1
    scores = precision_recall(real, fake, k=1)
    assert scores == (0.5, 0.0)  # two fakes lie in real balls; no real lies in the small balls of the fakes
    wide = torch.tensor([[0.5, 0], [2.5, 0], [9, 0], [11, 0]])  # radii 2
    assert precision_recall(real, wide, k=1) == (0.5, 1.0)
    assert precision_recall(real, real, k=1) == (1.0, 1.0)
    assert precision_recall(real, real + 100, k=1) == (0.0, 0.0)


def test_precision_stays_and_recall_falls_when_modes_are_lost(monkeypatch):
    modes = torch.arange(8)[:, None].double() * 50
    real = (modes[:, None] + normal(320, 2, 0).view(8, 40, 2)).flatten(0, 1)
    fake = (modes[:2, None] + normal(320, 2, 1).view(2, 160, 2)).flatten(0, 1)
    scores = precision_recall(real, fake)
    assert scores.precision > 0.85 and scores.recall < 0.3
    monkeypatch.setattr("gan_space.metrics.distances._CHUNK", 33)
    assert precision_recall(real, fake) == scores


def test_density_and_coverage_of_points_placed_by_hand():
    real = torch.tensor([[0.0, 0], [1, 0], [2, 0], [3, 0]])  # k = 1: every radius is 1
    fake = torch.tensor([[0.5, 0], [9.0, 0]])  # the first lies in the balls of 0 and 1, the second in none
    assert density_coverage(real, fake, k=1) == (1.0, 0.5)
    real, fake = normal(200, 3, 0), normal(200, 3, 1)
    scores = density_coverage(real, fake)
    assert 0.85 < scores.density < 1.15 and scores.coverage > 0.9  # 1 and 0.97 are expected for one distribution


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: frechet_distance(torch.zeros(1, 3), torch.zeros(4, 3)), "N >= 2"),
        (lambda: frechet_distance(torch.zeros(4, 3), torch.zeros(4, 2)), "different lengths"),
        (lambda: frechet_distance(torch.full((4, 3), torch.nan), torch.zeros(4, 3)), "not finite"),
        (lambda: kernel_distance(torch.zeros(4, 3), torch.zeros(9, 3), subset_size=5), "from 2 to the smaller"),
        (lambda: kernel_distance(torch.zeros(4, 3), torch.zeros(9, 3), subsets=0), "subsets must be"),
        (lambda: precision_recall(torch.zeros(3, 2), torch.zeros(9, 2), k=3), "2 neighbours there are"),
    ],
)
def test_unusable_features_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
