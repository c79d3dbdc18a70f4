"""Adversarial losses by name, gradient penalties and path length regularisation, as free functions.

Logits are [N, 1]; every loss returns one value a picture, [N]. The caller takes the mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

BCE_REAL_TARGET = 0.9  # one-sided label smoothing (Salimans et al. 2016, section 3.4)


@dataclass(frozen=True)
class AdversarialLoss:
    """The two sides of a game. `generator_needs_real` tells that the G loss looks at real logits too."""

    discriminator: Callable[[Tensor, Tensor], Tensor]  # (real logits, fake logits) -> [N]
    generator: Callable[[Tensor, Tensor | None], Tensor]  # (fake logits, real logits or None) -> [N]
    generator_needs_real: bool = False


def _non_saturating_d(real: Tensor, fake: Tensor) -> Tensor:
    # L_D = -log D(x) - log(1 - D(G(z))) with D = sigmoid(logit) (Goodfellow et al. 2014, eq. 1)
    return (F.softplus(-real) + F.softplus(fake)).flatten()


def _non_saturating_g(fake: Tensor, real: Tensor | None) -> Tensor:
    # L_G = -log D(G(z)) (Goodfellow et al. 2014, section 3)
    return F.softplus(-fake).flatten()


def _bce_d(real: Tensor, fake: Tensor) -> Tensor:
    # Cross-entropy against labels. With targets 1 and 0 it would be `non_saturating`; the smoothed real target is
    # what sets it apart: D stops pushing once it is 90 % sure.
    on_real = F.binary_cross_entropy_with_logits(real, torch.full_like(real, BCE_REAL_TARGET), reduction="none")
    on_fake = F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake), reduction="none")
    return (on_real + on_fake).flatten()


def _bce_g(fake: Tensor, real: Tensor | None) -> Tensor:
    return F.binary_cross_entropy_with_logits(fake, torch.ones_like(fake), reduction="none").flatten()


def _least_squares_d(real: Tensor, fake: Tensor) -> Tensor:
    # MSE to the labels a = 0, b = 1 (LSGAN, Mao et al. 2017, eq. 9)
    return 0.5 * ((real - 1).square() + fake.square()).flatten()


def _least_squares_g(fake: Tensor, real: Tensor | None) -> Tensor:
    return 0.5 * (fake - 1).square().flatten()


def _hinge_d(real: Tensor, fake: Tensor) -> Tensor:
    # (Lim & Ye 2017; Miyato et al. 2018)
    return (F.relu(1 - real) + F.relu(1 + fake)).flatten()


def _hinge_g(fake: Tensor, real: Tensor | None) -> Tensor:
    return -fake.flatten()


def _relativistic_d(real: Tensor, fake: Tensor) -> Tensor:
    # Real against fake in pairs; with R1 and R2 it converges locally (R3GAN, Huang et al. 2024, eq. 2)
    return F.softplus(fake - real).flatten()


def _relativistic_g(fake: Tensor, real: Tensor | None) -> Tensor:
    return F.softplus(real - fake).flatten()


LOSSES: dict[str, AdversarialLoss] = {
    "non_saturating": AdversarialLoss(_non_saturating_d, _non_saturating_g),
    "bce": AdversarialLoss(_bce_d, _bce_g),
    "least_squares": AdversarialLoss(_least_squares_d, _least_squares_g),
    "hinge": AdversarialLoss(_hinge_d, _hinge_g),
    "relativistic": AdversarialLoss(_relativistic_d, _relativistic_g, generator_needs_real=True),
}


def gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """Return the squared norm of the gradient of each picture's logit with respect to the picture: [N].

    On real pictures this is R1, on generated ones R2 (Mescheder et al. 2018, eq. 9). The penalty in the loss is
    gamma / 2 times its mean. `images` must require a gradient and lead to `logits` without in-place detours.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.float().square().sum(dim=[1, 2, 3])


def path_length_penalty(images: Tensor, w_plus: Tensor, mean_length: Tensor, decay: float = 0.01):
    """Keep equal steps in W equally visible (StyleGAN2, section 3.2).

    Args:
        images: [N, 3, H, W], drawn from `w_plus` with a gradient.
        w_plus: [N, num_ws, w_dim].
        mean_length: [] running mean of path lengths, moved in place.

    Returns:
        (penalty [N], lengths [N])
    """
    noise = torch.randn_like(images) / (images.shape[2] * images.shape[3]) ** 0.5
    (gradient,) = torch.autograd.grad((images * noise).sum(), w_plus, create_graph=True)
    lengths = gradient.square().sum(dim=2).mean(dim=1).sqrt()  # [N]
    mean_length.lerp_(lengths.detach().mean(), decay)
    return (lengths - mean_length).square(), lengths.detach()
