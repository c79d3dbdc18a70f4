"""How a function becomes an endpoint for programs."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_type_hints

import gradio as gr


def add_endpoint(function: Callable[..., tuple[list[dict], list[dict]]]) -> None:
    """Offer a function inside the current gr.Blocks under its own name; only one drawing is made at a time.

    Args:
        function: has a type for every parameter, and a docstring that tells what each is; returns files and recipes.
    """
    # gradio reads annotations as they stand. Where modules keep them as text, it would take the two lists for one
    # value, and clients in other languages would get [[files, recipes]].
    function.__annotations__ = get_type_hints(function)
    gr.api(function, api_name=function.__name__, concurrency_limit=1, concurrency_id="draw")
