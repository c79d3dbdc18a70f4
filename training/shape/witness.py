"""Ask a landmark finder and an embedding from outside about the pictures that `evaluate.py draw` has written.

Runs in an environment of its own, with a module `judge` on its path that has `mesh(rgb, x, y, half)` -> ([468, 2]
points, presence), `identity(rgb, points)` -> an embedding, and `sharp(rgb, points)` -> mean gradient energy inside the
face. Nothing of this project is imported, so the two cannot agree by accident.

What it has said of a picture stays in NAME.json, so that after a change only new pictures are asked about.

    python training/shape/witness.py FOLDER [PART OF_PARTS]
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np


def witness(file: Path) -> dict:
    """Return points, identity distance to the first picture and relative sharpness of every picture in a file."""
    import judge

    drawn, kept = np.load(file), file.with_suffix(".json")
    seen = json.loads(kept.read_text())["seen"] if kept.exists() else {}
    start = drawn["wanted"][0]
    (x, y), half = start.mean(axis=0), 0.75 * np.ptp(start, axis=0).max()
    keys = []
    for picture in drawn["pictures"]:
        keys.append(hashlib.sha1(picture.tobytes()).hexdigest())
        if keys[-1] in seen:
            continue
        found, _ = judge.mesh(picture, x, y, half)
        seen[keys[-1]] = {
            "points": (found + 0.5).round(3).tolist(),  # it counts from the middle of the first pixel
            "embedding": np.round(judge.identity(picture, found), 5).tolist(),
            "sharpness": judge.sharp(picture, found),
        }
    rows = [seen[key] for key in keys]
    first = np.array(rows[0]["embedding"])
    return {
        "seen": seen,
        "points": [one["points"] for one in rows],
        "embeddings": [one["embedding"] for one in rows],
        "identity": [float(np.linalg.norm(np.array(one["embedding"]) - first)) for one in rows],
        "sharpness": [one["sharpness"] / rows[0]["sharpness"] for one in rows],
    }


if __name__ == "__main__":
    part, parts = (int(word) for word in sys.argv[2:4]) if len(sys.argv) > 2 else (0, 1)
    for one in sorted(Path(sys.argv[1]).glob("*.npz"))[part::parts]:
        one.with_suffix(".json").write_text(json.dumps(witness(one)))
