"""Eyes painted on skin, with lids that may lie elsewhere than `drawn_face` says."""

from __future__ import annotations

import numpy as np
import torch

from gan_space.faces.eyes import IRIS_RADIUS
from tests.faces.drawn_face import EYES

UNIT, MIDDLE, SIZE = 100.0, np.array([200.0, 160.0]), (400, 400)
SKIN, WHITE, LASHES, IRIS = (205, 160, 140), (225, 222, 220), (50, 38, 34), (70, 100, 130)


def paint_eyes(upper: float = 0.11, lower: float = 0.11, gaze: float = 0.0, half: float = 0.22) -> torch.Tensor:
    """[3, H, W] uint8: whites, irises that look to one side, and a line of lashes above.

    Args:
        upper, lower: how high the eyes are above and below their corners, in face units.
        half: half their width.
    """
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    photo = np.empty((*SIZE, 3), np.float32)
    photo[:] = SKIN
    photo += 4 * np.random.default_rng(0).standard_normal(photo.shape)
    for (ex, ey), _ in EYES:
        px, py = ((x, y) - (MIDDLE + UNIT * np.array([ex, ey]))[:, None, None]) / UNIT
        arch = np.sqrt((1 - (px / half) ** 2).clip(0))
        inside = np.abs(px) < half
        lashes = inside & (py > -upper * arch - 0.03) & (py <= -upper * arch)
        opening = inside & (py > -upper * arch) & (py < lower * arch)
        photo[lashes] = LASHES
        photo[opening] = WHITE
        photo[opening & (np.hypot(px - gaze, py) < IRIS_RADIUS)] = IRIS
    return torch.from_numpy(photo.round().clip(0, 255).astype(np.uint8)).permute(2, 0, 1).contiguous()
