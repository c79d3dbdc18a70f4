"""What a foreign pickle becomes: plain values, records, and the names that it may use.

Each name in `READERS` stands for a function of this module, whatever the name means elsewhere. A function is handed
values that a hostile file may have chosen: it checks their types and makes nothing larger than what it was given.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

_MAX_KEY_INT = 2**31  # larger ones never occur, and can be chosen so that their hashes collide
_DTYPE = re.compile(r"[<>|=]?([fiu][1248]|b1)")

# What a name does: arguments -> value. Filled in below and by `torch_files`.
Readers = dict[str, Callable[..., Any] | None]


@dataclass(eq=False)
class PickledObject:
    """An object of a foreign class: its name and what was stored in it, but none of its behaviour."""

    class_name: str
    state: dict[str, Any]
    module_src: str = ""  # source text that NVIDIA's files carry; only ever searched, never compiled


@dataclass(eq=False)
class StorageRecord:
    """A run of `numel` numbers; `read` returns their bytes."""

    dtype: str  # torch's name, such as "float32"
    numel: int
    read: Callable[[], bytes | memoryview] | None = None


@dataclass(eq=False)
class TensorRecord:
    """A tensor as the file describes it, not yet compared with its storage."""

    storage: StorageRecord
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class Name:
    """A name that the file asked for and that is known here; a word, not the thing it names."""

    path: str


@dataclass(eq=False)
class DtypeRecord:
    """A kind of number."""

    code: str  # numpy's, such as "<f8"


@dataclass(eq=False)
class ArrayRecord:
    """A numpy array that the pickle fills in a second step."""

    value: np.ndarray | None = None


def checked_key(key: Any) -> Any:
    """Return a key that is safe to hash: a nested tuple could exhaust the C stack, chosen numbers could collide."""
    if type(key) is str or key is None or type(key) is bool or (type(key) is int and abs(key) < _MAX_KEY_INT):
        return key
    raise ValueError(f"a {type(key).__name__} as a key")


def make_dict(pairs: list | tuple = ()) -> dict:
    """Stand for dict; keys are of plain types."""
    return {checked_key(key): value for key, value in pairs}


def make_set(values: list | tuple = ()) -> set:
    """Stand for set, and for frozenset."""
    return {checked_key(value) for value in values}


def _encode(text: str, encoding: str) -> bytes:
    """How protocols below 3 write bytes."""
    if encoding not in ("latin1", "latin-1"):
        raise ValueError(f"encoding {str(encoding)[:20]!r}")
    return text.encode("latin-1")


def _dtype(code: str, *_: Any) -> DtypeRecord:
    if not isinstance(code, str) or not _DTYPE.fullmatch(code):
        raise ValueError(f"array type {str(code)[:20]!r}")
    return DtypeRecord(code)


def make_array(data: bytes, dtype: DtypeRecord, shape: tuple, order: str = "C") -> np.ndarray:
    """Stand for numpy's array from its bytes."""
    if order not in ("C", "F") or not isinstance(data, bytes | bytearray):
        raise ValueError("an array without bytes")
    return np.frombuffer(data, np.dtype(dtype.code)).reshape(tuple(int(size) for size in shape), order=order)


def _scalar(dtype: DtypeRecord, data: bytes) -> int | float | bool:
    return make_array(data, dtype, ()).item()


def _persistent_object(meta: dict) -> PickledObject:
    """NVIDIA's persistence writes a class as its source text and a dict; only the dict is taken."""
    state = meta["state"]
    if meta["type"] != "class" or type(meta["class_name"]) is not str or type(state) is not dict:
        raise ValueError("a persistent object without class_name and state")
    source = meta.get("module_src")
    return PickledObject(meta["class_name"], state, source if isinstance(source, str) else "")


def tensor_record(storage: StorageRecord, offset: int, shape: tuple, stride: tuple, *_: Any) -> TensorRecord:
    """Stand for torch._utils._rebuild_tensor_v2; gradients and hooks are left out."""
    numbers = (offset, *shape, *stride)
    if not isinstance(storage, StorageRecord) or not all(type(number) is int for number in numbers):
        raise ValueError("a tensor without a storage")
    return TensorRecord(storage, offset, tuple(shape), tuple(stride))


def _parameter(data: TensorRecord, *_: Any) -> TensorRecord:
    if not isinstance(data, TensorRecord):
        raise ValueError("a parameter without a tensor")
    return data


def _namespace() -> PickledObject:
    return PickledObject("argparse.Namespace", {})


_NUMPY_CORES = ("numpy.core", "numpy._core")  # before and since numpy 2
READERS: Readers = {
    "collections.OrderedDict": make_dict,
    "dnnlib.util.EasyDict": make_dict,
    "dnnlib.EasyDict": make_dict,
    "builtins.set": make_set,
    "__builtin__.set": make_set,
    "_codecs.encode": _encode,
    "argparse.Namespace": _namespace,  # the settings of a training run
    "torch._utils._rebuild_tensor": tensor_record,
    "torch._utils._rebuild_tensor_v2": tensor_record,
    "torch._utils._rebuild_parameter": _parameter,
    "torch.Size": lambda sizes=(): tuple(sizes),
    "torch_utils.persistence._reconstruct_persistent_obj": _persistent_object,
    "numpy.ndarray": None,
    "numpy.dtype": _dtype,
    **{f"{core}.multiarray._reconstruct": lambda *_: ArrayRecord() for core in _NUMPY_CORES},
    **{f"{core}.multiarray.scalar": _scalar for core in _NUMPY_CORES},
    **{f"{core}.numeric._frombuffer": make_array for core in _NUMPY_CORES},
}
