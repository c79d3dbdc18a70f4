"""Weights beside a JSON file that says what they are: how both are written and what the JSON has to hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files by name into `folder`, which is made if need be; each is there whole or as it was before."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in contents.items():
        partial = folder / f"{name}.partial"
        partial.write_bytes(data)
        partial.replace(folder / name)


def type_faults(content: Mapping[str, Any], types: Mapping[str, type]) -> list[str]:
    """What is missing, of another type or unknown among the entries of a JSON object, a message for each."""
    faults = [
        f"{key} must be {kind.__name__}, got {content.get(key)!r:.60}"
        for key, kind in types.items()
        if not isinstance(content.get(key), kind)
    ]
    return faults + [f"unknown entry {key!r:.60}" for key in content if key not in types]
