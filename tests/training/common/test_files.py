"""Where a script would write is looked at before its work, not after it."""

from __future__ import annotations

import pytest

from gan_space.errors import PackError
from gan_space.packs.files import check_place
from training import fit_centers
from training.common.files import folder_faults, no_folder_faults
from training.directions import fit as directions
from training.packs import make_defaults, train_person, train_style
from training.shape import fit as shape

DATA = ["--dataset_name", "no/such-data"]
SCRIPTS = {
    "directions": (directions.main, "--output", ["--model", "no-such-model"]),
    "centers": (fit_centers.main, "--output", ["--model", "no-such-model", *DATA]),
    "shape": (shape.main, "--output_dir", ["--labels_name", "none", *DATA]),
    "style": (train_style.main, "--output_dir", ["--model", "no-such-model", "--pictures", "none.jpg"]),
    "defaults": (make_defaults.main, "--output_dir", ["--model", "no-such-model", "--faces", "no/such-data"]),
    "person": (
        *(train_person.main, "--output_dir"),
        ["--model", "no-such-model", "--photos", __file__, "--whose_face", "mine", "--agreed_by", "me"],
    ),
}
PACKS = ("style", "defaults", "person")


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_place_that_cannot_be_written_to_is_told_before_anything_is_loaded(name, tmp_path, capsys):
    main, flag, others = SCRIPTS[name]
    (tmp_path / "file").write_text("mine")
    assert main([*others, flag, str(tmp_path / "file" / "out")]) == 2
    error = capsys.readouterr().err
    assert f"{flag}: {tmp_path / 'file'} is a file, expected a folder" in error and error.count("\n") == 1


@pytest.mark.parametrize("name", PACKS)
def test_what_is_no_pack_is_not_replaced_and_that_is_told_at_once(name, tmp_path, capsys):
    main, flag, others = SCRIPTS[name]
    folder = tmp_path / "ink-wash" if name == "defaults" else tmp_path
    folder.mkdir(exist_ok=True)
    (folder / "letter.txt").write_text("mine")
    looks = ["--looks", "ink-wash"] if name == "defaults" else []
    assert main([*others, *looks, flag, str(tmp_path)]) == 2
    assert f"{folder} exists and is no pack" in capsys.readouterr().err
    assert (folder / "letter.txt").read_text() == "mine"


def test_files_and_folders_to_be_written(tmp_path, monkeypatch):
    class Config:
        folder = tmp_path / "new" / "one"
        file = tmp_path / "numbers.json"
        left_out = None

    assert folder_faults(Config, "folder", "left_out") == no_folder_faults(Config, "file", "left_out") == []
    Config.file = tmp_path
    assert no_folder_faults(Config, "file") == [f"--file: {tmp_path} is a folder, expected the name of a file"]
    Config.file = tmp_path / "none" / "numbers.json"
    assert "does not exist, make it first" in no_folder_faults(Config, "file")[0]
    Config.file = tmp_path / "numbers.json"
    monkeypatch.setattr("gan_space.whole_files.os.access", lambda path, mode: False)  # nothing is closed to root
    closed = f"no right to write into {tmp_path}, choose another folder"
    assert no_folder_faults(Config, "file") == [f"--file: {closed}"]
    assert folder_faults(Config, "folder") == [f"--folder: {closed}"]
    with pytest.raises(PackError, match=f"cannot make {Config.folder}: {closed}"):
        check_place(Config.folder)
