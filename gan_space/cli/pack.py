"""`gan-space pack`: style packs from pictures of a look."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_space.cli.console import progress, refuse_existing, say
from gan_space.cli.options import Model, Revision, command_group
from gan_space.cli.photos import list_photos

group = command_group("Make a style pack from pictures of a look.")


@group.command()
def fit(
    pictures: Annotated[list[Path], typer.Argument(metavar="PICTURE...", help="Picture files, or folders of them.")],
    out: Annotated[Path, typer.Option(help="Folder of the pack, to be made; its name becomes the pack's id.")],
    name: Annotated[str, typer.Option(help="Name for people; made from the folder's if left out.")] = "",
    name_zh: Annotated[str, typer.Option(help="The same in Chinese.")] = "",
    scope: Annotated[str, typer.Option(help="face, or photo: everything around takes the look too.")] = "photo",
    transfer: Annotated[
        str, typer.Option(help="picture: photos are drawn anew; change: they keep their own pixels, recoloured.")
    ] = "picture",
    credit: Annotated[str, typer.Option(help="Line to show with the look, such as who painted the pictures.")] = "",
    license_: Annotated[str, typer.Option("--license", help="Licence that the pack may be passed on under.")] = "",
    aligned: Annotated[bool, typer.Option("--aligned", help="The pictures are aligned faces already.")] = False,
    model: Model = None,
    revision: Revision = None,
    steps: Annotated[int, typer.Option(help="Steps of optimisation.")] = 240,
    rank: Annotated[int, typer.Option(help="Of the change of the weights.")] = 8,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a pack that is there already.")] = False,
) -> None:
    """Make a style pack from 1 to 100 pictures of a look, such as a single painting; about 45 s of one core.

    Pictures without a usable face are named with the reason. The pack is written whole at the end, or not at all.
    """
    from gan_space.packs.files import check_place
    from gan_space.packs.tuning import TuneSettings

    settings = TuneSettings(num_steps=steps, rank=rank, seed=seed, preview_every=0)
    sources = list_photos(pictures)
    refuse_existing([out], overwrite)
    check_place(out)

    from gan_space.pipelines.pack_fitting import PackInfo
    from gan_space.pipelines.style_transfer import StyleTransferPipeline

    info = PackInfo(
        out.resolve().name,
        {"en": name, "zh-CN": name_zh},
        scope=scope,
        transfer=transfer,
        credit=credit,
        license=license_,
    )
    style = StyleTransferPipeline.from_pretrained(model, revision)
    read = style.read_look_pictures(sources, aligned=aligned)
    for line in read.left_out:
        say(f"left out: {line}")
    pack = style.fit_pack(
        read, info, settings=settings, callback=lambda done, total, preview: progress(done, total, "steps")
    )
    pack.save_pretrained(out)
    say(f"a pack from {len(read.faces)} of {len(sources)} pictures in {out}")
