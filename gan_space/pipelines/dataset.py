"""Data sets of generated portraits: parquet files of labelled pictures with what was asked for and what was measured.

A data set is a folder: `generate.json` (the settings), `train-00000-of-00010.parquet`, … and, once it is whole, a card
`README.md`. Each file gets its name when it is complete, and its content follows from settings and seeds alone, so a
run that was killed goes on with the first file that is missing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gan_space.errors import InputError, raise_all
from gan_space.folder_locks import LOCK, locked_folder
from gan_space.images import to_pil
from gan_space.latents.directions import generator_hash
from gan_space.models.analyzer import Analyzer
from gan_space.output.parquet import remove_partial_files, rows_in_parquet, write_parquet
from gan_space.output.provenance import FORMATS, encode_image
from gan_space.output.xmp import to_json
from gan_space.pipelines.arguments import check_attributes
from gan_space.pipelines.dataset_card import CARD, write_card
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.recipe import attribute_faults, settings_faults
from gan_space.seeding import seed_faults
from gan_space.settings import changed_settings
from gan_space.whole_files import write_json

FORMAT_VERSION = 1
SETTINGS = "generate.json"
BEFORE_SETTINGS = (LOCK, f".{SETTINGS}.partial")  # what a kill may leave in a folder before its settings are there
SPLIT = "train"
IMAGE_FORMATS = ("png", "jpg", "webp")
MAX_ROWS = 10_000_000
AMOUNT_DIGITS = 4  # of random amounts, so that recipes stay short
ASKED, MEASURED = "asked_", "measured_"

Amount = float | tuple[float, float]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class DatasetReport:
    """What `write_dataset` did.

    Args:
        files: all files of the data set, in order.
        num_rows: pictures in all of them.
        num_new: pictures that this call drew; the others were there already.
        columns: {name: type} beside the picture.
    """

    files: list[Path]
    num_rows: int
    num_new: int
    columns: dict[str, str]


def write_dataset(
    pipe: GenerationPipeline,
    folder: str | Path,
    seeds: Sequence[int],
    *,
    attributes: Mapping[str, Amount] | None = None,
    truncation_psi: float = 0.7,
    truncation: str = "mean",
    noise_mode: str = "const",
    label: int | None = None,
    image_format: str = "png",
    visible_label: bool = False,
    rejection_sampling: bool = False,
    rows_per_file: int = 1000,
    batch_size: int = 8,
    overwrite: bool = False,
    callback: Progress | None = None,
) -> DatasetReport:
    """Draw one labelled picture a seed into parquet files that `datasets` reads with an Image feature.

    The columns are image, seed, truncation_psi, asked_NAME for every attribute asked for, measured_NAME for all that
    the model's analyzer reads (natural units, see `AnalyzerOutput`), class_label for a network with classes, model,
    revision, and recipe (JSON, see `GenerationPipeline.generate_from_recipe`). One batch is in memory at a time.

    Args:
        pipe: draws; where its model folder holds an analyzer, that one measures.
        folder: made if it is missing. One that was begun with the same arguments is continued.
        seeds: one a picture, each once; a `range` takes no memory.
        attributes: {name: amount} for all pictures, or {name: (low, high)} for an amount that is drawn evenly between
            the two; it follows from the seed and the name alone.
        truncation_psi, truncation, noise_mode, label: as in `GenerationPipeline.__call__`.
        image_format: "png", "jpg" or "webp".
        visible_label: also draw the label into the pictures; what is trained on them would learn it.
        rejection_sampling: draw a face that came out broken from another seed, see `GenerationPipeline.__call__`; the
            row then has that seed, and its recipe both.
        rows_per_file: pictures in one file; at most so many are drawn again after a kill.
        batch_size: pictures at once; changes memory and speed.
        overwrite: delete a data set that was begun with other settings instead of refusing.
        callback: called as callback(done, total) after every batch.

    Raises:
        InputError: an argument that does not work, all faults at once; or the folder holds something else, a data set
            with other settings, which are named, or one that another process is writing.

    Example:
        >>> report = write_dataset(pipe, "faces", range(10_000), attributes={"smile": (-1, 1)})  # doctest: +SKIP
        >>> report.num_rows  # doctest: +SKIP
        10000
    """
    _check(
        pipe, seeds, attributes, truncation_psi, truncation, noise_mode, label, image_format, rows_per_file, batch_size
    )
    raise_all(pipe.rejection_faults(rejection_sampling) + pipe.truncation_faults(truncation), InputError)
    amounts = {name: _as_range(amount) for name, amount in sorted((attributes or {}).items())}
    analyzer = load_analyzer(pipe)
    measured = () if analyzer is None else tuple(analyzer.config.attributes)
    columns = {"seed": "int64", "truncation_psi": "float32"}
    columns |= {ASKED + name: "float32" for name in amounts} | {MEASURED + name: "float32" for name in measured}
    columns |= {"class_label": "int64"} if pipe.generator.config.c_dim else {}
    columns |= {"model": "string", "revision": "string", "recipe": "string"}
    settings = {
        "format_version": FORMAT_VERSION,
        "model": pipe.model_name,
        "revision": pipe.revision,
        "generator_sha256": generator_hash(pipe.generator),
        "seeds": ranges_text(seeds),
        "attributes": {name: list(span) for name, span in amounts.items()},
        "truncation_psi": float(truncation_psi),
        "noise_mode": noise_mode,
        "label": label,
        "image_format": image_format,
        "visible_label": visible_label,
        "rows_per_file": rows_per_file,
        "measured": list(measured),
        # Older data sets have no such entries.
        **({"truncation": truncation} if truncation != "mean" else {}),
        **({"rejection_sampling": True} if rejection_sampling else {}),
    }
    folder = Path(folder)
    count = math.ceil(len(seeds) / rows_per_file)
    files = [folder / f"{SPLIT}-{number:05d}-of-{count:05d}.parquet" for number in range(count)]
    # Before anything is written, the lock too: what is finished may lie where nothing can be.
    if _is_begun(folder, settings, overwrite) and _is_finished(folder, files, len(seeds), rows_per_file):
        if callback is not None:
            callback(len(seeds), len(seeds))
        return DatasetReport(files, len(seeds), 0, columns)
    with _claimed(folder, settings, overwrite):
        drawn = 0
        for number, file in enumerate(files):
            first = number * rows_per_file
            part = seeds[first : first + rows_per_file]
            if rows_in_parquet(file) != len(part):
                rows = _draw(pipe, analyzer, part, amounts, settings, batch_size)
                drawn += write_parquet(file, columns, _counted(rows, first, len(seeds), batch_size, callback))
            elif callback is not None:
                callback(first + len(part), len(seeds))
        remove_partial_files(folder)
        if drawn or not (folder / CARD).is_file():
            write_card(folder, pipe, settings, columns, len(seeds), SPLIT)
    return DatasetReport(files, len(seeds), drawn, columns)


def load_analyzer(pipe: GenerationPipeline) -> Analyzer | None:
    """Return the analyzer in the folder that a pipeline came from, on its device; None where there is none."""
    source = pipe.source.folder
    if source is None or not (source / "analyzer" / "config.json").is_file():
        return None
    analyzer = Analyzer.from_pretrained(str(source), subfolder="analyzer")
    return analyzer.eval().requires_grad_(False).to(pipe.device)


def amounts_of_seed(seed: int, ranges: Mapping[str, tuple[float, float]]) -> dict[str, float]:
    """Draw {name: amount} evenly from {name: (low, high)}; each amount follows from seed and name alone.

    Example:
        >>> amounts_of_seed(7, {"smile": (1.0, 1.0)})
        {'smile': 1.0}
    """
    drawn = {}
    for name, (low, high) in ranges.items():
        # Not RandomState(seed), from which the seed's face comes: attributes must not hang together with faces.
        share = np.random.default_rng([seed, *name.encode()]).random()
        drawn[name] = low if low == high else round(low + share * (high - low), AMOUNT_DIGITS)
    return drawn


def ranges_text(seeds: Sequence[int]) -> str:
    """Write seeds as short as can be, in their order.

    Example:
        >>> ranges_text([5, 0, 1, 2])
        '5,0-2'
    """
    if isinstance(seeds, range) and seeds.step == 1:
        return f"{seeds[0]}-{seeds[-1]}" if len(seeds) > 1 else str(seeds[0])
    spans: list[list[int]] = []
    for seed in seeds:
        if spans and seed == spans[-1][1] + 1:
            spans[-1][1] = int(seed)
        else:
            spans.append([int(seed), int(seed)])
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in spans)


@torch.no_grad()
def _draw(
    pipe: GenerationPipeline,
    analyzer: Analyzer | None,
    seeds: Sequence[int],
    ranges: Mapping[str, tuple[float, float]],
    settings: Mapping[str, Any],
    batch_size: int,
) -> Iterator[dict[str, Any]]:
    """Rows of one file; batches never reach over its end, so that it does not matter which files are there."""
    for start in range(0, len(seeds), batch_size):
        batch = [int(seed) for seed in seeds[start : start + batch_size]]
        wanted = [amounts_of_seed(seed, ranges) for seed in batch]
        out = pipe(
            seeds=batch,
            truncation_psi=settings["truncation_psi"],
            truncation=settings.get("truncation", "mean"),
            noise_mode=settings["noise_mode"],
            attributes=wanted if ranges else None,
            labels=settings["label"],
            rejection_sampling=settings.get("rejection_sampling", False),
            batch_size=batch_size,
            output_type="pt",
        )
        images = out.images.clamp(-1, 1)  # [N, 3, R, R]
        read = {} if analyzer is None else analyzer(images.to(pipe.device)).attributes
        read = {name: values.float().cpu().tolist() for name, values in read.items()}
        for index, (picture, recipe) in enumerate(zip(to_pil(images), out.recipe, strict=True)):
            data = encode_image(
                picture, f".{settings['image_format']}", recipe=recipe, visible_label=settings["visible_label"]
            )
            yield {
                "image": data,
                "seed": out.seeds[index],
                "truncation_psi": settings["truncation_psi"],
                **{ASKED + name: amount for name, amount in wanted[index].items()},
                **{MEASURED + name: values[index] for name, values in read.items()},
                "class_label": settings["label"],
                "model": settings["model"],
                "revision": settings["revision"],
                "recipe": to_json(recipe),
            }


def _counted(rows: Iterator, first: int, total: int, every: int, callback: Progress | None) -> Iterator:
    """Pass rows on and tell how many there are, now and then and at the end."""
    number = first
    for row in rows:
        yield row
        number += 1
        if callback is not None and (number - first) % every == 0:
            callback(number, total)
    if callback is not None and (number - first) % every:
        callback(number, total)


def _as_range(amount: Amount) -> tuple[float, float]:
    low, high = amount if isinstance(amount, Sequence) else (amount, amount)
    return float(low), float(high)


def _check(
    pipe, seeds, attributes, psi, truncation, noise_mode, label, image_format, rows_per_file, batch_size
) -> None:
    settings = {"truncation_psi": psi, "truncation": truncation, "noise_mode": noise_mode}
    faults = settings_faults(**settings, truncation_cutoff=None, upscale_factor=1)
    c_dim = pipe.generator.config.c_dim
    if c_dim and (label is None or isinstance(label, bool) or not 0 <= label < c_dim):
        faults.append(f"this network draws {c_dim} classes: give a label from 0 to {c_dim - 1}, got {label!r}")
    elif not c_dim and label is not None:
        faults.append(f"this network has no classes, leave label out; got {label!r}")
    if not isinstance(seeds, Sequence) or isinstance(seeds, str) or not 1 <= len(seeds) <= MAX_ROWS:
        faults.append(f"seeds must be a range or a list of 1 to {MAX_ROWS:,} numbers, got {seeds!r:.60}")
    elif isinstance(seeds, range):
        faults += seed_faults("seeds", {seeds[0], seeds[-1]})
    else:
        wrong = seed_faults("seeds", seeds)[:3]
        faults += wrong or (["seeds must differ, some are there twice"] if len(set(seeds)) < len(seeds) else [])
    if f".{image_format}" not in FORMATS:
        faults.append(f"image_format must be one of {', '.join(IMAGE_FORMATS)}, got {image_format!r}")
    for name, value in (("rows_per_file", rows_per_file), ("batch_size", batch_size)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            faults.append(f"{name} must be a whole number of 1 or more, got {value!r}")
    faults += _range_faults(attributes, pipe)
    raise_all(faults, InputError)


def _range_faults(attributes: Mapping[str, Amount] | None, pipe: GenerationPipeline) -> list[str]:
    if attributes is None:
        return []
    if not isinstance(attributes, Mapping):
        return [f"attributes must be a dict such as {{'smile': 1}} or {{'smile': (-1, 1)}}, got {attributes!r}"]
    ends: tuple[dict, dict] = ({}, {})
    faults = []
    for name, amount in attributes.items():
        span = tuple(amount) if isinstance(amount, list | tuple) else (amount, amount)
        wrong = attribute_faults(dict.fromkeys([name], span[0])) + attribute_faults(dict.fromkeys([name], span[-1]))
        if len(span) != 2 or wrong or span[0] > span[1]:
            faults.append(f"attribute {name!r} needs an amount, or the lowest and the highest one, got {amount!r}")
        else:
            for end, number in zip(ends, span, strict=True):
                end[name] = float(number)
    # Both ends are asked for, so that no amount between them is refused an hour later.
    return faults + list(dict.fromkeys(check_attributes(list(ends), 2, pipe.directions)[1]))


@contextmanager
def _claimed(folder: Path, settings: dict[str, Any], overwrite: bool) -> Iterator[None]:
    """Take a folder for a data set with these settings while the block runs, or refuse it."""
    with ExitStack() as lock:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock.enter_context(locked_folder(folder, otherwise="choose another folder"))
            if not _is_begun(folder, settings, overwrite):  # again: another process may have come before the lock
                for stale in [*folder.glob(f"{SPLIT}-*-of-*.parquet"), folder / CARD, folder / SETTINGS]:
                    stale.unlink(missing_ok=True)
                write_json(folder / SETTINGS, settings)
        except OSError as error:
            raise InputError(f"cannot write into {str(folder)!r}: {error.strerror or error}") from error
        yield


def _is_begun(folder: Path, settings: dict[str, Any], overwrite: bool) -> bool:
    """Tell whether a folder holds a data set with these settings; InputError where none may be written there."""
    file = folder / SETTINGS
    if file.is_file():
        try:
            old = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read {file}: {error}; choose another folder") from error
        changed = changed_settings(old, settings)
        if changed and not overwrite:
            raise InputError(
                f"{folder} holds a data set with other settings:\n"
                + "\n".join(changed)
                + "\nuse the old settings to go on with it, overwrite it, or choose another folder"
            )
        return not changed
    if folder.exists() and (not folder.is_dir() or any(path.name not in BEFORE_SETTINGS for path in folder.iterdir())):
        raise InputError(f"{folder} is not empty and holds no data set of ours: choose another folder")
    return False


def _is_finished(folder: Path, files: Sequence[Path], num_rows: int, rows_per_file: int) -> bool:
    """Tell whether all files of a data set are whole and its card, which is written last, is there."""
    sizes = [min(rows_per_file, num_rows - first) for first in range(0, num_rows, rows_per_file)]
    return (folder / CARD).is_file() and all(
        rows_in_parquet(file) == size for file, size in zip(files, sizes, strict=True)
    )
