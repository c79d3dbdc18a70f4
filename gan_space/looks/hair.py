"""Dye the hair of a head: its lights and darks stay, its colour becomes another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from gan_space.faces.head import Head
from gan_space.looks.layers import HairColor
from gan_space.output.lab import lab_to_rgb, rgb_to_lab


def dye_hair(pixels: Tensor, heads: Sequence[Head], dye: HairColor) -> Tensor:
    """Return the photo with dyed hair.

    Args:
        pixels: [3, H, W] uint8.
        heads: where hair is.
        dye: colour and amount.

    Returns:
        [3, H, W] uint8; the photo itself without hair or amount.
    """
    if not dye.amount or not any(head.hair.any() for head in heads):
        return pixels
    done = pixels.clone()
    wanted = rgb_to_lab(_rgb(dye.color).view(1, 3, 1, 1))[0, :, 0, 0].numpy()
    for head in heads:
        left, top, right, bottom = head.box
        part = done[:, top:bottom, left:right].float() / 255
        lab = rgb_to_lab(part[None])[0].numpy()
        hair = torch.from_numpy(head.hair)
        firm = head.hair > 0.6
        if not firm.any():
            continue
        own = np.median(lab[0][firm])
        light = wanted[0] + (lab[0] - own) * (0.6 + 0.4 * wanted[0] / max(own, 20.0))
        gain = (light / max(wanted[0], 1.0)).clip(0.2, 1.6)
        new = np.stack([light.clip(0, 100), wanted[1] * gain, wanted[2] * gain])
        mixed = torch.from_numpy(lab + (new - lab) * (dye.amount * hair.numpy()))
        out = (lab_to_rgb(mixed[None].float())[0].clamp(0, 1) * 255).round().to(torch.uint8)
        done[:, top:bottom, left:right] = out
    return done


def _rgb(color: str) -> Tensor:
    return torch.tensor([int(color[start : start + 2], 16) for start in (1, 3, 5)]).float() / 255
