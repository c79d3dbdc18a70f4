"""What is behind the person: out of focus, or a plain wall."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.faces.head import Head
from gan_space.looks.layers import Background


def change_background(pixels: Tensor, heads: Sequence[Head], background: Background) -> Tensor:
    """Return the photo with another background.

    Args:
        pixels: [3, H, W] uint8.
        heads: where persons are; what no head speaks of is background.
        background: wall and blur.

    Returns:
        [3, H, W] uint8; the photo itself without an amount.
    """
    if not heads or not (background.amount or background.blur):
        return pixels
    person = np.zeros(pixels.shape[1:], np.float32)
    for head in heads:
        left, top, right, bottom = head.box
        np.maximum(person[top:bottom, left:right], head.person, out=person[top:bottom, left:right])
    photo = np.ascontiguousarray(pixels.permute(1, 2, 0).numpy()).astype(np.float32)
    behind = photo
    if background.blur:
        unit = max(head.box[2] - head.box[0] for head in heads) / 8
        weight = (1 - person)[..., None] + 1e-3
        sigma = 0.35 * unit * background.blur
        behind = cv2.GaussianBlur(photo * weight, (0, 0), sigma) / cv2.GaussianBlur(weight, (0, 0), sigma)[..., None]
    if background.amount:
        wall = np.float32([int(background.color[start : start + 2], 16) for start in (1, 3, 5)])
        behind = behind + (wall - behind) * background.amount
    done = behind + (photo - behind) * person[..., None]
    return torch.from_numpy(done.round().clip(0, 255).astype(np.uint8)).permute(2, 0, 1).contiguous()
