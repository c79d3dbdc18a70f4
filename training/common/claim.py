"""One folder, one run: who starts a second one in it, or goes on with other settings, is told so and spoils nothing."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import socket
import sys
from collections.abc import Collection
from pathlib import Path

from gan_space.errors import ConfigError
from gan_space.settings import changed_settings
from gan_space.whole_files import write_whole

LOCK = ".lock"
_NO_LOCKS_HERE = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # some network drives: then nobody is kept out
_held: dict[tuple[int, int], int] = {}  # (device, inode) -> descriptor; open, and so locked, as long as the process


def claim_run(output_dir: Path, config, may_change: Collection[str]) -> None:
    """Take the folder of a run for this process and write config.json, or refuse and leave the folder as it is.

    The folder stays taken until the process ends; the system lets go of it then, whatever ended it.

    Args:
        output_dir: folder of the run; made if it is missing.
        config: a dataclass of settings.
        may_change: names of the settings that may differ between the parts of a run.

    Raises:
        ConfigError: another process works in the folder, it cannot be written to, or it holds a run that these
            settings cannot continue; names all that differ.
    """
    output_dir = Path(output_dir)
    settings = json.loads(json.dumps(dataclasses.asdict(config), default=str))  # as it will be read back
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        lock_folder(output_dir)
        _check_settings(output_dir, settings, config, may_change)
        write_whole(output_dir / "config.json", json.dumps(settings, indent=1))
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(
            f"cannot write into {output_dir}: {reason}; choose another --output_dir, or make room and rights there"
        ) from error


def _check_settings(output_dir: Path, settings: dict, config, may_change: Collection[str]) -> None:
    file = output_dir / "config.json"
    if not file.exists():
        return
    try:
        read = dict(json.loads(file.read_text()))
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigError(
            f"{file} cannot be read as the settings of a run ({error}); move it away, or use another --output_dir"
        ) from error
    # A run of an earlier version knows nothing of newer settings; their defaults are what it did.
    defaults = {one.name: one.default for one in dataclasses.fields(config) if one.default is not dataclasses.MISSING}
    old = json.loads(json.dumps(defaults, default=str)) | read
    if changed := changed_settings(old, settings, may_change={*may_change, *(set(old) - set(settings))}):
        raise ConfigError(
            f"{output_dir} holds a run with other settings, which cannot be continued with these:\n  --"
            + "\n  --".join(changed)
            + "\nUse the old settings, or another --output_dir."
        )


def lock_folder(output_dir: Path) -> None:
    """Lock a file in a folder that is there for as long as this process lives; ConfigError if another process has.

    The lock belongs to the process alone: workers that it forks do not hold it. So closing any descriptor of the file
    would let go of it, and none is closed once it is locked.
    """
    file = output_dir / LOCK
    if (descriptor := _held_lock(file)) is not None:
        _sign(descriptor)
        return
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _lock_descriptor(descriptor)
    except OSError as error:
        holder = os.read(descriptor, 200).decode(errors="replace").strip()
        os.close(descriptor)
        if error.errno in _NO_LOCKS_HERE:
            return
        if error.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            raise
        raise ConfigError(
            f"another run is working in {output_dir} ({holder or 'it does not say which'}); wait until it has ended, "
            "stop it, or use another --output_dir"
        ) from None
    _held[_identity(os.fstat(descriptor))] = descriptor
    _sign(descriptor)


def unsign_lock(output_dir: Path) -> None:
    """Take the name of this process and machine out of a lock that it holds, and goes on holding."""
    if (descriptor := _held_lock(output_dir / LOCK)) is not None:
        os.ftruncate(descriptor, 0)


def _held_lock(file: Path) -> int | None:
    return _held.get(_identity(file.stat())) if file.exists() else None


def _sign(descriptor: int) -> None:
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())


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
