"""Which recipe learns faces best for the same number of images? Trains each one and prints a table.

    python -m benchmarks.recipes --dataset FOLDER --kimg 20 --output runs/recipes
    python -m benchmarks.recipes --dataset FOLDER --changes "" "--g_lr 0.005 --d_lr 0.005" "--batch_size 64"
    python -m benchmarks.recipes --dataset FOLDER --resolution 128 --kimg 100 --look_kimg 20 --jobs 5 --changes …

compares the losses, or changes to the settings of the relativistic one; the change `--seed 1` tells what chance does.
Each run is `training/train.py` with nothing else changed, and its numbers are those of its last look at itself. Runs
that are there already are continued. A grid of each run's first seeds is put below one another. `--jobs` runs train
side by side: on a GPU, whose runs begin with a minute of compiling, or on a CPU with a thread each
(`OMP_NUM_THREADS=1`); images/s are then those of a shared machine.
"""

from __future__ import annotations

import argparse
import json
import re
import shlex
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from benchmarks.common import describe_machine, format_table
from gan_space.output.provenance import save_image
from training.losses import LOSSES

ROOT = Path(__file__).resolve().parent.parent
# One network and one recipe for all: small enough for a CPU, large enough that faces stand.
SIZES = {
    32: "--resolution 32 --channel_base 1024 --channel_max 64 --w_dim 64 --z_dim 64",
    64: "--resolution 64",
    128: "--resolution 128",
}
R1_GAMMA = {32: 0.02, 64: 0.1, 128: 0.2}
COMMON = "--preset portraits-64 --no_use_noise --batch_size 32"
CURVE = "fd_random_conv"
SHOWN = ("kid_random_conv", "fd_random_conv", "swd_mean", "precision_random_conv", "recall_random_conv", "diversity")
COLUMNS = 16  # pictures a row of the contact sheet


@dataclass(frozen=True)
class Recipe:
    """What one run differs in.

    Args:
        name: for the table and the folder.
        loss: one of LOSSES.
        change: flags of `training/train.py` that go after all others.
    """

    name: str
    loss: str = "relativistic"
    change: str = ""

    def flags(self, resolution: int) -> list[str]:
        """Return the run's flags; the relativistic loss is defined with both penalties (R3GAN, Huang et al. 2024)."""
        gamma = R1_GAMMA[resolution]
        penalties = f"--r1_gamma {gamma} --r2_gamma {gamma if self.loss == 'relativistic' else 0}"
        return shlex.split(f"{COMMON} {SIZES[resolution]} --loss {self.loss} {penalties} {self.change}")

    def folder(self, output: Path, resolution: int, seed: int) -> Path:
        """Tell where the run goes."""
        words = re.sub(r"[^a-z0-9.]+", "-", self.name.lower()).strip("-")
        return output / f"{words}-{resolution}px-{seed}"


def train(recipe: Recipe, options: argparse.Namespace, folder: Path) -> tuple[float, dict[float, float]]:
    """Train, or go on from what is there.

    Returns:
        (images per second of the middle stretch, {thousand images: Fréchet distance at each look}).
    """
    command = [sys.executable, str(ROOT / "training" / "train.py"), "--seed", str(options.seed)]
    command += ["--dataset_name", options.dataset, "--output_dir", str(folder), "--total_kimg", str(options.kimg)]
    command += ["--num_workers", str(options.num_workers), "--eval_images", str(options.num_images)]
    for name in ("eval_kimg", "sample_kimg", "checkpoint_kimg"):
        command += [f"--{name}", str(options.look_kimg)]
    subprocess.run([*command, *recipe.flags(options.resolution)], check=True)
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    speed = statistics.median(record["images_per_sec"] for record in records if "images_per_sec" in record)
    return speed, {record["nimg"] / 1000: record[CURVE] for record in records if CURVE in record}


def last_look(folder: Path) -> dict[str, float]:
    """Read what the finished run measured of itself: {name: value}."""
    metrics = json.loads((folder / "metrics.json").read_text())["metrics"]
    return {name: metrics[name]["value"] for name in SHOWN}


def contact_sheet(folders: list[Path], file: Path) -> None:
    """Save one strip of pictures a run, in the order of the table."""
    strips = [Image.open(sorted((folder / "samples").glob("nimg-*.png"))[-1]) for folder in folders]
    side = strips[0].width // 8
    sheet = Image.new("RGB", (COLUMNS * side, 2 * side * len(strips)))
    for index, grid in enumerate(strips):
        for row in range(4):  # the grid's rows of 8, two beside each other
            strip = grid.crop((0, row * side, 8 * side, (row + 1) * side))
            sheet.paste(strip, (row % 2 * 8 * side, (2 * index + row // 2) * side))
    save_image(sheet, file, recipe={"kind": "samples of runs", "runs": [folder.name for folder in folders]})


def main() -> None:
    """Train all recipes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--resolution", type=int, choices=list(SIZES), default=32)
    parser.add_argument("--kimg", type=float, default=20)
    parser.add_argument("--num_images", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--look_kimg", type=float, default=10, help="thousand images between the points of a curve")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time")
    parser.add_argument("--num_workers", type=int, default=0, help="processes of each run that decode pictures")
    parser.add_argument("--losses", nargs="+", choices=list(LOSSES), default=list(LOSSES))
    parser.add_argument("--changes", nargs="+", help="flags, one run each, instead of the losses; '' changes nothing")
    parser.add_argument("--output", type=Path, default=Path("runs/recipes"))
    options = parser.parse_args()
    recipes = [Recipe(loss, loss) for loss in options.losses]
    if options.changes is not None:
        recipes = [Recipe(change or "unchanged", change=change) for change in options.changes]
    folders = [recipe.folder(options.output, options.resolution, options.seed) for recipe in recipes]

    def one(recipe: Recipe, folder: Path) -> tuple[float, dict[float, float], dict[str, float]]:
        return *train(recipe, options, folder), last_look(folder)

    with ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(one, recipes, folders))
    contact_sheet(folders, options.output / f"samples-{options.resolution}px-{options.seed}.png")
    print(describe_machine())
    print(f"{options.kimg:g} kimg each, {options.num_images} images, seed {options.seed}, {options.jobs} at a time")
    for recipe in recipes:
        print(f"{recipe.name}: {shlex.join(recipe.flags(options.resolution))}")
    rows = [
        [recipe.name, *(f"{value:.4g}" for value in numbers.values()), f"{speed:.0f}"]
        for recipe, (speed, _, numbers) in zip(recipes, results, strict=True)
    ]
    print(format_table(["recipe", *SHOWN, "images/s"], rows))
    points = sorted({kimg for _, curve, _ in results for kimg in curve})
    rows = [
        [recipe.name, *(f"{curve[kimg]:.4g}" if kimg in curve else "" for kimg in points)]
        for recipe, (_, curve, _) in zip(recipes, results, strict=True)
    ]
    print(f"\n{CURVE} after so many thousand images")
    print(format_table(["recipe", *(f"{kimg:g}" for kimg in points)], rows))


if __name__ == "__main__":
    main()
