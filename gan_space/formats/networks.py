"""From the weights that a foreign file holds, under our names, to our networks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.errors import ConfigError, WeightsError
from gan_space.formats.records import TensorRecord
from gan_space.formats.torch_files import materialize
from gan_space.models.discriminator import Discriminator
from gan_space.models.generator import Generator
from gan_space.nn.fir import make_filter
from gan_space.seeding import latents_from_seeds

W_AVG_SEEDS = 4096  # latents whose mean w replaces a w_avg that the file does not have
FILTER_TOLERANCE = 1e-5
MAX_MAPPING_LAYERS = 256


@dataclass
class NetworkWeights:
    """One network of a foreign file, under our names, before anything is loaded.

    Attributes:
        config: arguments of our class.
        tensors: by our names; shapes may differ from ours by dimensions of length one.
        scales: factors for some of them.
        noise_seeds: names and seeds of noise_const that the file leaves out.
        estimate_w_avg: the file has no average w.
        notes: what the user should know about the conversion.
    """

    config: dict[str, Any]
    tensors: dict[str, TensorRecord]
    scales: dict[str, float] = field(default_factory=dict)
    noise_seeds: dict[str, int] = field(default_factory=dict)
    estimate_w_avg: bool = False
    notes: list[str] = field(default_factory=list)


def detect_channels(channels: dict[int, int]) -> tuple[int, int]:
    """Return (channel_base, channel_max) such that min(base // resolution, max) gives these numbers of feature maps.

    Raises:
        WeightsError: there are none.

    Example:
        >>> detect_channels({4: 512, 8: 512, 16: 512, 32: 512, 64: 512, 128: 256})
        (32768, 512)
    """
    channel_max = max(channels.values())
    below = {size: count for size, count in channels.items() if count < channel_max}
    # count = base // size leaves base between count * size and (count + 1) * size - 1.
    lowest = max((count * size for size, count in below.items()), default=channel_max * max(channels))
    # A rounder base than the smallest one, such as 32768, where it gives the same network.
    rounded = 1 << (lowest - 1).bit_length()
    for base in (rounded, lowest):
        if all(min(base // size, channel_max) == count for size, count in channels.items()):
            return base, channel_max
    listed = ", ".join(f"{count} at {size} px" for size, count in sorted(channels.items()))
    raise WeightsError(
        f"feature maps of {listed} do not follow min(channel_base / resolution, channel_max), as ours do"
    )


def build_generator(weights: NetworkWeights, max_bytes: int) -> Generator:
    """Build our generator with these weights, in eval mode; raises WeightsError as `load_into` does."""
    generator = _build(Generator, weights, max_bytes)
    if weights.estimate_w_avg:
        _estimate_w_avg(generator)
        weights.notes.append(
            f"the file has no average w; it was estimated from {W_AVG_SEEDS} latents, so truncated pictures may differ "
            "a little from those of the original code"
        )
    return generator


def build_discriminator(weights: NetworkWeights, max_bytes: int) -> Discriminator:
    """Build our discriminator with these weights, in eval mode; raises WeightsError as `load_into` does."""
    return _build(Discriminator, weights, max_bytes)


def _build(network_class: type, weights: NetworkWeights, max_bytes: int):
    expected = sum(_num_bytes(record) for record in weights.tensors.values())
    if expected > max_bytes:
        raise WeightsError(f"the tensors claim {expected:,} bytes, the file has {max_bytes:,}: not a sound checkpoint")
    if (depth := weights.config.get("num_mapping_layers", 0)) > MAX_MAPPING_LAYERS:
        raise WeightsError(f"a mapping network of {depth:,} layers; up to {MAX_MAPPING_LAYERS} are built")
    try:
        with torch.device("meta"):  # shapes first: nothing is allocated for a network that does not fit
            shapes = {name: tuple(value.shape) for name, value in network_class(**weights.config).state_dict().items()}
    except (ConfigError, RuntimeError, ValueError) as error:
        raise WeightsError(f"a network of this size cannot be built: {error}") from error
    _check_names_and_shapes(weights, shapes)
    network = network_class(**weights.config)
    network.load_state_dict(_load_values(weights, shapes, max_bytes))
    return network.eval().requires_grad_(False)


def _num_bytes(record: TensorRecord) -> int:
    total = getattr(torch, record.storage.dtype).itemsize
    for size in record.shape:
        total *= max(size, 0)
    return total


def _check_names_and_shapes(weights: NetworkWeights, shapes: dict[str, tuple[int, ...]]) -> None:
    """Raise WeightsError naming what is missing, left over or of another shape."""
    given = {name: record.shape for name, record in weights.tensors.items()}
    filled = set(weights.noise_seeds) | {name for name in shapes if name.endswith("resample_filter")}
    if weights.estimate_w_avg:
        filled.add("mapping.w_avg")
    faults = {
        "missing": sorted(set(shapes) - set(given) - filled),
        "unexpected": sorted(set(given) - set(shapes)),
        "of another shape": sorted(
            f"{name} {list(given[name])[:8]} instead of {list(shapes[name])}"
            for name in set(given) & set(shapes)
            if _without_ones(given[name]) != _without_ones(shapes[name])
        ),
    }
    texts = [
        f"{kind}: {', '.join(names[:4])}{f' and {len(names) - 4} more' if len(names) > 4 else ''}"
        for kind, names in faults.items()
        if names
    ]
    if texts:
        raise WeightsError(
            f"the tensors are not those of a StyleGAN2 of {weights.config['resolution']} px ({'; '.join(texts)})"
        )


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size != 1)


def _load_values(weights: NetworkWeights, shapes: dict[str, tuple[int, ...]], max_bytes: int) -> dict[str, Tensor]:
    values = {
        name: value.reshape(shapes[name]) * weights.scales.get(name, 1.0)
        for name, value in materialize(weights.tensors, max_bytes).items()
    }
    for name, seed in weights.noise_seeds.items():
        values[name] = latents_from_seeds([seed], shapes[name][0] * shapes[name][1]).reshape(shapes[name])
    ours = make_filter()
    for name in shapes:
        if not name.endswith("resample_filter"):
            continue
        if name in values and (values[name] - ours).abs().max() > FILTER_TOLERANCE:
            raise WeightsError(f"{name} is another filter than [1, 3, 3, 1], the only one that our layers use")
        values[name] = ours.clone()
    if weights.estimate_w_avg:
        values["mapping.w_avg"] = torch.zeros(shapes["mapping.w_avg"])
    return values


@torch.no_grad()
def _estimate_w_avg(generator: Generator) -> None:
    """Set w_avg to the mean w of many latents; for a network with labels, of labels in turn."""
    c_dim = generator.config.c_dim
    total = torch.zeros(generator.config.w_dim, dtype=torch.float64)
    for start in range(0, W_AVG_SEEDS, 512):
        z = latents_from_seeds(range(start, start + 512), generator.config.z_dim)
        c = F.one_hot(torch.arange(start, start + 512) % c_dim, c_dim).float() if c_dim else None
        total += generator.mapping(z, c)[:, 0].double().sum(dim=0)
    generator.mapping.w_avg.copy_(total / W_AVG_SEEDS)
