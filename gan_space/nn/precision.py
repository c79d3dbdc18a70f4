"""Which floating-point format the convolutions run in."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


@cache
def has_native_bfloat16(device_type: str) -> bool:
    """Tell whether bfloat16 products run on the hardware and are faster than float32."""
    if device_type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    if device_type == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return False


def choose_compute_dtype(requested: torch.dtype | None, device: torch.device) -> torch.dtype:
    """Return `requested`; or, for None, bfloat16 at inference where it is native, else float32.

    With gradients on, None means float32: inversion and tuning need the precision, training asks for bfloat16 itself.
    """
    if requested is not None:
        return requested
    if not torch.is_grad_enabled() and has_native_bfloat16(device.type):
        return torch.bfloat16
    return torch.float32


def is_plain_inference(x: Tensor) -> bool:
    """Tell whether this runs on a CPU without gradients, unless the network is traced for an export or a compiler.

    There, forms of a layer are at hand that overwrite their inputs or keep prepared weights.
    """
    traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
    return x.device.type == "cpu" and not torch.is_grad_enabled() and not traced
