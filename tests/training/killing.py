"""Killing a training script in the middle of its run, for the tests of resuming."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file

SCRIPTS = Path(__file__).resolve().parents[2] / "training"
PATIENCE_SEC = 400  # importing alone takes minutes on a machine that is busy with training


def kill_after_checkpoint(script: str, arguments: Sequence[str], checkpoint: Path) -> None:
    """Start `training/<script>` and send SIGKILL as soon as a checkpoint is there."""
    command = [sys.executable, str(SCRIPTS / script), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + PATIENCE_SEC
    while not checkpoint.exists() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run ended before it could be killed"


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
