"""The script that trains the identity network: it learns, resumes bit for bit, and refuses what it cannot do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import datasets
import numpy as np
import pytest

from gan_space.models.face_identity import FaceIdentity
from tests.training.killing import assert_same_weights
from training.identity.train import main

ROOT = Path(__file__).resolve().parents[3]
FACES = str(ROOT / "tests" / "data" / "fairface64.parquet")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """The faces of tests/data with a teacher that sees their colours alone."""
    folder = tmp_path_factory.mktemp("faces")
    table = datasets.load_dataset("parquet", data_files=FACES, split="train")
    colours = [np.asarray(row["image"].convert("RGB").resize((2, 2)), np.float32).ravel() / 255 for row in table]
    table = table.select_columns(["image"]).add_column("embedding", [colour.tolist() for colour in colours])
    table = table.add_column("identity", [f"person {index // 2}" for index in range(len(table))])
    table.to_parquet(str(folder / "train.parquet"))
    table.select(range(32)).to_parquet(str(folder / "test.parquet"))
    return folder


def small(data: Path) -> list[str]:
    return [
        *("--dataset_names", str(data), "--resolution", "32", "--width", "4", "--batch_size", "16"),
        *("--total_kimg", "0.256", "--checkpoint_kimg", "0.128", "--lr", "0.05"),  # the warm-up takes most of it
    ]


@pytest.fixture(scope="module")
def whole_run(data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("identity") / "whole"
    assert main([*small(data), "--output_dir", str(folder), "--identity_dataset", str(data)]) == 0
    return folder


def test_a_run_leaves_a_network_that_has_learned(whole_run):
    model = FaceIdentity.from_pretrained(whole_run / "export").eval()
    assert model.resolution == 32 and model.config.embedding_dim == 12
    record = json.loads((whole_run / "export" / "training.json").read_text())
    assert record["faces_seen"] == 256
    lines = [json.loads(line) for line in (whole_run / "metrics.jsonl").read_text().splitlines()]
    assert [line["nimg"] for line in lines] == [128, 256]
    assert {"loss_cosine", "loss_relation", "loss_contrastive", "cosine", "relation", "eer"} <= lines[-1].keys()
    assert lines[-1]["loss_cosine"] < lines[0]["loss_cosine"] - 0.05


def test_going_on_from_a_checkpoint_ends_in_the_same_weights(data, whole_run, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(whole_run, folder)
    shutil.rmtree(folder / "checkpoints" / "nimg-000000256")
    assert main([*small(data), "--output_dir", str(folder)]) == 0
    assert_same_weights(whole_run, folder, "nimg-000000256")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--batch_size", "1", "--lr", "0", "--resolution", "40"], ["--batch_size", "--lr", "multiple of 16"]),
        (["--dataset_names", "./nowhere"], ["no such data set: ./nowhere"]),
    ],
)
def test_what_cannot_be_done_is_told(data, flags, words, refused):
    refused(main, [*small(data), *flags], words)
