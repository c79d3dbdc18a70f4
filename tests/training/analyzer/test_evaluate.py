"""The measurement of the analyzer: its numbers against slow ones, and the script on a tiny network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_space.errors import DataError
from gan_space.models.analyzer import Analyzer
from training.analyzer.evaluate import by_group, main
from training.analyzer.measure import attribute_metrics, calibration_error
from training.common.face_labels import labels_from_rows
from training.identity.pairs import (
    Pairs,
    auc,
    compare,
    effective_dim,
    equal_error,
    histogram,
    identity_metrics,
    pixel_embedding,
)

ROOT = Path(__file__).resolve().parents[3]
FACES = str(ROOT / "tests" / "data" / "fairface64.parquet")


def test_auc_counts_pairs():
    random = np.random.default_rng(0)
    score, positive = random.integers(0, 6, 40).astype(float), random.random(40) < 0.4
    pairs = [(a > b) + (a == b) / 2 for a in score[positive] for b in score[~positive]]
    assert auc(score, positive) == pytest.approx(np.mean(pairs))
    assert auc(np.array([1.0, 2, 3]), np.array([0, 1, 1])) == 1
    assert np.isnan(auc(np.array([1.0, 2]), np.array([1, 1])))


def test_calibration_error_is_the_gap_within_bins():
    probability = np.array([0.05, 0.05, 0.95, 0.95])
    assert calibration_error(probability, np.array([0, 0, 1, 1])) == pytest.approx(0.05)
    assert calibration_error(probability, np.array([1, 1, 0, 0])) == pytest.approx(0.95)
    assert calibration_error(np.array([1.0, 0.0]), np.array([1, 0])) == 0


def test_attributes_are_measured_where_the_label_is_known():
    nan = float("nan")
    smile = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.9, 0.4, 0.1, 0.2, 0.3, 0.6, 0.99])
    labels = {"smile": torch.tensor([1.0, 1, 1, 1, 1, 0, 0, 0, 0, 0, nan])}
    labels["age"] = torch.tensor([0.0, 1, 2, 3, 4, 5, 0, 1, 2, 3, nan])
    years = torch.tensor([25.0, 35, 45, 55, 65, 55, 25, 35, 56, 55, 0])
    found = attribute_metrics({"smile": smile, "age": years, "unlabelled": smile}, labels)
    assert found.keys() == {"smile", "age"}
    assert found["smile"]["num"] == 10 and found["smile"]["accuracy"] == pytest.approx(0.9)
    # 25 pairs, of which 0.6 against 0.6 is a tie
    assert found["smile"]["auc"] == pytest.approx(24.5 / 25)
    assert found["age"]["mae"] == pytest.approx((20 + 11) / 10)
    assert found["age"]["accuracy"] == pytest.approx(0.8) and found["age"]["within_one_group"] == pytest.approx(0.9)
    unknown = {name: torch.full_like(value, nan) for name, value in labels.items()}
    assert attribute_metrics({"smile": smile, "age": years}, unknown) == {}


def test_groups_hold_their_own_faces():
    num = 60
    male = (torch.arange(num) % 2).float()
    labels = {"male": male, "age": torch.zeros(num), "race": torch.full([num], float("nan"))}
    labels["smile"] = (torch.arange(num) % 4 < 2).float()
    smile = torch.where(male == 1, labels["smile"], 1 - labels["smile"])  # right for men, wrong for women
    found = by_group({"smile": smile}, labels)
    assert found.keys() == {"women", "men", "20-29"}
    assert found["men"]["smile"]["accuracy"] == 1 and found["women"]["smile"]["accuracy"] == 0
    assert found["20-29"]["smile"]["num"] == num


def test_pairs_are_all_pairs():
    random = np.random.default_rng(0)
    embedding = random.normal(size=(7, 3))
    person = np.array([0, 0, 1, 0, 1, -1, -1])
    same, different = [], []
    for i in range(7):
        for j in range(i + 1, 7):
            of_one = person[i] == person[j] and person[i] >= 0
            (same if of_one else different).append(float(embedding[i] @ embedding[j]))
    pairs = compare(embedding, person)
    np.testing.assert_allclose(sorted(pairs.same), sorted(same))
    np.testing.assert_allclose(sorted(pairs.different), sorted(different))
    assert sorted(pairs.same_person) == [0, 0, 0, 1]


def test_the_equal_error_is_where_both_rates_meet():
    random = np.random.default_rng(1)
    same, different = random.normal(1.0, 1, 4000), random.normal(-1.0, 1, 50000)
    found = equal_error(same, different)
    assert found.rate == pytest.approx(0.1587, abs=0.01)  # one deviation beyond the middle
    assert found.threshold == pytest.approx(0, abs=0.05)
    refused, accepted = (same <= found.threshold).mean(), (different > found.threshold).mean()
    assert abs(refused - accepted) < 0.001 and found.rate == pytest.approx((refused + accepted) / 2)
    assert equal_error(np.array([0.9, 0.8]), np.array([0.1, 0.2])).rate == 0
    twice = equal_error(np.repeat(same[:50], 2), different)
    weighted = equal_error(same[:50], different, np.full(50, 2.0))
    assert weighted.rate == pytest.approx(twice.rate)


def test_one_vote_a_person_is_not_outvoted():
    """One person with many pairs that are easy, five with one pair each that is hard."""
    hard = np.eye(16)[[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]
    easy = np.tile(np.eye(16)[15], (20, 1))
    person = np.array([*np.repeat([0, 1, 2, 3, 4], 2), *[5] * 20])
    numbers = identity_metrics(np.concatenate([hard, easy]), person)
    assert numbers["num_people_with_pairs"] == 6 and numbers["num_same"] == 195
    assert numbers["eer"] < 0.05 < 0.3 < numbers["eer_one_vote_a_person"]
    assert numbers["eer_one_vote_low"] <= numbers["eer_one_vote_a_person"] <= numbers["eer_one_vote_high"]
    with pytest.raises(DataError, match="two pictures"):
        identity_metrics(hard, np.arange(10))


def test_the_effective_dimension_counts_directions():
    random = np.random.default_rng(0)
    spread = np.zeros((20000, 6))
    spread[:, :3] = random.normal(size=(20000, 3))
    assert effective_dim(spread + 5) == pytest.approx(3, abs=0.01)
    assert effective_dim(spread * [1, 0, 0, 0, 0, 0]) == pytest.approx(1)


def test_pixels_know_a_picture_again():
    x = torch.rand(6, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    embedding = pixel_embedding(torch.cat([x, x * 0.5 + 0.2]))
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1)
    cosine = embedding[:6] @ embedding[6:].T
    assert (cosine.argmax(axis=1) == np.arange(6)).all()


def test_the_histogram_shows_both_kinds_of_pairs():
    pairs = Pairs(np.array([0.8, 0.82]), np.array([0, 0]), np.array([-0.5, -0.52, -0.48]))
    picture = histogram(pairs, 0.1, "title")
    left, right = (np.asarray(picture)[200, columns].mean(axis=0) for columns in (slice(160, 190), slice(555, 570)))
    assert left[0] > left[2] + 50  # orange
    assert right[2] > right[0] + 50  # blue


def test_labels_come_from_landmarks_and_groups():
    empty = dict.fromkeys(
        ("male", "age_group", "race", "glasses", "yaw", "brightness", "skin_tone", "identity", "mouth_gap")
    )
    rows = [
        {**empty, "mouth_width": 1.0, "mouth_corner_lift": 0.1, "male": True, "age_group": "70+", "race": "Black"},
        {**empty, "mouth_width": 0.7, "mouth_corner_lift": 0.0, "male": False, "age_group": "3-9", "mouth_gap": 0.2},
        {**empty, "mouth_width": None, "mouth_corner_lift": 0.1, "glasses": True, "race": "Other", "mouth_gap": 0.0},
    ]
    labels = labels_from_rows(rows)
    nan = float("nan")
    wanted = {"smile": [1, 0, nan], "mouth_open": [nan, 1, 0], "male": [1, 0, nan], "glasses": [nan, nan, 1]}
    wanted |= {"age": [5, nan, nan], "race": [1, nan, nan]}  # children and other sources' names are not guessed at
    for name, values in wanted.items():
        np.testing.assert_array_equal(labels[name].numpy(), np.array(values, np.float32), err_msg=name)


def test_the_script_writes_numbers_tables_and_a_picture(tmp_path):
    import datasets

    table = datasets.load_dataset("parquet", data_files=FACES, split="train").select(range(24))
    names = [f"person {index % 8}" for index in range(24)]
    table.add_column("identity", names).to_parquet(str(tmp_path / "test.parquet"))
    torch.manual_seed(0)
    Analyzer(32, 4, 16, 8).save_pretrained(tmp_path / "model")
    files = {name: tmp_path / name for name in ("numbers.json", "table.md", "pairs.png")}
    flags = ["--model", str(tmp_path / "model"), "--dataset_name", str(tmp_path), "--identity_dataset", str(tmp_path)]
    flags += ["--identity_framing", "tight", "--output", str(files["numbers.json"])]
    flags += ["--table", str(files["table.md"]), "--histogram", str(files["pairs.png"])]
    assert main(flags) == 0
    report = json.loads(files["numbers.json"].read_text())
    assert report["num_faces"] == 24 and report["identity"]["num_same"] == 8 * 3
    assert {"male", "age"} <= report["attributes"].keys()
    assert "race" not in report["attributes"] and "skin_tone" not in report["attributes"]
    assert "| all | 24 |" in files["table.md"].read_text()
    assert Image.open(files["pairs.png"]).size == (640, 300)


def test_bad_input_is_refused(tmp_path, capsys):
    flags = ["--model", str(tmp_path), "--dataset_name", FACES, "--num_images", "3"]
    flags += ["--histogram", str(tmp_path / "no" / "x.png")]
    assert main(flags) == 2
    message = capsys.readouterr().err
    assert all(word in message for word in ("--num_images", "--identity_dataset", "does not exist"))
    assert main(["--model", str(tmp_path), "--dataset_name", FACES]) == 2
    assert "config.json" in capsys.readouterr().err
