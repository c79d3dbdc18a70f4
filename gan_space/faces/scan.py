"""Search a whole photo with the aligner itself: its convolutions run once over copies of the photo of a few sizes.

The aligner places a face that is 0.6 to 1.6 times as large as expected, off by a fifth and rolled by 45 degrees. So
windows a quarter apart, at sizes 1.6 apart, leave no face out. How many there are goes with the smallest one's share
of the photo and not with the photo's size, and neither panoramas nor noise make more of them, see `search_side`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gan_space.errors import ConfigError
from gan_space.faces.align import TIGHT_FRAME, AlignTransform
from gan_space.faces.detect import AlignerLike, FaceBox, search_side, suppress_overlaps
from gan_space.faces.overview import Overview

SIZE_STEP = 1.6
STRIDE_PX = 16
MARGIN_PX = 16  # of a window of 64 px that may hang over the photo's edge
LARGEST_SHARE = 1.1  # of the photo's shorter side
MAX_HITS = 1000  # windows, the surest first, that are compared with each other
MAX_BOXES = 48
# Windows around a face agree on where it is; windows on something else rarely do.
MIN_AGREEING = 3
AGREE_SHIFT, AGREE_SIZE = 0.15, 1.25  # of a face's width; ratio of widths


class ScanDetector:
    """Looks through the aligner at windows of many sizes.

    Args:
        aligner: the network, in evaluation mode.
        min_share: side of the smallest window as a share of `search_side`; faces of 0.6 times its size are still
            found. The time goes with its inverse square, about 0.1 s of one core at 0.1.
        min_score: windows of which the aligner is less sure are dropped.
        quarter_turns: how often the photo is turned counter-clockwise before it is looked at; the boxes are those of
            the photo as it was.

    Raises:
        ConfigError: a share out of range.
    """

    def __init__(self, aligner: AlignerLike, min_share: float = 0.1, min_score: float = 0.5, *, quarter_turns: int = 0):
        if not 0.05 <= min_share <= 1:
            raise ConfigError(f"min_share must be from 0.05 to 1, got {min_share}")
        self.aligner, self.min_share, self.min_score = aligner, min_share, min_score
        self.quarter_turns = quarter_turns % 4

    @torch.no_grad()
    def __call__(self, photo: Tensor | Overview) -> list[FaceBox]:
        overview = Overview.of(photo)
        points, score, order = [], [], []
        side_px = LARGEST_SHARE * min(overview.photo.shape[1:])
        smallest_px = self.min_share * search_side(overview.photo)
        while side_px >= smallest_px:
            points_px, level_score, level_order = self._windows(overview, side_px)
            points.append(points_px)
            score.append(level_score)
            order.append(level_order)
            side_px /= SIZE_STEP
        if not points:
            return []
        points, score, order = np.concatenate(points), np.concatenate(score), np.concatenate(order)
        hits = np.flatnonzero(score >= self.min_score)
        hits = hits[np.argsort(-order[hits], kind="stable")][:MAX_HITS]
        hits = hits[_agreeing(points[hits])]
        return suppress_overlaps([_box(points[hit], float(order[hit])) for hit in hits])[:MAX_BOXES]

    def _windows(self, overview: Overview, side_px: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Landmarks [N, 3, 2] in photo px, scores [N] and the order among them [N] of windows of one size."""
        import cv2

        window = self.aligner.resolution
        picture = np.rot90(overview.resized(window / side_px), self.quarter_turns)  # [H, W, 3]
        height, width = picture.shape[:2]
        # The last window must reach the far edge.
        bottom, right = (
            -max(side + 2 * MARGIN_PX - window, 0) % STRIDE_PX + max(window - side - 2 * MARGIN_PX, 0) + MARGIN_PX
            for side in (height, width)
        )
        picture = cv2.copyMakeBorder(picture, MARGIN_PX, bottom, MARGIN_PX, right, cv2.BORDER_REFLECT)
        image = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1  # [1, 3, H, W], channels last
        output, num_columns = self.aligner.scan(image, STRIDE_PX)
        score, error, points = (part.double().cpu().numpy() for part in (output.score, output.error, output.points))
        rows, columns = np.divmod(np.arange(len(score)), num_columns)
        corners = np.stack([columns, rows], axis=-1) * STRIDE_PX - MARGIN_PX  # [N, 2]
        points = corners[:, None] + points * window
        points = _turned_back(points, self.quarter_turns, width, height)
        turned = self.quarter_turns % 2
        points *= np.array(overview.photo.shape[:0:-1]) / ((height, width) if turned else (width, height))
        # Among windows on one face, the one that is nearest to right wins.
        return points, score, score / (1 + error)


def _turned_back(points: np.ndarray, quarter_turns: int, width: int, height: int) -> np.ndarray:
    """Places in a picture of `width` x `height` px as they were before it was turned counter-clockwise."""
    x, y = points[..., 0], points[..., 1]
    return np.stack({0: (x, y), 1: (height - y, x), 2: (width - x, height - y), 3: (y, width - x)}[quarter_turns], -1)


def _agreeing(points: np.ndarray) -> np.ndarray:
    """Which of the faces [N, 3, 2] at least two others confirm: [N] bool."""
    # `AlignTransform.from_landmarks`, for all at once.
    places, frame = (of[..., 0] + 1j * of[..., 1] for of in (points, TIGHT_FRAME))  # [N, 3], [3]
    around, frame_around = places - places.mean(axis=1, keepdims=True), frame - frame.mean()
    factor = (around.conj() * frame_around).sum(axis=1) / np.square(np.abs(around)).sum(axis=1)  # [N]
    size = 1 / np.abs(factor)
    centers = places.mean(axis=1) + (0.5 + 0.5j - frame.mean()) / factor
    distance = np.abs(centers[:, None] - centers[None])  # [N, N]
    ratio = np.abs(np.log(size[:, None] / size[None]))
    return ((distance < AGREE_SHIFT * size[:, None]) & (ratio < np.log(AGREE_SIZE))).sum(axis=1) >= MIN_AGREEING


def _box(landmarks_px: np.ndarray, score: float) -> FaceBox:
    transform = AlignTransform.from_landmarks(landmarks_px)
    x, y = transform.inverse.apply([0.5, 0.5]) - transform.frame_px / 2
    return FaceBox(float(x), float(y), transform.frame_px, score, transform.roll_deg)
