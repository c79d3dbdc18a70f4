"""Truncation towards centres, through the pipeline: recipes, mixing, walks, folders, and models without centres."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gan_space.errors import InputError, WeightsError
from gan_space.latents.directions import generator_hash
from gan_space.latents.truncation import TruncationCenters
from gan_space.models.generator import Generator
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.recipe import parse_recipe


@pytest.fixture(scope="module")
def folder(tiny_generator, tmp_path_factory):
    points = torch.randn(5, 16, generator=torch.Generator().manual_seed(1))
    pipe = GenerationPipeline(tiny_generator)
    pipe.truncation_centers = TruncationCenters(points, torch.zeros(5), generator_hash(tiny_generator))
    folder = tmp_path_factory.mktemp("model") / "tiny"
    pipe.save_pretrained(folder)
    return folder


@pytest.fixture
def centered(folder) -> GenerationPipeline:
    pipe = GenerationPipeline.from_pretrained(folder)
    pipe.generator.compute_dtype = torch.float32
    return pipe


def test_at_psi_0_a_face_is_its_centre_and_without_the_setting_nothing_changes(centered, pipe):
    out = centered(seeds=[1, 2, 3], truncation_psi=0.0, truncation="centers")
    distances = torch.cdist(out.w_plus[:, 0], centered.truncation_centers.centers)
    assert distances.min(dim=1).values.max() < 1e-3
    for settings in ({}, {"truncation": "mean"}):
        plain = centered(seeds=[1, 2, 3], **settings)
        torch.testing.assert_close(plain.w_plus, pipe(seeds=[1, 2, 3]).w_plus)
        assert all("truncation" not in recipe for recipe in plain.recipe)


def test_recipes_draw_the_same_again(centered):
    settings = {"truncation": "centers", "truncation_psi": 0.4, "truncation_cutoff": 3}
    mixed = centered(seeds=[5], style_mixing_seeds=[6], style_mixing_layers="fine", **settings)
    walk = centered.interpolate([1, 2], frames_between=2, **settings)
    for recipe, image, code in zip(
        [*mixed.recipe, *walk.recipe], [*mixed.images, *walk.images], [*mixed.w_plus, *walk.w_plus], strict=True
    ):
        assert recipe["truncation"] == "centers"
        again = centered.generate_from_recipe(recipe)
        torch.testing.assert_close(again.w_plus[0], code)
        # A picture alone and one of several are rounded differently on some processors.
        assert np.abs(np.asarray(again.images[0], int) - np.asarray(image, int)).max() <= 1
        assert again.recipe[0].get("position") or again.recipe[0]["truncation"] == "centers"
    frames = centered.generate_from_recipe(walk.animation_recipe)
    torch.testing.assert_close(frames.w_plus, walk.w_plus)


def test_an_old_recipe_means_the_mean(centered):
    assert parse_recipe({"seed": 1, "truncation_psi": 0.5}).truncation == "mean"
    old = {"model": centered.model_name, "revision": centered.revision, "seed": 1, "truncation_psi": 0.5}
    torch.testing.assert_close(
        centered.generate_from_recipe(old).w_plus, centered(seeds=[1], truncation_psi=0.5).w_plus
    )


def test_centres_travel_with_the_model(centered, tmp_path):
    centered.save_pretrained(tmp_path / "copy")
    copy = GenerationPipeline.from_pretrained(tmp_path / "copy")
    shared = GenerationPipeline.from_pipe(copy)
    for other in (copy, shared):
        assert torch.equal(other.truncation_centers.centers, centered.truncation_centers.centers)


def test_what_cannot_be_is_refused(pipe, folder, centered):
    for call in (
        lambda: pipe(seeds=[1], truncation="centers"),
        lambda: pipe.interpolate([1, 2], truncation="centers"),
        lambda: pipe.generate_from_recipe({"seed": 1, "truncation": "centers"}, allow_other_model=True),
        lambda: pipe.generate_from_recipe(
            {"seed": 1, "to_seed": 2, "position": 0.5, "truncation": "centers"}, allow_other_model=True
        ),
    ):
        with pytest.raises(InputError, match="needs a model with centres"):
            call()
    with pytest.raises(InputError, match="truncation must be one of"):
        centered(seeds=[1], truncation="median")
    torch.manual_seed(5)
    other = Generator(32, z_dim=16, w_dim=16, channel_base=256, channel_max=16, num_mapping_layers=2)
    with pytest.raises(WeightsError, match="truncation centres were made for"):
        GenerationPipeline(other).truncation_centers = centered.truncation_centers
