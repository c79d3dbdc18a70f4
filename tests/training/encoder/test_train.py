"""The scripts that train and measure the encoder: they learn, resume bit for bit, and refuse what they cannot do."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

from gan_space.images import from_uint8
from gan_space.models.discriminator import Discriminator
from gan_space.models.encoder import Encoder
from gan_space.models.face_identity import FaceIdentity
from gan_space.models.generator import Generator
from gan_space.models.synthesis import SynthesisState
from gan_space.output.provenance import read_provenance
from tests.training.killing import assert_same_weights, kill_at
from training.common.faces import load_faces
from training.common.frozen_maps import EfficientNetMaps, RandomConvMaps
from training.common.model_bundle import ModelBundle
from training.encoder.data import EncoderBatch, augment_faces
from training.encoder.evaluate import main as evaluate_main
from training.encoder.losses import (
    code_excess,
    draw_samples,
    feature_distance,
    ms_ssim,
    psnr,
    state_distance,
)
from training.encoder.measure import measure, same_person
from training.encoder.train import TrainEncoderConfig, encoder_losses, main

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / "training" / "encoder" / "train.py"
FACES = str(ROOT / "tests" / "data" / "fairface64.parquet")
SIZE = dict(resolution=32, channel_base=128, channel_max=16)
SMALL = [
    *("--dataset_name", FACES, "--eval_split", "train", "--feature_resolution", "8", "--width", "4"),
    *("--batch_size", "8", "--sample_batch", "2", "--total_kimg", "0.128", "--checkpoint_kimg", "0.032"),
    *("--eval_images", "8"),
]


def tiny_generator() -> Generator:
    torch.manual_seed(0)
    return Generator(z_dim=8, w_dim=8, num_mapping_layers=2, use_noise=False, **SIZE).eval().requires_grad_(False)


def tiny_discriminator() -> Discriminator:
    torch.manual_seed(1)
    return Discriminator(**SIZE).eval().requires_grad_(False)


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    tiny_generator().save_pretrained(folder / "generator")
    tiny_discriminator().save_pretrained(folder / "discriminator")
    return folder


@pytest.fixture(scope="module")
def whole_run(model, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("encoder") / "whole"
    assert main([*SMALL, "--model", str(model), "--output_dir", str(folder)]) == 0
    return folder


def test_a_run_leaves_a_model_its_numbers_and_pictures(whole_run):
    encoder = Encoder.from_pretrained(whole_run / "export")
    assert (encoder.resolution, encoder.feature_resolution) == (32, 8)
    lines = [json.loads(line) for line in (whole_run / "metrics.jsonl").read_text().splitlines()]
    assert [line["nimg"] for line in lines] == [32, 64, 96, 128]
    names = {"psnr", "ms_ssim", "feature_distance", "code_psnr", "sample_code_error", "sample_code_baseline"}
    assert names | {"loss_features", "loss_consistency", "loss_prior"} <= lines[-1].keys()
    record = json.loads((whole_run / "export" / "training.json").read_text())
    assert record["faces_seen"] == 128 and record["optimizer"] == "adam"
    assert record["held_out"]["psnr"] == lines[-1]["psnr"]
    labels = [read_provenance(file) for file in (whole_run / "samples").glob("*.png")]
    assert len(labels) == 4 and all(label.is_ai_made for label in labels)


def test_killed_and_started_again_it_ends_in_the_same_weights(whole_run, model, tmp_path):
    folder = tmp_path / "killed"
    arguments = [*SMALL, "--model", str(model), "--output_dir", str(folder)]
    kill_at("open", ".partial-000000064/state.json", SCRIPT, arguments)
    assert [path.name for path in (folder / "checkpoints").glob("nimg-*")] == ["nimg-000000032"]
    assert main(arguments) == 0
    assert_same_weights(whole_run, folder, "nimg-000000128")


def test_it_starts_from_an_earlier_encoder(whole_run, model, tmp_path):
    folder = tmp_path / "second"
    more = ["--init_from", str(whole_run / "export")]
    short = ["--total_kimg", "0.016", "--lr", "1e-9"]
    assert main([*SMALL, *short, *more, "--model", str(model), "--output_dir", str(folder)]) == 0
    earlier, later = (load_file(run / "export" / "diffusion_pytorch_model.safetensors") for run in (whole_run, folder))
    torch.testing.assert_close(earlier, later, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            ["--batch_size", "0", "--sample_batch", "1", "--code_share", "2"],
            ["--batch_size", "another", "--code_share"],
        ),
        (["--weights.pixel", "-1", "--mixed_precision", "fp8"], ["--weights.pixel", "no or bf16"]),
        (["--dataset_name", "./nowhere"], ["no such data set: ./nowhere"]),
        (["--feature_resolution", "32"], ["one of [4, 8, 16]"]),
        (["--model", "./nowhere"], ["./nowhere"]),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(flags, words, model, refused):
    refused(main, [*SMALL, "--model", str(model), *flags], words)


def test_the_measurement_as_a_script(whole_run, model, tmp_path, capsys):
    arguments = ["--dataset_name", FACES, "--split", "train", "--model", str(model), "--num_images", "8"]
    arguments += ["--encoder", str(whole_run / "export"), "--output", str(tmp_path / "n.json")]
    assert evaluate_main([*arguments, "--grid", str(tmp_path / "grid.png"), "--refine_steps", "12"]) == 0
    numbers = json.loads((tmp_path / "n.json").read_text())
    assert numbers["num_images"] == 8
    assert numbers["encode_ms"] > 0 and numbers["refine_cpu_sec"] > 0
    assert numbers["refined_psnr"] > numbers["psnr"] and 0.5 < numbers["refined_share"] <= 1
    record = json.loads((whole_run / "export" / "training.json").read_text())["held_out"]
    assert numbers["psnr"] == pytest.approx(record["psnr"], abs=0.3)  # the run measured in bfloat16 as well
    assert (tmp_path / "grid.png").stat().st_size > 1000
    assert (
        evaluate_main([*arguments[:-1], str(tmp_path / "no" / "n.json"), "--num_images", "1", "--refine_steps", "-1"])
        == 2
    )
    assert "3 problems" in capsys.readouterr().err
    assert evaluate_main(["--dataset_name", FACES, "--encoder", str(whole_run / "export")]) == 2
    assert "for another generator" in capsys.readouterr().err


def test_it_learns_on_one_batch():
    """Over and over on the same faces and samples, picture and code come much closer."""
    generator = tiny_generator()
    encoder = Encoder.for_generator(generator, 8, width=8)
    batch = augment_faces(load_faces(FACES, "train", limit=8, face_px=32).images, random())
    samples = draw_samples(generator, 8, 4, random())
    optimizer = torch.optim.Adam(encoder.parameters(), lr=0.003, betas=(0.9, 0.99))
    config, history = TrainEncoderConfig(dataset_name=FACES), []
    for _ in range(60):
        terms = encoder_losses(encoder, ModelBundle(generator), batch, samples, config)
        optimizer.zero_grad()
        sum(vars(config.weights)[name] * term for name, term in terms.items()).backward()
        optimizer.step()
        history.append({name: term.item() for name, term in terms.items()})
    assert "features" not in history[0]
    for name, share in {"pixel": 0.75, "sample_code": 0.5, "sample_state": 0.8, "consistency": 0.6}.items():
        assert history[-1][name] < share * history[0][name], name


def test_a_term_whose_weight_or_share_is_0_is_left_out():
    generator, discriminator = tiny_generator(), tiny_discriminator()
    encoder = Encoder.for_generator(generator, 8, width=4)
    batch = augment_faces(load_faces(FACES, "train", limit=4, face_px=32).images, random())
    samples = draw_samples(generator, 8, 2, random())
    config = TrainEncoderConfig(dataset_name=FACES, code_share=0, feature_share=0)
    terms = encoder_losses(encoder, ModelBundle(generator, discriminator=discriminator), batch, samples, config)
    assert "features" not in terms and "perceptual" not in terms
    assert terms["code_picture"] == 0 and all(term.isfinite() for term in terms.values())


def test_the_perceptual_term_falls_towards_the_face_itself_and_moves_the_encoder():
    maps = RandomConvMaps()
    generator = tiny_generator()
    encoder = Encoder.for_generator(generator, 8, width=4)
    samples = draw_samples(generator, 8, 4, random())
    config = TrainEncoderConfig(dataset_name=FACES, feature_share=1)

    def perceptual(targets: torch.Tensor) -> torch.Tensor:
        batch = EncoderBatch(samples.images, targets, torch.ones(4, dtype=torch.bool))
        return encoder_losses(encoder, ModelBundle(generator), batch, samples, config, maps)["perceptual"]

    with torch.no_grad():
        w_plus, state = encoder(samples.images)
        drawn = generator.synthesis.finish(state, w_plus, 8)
    assert 100 * perceptual(drawn) < perceptual(samples.images)
    perceptual(samples.images).backward()
    assert encoder.state_head.weight.grad.abs().sum() > 0


def test_imagenet_maps_stop_where_nothing_more_is_asked_for():
    pytest.importorskip("efficientnet_lite_pytorch")
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    few, all_of_them = EfficientNetMaps((2, 4, 8)), EfficientNetMaps((2, 4, 8, 16, 32))
    assert [tuple(x.shape) for x in all_of_them.eval()(images)] == [
        (1, 16, 32, 32), (1, 24, 16, 16), (1, 40, 8, 8), (1, 112, 4, 4), (1, 320, 2, 2),
    ]  # fmt: skip
    assert len(few.blocks) < len(all_of_them.blocks)
    for one, other in zip(few.eval()(images), all_of_them(images), strict=False):
        torch.testing.assert_close(one, other)


@torch.no_grad()
def test_the_right_answer_costs_nothing_on_samples():
    """An encoder that gave the true code and state would be at zero in all terms of the samples."""
    generator = tiny_generator()
    samples = draw_samples(generator, 8, 4, random())
    assert state_distance(samples.state, samples.state, torch.ones(16)).max() == 0
    drawn = generator.synthesis(samples.w_plus, noise_mode="const").clamp(-1, 1)
    torch.testing.assert_close(samples.images.float(), drawn.float(), atol=0.02, rtol=0.02)
    again = draw_samples(generator, 8, 4, random())
    assert torch.equal(samples.images, again.images)
    plain = draw_samples(generator, 8, 4, random(), psi=(0.0, 0.0), mixing_prob=0)
    torch.testing.assert_close(plain.w_plus, generator.mapping.w_avg.expand(4, generator.num_ws, 8))
    mixed = draw_samples(generator, 8, 4, random(), psi=(1.0, 1.0), mixing_prob=1.0).w_plus
    changes = (mixed[:, 1:] != mixed[:, :-1]).any(dim=2).sum(dim=1)
    assert changes.tolist() == [1, 1, 1, 1]


def test_distances_in_closed_form():
    one = SynthesisState(torch.zeros(1, 2, 4, 4), torch.zeros(1, 3, 4, 4))
    other = SynthesisState(torch.ones(1, 2, 4, 4), torch.full([1, 3, 4, 4], 0.5))
    assert state_distance(one, other, torch.tensor([1.0, 2.0])).item() == pytest.approx(0.75 + 0.5)
    maps = [torch.tensor([[[[3.0]], [[0.0]]]]), torch.tensor([[[[1.0]], [[1.0]]]])]
    others = [torch.tensor([[[[0.0]], [[9.0]]]]), torch.tensor([[[[5.0]], [[5.0]]]])]
    assert feature_distance(maps, others).item() == pytest.approx((2 + 0) / 2)
    encoder = Encoder(32, 8, num_ws=8, w_dim=4, feature_channels=16, width=4, hidden=8)  # typical distance 2
    within = torch.full([1, 8, 4], 0.5)
    assert code_excess(within, encoder).item() == pytest.approx(0)
    assert code_excess(4 * within, encoder).item() == pytest.approx(1)  # twice the typical distance: (2 - 1) squared
    apart = torch.cat([within[:, :4], -within[:, 4:]], dim=1)
    assert code_excess(apart, encoder).item() == pytest.approx(0.25)


def test_psnr_and_ms_ssim_against_the_obvious_way():
    x = torch.rand(2, 3, 44, 44, generator=random()) * 2 - 1
    y = (x + 0.2 * torch.randn(x.shape, generator=random(1))).clamp(-1, 1)
    mse = ((x - y) / 2).square().flatten(1).mean(dim=1)  # in [0, 1]
    torch.testing.assert_close(psnr(y, x), -10 * mse.log10(), atol=1e-4, rtol=0)
    torch.testing.assert_close(ms_ssim(x, x), torch.ones(2))
    taps = torch.tensor([math.exp(-((i - 5) ** 2) / 4.5) for i in range(11)], dtype=torch.float64)
    kernel = torch.outer(taps, taps) / taps.sum() ** 2

    def slow(a, b):
        a, b, parts = (a.double() + 1) / 2, (b.double() + 1) / 2, []
        for _ in range(3):  # 44, 22 and 11 px
            terms = [[], []]
            for top in range(a.shape[1] - 10):
                for left in range(a.shape[2] - 10):
                    p, q = (z[:, top : top + 11, left : left + 11] for z in (a, b))
                    mp, mq = ((kernel * z).sum(dim=(1, 2)) for z in (p, q))
                    vp = (kernel * (p - mp[:, None, None]) ** 2).sum(dim=(1, 2))
                    vq = (kernel * (q - mq[:, None, None]) ** 2).sum(dim=(1, 2))
                    cov = (kernel * (p - mp[:, None, None]) * (q - mq[:, None, None])).sum(dim=(1, 2))
                    contrast = (2 * cov + 9e-4) / (vp + vq + 9e-4)
                    terms[0].append(contrast)
                    terms[1].append(contrast * (2 * mp * mq + 1e-4) / (mp**2 + mq**2 + 1e-4))
            parts.append([torch.stack(t).mean().item() for t in terms])
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
        w = [0.0448, 0.2856, 0.3001]
        w = [value / sum(w) for value in w]
        return parts[0][0] ** w[0] * parts[1][0] ** w[1] * parts[2][1] ** w[2]

    assert ms_ssim(y, x)[0].item() == pytest.approx(slow(y[0], x[0]), abs=1e-4)


def test_augmentation_moves_input_and_target_alike_and_only_the_input_is_noisy():
    faces = load_faces(FACES, "train", limit=32, face_px=32).images
    still = augment_faces(faces, random(), warp_share=0, wild_share=0, strength=0)
    plain = faces.float() / 127.5 - 1
    same = [torch.allclose(t, p, atol=1e-6) or torch.allclose(t, p.flip(2), atol=1e-6)
            for t, p in zip(still.targets, plain, strict=True)]  # fmt: skip
    assert all(same)
    assert torch.equal(still.inputs, still.targets)
    assert still.aligned.all()
    batch, again = (augment_faces(faces, random(3), wild_share=0.5) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(batch, again, strict=True))
    assert 4 < int(batch.aligned.sum()) < 28
    noise = (batch.inputs - batch.targets).flatten(1).abs().mean(dim=1)
    assert (noise == 0).any()
    assert 0 < noise.max() < 0.06
    assert batch.inputs.abs().max() <= 1


@torch.no_grad()
def test_identity_is_counted_against_the_threshold():
    generator = tiny_generator()
    encoder = Encoder.for_generator(generator, 8, width=4).eval()
    identity = FaceIdentity(32, width=4).eval()
    images = load_faces(FACES, "train", limit=8, face_px=32).images
    low, high = (same_person(encoder, generator, identity, images, limit) for limit in (-1.0, 1.0))
    assert (low["identity_share"], low["other_share"]) == (1, 1)
    embeddings = [identity(from_uint8(images))]
    output = encoder(from_uint8(images))
    embeddings += [identity(generator.synthesis.finish(output.state, output.w_plus, 8).clamp(-1, 1))]
    cosines = embeddings[0] @ embeddings[1].T  # [face, reconstruction]
    assert low["identity_mean"] == pytest.approx(cosines.diag().mean().item(), abs=1e-3)
    others = torch.stack([cosines[(row - 1) % 8, row] for row in range(8)])
    assert low["other_mean"] == pytest.approx(others.mean().item(), abs=1e-3)
    assert high["identity_share"] < 1
    assert low["identity_mean"] == high["identity_mean"] <= 1


def test_a_measurement_is_the_same_every_time():
    generator = tiny_generator()
    encoder = Encoder.for_generator(generator, 8, width=4).eval()
    images = load_faces(FACES, "train", limit=8, face_px=32).images
    frozen = ModelBundle(generator, discriminator=tiny_discriminator())
    numbers = measure(encoder, frozen, images)
    assert numbers == measure(encoder, frozen, images)
    parts = measure(encoder, frozen, images, batch_size=3)
    assert parts["psnr"] == pytest.approx(numbers["psnr"], abs=0.05)
    assert 0 < numbers["feature_distance"] < 4
