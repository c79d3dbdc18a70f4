"""Colour on skin, in linear light.

A pixel is light times shade times the colour of the skin. Make-up changes the last and leaves the others: pores,
creases and shine stay where they are. What a pot's colour looks like in a photo depends on its light, and of that only
the skin tells something: half of how bright the skin is, and a good part of how far its hue is from that of most skin,
are taken to be the light's doing. So a colour gets warmer and darker with the room, and nobody's skin gets lighter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

LUMA = np.array([0.2126, 0.7152, 0.0722], np.float32)  # of linear sRGB
_STEPS = 16384  # of the table back to 8 bits: fine enough for the darkest
_CODES = np.arange(256) / 255
_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4).astype(np.float32)
_GRID = np.arange(_STEPS) / (_STEPS - 1)
_GAMMA = np.where(_GRID <= 0.0031308, 12.92 * _GRID, 1.055 * _GRID ** (1 / 2.4) - 0.055)
_CODE_OF = np.round(255 * _GAMMA).astype(np.uint8)

TYPICAL_SKIN = 0.30  # luminance of skin in a well lit photo, over all people
_LIGHT_OF_BRIGHTNESS = 0.5  # how much of a skin's brightness is the light's, in logarithms
_LIGHT_OF_HUE = 0.65
# log luminance of skin -> red over green, blue over green in white light; darker skin is redder.
_SKIN_LOCUS = (np.log([0.05, 0.12, 0.3, 0.55]), (2.1, 1.95, 1.7, 1.45), (0.5, 0.58, 0.72, 0.84))
_SURFACE = 0.006  # reflected by the surface of everything, whatever its colour
_TINY = 1e-4


def to_linear(pixels: np.ndarray) -> np.ndarray:
    """Convert sRGB codes, uint8, to linear light in [0, 1], float32."""
    if pixels.ndim == 3 and pixels.size:
        return cv2.LUT(pixels, _LINEAR)
    return np.take(_LINEAR, pixels)


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Convert linear light to sRGB codes, uint8."""
    steps = np.clip(linear, 0, 1)
    steps *= np.float32(_STEPS - 1)
    steps += np.float32(0.5)
    return np.take(_CODE_OF, steps.astype(np.uint16))


def luminance(linear: np.ndarray) -> np.ndarray:
    """Return the luminance of linear light: [..., 3] -> [...]."""
    if linear.ndim == 3:
        return cv2.transform(linear, LUMA[None])
    return linear @ LUMA


def parse_color(color: str) -> np.ndarray:
    """Convert #rrggbb to [3] linear."""
    return _LINEAR[[int(color[i : i + 2], 16) for i in (1, 3, 5)]]


@dataclass(frozen=True)
class Light:
    """The light on a face, as its bare skin tells.

    Attributes:
        skin: [3] linear, the bare skin's colour in the photo.
        white: [3] linear, what a white wall would be in its place.
    """

    skin: np.ndarray
    white: np.ndarray

    @classmethod
    def of_skin(cls, skin: Sequence[float]) -> Light:
        """Guess the light from a skin's colour, [3] linear."""
        skin = np.maximum(np.asarray(skin, np.float32), _TINY)
        brightness = float(luminance(skin))
        exposure = np.clip((brightness / TYPICAL_SKIN) ** _LIGHT_OF_BRIGHTNESS, 0.2, 1.7)
        at, red, blue = _SKIN_LOCUS
        own = np.log(brightness / exposure)
        cast = np.array([skin[0] / skin[1] / np.interp(own, at, red), 1, skin[2] / skin[1] / np.interp(own, at, blue)])
        cast = cast.clip(0.4, 2.5) ** _LIGHT_OF_HUE
        cast /= cast @ LUMA
        return cls(skin, (exposure * cast).astype(np.float32))

    def on(self, color: str) -> np.ndarray:
        """Say how a pot's colour looks in this light, [3] linear."""
        return (parse_color(color) * (1 - _SURFACE) + _SURFACE) * self.white


def cover(pixels: np.ndarray, share: np.ndarray, color: np.ndarray, shade: np.ndarray) -> np.ndarray:
    """Paint a colour over skin and keep the skin's shading.

    Args:
        pixels: [h, w, 3] linear.
        share: [h, w] how much of the skin's own colour is covered, in [0, 1].
        color: [3] linear, in the light of the photo.
        shade: [h, w] how bright each place is against its surroundings; 1 is what `color` is meant for.
    """
    painted = color * shade[..., None]
    # Layers of pigment take their share of the light one after the other: shares add up in logarithms.
    own = cv2.log(pixels + np.float32(_TINY))
    return cv2.exp(own + share[..., None] * (cv2.log(painted.astype(np.float32) + np.float32(_TINY)) - own)) - _TINY


def sheer_ratio(color: np.ndarray, skin: np.ndarray, darkest: float, lightest: float) -> np.ndarray:
    """Return what a full layer of powder multiplies skin by, with its luminance held between two limits.

    Powder on skin changes hue more than brightness; on dark skin a pastel would turn to ash.
    """
    ratio = color / np.maximum(skin, _TINY)
    change = float(luminance(color) / max(luminance(skin), _TINY))
    return ratio * (np.clip(change, darkest, lightest) / max(change, _TINY))
