"""One folder, one writer: who comes second is refused in words, whoever it is, and nothing tells the machine's name."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from gan_space.errors import ConfigError, InputError
from gan_space.folder_locks import lock_folder, locked_folder, unsign_lock

SECOND = """
import sys
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
