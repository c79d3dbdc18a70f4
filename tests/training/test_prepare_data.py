"""Photos in, a checked data set of aligned faces out; also after a kill."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageFilter

from gan_space.faces.align import EYE_DISTANCE, PORTRAIT_FRAME, TIGHT_FRAME
from tests.training.full_disk import full_disk
from tests.training.killing import kill_at
from training.common.claim import lock_run
from training.data import open_dataset
from training.photo_source import PhotoSource
from training.prepare_data import main

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "training" / "prepare_data.py"
SAMPLES = ROOT / "tests" / "data" / "samples"
FACES = str(ROOT / "tests" / "data" / "fairface64.parquet")


def read(folder: Path) -> list[dict]:
    return [row for file in sorted(folder.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def report_of(folder: Path) -> dict:
    return json.loads((folder / "report.json").read_text())


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Four portraits in two folders, and everything that should be dropped."""
    folder = tmp_path_factory.mktemp("photos")
    for name, place in {"woman-lake": "a", "naval-officer": "a", "astronaut": "b", "woman-park": "b"}.items():
        (folder / place).mkdir(exist_ok=True)
        (folder / place / f"{name}.jpg").write_bytes((SAMPLES / f"{name}.jpg").read_bytes())
    lake = Image.open(SAMPLES / "woman-lake.jpg").convert("RGB")
    officer = Image.open(SAMPLES / "naval-officer.jpg").convert("RGB")
    lake.resize((470, 470), Image.Resampling.LANCZOS).save(folder / "b" / "z-lake-again.jpg", quality=70)
    officer.convert("L").save(folder / "b" / "gray.jpg")
    lake.filter(ImageFilter.GaussianBlur(7)).save(folder / "b" / "blurred.jpg")
    officer.resize((150, 150)).save(folder / "b" / "small.png")
    Image.new("RGB", (200, 200), (90, 120, 150)).save(folder / "b" / "sky.png")
    (folder / "a" / "broken.jpg").write_bytes((SAMPLES / "astronaut.jpg").read_bytes()[:2000])
    (folder / "a" / "empty.jpg").write_bytes(b"")
    (folder / "a" / "notes.txt").write_text("not a photo")
    return folder


