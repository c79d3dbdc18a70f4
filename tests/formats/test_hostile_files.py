"""Files that were made to do harm. Nothing in them may run, and none may cost much time or memory."""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from gan_space.errors import WeightsError
from gan_space.formats.checkpoints import read_checkpoint
from gan_space.formats.records import READERS, StorageRecord, TensorRecord
from gan_space.formats.safe_pickle import BoundedReader, read_pickle
from gan_space.formats.torch_files import materialize, read_checkpoint_file
from gan_space.models.generator import Generator
from tests.formats.foreign_writers import dump, nvidia_snapshot, rosinality_generator

ROOT = Path(__file__).resolve().parents[2]
MAX_SECONDS, MAX_GROWTH_MB = 20, 400


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def stacked(module: str, name: str) -> bytes:
    """STACK_GLOBAL with its two texts."""
    return b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name)) + b"\x93"


def storage_bytes() -> bytes:
    buffer = io.BytesIO()
    torch.save(torch.zeros(2).untyped_storage(), buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


def old_container(place: int, payload: bytes, keys: tuple[str, ...] = ()) -> bytes:
    """torch's older form, one of its five pickles replaced."""
    parts = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {}, list(keys)]
    pickles = [pickle.dumps(part, 2) for part in parts]
    pickles[place] = payload
    return b"".join(pickles)


def in_storage(data: bytes) -> bytes:
    """A plain pickle with a storage of these bytes."""
    return (
        b"\x80\x04"
        + stacked("torch.storage", "_load_from_bytes")
        + b"B"
        + struct.pack("<I", len(data))
        + data
        + b"\x85R."
    )


def payloads(marker: Path) -> dict[str, bytes]:
    """Files that try to make `marker`."""
    shell = f"touch {marker}"
    system = pickle.dumps(Call(os.system, shell), 4)
    opened = Call(open, str(marker), "w")
    named = system.replace(b"posix", b"os\x00\x00\x00")
    quoted = shell.encode()
    chain = (
        b"\x80\x04" + stacked("builtins", "getattr") + stacked("os", "path") + b"\x8c\x02os\x86R\x8c\x06system\x86R."
    )
    return {
        **{f"system, protocol {n}": pickle.dumps(Call(os.system, shell), n) for n in (0, 1, 2, 3, 4, 5)},
        "system in a snapshot": pickle.dumps({"G_ema": Call(os.system, shell)}, 3),
        "open": pickle.dumps(opened, 4),
        "eval": pickle.dumps(Call(eval, f"open({str(marker)!r}, 'w')"), 4),
        "exec": pickle.dumps(Call(exec, f"open({str(marker)!r}, 'w')"), 4),
        "subprocess": pickle.dumps(Call(subprocess.Popen, ["touch", str(marker)]), 4),
        "import": pickle.dumps(Call(__import__, "os"), 4),
        "getattr chain": chain,
        "dotted name": b"\x80\x04" + stacked("collections", "OrderedDict.fromkeys.__self__") + b")R.",
        "attribute of an allowed module": b"\x80\x04" + stacked("torch", "load") + b"\x8c\x01x\x85R.",
        "INST": b"(S'" + quoted + b"'\nios\nsystem\n.",
        "OBJ": b"(cos\nsystem\nS'" + quoted + b"'\no.",
        "extension registry": b"\x80\x02\x82\x01)R.",
        "NEWOBJ": b"\x80\x02cos\nsystem\nU" + bytes([len(quoted)]) + quoted + b"\x85\x81.",
        "BUILD of a name": b"\x80\x04" + stacked("collections", "OrderedDict") + b"}\x8c\x08__code__Nsb.",
        "call of a built dict": b"\x80\x04})R.",
        "call of a type": b"\x80\x04" + stacked("numpy", "ndarray") + b")R.",
        "persistent id": b"\x80\x04\x8c\x01xQ.",
        "persistent text id": b"Pabc\n.",
        "out of band buffer": b"\x80\x05\x97.",
        "pickle in a storage": in_storage(system),
        "storage with another first number": in_storage(pickle.dumps(17)),
        "container in a container": in_storage(in_storage(storage_bytes())),
        **{f"system at place {n} of a storage": in_storage(old_container(n, system)) for n in range(5)},
        **{f"system at place {n} of a file": old_container(n, system) for n in range(5)},
        "codec": b"\x80\x04" + stacked("_codecs", "encode") + b"\x8c\x01x\x8c\x03zip\x86R.",
        "odd bytes in a name": named,
        "nothing": b"",
        "text": b"This is no checkpoint at all.\n",
        "html": b"<!DOCTYPE html><html><body>404</body></html>",
    }


