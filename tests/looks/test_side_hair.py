from __future__ import annotations

import numpy as np
import pytest

from gan_space.looks.side_hair import find_side_hair


@pytest.mark.parametrize("roll", range(-180, 180, 30))
@pytest.mark.parametrize("size", [(260, 260), (300, 200), (200, 300)])
@pytest.mark.parametrize("off", [(-40, -30), (10, 0), (40, 30)])
def test_hair_beside_an_eye_is_found_however_the_face_is_rolled_and_wherever_it_is(roll, size, off):
    """Outwards is told by the whole of the picture, whose corners may lie on either side of the face."""
    unit, angle = 64, np.deg2rad(roll)
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]] + 0.5
    right, down = (columns - size[1] / 2 - off[0]) / unit, (rows - size[0] / 2 - off[1]) / unit
    x, y = np.cos(angle) * right + np.sin(angle) * down, np.cos(angle) * down - np.sin(angle) * right
    strands = (0.9 + 0.28 * np.sin(1.3 * unit * x))[..., None] * (0.35, 0.24, 0.13)
    picture = np.where(x[..., None] > 0.68, strands, (0.5, 0.3, 0.2)).astype(np.float32)
    hair = find_side_hair(picture, x.astype(np.float32), y.astype(np.float32), unit)
    there = (np.abs(x) > 0.72) & (np.abs(x) < 0.8) & (np.abs(y) < 0.2)
    assert hair[there & (x > 0)].mean() > 0.9 and hair[there & (x < 0)].max(initial=0) < 0.1
    assert hair[np.abs(x) < 0.5].max() == 0


@pytest.mark.parametrize("roll", [0, 90, 170])
def test_lashes_and_the_end_of_a_brow_that_reach_the_hair_are_none(roll):
    unit, angle = 64, np.deg2rad(roll)
    rows, columns = np.mgrid[0:260, 0:260] + 0.5
    right, down = (columns - 130) / unit, (rows - 130) / unit
    x, y = np.cos(angle) * right + np.sin(angle) * down, np.cos(angle) * down - np.sin(angle) * right
    strands = (0.9 + 0.28 * np.sin(1.3 * unit * x))[..., None] * (0.35, 0.24, 0.13)
    lashes = (np.abs(y) < 0.045) & (x > 0.5)
    picture = np.where(((x > 0.86) | lashes)[..., None], strands, (0.5, 0.3, 0.2)).astype(np.float32)
    hair = find_side_hair(picture, x.astype(np.float32), y.astype(np.float32), unit)
    assert hair[(x > 0.9) & (x < 1) & (np.abs(y) < 0.2)].mean() > 0.9
    assert hair[lashes & (x > 0.7) & (x < 0.8)].mean() < 0.3
