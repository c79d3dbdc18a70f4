"""Data for training: order, resuming, labels, broken pictures; what its name may be is in test_data_names.py."""

from __future__ import annotations

import dataclasses
import datetime
import io
import itertools
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from gan_space.errors import ConfigError, DataError
from tests.photos.profiles import DISPLAY_P3, rgb_profile, to_srgb
from training.common.columns import balancing_weights, find_labels
from training.common.order import EndlessSampler
from training.common.tables import decode_picture, open_table
from training.config import PRESETS
from training.data import PortraitDataset, StreamedPortraits, open_dataset, open_training_table, read_batches, stand_ins

FACES = str(Path(__file__).parent.parent / "data" / "fairface64.parquet")


def values(dataset) -> list[int]:
    return [int(dataset[i][0][0, 0, 0]) for i in range(len(dataset))]


def test_parquet_faces():
    dataset = open_dataset(FACES, 32)
    image, label = dataset[0]
    assert len(dataset) == 64
    assert image.shape == (3, 32, 32)
    assert image.dtype == torch.uint8
    assert label.shape == (0,)
    assert 30 < image.float().mean() < 220
    assert image.float().std() > 10


def test_folder(folder):
    assert sorted(values(open_dataset(str(folder), 16))) == list(range(0, 100, 10))


def test_mirrored_pictures_come_after_the_others():
    plain, doubled = open_dataset(FACES, 32), open_dataset(FACES, 32, horizontal_flip=True)
    assert len(doubled) == 128
    assert torch.equal(doubled[64 + 5][0], plain[5][0].flip(2))


def test_labels_from_sub_folders_and_columns(folder):
    dataset = open_dataset(str(folder), 16, label_column="label")
    assert dataset.labels.classes == ["a", "b"]
    for index in range(10):
        image, label = dataset[index]
        odd = int(image[0, 0, 0]) // 10 % 2
        assert label.tolist() == ([1, 0] if odd else [0, 1])
    ages = open_dataset(FACES, 16, label_column="age_group")
    assert ages.labels.c_dim == len(ages.labels.classes) > 2


def test_pictures_that_pandas_wrote_are_found(tmp_path):
    """As structs of bytes and path, without a word in the file that they are pictures."""
    pq.write_table(pa.table({"face": [CELL] * 12, "label": [0, 1] * 6}), tmp_path / "train.parquet")
    assert open_dataset(str(tmp_path), 16).column == "face"


def test_missing_columns(folder):
    with pytest.raises(DataError, match="no column 'mood'"):
        open_dataset(str(folder), 16, label_column="mood")
    with pytest.raises(DataError, match="no column 'picture'"):
        open_dataset(str(folder), 16, image_column="picture")


