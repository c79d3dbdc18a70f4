"""Style packs: files come back equal, damage and strangers are refused, drawing scales with the strength."""

from __future__ import annotations

import dataclasses
import io
import json

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from gan_space.errors import PackError
from gan_space.models.encoder import Encoder
from gan_space.models.generator import Generator
from gan_space.packs.files import MAX_BYTES
from gan_space.packs.low_rank import LowRankDelta
from gan_space.packs.style import StateChange, StylePack, base_hash, finish_with_packs, move_code
from gan_space.packs.tuning import tuned_weights
from gan_space.pipelines.pack_fitting import draw_preview


@pytest.fixture(scope="module")
def generator() -> Generator:
    torch.manual_seed(0)
    model = Generator(resolution=32, z_dim=8, w_dim=16, channel_base=256, channel_max=16, num_mapping_layers=1,
                      use_noise=False)  # fmt: skip
    model.compute_dtype = torch.float32
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def encoder(generator) -> Encoder:
    torch.manual_seed(1)
    return Encoder.for_generator(generator, 16, width=8, num_blocks=1, hidden=16).eval().requires_grad_(False)


def png(side: int = 16) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), "teal").save(file, "PNG")
    return file.getvalue()


def make_pack(generator: Generator, encoder: Encoder, seed: int = 0, **changes) -> StylePack:
    draw = torch.Generator().manual_seed(seed)
    delta = LowRankDelta.create(generator, tuned_weights(generator, 16), rank=2, seed=seed)
    for tensor in delta.parameters():
        tensor.copy_(0.2 * torch.randn(tensor.shape, generator=draw))
    channels = generator.synthesis.block(16).conv1.weight.shape[0] + 3
    rows = generator.num_ws - generator.synthesis.first_row(32)
    fields = dict(
        id="ink-wash", name={"en": "Ink wash", "zh-CN": "水墨"}, description={"en": "Ink.", "zh-CN": "墨。"},
        base_model="tests/tiny", base_hash=base_hash(generator, encoder), feature_resolution=16,
        delta=delta.to(torch.float16), w_offset=(0.3 * torch.randn(rows, 16, generator=draw)).half(),
        state_change=StateChange((0.1 * torch.randn(channels, channels, generator=draw)).half(),
                                 (0.1 * torch.randn(channels, generator=draw)).half()),
        credit="Nobody", license="CC0", training={"steps_done": 3}, preview=png(),
    )  # fmt: skip
    return StylePack(**(fields | changes))


@pytest.fixture
def pack(generator, encoder) -> StylePack:
    return make_pack(generator, encoder)


@pytest.fixture
def code(generator):
    w_plus = torch.randn(2, generator.num_ws, 16, generator=torch.Generator().manual_seed(3))
    return generator.synthesis.features(w_plus, 16), w_plus


def test_a_saved_pack_draws_the_same_bits(pack, generator, code, tmp_path):
    folder = pack.save_pretrained(tmp_path / "deep" / "ink-wash")
    assert sorted(file.name for file in folder.iterdir()) == ["pack.json", "pack.safetensors", "preview.png"]
    assert sorted(file.name for file in folder.parent.iterdir()) == ["ink-wash"]
    again = StylePack.from_pretrained(folder)
    for one in dataclasses.fields(StylePack):
        if one.name not in ("delta", "w_offset", "state_change"):
            assert getattr(again, one.name) == getattr(pack, one.name), one.name
    expected = finish_with_packs(generator, *code, [(pack, 0.8)])
    assert torch.equal(finish_with_packs(generator, *code, [(again, 0.8)]), expected)
    record = json.loads((folder / "pack.json").read_text(encoding="utf-8"))
    assert record["name"]["zh-CN"] == "水墨" and record["rank"] == 2 and record["format_version"] == 1


