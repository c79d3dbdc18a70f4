"""What a power cut may leave: nothing takes its name before its content is on the disk."""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path

import pytest

from gan_space.whole_files import flush_to_disk, whole_folder, write_whole

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc for the name of what is open")


@pytest.fixture
def flushed(monkeypatch) -> list[str]:
    """Names of what was flushed to the disk and of what took its final name, in their order."""
    seen = []

    def note(plain, name_of):
        def noting(*arguments):
            seen.append(name_of(*arguments))
            return plain(*arguments)

        return noting

    monkeypatch.setattr(os, "fsync", note(os.fsync, lambda number: Path(os.readlink(f"/proc/self/fd/{number}")).name))
    for method in ("replace", "rename"):
        monkeypatch.setattr(Path, method, note(getattr(Path, method), lambda old, new: f"-> {new.name}"))
    return seen


def test_a_file_is_on_the_disk_before_it_takes_its_name(tmp_path, flushed):
    write_whole(tmp_path / "a.json", "{}")
    assert flushed == [".a.json.partial", "-> a.json", tmp_path.name]
    flushed.clear()
    write_whole(tmp_path / "picture.png", b"", flush=False)
    assert flushed == ["-> picture.png"]


def test_a_folder_and_all_in_it_are_on_the_disk_before_the_old_one_goes(tmp_path, flushed):
    for _ in range(2):
        flushed.clear()
        with whole_folder(tmp_path / "pack") as partial:
            (partial / "part").mkdir()
            (partial / "part" / "weights").write_text("1")
        assert set(flushed[:3]) == {"part", "weights", ".pack.partial"}
    assert flushed[3:] == ["-> .pack.partial-old", "-> pack", tmp_path.name]


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EACCES, errno.EIO])
def test_a_drive_that_flushes_no_folder_keeps_nobody_from_writing(tmp_path, monkeypatch, code):
    plain = os.fsync

    def fsync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(code, os.strerror(code))
        plain(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    if code == errno.EIO:  # the disk fails
        with pytest.raises(OSError, match=os.strerror(code)):
            write_whole(tmp_path / "a.json", "{}")
        return
    write_whole(tmp_path / "a.json", "{}")
    for number in "12":
        with whole_folder(tmp_path / "pack") as partial:
            (partial / "weights").write_text(number)
    assert (tmp_path / "pack" / "weights").read_text() == "2"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.json", "pack"]


def test_a_file_that_cannot_be_flushed_is_an_error(tmp_path, monkeypatch):
    def fsync(descriptor: int) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "fsync", fsync)
    flush_to_disk(tmp_path)
    with pytest.raises(OSError, match="Invalid argument"):
        write_whole(tmp_path / "a.json", "{}")
    assert list(tmp_path.iterdir()) == []
