"""Equalised layers: weights are stored at unit variance and scaled when used (Karras et al. 2018, ProGAN 4.1).

Parameter names and arithmetic follow NVIDIA's StyleGAN2-ADA networks, so that their weights compute the same images.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_space.nn.fir import filter2d, make_filter

LRELU_SLOPE = 0.2
LRELU_GAIN = math.sqrt(2)  # keeps the variance of a unit-variance input through the leaky ReLU


def leaky_relu(x: Tensor, gain: float = LRELU_GAIN, clamp: float | None = None) -> Tensor:
    """Apply a leaky ReLU, times `gain`, then clipped to ±`clamp`; may overwrite `x` where no gradient needs it."""
    if x.requires_grad and torch.is_grad_enabled():
        # The in-place form keeps its own output for the backward pass, so x itself is free to go.
        x = F.leaky_relu_(x * gain, LRELU_SLOPE)
        return x if clamp is None else x.clamp(-clamp, clamp)
    x = F.leaky_relu_(x.mul_(gain), LRELU_SLOPE)
    return x if clamp is None else x.clamp_(-clamp, clamp)


def normalize_2nd_moment(x: Tensor, eps: float = 1e-8) -> Tensor:
    """Scale every row of [N, F] to a mean square of one."""
    return x * (x.square().mean(dim=1, keepdim=True) + eps).rsqrt()


class FullyConnected(nn.Module):
    """Dense layer, optionally followed by a leaky ReLU: [N, in_features] -> [N, out_features].

    `lr_multiplier` slows learning down: the stored weight is divided, the used one multiplied by it.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        activate: bool = False,
        bias_init: float = 0.0,
        lr_multiplier: float = 1.0,
    ):
        super().__init__()
        self.activate = activate
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full([out_features], float(bias_init)))
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier

    def forward(self, x: Tensor) -> Tensor:
        x = F.linear(x, self.weight * self.weight_gain, self.bias * self.bias_gain)
        return leaky_relu(x) if self.activate else x


class Conv2d(nn.Module):
    """Convolution, optionally halving the size, optionally with a leaky ReLU.

    [N, in_channels, H, W] -> [N, out_channels, H / down, W / down]. `down` is 1 or 2; the FIR filter comes first.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        bias: bool = True,
        activate: bool = True,
        down: int = 1,
        conv_clamp: float | None = None,
    ):
        super().__init__()
        self.activate = activate
        self.down = down
        self.conv_clamp = conv_clamp
        self.padding = kernel_size // 2
        self.weight_gain = 1 / math.sqrt(in_channels * kernel_size**2)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.register_buffer("resample_filter", make_filter())

    def forward(self, x: Tensor, gain: float = 1.0) -> Tensor:
        # The layer's gain enters through the weight and the bias: a leaky ReLU commutes with a positive scale.
        # The clamp is scaled with it, as in the original.
        act_gain = gain * (LRELU_GAIN if self.activate else 1.0)
        weight = (self.weight * (self.weight_gain * act_gain)).to(x.dtype)
        bias = None if self.bias is None else (self.bias * act_gain).to(x.dtype)
        if self.down == 1:
            x = F.conv2d(x, weight, bias, padding=self.padding)
        else:
            # The convolution does the striding, also for 1x1: the gradient of a strided depthwise filter is ten times
            # slower on a CPU than that of a plain one followed by a strided dense convolution.
            taps = self.resample_filter.shape[-1]
            before, after = self.padding + (taps - 1) // 2, self.padding + (taps - 2) // 2
            x = F.conv2d(filter2d(x, self.resample_filter, (before, after)), weight, bias, stride=2)
        if self.activate:
            x = F.leaky_relu_(x, LRELU_SLOPE)
        if self.conv_clamp is not None:
            x = x.clamp(-self.conv_clamp * gain, self.conv_clamp * gain)
        return x


class MinibatchStd(nn.Module):
    """Append how much the pictures of a group differ, so that D sees a lack of variety (ProGAN, section 3).

    [N, C, H, W] -> [N, C + num_channels, H, W]. Picture n is in the group n mod (N / group_size); N must be a
    multiple of min(group_size, N). Has no weights.
    """

    def __init__(self, group_size: int = 4, num_channels: int = 1):
        super().__init__()
        self.group_size = group_size
        self.num_channels = num_channels

    def forward(self, x: Tensor) -> Tensor:
        N, C, H, W = x.shape
        G = min(self.group_size, N)
        F_, c = self.num_channels, C // self.num_channels
        y = x.reshape(G, N // G, F_, c, H, W)
        y = (y.var(dim=0, correction=0) + 1e-8).sqrt()  # [N/G, F, c, H, W]
        y = y.mean(dim=[2, 3, 4])  # [N/G, F]
        y = y.repeat(G, 1)[:, :, None, None].expand(-1, -1, H, W)  # [N, F, H, W]
        return torch.cat([x, y], dim=1)