@pytest.mark.parametrize("name", sorted(payloads(Path("x"))))
def test_nothing_in_a_file_runs(tmp_path, name):
    marker = tmp_path / "marker"
    file = tmp_path / "bad.pkl"
    file.write_bytes(payloads(marker)[name])
    with pytest.raises(WeightsError, match=r"^bad\.pkl: "):
        read_checkpoint(file)
    assert not marker.exists()


def test_the_payloads_are_live(tmp_path):
    marker = tmp_path / "marker"
    pickle.loads(payloads(marker)["system, protocol 4"])
    assert marker.exists()


def test_a_refusal_names_what_was_asked_for(tmp_path):
    file = tmp_path / "bad.pkl"
    file.write_bytes(pickle.dumps(Call(os.system, "true"), 4))
    with pytest.raises(WeightsError, match=r"asks for 'posix\.system', which is refused"):
        read_checkpoint(file)
    file.write_bytes(b"\x80\x02cdnnlib.tflib.network\nNetwork\n)\x81.")
    with pytest.raises(WeightsError, match=r"TensorFlow.*legacy\.py"):
        read_checkpoint(file)


def repeated_call(argument: bytes, function: tuple[str, str], count: int, rest: bytes = b"\x85") -> bytes:
    """`count` calls of an allowed name with one large memoised argument (and the `rest`), all results kept."""
    start = b"\x80\x04" + argument + b"\x94" + stacked(*function) + b"\x94" + b"]("
    # The memo numbers the argument 0 and the name 1.
    return start + (b"h\x01h\x00" + rest + b"R") * count + b"e."


def bombs() -> dict[str, bytes]:
    """Small files that ask for much."""
    deep = 400_000
    huge = 2**62
    big_list = b"](" + b"K\x01" * 200_000 + b"e"
    big_text = b"X" + struct.pack("<I", 1_000_000) + b"a" * 1_000_000
    pairs = b"](" + (b"]" + b"(K\x01K\x02e") * 50_000 + b"e"
    storage = b"(\x8c\x07storage" + stacked("torch", "FloatStorage") + b"\x8c\x010\x8c\x03cpu\x8a\x08"
    numel = struct.pack("<Q", 2**61)
    return {
        "memo index": b"\x80\x02]r\xff\xff\xff\x7f.",
        "memo index as text": b"]p99999999999999999999\n.",
        "nested lists": b"\x80\x02" + b"]" * deep + b"a" * (deep - 1) + b".",
        "nested tuples as a key": b"\x80\x02})" + b"\x85" * deep + b"Ns.",
        "nested tuples in a set": b"\x80\x04\x8f()" + b"\x85" * deep + b"\x90.",
        "list in itself": b"\x80\x02]q\x00h\x00a.",
        "bytes": b"\x80\x04\x8e" + struct.pack("<Q", huge) + b"x.",
        "bytearray": b"\x80\x05\x96" + struct.pack("<Q", huge) + b"x.",
        "text": b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"x.",
        "negative length": b"\x80\x02T\xff\xff\xff\xffx.",
        "frame": b"\x80\x04\x95" + struct.pack("<Q", huge) + b"N.",
        "long number": b"\x80\x02\x8b" + struct.pack("<i", 3_000_000) + b"\x7f" * 3_000_000 + b".",
        "number as text": b"I" + b"9" * 60_000 + b"\n.",
        "endless line": b"c" + b"a" * 5_000_000,
        "many instructions": b"\x80\x02" + b"N0" * 5_000_000 + b"N.",
        "many values": b"\x80\x02(" + b"}" * 5_000_000 + b"l.",
        "many dicts of one list": repeated_call(pairs, ("collections", "OrderedDict"), 100_000),
        "many sets of one list": repeated_call(big_list, ("builtins", "set"), 100_000),
        "many sizes of one list": repeated_call(big_list, ("torch", "Size"), 100_000),
        "many states": b"\x80\x04"
        + stacked("argparse", "Namespace")
        + b")\x81\x94}("
        + b"".join(b"\x8c\x05" + f"{n:05}".encode() + b"N" for n in range(50_000))
        + b"u\x940"
        + b"h\x00h\x01b0" * 100_000
        + b"N.",
        "storage size": old_container(3, b"\x80\x04" + storage + struct.pack("<Q", 2**61) + b"tQ.", ("0",)) + numel,
        "negative storage size": old_container(3, b"\x80\x04" + storage + struct.pack("<q", -4) + b"tQ.", ("0",)),
        "array shape": b"\x80\x04"
        + stacked("numpy.core.numeric", "_frombuffer")
        + b"(C\x04aaaa"
        + stacked("numpy", "dtype")
        + b"\x8c\x02f4\x85R(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ft\x8c\x01CtR.",
        "array type": b"\x80\x04" + stacked("numpy", "dtype") + b"\x8c\x0bV2147483647\x85R.",
        "many texts": repeated_call(big_text, ("_codecs", "encode"), 1000, b"\x8c\x06latin1\x86"),
    }


