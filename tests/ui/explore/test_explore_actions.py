from __future__ import annotations

import base64
import json
import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_space.errors import InputError
from gan_space.models.generator import Generator
from gan_space.output.provenance import read_provenance
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.ui.explore.actions import MAX_FRAMES, ExploreActions, recipe_from_text, recipe_to_text
from gan_space.ui.server.folder import server_folder


@pytest.fixture(scope="module")
def actions(tiny_pipe) -> ExploreActions:
    return ExploreActions(tiny_pipe)


def encode(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


def test_portraits_are_labelled_files_large_enough_to_look_at(actions):
    shown = actions.portraits(2**32 - 1, 2, 0.7)
    assert [item.recipe["seed"] for item in shown] == [2**32 - 1, 0]
    for item in shown:
        label = read_provenance(item.path)
        assert label.is_ai_made and label.recipe == item.recipe
        assert Image.open(item.path).size == (256, 256)


def test_a_file_can_be_drawn_again_from_its_own_label(actions, tiny_pipe):
    (item,) = actions.portraits(5, 1, 0.9)
    again = tiny_pipe.generate_from_recipe(read_provenance(item.path).recipe).images[0]
    assert np.array_equal(np.asarray(again), np.asarray(Image.open(item.path)))


def test_mixing_shows_the_result_and_both_parents(actions):
    mixed, a, b = actions.mix(1, 2, "middle", 0.7)
    assert (a.recipe["seed"], b.recipe["seed"]) == (1, 2)
    assert mixed.recipe["style_mixing_layers"] == "middle"
    pictures = [np.asarray(Image.open(item.path)).astype(int) for item in (mixed, a, b)]
    assert np.abs(pictures[0] - pictures[1]).mean() > 0.5 and np.abs(pictures[0] - pictures[2]).mean() > 0.5


@pytest.mark.parametrize(("loop", "frames"), [(True, 8), (False, 5)])
def test_a_morph_is_an_animation_and_a_strip_from_end_to_end(actions, loop, frames):
    animation, *strip = actions.morph(1, 2, 3, loop, 0.7)
    with Image.open(animation.path) as picture:
        assert picture.format == "WEBP" and picture.n_frames == frames
    assert read_provenance(animation.path).recipe == animation.recipe
    assert strip[0].recipe["seed"] == 1 and strip[-1].recipe["seed"] == 2
    assert "to_seed" not in strip[-1].recipe and len(strip) == 5


def test_size_and_visible_label_of_a_saved_file(actions):
    (item,) = actions.portraits(5, 1, 0.7)
    plain, marked = actions.draw_again(item.recipe, 4), actions.draw_again(item.recipe, 4, visible_label=True)
    sizes = [Image.open(file.path).size for file in (plain, marked, actions.draw_again(item.recipe, 1))]
    assert sizes == [(128, 128), (128, 128), (32, 32)]
    assert not np.array_equal(np.asarray(Image.open(plain.path)), np.asarray(Image.open(marked.path)))


def test_old_files_are_swept(actions):
    (old,) = actions.portraits(1, 1, 0.7)
    long_ago = time.time() - 7200
    os.utime(Path(old.path).parent, (long_ago, long_ago))
    (new,) = actions.portraits(2, 1, 0.7)
    server_folder().sweep()
    assert not Path(old.path).exists() and Path(new.path).exists()


def test_functions_that_draw_are_handed_to_the_gpu_wrapper(tiny_pipe, gpu_calls):
    actions = ExploreActions(tiny_pipe, gpu_calls)
    (item,) = actions.portraits(1, 1, 0.7)
    actions.draw_again(item.recipe)
    actions.animation([1, 2], 1)
    assert gpu_calls.names == ["draw", "redraw", "walk"]


def test_recipes_travel_in_links(actions):
    for item in [*actions.mix(1, 2, "coarse", 0.5), *actions.morph(1, 2, 2, True, 0.5)]:
        text = recipe_to_text(item.recipe)
        assert text.replace("-", "").replace("_", "").isalnum()
        assert recipe_from_text(text) == item.recipe


@pytest.mark.parametrize(
    "text",
    [
        *("x", "%%%", "é", "=", "AAAA", "A" * 5000, encode([1]), encode(None), encode({}), encode({"seed": "1"})),
        encode({"seed": 1, "surprise": 2}),
        encode({"seeds": [1, 2], "frames_between": MAX_FRAMES + 1}),
        encode({"seeds": list(range(17))}),
        base64.urlsafe_b64encode(b"[" * 3000).decode(),
        base64.urlsafe_b64encode(b'{"seed": NaN}').decode(),
    ],
)
def test_hostile_links_are_input_errors(text):
    with pytest.raises(InputError):
        recipe_from_text(text)


@pytest.mark.parametrize(
    "draw",
    [
        lambda s: s.portraits(-1, 1, 0.7),
        lambda s: s.portraits(None, 1, 0.7),
        lambda s: s.portraits(1, 17, 0.7),
        lambda s: s.portraits(1, 1, 9),
        lambda s: s.from_seeds([]),
        lambda s: s.from_seeds("12"),
        lambda s: s.mix(1, None, "coarse", 0.7),
        lambda s: s.mix(1, 2, "nose", 0.7),
        lambda s: s.morph(1, 2, 1000, True, 0.7),
        lambda s: s.animation([1], 3),
    ],
)
def test_bad_controls_are_input_errors(actions, draw):
    with pytest.raises(InputError):
        draw(actions)


def test_a_model_with_classes_draws_the_chosen_one(tmp_path):
    torch.manual_seed(0)
    size = {"z_dim": 8, "w_dim": 8, "channel_base": 128, "channel_max": 8, "num_mapping_layers": 2}
    GenerationPipeline(Generator(resolution=16, c_dim=2, **size)).save_pretrained(tmp_path)
    record = {"labels": {"column": "look", "classes": ["film", "actions"]}}
    (tmp_path / "training.json").write_text(json.dumps(record))
    actions = ExploreActions(GenerationPipeline.from_pretrained(tmp_path))
    assert actions.classes == ["film", "actions"]
    drawn = [actions.portraits(3, 1, 1.0, label)[0] for label in (None, 0, 1)]
    assert [item.recipe["label"] for item in drawn] == [0, 0, 1]
    pictures = [np.asarray(Image.open(item.path)) for item in drawn]
    assert np.array_equal(pictures[0], pictures[1]) and not np.array_equal(pictures[1], pictures[2])
    assert [item.recipe["label"] for item in actions.mix(1, 2, "middle", 0.7, 1)] == [1, 1, 1]
    assert actions.morph(1, 2, 1, False, 0.7, 1)[0].recipe["label"] == 1

    (tmp_path / "training.json").write_text("{}")
    assert ExploreActions(GenerationPipeline.from_pretrained(tmp_path)).classes == ["0", "1"]


def test_broken_portraits_are_replaced_where_the_model_can_tell(actions, monkeypatch):
    assert not actions.can_reject
    with pytest.raises(InputError, match="needs a landmarker"):
        actions.portraits(1, 2, 0.7, rejection_sampling=True)
    full = ExploreActions(GenerationPipeline.from_pretrained())
    monkeypatch.setattr("gan_space.pipelines.rejection.MAX_EXPECTED_ERROR", 0.0)  # all are broken, the best stays
    shown = full.portraits(1, 4, 1.0, rejection_sampling=True)
    replaced = [item.recipe for item in shown if "replaces_seed" in item.recipe]
    assert full.can_reject and replaced
    for item, seed in zip(shown, range(1, 5), strict=True):
        assert item.recipe.get("replaces_seed", item.recipe["seed"]) == seed
        assert item.caption == str(item.recipe["seed"]) and read_provenance(item.path).recipe == item.recipe
