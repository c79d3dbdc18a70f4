"""The two containers that torch.save has had, and NVIDIA's plain pickles, read without torch's own loader.

A zip archive (since torch 1.6): `NAME/data.pkl` and one stored entry `NAME/data/KEY` a storage. The older form is
five pickles (magic number, version, system, content, keys) followed by the raw storages; storages inside plain
pickles are little files of that form. Nothing is ever extracted to disk, so names in an archive lead nowhere.
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gan_space.errors import WeightsError
from gan_space.foreign_files import HEAD_BYTES, stand_in, value_faults
from gan_space.formats.records import READERS, Name, StorageRecord, TensorRecord
from gan_space.formats.safe_pickle import BoundedReader, Budget, read_pickle

MAX_FILE_BYTES = 8 * 2**30
MAX_ENTRIES = 20_000
MAX_DIMS = 8

_MAGIC_NUMBER, _FORMAT_VERSION = 0x1950A86A20F9469CFC6C, 1001
_KEY = re.compile(r"[0-9A-Za-z_.-]{1,80}")
_STORAGES = {
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "DoubleStorage": "float64",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}
_STORAGE_NAMES = {f"{module}.{name}": None for name in _STORAGES for module in ("torch", "torch.cuda")}


def read_checkpoint_file(path: Path) -> Any:
    """Read a `.pkl` or `.pt` file into dicts, lists, numbers, text and the records of `safe_pickle`.

    Raises:
        WeightsError: missing, damaged, cut short, too large, or with anything in it that is not weights.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise WeightsError(f"{path.name} has {size:,} bytes; checkpoints of up to {MAX_FILE_BYTES:,} are read")
        with path.open("rb") as file:
            if file.read(4) == b"PK\x03\x04":
                return _read_zip(path)
            file.seek(0)
            if kind := stand_in(file.read(HEAD_BYTES)):
                raise WeightsError(kind)
            file.seek(0)
            return _read_stream(BoundedReader(file, size))
    except OSError as error:
        raise WeightsError(f"cannot read {str(path)!r}: {error.strerror or error}; give a checkpoint file") from error
    except WeightsError as error:
        raise WeightsError(f"{path.name}: {error}") from error
    except MemoryError as error:
        raise WeightsError(f"{path.name} does not fit into memory") from error


def materialize(tensors: Mapping[str, TensorRecord], max_bytes: int) -> dict[str, Tensor]:
    """Turn descriptions into float32 tensors, after comparing them with the storages and with `max_bytes` in all.

    Raises:
        WeightsError: a tensor reaches outside its storage, the storage outside the file, all of them are larger than
            `max_bytes` (many views of one storage), or a weight is not finite.
    """
    claimed = sum(_checked_bytes(name, record) for name, record in tensors.items())
    if claimed > max_bytes:
        raise WeightsError(f"the tensors claim {claimed:,} bytes, the file has {max_bytes:,}: not a sound checkpoint")
    loaded = {name: _load_tensor(name, record) for name, record in tensors.items()}
    broken = value_faults(loaded)
    if broken:
        raise WeightsError(f"{broken[0]}, one of {len(broken)} such tensors: training had diverged")
    return loaded


def _checked_bytes(name: str, record: TensorRecord) -> int:
    """Bytes of a tensor, or WeightsError if it reaches outside its storage or repeats elements."""
    shape, stride, storage = record.shape, record.stride, record.storage
    numel = math.prod(shape)
    sound = len(shape) == len(stride) <= MAX_DIMS and record.offset >= 0 and min((*shape, *stride, 0)) >= 0
    last = record.offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=False))
    if not sound or numel > storage.numel or (numel and last >= storage.numel):
        text = f"shape {list(shape)[:MAX_DIMS]}, stride {list(stride)[:MAX_DIMS]}, offset {record.offset}"
        raise WeightsError(f"tensor {name!r} ({text}) does not fit its storage of {storage.numel:,} elements")
    return numel * _element_size(storage.dtype)


def _load_tensor(name: str, record: TensorRecord) -> Tensor:
    storage = record.storage
    data = storage.read() if storage.read is not None else b""
    if len(data) != storage.numel * _element_size(storage.dtype):
        raise WeightsError(f"the storage of tensor {name!r} is missing or has another length than the file says")
    if math.prod(record.shape) == 0:
        return torch.zeros(record.shape)
    flat = torch.frombuffer(bytearray(data), dtype=getattr(torch, storage.dtype))
    return flat.as_strided(record.shape, record.stride, record.offset).float().contiguous().clone()


def _element_size(dtype: str) -> int:
    return getattr(torch, dtype).itemsize


def _read_stream(reader: BoundedReader) -> Any:
    """Read a plain pickle, or torch's older container, which starts with the pickle of a magic number."""
    budget = Budget()
    readers = {
        **READERS,
        "torch.storage._load_from_bytes": partial(_load_from_bytes, budget=budget),
    }
    first = read_pickle(reader, readers, budget=budget)
    if first != _MAGIC_NUMBER:
        return first
    return _read_old_container(reader, {**READERS, **_STORAGE_NAMES}, budget)


