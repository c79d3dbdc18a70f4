"""Measure a segmenter: `python training/segmenter/evaluate.py --model FOLDER --dataset_name FOLDER`; prints JSON."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import training.common.start  # noqa: F401

import numpy as np
import torch

from gan_space.errors import ConfigError, raise_all
from gan_space.models.segmenter import Segmenter
from gan_space.whole_files import write_json
from training.common.command import script
from training.segmenter.data import load_segmented_heads
from training.segmenter.measure import measure


@torch.no_grad()
def milliseconds(model: Segmenter, repeats: int = 50) -> float:
    """Return the median CPU time of one crop and its mirror image on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    crops, seconds = torch.zeros(2, 3, model.resolution, model.resolution), []
    for _ in range(repeats):
        start = time.thread_time()
        model(crops)
        seconds.append(time.thread_time() - start)
    torch.set_num_threads(threads)
    return 1000 * float(np.median(seconds))


@dataclass(frozen=True)
class EvaluateSegmenterConfig:
    """Measure a segmenter on heads with known masks."""

    model: str
    """Folder with config.json and weights of the segmenter."""
    dataset_name: str
    """Folder, parquet or Hub data set of pictures in the head frame, with grey PNG masks hair, person and weight."""
    split: str = "test"
    """Split to measure on."""
    limit: int | None = None
    """At most so many pictures."""
    output: str | None = None
    """Write the numbers there as JSON."""

    def check(self) -> None:
        """Raise ConfigError with all faults at once."""
        wrong = self.limit is not None and self.limit < 1
        raise_all([f"--limit must be 1 or more, got {self.limit}"] if wrong else [], ConfigError)


def evaluate(config: EvaluateSegmenterConfig) -> dict:
    """Load, measure, and write the numbers."""
    config.check()
    model = Segmenter.from_pretrained(config.model).eval()
    heads = load_segmented_heads(config.dataset_name, config.split, limit=config.limit)
    numbers = {"num_heads": len(heads)} | measure(model, heads) | {"milliseconds": milliseconds(model)}
    if config.output:
        write_json(Path(config.output), numbers)
    return numbers


main = script(EvaluateSegmenterConfig, evaluate, lambda _, report: json.dumps(report, indent=1))


if __name__ == "__main__":
    sys.exit(main())
