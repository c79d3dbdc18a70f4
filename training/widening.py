"""Weights of a network for one with more channels that draws, or judges, exactly the same at first.

Net2Net's idea (Chen et al. 2016) without copies: twice the same channel would come out of a demodulation louder by
sqrt(2), and would have to learn to differ. Here nothing listens to the new channels at first, and they begin as in any
new network.
"""

from __future__ import annotations

import math
import re

import torch
from torch import Tensor, nn

from gan_space.errors import ConfigError

_BLOCK = re.compile(r"(?:synthesis\.)?b(\d+)\.")


@torch.no_grad()
def widen(network: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Bring the tensors of a narrower network to the shapes of this one; those that cannot be stay as they are.

    Args:
        network: Generator or Discriminator, newly drawn; not changed. The new channels are its own.
        weights: of a network that differs in the number of channels alone.

    Raises:
        ConfigError: the network has other blocks as well.
    """
    target = network.state_dict()
    wider = {key for key, value in weights.items() if key in target and _has_more_channels(key, value, target[key])}
    if not wider:
        return weights
    if _blocks(weights) != _blocks(target):
        raise ConfigError(
            "--init_from: more channels and a higher resolution at once do not go: widen in one run (--total_kimg 1 "
            "will do), grow in a second one that starts from it"
        )
    # The layers whose weights are scaled by their number of inputs when they are used, see `nn.layers`.
    scaled = {f"{name}.weight" for name, module in network.named_modules() if hasattr(module, "weight_gain")}
    result = dict(weights)
    for key in wider:
        old, new = weights[key], target[key].clone()
        if key.endswith(".weight"):
            outputs, inputs = old.shape[:2]
            new[:outputs] = 0  # what was there does not listen to what is new
            new[:outputs, :inputs] = old * (math.sqrt(new.shape[1] / inputs) if key in scaled else 1.0)
        else:
            new[: len(old)] = old
        result[key] = new
    if "b4.conv.weight" in wider:
        _keep_variety(result, weights, target)
    return result


def _has_more_channels(key: str, old: Tensor, new: Tensor) -> bool:
    """Whether a tensor of a block has the same kernel, and as many channels or more."""
    if not _BLOCK.match(key) or old.shape == new.shape or old.ndim != new.ndim:
        return False
    channels = 2 if key.endswith(".weight") else 1
    grown = all(a <= b for a, b in zip(old.shape, new.shape, strict=True))
    return grown and old.shape[channels:] == new.shape[channels:]


def _blocks(weights: dict[str, Tensor]) -> set[str]:
    return {found[1] for key in weights if (found := _BLOCK.match(key))}


def _keep_variety(result: dict[str, Tensor], weights: dict[str, Tensor], target: dict[str, Tensor]) -> None:
    """Let the end of a D see the variety of its pictures (`MinibatchStd`) as before.

    It comes in behind the other channels and is a mean over all of them. So the new ones are zero there at first, and
    learn from those that listen to them.
    """
    old, new = weights["b4.conv.weight"], result["b4.conv.weight"]  # [C, C + 1, 3, 3], [C', C' + 1, 3, 3]
    C, C_new = len(old), len(new)
    new[:C, C:C_new] = target["b4.conv.weight"][:C, C:C_new]
    new[:C, C_new] = old[:, C] * math.sqrt(new.shape[1] / old.shape[1]) * (C_new / C)
    for layer in ("conv1", "skip"):
        result[f"b8.{layer}.weight"][C:] = 0
