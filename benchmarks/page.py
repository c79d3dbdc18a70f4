"""A fresh visitor on a phone: from the address of the page to the saved, styled photo, in three taps.

    python -m benchmarks.page --repeats 5

starts `python app.py` on a free port and walks through the page in Chromium at 390 x 844 px, each time as somebody
new: the page opens, a photo is chosen, a look is tapped, the file is saved. Then the same with the strip of small
pictures alone: how long until those on the screen are there, and until all are. Beside the clock's time stands the CPU
time of the server and of the browser, which other programs on the machine stretch far less. `--look_sec` is how long
the visitor looks at the picture before the tap on Save, which is not counted. The photo is an example, enlarged to
the size that phones take, 12 megapixels. Goals on two cores: 5 s for all of it, and 1.5 s for 24 small pictures.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from PIL import Image

from benchmarks.common import REPOSITORY, benchmark_parser, format_table, start
from benchmarks.server import Server, cpu_seconds, serve
from gan_space.errors import GanSpaceError

PHOTO = REPOSITORY / "gan_space" / "assets" / "examples" / "woman-park.jpg"
PHONE, LONG_SIDE = {"width": 390, "height": 844}, 3464
GOAL_SEC, GOAL_STRIP_SEC, STRIP_LOOKS = 5.0, 1.5, 24
TIMEOUT_MSEC = 300_000
POLLING_MSEC = (
    20  # by itself Playwright looks at every frame, and draws frames to look at: a third of the browser's time
)
CHROMIUM = shutil.which("chromium-headless-shell") or "/usr/bin/chromium"
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
IS_READY = "() => !document.querySelector('.photo-page').classList.contains('waiting')"
IS_DRAWN = "() => !document.querySelector('#photo-save').disabled"
SMALL = "[...document.querySelectorAll('.look:not([hidden])')]"
IN_VIEW = f"""() => {SMALL}.filter((one) => one.getBoundingClientRect().left < innerWidth)
  .every((one) => one.querySelector('img').src)"""
ALL_THERE = f"() => {SMALL}.every((one) => one.querySelector('img').src)"
STEPS = ("page", "photo", "look", "save")
STRIP_STEPS = ("page", "photo", "strip in view", "whole strip")


@dataclass
class Walk:
    """Seconds of each step of a visit, by the clock, and of the server's and the browser's CPU."""

    clock: dict[str, float] = field(default_factory=dict)
    cpu: dict[str, float] = field(default_factory=dict)
    browser_cpu: dict[str, float] = field(default_factory=dict)
    looks: int = 0

    @contextmanager
    def step(self, name: str, server: Server):
        """Time what is done inside."""
        begin, cpu, browser_cpu = time.perf_counter(), cpu_seconds(server.pid), browser_cpu_seconds(server)
        yield
        self.clock[name] = time.perf_counter() - begin
        self.cpu[name] = cpu_seconds(server.pid) - cpu
        self.browser_cpu[name] = browser_cpu_seconds(server) - browser_cpu


def browser_cpu_seconds(server: Server) -> float:
    """Return the CPU time so far of all that this process has started, but for the server (Linux)."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    family, total = {os.getpid()}, 0.0
    for pid in sorted(parents):  # children have larger numbers than their parents
        if parents[pid] in family and pid != server.pid:
            family.add(pid)
            with suppress(OSError):
                total += cpu_seconds(pid)
    return total


def save_a_look(page, server: Server, photo: Path, look: str, look_sec: float) -> Walk:
    """Choose, tap, look, save."""
    walk = Walk()
    _choose(page, server, photo, walk)
    with walk.step("look", server):
        page.locator(f".look[data-look='{look}']").first.click()
        page.wait_for_function(IS_DRAWN, polling=POLLING_MSEC)
    page.wait_for_timeout(1000 * look_sec)
    with walk.step("save", server), page.expect_download() as caught:
        page.locator("#photo-save").click()
    caught.value.path()
    return walk


