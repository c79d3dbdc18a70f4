"""A pack as a folder: pack.safetensors, pack.json, preview.png; written whole or not at all, and read strictly.

Nothing in it can be executed. pack.json holds the hash of pack.safetensors, so a flipped byte is found at loading.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Collection, Mapping
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from safetensors.torch import save
from torch import Tensor

from gan_space.errors import PackError, raise_all
from gan_space.foreign_files import read_json_file
from gan_space.packs.low_rank import DOWN, FULL, UP, read_tensors
from gan_space.whole_files import json_text, place_fault, whole_folder

WEIGHTS_FILE, RECORD_FILE, PREVIEW_FILE = "pack.safetensors", "pack.json", "preview.png"
WEIGHTS = "weights/"  # before the names of tensors that change weights
FORMAT_VERSION = 1
MAX_BYTES = 1_000_000  # of all files together
MAX_PREVIEW_PX = 2048


def write_pack(
    folder: str | Path, tensors: Mapping[str, Tensor], record: Mapping, preview: bytes, max_bytes: int = MAX_BYTES
) -> Path:
    """Write a pack folder under another name, then rename it; a pack that was there is replaced.

    Args:
        folder: to be made; one that exists has to be a pack or empty.
        tensors: content of pack.safetensors.
        record: content of pack.json, without the format version and the hash, which are added.
        preview: content of preview.png.
        max_bytes: of all files together.

    Raises:
        PackError: the folder holds something else, the files are too large together, or the preview is no PNG.
    """
    folder = Path(folder)
    check_place(folder)
    weights = save({name: tensor.detach().contiguous().cpu() for name, tensor in tensors.items()})
    whole = {"format_version": FORMAT_VERSION, **record, "weights_sha256": hashlib.sha256(weights).hexdigest()}
    contents = {WEIGHTS_FILE: weights, RECORD_FILE: json_text(whole).encode(), PREVIEW_FILE: preview}
    size = sum(len(content) for content in contents.values())
    faults = [] if size <= max_bytes else [
        f"the pack for {folder} has {size:,} bytes, at most {max_bytes:,} are allowed: tune with a lower rank"
    ]  # fmt: skip
    raise_all(faults + _preview_faults(preview, "the preview"), PackError)
    with whole_folder(folder) as partial:
        for name, content in contents.items():
            (partial / name).write_bytes(content)
    return folder


def check_place(folder: Path) -> None:
    """Raise PackError where no pack can be written: something else stands there, or the folder cannot be made."""
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / RECORD_FILE).is_file())):
        raise PackError(f"{folder} exists and is no pack; give a new folder, or an old pack's to replace it")
    if fault := place_fault(folder.absolute().parent):  # one that is there is replaced, not filled
        raise PackError(f"cannot make {folder}: {fault}")


def read_pack(folder: str | Path, max_bytes: int = MAX_BYTES) -> tuple[dict[str, Tensor], dict, bytes]:
    """Read (tensors, record, preview) of a pack folder; the record without format version and hash.

    Raises:
        PackError: a file is missing, damaged, too large, or of a newer format.
    """
    folder = Path(folder)
    missing = [name for name in (WEIGHTS_FILE, RECORD_FILE, PREVIEW_FILE) if not (folder / name).is_file()]
    if missing:
        raise PackError(f"the pack {folder} lacks {', '.join(missing)}; copy or download it again")
    size = sum((folder / name).stat().st_size for name in (WEIGHTS_FILE, RECORD_FILE, PREVIEW_FILE))
    if size > max_bytes:
        raise PackError(f"the pack {folder} has {size:,} bytes, at most {max_bytes:,} are allowed")
    try:
        record = read_json_file(folder / RECORD_FILE, PackError)
    except PackError as error:
        raise PackError(f"{error}; copy or download the pack again") from error
    version = record.pop("format_version", None)
    if version != FORMAT_VERSION:
        raise PackError(
            f"the pack {folder} has format version {version!r}, expected {FORMAT_VERSION}. It may come from another "
            "version of gan_space: upgrade, or tune the pack again"
        )
    tensors = read_tensors(folder / WEIGHTS_FILE)
    expected = record.pop("weights_sha256", None)
    got = hashlib.sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    if got != expected:
        raise PackError(
            f"{folder / WEIGHTS_FILE} is damaged or from another pack: its hash is {got[:16]}…, {RECORD_FILE} says "
            f"{str(expected)[:16]}…; copy or download the pack again"
        )
    preview = (folder / PREVIEW_FILE).read_bytes()
    raise_all(_preview_faults(preview, str(folder / PREVIEW_FILE)), PackError)
    return tensors, record, preview


def record_faults(record: Mapping, kind: str, types: Mapping[str, type], others: Collection[str]) -> list[str]:
    """Say what is wrong with the content of a pack.json, a message for each.

    Args:
        kind: that it should be.
        types: of its entries.
        others: names of entries that are checked elsewhere.
    """
    known = {"kind", *others, *types}
    faults = [] if record.get("kind") == kind else [f"kind is {record.get('kind')!r}, expected {kind!r}"]
    faults += [f"unknown key {key!r}" for key in sorted(set(record) - known)]
    faults += [f"missing key {key!r}" for key in sorted(known - set(record))]
    return faults + [
        f"{key} must be {wanted.__name__}, got {record[key]!r}"
        for key, wanted in types.items()
        if key in record and (not isinstance(record[key], wanted) or isinstance(record[key], bool))
    ]


def split_weights(
    tensors: Mapping[str, Tensor], record: Mapping, own: Collection[str]
) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors of the change of weights, and what is wrong with all names, before anything is built.

    Args:
        own: names of the pack's other tensors.
    """
    weights = {key.removeprefix(WEIGHTS): value for key, value in tensors.items() if key.startswith(WEIGHTS)}
    others = {key for key in tensors if not key.startswith(WEIGHTS)}
    faults = [f"missing tensor {key!r}" for key in own if key not in others]
    faults += [f"unknown tensor {key!r}" for key in sorted(others - set(own))]
    names = sorted({key.removesuffix(end) for key in weights for end in (DOWN, UP, FULL) if key.endswith(end)})
    if "weights" in record and record["weights"] != names:
        faults.append(f"{RECORD_FILE} lists the weights {record['weights']}, the file has {names}")
    return weights, faults


def _preview_faults(preview: bytes, what: str) -> list[str]:
    try:
        with Image.open(io.BytesIO(preview), formats=["PNG"]) as picture:
            size = picture.size
            picture.verify()
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return [f"{what} is no whole PNG: {error}"]
    return [] if max(size) <= MAX_PREVIEW_PX else [f"{what} is {size[0]}x{size[1]}, at most {MAX_PREVIEW_PX} px"]
