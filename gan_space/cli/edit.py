"""`gan-space edit`: change the shape of faces in a photo, as a labelled file."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from gan_space.cli.console import refuse_existing, say
from gan_space.errors import InputError, raise_all

WRITE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def command(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="A picture file.")],
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="A slider and its amount, such as smile=1. Repeatable.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Where the edited picture goes: .png, .jpg or .webp.")] = None,
    faces: Annotated[str, typer.Option(help="largest, all, or a number from 0, the largest first.")] = "largest",
    sliders: Annotated[bool, typer.Option("--sliders", help="Print the sliders and their ranges, and stop.")] = False,
    model: Annotated[str | None, typer.Option(help="Model folder or Hub id; the embedded model if left out.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of the model's Hub id.")] = None,
    visible_label: Annotated[bool, typer.Option(help="Also draw the label into the picture.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the result; never the photo.")] = False,
) -> None:
    """Move the photo's own pixels: a smile, a slimmer face, larger eyes. Nothing is drawn anew.

    Example: gan-space edit me.jpg --set smile=1 --set face_width=-0.5 --out smiling.jpg
    """
    from gan_space.faces.shape import SLIDERS, check_values

    if sliders:
        for name, slider in SLIDERS.items():
            say(f"{name:13} {slider.low:+g} to {slider.high:+g}; +1: {slider.meaning}")
        return
    faults = []
    if not setting:
        faults.append("no change is given: --set smile=1; --sliders lists what there is")
    if out is None:
        faults.append("--out FILE says where the picture goes")
    elif out.suffix.lower() not in WRITE_SUFFIXES:
        faults.append(f"--out must end in {', '.join(WRITE_SUFFIXES)}, got {str(out)!r}")
    elif out.exists() and photo.exists() and out.samefile(photo):
        faults.append(f"--out {str(out)!r} would replace the photo; choose another name")
    raise_all(faults, InputError)
    values = parse_settings(setting)
    check_values(values)
    refuse_existing([out], overwrite)

    from gan_space.output.provenance import read_provenance, save_image
    from gan_space.photos.opening import open_photo, to_picture
    from gan_space.pipelines.inspection import inspect_photo, load_face_networks
    from gan_space.pipelines.shape_edit import choose_faces, edit_faces, load_shape_model

    pixels = open_photo(photo)
    networks, shapes = load_face_networks(model, revision), load_shape_model(model, revision)
    found = [face.landmarks for face in inspect_photo(pixels, *networks)]
    chosen = choose_faces(found, int(faces) if faces.isdecimal() else faces)
    edited = edit_faces(pixels, chosen, values, shapes)
    inherited = None
    with suppress(InputError):  # a damaged label is no reason to refuse a photo that can be read
        inherited = read_provenance(photo)
    recipe = {"kind": "shape edit", "values": values, "faces": faces}
    save_image(
        to_picture(edited), out, recipe=recipe, source="edited", visible_label=visible_label, inherited=inherited
    )
    say(f"{len(chosen)} face{'s' if len(chosen) > 1 else ''} changed, labelled picture in {out}")


def parse_settings(settings: list[str]) -> dict[str, float]:
    """Turn ["smile=1", "face_width=-0.5"] into numbers; InputError with all faults at once."""
    values, faults = {}, []
    for text in settings:
        name, _, amount = text.partition("=")
        try:
            value = float(amount)
        except ValueError:
            faults.append(f"--set must be such as smile=1, got {text!r}")
            continue
        if name in values:
            faults.append(f"--set {name} is given twice")
        values[name] = value
    raise_all(faults, InputError)
    return values
