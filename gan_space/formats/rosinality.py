"""StyleGAN2 networks in checkpoints of rosinality/stylegan2-pytorch: `{"g_ema": …, "d": …, "latent_avg": …}`.

Both implementations run their up-convolution as a transposed convolution with the stored weight and blur with a
symmetric filter, so weights are taken as they are, without flipping. Its modulated convolutions carry the equalising
factor 1 / sqrt(I k^2), which demodulation removes again, and which to_rgb applies in both.
"""

from __future__ import annotations

import re
from typing import Any

from gan_space.errors import WeightsError
from gan_space.formats.networks import NetworkWeights, detect_channels
from gan_space.formats.records import TensorRecord

_RESAMPLING = re.compile(r"(convs\.\d+\.conv\.blur|to_rgbs\.\d+\.upsample)\.kernel")
_BLUR_IN_D = re.compile(r"convs\.\d+\.(conv2|skip)\.0\.kernel")
# One after another; each name of theirs, on the left, matches one of them.
_GENERATOR_NAMES = (
    (r"style\.(\d+)\.(weight|bias)", lambda m: f"mapping.fc{int(m[1]) - 1}.{m[2]}"),
    (r"input\.input", lambda m: "synthesis.b4.const"),
    (r"noises\.noise_(\d+)", lambda m: f"{_layer(int(m[1]))}.noise_const"),
    (r"conv1\.(.+)", lambda m: f"{_layer(0)}.{_in_layer(m[1])}"),
    (r"convs\.(\d+)\.(.+)", lambda m: f"{_layer(int(m[1]) + 1)}.{_in_layer(m[2])}"),
    (r"to_rgb1\.(.+)", lambda m: f"synthesis.b4.torgb.{_in_layer(m[1])}"),
    (r"to_rgbs\.(\d+)\.(.+)", lambda m: f"synthesis.b{_resolution(int(m[1]) + 1)}.torgb.{_in_layer(m[2])}"),
)
_IN_LAYER = {
    "conv.weight": "weight",
    "conv.modulation.weight": "affine.weight",
    "conv.modulation.bias": "affine.bias",
    "noise.weight": "noise_strength",
    "activate.bias": "bias",
    "bias": "bias",
}


def is_rosinality(content: Any) -> bool:
    """Tell whether a file's content looks like one of its checkpoints."""
    return isinstance(content, dict) and isinstance(content.get("g_ema"), dict) and "style.1.weight" in content["g_ema"]


def read_generator(content: dict) -> NetworkWeights:
    """Find weights and size of `g_ema`; raises WeightsError where a tensor is missing or has another shape."""
    state = _tensors(content["g_ema"], "g_ema")
    kernels = [name for name in state if _RESAMPLING.fullmatch(name)]
    tensors = {_our_name(name): record for name, record in state.items() if name not in kernels}
    octaves = 1 + len({name for name in state if re.fullmatch(r"to_rgbs\.\d+\.bias", name)})
    resolution = _resolution(octaves - 1)
    layers = [_layer(index) for index in range(2 * octaves - 1)]
    num_mapping_layers = len({name for name in tensors if re.fullmatch(r"mapping\.fc\d+\.weight", name)})
    style_dim = _shape(tensors, "mapping.fc0.weight")[1]
    channels = {_resolution(k): _shape(tensors, f"synthesis.b{_resolution(k)}.conv1.weight")[1] for k in range(octaves)}
    channel_base, channel_max = detect_channels(channels)
    config = {
        "resolution": resolution,
        "z_dim": style_dim,
        "w_dim": style_dim,
        "channel_base": channel_base,
        "channel_max": channel_max,
        "num_mapping_layers": num_mapping_layers,
        "img_channels": 3,
    }
    weights = NetworkWeights(config=config, tensors=tensors)
    # Its filters carry the gain 4 of upsampling; they stand for our resample_filter, which the reader compares.
    for name in kernels:
        target = f"{_our_module(name)}.resample_filter"
        weights.tensors[target] = state[name]
        weights.scales[target] = 0.25
    weights.noise_seeds = {
        f"{name}.noise_const": k for k, name in enumerate(layers) if f"{name}.noise_const" not in tensors
    }
    if weights.noise_seeds:
        weights.notes.append("the file has no constant noise; it was drawn anew, so fine grain differs")
    latent_avg = content.get("latent_avg")
    if isinstance(latent_avg, TensorRecord):
        weights.tensors["mapping.w_avg"] = latent_avg
    else:
        weights.estimate_w_avg = True  # its training script does not save one
    return weights


