"""Running a script without a process of its own, which imports for seconds before it begins."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from training import train

Start = Callable[[list[str]], subprocess.CompletedProcess]


@contextmanager
def train_script() -> Iterator[Start]:
    """A function that runs `training/train.py` in this process; takes and returns what `subprocess.run` does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "keep_freed_memory", lambda: None)  # of this process
        patch.setenv("ACCELERATE_USE_CPU", "true")

        def start(arguments: list[str]) -> subprocess.CompletedProcess:
            patch.setattr(sys, "argv", arguments[1:])
            try:
                code = train.main()
            except SystemExit as end:  # of the command line's parser
                code = end.code
            return subprocess.CompletedProcess(arguments, code, "", "")

        yield start
