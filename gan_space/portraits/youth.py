"""Skin and eyes of a younger face, out of the photo's own detail.

Lines and folds are valleys of light: what is darker than the skin around it fills, most where age makes folds, and on
several scales, so that a crease goes together with the bag or the cheek above it. Pores are finer and get crisper.
Blotches of colour even out towards the colour around them. Eyes gain contrast, and their whites lose some red. Skin
as a whole becomes neither lighter nor darker.
"""

from __future__ import annotations

import cv2
import numpy as np

from gan_space.images import smooth_step

# Face units of the bands of lightness, and how much of each goes; the first is pores, which get crisper.
BANDS, _SOFTEN = (0.006, 0.012, 0.024, 0.048, 0.1), (-0.6, 0.3, 1.0, 1.0, 0.75)
_VALLEYS, _LIGHTS = 1.7, 0.35  # of what softens: lines are darker than what is around them, ridges between them lighter
_FOLDS_ONLY = 3  # from this band on only where age makes folds: wider valleys are the shape of a face
_MOST = 32.0  # hundredths of the logarithm of lightness that a fold fills by
_FILLED = 0.95
_BLOTCH, _EVENED = (0.02, 0.12), 0.6  # face units of blotches of colour, and how much of them goes
_EYES_AROUND, _EYES_CRISP = 0.06, 0.28  # face units, and how much of the contrast within is added
_WHITES_FROM, _WHITES_LIFT, _WHITES_RED = (0.45, 0.85), 0.03, 0.4  # share of skin's light; lift, and colour that goes
_WHITES_PALE = (0.7, 1.0)  # share of skin's colour, of its light, from which it is a lid


def fill_lines(levels: list[np.ndarray], weight: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Say how much lighter lines and folds get, in a hundredth of the logarithm of lightness, [h, w].

    Args:
        levels: the logarithm of lightness and its blurs by `BANDS`, [h, w] each.
        weight: [h, w] where skin is and how much of it softens.
        lines: [h, w] where age makes folds, 0 to 1.
    """
    total = np.zeros_like(weight)
    for number, (share, fine, coarse) in enumerate(zip(_SOFTEN, levels, levels[1:], strict=False)):
        band = fine - coarse
        if share > 0:
            band = np.minimum(_VALLEYS * band, _LIGHTS * band)
        total += share * (band * lines if number >= _FOLDS_ONLY else band)
    return -_FILLED * weight * _MOST * np.tanh(total / _MOST)


def even_colors(lab: np.ndarray, weight: np.ndarray, unit: float) -> None:
    """Even out blotches of colour on skin, in place.

    Args:
        lab: [h, w, 3] float32, a* and b* around 128.
        weight: [h, w] how much.
        unit: face unit in px.
    """
    step = max(1, int(_BLOTCH[0] * unit))  # blotches need no pixels
    size = (max(1, lab.shape[1] // step), max(1, lab.shape[0] // step))
    colors = np.dstack([lab[..., 1:] * weight[..., None], weight])
    small = cv2.resize(colors, size, interpolation=cv2.INTER_AREA)
    wide = cv2.GaussianBlur(small, (0, 0), _BLOTCH[1] * unit / step)
    near = small[..., :2] / small[..., 2:].clip(1e-3)
    around = wide[..., :2] / wide[..., 2:].clip(1e-3)
    shift = (around - near) * (small[..., 2:] > 0.02)
    shift = cv2.resize(shift, lab.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    lab[..., 1:] += _EVENED * weight[..., None] * shift


def clear_eyes(lab: np.ndarray, eyes: np.ndarray, skin: np.ndarray, unit: float, amount: float, in_color: bool) -> None:
    """Give eyes contrast, and their whites less red, in place.

    Args:
        lab: [h, w, 3] float32 of 255.
        eyes: [h, w] what shows between the lids, 0 to 1.
        skin: [3] typical colour of the skin, likewise; closed lids have it.
        amount: 1 for the youngest.
        in_color: False for a photo in one tone.
    """
    rows, columns = (np.flatnonzero((eyes > 0.01).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return
    cut = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    part, mask = lab[cut], amount * eyes[cut]
    light = part[..., 0]
    around = cv2.GaussianBlur(light, (0, 0), max(_EYES_AROUND * unit, 1.0))
    white = smooth_step(light / max(float(skin[0]), 1.0), *_WHITES_FROM) * mask
    if in_color:
        chroma = np.linalg.norm(part[..., 1:] - 128, axis=2) / np.maximum(light, 1)
        white *= 1 - smooth_step(chroma * float(skin[0]) / max(np.linalg.norm(skin[1:] - 128), 1.0), *_WHITES_PALE)
    light += mask * _EYES_CRISP * (light - around) + _WHITES_LIFT * white * light
    if in_color:
        part[..., 1:] -= (_WHITES_RED * white)[..., None] * (part[..., 1:] - 128)
