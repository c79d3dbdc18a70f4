"""What a discriminator says of any number of pictures, though it compares them in groups of one size."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_space.images import from_uint8
from gan_space.models.discriminator import Discriminator
from training.projected import ProjectedDiscriminator


def logits_of(
    discriminator: Discriminator | ProjectedDiscriminator, images: Tensor, c: Tensor | None = None, batch_size: int = 32
) -> Tensor:
    """Judge pictures, each among as many others as in training (`mbstd_group_size`); of several logits the mean counts.

    A last group that is not full is filled up with the first pictures, whose second logits are left out.

    Args:
        discriminator: ours, on any device.
        images: [N, 3, R, R], uint8 or float in [-1, 1].
        c: [N, c_dim] labels for a conditional discriminator.
        batch_size: pictures at once, rounded down to whole groups.

    Returns:
        [N] on the discriminator's device.
    """
    projected = isinstance(discriminator, ProjectedDiscriminator)
    group = discriminator.group_size if projected else discriminator.config.mbstd_group_size
    count = len(images)
    rows = torch.arange(count + -count % group) % count
    device = next(discriminator.parameters()).device
    parts = []
    for some in rows.split(max(batch_size // group, 1) * group):
        batch = images[some].to(device)
        batch = from_uint8(batch) if batch.dtype == torch.uint8 else batch
        parts.append(discriminator(batch, None if c is None else c[some].to(device)).mean(dim=1))
    return torch.cat(parts)[:count]
