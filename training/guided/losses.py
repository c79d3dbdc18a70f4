"""What the guided upscaler is asked for: the drawing's pixels and edges, after one doubling and after two."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.latents.inversion import charbonnier, structure_distance
from gan_space.models.guided_upscaler import FACTOR, GuidedUpscaler
from training.guided.data import GuidedBatch


def guided_losses(guided: GuidedUpscaler, batch: GuidedBatch, twice_share: float) -> dict[str, Tensor]:
    """Return the terms of one step, unweighted: "pixel" and "structure".

    Args:
        twice_share: share of the patches that are doubled twice from a quarter of their size, of which both passes
            count: a second pass has to know what a first one leaves.
    """
    twice = round(len(batch.photos) * twice_share)
    results, targets = [], []
    halves, photos, sources = batch.halves[twice:], batch.photos[twice:], batch.half_sources[twice:]
    if twice:
        small = F.avg_pool2d(batch.photos[:twice], FACTOR)
        first = guided(batch.quarters[:twice], small, batch.quarter_sources[:twice])
        results.append(first)
        targets.append(F.avg_pool2d(batch.targets[:twice], FACTOR))
        # A second pass starts from what has the photo's structure.
        halves, photos = torch.cat([first.clamp(-1, 1), halves]), torch.cat([batch.photos[:twice], photos])
        sources = torch.cat([small, sources])
    results.append(guided(halves, photos, sources))
    targets.append(batch.targets)
    pairs = list(zip(results, targets, strict=True))
    return {
        "pixel": sum(charbonnier(result, target).mean() for result, target in pairs),
        "structure": sum(structure_distance(result, target).mean() for result, target in pairs),
    }
