"""`gan-space edit`: change a face in photos, as labelled files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_space.cli.console import refuse_existing, say
from gan_space.cli.options import Model, OverwriteResults, PhotoFormat, Revision, VisibleLabel, format_faults
from gan_space.cli.photos import (
    change_each,
    is_file_name,
    labelled_pictures,
    list_photos,
    name_results,
    parse_amounts,
    parse_boxes,
    parse_faces,
    refuse_inputs,
)
from gan_space.errors import InputError, raise_all
from gan_space.whole_files import make_folder


def command(
    photos: Annotated[
        list[Path] | None, typer.Argument(metavar="PHOTO...", help="Picture files, or folders of them.")
    ] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="A slider and its amount, such as smile=1. Repeatable.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="A picture file for one photo; else a folder, made if missing.")
    ] = None,
    sliders: Annotated[bool, typer.Option("--sliders", help="Print the sliders and their ranges, and stop.")] = False,
    faces: Annotated[str, typer.Option(help="largest, or a number from 0, the largest first.")] = "largest",
    box: Annotated[str | None, typer.Option(help="The face marked by hand: x,y,size or x,y,size,roll in px.")] = None,
    strength: Annotated[float, typer.Option(help="Times all amounts; 0 gives the photo.")] = 1.0,
    transfer: Annotated[
        str, typer.Option(help="change (the photo's own pixels, changed) or picture (the drawn face).")
    ] = "change",
    glasses: Annotated[str, typer.Option(help="Glasses to put on: none, round, square, aviator or cat-eye.")] = "none",
    model: Model = None,
    revision: Revision = None,
    image_format: PhotoFormat = None,
    visible_label: VisibleLabel = True,
    overwrite: OverwriteResults = False,
) -> None:
    """Change a face in photos: a smile, a slimmer face, larger eyes, glasses.

    What can be moved is moved by a mesh of the face, so the photo keeps its pixels; the rest is drawn by the networks
    and comes back as a change of colour.

    Example: gan-space edit me.jpg --set smile=1 --set face_width=-0.5 --out smiling.jpg
    """
    if sliders:
        _list_sliders(model, revision)
        return
    faults = format_faults(image_format)
    faults += [] if photos else ["no photo is given"]
    if not change and glasses == "none":
        faults.append("no change is given: --set smile=1, or --glasses round; --sliders lists what there is")
    faults += [] if out else ["--out says where the picture goes"]
    faults += ["one face is edited at a time, got --faces all"] if faces == "all" else []
    raise_all(faults, InputError)
    amounts = parse_amounts(change or [], "--set")
    sources = list_photos(photos)
    which, boxes = parse_faces(faces), parse_boxes(None if box is None else [box], sources)
    files = name_results(sources, out, image_format)
    refuse_inputs(files, sources)
    refuse_existing(files, overwrite)

    from gan_space.pipelines.personalization import PersonalizationPipeline

    pipe = PersonalizationPipeline.from_pretrained(model, revision)
    make_folder(out.parent if is_file_name(out) else out)

    def change_one(number: int, source: Path) -> None:
        portrait = pipe.open(source, which, boxes=boxes)
        for note in portrait.opened.notes:
            say(f"{source}: {note}")
        edited = pipe.edit(portrait, amounts, strength=strength, transfer=transfer, glasses=glasses)
        edited.save(files[number], visible_label=visible_label, photo=source)

    change_each(sources, change_one, "changed")
    say(labelled_pictures(len(sources), out))
    if pipe.credit:
        say(pipe.credit)


def _list_sliders(model: str | None, revision: str | None) -> None:
    from gan_space.pipelines.personalization import PersonalizationPipeline

    pipe = PersonalizationPipeline.from_pretrained(model, revision)
    for name, slider in pipe.photo_sliders.items():
        say(f"{name:13} {slider.low:+.2g} to {slider.high:+.2g}; +1: {slider.meaning}")
