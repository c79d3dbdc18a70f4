"""Files drawn while their pictures are looked at, so that Save has nothing left to wait for; and who comes first."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Condition, Event, Lock

from gan_space.ui.opened_photos import OpenedPhoto
from gan_space.ui.photo.api import PhotoAsk
from gan_space.ui.server.files import Shown

logger = logging.getLogger(__name__)

MAX_FILES = 32  # that wait for a tap on Save
MAX_PIXELS = 50_000_000  # larger photos are drawn when they are asked for


class Waiting:
    """Counts those who wait for a picture. All drawings take turns on the same cores: what nobody waits for rests."""

    def __init__(self) -> None:
        self._count, self._change = 0, Condition()

    @property
    def somebody(self) -> bool:
        """Whether a picture is being drawn that somebody waits for."""
        return self._count > 0

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """Count one more for as long as this lasts."""
        with self._change:
            self._count += 1
        try:
            yield
        finally:
            with self._change:
                self._count -= 1
                self._change.notify_all()

    def rest(self, most_sec: float) -> None:
        """Return when nobody waits, or after so many seconds."""
        with self._change:
            self._change.wait_for(lambda: not self._count, max(most_sec, 0))


class GivenUp(Exception):
    """Nobody waits for this file any more, or somebody else's picture comes first."""


# (photo, what is to become of it, asked between steps) -> the file.
DrawFile = Callable[[OpenedPhoto, PhotoAsk, Callable[[], None]], Shown]


@dataclass
class _Job:
    ask: PhotoAsk
    future: Future[Shown]
    unwanted: Event  # nobody will ask for it
    wanted: Event  # somebody waits for it


class FilesAhead:
    """Draws at most one file of each photo, one after the other, while nothing is drawn that somebody waits for.

    Args:
        draw: draws a file; it calls the function that it is given between its steps, and lets what that raises pass.
        waiting: who waits for a picture; a file that nobody waits for is given up rather than delay it.
    """

    def __init__(self, draw: DrawFile, waiting: Waiting):
        self._draw, self._waiting = draw, waiting
        self._worker = ThreadPoolExecutor(1, "file-ahead")
        self._jobs: dict[str, _Job] = {}  # by the copy of the photo, which is of one visit
        self._lock = Lock()

    def begin(self, opened: OpenedPhoto, ask: PhotoAsk) -> None:
        """Draw the file of the picture that was just shown; those of earlier pictures of the photo are thrown away."""
        ask = _without_number(ask)
        with self._lock:
            job = self._jobs.get(opened.before)
            if job is not None and job.ask == ask and not (job.future.done() and job.future.exception()):
                return
            self._drop(opened.before)
            while len(self._jobs) >= MAX_FILES:
                self._drop(next(iter(self._jobs)))
            unwanted, wanted = Event(), Event()

            def go_on() -> None:
                if unwanted.is_set() or (self._waiting.somebody and not wanted.is_set()):
                    raise GivenUp

            def run() -> Shown:
                go_on()
                return self._draw(opened, ask, go_on)

            job = _Job(ask, self._worker.submit(run), unwanted, wanted)
            self._jobs[opened.before] = job
        job.future.add_done_callback(lambda done: _remove(done) if unwanted.is_set() else None)

    def take(self, opened: OpenedPhoto, ask: PhotoAsk) -> Shown | None:
        """Hand out the file of a picture that is drawn, or just being drawn; else None, and nothing is left of it."""
        with self._lock:
            job = self._jobs.get(opened.before)
            if job is None or job.ask != _without_number(ask) or job.future.cancel():
                self._drop(opened.before)
                return None
            job.wanted.set()
            del self._jobs[opened.before]  # from here on it is a file that was saved
        try:
            with self._waiting.one_more():  # counted only once the file itself knows that it is wanted
                shown = job.future.result()
        except (GivenUp, CancelledError):
            return None
        except Exception:  # whoever draws it again says what is wrong
            logger.debug("a file could not be drawn ahead", exc_info=True)
            return None
        return shown if Path(shown.path).is_file() else None

    def drop(self, opened: OpenedPhoto) -> None:
        """Throw away what was drawn ahead of a photo; what is being drawn ends at its next step."""
        with self._lock:
            self._drop(opened.before)

    def _drop(self, before: str) -> None:
        job = self._jobs.pop(before, None)
        if job is None:
            return
        job.unwanted.set()
        if not job.future.cancel() and job.future.done():
            _remove(job.future)


def _remove(done: Future[Shown]) -> None:
    with suppress(GivenUp, CancelledError, Exception):
        shutil.rmtree(Path(done.result().path).parent, ignore_errors=True)


def _without_number(ask: PhotoAsk) -> PhotoAsk:
    """The same picture, whichever question it answers, in whichever language."""
    return replace(ask, number=0, language="en")
