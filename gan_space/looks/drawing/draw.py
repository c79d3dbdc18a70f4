"""Draw a photo by formula, at its own size: pencil, ink, pastel, poster and others, each known by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.errors import InputError
from gan_space.faces.landmarks import Landmarks
from gan_space.looks.drawing.canvas import Canvas
from gan_space.looks.drawing.dry import charcoal, coloured_pencil, line_art, pastel, pencil
from gan_space.looks.drawing.oil import oil
from gan_space.looks.drawing.print import comic, duotone, halftone, poster, risograph
from gan_space.looks.drawing.wet import ink_wash, watercolour
from gan_space.photos.opening import check_photo, to_rows

# Each draws a canvas: -> [h, w, 3] uint8.
DRAWINGS: dict[str, Callable[[Canvas], np.ndarray]] = {
    "pencil": pencil,
    "ink-wash": ink_wash,
    "poster": poster,
    "pastel": pastel,
    "line-art": line_art,
    "coloured-pencil": coloured_pencil,
    "charcoal": charcoal,
    "watercolour": watercolour,
    "oil": oil,
    "comic": comic,
    "halftone": halftone,
    "risograph": risograph,
    "duotone": duotone,
}


def draw(
    pixels: Tensor,
    name: str,
    marks: Sequence[Landmarks] = (),
    strength: float = 1.0,
    seed: int = 0,
    canvas: Canvas | None = None,
) -> Tensor:
    """Draw a photo; strokes are scaled by its faces, so that every size of a photo looks the same.

    Args:
        pixels: [3, H, W] uint8 sRGB.
        name: one of `DRAWINGS`.
        marks: landmarks of the faces, in photo pixels; without any, the photo's short side gives the scale.
        strength: 0 is the photo to the bit, 1 the drawing.
        seed: of paper, grain and strokes.
        canvas: of these very pixels, marks and seed, which knows what was found for another drawing; None: a new one.

    Returns:
        [3, H, W] uint8.

    Raises:
        InputError: an unknown name, a strength outside of [0, 1], or pixels of another form.

    Example:
        >>> draw(torch.zeros(3, 64, 48, dtype=torch.uint8), "pencil").shape
        torch.Size([3, 64, 48])
    """
    check_photo(pixels)
    if name not in DRAWINGS:
        raise InputError(f"there is no drawing {name!r}; there are {', '.join(DRAWINGS)}")
    if not (math.isfinite(strength) and 0 <= strength <= 1):
        raise InputError(f"the strength of a drawing is from 0 to 1, got {strength}")
    if strength == 0:
        return pixels.clone()
    drawn = DRAWINGS[name](Canvas.of(pixels, marks, seed) if canvas is None else canvas)
    height, width = pixels.shape[1:]
    if drawn.shape[:2] != (height, width):
        how = cv2.INTER_AREA if drawn.shape[0] > height else cv2.INTER_CUBIC
        drawn = cv2.resize(drawn, (width, height), interpolation=how)
    if strength < 1:
        drawn = cv2.addWeighted(drawn, strength, to_rows(pixels), 1 - strength, 0)
    return torch.from_numpy(drawn).permute(2, 0, 1)
