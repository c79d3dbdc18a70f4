"""What commands share about words on the screen and files on the disk."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import typer

from gan_space.errors import InputError


def plain(text: str) -> str:
    """Replace what could steer a terminal: control and direction marks become question marks."""
    return "".join(char if char.isprintable() else "?" for char in text)


def say(text: str) -> None:
    """Print one line to stdout."""
    typer.echo(plain(text))


def progress(done: int, total: int, what: str) -> None:
    """Show how far a command is, on a terminal only; the last call ends the line."""
    if sys.stderr.isatty():
        typer.echo(f"\r{done:,} of {total:,} {what}", err=True, nl=done >= total)


def refuse_existing(files: Iterable[Path], overwrite: bool) -> None:
    """Raise InputError if one of the files that a command is about to write exists, unless `overwrite`."""
    existing = [] if overwrite else [path for path in files if path.exists() or path.is_symlink()]
    if existing:
        more = f" and {len(existing) - 3} more" if len(existing) > 3 else ""
        named = ", ".join(str(path) for path in existing[:3])
        raise InputError(f"{named}{more} already there; --overwrite replaces them, or choose another place")
