"""One folder, one writer: who comes second is refused in words, whoever it is, and nothing tells the machine's name."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from gan_space import folder_locks
from gan_space.errors import ConfigError, InputError
from gan_space.folder_locks import lock_folder, locked_folder, unsign_lock

SECOND = """
import sys
from contextlib import nullcontext
from pathlib import Path
from gan_space.folder_locks import locked_folder
with locked_folder(Path(sys.argv[1]), otherwise="choose another folder"):
    print("locked", flush=True)
    input()
"""


def start(folder) -> subprocess.Popen:
    words = [sys.executable, "-c", SECOND, str(folder)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_lock_without_a_name_holds_and_gets_it_again(tmp_path):
    lock = tmp_path / ".lock"
    lock_folder(tmp_path, otherwise="go")
    unsign_lock(tmp_path)
    assert lock.stat().st_size == 0  # to read and close it here would let go of the lock
    second = start(tmp_path)
    assert "another run is working in" in second.communicate()[1] and second.returncode == 1
    assert lock.stat().st_size == 0
    lock_folder(tmp_path, otherwise="go")
    assert lock.stat().st_size > 0


def test_a_lock_for_a_while_keeps_others_out_and_leaves_nothing(tmp_path):
    with locked_folder(tmp_path, otherwise="go"):
        second = locked_folder(tmp_path, otherwise="go", error=ConfigError)  # as by another thread
        with pytest.raises(ConfigError, match=rf"\(process {os.getpid()}\); wait .* or go"), second:
            pass
        assert "choose another folder" in start(tmp_path).communicate()[1]
    assert list(tmp_path.iterdir()) == []
    second = start(tmp_path)
    assert second.stdout.readline() == "locked\n"
    with pytest.raises(InputError, match=rf"\(process {second.pid} on this machine\)"):
        lock_folder(tmp_path, otherwise="go")
    assert socket.gethostname() not in (tmp_path / ".lock").read_text()
    second.kill()
    second.communicate()
    with locked_folder(tmp_path, otherwise="go"):  # what a killed process left keeps nobody out
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_of_another_machine_says_so(tmp_path, monkeypatch):
    second = start(tmp_path)
    assert second.stdout.readline() == "locked\n"
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    with pytest.raises(InputError, match="on another machine"):
        lock_folder(tmp_path, otherwise="go")
    second.communicate("\n")


def test_a_lock_of_another_in_a_folder_made_anew_stays(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    with locked_folder(folder, otherwise="go"):
        shutil.rmtree(folder)
        folder.mkdir()
        second = start(folder)
        assert second.stdout.readline() == "locked\n"
    with pytest.raises(InputError, match=f"process {second.pid} on this machine"):
        lock_folder(folder, otherwise="go")
    second.communicate("\n")
    assert list(folder.iterdir()) == []


def test_a_full_disk_keeps_nobody_out_and_no_lock(tmp_path, monkeypatch):
    def full(descriptor: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with locked_folder(tmp_path, otherwise="go"):
            pass
    with locked_folder(tmp_path, otherwise="go"):
        pass


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EIO])
def test_where_there_are_no_locks_no_file_is_left(tmp_path, monkeypatch, code):
    def refuse(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    def attempt() -> None:
        ends = nullcontext() if code == errno.ENOLCK else pytest.raises(OSError, match=os.strerror(code))
        with ends, locked_folder(tmp_path, otherwise="go"):
            pass

    monkeypatch.setattr(folder_locks, "_lock_descriptor", refuse)
    attempt()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".lock").write_text("process 1 on elsewhere")  # it may be another's all the same
    attempt()
    assert (tmp_path / ".lock").read_text() == "process 1 on elsewhere"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks /proc for what is open")
def test_where_open_files_cannot_be_removed_nothing_stays_either(tmp_path, monkeypatch):
    """As on Windows."""
    plain = Path.unlink

    def unlink(file: Path, missing_ok: bool = False) -> None:
        if any(os.path.realpath(one) == str(file) for one in Path("/proc/self/fd").iterdir()):
            raise PermissionError(errno.EACCES, "in use", str(file))
        plain(file, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    monkeypatch.setattr(folder_locks, "_KEEPS_OPEN_FILES", True, raising=False)
    with locked_folder(tmp_path, otherwise="go"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_who_holds_a_lock_is_read_from_its_beginning(tmp_path, monkeypatch):
    def taken(descriptor: int) -> None:
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # as on Windows
        raise OSError(errno.EACCES, "taken")

    monkeypatch.setattr(folder_locks, "_lock_descriptor", taken)
    (tmp_path / ".lock").write_text("process 7 on elsewhere\n")
    with pytest.raises(InputError, match=r"\(process 7 on elsewhere\)"):
        lock_folder(tmp_path, otherwise="go")


def test_a_lock_that_its_holder_removes_meanwhile_is_made_anew(tmp_path, monkeypatch):
    file = tmp_path / ".lock"
    file.write_text("")
    plain, looks = os.stat, []

    def stat(path, *args, **more):
        status = plain(path, *args, **more)
        if str(path) == str(file) and not looks:
            looks.append(path)
            file.unlink()
        return status

    with monkeypatch.context() as patch:
        patch.setattr(os, "stat", stat)
        lock_folder(tmp_path, otherwise="go")
    assert looks and "another run is working in" in start(tmp_path).communicate()[1]


def test_a_drive_that_numbers_a_file_differently_at_each_look_ends(tmp_path, monkeypatch):
    plain, looks = Path.stat, []

    def stat(file: Path, **more) -> os.stat_result:
        looks.append(file)
        assert len(looks) < 200, "it tries for ever"
        status = plain(file, **more)
        return os.stat_result((status.st_mode, 10**9 + len(looks), *status[2:])) if file.name == ".lock" else status

    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", stat)
        lock_folder(tmp_path, otherwise="go")
    assert "another run is working in" in start(tmp_path).communicate()[1]


FORKED = """
import os, signal, sys
from pathlib import Path
from gan_space import folder_locks
folder = Path(sys.argv[1])
try:
    with folder_locks.locked_folder(folder, otherwise="go"):
        folder_locks._one_at_a_time.acquire()  # as by a thread at that moment
        if child := os.fork():
            folder_locks._one_at_a_time.release()
            os.waitpid(child, 0)
            print((folder / ".lock").exists())
        else:
            signal.alarm(5)
            folder_locks.lock_folder(folder, otherwise="go")
            print("locked")
except folder_locks.InputError as error:
    print(f"{os.getppid()}: {error}")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_process_does_not_hold_what_its_parent_holds(tmp_path):
    ended = subprocess.run([sys.executable, "-c", FORKED, str(tmp_path)], capture_output=True, text=True)
    parent = ended.stdout.partition(":")[0]
    assert f"another run is working in {tmp_path} (process {parent} on this machine)" in ended.stdout
    assert ended.stdout.endswith("True\n") and ended.stderr == ""
    assert list(tmp_path.iterdir()) == []
