"""Controls by name: the components that an event hands over, and the record in which a function finds their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import gradio as gr
from gradio.components import Component

from gan_space.errors import InputError
from gan_space.settings import default_of, describe
from gan_space.ui.messages import friendly

Item = TypeVar("Item")
Parts = Component | Mapping[Any, Component]

# How events run; none of them is an endpoint for programs.
DRAW = {"api_visibility": "private", "concurrency_limit": 1, "concurrency_id": "draw"}  # one at a time, in all tabs
REDRAW = {**DRAW, "show_progress": "minimal"}  # the picture before stays in sight meanwhile
DRAW_LATEST = {**REDRAW, "trigger_mode": "always_last"}  # a slider's last position wins
AT_ONCE = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}  # what only moves the page
FIT = {**DRAW, "concurrency_id": "tune"}  # beside the drawings, which go on meanwhile


class Inputs:
    """Components that an event hands over together, each under the name of a field.

    Args:
        kind: record of their values: a dataclass with a field `language`.
        **parts: component of each field; for a field that is a dictionary, the component of each of its keys.

    Example:
        >>> inputs = Inputs(Controls, seed=seed, amounts={"smile": smile, "age": age}, language=language)
        >>> draw.click(*inputs.to(self.draw), outputs)  # calls self.draw(Controls(…))
    """

    def __init__(self, kind: type, **parts: Parts):
        self.kind, self.parts = kind, parts

    @property
    def components(self) -> set[Component]:
        """What an event takes as its inputs; gradio then hands over the values by component."""
        groups = (part.values() if isinstance(part, Mapping) else (part,) for part in self.parts.values())
        return {component for group in groups for component in group}

    def also(self, **parts: Parts) -> Inputs:
        """Return these and more, for events that bring something of their own."""
        return Inputs(self.kind, **self.parts, **parts)

    def read(self, values: Mapping[Component, Any]) -> Any:
        """Return the record of what stands in the components."""
        named = {
            name: {key: values[one] for key, one in part.items()} if isinstance(part, Mapping) else values[part]
            for name, part in self.parts.items()
        }
        return self.kind(**named)

    def to(self, function: Callable) -> tuple[Callable, set[Component]]:
        """Return function and inputs of an event: `function` gets the record; its errors are said in plain words."""
        return friendly(function, self.read), self.components


def range_of(settings: type, name: str) -> dict[str, float]:
    """Return ends and value of a slider for one of a dataclass's settings."""
    known = describe(settings, name)
    return {"minimum": known.low, "maximum": known.high, "value": default_of(settings, name)}


def choices_of(settings: type, name: str, texts: Mapping[str, str]) -> dict[str, Any]:
    """Return choices and value of a control for one of a dataclass's settings; `texts` has each choice's key."""
    return {
        "choice_keys": {choice: texts[choice] for choice in describe(settings, name).choices},
        "value": default_of(settings, name),
    }


def clicked(event: gr.SelectData, items: Sequence[Item] | None) -> Item:
    """Return the item of a gallery that was clicked.

    Raises:
        InputError: it is no longer there, or the request came from no click.
    """
    number, count = event.index, len(items or ())
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < count:
        raise InputError("what was clicked is no longer there: choose again")
    return items[number]
