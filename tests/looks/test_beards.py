"""Which faces have a beard that is drawn hair by hair."""

import cv2
import numpy as np
import pytest

from gan_space.faces.masks import draw_soft
from gan_space.faces.regions import find_region
from gan_space.looks.drawing.beards import _ABOVE_LIP, find_beards
from tests.looks.painted_face import portrait

SIZE = 256


def much(jaw, lip, rough):
    """How bearded a face is said to be, its jaw and lip this light beside its cheeks, and so much rougher."""
    points = portrait(SIZE)[1][0].points
    regions = [find_region(points, name, (SIZE, SIZE)).full(SIZE, SIZE).numpy() for name in ("lips", "skin")]
    below = np.arange(SIZE)[:, None] > points[13, 1] - 0.01 * SIZE
    above = draw_soft([points[_ABOVE_LIP]], (SIZE, SIZE), 2).full(SIZE, SIZE).numpy() > 0.1
    depth = np.where(above, lip, np.where(below, jaw, 1.0))
    fine = cv2.GaussianBlur(np.random.RandomState(0).standard_normal((SIZE, SIZE)), (0, 0), 1.2)
    tone = 0.6 * depth + 0.01 * fine / fine.std() * np.where(above | below, rough, 1.0)
    cheeks = regions[1] * ~(above | below)
    unit = float(np.hypot(*(points[33] - points[263])))
    tone = tone.astype(np.float32)
    ((_, _, found),) = find_beards([points], tone, tone, regions[0], [cheeks], unit)
    return found


@pytest.mark.parametrize(
    ("jaw", "lip", "rough"),
    [(0.5, 0.3, 1.5), (0.84, 0.6, 2.8), (0.65, 0.6, 2.3)],
    ids=["black, that hides its hairs", "greying below a dark lip", "short"],
)
def test_beards_are_told(jaw, lip, rough):
    assert much(jaw, lip, rough) > 0.7


@pytest.mark.parametrize(
    ("jaw", "lip", "rough"),
    [(0.5, 0.55, 1.4), (0.84, 0.8, 2.3), (0.69, 0.72, 2.0), (0.98, 0.5, 1.8), (0.8, 0.62, 2.0)],
    ids=["shade", "stubble", "rough shade", "dark lip", "a smile in shade"],
)
def test_skin_in_shade_and_stubble_are_no_beard(jaw, lip, rough):
    assert much(jaw, lip, rough) < 0.2
