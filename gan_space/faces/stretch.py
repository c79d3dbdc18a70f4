"""Give back the detail that a warp takes: what is drawn larger is drawn softer, and what is squeezed runs together.

The same pores over a cheek that is wider by a tenth have gradients lower by a tenth, and lashes of an eye that is
smaller by a tenth come too close for the pixels. No kernel helps: one that loses nothing at all gives the same
(docs/results/shape.md). So fine detail is raised by how far the warp stretches or squeezes at each place, no further
than the colours beside it allow, so that no edge gets a rim.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.faces.mesh import Flow
from gan_space.photos.opening import to_rows

RADIUS = 0.01  # of what counts as detail, standard deviation in face units, at least MIN_RADIUS_PX
MIN_RADIUS_PX = 0.8
GAIN, MAX_GAIN = 1.8, 0.5  # of that detail for a stretch by e along one axis, and at most
_SQUEEZED = 0.5  # of the gain: squeezed detail loses less, and its gradients have grown
_STILL = 0.015  # of a stretch, which no eye sees: there the photo stays as it is
STRIP_ROWS = 128  # of a photo that are worked on at once
_RIM = 0.06  # of the range of light within a pixel: how far beyond it an edge may go


def stretches(shift: np.ndarray, step: float) -> np.ndarray:
    """Say how far a piece of the photo is stretched, or squeezed; [h - 1, w - 1], 0 where it only moves or turns.

    The sum over both axes of the logarithm of how much longer it becomes, and _SQUEEZED of that of how much shorter:
    minus the logarithms of the singular values of the backward map's Jacobian.
    """
    dx, dy = (shift[:, 1:] - shift[:, :-1]) / step, (shift[1:] - shift[:-1]) / step
    dx, dy = (dx[1:] + dx[:-1]) / 2, (dy[:, 1:] + dy[:, :-1]) / 2
    a, b, c, d = 1 + dx[..., 0], dy[..., 0], dx[..., 1], 1 + dy[..., 1]
    squares, determinant = a * a + b * b + c * c + d * d, a * d - b * c
    apart = np.sqrt(np.maximum(squares * squares / 4 - determinant * determinant, 0))
    longer = [-np.log(np.maximum(squares / 2 + side * apart, 1e-6)) / 2 for side in (-1, 1)]
    return sum(np.maximum(one, -_SQUEEZED * one) for one in longer)


def restore_detail(photo: Tensor, flow: Flow, unit: float) -> Tensor:
    """Raise fine detail where a photo was stretched or squeezed.

    Args:
        photo: [3, H, W] uint8 after the warp.
        flow: what warped it.
        unit: px between the eyes.

    Returns:
        A new photo, equal to the bit where nothing was stretched or squeezed.
    """
    gain = GAIN * (stretches(flow.shift, flow.cell_px) - _STILL).clip(0)
    gain = np.minimum(gain, MAX_GAIN).astype(np.float32)
    busy = np.argwhere(gain > 0)
    result = photo.clone()
    if not len(busy):
        return result
    cell, (height, width) = flow.cell_px, photo.shape[1:]
    # A Jacobian stands between four entries of the flow: half a cell further on.
    (first, left), (last, right) = busy.min(axis=0), busy.max(axis=0) + 1
    first, left = max(first - 1, 0), max(left - 1, 0)
    dense = cv2.resize(gain[first : last + 1, left : right + 1], None, fx=cell, fy=cell)
    top, side = flow.top + first * cell + cell // 2, flow.left + left * cell + cell // 2
    low_y, high_y = max(top, 0), min(top + len(dense), height)
    low_x, high_x = max(side, 0), min(side + dense.shape[1], width)
    if low_y >= high_y or low_x >= high_x:
        return result
    dense = dense[low_y - top : high_y - top, low_x - side : high_x - side]
    sigma = max(RADIUS * unit, MIN_RADIUS_PX)
    reach = math.ceil(4 * sigma) + 2  # rows beside a strip that its blur and its rims look at
    rows = max(STRIP_ROWS, 2 * reach)
    for first in range(low_y, high_y, rows):
        last = min(first + rows, high_y)
        above, below = max(first - reach, low_y), min(last + reach, high_y)
        part = to_rows(photo[:, above:below, low_x:high_x])
        inner = slice(first - above, last - above)
        drawn = _raised(part, dense[first - low_y : last - low_y], sigma, inner)
        result[:, first:last, low_x:high_x] = torch.from_numpy(drawn).permute(2, 0, 1)
    return result


def _raised(part: np.ndarray, gain: np.ndarray, sigma: float, rows: slice) -> np.ndarray:
    """Raise detail of [h, w, 3] uint8 in these rows, which `gain` is for; the others are only looked at."""
    light = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
    around = np.ones((3, 3), np.uint8)
    lowest, highest = (find(light, around)[rows].astype(np.float32) for find in (cv2.erode, cv2.dilate))
    light = light.astype(np.float32)
    change = gain * (light - cv2.GaussianBlur(light, (0, 0), sigma))[rows]
    rim, light = _RIM * (highest - lowest), light[rows]
    change = np.minimum(np.maximum(change, lowest - rim - light), highest + rim - light)
    return cv2.add(part[rows], cv2.merge([change] * 3), dtype=cv2.CV_8U)  # rounds, and stays within 0 and 255
