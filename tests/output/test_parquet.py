"""Parquet files that `datasets` reads as pictures: the layout, the bounded memory, and nothing half-written."""

from __future__ import annotations

import datasets
import pyarrow.parquet as pq
import pytest
from PIL import Image

from gan_space.errors import InputError
from gan_space.output.parquet import IMAGE_COLUMN, ROWS_PER_GROUP, partial_name, rows_in_parquet, write_parquet
from gan_space.output.provenance import encode_image

COLUMNS = {"seed": "int64", "asked_smile": "float32", "recipe": "string"}


def row(number: int) -> dict:
    picture = Image.new("RGB", (8, 8), (number % 256, 0, 0))
    data = encode_image(picture, ".png", recipe={"seed": number})
    return {IMAGE_COLUMN: data, "seed": 2**32 - 1 - number, "asked_smile": number / 2, "recipe": None}


def test_the_features_are_those_that_datasets_itself_would_write(tmp_path):
    assert write_parquet(tmp_path / "train.parquet", COLUMNS, map(row, range(3))) == 3
    table = datasets.load_dataset("parquet", data_files=str(tmp_path / "train.parquet"), split="train")
    values = {name: datasets.Value(kind) for name, kind in COLUMNS.items()}
    assert table.features == datasets.Features({IMAGE_COLUMN: datasets.Image(), **values})
    assert table[2]["image"].getpixel((0, 0)) == (2, 0, 0)
    assert (table[2]["seed"], table[2]["asked_smile"], table[2]["recipe"]) == (2**32 - 3, 1.0, None)
    again = datasets.Dataset.from_list(
        [{**one, "image": {"bytes": one["image"], "path": None}} for one in map(row, range(3))], table.features
    )
    again.to_parquet(tmp_path / "theirs.parquet")
    ours, theirs = (pq.read_schema(tmp_path / name) for name in ("train.parquet", "theirs.parquet"))
    assert ours.equals(theirs) and ours.metadata[b"huggingface"] == theirs.metadata[b"huggingface"]


def test_rows_are_taken_group_by_group(tmp_path):
    path, waiting = tmp_path / "train.parquet", []

    def rows():
        for number in range(2 * ROWS_PER_GROUP + 1):
            if number == 2 * ROWS_PER_GROUP:  # two groups were asked for, so they must be out of memory by now
                waiting.append(partial_name(path).stat().st_size)
            yield row(number)

    write_parquet(path, COLUMNS, rows())
    metadata = pq.read_metadata(path)
    groups = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
    assert groups == [ROWS_PER_GROUP, ROWS_PER_GROUP, 1]
    assert waiting[0] > path.stat().st_size / 2


def test_what_fails_leaves_nothing(tmp_path):
    def rows():
        yield row(0)
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_parquet(tmp_path / "train.parquet", COLUMNS, rows())
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="make room or choose another folder"):
        write_parquet(tmp_path / "missing" / "train.parquet", COLUMNS, [row(0)])


def test_a_damaged_file_counts_as_none(tmp_path):
    path = tmp_path / "train.parquet"
    assert rows_in_parquet(path) == 0
    write_parquet(path, COLUMNS, [row(0), row(1)])
    assert rows_in_parquet(path) == 2
    path.write_bytes(path.read_bytes()[:-20])
    assert rows_in_parquet(path) == 0
