"""What callers hand to a generation pipeline, checked: each function returns what it made of it and the faults found.

The pipeline collects the faults of all arguments and raises them together.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from gan_space.errors import InputError
from gan_space.latents.directions import Directions
from gan_space.latents.layers import parse_layers
from gan_space.models.generator import Generator
from gan_space.pipelines.recipe import attribute_faults
from gan_space.seeding import seed_faults
from gan_space.settings import MAX_SEED, as_list, brief, is_one_of, is_whole

OUTPUT_TYPES = ("pil", "pt", "np")


def output_faults(output_type, batch_size, upscale_factor) -> list[str]:
    """Return the faults of how the pictures are wanted."""
    faults = []
    if not is_one_of(output_type, OUTPUT_TYPES):
        faults.append(f"output_type must be one of {', '.join(OUTPUT_TYPES)}, got {brief(output_type)}")
    elif output_type != "pil" and is_whole(upscale_factor) and upscale_factor != 1:
        faults.append(f"upscale_factor works for output_type 'pil' only, got {output_type!r}")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        faults.append(f"batch_size must be a whole number of 1 or more, got {batch_size!r}")
    return faults


def range_faults(**settings: tuple[object, float]) -> list[str]:
    """Return the faults of name=(value, largest) where the smallest is 0."""
    return [
        f"{name} must be a number from 0 to {top:g}, got {value!r}"
        for name, (value, top) in settings.items()
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= top
    ]


def check_codes(w_plus, generator: Generator) -> tuple[Tensor | None, list[str]]:
    """Return [N, num_ws, w_dim] float32 on the generator's device, or None where no codes are given."""
    if w_plus is None:
        return None, []
    expected = (generator.num_ws, generator.config.w_dim)
    try:
        codes = _to_tensor(w_plus)
    except (TypeError, ValueError, RuntimeError):  # torch raises any of them for what holds no numbers
        codes = None
    if codes is None:
        shape = f"[N, {expected[0]}, {expected[1]}]"
        return None, [f"w_plus must be a tensor or an array {shape} of numbers, got {brief(w_plus)}"]
    if codes.ndim != 3 or tuple(codes.shape[1:]) != expected or len(codes) == 0:
        shape = list(codes.shape)
        return None, [f"w_plus must have shape [N, {expected[0]}, {expected[1]}] with N of 1 or more, got {shape}"]
    if not codes.isfinite().all():
        return None, ["w_plus must hold finite numbers, got some that are NaN or infinite"]
    return codes.to(generator.device), []


def _to_tensor(numbers) -> Tensor | None:
    """A tensor, an array of any layout or a list of either as float32; None for what holds other than numbers."""
    if isinstance(numbers, Sequence) and any(isinstance(one, Tensor) for one in numbers):
        numbers = torch.stack(list(numbers))
    if isinstance(numbers, Tensor):
        return None if numbers.is_complex() else numbers.detach().to(torch.float32)
    array = np.asarray(numbers)
    if array.dtype.kind not in "biuf":
        return None
    with np.errstate(over="ignore"):  # a number too large for float32 becomes infinite, which is refused in words
        return torch.from_numpy(np.array(array, np.float32, order="C"))


def choose_seeds(seeds, num_images, codes, noise_mode) -> tuple[list[int | None], list[str]]:
    """Return one seed a picture: those given, those drawn, or None for codes that need no seed."""
    faults = []
    if num_images is not None and (isinstance(num_images, bool) or not isinstance(num_images, int) or num_images < 1):
        faults.append(f"num_images must be a whole number of 1 or more, got {num_images!r}")
        num_images = None
    if seeds is None:
        wanted = len(codes) if codes is not None else num_images or 1
        if codes is not None and num_images not in (None, wanted):
            faults.append(f"num_images is {num_images}, but w_plus holds {wanted} codes; leave num_images out")
        needs_seed = codes is None or noise_mode == "random"
        return [secrets.randbelow(MAX_SEED + 1) if needs_seed else None for _ in range(wanted)], faults
    given, seeds = seeds, as_list(seeds)
    if seeds is None:
        return [], [*faults, f"seeds must be a list of numbers, got {brief(given)}"]
    if len(seeds) == 0:
        faults.append("seeds is empty: give one seed a picture, or None for random ones")
    if codes is not None and len(seeds) != len(codes):
        faults.append(f"w_plus holds {len(codes)} codes, but there are {len(seeds)} seeds")
    if num_images is not None and num_images != len(seeds):
        faults.append(f"num_images is {num_images}, but there are {len(seeds)} seeds; leave num_images out")
    wrong = seed_faults("seeds", seeds)
    return ([0] * len(seeds) if wrong else [int(seed) for seed in seeds]), faults + wrong


