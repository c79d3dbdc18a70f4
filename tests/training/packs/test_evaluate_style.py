"""The measurement of looks: its maths against slow and obvious code, and the script on a tiny model."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from PIL import Image

from gan_space.errors import ConfigError, DataError
from gan_space.models.discriminator import Discriminator
from gan_space.models.face_identity import FaceIdentity
from gan_space.models.hashing import weights_sha256
from gan_space.output.lab import rgb_to_lab
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from tests.pipelines.styling import R, make_networks, make_pack
from training.packs import evaluate_style
from training.packs.evaluate_style import EvaluateStyleConfig, better_share, pick_references
from training.packs.judge import identity_judge
from training.packs.measures import (
    code_moments,
    color_moments,
    gram_distance,
    gram_matrices,
    lab_histogram_distance,
    landmarks_moved,
    match_code,
    structure_similarity,
    transfer_colors,
)

pytestmark = pytest.mark.slow

DATA = Path(__file__).resolve().parents[2] / "data"


def pictures(num: int = 2, seed: int = 0) -> torch.Tensor:
    """Smooth random ones, away from black and white."""
    noise = torch.rand(num, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) - 0.5
    return torch.nn.functional.interpolate(noise, size=(R, R), mode="bilinear")


def test_gram_matrices_are_products_of_features_summed_by_hand():
    features = torch.randn(2, 3, 4, 5)
    (gram,) = gram_matrices([features])
    for n in range(2):
        for i in range(3):
            for j in range(3):
                by_hand = sum(
                    float(features[n, i, y, x]) * float(features[n, j, y, x]) for y in range(4) for x in range(5)
                )
                assert float(gram[n, i, j]) == pytest.approx(by_hand / 20, abs=1e-5)


def test_a_gram_distance_forgets_places_and_knows_features():
    features = torch.randn(2, 6, 4, 4)
    elsewhere = features.flatten(2)[:, :, torch.randperm(16)].unflatten(2, (4, 4))
    own, moved, other = (gram_matrices([one]) for one in (features, elsewhere, torch.randn(2, 6, 4, 4)))
    assert gram_distance(own, moved).max() < 1e-6
    assert gram_distance(own, other).min() > 0.05
    opposite = [-matrix for matrix in own]
    torch.testing.assert_close(gram_distance(own, opposite), torch.ones(2))


def test_a_histogram_distance_is_how_far_a_flat_colour_moved():
    grey, light = torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), 0.5)
    by_hand = (rgb_to_lab(light) - rgb_to_lab(grey))[0, :, 0, 0].abs().mean()
    assert float(lab_histogram_distance(grey, light)) == pytest.approx(float(by_hand), rel=1e-5)
    images = pictures()
    assert lab_histogram_distance(images, images.flip(dims=(2, 3))).max() < 1e-4  # the same colours, elsewhere


def test_structure_similarity_sees_light_and_dark_alone():
    images = pictures()
    grey = (images * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(dim=1, keepdim=True).expand_as(images)
    assert structure_similarity(images, grey).min() > 0.999
    assert structure_similarity(images, -images).max() < 0.5


def test_landmarks_count_in_eye_distances():
    points = torch.tensor([[[0.3, 0.3], [0.7, 0.3], [0.5, 0.7]]])
    moved = points.clone()
    moved[0, 2, 1] += 0.12  # one of three, by 0.3 eye distances
    assert float(landmarks_moved(moved, points)) == pytest.approx(100 * 0.3 / 3, rel=1e-4)


def test_colour_transfer_gives_mean_and_deviation_and_stops_half_way():
    images, reference = pictures(2, seed=1), pictures(2, seed=2)
    mean, std = color_moments(reference)
    new_mean, new_std = color_moments(transfer_colors(images, mean, std))
    torch.testing.assert_close(new_mean, mean, atol=0.3, rtol=0)  # a few colours lie outside sRGB
    torch.testing.assert_close(new_std, std, atol=0.3, rtol=0)
    torch.testing.assert_close(transfer_colors(images, mean, std, 0.0), images, atol=1e-4, rtol=0)
    half, _ = color_moments(transfer_colors(images, mean, std, 0.5))
    torch.testing.assert_close(half, (color_moments(images)[0] + mean) / 2, atol=0.3, rtol=0)


def test_matched_codes_have_the_moments_of_the_reference():
    w_plus, reference = torch.randn(2, 5, 16), 3 * torch.randn(2, 5, 16) + 1
    moments = code_moments(reference)
    for got, wanted in zip(code_moments(match_code(w_plus, *moments)), moments, strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(match_code(w_plus, *moments, 0.0), w_plus)


def test_better_needs_both_axes_at_once():
    names = ("gram_discriminator", "gram_random", "lab_histogram", "landmarks")
    ours = {name: torch.tensor([1.0, 1.0, 3.0]) for name in names}
    peer = {name: torch.tensor([2.0, 2.0, 2.0]) for name in names}
    ours |= {"ms_ssim": torch.tensor([0.9, 0.5, 0.9]), "ms_ssim_look": torch.tensor([0.9, 0.9, 0.9])}
    peer |= {"ms_ssim": torch.tensor([0.8, 0.8, 0.8]), "ms_ssim_look": torch.tensor([0.8, 0.8, 0.8])}
    shares = better_share(ours, peer)
    assert shares["gram_random"] == shares["ms_ssim"] == pytest.approx(2 / 3) and shares["ms_ssim_look"] == 1
    assert shares["both"] == pytest.approx(1 / 3) and shares["both_look"] == pytest.approx(2 / 3)


def test_references_come_from_all_kinds_in_turns(tmp_path):
    for kind, count in (("a", 3), ("b", 1)):
        (tmp_path / kind).mkdir()
        for number in range(count):
            Image.new("RGB", (8, 8)).save(tmp_path / kind / f"{number}.png")
    picked = pick_references(tmp_path, 6, seed=0)
    assert [file.parent.name for file in picked] == ["a", "b", "a", "a", "a", "b"]
    assert len(set(picked[:4])) == 4 and picked == pick_references(tmp_path, 6, seed=0)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        pick_references(tmp_path / "none", 2, seed=0)


def test_identity_is_judged_only_by_a_measured_and_able_network(tmp_path):
    assert not identity_judge(tmp_path / "nothing").usable
    network = FaceIdentity(resolution=32, width=2).eval()
    network.save_pretrained(tmp_path)
    identity = {"eer": 0.1, "eer_threshold": 0.5, "mean_same": 0.7, "mean_different": 0.1}
    (tmp_path / "metrics.json").write_text(json.dumps({"model_sha256": weights_sha256(network), "identity": identity}))
    judge = identity_judge(tmp_path)
    assert judge.usable and judge.similarity(pictures(), pictures()).min() > 0.999
    for change, reason in (({"eer": 0.34}, "34%"), ({}, "other weights")):
        record = {"model_sha256": weights_sha256(network) if change else "0", "identity": identity | change}
        (tmp_path / "metrics.json").write_text(json.dumps(record))
        judge = identity_judge(tmp_path)
        assert not judge.usable and reason in judge.verdict.reason


@pytest.fixture(scope="module")
def model(aligner, tmp_path_factory) -> Path:
    """A tiny model with two packs that carry the names of looks."""
    folder = tmp_path_factory.mktemp("model")
    generator, encoder = make_networks()
    torch.manual_seed(1)
    discriminator = Discriminator(R, channel_base=256, channel_max=12).eval()
    StyleTransferPipeline(generator, encoder, aligner, discriminator).save_pretrained(folder)
    preview = (DATA / "default_seeds_0-7.png").read_bytes()
    for name, transfer in (("film-tone", "change"), ("pencil", "picture")):
        make_pack(generator, encoder, name=name, transfer=transfer, preview=preview).save_pretrained(
            folder / "packs" / name
        )
    return folder


def test_the_script_measures_packs_and_references_from_end_to_end(model, tmp_path):
    config = dict(dataset_name=str(DATA / "fairface64.parquet"), model=str(model), split="train", num_faces=3)
    config |= {"references": DATA / "samples", "strengths": (0.0, 1.0), "output_dir": tmp_path}
    result = evaluate_style.run(EvaluateStyleConfig(**config))
    assert json.loads((tmp_path / "style.json").read_text())["packs"].keys() == {"film-tone", "pencil"}
    assert {file.name for file in tmp_path.glob("*.png")} == {"film-tone.png", "pencil.png", "references.png"}
    for look in (*result["packs"].values(), result["references"]):
        assert look["target"]["gram_random"] < 1e-6 and look["photo"]["landmarks"] == 0
        for numbers in (*look["ours"].values(), *look["peers"].values()):
            assert all(math.isfinite(value) for value in numbers.values())
    film = result["packs"]["film-tone"]
    # "change" at strength 0 gives the photo itself, so every distance to the look is that of the photo.
    assert film["ours"]["0"] == pytest.approx(film["photo"], abs=1e-4)
    assert film["ours"]["1"]["ms_ssim"] < 0.999
    report = (tmp_path / "style.md").read_text()
    assert "Identity is left out" in report and "| `pencil` |" in report and "AdaIN in W" in report


def test_bad_settings_are_named_all_at_once(tmp_path):
    config = EvaluateStyleConfig(
        "x", tmp_path, num_faces=1, looks=("glitter",), strengths=(0.5, 0.2), references=tmp_path / "none"
    )
    with pytest.raises(ConfigError) as caught:
        config.check()
    for word in ("--num_faces", "glitter", "ascend", "have 1", "--references"):
        assert word in str(caught.value)
