"""Ask an embedding from outside how old faces look and whether they wear glasses, on what `evaluate.py draw` wrote.

    python training/shape/age_witness.py --dataset_name FAIRFACE128 --labels_name LABELS --drawn DRAWN

The embedding is made to tell people apart and knows nothing of this project; `witness.py` has asked for it. A ridge
regression from it to the labelled age and to glasses, fitted on the training faces, is the witness; faces that it has
not seen say how far it can be trusted. It sees a whole face at 150 px, so fine lines are lost on it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import training.common.start  # noqa: F401

import numpy as np

from gan_space.errors import DataError
from training.common.command import exit_code
from training.common.tables import open_table
from training.shape.data import AGES

RIDGE = 1.0


@dataclass
class Config:
    """Where labelled faces, their embeddings and the drawn pictures are."""

    dataset_name: str
    labels_name: str
    drawn: str


def load_split(config: Config, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Load embeddings [N, 128], ages [N] and glasses [N], both not a number where unknown, joined by source_file."""
    known = open_table(config.dataset_name, split).select_columns(["source_file", "age_group", "glasses"])[:]
    found = open_table(config.labels_name, split).select_columns(["source_file", "embedding"])[:]
    number = {file: row for row, file in enumerate(found["source_file"])}
    rows = [(row, number[file]) for row, file in enumerate(known["source_file"]) if file in number]
    if not rows:
        raise DataError(f"no face of {config.dataset_name} (split {split}) has an embedding in {config.labels_name}")
    here, there = np.array(rows).T
    ages = np.array([AGES.get(known["age_group"][row], np.nan) for row in here], np.float64)
    glasses = np.array([np.nan if known["glasses"][row] is None else known["glasses"][row] for row in here], np.float64)
    return np.array(found["embedding"], np.float64)[there], ages, glasses


def fit(embeddings: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Fit a ridge regression, [129], on the embeddings whose value is known."""
    known = np.isfinite(values)
    x = with_one(embeddings[known])
    return np.linalg.solve(x.T @ x + RIDGE * np.eye(x.shape[1]), x.T @ values[known])


def with_one(embeddings: np.ndarray) -> np.ndarray:
    """Put a column of ones beside embeddings."""
    return np.concatenate([embeddings, np.ones((len(embeddings), 1))], axis=1)


def ranked_right(readings: np.ndarray, wears: np.ndarray) -> float:
    """Return the share of pairs, one with and one without, that are read in the right order."""
    return float((readings[wears == 1][:, None] > readings[wears == 0]).mean())


def best_threshold(readings: np.ndarray, wears: np.ndarray) -> float:
    """Find the reading from which faces count as wearing glasses, most of both kinds right; low, since few wear any."""
    tried = np.linspace(0, 1, 101)
    right = [(readings[wears == 1] > one).mean() + (readings[wears == 0] <= one).mean() for one in tried]
    return float(tried[int(np.argmax(right))])


def table(config: Config) -> str:
    """Tell what the witness is worth, and what it says of every slider and amount."""
    embeddings, ages, glasses = load_split(config, "train")
    to_age, to_glasses = fit(embeddings, ages), fit(embeddings, glasses)
    threshold = best_threshold(with_one(embeddings) @ to_glasses, glasses)
    embeddings, ages, glasses = load_split(config, "test")
    worn = with_one(embeddings) @ to_glasses
    read, known = with_one(embeddings) @ to_age, np.isfinite(ages)
    error = np.abs(read - ages)[known].mean()
    rank = np.corrcoef(read[known], ages[known])[0, 1]
    told = [100 * (worn[glasses == wears] > threshold).mean() for wears in (1, 0)]
    lines = [
        f"{known.sum()} unseen faces: age {error:.1f} years off in the mean (always the mean: "
        f"{np.abs(ages[known] - ages[known].mean()).mean():.1f}), correlation {rank:.2f}; glasses ranked right "
        f"{100 * ranked_right(worn, glasses):.0f} %, told on {told[0]:.0f} % with and {told[1]:.0f} % without.",
        "",
        "| slider | amount | years older, median | older on | wear glasses, before and after |",
        "| --- | --- | --- | --- | --- |",
    ]
    rows: dict[tuple[str, float], list[tuple[float, float, float]]] = {}
    for file in sorted(Path(config.drawn).glob("*.npz")):
        if not file.with_suffix(".json").exists():
            continue
        drawn, seen = np.load(file), json.loads(file.with_suffix(".json").read_text())
        here = with_one(np.array(seen["embeddings"]))
        years, wears = here @ to_age, here @ to_glasses
        for number in range(1, len(drawn["names"])):
            case = (years[number] - years[0], wears[0], wears[number])
            rows.setdefault((str(drawn["names"][number]), float(drawn["amounts"][number])), []).append(case)
    for (name, amount), cases in sorted(rows.items()):
        older, before, after = np.array(cases).T
        shares = [f"{100 * (one > threshold).mean():.0f} %" for one in (before, after)]
        lines.append(
            f"| {name} | {amount:+g} | {np.median(older):+.1f} | {100 * (older > 0).mean():.0f} % of {len(older)} | "
            f"{', '.join(shares)} |"
        )
    return "\n".join(lines)


@exit_code
def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    import tyro

    print(table(tyro.cli(Config, args=arguments, use_underscores=True)))


if __name__ == "__main__":
    sys.exit(main())
