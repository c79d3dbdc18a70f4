"""What all scripts of this folder do with errors."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from gan_space.errors import GanSpaceError, InputError

P = ParamSpec("P")


def exit_code(main: Callable[P, None]) -> Callable[P, int]:
    """Wrap a script's `main`: it returns 0 when all was written, 1 for a failure, 2 for bad input.

    An error of ours is told on stderr without a traceback; any other one is a fault of the program and goes through.
    """

    @wraps(main)
    def run(*args: P.args, **kwargs: P.kwargs) -> int:
        try:
            main(*args, **kwargs)
        except GanSpaceError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2 if isinstance(error, InputError) else 1
        return 0

    return run
