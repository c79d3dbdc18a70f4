"""Tell by a photo's own texture whether its pixels moved where they were sent: no landmarks, no network.

Patches around strong corners of the face are looked for in the changed picture (normalised cross-correlation, to a
fraction of a pixel). It sees what a landmark finder does not: lids, lips, the size of eyes and nose.
"""

from __future__ import annotations

import cv2
import numpy as np

from gan_space.faces.landmarks import FACE_OVAL
from gan_space.faces.mesh import face_frame, piecewise_linear

PATCH, REACH = 0.05, 0.1  # half the width of a patch and how much farther than sent is searched, in face units
CORNERS = 150  # looked at in a face
MIN_SENT = 0.01  # face units: what is sent less far says nothing
MIN_LIKENESS = 0.75  # correlation below which a patch is lost: stretched, or covered by what is drawn


def texture_moved(
    before: np.ndarray, after: np.ndarray, points: np.ndarray, moves: np.ndarray, still: tuple[np.ndarray, ...] = ()
) -> tuple[float, float]:
    """Return the share of the way that patches have gone, and the share of patches that are found at all.

    Args:
        before, after: [H, W, 3] uint8 RGB.
        points: [468, 2] landmarks in photo pixels.
        moves: [468, 2] where each landmark was sent, less where it was; patches between them go along.
        still: outlines [K, 2] of what does not go along, such as eyeballs; not looked at.

    Returns:
        Medians over the patches that were sent MIN_SENT or farther; not a number where there are none.
    """
    unit = face_frame(points).frame_px
    grey, changed = (cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in (before, after))
    mask = cv2.fillPoly(np.zeros(grey.shape, np.uint8), [points[list(FACE_OVAL)].astype(np.int32)], 255)
    for outline in still:
        cv2.fillPoly(mask, [outline.astype(np.int32)], 0)
    corners = cv2.goodFeaturesToTrack(grey, CORNERS, 0.01, max(0.03 * unit, 2), mask=mask)
    if corners is None:
        return float("nan"), float("nan")
    corners = corners[:, 0].astype(np.float64)
    step = max(unit / 40, 1.0)
    grid = piecewise_linear(points / step, moves, *(int(side / step) + 2 for side in grey.shape))
    sent = cv2.remap(grid, ((corners + 0.5) / step).astype(np.float32)[None], None, cv2.INTER_LINEAR)[0]
    length = np.linalg.norm(sent, axis=1)
    half = max(round(PATCH * unit), 5)
    shares, found = [], []
    for (x, y), way, far in zip(corners.round().astype(int), sent, length, strict=True):
        if far < MIN_SENT * unit:
            continue
        reach = int(np.ceil(far + REACH * unit))
        top, left, edge = y - half, x - half, half + reach
        patch = grey[max(top, 0) : y + half + 1, max(left, 0) : x + half + 1]
        area = changed[max(y - edge, 0) : y + edge + 1, max(x - edge, 0) : x + edge + 1]
        if patch.shape != (2 * half + 1,) * 2 or area.shape != (2 * edge + 1,) * 2:
            continue
        likeness = cv2.matchTemplate(area, patch, cv2.TM_CCOEFF_NORMED)
        row, column = np.unravel_index(likeness.argmax(), likeness.shape)
        found.append(likeness[row, column] >= MIN_LIKENESS)
        if found[-1]:
            went = np.array([_peak(likeness[row], column), _peak(likeness[:, column], row)]) - reach
            shares.append(float(went @ way) / far**2)
    return (
        float(np.median(shares)) if shares else float("nan"),
        float(np.mean(found)) if found else float("nan"),
    )


def _peak(values: np.ndarray, at: int) -> float:
    """The place of a maximum between samples, by a parabola."""
    if not 0 < at < len(values) - 1:
        return float(at)
    before, here, after = values[at - 1 : at + 2].astype(float)
    bend = before - 2 * here + after
    return at + (0.5 * (before - after) / bend if bend < 0 else 0.0)
