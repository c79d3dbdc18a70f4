"""The script that trains the editor: true pairs, it learns, resumes bit for bit, and refuses what does not fit."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

from gan_space.images import from_uint8
from gan_space.latents.directions import Direction, Directions, generator_hash
from gan_space.models.analyzer import Analyzer
from gan_space.models.discriminator import Discriminator
from gan_space.models.editor import Editor
from gan_space.models.encoder import Encoder
from gan_space.models.face_identity import FaceIdentity
from gan_space.models.generator import Generator
from gan_space.output.provenance import read_provenance
from tests.training.killing import assert_same_weights, copy_before_last_checkpoint
from training.common.faces import load_faces
from training.common.model_bundle import ModelBundle
from training.editor.photos import PhotoSides, _as_far_as, draw_photo_changes, photo_losses, photo_sides
from training.editor.train import draw_pairs, edit_pairs, editor_losses, main, measure

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
FACES = str(ROOT / "tests" / "data" / "fairface64.parquet")
PHOTO_TERMS = {"photo_attributes", "photo_identity", "photo_adversarial", "photo_still"}
SMALL = [
    *("--width", "4", "--num_blocks", "1", "--batch_size", "8", "--total_kimg", "0.128", "--checkpoint_kimg", "0.032"),
    *("--eval_images", "8"),
]


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """A tiny model folder with all that the script uses."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    torch.manual_seed(0)
    generator = Generator(32, z_dim=8, w_dim=8, channel_base=256, channel_max=12, num_mapping_layers=1, use_noise=False)
    generator.save_pretrained(folder / "generator")
    encoder = Encoder.for_generator(generator, 8, width=4, num_blocks=1, hidden=8)
    with torch.no_grad():
        encoder.code_head.weight.normal_(std=0.3)
    encoder.save_pretrained(folder / "encoder")
    Discriminator(32, channel_base=128, channel_max=16).save_pretrained(folder / "discriminator")
    Analyzer(width=4, features_dim=16, embedding_dim=8).save_pretrained(folder / "analyzer")
    FaceIdentity(resolution=32, width=4, embedding_dim=8).save_pretrained(folder / "identity")
    torch.manual_seed(1)
    vector = torch.zeros(generator.num_ws, 8)
    vector[:4] = torch.randn(8)
    smile = Direction("smile", vector, {"en": "Smile", "zh-CN": "微笑"}, group="expression", safe_range=(-1.0, 2.0))
    Directions((smile,), generator_hash(generator), "tiny").save_pretrained(folder / "directions")
    return folder


@pytest.fixture(scope="module")
def teacher(model) -> ModelBundle:
    loaded = ModelBundle.load(model, "discriminator", "analyzer", "identity", "directions", needed=("encoder",))
    loaded.generator.compute_dtype = loaded.encoder.compute_dtype = torch.float32
    return loaded


@pytest.fixture(scope="module")
def faces() -> torch.Tensor:
    """[8, 3, 32, 32] uint8"""
    return load_faces(FACES, "train", image_column=None, yaw_column=None, face_px=32, limit=8).images


