"""What a photo says about its light and its noise, for things that are drawn into it."""

from __future__ import annotations

import cv2
import numpy as np
from torch import Tensor

from gan_space.faces.regions import find_region

SKIN_WHITE, EYE_WHITE = 0.85, 0.8  # brightest channel of well lit skin and of the whites of eyes


def find_light(photo: Tensor, landmarks: np.ndarray) -> np.ndarray:
    """Estimate strength and colour of the light on a face, [3] float32 RGB; 1 is white in a well lit photo.

    Skin is not white, so its colour counts little, and in its brightness the whites of the eyes have a say.
    """
    bright = {}
    for region, share in (("skin", 97), ("eyes", 92)):
        mask = find_region(landmarks, region, tuple(photo.shape[1:]), 0.0)
        left, top, right, bottom = mask.box
        part = photo[:, top:bottom:2, left:right:2].permute(1, 2, 0).cpu().numpy()
        pixels = part[mask.values[::2, ::2] > 0.9]
        bright[region] = np.percentile(pixels, share, axis=0) / 255 if len(pixels) else np.full(3, 0.6)
    skin = bright["skin"].clip(1e-3)
    level = np.clip(max(skin.max() / SKIN_WHITE, bright["eyes"].max() / EYE_WHITE), 0.3, 1.0)
    tint = (skin / skin.max() / (1.0, 0.88, 0.8)) ** 0.35
    return (level * tint / tint.max()).astype(np.float32)


def grain_like(picture: np.ndarray, seed: int = 0) -> np.ndarray:
    """Noise as strong as that of [H, W, 3] uint8, [H, W] float32 in shares of white."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    rest = cv2.absdiff(grey, cv2.medianBlur(grey, 3))
    strength = min(1.48 * float(np.median(rest[rest > 0])) if rest.any() else 0.0, 8.0) / 255
    noise = np.random.default_rng(seed).standard_normal(grey.shape, dtype=np.float32)
    return 1.7 * strength * cv2.GaussianBlur(noise, (0, 0), 0.6)
