"""What a launcher has started ends with it, and nothing else does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from training.common.launcher import is_launcher

PARENT = """
import subprocess, sys
child = "import time; from training.common.launcher import *; print(end_with_launcher(), flush=True); time.sleep(600)"
subprocess.Popen([sys.executable, "-c", child]).wait()
"""


@pytest.mark.parametrize(
    "command",
    [
        "/venv/bin/python3.11 /venv/bin/accelerate launch training/train.py --preset tiny",
        "python -X dev -u -m accelerate.commands.launch training/train.py",
        "/usr/bin/python /venv/bin/torchrun --nproc_per_node 2 training/train.py",
        "python3 -m torch.distributed.run training/train.py",
        "accelerate-launch training/train.py",
    ],
)
def test_launchers_are_known(command):
    assert is_launcher(command.split())


@pytest.mark.parametrize(
    "command",
    [
        "",
        "bash run.sh accelerate",
        "-bash",
        "/sbin/init",
        "python sweep.py accelerate launch",
        "nohup accelerate launch",
    ],
)
def test_others_are_not(command):
    assert not is_launcher(command.split())


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's part of it")
@pytest.mark.parametrize(("name", "ends"), [("accelerate", True), ("start_runs.py", False)])
def test_a_killed_launcher_takes_its_process_along(tmp_path, name, ends):
    (tmp_path / name).write_text(PARENT)
    reader, writer = os.pipe()  # closed when the last process that writes to it is gone
    root = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    parent = subprocess.Popen([sys.executable, str(tmp_path / name)], stdout=writer, env=root, process_group=0)
    os.close(writer)
    with os.fdopen(reader) as told:
        assert told.readline().strip() == str(ends)
        parent.kill()
        parent.wait()
        if ends:
            assert told.read() == ""  # comes back only once the child has ended
        else:
            os.killpg(parent.pid, 0)  # somebody is left in its group
            os.killpg(parent.pid, 9)
