"""Writes checkpoints in the formats of other repositories, from small classes of our own.

What makes such a file is the form of the pickle, not the code of the classes in it: a persistent object is a call of
`torch_utils.persistence._reconstruct_persistent_obj` with a dict, and storages, numpy numbers and so on are written by
their libraries. The modules that the names point to are put into sys.modules only while a file is written.
"""

from __future__ import annotations

import pickle
import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import nn

from gan_space.models.discriminator import Discriminator
from gan_space.models.generator import Generator


def _reconstruct_persistent_obj(meta):
    raise AssertionError("a foreign object was rebuilt")


class EasyDict(dict):
    """Stands for dnnlib.util.EasyDict."""


_reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
EasyDict.__module__ = "dnnlib.util"


class StandIn:
    """A persistent module: a name, attributes, and what torch.nn.Module keeps."""

    def __init__(self, class_name: str, module_src: str):
        self.class_name, self.module_src = class_name, module_src
        hooks = ("_backward_hooks", "_forward_hooks", "_forward_pre_hooks", "_state_dict_hooks")
        self.state: dict[str, Any] = {"training": False, **{name: OrderedDict() for name in hooks}}
        self.state |= {"_parameters": OrderedDict(), "_buffers": OrderedDict(), "_modules": OrderedDict()}
        self.state |= {"_non_persistent_buffers_set": set(), "_init_args": (), "_init_kwargs": {}}

    def child(self, path: str) -> StandIn:
        """The module at a dotted path below this one, made where it is missing."""
        module = self
        for name in path.split(".") if path else ():
            module = module.state["_modules"].setdefault(name, StandIn(f"Class_{name}", self.module_src))
        return module

    def __reduce__(self):
        meta = {"type": "class", "version": 6, "module_src": self.module_src, "class_name": self.class_name}
        return _reconstruct_persistent_obj, (meta | {"state": self.state},)


@contextmanager
def _foreign_modules() -> Iterator[None]:
    homes = {"torch_utils.persistence": _reconstruct_persistent_obj, "dnnlib.util": EasyDict}
    fakes = {"torch_utils": ModuleType("torch_utils"), "dnnlib": ModuleType("dnnlib")}
    for name, thing in homes.items():
        fakes[name] = ModuleType(name)
        setattr(fakes[name], thing.__name__, thing)
    before = {name: sys.modules.get(name) for name in fakes}
    sys.modules.update(fakes)
    try:
        yield
    finally:
        for name, module in before.items():
            sys.modules.pop(name)
            if module is not None:
                sys.modules[name] = module


def dump(content: Any, path: Path, protocol: int = 4) -> Path:
    """Pickle `content` as the other repositories do."""
    with _foreign_modules(), path.open("wb") as file:
        pickle.dump(content, file, protocol=protocol)
    return path


def stand_in(network: nn.Module, class_name: str, kwargs: dict[str, Any], module_src: str = "# source") -> StandIn:
    """A persistent module that holds the weights of one of our networks under the same names."""
    root = StandIn(class_name, module_src)
    root.state["_init_kwargs"] = kwargs
    parameters = dict(network.named_parameters())
    for name, value in network.state_dict().items():
        path, _, leaf = name.rpartition(".")
        kind = "_parameters" if name in parameters else "_buffers"
        kept = value.detach().clone()
        root.child(path).state[kind][leaf] = nn.Parameter(kept, requires_grad=False) if kind == "_parameters" else kept
    return root


def nvidia_generator(ours: Generator, *, flat: bool = False, attributes: bool = True) -> StandIn:
    """The form of stylegan2-ada-pytorch, or with `flat` that of the stylegan3 repository."""
    config = ours.config
    synthesis = EasyDict(channel_base=config.channel_base, channel_max=config.channel_max, num_fp16_res=4)
    if config.conv_clamp is not None:
        synthesis["conv_clamp"] = config.conv_clamp
    kwargs = EasyDict(z_dim=config.z_dim, c_dim=config.c_dim, w_dim=config.w_dim, img_resolution=config.resolution)
    kwargs |= {"img_channels": 3, "mapping_kwargs": EasyDict(num_layers=config.num_mapping_layers)}
    kwargs = EasyDict({**kwargs, **synthesis} if flat else {**kwargs, "synthesis_kwargs": synthesis})
    source = "fused_modconv_default   = True," if flat else "# source of 2020"
    root = stand_in(ours, "Generator", kwargs, source)
    if attributes:
        for name, _module in ours.named_modules():
            if name.endswith(("conv0", "conv1", "torgb")):
                root.child(name).state |= {"conv_clamp": config.conv_clamp, "weight_gain": np.float64(0.25)}
            if name.endswith(("conv0", "conv1")):
                root.child(name).state |= {"activation": "lrelu", "use_noise": True, "act_gain": np.sqrt(2)}
            if name.startswith("mapping.fc"):
                root.child(name).state |= {"bias_gain": 0.01, "weight_gain": np.float32(0.1), "activation": "lrelu"}
        for size in ours.synthesis.block_resolutions:
            root.child(f"synthesis.b{size}").state |= {"architecture": "skip", "use_fp16": True}
    return root


