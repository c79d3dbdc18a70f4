"""Checkpoints are whole or not there, and everything comes back bit for bit."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
import torch

from gan_space.errors import TrainingError
from tests.training.full_disk import full_disk
from training.common.checkpoint import CheckpointStore
from training.config import PRESETS
from training.steps import discriminator_step, generator_step, make_players

CONFIG = PRESETS["tiny"]


def make(seed: int):
    torch.manual_seed(seed)
    return make_players(CONFIG, 0, torch.device("cpu"))


def step(players, nimg: int) -> None:
    real, c = torch.randn(16, 3, 32, 32).clamp(-1, 1), torch.empty(16, 0)
    discriminator_step(players, CONFIG, real, c, c, nimg=nimg)
    generator_step(players, CONFIG, real, c, c, nimg=nimg)


def test_all_state_comes_back(tmp_path):
    store = CheckpointStore(tmp_path)
    players = make(0)
    step(players, 0)
    players.augment.p, players.real_signs = 0.25, [0.5]
    store.save(16, players.modules, players.optimizers, players.state())
    drawn = torch.rand(3), random.random(), np.random.rand()
    step(players, 16)

    other = make(1)
    state = store.load(store.newest(), other.modules, other.optimizers)
    other.load_state(state)
    assert state["nimg"] == 16
    assert (other.augment.p, other.real_signs) == (0.25, [0.5])
    redrawn = torch.rand(3), random.random(), np.random.rand()
    assert torch.equal(drawn[0], redrawn[0])
    assert drawn[1:] == redrawn[1:]
    step(other, 16)
    for name, module in players.modules.items():
        for key, value in module.state_dict().items():
            assert torch.equal(value, other.modules[name].state_dict()[key]), f"{name}: {key}"


def test_the_newest_whole_one_is_found(tmp_path):
    store = CheckpointStore(tmp_path, keep=5)
    players = make(0)
    folders = [store.save(nimg, players.modules, {}, players.state()) for nimg in (16, 32, 48, 64)]
    assert store.newest() == folders[3]
    file = folders[3] / "ema.safetensors"
    damaged = bytearray(file.read_bytes())
    damaged[-1] ^= 1  # one flipped bit
    file.write_bytes(damaged)
    assert store.newest() == folders[2]
    (folders[2] / "generator.safetensors").unlink()
    assert store.newest() == folders[1]
    (folders[1] / "manifest.json").unlink()
    assert store.newest() == folders[0]
    (folders[0] / "manifest.json").write_text("{")
    assert store.newest() is None


def without(manifest: dict, name: str) -> dict:
    return {key: entry for key, entry in manifest.items() if key != name}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda manifest: {},
        lambda manifest: [],
        lambda manifest: [*manifest],
        lambda manifest: None,
        lambda manifest: without(manifest, "state.json"),
        lambda manifest: without(manifest, "generator.safetensors"),
        lambda manifest: {"state.json": manifest["state.json"]},
        lambda manifest: manifest | {"ema.safetensors": {}},
        lambda manifest: manifest | {"ema.safetensors": None},
        lambda manifest: manifest | {"ema.safetensors": manifest["ema.safetensors"] | {"sha256": "0" * 64}},
        lambda manifest: manifest | {"ema.safetensors": manifest["ema.safetensors"] | {"bytes": "many"}},
        lambda manifest: manifest | {"more.safetensors": manifest["ema.safetensors"]},
        lambda manifest: manifest | {"../nimg-000000016/ema.safetensors": manifest["ema.safetensors"]},
    ],
)
def test_a_manifest_that_does_not_list_what_is_there_is_passed_over(tmp_path, spoil):
    store = CheckpointStore(tmp_path)
    modules = {"generator": torch.nn.Linear(2, 2), "ema": torch.nn.Linear(2, 2)}
    older, newer = (store.save(nimg, modules, {}, {}) for nimg in (16, 32))
    assert store.newest() == newer and store.passed_over() == []
    manifest = json.loads((newer / "manifest.json").read_text())
    (newer / "manifest.json").write_text(json.dumps(spoil(manifest)))
    assert store.newest() == older
    (fault,) = store.passed_over()
    assert fault.startswith(f"{newer} is not whole and passed over: ")
    assert store.save(32, modules, {}, {}) == newer == store.newest()


def test_a_full_disk_leaves_the_newest_whole_one_and_no_half_one(tmp_path):
    store = CheckpointStore(tmp_path)
    modules = {"generator": torch.nn.Linear(50, 50)}
    whole = store.save(16, modules, {}, {})
    words = f"cannot write a checkpoint into {tmp_path}: File too large.* Newest whole one: {whole}$"
    with full_disk(5000), pytest.raises(TrainingError, match=words):
        store.save(32, modules, {}, {})
    assert [folder.name for folder in tmp_path.iterdir()] == [whole.name]
    assert store.newest() == whole


def test_what_was_being_written_is_not_read_and_is_cleaned_up(tmp_path):
    store = CheckpointStore(tmp_path)
    players = make(0)
    partial = tmp_path / ".partial-000000099"
    partial.mkdir()
    (partial / "ema.safetensors").write_bytes(b"half")
    assert store.newest() is None
    store.save(16, players.modules, {}, players.state())
    assert not partial.exists()


def test_only_the_newest_are_kept(tmp_path):
    store = CheckpointStore(tmp_path, keep=2)
    players = make(0)
    for nimg in (16, 32, 48):
        store.save(nimg, players.modules, {}, players.state())
    assert sorted(folder.name for folder in tmp_path.iterdir()) == ["nimg-000000032", "nimg-000000048"]


def test_nothing_is_pickled(tmp_path):
    players = make(0)
    step(players, 0)
    folder = CheckpointStore(tmp_path).save(16, players.modules, players.optimizers, players.state())
    assert {file.suffix for file in folder.iterdir()} == {".safetensors", ".json"}
    json.loads((folder / "state.json").read_text())


def test_another_network_is_refused(tmp_path):
    store = CheckpointStore(tmp_path)
    folder = store.save(16, {"generator": torch.nn.Linear(2, 2)}, {}, make(0).state())
    with pytest.raises(TrainingError, match="does not fit"):
        store.load(folder, {"generator": torch.nn.Linear(3, 3)}, {})
