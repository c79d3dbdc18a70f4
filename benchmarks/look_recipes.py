"""What looks cost, and what they do to skin: CPU time, lightness by tone, sharpness of lips and lids.

    python -m benchmarks.look_recipes --sizes 1024 3464 --repeats 3 --memory
    python -m benchmarks.look_recipes --sizes --photos FOLDER --head 256 --drawn DRAWN
    WITNESS_PYTHON training/shape/witness.py DRAWN
    python -m benchmarks.look_recipes --sizes --drawn DRAWN

The last prints who is the same person to a witness from outside, and how sharp the face is against the photo.

Times are of the example photo of a woman by a lake enlarged to a square of each size, its face and landmarks found
before. Skin is what `find_skin` takes for it in the photo; its tone is called dark, middle or light by its mean
lightness L* below 50, to 68, and above. Sharpness of the skin layer is gradient energy of the lightness under the
region's mask, after that layer alone, divided by that of the photo; 1 is untouched.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from benchmarks.common import benchmark_parser, format_table, interleave, start
from benchmarks.tones import TONES, tone_of
from gan_space.faces.landmarks import Landmarks
from gan_space.faces.regions import find_region
from gan_space.looks.skin import FaceView, find_skin, retouch
from gan_space.photos.folders import find_pictures
from gan_space.pipelines.looks import head_of
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from gan_space.portraits.portrait import Portrait

EXAMPLE = Path(__file__).resolve().parents[1] / "gan_space" / "assets" / "examples" / "woman-lake.jpg"
SAME_PERSON = 0.6  # distance of the witness's embeddings below which two pictures show one person
SHARP = ("lips", "brows", "eyes")
MAX_SIDE = 512  # of the photos that lightness is measured on


def main() -> int:
    """Print both tables."""
    parser = benchmark_parser(__doc__)
    parser.add_argument("--looks", nargs="+", help="names, pack:NAME for a pack; all beauty and film looks if left out")
    parser.add_argument("--sizes", nargs="*", type=int, default=[1024, 3464], help="sides of the square photo in px")
    parser.add_argument("--memory", action="store_true", help="also the most memory at the largest size")
    parser.add_argument("--drawn", type=Path, help="folder for the pictures, or with what the witness said of them")
    parser.add_argument("--photos", type=Path, nargs="*", default=[], help="folders of photos for lightness")
    parser.add_argument("--head", type=int, help="draw a square around the head, this many px wide")
    args = parser.parse_args()
    start(args, "benchmarks.look_recipes")
    cv2.setNumThreads(1)
    style = StyleTransferPipeline.from_pretrained()
    names = args.looks or [name for name, look in style.looks.items() if look.group in ("beauty", "film")]
    if args.sizes:
        print_times(style, names, args.sizes, args.repeats, args.memory)
    if args.photos:
        print_skin(style, names, args.photos, args.drawn, args.head)
    elif args.drawn:
        print_witness(args.drawn)
    return 0


def print_times(
    style: StyleTransferPipeline, names: list[str], sizes: list[int], repeats: int, memory: bool = False
) -> None:
    """Print CPU milliseconds of each look at each size, median and slowest, and MB above what the open photo takes."""
    rows = {name: [name] for name in names}
    for px in sizes:
        photo = Image.open(EXAMPLE).convert("RGB").resize((px, px), Image.Resampling.BICUBIC)
        portrait = style.open(photo)
        portrait.landmarks(style.landmarker)
        timings = interleave({name: lambda name=name: style(portrait, **asked_for(name)) for name in names}, repeats)  # noqa: B023
        for name, timing in timings.items():
            rows[name] += [1000 * timing.median("cpu"), 1000 * max(timing.cpu_sec)]
    headers = [header for px in sizes for header in (f"{px} px, CPU ms", "slowest")]
    if memory:
        headers.append("memory, MB")
        for name in names:
            rows[name].append(most_memory_mb(lambda name=name: style(portrait, **asked_for(name))))
    print(format_table(["look", *headers], list(rows.values())))


def most_memory_mb(run: Callable[[], object]) -> float:
    """Measure the most that a process holds while something runs, in MB above what it held before (Linux)."""
    run()  # whatever is made once
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    before, most = (_status_mb("VmRSS"), (run(), _status_mb("VmHWM"))[1])
    return most - before


def _status_mb(entry: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(entry))


def print_skin(
    style: StyleTransferPipeline,
    names: list[str],
    folders: list[Path],
    drawn: Path | None = None,
    head: int | None = None,
) -> None:
    """Print changes of lightness by tone, and sharpness of what is no skin; `drawn` gets the witness's pictures."""
    moved: dict[str, dict[str, list[float]]] = {name: {tone: [] for tone in TONES} for name in names}
    sharp: dict[str, list[float]] = {region: [] for region in SHARP}
    for file in [file for folder in folders for file in find_pictures(folder).files]:
        photo = Image.open(file).convert("RGB")
        photo.thumbnail((MAX_SIDE, MAX_SIDE))
        portrait = style.open(photo)
        if not portrait.chosen:
            continue
        portrait = portrait if head is None else head_of(portrait, head)
        marks = portrait.landmarks(style.landmarker)[0]
        view = FaceView.cut(portrait.pixels, marks)
        skin = find_skin(view)
        before = mean_lightness(view, skin)
        tone = tone_of(before)
        kept = None if drawn is None else drawn / f"{file.stem}.npz"
        for name, done in zip(names, draw_looks(style, portrait, marks, names, kept), strict=True):
            moved[name][tone].append(mean_lightness(FaceView.cut(done, marks), skin) - before)
        done = retouch(portrait.pixels, [marks], dict.fromkeys(("even", "dark_circles", "matte"), 1.0))
        for region in SHARP:
            sharp[region].append(energy(done, marks, region) / energy(portrait.pixels, marks, region))
    rows = [
        [name, *(f"{np.mean(one):+.2f} ({min(one):+.1f} to {max(one):+.1f})" if one else "-" for one in tones.values())]
        for name, tones in moved.items()
    ]
    counts = next(iter(moved.values()))
    print(format_table(["dL* of skin", *(f"{tone}, {len(counts[tone])} photos" for tone in counts)], rows))
    print(format_table(["sharpness after skin at 1", "median", "lowest"],
                       [[name, np.median(values), min(values)] for name, values in sharp.items()]))  # fmt: skip


