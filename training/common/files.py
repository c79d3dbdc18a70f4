"""Files of a run, and what the system says where it refuses them."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gan_space.whole_files import place_fault

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLOSED = (errno.EROFS, errno.EACCES, errno.EPERM)


def append_line(file: Path, line: str) -> None:
    """Add one line to a file.

    Raises:
        OSError: it cannot be written; names the file.
    """
    try:
        with open(file, "a", encoding="utf-8") as handle:
            handle.write(line + "\n")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(file)) from error


def system_fault(error: BaseException) -> str | None:
    """Say in one sentence what the system refused, such as room on a disk; None for any other error."""
    number, where = _error_number(error), getattr(error, "filename", None)
    if number is None:
        return None
    fault = f"{where}: {os.strerror(number)}" if where else os.strerror(number)
    if number in _FULL:
        return f"{fault}; make room there, then the same command goes on"
    if number in _CLOSED:
        return f"{fault}; choose a folder that can be written to"
    return fault


@contextmanager
def say_where(place: Path) -> Iterator[None]:
    """Name the place in an error of the system that does not, such as those of TensorBoard and safetensors.

    Raises:
        OSError: in place of such an error.
    """
    try:
        yield
    except Exception as error:
        number = _error_number(error)
        if number is None or getattr(error, "filename", None) is not None:
            raise
        raise OSError(number, os.strerror(number), str(place)) from error


def _error_number(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error))  # safetensors is written in Rust and has its own errors
    return int(found[1]) if found else None


def no_folder_faults(config, *names: str) -> list[str]:
    """Return what is wrong with files that are to be written, a message for each that could not be, in the end.

    Args:
        config: has the settings of these names, paths or None.
        names: of settings.
    """
    faults = []
    for name in names:
        file = getattr(config, name)
        if file is None:
            continue
        if file.is_dir():
            faults.append(f"--{name}: {file} is a folder, expected the name of a file")
        elif not file.parent.is_dir():
            faults.append(f"--{name}: the folder {file.parent} does not exist, make it first")
        elif fault := place_fault(file.parent):
            faults.append(f"--{name}: {fault}")
    return faults


def folder_faults(config, *names: str) -> list[str]:
    """Return what is wrong with folders that are to be made or filled, a message for each that could not be.

    Args:
        config, names: as in `no_folder_faults`.
    """
    given = {name: Path(getattr(config, name)) for name in names if getattr(config, name) is not None}
    return [f"--{name}: {fault}" for name, folder in given.items() if (fault := place_fault(folder))]
