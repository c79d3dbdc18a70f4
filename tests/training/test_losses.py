"""Losses against their formulas, penalties against finite differences."""

from __future__ import annotations

import math

import pytest
import torch

from training.losses import LOSSES, gradient_penalty, path_length_penalty


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


# (real, fake) -> L_D and L_G, written as in the papers.
FORMULAS = {
    "non_saturating": (
        lambda r, f: -math.log(sigmoid(r)) - math.log(1 - sigmoid(f)),
        lambda r, f: -math.log(sigmoid(f)),
    ),
    "bce": (
        lambda r, f: -0.9 * math.log(sigmoid(r)) - 0.1 * math.log(1 - sigmoid(r)) - math.log(1 - sigmoid(f)),
        lambda r, f: -math.log(sigmoid(f)),
    ),
    "least_squares": (lambda r, f: 0.5 * (r - 1) ** 2 + 0.5 * f**2, lambda r, f: 0.5 * (f - 1) ** 2),
    "hinge": (lambda r, f: max(0, 1 - r) + max(0, 1 + f), lambda r, f: -f),
    "relativistic": (lambda r, f: softplus(-(r - f)), lambda r, f: softplus(-(f - r))),
}


def test_every_loss_has_a_formula():
    assert FORMULAS.keys() == LOSSES.keys()


@pytest.mark.parametrize("real,fake", [(1.5, -0.5), (-2.0, 3.0), (0.0, 0.0)])
@pytest.mark.parametrize("name", FORMULAS)
def test_values(name, real, fake):
    loss = LOSSES[name]
    real_logits, fake_logits = (torch.tensor([[value]], dtype=torch.float64) for value in (real, fake))
    d, g = loss.discriminator(real_logits, fake_logits), loss.generator(fake_logits, real_logits)
    assert d.shape == g.shape == (1,)
    assert d.item() == pytest.approx(FORMULAS[name][0](real, fake))
    assert g.item() == pytest.approx(FORMULAS[name][1](real, fake))


@pytest.mark.parametrize("name", FORMULAS)
def test_descent_parts_real_from_fake_and_g_goes_after(name):
    loss = LOSSES[name]
    real, fake = torch.zeros(4, 1, requires_grad=True), torch.zeros(4, 1, requires_grad=True)
    d_real, d_fake = torch.autograd.grad(loss.discriminator(real, fake).mean(), [real, fake], allow_unused=True)
    assert (d_real < 0).all(), "D raises the logits of real pictures"
    if name != "least_squares":  # its target for fakes is where they are already
        assert (d_fake > 0).all(), "D lowers those of generated ones"
    (g_fake,) = torch.autograd.grad(loss.generator(fake, real.detach()).mean(), fake)
    assert (g_fake < 0).all(), "G raises those of generated ones"


def test_gradient_penalty_by_finite_differences():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1))
    network.double()
    images = torch.randn(2, 3, 2, 2, dtype=torch.float64, requires_grad=True)
    penalty = gradient_penalty(network(images), images)
    step = 1e-6
    for n in range(2):
        total = 0.0
        for index in range(12):
            shift = torch.zeros(12, dtype=torch.float64)
            shift[index] = step
            with torch.no_grad():
                up, down = (network(images[n : n + 1] + s * shift.view(1, 3, 2, 2)) for s in (1, -1))
            total += ((up - down).item() / (2 * step)) ** 2
        assert penalty[n].item() == pytest.approx(total, rel=1e-6)
    # It has a gradient of its own, or it would regularise nothing.
    penalty.mean().backward()
    assert network[1].weight.grad.abs().sum() > 0


def test_path_length_of_a_linear_generator():
    """x = s * w gives |J^T y| = s |y|, with E|y|^2 = number of values / (H W)."""
    torch.manual_seed(0)
    w_plus = torch.randn(64, 1, 3 * 8 * 8, requires_grad=True)
    images = (2.0 * w_plus).view(64, 3, 8, 8)
    mean_length = torch.zeros([])
    penalty, lengths = path_length_penalty(images, w_plus, mean_length)
    expected = 2.0 * math.sqrt(3)
    assert lengths.mean().item() == pytest.approx(expected, rel=0.05)
    assert mean_length.item() == pytest.approx(0.01 * lengths.mean().item(), rel=1e-4)
    torch.testing.assert_close(penalty.detach(), (lengths - mean_length).square())
