"""Printed in flat inks: poster, comic, halftone and risograph."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gan_space.images import luminance
from gan_space.looks.drawing_blocks import blur, tone_to_pixels
from gan_space.looks.drawing_canvas import Canvas
from gan_space.looks.drawing_formulas import POSTER_STOPS
from gan_space.looks.drawing_strokes import smear


def flat_tones(c: Canvas, radius: float = 0.014) -> Tensor:
    """Evened luminance in calm shapes with clean edges, brows and lips as they are; [1, 1, h, w] at `work_size`."""
    y = c.even(luminance(c.brushed(radius)))
    y = torch.from_numpy(smear(y[0, 0].numpy(), c.flow, 0.03 * c.work_unit))[None, None]
    return torch.lerp(y, c.small_light, 0.7 * c.features) if c.faces else y


def poster(c: Canvas) -> np.ndarray:
    """The four inks of the formula, in clean shapes."""
    y = flat_tones(c)
    y = c.enlarge(y + 0.8 * (y - blur(y, 0.05, c.work_unit)))
    y = c.put_eyes(y, lambda eye: eye.tones, 1.0)
    return tone_to_pixels(y, POSTER_STOPS)
