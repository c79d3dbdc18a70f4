"""What the tests of scripts share."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import datasets
import pytest

from tests.training.in_process import Start, train_script


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
