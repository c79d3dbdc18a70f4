"""What the tests of scripts share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence

import datasets
import pytest

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
