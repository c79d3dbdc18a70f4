"""Identity packs: the hull, the file format, deletion, and what tuning does to the person and to everybody else."""

from __future__ import annotations

import io
import json
import stat
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from gan_space.errors import Cancelled, ConfigError, InputError, PackError
from gan_space.models.discriminator import Discriminator
from gan_space.models.face_identity import FaceIdentity
from gan_space.models.generator import Generator
from gan_space.models.hashing import weights_sha256
from gan_space.packs.attaching import attached
from gan_space.packs.consent import Consent
from gan_space.packs.identity import (
    MAX_BYTES,
    SALT,
    IdentityPack,
    delete_pack,
    hull_codes,
    hull_weights,
)
from gan_space.packs.identity_tuning import IdentitySettings, mean_psnr, tune_identity, tuned_weights
from gan_space.packs.low_rank import LowRankDelta
from gan_space.packs.style import StylePack

CONSENT = Consent("my own face", "myself", "2026-05-04T10:00:00+00:00")


def tiny_png() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), "white").save(stream, "PNG")
    return stream.getvalue()


def make_generator(seed: int = 0) -> Generator:
    torch.manual_seed(seed)
    sizes = {"z_dim": 8, "w_dim": 8, "channel_base": 256, "channel_max": 16, "num_mapping_layers": 2}
    generator = Generator(16, use_noise=False, **sizes).eval().requires_grad_(False)
    generator.compute_dtype = torch.float32
    return generator


@pytest.fixture(scope="module")
def generator() -> Generator:
    return make_generator()


def make_pack(
    generator: Generator, num_anchors: int = 3, scale: float = 0.2, *, seed: int = 7, **fields
) -> IdentityPack:
    torch.manual_seed(seed)
    delta = LowRankDelta.create(generator, tuned_weights(generator), rank=2)
    for tensor in delta.parameters():
        tensor.add_(scale * torch.randn_like(tensor))
    return IdentityPack(
        **{
            "anchors": torch.randn(num_anchors, generator.num_ws, 8),
            "delta": delta.to(torch.float16),
            "base_model": "tiny",
            "base_hash": weights_sha256(generator),
            "consent": CONSENT,
            "num_photos": num_anchors,
            "quality": {"psnr": 20.5},
            "preview": tiny_png(),
            **fields,
        }
    )


# The hull


def test_hull_weights_by_hand():
    weights = hull_weights([3, 9], 4, beyond=0.1)
    by_hand = np.random.RandomState([9, SALT]).dirichlet([1.0] * 4) * 1.4 - 0.1
    np.testing.assert_allclose(weights[1].numpy(), by_hand, rtol=1e-6)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(2))


@pytest.mark.parametrize("num_anchors", [1, 2, 5, 20])
def test_hull_weights_stay_within_beyond(num_anchors):
    seeds = list(range(300))
    inside = hull_weights(seeds, num_anchors)
    assert inside.min() >= -1e-6 and torch.equal(inside[[5]], hull_weights([5], num_anchors))
    outside = hull_weights(seeds, num_anchors, beyond=0.2)
    assert outside.min() >= -0.2 - 1e-6
    torch.testing.assert_close(outside.sum(dim=1), torch.ones(300))
    if num_anchors == 1:
        assert torch.equal(outside, torch.ones(300, 1))
    else:
        assert outside.min() < 0
        torch.testing.assert_close(inside.mean(dim=0), torch.full([num_anchors], 1 / num_anchors), atol=0.06, rtol=0)


def test_hull_codes_are_sums_of_anchors(generator):
    pack = make_pack(generator)
    weights = hull_weights([4], 3, 0.05)[0]
    by_hand = sum(weight * anchor for weight, anchor in zip(weights, pack.anchors, strict=True))
    torch.testing.assert_close(hull_codes(pack, [4], 0.05)[0], by_hand)


@pytest.mark.parametrize("arguments", [([-1], 3), ([1], 3, -0.1), ([1], 3, 0.6), (["1"], 3), ([1], 3, float("nan"))])
def test_hull_weights_refuse(arguments):
    with pytest.raises(InputError):
        hull_weights(*arguments)


