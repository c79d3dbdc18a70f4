"""A training process that `accelerate launch` or `torchrun` started ends with it, however that one ends.

Neither launcher passes a SIGTERM on in every mode, and none can when it is killed; what it started would train on
unseen and hold its folder. A process that was started in another way is left alone: `nohup` and `setsid` are used so
that a run outlives its shell.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path, PurePath

LAUNCHERS = ("accelerate", "accelerate-launch", "torchrun")
LAUNCHER_MODULES = (
    *("accelerate.commands.accelerate_cli", "accelerate.commands.launch"),
    *("torch.distributed.run", "torch.distributed.launch"),
)
PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
WATCH_SEC = 1.0


def end_with_launcher() -> bool:
    """Have SIGTERM sent to this process when its launcher ends; returns False where no launcher started it.

    On Linux the kernel sends it, elsewhere a thread that watches who the parent is.
    """
    parent = os.getppid()
    if not is_launcher(_command_of(parent)):
        return False
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:  # it ended before the kernel was asked
            os.kill(os.getpid(), signal.SIGTERM)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    return True


def is_launcher(command: Sequence[str]) -> bool:
    """Tell whether a command line, word by word, is that of a launcher."""
    words = iter(command)
    program = PurePath(next(words, "")).name
    if program.lower().startswith("python"):
        for word in words:
            if word == "-m":
                return next(words, "") in LAUNCHER_MODULES
            if word in ("-W", "-X"):
                next(words, "")
            elif not word.startswith("-"):
                program = PurePath(word).name
                break
    return program.removesuffix(".exe") in LAUNCHERS


def _command_of(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/cmdline").read_text(errors="replace").split("\0")
    except OSError:
        pass
    try:
        shown = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(process)], capture_output=True, text=True)
    except OSError:  # Windows: its launchers end what they started
        return []
    return shown.stdout.split()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_SEC)
    os.kill(os.getpid(), signal.SIGTERM)