def draw_looks(
    style: StyleTransferPipeline, portrait: Portrait, marks: Landmarks, names: list[str], kept: Path | None
) -> list[torch.Tensor]:
    """Draw the photo in every look, each [3, H, W] uint8; kept in a file behind the photo, and taken from there."""
    if kept is not None and kept.is_file() and list((before := np.load(kept))["names"]) == names:
        return list(torch.from_numpy(before["pictures"][1:]).permute(0, 3, 1, 2))
    pictures = [np.array(style(portrait, **asked_for(name)).images[0].convert("RGB")) for name in names]
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        photo = portrait.pixels.permute(1, 2, 0).numpy()
        part = kept.with_suffix(".part")
        with part.open("wb") as file:
            np.savez(file, pictures=np.stack([photo, *pictures]), wanted=marks.points[None], names=names)
        part.rename(kept)  # whole or not there, whenever the run is ended
    return [torch.from_numpy(picture).permute(2, 0, 1) for picture in pictures]


def asked_for(name: str) -> dict:
    """Ask for a look, or a pack alone at strength 1."""
    return {"pack": name.removeprefix("pack:"), "strength": 1.0} if name.startswith("pack:") else {"look": name}


def print_witness(drawn: Path) -> None:
    """Print what the witness says: share of photos with the same person, identity distance, sharpness of the face."""
    seen: dict[str, list[tuple[float, float]]] = {}
    for file in sorted(drawn.glob("*.npz")):
        said = json.loads(file.with_suffix(".json").read_text())
        for name, *values in zip(np.load(file)["names"], said["identity"][1:], said["sharpness"][1:], strict=True):
            seen.setdefault(str(name), []).append(tuple(values))
    rows = []
    for name, values in seen.items():
        away, sharp = np.array(values).T
        rows.append([name, 100 * (away < SAME_PERSON).mean(), np.median(away), away.max(), np.median(sharp)])
    headers = ["look", "same person, %", "identity, median", "farthest", "sharpness"]
    print(format_table([f"{headers[0]}, {len(values)} photos", *headers[1:]], rows))


def mean_lightness(view: FaceView, skin: np.ndarray) -> float:
    """Return the mean L* under a mask."""
    return float((view.lab[..., 0] * skin).sum() / max(skin.sum(), 1e-6))


def energy(photo: torch.Tensor, marks: Landmarks, region: str) -> float:
    """Return the gradient energy of the lightness under a region's mask."""
    size = tuple(photo.shape[1:])
    mask = find_region(marks.points, region, size, photo=photo).full(*size).numpy()
    codes = np.ascontiguousarray(photo.permute(1, 2, 0).numpy())
    light = cv2.cvtColor(codes.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 0]
    gradient = cv2.Sobel(light, -1, 1, 0) ** 2 + cv2.Sobel(light, -1, 0, 1) ** 2
    return float((gradient * mask).sum() / max(mask.sum(), 1e-6))


if __name__ == "__main__":
    raise SystemExit(main())
