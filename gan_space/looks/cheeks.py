"""Blush, contour and highlight: powders on bare skin."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from gan_space.faces.mirror import MIRROR
from gan_space.faces.pigment import luminance, sheer_ratio
from gan_space.looks.face_patch import FacePatch
from gan_space.looks.layers import Blush, Contour, Highlight

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
_UNROUGED = (9, 8, 6, 197, 195, 151, 108, 337)  # bridge of the nose and forehead
_FLUSH_COUNTS = 0.75  # of a blush that is there already, how much is not put on again
_Z_OF, _WHITE_Z = np.array([0.01933, 0.11919, 0.95053], np.float32), 1.08883  # CIE Z of linear sRGB
_WARMER = 1.15  # of the skin's warmth: cheeks in light are paler than the skin that was asked
_MIDDLE = ("bridge", "bow")


def paint_powders(patch: FacePatch, layers: Sequence[Contour | Blush | Highlight]) -> None:
    """Brush powders on the skin, all in one: what each multiplies the skin by is smooth, so it is reckoned small."""
    total = np.zeros((*patch.small_skin.shape, 3), np.float32)  # logarithm of what the skin is multiplied by
    for layer in layers:
        share = _strokes(patch, _PLACES[layer.place if isinstance(layer, Blush) else layer.name]) * patch.small_skin
        if isinstance(layer, Blush):
            share *= 1 - _FLUSH_COUNTS * patch.once("flush", _find_flush)
            share *= 1 - patch.small_hair  # red or brown hair passes for skin in shade
        total += (share * layer.amount)[..., None] * _log_ratio(patch, layer)
    patch.multiply(total)


def cheek_strokes(patch: FacePatch) -> np.ndarray:
    """Say where blush goes at all, on the small grid, [h, w] in [0, 1]."""
    return _strokes(patch, ("apples", "cheekbones"))


def _find_flush(patch: FacePatch) -> np.ndarray:
    """Say how flushed or rouged the cheeks are already, on the small grid, [h, w] from 0 to 1 for a full blush."""
    lab = cv2.cvtColor(patch.small_pixels, cv2.COLOR_LRGB2LAB)
    red = cv2.GaussianBlur(lab[..., 1], (0, 0), 0.06 * patch.unit * patch.small_scale)
    bare = cv2.cvtColor(patch.colors_at(_UNROUGED)[None, None].astype(np.float32), cv2.COLOR_LRGB2LAB)[0, 0, 1]
    return ((red - bare - 2) / 9).clip(0, 1)


_PLACES = {
    "apples": ("apples",),
    "cheekbones": ("cheekbones",),
    "contour": ("hollow", "jaw", "nose_side", "temple"),
    "highlight": ("cheek_top", "brow_bone", "bridge", "bow"),
}


def _log_ratio(patch: FacePatch, layer: Contour | Blush | Highlight) -> np.ndarray:
    """Logarithm of what a full layer multiplies skin by, [3] or [h, w, 3]."""
    light = patch.light
    color = light.on(layer.color)
    if isinstance(layer, Contour):
        return 0.7 * np.log(sheer_ratio(color, light.skin, 0.5, 0.62))
    if isinstance(layer, Blush):
        return 0.85 * np.log(_as_warm(sheer_ratio(color, light.skin, 0.72, 0.95), light.skin))
    # Shine is the lamp's light: as much of it as of the skin's own, less where the skin is nearly white already.
    hue = color / np.maximum(light.skin, 1e-3) * float(luminance(light.skin) / max(luminance(color), 1e-4))
    room = (1 - luminance(patch.small_pixels)).clip(0, 1)
    return np.log1p(0.6 * room[..., None] * hue)


def _as_warm(ratio: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """Take blue out of what skin, [3] linear, is multiplied by, until it keeps its b* over L*: pink on it is mauve."""
    painted = np.maximum(ratio * skin, 1e-4).astype(np.float32)
    bare = cv2.cvtColor(np.float32(skin)[None, None], cv2.COLOR_LRGB2LAB)[0, 0]
    least = _WARMER * max(float(bare[2] / bare[0]), 0.0)
    for _ in range(3):  # blue counts a little in L* as well
        light, _, warmth = (float(part) for part in cv2.cvtColor(painted[None, None], cv2.COLOR_LRGB2LAB)[0, 0])
        if warmth >= least * light:
            break
        z = _WHITE_Z * max((light + 16) / 116 - least * light / 200, 0.1) ** 3
        painted[2] = max((z - float(painted[:2] @ _Z_OF[:2])) / _Z_OF[2], 0.3 * float(painted[2]))
    return painted / np.maximum(skin, 1e-4)


def _strokes(patch: FacePatch, names: Sequence[str]) -> np.ndarray:
    """Soft strokes of a layer on the small grid, [h, w] in [0, 1]."""
    return patch.once("strokes " + " ".join(names), lambda patch: _draw_strokes(patch, names))


def _draw_strokes(patch: FacePatch, names: Sequence[str]) -> np.ndarray:
    """The distance to broken lines, as a Gaussian."""
    height, width = patch.small_skin.shape
    total = np.zeros((height, width), np.float32)
    x, y = np.arange(width, dtype=np.float32) + 0.5, (np.arange(height, dtype=np.float32) + 0.5)[:, None]
    points, unit = patch.to_small(patch.points), patch.unit * patch.small_scale
    for name in names:
        places, thickness = _STROKES[name]
        sides = ((None, 1.0),) if name in _MIDDLE else ((False, patch.side_shares[0]), (True, patch.side_shares[1]))
        for mirrored, side_share in sides:
            if side_share <= 0:
                continue
            line = [points[MIRROR[place] if mirrored else place] for place, _ in places]
            strengths = [side_share * strength for _, strength in places]
            reach = 2.7 * thickness * unit
            low = np.floor(np.min(line, axis=0) - reach).astype(int).clip(0, (width, height))
            high = np.ceil(np.max(line, axis=0) + reach).astype(int).clip(low, (width, height))
            part = (slice(low[1], high[1]), slice(low[0], high[0]))
            if 0 in total[part].shape:
                continue
            px, py = x[part[1]], y[part[0]]
            for (ax, ay), (bx, by), first, last in zip(line, line[1:], strengths, strengths[1:], strict=False):
                dx, dy = bx - ax, by - ay
                t = (((px - ax) * dx + (py - ay) * dy) / max(dx * dx + dy * dy, 1e-6)).clip(0, 1)
                far = (np.square(px - ax - t * dx) + np.square(py - ay - t * dy)) / (thickness * unit) ** 2
                total[part] = np.maximum(total[part], (first + t * (last - first)) * np.exp(-0.5 * far))
    return total
