"""One folder, one writer: a file in it is locked; the system lets go of it when the process ends, whatever ended it."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gan_space.errors import InputError

LOCK = ".lock"
_NO_LOCKS_HERE = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # some network drives: then nobody is kept out
_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_held: dict[tuple[int, int], int] = {}  # (device, inode) -> descriptor; open, and so locked
_one_at_a_time = threading.Lock()


def lock_folder(folder: Path, *, otherwise: str, error: type[InputError] = InputError) -> None:
    """Lock a file in a folder that is there for as long as this process lives; it may come back to its own.

    The lock belongs to the process alone: workers that it forks do not hold it. So closing any descriptor of the file
    would let go of it, and none is closed once it is locked.

    Args:
        folder: exists.
        otherwise: what else to do where it is taken, such as "choose another folder".
        error: raised where another process has it.

    Raises:
        OSError: the file cannot be written.
    """
    _take(folder, otherwise, error, again=True)


@contextmanager
def locked_folder(folder: Path, *, otherwise: str, error: type[InputError] = InputError) -> Iterator[None]:
    """Lock a folder for the block alone, against other threads too; nothing of the lock stays in it.

    Args, Raises: as in `lock_folder`.
    """
    descriptor = _take(folder, otherwise, error, again=False)
    try:
        yield
    finally:
        if descriptor is not None:
            with _one_at_a_time:
                with suppress(OSError):  # first, so that who opens it meanwhile sees that it is another file
                    (folder / LOCK).unlink()  # Windows keeps an open file
                _held.pop(_identity(os.fstat(descriptor)), None)
                os.close(descriptor)


def unsign_lock(folder: Path) -> None:
    """Empty a lock that this process holds, and goes on holding: whoever publishes the folder shows nothing by it."""
    if (descriptor := _held_lock(folder / LOCK)) is not None:
        os.ftruncate(descriptor, 0)


def _take(folder: Path, otherwise: str, error: type[InputError], *, again: bool) -> int | None:
    """Lock the file and return its descriptor; None where there are no locks."""
    file = folder / LOCK
    with _one_at_a_time:
        while True:
            if (descriptor := _held_lock(file)) is not None:
                if not again:
                    raise error(_refusal(folder, f"process {os.getpid()}", otherwise))
                _sign(descriptor)
                return descriptor
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                _lock_descriptor(descriptor)
            except OSError as fault:
                holder = os.read(descriptor, 200).decode(errors="replace").strip()
                os.close(descriptor)
                if fault.errno in _NO_LOCKS_HERE:
                    return None
                if fault.errno not in _TAKEN:
                    raise
                raise error(_refusal(folder, _in_words(holder), otherwise)) from None
            if file.exists() and _identity(file.stat()) == _identity(os.fstat(descriptor)):
                break
            os.close(descriptor)  # removed by who had it, between opening and locking
        _held[_identity(os.fstat(descriptor))] = descriptor
        _sign(descriptor)
        return descriptor


def _refusal(folder: Path, holder: str, otherwise: str) -> str:
    return (
        f"another run is working in {folder} ({holder or 'it does not say which'}); wait until it has ended, stop it, "
        f"or {otherwise}"
    )


def _held_lock(file: Path) -> int | None:
    return _held.get(_identity(file.stat())) if file.exists() else None


def _sign(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, f"process {os.getpid()} on {_machine()}\n".encode())


def _machine() -> str:
    """Eight digits that tell this machine from others: its name is nobody's business where the folder is shared."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _in_words(holder: str) -> str:
    """What a lock says, in words."""
    found = re.fullmatch(r"(process \d+ on )([0-9a-f]{8})", holder)
    if found is None:
        return holder
    return found[1] + ("this machine" if found[2] == _machine() else "another machine")


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


if sys.platform == "win32":
    import msvcrt

    def _lock_descriptor(descriptor: int) -> None:
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # what is locked cannot be read by others: a byte past the text
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock_descriptor(descriptor: int) -> None:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
