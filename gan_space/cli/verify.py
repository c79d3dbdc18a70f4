"""`gan-space verify`: what the labels inside picture files say."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_space.cli.console import say
from gan_space.errors import InputError, raise_all

UNLABELLED = 1


def command(
    files: Annotated[list[Path], typer.Argument(help="Pictures: PNG, JPEG, WebP, AVIF, GIF or TIFF.")],
) -> int:
    """Print one line a file: who made it, how, and with which model and seed.

    Exit code 1 if one of the files carries no label. A label is a statement, not a proof: it is not signed.
    """
    from gan_space.output.provenance import describe, read_provenance

    faults, unlabelled = [], 0
    for file in files:
        try:
            provenance = read_provenance(file)
        except InputError as error:
            faults.append(str(error))
            continue
        unlabelled += provenance is None
        say(f"{file}: {describe(provenance)}")
    raise_all(faults, InputError)
    return UNLABELLED if unlabelled else 0
