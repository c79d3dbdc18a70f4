"""One folder, one run: a second start is refused in words and changes nothing; the system frees what a kill leaves."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from gan_space.errors import ConfigError
from training.common.claim import claim_run

HOLDER = """
import os, sys, time
from dataclasses import make_dataclass
from pathlib import Path
from training.common.claim import claim_run
claim_run(Path(sys.argv[1]), make_dataclass("Config", [("lr", float)])(0.1), ())
if "worker" in sys.argv and os.fork() == 0:  # as the processes that decode pictures
    sys.stdout = open(os.devnull, "w")
    os.close(1)
    time.sleep(600)
print(os.getpid(), flush=True)
time.sleep(600)
"""


@dataclass(frozen=True)
class Config:
    lr: float = 0.1
    total_kimg: float = 1.0


@dataclass(frozen=True)
class NewerConfig(Config):
    DONE_BEFORE: ClassVar[dict[str, str]] = {"optimizer": "adam"}
    optimizer: str = "muon"


def hold(folder: Path, *words: str) -> subprocess.Popen:
    """Start a process that works in `folder`, and return once it has it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), *words], stdout=subprocess.PIPE, text=True, process_group=0
    )
    assert process.stdout.readline().strip() == str(process.pid)
    return process


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.parametrize("words", [(), ("worker",)], ids=["alone", "with a worker that lives on"])
def test_a_second_run_is_refused_until_the_first_is_gone(tmp_path, words):
    holder = hold(tmp_path, *words)
    try:
        (tmp_path / "metrics.jsonl").write_text('{"nimg": 1}\n')
        before = contents(tmp_path)
        with pytest.raises(ConfigError, match=rf"another run is working in .*\(process {holder.pid} on this machine\)"):
            claim_run(tmp_path, Config(), ())
        assert contents(tmp_path) == before
        holder.kill()
        holder.wait()
        claim_run(tmp_path, Config(), ())
        assert (tmp_path / ".lock").read_text().startswith(f"process {os.getpid()} on ")
        assert (tmp_path / "metrics.jsonl").read_text() == '{"nimg": 1}\n'
    finally:
        os.killpg(holder.pid, signal.SIGKILL) if words else holder.kill()
        holder.wait()


def test_a_process_may_come_back_to_its_own_folder(tmp_path):
    for kimg in (1.0, 2.0):
        claim_run(tmp_path / "run", Config(total_kimg=kimg), ("total_kimg",))
    assert json.loads((tmp_path / "run" / "config.json").read_text()) == {"lr": 0.1, "total_kimg": 2.0}
    assert sorted(contents(tmp_path / "run")) == [".lock", "config.json"]


def test_other_settings_are_all_named(tmp_path):
    claim_run(tmp_path, Config(), ())
    before = contents(tmp_path)
    with pytest.raises(ConfigError, match=r"--lr: 0\.1 -> 0\.5\n  --total_kimg: 1\.0 -> 3\.0"):
        claim_run(tmp_path, dataclasses.replace(Config(), lr=0.5, total_kimg=3.0), ())
    assert contents(tmp_path) == before


def test_a_run_from_before_a_setting_goes_on_only_as_it_began(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"lr": 0.1, "total_kimg": 1.0}))
    with pytest.raises(ConfigError, match=r"--optimizer: .*adam.* -> .*muon"):
        claim_run(tmp_path, NewerConfig(), ())
    claim_run(tmp_path, NewerConfig(optimizer="adam"), ())


@pytest.mark.parametrize("text", ["{", "[1]", "null", "[" * 100_000], ids=["cut short", "list", "null", "deep"])
def test_settings_that_cannot_be_read_are_not_overwritten(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError, match=r"config\.json cannot be read as the settings of a run"):
        claim_run(tmp_path, Config(), ())
    assert (tmp_path / "config.json").read_text() == text


def test_a_folder_that_cannot_be_written_to_is_told_in_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot write into .*run: Not a directory; choose another") as refused:
        claim_run(tmp_path / "file" / "run", Config(), ())
    assert "\n" not in str(refused.value)
