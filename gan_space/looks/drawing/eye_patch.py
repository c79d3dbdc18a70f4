"""One eye as a drawing keeps it: sharp, whatever was flattened around it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gan_space.images import luminance
from gan_space.looks.drawing.blocks import blur, fit_colours

_EYE_SPREAD = 0.33  # of luminance as most eyes have; less is not stretched further: lids around a dim eye would glow
_WHITER = 1.7  # times the light of an eye's white in a photo, in drawings of its colours at most


@dataclass(frozen=True)
class EyePatch:
    """One eye as it is: what a drawing keeps of it.

    Attributes:
        box: top, bottom, left, right in canvas pixels.
        mask: [1, 1, h, w] softly the eye with its lashes.
        tones: [1, 1, h, w] luminance, sharpened and stretched: lashes are black and the white is nearly white.
        colours: [1, 3, h, w] the photo with the light of `tones`.
    """

    box: tuple[int, int, int, int]
    mask: Tensor
    tones: Tensor
    colours: Tensor

    @classmethod
    def of(cls, x: Tensor, box: tuple[int, int, int, int], mask: Tensor, inside: np.ndarray, unit: float) -> EyePatch:
        """Prepare an eye; `inside` is [h, w] where the lids are open."""
        y = luminance(x)
        among = y[0, 0].numpy()[inside]
        low, high = np.percentile(among if among.size > 20 else y.numpy(), (4, 92))
        tones = y + 0.9 * (y - blur(y, 0.012, unit))
        tones = ((tones - float(low)) * (0.85 / max(float(high - low), _EYE_SPREAD)) + 0.06).clamp(0, 1)
        # In colours a stretched white stares, and lids that shine or are made up glitter: they get no lighter.
        opening = blur(torch.from_numpy(inside.astype(np.float32))[None, None], 0.006, unit)
        light = torch.minimum(tones, torch.lerp(blur(y, 0.03, unit), _WHITER * y + 0.06, opening))
        gain = (light / y.clamp(min=0.04)).clamp(max=2.2).sqrt()
        return cls(box, mask, tones, fit_colours(light + 1.15 * gain * (x - y)).clamp_(0, 1))
