"""Drawn with a wet brush: ink wash, watercolour and oil."""

from __future__ import annotations

import numpy as np

from gan_space.images import luminance
from gan_space.looks.drawing_blocks import ramp, tone_to_pixels
from gan_space.looks.drawing_canvas import Canvas
from gan_space.looks.drawing_formulas import INK_STOPS


def ink_wash(c: Canvas) -> np.ndarray:
    """Washes and brush lines on warm paper: the formula's, with water in it."""
    y = c.enlarge(c.even(luminance(c.brushed(0.014)), 0.56))
    y = y + 0.6 * (y - c.blur(y, 0.035))
    wash = (
        0.22 * ramp(y, 0.0, 0.1) + 0.24 * ramp(y, 0.14, 0.26) + 0.27 * ramp(y, 0.32, 0.46) + 0.27 * ramp(y, 0.5, 0.68)
    )
    soft = c.blur(wash, 0.02)
    wash = 0.6 * wash + 0.4 * soft - 0.35 * (soft - wash).clamp_(min=0)  # ink gathers at edges
    wash = wash + (1 - wash) * (0.1 + 0.04 * c.grain(1, 24.0) + 0.03 * c.grain(3, 0.8))
    ink = wash * (1 - 0.88 * c.contours(0.008, 0.01, 0.045, 0.06))
    ink = c.put_eyes(ink, lambda eye: 0.1 + 0.9 * eye.tones)
    return tone_to_pixels(ink, INK_STOPS)
