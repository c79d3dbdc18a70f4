"""What a script says and returns when it fails, and what it leaves on a full disk."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from gan_space.errors import DataError, Stopped, TrainingError
from gan_space.whole_files import whole_folder, write_whole
from tests.training.full_disk import full_disk
from training.common.command import exit_code
from training.common.files import append_line, say_where
from training.common.runlog import RunLog
from training.config import PRESETS

TRAINING = Path(__file__).parents[3] / "training"


def outcome(error: BaseException | None, capsys) -> tuple[int, str, str]:
    @exit_code
    def main() -> None:
        if error is not None:
            raise error

    code = main()
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (DataError("no pictures"), 2, "no pictures"),
        (TrainingError("not finite"), 1, "not finite"),
        (KeyboardInterrupt(), 1, "interrupted"),
        (OSError(errno.ENOSPC, "x", "runs/a/b"), 1, "runs/a/b: No space left on device; make room"),
        (OSError(errno.EROFS, "x", "runs/a"), 1, "runs/a: Read-only file system; choose a folder"),
    ],
)
def test_what_is_known_is_one_line_on_stderr(error, code, words, capsys):
    got, out, err = outcome(error, capsys)
    assert (got, out) == (code, "")
    assert err.startswith(f"error: {words}") and err.count("\n") == 1


def test_every_script_ends_that_way():
    others = {"shape/witness.py"}  # another Python runs it, which knows nothing of this project
    scripts = {file.relative_to(TRAINING).as_posix(): file.read_text() for file in TRAINING.rglob("*.py")}
    scripts = {name: text for name, text in scripts.items() if 'if __name__ == "__main__"' in text}
    ending = {name for name, text in scripts.items() if "@exit_code\ndef main" in text or "main = script(" in text}
    assert len(ending) > 30 and scripts.keys() - ending == others
    first = {name for name, text in scripts.items() if re.search(r"^import training\.common\.start ", text, re.M)}
    assert scripts.keys() - first == others


def test_a_ctrl_c_while_a_script_imports_is_one_line(tmp_path):
    (tmp_path / "torch.py").write_text("raise KeyboardInterrupt")  # what is slow is what is interrupted
    for script in ("train.py", "aligner/train.py"):
        ended = subprocess.run(
            [sys.executable, str(TRAINING / script)],
            env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{TRAINING.parent}"},
            capture_output=True,
        )
        assert (ended.stdout, ended.stderr.splitlines()) == (b"", [b"error: interrupted"])
        assert ended.returncode in (-signal.SIGINT, 130, 0xC000013A)  # the last is Windows' own


HOOK = """
import sys
sys.excepthook = lambda kind, error, trace: print("reported:", kind.__name__)
"""


def test_who_reports_errors_is_still_asked(tmp_path):
    """And for a program that only imports a script of ours, about a Ctrl-C too."""
    (tmp_path / "sitecustomize.py").write_text(HOOK)  # as a library that a program sets up before all else
    (tmp_path / "torch.py").write_text("raise ZeroDivisionError")
    env = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{TRAINING.parent}"}
    for words, said in (
        ([TRAINING / "train.py"], "reported: ZeroDivisionError"),
        (["-c", "import training.common.start; raise KeyboardInterrupt"], "reported: KeyboardInterrupt"),
    ):
        ended = subprocess.run([sys.executable, *words], env=env, capture_output=True, text=True)
        assert (ended.stdout.strip(), ended.stderr) == (said, "")


def test_a_run_that_was_told_to_stop_is_no_failure(capsys):
    assert outcome(Stopped("saved"), capsys) == (0, "saved\n", "")
    assert outcome(None, capsys) == (0, "", "")


@pytest.mark.parametrize("error", [ZeroDivisionError(), OSError("of a library")])
def test_a_fault_of_the_program_goes_through(error, capsys):
    with pytest.raises(type(error)):
        outcome(error, capsys)


def test_a_ctrl_c_while_python_ends_changes_nothing():
    """Of one who presses it until the prompt is there; libraries take their time to end."""
    program = """
import atexit, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # where tests run, it may be switched off
atexit.register(lambda: (signal.raise_signal(signal.SIGINT), time.sleep(0.01)))
from training.common.command import exit_code
from gan_space.errors import Stopped

@exit_code
def main():
    raise Stopped("saved")

sys.exit(main())
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(TRAINING.parent)}, capture_output=True
    )
    assert (ended.returncode, ended.stdout.splitlines(), ended.stderr) == (0, [b"saved"], b"")


def test_no_half_file_is_left_on_a_full_disk(tmp_path, capsys):
    file, folder = tmp_path / "metrics.json", tmp_path / "export"
    write_whole(file, "old")
    folder.mkdir()
    (folder / "old").write_text("whole")

    @exit_code
    def grow() -> None:
        write_whole(file, "x" * 2000)

    @exit_code
    def export() -> None:
        with say_where(folder), whole_folder(folder) as partial:
            save_file({"weight": torch.zeros(1000)}, partial / "model.safetensors")

    @exit_code
    def line() -> None:
        append_line(file, "x" * 2000)

    for main, place in ((grow, file), (export, folder), (line, file)):
        with full_disk(1000):
            assert main() == 1
        err = capsys.readouterr().err
        assert err.startswith(f"error: {place}: File too large") and err.count("\n") == 1
        assert sorted(path.name for path in tmp_path.iterdir()) == ["export", "metrics.json"]
        assert [path.name for path in folder.iterdir()] == ["old"]
        assert file.read_text().startswith("old")


def test_a_folder_survives_a_kill_while_it_is_replaced_and_a_full_disk_after(tmp_path):
    folder = tmp_path / "export"
    (tmp_path / ".export.partial-old").mkdir()  # set aside, and killed before the new one had taken the name
    (tmp_path / ".export.partial-old" / "old").write_text("whole")
    with full_disk(1000), pytest.raises(OSError, match="File too large"), whole_folder(folder) as partial:
        (partial / "new").write_text("x" * 2000)
    assert [path.name for path in tmp_path.iterdir()] == ["export"]
    assert (folder / "old").read_text() == "whole"


def test_the_log_of_a_run_fails_in_the_loop_and_nowhere_else(tmp_path, capfd):
    with pytest.raises(OSError, match="File too large"), RunLog(tmp_path, PRESETS["tiny"], 0) as log:
        log.write({"nimg": 0, "loss": 1.0})
        log._board.flush()
        with full_disk(1):
            for nimg in range(100):  # TensorBoard's thread may need a few to notice
                log._board.add_scalar("loss", 1.0, nimg)
                log._board.flush()
    err = capfd.readouterr().err
    assert "Traceback" not in err and "Exception" not in err
    assert (tmp_path / "metrics.jsonl").read_text() == '{"nimg": 0, "loss": 1.0}\n'


def test_a_log_that_cannot_be_begun_says_where_there_is_no_room(tmp_path, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)  # a run ends here and does not put it back
    with full_disk(1), pytest.raises(OSError, match=r"File too large: '.*tensorboard'"):
        log = RunLog(tmp_path, PRESETS["tiny"], 0)
        for nimg in range(100):  # its thread may need a few to notice
            log._board.flush()
            log._write_number("loss", 1.0, nimg)
