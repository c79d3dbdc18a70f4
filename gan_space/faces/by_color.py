"""What the colours of a photo say about a mask: some are a person's alone, some those of what is behind."""

from __future__ import annotations

import cv2
import numpy as np

_BINS = 16  # a channel
_RARE = 1e-4  # share of a colour that counts as none
_MOST = 3.0  # what colours say at most: logarithms of odds
_SMOOTH_PX = 5


class Colors:
    """The colours of a small picture [h, w, 3] uint8, counted in bins."""

    def __init__(self, small: np.ndarray):
        step = (small >> 4).astype(np.int32)
        self._bins = (step[..., 0] * _BINS + step[..., 1]) * _BINS + step[..., 2]

    def compare(self, front: np.ndarray, back: np.ndarray) -> np.ndarray:
        """Say how much rather a pixel's colour is one of `front` than of `back`, which are weights [h, w].

        Returns:
            [h, w] float32 logarithms, -3 to 3.
        """
        front, back = (self._histogram(weight.clip(0, None)) for weight in (front, back))
        ratio = np.log((front + _RARE) / (back + _RARE)).astype(np.float32)
        return cv2.blur(ratio[self._bins], (_SMOOTH_PX, _SMOOTH_PX)).clip(-_MOST, _MOST)

    def _histogram(self, weight: np.ndarray) -> np.ndarray:
        """Shares of colours, smoothed along each channel; [_BINS ** 3]."""
        counts = np.bincount(self._bins.ravel(), weight.ravel(), _BINS**3).reshape([_BINS] * 3)
        for axis in range(3):
            counts = np.moveaxis(counts, axis, 0)
            padded = np.pad(counts, ((1, 1), (0, 0), (0, 0)), mode="edge")
            counts = np.moveaxis(0.25 * padded[:-2] + 0.5 * counts + 0.25 * padded[2:], 0, axis)
        return counts.ravel() / max(counts.sum(), 1e-6)


def to_odds(share: np.ndarray) -> np.ndarray:
    """Logarithms of odds of what is said in 0 to 1; nothing is quite sure."""
    share = share.clip(0.01, 0.99)
    return np.log(share / (1 - share))


def from_odds(odds: np.ndarray) -> np.ndarray:
    """Bring logarithms of odds back to 0 to 1."""
    return 1 / (1 + np.exp(-odds))
