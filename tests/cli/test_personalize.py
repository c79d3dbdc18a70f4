"""`gan-space personalize` as a shell sees it, with tiny networks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image, ImageFilter

from gan_space.cli.personalize import parse_consent
from gan_space.output.provenance import read_provenance
from gan_space.packs.consent import Consent
from gan_space.packs.identity import IdentityPack
from gan_space.pipelines.personalization import PersonalizationPipeline
from tests.cli.running import run
from tests.pipelines.styling import make_networks, make_pack, make_preview
from tests.pipelines.test_personalization import make_directions, make_profile

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"


@pytest.fixture(scope="module")
def model(tmp_path_factory, aligner) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    generator, encoder = make_networks()
    person = PersonalizationPipeline(generator, encoder, aligner)
    person.directions = make_directions(generator)
    person.save_pretrained(folder)
    make_pack(generator, encoder, preview=make_preview()).save_pretrained(folder / "packs" / "ink")
    make_profile(generator).save_pretrained(folder.parent / "profile")
    return folder


@pytest.fixture
def profile(model) -> Path:
    return model.parent / "profile"


def test_fit_generate_and_delete(tmp_path, model, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("woman-lake.jpg", "woman-park.jpg"):
        (photos / name).write_bytes((SAMPLES / name).read_bytes())
    Image.open(SAMPLES / "woman-lake.jpg").filter(ImageFilter.GaussianBlur(9)).save(photos / "soft.png")
    me = tmp_path / "me"
    options = ("--out", me, "--consent", "a woman; herself", "--model", model, "--steps", 3, "--rank", 2)
    code, out, err = run("personalize", "fit", photos, *options, "--check", capsys=capsys)
    assert (code, err) == (0, "") and "soft.png: the face is blurred" in out and "2 of 3 photos can be used" in out
    assert not me.exists()
    code, out, err = run("personalize", "fit", photos, *options, capsys=capsys)
    assert (code, err) == (0, "") and f"a profile from 2 of 3 photos in {me} (psnr_start" in out
    pack = IdentityPack.from_pretrained(me)
    assert (pack.consent.whose_face, pack.consent.agreed_by) == ("a woman", "herself") and pack.delta.rank == 2

    pictures = tmp_path / "deep" / "out"
    options = ("--pack", me, "--seeds", "0-2", "--attribute", "smile=1", "--out", pictures, "--model", model)
    code, out, err = run("personalize", "generate", *options, "--batch-size", 2, capsys=capsys)
    assert (code, out, err) == (0, f"3 labelled pictures in {pictures}\n", "")
    assert sorted(path.name for path in pictures.iterdir()) == ["seed0000.png", "seed0001.png", "seed0002.png"]
    provenance = read_provenance(pictures / "seed0002.png")
    assert provenance.digital_source_type.endswith("/trainedAlgorithmicMedia")
    assert provenance.recipe["profile"] == pack.digest and provenance.recipe["attributes"] == {"smile": 1.0}
    assert "a woman" not in str(provenance.recipe)

    code, out, err = run("personalize", "delete", me, capsys=capsys)
    assert (code, err) == (0, "") and out.splitlines() == [
        f"deleted {me / name}" for name in ("pack.safetensors", "pack.json", "preview.png")
    ]
    assert not me.exists()
    code, _, err = run("personalize", "delete", me, capsys=capsys)
    assert code == 2 and "there is no profile" in err


def test_styles_come_on_top(tmp_path, model, profile, capsys):
    options = ("--pack", profile, "--seeds", 7, "--model", model, "--format", "webp")
    assert (
        run("personalize", "generate", *options, "--style", "ink=0.5", "--out", tmp_path / "a", capsys=capsys)[0] == 0
    )
    assert run("personalize", "generate", *options, "--out", tmp_path / "b", capsys=capsys)[0] == 0
    styled, plain = (tmp_path / name / "seed0007.webp" for name in ("a", "b"))
    assert read_provenance(styled).recipe["packs"] == [{"name": "ink", "weight": 0.5}]
    assert Image.open(styled).tobytes() != Image.open(plain).tobytes()


def test_nothing_is_replaced_unless_told(tmp_path, model, profile, capsys):
    options = ("generate", "--pack", profile, "--seeds", "1", "--out", tmp_path, "--model", model)
    (tmp_path / "seed0001.png").write_text("mine")
    code, _, err = run("personalize", *options, capsys=capsys)
    assert code == 2 and "--overwrite" in err and (tmp_path / "seed0001.png").read_text() == "mine"
    assert run("personalize", *options, "--overwrite", capsys=capsys)[0] == 0
    photo = SAMPLES / "woman-lake.jpg"
    code, _, err = run(
        "personalize", "fit", photo, "--out", profile, "--consent", "a; b", "--model", model, capsys=capsys
    )
    assert code == 2 and "--overwrite" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "gone.jpg", "--out", "x", "--consent", "a; b"], "'gone.jpg' does not exist"),
        (["fit", "a.png", "--out", "x", "--consent", "me"], "--consent must say whose face it is and who agreed"),
        (["fit", "a.png", "--out", "x"], "--consent"),
        (["fit", "a.png", "--out", "x", "--consent", "a; b", "--steps", "0"], "num_steps must be a finite number"),
        (["fit", "a.png", "--out", "x", "--consent", "a; b"], "not one photo can be used"),
        (["fit", "a.png", "--out", "a.png/x", "--consent", "a; b"], "a.png is a file, expected a folder"),
        (["fit", "a.png", "--out", ".", "--overwrite", "--consent", "a; b"], "exists and is no pack"),
        (["generate", "--pack", "gone", "--out", "x"], "there is no pack at gone"),
        (["generate", "--pack", "p", "--out", "x", "--attribute", "smile=much"], "--attribute must be such as smile=1"),
        (["generate", "--pack", "p", "--out", "x", "--attribute", "hair=1"], "cannot change 'hair'"),
        (["generate", "--pack", "p", "--out", "x", "--identity-strength", "3"], "identity_strength must be"),
        (["generate", "--pack", "p", "--out", "x", "--seeds", "x"], "--seeds"),
        (["generate", "--pack", "p", "--out", "x", "--format", "gif"], "--format must be one of"),
        (["delete", "photos"], "there is no profile at photos"),
        (["forget"], "forget"),
    ],
)
def test_bad_input_is_one_line_and_code_2(tmp_path, monkeypatch, capsys, model, profile, arguments, message):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (80, 80)).save("a.png")
    Path("photos").mkdir()
    shutil.copytree(profile, "p")
    loads = not any(word in message for word in ("exist", "--consent", "num_steps", "--seeds", "--format", "forget"))
    extra = ["--model", str(model)] if loads and arguments[0] != "delete" else []
    code, out, err = run("personalize", *arguments, *extra, capsys=capsys)
    assert (code, out, err.count("\n")) == (2, "", 1) and message in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "p", "photos"]


def test_consent_is_read():
    assert parse_consent(" my own face ;me", Consent).whose_face == "my own face"
