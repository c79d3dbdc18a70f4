"""Processes of their own for tests, forked from one that has imported what is slow: seconds of work saved for each."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

_WARM = multiprocessing.get_context("forkserver")
_WARM.set_forkserver_preload(["accelerate", "datasets", "diffusers", "torch", "tyro"])
PATIENCE_SEC = 400


def free_port() -> int:
    """A port that no process listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Script:
    """A script that runs as `python script.py …` would.

    Args:
        script, arguments: its file and its command line.
        dies_at: what it is about to do when it is killed, by Python's name for it ("open", "os.rename"), and the last
            part of the path with which it does so. It kills itself: who watches from outside may be too late on a busy
            machine.
        **environment: what it sees beside the variables of this process.
    """

    def __init__(
        self, script: Path, arguments: Sequence[str], dies_at: tuple[str, str] | None = None, **environment: str
    ):
        handle, name = tempfile.mkstemp(prefix="gan-space-tests-")
        os.close(handle)
        self._output = Path(name)
        given = (script, list(arguments), {**os.environ, **environment}, dies_at, self._output)
        self._process: BaseProcess = _WARM.Process(target=_run, args=given)
        self._process.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def wait(self) -> tuple[int, str]:
        """Wait until it has ended; its exit code, that of a signal below 0, and all that it printed."""
        self._process.join(PATIENCE_SEC)
        text = self._output.read_text(errors="replace")
        self._output.unlink(missing_ok=True)
        code = self._process.exitcode
        if code is None:
            self._process.kill()
        assert code is not None, f"it still runs: {text[-2000:]}"
        return code, text


def _run(
    script: Path,
    arguments: list[str],
    environment: Mapping[str, str],
    dies_at: tuple[str, str] | None,
    output: Path,
) -> None:
    with output.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background, shells switch Ctrl-C off
    tempfile.tempdir = None  # what was imported may have asked for it, and has another environment
    os.environ.clear()
    os.environ.update(environment)
    if dies_at is not None:
        event, ending = dies_at

        def die(name: str, details: tuple) -> None:
            if name == event and any(
                isinstance(one, str | os.PathLike) and os.fspath(one).endswith(ending) for one in details
            ):
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(die)
    sys.argv = [str(script), *arguments]
    sys.path.insert(0, str(script.parent))
    runpy.run_path(str(script), run_name="__main__")
