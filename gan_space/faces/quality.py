"""Whether an aligned face is worth working from: sharp, in colour, lit, and not the same picture again.

The limits are those of `training/prepare_data.py`, set by looking at FairFace.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

# Of the 651 test crops of FairFace, 1 % are below 0.14; blown up from 48 px, half are below 0.17.
MIN_SHARPNESS = 0.12
MIN_CHROMA = 0.03  # largest minus smallest channel, mean; colour photos of FairFace have 0.057 or more, grey ones 0
MIN_BRIGHTNESS, MAX_BRIGHTNESS = 0.08, 0.92
# 16 px thumbnails of different people correlate by up to 0.93, of one picture saved twice by 0.998 or more.
DUPLICATE_CORRELATION = 0.95
THUMBNAIL_PX = 16
CHECK_PX = 128  # size at which blur is measured, whatever the resolution that is worked at
CHECK_MARGIN = 20  # px of it that are left out at every edge


def chroma(colors: Tensor) -> float:
    """Average the largest minus smallest channel of [3, H, W] in [0, 1]: 0 for a grey picture."""
    return float((colors.amax(dim=0) - colors.amin(dim=0)).mean())


def sharpness(gray: Tensor) -> float:
    """Divide deviations, the Laplacian's by the picture's: [128, 128] in [0, 1] -> about 0.1 (blurred) to 0.8.

    Against the contrast, so that a dark skin or a dim room is not taken for blur.
    """
    middle = gray[CHECK_MARGIN:-CHECK_MARGIN, CHECK_MARGIN:-CHECK_MARGIN].double()
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]], dtype=torch.float64)
    laplacian = F.conv2d(middle[None, None], kernel[None, None])
    return float(laplacian.std() / middle.std().clamp(min=1e-6))


def thumbnail(gray: Tensor) -> np.ndarray:
    """Map [128, 128] -> [256] float32 of mean zero and length one; the product of two is their correlation."""
    values = F.adaptive_avg_pool2d(gray[None, None].double(), THUMBNAIL_PX).flatten()
    values = values - values.mean()
    return (values / values.norm().clamp(min=1e-9)).numpy().astype(np.float32)
