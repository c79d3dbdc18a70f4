"""Masks that follow a picture's edges: around each pixel a linear function of its colours (He, Sun and Tang 2013).

Fitted on a small picture and read off a large one (He and Sun 2015), a mask gets the large picture's own edges.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

_STRIP_PIXELS = 2**17  # read off at once: they stay in the cache
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


def read_off(
    lines: Sequence[np.ndarray], photo: np.ndarray, firm: tuple[float, float], beside: Sequence[np.ndarray] = ()
) -> Iterator[tuple[slice, list[np.ndarray]]]:
    """Read masks that were fitted on a small picture off a large one, a few rows at a time.

    Args:
        lines: of `fit_to_colors`, each [h, w, 4].
        photo: [H, W, 3] uint8.
        firm: what a mask has to say to be taken for nothing, and for all.
        beside: other planes [h, w] float32, which are only enlarged.

    Yields:
        Rows of the photo; the masks there in [0, 1] and the other planes, [r, W] float32 each.
    """
    (height, width), rows = photo.shape[:2], lines[0].shape[0]
    scale = np.float32(1 / (firm[1] - firm[0]))
    planes = [plane for line in lines for plane in cv2.split(line * (scale * np.float32([1 / 255] * 3 + [1])))]
    for offset in planes[3::4]:
        offset -= firm[0] * scale
    planes += beside
    step = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, step):
        part = slice(top, min(top + step, height))
        # Bilinear, first down and then across: OpenCV's own way would go through memory once for each plane.
        at = ((np.arange(part.start, part.stop) + 0.5) * (rows / height) - 0.5).clip(0, rows - 1)
        above = at.astype(int)
        share = (at - above).astype(np.float32)[:, None]
        below = np.minimum(above + 1, rows - 1)
        here = [cv2.resize(plane[above] * (1 - share) + plane[below] * share, (width, len(at))) for plane in planes]
        colors = cv2.split(photo[part].astype(np.float32))
        for number in range(len(lines)):
            *gains, value = here[4 * number : 4 * number + 4]
            for gain, color in zip(gains, colors, strict=True):
                cv2.accumulateProduct(gain, color, value)
            np.clip(value, 0, 1, out=value)
        yield part, here[3 : 4 * len(lines) : 4] + here[4 * len(lines) :]
