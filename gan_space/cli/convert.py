"""`gan-space convert`: other people's checkpoints to model folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_space.cli.console import say


def command(
    file: Annotated[Path, typer.Argument(help="NVIDIA .pkl or rosinality .pt with a StyleGAN2 network.")],
    out: Annotated[Path, typer.Argument(help="Folder for the model; new or empty.")],
    name: Annotated[str, typer.Option(help="Of the model, for recipes and labels; the file's name if left out.")] = "",
    license: Annotated[str, typer.Option(help="Short name of the licence of the weights, as their author says.")] = "",
    credit: Annotated[str, typer.Option(help="Line to show with the pictures.")] = "",
    discriminator: Annotated[bool, typer.Option("--discriminator", help="Also keep the discriminator.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model folder that is there.")] = False,
) -> None:
    """Convert a checkpoint to a model folder. Nothing in the file is executed."""
    from gan_space.pipelines.conversion import convert_checkpoint

    model = convert_checkpoint(
        file, out, name=name, license=license, credit=credit, with_discriminator=discriminator, overwrite=overwrite
    )
    say(f"{model.folder}: {model.resolution} px from a {model.format}, {model.revision}")
    for note in model.notes:
        say(f"note: {note}")
    if not license:
        say("note: no --license was given; whether you may use or share these weights is for their author to say")
