"""Where folds may be drawn on skin, and how deep: what age and smiles have in common."""

from __future__ import annotations

import cv2
import numpy as np

from gan_space.images import smooth_step

BOX = (-1.2, -1.0, 1.2, 1.8)  # left, top, right and bottom of maps over the average face, in face units
# On skin without texture, such as made up or retouched, folds look drawn: the median of its own fine lines, in a
# hundredth of the logarithm of lightness.
_SMOOTH_SKIN, _ROUGH_SKIN = 0.1, 0.4
_CHEEKS = ((0.35, 0.8), (0.25, 0.75))  # of the average face, to both sides and down
_SEEN_FROM_SIDE = (1.3, 2.1)  # how much narrower than on the average face skin is where its folds start and end to fade


def roughness(places: np.ndarray, fine: np.ndarray) -> float:
    """Tell how much texture the skin of the cheeks has, 0 to 1.

    Args:
        places: [h, w, 2] of the average face.
        fine: [h, w] the photo's own fine lines.
    """
    side, down = np.abs(places[..., 0]), places[..., 1]
    cheeks = (side > _CHEEKS[0][0]) & (side < _CHEEKS[0][1]) & (down > _CHEEKS[1][0]) & (down < _CHEEKS[1][1])
    texture = float(np.median(np.abs(fine[cheeks]))) if cheeks.any() else _ROUGH_SKIN
    return float(smooth_step(np.float32(texture), _SMOOTH_SKIN, _ROUGH_SKIN))


def facing(places: np.ndarray, unit: float) -> np.ndarray | float:
    """Return 1 on skin that faces the camera, 0 where it is seen from the side; [h, w], or 1 for slivers."""
    if min(places.shape[:2]) < 8:  # a slope needs two pixels of a quarter of the size
        return 1.0
    small = cv2.resize(places[..., 0], None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    narrow = np.hypot(*np.gradient(cv2.GaussianBlur(small, (0, 0), max(0.02 * unit, 0.5)))) * (unit / 4)
    from_side = smooth_step(narrow, *_SEEN_FROM_SIDE)
    return cv2.resize((1 - from_side).astype(np.float32), places.shape[1::-1], interpolation=cv2.INTER_LINEAR)