# Files


def test_a_saved_pack_comes_back_equal(generator, tmp_path):
    pack = make_pack(generator, training={"refused": {"blurred": 1}})
    folder = pack.save_pretrained(tmp_path / "deep" / "me")
    again = IdentityPack.from_pretrained(folder)
    assert torch.equal(again.anchors, pack.anchors)
    for key, tensor in pack.delta.to_tensors().items():
        assert torch.equal(again.delta.to_tensors()[key], tensor)
    for name in ("base_model", "base_hash", "consent", "created", "num_photos", "quality", "training", "preview"):
        assert getattr(again, name) == getattr(pack, name)
    assert again.digest == pack.digest and len(pack.digest) == 16
    assert sorted(path.name for path in folder.iterdir()) == ["pack.json", "pack.safetensors", "preview.png"]
    assert sum(path.stat().st_size for path in folder.iterdir()) < MAX_BYTES
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    pack.save_pretrained(folder)  # replaces itself
    assert sorted(path.name for path in folder.parent.iterdir()) == ["me"]


def test_digest_depends_on_the_numbers_and_on_nothing_else(generator):
    pack = make_pack(generator)
    assert replace(pack, consent=Consent("a friend", "the friend"), created="2026-01-01T00:00:00+00:00").digest == (
        pack.digest
    )
    assert replace(pack, anchors=pack.anchors + 1e-3).digest != pack.digest


def _change_record(**changes):
    def change(folder):
        record = json.loads((folder / "pack.json").read_text())
        record |= changes
        (folder / "pack.json").write_text(
            json.dumps({key: value for key, value in record.items() if value is not None})
        )

    return change


