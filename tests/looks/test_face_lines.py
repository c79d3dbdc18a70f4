"""A pen's lines of a face: where its landmarks say, also where the photo shows no edge, and not where hair is."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from gan_space.faces import landmarks as at
from gan_space.looks.drawing.blocks import drop_specks
from gan_space.looks.drawing.canvas import Canvas
from gan_space.looks.drawing.draw import draw
from gan_space.looks.drawing.face_lines import draw_face_lines
from tests.looks.painted_face import portrait

SIDE = 256
CHIN = (400, 377, 152, 148, 176)


def darkest(picture: np.ndarray, points: np.ndarray, reach: int = 5) -> np.ndarray:
    """The least around each of [K, 2] px in [h, w]."""
    corners = (points - reach).astype(int)
    return np.array([picture[y : y + 2 * reach, x : x + 2 * reach].min() for x, y in corners])


@pytest.mark.parametrize("places", [CHIN, (64, 294), (13, 14), (159, 386)], ids=["chin", "nose", "lips", "lids"])
def test_line_art_draws_a_face_that_light_does_not_show(places):
    _, marks = portrait(SIDE)
    pixels = torch.tensor([222, 180, 155], dtype=torch.uint8).view(3, 1, 1).expand(3, SIDE, SIDE).contiguous()
    drawn = draw(pixels, "line-art", marks)[0].numpy()
    assert (darkest(drawn, marks[0].of(places)) < 120).all()
    assert darkest(drawn, marks[0].of((50, 280, 151))).min() > 230  # cheeks and forehead


@pytest.mark.parametrize("hidden", [(70, 42, 30), (205, 150, 60)], ids=["dark hair", "fair hair"])
def test_hair_over_a_jaw_gets_no_jaw_line(hidden):
    _, marks = portrait(SIDE)
    pixels = torch.tensor([222, 180, 155], dtype=torch.uint8).view(3, 1, 1).repeat(1, SIDE, SIDE)
    chin = marks[0].points[at.CHIN]
    # The jaw to the right of the chin, from below the nose: cheeks stay bare.
    pixels[:, int(marks[0].points[94, 1]) :, int(chin[0]) + 12 :] = torch.tensor(hidden).view(3, 1, 1)
    lines = draw_face_lines(Canvas.of(pixels, marks, 0))
    scale = lines.shape[0] / SIDE
    bare, under = (darkest(-lines, scale * marks[0].of(places)) for places in ((149, 150), (379, 365)))
    assert (bare < -0.5).all() and (under > -0.2).all()


def test_a_jaw_above_a_hanging_beard_gets_no_line_of_its_own():
    """Sparse hair above, dense hair below, and no edge between: a jaw drawn across a beard is a string around it."""
    _, marks = portrait(SIDE)
    unit = marks[0].eye_distance
    oval = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(oval, [np.round(marks[0].of(at.FACE_OVAL)).astype(np.int32)], 1)
    below = cv2.GaussianBlur(1.0 - oval, (0, 0), 0.3 * unit)[None]
    skin, beard = (np.array(colour, float)[:, None, None] for colour in ((222, 180, 155), (60, 42, 30)))
    drawn = {}
    for name, hair in (("bare", 0 * below), ("bearded", below * (np.arange(SIDE)[:, None] > marks[0].points[13, 1]))):
        pixels = torch.from_numpy((skin + hair * (beard - skin)).astype(np.uint8))
        lines = draw_face_lines(Canvas.of(pixels, marks, 0))
        drawn[name] = darkest(-lines, lines.shape[0] / SIDE * marks[0].of(CHIN))
    assert (drawn["bare"] < -0.5).all() and (drawn["bearded"] > -0.25).all()


def test_a_jaw_in_a_beard_gets_no_line_of_its_own(monkeypatch):
    """Where the room of a beard ends softly on the jaw, a thin arc would stay."""
    pixels, marks = portrait(SIDE)
    drawn = []
    for beard in (0.0, 0.4):
        monkeypatch.setattr(Canvas, "is_bearded", property(lambda canvas, much=beard: much > 0))
        monkeypatch.setattr(
            Canvas, "beard_room", property(lambda canvas, much=beard: torch.full((1, 1, *canvas.work_size), much))
        )
        lines = draw_face_lines(Canvas.of(pixels, marks, 0))
        drawn.append(darkest(-lines, lines.shape[0] / SIDE * marks[0].of(CHIN)))
    assert (drawn[0] < -0.5).all() and (drawn[1] > -0.1).all()


def test_a_covered_mouth_gets_no_lips():
    pixels, marks = portrait(SIDE)
    hidden = [replace(marks[0], covered=np.array([0.0, 0.0, 1.0]))]
    open_, covered = (draw_face_lines(Canvas.of(pixels, faces, 0)).sum() for faces in (marks, hidden))
    assert covered < 0.9 * open_


def test_specks_are_dropped_and_lines_stay():
    x = torch.zeros(1, 1, 40, 60)
    x[..., 5:8, 5:8] = 1
    x[..., 20, 5:55] = 1
    left = drop_specks(x, 0.5, 20)
    assert left[..., 5:8, 5:8].max() < 0.5
    assert (left[..., 20, 5:55] == 1).all() and (left[..., 30:, :] == 0).all()
