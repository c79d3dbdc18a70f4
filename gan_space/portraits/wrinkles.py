"""Lines that age draws into a face, as a texture over the average face: none is taken from a person.

A line is a valley with a lit lip below it, of uneven depth, along a curve that wavers. Lengths are face units.
"""

from __future__ import annotations

import cv2
import numpy as np

_POINTS = 80  # of a curve

# Places along the line, its depth in a hundredth of the logarithm of lightness, and its width.
_ACROSS = (  # the forehead, where deep ones look drawn: what is there already deepens
    (((-0.62, -0.50), (-0.3, -0.535), (0.0, -0.52), (0.3, -0.535), (0.62, -0.50)), 4, 0.013),
    (((-0.60, -0.60), (-0.25, -0.645), (0.05, -0.63), (0.33, -0.645), (0.58, -0.60)), 4, 0.013),
    (((-0.45, -0.705), (-0.15, -0.74), (0.15, -0.735), (0.42, -0.70)), 2.5, 0.012),
    (((-0.35, -0.46), (-0.1, -0.45), (0.12, -0.455), (0.33, -0.465)), 2, 0.010),
)
_EACH_SIDE = (
    # between the brows
    (((0.095, -0.36), (0.085, -0.26), (0.10, -0.14)), 7, 0.014),
    # crow's feet
    (((0.80, -0.05), (0.90, -0.10), (0.99, -0.17)), 5, 0.010),
    (((0.81, 0.0), (0.92, -0.01), (1.02, -0.02)), 6, 0.010),
    (((0.80, 0.05), (0.90, 0.085), (0.99, 0.13)), 6, 0.010),
    (((0.77, 0.10), (0.86, 0.165), (0.93, 0.25)), 5, 0.010),
    (((0.72, 0.145), (0.80, 0.225), (0.85, 0.32)), 3.5, 0.009),
    # under the eye
    (((0.27, 0.085), (0.36, 0.16), (0.50, 0.195), (0.64, 0.17)), 7, 0.016),
    (((0.24, 0.13), (0.34, 0.235), (0.49, 0.29), (0.66, 0.26), (0.74, 0.20)), 7, 0.022),
    # from the nose to the corner of the mouth, and on
    (((0.37, 0.50), (0.47, 0.63), (0.555, 0.78), (0.60, 0.95)), 12, 0.030),
    (((0.50, 1.03), (0.53, 1.13), (0.53, 1.22), (0.51, 1.34)), 6, 0.022),
    # jowls
    (((0.54, 1.10), (0.60, 1.24), (0.66, 1.38)), 5, 0.060),
    # below the cheekbone
    (((0.98, 0.42), (0.86, 0.62), (0.78, 0.82)), 5, 0.100),
)


def draw_wrinkles(unit_px: int, box: tuple[float, float, float, float], seed: int = 0) -> np.ndarray:
    """Draw all lines of an old face.

    Args:
        unit_px: pixels of a face unit.
        box: left, top, right and bottom in face units.
        seed: of how lines waver; the two sides of a face differ.

    Returns:
        [H, W] float32, a hundred times the change of the logarithm of lightness.
    """
    rng = np.random.default_rng(seed)
    size = (round((box[3] - box[1]) * unit_px), round((box[2] - box[0]) * unit_px))
    drawn = np.zeros(size, np.float32)
    for places, depth, width in _ACROSS:
        _draw_line(drawn, np.array(places), depth, width, unit_px, box, rng)
    for places, depth, width in _EACH_SIDE:
        for side in (1, -1):
            uneven = rng.uniform(0.8, 1.2), rng.uniform(0.85, 1.15)
            _draw_line(drawn, np.array(places) * (side, 1), depth * uneven[0], width * uneven[1], unit_px, box, rng)
    return drawn


def _draw_line(
    drawn: np.ndarray, places: np.ndarray, depth: float, width: float, unit_px: int, box, rng: np.random.Generator
) -> None:
    places = places + rng.normal(0, 0.008, places.shape)
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(places, axis=0).T))])
    at = np.linspace(0, 1, _POINTS)
    degree = min(3, len(places) - 1)
    curve = np.stack([np.polyval(np.polyfit(along / along[-1], axis, degree), at) for axis in places.T], axis=1)
    forward = np.gradient(curve, axis=0)
    sideways = forward[:, ::-1] * (-1, 1) / np.linalg.norm(forward, axis=1, keepdims=True)
    curve += 0.007 * _waver(rng, 0.10 / along[-1])[:, None] * sideways
    fades = np.sin(np.pi * np.linspace(0, 1, _POINTS).clip(0.02, 0.98)) ** 0.6
    deep = depth * fades * (1 + 0.5 * _waver(rng, 0.07 / along[-1])).clip(0, 1.8)  # lines break off

    curve = (curve - box[:2]) * unit_px
    reach = 4 * width * unit_px + 3
    left, top = np.floor(curve.min(axis=0) - reach).astype(int).clip(0, None)
    right, bottom = np.minimum(np.ceil(curve.max(axis=0) + reach).astype(int), drawn.shape[::-1])
    x, y = np.meshgrid(np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5)
    away = np.hypot(x[..., None] - curve[:, 0], y[..., None] - curve[:, 1])  # [h, w, points]
    nearest = away.argmin(axis=-1)
    distance = away.min(axis=-1) / unit_px
    below = y > curve[nearest, 1]
    valley = np.exp(-((distance / width) ** 2))
    lip = np.where(below, 0.45, 0.2) * np.exp(-(((distance - 1.9 * width) / (1.1 * width)) ** 2))
    drawn[top:bottom, left:right] += (deep[nearest] * (lip - valley)).astype(np.float32)


def _waver(rng: np.random.Generator, scale: float) -> np.ndarray:
    """Smooth noise of deviation 1 along a line; `scale` is how slowly it changes, as a share of the line."""
    noise = rng.standard_normal((1, _POINTS)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), max(5.0, scale * _POINTS))[0]
    return noise / noise.std()
