"""Projected discriminator: judges pictures by the features of a frozen network (Projected GAN, Sauer et al. 2021).

The frozen network makes four maps of a picture, fixed random convolutions mix them across channels and scales, so that
no part of them is easy to leave out, and a small head for each judges the mixture. Only the heads learn. The frozen
network is no part of the module: neither `parameters()` nor `state_dict()` nor a checkpoint has it.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gan_space.errors import ConfigError
from training.common.frozen_maps import FEATURES

STRIDES = (4, 8, 16, 32)  # of the four maps, against the picture
MIXED_CHANNELS = (32, 64, 128, 256)  # of the four mixtures; half of the paper's, whose networks are larger
LOGITS_PX = 4  # side of what a head ends in
LRELU_SLOPE = 0.2


class RandomMixing(nn.Module):
    """Fixed random convolutions: 1x1 on each map, then from the coarsest to the finest 3x3 on what came up to there.

    These are cross-channel and cross-scale mixing, section 3.2 of the paper. Linear, never trained, saved with the run.
    """

    def __init__(self, channels: tuple[int, ...]):
        super().__init__()
        for level, (inputs, outputs) in enumerate(zip(channels, MIXED_CHANNELS, strict=True)):
            self.register_buffer(f"across_channels{level}", _random_taps(outputs, inputs, 1))
        for level, (outputs, inputs) in enumerate(itertools.pairwise(MIXED_CHANNELS)):
            self.register_buffer(f"across_scales{level}", _random_taps(outputs, inputs, 3))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Mix [N, C_i, H / s, W / s] for each s of `STRIDES` -> the same with `MIXED_CHANNELS`."""
        mixed: list[Tensor] = []
        for level in reversed(range(len(maps))):
            x = F.conv2d(maps[level], getattr(self, f"across_channels{level}").to(maps[level].dtype))
            if mixed:
                coarser = F.interpolate(mixed[0], size=x.shape[2:], mode="bilinear", align_corners=False)
                x = x + F.conv2d(coarser, getattr(self, f"across_scales{level}").to(x.dtype), padding=1)
            mixed.insert(0, x)
        return mixed


def _random_taps(outputs: int, inputs: int, side: int) -> Tensor:
    return torch.randn(outputs, inputs, side, side) / math.sqrt(inputs * side**2)  # keeps the scale


class GroupedBatchNorm(nn.Module):
    """Batch normalisation over groups of pictures, in training as in use: no running averages.

    Picture n is in the group n mod (N / group_size), as in `MinibatchStd`, so that several processes with parts of a
    batch see what one process sees.
    """

    def __init__(self, channels: int, group_size: int):
        super().__init__()
        self.group_size = group_size
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        N, C, H, W = x.shape
        G = min(self.group_size, N)
        y = x.float().reshape(G, N // G, C, H, W)
        variance, mean = torch.var_mean(y, dim=(0, 3, 4), correction=0, keepdim=True)  # [1, N/G, C, 1, 1]
        y = ((y - mean) * (variance + 1e-5).rsqrt()).reshape(N, C, H, W)
        return (y * self.weight[:, None, None] + self.bias[:, None, None]).to(x.dtype)


class SpectralConv2d(nn.Module):
    """Convolution with spectral normalisation (Miyato et al. 2018) in float32, whatever the pictures come in."""

    def __init__(self, inputs: int, outputs: int, side: int, *, stride: int = 1):
        super().__init__()
        self.conv = spectral_norm(nn.Conv2d(inputs, outputs, side, stride=stride, padding=(side - 1) // 2, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.conv.weight.to(x.dtype), stride=self.conv.stride, padding=self.conv.padding)


class Head(nn.Sequential):
    """[N, C, S, S] -> logits [N, 1, L, L], L = min(S, LOGITS_PX): halvings down to there, one layer at least."""

    def __init__(self, channels: int, size: int, group_size: int):
        halvings = max(int(math.log2(size / LOGITS_PX)), 0)
        layers: list[nn.Module] = []
        for _ in range(max(halvings, 1)):
            wider = min(channels * 2, MIXED_CHANNELS[-1])
            kernel = dict(side=4, stride=2) if halvings else dict(side=3)
            layers += [SpectralConv2d(channels, wider, **kernel), GroupedBatchNorm(wider, group_size)]
            layers += [nn.LeakyReLU(LRELU_SLOPE)]
            channels = wider
        super().__init__(*layers, SpectralConv2d(channels, 1, 3))


class ProjectedDiscriminator(nn.Module):
    """Judges pictures: [N, 3, R, R] float in [-1, 1] -> logits [N, L] float32 of all heads and places, high for real.

    Args:
        features: name of the frozen network, one of FEATURES.
        px: side in pixels that smaller pictures are enlarged to; a multiple of 32.
        group_size: pictures whose statistics normalise each other; N must be a multiple of it, or smaller.
        dtype: that the convolutions run in.

    Raises:
        ConfigError: the frozen network is not installed, or unknown.
    """

    def __init__(self, features: str, px: int, group_size: int, dtype: torch.dtype = torch.float32):
        super().__init__()
        if features not in FEATURES:
            raise ConfigError(f"features must be one of {', '.join(FEATURES)}, got {features!r}")
        network = FEATURES[features]().eval().requires_grad_(False).to(dtype, memory_format=torch.channels_last)
        self._frozen = (network,)  # a tuple keeps it out of the module
        self.px, self.group_size, self.dtype = px, group_size, dtype
        self.mixing = RandomMixing(network.CHANNELS)
        self.heads = nn.ModuleList(
            Head(channels, px // stride, group_size) for channels, stride in zip(MIXED_CHANNELS, STRIDES, strict=True)
        )

    def _apply(self, fn, recurse: bool = True) -> ProjectedDiscriminator:
        self._frozen[0]._apply(fn, recurse)  # moves to a device with the rest
        return super()._apply(fn, recurse)

    def forward(self, images: Tensor, c: Tensor | None = None) -> Tensor:
        """Judge pictures; labels are not looked at."""
        size = (self.px, self.px)
        if images.shape[-1] != self.px:
            images = F.interpolate(images, size=size, mode="bilinear", antialias=images.shape[-1] > self.px)
        maps = self.mixing(self._frozen[0](images.to(self.dtype, memory_format=torch.channels_last)))
        return torch.cat([head(x).flatten(1) for head, x in zip(self.heads, maps, strict=True)], dim=1).float()
