"""What age and smiles do to faces is found again on painted ones, each by itself, and only what is not light."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import gan_space
from gan_space.errors import DataError
from gan_space.faces.shape import SMILE_FILE, ShapeModel
from gan_space.portraits.aging import AgeModel
from gan_space.portraits.folds import BOX
from training.shape import fit_age, fit_smile
from training.shape.appearance import AGES, GROUPS, UNIT_PX

FOLDER = Path(gan_space.__file__).parent / "assets" / "default" / "shape"
MODEL = ShapeModel.load(FOLDER)
OF_SMILE, OF_AGE = (0.5, 0.62), (0.7, 0.25)  # where each darkens skin
UNIT, MIDDLE = 0.39 * 128, np.array([64.0, 39.5])


def at(values: np.ndarray, place: tuple[float, float]) -> float:
    x, y = ((np.array(place) - BOX[:2]) * UNIT_PX).astype(int)
    return float(values[y - 1 : y + 2, x - 1 : x + 2].mean())


def painted(smile: float, years: float) -> bytes:
    """A face with a spot for its smile and one for its age, lit from the left the more it smiles."""
    y, x = np.mgrid[:128, :128] + 0.5
    sides, down = np.abs(x - MIDDLE[0]) / UNIT, (y - MIDDLE[1]) / UNIT
    light = 1 + 0.02 * smile * (x - 64) / 64
    for (side, height), depth in ((OF_SMILE, 0.02 * smile), (OF_AGE, 0.003 * (years - 25))):
        light = light - depth * np.exp(-((sides - side) ** 2 + (down - height) ** 2) / 0.07**2)
    picture = (light[..., None] * (190, 145, 125)).round().clip(0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, str]:
    folder, random, count = tmp_path_factory.mktemp("faces"), np.random.default_rng(0), 90
    smile, groups = random.uniform(-3, 5, count), random.choice(list(AGES), count)
    files = [f"{number}.png" for number in range(count)]
    places = np.stack([MODEL.mean + (0.04 * one) * MODEL.fields["smile"][0] for one in smile])
    points = (UNIT * places + MIDDLE) / 128
    images = [{"bytes": painted(one, AGES[group]), "path": None} for one, group in zip(smile, groups, strict=True)]
    faces = {
        "source_file": files,
        "smile_score": (1 / (1 + np.exp(-smile))).astype(np.float32),
        "age_group": groups,
        "male": random.random(count) < 0.5,
        "race": random.choice(GROUPS, count),
        "glasses": random.random(count) < 0.2,
        "image": images,
    }
    flat = pa.FixedSizeListArray.from_arrays(pa.array(points.astype(np.float32).ravel()), 936)
    labels = {"source_file": files, "landmarks": flat, "presence": np.ones(count, np.float32)}
    for name, content in (("faces", faces), ("labels", labels)):
        (folder / name).mkdir()
        pq.write_table(pa.table(content), folder / name / "train.parquet")
    (folder / "shape").mkdir()
    for name in ("shape.safetensors", "shape.json"):
        (folder / "shape" / name).write_bytes((FOLDER / name).read_bytes())
    return {
        "dataset_name": str(folder / "faces"),
        "labels_name": str(folder / "labels"),
        "output_dir": str(folder / "shape"),
    }


def test_each_finds_its_own_spot_and_no_light(folders):
    arguments = [word for name, value in folders.items() for word in (f"--{name}", value)]
    for script in (fit_age, fit_smile):
        assert not script.main(arguments)
    shades, lines = ShapeModel.load(folders["output_dir"]).smile_light
    age = AgeModel.load(folders["output_dir"], MODEL.mean).change[0]
    assert at(shades, OF_SMILE) < -10 and at(age, OF_AGE) < -3
    assert abs(at(shades, OF_AGE)) < 0.2 * abs(at(shades, OF_SMILE))
    assert abs(at(age, OF_SMILE)) < 0.3 * abs(at(age, OF_AGE))
    left, right = (at(shades, (side, 0.9)) for side in (-0.55, 0.55))
    assert max(abs(left), abs(right)) < 0.2 * abs(at(shades, OF_SMILE))  # the light from one side
    for place in ((0.0, -0.6), (0.0, 0.4), (0.5, 0.0), (0.0, 1.0)):  # forehead, nose, an eye, lips
        assert at(shades, place) == at(lines, place) == 0, place
    assert (Path(folders["output_dir"]) / SMILE_FILE).stat().st_size < 100_000


def test_faces_without_landmarks_are_told(folders, tmp_path):
    nowhere = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(936, np.float32)), 936)
    empty = {"source_file": ["other"], "landmarks": nowhere, "presence": np.ones(1, np.float32)}
    pq.write_table(pa.table(empty), tmp_path / "train.parquet")
    with pytest.raises(DataError, match="no face of"):
        fit_smile.fit(fit_smile.FitConfig(folders["dataset_name"], str(tmp_path), folders["output_dir"]))
