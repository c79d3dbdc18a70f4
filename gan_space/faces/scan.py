"""Search a whole photo with the aligner itself: slower than a cascade, and it finds faces that the cascade passes over.

The aligner places a face that is 0.6 to 1.6 times as large as expected, off by a fifth and rolled by 45 degrees. So
windows a quarter apart, at sizes 1.6 apart, leave no face out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.errors import ConfigError
from gan_space.faces.align import AlignTransform, mirrored
from gan_space.faces.detect import FaceBox, suppress_overlaps
from gan_space.images import from_uint8
from gan_space.photos.opening import check_photo

if TYPE_CHECKING:
    from gan_space.faces.find import AlignerLike

SIZE_STEP = 1.6
STRIDE_SHARE = 0.25
MARGIN_SHARE = 0.25  # of a window that may hang over the photo's edge
LARGEST_SHARE = 1.1  # of the photo's shorter side
WINDOWS_AT_ONCE = 64
MAX_BOXES = 48
# Windows around a face agree on where it is; windows on something else rarely do.
MIN_AGREEING = 3
AGREE_SHIFT, AGREE_SIZE = 0.15, 1.25  # of a face's width; ratio of widths


class ScanDetector:
    """Looks through the aligner at windows of many sizes.

    Args:
        aligner: the network, in evaluation mode.
        min_share: side of the smallest window as a share of the photo's shorter side; the time goes with its inverse
            square, about 0.3 s of one core at 0.12.
        min_score: windows of which the aligner is less sure are dropped.

    Raises:
        ConfigError: a share out of range.
    """

    def __init__(self, aligner: AlignerLike, min_share: float = 0.12, min_score: float = 0.5):
        if not 0.02 <= min_share <= 1:
            raise ConfigError(f"min_share must be from 0.02 to 1, got {min_share}")
        self.aligner, self.min_share, self.min_score = aligner, min_share, min_score

    @torch.no_grad()
    def __call__(self, photo: Tensor) -> list[FaceBox]:
        check_photo(photo)
        window_px = self.aligner.resolution
        stride = max(1, round(window_px * STRIDE_SHARE))
        margin = round(window_px * MARGIN_SHARE)
        short = min(photo.shape[1:])
        boxes: list[FaceBox] = []
        share = LARGEST_SHARE
        while share >= self.min_share:
            scale = window_px / (share * short)  # of the photo, so that a face fills a window
            height, width = (max(8, round(side * scale)) for side in photo.shape[1:])
            mode = "area" if scale < 1 else "bilinear"
            small = F.interpolate(from_uint8(photo)[None], size=(height, width), mode=mode)
            # The last window must reach the far edge.
            rows, columns = (_padded(side, margin, window_px, stride) for side in (height, width))
            small = small[:, :, torch.from_numpy(rows)][:, :, :, torch.from_numpy(columns)]
            windows = small[0].unfold(1, window_px, stride).unfold(2, window_px, stride)  # [3, Y, X, R, R]
            num_rows, num_columns = windows.shape[1:3]
            windows = windows.permute(1, 2, 0, 3, 4).flatten(0, 1)  # [Y X, 3, R, R]
            for start in range(0, len(windows), WINDOWS_AT_ONCE):
                output = self.aligner(windows[start : start + WINDOWS_AT_ONCE].contiguous())
                score = output.score.cpu().numpy()
                for index in np.flatnonzero(score >= self.min_score):
                    row, column = divmod(start + int(index), num_columns)
                    assert row < num_rows
                    corner = np.array([column, row]) * stride - margin
                    points = corner + output.points[index].double().cpu().numpy() * window_px
                    points *= (photo.shape[2] / width, photo.shape[1] / height)
                    # Among windows on one face, the one that is nearest to right wins.
                    boxes.append(_box(points, float(score[index]) / (1 + float(output.error[index]))))
            share /= SIZE_STEP
        return suppress_overlaps(_agreeing(boxes))[:MAX_BOXES]


def _agreeing(boxes: list[FaceBox]) -> list[FaceBox]:
    """Keep boxes that at least two others confirm."""
    if not boxes:
        return []
    centers = np.array([box.center for box in boxes])
    size = np.array([box.size for box in boxes])
    distance = np.linalg.norm(centers[:, None] - centers[None], axis=-1)  # [N, N]
    ratio = np.abs(np.log(size[:, None] / size[None]))
    agree = (distance < AGREE_SHIFT * size[:, None]) & (ratio < np.log(AGREE_SIZE))
    return [box for box, count in zip(boxes, agree.sum(axis=1), strict=True) if count >= MIN_AGREEING]


def _padded(side: int, margin: int, window_px: int, stride: int) -> np.ndarray:
    """Mirrored indices for `side` pixels with a margin on both ends, long enough for whole strides."""
    wanted = max(side + 2 * margin - window_px, 0)
    length = window_px + -(-wanted // stride) * stride
    return mirrored(np.arange(length) - margin, side)


def _box(landmarks_px: np.ndarray, score: float) -> FaceBox:
    transform = AlignTransform.from_landmarks(landmarks_px)
    x, y = transform.inverse.apply([0.5, 0.5]) - transform.frame_px / 2
    return FaceBox(float(x), float(y), transform.frame_px, score, transform.roll_deg)
