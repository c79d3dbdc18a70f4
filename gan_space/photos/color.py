"""Colour profiles of files (ICC) to sRGB, in which everything here is reckoned."""

from __future__ import annotations

import io
import logging
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

log = logging.getLogger(__name__)

# Colours of files come from one medium to another here, so white and black of one become those of the other.
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_FLAGS = ImageCms.Flags.BLACKPOINTCOMPENSATION


def to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """Convert an L, RGB, CMYK or LAB picture to RGB in sRGB, or keep it as L or RGB where nothing would change.

    Args:
        profile: the ICC profile that came with it; one that is broken, or meant for another kind of pixels, counts as
            none, as in browsers.
    """
    if picture.mode == "LAB":
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    transform = _transform(profile, picture.mode) if profile else None
    if transform is not None:
        return ImageCms.applyTransform(picture, transform)
    return picture if picture.mode in ("L", "RGB") else picture.convert("RGB")


@lru_cache(maxsize=4)  # a profile for printing takes half a megabyte and more
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from a profile to sRGB; None where there is none, or where it changes no colour by more than rounding."""
    try:
        transform = ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), mode, "RGB", _INTENT, _FLAGS
        )
        if mode in ("L", "RGB"):
            probe = _all_sorts_of_colors(mode)
            moved = np.abs(
                np.asarray(ImageCms.applyTransform(probe, transform), np.int16)
                - np.asarray(probe.convert("RGB"), np.int16)
            )
            if moved.max() <= 2:
                return None
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        log.debug("a colour profile of %d bytes is not used for %s pixels: %s", len(profile), mode, error)
        return None
    return transform


def _all_sorts_of_colors(mode: str) -> Image.Image:
    if mode == "L":
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    steps = np.linspace(0, 255, 18).round().astype(np.uint8)
    colors = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)  # [18, 18, 18, 3]
    return Image.fromarray(np.ascontiguousarray(colors.reshape(18, -1, 3)))
