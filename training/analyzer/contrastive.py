"""Losses that teach an embedding without names: find the other view of a face; forget light, pose and expression."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

EYE_PLACE = (0.39, -0.38)  # of the right eye in the tight frame, in [-1, 1]
WITHIN_RIDGE = 0.1  # of the mean variance between views
TURN = (0.25, 0.12)  # deviation of the turn sideways and of the nod, as tangents


class EmbeddingQueue(nn.Module):
    """The newest embeddings and whose they are (Wang et al. 2020, cross-batch memory); buffers, so it is resumed."""

    def __init__(self, size: int, dim: int):
        super().__init__()
        self.register_buffer("embeddings", torch.zeros(size, dim))
        self.register_buffer("owners", torch.full([size], -1))  # -1: not filled yet

    @torch.no_grad()
    def push(self, embeddings: Tensor, owners: Tensor) -> None:
        """Put embeddings [N, D] of owners [N] in front; the oldest fall out."""
        size = len(self.owners)
        self.embeddings.copy_(torch.cat([embeddings.float(), self.embeddings])[:size])
        self.owners.copy_(torch.cat([owners, self.owners])[:size])


def contrastive_loss(
    first: Tensor, second: Tensor, owners: Tensor, queue: EmbeddingQueue, temperature: float
) -> Tensor:
    """Tell the other view of a face among strangers (van den Oord 2018, InfoNCE), in both directions.

    Args:
        first, second: [N, D] unit vectors, row n of both being the same face.
        owners: [N] whose face it is; others of the same owner are no strangers and are left out.
        queue: more strangers.
        temperature: divides the cosines.
    """
    same_batch = (owners[:, None] == owners) & ~torch.eye(len(owners), dtype=torch.bool, device=owners.device)
    left_out = torch.cat([same_batch, (owners[:, None] == queue.owners) | (queue.owners < 0)], dim=1)  # [N, N + Q]
    target = torch.arange(len(owners), device=owners.device)
    losses = []
    for one, other in ((first, second), (second, first)):
        logits = one @ torch.cat([other, queue.embeddings]).T / temperature
        losses.append(F.cross_entropy(logits.masked_fill(left_out, -1e9), target))
    return (losses[0] + losses[1]) / 2


def decorrelation_loss(embedding: Tensor, nuisances: Tensor) -> Tensor:
    """Average the squared correlation of an embedding's dimensions [N, D] with values [N, K]; no rows with nan."""
    known = nuisances.isfinite().all(dim=1)
    if known.sum() < 8:
        return embedding.sum() * 0
    a, b = _standardised(embedding[known]), _standardised(nuisances[known])
    return (a.T @ b / len(a)).square().mean()


def redundancy_loss(projected: Tensor) -> Tensor:
    """Say how much the dimensions of [N, D] tell the same: squared correlations of one with all others, meaned over D.

    The covariance term of VICReg (Bardes et al. 2022); a batch norm in front stands in for its variance term. It also
    holds where faces are told apart by few directions already, from where the contrastive loss alone does not get away.
    """
    z = _standardised(projected)
    correlation = z.T @ z / len(z)  # [D, D]
    return (correlation.square().sum() - correlation.diagonal().square().sum()) / len(correlation)


def recolour(images: Tensor, generator: torch.Generator) -> Tensor:
    """Change what tells a photo but not a person: colour cast, saturation and contrast of [N, 3, R, R] in [-1, 1].

    A fifth turn grey. The light of a picture would otherwise be the easiest way to find its other view again.
    """
    num = len(images)
    draw = torch.rand(num, 3, 1, 1, generator=generator)
    normal = torch.randn(num, 3, 1, 1, generator=generator)
    grey = images.mean(dim=1, keepdim=True)
    saturation = torch.where(draw[:, :1] < 0.2, 0.0, 0.4 + 1.2 * draw[:, 1:2])
    images = grey + saturation * (images - grey)
    images = (images + 1) * (0.15 * normal).exp() - 1
    middle = images.mean(dim=(1, 2, 3), keepdim=True)
    return (middle + (0.7 + 0.6 * draw[:, 2:]) * (images - middle)).clamp(-1, 1)


def discriminants(first: Tensor, second: Tensor, num: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return directions that vary most between faces for what they vary between two views of a face (Fisher 1936).

    Args:
        first, second: [N, K] of the same N faces, seen in two ways.
        num: D, how many directions, at most K.

    Returns:
        Rows of a projection [D, K] that are uncorrelated over all faces, with the mean [D] and variance [D] there.
    """
    first, second = first.double(), second.double()
    difference, both = first - second, torch.cat([first, second])
    within = difference.T @ difference / (2 * len(difference))
    # Some thousand faces do not tell the smallest directions from noise.
    within += torch.eye(len(within), dtype=torch.float64) * (WITHIN_RIDGE * within.diagonal().mean() + 1e-9)
    values, vectors = torch.linalg.eigh(within)
    whitening = vectors / values.sqrt()  # columns
    ratios, turned = torch.linalg.eigh(whitening.T @ torch.cov(both.T) @ whitening)
    rows = (whitening @ turned).flip(1)[:, :num].T
    return rows.float(), (rows @ both.mean(dim=0)).float(), ratios.flip(0)[:num].clamp(min=1e-9).float()


def turn(images: Tensor, generator: torch.Generator) -> Tensor:
    """Turn faces [N, 3, R, R] in the tight frame a little, as if they had the depth of a mean head.

    Each pixel moves by its depth against that of the eyes, so eyes stay where they are while nose and cheeks
    move apart. The labels of yaw do not hold afterwards.
    """
    num, side = len(images), images.shape[-1]
    axis = (torch.arange(side) + 0.5) / side * 2 - 1
    v, u = torch.meshgrid(axis, axis, indexing="ij")
    shift = _depth(u, v) - _depth(torch.tensor(EYE_PLACE[0]), torch.tensor(EYE_PLACE[1]))
    angle = torch.randn(num, 2, generator=generator) * torch.tensor(TURN)
    grid = torch.stack([u, v], dim=-1) - angle.view(-1, 1, 1, 2) * shift[:, :, None]
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _depth(u: Tensor, v: Tensor) -> Tensor:
    """Of a head with a nose at (u, v) in [-1, 1], in half widths of the picture."""
    head = (1 - (u / 1.05).square() - (v / 1.3).square()).clamp(min=0).sqrt()
    return 0.6 * head + 0.3 * (-(u / 0.18).square() - ((v - 0.1) / 0.3).square()).exp()


def _standardised(values: Tensor) -> Tensor:
    return (values - values.mean(dim=0)) / (values.std(dim=0, correction=0) + 1e-6)
