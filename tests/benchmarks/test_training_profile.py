"""The profile of a training step prints its tables."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def test_profile_of_two_batch_sizes():
    command = [sys.executable, "-m", "benchmarks.training_profile", "--preset", "tiny", "--batch", "4", "8"]
    command += ["--repeats", "1", "--profile"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    table = [line for line in done.stdout.splitlines() if line.startswith(("| 4 ", "| 8 "))]
    assert len(table) == 2
    for line in table:
        _, plain, penalty, images_per_sec = [cell.strip() for cell in line.strip("|").split("|")][:4]
        assert float(plain) > 0 and float(penalty) > 0 and float(images_per_sec) > 0
    assert "convolution" in done.stdout
    assert "commit" in done.stdout
