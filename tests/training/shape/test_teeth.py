"""Teeth drawn over those of a real smile have their light."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from training.shape.teeth import Config, table

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"


def test_drawn_teeth_are_as_bright_as_real_ones_in_any_light(person, tmp_path):
    (marks,) = person.open(SAMPLES / "astronaut.jpg").landmarks(person.landmarker)
    np.savez(tmp_path / "points.npz", astronaut=marks.points)
    rows = table(Config(str(SAMPLES), str(tmp_path / "points.npz"))).splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == ["| as it is", "| side", "| dim"]
    for row in rows:
        red, green, blue = (float(one) for one in row.split(" | ")[2].split(","))
        assert 0.75 < red < 1.2 and 0.75 < green < 1.2 and 0.7 < blue < 1.25
