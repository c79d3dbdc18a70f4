"""Rows with a picture as a parquet file in the layout of Hugging Face `datasets`, without that library.

The pictures are whole files (bytes) in a column that `datasets` and the Hub's viewer show as pictures: what tells them
is a JSON text under the key "huggingface" in the schema.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gan_space.errors import InputError
from gan_space.whole_files import flush_to_disk

IMAGE_COLUMN = "image"
ROWS_PER_GROUP = 100  # what is held in memory at once, and read at once by whoever looks at one row


def features_metadata(columns: Mapping[str, str]) -> dict[bytes, bytes]:
    """Return what `datasets` reads from a schema: an Image feature, then one Value a column."""
    features: dict[str, dict[str, str]] = {IMAGE_COLUMN: {"_type": "Image"}}
    features |= {name: {"dtype": kind, "_type": "Value"} for name, kind in columns.items()}
    return {b"huggingface": json.dumps({"info": {"features": features}}).encode()}


def write_parquet(path: Path, columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> int:
    """Write rows as they come; the file has its name only once it is whole and on the disk.

    Args:
        path: an existing file is replaced.
        columns: {name: "int64", "float32" or "string"} of the columns beside the picture.
        rows: each {"image": bytes of a picture file, and a value or None for every column}; taken one by one, so that
            their number does not matter.

    Returns:
        How many rows were written.

    Raises:
        InputError: pyarrow is missing, or the file cannot be written.
    """
    pa, pq = _pyarrow()
    types = {"int64": pa.int64(), "float32": pa.float32(), "string": pa.string()}
    image = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    fields = [pa.field(IMAGE_COLUMN, image), *(pa.field(name, types[kind]) for name, kind in columns.items())]
    schema = pa.schema(fields, metadata=features_metadata(columns))
    partial = partial_name(path)
    count = 0
    try:
        # Pictures are compressed already, and the smallest of their bytes would be noted for every row group.
        options = {"compression": "zstd", "use_dictionary": False, "write_statistics": [*columns]}
        with pq.ParquetWriter(partial, schema, **options) as writer:
            for group in _groups(rows):
                arrays = [pa.array([{"bytes": row[IMAGE_COLUMN], "path": None} for row in group], image)]
                arrays += [pa.array([row[name] for row in group], types[kind]) for name, kind in columns.items()]
                writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
                count += len(group)
        flush_to_disk(partial)
        partial.replace(path)
        flush_to_disk(path.parent)
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"cannot write {str(path)!r}: {reason}; make room or choose another folder") from error
    finally:
        partial.unlink(missing_ok=True)
    return count


def rows_in_parquet(path: Path) -> int:
    """Say how many rows a parquet file holds; 0 if it is none."""
    pa, pq = _pyarrow()
    try:
        return pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowException):
        return 0


def partial_name(path: Path) -> Path:
    """Return the name of a file while this process writes it; the dot hides it from those who read the folder."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def remove_partial_files(folder: Path) -> None:
    """Remove what processes that were killed left behind; call it once no file is missing any more."""
    for leftover in folder.glob(".*.parquet.*.partial"):
        leftover.unlink(missing_ok=True)


def _pyarrow():
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise InputError("parquet files need the package pyarrow: pip install pyarrow") from error
    return pyarrow, parquet


def _groups(rows: Iterable[Mapping[str, Any]]) -> Iterable[list[Mapping[str, Any]]]:
    group: list[Mapping[str, Any]] = []
    for row in rows:
        group.append(row)
        if len(group) == ROWS_PER_GROUP:
            yield group
            group = []
    if group:
        yield group
