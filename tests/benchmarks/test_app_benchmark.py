"""The benchmark of the app's start measures a real start, and says so when the app does not come up."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time

import pytest

from benchmarks.app import start_once
from benchmarks.common import REPOSITORY
from benchmarks.server import cpu_seconds, free_port, memory_mb
from gan_space.errors import InputError

pytestmark = pytest.mark.slow


def test_time_and_memory_are_those_of_the_process():
    start, begin = cpu_seconds(os.getpid()), time.process_time()
    while time.process_time() - begin < 0.3:
        pass
    assert cpu_seconds(os.getpid()) - start == pytest.approx(time.process_time() - begin, abs=0.1)
    largest_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert 0 < memory_mb(os.getpid()) <= memory_mb(os.getpid(), "VmHWM") == pytest.approx(largest_mb, rel=0.2)
    assert memory_mb(os.getpid(), "VmNothing") == 0
    assert free_port() > 1024


def test_an_app_that_does_not_come_up_is_quoted():
    with pytest.raises(InputError, match=r"did not come up: no such .* today"):
        start_once(0.0, [sys.executable, "-c", "raise SystemExit('no such model today')"])


def test_the_table_has_a_row_a_start_and_the_machine():
    command = [sys.executable, "-m", "benchmarks.app", "--repeats", "1", "--wait_sec", "0"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "commit" in done.stdout and "| median |" in done.stdout and "first page of" in done.stdout
    assert done.stdout.count("\n| 1 ") == 1
