"""Settings said once: a field of a frozen dataclass with its default, its range or choices, and a line of help.

Pipelines check their arguments by them, the command line makes its options from them, and the page its controls.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

MAX_SEED = 2**32 - 1  # what np.random.RandomState takes


@dataclass(frozen=True)
class Setting:
    """What there is to say about one setting.

    Args:
        help: one line for people.
        choices: the values that are allowed; empty for any.
        low, high: the range of a number, both ends allowed; None: no number.
        whole: only whole numbers.
        optional: None is allowed too.
    """

    help: str
    choices: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    whole: bool = False
    optional: bool = False

    def fault(self, name: str, value: object, kind: type | None = None) -> str:
        """Say what is wrong with a value, "" if nothing."""
        if value is None and self.optional:
            return ""
        or_none = " or None" if self.optional else ""
        if self.choices:
            fine = is_one_of(value, self.choices)
            return "" if fine else f"{name} must be one of {', '.join(self.choices)}{or_none}, got {brief(value)}"
        if self.low is not None:
            fine = (is_whole(value) if self.whole else is_number(value)) and self.low <= value <= self.high
            noun = "a whole number" if self.whole else "a number"
            expected = f"{noun} from {self.low:g} to {self.high:g}{or_none}"
            return "" if fine else f"{name} must be {expected}, got {brief(value)}"
        if kind is bool and not isinstance(value, bool):
            return f"{name} must be True or False, got {brief(value)}"
        if kind is str and not isinstance(value, str):
            return f"{name} must be text, got {brief(value)}"
        return ""


def setting(default: Any, help: str, **limits: Any) -> Any:
    """Make a field of a dataclass of settings; `limits` as in `Setting`."""
    return dataclasses.field(default=default, metadata={"setting": Setting(help, **limits)})


def describe(settings: type, name: str) -> Setting:
    """Return what a dataclass says of one of its settings."""
    return next(one.metadata["setting"] for one in dataclasses.fields(settings) if one.name == name)


def default_of(settings: type, name: str) -> Any:
    """Return the default of one of its settings."""
    return next(one.default for one in dataclasses.fields(settings) if one.name == name)


def value_faults(settings: type, **values: object) -> list[str]:
    """Say what is wrong with values for a dataclass of settings, one line each."""
    fields = {one.name: one for one in dataclasses.fields(settings) if "setting" in one.metadata}
    faults = []
    for name, value in values.items():
        kind = None if fields[name].default is None else type(fields[name].default)
        faults.append(fields[name].metadata["setting"].fault(name, value, kind))
    return [fault for fault in faults if fault]


def setting_faults(settings: object) -> list[str]:
    """Say what is wrong with the values that a dataclass of settings holds, one line each."""
    names = [one.name for one in dataclasses.fields(settings) if "setting" in one.metadata]
    return value_faults(type(settings), **{name: getattr(settings, name) for name in names})


def least_faults(least: float, values: Mapping[str, float], prefix: str = "") -> list[str]:
    """Say which named values are no number of `least` or more, one line each; `prefix`, such as "--", comes first."""
    return _number_faults(lambda value: value >= least, f"{least:g} or more", values, prefix)


def positive_faults(values: Mapping[str, float], prefix: str = "") -> list[str]:
    """Say which named values are no finite number more than 0, one line each; `prefix` as in `least_faults`."""
    return _number_faults(lambda value: value > 0, "more than 0", values, prefix)


def _number_faults(fits: Callable[[float], bool], range_: str, values: Mapping[str, float], prefix: str) -> list[str]:
    wrong = {name: value for name, value in values.items() if not (is_number(value) and fits(value))}
    return [f"{prefix}{name} must be a finite number of {range_}, got {brief(value)}" for name, value in wrong.items()]


def multiple_faults(name: str, value: int, step: int, least: int = 16) -> list[str]:
    """Return a message unless a size is a multiple of `step` and no less than `least`."""
    fine = value >= least and value % step == 0
    return [] if fine else [f"{name} must be a multiple of {step} from {least} up, got {value}"]


def values_of(settings: object, *names: str) -> dict[str, Any]:
    """Return some of the values that a dataclass of settings holds, by name."""
    return {name: getattr(settings, name) for name in names}


def changed_settings(old: Mapping[str, Any], new: Mapping[str, Any], *, may_change: Collection[str] = ()) -> list[str]:
    """Say what is different between two records of settings, a line each, such as "seed: 1 -> 2"."""
    names = [name for name in dict.fromkeys([*old, *new]) if name not in may_change]
    return [f"{one}: {old.get(one)!r} -> {new.get(one)!r}" for one in names if old.get(one) != new.get(one)]


def is_number(value: object) -> bool:
    """Tell whether a value is a finite number; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def is_whole(value: object) -> bool:
    """Tell whether a value is a whole number."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_one_of(value: object, choices: Collection[str]) -> bool:
    """Tell whether a value is one of these words; what is no text, such as an array, is none."""
    return isinstance(value, str) and value in choices


def as_list(values: object, max_dimensions: int = 1) -> list | None:
    """Return the values of a list, a set, a generator, an array or a tensor as a list; None for what is one thing.

    Text, bytes, what has names, an opened file, and an array of more dimensions are one thing. Single numbers of
    NumPy and torch become Python's.
    """
    is_one = isinstance(values, str | bytes | bytearray | memoryview | Mapping) or hasattr(values, "read")
    if is_one or not isinstance(values, Iterable):
        return None
    dimensions = getattr(values, "ndim", None)
    if dimensions is not None:
        return values.tolist() if 1 <= dimensions <= max_dimensions else None
    return [one.tolist() if getattr(one, "ndim", None) == 0 else one for one in values]


def brief(value: object) -> str:
    """Return a value as an error shows it: cut after 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
