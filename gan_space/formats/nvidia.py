"""StyleGAN2 networks in pickles of NVlabs/stylegan2-ada-pytorch and NVlabs/stylegan3.

Both write `{"G": …, "D": …, "G_ema": …}` of "persistent" objects, which `safe_pickle` reads as plain records. Our
parameter names are NVIDIA's, so weights only need checking, and what the file leaves out or scales differently.
Settings are read where they matter: from the layers' own attributes, else from the arguments they were built with.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from gan_space.errors import WeightsError, raise_all
from gan_space.formats.networks import NetworkWeights, detect_channels
from gan_space.formats.records import PickledObject, TensorRecord

MAX_DEPTH, MAX_MODULES = 8, 4096
OUR_LR_MULTIPLIER = 0.01
_MODULE_NAME = re.compile(r"[A-Za-z0-9_]{1,64}")
_STYLEGAN3_LAYER = re.compile(r"synthesis\.L\d+_\d+_\d+")
_GENERATOR_ARGUMENTS = ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels", "mapping_kwargs")
_CLAMP_OF_STYLEGAN3_REPOSITORY = 256.0  # its default; that of stylegan2-ada-pytorch is None
_MISSING = object()


def is_nvidia(content: Any) -> bool:
    """Tell whether a file's content looks like a snapshot of either repository."""
    return isinstance(content, dict) and isinstance(content.get("G_ema"), PickledObject)


@dataclass
class _Modules:
    """All modules of a network by dotted path, "" for itself, and their parameters and buffers."""

    by_path: dict[str, PickledObject]
    tensors: dict[str, TensorRecord]

    def attribute(self, path: str, name: str, default: Any) -> Any:
        """Return the attribute of one module, or the default where the module or the attribute is missing."""
        module = self.by_path.get(path)
        return default if module is None else module.state.get(name, default)


def read_generator(content: dict) -> NetworkWeights:
    """Find weights and size of `G_ema`.

    Raises:
        WeightsError: StyleGAN3-t or -r, another architecture, or a setting that our generator does not have; all
            faults at once.
    """
    modules = _collect(content["G_ema"])
    _refuse_stylegan3(modules)
    tensors = modules.tensors
    arguments = _arguments(modules.by_path[""])
    resolutions = _block_resolutions(tensors, r"synthesis\.b(\d+)\.conv1\.weight")
    shapes = _Shapes(tensors)
    num_mapping_layers = _count(tensors, r"mapping\.fc(\d+)\.weight")
    z_dim_and_label = shapes.of("mapping.fc0.weight", 2)[1]
    c_dim = shapes.of("mapping.embed.weight", 2)[1] if "mapping.embed.weight" in tensors else 0
    w_dim = shapes.of(f"mapping.fc{num_mapping_layers - 1}.weight", 2)[0]
    embed_features = shapes.of("mapping.embed.weight", 2)[0] if c_dim else 0
    channels = {size: shapes.of(f"synthesis.b{size}.conv1.weight", 4)[0] for size in resolutions}
    channel_base, channel_max = detect_channels(channels)
    clamped = [f"synthesis.b{size}.{layer}" for size in resolutions for layer in ("conv1", "torgb")]
    config = {
        "resolution": resolutions[-1],
        "z_dim": z_dim_and_label - embed_features,
        "c_dim": c_dim,
        "w_dim": w_dim,
        "channel_base": channel_base,
        "channel_max": channel_max,
        "num_mapping_layers": num_mapping_layers,
        "img_channels": shapes.of(f"synthesis.b{resolutions[-1]}.torgb.weight", 4)[0],
        "conv_clamp": _conv_clamp(modules, arguments, clamped),
        "use_noise": any(name.endswith(".noise_strength") for name in tensors),
    }
    faults = _argument_faults(arguments, config)
    if c_dim and embed_features != w_dim:
        faults.append(f"embed_features is {embed_features}, here always w_dim ({w_dim})")
    for size in resolutions:
        faults += _attribute_faults(modules, f"synthesis.b{size}", architecture="skip")
        for layer in ("conv0", "conv1"):
            faults += _attribute_faults(modules, f"synthesis.b{size}.{layer}", activation="lrelu")
    for index in range(num_mapping_layers):
        faults += _attribute_faults(modules, f"mapping.fc{index}", activation="lrelu")
    raise_all(faults, WeightsError)

    weights = NetworkWeights(config=config, tensors=dict(tensors))
    weights.scales = _mapping_scales(modules, arguments, num_mapping_layers)
    weights.estimate_w_avg = "mapping.w_avg" not in tensors
    return weights