def test_a_broken_picture_is_replaced_and_noted(folder):
    (folder / "a" / "1.png").write_bytes(b"not a picture")
    whole = (folder / "a" / "3.png").read_bytes()
    (folder / "a" / "3.png").write_bytes(whole[: len(whole) // 2])
    dataset = open_dataset(str(folder), 16)
    seen = values(dataset)
    assert not {10, 30} & set(seen) and max(map(seen.count, seen)) == 2  # two stand in, each for one
    assert len(dataset.broken) == 2
    assert "1.png" in " ".join(dataset.broken.values())


def table_of(pictures: list[Image.Image | None]) -> datasets.Dataset:
    """A table with a file for each picture, and one of no use for each None."""
    cells = []
    for picture in pictures:
        stream = io.BytesIO()
        if picture is not None:
            picture.save(stream, "PNG")
        cells.append({"bytes": stream.getvalue() or b"no picture", "path": None})
    return datasets.Dataset.from_dict({"image": cells}, features=datasets.Features({"image": datasets.Image()}))


def grays(count: int, broken: set[int]) -> datasets.Dataset:
    return table_of([None if n in broken else Image.new("L", (8, 8), 2 * n) for n in range(count)])


@pytest.mark.parametrize("broken", [set(range(40)), set(range(60, 100)), set(range(0, 100, 3)), set(range(1, 100, 2))])
def test_broken_pictures_are_replaced_evenly(broken):
    seen = values(PortraitDataset(grays(100, broken), 8))
    assert len(seen) == 100 and not {2 * n for n in broken} & set(seen)
    assert max(map(seen.count, seen)) <= 3
    again = PortraitDataset(grays(100, broken), 8)  # in another order, the same
    assert [int(again[n][0][0, 0, 0]) for n in reversed(range(100))] == seen[::-1]


@pytest.mark.parametrize("count", [1, 2, 3, 10, 97, 1000])
def test_stand_ins_are_all_other_rows_once_and_no_two_rows_have_the_same_first(count):
    assert sorted(stand_ins(count // 2, count)) == [n for n in range(count) if n != count // 2]
    firsts = [next(stand_ins(row, count)) for row in range(count)] if count > 1 else []
    assert len(set(firsts)) == len(firsts)


def decoded(picture: Image.Image, **options) -> np.ndarray:
    """[8, 8, 3] as training sees it."""
    stream = io.BytesIO()
    picture.save(stream, "PNG", **options)
    return decode_picture({"bytes": stream.getvalue(), "path": None}, 8).transpose(1, 2, 0)


def test_training_sees_what_photos_show():
    profile = rgb_profile(DISPLAY_P3, None)
    wanted = to_srgb(np.array([200, 120, 40]) / 255, DISPLAY_P3, None)
    assert np.abs(decoded(Image.new("RGB", (8, 8), (200, 120, 40)), icc_profile=profile) - wanted).max() <= 1
    assert (decoded(Image.new("RGBA", (8, 8), (10, 20, 30, 0))) == 255).all()
    assert (decoded(Image.new("P", (8, 8)), transparency=0) == 255).all()
    deep = Image.fromarray(np.full((8, 8), 137 * 257, np.uint16))
    assert (decoded(deep) == 137).all()


@pytest.mark.parametrize("cell", [None, {"bytes": None, "path": None}, {"bytes": b"", "path": None}])
def test_a_row_without_a_picture_is_a_broken_one(cell):
    with pytest.raises(DataError, match="a row without a picture"):
        decode_picture(cell, 8)


def test_mostly_broken_is_refused(folder):
    for file in folder.glob("*/*.png"):
        file.write_bytes(b"")
    with pytest.raises(DataError, match="cannot be read"):
        open_dataset(str(folder), 16)[0]


def test_decoding_turns_upright_and_crops_the_middle(tmp_path):
    picture = Image.new("RGB", (40, 20), "red")
    picture.paste("blue", (0, 0, 20, 20))  # left half
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to see it: blue comes on top
    picture.save(tmp_path / "photo.jpg", exif=exif, quality=95)
    image = decode_picture({"bytes": None, "path": str(tmp_path / "photo.jpg")}, 16)
    assert image.shape == (3, 16, 16)
    assert image[2, 2, 8] > 200 > 60 > image[0, 2, 8]
    assert image[0, 13, 8] > 200 > 60 > image[2, 13, 8]


def test_sampler_covers_every_epoch_over_all_processes():
    streams = [iter(EndlessSampler(12, seed=3, rank=rank, world_size=3)) for rank in range(3)]
    epochs = [[next(streams[position % 3]) for position in range(12)] for _ in range(3)]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert epochs[0] != epochs[1]


def test_sampler_resumes_anywhere():
    whole = list(itertools.islice(EndlessSampler(10, seed=0), 40))
    for start in (0, 7, 10, 25):
        assert list(itertools.islice(EndlessSampler(10, seed=0, start=start), 10)) == whole[start : start + 10]


def test_weights_say_how_often_a_picture_comes():
    weights = np.array([0.25, 0.25, 0.5, 1.0, 3.0])
    whole = list(itertools.islice(EndlessSampler(5, seed=0, weights=weights), 400 * 5))
    epochs = [np.bincount(whole[start : start + 5], minlength=5) for start in range(0, len(whole), 5)]
    assert all(epoch[4] == 3 and epoch[3] == 1 and epoch[2] <= 1 for epoch in epochs)
    assert np.mean(epochs, axis=0) == pytest.approx(weights, abs=0.08)
    assert list(itertools.islice(EndlessSampler(5, seed=0, weights=weights, start=7), 10)) == whole[7:17]
    streams = [iter(EndlessSampler(5, seed=0, weights=weights, rank=rank, world_size=2)) for rank in range(2)]
    assert [next(streams[position % 2]) for position in range(20)] == whole[:20]


def test_rare_groups_are_weighted_up():
    table = datasets.Dataset.from_dict(
        {"age": ["old"] + ["young"] * 16, "score": [0.5] * 17, "gap": [None] + ["x"] * 16}
    )
    plain, root, equal = (balancing_weights(table, "age", power, "faces") for power in (0.0, 0.5, 1.0))
    assert plain == pytest.approx(np.ones(17))
    assert root[0] / root[1] == pytest.approx(4) and root.mean() == pytest.approx(1)
    assert equal[0] == pytest.approx(equal[1:].sum())
    for column, words in (("score", "measurements"), ("gap", "without a label"), ("mood", "no column 'mood'")):
        with pytest.raises(DataError, match=words):
            balancing_weights(table, column, 0.5, "faces")


@pytest.mark.parametrize("num_workers", [0, 2])
def test_loader_is_the_same_with_workers(num_workers):
    dataset = open_dataset(FACES, 16)
    batches = read_batches(dataset, 4, sampler=EndlessSampler(64, seed=0), num_workers=num_workers)
    expected = [dataset[i][0] for i in itertools.islice(EndlessSampler(64, seed=0), 8)]
    assert torch.equal(torch.cat([images for images, _ in itertools.islice(batches, 2)]), torch.stack(expected))


@pytest.mark.parametrize("num_workers", [0, 2])
def test_what_workers_find_broken_is_known_to_the_run(num_workers):
    dataset = PortraitDataset(grays(24, {3, 7, 20}), 8)
    batches = read_batches(dataset, 6, sampler=EndlessSampler(24, seed=0), num_workers=num_workers)
    first = next(batches)[0]
    assert set(dataset.broken) == {3, 7, 20} & set(itertools.islice(EndlessSampler(24, seed=0), 6))
    rest = [images for images, _ in itertools.islice(batches, 7)]  # two epochs in all
    assert set(dataset.broken) == {3, 7, 20} and len(torch.cat([first, *rest])) == 48


def test_what_the_worker_of_a_stream_finds_broken_is_known_to_the_run():
    portraits = StreamedPortraits(grays(24, {3, 7, 20}).to_iterable_dataset(), 8, seed=0)
    batches = read_batches(portraits, 8, sampler=None, num_workers=1)
    for _ in itertools.islice(batches, 4):  # an epoch of those that can be read, and more
        pass
    assert len(portraits.broken) >= 3


@pytest.mark.parametrize("num_workers", [0, 2])
def test_mostly_broken_is_one_sentence_whoever_finds_it(num_workers):
    dataset = PortraitDataset(grays(24, set(range(2, 24))), 8, name="grays")
    batches = read_batches(dataset, 4, sampler=EndlessSampler(24, seed=0), num_workers=num_workers)
    with pytest.raises(DataError, match=r"^\d+ of 24 pictures of grays cannot be read; the first: [^\n]*$"):
        list(itertools.islice(batches, 6))


def test_making_a_loader_does_not_touch_the_random_state():
    before = torch.get_rng_state()
    next(read_batches(open_dataset(FACES, 16), 4, sampler=EndlessSampler(64, seed=0)))
    assert torch.equal(torch.get_rng_state(), before)


def stream(start=0, rank=0, world_size=1, name=FACES, **options):
    return StreamedPortraits(
        open_table(name, streaming=True), 16, seed=0, rank=rank, world_size=world_size, start=start, **options
    )


@pytest.mark.slow
def test_streaming_resumes_across_epochs():
    whole = [image for image, _ in itertools.islice(stream(horizontal_flip=True), 150)]
    resumed = [image for image, _ in itertools.islice(stream(start=70, horizontal_flip=True), 80)]
    assert all(torch.equal(a, b) for a, b in zip(whole[70:], resumed, strict=True))


def test_streaming_splits_by_process():
    parts = [[img.numpy().tobytes() for img, _ in itertools.islice(stream(rank=r, world_size=2), 32)] for r in range(2)]
    assert len(set(parts[0]) | set(parts[1])) == 64


def test_streaming_passes_over_broken_pictures(folder):
    (folder / "a" / "1.png").write_bytes(b"not a picture")
    portraits = stream(name=str(folder))
    seen = [int(image[0, 0, 0]) for image, _ in itertools.islice(portraits, 20)]
    assert 10 not in seen
    assert len(portraits.broken) == 2


def test_streaming_replaces_a_stretch_of_broken_pictures_by_many():
    table = grays(100, set(range(30, 50))).to_iterable_dataset()

    def seen(start: int = 0) -> list[int]:
        portraits = StreamedPortraits(table, 8, seed=0, start=start)
        portraits.table.shuffle = lambda **options: portraits.table  # as it lies in the file, all broken ones together
        return [int(image[0, 0, 0]) for image, _ in itertools.islice(portraits, 100 - start)]

    whole = seen()
    assert len(set(whole[30:50])) == 20 and set(whole[30:50]) <= set(whole[:30])
    assert seen(40) == whole[40:] and seen(31) == whole[31:]


def test_number_labels():
    table = datasets.Dataset.from_dict({"score": [0.5, 1.5]})
    labels = find_labels(table, "score", "scores")
    assert labels.c_dim == 1
    np.testing.assert_array_equal(labels.encode(1.5), np.float32([1.5]))
    with pytest.raises(DataError, match="without a label"):
        find_labels(datasets.Dataset.from_dict({"x": [1, None]}), "x", "gaps")


PNG = {"bytes": (lambda stream: (Image.new("RGB", (16, 16)).save(stream, "PNG"), stream.getvalue())[1])(io.BytesIO())}
CELL = PNG | {"path": None}


def config_for(folder: Path, columns: dict, features: dict | None = None, rows: int = 12, **options):
    """Settings of a run on a parquet file with pictures in the column "image" and these columns beside them."""
    columns = {"image": [CELL] * rows} | columns
    types = {"image": datasets.Image()} | (features or {})
    inferred = datasets.Dataset.from_dict({k: v for k, v in columns.items() if k not in types}).features
    table = datasets.Dataset.from_dict(columns, features=datasets.Features(types | dict(inferred)))
    table.to_parquet(str(folder / "train.parquet"))
    return dataclasses.replace(PRESETS["tiny"], dataset_name=str(folder), **options)


@pytest.mark.parametrize("use", ["label_column", "label_column, streaming", "balance_column"])
@pytest.mark.parametrize(
    ("values", "feature", "words"),
    [
        ([0.5, float("nan")], None, "rows without a label"),
        ([0.5, None], None, "rows without a label"),
        (["a", None], None, "rows without a label"),
        (["a", " "], None, "rows without a label"),
        ([None, None], None, "rows without a label"),
        ([0, -1], datasets.ClassLabel(names=["a", "b"]), "rows without a label"),
        ([0.5, float("inf")], None, "not finite|measurements"),
        ([[0, 1], [1, 1]], None, "lists of whole numbers"),
        ([[0.5], [1.5]], None, "lists of numbers"),
        ([["a"], []], None, "lists of text"),
        ([{"age": 1}, {"age": 2}], None, "values of type dict"),
        ([CELL, CELL], datasets.Image(), "holds pictures"),
        ([b"a", b"b"], None, "holds bytes"),
        ([datetime.date(2000, 1, 1)] * 2, None, "values of type date32"),
    ],
)
def test_labels_that_are_no_class_and_no_number_are_refused_in_one_sentence(tmp_path, use, values, feature, words):
    features = {"kind": feature} if feature is not None else {}
    options = {use.split(",")[0]: "kind", "streaming": "streaming" in use}
    config = config_for(tmp_path, {"kind": values * 6}, features, **options)
    with pytest.raises(DataError, match=words) as refused:
        open_training_table(config)
    assert "\n" not in str(refused.value) and "'kind'" in str(refused.value)


@pytest.mark.parametrize("streaming", [False, True])
def test_labels_of_one_class_or_one_finite_number_are_taken(tmp_path, streaming):
    columns = {"text": ["a", "b"] * 6, "whole": [3, 1] * 6, "truth": [True, False] * 6, "number": [0.5, 1.5] * 6}
    for name, classes in {"text": ["a", "b"], "whole": [1, 3], "truth": [False, True], "number": None}.items():
        config = config_for(tmp_path, columns, label_column=name, streaming=streaming)
        assert open_training_table(config).labels.classes == classes


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(
    ("column", "words"),
    [(None, "lists of pictures"), ("many", "lists of pictures"), ("number", "holds whole numbers"), ("gone", "no col")],
)
def test_columns_without_one_picture_a_row_are_refused(tmp_path, column, words, streaming):
    table = datasets.Dataset.from_dict({"many": [[CELL]] * 12, "number": list(range(12))})
    table.to_parquet(str(tmp_path / "train.parquet"))
    config = dataclasses.replace(PRESETS["tiny"], dataset_name=str(tmp_path), image_column=column, streaming=streaming)
    with pytest.raises(DataError, match=words):
        open_training_table(config)


@pytest.mark.parametrize("streaming", [False, True])
def test_a_row_without_a_picture_counts_as_broken(tmp_path, streaming):
    cells = [CELL] * 10 + [None, {"bytes": b"", "path": None}]
    config = config_for(tmp_path, {"image": cells}, streaming=streaming)
    table = open_training_table(config).table
    if streaming:
        dataset = StreamedPortraits(table, 16, seed=0)
        images = list(itertools.islice(dataset, 12))
    else:
        dataset = PortraitDataset(table, 16)
        images = [dataset[row] for row in range(12)]
    assert len(images) == 12 and [*dataset.broken.values()] == ["a row without a picture"] * 2


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize(("rows", "eval_kimg", "needed"), [(1, 0, 2), (2, 0, 0), (1, 1, 10), (9, 1, 10), (10, 1, 0)])
def test_too_few_pictures_are_refused_before_training(tmp_path, rows, eval_kimg, needed, streaming):
    config = config_for(tmp_path, {}, rows=rows, eval_kimg=eval_kimg, streaming=streaming)
    if not needed:
        assert open_training_table(config).labels is None
        return
    with pytest.raises(DataError, match=rf"has {rows} pictures; a run.* needs {needed} or more"):
        open_training_table(config)


def test_fewer_pictures_than_an_evaluation_takes_are_a_wrong_setting():
    with pytest.raises(ConfigError, match="--eval_images must be 10 or more, got 9"):
        dataclasses.replace(PRESETS["tiny"], eval_images=9)
    assert dataclasses.replace(PRESETS["tiny"], eval_images=9, eval_kimg=0).eval_images == 9


def test_empty_table():
    features = datasets.Features({"image": datasets.Image()})
    with pytest.raises(DataError, match="is empty"):
        PortraitDataset(datasets.Dataset.from_dict({"image": []}, features=features), 16)
