"""Drawn with a wet brush: ink wash, watercolour and oil."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.images import luminance
from gan_space.looks.drawing_blocks import blur, by_plane, colour, ramp, saturate, to_pixels, tone_to_pixels
from gan_space.looks.drawing_canvas import Canvas
from gan_space.looks.drawing_formulas import INK_STOPS
from gan_space.looks.drawing_strokes import find_streaks, turn_towards


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


def watercolour(c: Canvas) -> np.ndarray:
    """Transparent washes on rough paper: uneven shapes, dark rims, pigment in the hollows, the paper as white."""
    small = c.shrunk
    flat = _wobble(c, c.brushed(0.022), 0.012)
    flat = saturate(c.relight(flat).clamp_(0, 1) ** 0.85, 1.3).clamp_(0, 1)
    y = luminance(flat)
    rim = (blur(y, 0.008, small.unit) - y).clamp_(min=0) + 0.6 * (blur(y, 0.02, small.unit) - y).clamp_(min=0)
    flow = small.grain(1, 22.0) + 0.7 * small.grain(2, 8.0)
    density = 0.92 + 3.2 * rim + 0.1 * flow
    light = ramp(y, 0.62, 0.95)
    flat = flat + 0.8 * light * (0.985 - flat)  # what is light stays paper
    wet = c.enlarge(density) + 0.08 * c.grain(3, 1.0) * (1 - c.enlarge(y))
    paint = c.enlarge(flat)
    paint = paint - (paint - paint * paint) * (wet - 1)  # more pigment darkens, pure colours least (Bousseau 2006)
    line = c.contours(0.0055, 0.012, 0.05, 0.03)
    paint = paint * (1 - line * (1 - colour(paint, 0.45, 0.38, 0.38)))
    paint = c.put_eyes(paint, lambda eye: 0.08 + 0.92 * eye.colours)
    paper = colour(paint, 0.985, 0.98, 0.965) + 0.012 * c.grain(4, 1.2)
    return to_pixels(torch.lerp(paper, paint * colour(paint, 1.0, 0.995, 0.98), c.border(5)))


def oil(c: Canvas) -> np.ndarray:
    """Oil on canvas: strokes along the forms, broad in the ground and fine in the face, lit from the upper left."""
    small = c.shrunk
    fine = c.brushed(0.01)
    near = torch.maximum(0.75 * small.region("face", 0.3), c.features)
    strokes = torch.lerp(c.brushed(0.026), fine, near)
    strokes = saturate(c.relight(strokes).clamp_(0, 1), 1.2).clamp_(0, 1)
    bristles = find_streaks(small.grain(1, 0.0, 2.2), turn_towards(c.flow, 0.6), small.unit, 0.16)
    height = blur(0.5 * bristles + 0.9 * luminance(strokes), 0.002, small.unit)
    relief = (height - torch.roll(height, (1, 1), (2, 3))) * (small.unit / 260)
    strokes = strokes * (1 + 0.1 * (bristles - 0.5) + 0.35 * relief.clamp_(-0.5, 0.5) * (1 - 0.6 * near))
    painted = c.put_eyes(c.enlarge(strokes), lambda eye: eye.colours, 0.75)
    return to_pixels(painted + 0.016 * c.weave(5.0))


def _wobble(c: Canvas, x: Tensor, reach: float) -> Tensor:
    """Shift shapes at `work_size` a little here and there, as water carries paint; eyes, brows and lips stay."""
    small = c.shrunk
    height, width = small.size
    shifts = [small.grain(kind, 7.0)[0, 0] * (0.4 * reach * small.unit) for kind in (11, 12)]
    if c.faces:
        still = 1 - 0.9 * torch.maximum(c.features, 0.6 * small.region("face", 0.2))[0, 0]
        shifts = [shift * still for shift in shifts]
    places = (shifts[0] + torch.arange(width), shifts[1] + torch.arange(height)[:, None])
    places = [place.numpy() for place in places]
    return by_plane(x, lambda plane: cv2.remap(plane, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101))
