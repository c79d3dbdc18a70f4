"""Lids move, with their lashes, over eyeballs that stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import gan_space
from gan_space.faces.eyes import EYES, IRIS_RADIUS, find_eyes, snap_lids
from gan_space.faces.shape import ShapeModel
from gan_space.faces.shape_flow import find_shape_flow
from gan_space.portraits.shape import reshape_face
from tests.faces.painted_eyes import MIDDLE, UNIT, paint_eyes

MODEL = ShapeModel.load(Path(gan_space.__file__).parent / "assets" / "default" / "shape")
LANDMARKS = MIDDLE + UNIT * MODEL.mean
HALF, LOWER = 0.22, 0.05
X, Y = (int(one) for one in MIDDLE + UNIT * np.array([0.5, 0.0]))  # the middle of an eye


def dark_above(photo: torch.Tensor, x: int) -> float:
    """The middle of the lashes above an eye, px."""
    column = 255.0 - photo[:, Y - 30 : Y - 2, x].float().mean(dim=0).numpy()
    weight = (column - 150).clip(0)
    return Y - 30 + 0.5 + float((weight * np.arange(len(column))).sum() / weight.sum())


@pytest.mark.parametrize("amount", [-1.5, 2.0])
@pytest.mark.parametrize("upper", [0.085, 0.07])
def test_lids_go_all_the_way_and_irises_stay_round(amount, upper):
    photo = paint_eyes(upper, LOWER, half=HALF)
    edited, flow, _ = reshape_face(photo, LANDMARKS, {"eyes_open": amount}, MODEL)
    sent = flow.amount * MODEL.displace(LANDMARKS, {"eyes_open": amount})[[385, 386, 387], 1].mean()
    assert abs(sent) > 0.01 * UNIT
    side = X + int(0.12 * UNIT)  # beside the iris
    assert (dark_above(edited, side) - dark_above(photo, side)) / sent > 0.6
    iris = [(one[2] - one[0]).numpy().astype(float) > 20 for one in (photo.float(), edited.float())]  # bluer than red
    level = [one[Y, X - 30 : X + 30].sum() for one in iris]
    assert level[0] == pytest.approx(2 * IRIS_RADIUS * UNIT, abs=1.5) and abs(level[1] - level[0]) <= 1
    y, x = np.nonzero(iris[1][Y - 30 : Y + 30, X - 30 : X + 30])
    # A rim of what shows goes with the lid.
    furthest = max(IRIS_RADIUS + 0.035, upper - 1.25 * sent / UNIT + 0.01)
    assert np.hypot(x - 29.5, y - 29.5).max() < furthest * UNIT
    if amount > 0:  # what the lid hid is a part of the same disc
        assert iris[1].sum() > iris[0].sum()


@pytest.mark.parametrize("amount", [-1.5, 1.0, 2.0])
@pytest.mark.parametrize("upper", [0.085, 0.12])
def test_upper_lids_go_as_far_as_they_are_sent_and_push_no_skin_into_a_fold(amount, upper):
    """Every place of a lid, also of one that lies higher than its landmarks, close to its crease."""
    photo, edges = paint_eyes(upper, LOWER, half=HALF), [place for edge, _ in EYES for place in edge[9:16]]
    flow = find_shape_flow(photo, LANDMARKS, {"eyes_open": amount}, MODEL).flow
    lids = snap_lids(LANDMARKS, find_eyes(photo, LANDMARKS))[edges]
    sent = flow.amount * MODEL.displace(LANDMARKS, {"eyes_open": amount})[edges]
    came_from = lids + sent + flow.at(lids + sent)
    assert np.abs(came_from - lids).max() < 0.006 * UNIT
    for x in lids[:, 0]:  # skin from the lid to the brow keeps its order and some of its height
        y = np.arange(lids[:, 1].min() - 0.25 * UNIT, lids[:, 1].max(), 0.01 * UNIT)
        column = np.stack([np.full(len(y), x), y], axis=1)
        pace = np.diff((column + flow.at(column))[:, 1]) / (0.01 * UNIT)
        assert pace.min() > 0.3 and pace.max() < 3


def test_a_lid_that_closes_covers_the_eyeball_and_moves_none_of_it():
    photo = paint_eyes(0.085, LOWER, half=HALF)
    edited, _, _ = reshape_face(photo, LANDMARKS, {"eyes_open": -1.5}, MODEL)
    assert torch.equal(edited[:, Y - 1 : Y + 2, X - 5 : X + 6], photo[:, Y - 1 : Y + 2, X - 5 : X + 6])


def test_where_lids_and_eyeballs_go_together_nothing_is_laid_in():
    photo = paint_eyes(0.085, LOWER, half=HALF)
    for values, count in (({"face_width": 1.0}, 0), ({"eye_size": 1.0}, 0), ({"eyes_open": 1.0}, 2)):
        assert len(find_shape_flow(photo, LANDMARKS, values, MODEL).eyeballs) == count, values
