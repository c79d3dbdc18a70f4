"""Resampling with a short low-pass filter, so that no layer aliases (Karras et al. 2020, StyleGAN2).

All filters here are symmetric and separable, so convolution and correlation are the same and the 2-D filter is the
outer product of its 1-D taps. Shapes in and out are [N, C, H, W]; dtype and memory format are kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def make_filter(taps: Sequence[float] = (1, 3, 3, 1)) -> Tensor:
    """Return the [K, K] float32 filter that sums to 1, as networks keep it in `resample_filter`."""
    taps = torch.tensor(taps, dtype=torch.float32)
    kernel = torch.outer(taps, taps)
    return kernel / kernel.sum()


def filter2d(x: Tensor, kernel: Tensor, padding: tuple[int, int], gain: float = 1.0, stride: int = 1) -> Tensor:
    """Filter every channel with `kernel` [K, K]; `padding` zeros go before and after both H and W."""
    channels = x.shape[1]
    weight = (kernel * gain).to(x.dtype)[None, None].expand(channels, 1, -1, -1)  # [C, 1, K, K]
    before, after = padding
    if before == after:
        return F.conv2d(x, weight, stride=stride, padding=before, groups=channels)
    x = F.pad(x, (before, after, before, after))
    return F.conv2d(x, weight, stride=stride, groups=channels)


def upsample2d(x: Tensor, kernel: Tensor) -> Tensor:
    """Double H and W: zeros between the samples, then the filter with gain 4."""
    channels = x.shape[1]
    size = kernel.shape[-1]
    weight = (kernel * 4).to(x.dtype)[None, None].expand(channels, 1, -1, -1)
    # A transposed convolution of stride 2 is "insert zeros, then filter"; its padding cuts the border that the
    # filter adds, [2H + K - 2] -> [2H].
    return F.conv_transpose2d(x, weight, stride=2, padding=(size - 2) // 2, groups=channels)


def downsample2d(x: Tensor, kernel: Tensor) -> Tensor:
    """Halve H and W: the filter, then every second sample."""
    size = kernel.shape[-1]
    return filter2d(x, kernel, padding=((size - 1) // 2, (size - 2) // 2), stride=2)
