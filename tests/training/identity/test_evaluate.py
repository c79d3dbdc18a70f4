"""The measurement of the identity network: its numbers on made-up vectors, and the script on a tiny network."""

from __future__ import annotations

import json
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch

from gan_space.errors import DataError
from gan_space.models.face_identity import FaceIdentity
from gan_space.models.hashing import weights_sha256
from gan_space.pipelines.likeness import LikenessScale
from training.identity.evaluate import main, pair_metrics, stranger_metrics, teacher_vectors

ROOT = Path(__file__).resolve().parents[3]
FACES = str(ROOT / "tests" / "data" / "fairface64.parquet")


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def people(noise: np.ndarray, dims: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of four pictures each of as many people as there are numbers, each with noise of its own size."""
    random = np.random.default_rng(0)
    person = np.repeat(np.arange(len(noise)), 4)
    vectors = random.normal(size=(len(noise), dims))[person]
    return unit(vectors + noise[person, None] * random.normal(size=vectors.shape)), person


def test_the_curve_and_the_sexes_follow_the_pairs():
    vectors, person = people(np.where(np.arange(40) < 20, 0.2, 1.0))
    male = (person >= 20).astype(float)
    found = pair_metrics(vectors, person, male)
    refused = [point["refused"] for point in found["roc"]]
    assert refused == sorted(refused, reverse=True)  # who accepts more strangers refuses fewer
    cosine = vectors @ vectors.T
    same = (person[:, None] == person) & ~np.eye(len(person), dtype=bool)
    point = found["roc"][2]
    assert point["refused"] == pytest.approx((cosine[same] < point["threshold"]).mean())
    different = person[:, None] != person
    assert point["accepted"] == pytest.approx((cosine[different] >= point["threshold"]).mean(), abs=0.005)
    assert found["by_sex"]["women"]["eer"] < 0.02 < found["by_sex"]["men"]["eer"]
    assert found["by_sex"]["women"]["refused"] < found["by_sex"]["men"]["refused"]


def test_strangers_of_a_group_that_looks_alike_are_accepted_more_often():
    random = np.random.default_rng(0)
    vectors = random.normal(size=(60, 12))
    vectors[:30, 0] += 5  # all women share something
    labels = {"male": (np.arange(60) >= 30).astype(float), "race": np.full(60, np.nan), "age": np.zeros(60)}
    found = stranger_metrics(unit(vectors), 0.5, labels, unit(vectors))
    groups = found["groups"]
    assert groups.keys() == {"women", "men", "20-29"}
    assert groups["women"]["accepted"] > 0.9 > 0.2 > groups["men"]["accepted"]
    assert groups["20-29"]["accepted"] == found["accepted"]
    assert found["cosine"] == pytest.approx(1) and found["relation"] == pytest.approx(1)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Faces of tests/data under names and with file names, and vectors of them in another order."""
    folder = tmp_path_factory.mktemp("people")
    table = datasets.Dataset.from_parquet(FACES, cache_dir=str(tmp_path_factory.mktemp("cache")))
    names = [f"{index}.jpg" for index in range(len(table))]
    if "source_file" in table.column_names:
        table = table.remove_columns("source_file")
    table = table.add_column("source_file", names)
    table = table.add_column("identity", [f"person {index // 6}" for index in range(len(table))])
    table.to_parquet(str(folder / "test.parquet"))
    vectors = np.random.default_rng(0).normal(size=(len(table), 8)).astype(np.float32)
    labels = {"source_file": names[::-1], "embedding": vectors[::-1].tolist()}
    (folder / "labels").mkdir()
    datasets.Dataset.from_dict(labels).to_parquet(str(folder / "labels" / "test.parquet"))
    np.save(folder / "vectors.npy", vectors)
    return folder


def test_the_teacher_is_read_by_file_name(data, tmp_path):
    file = str(data / "test.parquet")
    found = teacher_vectors(str(data / "labels"), file, "test")
    wanted = np.load(data / "vectors.npy").astype(float)
    np.testing.assert_allclose(found, unit(wanted - wanted.mean(axis=0)), atol=1e-6)
    datasets.Dataset.from_dict({"source_file": ["0.jpg"], "embedding": [[0.0] * 8]}).to_parquet(
        str(tmp_path / "test.parquet")
    )
    with pytest.raises(DataError, match=r"no vector for 63 pictures.*1\.jpg"):
        teacher_vectors(str(tmp_path), file, "test")


def test_the_script_writes_what_the_app_reads(data, tmp_path, capsys):
    torch.manual_seed(0)
    model = FaceIdentity(resolution=32, width=4, embedding_dim=8).eval()
    model.save_pretrained(tmp_path / "identity")
    file, labels = str(data / "test.parquet"), str(data / "labels")
    arguments = ["--model", str(tmp_path / "identity"), "--identity_dataset", file, "--identity_framing", "tight"]
    arguments += ["--identity_labels", labels, "--dataset_name", file, "--label_name", labels]
    arguments += ["--output", str(tmp_path / "identity" / "metrics.json"), "--table", str(tmp_path / "table.md")]
    assert main([*arguments, "--histogram", str(tmp_path / "pairs.png")]) == 0
    report = json.loads((tmp_path / "identity" / "metrics.json").read_text())
    assert report["model_sha256"] == weights_sha256(model)
    assert LikenessScale.from_metrics(report) is not None
    assert report["strangers"]["num_faces"] == 64 and report["intruders"]
    table = (tmp_path / "table.md").read_text()
    assert "| the teacher |" in table and table in capsys.readouterr().out
    assert (tmp_path / "pairs.png").is_file()


def test_a_missing_folder_is_told(data, tmp_path, capsys):
    arguments = ["--identity_dataset", str(data), "--label_name", "x", "--output", str(tmp_path / "gone" / "a.json")]
    assert main(arguments) == 2
    message = capsys.readouterr().err
    assert "--label_name" in message and "gone" in message
