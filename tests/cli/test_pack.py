"""`gan-space pack` as a shell sees it, with tiny networks."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from gan_space.output.provenance import read_provenance
from gan_space.packs.style import StylePack
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from tests.cli.running import run
from tests.pipelines.styling import make_networks

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"


@pytest.fixture(scope="module")
def model(tmp_path_factory, aligner) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    StyleTransferPipeline(*make_networks(), aligner).save_pretrained(folder)
    return folder


def test_pictures_become_a_pack_that_loads(model, tmp_path, capsys):
    pictures, out = tmp_path / "pictures", tmp_path / "packs" / "deep-blue"
    pictures.mkdir()
    (pictures / "a.jpg").write_bytes((SAMPLES / "naval-officer.jpg").read_bytes())
    (pictures / "broken.jpg").write_bytes(b"\xff\xd8 cut short")
    options = ("--model", model, "--out", out, "--steps", 2, "--rank", 2, "--name-zh", "深蓝", "--credit", "A museum")
    code, said, err = run("pack", "fit", pictures, *options, capsys=capsys)
    assert (code, err) == (0, "")
    assert "left out: broken.jpg: " in said and f"a pack from 1 of 2 pictures in {out}" in said
    pack = StylePack.from_pretrained(out)
    assert (pack.id, pack.name, pack.credit) == ("deep-blue", {"en": "Deep blue", "zh-CN": "深蓝"}, "A museum")
    assert pack.training["source"] == "1 picture" and pack.training["steps_done"] == 2 and pack.rank == 2
    assert read_provenance(out / "preview.png").recipe["pack"] == "deep-blue"
    assert StyleTransferPipeline.from_pretrained(model).load_style_pack(out) == "deep-blue"
    drawn, photo = tmp_path / "drawn.png", pictures / "a.jpg"
    code, _, err = run("stylize", photo, "--pack", out, "--model", model, "--out", drawn, capsys=capsys)
    assert (code, err) == (0, "")
    assert Image.open(drawn).size == Image.open(photo).size
    assert read_provenance(drawn).recipe["packs"][0]["name"] == "deep-blue"
    code, _, err = run("pack", "fit", pictures, *options, capsys=capsys)
    assert code == 2 and "--overwrite replaces them" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["gone.jpg"], "'gone.jpg' does not exist"),
        ([SAMPLES / "naval-officer.jpg", "--steps", 0], "num_steps must be a finite number of 1 or more"),
        ([SAMPLES / "naval-officer.jpg", "--scope", "hair"], "scope must be one of face, photo, got 'hair'"),
        ([Path(__file__)], "no picture can be used"),
    ],
)
def test_what_cannot_work_is_said_in_a_line(model, tmp_path, capsys, arguments, words):
    out = tmp_path / "pack"
    code, said, err = run("pack", "fit", *arguments, "--model", model, "--out", out, capsys=capsys)
    assert (code, said) == (2, "") and words in err and not out.exists()


def test_where_no_pack_can_stand_is_told_before_a_picture_is_looked_at(model, tmp_path, capsys):
    (tmp_path / "letter.txt").write_text("mine")
    for out, words in ((tmp_path / "letter.txt" / "x", "is a file, expected a folder"), (tmp_path, "is no pack")):
        options = ("--model", model, "--out", out, "--overwrite")
        code, said, err = run("pack", "fit", Path(__file__), *options, capsys=capsys)
        assert (code, said) == (2, "") and words in err
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