@pytest.mark.slow
def test_no_bomb_costs_time_or_memory(tmp_path):
    """In a process of its own, whose peak memory can be measured, and which may be killed."""
    for number, (name, data) in enumerate(bombs().items()):
        (tmp_path / f"{number:02} {name}.pkl").write_bytes(data)
    code = """
import json, os, sys, time
from pathlib import Path
from benchmarks.server import memory_mb
from gan_space.errors import WeightsError
from gan_space.formats.checkpoints import read_checkpoint
peak = lambda: memory_mb(os.getpid(), "VmHWM")  # ru_maxrss would start from what pytest held at most
for file in sorted(Path(sys.argv[1]).iterdir()):
    before, start = peak(), time.process_time()
    try:
        read_checkpoint(file)
        error = "none"
    except WeightsError as caught:
        error = str(caught)
    print(json.dumps([file.stem, error, time.process_time() - start, peak() - before]), flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, cwd=ROOT, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(bombs())
    for name, error, seconds, growth_mb in rows:
        assert f"{name}.pkl: " in error, (name, error)
        assert seconds < MAX_SECONDS and growth_mb < MAX_GROWTH_MB, (name, seconds, growth_mb)


def record(shape, stride=None, offset=0, numel=4, data=bytes(16)) -> TensorRecord:
    stride = stride or tuple(1 for _ in shape)
    return TensorRecord(StorageRecord("float32", numel, lambda: data), offset, tuple(shape), tuple(stride))


@pytest.mark.parametrize(
    "bad",
    [
        record([2**40]),
        record([10**6, 10**6], [0, 0]),
        record([2, 2], [0, 1], numel=2, data=bytes(8)),
        record([4], [2]),
        record([4], offset=1),
        record([4], offset=-1),
        record([4], [-1]),
        record([-4]),
        record([2, 2], [1]),
        record([1] * 9),
        record([4], data=bytes(12)),
        record([4], numel=2**40),
    ],
)
def test_a_tensor_must_fit_its_storage(bad):
    with pytest.raises(WeightsError, match="storage"):
        materialize({"x": bad}, 1000)


def test_views_of_one_storage_do_not_multiply():
    views = {f"x{n}": record([4]) for n in range(10)}
    assert len(materialize(views, 160)) == 10
    with pytest.raises(WeightsError, match="claim 160 bytes"):
        materialize(views, 159)


def test_a_sound_view_is_read_right():
    data = torch.arange(6.0)
    storage = StorageRecord("float32", 6, lambda: data.numpy().tobytes())
    got = materialize({"x": TensorRecord(storage, 1, (2, 2), (1, 2))}, 100)["x"]
    assert torch.equal(got, data.as_strided([2, 2], [1, 2], 1))


@pytest.fixture(scope="module")
def sound_files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sound")
    torch.manual_seed(0)
    generator = Generator(16, z_dim=4, w_dim=4, channel_base=32, channel_max=2, num_mapping_layers=1)
    files = {"pkl": dump(nvidia_snapshot(generator), folder / "a.pkl")}
    for name, as_zip in (("zip", True), ("old", False)):
        files[name] = folder / f"{name}.pt"
        content = {"g_ema": rosinality_generator(generator), "latent_avg": torch.zeros(4)}
        torch.save(content, files[name], _use_new_zipfile_serialization=as_zip)
    return files


@pytest.mark.parametrize("kind", ["pkl", "zip", "old"])
def test_a_file_that_is_cut_short_is_refused_wherever_the_cut_is(tmp_path, sound_files, kind):
    data = sound_files[kind].read_bytes()
    file = tmp_path / "cut"
    for part in range(25):
        file.write_bytes(data[: len(data) * part // 25])
        with pytest.raises(WeightsError):
            read_checkpoint(file)
    file.write_bytes(data[:-1])
    with pytest.raises(WeightsError):
        read_checkpoint(file)
    file.write_bytes(data)
    assert read_checkpoint(file).generator.config.resolution == 16


@pytest.mark.parametrize("kind", ["pkl", "zip", "old"])
def test_changed_bytes_give_a_network_or_a_named_error(tmp_path, sound_files, kind):
    data = sound_files[kind].read_bytes()
    dice = random.Random(7)
    file = tmp_path / "changed"
    refused = 0
    for _ in range(60):
        changed = bytearray(data)
        for _ in range(dice.choice([1, 3, 30])):
            changed[dice.randrange(len(data))] = dice.randrange(256)
        file.write_bytes(changed)
        try:
            read_checkpoint(file)
        except WeightsError:
            refused += 1
    assert refused > 10


def rewrite_zip(source: Path, target: Path, change) -> Path:
    """Copy an archive; `change(name, data)` gives a list of (ZipInfo or name, data, compression)."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            for name, data, compression in change(info.filename, old.read(info)):
                new.writestr(name, data, compression)
    return target


STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED


def test_tricks_with_archives_are_refused(tmp_path, sound_files):
    evil = pickle.dumps(Call(os.system, f"touch {tmp_path}/marker"), 2)
    script = [("zip/constants.pkl", evil, STORED)]
    tricks = {
        "compressed": lambda name, data: [(name, data, DEFLATED)],
        "bomb": lambda name, data: [(name, bytes(20_000_000) if name.endswith("/data/0") else data, DEFLATED)],
        "other size": lambda name, data: [(name, data + b"xxxx" if "/data/" in name else data, STORED)],
        "evil pickle": lambda name, data: [(name, evil if name.endswith("data.pkl") else data, STORED)],
        "two pickles": lambda name, data: [(name, data, STORED), (f"b/{name.rpartition('/')[2]}", data, STORED)],
        "script": lambda name, data: [(name, data, STORED)] + script * name.endswith("data.pkl"),
        "other bytes": lambda name, data: [(name, b"big" if name.endswith("byteorder") else data, STORED)],
        "no pickle": lambda name, data: [] if name.endswith("data.pkl") else [(name, data, STORED)],
        "no storage": lambda name, data: [] if name.endswith("/data/3") else [(name, data, STORED)],
        "climbing names": lambda name, data: [(f"../../{name}", data, STORED)],
    }
    for trick, change in tricks.items():
        with pytest.raises(WeightsError):
            read_checkpoint(rewrite_zip(sound_files["zip"], tmp_path / f"{trick}.pt", change))
    plain = rewrite_zip(sound_files["zip"], tmp_path / "plain.pt", lambda name, data: [(name, data, STORED)])
    assert read_checkpoint(plain).generator.config.resolution == 16
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*(f"{name}.pt" for name in tricks), "plain.pt"])


def test_a_storage_key_cannot_be_a_path(tmp_path, sound_files):
    (tmp_path / "secret").write_bytes(bytes(16))

    def change(name, data):
        return [(name, data.replace(b"X\x01\x00\x00\x000", b"X\x09\x00\x00\x00../secret"), STORED)]

    file = rewrite_zip(sound_files["zip"], tmp_path / "a.pt", change)
    assert b"../secret" in file.read_bytes()
    with pytest.raises(WeightsError, match="no storage of a known type"):
        read_checkpoint(file)


def test_an_archive_cannot_hold_plain_storages(tmp_path, sound_files):
    payload = in_storage(storage_bytes())
    change = lambda name, data: [(name, payload if name.endswith("data.pkl") else data, STORED)]  # noqa: E731
    with pytest.raises(WeightsError, match=r"asks for 'torch\.storage\._load_from_bytes'"):
        read_checkpoint(rewrite_zip(sound_files["zip"], tmp_path / "a.pt", change))


def test_a_folder_and_a_huge_file_are_refused(tmp_path):
    with pytest.raises(WeightsError, match="cannot read"):
        read_checkpoint(tmp_path)
    sparse = tmp_path / "huge.pt"
    with sparse.open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(WeightsError, match="checkpoints of up to"):
        read_checkpoint_file(sparse)


def test_plain_values_come_back_as_they_were():
    value = {
        "a": [1, -2, 2.5, None, True],
        "b": (b"x", "ü", {"c": set()}),
        "d": 2**100,
        "e": (1, 2, 3, 4),
        "f": {1, "x"},
    }
    for protocol in range(2, 6):
        data = pickle.dumps(value, protocol)
        assert read_pickle(BoundedReader(data), READERS) == value
