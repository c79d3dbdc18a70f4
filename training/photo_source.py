"""Photos one after the other, undecoded, from a folder, a zip file, parquet files or the Hub, from any place on."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from gan_space.errors import DataError, raise_all
from gan_space.photos.folders import in_words, sort_out
from training.common.columns import find_image_column
from training.common.tables import open_table, passed_over

MAX_FILE_BYTES = 200_000_000  # a member of a zip file that says it is larger is not unpacked


class SourceRow(NamedTuple):
    """One picture, not yet decoded."""

    name: str  # relative file name where there is one, otherwise "row 17"
    cell: dict[str, Any]  # {"bytes", "path"} as in `datasets`
    labels: dict[str, Any]  # plain values that came with it


@dataclass(frozen=True)
class PhotoSource:
    """A collection of pictures that is read one after the other.

    Args:
        name: folder of photos, zip file, folder of parquet files, parquet file, or Hub id.
        split: of the data set; a zip file has none.
        image_column: column of the pictures; None finds it.
        config_name: of a Hub data set that has several; None is its only or default one.
    """

    name: str
    split: str = "train"
    image_column: str | None = None
    config_name: str | None = None

    @property
    def is_zip(self) -> bool:
        """Whether it is a zip file."""
        return Path(self.name).suffix.lower() == ".zip" and Path(self.name).is_file()

    def rows(self, start: int = 0) -> Iterator[SourceRow]:
        """Yield the pictures in an order that is always the same, from number `start` on.

        Raises:
            DataError: it cannot be opened, or holds no pictures.
        """
        return _iter_zip(Path(self.name), start) if self.is_zip else self._table_rows(start)

    def names(self) -> Iterator[str]:
        """Yield the names of `rows`; the photos of a zip file are not unpacked for it."""
        if not self.is_zip:
            yield from (row.name for row in self.rows())
            return
        with _open_zip(Path(self.name)) as archive:
            yield from _names_in(archive)[0]

    def passed_over(self) -> str:
        """Say which files of a folder or zip file are not looked at, in one line; empty where there are none."""
        if not self.is_zip:
            return passed_over(self.name, self.split)
        with _open_zip(Path(self.name)) as archive:
            return in_words(_names_in(archive)[1])

    def label_types(self) -> dict[str, str]:
        """Return the types of the plain values that come with the pictures, as far as they are known beforehand."""
        import datasets

        if self.is_zip:
            return {"label": "string"}
        table = self._open()
        if not table.features:
            return {}
        column = find_image_column(table, self.image_column, self.name)
        types = {}
        for key, feature in table.features.items():
            if key != column and isinstance(feature, datasets.ClassLabel):
                types[key] = "string"
            elif key != column and isinstance(feature, datasets.Value) and feature.dtype != "null":
                types[key] = feature.dtype
        return types

    def check_wanted(self, wanted: Mapping[str, tuple[str, ...]]) -> None:
        """Raise DataError if there is no such column, or a column of classes has no such class.

        Args:
            wanted: for each column the values that are wanted.
        """
        import datasets

        features = {"label": None} if self.is_zip else self._open().features or {}
        faults = []
        for column, values in wanted.items():
            if column not in features:
                faults.append(f"{self.name} has no column {column!r}; its columns are {sorted(features)}")
            elif isinstance(features[column], datasets.ClassLabel):
                unknown = sorted(set(values) - set(features[column].names))
                if unknown:
                    faults.append(
                        f"{self.name}: {column} is never {', '.join(unknown)}; it is one of "
                        f"{', '.join(features[column].names)}"
                    )
        raise_all(faults, DataError)

    def _open(self):
        return open_table(self.name, self.split, config_name=self.config_name, streaming=True)

    def _table_rows(self, start: int) -> Iterator[SourceRow]:
        import datasets

        table = self._open()
        column = find_image_column(table, self.image_column, self.name) if table.features else "image"
        features = table.features or {}
        names = {key: feature for key, feature in features.items() if isinstance(feature, datasets.ClassLabel)}
        plain = [
            key for key, one in features.items() if key != column and (key in names or isinstance(one, datasets.Value))
        ]
        table = table.cast_column(column, datasets.Image(decode=False))
        root = Path(self.name).expanduser()
        for index, row in enumerate(table.skip(start) if start else table, start):
            cell = row[column] or {"bytes": b"", "path": None}
            # The name of a class says more than its number, which depends on the data set.
            known = {key: one for key, one in names.items() if row[key] is not None and row[key] >= 0}
            labels = {key: known[key].int2str(row[key]) if key in known else row[key] for key in plain}
            yield SourceRow(_name(cell.get("path"), root, index), cell, labels)


def _iter_zip(file: Path, start: int) -> Iterator[SourceRow]:
    with _open_zip(file) as archive:
        names, others = _names_in(archive)
        if not names:
            raise DataError(f"{file} holds no pictures" + (f"; {in_words(others)}" if others else ""))
        folders = [PurePosixPath(one).parent.as_posix() for one in names]
        labelled = len(set(folders)) > 1
        for one, folder in islice(zip(names, folders, strict=True), start, None):
            try:
                content = archive.read(one) if archive.getinfo(one).file_size <= MAX_FILE_BYTES else b""
            except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError, ValueError):
                content = b""  # damaged or encrypted; listed as broken when it is decoded
            yield SourceRow(one, {"bytes": content, "path": None}, {"label": folder} if labelled else {})


def _open_zip(file: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(file)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{file} cannot be read as a zip file: {error}") from error


def _names_in(archive: zipfile.ZipFile) -> tuple[list[str], Counter[str]]:
    """Pictures by name, and how many other files there are of each ending."""
    files = {PurePosixPath(info.filename): info.filename for info in archive.infolist() if not info.is_dir()}
    pictures, others = sort_out(files)
    return sorted(files[one] for one in pictures), others


def _name(path: str | None, root: Path, index: int) -> str:
    """A name that says nothing about this machine."""
    if not path:
        return f"row {index}"
    if Path(path).is_absolute():
        try:
            return Path(path).relative_to(root.resolve()).as_posix()
        except ValueError:
            return Path(path).name
    try:
        return Path(path).relative_to(root).as_posix()
    except ValueError:
        return Path(path).as_posix()
