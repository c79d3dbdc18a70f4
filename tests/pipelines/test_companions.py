"""A model folder is one artefact: what a pipeline does not hold itself still travels with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from gan_space.errors import WeightsError
from gan_space.models.aligner import Aligner
from gan_space.models.discriminator import Discriminator
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.loading import hash_weights
from gan_space.pipelines.release import check_weight_files, copy_companions
from tests.hub_server import WRITE_TOKEN
from training.publish import main as publish


@pytest.fixture
def model(pipe, tmp_path) -> Path:
    """A model folder with networks, packs and directions beside the generator, and things that are none of them."""
    folder = tmp_path / "model"
    pipe.save_pretrained(folder)
    Aligner(resolution=16, width=2).save_pretrained(folder / "aligner")
    Discriminator(16, channel_base=64, channel_max=4).save_pretrained(folder / "discriminator")
    (folder / "packs" / "ink").mkdir(parents=True)
    save_file({"a": np.zeros(3, np.float32)}, folder / "packs" / "ink" / "pack.safetensors")
    (folder / "packs" / "ink" / "pack.json").write_text("{}")
    (folder / "packs" / "me").mkdir()
    (folder / "packs" / "me" / "pack.json").write_text('{"kind": "identity"}')
    (folder / "packs" / "me" / "preview.png").write_bytes(b"a face")
    (folder / "packs" / "ink" / "preview.png").write_bytes(b"png")
    (folder / "training.json").write_text(json.dumps({"images_seen": 5000}))
    (folder / "packs" / ".DS_Store").write_text("x")
    (folder / "packs" / "ink" / "evil.py").write_text("x")
    (folder / "notes").mkdir()
    (folder / "notes" / "a.json").write_text("{}")
    return folder


COMPANIONS = {
    *("aligner/config.json", "aligner/diffusion_pytorch_model.safetensors"),
    *("discriminator/config.json", "discriminator/diffusion_pytorch_model.safetensors"),
    *("packs/ink/pack.safetensors", "packs/ink/pack.json", "packs/ink/preview.png"),
}


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_what_a_pipeline_does_not_hold_is_saved_with_it(model, tmp_path):
    GenerationPipeline.from_pretrained(model).save_pretrained(tmp_path / "copy")
    own = {name for name in names(tmp_path / "copy") if name.partition("/")[0] == "generator" or "/" not in name}
    assert names(tmp_path / "copy") - own == COMPANIONS
    assert all((tmp_path / "copy" / name).read_bytes() == (model / name).read_bytes() for name in COMPANIONS)
    assert hash_weights(tmp_path / "copy") == hash_weights(model), "recipes of one fit the other"


def test_saving_over_the_model_itself_loses_nothing(model):
    before = names(model)
    GenerationPipeline.from_pretrained(model).save_pretrained(model)
    assert names(model) == before


def test_parts_of_an_older_model_are_replaced_whole(model, tmp_path):
    stale = tmp_path / "copy" / "packs" / "old" / "pack.json"
    stale.parent.mkdir(parents=True)
    stale.write_text("{}")
    GenerationPipeline.from_pretrained(model).save_pretrained(tmp_path / "copy")
    assert not stale.exists() and names(tmp_path / "copy") >= COMPANIONS


def test_a_changed_generator_goes_alone(model, tmp_path):
    loaded = GenerationPipeline.from_pretrained(model)
    loaded.generator.mapping.w_avg += 1
    loaded.save_pretrained(tmp_path / "copy")
    assert not names(tmp_path / "copy") & COMPANIONS


def test_a_pipeline_decides_about_the_parts_that_it_holds(model, tmp_path):
    pipe = GenerationPipeline.from_pretrained(model)
    pipe.save_pretrained(tmp_path / "copy")
    copied = copy_companions(model, tmp_path / "copy", ("generator", "aligner"))
    assert copied == ["discriminator", "packs"]


def test_all_parts_reach_the_hub_and_come_back(hub, model, tmp_path):
    GenerationPipeline.from_pretrained(model).push_to_hub("user/whole", token=WRITE_TOKEN)
    files = hub.repository("user/whole").commits[-1].files
    assert files.keys() >= COMPANIONS | {"training.json", "samples/seeds-0-63-psi-0.7.png"}
    assert not [name for name in files if "evil" in name or "DS_Store" in name or "notes" in name or "me/" in name]
    loaded = GenerationPipeline.from_pretrained("user/whole", cache_dir=tmp_path / "cache")
    assert names(loaded.source.folder) >= COMPANIONS
    hub.requests.clear()
    again = loaded.push_to_hub("user/again", token=WRITE_TOKEN)
    assert again.changed and hub.repository("user/again").commits[-1].files.keys() >= COMPANIONS


def test_a_published_folder_is_whole_and_each_of_its_parts_can_be_read(hub, model, capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)
    (model / "packs" / "ink" / "evil.py").unlink()
    shutil.rmtree(model / "packs" / "me")
    push = ["--folder", str(model), "--hub_model_id", "user/whole"]
    assert publish(push) == 0
    assert hub.repository("user/whole").commits[-1].files.keys() >= COMPANIONS
    weights = model / "packs" / "ink" / "pack.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    capsys.readouterr()
    assert publish(push) == 2
    assert "pack.safetensors cannot be read" in capsys.readouterr().err


def test_every_damaged_part_is_named(model):
    for part in ("aligner", "discriminator"):
        (model / part / "diffusion_pytorch_model.safetensors").write_bytes(b"damaged")
    with pytest.raises(WeightsError, match=r"2 problems:\n.*aligner.*\n.*discriminator"):
        check_weight_files(model)
