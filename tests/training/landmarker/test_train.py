"""The landmarker's scripts: crops and their landmarks agree, it learns, resumes bit for bit, and says true numbers."""

from __future__ import annotations

import io
import json
from pathlib import Path

import cv2
import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from gan_space.faces.align import PORTRAIT_FRAME, TIGHT_FRAME, AlignTransform
from gan_space.faces.landmarks import (
    LEFT_BROW,
    LEFT_EYE,
    LEFT_EYE_CORNERS,
    LIPS,
    MOUTH_CORNERS,
    RIGHT_BROW,
    RIGHT_EYE,
    RIGHT_EYE_CORNERS,
)
from gan_space.models.landmarker import NUM_LANDMARKS, Landmarker, LandmarkerOutput
from tests.training.killing import assert_same_weights, copy_before_last_checkpoint
from training.landmarker.crops import CLOSE, EXACT, ROUGH, CropBatch, CropMaker, cover, draw_similarities, plain_crops
from training.landmarker.data import LandmarkFaces, joined, load_landmark_faces, load_mirror, split_turned
from training.landmarker.evaluate import (
    area_under_curve,
    by_group,
    disturbed,
    eye_distance,
    measure_passes,
    place_errors,
    rank_correlation,
    three_points,
)
from training.landmarker.evaluate import main as evaluate_main
from training.landmarker.losses import landmarker_loss, point_weights
from training.landmarker.train import common_shapes, disagreements, main, measure, to_input

FACE_PX = 64


def mirror_map() -> np.ndarray:
    mirror = np.arange(NUM_LANDMARKS)
    for left, right in zip((*LEFT_EYE, *LEFT_BROW), (*RIGHT_EYE, *RIGHT_BROW), strict=True):
        mirror[left], mirror[right] = right, left
    mirror[61], mirror[291] = 291, 61
    return mirror


def usual_shape() -> np.ndarray:
    """468 places of no face in particular, the same mirrored: [468, 2] in the tight frame."""
    random, mirror = np.random.default_rng(3), mirror_map()
    shape = random.uniform(0.2, 0.8, (NUM_LANDMARKS, 2))
    for places, middle in ((LEFT_EYE, TIGHT_FRAME[0]), (LIPS, TIGHT_FRAME[2])):
        shape[list(places)] = middle + random.uniform(-0.04, 0.04, (len(places), 2))
    for pair, middle, half in zip((LEFT_EYE_CORNERS, MOUTH_CORNERS), TIGHT_FRAME[[0, 2]], (0.05, 0.1), strict=True):
        shape[list(pair)] = middle + np.array([[-half, 0], [half, 0]])
    own = mirror == np.arange(NUM_LANDMARKS)
    shape[own, 0] = 0.5
    second = mirror < np.arange(NUM_LANDMARKS)
    shape[second] = shape[mirror[second]] * [-1, 1] + [1, 0]
    return shape


