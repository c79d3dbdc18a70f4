"""The profile of a training step prints its tables."""

from __future__ import annotations

import pytest

from benchmarks import training_profile

pytestmark = pytest.mark.slow


def test_profile_of_two_batch_sizes(printed_by):
    small = ("--preset", "tiny", "--channel_base", "128", "--channel_max", "8")
    out = printed_by(training_profile, *small, "--batch", "4", "8", "--repeats", "1", "--profile")
    table = [line for line in out.splitlines() if line.startswith(("| 4 ", "| 8 "))]
    assert len(table) == 2
    for line in table:
        _, plain, penalty, images_per_sec = [cell.strip() for cell in line.strip("|").split("|")][:4]
        assert float(plain) > 0 and float(penalty) > 0 and float(images_per_sec) > 0
    assert "convolution" in out and "commit" in out
