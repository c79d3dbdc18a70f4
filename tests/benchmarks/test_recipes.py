"""The comparison of recipes: that every run gets flags that the training script takes, and what is told of the runs."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

from benchmarks import recipes
from training.losses import LOSSES
from training.train import parse

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("resolution", list(recipes.SIZES))
def test_flags_are_settings_of_the_training_script(resolution):
    for loss in LOSSES:
        config, _ = parse(recipes.Recipe(loss, loss).flags(resolution))
        assert (config.resolution, config.loss) == (resolution, loss)
        assert (config.r2_gamma > 0) == (loss == "relativistic")
    config, _ = parse(recipes.Recipe("larger", change="--batch_size 64").flags(resolution))
    assert config.batch_size == 64, "a change goes after what all have"


def test_a_change_may_be_another_seed(monkeypatch, tmp_path):
    (tmp_path / "metrics.jsonl").write_text(json.dumps({"nimg": 1000, "images_per_sec": 7}))
    commands = []
    monkeypatch.setattr(recipes.subprocess, "run", lambda command, **options: commands.append(command))
    names = {"dataset": str(tmp_path), "num_workers": 0, "num_images": 600, "resolution": 64, "look_kimg": 1}
    options = Namespace(seed=0, kimg=1, **names)
    recipes.train(recipes.Recipe("other seed", change="--seed 1"), options, tmp_path)
    config, _ = parse(commands[0][2:])
    assert (config.seed, config.eval_images, config.output_dir) == (1, 600, str(tmp_path))


def test_runs_beside_each_other_are_told_in_their_order(monkeypatch, tmp_path, capsys):
    really_run = recipes.subprocess.run

    def run(command, **options):
        words = dict(pairwise(command))
        if command[1].endswith("train.py"):
            folder = Path(words["--output_dir"])
            (folder / "samples").mkdir(parents=True)
            Image.new("RGB", (64, 64)).save(folder / "samples" / "nimg-000020000.png")
            base = 2.0 if "0.005" in command else 1.0
            lines = [{"nimg": n * 10_000, "images_per_sec": 7 * base, recipes.CURVE: base / n} for n in (1, 2)]
            (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
            metrics = {name: {"value": base / 4} for name in recipes.SHOWN}
            (folder / "metrics.json").write_text(json.dumps({"metrics": metrics}))
        else:
            return really_run(command, **options)

    monkeypatch.setattr(recipes.subprocess, "run", run)
    command = "recipes --dataset faces --resolution 128 --kimg 20 --jobs 2 --changes"
    monkeypatch.setattr(sys, "argv", [*command.split(), "", "--g_lr 0.005", "--output", str(tmp_path)])
    recipes.main()
    told = capsys.readouterr().out
    numbers, curve = told.split(recipes.CURVE + " after")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in numbers.splitlines() if "| " in line]
    assert [row[0] for row in rows[-2:]] == ["unchanged", "--g_lr 0.005"]
    assert [row[1:] for row in rows[-2:]] == [[*["0.25"] * 6, "7"], [*["0.5"] * 6, "14"]]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in curve.splitlines() if "| " in line]
    assert rows[0] == ["recipe", "10", "20"]
    assert rows[-2:] == [["unchanged", "1", "0.5"], ["--g_lr 0.005", "2", "1"]]
    assert (tmp_path / "samples-128px-0.png").is_file()
