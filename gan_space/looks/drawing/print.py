"""Printed in flat inks: poster, comic, halftone and risograph."""

from __future__ import annotations

import math
from itertools import pairwise

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.images import luminance
from gan_space.looks.drawing.blocks import (
    blur,
    colour,
    fit_colours,
    gradient_map,
    ramp,
    saturate,
    to_pixels,
    tone_to_pixels,
)
from gan_space.looks.drawing.canvas import Canvas
from gan_space.looks.drawing.formulas import DUOTONE_STOPS, POSTER_STOPS
from gan_space.looks.drawing.skin import hold_skin, hold_tone
from gan_space.looks.drawing.strokes import smear

_INKS = (((0.0, 0.62, 0.88), 15), ((0.9, 0.05, 0.5), 75), ((1.0, 0.9, 0.05), 0))  # cyan, magenta, yellow; degrees
# What a colour lacks of white -> inks that take it away: each takes some of the others' colours as well, and without
# this pale greens turn to sand.
_UNMIX = (0.5 * np.eye(3) + 0.5 * np.linalg.inv(1 - np.array([ink for ink, _ in _INKS]).T)).astype(np.float32)
_LEAST_SLOPE = 0.006  # of a tone, by pixel; what changes more slowly may have soft edges
_RIM = 0.015  # units; wider bands of a tone are shapes of their own
_STEEP = (0.15, 0.35)  # of the evened light over such a band: no edge, and surely one
_UNDER_BLUE = 0.6  # of the coral that is left out where blue is full: shadows are blue, not brown


def flat_tones(c: Canvas, radius: float = 0.014) -> Tensor:
    """Return the evened luminance in calm shapes with clean edges; [1, 1, h, w] at `work_size`."""
    y = c.even(luminance(c.brushed(radius)))
    calm = torch.from_numpy(smear(y[0, 0].numpy(), c.flow, 0.03 * c.work_unit))[None, None]
    return torch.lerp(calm, y, c.features) if c.faces else calm


def poster(c: Canvas) -> np.ndarray:
    """Print the four inks of the formula, in clean shapes."""
    y = flat_tones(c)
    y = torch.lerp(blur(y, 0.012, c.work_unit), y, c.calm if c.faces else torch.zeros(1))  # edges like islands' shores
    y = c.enlarge(_steepen(c, y + 0.8 * (y - blur(y, 0.05, c.work_unit))))
    y = hold_tone(c, y, lambda tone: gradient_map(tone, POSTER_STOPS))
    return to_pixels(_screen_print(c.put_eyes(y, lambda eye: eye.tones, 1.0)))


