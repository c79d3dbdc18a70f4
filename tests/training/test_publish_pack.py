"""Packs on the Hub: the card that names the base, and profiles of people, which stay private."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
import yaml
from PIL import Image

from gan_space.formats.pack_card import render_pack_card
from gan_space.models.generator import Generator
from gan_space.packs.files import write_pack
from gan_space.packs.low_rank import LowRankDelta
from gan_space.packs.style import StateChange, StylePack
from tests.hub_server import WRITE_TOKEN
from training.publish import main

RECORD = {"kind": "identity", "base_model": "user/faces", "base_hash": "0" * 64, "consent": {"name": "Anna <b>"}}


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(autouse=True)
def logged_in(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)


@pytest.fixture
def look(tmp_path) -> Path:
    generator = Generator(16, z_dim=4, w_dim=4, channel_base=64, channel_max=4, num_mapping_layers=2)
    pack = StylePack(
        id="ink-wash", name={"en": "Ink wash", "zh-CN": "水墨"}, description={"en": "Ink <wet>.", "zh-CN": "墨。"},
        base_model="user/faces", base_hash="0" * 64, feature_resolution=8,
        delta=LowRankDelta.create(generator, ["synthesis.b16.conv1.weight"], rank=1, seed=0),
        w_offset=torch.zeros(3, 4), state_change=StateChange(torch.zeros(7, 7), torch.zeros(7)),
        credit="Paintings by nobody", license="CC BY 4.0", preview=png(),
    )  # fmt: skip
    return pack.save_pretrained(tmp_path / "ink")


@pytest.fixture
def person(tmp_path) -> Path:
    return write_pack(tmp_path / "me", {"anchors": torch.ones(1, 2, 4)}, RECORD, png())


def front_matter(card: bytes) -> dict:
    return yaml.safe_load(card.decode().split("---\n")[1])


def test_a_style_pack_names_its_base_and_loads_again(hub, look, tmp_path, capsys):
    from gan_space.hub import download

    assert main(["--folder", str(look), "--hub_model_id", "user/ink", "--tag", "v1"]) == 0
    repository = hub.repository("user/ink")
    files = {path: blob.data for path, blob in repository.commits[-1].files.items()}
    front, card = front_matter(files["README.md"]), files["README.md"].decode()
    assert front["base_model"] == "user/faces" and front["license"] == "cc-by-4.0" and "style-pack" in front["tags"]
    assert 'load_style_pack("user/ink", name="ink-wash")' in card and 'from_pretrained("user/faces")' in card
    assert "# Ink wash · 水墨" in card and "&lt;wet&gt;" in card and "Paintings by nobody" in card
    assert not repository.private and repository.tags == {"v1": repository.commits[-1].oid}
    assert "states no" not in capsys.readouterr().out
    loaded = StylePack.from_pretrained(download("user/ink", "v1", cache_dir=tmp_path / "cache"))
    assert loaded.id == "ink-wash" and loaded.base_model == "user/faces"
    assert main(["--folder", str(look), "--hub_model_id", "user/ink", "--tag", "v1"]) == 0
    assert len(repository.commits) == 2


def test_a_damaged_pack_is_not_pushed(hub, look, capsys):
    weights = look / "pack.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[:-4] + bytes([content[-4] ^ 1]) + content[-3:])  # the lowest bit of the last number
    assert main(["--folder", str(look), "--hub_model_id", "user/ink"]) == 2
    assert "is damaged" in capsys.readouterr().err and hub.requests == []


def test_a_profile_of_a_person_is_private_unless_it_is_said(hub, person, capsys):
    assert main(["--folder", str(person), "--hub_model_id", "user/me"]) == 0
    assert hub.repository("user/me").private
    card = hub.repository("user/me").commits[-1].files["README.md"].data
    assert "identity-pack" in front_matter(card)["tags"] and b"Anna" not in card
    assert main(["--folder", str(person), "--hub_model_id", "user/us", "--public_person"]) == 0
    assert not hub.repository("user/us").private
    assert main(["--folder", str(person), "--hub_model_id", "user/us"]) == 1
    assert "exists and is public" in capsys.readouterr().err


def test_a_base_that_is_not_on_the_hub_is_not_linked():
    card = render_pack_card({"kind": "style", "id": "ink", "base_model": "gan_space/default", "base_hash": "ab"})
    assert "base_model" not in front_matter(card.encode()) and "from_pretrained()" in card
    assert "`gan_space/default`" in card and "No licence is stated" in card
