"""Recipes: everything needed to draw a picture again, as JSON. They travel in files and links, so none is trusted."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gan_space.errors import InputError, raise_all
from gan_space.seeding import seed_faults
from gan_space.settings import brief, is_number, is_one_of, is_whole

TRUNCATIONS = ("mean", "centers")
NOISE_MODES = ("const", "random", "none")
UPSCALE_FACTORS = (1, 2, 4, 8, 16)
TRUNCATION_PSI = 0.7  # of faces that are drawn without another wish
MAX_TRUNCATION_PSI = 2.0
MAX_ATTRIBUTES, MAX_ATTRIBUTE_CHARS = 64, 64
MAX_INTERPOLATION_SEEDS, MAX_FRAMES_BETWEEN = 64, 240
MAX_W_PLUS_VALUES = 18 * 512  # the largest published StyleGAN2


def settings_faults(
    *, truncation_psi, truncation_cutoff, noise_mode, upscale_factor, label=None, truncation="mean"
) -> list[str]:
    """Return the faults of the settings that all pictures share; empty if they are fine."""
    faults = []
    if not is_number(truncation_psi) or not 0 <= truncation_psi <= MAX_TRUNCATION_PSI:
        faults.append(f"truncation_psi must be a number from 0 to {MAX_TRUNCATION_PSI:g}, got {brief(truncation_psi)}")
    if truncation_cutoff is not None and not (is_whole(truncation_cutoff) and 0 <= truncation_cutoff <= 64):
        faults.append(f"truncation_cutoff must be None or a number of layers, got {brief(truncation_cutoff)}")
    if not is_one_of(truncation, TRUNCATIONS):
        faults.append(f"truncation must be one of {', '.join(TRUNCATIONS)}, got {brief(truncation)}")
    if not is_one_of(noise_mode, NOISE_MODES):
        faults.append(f"noise_mode must be one of {', '.join(NOISE_MODES)}, got {brief(noise_mode)}")
    if not (is_whole(upscale_factor) and 1 <= upscale_factor <= 16) or upscale_factor not in UPSCALE_FACTORS:
        choices = ", ".join(map(str, UPSCALE_FACTORS))
        faults.append(f"upscale_factor must be one of {choices}, got {brief(upscale_factor)}")
    if label is not None and not (is_whole(label) and 0 <= label <= 1_000_000):
        faults.append(f"label must be None or the number of a class, got {brief(label)}")
    return faults


def attribute_faults(amounts: object) -> list[str]:
    """Return the faults of one {name: amount}; whether a model has these attributes is for its pipeline to say."""
    if not isinstance(amounts, Mapping) or len(amounts) > MAX_ATTRIBUTES:
        return [f"attributes must be up to {MAX_ATTRIBUTES} names with an amount each, got {brief(amounts)}"]
    faults = [
        f"the name of an attribute must be text of at most {MAX_ATTRIBUTE_CHARS} characters, got {brief(name)}"
        for name in amounts
        if not isinstance(name, str) or len(name) > MAX_ATTRIBUTE_CHARS
    ]
    return faults + [
        f"the amount of attribute {brief(name)} must be a number, got {brief(amount)}"
        for name, amount in amounts.items()
        if not is_number(amount)
    ]


@dataclass(frozen=True)
class _Recipe:
    model: str = ""
    revision: str = ""
    truncation: str = "mean"  # recipes older than the other kind do not have this entry
    truncation_psi: float = TRUNCATION_PSI
    truncation_cutoff: int | None = None
    noise_mode: str = "const"
    label: int | None = None
    upscale_factor: int = 1
    attributes: dict[str, float] | None = None

    def __post_init__(self) -> None:
        raise_all(self._faults(), InputError)

    def _faults(self) -> list[str]:
        faults = [
            f"{name} must be text of at most 200 characters, got {brief(value)}"
            for name, value in (("model", self.model), ("revision", self.revision))
            if not isinstance(value, str) or len(value) > 200
        ]
        if self.attributes is not None:
            faults += attribute_faults(self.attributes)
        return faults + settings_faults(
            truncation_psi=self.truncation_psi,
            truncation_cutoff=self.truncation_cutoff,
            noise_mode=self.noise_mode,
            upscale_factor=self.upscale_factor,
            label=self.label,
            truncation=self.truncation,
        )

    def to_dict(self) -> dict:
        """Return a JSON-able dict without the entries that are None, and without truncation towards the mean."""
        entries = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        if self.truncation == "mean":
            del entries["truncation"]
        return {name: value.item() if isinstance(value, np.generic) else value for name, value in entries.items()}


@dataclass(frozen=True)
class PortraitRecipe(_Recipe):
    """One picture: from a seed, from two seeds mixed or interpolated, or from a code.

    Args:
        seed: source of z, and of the noise if noise_mode is "random".
        replaces_seed: seed whose face came out broken, for which this one stands in; changes nothing in the picture.
        style_mixing_seed, style_mixing_layers: seed whose w takes over these layers (see `parse_layers`).
        attributes: {name: amount}, see `Directions.apply`; comes after mixing and interpolation.
        to_seed, position: the code is `position` (0 to 1) of the way to this seed's code.
        w_plus: the final code itself, see `encode_w_plus`; replaces all of the above but the noise.

    Raises:
        InputError: a value of the wrong type or out of range; all faults at once.
    """

    seed: int | None = None
    replaces_seed: int | None = None
    style_mixing_seed: int | None = None
    style_mixing_layers: str | None = None
    to_seed: int | None = None
    position: float | None = None
    w_plus: dict | None = None

    def _faults(self) -> list[str]:
        faults = super()._faults()
        for name in ("seed", "replaces_seed", "style_mixing_seed", "to_seed"):
            if getattr(self, name) is not None:
                faults += seed_faults(name, [getattr(self, name)])
        if self.seed is None and self.w_plus is None:
            faults.append("a recipe needs a seed or a w_plus, got neither")
        if self.style_mixing_layers is not None and (
            not isinstance(self.style_mixing_layers, str) or len(self.style_mixing_layers) > 100
        ):
            faults.append(f"style_mixing_layers must be text such as 'coarse', got {brief(self.style_mixing_layers)}")
        if (self.style_mixing_seed is None) != (self.style_mixing_layers is None):
            faults.append("style_mixing_seed and style_mixing_layers go together, got only one of them")
        if (self.to_seed is None) != (self.position is None):
            faults.append("to_seed and position go together, got only one of them")
        if self.position is not None and not (is_number(self.position) and 0 <= self.position <= 1):
            faults.append(f"position must be a number from 0 to 1, got {brief(self.position)}")
        if self.w_plus is not None:
            try:
                decode_w_plus(self.w_plus)
            except InputError as error:
                faults.append(str(error))
        return faults


@dataclass(frozen=True)
class InterpolationRecipe(_Recipe):
    """A walk through several seeds, see `interpolation_positions`.

    Raises:
        InputError: a value of the wrong type or out of range; all faults at once.
    """

    seeds: list[int] = dataclasses.field(default_factory=list)
    frames_between: int = 11
    loop: bool = True

    def _faults(self) -> list[str]:
        faults = super()._faults()
        if not isinstance(self.seeds, list) or not 2 <= len(self.seeds) <= MAX_INTERPOLATION_SEEDS:
            faults.append(f"seeds must be a list of 2 to {MAX_INTERPOLATION_SEEDS} numbers, got {brief(self.seeds)}")
        else:
            faults += seed_faults("seeds", self.seeds)
        if not (is_whole(self.frames_between) and 0 <= self.frames_between <= MAX_FRAMES_BETWEEN):
            faults.append(f"frames_between must be 0 to {MAX_FRAMES_BETWEEN}, got {brief(self.frames_between)}")
        if not isinstance(self.loop, bool):
            faults.append(f"loop must be true or false, got {brief(self.loop)}")
        return faults


def parse_recipe(content: object) -> PortraitRecipe | InterpolationRecipe:
    """Check a dict that came from outside and turn it into a recipe.

    Raises:
        InputError: not a dict, an unknown entry, or a value that does not work; all faults at once.
    """
    if not isinstance(content, dict):
        raise InputError(f"a recipe is an object with named entries, got {type(content).__name__}")
    kind = InterpolationRecipe if "seeds" in content else PortraitRecipe
    known = {field.name for field in dataclasses.fields(kind)}
    unknown = sorted(str(key)[:40] for key in content if key not in known)
    if unknown:
        raise InputError(f"unknown entries in a recipe: {', '.join(unknown[:8])}; known are {', '.join(sorted(known))}")
    return kind(**content)


def encode_w_plus(code: Tensor) -> dict:
    """Write [num_ws, w_dim] as a shape and little-endian float32 in base64: exact, half as long as digits."""
    array = code.detach().float().cpu().numpy().astype("<f4")
    return {"shape": list(array.shape), "float32": base64.b64encode(array.tobytes()).decode()}


def decode_w_plus(content: object) -> Tensor:
    """Return the inverse of `encode_w_plus`: [num_ws, w_dim] float32. InputError if it is anything else."""
    shape = content.get("shape") if isinstance(content, dict) else None
    if (
        not isinstance(shape, list)
        or len(shape) != 2
        or not all(is_whole(size) and 1 <= size <= 4096 for size in shape)
        or math.prod(shape) > MAX_W_PLUS_VALUES
        or not isinstance(content.get("float32"), str)
    ):
        raise InputError("w_plus must hold a shape [num_ws, w_dim] and the base64 text float32")
    try:
        values = np.frombuffer(base64.b64decode(content["float32"], validate=True), "<f4")
    except (binascii.Error, ValueError) as error:
        raise InputError(f"w_plus.float32 is no base64 of float32 numbers: {error}") from error
    if values.size != math.prod(shape) or not np.isfinite(values).all():
        raise InputError(f"w_plus must hold {math.prod(shape)} finite numbers for shape {shape}, got {values.size}")
    return torch.from_numpy(values.astype(np.float32).reshape(shape))
