"""Modulated convolution with static weights (StyleGAN2, section 2.2; Karras et al. 2020).

The paper scales the weights of every picture, w'_oik = s_i w_oik / sqrt(sum_ik (s_i w_oik)^2 + eps), which needs one
convolution per picture. The same numbers come from scaling the input by s, one plain convolution for the whole batch,
and scaling the output by d_o = rsqrt(sum_i s_i^2 Wsq_oi + eps) with Wsq = sum_k w^2: faster, exportable, and the
weights can be prepared once.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_space.nn.fir import filter2d

DEMODULATION_EPS = 1e-8


class PreparedWeight:
    """The convolution weight as the kernels want it, kept between calls while no gradient is needed.

    Valid as long as the parameter is the same tensor at the same version. `load_state_dict` and in-place operators
    raise the version; writing through `parameter.data` does not, nor do the kernels on a GPU that write many tensors at
    once (optimizers, `_foreach_` operators). Call `weights_have_changed` after those.
    """

    def __init__(self):
        self._key = None
        self._value: tuple[Tensor, Tensor] | None = None

    def get(self, weight: nn.Parameter, dtype: torch.dtype, transpose: bool) -> tuple[Tensor, Tensor]:
        """Return (weight in `dtype`, [O, I, k, k] or [I, O, k, k] if `transpose`; Wsq [O, I] in float32)."""
        if torch.compiler.is_compiling() or (torch.is_grad_enabled() and weight.requires_grad):
            return self._prepare(weight, dtype, transpose)
        key = (weight._version, weight.data_ptr(), weight.device, dtype)
        if key != self._key:
            with torch.no_grad():
                self._value = self._prepare(weight, dtype, transpose)
            self._key = key
        return self._value

    @staticmethod
    def _prepare(weight: Tensor, dtype: torch.dtype, transpose: bool) -> tuple[Tensor, Tensor]:
        squared = weight.float().square().sum(dim=[2, 3])
        shaped = weight.transpose(0, 1) if transpose else weight
        return shaped.to(dtype).contiguous(memory_format=torch.channels_last), squared


def weights_have_changed(module: nn.Module) -> None:
    """Tell everything that was prepared from the parameters of `module` that it is out of date."""
    torch.autograd.graph.increment_version(list(module.parameters()))


def demodulation(styles: Tensor, squared_weight: Tensor) -> Tensor:
    """Return d: [N, O] from styles [N, I] and Wsq [O, I]."""
    return (styles.float().square() @ squared_weight.t() + DEMODULATION_EPS).rsqrt()


def modulated_conv2d(x: Tensor, weight: Tensor, styles: Tensor, *, up_filter: Tensor | None = None) -> Tensor:
    """Convolve x [N, I, H, W], scaled per picture and channel by `styles` [N, I], without demodulation.

    Args:
        weight: [O, I, k, k]; or, with `up_filter`, transposed [I, O, k, k].
        up_filter: the [K, K] FIR filter that turns the layer into a ×2 upsampling one.

    Returns:
        [N, O, H, W], or [N, O, 2H, 2W] with `up_filter`, in the dtype of x.
    """
    kernel_size = weight.shape[-1]
    x = x * styles.to(x.dtype)[:, :, None, None]
    if up_filter is None:
        return F.conv2d(x, weight, padding=kernel_size // 2)
    x = F.conv_transpose2d(x, weight, stride=2)  # [N, O, 2H + 1, 2W + 1] for k = 3
    return filter2d(x, up_filter, padding=(1, 1), gain=4.0)
