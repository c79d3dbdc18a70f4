"""Losses that teach an embedding without names: find the other view of a face; forget light, pose and expression."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
    same_batch = (owners[:, None] == owners) & ~torch.eye(len(owners), dtype=torch.bool)
    left_out = torch.cat([same_batch, (owners[:, None] == queue.owners) | (queue.owners < 0)], dim=1)  # [N, N + Q]
    target = torch.arange(len(owners))
    losses = []
    for one, other in ((first, second), (second, first)):
        logits = one @ torch.cat([other, queue.embeddings]).T / temperature
        losses.append(F.cross_entropy(logits.masked_fill(left_out, -1e9), target))
    return (losses[0] + losses[1]) / 2


def decorrelation_loss(embedding: Tensor, nuisances: Tensor) -> Tensor:
    """Mean squared correlation of the embedding's dimensions [N, D] with values [N, K]; rows with nan are left out."""
    known = nuisances.isfinite().all(dim=1)
    if known.sum() < 8:
        return embedding.sum() * 0
    a, b = _standardised(embedding[known]), _standardised(nuisances[known])
    return (a.T @ b / len(a)).square().mean()


def _standardised(values: Tensor) -> Tensor:
    return (values - values.mean(dim=0)) / (values.std(dim=0, correction=0) + 1e-6)
