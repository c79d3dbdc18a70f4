"""Imported by every script before anything slow: a Ctrl-C during the imports, which take seconds, is one line too."""

from __future__ import annotations

import sys
from types import TracebackType


def _one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print("error: interrupted", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _one_line
