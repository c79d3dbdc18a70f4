"""`gan-space stylize` as a shell sees it, with tiny networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_space.cli.photos import list_photos, parse_box
from gan_space.cli.stylize import parse_pack
from gan_space.errors import InputError
from gan_space.output.provenance import read_provenance, save_image
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from tests.cli.running import run
from tests.counting import count_calls
from tests.links import needs_links
from tests.pipelines.styling import make_networks, make_pack, make_preview

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"
REFERENCE = SAMPLES / "naval-officer.jpg"


@pytest.fixture(scope="module")
def model(tmp_path_factory, aligner) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    generator, encoder = make_networks()
    StyleTransferPipeline(generator, encoder, aligner).save_pretrained(folder)
    make_pack(generator, encoder, preview=make_preview()).save_pretrained(folder / "packs" / "ink")
    make_pack(generator, encoder, name="soft", preview=make_preview()).save_pretrained(folder.parent / "soft")
    return folder


@pytest.fixture
def photos(tmp_path) -> Path:
    """A folder with two photos and a text."""
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.open(SAMPLES / "woman-lake.jpg").resize((256, 256)).save(folder / "a.jpg", quality=95)
    Image.open(SAMPLES / "woman-park.jpg").resize((256, 256)).save(folder / "b.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_folder_becomes_a_folder_of_labelled_files(tmp_path, photos, model, capsys):
    before = contents(photos)
    out = tmp_path / "deep" / "out"
    options = ("--reference", REFERENCE, "--out", out, "--model", model, "--strength", 0.6, "--post", "film:0.3")
    code, text, err = run("stylize", photos, *options, capsys=capsys)
    assert (code, text, err) == (0, f"1 file passed over: 1 .txt\n2 labelled pictures in {out}\n", "")
    assert sorted(path.name for path in out.iterdir()) == ["a.jpg", "b.png"]
    provenance = read_provenance(out / "b.png")
    assert provenance.digital_source_type.endswith("/compositeWithTrainedAlgorithmicMedia")
    assert provenance.recipe["strength"] == 0.6 and provenance.recipe["post_processing"] == [["film", 0.3]]
    with Image.open(out / "b.png") as picture, Image.open(photos / "b.png") as photo:
        assert picture.size == photo.size
        assert np.abs(np.asarray(picture).astype(int) - np.asarray(photo)).mean() > 0.2
    assert contents(photos) == before


def test_one_photo_to_one_file_with_packs_in_one_call(tmp_path, photos, model, capsys):
    out = tmp_path / "face.webp"
    packs = ("--pack", "ink=0.5", "--pack", model.parent / "soft", "--transfer", "change", "--scope", "face")
    code, text, err = run("stylize", photos / "a.jpg", *packs, "--out", out, "--model", model, "--frame", capsys=capsys)
    assert (code, err) == (0, "") and str(out) in text
    weights = {entry["id"]: entry["weight"] for entry in read_provenance(out).recipe["packs"]}
    assert weights == {"ink": 0.5, "soft": 1.0}
    with Image.open(out) as picture:
        assert picture.format == "WEBP" and picture.width == picture.height < 256


def test_a_drawn_picture_is_enlarged_as_asked(tmp_path, photos, model, capsys):
    options = ("--pack", "ink", "--transfer", "picture", "--model", model)
    arguments = ("stylize", photos / "a.jpg", *options, "--out", tmp_path / "out.png")
    assert run(*arguments, "--upscale", "plain", capsys=capsys)[0] == 0
    assert read_provenance(tmp_path / "out.png").recipe["upscale"] == "plain"
    for wrong, message in (("network", "needs a model with an upscaler"), ("more", "upscale must be one of auto, net")):
        code, _, err = run(*arguments, "--upscale", wrong, "--overwrite", capsys=capsys)
        assert code == 2 and message in err


def test_labels_of_the_photo_are_passed_on(tmp_path, model, capsys):
    photo = save_image(Image.open(SAMPLES / "woman-lake.jpg"), tmp_path / "made.png", recipe={"seed": 4})
    out = tmp_path / "out.png"
    assert run("stylize", photo, "--post", "film", "--out", out, "--model", model, capsys=capsys)[0] == 0
    assert read_provenance(out).inherited[0]["digital_source_type"].endswith("trainedAlgorithmicMedia")


def test_what_shows_through_stays_so_in_png_and_webp_and_is_white_in_jpeg(tmp_path, photos, model, capsys):
    clear = Image.new("L", (256, 256), 255)
    clear.paste(0, (0, 0, 256, 30))
    clear.paste(120, (0, 30, 256, 40))
    with Image.open(photos / "b.png") as photo:
        photo.putalpha(clear)
        photo.save(photos / "b.png")
    for suffix in ("png", "webp", "jpg"):
        out = tmp_path / f"out.{suffix}"
        options = ("--post", "film", "--out", out, "--model", model)
        assert run("stylize", photos / "b.png", *options, capsys=capsys)[0] == 0
        with Image.open(out) as picture:
            if suffix == "jpg":
                assert picture.mode == "RGB" and np.asarray(picture)[:20].min() > 245
            else:
                assert picture.mode == "RGBA" and picture.getchannel("A").tobytes() == clear.tobytes()


def test_of_an_animation_the_first_frame_is_styled_and_said(tmp_path, photos, model, capsys):
    with Image.open(photos / "a.jpg") as photo:
        photo.save(photos / "a.gif", save_all=True, append_images=[photo.rotate(90)])
    options = ("--post", "film", "--out", tmp_path / "out.png", "--model", model)
    code, text, _ = run("stylize", photos / "a.gif", *options, capsys=capsys)
    assert code == 0 and text.startswith(f"{photos / 'a.gif'}: first of 2 frames\n")


@needs_links
def test_a_photo_is_never_replaced(tmp_path, photos, model, capsys):
    before = contents(photos)
    (tmp_path / "link.jpg").symlink_to(photos / "a.jpg")
    for target in (photos, photos / "a.jpg", tmp_path / "link.jpg"):
        arguments = (photos / "a.jpg", "--reference", REFERENCE, "--out", target, "--model", model, "--overwrite")
        code, out, err = run("stylize", *arguments, capsys=capsys)
        assert (code, out) == (2, "") and "would replace a photo" in err and err.count("\n") == 1
    assert contents(photos) == before


def test_results_are_replaced_only_if_told(tmp_path, photos, model, capsys):
    out = tmp_path / "out.png"
    out.write_text("mine")
    arguments = ("stylize", photos / "a.jpg", "--post", "film", "--out", out, "--model", model)
    code, _, err = run(*arguments, capsys=capsys)
    assert code == 2 and "--overwrite" in err and out.read_text() == "mine"
    assert run(*arguments, "--overwrite", capsys=capsys)[0] == 0
    assert read_provenance(out).is_ai_made


def test_one_bad_photo_does_not_stop_the_others(tmp_path, photos, model, capsys):
    Image.new("RGB", (200, 200), "gray").save(photos / "aa-empty.png")
    (photos / "ab-broken.jpg").write_bytes(b"\xff\xd8 not a picture")
    out = tmp_path / "out"
    code, text, err = run("stylize", photos, "--post", "film", "--out", out, "--model", model, capsys=capsys)
    assert (code, text, err.count("\n")) == (2, "1 file passed over: 1 .txt\n", 1)
    assert (
        "2 of 4 photos" in err
        and "aa-empty.png: no face" in err
        and "ab-broken.jpg: cannot be read as a picture" in err
    )
    assert sorted(path.name for path in out.iterdir()) == ["a.jpg", "b.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.jpg", "--post", "film", "--out", "x"], "'gone.jpg' does not exist"),
        (["a.png", "--out", "x"], "no look is given"),
        (["a.png", "--out", "x", "--reference", "gone.png"], "--reference 'gone.png' is no file"),
        (["a.png", "--out", "x", "--post", "film", "--format", "gif"], "--format must be one of"),
        (["a.png", "b.png", "--out", "x.png", "--post", "film"], "one file for 2 photos; give a folder"),
        (["a.png", "a.png", "--out", "x", "--post", "film"], "several photos would become"),
        (["a.png", "--out", "x.png", "--post", "film", "--format", "jpg"], "do not agree"),
        (["a.png", "b.png", "--out", "x", "--post", "film", "--box", "1,2,30"], "--box belongs to one photo"),
        (["a.png", "--out", "x", "--post", "film", "--box", "1,2"], "--box must be"),
        (["a.png", "--out", "x", "--pack", "ink=much"], "--pack must be such as"),
        (["a.png", "--out", "x.gif", "--post", "film"], "'x.gif' cannot be written; a file ends in .png"),
        (["a.png", "b.png", "--out", "x.tiff", "--post", "film"], "'x.tiff' cannot be written"),
        (["empty", "--out", "x", "--post", "film"], "holds no pictures"),
    ],
)
def test_bad_input_is_one_line_and_code_2(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8)).save(name)
    Path("empty").mkdir()
    code, out, err = run("stylize", *arguments, capsys=capsys)
    assert (code, out, err.count("\n")) == (2, "", 1) and message in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "b.png", "empty"]


@needs_links
def test_folders_are_read_as_people_have_them(tmp_path, capsys):
    folder = tmp_path / "my photos"
    names = ["été à la mer.JPG", "张三 (1).heic", "b.png", ".DS_Store", "._b.png", "film.MOV", "clip.mov", "Thumbs.db"]
    for name in (*names, "__MACOSX/b.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    (folder / "link.jpg").symlink_to(folder / "b.png")
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    found = list_photos([folder, folder / "b.png"])
    assert [file.name for file in found] == ["b.png", "link.jpg", "été à la mer.JPG", "张三 (1).heic", "b.png"]
    assert capsys.readouterr().out == "3 files passed over: 2 .mov, 1 .db; 1 link not followed\n"


def test_faults_of_the_settings_come_before_anything_is_written(tmp_path, photos, model, capsys):
    options = ("--post", "film", "--out", tmp_path / "out.png", "--model", model)
    code, _, err = run("stylize", photos / "a.jpg", *options, "--strength", 3, "--faces", "some", capsys=capsys)
    assert code == 2 and "2 problems" in err and "strength" in err and "faces" in err
    assert not (tmp_path / "out.png").exists()


def test_boxes_and_packs_are_read():
    assert parse_box("1,2,30") == (1, 2, 30) and parse_box("1,2,30,-15") == (1, 2, 30, -15)
    assert parse_pack("user/ink") == ("user/ink", 1.0) and parse_pack("ink=0.5") == ("ink", 0.5)
    with pytest.raises(InputError):
        parse_pack("ink=")


def test_faces_are_refined_and_what_was_lost_is_written(tmp_path, photos, model, capsys, monkeypatch):
    calls = count_calls(monkeypatch)
    out = tmp_path / "out"
    options = ("--pack", "ink", "--model", model, "--out", out)
    code, _, err = run("stylize", photos, *options, "--refine-steps", 4, "--lost", capsys=capsys)
    assert (code, err) == (0, "")
    assert sorted(path.name for path in out.iterdir()) == ["a-lost.png", "a.jpg", "b-lost.png", "b.png"]
    assert (calls["detector"], calls["encoder"]) == (2, 2)  # once each photo
    assert read_provenance(out / "a.jpg").recipe["refine_steps"] == 4
    label = read_provenance(out / "a-lost.png")
    assert label.is_ai_made and label.recipe["kind"] == "what was lost" and label.recipe["refine_steps"] == 4
    with Image.open(out / "a-lost.png") as picture:
        assert picture.width == 3 * picture.height
    (out / "a.jpg").unlink()
    code, _, err = run("stylize", photos / "a.jpg", *options, "--lost", capsys=capsys)
    assert code == 2 and "a-lost.png already there" in err and not (out / "a.jpg").exists()
    code, _, err = run("stylize", photos / "a.jpg", *options, "--refine-steps", -1, capsys=capsys)
    assert code == 2 and "refine_steps must be a whole number" in err
