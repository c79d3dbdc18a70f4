"""`gan-space look`: which looks there are, what one does, and how one's own comes and goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from gan_space.cli.console import refuse_existing, say
from gan_space.cli.options import command_group
from gan_space.errors import InputError

group = command_group("List looks, show what one does, save a changed one, load one that somebody shared.")

FLAT = ("shape", "skin", "hair", "background", "packs", "grade")
Source = Annotated[str, typer.Argument(metavar="LOOK", help="A name, a JSON file, a folder or a Hub id.")]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hub id.")]


@group.command("list")
def list_command() -> None:
    """List the looks in the package: name, group and title."""
    from gan_space.looks.recipe import shipped_looks

    for name, look in shipped_looks().items():
        say(f"{name:<22} {look.group:<10} {look.title['en']}")


@group.command()
def show(source: Source, revision: Revision = None) -> None:
    """Print a look as JSON."""
    typer.echo(find(source, revision).to_json(), nl=False)


@group.command()
def save(
    source: Annotated[
        str | None, typer.Argument(metavar="[LOOK]", help="A name, a JSON file, a folder or a Hub id.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="JSON file to be written.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the new look: small letters, digits and dashes.")] = None,
    title: Annotated[str | None, typer.Option(help="What people read, in English.")] = None,
    title_zh: Annotated[str | None, typer.Option(help="The same in Chinese.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Another amount: skin.even=0.4, makeup.lipstick.color=#a1343c. Repeatable."),
    ] = None,
    makeup_from: Annotated[Path | None, typer.Option(help="Picture whose make-up and tone it takes over.")] = None,
    makeup_strength: Annotated[
        str, typer.Option(help="0 to 1: one for all, or lips=1,eyes=0.5,skin=0,tone=0.5.")
    ] = "1",
    push: Annotated[str | None, typer.Option(help="Also push it to this Hub repository, user/name.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Make the repository private.")] = False,
    tag: Annotated[str | None, typer.Option(help="Name of this release on the Hub.")] = None,
    revision: Revision = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
) -> None:
    """Save a look with changes as a file, on the Hub, or both.

    With --makeup-from the file holds what was read of that make-up, not the picture.
    """
    from gan_space.looks.recipe import MAKEUP_ALONE, LookRecipe
    from gan_space.looks.sharing import push_look

    if out is None and push is None:
        raise InputError("where to? --out FILE, --push USER/NAME, or both")
    if source is None and makeup_from is None:
        raise InputError("which look? name one, or give --makeup-from PICTURE for its make-up alone")
    content = (MAKEUP_ALONE if source is None else find(source, revision)).to_dict()
    changes = [parse_change(text) for text in set_ or []]
    changed = bool(changes or name or title or title_zh or makeup_from)
    content |= {"group": "mine"} if changed else {}
    content |= {"name": name} if name else {}
    content["title"] |= ({"en": title} if title else {}) | ({"zh-CN": title_zh or title} if title_zh or title else {})
    for keys, value in changes:
        part = content
        for key in keys[:-1]:
            part = part.setdefault(key, {})
        part[keys[-1]] = value
    look = LookRecipe.from_dict(content)
    if makeup_from is not None:
        look = look.wearing(read_makeup_from(makeup_from).scaled(parse_shares(makeup_strength)))
    if out is not None:
        refuse_existing([out], overwrite)
        look.save(out)
        say(f"the look {look.name} in {out}")
    if push is not None:
        done = push_look(look, push, private=True if private else None, tag=tag)
        say(f"the look {look.name} at {done.url}, commit {done.commit[:10]}")


@group.command()
def load(
    source: Annotated[str, typer.Argument(metavar="LOOK", help="A JSON file, a folder or a Hub id.")],
    out: Annotated[Path | None, typer.Option(help="JSON file to be written; NAME.json if left out.")] = None,
    revision: Revision = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
) -> None:
    """Check a look that somebody shared, and keep it as a file for `stylize --look`."""
    from gan_space.looks.sharing import load_look

    look = load_look(source, revision)
    out = Path(f"{look.name}.json") if out is None else out
    refuse_existing([out], overwrite)
    look.save(out)
    say(f"{look.title['en']} in {out}; use it with: gan-space stylize PHOTO --look {out}")


def read_makeup_from(picture: Path):
    """Return the make-up of the largest face in a picture file."""
    from gan_space.pipelines.looks import makeup_of
    from gan_space.pipelines.style_transfer import StyleTransferPipeline

    return makeup_of(StyleTransferPipeline.from_pretrained(), picture)


def find(source: str, revision: str | None = None):
    """Return a look by the name of one in the package, else a file, a folder or a Hub id."""
    from gan_space.looks.recipe import no_such_look, shipped_looks
    from gan_space.looks.sharing import load_look

    looks = shipped_looks()
    if source in looks:
        return looks[source]
    if "/" not in source and not Path(source).exists() and not source.endswith(".json"):
        raise InputError(f"{no_such_look(source, looks)}, or a Hub id")
    return load_look(source, revision)


def parse_shares(text: str) -> float | dict[str, float]:
    """Turn "0.8" or "lips=1,eyes=0.5" into a number, or a number a part."""
    try:
        if "=" not in text:
            return float(text)
        return {name.strip(): float(value) for name, _, value in (part.partition("=") for part in text.split(","))}
    except ValueError:
        raise InputError(f"--makeup-strength must be such as 0.8 or lips=1,eyes=0.5, got {text[:60]!r}") from None


def parse_change(text: str) -> tuple[list[str], Any]:
    """Turn "skin.even=0.4" into (["skin", "even"], 0.4)."""
    place, separator, value = text.partition("=")
    keys = place.strip().split(".")
    deep = {1: ("strength", "credit", "drawing"), 2: FLAT, 3: ("makeup",)}
    if not separator or not all(keys) or keys[0] not in deep.get(len(keys), ()):
        raise InputError(f"--set must be such as skin.even=0.4 or makeup.lipstick.color=#a1343c, got {text[:60]!r}")
    try:
        number = json.loads(value)
    except ValueError:
        number = value
    return keys, number if isinstance(number, int | float) else value
