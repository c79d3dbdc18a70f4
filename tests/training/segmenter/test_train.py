"""The segmenter's scripts: masks stay on what they mark, it learns, resumes bit for bit, and says true numbers."""

from __future__ import annotations

import io
import json
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from gan_space.errors import DataError
from gan_space.models.segmenter import Segmenter, SegmenterOutput
from tests.training.killing import assert_same_weights, copy_before_last_checkpoint
from training.segmenter import disturb
from training.segmenter.data import SegmentedHeads, load_segmented_heads
from training.segmenter.disturb import disturbed_crops, plain_crops
from training.segmenter.evaluate import main as evaluate_main
from training.segmenter.losses import overlap, segmenter_loss
from training.segmenter.measure import measure
from training.segmenter.train import main

SIDE = 64
RED, GREEN = (200, 30, 30), (30, 160, 60)


def heads_of(num: int, seed: int = 0) -> SegmentedHeads:
    """Green persons with red hair, at random places before grey."""
    random = np.random.default_rng(seed)
    images, masks = np.full((num, SIDE, SIDE, 3), 128, np.uint8), np.zeros((num, SIDE, SIDE, 3), np.uint8)
    masks[..., 2] = 255
    for n in range(num):
        left, top = random.integers(12, 24, 2)
        images[n, top : top + 36, left : left + 24], masks[n, top : top + 36, left : left + 24, 1] = GREEN, 255
        images[n, top : top + 12, left : left + 24], masks[n, top : top + 12, left : left + 24, 0] = RED, 255
    return SegmentedHeads(images, masks)


def write_rows(folder: Path, split: str, heads: SegmentedHeads, *, without: str | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)

    def png(image: np.ndarray) -> dict:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG")
        return {"bytes": buffer.getvalue(), "path": None}

    rows = {"image": [png(image) for image in heads.images]}
    rows |= {name: [png(m[..., k]) for m in heads.masks] for k, name in enumerate(("hair", "person", "weight"))}
    rows = {name: cells for name, cells in rows.items() if name != without}
    features = datasets.Features({name: datasets.Image() for name in rows})
    datasets.Dataset.from_dict(rows, features=features).to_parquet(str(folder / f"{split}.parquet"))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("heads")
    for split, num, seed in (("train", 24, 0), ("test", 6, 1)):
        write_rows(folder, split, heads_of(num, seed))
    return folder


def arguments(data: Path) -> list[str]:
    sizes = ("--resolution", "32", "--width", "4", "--batch_size", "8", "--eval_images", "4")
    return ["--dataset_name", str(data), *sizes, "--total_kimg", "0.032", "--checkpoint_kimg", "0.008"]


