"""Fitting the shape sliders on invented faces whose fields are known."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gan_space
from gan_space import PersonalizationPipeline
from gan_space.errors import DataError
from gan_space.faces.mesh import face_frame
from gan_space.faces.shape import SLIDERS, ShapeModel, smile_of
from gan_space.faces.shape_flow import find_shape_flow
from gan_space.portraits import shape as portraits_shape
from training.shape import evaluate
from training.shape.data import in_face_frame, load_shapes
from training.shape.evaluate import Draw, Table, amounts, draw, open_all, table, witnessed
from training.shape.fit import FitShapeConfig, fit, steady
from training.shape.texture import texture_moved

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
EMBEDDED = ShapeModel.load(Path(gan_space.__file__).parent / "assets" / "default" / "shape")
FIELDS = {name: field[0] for name, field in EMBEDDED.fields.items()}


def invented_faces(count: int, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Landmarks in fractions of a tight frame, and labels that say how they came about."""
    random = np.random.default_rng(seed)
    amount = {name: random.normal(0, 1, count) for name in FIELDS}
    places = EMBEDDED.mean + sum(amount[name][:, None, None] * field for name, field in FIELDS.items())
    places += random.normal(0, 0.003, places.shape)
    labels = {
        "smile_score": (1 / (1 + np.exp(-amount["smile"]))).astype(np.float32),
        "age_group": random.choice(["20-29", "30-39", "50-59", "10-19"], count),
        "male": random.random(count) < 0.5,
    }
    return 0.39 * places + (0.5, 0.309), labels


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("data")
    for part, count in (("train", 400), ("test", 60)):
        points, labels = invented_faces(count, seed=count)
        files = [f"{part}/{number}.jpg" for number in range(count)]
        flat = pa.FixedSizeListArray.from_arrays(pa.array(points.astype(np.float16).ravel()), 936)
        columns = {"source_file": files, **{name: pa.array(values) for name, values in labels.items()}}
        known = {"source_file": files[::-1], "landmarks": flat[::-1], "presence": np.ones(count, np.float32)}
        for name, content in (("faces", columns), ("labels", known)):
            (folder / name).mkdir(exist_ok=True)
            pq.write_table(pa.table(content), folder / name / f"{part}.parquet")
    (folder / "labels" / "topology.json").write_text(json.dumps({"mirror": EMBEDDED.mirror.tolist()}))
    return folder / "faces", folder / "labels"


def test_fields_are_found_again(data, tmp_path):
    measured = fit(FitShapeConfig(str(data[0]), str(data[1]), str(tmp_path / "shape")))
    found = ShapeModel.load(tmp_path / "shape")
    assert np.abs(found.mean - found.mean[found.mirror] * (-1, 1)).max() < 1e-6
    assert measured["faces"] < 400  # those that are labelled younger than 20 are left out
    assert measured["explained_test"]["turned"] > 0.8
    for name in ("smile", "turn"):
        one, other = found.fields[name][0].ravel(), FIELDS[name].ravel()
        assert one @ other / np.linalg.norm(one) / np.linalg.norm(other) > 0.9, name
    moved = smile_of(found.mean + found.fields["smile"][0]) - smile_of(found.mean)
    assert moved == pytest.approx(0.12, rel=0.05)
    low, high = found.limits["smile"]
    assert low < smile_of(found.mean) < high


def test_the_frame_is_that_of_the_sliders():
    points = invented_faces(5, 0)[0] @ np.array([[0.9, 0.4], [-0.4, 0.9]])
    assert np.allclose(in_face_frame(points), [face_frame(one).apply(one) for one in points])


def test_size_and_nod_are_taken_off_a_field():
    nod, smile = FIELDS["tilt"], FIELDS["smile"]
    still = tuple(int(place) for place in np.flatnonzero(np.linalg.norm(smile, axis=1) < 1e-4))
    assert np.allclose(
        steady(smile + 0.3 * nod + 0.1 * EMBEDDED.mean + (0.2, -0.1), EMBEDDED.mean, nod, still), smile, atol=1e-3
    )


def test_a_missing_column_is_told(data, tmp_path):
    pq.write_table(pa.table({"source_file": ["a"]}), tmp_path / "train.parquet")
    with pytest.raises(DataError, match="smile_score"):
        load_shapes(str(tmp_path), str(data[1]), "train")


def test_texture_tells_how_far_pixels_went_and_what_was_painted_over():
    before = np.random.default_rng(0).integers(0, 255, (440, 400, 3), dtype=np.uint8)
    before = cv2.GaussianBlur(before, (0, 0), 1.0)
    points, moves = 80 * EMBEDDED.mean + (200, 160), np.tile([2.0, 1.0], (468, 1))
    gone, half = (np.roll(before, shift, (0, 1)) for shift in ((1, 2), (0, 1)))
    for after, share in ((gone, 1.0), (half, 0.4), (before, 0.0)):
        went, found = texture_moved(before, after, points, moves)
        assert went == pytest.approx(share, abs=0.1) and found > 0.95
    assert texture_moved(before, 255 - before, points, moves)[1] < 0.2
    assert np.isnan(texture_moved(before, gone, points, 0 * moves)).all()  # nothing was sent


