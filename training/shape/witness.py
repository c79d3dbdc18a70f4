"""Ask a landmark finder and an embedding from outside about the pictures that `evaluate.py draw` has written.

Runs in an environment of its own, with a module `judge` on its path that has `mesh(rgb, x, y, half)` -> ([468, 2]
points, presence), `identity(rgb, points)` -> an embedding, and `sharp(rgb, points)` -> mean gradient energy inside the
face. Nothing of this project is imported, so the two cannot agree by accident.

    python training/shape/witness.py FOLDER [PART OF_PARTS]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np


def witness(file: Path) -> dict:
    """Points, identity distance to the first picture and relative sharpness of every picture in a file."""
    import judge

    drawn = np.load(file)
    start = drawn["wanted"][0]
    (x, y), half = start.mean(axis=0), 0.75 * np.ptp(start, axis=0).max()
    points, identity, sharpness = [], [], []
    for picture in drawn["pictures"]:
        found, _ = judge.mesh(picture, x, y, half)
        points.append((found + 0.5).round(3).tolist())  # it counts from the middle of the first pixel
        identity.append(judge.identity(picture, found))
        sharpness.append(judge.sharp(picture, found))
    return {
        "points": points,
        "identity": [float(np.linalg.norm(one - identity[0])) for one in identity],
        "sharpness": [one / sharpness[0] for one in sharpness],
    }


if __name__ == "__main__":
    part, parts = (int(word) for word in sys.argv[2:4]) if len(sys.argv) > 2 else (0, 1)
    for one in sorted(Path(sys.argv[1]).glob("*.npz"))[part::parts]:
        if not one.with_suffix(".json").exists():
            one.with_suffix(".json").write_text(json.dumps(witness(one)))
