"""What the tests of scripts share."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.training.in_process import Start, train_script


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
