"""The networks that a pack is tuned with, as copies: the caller's stay as they are."""

from __future__ import annotations

import copy

import torch

from gan_space.models.discriminator import Discriminator
from gan_space.models.generator import Generator
from gan_space.nn.precision import choose_compute_dtype
from gan_space.packs.attaching import attached


def frozen_copies(generator: Generator, discriminator: Discriminator | None) -> tuple[Generator, Discriminator | None]:
    """Copy both without any pack; they learn nothing and compute in bfloat16 where that is native."""
    device = next(generator.parameters()).device
    with torch.no_grad():
        dtype = choose_compute_dtype(None, device)
    with attached(generator, []):  # nobody attaches a pack meanwhile
        copies = [
            network and copy.deepcopy(network).eval().requires_grad_(False) for network in (generator, discriminator)
        ]
    for network in copies:
        if network is not None:
            network.compute_dtype = dtype
    return copies[0], copies[1]
