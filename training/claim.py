"""One folder, one run: who starts with other settings in it is told so instead of spoiling it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection
from pathlib import Path

from gan_space.errors import ConfigError


def claim_run(output_dir: Path, config, may_change: Collection[str]) -> None:
    """Write config.json, or refuse if the folder holds a run that these settings cannot continue.

    Args:
        output_dir: folder of the run; made if it is missing.
        config: a dataclass of settings.
        may_change: names of the settings that may differ between the parts of a run.

    Raises:
        ConfigError: any other setting differs; names all of them.
    """
    file = output_dir / "config.json"
    settings = json.loads(json.dumps(dataclasses.asdict(config), default=str))  # as it will be read back
    if file.exists():
        # A run of an earlier version knows nothing of newer settings; their defaults are what it did.
        defaults = {
            one.name: one.default for one in dataclasses.fields(config) if one.default is not dataclasses.MISSING
        }
        old = json.loads(json.dumps(defaults, default=str)) | json.loads(file.read_text())
        lines = [
            f"--{name}: {old.get(name)!r} -> {value!r}"
            for name, value in settings.items()
            if name not in may_change and old.get(name) != value
        ]
        if lines:
            raise ConfigError(
                f"{output_dir} holds a run with other settings, which cannot be continued with these:\n  "
                + "\n  ".join(lines)
                + "\nUse the old settings, or another --output_dir."
            )
    output_dir.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(settings, indent=1))
    partial.replace(file)