@pytest.mark.slow
def test_pictures_are_drawn_and_a_witness_is_put_into_a_table(tmp_path):
    from PIL import Image

    (tmp_path / "photos").mkdir()
    shutil.copy(SAMPLES / "woman-lake.jpg", tmp_path / "photos")
    Image.new("RGB", (80, 60), "grey").save(tmp_path / "photos" / "nobody.png")
    face = io.BytesIO()
    Image.open(SAMPLES / "astronaut.jpg").convert("RGB").crop((87, 70, 189, 172)).resize((128, 128)).save(face, "PNG")
    (tmp_path / "faces").mkdir()
    pq.write_table(pa.table({"image": [{"bytes": face.getvalue(), "path": "a"}]}), tmp_path / "faces" / "test.parquet")
    out, model = tmp_path / "drawn", Path(gan_space.__file__).parent / "assets" / "default"
    photos, faces = str(tmp_path / "photos"), str(tmp_path / "faces")
    draw(Draw(str(out), model=str(model), photos=photos, dataset_name=faces, sliders="smile,eye_size,age"))
    assert sorted(file.stem for file in out.glob("*.npz")) == ["face_00000", "woman-lake"]
    wanted = 1 + sum(len(amounts(name)) for name in ("smile", "eye_size", "age"))
    for file in out.glob("*.npz"):
        drawn = np.load(file)
        assert len(drawn["pictures"]) == len(drawn["wanted"]) == wanted and drawn["outside_equal"].all()
        assert (drawn["unfolded"] == 1).all()
        assert not (drawn["pictures"][1:] == drawn["pictures"][0]).all((1, 2, 3)).any()
        # A witness that finds every landmark where it was sent.
        seen = {"points": drawn["wanted"].tolist(), "identity": [0.1] * wanted, "sharpness": [1.0] * wanted}
        file.with_suffix(".json").write_text(json.dumps(seen))
    text = table(Table(str(out)))
    assert "| age | +2.5 |" in text
    assert "| age | 2 | none asked | 100, 100 % | 100 %; none asked |" in text
    (line,) = (one for one in text.splitlines() if one.startswith("| smile | 2 |"))
    cells = [one.strip() for one in line.strip("|").split("|")]
    assert cells[3:5] == ["100, 100 %", "100 %; 100 %"] and cells[6:8] == ["0.10, 0.10", "100, 100 %"]
    row = next(line for line in text.splitlines() if line.startswith("| smile | +1 |")).split(" | ")
    assert float(row[2]) == float(row[3]) == pytest.approx(0.12, rel=0.1)
    points = 40 * EMBEDDED.mean + (100, 80)
    assert witnessed("eye_size", points + EMBEDDED.displace(points, {"eye_size": 1.0})) > witnessed("eye_size", points)
    assert {"age", *SLIDERS} >= set(drawn["names"][1:])


def test_two_photos_of_one_name_are_told_before_anything_is_drawn(tmp_path):
    for file in ("one/a.jpg", "two/a.jpg", "two/b.jpg", "three/b.png", "three/c.png"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    folders = [str(tmp_path / name) for name in ("one", "two", "three")]
    with pytest.raises(DataError, match="names of their own") as told:
        next(open_all(Draw("", photos=",".join(folders)), None))
    for file in ("one/a.jpg and ", "two/a.jpg", "three/b.png", "two/b.jpg"):
        assert str(tmp_path / file) in str(told.value)
    assert "c.png" not in str(told.value)


def test_what_is_wanted_of_a_face_with_glasses_is_the_edit_that_was_made(tmp_path, monkeypatch):
    moved = {module: [] for module in (portraits_shape, evaluate)}
    for module, places in moved.items():

        def find(photo, points, *others, places=places):
            places.append((found := find_shape_flow(photo, points, *others)).flow.move(points))
            return found

        monkeypatch.setattr(module, "find_shape_flow", find)
    (tmp_path / "photos").mkdir()
    shutil.copy(SAMPLES / "naval-officer.jpg", tmp_path / "photos")
    draw(Draw(str(tmp_path / "drawn"), photos=str(tmp_path / "photos"), sliders="brows_up", ends=True))
    assert len(moved[evaluate]) == 2 and np.allclose(moved[evaluate], moved[portraits_shape])
    drawn, person = np.load(tmp_path / "drawn" / "naval-officer.npz"), PersonalizationPipeline.from_pretrained()
    points = person.open(SAMPLES / "naval-officer.jpg").landmarks(person.landmarker)[0].points
    for amount, wanted in zip(drawn["amounts"][1:], drawn["wanted"][1:] - drawn["wanted"][0], strict=True):
        held, free = (
            person.shapes.displace(points, {"brows_up": float(amount)}, glasses=worn) for worn in (True, False)
        )
        assert np.allclose(wanted, held, atol=1e-6) and not np.allclose(held, free, atol=0.5)
