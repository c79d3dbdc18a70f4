"""Resampling with a short low-pass filter, so that no layer aliases (Karras et al. 2020, StyleGAN2).

All filters here are symmetric and separable, so convolution and correlation are the same and the 2-D filter is the
outer product of its 1-D taps. Shapes in and out are [N, C, H, W]; dtype and memory format are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec

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
    before, after = padding
    if stride == 1 and (torch.compiler.is_compiling() or (_compiled_sum is not None and x.is_cuda)):
        return _ShiftedSum.apply(x, kernel * gain, before, after)
    channels = x.shape[1]
    weight = (kernel * gain).to(x.dtype)[None, None].expand(channels, 1, -1, -1)  # [C, 1, K, K]
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


class _ShiftedSum(torch.autograd.Function):
    """The filter as a sum of shifted pictures, which a compiler turns into one pass over memory.

    No GPU library is fast at depthwise 4x4 convolutions in channels_last. The adjoint of the filter is the same kind of
    filter, so its gradient is one such pass too, and can be differentiated again.
    """

    @staticmethod
    def forward(ctx, x: Tensor, kernel: Tensor, before: int, after: int) -> Tensor:
        ctx.save_for_backward(kernel)
        ctx.padding = (before, after)
        shifted_sum = _shifted_sum if _compiled_sum is None or torch.compiler.is_compiling() else _compiled_sum
        return shifted_sum(x, kernel, before, after)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        (kernel,) = ctx.saved_tensors
        last = kernel.shape[-1] - 1
        before, after = ctx.padding
        return _ShiftedSum.apply(gradient, kernel.flip(0, 1), last - before, last - after), None, None, None


def _shifted_sum(x: Tensor, kernel: Tensor, before: int, after: int) -> Tensor:
    size = kernel.shape[-1]
    padded = F.pad(x, (before, after, before, after))
    H, W = padded.shape[2] - size + 1, padded.shape[3] - size + 1
    total = 0.0
    for row in range(size):
        for column in range(size):
            total = total + kernel[row, column] * padded[:, :, row : row + H, column : column + W].float()
    return total.to(x.dtype)


_compiled_sum: Callable[..., Tensor] | None = None


def compile_filters() -> None:
    """Let `filter2d` run as one compiled kernel on GPUs from now on, in uncompiled networks too.

    Does nothing where torch came without Triton, which writes the kernel.
    """
    global _compiled_sum
    if _compiled_sum is None and find_spec("triton") is not None:
        _compiled_sum = torch.compile(_shifted_sum, dynamic=True)
