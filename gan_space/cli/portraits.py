"""`gan-space portraits`: a set of portraits of one person from the person's own photos, as labelled files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_space.cli.console import progress, refuse_existing, say
from gan_space.cli.options import Model, Photos, PictureFormat, Revision, VisibleLabel, format_faults
from gan_space.cli.personalize import parse_consent
from gan_space.cli.photos import list_photos, parse_amounts
from gan_space.errors import InputError, raise_all
from gan_space.sets.settings import PortraitSetSettings
from gan_space.settings import default_of, describe
from gan_space.whole_files import make_folder


def _said(name: str) -> str:
    return describe(PortraitSetSettings, name).help


def command(
    photos: Photos,
    out: Annotated[Path, typer.Option(help="Folder for the portraits; made if missing.")],
    consent: Annotated[
        str, typer.Option(help="Whose face it is and who agreed, with ; between: 'my own face; myself'.")
    ],
    num: Annotated[int, typer.Option(help=_said("num"))] = default_of(PortraitSetSettings, "num"),
    seed: Annotated[int, typer.Option(help=_said("seed"))] = default_of(PortraitSetSettings, "seed"),
    look: Annotated[
        list[str] | None, typer.Option(help="A look, by name or JSON file, or none. Repeatable; all kinds if left out.")
    ] = None,
    frame: Annotated[
        list[str] | None, typer.Option(help="photo, passport, avatar, close, 4x5, half-length or wide. Repeatable.")
    ] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="A slider for all of them, such as smile=1. Repeatable.")
    ] = None,
    expression: Annotated[float, typer.Option(help=_said("expression"))] = default_of(
        PortraitSetSettings, "expression"
    ),
    age: Annotated[float, typer.Option(help=_said("age"))] = default_of(PortraitSetSettings, "age"),
    min_likeness: Annotated[float, typer.Option(help=_said("min_likeness"))] = default_of(
        PortraitSetSettings, "min_likeness"
    ),
    model: Model = None,
    revision: Revision = None,
    image_format: PictureFormat = "jpg",
    visible_label: VisibleLabel = True,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace portraits that are there already.")] = False,
) -> None:
    """Make portraits of one person who agreed to it from the person's own photos, at their full size.

    Each is one of the photos with another expression, age, light, look or frame; no two are alike, and each still shows
    the person. One photo is enough.

    Example: gan-space portraits me.jpg --num 8 --consent "my own face; myself" --out portraits
    """
    from gan_space.packs.consent import Consent

    record = parse_consent(consent, Consent)
    faults = format_faults(image_format)
    faults += ["--look none stands alone"] if look and "none" in look and len(look) > 1 else []
    raise_all(faults, InputError)
    PortraitSetSettings(num=num, seed=seed, expression=expression, age=age, min_likeness=min_likeness)
    files = list_photos(photos)
    refuse_existing([out / f"portrait{number + 1:02d}.{image_format}" for number in range(num)], overwrite)

    from gan_space.pipelines.personalization import PersonalizationPipeline

    person = PersonalizationPipeline.from_pretrained(model, revision)
    checked = person.check_own_photos(files)
    for line in checked.lines():
        say(line)
    portraits = person.each_portrait(
        files,
        consent=record,
        num=num,
        seed=seed,
        looks=[] if look == ["none"] else look,
        frames=frame,
        attributes=parse_amounts(change or [], "--set") or None,
        expression=expression,
        age=age,
        min_likeness=min_likeness,
        checked=checked,
    )
    used = {}
    for number, one in enumerate(portraits, 1):  # each is written at once, and stays if a later one cannot be made
        make_folder(out)
        one.save(out / f"portrait{number:02d}.{image_format}", visible_label=visible_label)
        used[one.base.name] = None
        progress(number, num, "portraits")
    say(f"{num} labelled portrait{'s' if num > 1 else ''} from {', '.join(used)} in {out}")
    if person.credit:
        say(person.credit)
