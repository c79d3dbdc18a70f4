"""A small network that says of each pixel around a head whether it is hair, and whether it belongs to the person."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import register_to_config
from torch import Tensor, nn

from gan_space.errors import ConfigError, InputError, raise_all
from gan_space.models.aligner import ConvNorm, Residual
from gan_space.models.pretrained import PretrainedModel
from gan_space.nn.precision import choose_compute_dtype
from gan_space.settings import least_faults, multiple_faults

FOLD = 4  # px of the crop in one of the largest maps
TOTAL_STRIDE_PX = 32  # at the bottom of the U


class SegmenterOutput(NamedTuple):
    """What `Segmenter` says about N crops; both [N, R, R] float32."""

    hair_logit: Tensor  # high where there is hair of the head; beards are none
    person_logit: Tensor  # high where the person is, with hair, clothes and hat

    @property
    def hair(self) -> Tensor:
        """Probability of hair, [N, R, R] in [0, 1]."""
        return self.hair_logit.sigmoid()

    @property
    def person(self) -> Tensor:
        """Probability of the person, [N, R, R] in [0, 1]."""
        return self.person_logit.sigmoid()


class Segmenter(PretrainedModel):
    """Tell hair and person in crops in the head frame: [N, 3, R, R] float in [-1, 1] -> `SegmenterOutput`.

    A U-net (Ronneberger et al. 2015): what a thing is gets clear when it is small, where it ends from the larger maps.
    1.0 million parameters and 220 million multiplications a crop at the default size.

    Args:
        resolution: R, width and height of a crop in px; a multiple of 32.
        width: channels at a quarter of the crop's size; they grow to four times as many.

    Raises:
        ConfigError: a size that cannot be built.

    Example:
        >>> Segmenter(64, 8).eval()(torch.zeros(1, 3, 64, 64)).hair.shape
        torch.Size([1, 64, 64])
    """

    @register_to_config
    def __init__(self, resolution: int = 192, width: int = 32):
        super().__init__()
        faults = multiple_faults("resolution", resolution, TOTAL_STRIDE_PX) + least_faults(1, {"width": width})
        raise_all(faults, ConfigError)
        widths = [width, 2 * width, 4 * width, 4 * width]  # at R/4, R/8, R/16, R/32
        self.stem = nn.Sequential(nn.PixelUnshuffle(FOLD), ConvNorm(3 * FOLD**2, width), Residual(width))
        self.down = nn.ModuleList(
            nn.Sequential(ConvNorm(before, after, stride=2), *[Residual(after) for _ in range(1 + (depth > 1))])
            for depth, (before, after) in enumerate(pairwise(widths))
        )
        self.across = nn.ModuleList(ConvNorm(below, above, 1) for above, below in pairwise(widths))
        self.up = nn.ModuleList(Residual(above) for above in widths[:-1])
        self.head = nn.Sequential(nn.Conv2d(width, 2 * FOLD**2, 3, padding=1), nn.PixelShuffle(FOLD))

    @property
    def resolution(self) -> int:
        """Width and height of the crops that the network takes, in px."""
        return self.config.resolution

    def forward(self, images: Tensor) -> SegmenterOutput:
        if images.ndim != 4 or images.shape[1:] != (3, self.resolution, self.resolution):
            wanted = f"[N, 3, {self.resolution}, {self.resolution}]"
            raise InputError(f"the segmenter takes {wanted}, got {list(images.shape)}: crop first")
        device = self.head[0].weight.device
        dtype = images.dtype if self.training else choose_compute_dtype(None, device)
        x = self.stem(images.to(device, dtype, memory_format=torch.channels_last))
        kept = [x]
        for step in self.down:
            kept.append(x := step(x))
        kept.pop()
        for across, up in zip(reversed(self.across), reversed(self.up), strict=True):
            x = up(kept.pop() + F.interpolate(across(x), scale_factor=2, mode="nearest"))
        logits = F.conv2d(x, self.head[0].weight.to(x.dtype), self.head[0].bias.to(x.dtype), padding=1)
        logits = self.head[1](logits).float()
        return SegmenterOutput(logits[:, 0], logits[:, 1])
