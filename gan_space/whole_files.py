"""Files and folders that are there whole under their name, or as they were before: whoever reads never sees half."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gan_space.errors import InputError
from gan_space.settings import brief

# What network drives and shared folders say that flush no folder, and the system of one that must not be read.
# By their names, as not every system has all of them.
_NO_FLUSH_OF_FOLDERS = ("EINVAL", "ENOTSUP", "EOPNOTSUPP", "EBADF", "EACCES", "EPERM")


def json_text(content: Any) -> str:
    """Return JSON as our files hold it."""
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def write_whole(file: Path, content: str | bytes, partial_name: str = "", *, flush: bool = True) -> None:
    """Write a file in one step: a reader, or a run that is started again, sees the old one or the whole new one.

    Args:
        partial_name, flush: see `whole_file`.

    Raises:
        OSError: it cannot be written; names the file.
    """
    try:
        with whole_file(file, partial_name, flush=flush) as partial:
            partial.write_bytes(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from error


@contextmanager
def whole_file(file: Path, partial_name: str = "", *, flush: bool = True) -> Iterator[Path]:
    """Give a name beside `file` to write under; it becomes `file` when the block ends without an error, else it goes.

    Args:
        partial_name: of its own where several processes may write the same file, or its name be very long; "": one
            after `file`, so that what a killed process left is written over.
        flush: False for what can be made again: the name may be on the disk before the content, and a power cut leave
            an empty file. Else it is waited for, about 5 ms.
    """
    partial = file.with_name(partial_name or f".{file.name}.partial")
    try:
        yield partial
        if flush:
            flush_to_disk(partial)
        partial.replace(file)
        if flush:
            flush_to_disk(file.parent)
    finally:
        with suppress(OSError):
            partial.unlink()


def write_json(file: Path, content: Any) -> None:
    """Write `content` as JSON by `write_whole`."""
    write_whole(file, json_text(content))


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to fill, which takes the name and place of `folder` when the block ends without an error.

    What stood there before stays until the new one is on the disk, and comes back if it cannot take its place: at once,
    or at the next call where the process was killed in between.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    old = folder.with_name(f".{folder.name}.partial-old")
    if old.exists() and not folder.exists():
        old.rename(folder)
    for leftover in (partial, old):  # of a process that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        for path in (*partial.rglob("*"), partial):
            flush_to_disk(path)
        if folder.exists():
            folder.rename(old)
        partial.rename(folder)
        flush_to_disk(folder.parent)  # before the old one goes
    finally:
        if not folder.exists() and old.exists():
            old.rename(folder)
        for leftover in (partial, old):
            shutil.rmtree(leftover, ignore_errors=True)


def name_of_folder(folder: object, expected: str = "the name of a folder") -> str:
    """Return as text what names a folder, as any path of Python does; InputError for what names none, such as ""."""
    name = os.fspath(folder) if isinstance(folder, str | os.PathLike) else ""
    if not isinstance(name, str) or not name:  # a path of bytes is none either
        raise InputError(f"expected {expected}, got {brief(folder)}")
    return name


def make_folder(folder: str | os.PathLike[str]) -> Path:
    """Make a folder and its parents; InputError where that cannot be."""
    name = name_of_folder(folder)
    try:
        Path(name).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a name with a zero in it
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot make the folder {name!r}: {reason}") from error
    return Path(name)


def place_fault(folder: Path) -> str | None:
    """Say what keeps a folder from being filled, or made if it is not there yet; None where nothing does."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())  # "/" is, in the end
    if not there.is_dir():
        return f"{there} is a file, expected a folder"
    return None if os.access(there, os.W_OK | os.X_OK) else f"no right to write into {there}, choose another folder"


def flush_to_disk(path: Path) -> None:
    """Return only when the file or folder would survive a power cut; at once for a folder that cannot be waited for.

    Raises:
        OSError: the content of a file, or the name in a folder, may not be on the disk.
    """
    is_folder = path.is_dir()
    if is_folder and os.name == "nt":
        return  # Windows opens no folder; its journal keeps names
    try:
        descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if not is_folder or errno.errorcode.get(error.errno) not in _NO_FLUSH_OF_FOLDERS:
            raise


def sha256_of(file: Path) -> str:
    """Return the checksum of a file, 64 hex digits."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