@pytest.fixture(scope="module")
def made(photos, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "set"
    assert main(["--source", str(photos), "--output_dir", str(folder), "--min_face_px", "80"]) == 0
    return folder


def test_good_faces_are_kept_and_the_rest_is_counted(made):
    report = report_of(made)
    rows = read(made)
    assert [row["source_file"] for row in rows] == ["a/naval-officer.jpg", "a/woman-lake.jpg", "b/astronaut.jpg"]
    assert report["photos"] == 11
    assert report["kept"] == 3
    assert report["passed_over"] == "1 file passed over: 1 .txt"
    expected = {"broken": 2, "duplicate": 1, "gray": 1, "blurred": 1, "too small": 1, "turned": 1, "no face": 1}
    assert report["dropped"] == expected
    assert [name for name, _ in report["broken"]] == ["a/broken.jpg", "a/empty.jpg"]
    assert str(made.parent) not in json.dumps(report)
    assert (made / ".lock").read_bytes() == b""  # no name of a machine in what may be published
    assert sorted(path.name for path in made.iterdir()) == [
        ".lock", "contact_sheet.jpg", "prepare.json", "report.json", "train-00000-of-00001.parquet",
    ]  # fmt: skip
    assert Image.open(made / "contact_sheet.jpg").size == (1024, 128)


def test_the_faces_lie_in_the_frame(made, aligner):
    from gan_space.faces.detect import FaceBox
    from gan_space.faces.find import align_boxes
    from gan_space.photos.opening import open_photo

    for row in read(made):
        picture = open_photo(io.BytesIO(row["image"]["bytes"]))
        assert picture.shape == (3, 128, 128)
        face = align_boxes(picture, aligner, [FaceBox(0, 0, 128)])[0]
        np.testing.assert_allclose(face.transform.inverse.apply([[0, 0], [1, 1]]), [[0, 0], [128, 128]], atol=8)


def test_what_was_made_can_be_trained_on(made):
    dataset = open_dataset(str(made), 64, label_column="label")
    image, label = dataset[2]
    assert image.shape == (3, 64, 64)
    assert dataset.labels.classes == ["a", "b"]
    assert label.tolist() == [0, 1]
    table = datasets.load_dataset("parquet", data_files=str(made / "train-*.parquet"), split="train")
    assert isinstance(table.features["image"], datasets.Image)
    assert table[0]["image"].size == (128, 128)
    assert 90 < table[0]["face_px"] < 300


def test_a_zip_file_gives_the_same_as_its_folder(photos, made, tmp_path):
    file = tmp_path / "photos.zip"
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(photos.rglob("*.*"), reverse=True):
            archive.write(path, path.relative_to(photos))
    folder = tmp_path / "set"
    assert main(["--source", str(file), "--output_dir", str(folder), "--min_face_px", "80"]) == 0
    assert read(folder) == read(made)
    assert report_of(folder)["dropped"] == report_of(made)["dropped"]


@pytest.mark.slow
def test_several_processes_make_the_same(photos, made, tmp_path):
    flags = ["--source", str(photos), "--output_dir", str(tmp_path / "set"), "--min_face_px", "80"]
    assert main([*flags, "--num_workers", "1", "--part_images", "4"]) == 0
    assert read(tmp_path / "set") == read(made)


def test_all_faces_of_a_photo(tmp_path):
    (tmp_path / "photos").mkdir()
    both = Image.new("RGB", (1024, 512))
    for index, name in enumerate(("woman-lake", "naval-officer")):
        both.paste(Image.open(SAMPLES / f"{name}.jpg"), (512 * index, 0))
    both.save(tmp_path / "photos" / "both.png")
    for faces, count in (("all", 2), ("largest", 1)):
        folder = tmp_path / faces
        assert main(["--source", str(tmp_path / "photos"), "--output_dir", str(folder), "--faces", faces]) == 0
        assert len(read(folder)) == count


ALIGNED = ["--source", FACES, "--already_aligned", "--resolution", "64", "--part_images", "7"]


@pytest.fixture(scope="module")
def aligned(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("aligned") / "set"
    assert main([*ALIGNED, "--output_dir", str(folder)]) == 0
    return folder


def test_aligned_faces_are_resized_and_keep_their_labels(aligned):
    rows = read(aligned)
    report = report_of(aligned)
    assert report["photos"] == 64
    assert len(rows) == report["kept"] > 55
    assert len(report["files"]) == 10
    assert all(Image.open(io.BytesIO(row["image"]["bytes"])).size == (64, 64) for row in rows)
    source = pq.read_table(FACES).to_pylist()
    assert {row["age_group"] for row in rows} == {row["age_group"] for row in source}
    first = rows[0]
    number = int(first["source_file"].removeprefix("row ")) if first["source_file"].startswith("row") else 0
    assert (first["male"], first["age_group"]) == (source[number]["male"], source[number]["age_group"])


@pytest.mark.slow
def test_killed_and_started_again_it_ends_in_the_same_files(aligned, tmp_path, capsys):
    folder = tmp_path / "set"
    kill_at("os.rename", "part-00004.npy", SCRIPT, [*ALIGNED, "--output_dir", str(folder)])
    assert not list(folder.glob("*.parquet"))
    capsys.readouterr()
    assert main([*ALIGNED, "--output_dir", str(folder)]) == 0
    assert "going on after" in capsys.readouterr().out
    names = sorted(path.name for path in aligned.iterdir())
    assert names == sorted(path.name for path in folder.iterdir())
    made = [name for name in names if name not in ("prepare.json", ".lock")]
    assert [name for name in made if (aligned / name).read_bytes() != (folder / name).read_bytes()] == []


@pytest.mark.slow
def test_a_kill_while_the_files_get_their_names_is_mended(aligned, tmp_path):
    """The state between two renames: one part has its final name, the others not yet."""
    files = report_of(aligned)["files"]
    records = tmp_path / "set"
    kill_at("os.rename", files[1], SCRIPT, [*ALIGNED, "--output_dir", str(records)])
    assert (records / files[0]).exists() and not (records / files[1]).exists()
    assert main([*ALIGNED, "--output_dir", str(records)]) == 0
    assert read(records) == read(aligned)


@pytest.mark.parametrize("spoilt", ["parts/part-00001.json", "parts/part-00001.npy", "report.json"])
def test_what_a_power_cut_left_half_is_made_again(spoilt, aligned, tmp_path, monkeypatch):
    folder = tmp_path / "set"
    with monkeypatch.context() as patch:
        patch.setattr("training.prepare_data.shutil.rmtree", lambda path: None)  # as if stopped just before
        assert main([*ALIGNED, "--output_dir", str(folder)]) == 0
    (folder / "report.json").write_text("")
    (folder / spoilt).write_bytes((folder / spoilt).read_bytes()[:9])
    assert main([*ALIGNED, "--output_dir", str(folder)]) == 0
    assert read(folder) == read(aligned) and report_of(folder) == report_of(aligned)


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize(
    ("gone", "come", "which"),
    [("", "a.png", "1 to 2"), ("b0", "a.png", "1 to 2"), ("b2", "b25.png", "3 to 4"), ("b3", "", "3 to 4"),
     ("", "c.png", "5 to 6")],
    ids=["before", "before, one for one", "between, one for one", "gone", "after the last part"],
)  # fmt: skip
def test_photos_that_came_or_went_in_between_are_not_left_out_unsaid(tmp_path, capsys, gone, come, which, packed):
    photos = {}
    for number in range(4):
        Image.new("RGB", (20, 20), (60 * number,) * 3).save(content := io.BytesIO(), "PNG")
        photos[f"b{number}.png"] = content.getvalue()
    others = {name: one for name, one in photos.items() if name != f"{gone}.png"}
    others |= {come: photos["b0.png"]} if come else {}
    source, out = tmp_path / ("photos.zip" if packed else "photos"), str(tmp_path / "set")

    def put(pictures: dict[str, bytes]) -> None:
        if packed:
            with zipfile.ZipFile(source, "w") as archive:
                for name, one in pictures.items():
                    archive.writestr(name, one)
            return
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir()
        for name, one in pictures.items():
            (source / name).write_bytes(one)

    flags = ["--source", str(source), "--already_aligned", "--part_images", "2", "--output_dir", out]
    put(photos)
    assert main(flags) == 2  # not one can be kept; the parts stay
    if which != "5 to 6":
        Path(out, "parts", "part-00002.json").unlink()  # as if it had been stopped before the last, empty part
    put(others)
    capsys.readouterr()
    assert main(flags) == 2
    assert f"have changed since {out} was begun: among number {which}" in capsys.readouterr().err
    put(photos)
    assert main(flags) == 2 and "no face" in capsys.readouterr().err


def test_settings_that_cannot_be_read_are_told(tmp_path, capsys):
    (tmp_path / "prepare.json").write_text("{")
    assert main([*ALIGNED, "--output_dir", str(tmp_path)]) == 2
    assert "prepare.json cannot be read as settings" in capsys.readouterr().err


def test_one_folder_one_run(tmp_path, capsys):
    first = subprocess.Popen(
        [sys.executable, "-c", f"""
from pathlib import Path
from training.common.claim import lock_run
lock_run(Path({str(tmp_path)!r}))
print("locked", flush=True)
input()"""], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with first:
        assert first.stdout.readline() == "locked\n"
        assert main(["--source", FACES, "--already_aligned", "--output_dir", str(tmp_path)]) == 2
        assert f"another run is working in {tmp_path} (process {first.pid}" in capsys.readouterr().err
        first.communicate("\n")


@pytest.mark.parametrize("resolution", ["64", "16"])
def test_a_run_that_came_while_the_source_was_opened_is_not_mixed_with(
    resolution, aligned, tmp_path, monkeypatch, capsys
):
    """Another one began and ended in the folder after the first look at it and before the lock."""
    folder = tmp_path / "set"

    def late(place: Path) -> None:
        shutil.copytree(aligned, place, dirs_exist_ok=True)
        lock_run(place)

    monkeypatch.setattr("training.prepare_data.lock_run", late)
    code = main([*ALIGNED, "--resolution", resolution, "--output_dir", str(folder)])
    said = capsys.readouterr()
    if resolution == "64":
        assert code == 0 and "is complete" in said.out
    else:
        assert code == 2 and "--resolution: 64 -> 16" in said.err
    names = {path.name for path in aligned.iterdir()}
    assert names == {path.name for path in folder.iterdir()}
    assert all((aligned / name).read_bytes() == (folder / name).read_bytes() for name in names)


def test_what_a_kill_left_before_the_settings_does_not_block(tmp_path):
    (tmp_path / ".lock").write_text("process 1 on elsewhere")
    (tmp_path / ".prepare.json.partial").write_text("{")
    assert main(["--source", FACES, "--already_aligned", "--resolution", "16", "--output_dir", str(tmp_path)]) == 0
    assert not (tmp_path / ".prepare.json.partial").exists()


def test_a_disk_that_is_full_between_two_files_of_a_part_is_one_line(tmp_path, capsys):
    small = [*ALIGNED[:-2], "--resolution", "16", "--jpeg_quality", "1", "--output_dir", str(tmp_path / "set")]
    with full_disk(60_000):  # all 64 thumbnails have 65 KB
        assert main(small) == 1
    assert "make room" in capsys.readouterr().err
    parts = tmp_path / "set" / "parts"
    assert [file.name for file in parts.iterdir()] == ["part-00000.parquet"]
    assert main(small) == 0


def test_labels_that_are_missing_in_a_whole_part_keep_their_type(tmp_path):
    table = datasets.load_dataset("parquet", data_files=FACES, split="train").select(range(8))
    ages = datasets.Value("int32")
    table = table.add_column("age", [None] * 4 + [31, 32, 33, 34]).cast_column("age", ages)
    table.to_parquet(str(tmp_path / "train.parquet"))
    folder = tmp_path / "set"
    flags = ["--already_aligned", "--part_images", "4", "--output_dir", str(folder)]
    assert main(["--source", str(tmp_path / "train.parquet"), *flags]) == 0
    again = datasets.load_dataset("parquet", data_files=str(folder / "train-*.parquet"), split="train")
    assert again.features["age"] == ages
    assert set(again["age"]) > {None}


def test_what_is_complete_is_left_alone(aligned, capsys):
    before = {path: path.stat().st_mtime_ns for path in aligned.iterdir()}
    assert main([*ALIGNED, "--output_dir", str(aligned)]) == 0
    assert "is complete" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in aligned.iterdir()}


def test_other_settings_are_refused(aligned, capsys):
    assert main([*ALIGNED, "--output_dir", str(aligned), "--jpeg_quality", "80"]) == 2
    assert "--jpeg_quality: 92 -> 80" in capsys.readouterr().err


def test_bad_input_is_named_and_nothing_is_written(tmp_path, capsys):
    folder = tmp_path / "never"
    flags = ["--output_dir", str(folder), "--resolution", "5", "--max_outside", "2", "--aligner", str(tmp_path / "no")]
    assert main(["--source", FACES, *flags]) == 2
    message = capsys.readouterr().err
    assert all(word in message for word in ("--resolution", "--max_outside", "no aligner in")), message
    assert main(["--source", "./nowhere", "--output_dir", str(folder), "--already_aligned"]) == 2
    assert "./nowhere" in capsys.readouterr().err
    (tmp_path / "bad.zip").write_bytes(b"PK nothing")
    assert main(["--source", str(tmp_path / "bad.zip"), "--output_dir", str(folder), "--already_aligned"]) == 2
    assert "cannot be read as a zip file" in capsys.readouterr().err
    assert not folder.exists()
    assert main(["--source", FACES, "--output_dir", str(tmp_path), "--already_aligned"]) == 2
    assert "is not empty" in capsys.readouterr().err


def test_nothing_kept_tells_why(tmp_path, capsys):
    flags = ["--already_aligned", "--min_sharpness", "9", "--output_dir", str(tmp_path / "set")]
    assert main(["--source", FACES, *flags]) == 2
    assert "64 blurred" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["folder", "zip", "parquet"])
def test_a_source_can_be_entered_at_any_place(kind, photos, tmp_path):
    name = str(photos)
    if kind == "parquet":
        name = FACES
    if kind == "zip":
        name = str(tmp_path / "photos.zip")
        with zipfile.ZipFile(name, "w") as archive:
            for path in photos.rglob("*.jpg"):
                archive.write(path, path.relative_to(photos))
    source = PhotoSource(name)
    whole = list(source.rows())
    assert list(source.names()) == [row.name for row in whole]
    assert list(source.rows(start=3)) == whole[3:]
    assert list(source.rows(start=len(whole))) == []
    assert len({row.name for row in whole}) == len(whole)


@pytest.fixture
def fairface(tmp_path, monkeypatch) -> list:
    """A Hub data set with two configurations and ages as classes; every call of load_dataset is noted."""
    ages = datasets.ClassLabel(names=["10-19", "20-29", "30-39"])
    faces = datasets.load_dataset("parquet", data_files=FACES, split="train").select_columns(["image"]).select(range(6))
    faces = faces.add_column("age", [0, 1, 2, 0, 1, 2]).cast_column("age", ages)
    calls = []

    def load(name, config_name=None, *, split, streaming):
        calls.append((name, config_name, split))
        if config_name is None:
            raise ValueError("Config name is missing.\nPlease pick one among the available configs: ['0.25', '1.25']")
        return faces.to_iterable_dataset()

    monkeypatch.setattr(datasets, "load_dataset", load)
    return calls


HUB = ["--source", "someone/faces", "--already_aligned", "--min_face_px", "16"]


def test_a_configuration_of_a_hub_data_set_without_its_minors(fairface, tmp_path):
    folder = tmp_path / "set"
    flags = ["--config_name", "1.25", "--keep", "age=20-29, 30-39", "--output_dir", str(folder)]
    assert main([*HUB, *flags]) == 0
    assert set(fairface) == {("someone/faces", "1.25", "train")}
    assert {row["age"] for row in read(folder)} == {"20-29", "30-39"}
    assert report_of(folder)["dropped"]["not wanted"] == 2


def test_what_is_to_be_kept_must_exist(fairface, tmp_path, capsys):
    folder = tmp_path / "set"
    to = ["--output_dir", str(folder)]
    assert main([*HUB, *to]) == 2
    assert "['0.25', '1.25']" in capsys.readouterr().err
    assert main([*HUB, *to, "--config_name", "1.25", "--keep", "age=20-29,40", "mood=good"]) == 2
    message = capsys.readouterr().err
    assert "age is never 40" in message and "10-19, 20-29, 30-39" in message and "no column 'mood'" in message
    assert main([*HUB, *to, "--keep", "age"]) == 2
    assert "--keep must be like" in capsys.readouterr().err
    assert main(["--source", FACES, "--already_aligned", *to, "--config_name", "1.25"]) == 2
    assert "has no configurations" in capsys.readouterr().err
    assert not folder.exists()


def test_head_and_shoulders_are_the_same_faces_smaller(photos, made, tmp_path):
    folder = tmp_path / "set"
    flags = ["--min_face_px", "80", "--framing", "portrait", "--max_outside", "1"]
    assert main(["--source", str(photos), "--output_dir", str(folder), *flags]) == 0
    tight, portrait = ({row["source_file"]: row for row in read(one)} for one in (made, folder))
    assert set(tight) <= set(portrait)
    size = 128 * (PORTRAIT_FRAME[1, 0] - PORTRAIT_FRAME[0, 0]) / EYE_DISTANCE  # of the tight frame in the portrait
    left, top = 128 * PORTRAIT_FRAME[0] - size * TIGHT_FRAME[0]
    for name in tight:
        inner, outer = (Image.open(io.BytesIO(one[name]["image"]["bytes"])) for one in (tight, portrait))
        inside = outer.crop(tuple(round(edge) for edge in (left, top, left + size, top + size)))
        difference = np.subtract(inside.resize((64, 64)), inner.resize((64, 64)), dtype=float)
        assert np.abs(difference).mean() < 12
