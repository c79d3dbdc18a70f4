"""The folder in which a server keeps what visitors send and what is drawn for them: empty before it, and after it.

Nothing of a visitor may outlive the server or its hour. So everything lies in one folder, gradio's uploads and copies
too, and the folder is emptied by whoever is still there to do it: the server when it ends, a thread of it every few
minutes, or, where it was killed, the next server that starts. A lock, which the system takes off a dead process, tells
the folder of a running server from one that was left behind.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any
from weakref import WeakSet

from gan_space.errors import ConfigError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

logger = logging.getLogger(__name__)

FILE_AGE_SEC = 3600  # how long a file stays that nobody uses
SWEEP_EVERY_SEC = 300


class ServerFolder:
    """One server's files, in `root`/server-…; those of servers that are gone are removed first.

    Args:
        root: shared by all servers of one user of the machine.

    Raises:
        ConfigError: `root` is not a folder of ours.
    """

    def __init__(self, root: Path):
        _make_private(root)
        with _waiting_lock(root / "lock"):  # nobody may take a folder for left behind before it has its lock
            _remove_left_behind(root)
            self.path = Path(tempfile.mkdtemp(prefix=f"server-{os.getpid()}-", dir=root))
            self._lock = (self.path / "lock").open("w")
            _try_lock(self._lock)
        # uploads: gradio's; files: of each `FileFolder`; stops: of `Stops`; kept: looks and examples for everybody.
        self.uploads, self.files, self.stops, self.kept = (
            self.path / name for name in ("uploads", "files", "stops", "kept")
        )
        for folder in (self.uploads, self.files, self.stops, self.kept):
            folder.mkdir()
        self._pages: WeakSet[Any] = WeakSet()
        self._closed = threading.Event()
        self._owner = os.getpid()

    def watch(self, page: Any) -> None:
        """Know of a gr.Blocks: which of gradio's files belong to the page itself, and which names it remembers."""
        self._pages.add(page)

    def sweep(self, age_sec: float = FILE_AGE_SEC) -> int:
        """Remove what nobody has used for so long; returns the number of files."""
        limit = time.time() - age_sec
        pages = list(self._pages)
        kept = {str(path) for page in pages for block in list(page.blocks.values()) for path in block.keep_in_cache}
        count = _remove_old_files(self.uploads, limit, kept) + _remove_old_files(self.stops, limit, ())
        for owner in _listed(self.files):
            for entry in _listed(owner):
                if last_used(entry) < limit:
                    count += sum(path.is_file() for path in entry.rglob("*"))
                    shutil.rmtree(entry, ignore_errors=True)
        for page in pages:  # gradio remembers the name of every file that it ever handed out
            for names in page.temp_file_sets:
                names -= {name for name in list(names) if not Path(name).exists()}
        return count

    def sweep_for_ever(self) -> None:
        """Sweep by the clock, in a thread of its own, until the folder is closed."""

        def run() -> None:
            while not self._closed.wait(SWEEP_EVERY_SEC):
                try:
                    self.sweep()
                except Exception:
                    logger.exception("old files could not be swept away; the next try is in %d s", SWEEP_EVERY_SEC)

        threading.Thread(target=run, daemon=True, name="sweep-files").start()

    def close(self) -> None:
        """Remove the folder with all that is in it. A copy of this process that was made by a fork leaves it alone."""
        if os.getpid() != self._owner:
            return
        self._closed.set()
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


@cache
def server_folder() -> ServerFolder:
    """Make the folder of this process, at the first call; it is swept from then on and gone when the process ends.

    gradio keeps uploads in it from then on, so the first call has to come before any gr.Blocks is made. It lies in the
    system's folder of temporary files, which TMPDIR names.
    """
    user = os.getuid() if hasattr(os, "getuid") else ""
    folder = ServerFolder(Path(tempfile.gettempdir()) / f"gan_space-{user}")
    os.environ["GRADIO_TEMP_DIR"] = str(folder.uploads)
    atexit.register(folder.close)
    folder.sweep_for_ever()
    return folder


def last_used(entry: Path) -> float:
    """Say when an entry of a `FileFolder` was made, or marked as used after that; 0 where it is gone."""
    try:
        newest = max((path.stat().st_mtime for path in entry.rglob("*") if path.is_file()), default=None)
        made = entry.stat().st_mtime
    except FileNotFoundError:  # going, while somebody else sweeps
        return 0.0
    return made if newest is None else min(made, newest)


def mark_used(entry: Path) -> None:
    """Let an entry of a `FileFolder` stay for another hour."""
    with suppress(FileNotFoundError):  # going, while somebody sweeps
        for path in (*entry.rglob("*"), entry):
            os.utime(path)


def _remove_old_files(folder: Path, limit: float, kept: Iterable[str]) -> int:
    """Remove files last changed before `limit`, and folders that have been empty since then."""
    count = 0
    for place, folders, names in os.walk(folder, topdown=False):
        for path in (Path(place) / name for name in names):
            try:
                if path.stat().st_mtime < limit and str(path) not in kept:
                    path.unlink()
                    count += 1
            except FileNotFoundError:
                continue  # a visitor deleted it first
        for path in (Path(place) / name for name in folders):
            try:
                if path.stat().st_mtime < limit:
                    path.rmdir()
            except OSError:
                continue  # not empty
    return count


def _listed(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir()]
    except FileNotFoundError:
        return []


def _make_private(root: Path) -> None:
    """The folder is ours, and nobody else may look into it: others may write beside it."""
    root.mkdir(mode=0o700, exist_ok=True)
    found = root.lstat()
    if not root.is_dir() or root.is_symlink() or (hasattr(os, "getuid") and found.st_uid != os.getuid()):
        raise ConfigError(f"{root} belongs to somebody else, so visitors' files cannot be kept there; set TMPDIR")


def _remove_left_behind(root: Path) -> None:
    for folder in root.glob("server-*"):
        try:
            with (folder / "lock").open("r+") as file:
                left = _try_lock(file)
        except FileNotFoundError:  # killed before it had a lock
            left = True
        except OSError:
            left = False
        if left:
            shutil.rmtree(folder, ignore_errors=True)


def _try_lock(file: IO[str]) -> bool:
    """Whether nobody else holds the lock; the system takes it off when the file is closed or its process dies."""
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    except OSError:
        return False
    return True


@contextmanager
def _waiting_lock(path: Path) -> Iterator[None]:
    """Hold a lock for as long as it takes to make a folder, which is no time at all."""
    with path.open("w") as file:
        deadline = time.monotonic() + 30
        while not _try_lock(file):
            if time.monotonic() > deadline:
                raise ConfigError(f"another server has held {path} for 30 s; if there is none, remove that file")
            time.sleep(0.02)
        yield
