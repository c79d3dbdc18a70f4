"""What the segmenter is trained by."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from gan_space.models.segmenter import SegmenterOutput
from training.segmenter.disturb import SegmentedBatch

EDGE_GAIN = 2.0  # how much more an edge of a mask counts than its inside


def segmenter_loss(output: SegmenterOutput, batch: SegmentedBatch) -> dict[str, Tensor]:
    """Cross-entropy of each pixel, and Dice (Milletari et al. 2016), by which a little hair counts as much as a lot.

    Returns:
        The terms by name, scalars.
    """
    weight, terms = batch.masks[:, 2], {}
    for name, logit, target in (
        ("hair", output.hair_logit, batch.masks[:, 0]),
        ("person", output.person_logit, batch.masks[:, 1]),
    ):
        low, high = (sign * F.max_pool2d(sign * target[:, None], 5, 1, 2)[:, 0] for sign in (-1, 1))
        each = weight * (1 + EDGE_GAIN * (high - low))
        entropy = F.binary_cross_entropy_with_logits(logit, target, reduction="none")
        terms[name] = (each * entropy).sum() / each.sum().clamp(min=1)
        said = logit.sigmoid()
        both = (weight * said * target).sum(dim=(1, 2))
        either = (weight * (said.square() + target.square())).sum(dim=(1, 2))
        terms[f"{name}_dice"] = (1 - (2 * both + 20) / (either + 20)).mean()
    return terms


def overlap(said: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return intersection and union of two masks at one half, each [N], in pixels that are known."""
    said, target, known = said > 0.5, target > 0.5, weight > 0.5
    return (said & target & known).sum(dim=(1, 2)), ((said | target) & known).sum(dim=(1, 2))