def nvidia_discriminator(ours: Discriminator) -> StandIn:
    """D as both repositories pickle it, with the FIR filter that its blocks never use."""
    config = ours.config
    kwargs = EasyDict(c_dim=config.c_dim, img_resolution=config.resolution, img_channels=3)
    root = stand_in(ours, "Discriminator", kwargs)
    for size in ours.block_resolutions:
        block = root.child(f"b{size}")
        block.state["architecture"] = "resnet"
        block.state["_buffers"]["resample_filter"] = torch.ones(4, 4) / 16
        block.child("conv0").state["conv_clamp"] = config.conv_clamp
    root.child("b4.mbstd").state["group_size"] = config.mbstd_group_size
    return root


def nvidia_snapshot(ours: Generator, discriminator: Discriminator | None = None, **options: bool) -> dict[str, Any]:
    """What a training run of NVIDIA's code leaves behind."""
    generator = nvidia_generator(ours, **options)
    other = nvidia_discriminator(discriminator) if discriminator is not None else StandIn("Discriminator", "")
    settings = EasyDict(class_name="training.dataset.ImageFolderDataset", path="faces.zip", use_labels=False)
    return {"training_set_kwargs": settings, "G": generator, "D": other, "G_ema": generator, "augment_pipe": None}


def rosinality_generator(ours: Generator) -> OrderedDict:
    """State dict under rosinality's names, of the same weights."""
    state = OrderedDict()
    for name, value in ours.state_dict().items():
        value = value.clone()
        match name.split("."):
            case ["mapping", "w_avg"] | [*_, "resample_filter"]:
                continue
            case ["mapping", layer, leaf]:
                state[f"style.{int(layer[2:]) + 1}.{leaf}"] = value
            case ["synthesis", "b4", "const"]:
                state["input.input"] = value[None]
            case ["synthesis", block, layer, *leaf]:
                octave = int(block[1:]).bit_length() - 3  # 0 for 4 px
                number = 2 * octave - (layer == "conv0")  # of the convolution, from 0
                target = f"convs.{number - 1}" if octave else "conv1"
                if layer == "torgb":
                    target = f"to_rgbs.{octave - 1}" if octave else "to_rgb1"
                match leaf:
                    case ["noise_const"]:
                        state[f"noises.noise_{number}"] = value[None, None]
                    case ["noise_strength"]:
                        state[f"{target}.noise.weight"] = value[None]
                    case ["weight"]:
                        state[f"{target}.conv.weight"] = value[None]
                    case ["affine", kind]:
                        state[f"{target}.conv.modulation.{kind}"] = value
                    case ["bias"] if layer == "torgb":
                        state[f"{target}.bias"] = value.reshape(1, 3, 1, 1)
                    case ["bias"]:
                        state[f"{target}.activate.bias"] = value
                if layer == "torgb" and octave:
                    state[f"{target}.upsample.kernel"] = ours.synthesis.b4.resample_filter * 4
                if layer == "conv0":
                    state[f"{target}.conv.blur.kernel"] = ours.synthesis.b4.resample_filter * 4
    return state


def rosinality_discriminator(ours: Discriminator) -> OrderedDict:
    """State dict under rosinality's names, of the same weights."""
    state = OrderedDict()
    parts = {"conv0.weight": "conv1.0.weight", "conv0.bias": "conv1.1.bias", "conv1.weight": "conv2.1.weight"}
    parts |= {"conv1.bias": "conv2.2.bias", "skip.weight": "skip.1.weight"}
    parts |= {"conv1.resample_filter": "conv2.0.kernel", "skip.resample_filter": "skip.0.kernel"}
    last = {"conv.weight": "final_conv.0.weight", "conv.bias": "final_conv.1.bias"}
    for kind in ("weight", "bias"):
        last |= {f"fc.{kind}": f"final_linear.0.{kind}", f"out.{kind}": f"final_linear.1.{kind}"}
    for name, value in ours.state_dict().items():
        block, _, rest = name.partition(".")
        if block == "b4" and rest in last:
            state[last[rest]] = value
        elif rest in ("fromrgb.weight", "fromrgb.bias"):
            state["convs.0.0.weight" if rest.endswith("weight") else "convs.0.1.bias"] = value
        elif rest in parts:
            number = ours.block_resolutions.index(int(block[1:])) + 1
            state[f"convs.{number}.{parts[rest]}"] = value
    return state
