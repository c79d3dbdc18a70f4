"""Masks that follow a picture's edges: around each pixel a linear function of its colours (He, Sun and Tang 2013).

Fitted on a small picture and read off a large one (He and Sun 2015), a mask gets the large picture's own edges.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

_QUIET = 1e-3  # squared contrast, colours from 0 to 1, below which no edge is followed


def fit_to_colors(guide: np.ndarray, masks: Sequence[np.ndarray], radius: int) -> list[np.ndarray]:
    """Fit masks to the colours in squares around each pixel, and average what neighbouring squares say of a pixel.

    Args:
        guide: [h, w, 3] float32 in [0, 1].
        masks: each [h, w] float32.
        radius: of the squares, in px.

    Returns:
        [h, w, 4] float32 for each mask: how it goes with red, green and blue, and what is added.
    """

    def mean(x: np.ndarray) -> np.ndarray:
        return cv2.blur(x, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REFLECT)

    center = mean(guide)
    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    rr, rg, rb, gg, gb, bb = (mean(guide[..., i] * guide[..., j]) - center[..., i] * center[..., j] for i, j in pairs)
    rr, gg, bb = rr + _QUIET, gg + _QUIET, bb + _QUIET
    # The inverse of a symmetric 3 x 3 matrix, for all pixels at once.
    irr, irg, irb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    igg, igb, ibb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    by = 1 / (rr * irr + rg * irg + rb * irb)
    irr, irg, irb, igg, igb, ibb = (one * by for one in (irr, irg, irb, igg, igb, ibb))
    found = []
    for mask in masks:
        level = mean(mask)
        r, g, b = (mean(guide[..., i] * mask) - center[..., i] * level for i in range(3))
        gains = [irr * r + irg * g + irb * b, irg * r + igg * g + igb * b, irb * r + igb * g + ibb * b]
        offset = level - sum(gain * center[..., i] for i, gain in enumerate(gains))
        found.append(mean(np.dstack([*gains, offset])))
    return found
