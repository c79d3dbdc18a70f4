"""Directions that a person finds, on any generator: found, marked, measured, named, used, and carried."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from gan_space.errors import InputError
from gan_space.latents.directions import Direction, Directions
from gan_space.latents.discovery import name_direction
from gan_space.models.analyzer import Analyzer
from gan_space.models.face_identity import FaceIdentity
from gan_space.models.generator import Generator
from gan_space.pipelines.conversion import convert_checkpoint
from gan_space.pipelines.generation import GenerationPipeline
from tests.formats.foreign_writers import dump, nvidia_snapshot


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    torch.manual_seed(0)
    return Analyzer(resolution=32, width=4, features_dim=16, embedding_dim=8).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def identity() -> FaceIdentity:
    torch.manual_seed(0)
    return FaceIdentity(resolution=32, width=4, embedding_dim=8).eval().requires_grad_(False)


@pytest.mark.parametrize("method", ["sefa", "ganspace"])
def test_directions_are_found_in_the_layers_asked_for_and_used(pipe, method):
    found = pipe.find_directions(method, "coarse", 3)
    assert [one.name for one in found] == [f"{method}_{number}" for number in (1, 2, 3)]
    assert all(one.layers == (0, 1, 2) for one in found)
    mine = name_direction(found[1], "Wide eyes")
    steered = pipe.with_directions([mine])
    assert pipe.directions is None and steered.directions.names == ("wide_eyes",)
    moved = steered(seeds=[4], attributes={"wide_eyes": 2.0}, output_type="pt")
    plain = pipe(seeds=[4], output_type="pt")
    assert torch.allclose(moved.w_plus, plain.w_plus + 2 * mine.vector, atol=1e-6)
    assert moved.recipe[0]["attributes"] == {"wide_eyes": 2.0}
    drawn = pipe.draw_along(mine, [4], (0.0, 2.0))
    assert torch.allclose(drawn[0, 0], plain.images[0], atol=1e-4)
    assert torch.allclose(drawn[0, 1], moved.images[0], atol=1e-4)


def test_an_amount_of_one_is_one_deviation_of_w(pipe):
    statistics = pipe.w_statistics()
    assert pipe.w_statistics() is statistics
    (first,) = pipe.find_directions("ganspace", "all", 1)
    largest = torch.linalg.eigvalsh(statistics.covariance)[-1].sqrt()
    assert first.vector[0].norm().item() == pytest.approx(largest.item(), rel=1e-4)


def test_marked_seeds_give_a_direction_that_tells_them(pipe):
    """Faces are sorted by a coordinate of their own w: the direction must find it."""
    codes = pipe(seeds=range(60), truncation_psi=1.0, output_type="pt").w_plus[:, 0]
    along = pipe.find_directions("ganspace", "all", 1)[0].vector[0]
    order = (codes @ along).argsort().tolist()
    less, more = order[:20], order[-20:]
    marked = pipe.direction_from_seeds(more, less, name="marked", truncation_psi=1.0)
    assert marked.accuracy > 0.8
    assert torch.nn.functional.cosine_similarity(marked.direction.vector[0], along, dim=0) > 0.7
    with pytest.raises(InputError, match="as more and as less"):
        pipe.direction_from_seeds([1, 2, 3], [3, 4], name="marked")
    with pytest.raises(InputError, match="race or skin tone"):
        pipe.direction_from_seeds(more, less, name="skin_tone")


def test_effects_are_those_of_the_analyzer(pipe, analyzer, identity):
    (found,) = pipe.find_directions("sefa", "all", 1)
    effects = pipe.measure_effects(found, analyzer, identity)
    assert set(effects.attributes) == set(analyzer.config.attributes)
    assert effects.identity > 0
    assert pipe.measure_effects(found, analyzer).identity is None
    back = pipe.measure_effects(dataclasses.replace(found, vector=-found.vector), analyzer)
    assert back.attributes == pytest.approx({name: -value for name, value in effects.attributes.items()}, abs=0.02)
    half = pipe.measure_effects(dataclasses.replace(found, vector=0.01 * found.vector), analyzer)
    assert max(map(abs, half.attributes.values())) < max(map(abs, effects.attributes.values()))
    assert pipe.measured(found, effects).effects == effects.attributes


def test_a_file_brings_them_back(pipe, tmp_path):
    mine = name_direction(pipe.find_directions("sefa", "middle", 1)[0], "刘海")
    pipe.bind_directions([mine], {"own": {}}).save_pretrained(tmp_path)
    again = Directions.from_pretrained(tmp_path)
    again.check_fits(pipe.generator)
    assert again.names == ("own",) and again["own"].text("zh-CN") == "刘海"
    assert torch.equal(again["own"].vector, mine.vector)


def test_joining_takes_the_place_of_one_of_the_same_name(pipe):
    one, two = pipe.find_directions("sefa", "all", 2)
    steered = pipe.with_directions([name_direction(one, "A")])
    again = steered.with_directions([name_direction(two, "A"), name_direction(two, "B")])
    assert again.directions.names == ("a", "b")
    assert torch.equal(again.directions["a"].vector, two.vector)
    assert pipe.joined_directions([]) is None


@pytest.mark.parametrize(
    ("text", "name"),
    [("Fringe", "fringe"), ("Wide  eyes!", "wide_eyes"), ("刘海", "own"), ("2nd smile", "own_2nd_smile"), ("A", "a_3")],
)
def test_names_for_programs_come_from_names_for_people(text, name):
    one = name_direction(Direction("sefa_1", torch.ones(2, 3)), text, taken={"a", "a_2"})
    assert one.name == name and one.text("en") == one.text("zh-CN") == " ".join(text.split())


@pytest.mark.parametrize("text", ["", "   ", "x" * 61, "skin tone", "肤色", "a\x00b"])
def test_names_that_are_none_or_refused(text):
    with pytest.raises(InputError):
        name_direction(Direction("sefa_1", torch.ones(2, 3)), text)


def test_wrong_orders_are_refused(pipe):
    for arguments in (("other",), ("sefa", "nowhere"), ("sefa", "all", 0), ("ganspace", "all", 10_000)):
        with pytest.raises(InputError):
            pipe.find_directions(*arguments)


@pytest.mark.parametrize("c_dim", [0, 3])
def test_a_converted_model_has_directions_and_style_mixing(tmp_path, c_dim):
    torch.manual_seed(0)
    size = {"z_dim": 8, "w_dim": 8, "channel_base": 128, "channel_max": 8, "num_mapping_layers": 2}
    theirs = Generator(32, c_dim=c_dim, **size).eval()
    convert_checkpoint(dump(nvidia_snapshot(theirs), tmp_path / "theirs.pkl"), tmp_path / "ours")
    pipe = GenerationPipeline.from_pretrained(tmp_path / "ours")
    labels = {"labels": 1} if c_dim else {}
    (found,) = pipe.find_directions("sefa", "middle", 1)
    steered = pipe.with_directions([name_direction(found, "Found")])
    moved = steered(seeds=[1], attributes={"found": 2.0}, output_type="pt", **labels).images
    plain = pipe(seeds=[1], output_type="pt", **labels).images
    mixed = pipe(seeds=[1], style_mixing_seeds=[2], style_mixing_layers="coarse", output_type="pt", **labels).images
    assert not torch.allclose(moved, plain, atol=1e-3) and not torch.allclose(mixed, plain, atol=1e-3)
    numbers = {"class_number": 1} if c_dim else {}
    marked = pipe.direction_from_seeds([1, 2, 3], [4, 5, 6], name="marked", **numbers)
    assert 0 <= marked.accuracy <= 1
