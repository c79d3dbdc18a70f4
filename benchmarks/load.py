"""Many visitors at once: how long answers take, whether each is the visitor's own, and what is left of visits.

    python -m benchmarks.load --users 50 --rounds 1 --visits 1000

starts `python app.py` on a free port of this machine. First all users send their own requests at the same time, each
as fast as the answers come: the page, uploads, every endpoint. One drawing is made at a time, so most of an answer's
time is waiting for others. Every answer has to be the one that was asked for: recipes name the user's own seeds, and
each photo carries its user's number as rows of black and white squares outside the face, where no look reaches. Then
pages are opened and closed, and in place of one in ten a request is sent that is refused; memory must stop growing. At
last the server is told to end, and no file of a visitor may be left.
"""

from __future__ import annotations

import io
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.common import REPOSITORY, benchmark_parser, format_table, percentile, start
from benchmarks.server import API, Server, cpu_seconds, memory_mb, serve
from gan_space.errors import GanSpaceError
from gan_space.output.provenance import read_provenance

PHOTO = REPOSITORY / "gan_space" / "assets" / "examples" / "woman-park.jpg"
PHOTO_PX, SQUARE_PX, NUM_BITS = 512, 32, 16
GOAL_MB = 250.0  # growth over all visits


def marked_photo(user: int) -> bytes:
    """Make a JPEG of a portrait with the user's number along its upper edge, and turned into its opposite below."""
    picture = Image.open(PHOTO).convert("RGB").resize((PHOTO_PX, PHOTO_PX - 2 * SQUARE_PX))
    canvas = Image.new("RGB", (PHOTO_PX, PHOTO_PX))
    canvas.paste(picture, (0, SQUARE_PX))
    for number in range(NUM_BITS):
        bit = user >> number & 1
        for y, value in ((0, bit), (PHOTO_PX - SQUARE_PX, 1 - bit)):
            canvas.paste((255 * value,) * 3, (number * SQUARE_PX, y, (number + 1) * SQUARE_PX, y + SQUARE_PX))
    file = io.BytesIO()
    canvas.save(file, "JPEG", quality=92)
    return file.getvalue()


def read_mark(content: bytes) -> int | None:
    """Return the user whose photo this was; None where the marks are not to be read."""
    gray = np.asarray(Image.open(io.BytesIO(content)).convert("L"), dtype=np.float32) / 255
    if gray.shape != (PHOTO_PX, PHOTO_PX):
        return None
    rows = gray[:SQUARE_PX], gray[-SQUARE_PX:]
    upper, lower = (row.reshape(SQUARE_PX, NUM_BITS, SQUARE_PX).mean(axis=(0, 2)) > 0.5 for row in rows)
    return None if (upper == lower).any() else int((upper * 2 ** np.arange(NUM_BITS)).sum())


@dataclass
class Tally:
    """What all users saw: seconds by kind of request, answers that were somebody else's, and errors."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    mixed_up: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def timed(self, kind: str, ask: Callable[[], Any]) -> Any:
        """Return what `ask` returns; None for an error, which is noted."""
        begin = time.perf_counter()
        try:
            answer = ask()
        except (GanSpaceError, OSError, ValueError) as error:
            with self._lock:
                self.errors.append(f"{kind}: {error}")
            return None
        with self._lock:
            self.seconds.setdefault(kind, []).append(time.perf_counter() - begin)
        return answer

    def check(self, is_own: bool, what: str) -> None:
        """Note an answer that was not the user's own."""
        if not is_own:
            with self._lock:
                self.mixed_up.append(what)


def use(server: Server, user: int, number: int, look: str, tally: Tally) -> None:
    """Run one round of one user: every kind of request once, in an order of the user's own."""
    seeds = [100_000 + 1000 * user + 10 * number + offset for offset in range(2)]

    def fetch(files: list[dict]) -> list[bytes]:
        return [server.get(f"{API}/file={file['path']}") for file in files]

    def drawn(kind: str, name: str, expected: Any, **values: Any) -> None:
        answer = tally.timed(kind, lambda: server.call(kind.partition(" ")[0], **values))
        if answer is None:
            return
        files, recipes = answer
        contents = tally.timed("fetch a file", lambda: fetch(files)) or []
        for content, recipe in zip(contents, recipes, strict=False):
            inside = read_provenance(content).recipe
            tally.check(recipe.get(name) == expected and inside == recipe, f"{kind} of user {user}: {recipe.get(name)}")

    def photo(kind: str, **values: Any) -> None:
        name = f"user-{user}.jpg"
        sent = tally.timed("upload", lambda: server.upload(name, marked_photo(user)))
        if sent is None:
            return
        answer = tally.timed(kind, lambda: server.call(kind.partition(" ")[0], photo=sent, consent=True, **values))
        for content in [] if answer is None else tally.timed("fetch a file", lambda: fetch(answer[0])) or []:
            mark = read_mark(content)
            tally.check(mark == user, f"{kind} of user {user}: the photo of {mark}")

    jobs = [
        lambda: tally.timed("page", lambda: server.get("/")),
        lambda: drawn("/generate", "seed", seeds[0], seeds=seeds[:1]),
        lambda: drawn("/mix", "style_mixing_seed", seeds[1], seed=seeds[0], style_seed=seeds[1]),
        lambda: drawn("/interpolate", "seeds", seeds, seeds=seeds, frames_between=3, loop=False),
        lambda: drawn("/personalize", "seed", seeds[0], seeds=seeds[:1], attributes={}),
        lambda: photo("/personalize photo", seeds=[], attributes={"smile": 0.5}),
        lambda: photo("/stylize", pack=look, scope="face"),
    ]
    random.Random(1000 * user + number).shuffle(jobs)
    for job in jobs:
        job()


