from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from safetensors.torch import save_file

from gan_space.errors import InputError, WeightsError
from gan_space.latents.directions import Direction, Directions
from gan_space.latents.refused import refused_word
from gan_space.models.generator import Generator
from gan_space.models.hashing import weights_sha256

HASH = "0123456789abcdef" * 4
SHAPE = (6, 8)


def vector(seed: int, rows=range(6)) -> torch.Tensor:
    full = torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))
    kept = torch.zeros(SHAPE)
    kept[list(rows)] = full[list(rows)]
    return kept


def make() -> Directions:
    smile = Direction(
        "smile",
        vector(1, range(3)),
        label={"en": "Smile", "zh-CN": "微笑"},
        group="expression",
        safe_range=(-2, 2),
        step=0.4,
        unit="probability",
        success=0.93,
        monotone=1.0,
        identity=0.1,
        effects={"smile": 1.0, "age": 0.3, "yaw": -0.1},
    )
    age = Direction("age", vector(2), safe_range=(-1, 3), effects={"smile": -0.2, "age": 0.8, "yaw": 0.05})
    yaw = Direction("yaw", vector(3), effects={"smile": 0.0, "age": 0.1, "yaw": 1.1})
    return Directions((smile, age, yaw), HASH, "tiny", {"num_measure": 8})


def test_amounts_add_up_row_by_row():
    directions, codes = make(), torch.randn(3, *SHAPE)
    moved = directions.apply(codes, {"smile": 1.5, "age": -0.5})
    expected = codes.clone()
    for face in range(3):
        for row in range(6):
            expected[face, row] += 1.5 * vector(1, range(3))[row] - 0.5 * vector(2)[row]
    torch.testing.assert_close(moved, expected)
    assert torch.equal(moved, directions.apply(codes, {"age": -0.5, "smile": 1.5}))
    assert torch.equal(directions.apply(codes, {}), codes)
    assert directions.apply(codes.half(), {"smile": 1}).dtype == torch.float16
    assert directions["smile"].layers == (0, 1, 2)


def test_amounts_out_of_range_name_the_range():
    directions = make()
    directions.shift({"age": 4.5})  # 1.5 times the safe range is the last that is taken
    with pytest.raises(InputError) as caught:
        directions.shift({"age": 4.6, "smile": float("nan"), "beauty": 1})
    message = str(caught.value)
    assert "age must be a number from -1.5 to 4.5 (faces stay faces from -1 to 3), got 4.6" in message
    assert "nan" in message and "'beauty'; it has smile, age, yaw" in message
    with pytest.raises(InputError, match=r"\[N, 6, 8\]"):
        directions.apply(torch.zeros(1, 5, 8), {"smile": 1})


def test_what_is_kept_does_not_change():
    directions = make()
    amounts = directions.compensated({"smile": 1.5}, keep=["age", "yaw"])
    assert amounts["smile"] == 1.5
    for kept in ("age", "yaw"):
        total = sum(amount * directions[name].effects[kept] for name, amount in amounts.items())
        assert abs(total) < 1e-9
    codes = torch.randn(1, *SHAPE)
    assert torch.equal(directions.apply(codes, {"smile": 1.5}, keep=["age", "yaw"]), directions.apply(codes, amounts))


@pytest.mark.parametrize(
    ("amounts", "keep", "word"),
    [
        ({"smile": 1}, ["hair"], "cannot keep 'hair'"),
        ({"smile": 1}, ["smile"], "choose one"),
        ({"smile": 9}, ["age"], "smile must be"),
        ({"smile": 3}, ["age"], None),
    ],
)
def test_bad_wishes_to_keep_are_explained(amounts, keep, word):
    if word is None:
        assert make().compensated(amounts, keep)["age"] == pytest.approx(-0.3 * 3 / 0.8)
        return
    with pytest.raises(InputError, match=word):
        make().compensated(amounts, keep)


def test_effects_that_were_not_measured_or_are_the_same_cannot_be_kept():
    known = make()
    bare = dataclasses.replace(known, items=(*known.items, Direction("hair", vector(4))))
    with pytest.raises(InputError, match="hair on age"):
        bare.compensated({"hair": 1}, ["age"])
    a = Direction("age", vector(2), effects={"smile": 0.0, "age": 1.0, "years": 1.0})
    smile = Direction("smile", vector(1), effects={"smile": 1.0, "age": 0.3, "years": 0.3})
    b = Direction("years", vector(5), effects={"age": 1.0, "years": 1.0})
    twins = Directions((smile, a, b), HASH)
    with pytest.raises(InputError, match="change together"):
        twins.compensated({"smile": 1}, ["age", "years"])


def test_they_are_saved_and_read_in_full(tmp_path):
    made = make()
    made.save_pretrained(tmp_path / "directions")
    read = Directions.from_pretrained(tmp_path / "directions")
    assert read.names == made.names and (read.base_hash, read.base_model) == (HASH, "tiny")
    for a, b in zip(made, read, strict=True):
        assert torch.equal(a.vector, b.vector)
        for name in ("label", "group", "safe_range", "step", "unit", "success", "monotone", "identity", "effects"):
            assert getattr(a, name) == getattr(b, name), name
    assert read["smile"].text("zh-CN") == "微笑" and read["age"].text("zh-CN") == "Age"
    assert read["smile"].leak == {"age": 0.3, "yaw": -0.1}
    assert read.record == {"num_measure": 8}
    first = [path.read_bytes() for path in sorted((tmp_path / "directions").iterdir())]
    read.save_pretrained(tmp_path / "again")
    assert first == [path.read_bytes() for path in sorted((tmp_path / "again").iterdir())]
    assert len(first) == 2


