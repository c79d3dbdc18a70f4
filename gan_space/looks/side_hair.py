"""Tell hair beside an eye from skin of its colour: it is what lies farther out as well, and it has strands."""

from __future__ import annotations

import cv2
import numpy as np

from gan_space.faces.strip import color_features, discriminant

# Face units from the middle of the face outwards, and down from the eyes.
_BESIDE, _CHEEK = ((0.8, 1.05), (-0.25, 0.25)), ((0.25, 0.65), (0.2, 0.5))
_FROM = (0.66, 0.72)  # nearer to the nose lashes and brows look like hair
_STRANDS = (0.01, 0.02)  # roughness in logarithms beyond that of the cheek: none, and surely hair
_FINE, _BROAD = 0.02, 0.03  # face units: what is finer is a strand; over how much of it its strength is a mean
_GAP = 0.03  # face units between strands
_LEAST_TALL = 0.15  # face units that hair hangs down
_LEAST = 30  # pixels that tell what a place looks like


def find_side_hair(linear: np.ndarray, x: np.ndarray, y: np.ndarray, unit: float) -> np.ndarray:
    """Say where hair from beside the face hangs over the outer end of an eye, [h, w] float32 in [0, 1].

    Args:
        linear: [h, w, 3] linear light.
        x, y: [h, w] face units of the pixels' middles.
        unit: face unit in px.
    """
    features = color_features(linear)
    fine = features[..., 2] - cv2.GaussianBlur(features[..., 2], (0, 0), _FINE * unit)
    rough = cv2.GaussianBlur(np.abs(fine), (0, 0), _BROAD * unit)
    features = cv2.GaussianBlur(features, (0, 0), _FINE * unit)
    hair = np.zeros(x.shape, np.float32)
    for side in (-1, 1):
        out = side * x
        beside, cheek = (
            (out > left) & (out < right) & (y > top) & (y < bottom)
            for (left, right), (top, bottom) in (_BESIDE, _CHEEK)
        )
        if min(beside.sum(), cheek.sum()) < _LEAST:
            continue
        strands = np.interp(np.median(rough[beside]) - np.median(rough[cheek]), _STRANDS, (0, 1))
        direction, distance, offset, width = discriminant(features[beside], features[cheek])
        clear = strands * np.interp(distance, (1.2, 2.2), (0, 1))
        if not clear:
            continue
        like = (((features @ direction - offset) / width - 0.5) / 0.3).clip(0, 1)
        like *= np.interp(rough - np.median(rough[cheek]), _STRANDS, (0, 1))
        like = cv2.morphologyEx(like.astype(np.float32), cv2.MORPH_CLOSE, _disc(_GAP * unit))
        # A brow or lashes have skin farther out.
        like[out > _BESIDE[0][1]] = 1
        down, across = (np.ptp(line) / max(len(line) - 1, 1) for line in (x[:, 0], x[0]))  # face units a pixel
        along, line = (like.T, out[:, 0]) if down > across else (like, out[0])  # a face that lies: by columns
        outwards = along[:, ::-1] if line[-1] > line[0] else along
        np.minimum.accumulate(outwards, axis=1, out=outwards)
        tall = np.ones((max(1, round(_LEAST_TALL * unit)), 1), np.uint8)  # unlike lashes or a brow that reach the hair
        like = cv2.morphologyEx(like, cv2.MORPH_OPEN, tall.T if down > across else tall)
        hair = np.maximum(hair, clear * like * np.interp(out, _FROM, (0, 1)))
    return hair.astype(np.float32)


def _disc(radius: float) -> np.ndarray:
    side = 2 * max(1, round(radius)) + 1
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