def test_scale_zero_is_the_reconstruction_and_the_network_is_left_as_it_was(pack, generator, code):
    state, w_plus = code
    plain = generator.synthesis.finish(state, w_plus, 16)
    assert torch.equal(finish_with_packs(generator, state, w_plus, [(pack, 0.0)]), plain)
    assert (finish_with_packs(generator, state, w_plus, [(pack, 1.0)]) - plain).abs().max() > 0.05
    assert torch.equal(generator.synthesis.finish(state, w_plus, 16), plain)


def test_several_packs_add_what_each_does_to_the_code(generator, encoder, code):
    one, two = (make_pack(generator, encoder, seed) for seed in (1, 2))
    state, w_plus = code
    moved, rows = move_code(state, w_plus, [(one, 0.5), (two, -2.0)])
    expected_x, expected_rgb, expected_w = state.x.double(), state.rgb.double(), w_plus.double().clone()
    for pack, scale in ((one, 0.5), (two, -2.0)):
        both = torch.cat([state.x, state.rgb], dim=1).double()
        weight, bias = pack.state_change.weight.double(), pack.state_change.bias.double()
        change = scale * (torch.einsum("oi,nihw->nohw", weight, both) + bias[:, None, None])
        expected_x, expected_rgb = expected_x + change[:, :-3], expected_rgb + change[:, -3:]
        expected_w[:, -len(pack.w_offset) :] += scale * pack.w_offset.double()
    assert torch.allclose(moved.x.double(), expected_x, atol=1e-4)
    assert torch.allclose(moved.rgb.double(), expected_rgb, atol=1e-4)
    assert torch.allclose(rows.double(), expected_w, atol=1e-5)
    first = generator.synthesis.first_row(32)
    assert torch.equal(rows[:, :first], w_plus[:, :first])


def test_whole_photos_of_any_size_take_the_look(pack, generator, code):
    state, w_plus = code
    wide = type(state)(*(torch.cat([part, part, part], dim=3)[:, :, :12] for part in state))
    assert finish_with_packs(generator, wide, w_plus, [(pack, 1.0)]).shape == (2, 3, 24, 96)


def test_another_base_is_an_error_that_names_both(pack, generator, encoder):
    pack.check_base(base_hash(generator, encoder), "tests/tiny")
    with torch.no_grad():
        other = type(encoder)(**{k: v for k, v in encoder.config.items() if not k.startswith("_")})
    with pytest.raises(PackError, match=r"tuned for tests/tiny \([0-9a-f]{16}….*this model is user/other"):
        pack.check_base(base_hash(generator, other), "user/other")


def test_shapes_that_do_not_fit_are_all_named(pack):
    other = Generator(resolution=64, z_dim=8, w_dim=8, channel_base=512, channel_max=8, num_mapping_layers=1)
    with pytest.raises(PackError) as caught:
        pack.check_fits(other)
    for part in ("problems", "synthesis.b32.conv0.weight", "w_offset is", "state.bias has"):
        assert part in str(caught.value)


def test_fields_that_do_not_work_are_all_named(generator, encoder):
    with pytest.raises(PackError) as caught:
        make_pack(generator, encoder, id="Ink Wash", name={"en": "Ink"}, base_hash="x", scope="hair", transfer="none",
                  w_offset=torch.zeros(3))  # fmt: skip
    for part in ("6 problems", "id must be", "zh-CN", "base_hash", "scope", "transfer", "w_offset"):
        assert part in str(caught.value)


def edit_record(folder, **changes):
    record = json.loads((folder / "pack.json").read_text(encoding="utf-8"))
    for key, value in changes.items():
        if value is None:
            del record[key]
        else:
            record[key] = value
    (folder / "pack.json").write_text(json.dumps(record), encoding="utf-8")


def rewrite(folder, change):
    """Other tensors with a hash that fits them, as someone with intent would."""
    import hashlib

    tensors = load_file(folder / "pack.safetensors")
    change(tensors)
    save_file(tensors, folder / "pack.safetensors")
    edit_record(folder, weights_sha256=hashlib.sha256((folder / "pack.safetensors").read_bytes()).hexdigest())


