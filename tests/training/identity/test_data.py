"""Faces with a teacher's vectors: how both come together, and how faces are shown."""

from __future__ import annotations

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from gan_space.errors import DataError
from training.identity.data import load_taught_faces, view_batch


def picture(number: int, size: int = 40) -> Image.Image:
    pixels = np.random.default_rng(number).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC)


def write(folder, split, numbers, vectors=None, pictures=True):
    folder.mkdir(exist_ok=True)
    features = {"source_file": datasets.Value("string")}
    rows = {"source_file": [f"{number}.jpg" for number in numbers]}
    if pictures:
        features["image"], rows["image"] = datasets.Image(), [picture(number) for number in numbers]
    if vectors is not None:
        features["embedding"], rows["embedding"] = datasets.Sequence(datasets.Value("float32"), 4), vectors
    table = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
    table.to_parquet(str(folder / f"{split}.parquet"))
    return str(folder)


def vector(number: int) -> list[float]:
    return [float(number), 1.0, 0.0, 0.0]


def test_vectors_come_with_the_picture_or_by_its_name(tmp_path):
    plain = write(tmp_path / "plain", "train", [3, 1, 2])
    labels = write(tmp_path / "labels", "train", [1, 2, 3], [vector(n) for n in (1, 2, 3)], pictures=False)
    own = write(tmp_path / "own", "train", [7, 8], [vector(7), vector(8)])
    faces = load_taught_faces([plain, own], [labels], "train", face_px=32)
    assert faces.vectors[:, 0].tolist() == [3, 1, 2, 7, 8]
    assert faces.images.shape == (5, 32, 32, 3)
    wanted = np.asarray(picture(7).resize((32, 32)), float)
    assert np.abs(faces.images[3].astype(float) - wanted).mean() < 10
    assert len(load_taught_faces([plain, own], [labels], "train", face_px=32, limit=2)) == 2


def test_a_set_without_the_split_is_passed_over(tmp_path):
    plain = write(tmp_path / "plain", "test", [1, 2])
    write(tmp_path / "plain", "train", [3])
    labels = write(tmp_path / "labels", "test", [1, 2], [vector(1), vector(2)], pictures=False)
    own = write(tmp_path / "own", "train", [7], [vector(7)])
    assert len(load_taught_faces([plain, own], [labels], "test", face_px=32)) == 2


def test_pictures_without_a_vector_are_told(tmp_path):
    plain = write(tmp_path / "plain", "train", [1, 2])
    with pytest.raises(DataError, match=r"0 pictures.*no vector for 1\.jpg"):
        load_taught_faces([plain], [], "train", face_px=32)


def test_views_depend_on_the_seed_alone():
    images = np.stack([np.asarray(picture(number, 48)) for number in range(6)])
    one, again, other = (view_batch(images, 32, seed) for seed in ((0, 1), (0, 1), (0, 2)))
    assert one.shape == (6, 3, 32, 32) and one.dtype == torch.float32
    assert one.min() >= -1 and one.max() <= 1
    assert torch.equal(one, again) and not torch.equal(one, other)


def test_views_keep_the_face_in_place_half_of_them_mirrored():
    """A face with one bright corner of its middle: in all views it is about there, or at the mirrored place."""
    image = np.zeros((48, 48, 3), np.uint8)
    image[12:18, 12:18] = 255
    views = view_batch(np.stack([image] * 200), 32, (0, 0)).mean(dim=1)
    mirrored = 0
    for view in views:
        row, column = divmod(int(torch.nn.functional.avg_pool2d(view[None], 5, 1, 2).argmax()), 32)
        side = min((abs(row - 10) + abs(column - 10), 0), (abs(row - 10) + abs(column - 21), 1))
        mirrored += side[1] if side[0] <= 8 else 0.5
    assert 60 < mirrored < 140
