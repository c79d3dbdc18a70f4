"""Blush, contour and highlight: powders on bare skin."""

from __future__ import annotations

import cv2
import numpy as np

from gan_space.looks.face_patch import Box, FacePatch, middle_of
from gan_space.looks.layers import Blush, Contour, Highlight
from gan_space.looks.pigment import luminance, sheer_ratio, tint

# Strokes of the brush on the half of the face that is left in the picture: places of the mesh that it passes, how
# strong it is at each of them, and its width (standard deviation) in face units. The right half mirrors them.
_STROKES = {
    "apples": (((205, 1.0), (50, 1.0), (123, 0.35)), 0.17),
    "cheekbones": (((205, 0.55), (50, 1.0), (117, 0.85), (116, 0.45)), 0.15),
    "hollow": (((207, 0.0), (187, 0.7), (147, 1.0), (177, 1.0)), 0.09),
    "jaw": (((176, 0.3), (149, 0.7), (136, 1.0), (58, 0.9)), 0.1),
    "nose_side": (((188, 0.35), (174, 0.6), (236, 0.6), (198, 0.4)), 0.035),
    "temple": (((139, 0.6), (21, 0.8), (54, 0.5)), 0.12),
    "cheek_top": (((119, 0.0), (118, 0.7), (117, 1.0), (111, 0.9)), 0.065),
    "brow_bone": (((52, 0.0), (53, 0.8), (225, 0.7)), 0.03),
    "bridge": (((6, 0.6), (195, 1.0), (4, 0.8)), 0.035),
    "bow": (((37, 0.8), (0, 0.5), (267, 0.8)), 0.025),
}
_MIDDLE = ("bridge", "bow")
_MIRROR = {
    **{205: 425, 50: 280, 123: 352, 117: 346, 116: 345, 207: 427, 187: 411, 147: 376, 177: 401, 176: 400, 149: 378},
    **{136: 365, 58: 288, 188: 412, 174: 399, 236: 456, 198: 420, 139: 368, 21: 251, 54: 284, 119: 348, 118: 347},
    **{111: 340, 52: 282, 53: 283, 225: 445},
}
_GRID_PX = 40  # px an eye distance has where soft strokes are drawn


def paint_blush(patch: FacePatch, layer: Blush) -> None:
    """Put colour on the cheeks."""
    for box, strokes in _brush(patch, [layer.place]):
        share = strokes * patch.skin(box) * layer.amount
        skin = middle_of(patch.at(box), share)
        ratio = sheer_ratio(patch.light.on(layer.color), skin, 0.72, 0.95)
        patch.put(box, tint(patch.at(box), 0.85 * share, ratio), share)


def paint_contour(patch: FacePatch, layer: Contour) -> None:
    """Shade the hollows."""
    for box, strokes in _brush(patch, ["hollow", "jaw", "nose_side", "temple"]):
        share = strokes * patch.skin(box) * layer.amount
        skin = middle_of(patch.at(box), share)
        ratio = sheer_ratio(patch.light.on(layer.color), skin, 0.5, 0.62)
        patch.put(box, tint(patch.at(box), 0.7 * share, ratio), share)


def paint_highlight(patch: FacePatch, layer: Highlight) -> None:
    """Light where light falls anyway."""
    for box, strokes in _brush(patch, ["cheek_top", "brow_bone", "bridge", "bow"]):
        share = strokes * patch.skin(box) * layer.amount
        pixels = patch.at(box)
        bright = luminance(pixels)
        own = float(luminance(middle_of(pixels, share)))
        light = patch.light.on(layer.color)
        light = light / max(float(luminance(light)), 1e-4)
        # Shine adds the lamp's light to the skin's, more where the skin shines already, less where it is nearly white.
        shine = 0.55 * own * (bright / max(own, 1e-4)).clip(0.3, 1.6) * (1 - bright).clip(0, 1)
        patch.put(box, pixels + (share * shine)[..., None] * light, share)


def _brush(patch: FacePatch, names: list[str]) -> list[tuple[Box, np.ndarray]]:
    """Soft strokes of a layer, joined where they share a box: boxes and [h, w] in [0, 1]."""
    left, right = patch.side_shares
    parts: list[tuple[Box, np.ndarray]] = []
    sides: list[tuple[float, list]] = []
    for side, of_side in ((0, left), (1, right)):
        strokes = []
        for name in names:
            places, width = _STROKES[name]
            if name in _MIDDLE:
                continue
            if side:
                places = tuple((_MIRROR[place], strength) for place, strength in places)
            strokes.append((places, width))
        sides.append((of_side, strokes))
    sides.append((1.0, [_STROKES[name] for name in names if name in _MIDDLE]))
    for strength, strokes in sides:
        if not strokes or strength <= 0:
            continue
        points = np.concatenate([patch.points[[place for place, _ in places]] for places, _ in strokes])
        box = patch.box_of(points, 2.6 * max(width for _, width in strokes))
        if box[0] >= box[2] or box[1] >= box[3]:
            continue
        parts.append((box, strength * _soft_strokes(patch, strokes, box)))
    return parts


def _soft_strokes(patch: FacePatch, strokes: list, box: Box) -> np.ndarray:
    """Distance to broken lines, as a Gaussian, drawn small and enlarged."""
    left, top, right, bottom = box
    step = max(1.0, patch.unit / _GRID_PX)
    columns, rows = (int(np.ceil((b - a) / step)) for a, b in ((left, right), (top, bottom)))
    x = left + (np.arange(columns) + 0.5) * (right - left) / columns
    y = (top + (np.arange(rows) + 0.5) * (bottom - top) / rows)[:, None]
    total = np.zeros((rows, columns), np.float32)
    for places, width in strokes:
        points = patch.points[[place for place, _ in places]]
        strengths = [strength for _, strength in places]
        best = np.zeros_like(total)
        for (ax, ay), (bx, by), first, last in zip(points, points[1:], strengths, strengths[1:], strict=False):
            dx, dy = bx - ax, by - ay
            t = (((x - ax) * dx + (y - ay) * dy) / max(dx * dx + dy * dy, 1e-6)).clip(0, 1)
            far = np.hypot(x - ax - t * dx, y - ay - t * dy) / (width * patch.unit)
            best = np.maximum(best, (first + t * (last - first)) * np.exp(-0.5 * far * far))
        total = np.maximum(total, best)
    return cv2.resize(total, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
