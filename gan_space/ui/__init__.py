"""The web app: `build_app(pipe)` and how to launch it."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Read by gradio when it is imported: nothing about a visit leaves the machine.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# Nor is anything counted: gradio would keep a record of each job with its visitor, and sum them up after every one.
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", str(10**12))


@contextmanager
def type_stubs_left_alone() -> Iterator[None]:
    """Save time at the import of gradio, a third of which compares its sources with the type stubs beside them."""
    find = inspect.getfile

    def find_file(wanted: object) -> str:
        if sys._getframe(1).f_code.co_name == "create_or_modify_pyi":
            raise OSError("no file")  # by which gradio knows a component that has no stub
        return find(wanted)

    inspect.getfile = find_file
    try:
        yield
    finally:
        inspect.getfile = find


with type_stubs_left_alone():
    import gradio  # noqa: F401
