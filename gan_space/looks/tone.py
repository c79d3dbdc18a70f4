"""The tone and light of a picture, and how to bring them to another: hue of the light, contrast, blacks and whites.

All is told against the skin of the face, which both pictures show: its lightness stays where it is, and of its hue only
what is the light's is carried over. So a photo takes on the mood of another, and nobody the other's skin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.errors import InputError, raise_all
from gan_space.images import from_uint8
from gan_space.looks.color_table import all_colors, photo_through, table_of
from gan_space.looks.face_patch import FacePatch
from gan_space.output.lab import lab_to_rgb, rgb_to_lab
from gan_space.output.postprocess import skin_tone
from gan_space.settings import brief, is_number

SMALL_PX = 192  # longer side of the copy that is measured
_NEUTRAL = 12.0  # chroma below which a dark or light place shows the light's hue, not its own
_ENOUGH = 0.02  # of the picture; fewer places say nothing
# The most that is carried over, in Lab units but for the ratios.
_MOST_HUE, _MOST_BLACK, _MOST_WHITE = 8.0, 10.0, 8.0
_LEAST_CONTRAST, _MOST_CONTRAST = 0.75, 1.3
_MOST_CHROMA = 1.3
_SKIN_GAIN, _SKIN_SHIFT = 0.25, 0.6  # of both, what skin takes: it would turn to ash, or blush
_COLORLESS = 0.25  # share of the own chroma below which a picture is nearly black and white


@dataclass(frozen=True)
class Tone:
    """What a picture's tone and light are, in Lab units.

    Args:
        shadows, middle, lights: a and b of the light in the dark, on the skin, and in the light.
        black, white: L* of the darkest and lightest places.
        spread: of L* over the skin, how hard the light is.
        chroma: mean of the picture.

    Raises:
        InputError: a value that is none; all faults at once.
    """

    shadows: tuple[float, float]
    middle: tuple[float, float]
    lights: tuple[float, float]
    black: float
    white: float
    spread: float
    chroma: float

    def __post_init__(self) -> None:
        faults = []
        for name in ("shadows", "middle", "lights"):
            value = getattr(self, name)
            if not isinstance(value, Sequence) or len(value) != 2 or not all(_in_lab(one) for one in value):
                faults.append(f"{name} must be two numbers from -200 to 200, got {brief(value)}")
            else:
                object.__setattr__(self, name, tuple(float(one) for one in value))
        for name in ("black", "white", "spread", "chroma"):
            if not _in_lab(getattr(self, name)):
                faults.append(f"{name} must be a number from -200 to 200, got {brief(getattr(self, name))}")
        raise_all(faults, InputError)

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able dict."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Tone:
        """Read what `to_dict` gave.

        Raises:
            InputError: something is unknown, missing or no number; all faults at once.
        """
        names = {one.name for one in fields(cls)}
        if not isinstance(content, Mapping) or set(content) != names:
            raise InputError(f"must be a record of {', '.join(sorted(names))}, got {brief(content)}")
        return cls(**content)


def read_tone(codes: np.ndarray, patch: FacePatch) -> tuple[Tone, float]:
    """Measure a picture's tone and light by one of its faces.

    Args:
        codes: [H, W, 3] uint8, the whole picture.
        patch: of the face.

    Returns:
        The tone, and L* of the skin.
    """
    scale = min(1.0, SMALL_PX / max(codes.shape[:2]))
    size = [max(1, round(scale * side)) for side in codes.shape[1::-1]]
    lightness, a, b = _lab_of(cv2.resize(codes, size, interpolation=cv2.INTER_AREA)).reshape(3, -1)
    chroma = np.hypot(a, b)
    elsewhere = np.ones(size[::-1], bool)  # bright places of a face are its skin
    left, top, right, bottom = (round(scale * edge) for edge in patch.box)
    elsewhere[top:bottom, left:right] = False
    face = _lab_of(patch.small_codes)[0]
    skin = face[patch.small_skin > 0.5] if (patch.small_skin > 0.5).sum() > 20 else face.ravel()
    # The light's hue as a grey of the skin's lightness would show it.
    white = patch.light.white / max(float(patch.light.white.max()), 1e-4)
    grey = torch.from_numpy(white * np.float32(0.35)).clamp(0, 1)
    srgb = torch.where(grey <= 0.0031308, grey * 12.92, 1.055 * grey ** (1 / 2.4) - 0.055) * 2 - 1
    middle = rgb_to_lab(srgb[None, :, None, None])[0, 1:, 0, 0].tolist()

    def hue_of(places: np.ndarray) -> tuple[float, float]:
        places = places & (chroma < _NEUTRAL)
        if places.mean() < _ENOUGH:
            return tuple(round(value, 2) for value in middle)
        return round(float(np.median(a[places])), 2), round(float(np.median(b[places])), 2)

    low, skin_light, high = np.quantile(skin, (0.15, 0.5, 0.85))
    tone = Tone(
        shadows=hue_of(lightness < max(np.quantile(lightness, 0.1), 22)),
        middle=(round(middle[0], 2), round(middle[1], 2)),
        lights=hue_of((lightness > min(np.quantile(lightness, 0.9), 88)) & elsewhere.ravel()),
        black=round(float(np.quantile(lightness, 0.01)), 2),
        white=round(float(np.quantile(lightness, 0.99)), 2),
        spread=round(float(high - low), 2),
        chroma=round(float(chroma.mean()), 2),
    )
    return tone, float(skin_light)


def bring_tone(pixels: Tensor, own: Tone, theirs: Tone, skin_light: float, strength: float) -> Tensor:
    """Bring a photo from its own tone and light to another picture's; skin keeps its lightness.

    Args:
        pixels: [3, H, W] uint8.
        own, theirs: of the photo and of the other picture.
        skin_light: L* of the photo's skin.
        strength: 0 leaves the photo to the bit, 1 is all of it.
    """
    if not strength:
        return pixels
    colors = all_colors()
    lab = rgb_to_lab(colors[None])
    light, chroma = lab[:, :1], lab[:, 1:]
    skin = skin_tone(colors)[None]
    hues = _hues(light, chroma, skin, own, theirs, skin_light)
    moved = torch.cat([_curve(light, own, theirs, skin_light), hues], dim=1)
    return photo_through(pixels, table_of(lab_to_rgb(torch.lerp(lab, moved, strength))[0]))


def _curve(light: Tensor, own: Tone, theirs: Tone, skin: float) -> Tensor:
    """The lightness under a curve that leaves that of the skin alone."""
    skin = min(max(skin, 15.0), 92.0)
    contrast = (theirs.spread + 2) / (own.spread + 2)
    contrast = min(max(contrast, _LEAST_CONTRAST), _MOST_CONTRAST)
    away = light - skin
    black = min(max(theirs.black - own.black, -_MOST_BLACK), _MOST_BLACK)
    white = min(max(theirs.white - own.white, -_MOST_WHITE), _MOST_WHITE)
    below, above = (-away / skin).clamp(min=0), (away / (100 - skin)).clamp(min=0)
    steeper = (contrast - 1) * away * (1 - (below + above).square())  # black and white stay
    return (light + steeper + black * below.square() + white * above.square()).clamp(0, 100)


def _hues(light: Tensor, chroma: Tensor, skin: Tensor, own: Tone, theirs: Tone, skin_light: float) -> Tensor:
    """a and b with the other light's hue, which differs from dark to light, and with the strength of its colours.

    Args:
        light, chroma: [1, 1, ...] L*, and [1, 2, ...] a and b.
        skin: how much a colour is one of skin, in [0, 1].
    """
    share = (theirs.chroma + 1) / (own.chroma + 1)
    gain = min(share, 1.0) ** 0.5 * min(share / _COLORLESS, 1.0) if share < 1 else min(share**0.5, _MOST_CHROMA)
    shifts = []
    for name in ("shadows", "middle", "lights"):
        shift = np.subtract(getattr(theirs, name), getattr(own, name))
        size = max(float(np.hypot(*shift)), 1e-6)
        shifts.append(shift * (_MOST_HUE * np.tanh(size / _MOST_HUE) / size))
    dark, middle, bright = (chroma.new_tensor(shift)[None, :, None, None] for shift in shifts)
    down = ((skin_light - light) / max(skin_light - 12, 10)).clamp(0, 1)
    up = ((light - skin_light) / max(92 - skin_light, 8)).clamp(0, 1)
    shift = middle + down * (dark - middle) + up * (bright - middle)
    shift = shift * (light / 12).clamp(max=1) * ((100 - light) / 6).clamp(max=1)
    shift = shift * (1 - (1 - _SKIN_SHIFT) * skin)
    return chroma * (1 + (gain - 1) * (1 - (1 - _SKIN_GAIN) * skin)) + shift


def _lab_of(codes: np.ndarray) -> np.ndarray:
    """[h, w, 3] uint8 -> [3, h, w] Lab."""
    return rgb_to_lab(from_uint8(torch.from_numpy(np.ascontiguousarray(codes)).permute(2, 0, 1))[None])[0].numpy()


def _in_lab(value: object) -> bool:
    return is_number(value) and -200 <= value <= 200
