"""`gan-space discover`: directions that a network has by itself, drawn to be looked at, and kept under names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_space.cli.console import progress, refuse_existing, say
from gan_space.cli.options import Model, Revision
from gan_space.errors import InputError, raise_all
from gan_space.whole_files import make_folder


def command(
    out: Annotated[Path, typer.Option(help="Folder for the pictures, and for directions/ if any is kept.")],
    method: Annotated[
        str, typer.Option(help="sefa: what the layers react to most; ganspace: along what faces differ most.")
    ] = "sefa",
    layers: Annotated[str, typer.Option(help="coarse, middle, fine, numbers and ranges joined by +, or all.")] = "all",
    count: Annotated[int, typer.Option(help="How many directions, strongest first.")] = 6,
    keep: Annotated[
        list[str] | None,
        typer.Option(help="Keep the direction of this number under a name, such as '2=Fringe'. Repeatable."),
    ] = None,
    seeds: Annotated[str, typer.Option(help="Faces to show, such as 0-3.")] = "0-3",
    reach: Annotated[float, typer.Option(help="How far the pictures go, in standard deviations.")] = 2.0,
    psi: Annotated[float, typer.Option(help="Truncation of the faces.")] = 0.7,
    model: Model = None,
    revision: Revision = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there already.")] = False,
) -> None:
    """Draw new sliders of any generator: one labelled sheet each.

    A sheet shows less, as it is, and more, a row for each face.
    With --keep, directions/ in the folder holds the named ones beside those of the model; it takes the place of the
    model folder's own directions/.
    """
    from gan_space.cli.generate import parse_seeds
    from gan_space.latents.directions import DIRECTIONS_FOLDER, INFO_FILE

    numbers, names = parse_seeds(seeds), parse_keep(keep or [], count)
    files = {number: out / f"{method}-{number}.png" for number in range(1, count + 1)}
    kept_file = [out / DIRECTIONS_FOLDER / INFO_FILE] if names else []
    refuse_existing([*files.values(), *kept_file], overwrite)

    from gan_space.images import image_grid
    from gan_space.latents.discovery import name_direction
    from gan_space.output.provenance import save_image
    from gan_space.pipelines.generation import GenerationPipeline

    pipe = GenerationPipeline.from_pretrained(model, revision)
    found = pipe.find_directions(method, layers, count)
    taken = set(pipe.directions.names if pipe.directions else ())
    kept = []
    for number, text in names.items():
        kept.append(name_direction(found[number - 1], text, taken))
        taken.add(kept[-1].name)
    amounts = (-reach, 0.0, reach)
    class_number = 0 if pipe.generator.config.c_dim else None
    make_folder(out)
    for number, direction in enumerate(found, start=1):
        drawn = pipe.draw_along(direction, numbers, amounts, truncation_psi=psi, class_number=class_number)
        recipe = {"model": pipe.model_name, "revision": pipe.revision, "truncation_psi": psi, "seeds": numbers}
        recipe |= {"direction": direction.name, "amounts": list(amounts)}
        save_image(image_grid(drawn.flatten(0, 1), columns=len(amounts)), files[number], recipe=recipe)
        progress(number, count, "directions")
    say(f"{count} labelled sheet{'s' if count > 1 else ''} in {out}")
    if kept:
        pipe.joined_directions(kept).save_pretrained(out / DIRECTIONS_FOLDER)
        words = ", ".join(f"{one.text('en')} ({one.name})" for one in kept)
        say(f"kept in {out / DIRECTIONS_FOLDER}: {words}")


def parse_keep(texts: list[str], count: int) -> dict[int, str]:
    """Turn ["2=Fringe"] into {2: "Fringe"}; InputError with all faults at once."""
    faults, names = [], {}
    for text in texts:
        number, separator, name = text.partition("=")
        if not separator or not number.strip().isdecimal() or not 1 <= int(number) <= count or not name.strip():
            faults.append(
                f"--keep must be a number from 1 to {count} and a name, such as '2=Fringe'; got {text[:60]!r}"
            )
        elif int(number) in names:
            faults.append(f"--keep names direction {int(number)} twice")
        else:
            names[int(number)] = name.strip()
    raise_all(faults, InputError)
    return names
