"""`gan-space publish-space`: the web app as a Space of the Hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_space.cli.console import say


def command(
    repo_id: Annotated[str, typer.Argument(help="user/name of the Space; made if it does not exist.")],
    model: Annotated[str | None, typer.Option(help="Hub id of its model; the embedded one if left out.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of that model.")] = None,
    packs: Annotated[str | None, typer.Option(help="Style packs to load: names or Hub ids, with commas.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Only you can see it; a public one is refused.")] = False,
    source: Annotated[
        Path | None, typer.Option(help="Clone of the project; the one this command runs from if left out.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be sent, and send nothing.")] = False,
) -> None:
    """Push the app as one commit to a Space. Log in first: hf auth login."""
    from gan_space.formats.space import check_space, default_source, publish_space, space_files

    if dry_run:
        variables = check_space(repo_id, model=model, revision=revision, packs=packs)
        files = space_files(default_source() if source is None else source)
        for name, path in files.items():
            say(f"{path.stat().st_size:>10,} {name}")
        for key, value in variables.items():
            say(f"{key}={value}")
        return
    done = publish_space(repo_id, source, private=private or None, model=model, revision=revision, packs=packs)
    say(f"{'pushed to' if done.changed else 'nothing has changed in'} {done.url} at commit {done.commit}")
