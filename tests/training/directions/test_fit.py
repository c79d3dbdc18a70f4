"""The script that makes directions, on a tiny generator whose faces are scored by plain arithmetic."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from gan_space.errors import ConfigError, TrainingError
from gan_space.latents.directions import Directions
from gan_space.models.analyzer import Analyzer
from gan_space.models.discriminator import Discriminator
from gan_space.models.encoder import Encoder
from gan_space.models.face_identity import FaceIdentity
from gan_space.models.generator import Generator
from gan_space.models.hashing import weights_sha256
from gan_space.output.provenance import read_provenance
from training.directions.checks import (
    DrawnFaces,
    Judge,
    Measured,
    Population,
    Scores,
    Sweep,
    measure_direction,
    measure_population,
    safe_range_of,
    success_share,
    usual_range,
)
from training.directions.descent import descend
from training.directions.fit import FitDirectionsConfig, fit_directions, main
from training.directions.judges import analyzer_scorer
from training.directions.pictures import leak_matrix
from training.directions.search import photo_scale

pytestmark = pytest.mark.slow

W_DIM, NUM_WS = 16, 6
PLAIN = {"num_fit": 300, "descent_steps": 0, "max_leak": 99.0}
SMALL = dict(model="tiny", num_fit=400, num_search=12, num_measure=16, descent_steps=20, pictures=False)
ONCE = SMALL | {"num_fit": 300}


@pytest.fixture(scope="module")
def generator() -> Generator:
    """Styles near 1 and no clipped colours: nearly linear, as a trained network is along most of a slider."""
    torch.manual_seed(1)
    network = Generator(
        16, z_dim=8, w_dim=W_DIM, channel_base=256, channel_max=16, num_mapping_layers=2, use_noise=False
    )
    network.compute_dtype = torch.float32
    with torch.no_grad():
        for name, parameter in network.synthesis.named_parameters():
            if name.endswith("affine.weight") or "torgb.weight" in name:
                parameter.mul_(0.3)
    z = torch.randn(500, 8)
    with torch.no_grad():
        network.mapping.w_avg.copy_(network.mapping(z)[:, 0].mean(dim=0))
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def found(generator, tmp_path_factory):
    """What a fit with the settings of `ONCE` gives."""
    config = FitDirectionsConfig(output=tmp_path_factory.mktemp("found"), **ONCE)
    return fit_directions(generator, arithmetic, config, say=lambda _: None)


@pytest.fixture(scope="module")
def found_plainly(generator, tmp_path_factory):
    """What a fit without descent gives where nothing is left out."""
    config = FitDirectionsConfig(output=tmp_path_factory.mktemp("plain"), **SMALL | PLAIN | {"min_success": 0.0})
    return fit_directions(generator, arithmetic, config, say=lambda _: None)


def arithmetic(images: torch.Tensor) -> Scores:
    """Light and warmth may be steered; green is watched; the small picture itself stands for the person."""
    red, green, blue = images.mean(dim=(2, 3)).unbind(dim=1)
    person = F.normalize(F.adaptive_avg_pool2d(images, 4).flatten(1), dim=1)
    values = {"light": red + green + blue, "warmth": red - blue}
    natural = {name: 10 * value for name, value in values.items()}
    return Scores(values, natural, {"green": green - (red + blue) / 2}, person)


def test_found_directions_do_what_they_say_and_little_else(generator, tmp_path):
    lines = []
    config = FitDirectionsConfig(output=tmp_path, **SMALL)
    result = fit_directions(generator, arithmetic, config, say=lines.append)
    assert result.directions.names == ("light", "warmth") and len(lines) == 2
    result.directions.check_fits(generator)
    # Measured here once more, on faces that the fit never saw.
    torch.manual_seed(7)
    w_plus = generator.mapping(torch.randn(64, 8), truncation_psi=0.7)
    usual = arithmetic(generator.synthesis(generator.mapping(torch.randn(800, 8)), noise_mode="const").clamp(-1, 1))
    deviation = {**usual.values, **usual.watched}
    deviation = {name: value.std().item() for name, value in deviation.items()}
    for one, other in (("light", "warmth"), ("warmth", "light")):
        up, down = (
            arithmetic(
                generator.synthesis(result.directions.apply(w_plus, {one: amount}), noise_mode="const").clamp(-1, 1)
            )
            for amount in (1, -1)
        )
        change = {name: (up.values[name] - down.values[name]).mean().item() / 2 for name in (one, other)}
        change["green"] = (up.watched["green"] - down.watched["green"]).mean().item() / 2
        change = {name: value / deviation[name] for name, value in change.items()}
        assert change[one] == pytest.approx(1, abs=0.2), "an amount of 1 is one standard deviation"
        assert abs(change[other]) < 0.3 and abs(change["green"]) < 0.3
        direction = result.directions[one]
        assert direction.success > 0.6 and direction.monotone > 0.9
        assert set(direction.effects) == {"light", "warmth"}  # what is only watched is no business of the file
        assert direction.step == pytest.approx(10 * deviation[one], rel=0.3)
        assert "green" in result.metrics["attributes"][one]["leak"]
    json.dumps(result.metrics)


def test_the_same_seed_gives_the_same_directions(generator, found, tmp_path):
    again = fit_directions(generator, arithmetic, FitDirectionsConfig(output=tmp_path, **ONCE), say=lambda _: None)
    assert all(torch.equal(a.vector, b.vector) for a, b in zip(found.directions, again.directions, strict=True))


def test_descent_makes_faces_change_alike_and_leak_less(generator):
    w = generator.mapping(torch.randn(600, 8, generator=torch.Generator().manual_seed(5)))[:, 0]
    w_plus = w[:64, None].expand(-1, NUM_WS, -1)
    about = measure_population(w, arithmetic(generator.synthesis(w_plus, noise_mode="const").clamp(-1, 1)))
    judge = Judge(arithmetic, about)
    step = torch.randn(W_DIM, generator=torch.Generator().manual_seed(6)).expand(NUM_WS, W_DIM)
    faces = DrawnFaces(generator.synthesis, w_plus)
    effect = judge.sweep(faces, step, (-1.0, 1.0)).effects(-1.0, 1.0)[0].item()
    start = step / effect  # some way to more light, among much else
    better = descend(start, 0, judge, generator, steps=60, first_seed=50, psi=0.7)
    assert better.shape == start.shape and not better.requires_grad

    def error(vector):
        sweep = judge.sweep(faces, vector, (0.0, 1.0))
        change = sweep.values[1] - sweep.values[0]
        return (change[:, 0] - 1).square().mean().item(), change[:, 1:].mean(dim=0).square().sum().item()

    (own, leak), (own_before, leak_before) = error(better), error(start)
    assert own < max(own_before, 0.05) and leak < 0.3 * leak_before
    assert torch.equal(better, descend(start, 0, judge, generator, steps=60, first_seed=50, psi=0.7))
    assert torch.equal(start, descend(start, 0, judge, generator, steps=0, first_seed=50, psi=0.7))


def test_what_seldom_arrives_is_left_out(generator, found_plainly, tmp_path):
    most = max(one.success for one in found_plainly.directions)
    assert found_plainly.directions.names == ("light", "warmth") and most < 1
    lines = []
    config = FitDirectionsConfig(output=tmp_path, **SMALL | PLAIN | {"min_success": most + 0.01})
    with pytest.raises(TrainingError, match="no direction was found"):
        fit_directions(generator, arithmetic, config, say=lines.append)
    assert all("left out, below --min_success" in line for line in lines) and len(lines) == 2


def test_what_leaks_too_much_is_left_out(generator, found_plainly, tmp_path):
    records = found_plainly.metrics["attributes"]
    leaks = {name: max(map(abs, record["leak"].values())) for name, record in records.items()}
    cleaner, other = sorted(leaks, key=leaks.get)
    lines = []
    between = (leaks[cleaner] + leaks[other]) / 2
    config = FitDirectionsConfig(output=tmp_path, **SMALL | PLAIN | {"min_success": 0.0, "max_leak": between})
    assert fit_directions(generator, arithmetic, config, say=lines.append).directions.names == (cleaner,)
    assert any(line.startswith(f"{other}: left out, above --max_leak") for line in lines)


def test_descent_leaves_alone_what_it_is_told_to(generator, tmp_path):
    settings = [{"descent_steps": 0}, {"no_descent": ("light",)}]
    configs = [FitDirectionsConfig(output=tmp_path, **SMALL | {"num_fit": 300} | one) for one in settings]
    read, mixed = (fit_directions(generator, arithmetic, config, say=lambda _: None).directions for config in configs)
    assert torch.equal(read["light"].vector, mixed["light"].vector)
    assert not torch.equal(read["warmth"].vector, mixed["warmth"].vector)


@pytest.mark.parametrize(("shares", "kept"), [([0.95, 0.0], 1), ([0.5, 0.8], 2), ([0.8, 0.5], 1)])
def test_a_slider_that_ends_too_early_is_improved_again_and_the_better_one_kept(
    generator, tmp_path, monkeypatch, shares, kept
):
    tries, left = [], list(shares)

    def improved(vector, *args, length_weight, **options):
        tries.append((length_weight, vector + 0.02 * len(tries) * torch.randn(vector.shape)))
        return tries[-1][1]

    monkeypatch.setattr("training.directions.fit.descend", improved)
    monkeypatch.setattr("training.directions.fit.success_share", lambda *args: left.pop(0))
    config = FitDirectionsConfig(output=tmp_path, **SMALL | {"num_fit": 300, "no_descent": ("warmth",)})
    found = fit_directions(generator, arithmetic, config, say=lambda _: None).directions["light"].vector
    assert len(tries) == (1 if shares[0] >= 0.9 else 2)
    assert [weight for weight, _ in tries] == sorted(weight for weight, _ in tries), "the shorter moves come second"
    wanted = tries[kept - 1][1]
    assert F.cosine_similarity(found.flatten(), wanted.flatten(), dim=0) > 1 - 1e-6


def test_what_no_code_changes_is_left_out(generator, tmp_path):
    def constant(images):
        return Scores({"hair": torch.arange(len(images)) % 2.0}, {"hair": torch.zeros(len(images))}, {}, None)

    config = FitDirectionsConfig(output=tmp_path, **SMALL | {"num_fit": 120})
    with pytest.raises(TrainingError, match="no direction was found"):
        fit_directions(generator, constant, config, say=lambda _: None)


@pytest.fixture(scope="module")
def model(generator, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    torch.manual_seed(2)
    folder.mkdir()
    (folder / "metadata.json").write_text('{"name": "a tiny model"}')
    generator.save_pretrained(folder / "generator")
    Discriminator(16, channel_base=64, channel_max=8).save_pretrained(folder / "discriminator")
    Encoder(16, 8, num_ws=NUM_WS, w_dim=W_DIM, feature_channels=16, width=4, hidden=8).save_pretrained(
        folder / "encoder"
    )
    Analyzer(width=4, features_dim=16, embedding_dim=8).save_pretrained(folder / "analyzer")
    FaceIdentity(resolution=32, width=4, embedding_dim=8).save_pretrained(folder / "identity")
    return folder


def test_the_script_writes_all_of_it(model, tmp_path, capsys):
    faces = "tests/data/fairface64.parquet"
    arguments = ["--model", str(model), "--output", str(tmp_path / "out"), "--attributes", "brightness"]
    arguments += ["--min_success", "0"]
    arguments += ["--num_fit", "200", "--num_search", "8", "--num_measure", "8", "--dataset_name", faces]
    arguments += ["--descent_steps", "2", "--max_leak", "99", "--drawn_only", "brightness"]
    assert main([*arguments, "--dataset_split", "train"]) == 0, str(capsys.readouterr())
    directions = Directions.from_pretrained(tmp_path / "out" / "directions")
    assert directions.names == ("brightness",) and directions["brightness"].text("zh-CN") == "明暗"
    directions.check_fits(Generator.from_pretrained(model, subfolder="generator"))
    assert directions.base_model == "a tiny model" and not directions["brightness"].on_photos
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    record = metrics["attributes"]["brightness"]
    assert metrics["realism"] == "W and discriminator" and metrics["num_encoded"] == 8
    assert set(record["leak"]) == {"skin_tone"} == set(record["encoded"]["leak"])
    on_photos = metrics["on_photos"]  # what the app shows of photos travels with the directions
    assert on_photos == {
        name: {key: record["encoded"][key] for key in ("success", "monotone", "leak")} for name in on_photos
    }
    assert metrics["model_sha256"] == directions.base_hash
    assert metrics["analyzer_sha256"] == weights_sha256(Analyzer.from_pretrained(model, subfolder="analyzer"))
    assert metrics["identity_sha256"] == weights_sha256(FaceIdentity.from_pretrained(model, subfolder="identity"))
    assert record["identity"] is not None
    assert directions["brightness"].photo_scale == record["encoded"]["photo_scale"] >= 1
    strip = tmp_path / "out" / "pictures" / "strip_brightness.webp"
    assert read_provenance(strip).is_ai_made and Image.open(strip).size == (7 * 16, 6 * 16)
    assert Image.open(tmp_path / "out" / "pictures" / "leak_matrix.png").width > 200


def test_old_directions_are_measured_as_they_are(generator, found, tmp_path):
    config, known = FitDirectionsConfig(output=tmp_path, **ONCE), found.directions
    kept = Directions((known["warmth"],), known.base_hash, known.base_model, known.record)
    again = fit_directions(generator, arithmetic, config, known=kept, say=lambda _: None)
    assert again.directions.names == ("warmth",) and again.directions["warmth"].on_photos
    drawn_only = dataclasses.replace(kept["warmth"], on_photos=False)  # what an eye has said of it stays
    kept = Directions((drawn_only,), known.base_hash, known.base_model, known.record)
    assert (
        not fit_directions(generator, arithmetic, config, known=kept, say=lambda _: None).directions["warmth"].on_photos
    )
    assert torch.equal(again.directions["warmth"].vector, known["warmth"].vector)
    # The same faces and the same judge find the same.
    assert again.metrics["attributes"]["warmth"]["effects"] == found.metrics["attributes"]["warmth"]["effects"]
    assert again.directions["warmth"].success == known["warmth"].success


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            [
                "--num_fit",
                "5",
                "--leak_limit",
                "0",
                "--descent_steps",
                "-1",
                "--max_leak",
                "0",
            ],
            ["--num_fit", "--leak", "--descent_steps", "--max_leak"],
        ),
        (["--attributes", "hair"], ["hair", "smile"]),
        (["--attributes", "skin_tone"], ["skin_tone"]),
        (["--analyzer", "./nowhere"], ["nowhere"]),
        (["--identity", "./nobody"], ["nobody"]),
        (["--model", "./nowhere"], ["nowhere"]),
        (["--measure_only"], ["directions"]),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(model, flags, words, refused):
    refused(main, ["--model", str(model), *flags], words, "--output")


def test_real_faces_need_an_encoder(model, tmp_path, capsys):
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("generator", "analyzer"):
        shutil.copytree(model / name, bare / name)
    assert main(["--model", str(bare), "--output", str(tmp_path / "never"), "--dataset_name", "tests/data"]) == 2
    assert "encoder" in capsys.readouterr().err


def test_the_analyzer_watches_skin_tone_where_it_can():
    torch.manual_seed(0)
    images = torch.rand(3, 3, 32, 32)
    scores = analyzer_scorer(Analyzer(width=4, features_dim=8).eval())(images)
    assert list(scores.watched) == ["skin_tone"] and "skin_tone" not in scores.values
    bare = analyzer_scorer(Analyzer(width=4, features_dim=8, fairness_attributes=()).eval(), ["age", "yaw"])(images)
    assert bare.watched == {} and list(bare.values) == ["age", "yaw"]
    with pytest.raises(ConfigError, match="hair"):
        analyzer_scorer(Analyzer(width=4, features_dim=8), ["hair"])


@torch.no_grad()
def test_the_identity_network_says_whose_face_it_is():
    torch.manual_seed(0)
    images = torch.rand(3, 3, 32, 32)
    own, identity = Analyzer(width=4, features_dim=8).eval(), FaceIdentity(resolution=32, width=4).eval()
    alone, judged = analyzer_scorer(own)(images), analyzer_scorer(own, identity=identity)(images)
    assert torch.equal(judged.embedding, identity(images)) and alone.embedding is None
    assert judged.values.keys() == alone.values.keys()
    assert all(torch.equal(judged.values[name], alone.values[name]) for name in alone.values)


def population(**settings) -> Population:
    w = torch.randn(500, W_DIM, generator=torch.Generator().manual_seed(3))
    scores = torch.tensor([[-1.0], [0.0], [1.0]]).repeat(200, 1)[:500, 0]
    embedding = F.normalize(torch.randn(500, 4, generator=torch.Generator().manual_seed(4)), dim=1)
    return measure_population(w, Scores({"a": scores}, {"a": scores}, {"b": 2 * scores}, embedding), **settings)


def test_success_counts_only_faces_that_were_not_there_before():
    about = population()
    std = about.std[0].item()
    raw = torch.tensor([[-2.0, -1.0, -0.5, 3.0], [-1.0, -0.5, 0.4, 3.0], [-0.1, 0.5, 1.0, 3.0]])
    values = ((raw - about.mean[0]) / std)[:, :, None].expand(3, 4, 2).double()
    sweep = Sweep((-1.0, 0.0, 1.0), values, raw[:, :, None])
    # Threshold 0, up: of the two below it one arrives (the last face and the third were there already).
    # Down: of the two above it, one gets below.
    assert success_share(sweep, 0, about, (-1.0, 1.0), 0.0) == pytest.approx((1 / 2 + 1 / 2) / 2)
    measured = measure_direction(sweep, 0, about, (-1.0, 1.0), 0.0)
    assert measured.monotone == 1.0
    assert measured.step == pytest.approx((raw[2] - raw[0]).mean().item() / 2, rel=1e-5)
    assert measured.leak("a")["b"] == pytest.approx(1.0)  # here b is the same thing
    back = Sweep(sweep.amounts, values[[0, 2, 1]], raw[[0, 2, 1]][:, :, None])
    assert measure_direction(back, 0, about, (-1.0, 1.0), 0.0).monotone == 0.25


def test_the_person_is_measured_for_one_step_as_every_other_leak():
    about = population()
    amounts = (-2.0, -1.0, 0.0, 1.0, 2.0)
    values = 0.5 * torch.tensor(amounts, dtype=torch.float64)[:, None, None].expand(5, 3, 2)  # half a step for 1
    angles = 0.3 * torch.tensor(amounts)
    embedding = torch.stack([angles.cos(), angles.sin()], dim=1)[:, None].expand(5, 3, 2)
    sweep = Sweep(amounts, values, values[:, :, :1], embedding)
    measured = measure_direction(sweep, 0, about, (-2.0, 2.0), None)
    turned = [(1 - math.cos(0.3 * amount)) / about.other_person for amount in (1, 2)]
    assert measured.identity == pytest.approx(turned[1], rel=1e-4)
    assert measured.identity_step == pytest.approx(turned[0] / 0.5, rel=1e-4)


def test_the_safe_range_ends_where_codes_faces_or_the_score_give_way():
    about = population(logits=torch.linspace(0, 1, 500))
    vector = torch.zeros(NUM_WS, W_DIM)
    vector[2, 0] = 1.0
    codes = about.w.mean.float().expand(5, NUM_WS, W_DIM)
    amounts = tuple(float(amount) for amount in range(-9, 10))
    low, high = usual_range(vector, codes, about, amounts)
    # W is nearly round here. All rows have a sixth of the move in common, and stand apart by the rest of it.
    apart = (5 / 6) ** 2 + 5 * (1 / 6) ** 2
    reach = about.usual_distance / (1 / 36 + apart) ** 0.5 * about.w.covariance[0, 0].sqrt().item()
    assert low == -high and abs(high - int(reach)) <= 1 and 2 < high < 9
    common = vector[2].expand(NUM_WS, W_DIM)  # in all rows: four standard deviations along its line end it
    assert usual_range(common, codes, about, amounts)[1] == int(4 * about.w.covariance[0, 0].sqrt().item()) < high
    logits = torch.full((19, 5), 0.5)
    values = torch.tensor(amounts).double()[:, None, None].repeat(1, 5, 2)
    sweep = Sweep(amounts, values, values, None, logits)
    assert safe_range_of(sweep, 0, vector, codes, about) == (low, high)
    logits[amounts.index(2.0) :] = -1.0  # the discriminator no longer believes
    assert safe_range_of(sweep, 0, vector, codes, about) == (low, 1.0)
    turned = F.normalize(torch.ones(19, 5, 4), dim=-1)
    turned[amounts.index(-3.0)] = F.normalize(torch.tensor([1.0, -1.0, 1.0, -1.0]), dim=-1)  # another person
    assert safe_range_of(replace(sweep, embedding=turned), 0, vector, codes, about) == (-2.0, 1.0)
    values[: amounts.index(-2.0) + 1] = -1.1  # from -1 on the score hardly follows
    assert safe_range_of(sweep, 0, vector, codes, about) == (-1.0, 1.0)


def test_a_sweep_scores_the_very_faces_at_the_very_amounts(generator):
    w_plus = generator.mapping(torch.randn(5, 8, generator=torch.Generator().manual_seed(0)))
    usual = arithmetic(generator.synthesis(w_plus, noise_mode="const"))
    about = measure_population(w_plus[:, 0], usual)
    vector = torch.ones(NUM_WS, W_DIM) * 0.1
    sweep = Judge(arithmetic, about, batch_size=2).sweep(DrawnFaces(generator.synthesis, w_plus), vector, (0.0, 2.0))
    by_hand = arithmetic(generator.synthesis(w_plus + 2 * vector, noise_mode="const").clamp(-1, 1))
    expected = (by_hand.watched["green"].double() - about.mean[2]) / about.std[2]
    torch.testing.assert_close(sweep.values[1, :, 2], expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(sweep.embedding[1], by_hand.embedding, atol=1e-4, rtol=1e-4)


def test_the_matrix_shows_what_leaks():
    sheet = leak_matrix({"smile": {"age": 0.9, "identity": 0.0}, "age": {"smile": -0.9}}, 0.2)
    colours = {colour for _, colour in sheet.getcolors(1 << 16)}
    assert any(red > blue + 80 for red, _, blue in colours) and any(blue > red + 80 for red, _, blue in colours)


def test_photos_that_follow_half_as_much_move_further(generator):
    """Faces that answer to a share of what is asked of them, as encoded photos do."""
    torch.manual_seed(3)
    codes = generator.mapping(torch.randn(16, 8), truncation_psi=0.7)
    images = generator.synthesis(generator.mapping(torch.randn(400, 8)), noise_mode="const").clamp(-1, 1)
    population = measure_population(generator.mapping(torch.randn(512, 8))[:, 0], arithmetic(images))
    judge = Judge(arithmetic, population, None, 16)

    class Sluggish(DrawnFaces):
        def draw(self, shift, rows):
            return super().draw(0.6 * shift, rows)

    class Stuck(DrawnFaces):
        def draw(self, shift, rows):
            return super().draw(0.6 * shift / max(1.0, shift.norm().item() / length), rows)

    vector = 0.2 * torch.randn(W_DIM).expand(NUM_WS, W_DIM)
    length = vector.norm().item()  # as far as the last kind goes
    ends, faces = (-1.0, 1.0), DrawnFaces(generator.synthesis, codes)
    if judge.sweep(faces, vector, ends).effects(*ends)[0] < 0:
        vector = -vector
    drawn = measure_direction(judge.sweep(faces, vector, (-1.0, 0.0, 1.0)), 0, population, ends, None)

    def scale(kind, drawn: Measured) -> float:
        return photo_scale(judge, kind(generator.synthesis, codes), vector, 0, drawn, None)

    slight = replace(drawn, success=0.0)  # so that the size of the step alone decides
    assert [scale(kind, slight) for kind in (DrawnFaces, Sluggish, Stuck)] == [1.0, 1.5, 1.0]
    easy = replace(slight, effects={name: 0.3 * effect for name, effect in drawn.effects.items()})
    assert scale(Sluggish, easy) == 1.0  # far enough on average
    assert scale(Sluggish, replace(easy, success=1.0)) > 1.0  # but too few arrive
