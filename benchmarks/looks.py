"""CPU time and memory of the drawn looks by formula, at 1024 px and at 12 MP.

    python -m benchmarks.looks --repeats 3

The package's example photo of a woman by a lake is enlarged to the size that is asked for; its face is found once,
outside of the measurement. Looks take turns; the numbers are medians of the calling thread's CPU time. The memory is
what a process of its own holds at most while it draws, above what it held before.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files

import cv2
import numpy as np
import torch

from benchmarks.common import benchmark_parser, format_table, interleave, start
from gan_space.faces.landmarks import Landmarks
from gan_space.looks.drawing.draw import DRAWINGS, draw
from gan_space.pipelines.style_transfer import StyleTransferPipeline

# A process of its own that never held a network: what those took at most would hide what drawing takes.
_MEASURE = """
import json, os, sys
import numpy as np
from benchmarks.looks import enlarge
from benchmarks.server import memory_mb
from gan_space.faces.landmarks import Landmarks
from gan_space.looks.drawing.draw import draw
from gan_space.photos.opening import open_photo
points = np.array(json.load(sys.stdin))
marks = [Landmarks(points, np.zeros(468), 1.0, np.zeros(3))]
photo = open_photo(sys.argv[1])
photo, marks = enlarge(photo, marks, int(sys.argv[3]))
before = memory_mb(os.getpid(), "VmHWM")  # ru_maxrss would start from what this process's parent held at most
draw(photo, sys.argv[2], marks)
print(memory_mb(os.getpid(), "VmHWM") - before)
"""
PHOTO = str(files("gan_space") / "assets" / "examples" / "woman-lake.jpg")


def find_marks() -> tuple[torch.Tensor, list[Landmarks]]:
    """Return the example photo, [3, H, W] uint8, and the landmarks of its face."""
    style = StyleTransferPipeline.from_pretrained()
    portrait = style.open(PHOTO)
    return portrait.pixels, portrait.landmarks(style.landmarker)


def enlarge(photo: torch.Tensor, marks: list[Landmarks], px: int) -> tuple[torch.Tensor, list[Landmarks]]:
    """Bring a square photo to `px` x `px`, its landmarks with it."""
    scale = px / photo.shape[1]
    large = cv2.resize(cv2.merge(list(photo.numpy())), (px, px), interpolation=cv2.INTER_CUBIC)
    return torch.from_numpy(np.stack(cv2.split(large))), [replace(face, points=face.points * scale) for face in marks]


def memory_mb(name: str, px: int, marks: list[Landmarks]) -> float:
    """Measure the most memory that drawing takes, in MB above what the process held with the photo open."""
    command = [sys.executable, "-c", _MEASURE, PHOTO, name, str(px)]
    points = json.dumps(marks[0].points.tolist())
    return float(subprocess.run(command, input=points, capture_output=True, text=True, check=True).stdout.split()[-1])


def main() -> int:
    """Print the table."""
    parser = benchmark_parser(__doc__)
    parser.add_argument("--looks", nargs="+", choices=list(DRAWINGS), default=list(DRAWINGS))
    parser.add_argument("--sizes", nargs="+", type=int, default=[1024, 3464], help="sides of the square photo in px")
    parser.add_argument("--memory", action="store_true", help="measure the memory at the largest size as well")
    args = parser.parse_args()
    start(args, "benchmarks.looks")
    cv2.setNumThreads(1)
    found = find_marks()
    rows = {name: [name] for name in args.looks}
    for px in args.sizes:
        photo, marks = enlarge(*found, px)
        timings = interleave(
            {name: lambda name=name: draw(photo, name, marks) for name in args.looks},  # noqa: B023
            args.repeats,
        )
        for name, timing in timings.items():
            rows[name].append(1000 * timing.median("cpu"))
    headers = ["look", *(f"{px} px, CPU ms" for px in args.sizes)]
    if args.memory:
        headers.append("memory, MB")
        for name in args.looks:
            rows[name].append(memory_mb(name, max(args.sizes), found[1]))
    print(format_table(headers, list(rows.values())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
