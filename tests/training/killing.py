"""Killing a training script in the middle of its run, for the tests of resuming."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file

# The process kills itself: who watches it from outside may be too late on a busy machine.
DIES = """
import os, runpy, signal, sys
event, ending, sys.argv = sys.argv[1], sys.argv[2], sys.argv[3:]

def die(name, args):
    if name == event and any(isinstance(one, (str, os.PathLike)) and os.fspath(one).endswith(ending) for one in args):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(die)
sys.path.insert(0, os.path.dirname(sys.argv[0]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def kill_at(event: str, ending: str, script: Path, arguments: Sequence[str], **environment: str) -> None:
    """Run a script and have it killed, as the machine's power failing would, right before it does something.

    Args:
        event: what it is about to do, by Python's name for it: "open" or "os.rename".
        ending: last part of the path with which it does so.
    """
    command = [sys.executable, "-c", DIES, event, ending, str(script), *arguments]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=400)
    assert done.returncode == -signal.SIGKILL, f"it ended before it could be killed: {done.stderr[-2000:]}"


def copy_before_last_checkpoint(run: Path, folder: Path) -> None:
    """Copy a finished run as if it had been killed before its last checkpoint.

    encoder/test_train.py really kills one; what differs from network to network is only what a step draws.
    """
    shutil.copytree(run, folder)
    shutil.rmtree(sorted((folder / "checkpoints").glob("nimg-*"))[-1])


def newest_weights(folder: Path, name: str) -> dict[str, torch.Tensor]:
    """All tensors of the newest checkpoint of a run, which has to be the one of that name."""
    checkpoint = sorted((folder / "checkpoints").glob("nimg-*"))[-1]
    assert checkpoint.name == name
    return {f"{file.stem}/{k}": v for file in checkpoint.glob("*.safetensors") for k, v in load_file(file).items()}


def assert_same_weights(folder: Path, other: Path, name: str) -> None:
    """Fail unless the newest checkpoints of two runs, both of that name, are equal bit for bit."""
    wanted, got = newest_weights(folder, name), newest_weights(other, name)
    assert wanted.keys() == got.keys()
    assert not [key for key in wanted if not torch.equal(wanted[key], got[key])]
