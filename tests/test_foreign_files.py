"""Files of other people, through every door: one line of our own error class, before anything large is allocated."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gan_space import hub
from gan_space.errors import InputError, PackError, WeightsError
from gan_space.foreign_files import MAX_JSON_BYTES, parse_json, value_faults
from gan_space.formats.checkpoints import read_checkpoint
from gan_space.latents.directions import Directions
from gan_space.models.generator import Generator
from gan_space.packs.files import read_pack
from gan_space.pipelines.loading import resolve_model
from tests.links import needs_links

DEFAULT = Path(__import__("gan_space").__file__).parent / "assets" / "default"
SIZE = dict(resolution=16, z_dim=8, w_dim=8, channel_base=64, channel_max=8, num_mapping_layers=2)
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 123\n"
PAGE = b"\n<!DOCTYPE html><html><body>Sign in</body></html>"
DEEP = b'{"a":' * 100_000


def model(folder):
    """(what opens the folder, its JSON file, its weights)."""
    Generator(**SIZE).save_pretrained(folder)
    return lambda: Generator.from_pretrained(folder), "config.json", "diffusion_pytorch_model.safetensors"


def pack(folder):
    shutil.copytree(DEFAULT / "packs" / "pencil", folder)
    return lambda: read_pack(folder), "pack.json", "pack.safetensors"


def directions(folder):
    shutil.copytree(DEFAULT / "directions", folder)
    return lambda: Directions.from_pretrained(folder), "directions.json", "directions.safetensors"


@pytest.fixture(params=[model, pack, directions])
def door(request, tmp_path):
    return tmp_path / "x", *request.param(tmp_path / "x")


def refusal(open_it) -> str:
    """The message of the refusal, which has to be one line of ours."""
    with pytest.raises(InputError) as caught:
        open_it()
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "content", [DEEP, b"[" * 100_000, b"[1]", b"null", b"{", b"\xff\xfe{}", b'{"a":1}' + b" " * 9_000_000]
)
def test_json_that_is_none_of_ours_is_refused(door, content):
    folder, open_it, record, _ = door
    (folder / record).write_bytes(content)
    assert record in refusal(open_it) or content[-1:] == b" "


@pytest.mark.parametrize(("content", "name"), [(LFS, "Git LFS pointer"), (PAGE, "web page")])
def test_what_came_in_place_of_a_file_is_named(door, content, name, tmp_path):
    folder, open_it, record, weights = door
    sound = (folder / record).read_bytes()
    (folder / record).write_bytes(content)
    assert name in refusal(open_it)
    (folder / record).write_bytes(sound)
    (folder / weights).write_bytes(content)
    assert name in refusal(open_it)
    (tmp_path / "a.pkl").write_bytes(content)
    assert name in refusal(lambda: read_checkpoint(tmp_path / "a.pkl"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_weights_that_no_network_has_are_refused(door, value):
    folder, open_it, record, weights = door
    tensors = load_file(folder / weights)
    next(tensor for tensor in tensors.values() if tensor.is_floating_point() and tensor.ndim).view(-1)[0] = value
    save_file(tensors, folder / weights)
    content = json.loads((folder / record).read_text())
    if "weights_sha256" in content:
        import hashlib

        content["weights_sha256"] = hashlib.sha256((folder / weights).read_bytes()).hexdigest()
        (folder / record).write_text(json.dumps(content))
    assert "not finite" in (text := refusal(open_it)) or "expected at most" in text


def test_the_index_of_a_model_is_read_with_the_same_limits(tmp_path):
    for content in (DEEP, LFS, PAGE, b"[]"):
        (tmp_path / "model_index.json").write_bytes(content)
        assert "model_index.json" in refusal(lambda: resolve_model(tmp_path))


@pytest.mark.parametrize(
    "changes",
    [
        {"num_mapping_layers": 10_000_000},
        {"num_mapping_layers": "8"},
        {"num_mapping_layers": [2]},
        {"z_dim": 2**60},
        {"w_dim": 1_000_000, "z_dim": 1_000_000},
        {"channel_base": 2**20, "channel_max": 2**20},
        {"conv_clamp": float("nan")},
        {"resolution": None},
    ],
)
def test_a_config_that_asks_for_what_the_weights_do_not_hold(tmp_path, changes, monkeypatch):
    open_it, record, _ = model(tmp_path)
    (tmp_path / record).write_text(json.dumps({**json.loads((tmp_path / record).read_text()), **changes}))
    # Nothing may be built but shapes.
    monkeypatch.setattr(torch.nn.Module, "load_state_dict", lambda *_: pytest.fail("built"))
    assert "config.json" in refusal(open_it)


@pytest.mark.parametrize(
    "weight_map",
    [None, [], {}, {"a": 1}, {"a": "../x.safetensors"}, {"a": "missing.safetensors"}, {"a": "/etc/x.safetensors"}],
)
def test_a_malformed_weight_map(tmp_path, weight_map):
    Generator(**SIZE).save_pretrained(tmp_path, max_shard_size="10KB")
    (index,) = tmp_path.glob("*.index.json")
    index.write_text(json.dumps({**json.loads(index.read_text()), "weight_map": weight_map}))
    assert "weight_map" in refusal(lambda: Generator.from_pretrained(tmp_path))


@needs_links
def test_links_are_not_published(tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("mine")
    folder = tmp_path / "model"
    (folder / "generator").mkdir(parents=True)
    (folder / "a.json").write_text("{}")
    hub.check_upload(folder, "user/name")
    (folder / "generator" / "b.json").symlink_to(secret)
    (folder / "samples").symlink_to(tmp_path)
    with pytest.raises(InputError, match=r"(?s)b\.json is a link.*samples is a link"):
        hub.check_upload(folder, "user/name")


def test_what_is_sound_stays():
    assert parse_json('{"a": [{"b": NaN}]}', "x")["a"]
    assert value_faults({"a": torch.ones(2), "n": torch.tensor(2**40), "empty": torch.zeros(0)}) == []
    assert Generator(**SIZE) is not None
    for error_class in (WeightsError, PackError):
        with pytest.raises(error_class, match="bytes"):
            parse_json(b" " * (MAX_JSON_BYTES + 1), "x", error_class)
