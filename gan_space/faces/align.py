"""The similarity between photo pixels and the tight frame, and the crop that it makes.

Pixel places count from the top left corner of the photo: the middle of the first pixel is (0.5, 0.5). Places in the
frame are fractions of its width: (0, 0) is its top left corner, (1, 1) its bottom right one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.errors import InputError
from gan_space.images import from_uint8
from gan_space.photos.opening import check_photo

# Left eye, right eye (as they stand in the picture) and mouth in the frame that all networks here are trained on.
TIGHT_FRAME = np.array([[0.305, 0.309], [0.695, 0.309], [0.500, 0.703]])
EYE_DISTANCE = 0.39  # of the frame's width
# The same of a head-and-shoulders picture, as in FFHQ.
PORTRAIT_FRAME = np.array([[0.375, 0.477], [0.625, 0.477], [0.500, 0.738]])
# And of one eight eye distances wide, with all of the head's hair in it, down to the chest.
HEAD_FRAME = np.array([[0.4375, 0.340], [0.5625, 0.340], [0.500, 0.4663]])

STRIP_PX = 2**20  # of the photo, averaged at once


@dataclass(frozen=True)
class AlignTransform:
    """Rotation, one scale and a shift: u = (a x - b y + tx, b x + a y + ty), in float64.

    Takes photo pixels to the frame wherever this package makes one; `inverse` takes the frame to photo pixels.

    Example:
        >>> AlignTransform.from_box(10, 20, 100).apply([[60, 70]])
        array([[0.5, 0.5]])
    """

    a: float
    b: float
    tx: float
    ty: float

    def __post_init__(self) -> None:
        numbers = (self.a, self.b, self.tx, self.ty)
        if not all(math.isfinite(number) for number in numbers) or self.scale < 1e-12:
            raise InputError(f"a similarity needs finite numbers and a scale above zero, got {numbers}")

    @classmethod
    def fit(cls, source, target) -> AlignTransform:
        """Find the similarity that brings `source` closest to `target` by least squares (Umeyama 1991, no reflection).

        Args:
            source, target: [K, 2] points, K at least 2.

        Raises:
            InputError: other shapes, or all source points in one place.
        """
        source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
        if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 2 or len(source) < 2:
            raise InputError(f"a fit needs two or more pairs of points, got {source.shape} and {target.shape}")
        # In the plane, Umeyama's solution without reflection is one complex division.
        p, q = (points[:, 0] + 1j * points[:, 1] for points in (source, target))
        p_mean, q_mean = p.mean(), q.mean()
        spread = np.square(np.abs(p - p_mean)).sum()
        if not spread > 1e-18:
            raise InputError("a fit needs points in different places, got all of them in one")
        factor = (np.conj(p - p_mean) * (q - q_mean)).sum() / spread
        shift = q_mean - factor * p_mean
        return cls(float(factor.real), float(factor.imag), float(shift.real), float(shift.imag))

    @classmethod
    def from_landmarks(cls, landmarks_px) -> AlignTransform:
        """Map photo pixels to the tight frame, from [3, 2] left eye, right eye, mouth in photo pixels."""
        return cls.fit(landmarks_px, TIGHT_FRAME)

    @classmethod
    def from_box(cls, x: float, y: float, size: float, roll_deg: float = 0.0) -> AlignTransform:
        """Map photo pixels to a square of `size` px with the top left corner (x, y), turned clockwise."""
        if not size > 0:
            raise InputError(f"a box needs a size above zero, got {size}")
        middle = complex(x + size / 2, y + size / 2)
        factor = complex(math.cos(math.radians(roll_deg)), -math.sin(math.radians(roll_deg))) / size
        shift = complex(0.5, 0.5) - factor * middle
        return cls(factor.real, factor.imag, shift.real, shift.imag)

    @property
    def matrix(self) -> np.ndarray:
        """[2, 3] float64."""
        return np.array([[self.a, -self.b, self.tx], [self.b, self.a, self.ty]])

    @property
    def scale(self) -> float:
        """Length in the frame of one photo pixel."""
        return math.hypot(self.a, self.b)

    @property
    def frame_px(self) -> float:
        """Width of the frame in photo pixels."""
        return 1 / self.scale

    @property
    def roll_deg(self) -> float:
        """How far the face leans clockwise in the photo, in (-180, 180] degrees."""
        return math.degrees(math.atan2(-self.b, self.a))

    def apply(self, points) -> np.ndarray:
        """Map [..., 2] points; float64."""
        points = np.asarray(points, np.float64)
        return points @ self.matrix[:, :2].T + self.matrix[:, 2]

    @property
    def inverse(self) -> AlignTransform:
        """The way back: frame -> photo pixels."""
        factor = 1 / complex(self.a, self.b)
        shift = -factor * complex(self.tx, self.ty)
        return AlignTransform(factor.real, factor.imag, shift.real, shift.imag)

    def then(self, after: AlignTransform) -> AlignTransform:
        """Do first this, then `after`."""
        factor = complex(after.a, after.b) * complex(self.a, self.b)
        shift = complex(after.a, after.b) * complex(self.tx, self.ty) + complex(after.tx, after.ty)
        return AlignTransform(factor.real, factor.imag, shift.real, shift.imag)

    def crop(self, photo: Tensor, resolution: int) -> Tensor:
        """Cut the frame out of a photo; past the photo's edge goes its mirror image.

        A photo with more pixels than the crop is averaged before it is read, in strips, so that nothing aliases and a
        face that fills a large photo takes little memory.

        Args:
            photo: [3, H, W] uint8.
            resolution: R, width and height of the crop in px.

        Returns:
            [1, 3, R, R] float32 in [-1, 1].
        """
        check_photo(photo)
        if resolution < 1:
            raise InputError(f"a crop needs a resolution of 1 px or more, got {resolution}")
        to_px = self.inverse
        step = to_px.scale / resolution  # photo pixels for one of the crop
        fine = 1 if step <= 1 else 2  # samples for one pixel, in each direction
        shrink = max(1, round(step / fine))

        corners = to_px.apply([[0, 0], [1, 0], [0, 1], [1, 1]])
        low = np.floor(corners.min(axis=0)).astype(int) - 1 - shrink
        high = np.ceil(corners.max(axis=0)).astype(int) + 1 + shrink
        high = low + -(-(high - low) // shrink) * shrink
        region = _averages(photo, low, high, shrink)

        # What `affine_grid` calls -1 and 1 are the edges of crop and region.
        size = np.array([region.shape[3], region.shape[2]])
        turn = to_px.matrix[:, :2] / (shrink * size[:, None])
        shift = (to_px.apply([0.5, 0.5]) - low) * 2 / (shrink * size) - 1
        theta = torch.from_numpy(np.column_stack([turn, shift]).astype(np.float32)).to(photo.device)  # [2, 3]
        grid = F.affine_grid(theta[None], [1, 3, resolution * fine, resolution * fine], align_corners=False)
        return _means(F.grid_sample(region, grid, padding_mode="border", align_corners=False), fine)

    def outside_share(self, width: int, height: int) -> float:
        """Return the share of the frame that lies outside a photo of `width` x `height` px."""
        axis = (np.arange(32) + 0.5) / 32
        px = self.inverse.apply(np.stack(np.meshgrid(axis, axis), axis=-1))
        return 1 - float(((px >= 0) & (px <= (width, height))).all(axis=-1).mean())


def _averages(photo: Tensor, low: np.ndarray, high: np.ndarray, shrink: int) -> Tensor:
    """[1, 3, h, w] means in [-1, 1] of `shrink` x `shrink` pixels, from (x, y) `low` up to `high`; mirrored outside."""
    (left, top), (right, bottom) = low.tolist(), high.tolist()
    if left >= 0 and top >= 0 and right <= photo.shape[2] and bottom <= photo.shape[1]:
        inside = photo[:, top:bottom, left:right]  # no copy

        def strip(start: int, end: int) -> Tensor:
            return inside[:, start:end]
    else:
        columns, rows = (torch.from_numpy(mirrored(np.arange(low[i], high[i]), photo.shape[2 - i])) for i in (0, 1))

        def strip(start: int, end: int) -> Tensor:
            return photo.index_select(1, rows[start:end]).index_select(2, columns)

    height = bottom - top
    if shrink == 1:
        return from_uint8(strip(0, height))[None]
    step = max(1, STRIP_PX // ((right - left) * shrink)) * shrink
    strips = (_means(strip(start, start + step), shrink) for start in range(0, height, step))
    return torch.cat(list(strips), dim=1)[None] / 127.5 - 1


def _means(x: Tensor, side: int) -> Tensor:
    """Means of `side` x `side` values: [..., H, W] -> [..., H / side, W / side] float32.

    A sixth of the time of `avg_pool2d`, whose windows are read one by one.
    """
    if side == 1:
        return x.float()
    rows = _sum(x.unflatten(-2, (-1, side)).unbind(-2))
    return _sum(rows.unflatten(-1, (-1, side)).unbind(-1)) / side**2


def _sum(parts: Sequence[Tensor]) -> Tensor:
    total = parts[0].to(torch.float32, copy=True)
    for part in parts[1:]:
        total += part
    return total


def mirrored(index: np.ndarray, size: int) -> np.ndarray:
    """Fold whole numbers into [0, size) as a mirror at both edges does: -1 -> 0, -2 -> 1, size -> size - 1."""
    index = np.mod(index, 2 * size)
    return np.where(index < size, index, 2 * size - 1 - index)