def read_discriminator(content: dict) -> NetworkWeights:
    """Find weights and size of `d`; raises WeightsError where the file has none or a tensor is missing."""
    if not isinstance(content.get("d"), dict):
        raise WeightsError("the file has no discriminator (entry 'd'); convert it without")
    state = _tensors(content["d"], "d")
    octaves = 1 + len({name for name in state if re.fullmatch(r"convs\.\d+\.skip\.1\.weight", name)})
    resolution = _resolution(octaves - 1)
    names = {
        "convs.0.0.weight": f"b{resolution}.fromrgb.weight",
        "convs.0.1.bias": f"b{resolution}.fromrgb.bias",
        "final_conv.0.weight": "b4.conv.weight",
        "final_conv.1.bias": "b4.conv.bias",
    }
    for kind in ("weight", "bias"):
        names |= {f"final_linear.0.{kind}": f"b4.fc.{kind}", f"final_linear.1.{kind}": f"b4.out.{kind}"}
    for index in range(1, octaves):
        size = resolution >> (index - 1)
        names |= {
            f"convs.{index}.conv1.0.weight": f"b{size}.conv0.weight",
            f"convs.{index}.conv1.1.bias": f"b{size}.conv0.bias",
            f"convs.{index}.conv2.0.kernel": f"b{size}.conv1.resample_filter",
            f"convs.{index}.conv2.1.weight": f"b{size}.conv1.weight",
            f"convs.{index}.conv2.2.bias": f"b{size}.conv1.bias",
            f"convs.{index}.skip.0.kernel": f"b{size}.skip.resample_filter",
            f"convs.{index}.skip.1.weight": f"b{size}.skip.weight",
        }
    tensors = {names.get(name, name): record for name, record in state.items()}
    channels = {
        resolution >> (k - 1): _shape(tensors, f"b{resolution >> (k - 1)}.conv0.weight")[0] for k in range(1, octaves)
    }
    channels[4] = _shape(tensors, "b4.conv.weight")[0]
    channel_base, channel_max = detect_channels(channels)
    config = {"resolution": resolution, "channel_base": channel_base, "channel_max": channel_max}
    return NetworkWeights(config=config, tensors=tensors)


def _tensors(state: dict, entry: str) -> dict[str, TensorRecord]:
    wrong = [name for name, value in state.items() if not isinstance(name, str) or not isinstance(value, TensorRecord)]
    if wrong:
        raise WeightsError(f"{entry!r} must hold tensors by name, but {str(wrong[0])[:60]!r} is something else")
    return state


def _shape(tensors: dict[str, TensorRecord], name: str) -> tuple[int, ...]:
    shape = tensors[name].shape if name in tensors else ()
    if len(shape) < 2:
        raise WeightsError(f"no tensor for {name!r} of two dimensions or more: not a StyleGAN2 of this repository")
    return shape


def _resolution(octave: int) -> int:
    """4 px for octave 0."""
    return 4 << min(octave, 16)


def _layer(index: int) -> str:
    """Our name of its n-th convolution: b4.conv1, b8.conv0, b8.conv1, b16.conv0, …"""
    return f"synthesis.b{_resolution((index + 1) // 2)}.conv{1 - index % 2}"


def _in_layer(name: str) -> str:
    return _IN_LAYER.get(name, name)


def _our_name(name: str) -> str:
    """Our name for one of theirs; the name itself where there is none, to be reported as unexpected."""
    for pattern, ours in _GENERATOR_NAMES:
        if len(name) < 100 and (match := re.fullmatch(pattern, name)):
            return ours(match)
    return name


def _our_module(name: str) -> str:
    """Our module that keeps the filter of this one of theirs."""
    number = int(name.split(".")[1])
    return _layer(number + 1) if name.startswith("convs") else f"synthesis.b{_resolution(number + 1)}"
