"""Soft masks of outlines: smooth curves through landmarks, filled with an antialiased edge of any width."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor

WIDTH_TO_SIGMA = 1 / 2.563  # of the Gaussian whose integral rises from 10 to 90 % over this width
_SPLINE_STEPS = 6  # pieces between two landmarks
_WORK_SIGMA = 3.0  # px of the scale on which an edge is drawn; more gives nothing
_FINEST, _COARSEST = 4, 16


@dataclass(frozen=True)
class Mask:
    """A soft mask inside a box; zero outside of it.

    Attributes:
        box: left, top, right, bottom in whole photo pixels, inside the photo.
        values: [bottom - top, right - left] float32 in [0, 1].
    """

    box: tuple[int, int, int, int]
    values: np.ndarray

    def full(self, height: int, width: int) -> Tensor:
        """Return the mask of the whole photo, [H, W] float32."""
        left, top, right, bottom = self.box
        whole = torch.zeros(height, width)
        whole[top:bottom, left:right] = torch.from_numpy(self.values)
        return whole


def smooth_outline(landmarks: np.ndarray, outline: tuple[tuple[int, ...], tuple[int, ...]]) -> np.ndarray:
    """Run a Catmull-Rom spline through the places of an outline, [K, 2]; it breaks at the outline's corners."""
    places, _ = outline
    return _spline_through(outline) @ landmarks[list(places)]


@lru_cache(maxsize=256)  # there are a few dozen outlines
def _spline_through(outline: tuple[tuple[int, ...], tuple[int, ...]]) -> np.ndarray:
    """What each point of the curve takes of each place of the outline, [K, N]."""
    places, corners = outline
    points = np.eye(len(places))
    sharp = np.isin(places, corners)
    before, after = np.roll(points, 1, axis=0), np.roll(points, -1, axis=0)
    leaving = (after - before) / 2  # tangents; at a corner each side has its own
    arriving = leaving.copy()
    leaving[sharp] = (after - points)[sharp]
    arriving[sharp] = (points - before)[sharp]
    t = (np.arange(_SPLINE_STEPS) / _SPLINE_STEPS)[:, None, None]
    end, end_tangent = after, np.roll(arriving, -1, axis=0)
    curve = (
        (2 * t**3 - 3 * t**2 + 1) * points
        + (t**3 - 2 * t**2 + t) * leaving
        + (3 * t**2 - 2 * t**3) * end
        + (t**3 - t**2) * end_tangent
    )  # [steps, N, N]
    return curve.transpose(1, 0, 2).reshape(-1, len(places))


def draw_soft(
    polygons: list[np.ndarray],
    size: tuple[int, int],
    feather_px: float,
    box: tuple[int, int, int, int] | None = None,
) -> Mask:
    """Fill polygons with a soft, antialiased edge.

    Args:
        polygons: [K, 2] each, photo pixels; joined where they overlap.
        size: height and width of the photo in px.
        feather_px: width of the edge from 10 to 90 %, in photo pixels; an edge of one pixel is the least.
        box: left, top, right, bottom of the mask in photo pixels; None takes what the polygons and their edges need.
    """
    sigma = feather_px * WIDTH_TO_SIGMA
    height, width = size
    if box is None:
        points = np.concatenate(polygons)
        reach = 3 * sigma + 2
        left, top = np.floor(points.min(axis=0) - reach).astype(int).clip(0, (width, height))
        right, bottom = np.ceil(points.max(axis=0) + reach).astype(int).clip(0, (width, height))
        box = (int(left), int(top), int(max(left, right)), int(max(top, bottom)))
    left, top, right, bottom = box
    columns, rows = right - left, bottom - top
    if not columns or not rows:
        return Mask(box, np.zeros((rows, columns), np.float32))
    # Wide edges are drawn small and enlarged, narrow ones are drawn large and averaged: the Gaussian stays small.
    fine = int(np.clip(np.ceil(_WORK_SIGMA / max(sigma, 1e-6)), 1, _FINEST))
    coarse = int(np.clip(sigma // _WORK_SIGMA, 1, _COARSEST))
    scale = fine / coarse
    margin = int(np.ceil(3 * sigma / coarse)) + 1  # drawn beyond the box, so that the photo's edge softens nothing
    shape = (int(np.ceil(rows / coarse)) * fine + 2 * margin, int(np.ceil(columns / coarse)) * fine + 2 * margin)
    over = 1 if fine > 1 else 2  # edges of whole steps would shift by half a step
    drawn = None
    for polygon in polygons:
        places = ((polygon - (left, top)) * scale + margin) * over - 0.5
        places = [np.round(places * 16).astype(np.int32)]
        layer = np.zeros((shape[0] * over, shape[1] * over), np.uint8)
        cv2.fillPoly(layer, places, 254, lineType=cv2.LINE_8, shift=4)
        # fillPoly paints the outline as well, half a pixel too much: half of it is right.
        cv2.polylines(layer, places, True, 127, lineType=cv2.LINE_8, shift=4)
        drawn = layer if drawn is None else np.maximum(drawn, layer, out=drawn)
    soft = drawn.astype(np.float32) / 254
    if over > 1:
        soft = cv2.resize(soft, shape[::-1], interpolation=cv2.INTER_AREA)
    if sigma > 0:
        # The average over a pixel blurs as well: a box of one pixel has a variance of 1/12.
        own = max(sigma * sigma - 1 / 12, 0.01) ** 0.5 * scale
        soft = cv2.GaussianBlur(soft, (0, 0), own)
    soft = soft[margin : shape[0] - margin, margin : shape[1] - margin]
    if fine > 1:
        soft = cv2.resize(soft, (columns, rows), interpolation=cv2.INTER_AREA)
    elif coarse > 1:
        whole = (soft.shape[1] * coarse, soft.shape[0] * coarse)
        soft = cv2.resize(soft, whole, interpolation=cv2.INTER_LINEAR)[:rows, :columns]
    return Mask(box, np.ascontiguousarray(soft))
