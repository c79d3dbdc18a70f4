"""What all scripts of this folder do with errors, and with the end of the launcher that started them."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from typing import ParamSpec, TypeVar

from gan_space.errors import GanSpaceError, InputError, Stopped
from training.common.files import system_fault
from training.common.launcher import end_with_launcher
from training.common.memory import keep_freed_memory

P = ParamSpec("P")
C = TypeVar("C")
R = TypeVar("R")


def exit_code(main: Callable[P, int | None]) -> Callable[P, int]:
    """Wrap a script's `main`: it returns 0 when all was written, 1 for a failure, 2 for bad input.

    An error of ours, a full disk and the like are told on stderr without a traceback; any other one is a fault of the
    program and goes through. A run that was told to stop and has saved says so and returns 0.
    """

    @wraps(main)
    def run(*args: P.args, **kwargs: P.kwargs) -> int:
        end_with_launcher()
        try:
            code = main(*args, **kwargs) or 0
            sys.stdout.flush()
            return code
        except Stopped as stop:
            if os.environ.get("RANK", "0") == "0":
                print(stop)
            return 0
        except GanSpaceError as error:
            return _fail(str(error), 2 if isinstance(error, InputError) else 1)
        except KeyboardInterrupt:
            return _fail("interrupted", 1)
        except Exception as error:
            reason = system_fault(error)
            if reason is None:
                raise
            return _fail(reason, 1)
        finally:
            atexit.unregister(_ignore_ctrl_c)
            atexit.register(_ignore_ctrl_c)  # as the last, so that it comes before what the libraries do at the end

    return run


def script(settings: type[C], run: Callable[[C], R], says: str | Callable[[C, R], str] = "") -> Callable[..., int]:
    """Make the `main` of a script that reads its settings from the command line, runs, and returns an exit code.

    Args:
        settings: a dataclass, or a union of those that are subcommands.
        run: what the script does.
        says: printed at the end, with the result of `run` in place of `{}`; or a function of settings and result.
    """

    @exit_code
    def main(arguments: Iterable[str] | None = None) -> None:
        import tyro

        config = tyro.cli(settings, args=None if arguments is None else list(arguments), use_underscores=True)
        keep_freed_memory()
        result = run(config)
        if said := says.format(result) if isinstance(says, str) else says(config, result):
            print(said)

    return main


def _ignore_ctrl_c() -> None:
    """All is written and told: one more Ctrl-C would show where in a library's end it struck."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _fail(message: str, code: int) -> int:
    try:
        sys.stdout.flush()
    except OSError:  # nor at the end, where Python would say more about it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    print(f"error: {message}", file=sys.stderr)
    return code
