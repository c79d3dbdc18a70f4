"""The script that trains the analyzer: it learns, resumes bit for bit, and refuses what it cannot do."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gan_space.models.analyzer import Analyzer, brightness
from tests.training.killing import assert_same_weights, copy_before_last_checkpoint
from training.analyzer.contrastive import (
    EmbeddingQueue,
    contrastive_loss,
    decorrelation_loss,
    discriminants,
    recolour,
    redundancy_loss,
    turn,
)
from training.analyzer.finish import calibrate, fit_embedding
from training.analyzer.train import (
    Batches,
    PairSampler,
    TrainAnalyzerConfig,
    attribute_losses,
    main,
    race_loss,
)
from training.common.disturb import face_views
from training.common.face_labels import LabelledFaces, load_labelled_faces

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
FACES = str(ROOT / "tests" / "data" / "fairface64.parquet")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """The faces of tests/data with invented labels in all the columns that they lack, and names."""
    import datasets

    folder = tmp_path_factory.mktemp("faces")
    table = datasets.load_dataset("parquet", data_files=FACES, split="train")
    random = np.random.default_rng(0)
    num = len(table)
    glasses = [None if draw < 0.2 else bool(draw > 0.8) for draw in random.random(num)]
    table = table.add_column("glasses", glasses)
    table = table.add_column("race", ["Black", "White", None, "Indian"] * (num // 4))
    table = table.add_column("identity", [f"person {index % 20}" for index in range(num)])
    for name, low, high in (
        *(("yaw", -0.3, 0.3), ("mouth_width", 0.6, 1.1), ("mouth_corner_lift", -0.05, 0.15)),
        *(("mouth_gap", 0.0, 0.3), ("brightness", 0.2, 0.6), ("skin_tone", -50.0, 60.0)),
    ):
        table = table.add_column(name, random.uniform(low, high, num).tolist())
    table.to_parquet(str(folder / "train.parquet"))
    table.select(range(32)).to_parquet(str(folder / "test.parquet"))
    return folder


def small(data: Path) -> list[str]:
    return [
        *("--dataset_name", str(data), "--resolution", "32", "--width", "4", "--batch_size", "16"),
        *("--total_kimg", "0.256", "--checkpoint_kimg", "0.064", "--queue_size", "40", "--calibration_images", "6"),
    ]


@pytest.fixture(scope="module")
def whole_run(data, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("analyzer") / "whole"
    assert main([*small(data), "--output_dir", str(folder)]) == 0
    return folder


def test_a_run_leaves_a_model_and_its_numbers(whole_run):
    model = Analyzer.from_pretrained(whole_run / "export").eval()
    assert model.resolution == 32
    record = json.loads((whole_run / "export" / "training.json").read_text())
    assert record["faces_seen"] == 256 and record["used_identities"] is False and record["optimizer"] == "adam"
    lines = [json.loads(line) for line in (whole_run / "metrics.jsonl").read_text().splitlines()]
    assert [line["nimg"] for line in lines] == [64, 128, 192, 256]
    names = {"loss_male", "loss_age", "loss_smile", "loss_mouth_open", "loss_glasses", "loss_yaw", "loss_race"}
    names |= {"loss_contrastive", "loss_decorrelation", "male_auc", "smile_auc", "age_mae", "yaw_mae"}
    assert names <= lines[-1].keys()


def test_going_on_from_the_checkpoint_before_the_last_ends_in_the_same_weights(data, whole_run, tmp_path):
    folder = tmp_path / "again"
    copy_before_last_checkpoint(whole_run, folder)
    assert main([*small(data), "--output_dir", str(folder)]) == 0
    assert_same_weights(whole_run, folder, "nimg-000000256")
    lines = [json.loads(line)["nimg"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert lines == [64, 128, 192, 256]


def test_identities_come_in_and_are_written_down(data, whole_run, tmp_path):
    folder = tmp_path / "people"
    flags = [*small(data), "--output_dir", str(folder), "--total_kimg", "0.064", "--identity_framing", "tight"]
    flags += ["--identity_dataset", str(data), "--initial_model", str(whole_run / "export")]
    assert main(flags) == 0
    assert json.loads((folder / "export" / "training.json").read_text())["used_identities"] is True
    other = Analyzer.from_pretrained(whole_run / "export").to_embedding.weight
    assert not torch.equal(Analyzer.from_pretrained(folder / "export").to_embedding.weight, other)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--batch_size", "1", "--lr", "0", "--resolution", "40"], ["--batch_size", "--lr", "multiple of 16"]),
        (["--dataset_name", "./nowhere"], ["no such data set: ./nowhere"]),
        (["--eval_split", "holdout"], ["no split 'holdout'"]),
        (["--mixed_precision", "fp8", "--queue_size", "-1"], ["no or bf16", "--queue_size"]),
        (["--initial_model", "./nowhere"], ["neither a folder nor a Hub id"]),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(data, flags, words, refused):
    refused(main, [*small(data), *flags], words)


def test_another_size_than_the_initial_model_is_refused(data, whole_run, tmp_path, capsys):
    flags = [*small(data), "--initial_model", str(whole_run / "export"), "--width", "8"]
    assert main([*flags, "--output_dir", str(tmp_path / "never")]) == 2
    assert "resolution 32 and width 4, got --resolution 32 --width 8" in capsys.readouterr().err


def unit(*shape: int, seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=1)


def test_the_contrastive_loss_equals_a_slow_one():
    first, second = unit(5, 4, seed=0), unit(5, 4, seed=1)
    owners = torch.tensor([7, 8, 7, 9, 10])
    queue = EmbeddingQueue(4, 4).double()
    queue.push(unit(3, 4, seed=2), torch.tensor([8, 30, 31]))  # the fourth place stays empty
    total = 0.0
    for one, other in ((first, second), (second, first)):
        for n in range(5):
            strangers = [other[m] for m in range(5) if owners[m] != owners[n]]
            strangers += [queue.embeddings[m] for m in range(3) if queue.owners[m] != owners[n]]
            right = math.exp(one[n] @ other[n] / 0.2)
            total -= math.log(right / (right + sum(math.exp(one[n] @ stranger / 0.2) for stranger in strangers)))
    assert contrastive_loss(first, second, owners, queue, 0.2).item() == pytest.approx(total / 10)


def test_the_queue_keeps_the_newest():
    queue = EmbeddingQueue(5, 1)
    for start in (0, 2, 4):
        queue.push(torch.tensor([[start], [start + 1]], dtype=torch.float32), torch.tensor([start, start + 1]))
    assert queue.owners.tolist() == [4, 5, 2, 3, 0]
    assert queue.embeddings[:, 0].tolist() == [4, 5, 2, 3, 0]


def test_the_decorrelation_loss_is_the_mean_square_of_the_correlations():
    embedding, nuisances = unit(40, 3, seed=0), unit(40, 2, seed=1)
    nuisances[3, 0] = float("nan")
    known = [n for n in range(40) if n != 3]
    table = np.corrcoef(embedding[known].T, nuisances[known].T)[:3, 3:]
    assert decorrelation_loss(embedding, nuisances).item() == pytest.approx((table**2).mean(), rel=1e-3)
    assert decorrelation_loss(embedding, nuisances * float("nan")) == 0


def test_unknown_labels_cost_nothing():
    torch.manual_seed(0)
    model = Analyzer(32, 4, 16, 8)
    nan = float("nan")
    scores = {name: torch.tensor([2.0, -1.0, 3.0]) for name in model.learned}
    labels = {name: torch.tensor([1.0, 0.0, nan]) for name in model.learned}
    labels["age"] = torch.tensor([5.0, 0.0, nan])
    labels["yaw"] = torch.tensor([0.3, -0.2, nan])
    losses = attribute_losses(model, scores, labels)
    binary = (math.log1p(math.exp(-2)) + math.log1p(math.exp(-1))) / 2
    assert losses["male"].item() == pytest.approx(binary, rel=1e-5)
    limits = model.age_limits.tolist()
    older = sum(math.log1p(math.exp(-(2 - k))) for k in limits) / 5
    young = sum(math.log1p(math.exp(-1 - k)) for k in limits) / 5
    assert losses["age"].item() == pytest.approx((older + young) / 2, rel=1e-5)
    assert losses["yaw"].item() == pytest.approx(6 * (abs(0.32 - 0.3) + abs(-0.16 + 0.2)) / 2, rel=1e-4)
    nothing = attribute_losses(model, scores, {name: torch.full([3], nan) for name in labels})
    assert all(loss == 0 for loss in nothing.values())
    assert race_loss(torch.randn(3, 7), torch.full([3], nan)) == 0


def test_it_learns_from_few_faces(data):
    """On one batch over and over, attributes are told apart and the two views find each other."""
    config = TrainAnalyzerConfig(dataset_name=str(data), resolution=32, width=8, batch_size=32, queue_size=0)
    faces = load_labelled_faces(str(data), "train", face_px=config.face_px)
    images, labels, owners = Batches(config, faces, None).draw(0)
    torch.manual_seed(0)
    model = Analyzer(32, 8).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.005)
    first, last = None, None
    for _ in range(40):
        trunk = model.trunk(images)
        features = model.hidden_features(trunk)
        parts = attribute_losses(model, model.scores(features, images), labels)
        parts["contrastive"] = contrastive_loss(*model.embed(trunk).chunk(2), owners, EmbeddingQueue(0, 128), 0.1)
        optimizer.zero_grad()
        sum(parts.values()).backward()
        optimizer.step()
        last = {name: part.item() for name, part in parts.items()}
        first = first or last
    assert all(last[name] < 0.6 * first[name] for name in first), (first, last)


def test_a_batch_depends_on_its_position_alone(data):
    config = TrainAnalyzerConfig(dataset_name=str(data), resolution=32, batch_size=16)
    faces = load_labelled_faces(str(data), "train", face_px=config.face_px)
    batches = Batches(config, faces, faces)
    batches.draw(0)
    second, again = batches.draw(16), Batches(config, faces, faces).draw(16)
    assert torch.equal(second[0], again[0]) and torch.equal(second[2], again[2])
    images, labels, owners = second
    assert images.shape == (32, 3, 32, 32) and len(owners) == 16
    assert all(len(values) == 32 for values in labels.values())
    # Half are pictures for themselves, half are people, whose two views are of one person.
    assert (owners[:8] < len(faces)).all() and (owners[8:] >= len(faces)).all()


def test_mirrored_faces_look_the_other_way(data):
    config = TrainAnalyzerConfig(dataset_name=str(data), resolution=32, batch_size=32)
    faces = load_labelled_faces(str(data), "train", face_px=config.face_px)
    _, labels, owners = Batches(config, faces, None).draw(0)
    assert labels["yaw"][32:].isnan().all()  # those were turned on purpose
    turns = labels["yaw"][:32] / faces.labels["yaw"][owners]
    assert turns.abs().allclose(torch.ones(32)) and 4 < (turns < 0).sum() < 28


def test_a_partner_is_another_picture_of_the_same_person():
    pairs = PairSampler(torch.tensor([3, 3, 5, -1, -1, 3]))
    generator = torch.Generator().manual_seed(0)
    assert {pairs.partner(0, generator) for _ in range(30)} == {1, 5}
    assert [pairs.partner(row, generator) for row in (2, 3, 4)] == [2, 3, 4]


def test_views_show_the_same_face_in_another_way():
    faces = load_labelled_faces(FACES, "train", face_px=36, limit=32).images
    plain = F.interpolate(faces / 127.5 - 1, size=(32, 32), mode="bilinear", antialias=True)
    distance = {}
    for strong in (False, True):
        views = face_views(faces, 32, torch.Generator().manual_seed(0), strong=strong)
        assert views.shape == plain.shape and views.min() >= -1 and views.max() <= 1
        assert torch.equal(views, face_views(faces, 32, torch.Generator().manual_seed(0), strong=strong))
        distance[strong] = (views - plain).square().mean(dim=(1, 2, 3))
        others = (views - plain.roll(1, dims=0)).square().mean(dim=(1, 2, 3))
        assert (distance[strong] < others).float().mean() > 0.8
    assert distance[True].mean() > 2 * distance[False].mean() > 0


def test_brightness_of_views_is_seen():
    faces = load_labelled_faces(FACES, "train", face_px=36, limit=32).images
    views = face_views(faces, 32, torch.Generator().manual_seed(0), strong=True)
    change = brightness(views) - brightness(faces / 127.5 - 1)
    assert change.std() > 0.05  # otherwise nothing could be made independent of it


def test_calibration_mends_probabilities_that_are_too_sure():
    torch.manual_seed(0)
    model = Analyzer(32, 4, 16, 8).eval()
    faces = torch.randint(0, 256, (600, 3, 36, 36), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    scores = model(faces / 127.5 - 1).scores["smile"].detach()
    centred = (scores - scores.mean()) / scores.std()
    smile = (torch.rand(600, generator=torch.Generator().manual_seed(1)) < centred.sigmoid()).float()
    labels = {name: torch.full([600], float("nan")) for name in model.learned} | {"smile": smile}
    factor = 8.0 / scores.std().item()
    model.calibrate("smile", factor, [factor * scores.mean().item() + 3.0])  # far too sure, and leaning to one side
    done = calibrate(model, LabelledFaces(faces, labels, torch.full([600], -1)))
    assert done.keys() == {"smile"} and done["smile"]["num"] == 600
    after = model(faces / 127.5 - 1).attributes["smile"].detach()
    assert after.mean().item() == pytest.approx(smile.mean().item(), abs=0.01)
    assert 0.6 < torch.logit(after).std().item() < 1.5


def test_redundancy_counts_pairs_of_dimensions_that_tell_the_same():
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    correlation = np.corrcoef(x.numpy().T)
    slow = sum(correlation[i, j] ** 2 for i in range(4) for j in range(4) if i != j) / 4
    assert redundancy_loss(x).item() == pytest.approx(slow, rel=1e-3)
    assert redundancy_loss(x[:, :1].repeat(1, 4) * torch.tensor([1.0, -2, 3, 4])).item() == pytest.approx(3, rel=1e-3)


def test_discriminants_prefer_what_two_views_share():
    generator = torch.Generator().manual_seed(0)
    face = torch.randn(4000, 3, generator=generator) * torch.tensor([1.0, 1.0, 1.0])
    noise = torch.tensor([0.1, 3.0, 0.5])
    views = [face + noise * torch.randn(4000, 3, generator=generator) + 5 for _ in range(2)]
    rows, mean, variance = discriminants(*views, 3)
    assert rows.abs().argmax(dim=1).tolist() == [0, 2, 1]
    projected = torch.cat(views) @ rows.T
    torch.testing.assert_close(projected.mean(dim=0), mean, atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(projected.var(dim=0), variance, atol=1e-3, rtol=1e-3)
    assert redundancy_loss(projected) < 1e-4


def test_recoloured_faces_keep_their_shapes():
    faces = load_labelled_faces(FACES, "train", face_px=32, limit=32).images / 127.5 - 1
    seen = recolour(faces, torch.Generator().manual_seed(0))
    assert seen.shape == faces.shape and seen.min() >= -1 and seen.max() <= 1
    ranks = [images.mean(dim=1).flatten(1).argsort(dim=1).argsort(dim=1).double() for images in (faces, seen)]
    alike = [np.corrcoef(a, b)[0, 1] for a, b in zip(*ranks, strict=True)]
    assert min(alike) > 0.8
    cast = [(images[:, 0] - images[:, 2]).mean(dim=(1, 2)) for images in (faces, seen)]
    assert (cast[0] - cast[1]).std() > 0.05


def test_turned_faces_keep_their_eyes_and_move_their_nose():
    side = 128
    axis = (torch.arange(side) + 0.5) / side * 2 - 1
    ramp = axis.expand(1, 3, side, side).contiguous()  # the value is the place it came from
    seen = turn(ramp.repeat(16, 1, 1, 1), torch.Generator().manual_seed(0))
    eye, nose = (round((v + 1) / 2 * side) for v in (-0.38, 0.1))
    right_eye, middle = round((0.39 + 1) / 2 * side), side // 2
    moved = seen[:, 0, nose, middle] - ramp[0, 0, nose, middle]
    still = seen[:, 0, eye, right_eye] - ramp[0, 0, eye, right_eye]
    assert still.abs().max() < 0.02 < 0.04 < moved.std()


@torch.no_grad()
def test_the_fitted_embedding_is_centred_and_spread():
    faces = load_labelled_faces(FACES, "train", face_px=36, limit=64).images
    generator = torch.Generator().manual_seed(0)
    views = torch.cat([face_views(faces, 32, generator, strong=strong) for strong in (False, True)])
    torch.manual_seed(0)
    model = Analyzer(32, 4, 16, 8).eval()
    fit_embedding(model, [views[[*range(32), *range(64, 96)]], views[[*range(32, 64), *range(96, 128)]]])
    projected = model.project(model.trunk(views))
    torch.testing.assert_close(projected.mean(dim=0), torch.zeros(8), atol=2e-3, rtol=0)
    torch.testing.assert_close(projected.T.cov(), torch.eye(8), atol=5e-3, rtol=0)
