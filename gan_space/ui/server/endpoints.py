"""How a function becomes an endpoint for programs: every value is checked before anything runs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from inspect import signature
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import gradio as gr

from gan_space.errors import GanSpaceError, InputError, raise_all
from gan_space.settings import brief, describe
from gan_space.ui.messages import shown_text

MAX_TEXT_CHARS = 200
WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", dict: "a record", list: "a list"}


@dataclass(frozen=True)
class Between:
    """A number from `low` to `high`; for a list, each of its numbers."""

    low: float
    high: float

    def fault(self, value: Any) -> str:
        """Return what was expected instead; "" where the value is fine."""
        return "" if self.low <= value <= self.high else f"from {self.low:.12g} to {self.high:.12g}"


@dataclass(frozen=True)
class OneOf:
    """One of these."""

    choices: Sequence[Any]

    def fault(self, value: Any) -> str:
        """Return what was expected instead; "" where the value is fine."""
        return "" if value in self.choices else f"one of {', '.join(map(str, self.choices))}"


@dataclass(frozen=True)
class Pattern:
    """Text that a pattern describes.

    Args:
        pattern: regular expression of the whole text.
        words: the same for people.
    """

    pattern: str
    words: str

    def fault(self, value: Any) -> str:
        """Return what was expected instead; "" where the value is fine."""
        return "" if re.fullmatch(self.pattern, value) else self.words


FaceNumber = Annotated[str, Pattern(r"largest|\d{1,3}", "largest, or a number from 0")]
FaceNumberOrAll = Annotated[str, Pattern(r"largest|all|\d{1,3}", "largest, all, or a number from 0")]


def type_of(settings: type, name: str) -> Any:
    """Return the type of a parameter that is one of a dataclass's settings: its choices, or a number in its range."""
    known = describe(settings, name)
    if known.choices:
        return Literal[known.choices]
    return Annotated[int if known.whole else float, Between(known.low, known.high)]


def consent_faults(consent: object) -> list[str]:
    """Return a message unless whoever asks says that the pictures may be used."""
    return [] if consent is True else ["consent must be true: the pictures show you, or the people in them agreed"]


def add_endpoint(function: Callable[..., tuple[list[dict], list[dict]]]) -> None:
    """Offer a function inside the current gr.Blocks under its own name; only one drawing is made at a time.

    Args:
        function: has a type for every parameter, with `Annotated` where the type alone does not say what is allowed,
            and a docstring that tells what each is; returns files and recipes.
    """
    checks = get_type_hints(function, include_extras=True)
    names = list(signature(function).parameters)
    # gradio reads annotations as they stand. Where modules keep them as text, it would take the two lists for one
    # value, and clients in other languages would get [[files, recipes]].
    function.__annotations__ = get_type_hints(function)

    @wraps(function)
    def endpoint(*values: Any) -> tuple[list[dict], list[dict]]:
        try:
            pairs = zip(names, values, strict=True)
            raise_all([fault for name, value in pairs if (fault := value_fault(name, value, checks[name]))], InputError)
            return function(*values)
        except GanSpaceError as error:
            raise gr.Error(shown_text(str(error)), print_exception=False) from error

    gr.api(endpoint, api_name=function.__name__, concurrency_limit=1, concurrency_id="draw")


def value_fault(name: str, value: Any, hint: Any) -> str:
    """Say what is wrong with a value that came as JSON, in words that name the parameter; "" where it is fine."""
    expected = _expected(value, hint)
    return f"{name} must be {expected}, got {brief(value)}" if expected else ""


def _expected(value: Any, hint: Any) -> str:
    """What the value should have been; "" where it is."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        plain, *rules = arguments
        return _expected(value, plain) or next((words for rule in rules if (words := _rule_fault(rule, value))), "")
    if origin in (Union, UnionType):
        if value is None and NoneType in arguments:
            return ""
        (wanted,) = [one for one in arguments if one is not NoneType]
        expected = _expected(value, wanted)
        return f"{expected} or null" if expected else ""
    if origin is Literal:
        return OneOf(arguments).fault(value)
    kind = origin or hint
    if not _is_a(value, kind):
        return WORDS[kind] + (f" of {WORDS[arguments[0]].removeprefix('a ')}s" if kind is list else "")
    if kind is list and not all(_is_a(item, arguments[0]) for item in value):
        return f"a list of {WORDS[arguments[0]].removeprefix('a ')}s"
    if kind is str and len(value) > MAX_TEXT_CHARS:
        return f"text of at most {MAX_TEXT_CHARS} characters"
    return ""


def _is_a(value: Any, kind: type) -> bool:
    """Whether a value of JSON is of this type; true and false are no numbers, and a number is finite."""
    if kind is bool or isinstance(value, bool):
        return kind is bool and isinstance(value, bool)
    if kind is float:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, kind)


def _rule_fault(rule: Any, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return next((f"a list of numbers {words}" for item in value if (words := rule.fault(item))), "")
    return rule.fault(value)
