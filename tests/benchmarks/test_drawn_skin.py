from __future__ import annotations

from benchmarks.drawn_skin import cell


def test_a_tone_without_faces_was_not_measured():
    assert cell([]) == "–"
    assert cell([0.0]) == "+0.0, +0.0"
    assert cell([-2.0, 1.0]) == "-0.5, +1.0"
