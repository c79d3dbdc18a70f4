"""What people read when something does not work: plain words in their language, and what to do."""

from __future__ import annotations

import inspect
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import gradio as gr

from gan_space.errors import (
    Cancelled,
    FaceTooSmallError,
    FaceTooTurnedError,
    GanSpaceError,
    InputError,
    NoFaceError,
    PackError,
)
from gan_space.ui.i18n import choose_language, translate

logger = logging.getLogger(__name__)

_FACE_TEXTS = {
    NoFaceError: "error.no_face",
    FaceTooSmallError: "error.face_small",
    FaceTooTurnedError: "error.face_turned",
}


# A path of two parts or more, as Linux, macOS or Windows write it, up to the name at its end.
_FOLDERS = re.compile(r"(?<![\w:/.~-])(?:[A-Za-z]:[\\/]|~?/)(?:[^\s/\\'\"<>|:]+[\\/])+")


def shown_text(text: str) -> str:
    """Return a message as visitors may read it: of a file its name alone, not where it lies on the server."""
    return _FOLDERS.sub("", text)


def explain(error: GanSpaceError, language: str) -> str:
    """Return one or two sentences for whoever sees the page; what went wrong inside stays in the log."""
    for kind, key in _FACE_TEXTS.items():
        if isinstance(error, kind):
            return translate(key, language)
    if isinstance(error, Cancelled):
        return translate("error.stopped", language)
    if isinstance(error, PackError):
        return translate("error.pack", language, detail=shown_text(str(error)))
    if isinstance(error, InputError):
        return translate("error.input", language, detail=shown_text(str(error)))
    return translate("error.busy", language)


def friendly(function: Callable, read: Callable[[Any], Any]) -> Callable:
    """Let `function` take what `read` makes of an event's values, and turn its errors into a short message in the page.

    Args:
        function: takes what gradio gives it by the types of its parameters, then the record. Generators work too.
        read: makes a record with a `language` of the values.
    """

    @contextmanager
    def explained(tag: str) -> Iterator[None]:
        language = choose_language(tag)
        try:
            yield
        except GanSpaceError as error:
            if not isinstance(error, InputError | Cancelled):
                logger.exception("drawing failed")
            title = translate("error.title", language)
            raise gr.Error(explain(error, language), title=title, print_exception=False) from error
        except gr.Error:
            raise
        except Exception as error:
            logger.exception("%s failed", getattr(function, "__name__", function))
            title, text = translate("error.title", language), translate("error.busy", language)
            raise gr.Error(text, title=title, print_exception=False) from error

    if inspect.isgeneratorfunction(function):

        @wraps(function)
        def guarded_steps(*arguments):
            *given, controls = *arguments[:-1], read(arguments[-1])
            with explained(controls.language):
                yield from function(*given, controls)

        return guarded_steps

    @wraps(function)
    def guarded(*arguments):
        *given, controls = *arguments[:-1], read(arguments[-1])
        with explained(controls.language):
            return function(*given, controls)

    return guarded
