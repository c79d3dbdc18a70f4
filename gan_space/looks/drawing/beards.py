"""Tell beards, which are drawn hair by hair, from shade and stubble."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from gan_space.faces.masks import Mask, draw_soft

_LIPS_MIDDLE = 13  # of the landmarks
# Along the jaw from ear to ear, and back below the nose.
_BEARD = (132, 58, 136, 149, 152, 378, 365, 288, 361, 425, 327, 2, 98, 205)
_CHIN = [17, 314, 421, 428, 199, 208, 201, 84]  # around the middle below the lower lip
_UNSEEN_LIP = 0.75  # of the cheeks' light, what a lip has above that is out of sight
_ABOVE_LIP = [98, 2, 327, 410, 270, 0, 40, 186]


def find_beards(
    faces: Sequence[np.ndarray],
    tone: np.ndarray,
    light: np.ndarray,
    lips: np.ndarray,
    cheeks: Iterable[np.ndarray],
    unit: float,
) -> list[tuple[Mask, float, float]]:
    """Return of each face where a beard would grow, the evened light of the cheeks, and in [0, 1] how bearded it is.

    Args:
        faces: landmarks of each, [468, 2].
        tone: [h, w] luminance.
        light: [h, w] the same, evened.
        lips: [h, w] where they are, in [0, 1].
        cheeks: the same of each face: another's skin would make a beard of a dark chin.
        unit: in px.
    """
    fine = tone - cv2.GaussianBlur(tone, (0, 0), 0.03 * unit)
    rough = cv2.GaussianBlur(np.minimum(fine**2, 0.015), (0, 0), 0.05 * unit)
    size, beards = tone.shape, []
    for points, own in zip(faces, cheeks, strict=True):
        bare = own > 0.7
        middle = points[_LIPS_MIDDLE]
        rim = middle + 1.02 * (points[list(_BEARD)] - middle)
        room, chin, above = (
            draw_soft([outline], size, 0.04 * unit) for outline in (rim, points[_CHIN], points[_ABOVE_LIP])
        )
        left, top, right, bottom = room.box
        room = Mask(room.box, room.values * (1 - lips[top:bottom, left:right]))
        whole, below = room.full(*size).numpy() > 0.8, chin.full(*size).numpy() > 0.5
        above = above.full(*size).numpy() * (1 - lips) > 0.5
        if not (whole.any() and below.any() and bare.any()):
            continue
        # Chin and jaw together: a shaded chin alone, or hair over the jaw, is no beard. Stubble has 0.75 of the
        # cheeks' light, beards less, shaven men 0.8 and more; skin in shadow is smooth, and light above the lip.
        # Hair above the lip tells that: coarse beards may be lighter, and full black ones hide their hairs.
        cheek = max(float(np.median(tone[bare])), 0.02)
        lip = float(np.median(tone[above])) / cheek if above.any() else _UNSEEN_LIP
        jaw, chin = (float(np.median(tone[part])) / cheek for part in (whole, below))
        coarse = math.sqrt(float(np.median(rough[below])) / (float(np.median(rough[bare])) + 1e-6))
        lighter = np.interp(max(lip, chin - 0.2), (0.66, 0.74), (0.1, 0)) * np.interp(coarse, (1.9, 2.3), (0, 1))
        dark = (jaw + chin) / 2 - lighter
        coarse += np.interp(lip, (0.42, 0.53, 0.62, 0.7), (0.55, 0, 0, -0.4))
        much = np.interp(dark, (0.72, 0.78), (1, 0)) * np.interp(coarse, (1.6, 1.9), (0, 1))
        much *= np.interp(lip, (0.8, 0.9), (1, 0))
        beards.append((room, float(np.median(light[bare])), float(much)))
    return beards
