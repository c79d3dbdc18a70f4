"""The measurement of the aligner: its scenes hold the face where they say, and its numbers mean what they say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import gan_space
from gan_space.faces.align import PORTRAIT_FRAME, AlignTransform
from gan_space.images import from_uint8
from training.aligner.evaluate import framing_error, main, rough_box
from training.aligner.scenes import make_scene, roll_portrait
from training.data import open_dataset

ROOT = Path(__file__).resolve().parents[3]
FACES = str(ROOT / "tests" / "data" / "fairface64.parquet")
EMBEDDED = str(Path(gan_space.__file__).parent / "assets" / "default" / "aligner")


@pytest.fixture(scope="module")
def faces():
    dataset = open_dataset(FACES, 128)
    return torch.stack([dataset[index][0] for index in range(8)])


@pytest.mark.parametrize("seed", range(4))
def test_a_scene_holds_the_face_where_it_says(seed, faces):
    scene = make_scene(faces[seed], faces[6:], seed)
    assert 60 <= scene.transform.frame_px <= 300
    assert abs(scene.transform.roll_deg) <= 30
    again = scene.transform.crop(scene.photo, 128)[0, :, 40:90, 40:90]
    wanted = from_uint8(faces[seed])[:, 40:90, 40:90]
    assert np.corrcoef(again.flatten(), wanted.flatten())[0, 1] > 0.97


def test_a_rolled_portrait_tells_where_eyes_and_mouth_went():
    picture = torch.zeros(3, 128, 128, dtype=torch.uint8)
    for x, y in (PORTRAIT_FRAME * 128).round().astype(int):
        picture[:, y - 2 : y + 2, x - 2 : x + 2] = 255
    scene = roll_portrait(picture, 2)
    assert 5 < abs(scene.transform.roll_deg) <= 30
    frame = scene.transform.crop(scene.photo, 100)[0].mean(dim=0)
    ends = [frame[29:34, 28:33], frame[29:34, 68:73], frame[68:73, 48:53]]
    assert all(part.max() > 0.5 for part in ends)


def test_the_error_is_in_eye_distances():
    wanted = AlignTransform.from_box(100, 100, 100)  # eyes 39 px apart
    assert framing_error(wanted, wanted) == pytest.approx(0, abs=1e-12)
    assert framing_error(AlignTransform.from_box(103.9, 100, 100), wanted) == pytest.approx(0.1)


def test_rough_boxes_are_rough_and_within_reach():
    wanted = AlignTransform.from_box(300, 200, 100, 20)
    boxes = [rough_box(wanted, seed) for seed in range(60)]
    assert 55 < min(box.size for box in boxes) < 70
    assert 140 < max(box.size for box in boxes) < 165
    assert 35 < max(abs(box.roll_deg - 20) for box in boxes) <= 45


@pytest.mark.slow
def test_the_weights_in_the_package_reach_their_numbers(tmp_path):
    file = tmp_path / "numbers.json"
    flags = ["--model", EMBEDDED, "--dataset_name", FACES, "--split", "train", "--num_images", "12"]
    assert main([*flags, "--output", str(file)]) == 0
    numbers = json.loads(file.read_text())
    assert numbers["pass_3_median"] < 4
    assert numbers["pass_3_p95"] < 10
    assert numbers["pass_1_median"] > numbers["pass_3_median"]
    assert numbers["found_share"] > 0.8


def test_bad_input_is_refused(tmp_path, capsys):
    flags = ["--model", EMBEDDED, "--dataset_name", FACES]
    assert main([*flags, "--num_images", "2", "--output", str(tmp_path / "no" / "x.json")]) == 2
    message = capsys.readouterr().err
    assert "--num_images" in message
    assert "does not exist" in message
    assert main(["--model", str(tmp_path), "--dataset_name", FACES]) == 2
    assert "config.json" in capsys.readouterr().err
