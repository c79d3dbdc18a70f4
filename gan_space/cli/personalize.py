"""`gan-space personalize`: a profile of one person from photos, portraits from a profile, and an end to a profile."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_space.cli.console import progress, refuse_existing, say
from gan_space.cli.generate import parse_seeds
from gan_space.cli.options import (
    BatchSize,
    Model,
    PictureFormat,
    Revision,
    VisibleLabel,
    command_group,
    format_faults,
)
from gan_space.cli.photos import list_photos, parse_amounts
from gan_space.cli.stylize import parse_pack
from gan_space.errors import InputError, raise_all
from gan_space.settings import least_faults
from gan_space.whole_files import make_folder

group = command_group("Make a profile of one person, draw portraits from it, delete it.")


@group.command()
def fit(
    photos: Annotated[list[Path], typer.Argument(metavar="PHOTO...", help="Picture files, or folders of them.")],
    out: Annotated[Path, typer.Option(help="Folder of the profile, to be made.")],
    consent: Annotated[
        str, typer.Option(help="Whose face it is and who agreed, with ; between: 'my own face; myself'.")
    ],
    model: Model = None,
    revision: Revision = None,
    steps: Annotated[int, typer.Option(help="Steps of optimisation.")] = 300,
    rank: Annotated[int, typer.Option(help="Of the change of the weights; more keeps more of the person.")] = 8,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    gray: Annotated[bool, typer.Option("--gray", help="Take grey photos too.")] = False,
    blurred: Annotated[bool, typer.Option("--blurred", help="Take blurred photos too.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Say which photos are of use, and make nothing.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a profile that is there already.")] = False,
) -> None:
    """Make a profile from 1 to 20 photos of one person who agreed to it.

    Photos that are of no use are named with the reason. The profile is written whole at the end, or not at all, and
    stays on this machine.
    """
    from gan_space.packs.consent import Consent
    from gan_space.packs.files import check_place
    from gan_space.packs.identity_tuning import IdentitySettings

    record = parse_consent(consent, Consent)
    settings = IdentitySettings(num_steps=steps, rank=rank, seed=seed, preview_every=0)
    files = list_photos(photos)
    if not check:
        refuse_existing([out], overwrite)
        check_place(out)

    from gan_space.pipelines.personalization import PersonalizationPipeline
    from gan_space.pipelines.photo_filter import PhotoLimits

    limits = PhotoLimits(**({"min_chroma": 0.0} if gray else {}), **({"min_sharpness": 0.0} if blurred else {}))
    person = PersonalizationPipeline.from_pretrained(model, revision)
    checked = person.check_photos(files, limits=limits, callback=lambda done, all_: progress(done, all_, "photos"))
    checked.crops  # noqa: B018, raises with all reasons where no photo is of use
    for line in checked.lines():
        say(line)
    if check:
        say(f"{len(checked.accepted)} of {len(files)} photos can be used")
        return
    options = {"num_steps": steps, "rank": rank, "seed": seed, "settings": settings}
    pack = person.fit(
        checked, consent=record, **options, callback=lambda done, all_, preview: progress(done, all_, "steps")
    )
    pack.save_pretrained(out)
    numbers = ", ".join(f"{name} {value:g}" for name, value in pack.quality.items())
    say(f"a profile from {pack.num_photos} of {len(files)} photos in {out} ({numbers})")


@group.command()
def generate(
    pack: Annotated[Path, typer.Option(help="Folder of the profile.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures; made if missing.")],
    seeds: Annotated[str, typer.Option(help="Such as 0-9, 7 or 1,5,10-12: one picture a seed.")] = "0-9",
    attribute: Annotated[
        list[str] | None, typer.Option(help="An attribute and an amount, such as smile=1. Repeatable.")
    ] = None,
    style: Annotated[
        list[str] | None,
        typer.Option(help="Style pack on top: a name of the model's, a folder or a Hub id; =0.5 adds a weight."),
    ] = None,
    identity_strength: Annotated[float, typer.Option(help="1 the person, 0 a random face.")] = 1.0,
    beyond: Annotated[float, typer.Option(help="0 to 0.5: how far beyond the photos pictures may lie.")] = 0.02,
    psi: Annotated[float, typer.Option(help="Truncation of the random faces that are mixed in.")] = 0.7,
    model: Model = None,
    revision: Revision = None,
    image_format: PictureFormat = "png",
    visible_label: VisibleLabel = True,
    batch_size: BatchSize = 8,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace pictures that are there already.")] = False,
) -> None:
    """Draw one labelled portrait of the person a seed into a folder, as seed0007.png."""
    raise_all(format_faults(image_format) + least_faults(1, {"batch-size": batch_size}, "--"), InputError)
    numbers = parse_seeds(seeds)
    attributes = parse_amounts(attribute or [], "--attribute")
    looks = dict(parse_pack(text) for text in style or [])
    files = {seed: out / f"seed{seed:04d}.{image_format}" for seed in numbers}
    refuse_existing(files.values(), overwrite)

    from gan_space.output.provenance import save_image
    from gan_space.pipelines.personalization import PersonalizationPipeline

    person = PersonalizationPipeline.from_pretrained(model, revision)
    profile = person.load_identity_pack(pack)
    loaded = {person.load_style_pack(name): weight for name, weight in looks.items()}
    options = {"attributes": attributes or None, "identity_strength": identity_strength, "beyond": beyond}
    options |= {"truncation_psi": psi, "style": loaded, "batch_size": batch_size}
    for start in range(0, len(numbers), batch_size):
        drawn = person(profile, numbers[start : start + batch_size], **options)
        make_folder(out)  # once it is known that the settings work
        for seed, picture, recipe in zip(drawn.seeds, drawn.images, drawn.recipe, strict=True):
            save_image(picture, files[seed], recipe=recipe, visible_label=visible_label)
        progress(start + len(drawn.seeds), len(numbers), "pictures")
    say(f"{len(numbers):,} labelled picture{'s' if len(numbers) > 1 else ''} in {out}")
    if person.credit:
        say(person.credit)


@group.command()
def delete(packs: Annotated[list[Path], typer.Argument(metavar="PROFILE...", help="Folders of profiles.")]) -> None:
    """Delete profiles, and name every file that is gone."""
    from gan_space.packs.identity import delete_pack

    for folder in packs:
        for file in delete_pack(folder):
            say(f"deleted {file}")


def parse_consent(text: str, build):
    """Turn "my own face; myself" into build(whose_face, agreed_by); InputError for anything else."""
    whose, separator, who = text.partition(";")
    if not separator or not whose.strip() or not who.strip():
        raise InputError(
            "--consent must say whose face it is and who agreed to the profile, with ; between, such as "
            f"'my own face; myself'; got {text[:60]!r}"
        )
    return build(whose.strip(), who.strip())
