"""Outlines that move to where the photo shows them."""

from __future__ import annotations

import numpy as np

from gan_space.faces.snap import snap_lips
from gan_space.faces.teeth import _without_strays
from tests.faces.drawn_face import LIPS
from tests.looks.painted_face import MIDDLE, UNIT, two_tones


def test_a_lower_lip_in_two_tones_is_lip_to_its_outer_edge():
    """Pale inside and brown outside, as on dark skin: the clearest edge is where the tones meet, 0.07 further in."""
    photo, points, _ = two_tones()
    found = (snap_lips(photo.permute(1, 2, 0).numpy(), points)[17, 1] - MIDDLE[1]) / UNIT
    assert abs(found - (LIPS[0][1] + LIPS[1][1])) < 0.03


def test_teeth_are_not_seen_where_their_edge_would_jump():
    """One station at which a pale lip passed for a tooth would carry the edge into that lip."""
    edges = np.array([np.linspace(0.05, 0.07, 15), np.linspace(-0.06, -0.04, 15)])
    edges[1, 7] = -0.15
    kept = _without_strays(edges)
    assert np.isnan(kept[:, 7]).all() and np.isnan(kept).sum() == 2