@pytest.fixture(scope="module")
def whole_run(data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("segmenter") / "whole"
    assert main([*arguments(data), "--output_dir", str(folder)]) == 0
    return folder


def test_a_resumed_run_gets_the_same_weights_bit_for_bit(data, whole_run, tmp_path):
    copy_before_last_checkpoint(whole_run, tmp_path / "resumed")
    assert main([*arguments(data), "--output_dir", str(tmp_path / "resumed")]) == 0
    assert_same_weights(whole_run, tmp_path / "resumed", "nimg-000000032")


def test_the_export_is_measured_and_says_whose_masks_it_learned_from(data, whole_run, capsys):
    record = json.loads((whole_run / "export" / "training.json").read_text())
    assert record["crops_seen"] == 32 and 0 <= record["hair_iou"] <= 1 and "teacher" in record
    assert evaluate_main(["--model", str(whole_run / "export"), "--dataset_name", str(data), "--limit", "4"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["num_heads"] == 4 and said["hair_iou"] == pytest.approx(record["hair_iou"], abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_masks_move_with_what_they_mark(monkeypatch, seed):
    """Without other colours, hair is red and persons are green in what comes out, as far as it is known."""
    for name in ("ROOM", "SCENERY", "DYED", "CLOTHES", "HAT", "GREY", "NOISE"):
        monkeypatch.setattr(disturb, name, 0.0)
    monkeypatch.setattr(disturb, "_lit", lambda image, random: image)
    batch = disturbed_crops(heads_of(12), np.arange(12), 48, np.random.default_rng(seed))
    red, green, _ = ((batch.images + 1) / 2).unbind(dim=1)
    hair, person, weight = batch.masks.unbind(dim=1)
    known = weight > 0.99
    assert known.float().mean() > 0.3 and (hair > 0.9).sum() > 500
    assert ((red > green + 0.2) == (hair > 0.5))[known].float().mean() > 0.97
    assert (((red - green).abs() > 0.15) == (person > 0.5))[known].float().mean() > 0.97


@pytest.mark.parametrize("seed", range(3))
def test_before_another_ones_room_a_person_stays_and_the_other_one_is_unknown(seed):
    heads = heads_of(2)
    image, mask = heads.images[0].astype(np.float32) / 255, heads.masks[0].astype(np.float32) / 255
    other = heads.images[1].copy()
    other[heads.masks[1][..., 1] == 0] = (0, 0, 255)
    placed, known = disturb._in_room(image, mask, other, heads.masks[1], np.random.default_rng(seed))
    own = mask[..., 1] > 0.5
    assert np.allclose(placed[own], image[own], atol=1e-5) and np.array_equal(known[..., :2], mask[..., :2])
    blue = placed[..., 2] > placed[..., 1] + 0.2
    assert (known[..., 2][own] == 1).all() and blue[~own & (known[..., 2] > 0.9)].all() and (known[..., 2] < 0.1).any()


def test_scenery_alone_is_refused(tmp_path, capsys):
    heads = heads_of(4)
    for split in ("train", "test"):
        write_rows(tmp_path / "scenes", split, SegmentedHeads(heads.images, heads.masks * np.uint8([0, 0, 1])))
    assert main([*arguments(tmp_path / "scenes"), "--output_dir", str(tmp_path / "run")]) == 2
    assert "column person" in capsys.readouterr().err


def test_a_hat_is_no_hair_but_belongs_to_the_person():
    heads = heads_of(1)
    image, mask = disturb._put_on_hat(heads.images[0], heads.masks[0], heads.images[0], np.random.default_rng(2))
    changed = (image != heads.images[0]).any(axis=2) & (mask[..., 1] == 255)
    assert changed.sum() > 20 and (mask[changed][:, 0] < 255).mean() > 0.9


def test_what_is_disturbed_depends_on_the_seed_alone():
    first, again, other = (
        disturbed_crops(heads_of(8), np.arange(8), 32, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert torch.equal(first.images, again.images) and not torch.equal(first.images, other.images)


def test_only_known_pixels_count():
    batch = plain_crops(heads_of(2), np.arange(2), 32)
    right = SegmenterOutput(*(20 * batch.masks[:, k] - 10 for k in (0, 1)))
    assert sum(segmenter_loss(right, batch).values()) < 0.15  # edges lie between pixels
    wrong = SegmenterOutput(-right.hair_logit, right.person_logit)
    assert segmenter_loss(wrong, batch)["hair"] > 5
    unknown = batch._replace(masks=batch.masks * torch.tensor([1.0, 1, 0]).view(3, 1, 1))
    assert sum(segmenter_loss(wrong, unknown).values()) < 0.02
    both, either = overlap(wrong.hair, batch.masks[:, 0], batch.masks[:, 2])
    assert (both == 0).all() and (either > 900).all()


def test_measured_is_what_masks_share():
    class Teacher(Segmenter):
        def forward(self, images):
            red, green, _ = ((images + 1) / 2).unbind(dim=1)
            return SegmenterOutput(20 * (red - green - 0.2), 20 * ((red - green).abs() - 0.15))

    shares = measure(Teacher(32, 4), heads_of(5))
    assert shares["hair_iou"] > 0.9 and shares["person_iou"] > 0.9


def test_data_without_masks_is_refused(tmp_path):
    write_rows(tmp_path, "train", heads_of(2), without="weight")
    with pytest.raises(DataError, match="lacks weight"):
        load_segmented_heads(str(tmp_path), "train")
