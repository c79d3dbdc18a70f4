"""`gan-space generate`: portraits from seeds, as labelled files."""

from __future__ import annotations

import re
import secrets
from pathlib import Path
from typing import Annotated

import typer

from gan_space.cli.console import make_folder, progress, refuse_existing, say
from gan_space.errors import InputError, raise_all

MAX_PICTURES = 1_000_000
MAX_SEED = 2**32 - 1
FORMATS = ("png", "jpg", "webp")
_SEEDS = re.compile(r"(\d{1,10})(?:-(\d{1,10}))?")


def command(
    out: Annotated[Path, typer.Option(help="Folder for the pictures; made if missing.")],
    seeds: Annotated[str | None, typer.Option(help="Such as 0-63, 7 or 1,5,10-12: one picture a seed.")] = None,
    num: Annotated[int | None, typer.Option(help="Instead of --seeds: so many pictures of random seeds.")] = None,
    model: Annotated[str | None, typer.Option(help="Model folder or Hub id; the embedded model if left out.")] = None,
    revision: Annotated[str | None, typer.Option(help="Branch, tag or commit of a Hub id.")] = None,
    psi: Annotated[float, typer.Option(help="Truncation: 0 the average face, 1 all of the variety.")] = 0.7,
    label: Annotated[int | None, typer.Option(help="Class, for a network with classes.")] = None,
    noise_mode: Annotated[str, typer.Option(help="const, random or none.")] = "const",
    image_format: Annotated[str, typer.Option("--format", help="png, jpg or webp.")] = "png",
    visible_label: Annotated[bool, typer.Option(help="Also draw the label into the picture.")] = False,
    batch_size: Annotated[int, typer.Option(help="Pictures at once; changes speed and memory only.")] = 8,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace pictures that are there already.")] = False,
) -> None:
    """Draw one labelled portrait a seed into a folder, as seed0007.png.

    The network is asked for BATCH_SIZE pictures at a time and each is written before the next, so any number fits
    into memory. What was written stays if the command is stopped.
    """
    faults = []
    if (seeds is None) == (num is None):
        faults.append("give either --seeds, such as 0-63, or --num")
    if image_format not in FORMATS:
        faults.append(f"--format must be one of {', '.join(FORMATS)}, got {image_format!r}")
    if batch_size < 1:
        faults.append(f"--batch-size must be 1 or more, got {batch_size}")
    if num is not None and not 1 <= num <= MAX_PICTURES:
        faults.append(f"--num must be from 1 to {MAX_PICTURES:,}, got {num}")
    raise_all(faults, InputError)
    numbers = random_seeds(num) if seeds is None else parse_seeds(seeds)
    files = {seed: out / f"seed{seed:04d}.{image_format}" for seed in numbers}
    refuse_existing(files.values(), overwrite)

    from gan_space.output.provenance import save_image
    from gan_space.pipelines.generation import GenerationPipeline

    pipe = GenerationPipeline.from_pretrained(model, revision)
    make_folder(out)
    for start in range(0, len(numbers), batch_size):
        drawn = pipe(
            seeds=numbers[start : start + batch_size],
            truncation_psi=psi,
            noise_mode=noise_mode,
            labels=label,
            batch_size=batch_size,
        )
        for seed, picture, recipe in zip(drawn.seeds, drawn.images, drawn.recipe, strict=True):
            save_image(picture, files[seed], recipe=recipe, visible_label=visible_label)
        progress(start + len(drawn.seeds), len(numbers), "pictures")
    say(f"{len(numbers):,} labelled picture{'s' if len(numbers) > 1 else ''} in {out}")
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


def random_seeds(count: int) -> list[int]:
    """Draw `count` different seeds."""
    return secrets.SystemRandom().sample(range(MAX_SEED + 1), count)