def fill_the_strip(page, server: Server, photo: Path) -> Walk:
    """Choose, and look at the small pictures as they come."""
    walk = Walk()
    _choose(page, server, photo, walk)
    with walk.step("whole strip", server):
        with walk.step("strip in view", server):
            page.wait_for_function(IN_VIEW, polling=POLLING_MSEC)
        page.wait_for_function(ALL_THERE, polling=POLLING_MSEC)
    walk.looks = page.evaluate(f"{SMALL}.length") - 1  # the first is the photo itself
    return walk


def _choose(page, server: Server, photo: Path, walk: Walk) -> None:
    with walk.step("page", server):
        page.goto(server.url)
        page.locator(".photo-page .choose").wait_for()
    with walk.step("photo", server):
        with page.expect_file_chooser() as chooser:
            page.locator(".photo-page .choose").click()
        chooser.value.set_files(str(photo))
        page.wait_for_function(IS_READY, polling=POLLING_MSEC)


def walk_often(browser, server: Server, repeats: int, walk: Callable[..., Walk], *what) -> list[Walk]:
    """Return the walks of new visitors, one after the other; the first, which warms the server up, is left out."""
    walks = []
    for _ in range(repeats + 1):
        context = browser.new_context(viewport=PHONE, has_touch=True, accept_downloads=True)
        context.set_default_timeout(TIMEOUT_MSEC)
        walks.append(walk(context.new_page(), server, *what))
        context.close()
    return walks[1:]


def large_copy(photo: Path, long_side: int, folder: Path) -> Path:
    """Save the photo as a phone would have taken it."""
    picture = Image.open(photo).convert("RGB")
    scale = long_side / max(picture.size)
    path = folder / "photo.jpg"
    picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.LANCZOS).save(path, quality=90)
    return path


def main() -> int:
    """Print the tables; exit code 2 when the app does not come up."""
    parser = benchmark_parser(__doc__)
    parser.set_defaults(repeats=5)
    parser.add_argument("--photo", type=Path, default=PHOTO, help="whose face it is")
    parser.add_argument("--long_side", type=int, default=LONG_SIDE, help="px of the photo that is sent")
    parser.add_argument("--look", default="golden-hour", help="look that is tapped")
    parser.add_argument("--look_sec", type=float, default=0.0, help="between the picture and the tap on Save")
    args = parser.parse_args()
    if args.repeats < 1 or args.long_side < 64:
        parser.error("--repeats must be 1 or more and --long_side 64 or more")
    from playwright.sync_api import sync_playwright  # of the packages for tests

    start(args, "benchmarks.page")
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            serve(Path(folder) / "app.log") as server,
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            photo = large_copy(args.photo, args.long_side, Path(folder))
            walks = walk_often(browser, server, args.repeats, save_a_look, photo, args.look, args.look_sec)
            strips = walk_often(browser, server, args.repeats, fill_the_strip, photo)
            browser.close()
    except GanSpaceError as error:
        print(f"benchmarks.page: error: {error}", file=sys.stderr)
        return 2
    print(_table(walks, STEPS))
    whole = median(sum(one.clock.values()) for one in walks)
    print(
        f"\nfrom the page to the file in {whole:.1f} s by the median; goal {GOAL_SEC:g} s "
        f"{'met' if whole <= GOAL_SEC else 'NOT met'}\n"
    )
    print(_table(strips, STRIP_STEPS))
    strip = median(one.clock["whole strip"] / one.looks for one in strips) * STRIP_LOOKS
    print(
        f"\n{strips[0].looks} small pictures, {STRIP_LOOKS} of them in {strip:.2f} s by the median; "
        f"goal {GOAL_STRIP_SEC:g} s {'met' if strip <= GOAL_STRIP_SEC else 'NOT met'}"
    )
    return 0


def _table(walks: list[Walk], steps: tuple[str, ...]) -> str:
    rows = [
        [
            step,
            median(one.clock[step] for one in walks),
            max(one.clock[step] for one in walks),
            median(one.cpu[step] for one in walks),
            median(one.browser_cpu[step] for one in walks),
        ]
        for step in steps
    ]
    return format_table(["step", "s, median", "s, longest", "CPU s of the server", "of the browser"], rows)


if __name__ == "__main__":
    sys.exit(main())
