"""What is found of each face by itself, and goes over from one face into another by distance.

A mean over several faces would make a dark one lighter beside a light one, however far its light is let reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.looks.drawing.blocks import blur, ramp

_OVER = 0.05  # units of the smallest face, from a face's skin, at which another's counts for a sixteenth at most
_CLAIMED = 0.05  # share of skin from which two faces claim one place
_LEAST = 4  # px of skin, from which a face counts


@dataclass(frozen=True)
class FaceSkins:
    """The skin of each face in a small picture.

    Attributes:
        skins: [1, 1, h, w] in [0, 1] of each face.
        units: width of each one's tight frame in their pixels.
        numbers: of these faces among all.
    """

    skins: tuple[Tensor, ...]
    units: tuple[float, ...]
    numbers: tuple[int, ...]

    @classmethod
    def of(cls, skins: Sequence[Tensor], units: Sequence[float]) -> FaceSkins | None:
        """Leave out the faces that are not seen; None: none is left."""
        seen = [number for number, skin in enumerate(skins) if float(skin.sum()) >= _LEAST]
        return cls(*(tuple(part[number] for number in seen) for part in (skins, units)), tuple(seen)) if seen else None

    def __iter__(self):
        return zip(self.skins, self.units, strict=True)

    def blend(self, found: Sequence[Tensor]) -> Tensor:
        """Join what was found of each face, [1, C, h, w] or [1, C, 1, 1]: its own on its skin, between them both."""
        if len(self.skins) == 1:
            return found[0]
        return sum(share * one for share, one in zip(self._shares, found, strict=True))

    @cached_property
    def _shares(self) -> list[Tensor]:
        """Of each face in what holds at a place, [1, 1, h, w]."""
        near = max(_OVER * min(self.units), 0.5)
        weights = []
        for skin in self.skins:
            inside = skin[0, 0].numpy()
            away = cv2.distanceTransform((inside <= 0.5 * inside.max()).astype(np.uint8), cv2.DIST_L2, 5)
            weights.append((near / (torch.from_numpy(away)[None, None] + near)) ** 4)
        total = sum(weights)
        return [weight / total for weight in weights]


def told_apart(skins: Sequence[Tensor], x: Tensor, units: Sequence[float]) -> list[Tensor]:
    """Leave what several faces claim, where one is in front of another, to the one whose skin has its colour.

    Args:
        skins: [1, 1, h, w] of each face.
        x: [1, 3, h, w] the picture.
        units: as in `FaceSkins`.
    """
    total = sum(skins)
    if all(float((total - skin).mul(skin).amax()) < _CLAIMED for skin in skins):
        return list(skins)
    likeness = []
    for skin, unit in zip(skins, units, strict=True):
        own = skin * (skin > 0.9 * total)
        own = own if float(own.sum()) >= _LEAST else skin
        mean = (own * x).sum(dim=(2, 3), keepdim=True) / own.sum().clamp(min=1e-6)
        away = blur((x - mean).abs().sum(dim=1, keepdim=True), 0.03, unit)  # by more than one spot
        likeness.append(skin / (away + 0.02) ** 4)
    whole = sum(likeness).clamp(min=1e-6)
    return [torch.where(skin < total, skin * one / whole, skin) for skin, one in zip(skins, likeness, strict=True)]


def light_on(skin: Tensor, y: Tensor, unit: float) -> Tensor:
    """Find middle and contrast of a luminance for one face, [1, 2, h, w]; all that is given is [1, 1, h, w]."""
    near = blur(skin, 0.22, unit)
    wide = blur(skin, 1.0, unit) + 1e-4 * skin.mean()
    own = blur(skin * y, 1.0, unit) / wide
    total = (skin * y).sum() / skin.sum()
    own = torch.where(wide > 1e-3, own, total)
    std = ((skin * (y - own) ** 2).sum() / skin.sum()).sqrt()
    # Light from the side: half of what is darker across a face than its middle is taken off.
    field = blur(skin * y, 0.22, unit) / near.clamp(min=1e-3)
    own = own + 0.5 * ramp(near, 0.05, 0.4) * (field - own)
    # Skin varies less than a picture with hair and ground, and lies above its middle.
    std = (1.1 * std + 0.25 * y.std()).clamp(min=0.06, max=0.25) * torch.ones_like(y)
    return torch.cat([own - std * (0.25 + 1.5 * (own - 0.5)), std], dim=1)
