"""Options that several commands have, and what groups of commands are made with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[str | None, typer.Option(help="Model folder or Hub id; the embedded model if left out.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of the model's Hub id.")]
Photos = Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="Picture files, or folders of them.")]
PhotoFormat = Annotated[str | None, typer.Option("--format", help="png, jpg or webp; as the photo if left out.")]
PictureFormat = Annotated[str, typer.Option("--format", help="png, jpg or webp.")]
VisibleLabel = Annotated[bool, typer.Option(help="Draw a small mark into a corner.")]
OverwriteResults = Annotated[bool, typer.Option("--overwrite", help="Replace results; never a photo.")]
BatchSize = Annotated[int, typer.Option(help="Pictures at once; changes speed and memory only.")]
FORMATS = ("png", "jpg", "webp")


def format_faults(image_format: str | None) -> list[str]:
    """Return a message unless pictures can be written in that format, or as the photo is where it is left out."""
    if image_format is None or image_format in FORMATS:
        return []
    return [f"--format must be one of {', '.join(FORMATS)}, got {image_format!r}"]


def command_group(about: str) -> typer.Typer:
    """Make a group of commands that prints as the program does; `about` is its line of help."""
    return typer.Typer(
        help=about,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
