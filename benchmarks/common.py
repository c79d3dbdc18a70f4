"""What every benchmark shares: a description of the machine, fair timing, and tables.

Fair timing means that the contenders take turns (A B A B …), so that a machine which slows down slows all of them down,
and that the CPU time of one thread is compared, which other programs on the machine disturb less than wall time.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from gan_space.errors import ConfigError

REPOSITORY = Path(__file__).resolve().parent.parent
# glibc returns large blocks to the system and fetches them again, page fault by page fault; these settings keep them.
MALLOC_KEEP = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "-1", "MALLOC_TOP_PAD_": str(64 << 20)}


@dataclass
class Timing:
    """Seconds of every run of one contender: CPU time of the calling thread, and wall time."""

    cpu_sec: list[float] = field(default_factory=list)
    wall_sec: list[float] = field(default_factory=list)

    def median(self, clock: str) -> float:
        """Return the median in seconds; `clock` is "cpu" or "wall"."""
        return statistics.median(self.cpu_sec if clock == "cpu" else self.wall_sec)


def interleave(
    contenders: Mapping[str, Callable[[], object]],
    repeats: int,
    warmup: int = 1,
    device: torch.device | str = "cpu",
) -> dict[str, Timing]:
    """Time all contenders in turns.

    Args:
        contenders: name -> function without arguments; what it returns is dropped.
        repeats: timed rounds, each running every contender once.
        warmup: rounds before that, not timed.
        device: on "cuda" every run is waited for; compare wall time there.

    Raises:
        ConfigError: fewer than one repeat, or no contender.
    """
    if repeats < 1 or not contenders:
        raise ConfigError(f"expected a contender and 1 repeat or more, got {len(contenders)} and {repeats}")
    wait = torch.cuda.synchronize if torch.device(device).type == "cuda" else lambda: None
    timings = {name: Timing() for name in contenders}
    for round_index in range(warmup + repeats):
        for name, run in contenders.items():
            wait()
            cpu, wall = time.thread_time(), time.perf_counter()
            run()
            wait()
            cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
            if round_index >= warmup:
                timings[name].cpu_sec.append(cpu)
                timings[name].wall_sec.append(wall)
    return timings


def ratio(timings: Mapping[str, Timing], slow: str, fast: str, clock: str) -> float:
    """Tell how many times faster `fast` is than `slow`: median over rounds of slow / fast, each from one round."""
    pick = (lambda timing: timing.cpu_sec) if clock == "cpu" else (lambda timing: timing.wall_sec)
    return statistics.median(a / b for a, b in zip(pick(timings[slow]), pick(timings[fast]), strict=True))


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value that this percentage of all stays below."""
    return float(np.percentile(values, percent))


def format_table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Lay out a Markdown table; floats get three significant digits, large ones all before the point."""
    text = [[_format_cell(cell) for cell in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(headers), *text]) for i in range(len(headers))]
    lines = [list(headers), ["-" * width for width in widths], *text]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def _format_cell(cell: object) -> str:
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:.0f}" if 1000 <= abs(cell) < 1e9 else f"{cell:.3g}"


def _cpu_info() -> tuple[str, list[str]]:
    """Model name and those CPU flags that decide how fast convolutions are."""
    model, flags = platform.processor() or platform.machine(), []
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                model = value.strip()
            elif key.strip() == "flags":
                flags = value.split()
    return model, [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]


def _git(*args: str) -> str:
    done = subprocess.run(["git", "-C", str(REPOSITORY), *args], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def commit() -> str:
    """Return the checkout's short hash, with "+ changes" when files differ from it; "unknown" outside a repository."""
    head = _git("rev-parse", "--short", "--verify", "HEAD")
    return (head or "unknown") + (" + changes" if _git("status", "--porcelain") else "")


def malloc_settings() -> str:
    """Return the settings of the memory allocator that this process runs under."""
    found = [f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith("MALLOC_")]
    found += [f"GLIBC_TUNABLES={os.environ['GLIBC_TUNABLES']}"] if os.environ.get("GLIBC_TUNABLES") else []
    libraries = os.environ.get("LD_PRELOAD", "").replace(":", " ").split()
    found += [f"LD_PRELOAD={Path(library).name}" for library in libraries]
    return " ".join(found) or "default"


def describe_machine(device: torch.device | str = "cpu") -> str:
    """Return all that a number needs beside it: processor, threads, versions, allocator, load and commit."""
    model, flags = _cpu_info()
    lines = [f"CPU      {model}, {os.cpu_count()} logical cores, {' '.join(flags) or 'no vector flags known'}"]
    if torch.device(device).type == "cuda":
        lines.append(f"GPU      {torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}")
    lines += [
        f"software torch {torch.__version__}, Python {platform.python_version()}, {platform.system()}",
        f"threads  {torch.get_num_threads()} (load of the machine at the start: {os.getloadavg()[0]:.1f})",
        f"malloc   {malloc_settings()}",
        f"commit   {commit()}",
    ]
    return "\n".join(lines)


def benchmark_parser(description: str | None) -> argparse.ArgumentParser:
    """Make a parser with the flags that all benchmarks have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument(
        "--peer", type=Path, default=None, help="checkout of NVlabs/stylegan2-ada-pytorch to compare with"
    )
    parser.add_argument("--repeats", type=int, default=7, help="timed rounds; the median counts")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch; CPU time is exact with 1 only")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument(
        "--malloc",
        choices=("default", "keep"),
        default="default",
        help="default: as the process was started; keep: glibc keeps freed pages, for all contenders alike",
    )
    return parser


def start(args: argparse.Namespace, module: str) -> None:
    """Apply --malloc (by starting `module` again under these settings) and --threads, then print the machine."""
    if args.malloc == "keep" and any(os.environ.get(name) != value for name, value in MALLOC_KEEP.items()):
        # glibc reads its settings when a process starts, so they cannot be changed from within.
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, "-m", module, *sys.argv[1:]], {**os.environ, **MALLOC_KEEP})
    torch.set_num_threads(args.threads)
    print(describe_machine(args.device), end="\n\n", flush=True)
