"""Start of the web app: a fresh process each time, until the first page is served; time and memory.

    python -m benchmarks.app --repeats 5

Each run starts `python app.py` on a free port of this machine and asks for `/` until it answers with HTTP 200. Beside
the clock's time stands the CPU time (user and system) that the process had used by then, which other programs on the
machine stretch far less. Memory is read when the page was served, and at its largest after a waiting time, in which
the app may still load what it did not need before. Goal on two cores: first page in 8 s, 1 GB.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO

from benchmarks.common import REPOSITORY, benchmark_parser, format_table, start
from benchmarks.server import cpu_seconds, free_port, memory_mb
from gan_space.errors import GanSpaceError, InputError

GOAL_SEC, GOAL_MB = 8.0, 1000.0
ASK_EVERY_SEC = 0.02
GIVE_UP_SEC, END_SEC = 180.0, 60.0


@dataclass(frozen=True)
class Start:
    """One start of the app.

    Args:
        page_sec: from the start of the process to the whole first page.
        cpu_sec: CPU time of the process until then, user and system.
        page_bytes: size of that page.
        rss_mb: memory at that moment.
        cpu_at_end_sec, peak_mb: CPU time and largest memory after the waiting time.
    """

    page_sec: float
    cpu_sec: float
    page_bytes: int
    rss_mb: float
    cpu_at_end_sec: float
    peak_mb: float


def start_once(wait_sec: float, command: list[str] | None = None) -> Start:
    """Start the app, fetch the first page, stop the app; InputError with its own words where it does not come up."""
    port = free_port()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONFAULTHANDLER": "1", "PYTHONPATH": str(REPOSITORY)}
    command = command or [sys.executable, str(REPOSITORY / "app.py")]
    with tempfile.TemporaryFile("w+") as log:
        begin = time.perf_counter()
        server = subprocess.Popen([*command, "--port", str(port)], env=environment, stdout=log, stderr=log)
        try:
            page = _first_page(server, f"http://127.0.0.1:{port}/", begin)
            if page is None:
                raise InputError(f"the app did not come up: {_said(log)}")
            page_sec, cpu_sec, rss_mb = time.perf_counter() - begin, cpu_seconds(server.pid), memory_mb(server.pid)
            time.sleep(wait_sec)
            return Start(
                *(page_sec, cpu_sec, len(page), rss_mb, cpu_seconds(server.pid)),
                memory_mb(server.pid, "VmHWM"),
            )
        finally:
            _end(server, log)


def _end(server: subprocess.Popen, log: IO[str]) -> None:
    """End the app as a service does; InputError with what it said where it stays."""
    server.terminate()
    try:
        server.wait(timeout=END_SEC)
    except subprocess.TimeoutExpired:
        server.send_signal(signal.SIGABRT)  # faulthandler then says where each thread was
        server.wait()
        raise InputError(f"the app was still there {END_SEC:g} s after SIGTERM: {_said(log)}") from None


def _said(log: IO[str]) -> str:
    log.seek(0)
    return log.read()[-2000:].strip() or "it said nothing"


def _first_page(server: subprocess.Popen, url: str, begin: float) -> bytes | None:
    while time.perf_counter() - begin < GIVE_UP_SEC and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=GIVE_UP_SEC) as answer:
                if answer.status == 200:
                    return answer.read()
        except (urllib.error.URLError, ConnectionError):
            time.sleep(ASK_EVERY_SEC)
    return None


def main() -> int:
    """Print the table; exit code 2 when the app does not come up."""
    parser = benchmark_parser(__doc__)
    parser.set_defaults(threads=2, repeats=5)
    parser.add_argument("--wait_sec", type=float, default=3.0, help="time after the first page, for its memory")
    args = parser.parse_args()
    if args.repeats < 1 or args.wait_sec < 0:
        parser.error("--repeats must be 1 or more and --wait_sec 0 or more")
    if not Path("/proc/self/status").exists():
        parser.error("this benchmark reads /proc, which this system does not have: run it on Linux")
    start(args, "benchmarks.app")
    starts, loads = [], []
    try:
        start_once(0.0)  # fills the caches of the disk and of compiled modules
        for _ in range(args.repeats):
            loads.append(os.getloadavg()[0])
            starts.append(start_once(args.wait_sec))
    except GanSpaceError as error:
        print(f"benchmarks.app: error: {error}", file=sys.stderr)
        return 2
    headers = ["start", "first page s", "CPU s", "memory MB", "CPU s at the end", "largest MB", "load"]
    rows = [
        [number + 1, one.page_sec, one.cpu_sec, one.rss_mb, one.cpu_at_end_sec, one.peak_mb, load]
        for number, (one, load) in enumerate(zip(starts, loads, strict=True))
    ]
    names = ("page_sec", "cpu_sec", "rss_mb", "cpu_at_end_sec", "peak_mb")
    rows.append(["median", *(median(getattr(one, name) for one in starts) for name in names), median(loads)])
    print(format_table(headers, rows))
    page, peak = rows[-1][1], rows[-1][5]
    verdicts = ["met" if page <= GOAL_SEC else "NOT met", "met" if peak <= GOAL_MB else "NOT met"]
    print(
        f"\nfirst page of {starts[0].page_bytes / 1024:.0f} KB; goals: {GOAL_SEC:g} s {verdicts[0]} by the median, "
        f"{GOAL_MB:g} MB {verdicts[1]}."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
