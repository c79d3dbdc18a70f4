"""Move the landmarks of a face and take the photo's pixels along.

A warp is read backwards: for every pixel of the result, `Flow` says where in the photo its colour comes from. It is
found on a coarse grid, piecewise linear between the moved landmarks (Delaunay's triangles), then smoothed; rings
around the face carry the movement of its outline to exactly zero at the frame. Everything outside stays as it is, to
the bit. Thin-plate splines were tried and lost: they meet the landmarks more closely, but fold where landmarks crowd,
and take ten times as long (docs/results/shape.md).

Photo pixels count from the top left corner, the middle of the first pixel is (0.5, 0.5); face units are distances
between the eyes.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.errors import InputError
from gan_space.faces.align import AlignTransform
from gan_space.faces.landmarks import FACE_OVAL, LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS
from gan_space.photos.opening import check_photo, to_rows

NUM_LANDMARKS = 468
BRIDGE, EARS = (195, 5, 197), (127, 356, 234, 454)  # the nose's, and what it stands midway between looking ahead
MARGIN = 0.6  # from the outline of the face to the frame, in face units
# How much of the outline's movement is left at which share of the margin. It falls fast at first, where there is mostly
# hair or neck, so that little reaches what stands farther behind, and ends without a corner.
_RINGS = tuple((share, (1 - share) ** 2) for share in (0.15, 0.3, 0.5, 0.75, 1.0))
GRID_STEP = 0.03  # of the coarse grid, about, in face units
SMOOTHING = 0.03  # standard deviation in face units; lids and lips are told apart at about 0.05
# How much smaller or larger than before a piece of skin may be drawn, in area. Beyond it pores smear or lines fold.
MIN_AREA, MAX_AREA = 0.4, 2.5
_EASED, _EASED_BY, _EASINGS = 0.12, 0.06, 20  # around where it folds: how far, how much at once, and how often
_LEVEL, _NEARER = 0.05, 0.04  # face units: the same height, and surely nearer to the midline
STILL_PX = 1 / 64  # smaller shifts cannot be seen, nor can the kernel tell them from none
_BAND_CELLS = 6  # rows of the grid that are drawn at once
EDGE_FADE = 0.15  # face units; no pixel on the photo's own edge moves


@dataclass(frozen=True)
class Flow:
    """Where the pixels inside a frame come from.

    Attributes:
        shift: [h, w, 2] float32, x and y, in photo pixels: where a pixel comes from, less where it is. Each entry
            stands in the middle of a cell; those on the rim are zero.
        left, top: the first cell's corner in photo pixels, which may lie outside of the photo.
        cell_px: width and height of a cell in photo pixels.
        amount: the share of the wanted displacement that goes without folding, in [0, 1].
        eased: [h, w] float32, the share of that which goes at each entry; None: all of it everywhere.
    """

    shift: np.ndarray
    left: int
    top: int
    cell_px: int
    amount: float
    eased: np.ndarray | None = None

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of the frame in photo pixels."""
        rows, columns = self.shift.shape[:2]
        return self.left, self.top, self.left + columns * self.cell_px, self.top + rows * self.cell_px

    def at(self, points) -> np.ndarray:
        """Read the shift at [..., 2] points in photo pixels; zero outside the frame."""
        points = np.asarray(points, np.float64)
        if not points.size:
            return np.zeros(points.shape)
        places = ((points - (self.left, self.top)) / self.cell_px - 0.5).astype(np.float32).reshape(1, -1, 2)
        read = cv2.remap(self.shift, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return read.reshape(points.shape).astype(np.float64)

    def share(self, points) -> np.ndarray:
        """Say which share of the wanted displacement ends at [..., 2] points in photo pixels, [..., 1]."""
        points = np.asarray(points, np.float64)
        if self.eased is None:
            return np.full((*points.shape[:-1], 1), self.amount)
        places = ((points - (self.left, self.top)) / self.cell_px - 0.5).astype(np.float32).reshape(1, -1, 2)
        read = cv2.remap(self.eased, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return self.amount * read.reshape(*points.shape[:-1], 1).astype(np.float64)

    def move(self, points) -> np.ndarray:
        """Return where [..., 2] points of the photo stand after the warp."""
        points = np.asarray(points, np.float64)
        moved = points
        for _ in range(12):
            moved = points - self.at(moved)
        return moved


def check_landmarks(landmarks) -> np.ndarray:
    """Return landmarks as [468, 2] float64, or raise InputError."""
    landmarks = np.asarray(landmarks, np.float64)
    if landmarks.shape != (NUM_LANDMARKS, 2) or not np.isfinite(landmarks).all():
        raise InputError(f"landmarks are [{NUM_LANDMARKS}, 2] finite numbers in photo pixels, got {landmarks.shape}")
    return landmarks


def face_frame(landmarks) -> AlignTransform:
    """Map photo pixels to the face's own frame: (0, 0) midway between the eyes at (-0.5, 0) and (0.5, 0)."""
    landmarks = check_landmarks(landmarks)
    eyes = np.array([landmarks[list(corners)].mean(axis=0) for corners in (LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS)])
    return AlignTransform.fit(eyes, [[-0.5, 0.0], [0.5, 0.0]])


def find_flow(landmarks, displacement, size: tuple[int, int], margin: float = MARGIN, torn=(), more=None) -> Flow:
    """Find the flow that takes landmarks to where they are wanted.

    Args:
        landmarks: [468, 2] photo pixels.
        displacement: [468, 2] photo pixels; several edits are one sum.
        size: height and width of the photo in px.
        margin: from the outline of the face to the frame, in face units.
        torn: outlines [K, 2] in photo pixels of what is drawn over after the move, such as parted lips and the eyes
            between lids: it may stretch without limit.
        more: [468, 2] photo pixels that the flow is drawn stronger by where a landmark ends, for those that smoothing
            keeps short. Nothing ends elsewhere for it, so no landmark is driven past its neighbours.

    Raises:
        InputError: other shapes, or numbers that are not finite.
    """
    landmarks, displacement = check_landmarks(landmarks), check_landmarks(displacement)
    more = np.zeros_like(displacement) if more is None else check_landmarks(more)
    height, width = size
    unit = face_frame(landmarks).frame_px
    # In face units along the photo's own axes, so that step and smoothing mean the same for every size.
    points, moves = landmarks / unit, displacement / unit
    rings, ring_moves = _rings(points[list(FACE_OVAL)], moves[list(FACE_OVAL)], margin)
    cell_px = max(1, round(GRID_STEP * unit))
    low, high = rings.min(axis=0) - 4 * SMOOTHING, rings.max(axis=0) + 4 * SMOOTHING
    drawn = np.concatenate([moves + more / unit, ring_moves])
    points, moves = np.concatenate([points, rings]), np.concatenate([moves, ring_moves])

    step = cell_px / unit
    left, top = (int(edge) for edge in np.floor(low / step) * cell_px)
    low = np.array([left, top]) / unit
    columns, rows = (int(count) for count in np.ceil((high - low) / step))
    shift = piecewise_linear((points + moves - low) / step - 0.5, -drawn, rows, columns)
    shift = _smooth(shift, SMOOTHING / step)
    shift *= _room(low, step, rows, columns, width / unit, height / unit)[..., None]
    shift[[0, -1]], shift[:, [0, -1]] = 0, 0
    hidden = np.zeros((rows - 1, columns - 1), np.uint8)
    for outline in torn:
        hole = (np.asarray(outline, np.float64) / unit - low) / step - 1  # areas stand between entries
        cv2.fillPoly(hidden, [hole.round().astype(np.int32)], 1)
    counts = cv2.dilate(hidden, np.ones((5, 5))) == 0
    eased = _ease(shift, step, counts)
    shift = shift if eased is None else shift * eased[..., None]
    amount = _unfolded_amount(shift, step, counts)
    return Flow(shift * np.float32(amount * unit), left, top, cell_px, amount, eased)


def warp_photo(photo: Tensor, flow: Flow) -> Tensor:
    """Move the pixels of a photo; a new tensor, equal to the photo to the bit wherever nothing moves.

    Args:
        photo: [3, H, W] uint8.
        flow: found for a photo of this size.
    """
    check_photo(photo)
    result = photo.clone()
    height, width = photo.shape[1:]
    busy = (np.abs(flow.shift).max(axis=2) > STILL_PX).astype(np.uint8)
    busy = cv2.dilate(busy, np.ones((3, 3), np.uint8)).astype(bool)  # what lies between two entries reads both
    if not busy.any():
        return result
    pixels = to_rows(photo)
    cell = flow.cell_px
    planes = cv2.split(flow.shift)
    for first in range(0, len(busy), _BAND_CELLS):  # band by band: a face is narrower above and below than its frame
        columns = np.flatnonzero(busy[first : first + _BAND_CELLS].any(axis=0))
        if not len(columns):
            continue
        rows = (max(first - 1, 0), min(first + _BAND_CELLS + 1, len(busy)))  # with a neighbour to read between
        dense = [cv2.resize(plane[slice(*rows)], None, fx=cell, fy=cell) for plane in planes]
        y, x = flow.top + rows[0] * cell, flow.left  # of the first pixel in `dense`
        top, bottom = max(flow.top + first * cell, 0), flow.top + min(first + _BAND_CELLS, len(busy)) * cell
        bottom = min(bottom, height)
        left, right = max(x + columns[0] * cell, 0), min(x + (columns[-1] + 1) * cell, width)
        if left >= right or top >= bottom:
            continue
        part = (slice(top - y, bottom - y), slice(left - x, right - x))
        across = dense[0][part] + np.arange(left, right, dtype=np.float32)
        down = dense[1][part] + np.arange(top, bottom, dtype=np.float32)[:, None]
        # In whole and 1/32 pixels. The kernel for no shift is exactly one pixel, so what stays is equal to the bit.
        maps = cv2.convertMaps(across, down, cv2.CV_16SC2)
        # Bicubic with a = -0.75 keeps gradients as well as Lanczos over 8 x 8 pixels does, in a quarter of its time.
        drawn = cv2.remap(pixels, *maps, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        result[:, top:bottom, left:right] = torch.from_numpy(drawn).permute(2, 0, 1)
    return result


def find_places(landmarks, average: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """Tell which place of an average face every pixel shows, so that what is drawn over that one lies on this one.

    Args:
        landmarks: [468, 2] photo pixels.
        average: [468, 2] of the other face, in its own units.
        box: left, top, right, bottom in photo pixels.

    Returns:
        [bottom - top, right - left, 2] float32, x and y; far away where there is no face.
    """
    landmarks, (left, top, right, bottom) = check_landmarks(landmarks), box
    cell_px = max(1, round(GRID_STEP * face_frame(landmarks).frame_px / 1.5))
    rows, columns = -(-(bottom - top) // cell_px), -(-(right - left) // cell_px)
    far = 1000.0  # what lies outside of the landmarks' hull reads zero
    seen = ~find_hidden(landmarks, average)
    points = (landmarks[seen] - (left, top)) / cell_px - 0.5
    grid = piecewise_linear(points, average[seen] + far, rows, columns) - np.float32(far)
    dense = cv2.resize(grid, None, fx=cell_px, fy=cell_px, interpolation=cv2.INTER_LINEAR)
    known = cv2.resize((grid[..., 0] > -far / 2).astype(np.float32), dense.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    dense[known < 1] = -far  # between a place and none there is none
    return np.ascontiguousarray(dense[: bottom - top, : right - left])


def find_hidden(landmarks, average: np.ndarray) -> np.ndarray:
    """Tell which places of a turned face others hide, such as a cheek behind the nose; [468] bool.

    The mesh has them among those that are seen. At the same height something nearer to the midline stands farther out.

    Args:
        landmarks: [468, 2] photo pixels.
        average: [468, 2] of an average face that looks ahead.
    """
    face = face_frame(landmarks).apply(check_landmarks(landmarks))
    away = np.sign(face[list(BRIDGE), 0].mean() - face[list(EARS), 0].mean())
    out, is_out = away * face[:, 0], away * average[:, 0]
    level = np.abs(face[:, 1] - face[:, 1, None]) < _LEVEL
    nearer = np.abs(average[:, 0]) < is_out[:, None] - _NEARER
    return (level & nearer & (out > out[:, None])).any(axis=1)


def _rings(outline: np.ndarray, moves: np.ndarray, margin: float) -> tuple[np.ndarray, np.ndarray]:
    """Points outside an outline and how they move: less and less, not at all on the last ring."""
    away = outline - outline.mean(axis=0)
    away /= np.linalg.norm(away, axis=1, keepdims=True).clip(1e-9)
    points = np.concatenate([outline + share * margin * away for share, _ in _RINGS])
    return points, np.concatenate([left * moves for _, left in _RINGS])


def piecewise_linear(points: np.ndarray, values: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Interpolate [K, 2] values at scattered points on a grid [rows, columns, 2]; zero outside their hull.

    Points are in steps of the grid, (0, 0) is its first entry. scipy has the same, but is not installed for users.
    """
    points = points.astype(np.float32)
    points, first = np.unique(points, axis=0, return_index=True)
    values = values[first]
    low = np.floor(points.min(axis=0)).astype(int) - 2
    extent = np.ceil(points.max(axis=0)).astype(int) + 3 - low
    subdivision = cv2.Subdiv2D((int(low[0]), int(low[1]), int(extent[0]), int(extent[1])))
    subdivision.insert(points)
    corners = subdivision.getTriangleList().reshape(-1, 2)  # places, not numbers
    keys = np.ascontiguousarray(points).view(np.int64).ravel()
    order = np.argsort(keys)
    wanted = np.ascontiguousarray(corners).view(np.int64).ravel()
    found = order[np.searchsorted(keys, wanted, sorter=order).clip(0, len(keys) - 1)]
    triangles = found.reshape(-1, 3)
    triangles = triangles[(keys[found] == wanted).reshape(-1, 3).all(axis=1)]  # the others hang on points far outside

    owner = np.full((rows, columns), -1, np.int32)
    fixed = np.round(points[triangles] * 16).astype(np.int32)  # [T, 3, 2], sixteenths of a step
    for number, triangle in enumerate(fixed):
        cv2.fillConvexPoly(owner, triangle, number, lineType=cv2.LINE_8, shift=4)
    y, x = np.nonzero(owner >= 0)
    mine = triangles[owner[y, x]]
    a, b, c = (points[mine[:, i]].astype(np.float64) for i in range(3))
    place = np.stack([x, y], axis=1)
    area = _cross(b - a, c - a)
    area = np.where(np.abs(area) < 1e-6, 1e-6, area)
    weights = np.stack(
        [_cross(b - place, c - place), _cross(c - place, a - place), _cross(a - place, b - place)], axis=1
    )
    weights = (weights / area[:, None]).clip(0, 1)  # a grid point may lie a little outside of the triangle it got
    weights /= weights.sum(axis=1, keepdims=True).clip(1e-6)
    grid = np.zeros((rows, columns, 2), np.float32)
    grid[y, x] = np.einsum("nk,nkd->nd", weights, values[mine])
    return grid


def _smooth(shift: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth twice what lies between places, once what is wider: what smoothing took from small parts is given back."""
    once = cv2.GaussianBlur(shift, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)
    return once + cv2.GaussianBlur(shift - once, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _room(low: np.ndarray, step: float, rows: int, columns: int, width: float, height: float) -> np.ndarray:
    """1 inside a photo, falling to 0 at its edge, so that nothing is drawn in from beyond; [rows, columns]."""
    x = low[0] + (np.arange(columns) + 0.5) * step
    y = low[1] + (np.arange(rows) + 0.5) * step
    across = ((np.minimum(x, width - x) - step) / EDGE_FADE).clip(0, 1)
    down = ((np.minimum(y, height - y) - step) / EDGE_FADE).clip(0, 1)
    return (down[:, None] * across).astype(np.float32)


def areas(shift: np.ndarray, step: float) -> np.ndarray:
    """Say how large a piece of the photo is drawn, against before; [h - 1, w - 1], at most 0 where the map folds.

    The inverse of the determinant of the backward map's Jacobian.
    """
    dx = (shift[:, 1:] - shift[:, :-1]) / step
    dy = (shift[1:] - shift[:-1]) / step
    dx, dy = (dx[1:] + dx[:-1]) / 2, (dy[:, 1:] + dy[:, :-1]) / 2
    determinant = (1 + dx[..., 0]) * (1 + dy[..., 1]) - dx[..., 1] * dy[..., 0]
    return np.where(determinant > 1e-6, 1 / np.maximum(determinant, 1e-6), 0.0)


def _ease(shift: np.ndarray, step: float, counts: np.ndarray) -> np.ndarray | None:
    """Find what to leave of a shift around the few places where it folds, such as the far corner of a turned mouth."""
    left, eased = np.ones(shift.shape[:2], np.float32), None
    for _ in range(_EASINGS):
        area = areas(shift * left[..., None], step)
        bad = ((area < MIN_AREA) | (area > MAX_AREA)) & counts
        if not bad.any():
            break
        around = np.zeros_like(left)
        around[:-1, :-1] = bad
        around = cv2.GaussianBlur(cv2.dilate(around, np.ones((3, 3))), (0, 0), _EASED / step)
        eased = left = left * (1 - _EASED_BY * around / around.max())
    return eased


def _unfolded_amount(shift: np.ndarray, step: float, counts: np.ndarray) -> float:
    """The largest share of a shift, in face units, that keeps all areas that count within their limits."""

    def fits(amount: float) -> bool:
        area = areas(shift * amount, step)[counts]
        return bool(area.min() >= MIN_AREA and area.max() <= MAX_AREA)

    if fits(1.0):
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(7):
        middle = (low + high) / 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