def flip_a_byte(folder):
    content = bytearray((folder / "pack.safetensors").read_bytes())
    content[-3] ^= 1
    (folder / "pack.safetensors").write_bytes(content)


def cut(file):
    file.write_bytes(file.read_bytes()[:-20])


DAMAGE = {
    "byte": (flip_a_byte, "pack.safetensors is damaged or from another pack"),
    "cut": (lambda folder: cut(folder / "pack.safetensors"), "cannot read .*pack.safetensors"),
    "json": (lambda folder: cut(folder / "pack.json"), "pack.json cannot be read as JSON"),
    "list": (lambda folder: (folder / "pack.json").write_text("[1]"), "must hold a JSON object, got list"),
    "preview": (lambda folder: (folder / "preview.png").write_bytes(b"GIF89a"), "preview.png is no whole PNG"),
    "missing": (lambda folder: (folder / "preview.png").unlink(), "lacks preview.png"),
    "version": (lambda folder: edit_record(folder, format_version=9), "format version 9, expected 1"),
    "kind": (lambda folder: edit_record(folder, kind="identity"), "kind is 'identity', expected 'style'"),
    "keys": (lambda folder: edit_record(folder, colour="red", scope=None),
             "(?s)2 problems.*unknown key 'colour'.*missing key 'scope'"),
    "type": (lambda folder: edit_record(folder, feature_resolution="16"), "feature_resolution must be int, got '16'"),
    "rank": (lambda folder: edit_record(folder, rank=5), "says rank 5, the file has 2"),
    "names": (lambda folder: edit_record(folder, weights=["nose"]), r"lists the weights \['nose'\]"),
    "tensor": (lambda folder: rewrite(folder, lambda tensors: tensors.pop("w_offset")), "missing tensor 'w_offset'"),
    "nan": (lambda folder: rewrite(folder, lambda tensors: tensors["w_offset"].fill_(torch.nan)), "not finite"),
    "shape": (lambda folder: rewrite(folder, lambda tensors: tensors.update({"state.bias": torch.zeros(2)})),
              "state.weight .* must be"),
    "large": (lambda folder: (folder / "preview.png").write_bytes(b"0" * MAX_BYTES), "at most 1,000,000 are allowed"),
    "empty": (lambda folder: [path.unlink() for path in folder.iterdir()], "lacks .*pack.json"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_an_error(pack, tmp_path, damage):
    folder = pack.save_pretrained(tmp_path / "pack")
    harm, words = DAMAGE[damage]
    harm(folder)
    with pytest.raises(PackError, match=words):
        StylePack.from_pretrained(folder)


def test_saving_replaces_packs_but_nothing_else(pack, generator, encoder, tmp_path):
    folder = pack.save_pretrained(tmp_path / "pack")
    make_pack(generator, encoder, id="pencil").save_pretrained(folder)
    assert StylePack.from_pretrained(folder).id == "pencil"
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "me.jpg").write_bytes(b"me")
    with pytest.raises(PackError, match="exists and is no pack"):
        pack.save_pretrained(tmp_path / "photos")
    with pytest.raises(PackError, match="no whole PNG"):
        pack.with_preview(b"").save_pretrained(tmp_path / "other")
    with pytest.raises(PackError, match=r"at most 1,000,000 are allowed: tune with a lower rank"):
        huge = StateChange(torch.rand(700, 700), torch.rand(700))
        dataclasses.replace(pack, state_change=huge).save_pretrained(tmp_path / "other")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["pack", "photos"]


def test_the_preview_shows_the_look_on_invented_faces(pack, generator, encoder):
    picture = draw_preview(generator, encoder, pack, [1, 2, 3, 4], side_px=64)
    assert picture.size == (64, 64) and picture.mode == "RGB"
    still = StateChange(torch.zeros_like(pack.state_change.weight), torch.zeros_like(pack.state_change.bias))
    other = draw_preview(generator, encoder, dataclasses.replace(pack, state_change=still), [1, 2, 3, 4], side_px=64)
    assert picture.tobytes() != other.tobytes()
