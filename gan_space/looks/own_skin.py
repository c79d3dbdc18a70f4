"""Skin as it is on the very faces of a photo: what colours are theirs, and how strong a grade may leave them.

Skin is not of one colour: sunburnt or very pale skin lies far from most. A grade spares what has the hue of these
faces, and keeps their chroma between two bounds: red skin gets no redder, pale skin hardly greyer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.images import luminance
from gan_space.output.postprocess import skin_tone

_STRONG = 36.0  # Lab units; chroma of skin that no grade brings further
_CALM = ((26.0, 40.0), (1.0, 0.85))  # chroma of skin -> of that, what must be left: strong skin may calm down
_CAST = 0.25  # warmth or tint up to which skin keeps to its bounds
_LEAST_WIDTH, _SPREADS = (0.16, 0.2), 2.0  # of a face's colours, and of their standard deviation
_DARK = 0.12  # luma below which noise tells the hue


@dataclass(frozen=True)
class SkinColor:
    """Which colours are those of one face's skin, as in `skin_tone`.

    Attributes:
        middle, width: red and blue beyond the luma in shares of it.
    """

    middle: tuple[float, float]
    width: tuple[float, float]

    @classmethod
    def of(cls, codes: np.ndarray, skin: np.ndarray) -> SkinColor:
        """Measure it.

        Args:
            codes: [h, w, 3] uint8.
            skin: [h, w] shares of skin, somewhere above 0.
        """
        unit = codes[skin > 0].astype(np.float32) / 255
        luma = unit @ np.array([0.299, 0.587, 0.114], np.float32)
        tone = unit[:, ::2] / np.maximum(luma, _DARK)[:, None] - (luma / np.maximum(luma, _DARK))[:, None]
        share = (skin[skin > 0] * luma)[:, None]  # what is light tells more
        middle = (tone * share).sum(axis=0) / share.sum().clip(1e-6)
        spread = np.sqrt((np.square(tone - middle) * share).sum(axis=0) / share.sum().clip(1e-6))
        return cls(tuple(middle.tolist()), tuple((_LEAST_WIDTH + _SPREADS * spread).tolist()))

    def likeness(self, colors: Tensor) -> Tensor:
        """Say how much each colour is one of them: [3, ...] in [-1, 1] -> [1, ...] in [0, 1]."""
        return skin_tone(colors, self.middle, self.width)


def own_skin(colors: Tensor, faces: Sequence[SkinColor]) -> Tensor:
    """Say how much each colour is one of these faces' skin, or of most people's: as `SkinColor.likeness`."""
    return torch.cat([skin_tone(colors), *(face.likeness(colors) for face in faces)]).amax(dim=0, keepdim=True)


def gains_of(before: np.ndarray, after: np.ndarray, saturation: float, monochrome: float, cast: float) -> np.ndarray:
    """Say by what the chroma of each face's skin must be multiplied to lie within its bounds, [faces].

    Args:
        before, after: [faces] chroma of its mean colour in Lab.
        saturation, monochrome: of the grade; what they take from skin stays taken.
        cast: of the grade, its warmth or tint; a strong one is meant to be seen on skin, too.
    """
    free = min(max(cast - _CAST, 0.0) * 3, 1.0)
    least = (1 - free) * (1 - monochrome) * (1 + 0.45 * min(saturation, 0.0)) * np.interp(before, *_CALM)
    wanted = np.clip(after, least * before, np.maximum(before, _STRONG) * (1 + free))
    return (wanted / np.maximum(after, 1e-3)).clip(0.6, 1.6)


def with_gains(toned: Tensor, colors: Tensor, faces: Sequence[SkinColor], gains: np.ndarray) -> Tensor:
    """Multiply the chroma of what became of the faces' own colours.

    Args:
        toned: [3, ...] what became of each colour.
        colors: [3, ...] the colours, in [-1, 1].
        faces: whose.
        gains: [faces].
    """
    like = torch.cat([face.likeness(colors) for face in faces])
    logs = torch.from_numpy(np.log(gains).astype(np.float32)).reshape(-1, *[1] * (like.dim() - 1))
    gain = torch.exp((like * logs).sum(dim=0) / like.sum(dim=0).clamp(min=1))
    luma = luminance(toned)
    return luma + (toned - luma) * gain


def chroma_of(picture: np.ndarray, skins: np.ndarray) -> np.ndarray:
    """Return the chroma in Lab of the mean colour of each face's skin, [faces].

    Args:
        picture: [h, w, 3] uint8 or float32 in [0, 1].
        skins: [faces, h, w] shares of skin.
    """
    unit = picture.astype(np.float32) / 255 if picture.dtype == np.uint8 else picture.clip(0, 1)
    lab = cv2.cvtColor(unit, cv2.COLOR_RGB2LAB)
    means = np.einsum("hwc,fhw->fc", lab[..., 1:], skins) / skins.sum(axis=(1, 2))[:, None]
    return np.linalg.norm(means, axis=1)
