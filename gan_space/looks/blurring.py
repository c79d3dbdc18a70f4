"""Blurs of float32 pictures that take no longer for being wide."""

from __future__ import annotations

import cv2
import numpy as np


def blur(x: np.ndarray, sigma: float) -> np.ndarray:
    """Blur [h, w] or [h, w, C] by a Gaussian; wide ones on a smaller copy."""
    shrink = int(sigma // 3)
    if shrink < 2:
        return cv2.GaussianBlur(x, (0, 0), max(sigma, 0.3))
    height, width = x.shape[:2]
    size = (max(1, -(-width // shrink)), max(1, -(-height // shrink)))
    small = cv2.GaussianBlur(cv2.resize(x, size, interpolation=cv2.INTER_AREA), (0, 0), sigma / shrink)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def blur_inside(x: np.ndarray, mask: np.ndarray, sigma: float) -> np.ndarray:
    """Blur what a mask [h, w] covers, as if there were nothing else."""
    weighted = np.dstack([x * (mask if x.ndim == 2 else mask[..., None]), mask])
    blurred = blur(weighted, sigma)
    inside = blurred[..., :-1] / (blurred[..., -1:] + 1e-4)
    return inside[..., 0] if x.ndim == 2 else inside