def read_discriminator(content: dict) -> NetworkWeights:
    """Find weights and size of `D`; raises as `read_generator`."""
    if not isinstance(content.get("D"), PickledObject):
        raise WeightsError("the file has no discriminator (entry 'D'); convert it without")
    modules = _collect(content["D"])
    tensors = modules.tensors
    arguments = _as_dict(modules.by_path[""].state.get("_init_kwargs"))
    resolutions = _block_resolutions(tensors, r"b(\d+)\.conv\d?\.weight")
    shapes = _Shapes(tensors)
    channels = {size: shapes.of(f"b{size}.conv0.weight", 4)[0] for size in resolutions[1:]}
    channels[4] = shapes.of("b4.conv.weight", 4)[0]
    channel_base, channel_max = detect_channels(channels)
    c_dim = shapes.of("mapping.embed.weight", 2)[1] if "mapping.embed.weight" in tensors else 0
    group_size = modules.attribute("b4.mbstd", "group_size", _MISSING)
    if group_size is _MISSING:
        group_size = _as_dict(arguments.get("epilogue_kwargs")).get("mbstd_group_size", 4)
    num_mapping_layers = _count(tensors, r"mapping\.fc(\d+)\.weight") if c_dim else 8
    config = {
        "resolution": resolutions[-1],
        "c_dim": c_dim,
        "channel_base": channel_base,
        "channel_max": channel_max,
        "img_channels": shapes.of(f"b{resolutions[-1]}.fromrgb.weight", 4)[1],
        "mbstd_group_size": group_size,
        "num_mapping_layers": num_mapping_layers,
        "conv_clamp": _conv_clamp(modules, arguments, [f"b{size}.conv0" for size in resolutions[1:]]),
    }
    faults = []
    for size in resolutions:
        faults += _attribute_faults(modules, f"b{size}", architecture="resnet")
    if not isinstance(group_size, int) or isinstance(group_size, bool) or group_size < 1:
        faults.append(f"mbstd_group_size is {group_size!r}, here a whole number")
    if shapes.of("b4.conv.weight", 4)[1] != channels[4] + 1:
        faults.append("mbstd_num_channels is not 1")
    raise_all([f"discriminator: {fault}" for fault in faults], WeightsError)
    # Every block keeps a FIR filter that its resnet form never uses.
    used = {name: record for name, record in tensors.items() if not re.fullmatch(r"b\d+\.resample_filter", name)}
    weights = NetworkWeights(config=config, tensors=used)
    weights.scales = _mapping_scales(modules, arguments, num_mapping_layers if c_dim else 0)
    return weights


def _collect(root: PickledObject) -> _Modules:
    """Walk the tree of modules; bounded, since a hostile file may hold a loop."""
    found = _Modules({}, {})
    todo = [("", root, 0)]
    while todo:
        path, module, depth = todo.pop()
        if depth > MAX_DEPTH or len(found.by_path) >= MAX_MODULES:
            raise WeightsError(f"modules are nested more than {MAX_DEPTH} deep or over {MAX_MODULES}: no StyleGAN")
        found.by_path[path] = module
        for kind in ("_parameters", "_buffers", "_modules"):
            children = module.state.get(kind, {})
            if not isinstance(children, dict):
                raise WeightsError(f"{module.class_name[:60]!r} has no dict of {kind.strip('_')}: not a torch module")
            for name, child in children.items():
                if not isinstance(name, str) or not _MODULE_NAME.fullmatch(name):
                    raise WeightsError(f"a module holds something named {str(name)[:60]!r}: not a torch module")
                full = f"{path}.{name}" if path else name
                if kind == "_modules" and isinstance(child, PickledObject):
                    todo.append((full, child, depth + 1))
                elif isinstance(child, TensorRecord) and kind != "_modules":
                    found.tensors[full] = child
                elif child is not None:
                    raise WeightsError(f"{full} is a {type(child).__name__}, expected a tensor or a module")
    return found


def _refuse_stylegan3(modules: _Modules) -> None:
    layers = [path for path in modules.by_path if _STYLEGAN3_LAYER.fullmatch(path)]
    if not layers:
        return
    # The rotation-equivariant configuration has 1x1 convolutions.
    kernels = {modules.tensors[f"{path}.weight"].shape[-1:] for path in layers if f"{path}.weight" in modules.tensors}
    which = "StyleGAN3-r" if (1,) in kernels and (3,) not in kernels else "StyleGAN3-t"
    raise WeightsError(
        f"this is a {which} network, whose layers are built differently; only the StyleGAN2 configuration is read "
        "(--cfg=stylegan2 in that repository). Use NVIDIA's own code for it"
    )


class _Shapes:
    """Shapes of tensors by name, checked for their number of dimensions."""

    def __init__(self, tensors: dict[str, TensorRecord]):
        self._tensors = tensors

    def of(self, name: str, dims: int) -> tuple[int, ...]:
        if name not in self._tensors:
            raise WeightsError(f"the network has no tensor {name!r}: not a StyleGAN2 of NVIDIA's repositories")
        shape = self._tensors[name].shape
        if len(shape) != dims or min(shape) < 1:
            raise WeightsError(f"tensor {name!r} has shape {list(shape)[:8]}, expected {dims} dimensions")
        return shape


