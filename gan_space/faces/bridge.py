"""Tell glasses by what lies across the bridge of a nose, where a bare face has nothing that goes sideways.

Thin and transparent frames hardly show in the small picture that a network sees, but every bridge crosses the nose.
"""

from __future__ import annotations

import cv2
import numpy as np
from torch import Tensor

from gan_space.faces.mesh import check_landmarks, face_frame
from gan_space.photos.opening import check_photo

_RIDGE = (9, 8, 168, 6, 197, 195, 5)  # from between the brows down the nose
_STEP, _APART, _HALF_WIDTH = 0.01, 5, 0.05  # face units of a row; rows over which colours differ; face units that count
_FROM, _CROSSED, _BARE = -0.35, (-0.095, 0.25), 0.28  # face units below the eyes: first row, a bridge, nothing but nose
_SOFT, _ROWS = 0.008, 95  # face units that noise is blurred by; rows
_COLOR_COUNTS = np.float32([1.0, 1.5, 1.5])  # lightness, a*, b*
# How much more colours differ there than below, and how much in codes: of those on whom no network saw glasses.
_MORE, _CODES = (5.0, 7.0), (25.0, 35.0)


def bridge_seen(photo: Tensor, landmarks) -> float:
    """Say how sure it is that glasses lie across a nose, 0 to 1.

    Of 1531 faces of 208 px without a label of glasses it is above 0.5 on 30, half of which wear some; of 217 with one
    on 156.

    Args:
        photo: [3, H, W] uint8.
        landmarks: [468, 2] photo pixels.
    """
    landmarks, frame = check_landmarks(landmarks), face_frame(landmarks)
    ridge = frame.apply(landmarks[list(_RIDGE)])
    down = _FROM + _STEP * np.arange(_ROWS)
    across = np.arange(-_HALF_WIDTH, _HALF_WIDTH + _STEP / 2, _STEP)
    x, y = np.broadcast_arrays(np.interp(down, *ridge.T[::-1])[:, None] + across, down[:, None])
    places = frame.inverse.apply(np.stack([x, y], axis=-1).reshape(-1, 2))
    low = np.floor(places.min(axis=0)).astype(int).clip(0)
    high = np.ceil(places.max(axis=0)).astype(int) + 1
    part = check_photo(photo)[:, low[1] : high[1], low[0] : high[0]].permute(1, 2, 0).cpu().numpy()
    if 0 in part.shape:
        return 0.0
    part = cv2.GaussianBlur(np.ascontiguousarray(part), (0, 0), max(_SOFT * frame.frame_px, 0.5))
    maps = (places - low - 0.5).astype(np.float32).reshape(*x.shape, 2)
    seen = cv2.remap(part, maps, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    rows = np.median(cv2.cvtColor(seen, cv2.COLOR_RGB2LAB).astype(np.float32), axis=1)  # what goes along does not count
    between = rows[_APART:-_APART] - (rows[2 * _APART :] + rows[: -2 * _APART]) / 2
    differs, down = np.linalg.norm(_COLOR_COUNTS * between, axis=1), down[_APART:-_APART]
    most = float(differs[(down > _CROSSED[0]) & (down < _CROSSED[1])].max())
    usual = float(np.median(differs[down > _BARE])) + 1
    return float(min(np.interp(most / usual, _MORE, (0, 1)), np.interp(most, _CODES, (0, 1))))
