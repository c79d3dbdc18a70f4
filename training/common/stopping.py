"""SIGTERM, Ctrl-C, a closed terminal: a run finishes its step, saves and goes; what can be done again is dropped."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from gan_space.errors import Stopped
from training.common.distributed import average_, is_distributed

SAME_REQUEST_SEC = 2.0  # a launcher passes on the Ctrl-C that the terminal has sent to everybody


class StopSignal:
    """Notes that the process was told to stop, as long as the `with` block runs.

    A second Ctrl-C means now: KeyboardInterrupt.
    """

    def __init__(self):
        self.received = False
        self._since = 0.0
        self._nothing_to_lose = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():  # Python allows no other to do this
            ends = [signal.SIGTERM, signal.SIGINT]
            hang_up = getattr(signal, "SIGHUP", None)  # of a closed terminal; `nohup` has switched it off
            if hang_up is not None and signal.getsignal(hang_up) != signal.SIG_IGN:
                ends.append(hang_up)
            self._before = {number: signal.signal(number, self._note) for number in ends}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def anywhere(self) -> bool:
        """Tell whether any process was told to stop; all processes must ask at the same step."""
        return average_(torch.tensor(float(self.received))).item() > 0

    @contextmanager
    def nothing_to_lose(self, saved: str) -> Iterator[None]:
        """Let a single process stop at once in this block, which a resumed run repeats.

        Args:
            saved: where it stands, for `Stopped`.
        """
        self._saved, self._nothing_to_lose = saved, not is_distributed()  # the others would wait for this one
        try:
            if self._nothing_to_lose and self.received:
                raise Stopped(saved)
            yield
        finally:
            self._nothing_to_lose = False

    def _note(self, number: int, frame: object) -> None:
        if number == signal.SIGINT and self.received and time.monotonic() - self._since > SAME_REQUEST_SEC:
            raise KeyboardInterrupt
        if not self.received:
            self.received, self._since = True, time.monotonic()
        if self._nothing_to_lose:
            self._nothing_to_lose = False
            raise Stopped(self._saved)


def saved_at(nimg: int) -> str:
    """Return what a run that was told to stop says."""
    return f"told to stop: saved at {nimg / 1000:.1f} kimg; the same command goes on from here"