@pytest.fixture(scope="module")
def whole_run(model, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("editor") / "whole"
    assert main([*SMALL, "--model", str(model), "--output_dir", str(folder)]) == 0
    return folder


def test_a_run_leaves_a_network_its_numbers_and_pictures(whole_run):
    assert Editor.from_pretrained(whole_run / "export").config.width == 4
    lines = [json.loads(line) for line in (whole_run / "metrics.jsonl").read_text().splitlines()]
    assert [line["nimg"] for line in lines] == [32, 64, 96, 128]
    assert {
        "loss_pixel",
        "loss_structure",
        "loss_state",
        "loss_features",
        "loss_attributes",
        "loss_identity",
        "psnr",
    } <= lines[-1].keys()
    record = json.loads((whole_run / "export" / "training.json").read_text())
    assert record["faces_seen"] == 128 and record["optimizer"] == "adam"
    assert record["held_out"]["psnr"] == lines[-1]["psnr"]
    labels = [read_provenance(file) for file in (whole_run / "samples").glob("*.png")]
    assert len(labels) == 4 and all(label.is_ai_made for label in labels)


def test_going_on_from_the_checkpoint_before_the_last_ends_in_the_same_weights(whole_run, model, tmp_path):
    folder = tmp_path / "again"
    copy_before_last_checkpoint(whole_run, folder)
    assert main([*SMALL, "--model", str(model), "--output_dir", str(folder)]) == 0
    assert_same_weights(whole_run, folder, "nimg-000000128")


def test_with_photos_too(model, tmp_path):
    folder = tmp_path / "again"
    arguments = [*SMALL, "--total_kimg", "0.064", "--model", str(model), "--dataset_name", FACES, "--output_dir"]
    assert main([*arguments, str(tmp_path / "whole")]) == 0
    copy_before_last_checkpoint(tmp_path / "whole", folder)
    assert main([*arguments, str(folder)]) == 0
    assert_same_weights(tmp_path / "whole", folder, "nimg-000000064")
    record = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert {f"loss_{name}" for name in PHOTO_TERMS | {"pixel", "attributes"}} <= record.keys()
    assert json.loads((folder / "export" / "training.json").read_text())["photos_share"] == 0.5


def test_it_starts_from_an_earlier_editor(whole_run, model, tmp_path):
    arguments = [*SMALL, "--model", str(model), "--output_dir", str(tmp_path / "second"), "--total_kimg", "0.008"]
    assert main([*arguments, "--lr", "1e-9", "--init_from", str(whole_run / "export")]) == 0
    earlier, later = (Editor.from_pretrained(run / "export").state_dict() for run in (whole_run, tmp_path / "second"))
    torch.testing.assert_close(later, earlier, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--batch_size", "0", "--directions_share", "2"], ["--batch_size", "--directions_share"]),
        (["--weights.pixel", "-1", "--mixed_precision", "fp8"], ["--weights.pixel", "no or bf16"]),
        (["--model", "./nowhere"], ["./nowhere"]),
        (["--init_from", "./nowhere"], ["nowhere"]),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(flags, words, model, refused):
    refused(main, [*SMALL, "--model", str(model), *flags], words)


def test_photos_need_directions_to_change_by(model, tmp_path, capsys):
    bare = tmp_path / "bare"
    shutil.copytree(model, bare, ignore=shutil.ignore_patterns("directions"))
    assert main([*SMALL, "--model", str(bare), "--dataset_name", FACES, "--output_dir", str(tmp_path / "never")]) == 2
    assert "--dataset_name needs directions/" in capsys.readouterr().err
    assert not (tmp_path / "never").exists()


def test_pairs_show_a_face_and_the_same_face_changed(teacher):
    """By directions alone: every change lies on the slider, and without light and warp the truth is the generator's."""
    pairs, again = (draw_pairs(teacher, 12, random(3), 1.0) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(pairs, again, strict=True))
    vector = teacher.directions["smile"].vector
    amounts = (pairs.shift * vector).sum(dim=(1, 2)) / vector.square().sum()
    torch.testing.assert_close(pairs.shift, amounts[:, None, None] * vector, atol=1e-5, rtol=1e-5)
    assert amounts.min() < 0 < amounts.max() and amounts.min() >= -2.4 - 1e-3 and amounts.max() <= 4.8 + 1e-3
    towards_others = draw_pairs(teacher, 12, random(3), 0.0).shift
    assert not torch.allclose(towards_others[:, -1], torch.zeros(()))  # also rows that the direction leaves alone


def test_no_change_keeps_both_pictures_alike(teacher):
    """Light, blur and place are drawn once for both pictures of a pair."""
    still = dataclasses.replace(
        teacher, directions=Directions((_still(teacher),), generator_hash(teacher.generator), "tiny")
    )
    pairs = draw_pairs(still, 12, random(5), 1.0)
    noise = (pairs.images - pairs.targets).abs().flatten(1).mean(dim=1)
    assert noise.min() < 0.01 and noise.max() < 0.1  # only the input may be noisy


def _still(teacher: ModelBundle) -> Direction:
    vector = 1e-6 * teacher.directions["smile"].vector
    return Direction("smile", vector, {"en": "Smile"}, group="expression", safe_range=(-1.0, 1.0))


def test_it_learns_on_one_batch(teacher):
    torch.manual_seed(0)
    editor = Editor.for_encoder(teacher.encoder, width=16, num_blocks=1).train()
    editor.compute_dtype = torch.float32
    pairs = draw_pairs(teacher, 8, random(1), 1.0)
    before = measure(teacher, None, pairs)["psnr"]
    assert measure(teacher, editor, pairs)["psnr"] == pytest.approx(before, abs=0.01)  # untrained: the plain sum
    optimizer = torch.optim.Adam(editor.parameters(), lr=0.003, betas=(0.9, 0.99))
    for _ in range(60):
        terms = editor_losses(teacher, editor, pairs)
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
    assert terms.keys() == {"pixel", "structure", "state", "features", "attributes", "identity"}
    assert measure(teacher, editor, pairs)["psnr"] > before + 1
    assert all(parameter.grad is None for parameter in teacher.generator.parameters())


@torch.no_grad()
def test_without_discriminator_analyzer_and_directions_it_trains_too(teacher):
    poor = dataclasses.replace(teacher, discriminator=None, analyzer=None, identity=None, directions=None)
    pairs = draw_pairs(poor, 4, random(), 0.7)
    editor = Editor.for_encoder(teacher.encoder, width=4, num_blocks=1)
    assert editor_losses(poor, editor, pairs).keys() == {"pixel", "structure", "state"}
    assert edit_pairs(poor, editor, pairs)[1].shape == (4, 3, 32, 32)


def test_photos_move_within_the_range_of_a_direction(teacher, faces):
    changes, again = (draw_photo_changes(teacher, faces, random(3)) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(changes, again, strict=True))
    vector = teacher.directions["smile"].vector
    amounts = (changes.shift * vector).sum(dim=(1, 2)) / vector.square().sum()
    torch.testing.assert_close(changes.shift, amounts[:, None, None] * vector, atol=1e-5, rtol=1e-5)
    assert -1 <= amounts.min() < 0 < amounts.max() <= 2
    assert not changes.is_light.any()


def test_rare_photos_move_more_often_along_what_makes_them_rare_and_to_the_other_side(teacher, faces):
    other = dataclasses.replace(teacher.directions["smile"], name="age", safe_range=(-1.0, 1.0))
    two = dataclasses.replace(
        teacher, directions=dataclasses.replace(teacher.directions, items=(*teacher.directions.items, other))
    )
    many = faces[:1].expand(200, -1, -1, -1)
    sides = PhotoSides(torch.tensor([[True, False]]).expand(200, 2), torch.tensor([[9.0, 1.0]]).expand(200, 2))
    changes = draw_photo_changes(two, many, random(), sides)
    smiles = changes.direction == 0
    assert smiles.float().mean() == pytest.approx(0.9, abs=0.07)
    assert (changes.reach[smiles] < 0).float().mean() == pytest.approx(0.75, abs=0.1)
    assert (changes.reach[~smiles] > 0).float().mean() > 0.5


def test_sides_are_what_the_analyzer_reads(teacher, faces):
    sides = photo_sides(teacher, faces, batch_size=3)
    smiling = teacher.analyzer(from_uint8(faces)).scores["smile"] > 0
    assert torch.equal(sides.above[:, 0], smiling)
    share = torch.where(smiling, smiling.float().mean(), (~smiling).float().mean())
    torch.testing.assert_close(sides.rarity[:, 0], 1 / share)
    assert photo_sides(dataclasses.replace(teacher, analyzer=None), faces) is None


def test_at_the_end_of_a_slider_a_photo_has_to_arrive_where_the_drawn_face_does():
    wanted, drawn = torch.tensor([3.0, 3.0, 3.0, -4.0]), torch.tensor([-2.0, -2.0, -2.0, -3.0])
    reach = torch.tensor([-1.0, -0.5, 1.0, -1.0])  # at the end, half way, the other way, and further than it
    torch.testing.assert_close(_as_far_as(wanted, drawn, reach), torch.tensor([-2.0, 0.5, 3.0, -4.0]))


@torch.no_grad()
def test_a_photo_that_stays_costs_nothing(teacher, faces):
    changes = draw_photo_changes(teacher, faces, random())
    still = changes._replace(shift=torch.zeros_like(changes.shift), reach=torch.zeros_like(changes.reach))
    editor = Editor.for_encoder(teacher.encoder, width=4, num_blocks=1)
    terms = photo_losses(teacher, editor, still)
    assert terms.keys() == PHOTO_TERMS
    assert all(terms[name].abs() < 1e-3 for name in ("photo_attributes", "photo_identity", "photo_still"))
    assert terms["photo_adversarial"] == pytest.approx(0.6931, abs=1e-3)  # neither is more real than the other
    poor = dataclasses.replace(teacher, discriminator=None, analyzer=None, identity=None)
    assert photo_losses(poor, editor, changes).keys() == {"photo_still"}


def test_photos_follow_the_drawn_face_after_some_steps(teacher, faces):
    torch.manual_seed(0)
    editor = Editor.for_encoder(teacher.encoder, width=16, num_blocks=1).train()
    editor.compute_dtype = torch.float32
    changes = draw_photo_changes(teacher, faces, random(1))
    optimizer = torch.optim.Adam(editor.parameters(), lr=0.003, betas=(0.9, 0.99))
    seen = []
    for _ in range(40):
        seen.append(photo_losses(teacher, editor, changes)["photo_attributes"])
        optimizer.zero_grad()
        seen[-1].backward()
        optimizer.step()
    assert seen[-1] < 0.5 * seen[0]