def check_stops(seeds: object) -> tuple[list, list[str]]:
    """Return the seeds of an interpolation as a list, which its recipe then looks at one by one."""
    stops = as_list(seeds)
    return ([0, 0], [f"seeds must be a list of numbers, got {brief(seeds)}"]) if stops is None else (stops, [])


def check_style_mixing(style_seeds, layers, total: int, num_ws: int) -> tuple[list[int] | None, list[str]]:
    """Return one style seed a picture, or None where styles are not mixed."""
    if style_seeds is None and layers is None:
        return None, []
    if style_seeds is None or layers is None:
        given, missing = ("style_mixing_layers", "style_mixing_seeds")[:: 1 if style_seeds is None else -1]
        return None, [f"{given} is given without {missing}; give both", *_layer_faults(layers, num_ws)]
    if isinstance(style_seeds, int | np.integer):
        style_seeds = [style_seeds]
    given, style_seeds = style_seeds, as_list(style_seeds)
    if style_seeds is None:
        wrong = f"style_mixing_seeds must be a list of numbers, got {brief(given)}"
        return None, [wrong, *_layer_faults(layers, num_ws)]
    faults = seed_faults("style_mixing_seeds", style_seeds) + _layer_faults(layers, num_ws)
    if len(style_seeds) not in (1, total):
        faults.append(f"style_mixing_seeds must be 1 or {total}, got {len(style_seeds)}")
    if faults:
        return None, faults
    return [int(seed) for seed in style_seeds] * (total if len(style_seeds) == 1 else 1), []


def _layer_faults(layers, num_ws: int) -> list[str]:
    if layers is None:
        return []
    if not isinstance(layers, str):
        return [f"style_mixing_layers must be text such as 'coarse' or '3-7', got {brief(layers)}"]
    try:
        parse_layers(layers, num_ws)
    except InputError as error:
        return [str(error)]
    return []


def check_labels(labels, total: int, c_dim: int, *, needed: bool) -> tuple[list[int | None], list[str]]:
    """Return one class number a picture; None for each where the network has no classes or none are needed."""
    none = [None] * total
    if labels is None:
        if c_dim and needed:
            return none, [f"this network draws {c_dim} classes: give labels from 0 to {c_dim - 1}"]
        return none, []
    if not c_dim:
        return none, [f"this network has no classes, leave labels out; got {brief(labels)}"]
    numbers = [labels] * total if isinstance(labels, int | np.integer) else as_list(labels)
    if numbers is None:
        return none, [f"labels must be one number or a list of {total}, got {brief(labels)}"]
    if len(numbers) != total:
        return none, [f"labels must be one number or {total}, got {len(numbers)}"]
    faults = [
        f"labels must be from 0 to {c_dim - 1}, got {number!r}"
        for number in numbers
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or not 0 <= number < c_dim
    ]
    return none if faults else [int(number) for number in numbers], faults


def check_attributes(
    attributes: Mapping[str, float] | Sequence[Mapping[str, float]] | None, total: int, directions: Directions | None
) -> tuple[list[dict[str, float]], list[str]]:
    """Return one {name: amount} a picture, without the amounts that are zero."""
    none: list[dict[str, float]] = [{} for _ in range(total)]
    if attributes is None:
        return none, []
    given = [attributes] * total if isinstance(attributes, Mapping) else attributes
    if isinstance(given, str) or not isinstance(given, Sequence):
        return none, [f"attributes must be one dict such as {{'smile': 1}} or a list of dicts, got {brief(attributes)}"]
    if len(given) != total:
        return none, [f"attributes must be one dict or {total}, got {len(given)}"]
    faults = list(dict.fromkeys(fault for amounts in given for fault in attribute_faults(amounts)))
    if faults:
        return none, faults
    wanted = [{name: float(amount) for name, amount in amounts.items() if amount} for amounts in given]
    if not any(wanted):
        return wanted, []
    if directions is None:
        names = ", ".join(sorted({name for amounts in wanted for name in amounts}))
        return none, [
            f"this model has no directions (its folder has no directions/), so it cannot change {names}; "
            "leave attributes out, or make directions with training/directions/fit.py"
        ]
    faults = list(dict.fromkeys(fault for amounts in wanted for fault in directions.faults(amounts)))
    return (none, faults) if faults else (wanted, [])
