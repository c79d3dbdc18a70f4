"""`gan-space portraits` as a shell sees it."""

from __future__ import annotations

from pathlib import Path

from gan_space.output.provenance import read_provenance
from tests.cli.running import run

PHOTO = Path(__file__).resolve().parents[1] / "data" / "samples" / "woman-lake.jpg"


def test_a_photo_becomes_a_folder_of_labelled_portraits(tmp_path, capsys):
    options = ("--num", 2, "--look", "none", "--set", "smile=0.8", "--frame", "4x5", "--frame", "avatar")
    said = ("--consent", "a free photo; its licence", "--out", tmp_path / "out", "--format", "png")
    code, text, err = run("portraits", PHOTO, *options, *said, capsys=capsys)
    assert (code, err) == (0, "") and "2 labelled portraits from woman-lake.jpg" in text
    recipes = [read_provenance(file).recipe for file in sorted((tmp_path / "out").iterdir())]
    assert [recipe["attributes"]["smile"] for recipe in recipes] == [0.8, 0.8]
    assert {recipe["frame"] for recipe in recipes} <= {"4x5", "avatar"}
    assert run("portraits", PHOTO, *options, *said, capsys=capsys)[0] == 2  # already there


def test_portraits_that_were_made_stay_if_a_later_one_cannot_be(tmp_path, capsys):
    options = ("--num", 16, "--look", "none", "--set", "smile=0.5", "--frame", "photo", "--age", 0, "--expression", 0)
    said = ("--consent", "a free photo; its licence", "--out", tmp_path / "out")
    code, text, err = run("portraits", PHOTO, *options, *said, capsys=capsys)
    assert code == 2 and "labelled portraits" not in text and err.count("error: ") == 1
    kept = sorted((tmp_path / "out").iterdir())
    assert 1 <= len(kept) < 16 and all(read_provenance(file).recipe["of"] == 16 for file in kept)


def test_consent_is_asked_for(tmp_path, capsys):
    code, _, err = run("portraits", PHOTO, "--out", tmp_path / "out", "--consent", "me", capsys=capsys)
    assert code == 2 and "who agreed" in err and not (tmp_path / "out").exists()
    code, _, err = run("portraits", PHOTO, "--out", tmp_path / "out", capsys=capsys)
    assert code == 2 and "--consent" in err
