"""What the tests of benchmarks share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType

import pytest
import torch


@pytest.fixture
def printed_by(capsys, monkeypatch) -> Callable[..., str]:
    """Runs a benchmark's `main` in this process, which has imported torch already; what it printed."""
    threads = torch.get_num_threads()

    def run(benchmark: ModuleType, *arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", [benchmark.__name__, *arguments])
        capsys.readouterr()
        assert benchmark.main() == 0
        return capsys.readouterr().out

    yield run
    torch.set_num_threads(threads)
