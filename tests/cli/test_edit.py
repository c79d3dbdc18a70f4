"""`gan-space edit` as a shell sees it, with the embedded networks on a real photo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_space.cli.app import main
from gan_space.cli.edit import parse_settings
from gan_space.errors import InputError, NoFaceError
from gan_space.faces.landmarks import Landmarks
from gan_space.faces.shape import SLIDERS, edit_shape
from gan_space.output.provenance import read_provenance
from gan_space.photos.opening import open_photo
from gan_space.pipelines.shape_edit import choose_faces, edit_faces, load_shape_model

PHOTO = Path(__file__).resolve().parents[1] / "data" / "samples" / "woman-lake.jpg"


def mean_landmarks(middle=(260.0, 230.0), unit: float = 97.0) -> Landmarks:
    points = load_shape_model().mean * unit + middle
    return Landmarks(points, np.zeros(468), 1.0, np.zeros(3))


def run(*arguments, capsys) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


def test_the_sliders_are_listed_with_their_ranges(capsys):
    code, text, _ = run("edit", PHOTO, "--sliders", capsys=capsys)
    assert code == 0
    assert [line.split()[0] for line in text.splitlines()] == list(SLIDERS)
    assert "smile" in text and "-1.5 to +2.5" in text


def test_a_photo_becomes_a_labelled_file_of_its_size(tmp_path, capsys):
    photo, out = tmp_path / "photo.png", tmp_path / "out.png"
    Image.open(PHOTO).convert("RGB").resize((256, 256)).save(photo)
    options = ("--set", "smile=1", "--set", "face_width=-0.5", "--out", out)
    code, text, err = run("edit", photo, *options, capsys=capsys)
    assert (code, text, err) == (0, f"1 face changed, labelled picture in {out}\n", "")
    provenance = read_provenance(out)
    assert provenance.is_ai_made and provenance.recipe["values"] == {"smile": 1.0, "face_width": -0.5}
    before, after = (np.asarray(Image.open(file).convert("RGB")).astype(int) for file in (photo, out))
    changed = np.argwhere((before != after).any(axis=2))
    assert (changed.min(axis=0) > (15, 30)).all() and (changed.max(axis=0) < (220, 225)).all()
    assert np.abs(after - before)[135:160, 108:150].mean() > 4  # the mouth
    assert run("edit", photo, *options, capsys=capsys)[0] == 2  # already there


def test_several_faces_are_edited_one_after_the_other():
    photo, shapes = open_photo(PHOTO), load_shape_model()
    left, right = mean_landmarks((130.0, 200.0), 40.0), mean_landmarks((390.0, 200.0), 40.0)
    both = edit_faces(photo, [left, right], {"face_width": -1.0}, shapes)
    alone = edit_shape(photo, left.points, {"face_width": -1.0}, shapes)
    assert (both[:, :, :230] == alone[:, :, :230]).all() and (both[:, :, 300:] != alone[:, :, 300:]).any()


@pytest.mark.parametrize(("which", "expected"), [("largest", [0]), ("all", [0, 1]), (1, [1])])
def test_faces_are_chosen(which, expected):
    found = [mean_landmarks(), mean_landmarks((100.0, 100.0), 30.0)]
    assert [id(face) for face in choose_faces(found, which)] == [id(found[number]) for number in expected]


@pytest.mark.parametrize(("which", "error"), [(2, NoFaceError), ("smallest", InputError)])
def test_a_face_that_is_not_there_is_told(which, error):
    with pytest.raises(error):
        choose_faces([mean_landmarks()], which)
    with pytest.raises(NoFaceError):
        choose_faces([], "all")


def test_faults_are_told_before_anything_is_loaded(tmp_path, capsys):
    out = tmp_path / "out.png"
    for options, words in (
        (("--out", out), ("--set smile=1",)),
        (("--set", "smile=1"), ("--out",)),
        (("--set", "smile", "--set", "x=y", "--out", out), ("'smile'", "'x=y'")),
        (("--set", "smile=9", "--set", "beauty=1", "--out", out), ("smile goes from", "beauty")),
        (("--set", "smile=1", "--out", tmp_path / "out.gif"), (".png",)),
    ):
        code, _, err = run("edit", PHOTO, *options, "--model", tmp_path / "nowhere", capsys=capsys)
        assert code == 2 and len(err.splitlines()) == 1
        assert all(word in err for word in words), err
    copy = tmp_path / "photo.png"
    Image.open(PHOTO).save(copy)
    code, _, err = run("edit", copy, "--set", "smile=1", "--out", copy, "--overwrite", capsys=capsys)
    assert code == 2 and "replace the photo" in err


def test_a_photo_without_a_face_is_an_error(tmp_path, capsys):
    Image.new("RGB", (120, 80), "grey").save(tmp_path / "wall.png")
    options = ("--set", "smile=1", "--out", tmp_path / "out.png")
    code, _, err = run("edit", tmp_path / "wall.png", *options, capsys=capsys)
    assert code == 2 and "no face" in err
    assert not (tmp_path / "out.png").exists()


def test_settings_are_numbers_and_given_once():
    assert parse_settings(["smile=1", "face_width=-0.5"]) == {"smile": 1.0, "face_width": -0.5}
    with pytest.raises(InputError, match="twice"):
        parse_settings(["smile=1", "smile=0.5"])
