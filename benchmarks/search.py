"""CPU time of a search for faces in pictures without any: `python -m benchmarks.search`.

One thread; the picture is in memory already. Peak memory is that of the process less what it had before the search.
"""

from __future__ import annotations

import resource
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
from gan_space.pipelines.found_faces import search

KINDS = ("flat", "noise", "text", "checkerboard", "panorama 100:1")
MEGAPIXELS = (1, 12, 100)


def make_picture(kind: str, megapixels: float) -> Tensor:
    """[3, H, W] uint8 without a face, of 4:3 unless it is a panorama."""
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


def measure(kind: str, megapixels: float, which: str) -> tuple[float, float, int]:
    """(seconds of CPU, MB more than before, faces)."""
    import cv2

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    folder = Path(gan_space.__file__).parent / "assets" / "default" / "aligner"
    aligner = Aligner.from_pretrained(folder).eval()
    search(make_picture("noise", 0.3), aligner)  # what is loaded once
    photo = make_picture(kind, megapixels)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    faces = search(photo, aligner, which=which).faces
    seconds = time.process_time() - start
    return seconds, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, len(faces)


def main(megapixels: tuple[float, ...] = MEGAPIXELS) -> int:
    """Print a table; every number comes from a process of its own."""
    print("| picture | " + " | ".join(f"{size:g} MP" for size in megapixels) + " |")
    print("| --- |" + " --- |" * len(megapixels))
    for kind in KINDS:
        cells = []
        for size in megapixels:
            with get_context("spawn").Pool(1) as pool:
                seconds, more_mb, faces = pool.apply(measure, (kind, size, "largest"))
            cells.append(f"{seconds:.2f} s, {more_mb:.0f} MB" + (f", {faces} faces" if faces else ""))
        print(f"| {kind} | " + " | ".join(cells) + " |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(tuple(float(size) for size in sys.argv[1:]) or MEGAPIXELS))
