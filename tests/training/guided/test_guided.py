"""The scripts of the guided upscaler: looks at random, pairs in a file, a run that resumes, numbers that are true."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from gan_space.images import from_uint8
from gan_space.models.guided_upscaler import GuidedUpscaler
from gan_space.output.provenance import read_provenance
from tests.training.killing import assert_same_weights, copy_before_last_checkpoint
from training.common.faces import load_faces
from training.guided.data import Pairs, make_batch, resized, spoil_drawings
from training.guided.evaluate import main as evaluate_main
from training.guided.looks import GROUNDS, HELD_BACK, random_look
from training.guided.losses import guided_losses
from training.guided.make_pairs import main as pairs_main
from training.guided.measure import edges_f, held_back_drawings, measure
from training.guided.train import main

pytestmark = pytest.mark.slow

FACES = str(Path(__file__).resolve().parents[2] / "data" / "fairface64.parquet")
SIZES = ("--width", "4", "--num_blocks", "1", "--deep_width", "4", "--num_deep_blocks", "1")
SMALL = [
    *("--dataset_name", FACES, "--patch_px", "32", "--batch_size", "8", "--total_kimg", "0.064"),
    *("--checkpoint_kimg", "0.016", "--eval_images", "2", *SIZES),
]


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def faces() -> torch.Tensor:
    return load_faces(FACES, "train", limit=8, face_px=64).images


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    """Of 56 faces, drawn with the embedded model."""
    file = tmp_path_factory.mktemp("pairs") / "pairs.safetensors"
    options = ["--face_px", "64", "--held_back", "8", "--looks_per_face", "1", "--faces_per_pack", "2"]
    assert pairs_main(["--dataset_name", FACES, "--output", str(file), *options]) == 0
    return file


@pytest.fixture(scope="module")
def whole_run(pairs, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("guided") / "whole"
    assert main([*SMALL, "--pairs", str(pairs), "--output_dir", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("family", GROUNDS)
def test_a_look_is_the_same_at_every_size(family, faces):
    """What a family draws stays in range and, seen from far, does not depend on the size that it is drawn at."""
    photo = from_uint8(faces[:1])
    photo = F.interpolate(photo, size=(128, 128), mode="bicubic", align_corners=False).clamp(-1, 1)
    far = []
    for seed in range(6):
        look = random_look(random(seed), (family,))
        large, small = look.render(photo), look.render(resized(photo, 64))
        assert look.family == family and large.shape == photo.shape
        assert large.min() >= -1 and large.max() <= 1
        assert torch.equal(look.render(photo), large)
        far.append((F.avg_pool2d(large, 16) - F.avg_pool2d(small, 8)).abs().mean().item())
    assert sum(far) / len(far) < 0.06


def test_looks_differ_and_come_back_by_their_seed(faces):
    photo, families = from_uint8(faces[:1]), tuple(GROUNDS)
    drawn = [random_look(random(seed), families).render(photo) for seed in range(8)]
    assert torch.equal(random_look(random(3), families).render(photo), drawn[3])
    gaps = [(a - b).abs().mean() for n, a in enumerate(drawn) for b in drawn[:n]]
    assert min(gaps) > 0.02


def test_pairs_hold_random_looks_and_what_packs_draw(pairs):
    held = Pairs.load(pairs)
    assert len(held.photos) == 56 + 4 * 2  # four shipped packs are drawn anew by formula
    assert held.drawings.shape == held.photos.shape == (64, 3, 64, 64)
    assert held.halves.shape == held.half_sources.shape == (64, 3, 32, 32)
    assert held.quarters.shape == held.quarter_sources.shape == (64, 3, 16, 16)
    drawings, halves = from_uint8(held.drawings), from_uint8(held.halves)
    # The small drawing shows the same look: it is nearer to its own large one than to the next.
    own = (F.avg_pool2d(drawings, 2) - halves).abs().flatten(1).mean(dim=1)
    other = (F.avg_pool2d(drawings, 2).roll(1, 0) - halves).abs().flatten(1).mean(dim=1)
    assert (own < other).float().mean() > 0.9 and own.mean() < 0.2
    with pytest.raises(Exception, match="no safetensors file"):
        Pairs.load(Path(__file__))


def test_a_batch_shows_one_place_in_all_pictures(pairs):
    held = Pairs.load(pairs)
    blocks = F.avg_pool2d(held.photos.float(), 8).round()  # the same pixels at every size, mirrored or not
    plain = Pairs(*(F.interpolate(blocks, size=size).byte() for size in (64, 64, 32, 16, 32, 16)))
    batch = make_batch(plain, torch.arange(40), random(1), patch_px=32, spoil=0)
    swapped = (batch.photos != batch.targets).flatten(1).any(dim=1)
    assert 0 < swapped.sum() < 30  # the drawing's colours change places, the photo's do not
    torch.testing.assert_close(batch.targets[:, :, ::2, ::2], batch.halves, atol=1e-4, rtol=0)
    assert torch.equal(batch.targets.sort(dim=1).values, batch.photos.sort(dim=1).values)
    torch.testing.assert_close(batch.targets[:, :, ::4, ::4], batch.quarters, atol=1e-4, rtol=0)
    assert torch.equal(batch.photos[:, :, ::2, ::2], batch.half_sources)
    assert torch.equal(batch.photos[:, :, ::4, ::4], batch.quarter_sources)
    again = make_batch(plain, torch.arange(40), random(1), patch_px=32, spoil=0)
    assert all(torch.equal(a, b) for a, b in zip(batch, again, strict=True))


def test_spoiling_moves_and_blots_within_bounds():
    drawn = torch.rand(64, 3, 24, 24, generator=random()) * 2 - 1
    assert torch.allclose(spoil_drawings(drawn, random(), 0), drawn, atol=1e-5)
    spoiled = spoil_drawings(drawn, random(), 1)
    changed = (spoiled - drawn).abs().flatten(1).mean(dim=1) > 1e-3
    assert 0.5 < changed.float().mean() < 1 and spoiled.abs().max() <= 1
    flat = torch.full_like(drawn, 0.2)
    assert (spoil_drawings(flat, random(), 1) - flat).abs().mean() < 0.1


def test_the_losses_are_zero_where_the_network_is_right(pairs):
    """A network that gives back what it is shown as a photo has no loss on drawings that are the photo."""

    class Photo(GuidedUpscaler):
        def forward(self, drawn, photo, source=None):
            return photo

    batch = make_batch(Pairs.load(pairs), torch.arange(8), random(), patch_px=32)
    right = guided_losses(Photo(4, 1, 4, 1), batch._replace(targets=batch.photos), 0.5)
    assert set(right) == {"pixel", "structure"} and all(term.item() == 0 for term in right.values())
    network = GuidedUpscaler(4, 1, 4, 1)
    wrong = guided_losses(network, batch, 0.5)
    sum(wrong.values()).backward()
    assert all(term.item() > 0.01 for term in wrong.values())
    assert all(parameter.grad.abs().max() > 0 for parameter in network.parameters())


def test_edges_are_found_again_only_where_they_are():

    def edge(row: int) -> torch.Tensor:
        picture = -torch.ones(1, 3, 48, 48)
        picture[..., row:, :] = 1
        return picture

    picture = edge(20)
    assert edges_f(picture, picture).item() == 1
    assert edges_f(edge(21), picture).item() > 0.9  # within the tolerance
    assert edges_f(edge(26), picture).item() < 0.1
    assert edges_f(torch.zeros_like(picture), picture).item() == 0
    assert edges_f(torch.zeros_like(picture), torch.zeros_like(picture)).item() == 1


def test_the_measurement_knows_the_truth(faces):
    cases = held_back_drawings(faces[:2])
    assert [name for name in cases if "held back" in name] == [f"{family} (held back)" for family in HELD_BACK]
    assert {"pencil", "poster", "ink-wash", "pastel"} <= set(cases)
    again = held_back_drawings(faces[:2])
    assert all(torch.equal(cases[name].truth, again[name].truth) for name in cases)
    case = cases["pencil"]
    plain = resized(case.small, 64)
    network = GuidedUpscaler(4, 1, 4, 1).eval()
    numbers = measure(network, {"bicubic": case._replace(truth=plain), "pencil": case})
    assert numbers["bicubic"]["plain"]["psnr"] > 60 and numbers["bicubic"]["plain"]["edges_f"] == 1
    assert numbers["pencil"]["plain"]["psnr"] < 40 and network.compute_dtype is None


def test_a_run_leaves_a_model_its_numbers_and_pictures(whole_run):
    guided = GuidedUpscaler.from_pretrained(whole_run / "export")
    assert guided.config.width == 4
    lines = [json.loads(line) for line in (whole_run / "metrics.jsonl").read_text().splitlines()]
    assert [line["nimg"] for line in lines] == [16, 32, 48, 64]
    assert {"loss_pixel", "loss_structure", "poster: psnr", "poster: edges_f"} <= lines[-1].keys()
    record = json.loads((whole_run / "export" / "training.json").read_text())
    assert (record["patches_seen"], record["patches_before"], record["optimizer"]) == (64, 0, "adam")
    assert record["held_back"]["poster"]["guided"]["psnr"] == lines[-1]["poster: psnr"]
    assert read_provenance(next((whole_run / "samples").glob("*.png"))).is_ai_made


def test_going_on_from_the_checkpoint_before_the_last_ends_in_the_same_weights(whole_run, pairs, tmp_path):
    folder = tmp_path / "again"
    copy_before_last_checkpoint(whole_run, folder)
    assert main([*SMALL, "--pairs", str(pairs), "--output_dir", str(folder)]) == 0
    assert_same_weights(whole_run, folder, "nimg-000000064")


def test_the_measurement_as_a_script(whole_run, tmp_path, capsys):
    arguments = ["--dataset_name", FACES, "--num_images", "2", "--face_px", "64", "--drawn_by_packs"]
    arguments += ["--guided", str(whole_run / "export"), "--output", str(tmp_path / "n.json")]
    assert evaluate_main([*arguments, "--grid", str(tmp_path / "grid.png")]) == 0
    record = json.loads((tmp_path / "n.json").read_text())
    assert {"guided", "plain"} <= record["cases"]["poster, drawn by its pack"].keys()
    assert record["times"]["1024_px_core_ms"] > 0 and "poster" in capsys.readouterr().out
    assert read_provenance(tmp_path / "grid.png").is_ai_made


@pytest.mark.parametrize(
    ("script", "flags", "words"),
    [
        (main, ["--batch_size", "0", "--twice_share", "2"], ["--batch_size", "--twice_share"]),
        (main, ["--patch_px", "36"], ["--patch_px must be a multiple of 8"]),
        (main, ["--patch_px", "128"], ["--patch_px must be at most 64"]),
        (evaluate_main, ["--guided", "./nowhere"], ["nowhere has no config.json"]),
        (
            evaluate_main,
            ["--face_px", "63", "--num_images", "0"],
            ["--face_px must be a multiple of 8", "--num_images"],
        ),
        (
            pairs_main,
            ["--output", "./nowhere/pairs", "--looks_per_face", "0"],
            ["nowhere does not", "--looks_per_face"],
        ),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(script, flags, words, pairs, refused):
    if script is main:
        refused(main, [*SMALL, "--pairs", str(pairs), *flags], words)
    else:
        refused(script, ["--dataset_name", FACES, *flags], words, output=None)
