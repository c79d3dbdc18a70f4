"""Killing a training script in the middle of its run, for the tests of resuming."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file

from tests.warm import Script


def kill_at(event: str, ending: str, script: Path, arguments: Sequence[str], **environment: str) -> None:
    """Run a script and have it killed, as the machine's power failing would, right before it does something.

    Args:
        event, ending: see `tests.warm.Script`.
    """
    code, printed = Script(script, arguments, dies_at=(event, ending), **environment).wait()
    assert code == -signal.SIGKILL, f"it ended before it could be killed: {printed[-2000:]}"


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
