from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch

from gan_space.errors import InputError, WeightsError
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.loading import ModelSource, hash_weights, read_metadata


@pytest.fixture
def folder(pipe, tmp_path):
    pipe.source = ModelSource(name="tiny", version="1", credit="Drawn from noise.", license="CC0-1.0")
    pipe.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_saved_pipeline_comes_back_the_same(pipe, folder):
    index = json.loads((folder / "model_index.json").read_text())
    assert index["_class_name"] == "GenerationPipeline"
    assert index["generator"] == ["gan_space.models.generator", "Generator"]
    loaded = GenerationPipeline.from_pretrained(folder)
    loaded.generator.compute_dtype = torch.float32
    assert np.array_equal(np.asarray(loaded(seeds=[5]).images[0]), np.asarray(pipe(seeds=[5]).images[0]))
    assert (loaded.model_name, loaded.credit) == ("tiny", "Drawn from noise.")
    assert loaded.revision == hash_weights(folder) and loaded.revision.startswith("sha256:")
    assert loaded(seeds=[5]).recipe[0]["revision"] == hash_weights(folder, ["generator"])


def test_weights_are_cut_into_shards_and_never_pickled(pipe, tmp_path):
    pipe.save_pretrained(tmp_path / "model", max_shard_size="20KB")
    names = {path.name for path in (tmp_path / "model/generator").iterdir()}
    assert sum(name.endswith(".safetensors") for name in names) > 1
    assert {name.rpartition(".")[2] for name in names} == {"json", "safetensors"}
    assert len(GenerationPipeline.from_pretrained(tmp_path / "model")(seeds=[1]).images) == 1


def test_the_hash_follows_the_weights_but_not_the_card(folder):
    before = hash_weights(folder)
    (folder / "metadata.json").write_text("{}")
    assert hash_weights(folder) == before
    path = folder / "generator/diffusion_pytorch_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert hash_weights(folder) != before


def test_a_recipe_is_of_the_parts_that_drew_it(pipe, folder):
    before = GenerationPipeline.from_pretrained(folder)
    seeded, walked = before(seeds=[5]).recipe[0], before.interpolate([1, 2], 1).animation_recipe
    by_all = seeded | {"revision": before.revision}  # as earlier versions wrote it
    pipe.generator.save_pretrained(folder / "aligner")  # any other part
    after = GenerationPipeline.from_pretrained(folder)
    assert after.revision != before.revision
    assert after.generate_from_recipe(seeded).recipe[0] == seeded
    assert after.generate_from_recipe(walked).animation_recipe == walked
    assert before.generate_from_recipe(by_all).recipe[0] == seeded
    changed = copy.deepcopy(pipe.generator)
    changed.mapping.w_avg.add_(1)
    changed.save_pretrained(folder / "generator")
    with pytest.raises(InputError, match="made with tiny at sha256:"):
        GenerationPipeline.from_pretrained(folder).generate_from_recipe(seeded)
    (folder / "directions").mkdir()
    (folder / "directions" / "directions.safetensors").write_bytes(b"such")
    assert hash_weights(folder, ["generator"]) != hash_weights(folder, ["generator", "directions"])


def test_a_folder_without_a_name_is_called_by_its_own(folder):
    (folder / "metadata.json").unlink()
    loaded = GenerationPipeline.from_pretrained(folder)
    assert (loaded.model_name, loaded.credit) == ("model", "")


def test_pipelines_share_networks_and_source(pipe):
    pipe.source = ModelSource(name="tiny")
    other = GenerationPipeline.from_pipe(pipe)
    assert other.generator is pipe.generator and other.model_name == "tiny"


def test_what_is_no_model_is_explained(folder, tmp_path):
    with pytest.raises(WeightsError, match=r"no model_index\.json"):
        GenerationPipeline.from_pretrained(tmp_path)
    with pytest.raises(InputError, match="Hub ids only"):
        GenerationPipeline.from_pretrained(folder, revision="main")
    with pytest.raises(InputError, match="neither a folder nor a Hub id"):
        GenerationPipeline.from_pretrained("no such/thing at all")
    (folder / "metadata.json").write_text('{"credit": 5, "license": []}')
    with pytest.raises(WeightsError, match=r"(?s)credit.*license"):
        read_metadata(folder)
    for text in ("x" * 5000, "\\ud800"):  # too long for a recipe, and half a character
        (folder / "metadata.json").write_text(f'{{"name": "{text}"}}')
        with pytest.raises(WeightsError, match="name must be text of at most 200 characters"):
            read_metadata(folder)
    (folder / "metadata.json").unlink()
    (folder / "generator" / "other.safetensors").mkdir()
    with pytest.raises(WeightsError, match=r"other\.safetensors cannot be read \(Is a directory\)"):
        GenerationPipeline.from_pretrained(folder)
    (folder / "generator" / "other.safetensors").rmdir()
    (folder / "generator").rename(folder / "g")
    with pytest.raises(WeightsError, match="has no 'generator'"):
        GenerationPipeline.from_pretrained(folder)


@pytest.mark.parametrize("content", ["{", "[]", '{"_class_name": "StableDiffusionPipeline"}', "{}"])
def test_a_foreign_index_is_refused(folder, content):
    (folder / "model_index.json").write_text(content)
    with pytest.raises(WeightsError, match="model_index"):
        GenerationPipeline.from_pretrained(folder)


def test_index_and_config_cannot_name_code_to_run(folder, tmp_path):
    (folder / "model_index.json").write_text(
        json.dumps({"_class_name": "GenerationPipeline", "generator": ["evil", "Evil"], "custom": ["evil", "Evil"]})
    )
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    assert type(GenerationPipeline.from_pretrained(folder).generator).__name__ == "Generator"
    assert not (tmp_path / "ran").exists()