def first_look(config: dict) -> str:
    """Return the name of the first look that the app offers in the gallery on its page."""
    (gallery,) = [part for part in config["components"] if part["props"].get("elem_id") == "looks"]
    return gallery["props"]["value"][0]["caption"].lower().replace(" ", "-")


def run_users(server: Server, users: int, rounds: int, look: str) -> Tally:
    """Run all users at once, each in a thread of its own."""
    tally = Tally()

    def live(user: int) -> None:
        for number in range(rounds):
            use(server, user, number, look, tally)

    with ThreadPoolExecutor(users) as pool:
        list(pool.map(live, range(users)))
    return tally


def run_visits(server: Server, visits: int, every: int) -> list[tuple[int, float]]:
    """Return (visits so far, memory in MB) as pages are opened and closed, in four threads."""
    config = json.loads(server.get("/config"))
    server.visit(config)
    found = [(0, memory_mb(server.pid))]
    with ThreadPoolExecutor(4) as pool:
        for begin in range(0, visits, every):
            end = min(begin + every, visits)
            list(pool.map(lambda number: server.visit(config, refused=number % 10 == 9), range(begin, end)))
            found.append((end, memory_mb(server.pid)))
    return found


def main() -> int:
    """Print the tables; exit code 1 where an answer was mixed up, failed, or something was left behind."""
    parser = benchmark_parser(__doc__)
    parser.set_defaults(threads=2)
    parser.add_argument("--users", type=int, default=50, help="at the same time")
    parser.add_argument("--rounds", type=int, default=1, help="of every kind of request, a user")
    parser.add_argument("--visits", type=int, default=1000, help="pages that are opened and closed, for the memory")
    parser.add_argument("--log", type=Path, default=None, help="file for what the server writes")
    args = parser.parse_args()
    if not 1 <= args.users < 2**NUM_BITS or args.rounds < 0 or args.visits < 0:
        parser.error("--users must be 1 or more, --rounds and --visits 0 or more")
    if not Path("/proc/self/status").exists():
        parser.error("this benchmark reads /proc, which this system does not have: run it on Linux")
    start(args, "benchmarks.load")
    try:
        with tempfile.TemporaryDirectory() as name, serve(args.log or Path(name) / "log") as server:
            failed = measure(server, args.users, args.rounds, args.visits)
            left = server.folder
            begin = time.perf_counter()
            os.kill(server.pid, signal.SIGTERM)
            while Path(f"/proc/{server.pid}/cmdline").exists() and Path(f"/proc/{server.pid}/cmdline").read_bytes():
                time.sleep(0.05)
            files = [path for path in left.rglob("*") if path.is_file() and path.name != "lock"]
            print(f"\n{len(files)} files left {time.perf_counter() - begin:.1f} s after SIGTERM.")
    except GanSpaceError as error:
        print(f"benchmarks.load: error: {error}", file=sys.stderr)
        return 2
    return int(failed or bool(files))


def measure(server: Server, users: int, rounds: int, visits: int) -> bool:
    """Print both tables; whether something was wrong."""
    look = first_look(json.loads(server.get("/config")))
    begin, cpu = time.perf_counter(), cpu_seconds(server.pid)
    tally = run_users(server, users, rounds, look)
    wall, cpu = time.perf_counter() - begin, cpu_seconds(server.pid) - cpu
    rows = [
        [kind, len(seconds), percentile(seconds, 50), percentile(seconds, 95), max(seconds)]
        for kind, seconds in sorted(tally.seconds.items())
    ]
    print(format_table(["request", "answers", "p50 s", "p95 s", "longest s"], rows))
    count = sum(map(len, tally.seconds.values()))
    print(
        f"\n{users} users at once, {count} answers in {wall:.0f} s ({cpu:.0f} s of CPU): {len(tally.mixed_up)} mixed "
        f"up, {len(tally.errors)} errors; {len(server.files())} files of visitors on the disk.\n"
    )
    for line in (*tally.mixed_up[:10], *tally.errors[:10]):
        print(f"  {line}")
    found = run_visits(server, visits, max(1, visits // 10))
    print(format_table(["visits", "memory MB", "more than at first"], [[n, mb, mb - found[0][1]] for n, mb in found]))
    growth = found[-1][1] - found[0][1]
    verdict = "met" if growth <= GOAL_MB else "NOT met"
    print(f"\n{growth:.0f} MB more after {visits} visits; goal {GOAL_MB:g} MB {verdict}.")
    return bool(tally.mixed_up or tally.errors or growth > GOAL_MB)


if __name__ == "__main__":
    sys.exit(main())
