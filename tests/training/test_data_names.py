"""Data by name: folders, parquet files and what lies beside or in place of them."""

from __future__ import annotations

import dataclasses
import itertools
import os
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gan_space.errors import DataError
from training.common.tables import open_table, passed_over
from training.config import PRESETS
from training.data import StreamedPortraits, open_dataset, open_training_table

FACES = str(Path(__file__).parent.parent / "data" / "fairface64.parquet")


def test_split_folders(folder):
    (folder / "train").mkdir()
    (folder / "a").rename(folder / "train" / "a")
    assert len(open_dataset(str(folder), 16)) == 5
    with pytest.raises(DataError, match="no split 'test'"):
        open_dataset(str(folder), 16, split="test")


@pytest.mark.parametrize(
    "name,message",
    [
        ("./nowhere", "neither a folder"),
        ("too/many/parts", "neither a folder"),
        (__file__, r"no \.parquet"),
    ],
)
def test_wrong_names(name, message):
    with pytest.raises(DataError, match=message):
        open_table(name)


def test_empty_folder(tmp_path):
    with pytest.raises(DataError, match="holds no pictures"):
        open_table(str(tmp_path))


def test_damaged_parquet(tmp_path):
    file = tmp_path / "faces.parquet"
    file.write_bytes(Path(FACES).read_bytes()[:1000])
    with pytest.raises(DataError, match=r"faces\.parquet"):
        open_table(str(file))


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n", "is a Git LFS pointer"),
        (b"<!DOCTYPE html><html></html>", "is a web page"),
        (b"", "is no parquet file"),
        (b"PK\3\4" + bytes(60), "is no parquet file"),
        (Path(FACES).read_bytes()[:-9], "is cut short"),
    ],
    ids=["lfs", "page", "empty", "zip", "cut"],
)
def test_what_came_in_place_of_a_parquet_file_is_named_in_one_line(content, words, streaming, tmp_path, caplog):
    file = tmp_path / "train-00000-of-00001.parquet"
    file.write_bytes(content)
    for name in (file, tmp_path):
        with pytest.raises(DataError, match=rf"train-00000-of-00001\.parquet {words}") as refused:
            open_table(str(name), streaming=streaming)
        assert "\n" not in str(refused.value) and caplog.records == []


@pytest.mark.parametrize("streaming", [False, True])
def test_parquet_without_rows_is_told_and_passed_over_beside_others(tmp_path, streaming, caplog):
    whole = pq.read_table(FACES)
    pq.write_table(whole.slice(0, 0), tmp_path / "train-0.parquet")
    for name in (tmp_path, tmp_path / "train-0.parquet"):
        with pytest.raises(DataError, match=r"train-0\.parquet in .*: no rows, expected pictures$"):
            open_table(str(name), streaming=streaming)
    pq.write_table(whole.slice(0, 12), tmp_path / "train-1.parquet")
    assert len(list(open_table(str(tmp_path), streaming=streaming))) == 12
    assert caplog.records == []


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("kind", ["columns", "names", "footer", "page"])
def test_parquet_that_cannot_be_put_together_is_refused_in_one_line(kind, streaming, tmp_path):
    whole, file = pq.read_table(FACES).slice(0, 12), tmp_path / "train-1.parquet"
    pq.write_table(whole, tmp_path / "train-0.parquet")
    pq.write_table({"columns": whole.append_column("more", whole["image"])}.get(kind, whole), file)
    if kind == "names":
        pq.write_table(pa.table([whole["image"]] * 2, names=["image", "image"]), file)
    content = bytearray(file.read_bytes())
    if kind == "footer":
        content[-60:-30] = b"\xfe" * 30
    if kind == "page":
        content[4:16] = b"\xff" * 12
    file.write_bytes(content)
    with pytest.raises(DataError, match={"page": "cannot"}.get(kind, r"train-1\.parquet")) as refused:
        list(itertools.islice(StreamedPortraits(open_table(str(tmp_path), streaming=streaming), 16, seed=0), 24))
    assert "\n" not in str(refused.value)


def test_other_files_are_counted_and_what_nobody_put_there_is_not_looked_at(folder):
    (folder / "a" / "film.mov").write_bytes(b"")
    (folder / "a" / "notes.txt").write_bytes(b"")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "._1.png").write_bytes(b"")
    (folder / "._train.parquet").write_bytes(b"")
    assert passed_over(str(folder), "train") == "2 files passed over: 1 .mov, 1 .txt"
    assert len(open_dataset(str(folder), 16)) == 10
    assert passed_over(FACES, "train") == passed_over("user/name", "train") == ""


@pytest.mark.skipif(sys.platform != "linux", reason="a name there is text")
def test_a_name_in_an_old_encoding_stops_nothing(folder):
    os.rename(folder / "a" / "1.png", os.fsencode(folder / "a") + b"/caf\xe9.png")
    assert passed_over(str(folder), "train") == "1 file passed over: 1 with a name that is not UTF-8: rename them"
    assert len(open_dataset(str(folder), 16)) == 9


def test_labels_in_a_file_beside_the_pictures_are_not_read_and_that_is_said(folder):
    (folder / "metadata.csv").write_text("file_name,mood\na/1.png,glad\n")
    with pytest.raises(DataError, match=r"no column 'mood'.*metadata\.csv is not read: labels are sub-folders"):
        open_training_table(dataclasses.replace(PRESETS["tiny"], dataset_name=str(folder), label_column="mood"))
