"""Lids and irises in a photo, where landmarks miss them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gan_space.faces.eyes import EYES, IRIS_RADIUS, find_eyes, find_irises, lift_lids, snap_lids
from tests.faces.drawn_face import EYES as DRAWN
from tests.faces.drawn_face import drawn_face
from tests.faces.painted_eyes import MIDDLE, SIZE, UNIT, paint_eyes


def heights(outline: np.ndarray, x: float) -> tuple[float, float]:
    """Where an outline crosses a column, from above; px."""
    x0, y0 = outline.T
    x1, y1 = np.roll(outline, -1, axis=0).T
    cross = (x0 <= x) != (x1 <= x)
    y = (y0 + (y1 - y0) * (x - x0) / np.where(x1 == x0, 1, x1 - x0))[cross]
    return float(y.min()), float(y.max())


@pytest.mark.parametrize(("upper", "lower"), [(0.11, 0.11), (0.075, 0.11), (0.09, 0.135), (0.13, 0.09)])
def test_lids_are_found_where_the_photo_has_them(upper, lower):
    landmarks = drawn_face(UNIT, MIDDLE)
    for eye, ((x, y), _) in zip(find_eyes(paint_eyes(upper, lower), landmarks), DRAWN, strict=True):
        x, y = MIDDLE + UNIT * np.array([x, y])
        for side in (-0.12, 0.12):
            arch = np.sqrt(1 - (side / 0.22) ** 2)
            above, below = heights(eye.outline(), x + side * UNIT)
            assert above == pytest.approx(y - arch * upper * UNIT, abs=0.02 * UNIT)
            assert below == pytest.approx(y + arch * lower * UNIT, abs=0.02 * UNIT)


def test_both_eyes_look_the_same_way_although_one_has_a_dark_corner():
    photo = paint_eyes(gaze=0.04)
    x, y = (MIDDLE + UNIT * np.array([0.5 - 0.17, 0.0])).astype(int)
    photo[:, y - 9 : y + 9, x - 5 : x + 5] = 20
    found = (find_irises(drawn_face(UNIT, MIDDLE), photo)[:, :2] - MIDDLE) / UNIT
    assert np.abs(found - [[-0.46, 0], [0.54, 0]]).max() < 0.03


def test_a_small_or_plain_photo_leaves_the_landmarks():
    landmarks = drawn_face(UNIT, MIDDLE)
    plain = torch.full((3, *SIZE), 128, dtype=torch.uint8)
    assert np.abs(snap_lids(landmarks, find_eyes(plain, landmarks)) - landmarks).max() < 0.01 * UNIT
    small = drawn_face(20.0, (50.0, 50.0))
    assert np.abs(snap_lids(small, find_eyes(paint_eyes(), small)) - small).max() < 0.2


def test_snapped_landmarks_lie_on_the_lids_and_no_other_moves():
    landmarks = drawn_face(UNIT, MIDDLE)
    moved = np.abs(snap_lids(landmarks, find_eyes(paint_eyes(0.07, 0.11), landmarks)) - landmarks).max(axis=1)
    lids = np.isin(np.arange(468), [place for places, _ in EYES for place in places])
    corners = [place for _, corners in EYES for place in corners]
    assert not moved[~lids].any() and not moved[corners].any() and moved[159] > 0.02 * UNIT


def test_only_lids_that_cross_irises_are_lifted():
    photo = paint_eyes(gaze=0.02).permute(1, 2, 0).numpy()
    right, low = drawn_face(UNIT, MIDDLE), drawn_face(UNIT, MIDDLE + np.array([0, 0.09 * UNIT]))
    upper = [place for places, _ in EYES for place in places[9:]]
    assert np.array_equal(lift_lids(photo, right), right)
    up = (low - lift_lids(photo, low))[:, 1] / UNIT
    assert (np.isin(np.arange(468), upper) == (up > 0.02)).all() and not up[up <= 0.02].any() and up.max() < 0.06


def test_an_eye_at_the_edge_of_the_photo_or_beyond_is_no_fault():
    photo = paint_eyes()
    for middle in ((10.0, 60.0), (395.0, 395.0), (900.0, -300.0)):
        eyes = find_eyes(photo, drawn_face(UNIT, middle))
        assert all(np.isfinite(eye.outline()).all() for eye in eyes)
        assert eyes[0].iris[2] == pytest.approx(IRIS_RADIUS * UNIT)


def test_eyes_of_a_face_on_its_head_are_those_of_the_upright_one():
    photo, points = paint_eyes(0.12), drawn_face(UNIT, MIDDLE)
    end = np.array([photo.shape[2], photo.shape[1]])
    lids = snap_lids(points, find_eyes(photo, points))
    on_head = torch.rot90(photo, 2, (1, 2)).contiguous()
    found = snap_lids(end - points, find_eyes(on_head, end - points))
    assert np.abs(lids - points).max() > 0.01 * UNIT
    np.testing.assert_allclose(end - found, lids, atol=0.005 * UNIT)
