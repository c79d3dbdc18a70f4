"""What visitors leave on the disk: gone after an hour, at the end of the server, and before the next one starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import gradio as gr
import pytest

from gan_space.errors import ConfigError
from gan_space.ui.server import folder as module
from gan_space.ui.server.files import FileFolder
from gan_space.ui.server.folder import FILE_AGE_SEC, ServerFolder, mark_used, server_folder
from tests.links import needs_links

HOLD = """
import sys, time
from pathlib import Path
from gan_space.ui.server.folder import ServerFolder
folder = ServerFolder(Path(sys.argv[1]))
(folder.uploads / "me.jpg").write_bytes(b"a visitor's photo")
print(folder.path, flush=True)
time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path) -> ServerFolder:
    made = ServerFolder(tmp_path / "root")
    yield made
    made.close()


def backdate(path: Path, seconds: float = FILE_AGE_SEC + 60) -> None:
    then = time.time() - seconds
    for one in [*path.rglob("*"), path] if path.is_dir() else [path]:
        os.utime(one, (then, then))


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"picture")
    return path


def files_in(folder: ServerFolder) -> list[Path]:
    return [path for path in folder.path.rglob("*") if path.is_file() and path.name != "lock"]


@pytest.mark.parametrize("place", ["uploads/1a/me.jpg", "uploads/deep/er/state.json", "files/actions/9f/before.jpg"])
def test_what_is_older_than_an_hour_goes_and_the_rest_stays(folder, place):
    path = put(folder.path / place)
    new = put(path.parent.with_name("new") / "new.jpg")
    backdate(path.parent, FILE_AGE_SEC - 60)
    assert folder.sweep() == 0 and path.exists()
    backdate(path.parent)
    assert folder.sweep() == 1 and files_in(folder) == [new]


def test_a_file_alone_counts_whatever_is_done_to_its_folder(folder):
    backdate(put(folder.path / "files/actions/9f/before.jpg"))
    backdate(put(folder.path / "uploads/1a/me.jpg"))
    assert folder.sweep() == 2 and files_in(folder) == []


def test_what_is_in_use_stays(folder):
    path = put(folder.path / "files/actions/9f/profile/profile.safetensors")
    backdate(path.parents[1])
    mark_used(path.parents[1])
    assert folder.sweep() == 0 and path.exists()


def test_looks_and_examples_of_the_page_stay_and_gradio_forgets_what_is_gone(folder):
    with gr.Blocks() as page:
        picture = gr.Image()
    kept, gone = put(folder.uploads / "1a" / "example.jpg"), put(folder.uploads / "2b" / "me.jpg")
    picture.keep_in_cache.add(str(kept))
    picture.temp_files.update({str(kept), str(gone)})
    folder.watch(page)
    backdate(folder.uploads)
    mine = put(folder.kept / "looks" / "ink.png")
    backdate(folder.kept)
    folder.sweep()
    assert kept.exists() and mine.exists() and not gone.exists()
    assert picture.temp_files == {str(kept)}


def test_the_clock_sweeps_though_nobody_asks_for_anything(folder, monkeypatch):
    monkeypatch.setattr(module, "SWEEP_EVERY_SEC", 0.05)
    path = put(folder.path / "files/actions/9f/before.jpg")
    backdate(path.parent)
    folder.sweep_for_ever()
    deadline = time.monotonic() + 60
    while path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not path.exists()


def test_a_closed_folder_is_gone_and_takes_nothing_any_more(folder):
    put(folder.uploads / "1a" / "me.jpg")
    folder.close()
    assert not folder.path.exists()
    with pytest.raises(FileNotFoundError):
        (folder.files / "late").mkdir()


def test_the_next_server_removes_what_a_dead_one_left_and_leaves_a_running_one_alone(tmp_path):
    root = tmp_path / "root"
    running = ServerFolder(root)
    put(running.uploads / "1a" / "me.jpg")
    killed = subprocess.Popen([sys.executable, "-c", HOLD, str(root)], stdout=subprocess.PIPE, text=True)
    left = Path(killed.stdout.readline().strip())
    assert (left / "uploads" / "me.jpg").exists()
    another = ServerFolder(root)
    assert left.exists() and running.path.exists()
    killed.send_signal(signal.SIGKILL)
    killed.wait(timeout=400)
    (root / "server-killed-at-once").mkdir()  # before it had a lock
    third = ServerFolder(root)
    assert sorted(root.glob("server-*")) == sorted([running.path, another.path, third.path])
    assert (running.uploads / "1a" / "me.jpg").exists()
    for one in (running, another, third):
        one.close()


@needs_links
def test_a_root_of_somebody_else_is_not_used(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="set TMPDIR"):
        ServerFolder(tmp_path / "root")


def test_everything_of_this_process_lies_in_its_folder():
    folder = server_folder()
    assert Path(os.environ["GRADIO_TEMP_DIR"]) == folder.uploads
    assert FileFolder().new_folder().is_relative_to(folder.files)
    assert folder.path.parent.stat().st_mode & 0o077 == 0  # nobody else may look
