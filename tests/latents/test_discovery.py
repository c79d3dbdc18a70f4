from __future__ import annotations

import pytest
import torch

from gan_space.errors import InputError
from gan_space.latents import discovery
from gan_space.latents.discovery import (
    affine_weights,
    direction_from_marks,
    fit_readouts,
    ganspace,
    least_unusual_move,
    sefa,
    w_statistics,
)
from gan_space.models.generator import Generator


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cosine(a: torch.Tensor, b: torch.Tensor) -> float:
    return torch.nn.functional.cosine_similarity(a.flatten().double(), b.flatten().double(), dim=0).item()


@pytest.fixture(scope="module")
def space():
    """W with a decaying spectrum: samples [4000, 12] and their statistics."""
    scales = torch.linspace(2, 0.2, 12, dtype=torch.float64)
    rotation = torch.linalg.qr(draw(12, 12, seed=1)).Q
    w = draw(4000, 12, seed=2) * scales @ rotation + 0.3
    return w, w_statistics(w)


def test_distance_is_that_of_mahalanobis(space):
    w, statistics = space
    offset = w[:50] - w.mean(dim=0)
    slow = torch.stack([(row @ torch.linalg.inv(statistics.covariance) @ row).sqrt() for row in offset])
    torch.testing.assert_close(statistics.distance(w[:50]), slow)


def test_readouts_find_what_made_the_scores():
    codes = draw(600, 2, 5)
    true = torch.zeros(3, 2, 5, dtype=torch.float64)
    true[0, 0, 1], true[1, 1] = 2.0, torch.linspace(-1, 1, 5)
    scores = torch.einsum("ngw,kgw->nk", codes, true) + 5 + 0.1 * draw(600, 3, seed=3)
    fitted = fit_readouts(codes, scores)
    torch.testing.assert_close(fitted.weights[:2], true[:2], atol=0.03, rtol=0)
    assert fitted.explained[:2].min() > 0.98 and fitted.accuracy[:2].min() > 0.9
    assert fitted.explained[2] < 0.1 and abs(fitted.accuracy[2] - 0.5) < 0.15  # the third score is noise


def test_ridge_is_the_textbook_formula():
    x, y = draw(40, 7), draw(40, 2, seed=4)
    xc, yc = x - x.mean(0), y - y.mean(0)
    covariance = xc.T @ xc / 40
    mean_variance = covariance.diagonal().mean()
    for strength, weights in discovery._ridge_path(x, y):
        slow = torch.linalg.inv(covariance + strength * mean_variance * torch.eye(7)) @ (xc.T @ yc / 40)
        torch.testing.assert_close(weights, slow)


def test_the_move_has_the_effects_asked_for_and_no_shorter_one_has(space):
    covariance = space[1].covariance
    readouts = draw(4, 3, 12, seed=5)
    wanted = {1: 1.0, 0: 0.0, 3: -0.2}
    move = least_unusual_move(readouts, covariance, wanted, groups=[0, 2])
    effects = torch.einsum("kgw,gw->k", readouts, move)
    torch.testing.assert_close(
        effects[[1, 0, 3]], torch.tensor([1.0, 0.0, -0.2], dtype=torch.float64), atol=1e-9, rtol=0
    )
    assert not move[1].any()

    def length(vectors):
        return torch.einsum("gw,wv,gv->", vectors, torch.linalg.inv(covariance), vectors)

    constraints = readouts[[0, 1, 3]][:, [0, 2]].flatten(1)  # [3, 24]
    null = torch.linalg.svd(constraints, full_matrices=True).Vh[3:]  # all that changes none of the three
    for direction in null:
        other = move.clone()
        other[[0, 2]] += 0.01 * direction.reshape(2, 12)
        assert length(other) > length(move)


def test_one_effect_alone_moves_along_the_covariance_of_code_and_score(space):
    w, statistics = space
    readout = draw(12, seed=6)
    move = least_unusual_move(readout[None, None], statistics.covariance, {0: 1.0}, [0])
    scores = w @ readout
    covariance = ((scores - scores.mean())[:, None] * (w - w.mean(0))).mean(0)
    assert cosine(move, covariance) == pytest.approx(1)


def test_contradictions_are_refused(space):
    readouts = draw(1, 1, 12).repeat(2, 1, 1)
    with pytest.raises(InputError, match="change together"):
        least_unusual_move(readouts, space[1].covariance, {0: 1.0, 1: 0.0}, [0])
    with pytest.raises(InputError, match="change together"):
        least_unusual_move(torch.zeros(1, 1, 12).double(), space[1].covariance, {0: 1.0}, [0])


