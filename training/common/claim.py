"""One folder, one run: who starts a second one in it, or goes on with other settings, is told so and spoils nothing."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection
from pathlib import Path

from gan_space.errors import ConfigError
from gan_space.folder_locks import lock_folder
from gan_space.settings import changed_settings
from gan_space.whole_files import write_whole


def claim_run(output_dir: Path, config, may_change: Collection[str]) -> None:
    """Take the folder of a run for this process and write config.json, or refuse and leave the folder as it is.

    The folder stays taken until the process ends; the system lets go of it then, whatever ended it.

    Args:
        output_dir: folder of the run; made if it is missing.
        config: a dataclass of settings. Its `DONE_BEFORE`, if it has one, is what runs did that know nothing of a
            setting, where that is not its default: {name: value}.
        may_change: names of the settings that may differ between the parts of a run.

    Raises:
        ConfigError: another process works in the folder, it cannot be written to, or it holds a run that these
            settings cannot continue; names all that differ.
    """
    output_dir = Path(output_dir)
    settings = json.loads(json.dumps(dataclasses.asdict(config), default=str))  # as it will be read back
    try:
        output_dir.mkdir(parents=True, exist_ok=True)
        lock_run(output_dir)
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
    # A run of an earlier version knows nothing of newer settings; their defaults are what it did, or what came before.
    defaults = {one.name: one.default for one in dataclasses.fields(config) if one.default is not dataclasses.MISSING}
    defaults |= getattr(config, "DONE_BEFORE", {})
    old = json.loads(json.dumps(defaults, default=str)) | read
    if changed := changed_settings(old, settings, may_change={*may_change, *(set(old) - set(settings))}):
        raise ConfigError(
            f"{output_dir} holds a run with other settings, which cannot be continued with these:\n  --"
            + "\n  --".join(changed)
            + "\nUse the old settings, or another --output_dir."
        )


def lock_run(output_dir: Path) -> None:
    """Lock the folder of a run for as long as this process lives; ConfigError if another process has it."""
    lock_folder(output_dir, otherwise="use another --output_dir", error=ConfigError)
