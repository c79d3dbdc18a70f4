"""Data sets of pictures, from a folder, parquet files or the Hub: opened, and decoded one by one or all into memory."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor

from gan_space.errors import DataError, InputError
from gan_space.foreign_files import check_is_itself
from gan_space.photos.folders import FoundPictures, find_pictures, is_data
from gan_space.photos.opening import open_picture, to_picture
from training.common.columns import find_image_column

PARQUET_MARK = b"PAR1"  # at both ends of a whole file; with an encrypted footer it is another, and cannot be read
NOT_UTF8 = "with a name that is not UTF-8: rename them"


def open_table(name: str, split: str = "train", *, config_name: str | None = None, streaming: bool = False):
    """Open a data set with the `datasets` library, undecoded.

    Args:
        name: a folder with parquet files named after their split, a folder of pictures, one parquet file, or a Hub id.
        split: "train", "test", …; a folder without that split is an error, one without any split has only "train".
        config_name: of a Hub data set that has several.
        streaming: read as it comes instead of preparing the whole on disk.

    Raises:
        DataError: nothing there, no pictures, no such split, or one of several that was not named.
    """
    import datasets

    path = Path(name).expanduser()
    datasets.disable_progress_bars()
    if config_name is not None and path.exists():
        raise DataError(f"{name} is a file or folder here and has no configurations; got {config_name!r}")
    try:
        if path.is_file():
            if path.suffix != ".parquet":
                raise DataError(f"{name} is a file, but no .parquet; give a folder of pictures, parquet, or a Hub id")
            files = _files_with_rows([path])
            table = datasets.load_dataset("parquet", data_files={split: files}, split=split, streaming=streaming)
        elif path.is_dir():
            table = _open_folder(path, split, streaming)
        elif path.is_absolute() or name.startswith(".") or name.count("/") != 1:
            raise DataError(
                f"no such data set: {name} is neither a folder, a parquet file, nor a Hub id like user/name"
            )
        else:
            table = datasets.load_dataset(name, config_name, split=split, streaming=streaming)
    except DataError:
        raise
    except Exception as error:  # datasets raises many kinds; whichever it is, the data cannot be used
        if isinstance(error, datasets.exceptions.DatasetGenerationError):  # says that it failed, and not why
            error = error.__cause__ or error
        lines = str(error).strip().splitlines() or [type(error).__name__]
        message = " ".join(lines[:2]) if "Config name is missing" in lines[0] else lines[0]  # the second line has them
        raise DataError(f"cannot open the data set {name} (split {split}): {message}") from error
    return table


def _open_folder(path: Path, split: str, streaming: bool):
    import datasets

    parquet = _parquet_files(path)
    if parquet:
        chosen = [file for file in parquet if file.stem == split or file.stem.startswith(f"{split}-")]
        splits = sorted({file.stem.split("-")[0] for file in parquet})
        if not chosen and split == "train" and not {"train", "test", "validation"} & set(splits):
            chosen = parquet  # files with names of their own are all training data
        if not chosen:
            raise DataError(f"{path} has no split {split!r}; its parquet files are for {splits}")
        files = _files_with_rows(chosen)
        return datasets.load_dataset("parquet", data_files={split: files}, split=split, streaming=streaming)
    root = path / split if (path / split).is_dir() else path
    if root == path and split != "train":
        raise DataError(f"{path} has no split {split!r}: expected a sub-folder of that name or {split}-*.parquet")
    found = _pictures_below(root)
    pictures = found.files
    if not pictures:
        remark = f"; {found.remark()}" if found.passed_over else ""
        raise DataError(f"{root} holds no pictures and no parquet files{remark}")
    # The files are listed by us rather than by `imagefolder`: sorted, so that positions mean the same on every
    # machine, and never opened before their turn, so that one broken file does not stop the rest.
    rows = {"image": [str(file) for file in pictures]}
    labels = [file.parent.relative_to(root).as_posix() for file in pictures]
    if len(set(labels)) > 1:
        rows["label"] = labels
    table = datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image(decode=False))
    return table.to_iterable_dataset() if streaming else table


def _parquet_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("**/*.parquet") if is_data(file.relative_to(folder)))


def _files_with_rows(files: Sequence[Path]) -> list[str]:
    """Leave out parquet files without rows, at which `datasets` stops.

    Raises:
        DataError: one is no whole parquet file, their columns differ or have the same name, or none has a row.
    """
    columns: dict[Path, list[str]] = {}
    for file in files:
        _check_parquet(file)
        try:
            found = pq.read_metadata(file)
            names = found.schema.to_arrow_schema().names
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0]
            raise DataError(f"{file} is damaged ({reason}): download or write it again") from error
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise DataError(f"{file} has several columns of the same name, {repeated}: rename or drop them")
        if found.num_rows:
            columns[file] = names
    if not columns:
        raise DataError(
            f"{', '.join(file.name for file in files[:3])} in {files[0].parent}: no rows, expected pictures"
        )
    first = next(iter(columns))
    for file, names in columns.items():
        if not set(names) <= set(columns[first]):
            raise DataError(
                f"{file} has the columns {sorted(names)} and {first.name} has {sorted(columns[first])}; files of one "
                "split need the same"
            )
    return [str(file) for file in columns]


def _check_parquet(file: Path) -> None:
    """Raise DataError for what is no whole parquet file; `datasets` would say so in two lines, and not what it is."""
    check_is_itself(file, DataError)
    try:
        with file.open("rb") as stream:
            first = stream.read(4)
            stream.seek(-min(4, file.stat().st_size), os.SEEK_END)
            last = stream.read()
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror or error})") from error
    if (first, last) != (PARQUET_MARK, PARQUET_MARK):
        raise DataError(f"{file} is {'cut short' if first == PARQUET_MARK else 'no parquet file'}: download it again")


def passed_over(name: str, split: str) -> str:
    """Say which files of a folder of pictures are not looked at, in one line; empty where there are none."""
    path = Path(name).expanduser()
    if not path.is_dir() or _parquet_files(path):
        return ""
    return _pictures_below(path / split if (path / split).is_dir() else path).remark()


def _pictures_below(root: Path) -> FoundPictures:
    """Find the pictures of a folder, without those whose name a table of strings cannot hold."""
    found = find_pictures(root, deep=True)
    named = [file for file in found.files if _is_text(file)]
    if others := len(found.files) - len(named):  # unpacked by an old program, from a machine with another encoding
        found.passed_over[NOT_UTF8] += others
    found.files = named
    return found


def _is_text(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def decode_picture(cell: dict | None, resolution: int) -> np.ndarray:
    """Decode {"bytes", "path"} to [3, R, R] uint8: as `open_photo` does, then middle square, Lanczos.

    Raises:
        DataError: no picture there, not a picture, or cut short.
    """
    cell = cell or {}
    content, path = cell.get("bytes"), cell.get("path")
    if not content and not path:
        raise DataError("a row without a picture")
    try:
        photo = open_picture(io.BytesIO(content) if content else path, enough_px=resolution).over_white()
    except InputError as error:
        raise DataError(f"{path}: {error}" if content and path else str(error)) from error
    if photo.shape[1:] == (resolution, resolution):
        return photo.numpy()
    picture = to_picture(photo)
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    box = (left, top, left + side, top + side)
    picture = picture.resize((resolution, resolution), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)
    return np.asarray(picture).transpose(2, 0, 1)


def read_pictures(
    name: str,
    split: str,
    side_px: int,
    columns: Sequence[str] = (),
    *,
    image_column: str | None = None,
    limit: int | None = None,
    decode: Callable[[dict, int], np.ndarray] = decode_picture,
) -> tuple[Tensor, list[dict]]:
    """Decode a data set into memory; broken pictures are passed over.

    Args:
        name, split: see `open_table`.
        side_px: S, of the pictures in memory.
        columns: what else is read of each row; those that the data lacks are None in every row.
        image_column: None finds it.
        limit: at most so many rows, the first ones.
        decode: from a cell and S to [3, S, S] uint8.

    Returns:
        [N, 3, S, S] uint8, and the N rows.

    Raises:
        DataError: the data cannot be opened, or fewer than two pictures can be read.
    """
    import datasets

    table = open_table(name, split)
    column = find_image_column(table, image_column, name)
    present = [one for one in columns if one in (table.features or {})]
    table = table.select_columns([column, *present]).cast_column(column, datasets.Image(decode=False))
    if limit is not None:
        table = table.select(range(min(limit, len(table))))
    images = torch.empty(len(table), 3, side_px, side_px, dtype=torch.uint8)
    rows, broken = [], ""
    for row in table:
        try:
            images[len(rows)] = torch.from_numpy(np.ascontiguousarray(decode(row[column], side_px)))
        except DataError as error:
            broken = broken or str(error)
            continue
        rows.append({one: row.get(one) for one in columns})
    if len(rows) < 2:
        raise DataError(f"{name} (split {split}) has {len(rows)} readable pictures, expected 2 or more. {broken}")
    return images[: len(rows)], rows
