"""What the tests of scripts share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import datasets
import pytest
from PIL import Image

from tests.training.in_process import Start, train_script

Refused = Callable[..., None]


@pytest.fixture
def refused(tmp_path, capsys) -> Refused:
    """`refused(main, arguments, words)`: the script names these faults, returns 2 and writes nothing."""

    def expect(main: Callable, arguments: Sequence[str], words: Sequence[str], output: str | None = "--output_dir"):
        folder = tmp_path / "never"
        assert main([*arguments, *((output, str(folder)) if output else ())]) == 2
        message = capsys.readouterr().err
        assert all(word in message for word in words), message
        assert not folder.exists()

    return expect


@pytest.fixture
def folder(tmp_path) -> Path:
    """Ten plain pictures in two classes; the grey value tells which one it is."""
    for index in range(10):
        file = tmp_path / ("a" if index % 2 else "b") / f"{index}.png"
        file.parent.mkdir(exist_ok=True)
        Image.new("RGB", (20, 16), (index * 10,) * 3).save(file)
    return tmp_path


@pytest.fixture(scope="session", autouse=True)
def no_wait_at_the_end_of_a_pass() -> Iterator[None]:
    """After each pass over a streamed table `datasets` sleeps 5 s, so that Arrow's threads end before Python may."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets.config, "SLEEP_TIME_ON_THREADS_SHUTDOWN", 0.05)
        yield


@pytest.fixture
def in_process(capsys) -> Iterator[Start]:
    """`train_script`, with what it printed."""
    with train_script() as start:

        def captured(arguments: list[str]) -> subprocess.CompletedProcess:
            capsys.readouterr()
            done = start(arguments)
            done.stdout, done.stderr = capsys.readouterr()
            return done

        yield captured