def damage(folder, what):
    info = json.loads((folder / "directions.json").read_text())
    if what == "no file":
        (folder / "directions.safetensors").unlink()
    elif what == "cut":
        file = folder / "directions.safetensors"
        file.write_bytes(file.read_bytes()[:-4])
    elif what == "other weights":
        save_file({"smile": torch.ones(SHAPE)}, folder / "directions.safetensors")
    elif what == "no json":
        (folder / "directions.json").write_text("{")
    elif what == "a list":
        (folder / "directions.json").write_text("[]")
    else:
        key, value = what
        target = info if key in info else info["directions"][0]
        target[key] = value
        (folder / "directions.json").write_text(json.dumps(info))


@pytest.mark.parametrize(
    ("what", "word"),
    [
        ("no file", "directions.safetensors"),
        ("cut", "is not the one"),
        ("other weights", "is not the one"),
        ("no json", "cannot be read as JSON"),
        ("a list", "must hold a JSON object, got list"),
        (("format_version", 2), "expected 1"),
        (("base_hash", "abc"), "64 hexadecimal"),
        (("base_hash", 7), "base_hash must be str"),
        (("record", []), "record must be dict"),
        (("directions", [1]), "list of objects"),
        (("directions", []), "names"),
        (("name", "frown"), "names"),
        (("name", ["smile"]), "names"),
        (("layers", [0, 1]), "changes layers"),
        (("safe_range", [1, 2]), "safe_range"),
        (("safe_range", "ab"), "safe_range"),
        (("safe_range", None), "safe_range"),
        (("success", "high"), "success"),
        (("effects", {"age": None}), "effects"),
        (("label", {"fr": "Sourire"}), "label"),
        (("label", {"en": "Lighter skin"}), "refused"),
        (("code", "import os"), "unknown entries"),
    ],
)
def test_damaged_files_are_weights_errors(tmp_path, what, word):
    make().save_pretrained(tmp_path)
    damage(tmp_path, what)
    with pytest.raises(WeightsError, match=word):
        Directions.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"name": "Smile"}, "a-z"),
        ({"name": "../smile"}, "a-z"),
        ({"vector": torch.zeros(SHAPE)}, "all zero"),
        ({"vector": torch.full(SHAPE, float("nan"))}, "finite"),
        ({"vector": torch.ones(8)}, r"\[8\]"),
        ({"group": "g" * 50}, "group"),
        ({"name": "race"}, "no direction for race"),
        ({"name": "skin_tone"}, "no direction for race"),
        ({"label": {"zh-CN": "肤色"}}, "no direction for race"),
    ],
)
def test_a_direction_that_does_not_fit_is_refused(settings, word):
    with pytest.raises(InputError, match=word):
        Direction(**{"name": "smile", "vector": vector(1), **settings})


def test_names_of_light_hair_and_skin_quality_are_no_race():
    for text in (
        "light_from_left",
        "black_hair",
        "white_balance",
        "smooth skin",
        "face_shape",
        "embrace",
        "美颜",
        "白发",
    ):
        assert refused_word(text) is None, text
    for text in (
        "Race",
        "more asian",
        "darker-skin",
        "SKIN_COLOUR",
        "ethnicity_2",
        "Middle Eastern",
        "变成白人",
        "美白",
    ):
        assert refused_word(text), text


def test_directions_must_agree_with_each_other():
    one = Direction("smile", vector(1))
    with pytest.raises(InputError, match="smile twice"):
        Directions((one, one), HASH)
    with pytest.raises(InputError, match="different shapes"):
        Directions((one, Direction("age", torch.ones(5, 8))), HASH)
    with pytest.raises(InputError, match="1 to"):
        Directions((), HASH)


def test_they_belong_to_one_generator():
    torch.manual_seed(0)
    generator = Generator(resolution=16, z_dim=8, w_dim=8, channel_base=64, num_mapping_layers=1)
    with pytest.raises(WeightsError, match=r"made for tiny with weights 0123456789ab"):
        make().check_fits(generator)
    fitting = make().made_for(generator)
    fitting.check_fits(generator)
    assert fitting.base_hash == weights_sha256(generator)
    with torch.no_grad():
        generator.synthesis.b4.const[0, 0, 0] += 1
    with pytest.raises(WeightsError):
        fitting.check_fits(generator)
    with pytest.raises(WeightsError, match=r"\(10, 8\)"):
        fitting.check_fits(Generator(resolution=64, z_dim=8, w_dim=8, channel_base=64, num_mapping_layers=1))


def test_photos_move_as_far_as_they_have_to(tmp_path):
    plain = Direction("smile", vector(0), photo_scale=1.5)
    directions = Directions((plain, Direction("age", vector(1))), base_hash="0" * 64)
    directions.save_pretrained(tmp_path)
    loaded = Directions.from_pretrained(tmp_path)
    assert loaded["smile"].photo_scale == 1.5 and loaded["age"].photo_scale == 1
    start = torch.zeros(1, *plain.vector.shape)
    further = loaded.for_photos()
    torch.testing.assert_close(further.apply(start, {"smile": 1})[0], 1.5 * plain.vector)
    torch.testing.assert_close(further.apply(start, {"age": 1}), loaded.apply(start, {"age": 1}))
    assert further.for_photos()["smile"].photo_scale == 1  # once is enough
    with pytest.raises(InputError, match=r"photo_scale must be from 1 to 1\.5, got 3"):
        Direction("smile", vector(0), photo_scale=3)
