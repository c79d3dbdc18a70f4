"""Folders as phones, Macs and people leave them."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePosixPath

from gan_space.photos.folders import find_pictures, in_words, sort_out
from tests.links import needs_links


def test_what_is_passed_over_is_counted_by_kind(tmp_path):
    for name in (
        "b.JPG",
        "a.heic",
        "c.png",
        "1.mov",
        "2.MOV",
        "3.mov",
        "notes.txt",
        "README",
        "sub/d.webp",
        "sub/e.txt",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = find_pictures(tmp_path)
    assert [file.name for file in found.files] == ["a.heic", "b.JPG", "c.png"]
    assert found.remark() == "5 files passed over: 3 .mov, 1 .txt, 1 without an ending; 1 sub-folder not looked into"
    deep = find_pictures(tmp_path, deep=True)
    assert [file.name for file in deep.files] == ["a.heic", "b.JPG", "c.png", "d.webp"]
    assert deep.passed_over[".txt"] == 2 and "sub-folder" not in deep.remark()


@needs_links
def test_links_are_followed_to_files_alone_and_the_others_are_counted(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "photos"
    for name in ("a.jpg", "b.jpg"):
        (outside / name).parent.mkdir(exist_ok=True)
        (outside / name).write_bytes(b"")
    (folder / "sub").mkdir(parents=True)
    (folder / "one.jpg").symlink_to(outside / "a.jpg")
    (folder / "sub" / "all").symlink_to(outside)
    (folder / "round").symlink_to(folder)
    (folder / "lost.jpg").symlink_to(outside / "gone.jpg")
    (folder / ".hidden").symlink_to(outside)
    deep = find_pictures(folder, deep=True)
    assert [file.name for file in deep.files] == ["one.jpg"] and deep.remark() == "3 links not followed"
    assert find_pictures(folder).remark() == "2 sub-folders not looked into; 1 link not followed"


def test_what_nobody_put_there_is_no_data():
    names = ("__MACOSX/a.jpg", "x/__MACOSX/._a.jpg", "._a.jpg", "x/._b.png", ".DS_Store", ".thumbs/c.jpg", "x/d.jpg")
    pictures, passed_over = sort_out(map(PurePosixPath, names))
    assert pictures == [PurePosixPath("x/d.jpg")] and not passed_over


def test_hidden_parents_of_the_folder_itself_do_not_count(tmp_path):
    folder = tmp_path / ".cache" / "__MACOSX"
    folder.mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"")
    assert len(find_pictures(folder, deep=True).files) == 1


def test_words():
    assert in_words(Counter()) == ""
    assert in_words(Counter({".txt": 1})) == "1 file passed over: 1 .txt"
    assert in_words(Counter({".a": 2, ".b": 1200})) == "1,202 files passed over: 1,200 .b, 2 .a"
