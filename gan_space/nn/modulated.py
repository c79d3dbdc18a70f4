"""Modulated convolution with static weights (StyleGAN2, section 2.2; Karras et al. 2020).

The paper scales the weights of every picture, w'_oik = s_i w_oik / sqrt(sum_ik (s_i w_oik)^2 + eps), which needs one
convolution per picture. The same numbers come from scaling the input by s, one plain convolution for the whole batch,
and scaling the output by d_o = rsqrt(sum_i s_i^2 Wsq_oi + eps) with Wsq = sum_k w^2: faster, exportable, and the
weights can be prepared once.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gan_space.nn.fir import filter2d
from gan_space.nn.winograd import transform_weight

DEMODULATION_EPS = 1e-8


class PreparedWeight:
    """The convolution weight as the kernels want it, kept between calls while no gradient is needed.

    Valid as long as the parameter is the same tensor at the same version. `load_state_dict` and in-place operators
    raise the version; writing through `parameter.data` does not, nor do the kernels on a GPU that write many tensors at
    once (optimizers, `_foreach_` operators). Call `weights_have_changed` after those.
    """

    def __init__(self):
        # (what they were made from, the forms made so far): one value, so that threads never see halves of two.
        self._state: tuple[tuple | None, dict[str, tuple[Tensor, Tensor]]] = (None, {})

    def get(self, weight: nn.Parameter, dtype: torch.dtype, transpose: bool) -> tuple[Tensor, Tensor]:
        """Return (weight in `dtype`, [O, I, k, k] or [I, O, k, k] if `transpose`; Wsq [O, I] in float32)."""
        # What a CUDA graph or a compiler records has to prepare the weight anew every time it runs.
        recorded = torch.compiler.is_compiling() or (weight.is_cuda and torch.cuda.is_current_stream_capturing())
        if recorded or (torch.is_grad_enabled() and weight.requires_grad):
            return self._prepare(weight, dtype, transpose)
        return self._kept(weight, dtype, "plain", lambda: self._prepare(weight, dtype, transpose))

    def get_winograd(self, weight: nn.Parameter, dtype: torch.dtype, m: int) -> tuple[Tensor, Tensor]:
        """Return (matrices of F(m x m, 3x3) in `dtype`, [(m + 2)², I, O]; Wsq [O, I] in float32); not for gradients."""
        return self._kept(
            weight, dtype, f"winograd {m}", lambda: (transform_weight(weight, m, dtype), _sum_of_squares(weight))
        )

    def _kept(
        self, weight: Tensor, dtype: torch.dtype, form: str, prepare: Callable[[], tuple[Tensor, Tensor]]
    ) -> tuple[Tensor, Tensor]:
        key = (weight._version, weight.data_ptr(), weight.device, dtype)
        known, values = self._state
        if key != known:
            values = {}
            self._state = key, values
        if form not in values:
            with torch.no_grad():
                values[form] = prepare()
        return values[form]

    @staticmethod
    def _prepare(weight: Tensor, dtype: torch.dtype, transpose: bool) -> tuple[Tensor, Tensor]:
        shaped = weight.transpose(0, 1) if transpose else weight
        return shaped.to(dtype).contiguous(memory_format=torch.channels_last), _sum_of_squares(weight)


def _sum_of_squares(weight: Tensor) -> Tensor:
    """Return Wsq [O, I] in float32, what demodulation needs to know of a weight [O, I, k, k]."""
    return weight.float().square().sum(dim=[2, 3])


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


def has_more_pixels_than_weights(x: Tensor, weight: Tensor) -> bool:
    """Tell whether scaling the weights [O, I, k, k] of each picture costs less than scaling x [N, I, H, W] and y."""
    return x.shape[2] * x.shape[3] >= 32 * weight.shape[0]


def scaled_conv2d(
    x: Tensor,
    weight: Tensor,
    in_scale: Tensor,
    out_scale: Tensor,
    *,
    bias: Tensor | None = None,
    up_filter: Tensor | None = None,
) -> Tensor:
    """Convolve every picture with its own weights, as the paper writes it: faster where pictures are large.

    Args:
        x: [N, I, H, W].
        weight: [O, I, k, k] in float32.
        in_scale: [N, I] in float32.
        out_scale: [N, O] in float32.
        bias: [O], added in the end.
        up_filter: see `modulated_conv2d`.

    Returns:
        [N, O, H, W], or [N, O, 2H, 2W] with `up_filter`, in the dtype of x.
    """
    outputs = []
    for picture, s, d in zip(x.split(1), in_scale, out_scale, strict=True):
        scaled = (weight * s[:, None, None] * d[:, None, None, None]).to(x.dtype)
        if up_filter is None:
            y = F.conv2d(picture, scaled, bias, padding=weight.shape[-1] // 2)
        else:
            y = F.conv_transpose2d(picture, scaled.transpose(0, 1), stride=2)
            kernel = (up_filter * 4.0).to(x.dtype).expand(len(weight), 1, -1, -1)  # `filter2d`, and the bias with it
            y = F.conv2d(y, kernel, bias, padding=1, groups=len(weight))
        outputs.append(y)
    return outputs[0] if len(outputs) == 1 else torch.cat(outputs)


def scale_and_add_(x: Tensor, scale: Tensor, bias: Tensor) -> None:
    """Multiply x [N, O, H, W] by scale [N, O] and add bias [O], in place; for inference."""
    torch.addcmul(bias[:, None, None], x, scale.to(x.dtype)[:, :, None, None], out=x)


def add_noise_(x: Tensor, noise: Tensor) -> None:
    """Add noise [N or 1, 1, H, W] to x [N, O, H, W] in place; for inference."""
    if x.dtype != torch.bfloat16 or not x.is_contiguous(memory_format=torch.channels_last):
        x.add_(noise)
        return
    # As an update of rank one: a CPU has bfloat16 products, while its additions go through float32.
    N, O, H, W = x.shape
    pixels = x.permute(0, 2, 3, 1).view(-1, O)
    pixels.addmm_(noise.expand(N, 1, H, W).reshape(-1, 1), noise.new_ones(1, O))
