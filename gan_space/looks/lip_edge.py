"""Tell lips from what surrounds them, pixel by pixel: landmarks err at the corners, and hairs hang over the edge."""

from __future__ import annotations

import cv2
import numpy as np

from gan_space.faces.landmarks import LIPS_OUTER, MOUTH_CORNERS
from gan_space.faces.snap import LOWER_INNER, UPPER_INNER
from gan_space.faces.strip import color_features, discriminant
from gan_space.looks.face_patch import Box, FacePatch

_BAND = 0.12  # face units from 10 to 90 %: how wide the band is in which a pixel is asked
_HAIR = (0.04, 0.065)  # roughness in logarithms from where on what surrounds lips is hair, and where it surely is
_OVERHANG = 0.022  # face units that hair hangs over the edge of lips
_LIKE = (0.55, 0.85)  # from skin (0) to these lips (1): none is painted, and all
_PRIOR = 0.4  # how much the outline adds to that inside, and takes off outside: 0.2 where it is certain
_SMOOTH = 0.01  # face units; an edge that follows grain is ragged
_MIN_UNIT = 30.0  # px; in smaller faces a pixel knows no more than the landmarks


def likeness_to_lips(patch: FacePatch, box: Box, lips: np.ndarray) -> np.ndarray:
    """Say how much the pixels near the lips' outline look like these lips, [h, w] in [0, 1]; 1 deep inside of them.

    Skin and hair are told apart from lips one by one: what surrounds a lip is split into its darker and its lighter
    half. Where lips look like their surroundings the answer is 1, and the outline alone counts.

    Args:
        lips: [h, w] in [0, 1], as the landmarks say, without teeth.
    """
    if patch.unit < _MIN_UNIT:
        return np.ones_like(lips)
    depth = patch.draw([patch.outline(LIPS_OUTER, MOUTH_CORNERS)], _BAND, box)  # 0 far outside, 0.5 at the outline
    features = color_features(patch.blur(patch.bare(box), 0.006))
    x, y = patch.grid(box)
    seam = (patch.units(UPPER_INNER) + patch.units(LOWER_INNER)) / 2
    upper = y < np.interp(x, seam[:, 0], seam[:, 1])
    likeness = np.ones_like(lips)
    light = features[..., 2]
    rough = patch.blur(np.abs(light - patch.blur(light, 0.02)), 0.03)
    for side in (upper, ~upper):
        inside = side & (lips > 0.9)
        if not inside.any():
            continue
        inside &= depth >= np.quantile(depth[inside], 0.4)
        outside = side & (depth < 0.06) & (depth > 0.003)
        if not outside.any():
            continue
        hair = float(np.clip((float(np.median(rough[outside])) - _HAIR[0]) / (_HAIR[1] - _HAIR[0]), 0, 1))
        if hair:
            edge = 0.5 + 0.8 / _BAND * _OVERHANG
            free = ((depth - edge) / 0.1 + 0.5).clip(0, 1)
            likeness = np.where(side, np.minimum(likeness, 1 - hair * (1 - free)), likeness)
        shade = light
        middle = np.median(shade[outside])
        for half in (shade <= middle, shade > middle):
            direction, distance, offset, width = discriminant(features[inside], features[outside & half])
            clear = float(np.clip((distance - 1.0) / 1.2, 0, 1))
            if clear:
                score = patch.blur(
                    ((features @ direction - offset) / width).clip(-0.5, 1.5).astype(np.float32), _SMOOTH
                )
                like = ((score + _PRIOR * (depth - 0.5) - _LIKE[0]) / (_LIKE[1] - _LIKE[0])).clip(0, 1)
                likeness = np.where(side, np.minimum(likeness, 1 - clear * (1 - like)), likeness)
    deep = ((depth - 0.65) / 0.2).clip(0, 1)
    likeness = cv2.blur(likeness.astype(np.float32), (3, 3))
    return likeness + (1 - likeness) * deep
