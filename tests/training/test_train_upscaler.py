"""The scripts that train and measure the upscaler: it learns, resumes bit for bit, and says true numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from gan_space.images import from_uint8
from gan_space.models.discriminator import Discriminator
from gan_space.models.upscaler import Upscaler, enlarge_plain
from gan_space.output.provenance import read_provenance
from tests.training.killing import assert_same_weights, copy_before_last_checkpoint
from training.evaluate_upscaler import (
    METHODS,
    drawn_looks,
    edge_share,
    enlarge_by,
    measure,
    small_and_true,
    texture_distance,
)
from training.evaluate_upscaler import main as evaluate_main
from training.looks import render_look
from training.train_aligner import load_faces
from training.train_upscaler import TrainUpscalerConfig, UpscalerLossWeights, main, upscaler_losses
from training.upscaler_data import UpscalerBatch, blur_small, make_pairs

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
FACES = str(ROOT / "tests" / "data" / "fairface64.parquet")
SMALL = [
    *("--dataset_name", FACES, "--eval_split", "train", "--face_px", "64", "--patch_px", "32", "--width", "4"),
    *("--num_blocks", "1", "--batch_size", "8", "--total_kimg", "0.128", "--checkpoint_kimg", "0.032"),
    *("--eval_images", "4", "--weights.features", "0.5"),
]


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def tiny_discriminator() -> Discriminator:
    torch.manual_seed(1)
    return Discriminator(32, channel_base=128, channel_max=16).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def faces() -> torch.Tensor:
    return load_faces(FACES, "train", limit=16, face_px=64).images


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_discriminator().save_pretrained(folder / "discriminator")
    return folder


@pytest.fixture(scope="module")
def whole_run(model, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("upscaler") / "whole"
    assert main([*SMALL, "--model", str(model), "--output_dir", str(folder)]) == 0
    return folder


def test_a_run_leaves_a_model_its_numbers_and_pictures(whole_run):
    upscaler = Upscaler.from_pretrained(whole_run / "export")
    assert upscaler.config.width == 4
    lines = [json.loads(line) for line in (whole_run / "metrics.jsonl").read_text().splitlines()]
    assert [line["nimg"] for line in lines] == [32, 64, 96, 128]
    assert {"loss_pixel", "loss_structure", "loss_features", "2x photo: psnr"} <= lines[-1].keys()
    record = json.loads((whole_run / "export" / "training.json").read_text())
    assert record["patches_seen"] == 128
    assert record["held_out"]["2x photo"]["network"]["psnr"] == lines[-1]["2x photo: psnr"]
    labels = [read_provenance(file) for file in (whole_run / "samples").glob("*.png")]
    assert len(labels) == 4 and all(label.is_ai_made for label in labels)


def test_going_on_from_the_checkpoint_before_the_last_ends_in_the_same_weights(whole_run, model, tmp_path):
    folder = tmp_path / "again"
    copy_before_last_checkpoint(whole_run, folder)
    assert main([*SMALL, "--model", str(model), "--output_dir", str(folder)]) == 0
    assert_same_weights(whole_run, folder, "nimg-000000128")


def test_a_finished_run_started_again_exports_the_same_numbers(whole_run, model):
    record = (whole_run / "export" / "training.json").read_text()
    assert main([*SMALL, "--model", str(model), "--output_dir", str(whole_run)]) == 0
    assert (whole_run / "export" / "training.json").read_text() == record


def test_other_settings_are_refused(whole_run, model, capsys):
    arguments = [*SMALL, "--model", str(model), "--output_dir", str(whole_run)]
    assert main([*arguments, "--lr", "0.5", "--weights.pixel", "1"]) == 2
    message = capsys.readouterr().err
    assert "--lr: 0.002 -> 0.5" in message and "--weights" in message


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--batch_size", "0", "--looks_share", "2", "--spoil", "-1"], ["--batch_size", "--looks_share", "--spoil"]),
        (["--weights.pixel", "-1", "--mixed_precision", "fp8"], ["--weights.pixel", "no or bf16"]),
        (["--face_px", "100"], ["--face_px must be a multiple of 64"]),
        (["--patch_px", "48"], ["--patch_px must be even, from 16 to 32"]),
        (["--dataset_name", "./nowhere"], ["no such data set: ./nowhere"]),
        (["--model", "./nowhere"], ["nowhere is no folder"]),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(flags, words, model, tmp_path, capsys):
    folder = tmp_path / "never"
    assert main([*SMALL, "--model", str(model), *flags, "--output_dir", str(folder)]) == 2
    message = capsys.readouterr().err
    assert all(word in message for word in words), message
    assert not folder.exists()


def test_the_measurement_as_a_script(whole_run, model, tmp_path, capsys):
    arguments = ["--dataset_name", FACES, "--split", "train", "--model", str(model), "--num_images", "4"]
    arguments += ["--face_px", "64", "--upscaler", str(whole_run / "export"), "--output", str(tmp_path / "n.json")]
    assert evaluate_main([*arguments, "--grid", str(tmp_path / "grid.png")]) == 0
    numbers = json.loads((tmp_path / "n.json").read_text())
    assert numbers["num_images"] == 4 and numbers["times"]["double_64_px_ms"] > 0
    assert {"2x photo", "4x photo, soft", "2x pencil, drawn small", "4x drawn, shrunk"} <= numbers["cases"].keys()
    assert numbers["cases"]["2x photo"].keys() == set(METHODS)
    record = json.loads((whole_run / "export" / "training.json").read_text())["held_out"]
    told = {name: numbers["cases"]["2x photo"]["network"][name] for name in record["2x photo"]["network"]}
    assert told == pytest.approx(record["2x photo"]["network"])
    assert "texture_distance" in numbers["cases"]["2x photo"]["lanczos"]
    assert (tmp_path / "grid.png").stat().st_size > 1000
    assert evaluate_main([*arguments[:-1], str(tmp_path / "no" / "n.json"), "--num_images", "0"]) == 2
    assert "2 problems" in capsys.readouterr().err
    assert evaluate_main([*arguments[:6], "--face_px", "64"]) == 2
    assert "expected an upscaler" in capsys.readouterr().err


def test_it_learns_on_one_batch(faces):
    """Over and over on the same patches, what is left to the truth gets smaller than any plain filter leaves."""
    torch.manual_seed(0)
    upscaler = Upscaler(32, 2).train()
    upscaler.compute_dtype = torch.float32
    batch = make_pairs(faces[:8], random(), patch_px=32, spoil=0)
    config, history = TrainUpscalerConfig(FACES, twice_share=0.0), []
    optimizer = torch.optim.Adam(upscaler.parameters(), lr=0.003, betas=(0.9, 0.99))
    for _ in range(80):
        terms = upscaler_losses(upscaler, None, batch, config)
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
        history.append({name: term.item() for name, term in terms.items()})
    assert history[0].keys() == {"pixel", "structure"}
    assert all(history[-1][name] < 0.6 * history[0][name] for name in history[0])


@torch.no_grad()
def test_the_terms_count_both_passes_and_cost_nothing_where_nothing_is_wrong(faces):
    upscaler, config = (
        Upscaler(4, 1),
        TrainUpscalerConfig(FACES, twice_share=0.5, weights=UpscalerLossWeights(features=1.0)),
    )
    flat = UpscalerBatch(torch.full([4, 3, 16, 16], 0.3), torch.full([4, 3, 32, 32], 0.3))
    assert all(term < 1e-6 for term in upscaler_losses(upscaler, tiny_discriminator(), flat, config).values())
    batch = make_pairs(faces[:4], random(), patch_px=32)
    both = upscaler_losses(upscaler, None, batch, config)["pixel"]
    once = upscaler_losses(upscaler, None, batch, TrainUpscalerConfig(FACES, twice_share=0.0))["pixel"]
    assert both > once  # a quarter of the pixels knows less


def test_a_step_stays_on_the_device_of_its_networks():
    """On "meta", which computes nothing, a tensor of another device that meets them is an error as on a GPU."""
    config = TrainUpscalerConfig(FACES, weights=UpscalerLossWeights(features=1.0))
    upscaler, discriminator = Upscaler(4, 1).to("meta"), tiny_discriminator().to("meta")
    upscaler.compute_dtype = discriminator.compute_dtype = torch.bfloat16
    batch = UpscalerBatch(torch.empty(8, 3, 16, 16, device="meta"), torch.empty(8, 3, 32, 32, device="meta"))
    terms = upscaler_losses(upscaler, discriminator, batch, config)
    sum(terms.values()).backward()
    assert terms.keys() == {"pixel", "structure", "features"}
    assert all(parameter.grad.device.type == "meta" for parameter in upscaler.parameters())


def test_pairs_show_the_same_and_depend_on_their_seed_alone(faces):
    for seed in range(6):
        batch, again = (make_pairs(faces, random(seed), patch_px=32) for _ in range(2))
        assert all(torch.equal(one, other) for one, other in zip(batch, again, strict=True))
        assert batch.inputs.shape == (16, 3, 16, 16) and batch.targets.shape == (16, 3, 32, 32)
        assert max(part.abs().max() for part in batch) <= 1
        clean = make_pairs(faces, random(seed), patch_px=32, spoil=0)
        assert (clean.inputs - F.avg_pool2d(clean.targets, 2)).abs().mean() < 0.02
    plain = make_pairs(faces, random(1), patch_px=32, looks_share=0)
    drawn = make_pairs(faces, random(1), patch_px=32, looks_share=0.5)
    assert not torch.equal(plain.targets[:8].mean(), drawn.targets[:8].mean())


def test_blur_has_a_width_for_each_picture():
    dots = torch.zeros(2, 1, 15, 15)
    dots[:, :, 7, 7] = 1
    soft = blur_small(dots, torch.tensor([0.6, 1.2]))
    torch.testing.assert_close(soft.sum(dim=(1, 2, 3)), torch.ones(2))
    assert soft[0, 0, 7, 7] > soft[1, 0, 7, 7] > 0.1
    variance = (soft * ((torch.arange(15) - 7.0) ** 2)).sum(dim=(1, 2, 3))
    assert variance[0] == pytest.approx(0.36, abs=0.02)
    assert variance[1] == pytest.approx(1.44, abs=0.2)  # cut off at 3 px


@torch.no_grad()
def test_measures_in_closed_form(faces):
    truth = from_uint8(faces[:3])
    torch.testing.assert_close(edge_share(truth, truth), torch.ones(3))
    torch.testing.assert_close(edge_share(0.5 * truth, truth), torch.full([3], 0.5))
    discriminator = tiny_discriminator()
    assert texture_distance(discriminator, truth, truth).max() < 1e-6
    assert texture_distance(discriminator, truth.flip(3), truth).min() > 1e-4
    untrained = Upscaler(4, 1).eval()
    small = F.avg_pool2d(truth, 4)
    torch.testing.assert_close(enlarge_by("bicubic", small, 4, untrained), enlarge_plain(small, 4).clamp(-1, 1))
    once = enlarge_plain(small).clamp(-1, 1)
    torch.testing.assert_close(enlarge_by("network", small, 4, untrained), enlarge_plain(once).clamp(-1, 1))
    assert enlarge_by("lanczos", small, 4, untrained).shape == truth.shape


def test_cases_hold_what_their_names_say(faces):
    truth = from_uint8(faces[:2])
    cases = {name: make() for name, make in small_and_true(truth, 2)}
    assert set(cases) == {"photo", "photo, soft"} | {
        f"{look}, {kind}" for look in drawn_looks() for kind in ("shrunk", "drawn small")
    }
    assert {"pencil", "poster"} <= set(drawn_looks())
    small, wanted = cases["pencil, drawn small"]
    assert torch.equal(wanted, render_look("pencil", truth))
    assert torch.equal(small, render_look("pencil", F.avg_pool2d(truth, 2)))
    assert torch.equal(cases["pencil, shrunk"][0], F.avg_pool2d(wanted, 2))
    assert torch.equal(cases["photo"][1], truth)


def test_a_measurement_is_the_same_every_time_whatever_the_batch(faces):
    upscaler = Upscaler(4, 1).eval()
    upscaler.compute_dtype = torch.bfloat16
    numbers = measure(upscaler, faces[:5], tiny_discriminator(), factors=(2,), only=("photo", "poster, shrunk"))
    assert upscaler.compute_dtype == torch.bfloat16
    assert set(numbers) == {"2x photo", "2x poster, shrunk", "2x drawn, shrunk"}
    parts = measure(upscaler, faces[:5], tiny_discriminator(), factors=(2,), only=("photo",), batch_size=2)
    for method in METHODS:
        assert parts["2x photo"][method] == pytest.approx(numbers["2x photo"][method], rel=1e-4)
    assert numbers["2x photo"]["network"] == pytest.approx(numbers["2x photo"]["bicubic"])  # untrained
