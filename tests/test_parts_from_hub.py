"""Single parts of a model by Hub id: networks, directions and packs, each as strict as a whole pipeline is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gan_space import hub as transfer
from gan_space.errors import InputError, WeightsError
from gan_space.latents.directions import Directions
from gan_space.models.discriminator import Discriminator
from gan_space.models.encoder import Encoder
from gan_space.models.generator import Generator
from gan_space.packs.identity import IdentityPack
from gan_space.packs.style import StylePack
from tests.hub_server import WRITE_TOKEN
from tests.latents.test_directions import make as make_directions
from tests.packs.test_identity import make_generator
from tests.packs.test_identity import make_pack as make_identity
from tests.packs.test_style import make_pack as make_style


@dataclasses.dataclass(frozen=True)
class Part:
    """One kind of part.

    Args:
        cls: has `from_pretrained`.
        make: (seed) -> something that has `save_pretrained`; another seed gives other content.
        read: what tells two of them apart.
    """

    cls: Any
    make: Callable[[int], Any]
    read: Callable[[Any], torch.Tensor]


def _directions(seed: int) -> Directions:
    made = make_directions()
    items = tuple(dataclasses.replace(one, vector=one.vector * (seed + 1)) for one in made.items)
    return Directions(items, made.base_hash, made.base_model, made.record)


def _style_pack(seed: int) -> StylePack:
    torch.manual_seed(0)
    generator = Generator(resolution=32, z_dim=8, w_dim=16, channel_base=256, channel_max=16, num_mapping_layers=1)
    encoder = Encoder.for_generator(generator, 16, width=8, num_blocks=1, hidden=16)
    return make_style(generator.requires_grad_(False), encoder, seed)


def _discriminator(seed: int) -> Discriminator:
    torch.manual_seed(seed)
    return Discriminator(resolution=32, channel_base=256, channel_max=16)


PARTS = {
    "generator": Part(Generator, make_generator, lambda one: one.mapping.fc0.weight),
    "discriminator": Part(Discriminator, _discriminator, lambda one: next(one.parameters())),
    "directions": Part(Directions, _directions, lambda one: one.items[0].vector),
    "style pack": Part(StylePack, _style_pack, lambda one: one.w_offset),
    "identity pack": Part(
        IdentityPack,
        lambda seed: make_identity(make_generator(), scale=0.1 * (seed + 1)),
        lambda one: torch.cat([tensor.flatten() for tensor in one.delta.parameters()]),
    ),
}


@pytest.fixture(params=PARTS)
def part(request) -> Part:
    return PARTS[request.param]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(transfer, "WAITS_SEC", (0.01, 0.01))


def push(part: Part, seed: int, folder: Path, tag: str, under: str = "") -> Any:
    """Push a part, alone or as a sub-folder of something larger."""
    made = part.make(seed)
    made.save_pretrained(folder / under)
    (folder / "other").mkdir()
    (folder / "other/config.json").write_text("{}")
    transfer.upload(folder, "user/part", token=WRITE_TOKEN, tag=tag)
    return made


@pytest.mark.parametrize("under", ["", "one/part"])
def test_every_part_loads_by_id_at_the_revision_asked_for(hub, part, tmp_path, under):
    first = push(part, 0, tmp_path / "a", "v1", under)
    second = push(part, 1, tmp_path / "b", "v2", under)
    options = {"subfolder": under} if under else {}
    for tag, made in (("v1", first), ("v2", second), (None, second)):
        loaded = part.cls.from_pretrained("user/part", revision=tag, cache_dir=tmp_path / "cache", **options)
        assert torch.equal(part.read(loaded), part.read(made)), tag
    assert not torch.equal(part.read(first), part.read(second))
    if under:
        assert hub.count("resolve.*other/config.json") == 0, "only the part that was asked for is downloaded"
    offline = part.cls.from_pretrained(
        "user/part", revision="v1", cache_dir=tmp_path / "cache", local_files_only=True, **options
    )
    assert torch.equal(part.read(offline), part.read(first))


@pytest.mark.parametrize("fault", ["flip", "truncate"])
def test_a_part_that_arrives_damaged_is_fetched_once_more(hub, part, tmp_path, fault):
    made = push(part, 0, tmp_path / "a", "v1")
    hub.fail(fault, "GET /cdn", times=1, after=100)
    loaded = part.cls.from_pretrained("user/part", cache_dir=tmp_path / "cache")
    assert torch.equal(part.read(loaded), part.read(made))


def test_a_part_that_never_arrives_whole_is_refused_now_and_later(hub, part, tmp_path):
    push(part, 0, tmp_path / "a", "v1")
    hub.fail("flip", "GET /cdn")
    for options in ({}, {"local_files_only": True}):
        with pytest.raises(WeightsError, match=r"arrived damaged|incomplete|not in the cache|has no|damaged"):
            part.cls.from_pretrained("user/part", cache_dir=tmp_path / "cache", **options)


def test_mistakes_are_explained(hub, part, tmp_path):
    push(part, 0, tmp_path / "a", "v1")
    cache = {"cache_dir": tmp_path / "cache"}
    with pytest.raises(WeightsError, match="no such revision"):
        part.cls.from_pretrained("user/part", revision="v9", **cache)
    with pytest.raises(WeightsError, match="no such repository"):
        part.cls.from_pretrained("user/none", **cache)
    with pytest.raises(WeightsError, match="has no folder 'nothing'"):
        part.cls.from_pretrained("user/part", subfolder="nothing", **cache)
    with pytest.raises(InputError, match="neither a folder nor a Hub id"):
        part.cls.from_pretrained("no/such/folder", **cache)
    asked = hub.count("")
    with pytest.raises(InputError, match="neither a folder nor a Hub id"):
        part.cls.from_pretrained("nowhere", **cache)
    assert hub.count("") == asked, "a path with a mistake in it is nothing to ask the Hub about"
    with pytest.raises(InputError, match="works for Hub ids only"):
        part.cls.from_pretrained(tmp_path / "a", revision="v1")


def test_force_download_asks_the_hub_again(hub, part, tmp_path):
    push(part, 0, tmp_path / "a", "v1")
    part.cls.from_pretrained("user/part", cache_dir=tmp_path / "cache")
    before = hub.count("GET /cdn")
    part.cls.from_pretrained("user/part", cache_dir=tmp_path / "cache")
    assert hub.count("GET /cdn") == before
    part.cls.from_pretrained("user/part", cache_dir=tmp_path / "cache", force_download=True)
    assert hub.count("GET /cdn") > before
