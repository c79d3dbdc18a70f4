"""Long jobs: a thread that tells how far it is, and how a visitor stops one; and a worker that keeps to one core.

A stop also ends a job that is still waiting for its turn, and not the one that comes after it.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue
from typing import Any, TypeVar

import torch

from gan_space.errors import Cancelled
from gan_space.ui.server.folder import server_folder

T = TypeVar("T")


@dataclass(frozen=True)
class StopSign:
    """Tells one job whether it is to end; a file, so that a job in another process sees it too.

    Args:
        path: of the file, which holds the time of the visitor's last stop.
        asked_ns: when the job was asked for; a stop before that was meant for another one.
    """

    path: Path
    asked_ns: int

    @property
    def given(self) -> bool:
        """Whether the job is to end."""
        try:
            return int(self.path.read_text()) >= self.asked_ns
        except (OSError, ValueError):
            return False

    def check(self) -> None:
        """Raise Cancelled for a job that was stopped while it waited."""
        if self.given:
            raise Cancelled("this was stopped before it began; nothing was kept")


class Stops:
    """The stops of one kind of job.

    Args:
        kind: of the jobs, such as "tune".
    """

    def __init__(self, kind: str):
        self.kind = kind

    def stop(self, job: str) -> None:
        """End the jobs of this name that were asked for so far, running or waiting."""
        self._path(job).write_text(str(time.time_ns()))

    def sign(self, job: str, asked_ns: int | None = None) -> StopSign:
        """Return the sign for a job that was asked for at a time of `time.time_ns`, or now."""
        return StopSign(self._path(job), time.time_ns() if asked_ns is None else asked_ns)

    def _path(self, job: str) -> Path:
        name = re.sub(r"\W", "", job)[:64]
        return server_folder().stops / f"{self.kind}-{name}"


class Job:
    """What a job's thread tells, and whether it is to go on.

    Args:
        stop: ends the job once it is given, whichever process does it; None: never.
    """

    def __init__(self, stop: StopSign | None):
        self._stop = stop
        self._left = threading.Event()
        self._queue: Queue[Any] = Queue()

    def tell(self, step: Any) -> bool:
        """Hand a step to whoever waits for it, and say whether to go on."""
        self._queue.put(step)
        return not self.stopped

    @property
    def stopped(self) -> bool:
        """Whether the job is to end: it was stopped, or nobody waits any more."""
        return self._left.is_set() or (self._stop is not None and self._stop.given)

    def check(self, text: str) -> None:
        """Raise Cancelled, with this text, where the job is to end."""
        if self.stopped:
            raise Cancelled(text)

    def steps(self, work: Callable[[Job], None], name: str) -> Iterator[Any]:
        """Do `work` in a thread of that name, and yield what it tells; what it raises is raised here."""

        def run() -> None:
            end: Any = _Ended()
            try:
                work(self)
            except Exception as error:  # handed to the thread that waits for it
                end = _Ended(error)
            self._queue.put(end)

        threading.Thread(target=run, daemon=True, name=name).start()
        try:
            while not isinstance(step := self._queue.get(), _Ended):
                yield step
        finally:
            self._left.set()
        if step.error is not None:
            raise step.error


@dataclass(frozen=True)
class _Ended:
    """The last thing that a job's thread tells."""

    error: Exception | None = None


def one_core_worker(name: str) -> ThreadPoolExecutor:
    """Make a worker whose tensors stay on the core of its thread; other threads share theirs among cores as before.

    For pictures so small that cores wait longer for each other than each works.
    """
    usual = torch.get_num_threads()
    worker = ThreadPoolExecutor(1, name)
    worker.submit(torch.set_num_threads, 1).result()  # of that thread, and of those that come later
    worker.submit(torch.get_num_threads).result()  # the first to ask in a thread settles it for good
    torch.set_num_threads(usual)
    return worker


def steps_in(worker: ThreadPoolExecutor, steps: Iterator[T]) -> Iterator[T]:
    """Yield the same, each step done by a worker, which takes turns with what else it is asked for."""
    end = object()
    while (step := worker.submit(next, steps, end).result()) is not end:
        yield step
