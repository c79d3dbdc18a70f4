"""Named directions in W+: what moves which way when a person asks for more smile or fewer years.

A direction is one vector a row of w_plus, zero in the rows that it leaves alone (a direction in W with a layer range).
Editing adds multiples of it (InterFaceGAN, Shen et al. 2020): w_plus + 1.5 · smile. Lengths are calibrated when
directions are made (`training/directions/fit.py`): an amount of 1 changes the attribute by one standard deviation among
the generator's own faces, for every attribute alike, and `safe_range` says how far faces still look like faces.

A model folder keeps them in `directions/`: the vectors in directions.safetensors, all else in directions.json.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import torch
from torch import Tensor

from gan_space.errors import InputError, WeightsError, raise_all
from gan_space.foreign_files import value_faults
from gan_space.hub import HubOptions, resolve_folder
from gan_space.latents.record_files import read_record, write_record
from gan_space.latents.refused import refused_word
from gan_space.models.hashing import weights_sha256
from gan_space.settings import is_number

if TYPE_CHECKING:
    from gan_space.models.generator import Generator

FORMAT_VERSION = 1
DIRECTIONS_FOLDER = "directions"
STEM = "directions"  # of both files
WEIGHTS_FILE, INFO_FILE = f"{STEM}.safetensors", f"{STEM}.json"
_TYPES = {"base_hash": str, "base_model": str, "directions": list, "record": dict}
LANGUAGES = ("en", "zh-CN")
HARD_LIMIT = 1.5  # times the safe range; beyond, an amount is refused
MAX_PHOTO_SCALE = 1.5  # further out, photos came out bright and smooth, whatever the scores said
MAX_DIRECTIONS = 64

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True, eq=False)
class Direction:
    """One attribute that can be changed.

    Args:
        name: lower case letters, digits and "_".
        vector: [num_ws, w_dim] float32, what an amount of 1 adds to w_plus; zero in the rows left alone.
        label: what people read, by language; English if a language is missing.
        group: sliders of one group stand together, such as "expression".
        safe_range: smallest and largest amount at which faces still look like those of the generator.
        step: how much an amount of 1 changes the attribute, in `unit`; None where nothing measures it.
        unit: "years", "logit", …
        success: share of faces that arrive at both ends of the safe range; None where not measured.
        monotone: share of faces whose attribute never goes back along the way; None where not measured.
        identity: how far from the person, at the ends of the safe range: 0 is the same face, 1 as different as two
            people are on average; None where not measured.
        effects: what an amount of 1 does to each attribute, itself included, in standard deviations of that attribute.
        photo_scale: how many times further the code of a photo has to move for the same visible step, from 1 to 1.5.
        on_photos: whether its change convinces in a photo, to be judged by eye; else it is for drawn faces alone.

    Raises:
        InputError: something does not fit, or the direction is for race or skin tone; all faults at once.
    """

    name: str
    vector: Tensor
    label: Mapping[str, str] = field(default_factory=dict)
    group: str = "other"
    safe_range: tuple[float, float] = (-3.0, 3.0)
    step: float | None = None
    unit: str = ""
    success: float | None = None
    monotone: float | None = None
    identity: float | None = None
    effects: Mapping[str, float] = field(default_factory=dict)
    photo_scale: float = 1.0
    on_photos: bool = True

    def __post_init__(self) -> None:
        raise_all(self._faults(), InputError)
        label = {"en": self.name.replace("_", " ").capitalize(), **self.label}
        object.__setattr__(self, "label", label)
        object.__setattr__(self, "safe_range", tuple(float(end) for end in self.safe_range))
        object.__setattr__(self, "vector", self.vector.detach().to("cpu", torch.float32).contiguous())

    def _faults(self) -> list[str]:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            return [f"a direction's name must be up to 40 of a-z, 0-9 and _, got {self.name!r}"]
        about = f"direction {self.name!r}"
        faults = []
        vector = self.vector
        if not isinstance(vector, Tensor) or vector.ndim != 2 or not vector.isfinite().all() or not vector.any():
            shape = list(vector.shape) if isinstance(vector, Tensor) else type(vector).__name__
            faults.append(f"{about} needs finite numbers [num_ws, w_dim] that are not all zero, got {shape}")
        if not isinstance(self.label, Mapping) or not all(
            key in LANGUAGES and isinstance(text, str) and 0 < len(text) <= 60 for key, text in self.label.items()
        ):
            faults.append(f"{about}: label must hold text of up to 60 characters for {', '.join(LANGUAGES)}")
        if not all(isinstance(text, str) and len(text) <= 40 for text in (self.group, self.unit)):
            faults.append(f"{about}: group and unit must be text of up to 40 characters")
        ends = self.safe_range
        if not (
            isinstance(ends, Sequence) and len(ends) == 2 and all(map(is_number, ends)) and ends[0] <= 0 <= ends[1]
        ):
            faults.append(f"{about}: safe_range must be two numbers around 0, got {ends!r}")
        for key in ("step", "success", "monotone", "identity"):
            if getattr(self, key) is not None and not is_number(getattr(self, key)):
                faults.append(f"{about}: {key} must be a number or missing, got {getattr(self, key)!r}")
        if not isinstance(self.effects, Mapping) or not all(
            isinstance(key, str) and is_number(value) for key, value in self.effects.items()
        ):
            faults.append(f"{about}: effects must hold a number for each attribute")
        if not is_number(self.photo_scale) or not 1 <= self.photo_scale <= MAX_PHOTO_SCALE:
            faults.append(f"{about}: photo_scale must be from 1 to {MAX_PHOTO_SCALE:g}, got {self.photo_scale!r}")
        if not isinstance(self.on_photos, bool):
            faults.append(f"{about}: on_photos must be true or false, got {self.on_photos!r}")
        words = [self.name, *(self.label.values() if isinstance(self.label, Mapping) else ())]
        found = next((word for text in words if isinstance(text, str) and (word := refused_word(text))), None)
        if found:
            faults.append(f"{about} is refused ({found!r}): there is no direction for race or skin tone")
        return faults

    @property
    def layers(self) -> tuple[int, ...]:
        """Rows of w_plus that it changes."""
        return tuple(torch.nonzero(self.vector.abs().sum(dim=1)).flatten().tolist())

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest amount that is taken at all."""
        return self.safe_range[0] * HARD_LIMIT, self.safe_range[1] * HARD_LIMIT

    @property
    def leak(self) -> dict[str, float]:
        """How many standard deviations every other attribute changes (signed) while this one changes by one."""
        own = self.effects.get(self.name, 1.0)
        return {name: effect / own for name, effect in self.effects.items() if name != self.name and own}

    def text(self, language: str) -> str:
        """Return its label in "en" or "zh-CN"."""
        return self.label.get(language, self.label["en"])


