"""Time of one more look and of one slider move on a photo: from its file each time, and on the opened portrait.

    python -m benchmarks.open_portrait --photos FOLDER --pack NAME --threads 2

The two take turns photo by photo, so that what else the machine does hits both; the numbers are CPU time of the whole
process, and the ratio is the median of the pairs. Photos are brought to `--long_side` px first.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.common import benchmark_parser, format_table, percentile, start
from benchmarks.photos import sized_photos
from gan_space.errors import InputError
from gan_space.pipelines.personalization import PersonalizationPipeline
from gan_space.pipelines.style_transfer import StyleTransferPipeline


def cpu_seconds(call: Callable[[], object]) -> float:
    """Measure the CPU time of all threads while `call` runs."""
    start_sec = time.process_time()
    call()
    return time.process_time() - start_sec


def main() -> int:
    """Print the table; exit code 2 when nothing could be measured."""
    parser = benchmark_parser(__doc__)
    parser.set_defaults(threads=2)
    parser.add_argument("--photos", type=Path, required=True, help="folder of portraits")
    parser.add_argument("--model", default=None, help="model folder or Hub id; the embedded model if left out")
    parser.add_argument("--pack", default="ink-wash", help="name, folder or Hub id of a style pack")
    parser.add_argument("--attribute", default="smile", help="slider that is moved")
    parser.add_argument("--long_side", type=int, default=1024, help="of the photos in px")
    parser.add_argument("--num_photos", type=int, default=12)
    args = parser.parse_args()
    start(args, "benchmarks.open_portrait")
    try:
        style = StyleTransferPipeline.from_pretrained(args.model)
        person = PersonalizationPipeline.from_pipe(style)
        pack = style.load_style_pack(args.pack)
        with tempfile.TemporaryDirectory(prefix="gan-space-bench-") as name:
            files = sized_photos(args.photos, Path(name), args.long_side, args.num_photos)
            times: dict[str, tuple[list[float], list[float]]] = {"look": ([], []), "slider move": ([], [])}
            for index, file in enumerate([files[0], *files]):
                portrait = style.open(file)
                style(portrait, pack=pack, strength=0.5)
                calls = {
                    "look": lambda photo: style(photo, pack=pack, strength=0.9),
                    "slider move": lambda photo: person.edit(photo, {args.attribute: 0.5}),
                }
                for what, call in calls.items():
                    pair = [cpu_seconds(lambda call=call, photo=photo: call(photo)) for photo in (file, portrait)]
                    if index > 0:  # the first photo also pays for what is made once
                        for seconds, one in zip(times[what], pair, strict=True):
                            seconds.append(one)
    except InputError as error:
        print(f"benchmarks.open_portrait: error: {error}", file=sys.stderr)
        return 2
    rows = []
    for what, (again, opened) in times.items():
        ratio = statistics.median(b / a for a, b in zip(again, opened, strict=True))
        rows.append([f"{what}, from the file", 1000 * percentile(again, 50), 1000 * percentile(again, 95), 1.0])
        rows.append([f"{what}, opened", 1000 * percentile(opened, 50), 1000 * percentile(opened, 95), ratio])
    print(format_table(["CPU time", "p50 ms", "p95 ms", "ratio"], rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
