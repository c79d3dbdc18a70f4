from __future__ import annotations

import json

import pytest
import torch

from gan_space import convert_checkpoint
from gan_space.errors import InputError, WeightsError
from gan_space.latents.directions import Directions, generator_hash
from gan_space.latents.discovery import sefa, w_statistics
from gan_space.models.discriminator import Discriminator
from gan_space.models.generator import Generator
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.seeding import latents_from_seeds
from tests.formats.foreign_writers import dump, nvidia_snapshot


@pytest.fixture
def snapshot(tmp_path):
    torch.manual_seed(0)
    generator = Generator(16, z_dim=4, w_dim=4, channel_base=64, channel_max=4, num_mapping_layers=2).eval()
    generator.mapping.w_avg.normal_()
    file = dump(nvidia_snapshot(generator, Discriminator(16, channel_base=64, channel_max=4)), tmp_path / "faces.pkl")
    return file, generator


def test_the_folder_loads_as_a_pipeline_and_draws_the_same(tmp_path, snapshot):
    file, generator = snapshot
    made = convert_checkpoint(file, tmp_path / "deep" / "out", license="CC0-1.0", credit="Nobody")
    assert (made.folder, made.format, made.resolution, made.notes) == (
        *(tmp_path / "deep" / "out", "NVIDIA pickle", 16, ()),
    )
    pipe = GenerationPipeline.from_pretrained(made.folder)
    assert (pipe.model_name, pipe.revision, pipe.credit) == ("faces", made.revision, "Nobody")
    assert json.loads((made.folder / "metadata.json").read_text())["license"] == "CC0-1.0"
    expected = GenerationPipeline(generator)(seeds=[5], output_type="pt").images
    assert torch.equal(pipe(seeds=[5], output_type="pt").images, expected)
    assert sorted(path.name for path in made.folder.iterdir()) == ["generator", "metadata.json", "model_index.json"]
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


def test_directions_are_found_in_a_converted_network_and_steer_it(tmp_path, snapshot):
    convert_checkpoint(snapshot[0], tmp_path / "out")
    pipe = GenerationPipeline.from_pretrained(tmp_path / "out")
    generator = pipe.generator
    codes = generator.mapping(latents_from_seeds(range(50), generator.config.z_dim))
    found = sefa(generator.synthesis, "coarse", 2, w_statistics(codes[:, 0]))
    pipe.directions = Directions(tuple(found), generator_hash(generator))
    plain, steered = (pipe(seeds=[1], attributes=amounts, output_type="pt").images for amounts in (None, {"sefa_1": 1}))
    assert (plain - steered).abs().max() > 1e-3


def test_the_discriminator_is_kept_beside_if_asked(tmp_path, snapshot):
    made = convert_checkpoint(snapshot[0], tmp_path / "out", name="somebody/faces", with_discriminator=True)
    assert Discriminator.from_pretrained(made.folder, subfolder="discriminator").config.resolution == 16
    pipe = GenerationPipeline.from_pretrained(made.folder)
    assert (pipe.model_name, pipe.revision) == ("somebody/faces", made.revision)


def test_an_existing_folder_is_replaced_only_if_allowed_and_only_a_model(tmp_path, snapshot):
    file, _ = snapshot
    convert_checkpoint(file, tmp_path / "out", with_discriminator=True)
    with pytest.raises(InputError, match="exists; give another folder"):
        convert_checkpoint(file, tmp_path / "out")
    assert (tmp_path / "out" / "discriminator").is_dir()
    convert_checkpoint(file, tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out" / "discriminator").exists()
    (tmp_path / "mine").mkdir()
    convert_checkpoint(file, tmp_path / "mine")  # an empty folder is as good as none
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    with pytest.raises(InputError, match="is no model folder, so it is not replaced"):
        convert_checkpoint(file, tmp_path / "photos", overwrite=True)
    assert (tmp_path / "photos" / "a.jpg").exists()


def test_nothing_is_left_behind_by_a_conversion_that_fails(tmp_path, snapshot):
    file, _ = snapshot
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(WeightsError):
        convert_checkpoint(file, tmp_path / "out")
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError):
        convert_checkpoint(file, tmp_path / "out" / "deeper")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces.pkl", "file"]


def test_a_place_that_cannot_be_written_is_an_input_error(tmp_path, snapshot):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write"):
        convert_checkpoint(snapshot[0], tmp_path / "file" / "out")