def test_every_row_is_read_by_the_layers_that_react_to_it():
    torch.manual_seed(0)
    generator = Generator(resolution=16, z_dim=8, w_dim=8, channel_base=64, num_mapping_layers=1)
    reading = {}
    for name, module in generator.synthesis.named_modules():
        if name.endswith("affine"):
            module.register_forward_pre_hook(
                lambda _, inputs, name=name: reading.__setitem__(name, inputs[0][0, 0].item())
            )
    rows = torch.arange(6.0)[None, :, None].expand(1, 6, 8)  # row i holds the number i
    generator.synthesis(rows)
    for row in range(6):
        expected = [
            module.weight.double()
            for name, module in generator.synthesis.named_modules()
            if name.endswith("affine") and reading[name] == row
        ]
        found = affine_weights(generator.synthesis, [row])
        assert len(found) == len(expected) > 0
        assert all(any(torch.equal(a, b) for b in expected) for a in found)


def test_sefa_directions_move_the_styles_most(space):
    torch.manual_seed(0)
    synthesis = Generator(resolution=16, z_dim=12, w_dim=12, channel_base=64, num_mapping_layers=1).synthesis
    directions = sefa(synthesis, "middle", 12, space[1])
    weights = torch.cat(affine_weights(synthesis, (3, 4, 5)))
    units = [torch.nn.functional.normalize(one.vector[3].double(), dim=0) for one in directions]
    sizes = torch.stack([(weights @ unit).norm() for unit in units])
    assert (sizes.diff() < 1e-6).all()
    assert sizes[0] == pytest.approx(torch.linalg.matrix_norm(weights, 2).item())
    first = directions[0]
    assert first.name == "sefa_1" and first.layers == (3, 4, 5) and torch.equal(first.vector[3], first.vector[5])
    # an amount of 1 is one standard deviation of W that way
    along = (space[0] @ units[0]).std().item()
    assert first.vector[3].norm().item() == pytest.approx(along, rel=1e-4)


def test_ganspace_finds_the_widest_directions(space):
    directions = ganspace(space[1], "coarse+middle", 3, num_ws=6)
    widths = [one.vector[0].norm().item() for one in directions]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] == pytest.approx(2.0, rel=0.05)  # the largest scale that the samples were made with
    with pytest.raises(InputError, match="count"):
        ganspace(space[1], "all", 13, num_ws=6)


def test_leaving_one_out_is_what_refitting_without_it_gives():
    x, y = draw(9, 4), draw(9, seed=7).sign()
    variance = torch.tensor(1.3, dtype=torch.float64)
    readout, without = discovery._ridge_leaving_one_out(x, y, variance)
    errors = []
    for strength in discovery.RIDGE_STRENGTHS:
        slow = torch.zeros(9, dtype=torch.float64)
        ridge = 9 * strength * variance * torch.eye(4)
        for left_out in range(9):
            kept = [i for i in range(9) if i != left_out]
            middle, mean = x[kept].mean(0), y[kept].mean()
            weights = torch.linalg.solve(
                (x[kept] - middle).T @ (x[kept] - middle) + ridge, (x[kept] - middle).T @ (y[kept] - mean)
            )
            slow[left_out] = (x[left_out] - middle) @ weights + mean
        errors.append(((slow - y).square().mean().item(), slow, strength))
    _, slow, strength = min(errors, key=lambda entry: entry[0])
    torch.testing.assert_close(without, slow)
    xc = x - x.mean(0)
    full = torch.linalg.solve(xc.T @ xc + 9 * strength * variance * torch.eye(4), xc.T @ (y - y.mean()))
    torch.testing.assert_close(readout, full)


def test_forty_marks_give_a_direction_that_follows_them(space):
    w, statistics = space
    true = statistics.covariance @ draw(12, seed=8)
    readout = torch.linalg.solve(statistics.covariance, true)
    marked = w[:40]
    more = (marked - statistics.mean) @ readout > 0
    codes = marked.float()[:, None].repeat(1, 6, 1)
    found = direction_from_marks(codes[more], codes[~more], statistics, name="fuller_hair", layers="middle")
    assert found.direction.layers == (3, 4, 5)
    assert cosine(found.direction.vector[4], true) > 0.8
    assert found.accuracy > 0.7
    # an amount of 1 moves what the marks were about by about one standard deviation
    step = (found.direction.vector[4].double() @ readout) / (readout @ statistics.covariance @ readout).sqrt()
    assert 0.7 < step.item() <= 1.0001
    shuffled = draw(40, seed=9) > 0
    assert direction_from_marks(codes[shuffled], codes[~shuffled], statistics, name="nothing").accuracy < 0.7


def test_marks_that_do_not_do_are_explained(space):
    codes = torch.zeros(3, 6, 12)
    for more, less, word in (
        (codes[:1], codes, "2 faces or more"),
        (codes, torch.zeros(3, 5, 12), "for both"),
        (torch.zeros(3, 6, 7), torch.zeros(3, 6, 7), "12"),
    ):
        with pytest.raises(InputError, match=word):
            direction_from_marks(more, less, space[1], name="hair")
    with pytest.raises(InputError, match="race"):
        direction_from_marks(codes + draw(3, 6, 12), codes, space[1], name="race")
    with pytest.raises(InputError, match="25 or more"):
        fit_readouts(torch.zeros(20, 1, 3), torch.zeros(20, 1))