def _block_resolutions(tensors: dict[str, TensorRecord], pattern: str) -> list[int]:
    """[4, 8, …] of the blocks that the file has, without a gap."""
    sizes = sorted({int(match[1]) for name in tensors if (match := re.fullmatch(pattern, name)) and len(match[1]) < 6})
    expected = [4 * 2**octave for octave in range(len(sizes))]
    if len(sizes) < 2 or sizes != expected:
        raise WeightsError(f"blocks at {sizes[:12]} px, expected 4, 8, 16 … : not a StyleGAN2 network")
    return sizes


def _count(tensors: dict[str, TensorRecord], pattern: str) -> int:
    numbers = sorted(int(match[1]) for name in tensors if (match := re.fullmatch(pattern, name)) and len(match[1]) < 4)
    if not numbers or numbers != list(range(len(numbers))):
        raise WeightsError(f"mapping layers {numbers[:12]}, expected fc0, fc1 … : not a StyleGAN2 network")
    return len(numbers)


def _as_dict(value: Any) -> dict:
    return value if isinstance(value, dict) else {}


def _arguments(generator: PickledObject) -> dict[str, Any]:
    """Arguments that G was built with, `synthesis_kwargs` spread out as in the stylegan3 repository."""
    positional = generator.state.get("_init_args", ())
    named = dict(zip(_GENERATOR_ARGUMENTS, positional if isinstance(positional, tuple) else (), strict=False))
    named |= _as_dict(generator.state.get("_init_kwargs"))
    return {**named, **_as_dict(named.get("synthesis_kwargs"))}


def _argument_faults(arguments: dict[str, Any], config: dict[str, Any]) -> list[str]:
    """Arguments that contradict the tensors, or that our generator does not have."""
    same = {"z_dim": "z_dim", "c_dim": "c_dim", "w_dim": "w_dim", "img_resolution": "resolution"}
    same["img_channels"] = "img_channels"
    faults = [
        f"{theirs} was {arguments[theirs]!r}, but the tensors have {config[ours]}"
        for theirs, ours in same.items()
        if theirs in arguments and arguments[theirs] != config[ours]
    ]
    only = {"architecture": "skip", "activation": "lrelu", "kernel_size": 3, "resample_filter": [1, 3, 3, 1]}
    faults += [
        f"{name} was {str(arguments[name])[:40]}, here always {value}"
        for name, value in only.items()
        if name in arguments and arguments[name] != value
    ]
    return faults


def _attribute_faults(modules: _Modules, path: str, **expected: Any) -> list[str]:
    return [
        f"{path} has {name} {str(value)[:40]!r}, here always {wanted!r}"
        for name, wanted in expected.items()
        if (value := modules.attribute(path, name, wanted)) != wanted
    ]


def _conv_clamp(modules: _Modules, arguments: dict[str, Any], layers: list[str]) -> float | None:
    """Clamp of all convolutions: the layers' own, else the argument, else the repository's default."""
    values = [value for path in layers if (value := modules.attribute(path, "conv_clamp", _MISSING)) is not _MISSING]
    if not values:
        of_stylegan3 = "fused_modconv_default" in modules.by_path[""].module_src
        values = [arguments.get("conv_clamp", _CLAMP_OF_STYLEGAN3_REPOSITORY if of_stylegan3 else None)]
    clamp = values[0]
    numeric = isinstance(clamp, int | float) and not isinstance(clamp, bool) and clamp > 0
    if any(value != clamp for value in values) or not (clamp is None or numeric):
        raise WeightsError(f"conv_clamp is {[str(value)[:20] for value in values][:4]}, expected one number or None")
    return None if clamp is None else float(clamp)


def _mapping_scales(modules: _Modules, arguments: dict[str, Any], num_layers: int) -> dict[str, float]:
    """Factors for mapping layers that were built with another lr_multiplier than ours; they are linear in it."""
    default = _as_dict(arguments.get("mapping_kwargs")).get("lr_multiplier", OUR_LR_MULTIPLIER)
    scales = {}
    for index in range(num_layers):
        used = modules.attribute(f"mapping.fc{index}", "bias_gain", default)
        if not isinstance(used, int | float) or isinstance(used, bool) or not 0 < used <= 1e4:
            raise WeightsError(f"mapping.fc{index} has lr_multiplier {str(used)[:40]!r}, expected a positive number")
        if used != OUR_LR_MULTIPLIER:
            scales |= {f"mapping.fc{index}.{part}": used / OUR_LR_MULTIPLIER for part in ("weight", "bias")}
    return scales
