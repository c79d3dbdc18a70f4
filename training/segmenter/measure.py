"""How much masks share with a teacher's."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gan_space.models.segmenter import Segmenter
from training.segmenter.data import SegmentedHeads
from training.segmenter.disturb import plain_crops
from training.segmenter.losses import overlap


@torch.no_grad()
def measure(model: Segmenter, heads: SegmentedHeads, batch_size: int = 32) -> dict[str, float]:
    """Measure what masks share with the teacher's, of what either has (intersection over union), each picture alike.

    Returns:
        "hair_iou" and "person_iou", means over pictures where there is any.
    """
    shares: dict[str, list[Tensor]] = {"hair_iou": [], "person_iou": []}
    for start in range(0, len(heads), batch_size):
        batch = plain_crops(heads, np.arange(start, min(start + batch_size, len(heads))), model.resolution)
        output = model(batch.images.to(model.device))
        for number, (name, said) in enumerate(zip(shares, (output.hair, output.person), strict=True)):
            both, either = overlap(said.cpu(), batch.masks[:, number], batch.masks[:, 2])
            shares[name].append((both / either)[either > 0])
    return {name: torch.cat(parts).mean().item() for name, parts in shares.items()}
