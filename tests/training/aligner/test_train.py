"""The script that trains the aligner: it learns, resumes bit for bit, and refuses what it cannot do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from gan_space.models.aligner import Aligner, AlignerOutput
from tests.training.killing import assert_same_weights, copy_before_last_checkpoint
from training.aligner.losses import aligner_loss, point_errors
from training.aligner.train import main, measure
from training.common.disturb import DisturbedBatch
from training.common.faces import load_faces

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
FACES = str(ROOT / "tests" / "data" / "fairface64.parquet")
SMALL = [
    *("--dataset_name", FACES, "--eval_split", "train", "--resolution", "32", "--width", "4", "--batch_size", "16"),
    *("--total_kimg", "0.256", "--checkpoint_kimg", "0.064", "--eval_images", "32"),
]


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("aligner") / "whole"
    assert main([*SMALL, "--output_dir", str(folder)]) == 0
    return folder


def test_a_run_leaves_a_model_and_its_numbers(whole_run):
    model = Aligner.from_pretrained(whole_run / "export").eval()
    assert model.resolution == 32
    lines = [json.loads(line) for line in (whole_run / "metrics.jsonl").read_text().splitlines()]
    assert [line["nimg"] for line in lines] == [64, 128, 192, 256]
    names = {"loss_points", "loss_face", "loss_spread", "loss_yaw", "error_median", "error_p95", "face_accuracy"}
    assert names <= lines[-1].keys()
    assert json.loads((whole_run / "export" / "training.json").read_text())["optimizer"] == "adam"


def test_going_on_from_the_checkpoint_before_the_last_ends_in_the_same_weights(whole_run, tmp_path):
    folder = tmp_path / "again"
    copy_before_last_checkpoint(whole_run, folder)
    assert main([*SMALL, "--output_dir", str(folder)]) == 0
    assert_same_weights(whole_run, folder, "nimg-000000256")
    lines = [json.loads(line)["nimg"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert lines == [64, 128, 192, 256]


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--batch_size", "1", "--lr", "0", "--resolution", "30"], ["--batch_size", "--lr", "multiple of 8"]),
        (["--dataset_name", "./nowhere"], ["no such data set: ./nowhere"]),
        (["--eval_split", "holdout", "--dataset_name", str(ROOT / "tests" / "data")], ["no split 'holdout'"]),
        (["--mixed_precision", "fp8"], ["no or bf16"]),
        (["--image_column", "photo"], ["no column 'photo'"]),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(flags, words, refused):
    refused(main, [*SMALL, *flags], words)


def test_it_learns_where_the_points_are():
    """On one batch over and over, the error falls to a fraction of that of the mean points."""
    from training.common.disturb import disturb

    faces = load_faces(FACES, "train", limit=32)
    batch = disturb(faces.images, 32, torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    model = Aligner(32, 8).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.005)
    errors = []
    for _ in range(60):
        parts = aligner_loss(model(batch.images), batch, faces.yaw)
        optimizer.zero_grad()
        sum(parts.values()).backward()
        optimizer.step()
        errors.append(parts["points"].item())
    assert errors[-1] < 0.5 * errors[0]


def test_the_loss_counts_faces_only_and_known_yaw_only():
    points = torch.zeros(3, 3, 2)
    batch = DisturbedBatch(torch.zeros(3, 3, 8, 8), points, torch.tensor([0.5, 0.25, 0.5]), torch.tensor([1, 1, 0]) > 0)
    moved = points.clone()
    moved[0, :, 0], moved[2] = 0.1, 99.0  # 0.2 eye distances off; the third is no face
    log_error = torch.tensor([0.2, 0.1, 0.1]).log()
    output = AlignerOutput(moved, torch.tensor([20.0, 20.0, -20.0]), log_error, torch.tensor([0.3, 0.5, 0.0]))
    parts = aligner_loss(output, batch, torch.tensor([0.1, float("nan"), 5.0]))
    torch.testing.assert_close(point_errors(moved, batch)[:2], torch.tensor([0.2, 0.0]), atol=1e-5, rtol=0)
    assert parts["points"].item() == pytest.approx(0.1, abs=1e-5)
    assert parts["yaw"].item() == pytest.approx(0.2)
    assert parts["face"].item() < 1e-6
    assert parts["spread"].item() == pytest.approx((log_error[0].item() + 1 + log_error[1].item()) / 2, abs=1e-4)
    nothing = aligner_loss(output, batch._replace(is_face=torch.zeros(3) > 0), torch.full([3], float("nan")))
    assert (nothing["points"], nothing["spread"], nothing["yaw"]) == (0, 0, 0)


def test_a_measurement_is_the_same_every_time():
    faces = load_faces(FACES, "train", limit=24)
    torch.manual_seed(0)
    model = Aligner(32, 4).eval()
    numbers = measure(model, faces)
    assert numbers == measure(model, faces)
    assert numbers["error_median"] > 5
    assert 0 <= numbers["face_accuracy"] <= 1


def test_yaw_is_read_where_the_data_has_it(tmp_path):
    import datasets

    table = datasets.load_dataset("parquet", data_files=FACES, split="train").select(range(4))
    table.add_column("yaw", [0.1, None, -0.2, 0.0]).to_parquet(str(tmp_path / "train.parquet"))
    faces = load_faces(str(tmp_path), "train", yaw_column="yaw")
    assert faces.yaw.isnan().tolist() == [False, True, False, False]
    assert load_faces(str(tmp_path), "train").yaw.isnan().all()