@dataclass(frozen=True, eq=False)
class Directions:
    """The directions of one generator.

    Args:
        items: each with its own name, all of one shape.
        base_hash: `generator_hash` of the generator that they were made for.
        base_model: name of that model, for messages.
        record: how they were made and measured; anything that JSON can express.

    Raises:
        InputError: directions that do not fit each other.

    Example:
        >>> smile = Direction("smile", torch.ones(6, 8), safe_range=(-2, 2))
        >>> directions = Directions((smile,), base_hash="0" * 64)
        >>> directions.apply(torch.zeros(1, 6, 8), {"smile": 1.5})[0, 0, 0].item()
        1.5
    """

    items: tuple[Direction, ...]
    base_hash: str
    base_model: str = ""
    record: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "items", tuple(self.items))
        names, shapes = [one.name for one in self.items], {tuple(one.vector.shape) for one in self.items}
        faults = []
        if not 1 <= len(names) <= MAX_DIRECTIONS:
            faults.append(f"expected 1 to {MAX_DIRECTIONS} directions, got {len(names)}")
        if len(set(names)) != len(names):
            faults.append(
                f"names must differ, got {', '.join(sorted(n for n in set(names) if names.count(n) > 1))} twice"
            )
        if len(shapes) > 1:
            faults.append(f"directions of different shapes: {sorted(shapes)}")
        if not isinstance(self.base_hash, str) or not re.fullmatch("[0-9a-f]{64}", self.base_hash):
            faults.append(f"base_hash must be 64 hexadecimal digits, got {self.base_hash!r}")
        raise_all(faults, InputError)

    def __iter__(self) -> Iterator[Direction]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> Direction:
        for one in self.items:
            if one.name == name:
                return one
        raise InputError(f"no direction {name!r}; this model has {', '.join(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """All names, in the order of the sliders."""
        return tuple(one.name for one in self.items)

    @property
    def shape(self) -> tuple[int, int]:
        """(num_ws, w_dim) of the generator."""
        return tuple(self.items[0].vector.shape)

    def faults(self, amounts: Mapping[str, float]) -> list[str]:
        """Say what is wrong with {name: amount}; empty if `apply` takes it."""
        faults = []
        for name, amount in amounts.items():
            if name not in self:
                faults.append(f"this model cannot change {name!r}; it has {', '.join(self.names)}")
                continue
            low, high = self[name].limits
            if not is_number(amount) or not low <= amount <= high:
                safe = self[name].safe_range
                faults.append(
                    f"{name} must be a number from {low:g} to {high:g} (faces stay faces from {safe[0]:g} to "
                    f"{safe[1]:g}), got {amount!r}"
                )
        return faults

    def shift(self, amounts: Mapping[str, float]) -> Tensor:
        """Return what these amounts add to a code: [num_ws, w_dim] float32 on the CPU.

        Raises:
            InputError: an unknown name, or an amount beyond 1.5 times the safe range; all faults at once.
        """
        raise_all(self.faults(amounts), InputError)
        total = torch.zeros(self.shape)
        for name in sorted(amounts):  # the order in which a user named them must not change the last bit
            total += float(amounts[name]) * self[name].vector
        return total

    def apply(self, w_plus: Tensor, amounts: Mapping[str, float], keep: Sequence[str] = ()) -> Tensor:
        """Move codes along directions.

        Args:
            w_plus: [N, num_ws, w_dim]; not changed.
            amounts: such as {"smile": 1.5, "age": -1}.
            keep: attributes that must not change with them, see `compensated`.

        Returns:
            [N, num_ws, w_dim], as `w_plus` in format and device.

        Raises:
            InputError: codes of another shape, an unknown name, an amount beyond 1.5 times the safe range.
        """
        if w_plus.ndim != 3 or tuple(w_plus.shape[1:]) != self.shape:
            raise InputError(f"expected codes [N, {self.shape[0]}, {self.shape[1]}], got {list(w_plus.shape)}")
        amounts = self.compensated(amounts, keep) if keep else amounts
        return w_plus + self.shift(amounts).to(w_plus)

    def compensated(self, amounts: Mapping[str, float], keep: Sequence[str]) -> dict[str, float]:
        """Add amounts of the attributes in `keep` that undo what the wanted ones do to them, as measured.

        Args:
            amounts: what is wanted.
            keep: names that are not in `amounts`.

        Returns:
            The amounts wanted, and those that compensate them. Where effects add up, as they nearly do for small
            amounts, the attributes in `keep` then stay what they are.

        Raises:
            InputError: a name that is unknown or in both; effects that were not measured or cannot be told apart; a
                compensation out of range.
        """
        known = [name for name in dict.fromkeys(keep) if name in self]
        faults = self.faults(amounts)
        faults += [f"cannot keep {name!r}; this model has {', '.join(self.names)}" for name in keep if name not in self]
        faults += [f"{name!r} is to be changed and to be kept; choose one" for name in known if name in amounts]
        involved = [name for name in dict.fromkeys([*amounts, *known]) if name in self]
        missing = [f"{a} on {b}" for a in involved for b in known if b not in self[a].effects]
        if missing:
            faults.append(f"keeping attributes needs the measured effects of {', '.join(missing)}")
        raise_all(faults, InputError)
        if not known or not amounts:
            return dict(amounts)
        effects = torch.tensor([[self[a].effects[b] for b in known] for a in involved], dtype=torch.float64)
        moved, movers = effects[: len(amounts)], effects[len(amounts) :]  # [A, K], [K, K]
        if torch.linalg.cond(movers) > 100:
            raise InputError(f"{', '.join(known)} change together and cannot all be kept; keep fewer of them")
        wanted = torch.tensor([float(amounts[name]) for name in amounts], dtype=torch.float64)
        undo = torch.linalg.solve(movers.T, -(wanted @ moved))  # undo @ movers = -wanted @ moved
        result = {**amounts, **dict(zip(known, undo.tolist(), strict=True))}
        raise_all(self.faults(result), InputError)
        return result

    def made_for(self, generator: Generator) -> Directions:
        """Return the same, bound to these weights: for the same network in another format."""
        return dataclasses.replace(self, base_hash=generator_hash(generator))

    def check_fits(self, generator: Generator) -> None:
        """Raise WeightsError unless they were made for exactly these weights."""
        expected = (generator.num_ws, generator.config.w_dim)
        if self.shape != expected:
            raise WeightsError(f"these directions are for w_plus {self.shape}, but the generator has {expected}")
        found = generator_hash(generator)
        if found != self.base_hash:
            raise WeightsError(
                f"these directions were made for {self.base_model or 'another generator'} with weights "
                f"{self.base_hash[:12]}, but this generator has {found[:12]}: a direction means nothing in another "
                "network. Make them anew with training/directions/fit.py, or remove the folder directions/."
            )

    def for_photos(self) -> Directions:
        """Return the same directions, each as far as the code of a photo has to move, see `Direction.photo_scale`."""
        items = [dataclasses.replace(one, vector=one.photo_scale * one.vector, photo_scale=1.0) for one in self.items]
        return dataclasses.replace(self, items=tuple(items))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write directions.safetensors and directions.json into `folder`, which is made if need be."""
        entries = []
        for one in self.items:
            entry = {item.name: getattr(one, item.name) for item in dataclasses.fields(one) if item.name != "vector"}
            entry |= {"label": dict(one.label), "effects": dict(one.effects), "safe_range": list(one.safe_range)}
            entries.append({**entry, "layers": list(one.layers)})
        content = {"base_hash": self.base_hash, "base_model": self.base_model, "directions": entries}
        content["record"] = dict(self.record)
        vectors = {one.name: one.vector for one in self.items}
        write_record(Path(folder), STEM, FORMAT_VERSION, vectors, content)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Unpack[HubOptions]) -> Directions:
        """Read what `save_pretrained` wrote; nothing in it is believed unchecked.

        Args:
            name_or_path: folder, or Hub repository "user/name".
            options: see `hub.HubOptions`; subfolder is "directions" in a model.

        Raises:
            InputError: neither folder nor Hub id, or a revision given for a folder.
            WeightsError: a file is missing, damaged, of another version, or does not fit the other one.
        """
        folder = resolve_folder(name_or_path, **options)
        vectors, info = read_record(folder, STEM, FORMAT_VERSION, _TYPES)
        if not all(isinstance(entry, dict) for entry in info["directions"]):
            raise WeightsError(f"{folder / INFO_FILE}: directions must be a list of objects")
        raise_all([f"{folder / WEIGHTS_FILE}: {fault}" for fault in value_faults(vectors)], WeightsError)
        names = [entry.get("name") for entry in info["directions"]]
        if sorted(map(str, names)) != sorted(vectors):
            raise WeightsError(f"{folder}: {INFO_FILE} names {names}, but {WEIGHTS_FILE} holds {sorted(vectors)}")
        items, faults = [], []
        known = {item.name for item in dataclasses.fields(Direction)} - {"vector"} | {"layers"}
        for entry in info["directions"]:
            unknown = sorted(set(entry) - known)
            if unknown:
                faults.append(f"direction {entry['name']!r} has unknown entries {unknown}; known are {sorted(known)}")
                continue
            settings = {key: value for key, value in entry.items() if key != "layers"}
            try:
                one = Direction(vector=vectors[entry["name"]], **settings)
            except InputError as error:
                faults.append(str(error))
                continue
            if list(one.layers) != entry.get("layers"):
                faults.append(f"direction {one.name!r} changes layers {list(one.layers)}, not {entry.get('layers')}")
            items.append(one)
        raise_all([f"{folder / INFO_FILE}: {fault}" for fault in faults], WeightsError)
        try:
            return cls(tuple(items), info["base_hash"], info["base_model"], info["record"])
        except InputError as error:
            raise WeightsError(f"{folder}: {error}") from error


def generator_hash(generator: Generator) -> str:
    """Say which generator directions belong to: `weights_sha256` of its weights in float32."""
    return weights_sha256(generator, dtype=torch.float32)
