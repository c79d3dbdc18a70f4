"""Weights beside a JSON file that says what they are, and knows their hash: written together, read unbelieving."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from gan_space.errors import WeightsError, raise_all
from gan_space.foreign_files import HEAD_BYTES, parse_json, stand_in
from gan_space.whole_files import json_text, write_whole


def write_record(folder: Path, stem: str, version: int, tensors: Mapping[str, Tensor], content: Mapping) -> None:
    """Write STEM.safetensors and STEM.json into `folder`, which is made if need be; each is there whole or as before.

    Args:
        version: of the format.
        content: of the JSON; version and hash of the weights are added.
    """
    weights = save({name: tensor.contiguous() for name, tensor in tensors.items()})
    whole = {"format_version": version, "weights_sha256": hashlib.sha256(weights).hexdigest(), **content}
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / f"{stem}.safetensors", weights)
    write_whole(folder / f"{stem}.json", json_text(whole))


def read_record(
    folder: Path, stem: str, version: int, types: Mapping[str, type]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_record` wrote: (tensors, content of the JSON).

    Args:
        version: that is understood.
        types: of the content's entries.

    Raises:
        WeightsError: a file is missing, damaged, of another version, or does not fit the other one.
    """
    info_file, weights_file = folder / f"{stem}.json", folder / f"{stem}.safetensors"
    content, weights = parse_json(_read_bytes(info_file), str(info_file)), _read_bytes(weights_file)
    if content.get("format_version") != version:
        found = content.get("format_version")
        raise WeightsError(f"{info_file} has format_version {found!r:.60}, expected {version}: upgrade gan_space")
    faults = type_faults(content, {"format_version": int, "weights_sha256": str, **types})
    raise_all([f"{info_file}: {fault}" for fault in faults], WeightsError)
    if kind := stand_in(weights[:HEAD_BYTES]):
        raise WeightsError(f"{weights_file} {kind}")
    if hashlib.sha256(weights).hexdigest() != content["weights_sha256"]:
        raise WeightsError(f"{weights_file} is not the one that {info_file.name} was written with; get both again")
    try:
        return load(weights), content
    except SafetensorError as error:
        raise WeightsError(f"cannot read {weights_file}: {error}") from error


def type_faults(content: Mapping[str, Any], types: Mapping[str, type]) -> list[str]:
    """Say what is missing, of another type or unknown among the entries of a JSON object, a message for each."""
    faults = [
        f"{key} must be {kind.__name__}, got {content.get(key)!r:.60}"
        for key, kind in types.items()
        if not isinstance(content.get(key), kind) or isinstance(content.get(key), bool)
    ]
    return faults + [f"unknown entry {key!r:.60}" for key in content if key not in types]


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}") from error
