"""Make a data set of aligned faces: `python training/prepare_data.py --source PHOTOS --output_dir DIR`.

Photos come from a folder, a zip file, parquet files or the Hub, and are read one after the other, so that their number
does not matter. What is done is written in parts; the same command goes on after a stop or a kill, and the result is
the same as without. `--help` lists all settings.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import training.common.start  # noqa: F401

import numpy as np

from gan_space.errors import ConfigError, DataError, raise_all
from gan_space.faces.quality import DUPLICATE_CORRELATION, MIN_SHARPNESS
from gan_space.folder_locks import LOCK, unsign_lock
from gan_space.photos.opening import open_photo, to_picture
from gan_space.settings import changed_settings, least_faults, values_of
from gan_space.whole_files import whole_file, write_json, write_whole
from training.common.claim import lock_run
from training.common.command import script
from training.photo_checks import FaceMaker, Limits, Made
from training.photo_source import PhotoSource, SourceRow

CONTACT_SHEET_IMAGES = 64
PARTS, SETTINGS, REPORT = "parts", "prepare.json", "report.json"
BEFORE_SETTINGS = (LOCK, f".{SETTINGS}.partial")  # what a kill may leave in a folder before its settings are there
MAY_CHANGE = ("output_dir", "num_workers")


@dataclass(frozen=True)
class PrepareConfig:
    """Find, align, check and pack the faces of a collection of photos."""

    source: str
    """Folder of photos, zip file, folder of parquet files, parquet file, or Hub id."""
    output_dir: str
    """Where train-*.parquet, report.json and contact_sheet.jpg go; an unfinished one is continued."""
    split: str = "train"
    """Split of the source to read, and name of the one that is written."""
    config_name: str | None = None
    """Configuration of a Hub data set that has several, such as 1.25 of HuggingFaceM4/FairFace."""
    image_column: str | None = None
    """Column of the pictures; None finds it."""
    keep: tuple[str, ...] = ()
    """Take only pictures with these labels, each as COLUMN=VALUE,VALUE, such as "age=20-29,30-39"."""
    resolution: int = 128
    """Side of the pictures made, in px."""
    framing: Literal["tight", "portrait"] = "tight"
    """`tight` is forehead to chin, which all networks beside the generator expect; `portrait` head and shoulders."""
    aligner: str | None = None
    """Folder of the aligner; None takes the one in the package."""
    already_aligned: bool = False
    """The pictures are faces in the frame that is wanted: only resize and check them."""
    faces: Literal["largest", "all"] = "largest"
    """Faces to take of a photo with several."""
    min_face_px: float = 96.0
    """Smallest width of the tight frame in the photo; with --already_aligned, shortest side of a picture."""
    min_score: float = 0.9
    """Least probability, by aligner or landmarker, that it is a face."""
    max_error: float = 0.10
    """Largest error of eyes and mouth that they expect, as a share of the eye distance."""
    max_yaw: float = 0.35
    """Furthest turn to the side: offset of the nose tip over the eye distance."""
    max_outside: float = 0.15
    """Largest share of a picture that may lie outside its photo, where it is filled by mirroring."""
    min_sharpness: float = MIN_SHARPNESS
    """Deviation of the Laplacian over that of the grey values; half of all FairFace crops have 0.33 or more."""
    allow_gray: bool = False
    """Keep pictures without colour."""
    duplicate_correlation: float = DUPLICATE_CORRELATION
    """Two faces whose 16 px thumbnails correlate more than this are one; 1 keeps all."""
    jpeg_quality: int = 92
    """Of the pictures written."""
    part_images: int = 512
    """Photos whose faces are written at once; at most so many are done again after a kill."""
    num_workers: int = 0
    """Processes that look at photos; 0 uses this one."""

    def check(self) -> None:
        """Raise ConfigError with all faults at once."""
        faults = []
        if not 16 <= self.resolution <= 2048:
            faults.append(f"--resolution must be from 16 to 2048, got {self.resolution}")
        for name in ("min_score", "max_outside", "duplicate_correlation"):
            if not 0 <= getattr(self, name) <= 1:
                faults.append(f"--{name} must be from 0 to 1, got {getattr(self, name)}")
        names = ("min_face_px", "min_sharpness", "max_error", "max_yaw", "num_workers")
        faults += least_faults(0, values_of(self, *names), "--")
        if not 1 <= self.jpeg_quality <= 100:
            faults.append(f"--jpeg_quality must be from 1 to 100, got {self.jpeg_quality}")
        faults += least_faults(1, values_of(self, "part_images"), "--")
        if not self.split or not self.split.replace("_", "").isalnum():
            faults.append(f"--split must be a word, got {self.split!r}")
        if not self.already_aligned and not (self.aligner_folder() / "config.json").is_file():
            faults.append(
                f"no aligner in {self.aligner_folder()}: train one with training/aligner/train.py and name it with "
                "--aligner, or use --already_aligned for faces that are in place"
            )
        for one in self.keep:
            column, _, values = one.partition("=")
            if not column.strip() or not all(value.strip() for value in values.split(",")):
                faults.append(f"--keep must be like age=20-29,30-39, got {one!r}")
        if self.already_aligned and self.framing != "tight":
            faults.append("--framing says how faces are cut out; with --already_aligned they stay as they are")
        raise_all(faults, ConfigError)

    def photos(self) -> PhotoSource:
        """Say where the photos come from."""
        return PhotoSource(self.source, self.split, self.image_column, self.config_name)

    def wanted(self) -> dict[str, tuple[str, ...]]:
        """Return the values that are wanted of each column of --keep."""
        pairs = (one.partition("=")[::2] for one in self.keep)
        return {column.strip(): tuple(value.strip() for value in values.split(",")) for column, values in pairs}

    def aligner_folder(self) -> Path:
        """Return the folder that the aligner is loaded from."""
        return Path(self.aligner).expanduser() if self.aligner else _packaged("aligner")

    def limits(self) -> Limits:
        """Return what a face must be to be kept."""
        names = [field.name for field in dataclasses.fields(Limits)]
        return Limits(**{name: getattr(self, name) for name in names})


def prepare(config: PrepareConfig) -> dict[str, Any]:
    """Do all that is not done yet, and return the report.

    Raises:
        ConfigError: bad settings, or `output_dir` was begun with other ones.
        DataError: the source cannot be opened, or not one face was kept.
    """
    config.check()
    output_dir = Path(config.output_dir)
    if (report := _finished(output_dir, config)) is not None:
        return report
    photos = config.photos()
    photos.check_wanted(config.wanted())
    if next(photos.rows(), None) is None:  # opens the source before anything is written
        raise DataError(f"{config.source} (split {config.split}) holds no pictures")
    if remark := photos.passed_over():
        print(remark)
    output_dir.mkdir(parents=True, exist_ok=True)
    lock_run(output_dir)
    try:
        return _prepare_locked(output_dir, photos, config)
    finally:
        unsign_lock(output_dir)  # what is finished may be published, and who made it is nobody's business


def _prepare_locked(output_dir: Path, photos: PhotoSource, config: PrepareConfig) -> dict[str, Any]:
    if (report := _finished(output_dir, config)) is not None:  # again: another run may have come before the lock
        return report
    write_json(output_dir / SETTINGS, _settings(config))

    parts = output_dir / PARTS
    parts.mkdir(exist_ok=True)
    for leftover in parts.glob("*.partial"):
        leftover.unlink()
    records, thumbnails = _done_parts(parts, config.part_images)
    _check_same_photos(photos, records, config)
    if not records or records[-1]["rows"] == config.part_images:
        done = len(records) * config.part_images
        if records:
            print(f"going on after {done} photos")
        rows = photos.rows(start=done)
        makers = _Makers(config)
        try:
            while True:
                number = len(records)
                record, thumbnails = _make_part(parts, number, list(islice(rows, config.part_images)), makers,
                                                thumbnails, config)  # fmt: skip
                records.append(record)
                kept = sum(one["kept"] for one in records)
                print(f"{number * config.part_images + record['rows']} photos, {kept} faces kept", flush=True)
                if record["rows"] < config.part_images:
                    break
        finally:
            makers.close()
    return _finish(output_dir, records, config)


def _check_same_photos(photos: PhotoSource, records: list[dict[str, Any]], config: PrepareConfig) -> None:
    """Raise ConfigError if photos of the parts that are done have come or gone: some would be left out."""
    names = photos.names()
    for number, record in enumerate(records):
        # Of a last part that is not full, as many are taken: what has come after it would be left out as well.
        now = _hash_of_names(islice(names, config.part_images))
        if record.get("names", now) != now:  # a record by an earlier version has none
            first = number * config.part_images + 1
            raise ConfigError(
                f"the photos in {config.source} have changed since {config.output_dir} was begun: among number {first} "
                f"to {first + config.part_images - 1}, by name, some came or went. Put them back as they were, or use "
                "another --output_dir."
            )


def _packaged(part: str) -> Path:
    import gan_space

    return Path(gan_space.__file__).parent / "assets" / "default" / part


def _hash_of_names(names: Iterable[str]) -> str:
    text = "\0".join(names)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()  # old encodings of names are surrogates


class _Makers:
    """Turns rows into faces, here or in other processes; the order stays."""

    def __init__(self, config: PrepareConfig):
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        arguments = (
            None if config.already_aligned else str(config.aligner_folder()),
            None if config.already_aligned else str(_packaged("landmarker")),
            config.resolution,
            config.framing,
            config.faces,
            config.jpeg_quality,
            config.limits(),
            config.wanted(),
        )
        self.label_types = config.photos().label_types()
        self.pool = self.maker = None
        if config.num_workers:
            # A forked process would inherit torch's threads in an unknown state.
            self.pool = ProcessPoolExecutor(
                config.num_workers, mp_context=get_context("spawn"), initializer=_start_worker, initargs=arguments
            )
        else:
            self.maker = FaceMaker(*arguments)

    def __call__(self, rows: list[SourceRow]) -> Iterator[list[Made]]:
        if self.pool is None:
            return map(self.maker, rows)
        return self.pool.map(_work, rows, chunksize=8)

    def close(self) -> None:
        if self.pool is not None:
            self.pool.shutdown(cancel_futures=True)


_worker: FaceMaker | None = None


def _start_worker(*arguments) -> None:
    import torch

    global _worker
    torch.set_num_threads(1)
    _worker = FaceMaker(*arguments)


def _work(row: SourceRow) -> list[Made]:
    return _worker(row)


def _make_part(
    parts: Path, number: int, rows: list[SourceRow], makers: _Makers, thumbnails: np.ndarray, config: PrepareConfig
) -> tuple[dict[str, Any], np.ndarray]:
    """Write part-N.parquet, then its record part-N.json: with the record, the part is done.

    Args:
        thumbnails: [K, 256] float32 of all faces kept before, of mean zero and length one.

    Returns:
        The record, and the thumbnails with those of this part.
    """
    dropped: Counter[str] = Counter()
    broken: list[list[str]] = []
    kept: list[dict[str, Any]] = []
    own: list[np.ndarray] = []
    for row, faces in zip(rows, makers(rows), strict=True):
        for made in faces:
            if made.reason:
                dropped[made.reason] += 1
                if made.reason == "broken":
                    broken.append([row.name, made.detail])
                continue
            thumbnail = made.thumbnail
            earlier = [thumbnails, np.array(own, np.float32).reshape(-1, thumbnail.size)]
            if any(len(some) and (some @ thumbnail).max() > config.duplicate_correlation for some in earlier):
                dropped["duplicate"] += 1
                continue
            own.append(thumbnail)
            # A label of the source may have the name of one of our columns; ours goes first.
            ours = {**made.columns, "source_file": row.name}
            types = {name: dtype for name, dtype in makers.label_types.items() if name not in ours}
            kept.append({**row.labels, **ours})
    file = parts / f"part-{number:05d}.parquet"
    if kept:
        _write_parquet(file, kept, types)
    stored = np.array(own, np.float32).reshape(len(own), thumbnails.shape[1])
    record = {"rows": len(rows), "names": _hash_of_names(row.name for row in rows), "kept": len(kept)}
    record |= {"dropped": dict(sorted(dropped.items())), "broken": broken}
    content = io.BytesIO()
    np.save(content, stored)  # into a file it would say of a full disk only "256000 requested and 10208 written"
    write_whole(file.with_suffix(".npy"), content.getvalue())
    write_json(file.with_suffix(".json"), record)
    return record, np.concatenate([thumbnails, stored]) if len(own) else thumbnails


def _done_parts(parts: Path, part_images: int) -> tuple[list[dict[str, Any]], np.ndarray]:
    records, thumbnails = [], [np.empty((0, 256), np.float32)]
    while (record := _read_json(file := parts / f"part-{len(records):05d}.json")) is not None:
        try:
            stored = np.load(file.with_suffix(".npy"), allow_pickle=False).reshape(-1, 256)
        except (OSError, ValueError, EOFError):
            break
        records.append(record)
        thumbnails.append(stored)
        if records[-1]["rows"] < part_images:
            break
    return records, np.concatenate(thumbnails)


def _write_parquet(file: Path, rows: list[dict[str, Any]], label_types: dict[str, str]) -> None:
    import datasets

    columns = sorted({name for row in rows for name in row} - {"image"})
    table = {"image": [row["image"] for row in rows]}
    table |= {name: [row.get(name) for row in rows] for name in columns}
    features = datasets.Dataset.from_dict({name: table[name] for name in columns}).features
    # Parts of one data set must agree on types, also where a part has no value at all in a column.
    types = {name: datasets.Value(dtype) for name, dtype in label_types.items() if name in features}
    features = datasets.Features({"image": datasets.Image(), **features, **types})
    with whole_file(file) as partial:
        datasets.Dataset.from_dict(table, features=features).to_parquet(str(partial))


def _finish(output_dir: Path, records: list[dict[str, Any]], config: PrepareConfig) -> dict[str, Any]:
    """Give the parts their final names, then write the sheet and, last, the report. May be cut short and repeated."""
    parts = output_dir / PARTS
    numbers = [number for number, record in enumerate(records) if record["kept"]]
    dropped: Counter[str] = Counter()
    for record in records:
        dropped.update(record["dropped"])
    private = (*MAY_CHANGE, "source", "aligner")
    report = {
        "photos": sum(record["rows"] for record in records),
        "kept": sum(record["kept"] for record in records),
        "dropped": dict(sorted(dropped.items())),
        "broken": [entry for record in records for entry in record["broken"]],
        "passed_over": config.photos().passed_over(),
        "files": [f"{config.split}-{index:05d}-of-{len(numbers):05d}.parquet" for index in range(len(numbers))],
        "settings": {k: v for k, v in _settings(config).items() if k not in private},
    }
    if not numbers:
        reasons = ", ".join(f"{count} {reason}" for reason, count in report["dropped"].items())
        raise DataError(f"no face of {config.source} was kept ({reasons}): loosen the limits, see --help")
    for name, number in zip(report["files"], numbers, strict=True):
        part = parts / f"part-{number:05d}.parquet"
        if part.is_file():
            os.replace(part, output_dir / name)
    _contact_sheet([output_dir / name for name in report["files"]], output_dir / "contact_sheet.jpg")
    write_json(output_dir / REPORT, report)
    shutil.rmtree(parts)
    return report


def _contact_sheet(files: list[Path], output: Path) -> None:
    """64 pictures, evenly over the data set, 8 a row."""
    import io

    import pyarrow.parquet as pq
    from PIL import Image

    total = sum(pq.read_metadata(file).num_rows for file in files)
    wanted = sorted({int(i) for i in np.linspace(0, total - 1, min(CONTACT_SHEET_IMAGES, total))})
    cell, first = 128, 0
    sheet = Image.new("RGB", (8 * cell, -(-len(wanted) // 8) * cell))
    for file in files:
        column = pq.read_table(file, columns=["image"])["image"]
        for place, index in enumerate(wanted):
            if first <= index < first + len(column):
                picture = to_picture(open_photo(io.BytesIO(column[index - first]["bytes"].as_py())))
                sheet.paste(picture.resize((cell, cell)), (place % 8 * cell, place // 8 * cell))
        first += len(column)
    with whole_file(output) as partial:
        sheet.save(partial, "JPEG", quality=85)


def _finished(output_dir: Path, config: PrepareConfig) -> dict[str, Any] | None:
    """Return the report where all is done; refuse a folder begun with other settings, or that holds something else."""
    _check_folder(output_dir, config)
    if (report := _read_json(output_dir / REPORT)) is not None:
        print(f"{output_dir} is complete")
    return report


def _check_folder(output_dir: Path, config: PrepareConfig) -> None:
    file, settings = output_dir / SETTINGS, _settings(config)
    if file.exists():
        if (read := _read_json(file)) is None:
            raise ConfigError(f"{file} cannot be read as settings: delete {output_dir}, or choose another --output_dir")
        # A setting that an earlier version did not know had its default's effect.
        old = _settings(PrepareConfig(config.source, config.output_dir)) | read
        if changed := changed_settings(old, settings, may_change={*MAY_CHANGE, *(set(old) - set(settings))}):
            raise ConfigError(
                f"{output_dir} was begun with other settings:\n  --" + "\n  --".join(changed)
                + "\nUse the old settings, or another --output_dir."
            )  # fmt: skip
    elif output_dir.is_dir() and any(one.name not in BEFORE_SETTINGS for one in output_dir.iterdir()):
        raise ConfigError(f"--output_dir {output_dir} is not empty and was not made by this script: choose another")
    elif output_dir.exists() and not output_dir.is_dir():
        raise ConfigError(f"--output_dir {output_dir} is a file: choose a folder")


def _read_json(file: Path) -> dict[str, Any] | None:
    """Content of a file; None where it is missing or a power cut has left less than was written."""
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _settings(config: PrepareConfig) -> dict[str, Any]:
    """As JSON gives them back: lists for tuples."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


main = script(
    PrepareConfig,
    prepare,
    lambda _, report: f"{report['kept']} faces from {report['photos']} photos; dropped: {report['dropped'] or 'none'}",
)


if __name__ == "__main__":
    sys.exit(main())
