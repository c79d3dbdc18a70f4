"""Reading the JSON files of model and pack folders, which somebody may have edited, cut short or left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gan_space.errors import WeightsError


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
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsError(f"{path.parent} has no {path.name}: {remedy}") from error
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read ({error}): {remedy}") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path} must hold a JSON object, got {type(content).__name__}")
    return content
