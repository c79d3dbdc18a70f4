"""Options that several commands have, and what groups of commands are made with."""

from __future__ import annotations

from typing import Annotated

import typer

Model = Annotated[str | None, typer.Option(help="Model folder or Hub id; the embedded model if left out.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of the model's Hub id.")]


def command_group(about: str) -> typer.Typer:
    """Make a group of commands that prints as the program does; `about` is its line of help."""
    return typer.Typer(
        help=about,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
