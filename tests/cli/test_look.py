"""`gan-space look` and `stylize --look` as a shell sees them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from gan_space.cli.look import parse_change
from gan_space.errors import InputError
from gan_space.looks.recipe import LookRecipe, shipped_looks
from gan_space.output.provenance import read_provenance
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from tests.cli.running import run
from tests.hub_server import WRITE_TOKEN

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"


def test_list_and_show(capsys):
    code, text, _ = run("look", "list", capsys=capsys)
    assert code == 0 and [line.split()[0] for line in text.splitlines()] == list(shipped_looks())
    code, text, _ = run("look", "show", "smoky", capsys=capsys)
    assert code == 0 and LookRecipe.from_dict(json.loads(text)) == shipped_looks()["smoky"]
    code, _, err = run("look", "show", "smokey", capsys=capsys)
    assert code == 2 and "'smokey'" in err and "the nearest are smoky" in err


def test_a_changed_look_is_saved_and_used(tmp_path, capsys):
    file, photo, out = tmp_path / "mine.json", tmp_path / "photo.png", tmp_path / "out.png"
    changes = ("--set", "skin.even=0.1", "--set", "makeup.lipstick.color=#a1343c", "--set", "strength=0.5")
    options = ("--out", file, "--name", "my-smoky", "--title", "Mine")
    assert run("look", "save", "smoky", *options, *changes, capsys=capsys)[0] == 0
    look = LookRecipe.load(file)
    assert (look.name, look.group, look.strength, look.skin["even"]) == ("my-smoky", "mine", 0.5, 0.1)
    assert look.makeup["lipstick"]["color"] == "#a1343c"
    assert look.makeup["eye_liner"] == shipped_looks()["smoky"].makeup["eye_liner"]
    assert run("look", "save", "smoky", "--out", file, capsys=capsys)[0] == 2  # there already

    Image.open(SAMPLES / "woman-lake.jpg").resize((256, 256)).save(photo)
    code, text, err = run("stylize", photo, "--look", file, "--out", out, capsys=capsys)
    assert (code, err) == (0, "") and "1 labelled picture" in text
    recipe = read_provenance(out).recipe
    assert (recipe["look"], recipe["look_sha256"], recipe["strength"]) == ("my-smoky", look.digest, 0.5)


@pytest.mark.slow
def test_make_up_of_a_picture_is_put_on_and_saved_without_the_picture(tmp_path, capsys):
    file, photo, worn, out = (tmp_path / name for name in ("worn.json", "photo.png", "worn.png", "out.png"))
    Image.open(SAMPLES / "woman-lake.jpg").resize((256, 256)).save(photo)
    Image.open(SAMPLES / "woman-park.jpg").resize((256, 256)).save(worn)
    made = ("--makeup-from", worn, "--makeup-strength", "lips=1,eyes=0.5,skin=0")
    code, text, err = run("stylize", photo, *made, "--out", out, capsys=capsys)
    assert (code, err) == (0, "") and "1 labelled picture" in text
    direct = list(Image.open(out).convert("RGB").get_flattened_data())
    assert run("look", "save", *made, "--name", "worn", "--out", file, capsys=capsys)[0] == 0
    look = LookRecipe.load(file)
    assert look.makeup_from.strengths == {"lips": 1.0, "eyes": 0.5, "skin": 0.0, "tone": 1.0}
    assert file.stat().st_size < 200_000
    code, _, err = run("stylize", photo, "--look", file, "--out", out, "--overwrite", capsys=capsys)
    assert (code, err) == (0, "")
    assert list(Image.open(out).convert("RGB").get_flattened_data()) == direct

    assert run("look", "save", "smoky", *made, "--out", file, "--overwrite", capsys=capsys)[0] == 0
    layers = set(LookRecipe.load(file).makeup)
    assert not layers & {"lipstick", "eye_shadow", "eye_liner"} and {"contour", "lashes"} <= layers


def test_a_look_goes_to_the_hub_and_comes_back(hub, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)
    monkeypatch.chdir(tmp_path)
    code, text, err = run("look", "save", "red-lip", "--push", "user/red-lip", capsys=capsys)
    assert (code, err) == (0, "") and "user/red-lip" in text
    assert run("look", "load", "user/red-lip", capsys=capsys)[0] == 0
    assert LookRecipe.load("red-lip.json") == shipped_looks()["red-lip"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("save", "smoky"), ["--out"]),
        (("save", "smoky", "--out", "x.json", "--set", "skin.even=7", "--name", "A b"), ["even", "name"]),
        (("save", "smoky", "--out", "x.json", "--set", "makeup.lipstick.shade=1"), ["shade"]),
        (("load", "nowhere.json"), ["nowhere.json"]),
        (("load", "no such thing"), ["neither"]),
        (("save", "--out", "x.json"), ["--makeup-from"]),
    ],
)
def test_faults_end_in_one_line(tmp_path, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    code, _, err = run("look", *arguments, capsys=capsys)
    assert code == 2 and err.count("\n") == 1 and all(word in err for word in words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--look", "smoky", "--pack", "poster"), ["--look"]),
        (("--look", "smoky", "--scope", "photo", "--upscale", "plain"), ["leave out scope, upscale"]),
        (("--makeup-from", "nowhere.png", "--pack", "poster"), ["nowhere.png", "--makeup-from stands alone"]),
        (("--makeup-from", SAMPLES / "woman-park.jpg", "--makeup-strength", "much"), ["--makeup-strength"]),
        (("--makeup-from", SAMPLES / "woman-park.jpg", "--makeup-strength", "lips=2,nose=1"), ["lips", "nose"]),
    ],
)
def test_look_and_make_up_stand_alone(tmp_path, capsys, options, words):
    code, _, err = run("stylize", SAMPLES / "woman-lake.jpg", *options, "--out", tmp_path / "out.png", capsys=capsys)
    assert code == 2 and all(word in err for word in words)


@pytest.mark.parametrize("text", ["even=0.4", "skin.even", "skin.a.b=1", "name=x", "post_processing.film=1", ".=1"])
def test_a_change_has_a_place_and_a_value(text):
    with pytest.raises(InputError, match="--set"):
        parse_change(text)


def test_a_loaded_look_is_listed_and_one_that_cannot_be_given_is_refused(tmp_path, networks_without_parts):
    pipe = networks_without_parts
    title = {"en": "Toned", "zh-CN": "色调"}
    file = LookRecipe("toned", title, "mine", grade={"warmth": 0.3}).save(tmp_path / "toned.json")
    assert pipe.load_look(file) == "toned" and pipe.looks["toned"].grade == {"warmth": 0.3}
    with pytest.raises(InputError, match="landmarker"):
        pipe.load_look(shipped_looks()["smoky"])


@pytest.fixture
def networks_without_parts(aligner) -> StyleTransferPipeline:
    from tests.pipelines.styling import make_networks

    return StyleTransferPipeline(*make_networks(), aligner)
