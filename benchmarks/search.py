"""CPU time of a search for faces in pictures without any: `python -m benchmarks.search`.

One thread; the picture is in memory already. Memory is the peak of the process less what it held before the search, on
Linux alone.
"""

from __future__ import annotations

import sys
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

import gan_space
from gan_space.models.aligner import Aligner
from gan_space.portraits.choosing import search

KINDS = ("flat", "noise", "text", "checkerboard", "panorama 100:1")
MEGAPIXELS = (1, 12, 100)


def make_picture(kind: str, megapixels: float) -> Tensor:
    """Make [3, H, W] uint8 without a face, of 4:3 unless it is a panorama."""
    aspect = 100.0 if kind.startswith("panorama") else 4 / 3
    height = round((megapixels * 1e6 / aspect) ** 0.5)
    width = round(height * aspect)
    if kind == "flat":
        return torch.full((3, height, width), 130, dtype=torch.uint8)
    if kind == "text":
        page = Image.new("L", (width, height), 255)
        draw = ImageDraw.Draw(page)
        line = "Lorem ipsum dolor sit amet, consectetur adipiscing elit. " * (width // 300 + 1)
        for top in range(0, height, 24):
            draw.text((8, top), line, fill=40)
        return torch.from_numpy(np.array(page)).expand(3, -1, -1).contiguous()
    random = np.random.default_rng(0)
    if kind == "checkerboard":
        side = max(8, height // 40)
        rows, columns = np.arange(height)[:, None] // side, np.arange(width)[None] // side
        board = ((rows + columns) % 2 * 255).astype(np.uint8)
        return torch.from_numpy(board).expand(3, -1, -1).contiguous()
    return torch.from_numpy(random.integers(0, 256, (3, height, width), dtype=np.uint8))


def load_aligner() -> Aligner:
    """Load the aligner that is shipped."""
    return Aligner.from_pretrained(Path(gan_space.__file__).parent / "assets" / "default" / "aligner").eval()


def measure(aligner: Aligner, kind: str, megapixels: float) -> tuple[float, float, int]:
    """Measure (seconds of CPU, MB more than before, faces)."""
    search(make_picture("noise", 0.3), aligner)  # what is loaded once
    photo = make_picture(kind, megapixels)
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten
    before = memory_mb("VmRSS")
    start = time.process_time()
    faces = search(photo, aligner)
    seconds = time.process_time() - start
    return seconds, memory_mb("VmHWM") - before, len(faces)


def memory_mb(entry: str) -> float:
    """Read a line of /proc/self/status: VmRSS is what the process holds now, VmHWM its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(entry + ":")) / 1024


def measure_apart(*arguments) -> tuple[float, float, int]:
    """Run `measure` in a process of its own, which starts with the aligner loaded."""
    with get_context("fork").Pool(1) as pool:
        return pool.apply(measure, arguments)


def main(megapixels: tuple[float, ...] = MEGAPIXELS) -> int:
    """Print a table; every number comes from a process of its own."""
    import cv2

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    aligner = load_aligner()
    print("| picture | " + " | ".join(f"{size:g} MP" for size in megapixels) + " |")
    print("| --- |" + " --- |" * len(megapixels))
    for kind in KINDS:
        cells = []
        for size in megapixels:
            seconds, more_mb, faces = measure_apart(aligner, kind, size)
            cells.append(f"{seconds:.2f} s, {more_mb:.0f} MB" + (f", {faces} faces" if faces else ""))
        print(f"| {kind} | " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(tuple(float(size) for size in sys.argv[1:]) or MEGAPIXELS))
