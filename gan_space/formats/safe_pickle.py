"""Reads pickles of foreign checkpoints without running anything that they name.

A pickle is a program for a small stack machine, and the usual reader lets it call any function it can import. This
one is a machine of its own: it knows the instructions that checkpoints need, and the few names in `records.READERS`,
each of which stands for a function written there. It builds numbers, text, lists, dicts and records, imports nothing,
calls nothing else, and refuses every other name or instruction by its name.

Time and memory are bounded by the size of the file: every instruction costs at least a byte and MAX_OPCODES ends the
reading, lengths are compared with what is left in the file before anything is allocated, and tensors stay
descriptions (`TensorRecord`) until `gan_space.formats.torch_files` has compared them with the bytes they claim.
"""

from __future__ import annotations

import io
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from gan_space.errors import WeightsError
from gan_space.formats.records import (
    ArrayRecord,
    DtypeRecord,
    Name,
    PickledObject,
    Readers,
    checked_key,
    make_array,
    make_dict,
    make_set,
)

MAX_OPCODES = 1_000_000  # a published 1024 px snapshot with G, D and G_ema has about 71,000
MAX_LINE_BYTES = 65536
_MARK = object()


class BoundedReader:
    """File whose end is known: asking for more raises WeightsError before memory is taken."""

    def __init__(self, source: BinaryIO | bytes | memoryview, size: int | None = None):
        self._view = None
        if isinstance(source, bytes | memoryview):
            self._view = memoryview(source)
            size = len(self._view)
            source = io.BytesIO(source)
        self._file = source
        self._left = size
        self._position = 0

    def tell(self) -> int:
        """Return the place in the file."""
        return self._position

    def read(self, count: int) -> bytes:
        """Return exactly `count` bytes."""
        self._take(count)
        data = self._file.read(count)
        if len(data) != count:
            raise WeightsError("the file became shorter while it was read; try again")
        return data

    def read_view(self, count: int) -> bytes | memoryview:
        """Do as `read`, without a copy where the source is in memory already."""
        if self._view is None:
            return self.read(count)
        start = self._position
        self._take(count)
        self._file.seek(self._position)
        return self._view[start : start + count]

    def readline(self) -> bytes:
        """Read up to the end of a line; WeightsError where there is none."""
        line = self._file.readline(min(self._left, MAX_LINE_BYTES))
        if not line.endswith(b"\n"):
            raise WeightsError(f"a line at byte {self._position} does not end: the file is cut short or damaged")
        self._take(len(line))
        return line

    def _take(self, count: int) -> None:
        if not 0 <= count <= self._left:
            raise WeightsError(
                f"byte {self._position} announces {count:,} bytes, but {self._left:,} are left: the file is cut short "
                "or damaged; download it again"
            )
        self._left -= count
        self._position += count


@dataclass
class Budget:
    """What is left to be done for one file, shared by the pickles inside it."""

    opcodes: int = MAX_OPCODES

    def spend(self, steps: int) -> None:
        """Count instructions; WeightsError above what a checkpoint needs."""
        self.opcodes -= steps
        if self.opcodes < 0:
            raise WeightsError(f"more than {MAX_OPCODES:,} pickle instructions: no checkpoint needs that many")


# Names that are refused like all others, but tell something that helps.
_HINTS = {
    "dnnlib.tflib.network.Network": (
        "this is a TensorFlow StyleGAN2 network; convert it to PyTorch with legacy.py of NVlabs/stylegan2-ada-pytorch "
        "first, in an environment that you can throw away"
    ),
}


