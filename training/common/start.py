"""Imported by every script before anything slow: a Ctrl-C during the imports, which take seconds, is one line too."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType

_before = sys.excepthook  # of whoever reports or colours tracebacks


def _one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("error: interrupted", file=sys.stderr)
    else:
        _before(kind, error, trace)


def _is_ours(program: str | None) -> bool:
    """Tell whether a script of training/ is what runs, and not a program that imports one."""
    return program is not None and Path(program).resolve().is_relative_to(Path(__file__).resolve().parents[1])


if _is_ours(getattr(sys.modules["__main__"], "__file__", None)):
    sys.excepthook = _one_line
