"""What is drawn of what was seen: on nothing, within the face, in the colours of error and cover."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gan_space.faces.landmarks import LEFT_EYE, LIPS_INNER, LIPS_OUTER, RIGHT_EYE, Landmarks
from gan_space.pipelines.inspection import SURE, UNSURE, SeenFace, draw_seen, seen_layer

SIZE = (160, 140)  # width, height


def ring(places: tuple[int, ...], x: float, y: float, radius: float) -> tuple[list[int], np.ndarray]:
    angles = np.linspace(0, 2 * np.pi, len(places), endpoint=False)
    return list(places), np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)


@pytest.fixture
def marks() -> Landmarks:
    """Two eyes and a mouth as circles; all other places lie on one spot of the forehead."""
    points = np.full((468, 2), (80.0, 20.0))
    for places, middle in (
        (LEFT_EYE, (50, 50)),
        (RIGHT_EYE, (110, 50)),
        (LIPS_OUTER, (80, 105)),
        (LIPS_INNER, (80, 105)),
    ):
        rows, there = ring(places, *middle, 12)
        points[rows] = there
    return Landmarks(points, np.full(468, SURE), 1.0, np.zeros(3))


def colors(marks: Landmarks) -> np.ndarray:
    """What is drawn of one face: [H, W, 4]."""
    return np.asarray(seen_layer(SIZE, [SeenFace(None, marks)])).astype(int)


def has_red(drawn: np.ndarray, x: int, y: int) -> bool:
    """Whether a covered part's colour is among what is drawn around a middle."""
    part = drawn[y - 16 : y + 16, x - 16 : x + 16].reshape(-1, 4)
    return bool(((part[:, 3] > 200) & (part[:, 0] > 200) & (part[:, 1] < 110)).any())


def test_a_layer_holds_the_lines_alone_and_the_photo_keeps_its_pixels_beside_them(marks):
    drawn = colors(marks)
    assert drawn.shape == (SIZE[1], SIZE[0], 4) and (drawn[..., 3] > 200).any()
    assert (drawn[:2, :, 3] == 0).all() and (drawn[-4:, :, 3] == 0).all() and (drawn[50, 50, 3] == 0).all()
    photo = torch.randint(0, 256, (3, SIZE[1], SIZE[0]), dtype=torch.uint8)
    over = np.asarray(draw_seen(photo, [SeenFace(None, marks)]))
    free = drawn[..., 3] == 0
    assert (over[free] == photo.permute(1, 2, 0).numpy()[free]).all()
    assert (over[~free] != photo.permute(1, 2, 0).numpy()[~free]).any()


@pytest.mark.parametrize(("number", "middle"), [(0, (50, 50)), (1, (110, 50)), (2, (80, 105))])
def test_a_covered_part_is_red_and_no_other(marks, number, middle):
    covered = np.zeros(3)
    covered[number] = 0.9
    drawn = colors(replace(marks, covered=covered))
    middles = [(50, 50), (110, 50), (80, 105)]
    assert [has_red(drawn, *one) for one in middles] == [one == middle for one in middles]


def test_dots_tell_how_far_off_a_place_may_be(marks):
    x, y = 80, 20
    sure, unsure = (colors(replace(marks, error=np.full(468, error)))[y, x] for error in (SURE, UNSURE))
    assert sure[1] > sure[0] and unsure[0] > unsure[1] + 60


def test_a_face_that_is_partly_or_wholly_outside_breaks_nothing(marks):
    for shift in ((100, 0), (-140, 0), (1000, 1000)):
        seen_layer(SIZE, [SeenFace(None, replace(marks, points=marks.points + shift))])
