"""Reading the JSON files of model and pack folders, which somebody may have edited, cut short or left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gan_space.errors import WeightsError
from gan_space.foreign_files import read_json_file


def read_json(path: Path, *, needed: bool = True, remedy: str = "expected a gan_space model folder") -> dict[str, Any]:
    """Read a JSON object.

    Args:
        path: the file.
        needed: without it, a file that is not there reads as {}.
        remedy: what the folder should be, or what to do; ends the message about a file that cannot be read.

    Raises:
        WeightsError: not there, not readable, no JSON, or no object.
    """
    if not needed and not path.is_file():
        return {}
    try:
        return read_json_file(path)
    except FileNotFoundError as error:
        raise WeightsError(f"{path.parent} has no {path.name}: {remedy}") from error
    except WeightsError as error:
        raise WeightsError(f"{error}: {remedy}") from error
