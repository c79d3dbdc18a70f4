"""Files that somebody else wrote: JSON and safetensors of models, packs, profiles and directions, read with limits.

Each door into the package (`from_pretrained` of a network, packs, directions, checkpoints to convert) reads through
here, so that whatever such a file holds ends in one line of our own error class, before much is read or allocated.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from gan_space.errors import InputError, WeightsError

MAX_JSON_BYTES = 8 * 2**20
MAX_JSON_DEPTH = 64
MAX_WEIGHT = 1e8  # of any sound network; beyond it, sums overflow and pictures turn black
HEAD_BYTES = 512
SHARD_INDEX = "*.safetensors.index.json"


def parse_json(text: str | bytes, name: str, error_class: type[InputError] = WeightsError) -> dict[str, Any]:
    """Read a JSON object of bounded size and depth.

    Args:
        text: what the file holds.
        name: of the file, for messages.
        error_class: what is raised.

    Raises:
        error_class: too large, too deep, no JSON, or no object.
    """
    if len(text) > MAX_JSON_BYTES:
        raise error_class(f"{name} has {len(text):,} bytes, at most {MAX_JSON_BYTES:,} are read")
    deep = f"{name} is nested deeper than {MAX_JSON_DEPTH} levels"
    try:
        content = json.loads(text)
    except RecursionError:
        raise error_class(deep) from None
    except ValueError as error:
        kind = stand_in(text[:HEAD_BYTES])
        raise error_class(f"{name} {kind}" if kind else f"{name} cannot be read as JSON ({error})") from error
    if not isinstance(content, dict):
        raise error_class(f"{name} must hold a JSON object, got {type(content).__name__}")
    level: list[Any] = [content]
    for _ in range(MAX_JSON_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return content
    raise error_class(deep)


def read_json_file(path: Path, error_class: type[InputError] = WeightsError) -> dict[str, Any]:
    """Read a file by `parse_json`; FileNotFoundError where there is none.

    Raises:
        error_class: as `parse_json`, or not readable.
    """
    try:
        with path.open("rb") as file:
            text = file.read(MAX_JSON_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise error_class(f"{path} cannot be read ({error.strerror or error})") from error
    return parse_json(text, str(path), error_class)


def stand_in(head: str | bytes) -> str | None:
    """Say what a file is that came in place of another, as the end of a sentence; None if it is no known stand-in."""
    start = (head.encode(errors="replace") if isinstance(head, str) else head).lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"version https://git-lfs"):
        return "is a Git LFS pointer in place of the file itself: run `git lfs pull`, or download the file"
    if re.match(rb"<(!doctype|html|head|\?xml|!--)", start):
        return "is a web page in place of the file itself: download it again by its direct link, logged in if need be"
    return None


def check_is_itself(path: Path, error_class: type[InputError] = WeightsError) -> None:
    """Raise `error_class` if a file is a Git LFS pointer or a web page; files that cannot be opened pass."""
    try:
        with path.open("rb") as file:
            kind = stand_in(file.read(HEAD_BYTES))
    except OSError:
        return
    if kind:
        raise error_class(f"{path} {kind}")


def read_shapes(path: Path, error_class: type[InputError] = WeightsError) -> dict[str, tuple[int, ...]]:
    """Return shapes of all tensors of a safetensors file; only its header is read.

    Raises:
        error_class: missing, damaged, or something else in its place.
    """
    return {key: tuple(tensor.get_shape()) for key, tensor in _read_header(path, error_class).items()}


def read_types(path: Path, error_class: type[InputError] = WeightsError) -> dict[str, str]:
    """Return types of all tensors of a safetensors file as the format spells them, such as "F32", "BF16" and "I8".

    Raises:
        error_class: see `read_shapes`.
    """
    return {key: tensor.get_dtype() for key, tensor in _read_header(path, error_class).items()}


def _read_header(path: Path, error_class: type[InputError]) -> dict[str, Any]:
    check_is_itself(path, error_class)
    try:
        with safe_open(str(path), framework="pt", device="cpu") as opened:
            return {key: opened.get_slice(key) for key in opened.keys()}  # noqa: SIM118, a handle
    except (OSError, SafetensorError, ValueError) as error:
        raise error_class(
            f"{path} cannot be read: {error}. Expected a whole safetensors file; make or download it again."
        ) from error


def count_values(paths: list[Path], error_class: type[InputError] = WeightsError) -> int:
    """Return the number of values in safetensors files, read from their headers."""
    return sum(math.prod(shape) for path in paths for shape in read_shapes(path, error_class).values())


def value_faults(tensors: Mapping[str, Tensor]) -> list[str]:
    """Say what is wrong with the values of tensors: NaN, infinity, or larger than any sound weight."""
    faults = []
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not tensor.numel() or tensor.is_meta:
            continue
        largest = float(tensor.detach().abs().max())
        if not math.isfinite(largest):
            faults.append(f"{name} has values that are not finite")
        elif largest > MAX_WEIGHT:
            faults.append(f"{name} has values up to {largest:.0e}, expected at most {MAX_WEIGHT:.0e}")
    return faults


def check_shards(folder: Path, error_class: type[InputError] = WeightsError) -> None:
    """Raise `error_class` unless every index of shards in a folder names files that lie in it."""
    for path in sorted(folder.glob(SHARD_INDEX)):
        shards = read_json_file(path, error_class).get("weight_map")
        if not isinstance(shards, dict) or not shards or not all(isinstance(name, str) for name in shards.values()):
            raise error_class(f"{path}: weight_map must be an object of file names by tensor, got {shards!r:.60}")
        wrong = sorted({name for name in shards.values() if not _is_shard(folder, name)})
        if wrong:
            raise error_class(f"{path}: weight_map names {wrong[0]!r:.60}, which is no safetensors file of this folder")


def _is_shard(folder: Path, name: str) -> bool:
    return bool(re.fullmatch(r"[\w.-]+\.safetensors", name)) and (folder / name).is_file()
