"""Rejection sampling: a broken face is replaced, a sound one is not touched, and the recipe says so."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gan_space.errors import InputError
from gan_space.images import from_pil
from gan_space.latents.directions import Direction, Directions
from gan_space.models.hashing import weights_sha256
from gan_space.models.landmarker import Landmarker
from gan_space.pipelines import rejection
from gan_space.pipelines.dataset import write_dataset
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.rejection import derived_seed, expected_error

SEEDS = list(range(12))


@pytest.fixture(scope="module")
def folder(tiny_generator, tmp_path_factory):
    """A model folder with a landmarker that has never seen a face, and a direction."""
    folder = tmp_path_factory.mktemp("model") / "tiny"
    pipe = GenerationPipeline(tiny_generator)
    vector = torch.randn(tiny_generator.num_ws, 16, generator=torch.Generator().manual_seed(3))
    pipe.directions = Directions(
        (Direction("smile", vector, safe_range=(-2, 2)),), weights_sha256(tiny_generator), "tiny"
    )
    pipe.save_pretrained(folder)
    torch.manual_seed(0)
    Landmarker(resolution=16, width=4, bottleneck=4, hidden=8, rank=4).eval().save_pretrained(folder / "landmarker")
    return folder


@pytest.fixture
def pipe(folder, monkeypatch) -> GenerationPipeline:
    """Finds that half of the faces came out broken."""
    pipe = GenerationPipeline.from_pretrained(folder)
    pipe.generator.compute_dtype = torch.float32
    errors = expected_error(pipe(seeds=SEEDS, output_type="pt").images, pipe.landmarker)
    monkeypatch.setattr(rejection, "MAX_EXPECTED_ERROR", float(errors.median()))
    return pipe


@pytest.fixture
def broken(pipe) -> set[int]:
    errors = expected_error(pipe(seeds=SEEDS, output_type="pt").images, pipe.landmarker)
    return {seed for seed, error in zip(SEEDS, errors, strict=True) if error > rejection.MAX_EXPECTED_ERROR}


def test_broken_faces_are_replaced_and_sound_ones_stay(pipe, broken):
    plain, out = (pipe(seeds=SEEDS, rejection_sampling=wanted, output_type="np") for wanted in (False, True))
    assert 0 < len(broken) < len(SEEDS)
    for index, seed in enumerate(SEEDS):
        same = np.abs(out.images[index].astype(int) - plain.images[index]).max() <= 1
        assert same == (seed not in broken) == (out.seeds[index] == seed)
        assert out.recipe[index].get("replaces_seed") == (seed if seed in broken else None)
    judged = expected_error(pipe(seeds=out.seeds, output_type="pt").images, pipe.landmarker)
    assert judged.max() <= rejection.MAX_EXPECTED_ERROR + 1e-6


def test_the_recipe_of_a_replacement_draws_it_again(pipe, broken):
    settings = {"attributes": {"smile": 1.0}, "style_mixing_seeds": [99], "style_mixing_layers": "fine"}
    out = pipe(seeds=SEEDS, rejection_sampling=True, **settings)
    replaced = [index for index, recipe in enumerate(out.recipe) if "replaces_seed" in recipe]
    assert replaced
    for index in replaced:
        again = pipe.generate_from_recipe(out.recipe[index])
        assert np.abs(np.asarray(again.images[0]).astype(int) - np.asarray(out.images[index])).max() <= 1
        torch.testing.assert_close(again.w_plus[0], out.w_plus[index])


@pytest.mark.parametrize("output_type", ["pil", "pt", "np"])
def test_batches_and_kinds_of_output_agree(pipe, output_type):
    whole = pipe(seeds=SEEDS, rejection_sampling=True, noise_mode="random", output_type=output_type)
    parts = pipe(seeds=SEEDS, rejection_sampling=True, noise_mode="random", output_type=output_type, batch_size=5)
    assert whole.seeds == parts.seeds and len(parts.images) == len(SEEDS)
    for a, b in zip(whole.images, parts.images, strict=True):
        assert type(a) is type(b) and np.abs(np.asarray(a).astype(float) - np.asarray(b)).max() <= 1


def test_when_all_tries_fail_the_best_one_stays(pipe, monkeypatch):
    monkeypatch.setattr(rejection, "MAX_EXPECTED_ERROR", 0.0)
    monkeypatch.setattr(rejection, "MAX_TRIES", 3)
    tried = [4, derived_seed(4, 1), derived_seed(4, 2)]
    errors = expected_error(pipe(seeds=tried, output_type="pt").images, pipe.landmarker)
    assert pipe(seeds=[4], rejection_sampling=True).seeds == [tried[int(errors.argmin())]]


def test_a_data_set_keeps_its_number_of_rows_and_names_both_seeds(pipe, broken, tmp_path):
    import datasets

    first = write_dataset(pipe, tmp_path / "a", SEEDS, rejection_sampling=True, rows_per_file=5, batch_size=4)
    assert first.num_rows == len(SEEDS)
    rows = datasets.load_dataset("parquet", data_files=[str(file) for file in first.files], split="train")
    assert [seed for seed, row in zip(SEEDS, rows, strict=True) if row["seed"] != seed] == sorted(broken)
    assert "replaces_seed" in rows[min(broken)]["recipe"]
    assert "--rejection-sampling" in (tmp_path / "a" / "README.md").read_text()
    assert write_dataset(pipe, tmp_path / "a", SEEDS, rejection_sampling=True, rows_per_file=5).num_new == 0
    with pytest.raises(InputError, match="other settings"):
        write_dataset(pipe, tmp_path / "a", SEEDS, rows_per_file=5)


def test_what_cannot_be_is_refused(pipe, tiny_generator):
    with pytest.raises(InputError, match="needs a landmarker"):
        GenerationPipeline(tiny_generator)(seeds=[1], rejection_sampling=True)
    with pytest.raises(InputError, match="without w_plus"):
        pipe(w_plus=torch.zeros(1, tiny_generator.num_ws, 16), rejection_sampling=True)
    with pytest.raises(InputError, match="True or False"):
        pipe(seeds=[1], rejection_sampling="yes")


def test_the_shipped_landmarker_tells_faces_from_what_is_none():
    pipe = GenerationPipeline.from_pretrained()
    faces = torch.cat([from_pil(image) for image in pipe(seeds=[0, 1, 2, 3], truncation_psi=0.3).images])
    noise = torch.rand(4, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    halves = torch.cat([faces[..., :64], faces.flip(0)[..., 64:].flip(-2)], dim=-1)  # a half of each is upside down
    assert expected_error(faces, pipe.landmarker).max() < rejection.MAX_EXPECTED_ERROR
    assert expected_error(noise, pipe.landmarker).min() > rejection.MAX_EXPECTED_ERROR
    assert expected_error(halves, pipe.landmarker).min() > rejection.MAX_EXPECTED_ERROR