def drawn_face(random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A drawing of a face, a little out of place, and its landmarks: [S, S, 3] uint8, [468, 2]."""
    shape = usual_shape() * random.uniform(0.92, 1.08, 2) + random.uniform(-0.05, 0.05, 2)
    image = np.full((FACE_PX, FACE_PX, 3), random.integers(120, 220, 3), np.uint8)
    for pair, colour in ((LEFT_EYE_CORNERS, 20), (RIGHT_EYE_CORNERS, 20), (MOUTH_CORNERS, 60)):
        middle, half = shape[list(pair)].mean(0) * FACE_PX, np.ptp(shape[list(pair), 0]) / 2 * FACE_PX
        axes = (max(1, int(half)), max(1, int(half / 2)))
        cv2.ellipse(image, tuple(map(int, middle)), axes, 0, 0, 360, (colour, colour, colour * 2), -1)
    return image, shape.astype(np.float32)


def faces_of(num: int, seed: int = 0) -> LandmarkFaces:
    random = np.random.default_rng(seed)
    images, points = zip(*(drawn_face(random) for _ in range(num)), strict=True)
    turns = [float(turn) for turn in random.uniform(-0.8, 0.8, num)]
    files = [f"face-{seed}-{n}" for n in range(num)]
    return LandmarkFaces(np.stack(images), np.stack(points), np.ones(num, np.float32), files, {"nose_turn": turns})


def write_rows(folder: Path, split: str, faces: LandmarkFaces, columns: tuple[str, ...]) -> None:
    folder.mkdir(parents=True, exist_ok=True)

    def png(image: np.ndarray) -> dict:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        return {"bytes": buffer.getvalue(), "path": None}

    rows = {
        "image": [png(image) for image in faces.images],
        "source_file": faces.files,
        "landmarks": [list(map(float, points.ravel())) for points in faces.points],
        "presence": faces.presence.tolist(),
        "nose_turn": faces.labels["nose_turn"],
        "male": [n % 2 == 0 for n in range(len(faces))],
    }
    features = {
        **{"image": datasets.Image(), "source_file": datasets.Value("string"), "presence": datasets.Value("float32")},
        "landmarks": datasets.Sequence(datasets.Value("float16"), length=2 * NUM_LANDMARKS),
        **{"nose_turn": datasets.Value("float32"), "male": datasets.Value("bool")},
    }
    table = datasets.Dataset.from_dict(
        {name: rows[name] for name in columns}, features=datasets.Features({n: features[n] for n in columns})
    )
    table.to_parquet(str(folder / f"{split}.parquet"))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Pictures and labels apart, and a set with both."""
    folder = tmp_path_factory.mktemp("data")
    for split, num, seed in (("train", 24, 0), ("test", 6, 1)):
        faces = faces_of(num, seed)
        write_rows(folder / "faces", split, faces, ("image", "source_file", "male"))
        turned_round = faces.select(range(num)[::-1])
        write_rows(folder / "labels", split, turned_round, ("source_file", "landmarks", "presence"))
    both = ("image", "source_file", "landmarks", "presence", "nose_turn")
    write_rows(folder / "more", "train", faces_of(16, 2), both)
    (folder / "labels" / "topology.json").write_text(json.dumps({"mirror": mirror_map().tolist()}))
    return folder


def arguments(data: Path) -> list[str]:
    names = ("--dataset_name", str(data / "faces"), "--labels_name", str(data / "labels"))
    sizes = ("--resolution", "32", "--width", "4", "--batch_size", "8", "--eval_images", "4")
    return [*names, "--more_name", str(data / "more"), *sizes, "--total_kimg", "0.032", "--checkpoint_kimg", "0.008"]


@pytest.fixture(scope="module")
def whole_run(data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("landmarker") / "whole"
    assert main([*arguments(data), "--output_dir", str(folder)]) == 0
    return folder


def test_labels_that_count_from_the_middle_of_a_pixel_are_moved_by_half_of_one(data):
    """A dot in the pixel (2, 4) is called (2, 4) by such labels; for us its middle is (2.5, 4.5)."""
    names = {"labels_name": str(data / "labels"), "face_px": FACE_PX}
    corner = load_landmark_faces(str(data / "faces"), "test", **names)
    middle = load_landmark_faces(str(data / "faces"), "test", label_origin="middle", **names)
    np.testing.assert_allclose((middle.points - corner.points) * FACE_PX, 0.5, atol=1e-4)


def test_a_run_leaves_a_model_and_its_numbers(whole_run):
    assert Landmarker.from_pretrained(whole_run / "export").resolution == 32
    lines = [json.loads(line) for line in (whole_run / "metrics.jsonl").read_text().splitlines()]
    assert [line["nimg"] for line in lines] == [8, 16, 24, 32]
    assert {"loss_points", "loss_openings", "loss_spread", "frontal_rough", "turned_close"} <= lines[-1].keys()
    assert json.loads((whole_run / "export" / "training.json").read_text())["crops_seen"] == 32


def test_going_on_from_the_checkpoint_before_the_last_ends_in_the_same_weights(whole_run, data, tmp_path):
    folder = tmp_path / "again"
    copy_before_last_checkpoint(whole_run, folder)
    assert main([*arguments(data), "--output_dir", str(folder)]) == 0
    assert_same_weights(whole_run, folder, "nimg-000000032")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--batch_size", "0", "--lr", "0", "--resolution", "40"], ["--batch_size", "--lr", "multiple of 16"]),
        (["--labels_name", "{faces}"], ["topology.json"]),
        (["--dataset_name", "./nowhere"], ["no such data set: ./nowhere"]),
        (["--more_name", "{faces}"], ["lacks", "landmarks"]),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(flags, words, data, refused):
    refused(main, [*arguments(data), *(flag.format(faces=data / "faces") for flag in flags)], words)


def test_pictures_and_labels_are_joined_by_the_name_of_the_file(data):
    faces = load_landmark_faces(str(data / "faces"), "train", labels_name=str(data / "labels"), face_px=64)
    wanted = faces_of(24)
    assert faces.files == wanted.files and faces.labels["male"][:2] == [True, False]
    np.testing.assert_array_equal(faces.images, wanted.images)
    np.testing.assert_allclose(faces.points, wanted.points, atol=1e-3)
    both = joined(faces, faces_of(2, 5))
    assert len(both) == 26 and both.labels["nose_turn"][:24] == [None] * 24


def test_the_same_turned_faces_are_held_back_in_any_order():
    faces = faces_of(40)
    rest, turned = split_turned(faces, 9)
    assert len(turned) == 9 and min(abs(turn) for turn in turned.labels["nose_turn"]) > 0.4
    assert set(rest.files) | set(turned.files) == set(faces.files) and len(rest) == 31
    again = split_turned(faces.select(np.random.default_rng(0).permutation(40)), 9)[1]
    assert set(again.files) == set(turned.files)


@pytest.mark.parametrize("disturbance", [EXACT, CLOSE, ROUGH])
def test_the_landmarks_of_a_crop_lie_where_they_lay_in_the_picture(disturbance):
    """A dot drawn at a landmark is found again at that landmark of the crop."""
    faces = faces_of(6)
    faces.images[:] = 0
    for image, points in zip(faces.images, faces.points, strict=True):
        x, y = points[61] * FACE_PX
        grid = np.arange(FACE_PX) + 0.5
        image[:] = (255 * np.exp(-((grid[:, None] - y) ** 2 + (grid - x) ** 2) / 8))[..., None]
    batch = plain_crops(faces.images, faces.points, draw_similarities(6, disturbance, np.random.default_rng(0)), 96)
    axis = (torch.arange(96) + 0.5) / 96
    near = [(axis - batch.points[:, 61, i, None]).abs() < 0.15 for i in (0, 1)]  # its mirror image is elsewhere
    light = (batch.images[:, 0].float().clamp(min=8) - 8) * near[1][:, :, None] * near[0][:, None]
    centre = torch.stack([(light.sum(1) * axis).sum(1), (light.sum(2) * axis).sum(1)], dim=-1)
    torch.testing.assert_close(centre / light.sum((1, 2))[:, None], batch.points[:, 61], atol=4e-3, rtol=0)


def test_a_mirrored_face_has_its_places_mirrored():
    """The drawn eyes stand under the eyes' landmarks in every crop, mirrored or not."""
    faces, mirror = faces_of(8), mirror_map()
    faces.images[:] = 128
    for image, points in zip(faces.images, faces.points, strict=True):
        x, y = (points[list(LEFT_EYE_CORNERS)].mean(0) * FACE_PX).astype(int)
        image[y - 3 : y + 4, x - 3 : x + 4] = (255, 0, 0)
    batch = CropMaker(faces, mirror, 64)(np.arange(8).repeat(8), np.random.default_rng(0))
    left, right = (batch.points[:, list(pair)].mean(1) for pair in (LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS))

    def red(places):
        px = (places * 64).long().clamp(0, 63)
        colours = batch.images.float()[torch.arange(64), :, px[:, 1], px[:, 0]]
        return colours[:, 0] - colours[:, 1]

    inside = ((left > 0.1) & (left < 0.9) & (right > 0.1) & (right < 0.9)).all(1) & batch.is_face
    marked = torch.maximum(red(left), red(right))[inside]
    assert (red(left)[inside] > 60).any() and (red(right)[inside] > 60).any(), "both kinds were drawn"
    assert (marked > 60).float().mean() > 0.6  # grey, covered or blurred ones have none


def test_crops_depend_on_the_seed_alone_and_some_are_no_faces():
    make = CropMaker(faces_of(12), mirror_map(), 48)
    first, again = (make(np.arange(12).repeat(10), np.random.default_rng(5)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.images, make(np.arange(12).repeat(10), np.random.default_rng(6)).images)
    assert 0.02 < (~first.is_face).float().mean() < 0.25
    assert 0 < first.covered.mean() < 0.3


def test_what_counts_as_covered_has_something_drawn_over_it():
    random = np.random.default_rng(0)
    image, points, seen = random.integers(0, 256, (FACE_PX, FACE_PX, 3)).astype(np.uint8), drawn_face(random)[1], []
    for seed in range(60):
        crop, covered = cover(image, points, 255 - image, np.random.default_rng(seed))
        changed = (crop != image).any(axis=2)
        for hidden, part in zip(covered, (LEFT_EYE, RIGHT_EYE, LIPS), strict=True):
            x, y = (points[list(part)] * FACE_PX).astype(int).T
            seen.append((hidden > 0, changed[y, x].mean()))
    assert min(share for hidden, share in seen if hidden) > 0.3
    assert {hidden for hidden, _ in seen} == {True, False}


def test_the_loss_counts_faces_only_and_in_eye_distances():
    points = torch.zeros(2, NUM_LANDMARKS, 2)
    is_face, units = torch.tensor([True, False]), torch.tensor([0.5, 0.5])
    batch = CropBatch(torch.zeros(2, 3, 8, 8), points, units, is_face, torch.zeros(2, 3))
    moved = points.clone()
    moved[0, :, 0], moved[1] = 0.1, 99.0  # 0.2 eye distances off, all alike; the other is no face
    log_error = torch.full([2, NUM_LANDMARKS], 0.2).log()
    output = LandmarkerOutput(moved, log_error, torch.tensor([20.0, -20.0]), torch.full([2, 3], -20.0))
    parts = landmarker_loss(output, batch, point_weights())
    assert parts["points"].item() == pytest.approx(0.2, abs=1e-4)
    assert parts["openings"].item() == pytest.approx(0, abs=2e-4)
    assert parts["spread"].item() == pytest.approx(np.log(0.2) + 1, abs=1e-3)
    assert parts["face"].item() < 1e-6 and parts["cover"].item() < 1e-6
    moved[0, 13, 1] = 0.1  # the upper lip comes down
    assert landmarker_loss(output, batch, point_weights())["openings"].item() > 0.01


def test_it_learns_where_the_places_are():
    """On one batch over and over, the error falls to a fraction of that of the mean shape."""
    faces = faces_of(12)
    batch = CropMaker(faces, mirror_map(), 32)(np.arange(12).repeat(2), np.random.default_rng(0))
    torch.manual_seed(0)
    model = Landmarker(32, 8, 8, 32, 16).train()
    model.set_shapes(*common_shapes(faces.points, 16))
    optimizer, errors = torch.optim.AdamW(model.parameters(), lr=0.005), []
    for _ in range(60):
        parts = landmarker_loss(model(to_input(batch.images)), batch, point_weights())
        optimizer.zero_grad()
        sum(parts.values()).backward()
        optimizer.step()
        errors.append(parts["points"].item())
    assert errors[-1] < 0.5 * errors[0]


@torch.no_grad()
def test_a_measurement_is_the_same_every_time():
    torch.manual_seed(0)
    model = Landmarker(32, 4).eval()
    errors = measure(model, faces_of(5), ROUGH)
    assert errors.shape == (5, NUM_LANDMARKS) and torch.equal(errors, measure(model, faces_of(5), ROUGH))


def test_labels_that_are_wrong_in_one_part_stand_out():
    torch.manual_seed(0)
    faces, model = faces_of(5), Landmarker(32, 4).eval()
    model.set_shapes(*common_shapes(faces.points, 64))
    before = disagreements(model, faces)
    np.testing.assert_array_equal(before, disagreements(model, faces))
    faces.points[2][list(LIPS), 1] += 1.0  # of the picture's height, about 2.5 eye distances
    after = disagreements(model, faces)
    assert after[2] - before[2] > 150
    np.testing.assert_allclose(np.delete(after, 2), np.delete(before, 2), rtol=1e-6)


def test_a_run_goes_on_from_other_weights_and_leaves_out_labels_that_they_deny(whole_run, data, tmp_path, capsys):
    wanted = [*arguments(data), "--init_from", str(whole_run / "export"), "--checked_by", str(whole_run / "export")]
    assert main([*wanted, "--max_disagreement", "1e-3", "--output_dir", str(tmp_path)]) == 0
    log = "".join(capsys.readouterr())
    assert "0 of" in log and "tensors come from" in log


def test_errors_are_in_percent_of_the_labels_eye_distance():
    points = usual_shape() * 200
    left, right, _ = three_points(usual_shape())
    assert eye_distance(points) == pytest.approx(200 * np.linalg.norm(left - right))
    np.testing.assert_allclose(place_errors(points + np.array([0.01 * eye_distance(points), 0]), points), 1.0)


def test_a_disturbed_place_stays_within_its_bounds():
    for seed in range(20):
        off = disturbed(AlignTransform.from_landmarks(PORTRAIT_FRAME * 128), ROUGH, np.random.default_rng(seed))
        right = AlignTransform.from_landmarks(PORTRAIT_FRAME * 128)
        assert abs(off.roll_deg) <= 36 and 1 / 1.361 <= off.frame_px / right.frame_px <= 1.361
        middle = right.apply(off.inverse.apply([0.5, 0.5]))
        assert np.abs(middle - 0.5).max() <= 0.161
    same = disturbed(right, EXACT, np.random.default_rng(0))
    np.testing.assert_allclose(same.matrix, right.matrix, atol=1e-9)


def test_every_pass_is_measured_and_starts_where_the_last_one_ended():
    torch.manual_seed(0)
    faces, model = faces_of(3), Landmarker(32, 4).eval()
    model.set_shapes(*common_shapes(faces.points, 64))
    errors, found = measure_passes(model, faces, "tight", ROUGH, num_passes=2)
    assert errors.shape == (2, 3, NUM_LANDMARKS) and len(found) == 3
    np.testing.assert_array_equal(errors[0], measure_passes(model, faces, "tight", ROUGH, num_passes=1)[0][0])
    wanted = faces.points[2].astype(float) * FACE_PX
    np.testing.assert_allclose(errors[1, 2], place_errors(found[2].points, wanted))


def test_small_statistics_by_known_answers():
    assert rank_correlation(np.array([1.0, 2, 9]), np.array([0.1, 0.2, 0.3])) == pytest.approx(1)
    assert area_under_curve(np.array([0.1, 0.9, 0.8]), np.array([False, True, True])) == 1
    assert area_under_curve(np.array([0.9, 0.1, 0.8]), np.array([False, True, True])) == 0
    errors = np.repeat(np.arange(60.0)[:, None], 3, axis=1)
    groups = by_group(errors, {"male": [True] * 30 + [False] * 25 + [None] * 5, "race": ["a"] * 59 + ["b"]})
    assert groups == {"male": {"False": 42.0, "True": 14.5}, "race": {"a": 29.0}}


def test_the_measuring_script_writes_all_numbers(whole_run, data, tmp_path, capsys):
    output = tmp_path / "numbers.json"
    wanted = ["--model", str(whole_run / "export"), "--dataset_name", str(data / "more"), "--split", "train"]
    assert evaluate_main([*wanted, "--held_back", "--limit", "3", "--output", str(output)]) == 0
    numbers = json.loads(output.read_text())
    assert numbers["num_faces"] == 3 and {"exact", "rough"} == numbers["passes"].keys()
    assert {"all", "lips", "lids", "brows", "jaw"} == numbers["regions"].keys()
    assert json.loads(capsys.readouterr().out) == numbers
    assert evaluate_main([*wanted, "--limit", "1"]) == 2 and "--limit" in capsys.readouterr().err


def test_a_mirror_that_is_none_is_refused(tmp_path):
    from gan_space.errors import DataError

    (tmp_path / "topology.json").write_text(json.dumps({"mirror": [1, 2, 0]}))
    with pytest.raises(DataError, match="468 places to their partners"):
        load_mirror(str(tmp_path))
