"""NVIDIA's stylegan2-ada-pytorch from a checkout that the user has, beside our own networks in one process.

Nothing of that repository is kept here. Its package `training` has the name of one of ours, so ours is set aside
while the peer is at work.
"""

from __future__ import annotations

import copy
import importlib
import re
import sys
import warnings
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from gan_space import Discriminator, Generator
from gan_space.errors import ConfigError, WeightsError

_UNUSED_FILTER = re.compile(r"b\d+\.resample_filter")
PEER_PACKAGES = ("dnnlib", "metrics", "torch_utils", "training")
TOLERANCE = 1e-3  # of w, images and logits, relative to their largest value where that is above 1
# Gradients are relative to the largest value of each tensor. Those of a noise strength are sums of thousands of terms
# that cancel, and a unit at the kink of the leaky ReLU falls on either side; a wrong gradient is off by about 1.
GRADIENT_TOLERANCE = 1e-2


def _take_out() -> dict[str, ModuleType]:
    """Remove all modules of these top-level packages from sys.modules and return them."""
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in PEER_PACKAGES}


class Peer:
    """The networks of a checkout of NVlabs/stylegan2-ada-pytorch.

    Args:
        checkout: its folder; nothing in it is changed.

    Raises:
        ConfigError: the folder is not such a checkout, or its code does not import here.
    """

    def __init__(self, checkout: Path):
        if not (checkout / "training" / "networks.py").is_file() or not (checkout / "torch_utils").is_dir():
            raise ConfigError(
                f"--peer {checkout} has no training/networks.py and torch_utils/; give a checkout of "
                "https://github.com/NVlabs/stylegan2-ada-pytorch"
            )
        self.checkout = checkout.resolve()
        self._modules: dict[str, ModuleType] = {}
        try:
            with self._in_place():
                self.networks = importlib.import_module("training.networks")
        except ImportError as error:
            raise ConfigError(f"--peer {checkout} does not import here: {error}; install what it names") from error

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        """Let the peer's packages be found, and ours again afterwards.

        Its classes look their modules up by name when they are built, not only when they are imported.
        """
        ours = _take_out()
        sys.modules.update(self._modules)
        sys.path.insert(0, str(self.checkout))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # written for torch 1.7: deprecated names all over
                yield
        finally:
            sys.path.remove(str(self.checkout))
            self._modules = _take_out()
            sys.modules.update(ours)

    def build(self, ours: Generator | Discriminator) -> nn.Module:
        """Build the peer's network of the same kind and size as `ours`, in float32, with random weights."""
        config = ours.config
        sizes = {name: config[name] for name in ("channel_base", "channel_max", "conv_clamp")} | {"num_fp16_res": 0}
        common = {name: config[name] for name in ("c_dim", "img_channels")} | {"img_resolution": config.resolution}
        mapping = {"num_layers": config.num_mapping_layers}
        with self._in_place():
            if isinstance(ours, Generator):
                codes = {"z_dim": config.z_dim, "w_dim": config.w_dim}
                return self.networks.Generator(**common, **codes, mapping_kwargs=mapping, synthesis_kwargs=sizes)
            heads = {
                "mapping_kwargs": mapping if config.c_dim else {},
                "epilogue_kwargs": {"mbstd_group_size": config.mbstd_group_size},
            }
            return self.networks.Discriminator(**common, **sizes, **heads)


def open_peer(parser: ArgumentParser, args: Namespace) -> Peer | None:
    """Return the checkout that --peer names, None without one; a folder that is none ends the program with a word."""
    try:
        return None if args.peer is None else Peer(args.peer)
    except ConfigError as error:
        parser.error(str(error))


@torch.no_grad()
def make_lively(network: nn.Module, seed: int) -> None:
    """Move biases, noise strengths and w_avg off zero, where an error in their use would not show."""
    random = torch.Generator().manual_seed(seed)
    for name, value in [*network.named_parameters(), *network.named_buffers()]:
        if name.endswith(("bias", "noise_strength", "w_avg")):
            value.add_(torch.randn(value.shape, generator=random).to(value.device) * 0.3)


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Copy all parameters and buffers by name; both networks must have the same ones.

    The one exception: a block of the peer's D holds a FIR filter that it never uses, and ours may leave it out.

    Raises:
        WeightsError: names or shapes differ; names all of them.
    """
    ours = target.state_dict()
    theirs = {
        name: value for name, value in source.state_dict().items() if name in ours or not _UNUSED_FILTER.fullmatch(name)
    }
    differing = sorted(
        set(theirs) ^ set(ours) | {name for name in set(theirs) & set(ours) if theirs[name].shape != ours[name].shape}
    )
    if differing:
        raise WeightsError(f"the two networks differ in {len(differing)} names or shapes: {', '.join(differing)}")
    target.load_state_dict(copy.deepcopy(theirs))


def max_error(ours: Tensor, theirs: Tensor) -> float:
    """Return the largest absolute difference."""
    return (ours.double() - theirs.double()).abs().max().item()


def gradient_error(ours: nn.Module, theirs: nn.Module) -> float:
    """Return the largest difference between two networks' gradients, relative to the largest value of each tensor."""
    other = dict(theirs.named_parameters())
    errors = []
    for name, parameter in ours.named_parameters():
        expected = other[name].grad
        if (expected is None) != (parameter.grad is None):
            return float("inf")
        if expected is not None:
            errors.append(max_error(parameter.grad, expected) / max(expected.abs().max().item(), 1e-12))
    return max(errors)
