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
from itertools import count
from pathlib import Path

from gan_space.errors import InputError

LOCK = ".lock"
_NO_LOCKS_HERE = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # some network drives: then nobody is kept out
_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_KEEPS_OPEN_FILES = sys.platform == "win32"  # a file can be removed only after it is closed
_TRIES = 10  # to lock a file that others remove meanwhile; some drives number one file differently at each look

Identity = tuple[int, int]  # device and inode of a file
_held: dict[Identity, int] = {}  # to its descriptor; open, and so locked
_one_at_a_time = threading.Lock()


class _TakenError(Exception):
    """Somebody has the lock; says who, where that is known."""


def lock_folder(folder: Path, *, otherwise: str, error: type[InputError] = InputError) -> None:
    """Lock a file in a folder that is there for as long as this process lives; it may come back to its own.

    The lock belongs to the process alone: workers that it forks do not hold it. So closing any descriptor of the file
    would let go of it, and none is closed once it is locked.

    Args:
        folder: exists.
        otherwise: what else to do where it is taken, such as "choose another folder".
        error: raised where another process has it.

    Raises:
        OSError: the file cannot be made.
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
            _let_go(folder / LOCK, descriptor)


def unsign_lock(folder: Path) -> None:
    """Empty a lock that this process holds, and goes on holding: whoever publishes the folder shows nothing by it."""
    if (descriptor := _held_lock(folder / LOCK)) is not None:
        os.ftruncate(descriptor, 0)


def _take(folder: Path, otherwise: str, error: type[InputError], *, again: bool) -> int | None:
    """Lock the file and return its descriptor; None where there are no locks."""
    with _one_at_a_time:
        try:
            descriptor = _lock(folder / LOCK, again)
        except _TakenError as taken:
            raise error(
                f"another run is working in {folder} ({taken}); wait until it has ended, stop it, or {otherwise}"
            ) from None
        if descriptor is not None:
            _held[_identity(os.fstat(descriptor))] = descriptor
            _sign(descriptor)
        return descriptor


def _let_go(file: Path, descriptor: int) -> None:
    """End a lock of `_take`; a process that was forked in the block does not hold it."""
    with _one_at_a_time:
        identity = _identity(os.fstat(descriptor))
        if _held.get(identity) == descriptor:
            del _held[identity]
            _close(file, descriptor, remove=True)


def _lock(file: Path, again: bool) -> int | None:
    """Return a descriptor of the file that bears the name once it is locked; None where there are no locks."""
    for tries in count(1):
        if (descriptor := _held_lock(file)) is not None:
            if not again:
                raise _TakenError(f"process {os.getpid()}")
            return descriptor
        descriptor = _open_locked(file)
        if descriptor is None or _bears_name(file, descriptor) or tries == _TRIES:
            return descriptor
        os.close(descriptor)  # removed by who had it, between opening and locking


def _open_locked(file: Path) -> int | None:
    """Make the file if need be and lock it; what was made goes again where it cannot be locked."""
    is_new = not file.exists()
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _lock_descriptor(descriptor)
    except OSError as fault:
        is_taken = fault.errno in _TAKEN
        holder = _holder(descriptor) if is_taken else ""
        _close(file, descriptor, remove=is_new and not is_taken)
        if is_taken:
            raise _TakenError(holder) from None
        if fault.errno not in _NO_LOCKS_HERE:
            raise
        return None
    return descriptor


def _close(file: Path, descriptor: int, *, remove: bool) -> None:
    """Close a descriptor, and remove its file unless the name is another file's by now."""
    remove = remove and _bears_name(file, descriptor)
    with suppress(OSError):
        if remove and not _KEEPS_OPEN_FILES:  # first, so that who opens it meanwhile sees that it is another file
            file.unlink()
    os.close(descriptor)
    with suppress(OSError):
        if remove and _KEEPS_OPEN_FILES:  # who opened it meanwhile keeps it
            file.unlink()


def _held_lock(file: Path) -> int | None:
    """Return the descriptor by which this process holds the lock of that name."""
    try:
        return _held.get(_identity(file.stat()))
    except FileNotFoundError:
        return None


def _bears_name(file: Path, descriptor: int) -> bool:
    try:
        return _identity(file.stat()) == _identity(os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _identity(status: os.stat_result) -> Identity:
    return status.st_dev, status.st_ino


def _sign(descriptor: int) -> None:
    with suppress(OSError):  # a full disk: what it says is only for people
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, f"process {os.getpid()} on {_machine()}\n".encode())


def _holder(descriptor: int) -> str:
    """Say in words who signed a lock."""
    os.lseek(descriptor, 0, os.SEEK_SET)
    signed = os.read(descriptor, 200).decode(errors="replace").strip()
    found = re.fullmatch(r"(process \d+ on )([0-9a-f]{8})", signed)
    if found is None:
        return signed or "it does not say which"
    return found[1] + ("this machine" if found[2] == _machine() else "another machine")


def _machine() -> str:
    """Eight digits that tell this machine from others: its name is nobody's business where the folder is shared."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _begin_after_fork() -> None:
    """Forget the locks of the parent, which the system does not hand on, and a thread that may have been in here.

    The descriptors stay open: this process will come to the end of the block, too, and ask whose lock it is.
    """
    global _one_at_a_time
    _held.clear()
    _one_at_a_time = threading.Lock()


if sys.platform == "win32":
    import msvcrt

    def _lock_descriptor(descriptor: int) -> None:
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # what is locked cannot be read by others: a byte past the text
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    os.register_at_fork(after_in_child=_begin_after_fork)

    def _lock_descriptor(descriptor: int) -> None:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