DAMAGES = {
    "kind": (_change_record(kind="style"), "kind is 'style'"),
    "unknown": (_change_record(note="x"), "unknown key 'note'"),
    "missing": (_change_record(base_hash=None), "missing key 'base_hash'"),
    "type": (_change_record(num_photos="3"), "num_photos must be int"),
    "number": (_change_record(num_photos=2), "num_photos must be from 3"),
    "consent": (_change_record(consent={"whose_face": "x"}), "consent must hold"),
    "empty consent": (_change_record(consent={"whose_face": "", "agreed_by": "x", "when": "?"}), "2 problems"),
    "version": (_change_record(format_version=9), "format version 9"),
    "weights": (_change_record(weights=["mapping.w_avg"]), "lists the weights"),
    "hash": (_change_record(weights_sha256="0" * 64), "damaged"),
    "cut": (lambda folder: (folder / "pack.safetensors").write_bytes(b"123"), "cannot read"),
    "large": (lambda folder: (folder / "preview.png").write_bytes(b"0" * MAX_BYTES), "at most 2,000,000 are allowed"),
    "gone": (lambda folder: (folder / "preview.png").unlink(), "lacks preview.png"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_packs_are_refused(generator, tmp_path, damage):
    folder = make_pack(generator).save_pretrained(tmp_path / "me")
    change, message = DAMAGES[damage]
    change(folder)
    with pytest.raises(PackError, match=message):
        IdentityPack.from_pretrained(folder)


def test_a_pack_that_is_too_large_leaves_nothing(generator, tmp_path):
    pack = make_pack(generator, preview=tiny_png(), training={"x": "y" * MAX_BYTES})
    with pytest.raises(PackError, match="at most 2,000,000"):
        pack.save_pretrained(tmp_path / "me")
    assert not list(tmp_path.iterdir())


def test_other_packs_are_not_overwritten_or_taken_for_profiles(generator, tmp_path):
    (tmp_path / "ink").mkdir()
    (tmp_path / "ink" / "pack.json").write_text('{"kind": "style"}')
    with pytest.raises(PackError, match="style pack"):
        make_pack(generator).save_pretrained(tmp_path / "ink")
    with pytest.raises(PackError, match="style pack"):
        delete_pack(tmp_path / "ink")
    with pytest.raises(PackError, match="kind is 'identity'"):
        StylePack.from_pretrained(make_pack(generator).save_pretrained(tmp_path / "me"))
    assert (tmp_path / "ink" / "pack.json").read_text() == '{"kind": "style"}'


def test_packs_name_the_model_that_they_are_for(generator):
    pack, other = make_pack(generator), make_generator(seed=1)
    pack.check_base(weights_sha256(generator), "tiny")
    with pytest.raises(PackError, match=r"made for tiny .* this model is other"):
        pack.check_base(weights_sha256(other), "other")
    with pytest.raises(PackError, match="anchors are"):
        replace(pack, anchors=torch.zeros(1, 4, 8), num_photos=1).check_fits(generator)


def test_faults_are_told_at_once(generator):
    with pytest.raises(PackError, match="4 problems"):
        make_pack(generator, anchors=torch.full([1, 6, 8], torch.nan), base_hash="x", created="now", num_photos=0)
    with pytest.raises(InputError, match="3 problems"):
        Consent("", "x" * 400, "yesterday")


# Deletion


def test_delete_names_and_removes_every_file(generator, tmp_path):
    folder = make_pack(generator).save_pretrained(tmp_path / "me")
    killed = tmp_path / ".me.partial-abc"  # what a save leaves that is killed half way
    killed.mkdir()
    (killed / "pack.safetensors").write_bytes(b"half")
    gone = delete_pack(folder)
    assert sorted(path.name for path in gone) == ["pack.json", "pack.safetensors", "pack.safetensors", "preview.png"]
    assert not list(tmp_path.iterdir())
    with pytest.raises(PackError, match="there is no profile"):
        delete_pack(folder)


def test_delete_leaves_what_is_not_the_profiles(generator, tmp_path):
    folder = make_pack(generator).save_pretrained(tmp_path / "me")
    (folder / "notes.txt").write_text("mine")
    assert len(delete_pack(folder)) == 3
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_a_forgotten_pack_holds_nothing(generator, tmp_path):
    pack = make_pack(generator)
    pack.forget()
    assert not any(tensor.any() for tensor in (pack.anchors, *pack.delta.parameters())) and pack.preview == b""
    with pytest.raises(PackError, match="forgotten"):
        pack.check_base(weights_sha256(generator), "tiny")
    with pytest.raises(PackError, match="forgotten"):
        pack.save_pretrained(tmp_path / "me")
    assert not list(tmp_path.iterdir())


# Tuning


@pytest.fixture(scope="module")
def person(generator):
    """Pictures of another generator: a person that this one cannot draw yet, and codes to start from."""
    other = make_generator(seed=5)
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        photos = other.synthesis(other.mapping(torch.randn(3, 8, generator=random)), noise_mode="const").clamp(-1, 1)
        start = generator.mapping(torch.randn(3, 8, generator=random))
    return photos, start


SETTINGS = IdentitySettings(num_steps=60, rank=4, lr=0.03, anchor_lr=0.1, num_random=16, preview_every=20)


@pytest.fixture(scope="module")
def tuned(generator, person):
    torch.manual_seed(0)
    discriminator = Discriminator(16, channel_base=128, channel_max=8, mbstd_group_size=1).eval().requires_grad_(False)
    before = weights_sha256(generator)
    previews = []
    result = tune_identity(
        generator, *person, discriminator=discriminator, settings=SETTINGS, callback=lambda *said: previews.append(said)
    )
    assert weights_sha256(generator) == before
    return result, previews


def test_tuning_brings_the_anchors_to_the_photos(generator, person, tuned):
    photos, start = person
    result, _ = tuned
    with torch.no_grad():
        plain = generator.synthesis(start, noise_mode="const")
        with attached(generator, [(result.delta, 1.0)]):
            drawn = generator.synthesis(result.anchors, noise_mode="const")
    assert result.quality["psnr_start"] == pytest.approx(mean_psnr(plain, photos), abs=0.05)
    assert result.quality["psnr"] == pytest.approx(mean_psnr(drawn, photos), abs=0.2)
    assert result.quality["psnr"] > result.quality["psnr_start"] + 3
    assert {tensor.dtype for tensor in result.delta.parameters()} == {torch.float16}


def test_the_callback_hears_of_every_step_and_sees_previews(tuned):
    _, previews = tuned
    assert [(step, total) for step, total, _ in previews] == [(step, 60) for step in range(1, 61)]
    shown = {step: preview.shape for step, _, preview in previews if preview is not None}
    assert shown == dict.fromkeys((20, 40, 60), torch.Size([3, 3, 16, 16]))


@pytest.mark.slow
def test_locality_leaves_random_faces_alone(generator, person, tuned):
    free = tune_identity(generator, *person, settings=replace(SETTINGS, locality=0.0))
    held = tune_identity(generator, *person, settings=replace(SETTINGS, locality=4.0))
    assert held.quality["random_change"] < 0.7 * free.quality["random_change"]
    assert held.quality["psnr"] > held.quality["psnr_start"] + 1


@pytest.mark.slow
def test_portraits_between_the_photos_come_nearer_to_the_person(generator, person):
    photos, _ = person
    torch.manual_seed(0)
    network = FaceIdentity(resolution=16, width=4, embedding_dim=8).eval()
    with torch.no_grad():  # without weights that learned something, all faces look alike: take off what they share
        drawn = generator.synthesis(generator.mapping(torch.randn(64, 8)), noise_mode="const")
        network.to_embedding.bias -= network.to_embedding(network.trunk(drawn).flatten(1)).mean(dim=0)
    wanted = network(photos).detach().mean(dim=0)
    likeness = []
    for weight in (0.0, 3.0):
        settings = replace(SETTINGS, identity=weight)
        found = tune_identity(generator, *person, identity=network, settings=settings)
        assert found.training["with_identity"] == (weight > 0)
        with attached(generator, [(found.delta, 1.0)]), torch.no_grad():
            between = found.anchors.mean(dim=0, keepdim=True)
            drawn = generator.synthesis(between, noise_mode="const").clamp(-1, 1)
        likeness.append((network(drawn) @ wanted).item())
    assert likeness[1] > likeness[0] + 0.02, likeness


def test_staying_holds_the_anchors(generator, person):
    _, start = person
    near = tune_identity(generator, *person, settings=replace(SETTINGS, num_steps=20, stay=10.0))
    far = tune_identity(generator, *person, settings=replace(SETTINGS, num_steps=20, stay=0.0))
    assert (near.anchors - start).norm() < 0.7 * (far.anchors - start).norm()


def test_equal_settings_give_an_equal_pack_and_attached_packs_do_not_matter(generator, person):
    settings = replace(SETTINGS, num_steps=4)
    one = tune_identity(generator, *person, settings=settings)
    with attached(generator, [(make_pack(generator).delta, 1.0)]):
        other = tune_identity(generator, *person, settings=settings)
    assert torch.equal(one.anchors, other.anchors) and one.quality == other.quality
    for key, tensor in one.delta.to_tensors().items():
        assert torch.equal(tensor, other.delta.to_tensors()[key])


def test_a_callback_that_says_no_stops_the_work(generator, person):
    steps = []

    def callback(step, total, preview):
        steps.append(step)
        return step < 3

    with pytest.raises(Cancelled, match="after 3 of 60"):
        tune_identity(generator, *person, settings=SETTINGS, callback=callback)
    assert steps == [1, 2, 3]


def test_bad_input_is_refused(generator, person):
    photos, start = person
    with pytest.raises(InputError, match="2 problems"):
        tune_identity(generator, photos[:, :, :8], start[:2])
    with pytest.raises(InputError, match="1 to 20"):
        tune_identity(generator, photos[:0], start[:0])
    with pytest.raises(ConfigError, match="5 problems"):
        IdentitySettings(num_steps=0, rank=0, lr=0, stay=-1, anchor_share=2)
