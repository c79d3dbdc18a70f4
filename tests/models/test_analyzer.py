"""The analyzer: what it takes and gives, and the weights in the package."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import gan_space
from gan_space.errors import ConfigError, InputError, WeightsError
from gan_space.models.analyzer import ATTRIBUTES, FAIRNESS_ATTRIBUTES, RACE_GROUPS, Analyzer, brightness, skin_tone

EMBEDDED = Path(gan_space.__file__).parent / "assets" / "default" / "analyzer"


def tiny(seed: int = 0, **options) -> Analyzer:
    torch.manual_seed(seed)
    return Analyzer(**{"resolution": 32, "width": 4, "features_dim": 16, "embedding_dim": 8} | options).eval()


def images(num: int = 3, side: int = 32) -> torch.Tensor:
    return torch.rand(num, 3, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


def plain(colour: tuple[int, int, int], side: int = 32) -> torch.Tensor:
    return (torch.tensor(colour) / 127.5 - 1).view(1, 3, 1, 1).expand(1, 3, side, side)


@torch.no_grad()
@pytest.mark.parametrize("side", [16, 32, 50])
def test_shapes_and_ranges_at_any_size(side):
    output = tiny()(images(3, side) * 3)
    assert tuple(output.attributes) == tuple(output.scores) == ATTRIBUTES
    for part in (output.attributes, output.scores):
        assert all(value.shape == (3,) and value.dtype == torch.float32 for value in part.values())
    for name in ("male", "smile", "mouth_open", "glasses"):
        assert ((output.attributes[name] > 0) & (output.attributes[name] < 1)).all()
        torch.testing.assert_close(output.attributes[name], output.scores[name].sigmoid())
    assert ((output.attributes["age"] >= 25) & (output.attributes["age"] <= 75)).all()
    torch.testing.assert_close(output.embedding.norm(dim=1), torch.ones(3))


@torch.no_grad()
def test_years_are_the_sum_over_the_limits():
    model = tiny()
    scores = torch.tensor([-50.0, 0.3, 1.2, 50.0])
    years = model.natural({"age": scores})["age"]
    slow = [25 + sum(10 / (1 + math.exp(limit - score)) for limit in model.age_limits.tolist()) for score in scores]
    torch.testing.assert_close(years, torch.tensor(slow), atol=1e-4, rtol=0)
    assert (years.diff() > 0).all() and years[0] == 25 and years[-1] == 75


def test_brightness_is_the_mean_grey_of_the_middle():
    x = images(2, 64).double()
    slow = []
    for picture in x:
        grey = [
            float((0.299 * picture[0, i, j] + 0.587 * picture[1, i, j] + 0.114 * picture[2, i, j] + 1) / 2)
            for i in range(10, 54)
            for j in range(10, 54)
        ]
        slow.append(sum(grey) / len(grey))
    torch.testing.assert_close(brightness(x), torch.tensor(slow, dtype=torch.float64))
    torch.testing.assert_close(brightness(plain((255, 255, 255))), torch.ones(1))


@pytest.mark.parametrize(
    ("colour", "lightness", "b"),  # published CIE L* and b* under D65
    [((255, 0, 0), 53.24, 67.20), ((255, 255, 0), 97.14, 94.48), ((0, 255, 0), 87.73, 83.18)],
)
def test_skin_tone_is_the_angle_in_the_lab_plane(colour, lightness, b):
    angle = math.degrees(math.atan2(lightness - 50, b))
    assert skin_tone(plain(colour)).item() == pytest.approx(angle, abs=0.05)


def test_skin_tone_looks_at_the_cheeks_and_orders_light_and_dark():
    shades = [(90, 60, 45), (150, 105, 80), (190, 145, 115), (235, 200, 180)]
    angles = [skin_tone(plain(shade)).item() for shade in shades]
    assert angles == sorted(angles) and angles[0] < -30 and angles[-1] > 41
    face = plain((150, 105, 80), 64).clone()
    face[:, :, :30] = 1  # forehead
    face[:, :, 40:] = -1  # mouth and chin
    face[:, :, :, 24:40] = 0  # nose
    assert skin_tone(face).item() == pytest.approx(angles[1], abs=1e-3)


def test_scores_can_be_climbed_from_the_pixels():
    x = images().requires_grad_()
    output = tiny()(x)
    for name, score in output.scores.items():
        (gradient,) = torch.autograd.grad(score.sum(), x, retain_graph=True)
        assert gradient.abs().max() > 0, name
    (gradient,) = torch.autograd.grad(output.embedding[:, 0].sum(), x)
    assert gradient.abs().max() > 0


def test_what_measures_fairness_is_never_an_attribute():
    model = tiny()
    assert set(model.config.fairness_attributes) == set(FAIRNESS_ATTRIBUTES)
    assert not set(model.config.attributes) & set(FAIRNESS_ATTRIBUTES)
    groups = model.groups(images().requires_grad_())
    assert groups.race.shape == (3, len(RACE_GROUPS)) and groups.skin_tone.shape == (3,)
    torch.testing.assert_close(groups.race.sum(dim=1), torch.ones(3))
    assert not groups.race.requires_grad and not groups.skin_tone.requires_grad
    with pytest.raises(ConfigError, match=r"\['race'\] may be measured for fairness only"):
        tiny(attributes=("male", "race"))
    without = tiny(fairness_attributes=())
    assert not [name for name, _ in without.named_parameters() if "race" in name]
    with pytest.raises(InputError, match=r"built without \['race', 'skin_tone'\]"):
        without.groups(images())


@torch.no_grad()
def test_the_attributes_are_those_of_the_config():
    model = tiny(attributes=["wearing_hat", "brightness", "smile"])
    assert list(model(images()).attributes) == ["wearing_hat", "brightness", "smile"]
    assert not hasattr(model, "age_limits")


def test_every_parameter_learns():
    model, x = tiny().train(), images(6)
    trunk = model.trunk(x)
    features = model.hidden_features(trunk)
    scores = model.scores(features, x)
    loss = sum((value + 0.1).square().sum() for value in model.natural(scores).values())
    loss = loss + model.embed(trunk)[:, 0].sum() + model.race_head(features).square().sum()
    loss.backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None or p.grad.abs().max() == 0]


@torch.no_grad()
def test_calibration_scales_and_moves_the_scores():
    model = tiny()
    before = model(images())
    model.calibrate("smile", 2.5, [0.75])
    model.calibrate("age", 1.5, [0.0, 1.0, 2.0, 3.0, 4.5])
    after = model(images())
    torch.testing.assert_close(after.scores["smile"], 2.5 * before.scores["smile"] - 0.75)
    torch.testing.assert_close(after.scores["age"], 1.5 * before.scores["age"])
    assert model.age_limits.tolist() == [0.0, 1.0, 2.0, 3.0, 4.5]
    for name in ("male", "glasses", "yaw"):
        assert torch.equal(after.scores[name], before.scores[name])


@torch.no_grad()
def test_saved_and_loaded_it_is_the_same(tmp_path):
    model = tiny()
    model.hidden_norm.running_mean.fill_(0.3)  # buffers count as well
    model.save_pretrained(tmp_path)
    loaded = Analyzer.from_pretrained(tmp_path).eval()
    assert list(loaded.config.attributes) == list(ATTRIBUTES)
    assert torch.equal(loaded(images()).embedding, model(images()).embedding)
    config = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(config.replace('"features_dim": 16', '"features_dim": 24'))
    with pytest.raises(WeightsError, match="head"):
        Analyzer.from_pretrained(tmp_path)


def test_what_cannot_be_read_or_built_is_refused():
    for shape in ([3, 32, 32], [1, 3, 32, 48], [1, 1, 32, 32], [1, 3, 8, 8]):
        with pytest.raises(InputError, match=r"faces must be \[N, 3, S, S\] of 16 px or more"):
            tiny()(torch.zeros(shape))
    with pytest.raises(ConfigError, match=r"(?s)4 problems.*width.*multiple of 16.*got 40.*differ.*rising"):
        Analyzer(resolution=40, width=0, attributes=("smile", "smile"), age_years=(30, 20))
    with pytest.raises(ConfigError, match="must be among"):
        Analyzer(fairness_attributes=("religion",))


@torch.no_grad()
def test_the_weights_in_the_package_are_small_and_read_faces():
    from training.common.face_labels import load_labelled_faces
    from training.identity.pairs import auc

    assert (EMBEDDED / "diffusion_pytorch_model.safetensors").stat().st_size <= 4_000_000
    model = Analyzer.from_pretrained(EMBEDDED).eval()
    assert sum(p.numel() for p in model.parameters()) <= 1_000_000
    path = Path(__file__).resolve().parents[1] / "data" / "fairface64.parquet"
    faces = load_labelled_faces(str(path), "train", face_px=128)
    output = model(faces.images / 127.5 - 1)
    assert auc(output.attributes["male"].numpy(), faces.labels["male"].numpy()) > 0.85
    assert np.corrcoef(output.attributes["age"], faces.labels["age"])[0, 1] > 0.6
    mirrored = model((faces.images / 127.5 - 1).flip(3))
    assert np.corrcoef(output.attributes["yaw"], mirrored.attributes["yaw"])[0, 1] < -0.9


@torch.no_grad()
def test_the_embedding_in_the_package_spreads_over_many_directions():
    from training.common.face_labels import load_labelled_faces
    from training.identity.pairs import effective_dim

    path = Path(__file__).resolve().parents[1] / "data" / "fairface64.parquet"
    faces = load_labelled_faces(str(path), "train", face_px=128)
    output = Analyzer.from_pretrained(EMBEDDED).eval()(faces.images / 127.5 - 1)
    assert effective_dim(output.embedding.double().numpy()) > 10