def _load_from_bytes(data: bytes, *, budget: Budget) -> StorageRecord:
    """Read a storage inside a plain pickle; nothing but a storage may be in it."""
    if not isinstance(data, bytes):
        raise ValueError("a storage that is not bytes")
    reader = BoundedReader(data)
    if read_pickle(reader, {}, budget=budget) != _MAGIC_NUMBER:
        raise WeightsError("a storage in the file is not in torch's format; refused")
    content = _read_old_container(reader, _STORAGE_NAMES, budget)
    if not isinstance(content, StorageRecord):
        raise WeightsError(f"a storage in the file holds a {type(content).__name__} instead; refused")
    return content


def _read_old_container(reader: BoundedReader, readers: dict, budget: Budget) -> Any:
    """Read what follows the magic number."""
    version = read_pickle(reader, {}, budget=budget)
    system = read_pickle(reader, {}, budget=budget)
    if version != _FORMAT_VERSION or not isinstance(system, dict) or system.get("little_endian") is not True:
        raise WeightsError(f"unknown version {version!r} of torch's file format, or not from a little-endian machine")
    storages: dict[str, StorageRecord] = {}
    content = read_pickle(reader, readers, persistent_load=partial(_find_storage, storages), budget=budget)
    keys = read_pickle(reader, {}, budget=budget)
    if not isinstance(keys, list) or any(type(key) is not str for key in keys) or set(keys) != set(storages):
        raise WeightsError("the list of storages differs from those that the tensors use: the file is damaged")
    for key in keys:
        storage = storages[key]
        numel = int.from_bytes(reader.read(8), "little", signed=True)
        if numel != storage.numel:
            raise WeightsError(f"a storage has {numel:,} elements, but {storage.numel:,} are announced")
        data = reader.read_view(numel * _element_size(storage.dtype))
        storage.read = partial(_same, data)
    return content


def _same(data: bytes | memoryview) -> bytes | memoryview:
    return data


def _find_storage(storages: dict[str, StorageRecord], persistent_id: Any) -> StorageRecord:
    """Understand ('storage', type, key, device, numel[, view]); the device does not matter here."""
    kind, storage_type, key, _, numel, *view = persistent_id
    known = isinstance(storage_type, Name) and _STORAGES.get(storage_type.path.rpartition(".")[2])
    sound = kind == "storage" and type(key) is str and _KEY.fullmatch(key) and type(numel) is int and numel >= 0
    if not known or not sound or any(part is not None for part in view):
        raise WeightsError("a reference to something that is no storage of a known type; refused")
    storage = storages.setdefault(key, StorageRecord(known, numel))
    if (storage.dtype, storage.numel) != (known, numel):
        raise WeightsError(f"storage {key} is used as two different ones: the file is damaged")
    return storage


def _read_zip(path: Path) -> Any:
    try:
        archive = zipfile.ZipFile(path)
        entries = {info.filename: info for info in archive.infolist()}
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise WeightsError(f"the archive is cut short or damaged ({error}); download it again") from error
    pickles = [name for name in entries if re.fullmatch(r"[^/\\]+/data\.pkl", name)]
    if len(entries) > MAX_ENTRIES or len(pickles) != 1:
        raise WeightsError("this zip archive was not written by torch.save; give a .pt or .pkl checkpoint")
    root = pickles[0].removesuffix("data.pkl")
    if f"{root}constants.pkl" in entries:
        raise WeightsError("this is a TorchScript program, not a checkpoint; its code is not run here")
    if f"{root}byteorder" in entries and _read_entry(archive, f"{root}byteorder", 6) != b"little":
        raise WeightsError("this archive was written on a big-endian machine; save it again on a common one")

    storages: dict[str, StorageRecord] = {}

    def find_storage(persistent_id: Any) -> StorageRecord:
        storage = _find_storage(storages, persistent_id)
        if storage.read is None:
            name = f"{root}data/{persistent_id[2]}"
            storage.read = partial(_read_entry, archive, name, storage.numel * _element_size(storage.dtype))
        return storage

    data = _read_entry(archive, pickles[0], entries[pickles[0]].file_size)
    return read_pickle(BoundedReader(data), {**READERS, **_STORAGE_NAMES}, persistent_load=find_storage)


def _read_entry(archive: zipfile.ZipFile, name: str, expected_bytes: int) -> bytes:
    """Read one entry of a known size. torch never compresses; an entry that is could unfold without bound."""
    info = archive.NameToInfo.get(name)
    if info is None:
        raise WeightsError(f"the archive has no entry {name!r}: it is damaged; download it again")
    if info.compress_type != zipfile.ZIP_STORED or not info.file_size == info.compress_size == expected_bytes:
        raise WeightsError(
            f"entry {name!r} has {info.file_size:,} bytes, stored in {info.compress_size:,}; expected "
            f"{expected_bytes:,}, not compressed"
        )
    try:
        return archive.read(info)
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError, NotImplementedError, EOFError) as error:
        raise WeightsError(f"entry {name!r} cannot be read ({error}): the file is damaged") from error
