"""Outlines that move to where the photo shows them."""

from __future__ import annotations

from gan_space.faces.snap import snap_lips
from tests.faces.drawn_face import LIPS
from tests.looks.painted_face import MIDDLE, UNIT, two_tones


def test_a_lower_lip_in_two_tones_is_lip_to_its_outer_edge():
    """Pale inside and brown outside, as on dark skin: the clearest edge is where the tones meet, 0.07 further in."""
    photo, points, _ = two_tones()
    found = (snap_lips(photo.permute(1, 2, 0).numpy(), points)[17, 1] - MIDDLE[1]) / UNIT
    assert abs(found - (LIPS[0][1] + LIPS[1][1])) < 0.03
