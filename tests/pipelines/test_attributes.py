"""`attributes=` of the generation pipeline: faces move along directions, and recipes draw them again."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from gan_space.errors import InputError, WeightsError
from gan_space.latents.directions import Direction, Directions
from gan_space.models.generator import Generator
from gan_space.models.hashing import weights_sha256
from gan_space.pipelines.generation import GenerationPipeline

SHAPE = (8, 16)


def vector(seed: int) -> torch.Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def steered(pipe) -> GenerationPipeline:
    smile = Direction("smile", vector(1), safe_range=(-2, 2), effects={"smile": 1.0, "age": 0.2})
    age = Direction("age", vector(2), safe_range=(-1, 1), effects={"smile": 0.0, "age": 1.0})
    pipe.directions = Directions((smile, age), weights_sha256(pipe.generator), "tiny")
    return pipe


def pixels(pictures) -> np.ndarray:
    return np.stack([np.asarray(picture) for picture in pictures]).astype(int)


def test_codes_move_after_truncation_and_mixing(steered):
    options = dict(seeds=[1, 2], truncation_psi=0.5, style_mixing_seeds=[3], style_mixing_layers="fine")
    plain, moved = steered(**options), steered(**options, attributes={"smile": 1.5, "age": -1})
    torch.testing.assert_close(moved.w_plus, plain.w_plus + 1.5 * vector(1) - vector(2))
    assert np.abs(pixels(moved.images) - pixels(plain.images)).mean() > 1


def test_every_picture_may_have_attributes_of_its_own(steered):
    plain = steered(seeds=[1, 2, 3]).w_plus
    out = steered(seeds=[1, 2, 3], attributes=[{"smile": 1}, {}, {"age": np.float32(0.5), "smile": 0}])
    torch.testing.assert_close(out.w_plus, plain + torch.stack([vector(1), torch.zeros(SHAPE), 0.5 * vector(2)]))
    assert [entry.get("attributes") for entry in out.recipe] == [{"smile": 1.0}, None, {"age": 0.5}]


@pytest.mark.parametrize(
    "arguments",
    [
        {"seeds": [11], "attributes": {"smile": -1.25}},
        {"seeds": [11], "attributes": {"smile": 0.1, "age": 1}, "style_mixing_seeds": [12], "style_mixing_layers": "5"},
        {"w_plus": np.random.RandomState(0).randn(1, *SHAPE), "attributes": {"smile": 2}},
    ],
)
def test_a_recipe_redraws_its_picture(steered, arguments):
    out = steered(**arguments)
    again = steered.generate_from_recipe(json.loads(json.dumps(out.recipe[0])))
    assert np.array_equal(pixels(again.images), pixels(out.images))
    assert again.recipe == out.recipe


def test_animations_and_their_frames_keep_the_attributes(steered):
    plain = steered.interpolate([1, 2], frames_between=2)
    out = steered.interpolate([1, 2], frames_between=2, attributes={"smile": 2})
    torch.testing.assert_close(out.w_plus, plain.w_plus + 2 * vector(1))
    again = steered.generate_from_recipe(json.loads(json.dumps(out.animation_recipe)))
    assert np.array_equal(pixels(again.images), pixels(out.images))
    for number in (0, 1):  # a stop, and a frame between two
        frame = steered.generate_from_recipe(json.loads(json.dumps(out.recipe[number])))
        assert np.abs(pixels(frame.images) - pixels(out.images[number : number + 1])).max() <= 1
        assert frame.recipe == out.recipe[number : number + 1]


@pytest.mark.parametrize(
    ("attributes", "word"),
    [
        ({"smile": 3.1}, "smile must be a number from -3 to 3"),
        ({"hair": 1}, "it has smile, age"),
        ([{"smile": 1}], "one dict or 2, got 1"),
        ("smile", "one dict such as"),
        ({"smile": "1"}, "amount of attribute 'smile'"),
        ({"smile": True}, "amount of attribute 'smile'"),
        ({3: 1}, "name of an attribute"),
        ([{"smile": 1}, None], "up to 64 names"),
    ],
)
def test_bad_attributes_are_explained(steered, attributes, word):
    with pytest.raises(InputError, match=word):
        steered(seeds=[1, 2], attributes=attributes)
    with pytest.raises(InputError):
        steered.interpolate([1, 2], attributes=attributes)


def test_a_model_without_directions_says_so(pipe):
    with pytest.raises(InputError, match="no directions"):
        pipe(seeds=[1], attributes={"smile": 1})
    assert len(pipe(seeds=[1], attributes={"smile": 0}).images) == 1
    assert len(pipe(seeds=[1], attributes={}).images) == 1


def test_directions_travel_with_the_model(steered, tmp_path):
    steered.save_pretrained(tmp_path / "model")
    loaded = GenerationPipeline.from_pretrained(tmp_path / "model")
    loaded.generator.compute_dtype = torch.float32
    assert loaded.directions.names == ("smile", "age")
    arguments = dict(seeds=[4], attributes={"smile": 1})
    assert np.abs(pixels(loaded(**arguments).images) - pixels(steered(**arguments).images)).max() <= 2
    shared = GenerationPipeline.from_pipe(loaded)
    assert shared.directions is loaded.directions
    half = GenerationPipeline.from_pretrained(tmp_path / "model", torch_dtype=torch.bfloat16)
    half.save_pretrained(tmp_path / "half")
    assert GenerationPipeline.from_pretrained(tmp_path / "half").directions.names == ("smile", "age")


def test_directions_of_another_generator_are_refused(steered, tmp_path):
    torch.manual_seed(5)
    other = Generator(resolution=32, z_dim=16, w_dim=16, channel_base=256, channel_max=16, num_mapping_layers=2).eval()
    assert GenerationPipeline.from_pipe(steered, generator=other).directions is None
    with pytest.raises(WeightsError, match="made for tiny"):
        GenerationPipeline(other).directions = steered.directions
    GenerationPipeline(other).save_pretrained(tmp_path)
    steered.directions.save_pretrained(tmp_path / "directions")
    with pytest.raises(WeightsError, match="made for tiny"):
        GenerationPipeline.from_pretrained(tmp_path)
