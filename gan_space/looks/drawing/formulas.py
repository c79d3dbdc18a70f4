"""Drawn looks that need no landmarks, as default packs are tuned towards them, on [N, 3, H, W] in [0, 1].

`unit` is the width of a face's tight frame in pixels, None where the picture is the frame. `even` brings a luminance to
a mean and a contrast: over the whole picture as here, or face by face where faces are known.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gan_space.images import luminance
from gan_space.looks.drawing.blocks import blur, colour, even_light, gradient_map, lines, ramp, saturate, smooth, spot

Even = Callable[..., Tensor]
_NAVY, _RED, _BLUE, _CREAM = (12, 42, 74), (206, 32, 44), (112, 160, 172), (250, 228, 172)
POSTER_STOPS = (
    *((0, _NAVY), (0.29, _NAVY), (0.34, _RED), (0.48, _RED)),
    *((0.53, _BLUE), (0.65, _BLUE), (0.7, _CREAM), (1, _CREAM)),
)
DUOTONE_STOPS = ((0, (28, 12, 74)), (0.3, (92, 24, 120)), (0.6, (238, 86, 96)), (1, (255, 236, 180)))
INK_STOPS = ((0, (24, 26, 34)), (0.45, (112, 116, 120)), (1, (246, 241, 229)))


def ink_wash(x: Tensor, unit: float | None = None, even: Even = even_light) -> Tensor:
    """Draw brush lines and three washes of ink on warm paper, fading out at the edge."""
    y = even(luminance(smooth(x, 0.025, 0.08, unit)), 0.6, 0.25)
    wash = 0.3 * ramp(y, 0.02, 0.16) + 0.3 * ramp(y, 0.26, 0.4) + 0.4 * ramp(y, 0.48, 0.66)
    wash = 0.75 * wash + 0.25 * blur(wash, 0.03, unit)
    stroke = lines(even(luminance(x)), 0.011, 16.0, 0.012, unit)
    ink = (0.12 + 0.88 * wash) * (1 - 0.85 * stroke)
    paper = 1 - spot(x, (0.5, 0.5), 0.5, 0.52, 6)
    ink = torch.lerp(ink, torch.ones_like(ink), 0.75 * paper)
    return gradient_map(ink, INK_STOPS)


def pencil(x: Tensor, unit: float | None = None, even: Even = even_light) -> Tensor:
    """Draw in graphite: fine lines, light shading, white paper."""
    y = even(luminance(x))
    dodge = (y / blur(y, 0.025, unit).clamp(min=0.05)).clamp(0, 1) ** 2.0  # the classic: picture over its own blur
    stroke = lines(y, 0.008, 7.0, 0.008, unit)
    shade = 0.68 + 0.32 * ramp(blur(y, 0.012, unit), 0.08, 0.62)
    drawn = dodge * shade * (1 - 0.6 * stroke)
    return gradient_map(drawn, [(0, (38, 38, 42)), (1, (250, 250, 248))])


def poster(x: Tensor, unit: float | None = None, even: Even = even_light) -> Tensor:
    """Draw in four flat colours of a screen print: navy, red, blue, cream."""
    y = even(luminance(smooth(x, 0.03, 0.06, unit)), 0.52, 0.25)
    y = y + 0.8 * (y - blur(y, 0.04, unit))
    return gradient_map(y.clamp(0, 1), POSTER_STOPS)


def pastel(x: Tensor, unit: float | None = None, even: Even = even_light) -> Tensor:
    """Draw in chalk: soft fields, light rose and lilac, a coloured contour instead of black."""
    flat = smooth(smooth(x, 0.03, 0.07, unit), 0.02, 0.05, unit)
    y = luminance(flat)
    flat = 0.36 + 0.64 * saturate(flat.clamp(0, 1) ** 0.8, 1.25)
    shadow = 1 - ramp(even(y), 0.1, 0.6)  # against the face's own light: dark skin is no shadow
    flat = flat + shadow * colour(flat, 0.05, -0.05, 0.16) + (1 - shadow) * colour(flat, 0.06, -0.005, -0.01)
    stroke = lines(even(luminance(x)), 0.012, 9.0, 0.01, unit)
    contour = torch.ones_like(flat) * colour(flat, 0.52, 0.3, 0.46)
    return torch.lerp(flat, contour, 0.75 * stroke)


def duotone(x: Tensor, unit: float | None = None, even: Even = even_light) -> Tensor:
    """Print two inks: violet shadows into coral and pale gold lights."""
    y = luminance(x)
    y = 0.5 * y + 0.5 * even(y, 0.5, 0.24)
    return gradient_map(y, DUOTONE_STOPS)
