"""`gan-space COMMAND …`: which commands there are, and what becomes of an error.

A new command is a file here with a function `command` whose parameters typer turns into arguments and options, and a
row in `COMMANDS`; a command with commands of its own has a typer app `group` instead. These files import the networks
inside that function, so that `--help` stays quick.

Exit codes: 0 when everything was done, 2 for something that the caller can mend, 1 for every other failure. An error
is one line on stderr, after which nothing else is printed; `--debug` anywhere adds the traceback.

typer rather than tyro: gradio and huggingface-hub bring it along, tyro is only for training, and a settings class for
each small command would say nothing that its signature does not.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise

import typer

from gan_space import __version__
from gan_space.cli.console import plain
from gan_space.errors import GanSpaceError, InputError

# Name on the command line -> module with a function `command`, or an app `group`; in the order of --help.
COMMANDS = {
    "generate": "gan_space.cli.generate",
    "stylize": "gan_space.cli.stylize",
    "look": "gan_space.cli.look",
    "edit": "gan_space.cli.edit",
    "personalize": "gan_space.cli.personalize",
    "portraits": "gan_space.cli.portraits",
    "pack": "gan_space.cli.pack",
    "discover": "gan_space.cli.discover",
    "inspect": "gan_space.cli.inspect",
    "verify": "gan_space.cli.verify",
    "convert": "gan_space.cli.convert",
    "export": "gan_space.cli.export",
    "publish-space": "gan_space.cli.publish_space",
}
GROUPS = ("look", "pack", "personalize")  # of commands
MAY_BE_EMPTY = ("--name", "--name-zh", "--credit", "--license", "--post")  # texts, and steps that may be none
PROGRAM = "gan-space"
OK, FAILURE, BAD_INPUT = 0, 1, 2
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)  # of a disk
INTERRUPTED = 130  # what typer makes of Ctrl-C


def build_app() -> typer.Typer:
    """Return the command line with all of `COMMANDS`."""
    app = typer.Typer(
        name=PROGRAM,
        help="Draw portraits, give photos a look, check labels, and bring networks in and out.",
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )

    @app.callback(invoke_without_command=True)
    def top(
        context: typer.Context,
        version: bool = typer.Option(False, "--version", help="Print the version and stop.", is_eager=True),
        debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error; may stand anywhere."),
    ) -> None:
        if version:
            typer.echo(f"{PROGRAM} {__version__}")
        elif context.invoked_subcommand is None:
            raise InputError(f"no command is given; one of {', '.join(COMMANDS)}")

    for name, module in COMMANDS.items():
        loaded = import_module(module)
        if hasattr(loaded, "group"):
            app.add_typer(loaded.group, name=name)
        else:
            app.command(name)(loaded.command)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; never raises. Returns the exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    debug = "--debug" in options
    arguments = [word for word in options if word != "--debug"] + arguments[len(options) :]
    try:
        with warnings.catch_warnings():
            if not debug:  # decoders also warn of what is damaged in a file; the error says it in one line
                warnings.filterwarnings("ignore", module=r"PIL\.")
            _refuse_empty(arguments)
            unfinished = not arguments or (len(arguments) == 1 and arguments[0] in GROUPS)
            asked = [*arguments, "--help"] if unfinished else arguments
            result = build_app()(args=asked, prog_name=PROGRAM, standalone_mode=False)
        if sys.stdout is not None:  # closed by whoever started us
            sys.stdout.flush()
        if result == INTERRUPTED:
            return _fail("interrupted", FAILURE, debug)
        if unfinished:  # help was shown, but nothing was asked for
            return BAD_INPUT
        return result if isinstance(result, int) else OK
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", FAILURE, debug)
    except typer.TyperException as error:  # wrong options and arguments
        return _fail(error.format_message(), BAD_INPUT, debug)
    except InputError as error:
        return _fail(str(error), BAD_INPUT, debug)
    except GanSpaceError as error:
        return _fail(str(error), FAILURE, debug)
    except OSError as error:
        if error.errno not in NO_ROOM:
            return _fail_unexpected(error, debug)
        what = f"write {str(error.filename)!r}" if error.filename else "print"
        return _fail(f"cannot {what}: {error.strerror}; make room and try again", FAILURE, debug)
    except Exception as error:
        return _fail_unexpected(error, debug)


def _fail_unexpected(error: Exception, debug: bool) -> int:
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return _fail(f"{text} (this is a fault of {PROGRAM}; --debug shows where)", FAILURE, debug)


def _refuse_empty(arguments: Sequence[str]) -> None:
    """Raise InputError for an argument without a letter: `--out ""`, of an unset variable, would mean this folder."""
    for before, word in pairwise(["", *arguments]):
        option = word[:-1] if word.startswith("--") and word.find("=") == len(word) - 1 else "" if word else before
        if (not word or option) and option not in MAY_BE_EMPTY:
            what = f"an empty value stands after {option}" if option.startswith("-") else "an argument is empty"
            raise InputError(f"{what}; give one, or look whether a variable of the shell is unset")


def _fail(message: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    lines = [line.strip().removeprefix("- ") for line in message.splitlines() if line.strip()]
    head, rest = (lines or ["unknown error"])[0], lines[1:]
    typer.echo(f"{PROGRAM}: error: {plain(' '.join([head, '; '.join(rest)]).strip())}", err=True)
    return code
