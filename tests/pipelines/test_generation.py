from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from gan_space.errors import InputError
from gan_space.models.generator import Generator
from gan_space.pipelines.drawing import enlarge
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.seeding import latents_from_seeds


def pixels(pictures) -> np.ndarray:
    return np.stack([np.asarray(picture) for picture in pictures]).astype(int)


def test_a_seed_gives_what_the_generator_gives_by_hand(pipe):
    out = pipe(seeds=[3, 4], truncation_psi=0.5, output_type="pt")
    z = latents_from_seeds([3, 4], 16)
    w_avg = pipe.generator.mapping.w_avg
    w = w_avg + 0.5 * (pipe.generator.mapping(z) - w_avg)
    torch.testing.assert_close(out.w_plus, w)
    torch.testing.assert_close(out.images, pipe.generator.synthesis(w, noise_mode="const"), atol=1e-5, rtol=1e-5)
    assert out.seeds == [3, 4]


@pytest.mark.parametrize("noise_mode", ["const", "random", "none"])
def test_pictures_do_not_depend_on_the_batch(pipe, noise_mode):
    together = pixels(pipe(seeds=[5, 6, 7], noise_mode=noise_mode).images)
    torch.manual_seed(99)  # the global generator must not matter
    alone = pixels(pipe(seeds=[7, 5], noise_mode=noise_mode, batch_size=1).images)
    assert np.abs(together[[2, 0]] - alone).max() <= 1


def test_noise_modes_differ_and_leave_the_global_generator_alone(pipe):
    before = torch.get_rng_state()
    by_mode = {mode: pixels(pipe(seeds=[5], noise_mode=mode).images) for mode in ("const", "random", "none")}
    assert torch.equal(torch.get_rng_state(), before)
    for a, b in (("const", "random"), ("const", "none"), ("random", "none")):
        assert np.abs(by_mode[a] - by_mode[b]).mean() > 1


def test_output_types_agree(pipe):
    pictures = pipe(seeds=[1]).images
    assert isinstance(pictures[0], Image.Image) and pictures[0].size == (32, 32)
    assert np.array_equal(pixels(pictures), pipe(seeds=[1], output_type="np").images)
    assert pipe(seeds=[1], output_type="pt").images.shape == (1, 3, 32, 32)


def test_upscaling_is_lanczos(pipe):
    small, large = pipe(seeds=[1]).images[0], pipe(seeds=[1], upscale_factor=4).images[0]
    assert np.array_equal(np.asarray(large), np.asarray(small.resize((128, 128), Image.Resampling.LANCZOS)))
    assert enlarge(small, 1) is small


def test_random_seeds_are_reported(pipe):
    out = pipe(num_images=3)
    assert len(set(out.seeds)) == 3
    assert np.abs(pixels(out.images) - pixels(pipe(seeds=out.seeds).images)).max() <= 1


def test_style_mixing_takes_only_the_named_layers(pipe):
    a, b = pipe(seeds=[1]).w_plus, pipe(seeds=[2]).w_plus
    mixed = pipe(seeds=[1], style_mixing_seeds=[2], style_mixing_layers="middle").w_plus
    assert torch.equal(mixed[:, 3:7], b[:, 3:7])
    assert torch.equal(mixed[:, :3], a[:, :3]) and torch.equal(mixed[:, 7:], a[:, 7:])
    assert not torch.equal(a, b)


def test_interpolation_starts_at_its_stops_and_moves_evenly(pipe):
    out = pipe.interpolate([1, 2], frames_between=3, loop=True)
    assert len(out.images) == len(out.recipe) == 8
    ends = pipe(seeds=[1, 2]).w_plus
    torch.testing.assert_close(out.w_plus[0], ends[0])
    torch.testing.assert_close(out.w_plus[4], ends[1])
    torch.testing.assert_close(out.w_plus[2], (ends[0] + ends[1]) / 2)
    assert len(pipe.interpolate([1, 2, 3], frames_between=1, loop=False).images) == 5


def test_progress_is_told(pipe):
    seen = []
    pipe(seeds=range(5), batch_size=2, callback=lambda done, total: seen.append((done, total)))
    assert seen == [(2, 5), (4, 5), (5, 5)]


