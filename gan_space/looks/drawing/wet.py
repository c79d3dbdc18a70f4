"""Drawn with a wet brush: ink wash and watercolour."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.images import luminance
from gan_space.looks.drawing.blocks import (
    blur,
    by_plane,
    colour,
    fit_colours,
    gradient_map,
    ramp,
    row_strips,
    saturate,
    to_pixels,
    tone_to_pixels,
)
from gan_space.looks.drawing.canvas import Canvas
from gan_space.looks.drawing.formulas import INK_STOPS
from gan_space.looks.drawing.skin import hold_skin, hold_tone

_UNSEEN = 0.02  # share of finer strokes that is not told from none


def ink_wash(c: Canvas) -> np.ndarray:
    """Draw washes and brush lines on warm paper: the formula's, with water in it."""
    small = c.shrunk
    y = c.enlarge(c.even(luminance(c.brushed(0.014)), 0.56))
    y = y + 0.35 * (y - c.blur(y, 0.035))
    soft = c.enlarge(torch.maximum(small.skin, c.foreheads)) if c.faces else 0.0  # hard edges on a cheek are patches
    wash = _washes(hold_tone(c, y, lambda tone: gradient_map(_washes(tone), INK_STOPS), 0.7), 0.1 * soft)
    soft = c.blur(wash, 0.02)
    wash = 0.6 * wash + 0.4 * soft - 0.35 * (soft - wash).clamp_(min=0)  # ink gathers at edges
    wash = wash + (1 - wash) * (0.05 + 0.2 * c.strands + 0.04 * c.grain(1, 24.0) + 0.03 * c.grain(3, 0.8))
    ink = wash * (1 - 0.88 * c.contours(0.008, 0.01, 0.045, 0.06))
    if c.is_bearded:
        ink = ink * (1 - 0.5 * c.beard_hairs)
    ink = c.put_eyes(ink, lambda eye: 0.1 + 0.9 * eye.tones)
    return tone_to_pixels(ink, INK_STOPS)


def _washes(y: Tensor, soft: Tensor | float = 0.0) -> Tensor:
    """Four washes of ink over one another: 1 is bare paper; edges are wider by `soft` to each side."""
    steps = ((0.22, 0.0, 0.1), (0.24, 0.14, 0.26), (0.27, 0.32, 0.46), (0.27, 0.5, 0.68))
    return sum(share * ramp(y, low - soft, high + soft) for share, low, high in steps)


def watercolour(c: Canvas) -> np.ndarray:
    """Paint transparent washes on rough paper: uneven shapes, dark rims, pigment in the hollows, the paper as white."""
    small = c.shrunk
    near = c.calm if c.faces else torch.zeros(1)
    flat = c.brushed(0.034)
    if c.faces:
        rows, columns = (_span(near, axis) for axis in (3, 2))  # finer strokes cost most, and only faces have them
        part = flat[..., rows, columns]
        part.lerp_(c.brushed(0.016, part=(rows, columns)), near[..., rows, columns])
    flat = _wobble(c, flat, 0.014)
    flat = hold_skin(c, saturate(c.relight(flat).clamp_(0, 1) ** 0.88, 1.35))  # or paper would count as its light
    flat = 1 - 0.88 * (1 - flat)  # no wash is black
    y = luminance(flat)
    soft, hard = (sum(0.25 * ramp(y, at - to, at + to) for at in (0.25, 0.45, 0.62, 0.8)) for to in (0.1, 0.03))
    # A wash that ends hard on a cheek is a patch, and so is bare paper.
    glaze = torch.lerp(y, torch.lerp(hard, soft, near), 0.5 - 0.3 * near) + 0.03 * (1 - near)
    flat = fit_colours(flat * (glaze / y.clamp(min=0.05)))
    rim = (blur(glaze, 0.007, small.unit) - glaze).clamp_(min=0)
    rim += 0.7 * (blur(glaze, 0.025, small.unit) - glaze).clamp_(min=0)
    water = small.grain(1, 26.0) + 0.6 * small.grain(2, 9.0)
    density = 0.92 + 3.6 * rim + 0.16 * water * (1 - 0.6 * near)
    flat = flat + 0.85 * (1 - near) * ramp(y, 0.72, 0.97) * (0.99 - flat)  # what is light stays paper
    paint, paper = _lay_on_paper(c, flat, y, density)
    paint = c.put_eyes(hold_skin(c, paint), lambda eye: 0.1 + 0.9 * eye.colours)
    for into, ground, share in row_strips(paint, paper, c.border(5, 0.16)):
        into.copy_(torch.lerp(ground, into, share))
    return to_pixels(paint)


def _span(x: Tensor, axis: int) -> slice:
    """From the first to the last row or column of [1, 1, h, w] that has something to see in it; `axis` is the other."""
    found = (x.amax(dim=axis).ravel() > _UNSEEN).nonzero()
    return slice(int(found[0]), int(found[-1]) + 1) if len(found) else slice(0, 0)


def _lay_on_paper(c: Canvas, flat: Tensor, y: Tensor, density: Tensor) -> tuple[Tensor, Tensor]:
    """Bring washes, their luminance and their density to full size: the paint with its lines, and the bare paper."""
    paint, large = c.enlarge(flat), [c.enlarge(density), c.enlarge(y)]
    line = c.contours(0.0055, 0.012, 0.05, 0.03, speck=0.002)
    white, ink = colour(paint, 0.985, 0.98, 0.965), 1 - colour(paint, 0.5, 0.42, 0.42)
    paper = torch.empty_like(paint)
    for wash, ground, water, light, grain, tooth, drawn in row_strips(
        paint, paper, *large, c.grain(3, 1.0), c.grain(4, 1.2), line
    ):
        wet = water + 0.1 * grain * (1 - light)
        wash.sub_((wash - wash * wash).mul_(wet.sub_(1)))  # pigment darkens, pure colours least (Bousseau 2006)
        wash.mul_(1 - drawn * ink)
        ground.copy_(white + 0.008 * tooth)
        wash.lerp_(ground, 0.04)
    return paint, paper


def _wobble(c: Canvas, x: Tensor, reach: float) -> Tensor:
    """Shift shapes at `work_size` a little here and there, as water carries paint; eyes, brows and lips stay."""
    small = c.shrunk
    height, width = small.size
    shifts = [small.grain(kind, 22.0)[0, 0] * (0.4 * reach * small.unit) for kind in (11, 12)]
    if c.faces:
        still = 1 - 0.9 * torch.maximum(c.features, 0.6 * small.region("face", 0.2))[0, 0]
        shifts = [shift * still for shift in shifts]
    places = (shifts[0] + torch.arange(width), shifts[1] + torch.arange(height)[:, None])
    places = [place.numpy() for place in places]
    how = {"interpolation": cv2.INTER_LINEAR, "borderMode": cv2.BORDER_REFLECT_101}
    return by_plane(x, lambda plane, into: cv2.remap(plane, *places, dst=into, **how))