def _steepen(c: Canvas, y: Tensor) -> Tensor:
    """Move tones between two sides of an edge to the nearer side: else inks between them make a rim; at `work_size`."""
    plane, side = y[0, 0].numpy(), 2 * max(1, round(_RIM * c.work_unit)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    low, high = cv2.erode(plane, disc), cv2.dilate(plane, disc)
    steep = np.where(2 * plane < low + high, low, high)
    steep = blur(torch.from_numpy(steep)[None, None], _RIM / 5, c.work_unit)  # no stairs
    share = ramp(torch.from_numpy(high - low)[None, None], *_STEEP)  # soft tones would break into spots
    if c.faces:
        share *= 1 - c.features
    return torch.lerp(y, steep, share)


def _screen_print(y: Tensor) -> Tensor:
    """Lay the inks of the formula over one another, with edges one pixel wide however slowly tones change."""
    dx, dy = (cv2.Scharr(y[0, 0].numpy(), cv2.CV_32F, *axes, scale=1 / 32) for axes in ((1, 0), (0, 1)))
    slope = torch.from_numpy(cv2.magnitude(dx, dy).clip(_LEAST_SLOPE))[None, None]
    drawn = torch.ones_like(y) * colour(y, *(value / 255 for value in POSTER_STOPS[0][1]))
    for (low, under), (high, over) in pairwise(POSTER_STOPS):
        if under != over:
            ink = (y - 0.5 * (low + high)).div_(slope).add_(0.5).clamp_(0, 1)
            drawn += ink * colour(y, *((one - other) / 255 for one, other in zip(over, under, strict=True)))
    return drawn


def duotone(c: Canvas) -> np.ndarray:
    """Print the two inks of the formula, half in the photo's own light."""
    y = 0.5 * c.y + 0.5 * c.even(c.y, 0.5, 0.24)
    return tone_to_pixels(hold_tone(c, y, lambda tone: gradient_map(tone, DUOTONE_STOPS)), DUOTONE_STOPS)


def comic(c: Canvas) -> np.ndarray:
    """Draw flat colours in five tones, inked contours, dots in the shadows."""
    flat = c.brushed(0.016)
    flat = hold_skin(c, saturate(c.relight(flat).clamp_(0, 1) ** 0.9, 1.35))
    y = luminance(flat)
    level = torch.from_numpy(smear(y[0, 0].numpy(), c.flow, 0.04 * c.work_unit))[None, None]
    level = c.enlarge(torch.lerp(level, y, c.features) if c.faces else level)
    tones = sum(0.2 * ramp(level, at - 0.012, at + 0.012) for at in (0.16, 0.33, 0.5, 0.67)) + 0.14
    dots = ramp(_screen(c, 80.0, math.radians(45)) - 0.5, -0.12, 0.12)
    shade = 1 - ramp(level, 0.3, 0.42)
    tones = tones * (1 - 0.25 * shade * dots)
    pure = flat / y.clamp(min=0.04)
    pure = c.enlarge(torch.lerp(torch.ones_like(pure), pure, 0.35 + 0.65 * ramp(y, 0.02, 0.22))).clamp_(max=4)
    # What is lighter than its colour can be gets partly darker, partly paler: the light on skin stays a colour of skin.
    tones = torch.minimum(tones, 0.4 * tones + 0.6 / pure.amax(dim=1, keepdim=True).clamp_(min=0.6))
    drawn = hold_skin(c, fit_colours(pure.mul_(tones)))
    line = c.contours(0.0085, 0.008, 0.02, 0.09, skin=0.7)
    bold = c.contours(0.017, 0.022, 0.02, 0.1, fine=1.0, skin=0.45)
    drawn = drawn.clamp_(0, 1) * ((1 - 0.92 * line) * (1 - 0.9 * bold))
    return to_pixels(c.put_eyes(drawn, lambda eye: fit_colours(saturate(ramp(eye.colours, 0.02, 0.9), 1.1)), 0.9))


def halftone(c: Canvas) -> np.ndarray:
    """Draw a four-colour print seen through a loupe: screens of cyan, magenta, yellow and black at their angles."""
    x = hold_skin(c, c.relight(c.x))
    x = (x + 0.9 * (x - c.blur(x, 0.012))).clamp_(0, 1)
    x = c.put_eyes(x, lambda eye: eye.colours)
    lack = 1 - x
    black = lack.amin(dim=1, keepdim=True)
    key = ramp(black, 0.35, 1.0)
    drawn = torch.ones_like(x) * colour(x, 0.975, 0.967, 0.955)
    lack = lack.sub_(0.75 * key * black)
    amounts = torch.from_numpy(np.stack(cv2.split(cv2.transform(cv2.merge(list(lack[0].numpy())), _UNMIX))))
    for channel, (ink, angle) in enumerate(_INKS):
        amount = amounts[channel][None, None].clamp_(min=0)
        amount = amount * (0.9 if channel == 2 else 0.95)  # dots side by side are purer than the colours they mix
        drawn *= 1 - _dots(c, amount, angle) * (1 - colour(x, *ink))
    return to_pixels(hold_skin(c, drawn * (1 - 0.9 * _dots(c, key, 45))))


def risograph(c: Canvas) -> np.ndarray:
    """Print two spot inks through a grained stencil, a little out of register, on cream paper."""
    y = c.even(luminance(c.brushed(0.008)), 0.55)
    y = c.enlarge(y + 0.9 * (y - blur(y, 0.03, c.work_unit)))
    y = hold_tone(c, y, lambda tone: _spot_inks(*_stencils(tone, 0.0, 0.0)))
    y = c.put_eyes(y, lambda eye: eye.tones)
    stencil = torch.sigmoid(1.7 * c.grain(1, 0.55)) - 0.5
    coral, blue = _stencils(y, stencil, torch.roll(stencil, (37, 53), (2, 3)))
    off = max(1, round(0.006 * c.unit))
    coral = F.pad(coral[..., :-off, off:], (0, off, off, 0), mode="replicate")
    return to_pixels(_spot_inks(coral, blue, 0.03 * c.grain(3, 40.0)))


def _stencils(y: Tensor, first: Tensor | float, second: Tensor | float) -> tuple[Tensor, Tensor]:
    """How much of both inks a tone takes, [1, 1, h, w] each, with the grain of their stencils."""
    coral, blue = ramp(0.98 - y - 0.4 * first, 0.05, 0.75), ramp(0.66 - y - 0.3 * second, 0.0, 0.5)
    return coral * (1 - _UNDER_BLUE * ramp(0.45 - y, 0.0, 0.3)), blue


def _spot_inks(coral: Tensor, blue: Tensor, patchy: Tensor | float = 0.0) -> Tensor:
    """Coral and blue over one another on cream paper, [1, 3, h, w]."""
    drawn = colour(coral, 0.965, 0.945, 0.895) * (1 - (0.92 + patchy) * coral * (1 - colour(coral, 1.0, 0.42, 0.36)))
    return drawn.mul_(1 - (0.94 - patchy) * blue * (1 - colour(blue, 0.1, 0.24, 0.52)))


def _screen(c: Canvas, cells: float, angle: float) -> Tensor:
    """A screen's thresholds, evenly spread over [0, 1], `cells` to a unit; [1, 1, h, w]."""
    pitch = 2 * math.pi * cells / c.unit
    along, across = pitch * math.cos(angle), pitch * math.sin(angle)
    rows, columns = (torch.arange(side, dtype=torch.float32) + 0.5 for side in c.size)

    def wave(by_column: float, by_row: float) -> Tensor:  # cos(a + b), which only needs rows and columns
        a, b = columns * by_column, rows * by_row
        return torch.outer(torch.cos(b), torch.cos(a)).sub_(torch.outer(torch.sin(b), torch.sin(a)))

    sum_of_waves = wave(along, across).add_(wave(-across, along)).mul_(0.4999)
    return (0.5 + torch.asin(sum_of_waves) / math.pi)[None, None]


def _dots(c: Canvas, amount: Tensor, angle_deg: float) -> Tensor:
    """Ink where its amount is above the screen; as sharp as pixels allow."""
    cells = 62.0
    soft = min(0.3, 1.1 * cells / c.unit)
    return ramp(amount - _screen(c, cells, math.radians(angle_deg)), -soft, soft)
