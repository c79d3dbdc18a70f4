"""What a pupil's vectors have to share with the teacher's: the direction, the distances, and the nearest face."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def identity_losses(embedding: Tensor, target: Tensor, strangers: Tensor, temperature: float) -> dict[str, Tensor]:
    """Compare the vectors of a batch with the teacher's; all rows are of unit length.

    Args:
        embedding: [N, D], the pupil's.
        target: [N, D], the teacher's of the same pictures.
        strangers: [M, D], the teacher's of other pictures.
        temperature: divides the cosines of the contrastive term.

    Returns:
        cosine: one minus the cosine to the teacher. relation: mean squared error of the cosines between the pictures
        of the batch (relational distillation, Park et al. 2019). contrastive: the own vector of the teacher must be
        the nearest among all (InfoNCE, van den Oord 2018).
    """
    apart = ~torch.eye(len(target), dtype=torch.bool, device=target.device)
    error = embedding @ embedding.T - target @ target.T
    logits = embedding @ torch.cat([target, strangers]).T / temperature  # [N, N + M]
    return {
        "cosine": 1 - (embedding * target).sum(dim=1).mean(),
        "relation": error[apart].square().mean(),
        "contrastive": F.cross_entropy(logits, torch.arange(len(target), device=target.device)),
    }
