"""`gan-space inspect`: which faces are seen in a photo, where their parts are, and how far that may be trusted."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from gan_space.cli.console import refuse_existing, say
from gan_space.cli.options import Model, Revision
from gan_space.errors import InputError

NO_FACE = 1


def command(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="A picture file.")],
    out: Annotated[Path | None, typer.Option(help="Write the photo with what was seen drawn over it.")] = None,
    model: Model = None,
    revision: Revision = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the result; never the photo.")] = False,
) -> int:
    """Print one line a face: size, turn, tilt, expected errors and what is covered, the largest face first.

    Exit code 1 if no face is seen.
    """
    if out is not None:
        if out.resolve() == photo.resolve():
            raise InputError(f"--out {str(out)!r} would replace the photo; choose another name")
        refuse_existing([out], overwrite)

    from gan_space.photos.opening import open_photo
    from gan_space.pipelines.inspection import draw_seen, inspect_photo, load_face_networks

    pixels = open_photo(photo)
    seen = inspect_photo(pixels, *load_face_networks(model, revision))
    for number, face in enumerate(seen):
        say(f"face {number}: {face}")
    if not seen:
        say(f"{photo}: no face is seen")
    if out is not None:
        from gan_space.output.provenance import read_provenance, save_image

        inherited = None
        with suppress(InputError):  # a damaged label is no reason to refuse a photo that can be read
            inherited = read_provenance(photo)
        overlay = draw_seen(pixels, seen)
        save_image(overlay, out, recipe={"kind": "what was seen"}, source="edited", inherited=inherited)
    return 0 if seen else NO_FACE
