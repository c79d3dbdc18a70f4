"""`gan-space generate`: portraits from seeds, as labelled files or as a data set of them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from gan_space.cli.console import progress, refuse_existing, say
from gan_space.cli.options import BatchSize, Model, PictureFormat, Revision, format_faults
from gan_space.errors import InputError, raise_all
from gan_space.settings import MAX_SEED, least_faults
from gan_space.whole_files import make_folder

MAX_PICTURES = 1_000_000
LAYOUTS = ("files", "parquet")
_SEEDS = re.compile(r"(\d{1,10})(?:-(\d{1,10}))?")


def command(
    out: Annotated[Path, typer.Option(help="Folder for the pictures; made if missing.")],
    seeds: Annotated[str | None, typer.Option(help="Such as 0-63, 7 or 1,5,10-12: one picture a seed.")] = None,
    num: Annotated[int | None, typer.Option(help="Instead of --seeds: a data set of so many pictures.")] = None,
    seed_start: Annotated[int | None, typer.Option("--seed-start", "--seed_start", help="First seed of --num.")] = None,
    layout: Annotated[
        str | None,
        typer.Option("--as", help="files, or parquet (a data set); files with --seeds, parquet with --num."),
    ] = None,
    attributes: Annotated[
        str | None,
        typer.Option(help="Such as smile=1,age=-1..1: amounts, or ranges from which each picture gets its own."),
    ] = None,
    model: Model = None,
    revision: Revision = None,
    psi: Annotated[float, typer.Option(help="Truncation: 0 the average face, 1 all of the variety.")] = 0.7,
    truncation: Annotated[
        str,
        typer.Option(help="Towards the mean, or towards the nearest of several centers: rare faces stay less rare."),
    ] = "mean",
    label: Annotated[int | None, typer.Option(help="Class, for a network with classes.")] = None,
    noise_mode: Annotated[str, typer.Option(help="const, random or none.")] = "const",
    image_format: PictureFormat = "png",
    visible_label: Annotated[
        bool | None, typer.Option(help="Draw a small mark into a corner; if left out, into files but not data sets.")
    ] = None,
    rejection_sampling: Annotated[
        bool,
        typer.Option("--rejection-sampling", help="Replace faces that came out broken by those of derived seeds."),
    ] = False,
    batch_size: BatchSize = 8,
    rows_per_file: Annotated[int, typer.Option(help="Of a data set: pictures in one parquet file.")] = 1000,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there already.")] = False,
) -> None:
    """Draw one labelled portrait a seed into a folder.

    With --seeds as files such as seed0007.png. With --num, or --as parquet, as a data set: parquet files with the
    pictures, seeds, what was asked for, what the model's analyzer measured, and recipes. A data set that was stopped
    or killed is continued by the same command.

    The network is asked for BATCH_SIZE pictures at a time and each is written before the next, so any number fits
    into memory. What was written stays if the command is stopped.
    """
    layout = layout or ("parquet" if num is not None else "files")
    faults = []
    if (seeds is None) == (num is None):
        faults.append("give either --seeds, such as 0-63, or --num")
    if layout not in LAYOUTS:
        faults.append(f"--as must be one of {', '.join(LAYOUTS)}, got {layout!r}")
    faults += format_faults(image_format)
    faults += least_faults(1, {"batch-size": batch_size, "rows-per-file": rows_per_file}, "--")
    if num is not None and not 1 <= num <= MAX_PICTURES:
        faults.append(f"--num must be from 1 to {MAX_PICTURES:,}, got {num}")
    elif num is not None and seed_start is not None and not 0 <= seed_start <= MAX_SEED + 1 - num:
        faults.append(f"--seed-start must be from 0 to {MAX_SEED + 1 - num} for {num:,} pictures, got {seed_start}")
    if num is None and seed_start is not None:
        faults.append("--seed-start belongs to --num; --seeds names the seeds itself")
    raise_all(faults, InputError)
    ranges = parse_ranges(attributes or "")
    if seeds is not None:
        numbers = parse_seeds(seeds)
    elif layout == "files" and seed_start is None:
        numbers = random_seeds(num)
    else:  # a data set must be the same when its command is given again
        numbers = range(seed_start or 0, (seed_start or 0) + num)
    options = {"truncation_psi": psi, "noise_mode": noise_mode, "batch_size": batch_size}
    options |= {"truncation": truncation, "rejection_sampling": rejection_sampling}
    if layout == "parquet":
        options |= {"label": label, "image_format": image_format, "visible_label": bool(visible_label)}
        options |= {"attributes": ranges or None, "rows_per_file": rows_per_file, "overwrite": overwrite}
        _write_dataset(out, numbers, model, revision, options)
        return
    files = {seed: out / f"seed{seed:04d}.{image_format}" for seed in numbers}
    refuse_existing(files.values(), overwrite)

    from gan_space.output.provenance import save_image
    from gan_space.pipelines.dataset import amounts_of_seed
    from gan_space.pipelines.generation import GenerationPipeline

    pipe = GenerationPipeline.from_pretrained(model, revision)
    make_folder(out)
    replaced = 0
    for start in range(0, len(numbers), batch_size):
        batch = numbers[start : start + batch_size]
        amounts = [amounts_of_seed(seed, ranges) for seed in batch] if ranges else None
        drawn = pipe(seeds=batch, attributes=amounts, labels=label, **options)
        for seed, picture, recipe in zip(batch, drawn.images, drawn.recipe, strict=True):
            save_image(picture, files[seed], recipe=recipe, visible_label=visible_label is not False)
        replaced += sum("replaces_seed" in recipe for recipe in drawn.recipe)
        progress(start + len(batch), len(numbers), "pictures")
    say(f"{len(numbers):,} labelled picture{'s' if len(numbers) > 1 else ''} in {out}")
    if replaced:
        say(f"{replaced:,} of them came out broken and were drawn from other seeds, which stand in their recipes")
    if pipe.credit:
        say(pipe.credit)


def _write_dataset(out: Path, seeds: Sequence[int], model: str | None, revision: str | None, options: dict) -> None:
    from gan_space.pipelines.dataset import write_dataset
    from gan_space.pipelines.generation import GenerationPipeline

    pipe = GenerationPipeline.from_pretrained(model, revision)
    report = write_dataset(pipe, out, seeds, **options, callback=lambda done, total: progress(done, total, "pictures"))
    kept = report.num_rows - report.num_new
    there = f", {kept:,} of them from before" if kept else ""
    say(
        f"{report.num_rows:,} labelled picture{'s' if report.num_rows > 1 else ''} in {len(report.files):,} parquet "
        f"file{'s' if len(report.files) > 1 else ''} in {out}{there}"
    )
    if pipe.credit:
        say(pipe.credit)


def parse_seeds(text: str) -> list[int]:
    """Turn "1,5,10-12" into [1, 5, 10, 11, 12]; InputError with all faults at once.

    Example:
        >>> parse_seeds("3,0-2")
        [3, 0, 1, 2]
    """
    faults, numbers = [], []
    for part in text.split(","):
        match = _SEEDS.fullmatch(part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if match is None:
            faults.append(f"{part.strip()[:40]!r} is no seed and no range")
        elif first > last or last > MAX_SEED:
            faults.append(f"{part.strip()!r} must rise and stay within 0-{MAX_SEED}")
        elif last - first + 1 + len(numbers) > MAX_PICTURES:
            faults.append(f"{part.strip()!r} makes more than {MAX_PICTURES:,} pictures")
        else:
            numbers += range(first, last + 1)
    if not faults and len(set(numbers)) != len(numbers):
        twice = next(seed for seed in numbers if numbers.count(seed) > 1)
        faults.append(f"seed {twice} is there twice")
    raise_all([f"--seeds: {fault}; expected such as 0-63 or 1,5,10-12" for fault in faults], InputError)
    return numbers


def parse_ranges(text: str) -> dict[str, tuple[float, float]]:
    """Turn "smile=1,age=-1..1" into {"smile": (1.0, 1.0), "age": (-1.0, 1.0)}; InputError with all faults at once."""
    faults, ranges = [], {}
    for part in [part.strip() for part in text.split(",") if part.strip()]:
        name, _, span = (word.strip() for word in part.partition("="))
        low, dots, high = span.partition("..")
        try:
            ends = float(low), float(high if dots else low)
        except ValueError:
            faults.append(f"--attributes must be such as smile=1,age=-1..1, got {part[:60]!r}")
            continue
        if not name or name in ranges:
            faults.append(f"--attributes names {name!r} twice" if name else f"--attributes: no name in {part[:60]!r}")
        elif not ends[0] <= ends[1]:
            faults.append(f"--attributes {part[:60]}: the lower amount comes first")
        else:
            ranges[name] = ends
    raise_all(faults, InputError)
    return ranges


def random_seeds(count: int) -> list[int]:
    """Draw `count` different seeds."""
    return secrets.SystemRandom().sample(range(MAX_SEED + 1), count)
