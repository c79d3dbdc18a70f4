"""`gan-space stylize`: photos in the look of a reference picture or of style packs, as labelled files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gan_space.cli.console import progress, refuse_existing, say
from gan_space.cli.look import find as find_recipe
from gan_space.cli.look import parse_shares
from gan_space.cli.options import Model, OverwriteResults, PhotoFormat, Photos, Revision, VisibleLabel, format_faults
from gan_space.cli.photos import (
    change_each,
    is_file_name,
    labelled_pictures,
    list_photos,
    name_results,
    parse_boxes,
    parse_faces,
    refuse_inputs,
)
from gan_space.errors import InputError, raise_all
from gan_space.whole_files import make_folder


def command(
    photos: Photos,
    out: Annotated[Path, typer.Option(help="A picture file for one photo; else a folder, made if missing.")],
    look: Annotated[
        str | None, typer.Option(help="A look: one of `gan-space look list`, a JSON file, a folder or a Hub id.")
    ] = None,
    makeup_from: Annotated[
        Path | None, typer.Option(help="Picture whose make-up, tone and light are taken, alone or into a --look.")
    ] = None,
    makeup_strength: Annotated[
        str, typer.Option(help="0 to 1: one for all, or by part: lips=1,eyes=0.5,skin=0,tone=0.5.")
    ] = "1",
    reference: Annotated[Path | None, typer.Option(help="Picture whose look is taken.")] = None,
    pack: Annotated[
        list[str] | None,
        typer.Option(help="Style pack: a name of the model's, a folder or a Hub id; =0.5 adds a weight. Repeatable."),
    ] = None,
    model: Model = None,
    revision: Revision = None,
    strength: Annotated[
        float | None,
        typer.Option(help="0 leaves the photo (drawn looks: redraws it), 1 is all of the look, up to 1.5."),
    ] = None,
    layers: Annotated[str, typer.Option(help="Of a reference: coarse, middle, fine, joined by +.")] = "middle+fine",
    preserve_color: Annotated[bool, typer.Option("--preserve-color", help="Keep the photo's colours.")] = False,
    keep_identity: Annotated[float | None, typer.Option(help="0 to 1: how firmly features are held.")] = None,
    scope: Annotated[str, typer.Option(help="face, photo (everything takes the look), or auto.")] = "auto",
    transfer: Annotated[
        str, typer.Option(help="change (the photo's own pixels, changed), picture (the drawn face), or auto.")
    ] = "auto",
    upscale: Annotated[
        str, typer.Option(help="Of a drawn picture: network (crisper), plain (bicubic, softer), or auto.")
    ] = "auto",
    faces: Annotated[str, typer.Option(help="largest, all, or a number from 0, the largest first.")] = "largest",
    box: Annotated[
        list[str] | None, typer.Option(help="A face marked by hand: x,y,size or x,y,size,roll in px. Repeatable.")
    ] = None,
    frame: Annotated[bool, typer.Option("--frame", help="Write the styled face alone, not the photo.")] = False,
    post: Annotated[str, typer.Option(help="Finishing steps, such as sharpen:0.5,film; in this order.")] = "",
    seed: Annotated[int, typer.Option(help="Of what is drawn at random, such as film grain.")] = 0,
    refine_steps: Annotated[
        int, typer.Option(help="Steps of optimisation that keep more of each face; 60 is a good number.")
    ] = 0,
    lost: Annotated[
        bool, typer.Option("--lost", help="Also write NAME-lost.png: face, redrawn face, and what was lost.")
    ] = False,
    image_format: PhotoFormat = None,
    visible_label: VisibleLabel = True,
    overwrite: OverwriteResults = False,
) -> None:
    """Give photos a look and write labelled files; the photos themselves are never changed.

    Every photo is written before the next is read. Where one cannot be styled the others still are, and the command
    ends with an error that names those left out.
    """
    faults = format_faults(image_format)
    if look is None and makeup_from is None and reference is None and not pack and not post:
        faults.append("no look is given: --look NAME, --makeup-from or --reference FILE, --pack NAME, or --post STEPS")
    for name, alone in (("--look", look), ("--makeup-from", makeup_from)):
        if alone is not None and (reference is not None or pack or refine_steps or lost or frame):
            faults.append(f"{name} stands alone: leave out --reference, --pack, --refine-steps, --lost and --frame")
    for name, picture in (("--reference", reference), ("--makeup-from", makeup_from)):
        if picture is not None and not picture.is_file():
            faults.append(f"{name} {str(picture)!r} is no file")
    raise_all(faults, InputError)
    shares = parse_shares(makeup_strength)
    weights = dict(parse_pack(text) for text in pack or [])
    sources = list_photos(photos)
    which, boxes = parse_faces(faces), parse_boxes(box, sources)
    files = name_results(sources, out, image_format)
    inputs = [*sources, *(picture for picture in (reference, makeup_from) if picture is not None)]
    maps = [file.with_name(f"{file.stem}-lost.png") for file in files] if lost else []
    refuse_inputs([*files, *maps], inputs)
    refuse_existing([*files, *maps], overwrite)

    from gan_space.pipelines.looks import choose_look, choose_strength, faults_beside
    from gan_space.pipelines.saving import save_portrait
    from gan_space.pipelines.style_transfer import StyleTransferPipeline
    from gan_space.styles.settings import StyleSettings

    own = None if look is None else find_recipe(look)
    pipe = StyleTransferPipeline.from_pretrained(model, revision)
    own = choose_look(pipe, own, makeup_from, shares)
    settings = StyleSettings(
        strength=choose_strength(strength, own),
        layers=layers,
        preserve_color=preserve_color,
        keep_identity=keep_identity,
        paste_back=not frame,
        scope=scope,
        transfer=transfer,
        upscale=upscale,
        faces=which,
        post_processing=post,
        seed=seed,
        refine_steps=refine_steps,
    )
    if own is not None:  # told once, not for each photo
        raise_all(faults_beside(pipe, own, settings), InputError)
    loaded = {pipe.load_style_pack(name): weight for name, weight in weights.items()}
    read = None if reference is None else pipe.read_look(reference)
    make_folder(out.parent if is_file_name(out) else out)

    def style(number: int, source: Path) -> None:
        portrait, refined = pipe.open(source, which, boxes=boxes), None
        for note in portrait.opened.notes:
            say(f"{source}: {note}")
        if refine_steps or lost:
            refined = pipe.refine(
                portrait,
                refine_steps,
                callback=lambda step, total, loss: progress(step, total, "steps of refinement"),
            )
        styled = pipe(portrait, read, look=own, packs=loaded or None, refined=refined, **settings.arguments())
        styled.save(files[number], visible_label=visible_label, photo=source)
        if lost:
            recipe = styled.recipe[0] | {"kind": "what was lost"}
            options = {"visible_label": visible_label, "photo": source}
            save_portrait(refined.picture(), maps[number], portrait=portrait, recipe=recipe, **options)

    change_each(sources, style, "styled")
    say(labelled_pictures(len(sources), out))
    if pipe.credit:
        say(pipe.credit)


def parse_pack(text: str) -> tuple[str, float]:
    """Turn "ink" or "ink=0.5" into a name and a weight."""
    name, _, weight = text.rpartition("=") if "=" in text and not Path(text).is_dir() else (text, "", "1")
    try:
        return name, float(weight)
    except ValueError:
        raise InputError(f"--pack must be such as ink or ink=0.5, got {text!r}") from None
