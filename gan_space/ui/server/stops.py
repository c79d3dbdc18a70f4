"""How a visitor stops a long job, also one that is still waiting for its turn, and not the one that comes after it."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

from gan_space.errors import Cancelled
from gan_space.ui.server.folder import server_folder


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
        """The sign for a job that was asked for at a time of `time.time_ns`, or now."""
        return StopSign(self._path(job), time.time_ns() if asked_ns is None else asked_ns)

    def _path(self, job: str) -> Path:
        name = re.sub(r"\W", "", job)[:64]
        return server_folder().stops / f"{self.kind}-{name}"
