"""A fingerprint of a network's weights, by which numbers, packs and directions name what they were made for."""

from __future__ import annotations

import hashlib

import torch
from torch import nn


def weights_sha256(module: nn.Module, design: str = "", dtype: torch.dtype | None = None) -> str:
    """Hash names, shapes, dtypes and bytes of all parameters and buffers of `module`; the device does not matter.

    Args:
        module: any network.
        design: what else must change the hash, such as a version of the code around the weights.
        dtype: format that floating-point numbers are cast to first, so that a network saved in half precision has the
            hash that it has when it is loaded in full; None: as they are.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256(design.encode())
    for name, tensor in sorted(module.state_dict().items()):
        if dtype is not None and tensor.is_floating_point():
            tensor = tensor.to(dtype)
        digest.update(f"{name} {list(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
