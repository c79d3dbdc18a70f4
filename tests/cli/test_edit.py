"""`gan-space edit` as a shell sees it, with the embedded networks on a real photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_space.cli.photos import parse_amounts
from gan_space.errors import InputError
from gan_space.faces.shape import SLIDERS
from gan_space.output.provenance import read_provenance
from tests.cli.running import run

PHOTO = Path(__file__).resolve().parents[1] / "data" / "samples" / "woman-lake.jpg"


def test_the_sliders_are_listed_with_their_ranges(capsys):
    code, text, _ = run("edit", "--sliders", capsys=capsys)
    names = [line.split()[0] for line in text.splitlines()]
    assert code == 0 and set(SLIDERS) <= set(names) and "-2 to +2.5" in text
    assert not {"yaw", "male"} & set(names)  # drawn in a photo, they smear


def test_a_photo_becomes_a_labelled_file_of_its_size(tmp_path, capsys):
    out = tmp_path / "out.png"
    options = ("--set", "smile=1", "--set", "face_width=-0.5", "--no-visible-label", "--out", out)
    code, text, err = run("edit", PHOTO, *options, capsys=capsys)
    assert (code, err) == (0, "") and text.startswith("1 labelled picture in ")
    provenance = read_provenance(out)
    assert provenance.is_ai_made and provenance.recipe["attributes"] == {"smile": 1.0, "face_width": -0.5}
    before, after = (np.asarray(Image.open(file).convert("RGB")) for file in (PHOTO, out))
    assert before.shape == after.shape
    changed = np.argwhere((before != after).any(axis=2))
    assert (changed.min(axis=0) > (30, 60)).all() and (changed.max(axis=0) < (440, 450)).all()
    mouth = np.abs(after[270:320, 215:300].astype(int) - before[270:320, 215:300])
    assert mouth.mean() > 5
    assert run("edit", PHOTO, *options, capsys=capsys)[0] == 2  # already there
    marked = tmp_path / "marked.png"
    assert run("edit", PHOTO, *options[:4], "--out", marked, capsys=capsys)[0] == 0
    places = np.argwhere((np.asarray(Image.open(marked).convert("RGB")) != after).any(axis=2))
    assert len(places) and (places.min(axis=0) > (440, 380)).all()  # a small mark in the corner, and nothing else


def test_several_photos_go_into_a_folder_and_one_without_a_face_does_not_stop_the_others(tmp_path, capsys):
    Image.new("RGB", (120, 80), "grey").save(tmp_path / "wall.png")
    out = tmp_path / "out"
    code, _, err = run("edit", tmp_path / "wall.png", PHOTO, "--set", "eye_size=1", "--out", out, capsys=capsys)
    assert code == 2 and "1 of 2 photos could not be changed" in err and "no face" in err
    assert [file.name for file in out.iterdir()] == ["woman-lake.jpg"]


def test_faults_are_told_before_anything_is_written(tmp_path, capsys):
    out = tmp_path / "out.png"
    for options, words in (
        (("--out", out), ("--set smile=1",)),
        (("--set", "smile=1", "--out", out, "--format", "gif"), ("--format must be one of png, jpg, webp",)),
        (("--set", "smile=1"), ("--out",)),
        (("--set", "smile", "--set", "x=y", "--out", out), ("'smile'", "'x=y'")),
        (
            ("--set", "face_width=9", "--set", "beauty=1", "--out", out),
            ("face_width goes from -2.25 to", "there is no slider 'beauty'; there are smile,", "nose_size"),
        ),
        (("--set", "smile=1", "--faces", "all", "--out", out), ("one face is edited at a time",)),
    ):
        code, _, err = run("edit", PHOTO, *options, capsys=capsys)
        assert code == 2 and all(word in err for word in words), err
        assert not out.exists()
    copy = tmp_path / "photo.png"
    Image.open(PHOTO).save(copy)
    code, _, err = run("edit", copy, "--set", "smile=1", "--out", copy, "--overwrite", capsys=capsys)
    assert code == 2 and "would replace a photo" in err


def test_amounts_are_numbers_and_given_once():
    assert parse_amounts(["smile=1", "face_width=-0.5"], "--set") == {"smile": 1.0, "face_width": -0.5}
    with pytest.raises(InputError, match=r"2 problems(.|\n)*--set must be(.|\n)*--set age is given twice"):
        parse_amounts(["smile", "age=1", "age=2"], "--set")