def read_pickle(
    reader: BoundedReader,
    readers: Readers,
    *,
    persistent_load: Callable[[Any], Any] | None = None,
    budget: Budget | None = None,
) -> Any:
    """Read one pickle and stop behind it.

    Args:
        reader: stands at its first byte.
        readers: names that may occur; a None makes the name a word that other readers understand.
        persistent_load: understands persistent ids, as torch uses them for storages.
        budget: shared with other pickles of the same file.

    Raises:
        WeightsError: damaged, cut short, too long, or with a name or an instruction that is not known here.
    """
    budget = budget or Budget()
    machine = _Machine(readers, persistent_load, budget)
    try:
        for opcode, argument, position in pickletools.genops(reader):
            budget.spend(1)
            if opcode.name == "STOP":
                return machine.result()
            step = _STEPS.get(opcode.name)
            if step is None:
                raise WeightsError(
                    f"pickle instruction {opcode.name} at byte {position} is refused: checkpoints have no need of it"
                )
            step(machine, argument)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        if isinstance(error, WeightsError):
            raise
        raise WeightsError(f"no sound pickle near byte {reader.tell()} ({type(error).__name__}: {error})") from error
    raise WeightsError("the pickle has no end: the file is cut short; download it again")


class _Machine:
    """Stack, marks and memo of one pickle. A memo is a dict, so that a huge index takes no memory."""

    def __init__(self, readers: Readers, persistent_load: Callable[[Any], Any] | None, budget: Budget):
        self.budget = budget
        self.readers = readers
        self.persistent_load = persistent_load
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def result(self) -> Any:
        if len(self.stack) != 1 or self.stack[0] is _MARK:
            raise ValueError(f"{len(self.stack)} values at the end instead of one")
        return self.stack[0]

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("a mark instead of a value")
        return value

    def pop_to_mark(self) -> list[Any]:
        """Remove and return everything above the last mark, and the mark."""
        values = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def find(self, path: str) -> Name:
        if path not in self.readers:
            shown = "".join(char if char.isprintable() else "?" for char in path[:120])
            hint = _HINTS.get(path, "it is not needed to read weights, and what it names could do harm")
            raise WeightsError(f"the file asks for {shown!r}, which is refused: {hint}")
        return Name(path)

    def call(self, target: Any, arguments: Any) -> Any:
        if not isinstance(target, Name) or not isinstance(arguments, tuple):
            raise WeightsError(f"the file calls something that is no known name: {type(target).__name__}; refused")
        function = self.readers[target.path]
        if function is None:
            raise WeightsError(f"the file calls {target.path!r}, which only names a type here; refused")
        self.budget.spend(len(arguments) + sum(_size(argument) for argument in arguments))
        return function(*arguments)

    def put_items(self, target: Any, items: list[Any]) -> None:
        if type(target) is not dict or len(items) % 2:
            raise ValueError(f"items for a {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[checked_key(key)] = value

    def build(self, target: Any, state: Any) -> None:
        """Take the state that follows an object."""
        self.budget.spend(_size(state))
        if isinstance(target, PickledObject):
            if type(state) is not dict:
                raise ValueError("the state of an object is no dict")
            target.state.update(state)
        elif isinstance(target, DtypeRecord):
            order = state[1]  # (version, byte order, …)
            target.code = ("" if order not in ("<", ">") else order) + target.code[-2:]
        elif isinstance(target, ArrayRecord):
            _, shape, dtype, fortran, data = state
            target.value = make_array(data, dtype, shape, "F" if fortran else "C")
        elif type(target) is not dict:  # a dict's state is torch's note on versions, of no use here
            raise ValueError(f"state for a {type(target).__name__}")


def _size(value: Any) -> int:
    """What a call with this argument costs at most: one large value may be handed to very many calls."""
    if isinstance(value, str):
        return len(value) // 16
    return len(value) if isinstance(value, list | tuple | dict | set) else 0


def _push(machine: _Machine, value: Any) -> None:
    machine.stack.append(value)


def _push_int(machine: _Machine, value: int) -> None:
    if value.bit_length() > 128:
        raise ValueError("a number of more than 128 bits")
    machine.stack.append(value)


def _take_one(make: Callable[..., Any]) -> Callable[[_Machine, Any], None]:
    """Step that replaces the values above the last mark by what `make` makes of them."""
    return lambda machine, _: machine.stack.append(make(machine.pop_to_mark()))


def _tuple_of(count: int) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.stack.append(tuple([machine.pop() for _ in range(count)][::-1]))


def _append(machine: _Machine, values: list[Any]) -> None:
    if type(machine.stack[-1]) is not list:
        raise ValueError(f"an append to a {type(machine.stack[-1]).__name__}")
    machine.stack[-1].extend(values)


def _add_to_set(machine: _Machine, _: Any) -> None:
    values = machine.pop_to_mark()
    if type(machine.stack[-1]) is not set:
        raise ValueError(f"an addition to a {type(machine.stack[-1]).__name__}")
    machine.stack[-1].update(make_set(values))


def _set_item(machine: _Machine, _: Any) -> None:
    value, key = machine.pop(), machine.pop()
    machine.put_items(machine.stack[-1], [key, value])


def _set_items(machine: _Machine, _: Any) -> None:
    items = machine.pop_to_mark()
    machine.put_items(machine.stack[-1], items)


def _from_items(items: list[Any]) -> dict:
    if len(items) % 2:
        raise ValueError("a key without a value")
    return make_dict(list(zip(items[::2], items[1::2], strict=True)))


def _memoize(machine: _Machine, index: int | None) -> None:
    machine.memo[len(machine.memo) if index is None else index] = machine.stack[-1]


def _stack_global(machine: _Machine, _: Any) -> None:
    name, module = machine.pop(), machine.pop()
    if type(name) is not str or type(module) is not str:
        raise ValueError("a name that is no text")
    machine.stack.append(machine.find(f"{module}.{name}"))


def _reduce(machine: _Machine, _: Any) -> None:
    arguments, target = machine.pop(), machine.pop()
    machine.stack.append(machine.call(target, arguments))


def _build(machine: _Machine, _: Any) -> None:
    state = machine.pop()
    machine.build(machine.stack[-1], state)


def _persistent_id(machine: _Machine, _: Any) -> None:
    if machine.persistent_load is None:
        raise WeightsError("the file refers to an object outside itself; refused")
    machine.stack.append(machine.persistent_load(machine.pop()))


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("PROTO", "FRAME"), lambda machine, _: None),
    "MARK": lambda machine, _: machine.stack.append(_MARK),
    "POP": lambda machine, _: machine.stack.pop(),
    "POP_MARK": lambda machine, _: machine.pop_to_mark(),
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "NONE": lambda machine, _: machine.stack.append(None),
    "NEWTRUE": lambda machine, _: machine.stack.append(True),
    "NEWFALSE": lambda machine, _: machine.stack.append(False),
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"), _push_int),
    **dict.fromkeys(("FLOAT", "BINFLOAT"), _push),
    **dict.fromkeys(("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"), _push),
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING"), _push),
    **dict.fromkeys(("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"), _push),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_TUPLE": lambda machine, _: machine.stack.append(()),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "EMPTY_SET": lambda machine, _: machine.stack.append(set()),
    "LIST": _take_one(list),
    "TUPLE": _take_one(tuple),
    "DICT": _take_one(_from_items),
    "FROZENSET": _take_one(make_set),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "APPEND": lambda machine, _: _append(machine, [machine.pop()]),
    "APPENDS": lambda machine, _: _append(machine, machine.pop_to_mark()),
    "ADDITEMS": _add_to_set,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _memoize),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda machine, index: machine.stack.append(machine.memo[index])),
    "GLOBAL": lambda machine, name: machine.stack.append(machine.find(name.replace(" ", "."))),
    "STACK_GLOBAL": _stack_global,
    **dict.fromkeys(("REDUCE", "NEWOBJ"), _reduce),
    "BUILD": _build,
    "BINPERSID": _persistent_id,
}
