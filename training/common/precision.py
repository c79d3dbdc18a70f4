"""Which format a training runs in: what `--mixed_precision` asks for, as far as the hardware has it."""

from __future__ import annotations

import torch

from gan_space.nn.precision import has_native_bfloat16

MIXED_PRECISIONS = ("no", "bf16")


def training_dtype(mixed_precision: str, device: torch.device) -> torch.dtype:
    """Return bfloat16 if it is asked for and the device has it, else float32.

    Where bfloat16 is emulated, as on a CPU without avx512_bf16 or AMX, a step takes many times as long as in float32.
    """
    wanted = mixed_precision == "bf16"
    return torch.bfloat16 if wanted and has_native_bfloat16(device.type) else torch.float32


def autocast(mixed_precision: str, device: torch.device) -> torch.autocast:
    """Return a context in which convolutions run in what `training_dtype` says."""
    return torch.autocast(
        device.type, torch.bfloat16, enabled=training_dtype(mixed_precision, device) == torch.bfloat16
    )


def precision_remark(mixed_precision: str, device: torch.device) -> str:
    """Say for the log that float32 is used where bfloat16 was asked for; else empty."""
    if mixed_precision == "bf16" and training_dtype(mixed_precision, device) == torch.float32:
        return f"this {device.type} has no bfloat16 of its own: training in float32, which is faster here"
    return ""