@pytest.mark.parametrize(
    "arguments",
    [
        {"seeds": [11]},
        {"seeds": [11], "truncation_psi": 0.4, "truncation_cutoff": 3, "noise_mode": "random", "upscale_factor": 2},
        {"seeds": [11], "style_mixing_seeds": [12], "style_mixing_layers": "coarse+5"},
        {"w_plus": np.random.RandomState(0).randn(1, 8, 16), "seeds": [4], "noise_mode": "random"},
        {"w_plus": np.random.RandomState(0).randn(1, 8, 16)},
        {"w_plus": np.zeros((1, 8, 16)), "style_mixing_seeds": [12], "style_mixing_layers": "fine"},
    ],
)
def test_a_recipe_redraws_its_picture(pipe, arguments):
    out = pipe(**arguments)
    recipe = json.loads(json.dumps(out.recipe[0]))
    again = pipe.generate_from_recipe(recipe)
    assert np.array_equal(pixels(again.images), pixels(out.images))
    assert again.recipe == out.recipe


def test_every_frame_and_the_whole_animation_have_recipes(pipe):
    out = pipe.interpolate([1, 2], frames_between=2, truncation_psi=0.9, noise_mode="random", upscale_factor=2)
    again = pipe.generate_from_recipe(json.loads(json.dumps(out.animation_recipe)))
    assert np.array_equal(pixels(again.images), pixels(out.images))
    frame = pipe.generate_from_recipe(json.loads(json.dumps(out.recipe[1])))
    assert np.abs(pixels(frame.images) - pixels(out.images[1:2])).max() <= 1
    assert frame.recipe == out.recipe[1:2]


def test_a_recipe_of_another_model_is_refused_unless_asked_for(pipe):
    recipe = {**pipe(seeds=[1]).recipe[0], "model": "someone/else", "revision": "abc"}
    with pytest.raises(InputError, match="someone/else at abc"):
        pipe.generate_from_recipe(recipe)
    assert len(pipe.generate_from_recipe(recipe, allow_other_model=True).images) == 1


def test_all_faults_are_told_at_once(pipe):
    with pytest.raises(InputError) as caught:
        pipe(
            seeds=[-1, 2.5],
            num_images=3,
            truncation_psi=float("nan"),
            truncation_cutoff=-1,
            noise_mode="loud",
            style_mixing_seeds=[1],
            labels=2,
            upscale_factor=3,
            batch_size=0,
            output_type="gif",
        )
    message = str(caught.value)
    for name in (
        *("seeds must", "num_images", "truncation_psi", "truncation_cutoff", "noise_mode", "style_mixing_layers"),
        *("labels", "upscale_factor", "batch_size", "output_type"),
    ):
        assert name in message, name


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"seeds": []}, "empty"),
        ({"seeds": 3}, "list"),
        ({"seeds": [True]}, "True"),
        ({"seeds": [2**32]}, "4294967295"),
        ({"w_plus": np.zeros((1, 3, 16))}, "shape"),
        ({"w_plus": np.zeros((2, 8, 16)), "seeds": [1]}, "2 codes"),
        ({"seeds": [1], "style_mixing_seeds": [2], "style_mixing_layers": "nose"}, "nose"),
        ({"seeds": [1, 2, 3], "style_mixing_seeds": [2, 3], "style_mixing_layers": "fine"}, "1 or 3"),
        ({"seeds": [1], "output_type": "pt", "upscale_factor": 2}, "pil"),
    ],
)
def test_bad_arguments_are_explained(pipe, arguments, word):
    with pytest.raises(InputError, match=word):
        pipe(**arguments)


def test_labels_choose_the_class():
    torch.manual_seed(0)
    generator = Generator(resolution=16, z_dim=8, w_dim=8, c_dim=3, channel_base=64, num_mapping_layers=1).eval()
    pipe = GenerationPipeline(generator)
    out = pipe(seeds=[1, 1], labels=[0, 2])
    assert not torch.allclose(out.w_plus[0], out.w_plus[1])
    assert out.recipe[1]["label"] == 2
    again = pipe.generate_from_recipe(out.recipe[1])
    assert np.abs(pixels(again.images) - pixels(out.images[1:])).max() <= 1
    with pytest.raises(InputError, match="3 classes"):
        pipe(seeds=[1])
    with pytest.raises(InputError, match="0 to 2"):
        pipe(seeds=[1], labels=3)
