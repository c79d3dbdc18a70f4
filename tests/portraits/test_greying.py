"""Hairs of brows and beards turn grey strand by strand; skin, shade and what lies around a face do not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import gan_space
from gan_space.faces.landmarks import LEFT_BROW, RIGHT_BROW
from gan_space.faces.mesh import face_frame
from gan_space.faces.shape import ShapeModel
from gan_space.portraits.greying import change_hairs, find_hairs, find_own_dark

FOLDER = Path(gan_space.__file__).parent / "assets" / "default" / "shape"
UNIT, MIDDLE, SIZE = 80.0, np.array([200.0, 150.0]), (400, 400)
SKIN, HAIR = np.array([200.0, 150.0, 130.0]), np.array([52.0, 34.0, 24.0])
GREY = np.array([170.0, 168.0, 165.0])
JAW = (132, 58, 136, 149, 152, 378, 365, 288, 361, 425, 205)


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return UNIT * ShapeModel.load(FOLDER).mean + MIDDLE


def face(points: np.ndarray, beard: str = "none") -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """A face with brows on a dark wall, and where its brows and beard are; the beard: hairs, grey, shade or none."""
    rng = np.random.default_rng(0)
    strands = cv2.GaussianBlur(rng.normal(0, 1, SIZE), (0, 0), sigmaX=0.7, sigmaY=2.0)
    strands = (0.6 * strands / strands.std()).clip(-1, 1.5)[..., None]
    picture = np.full((*SIZE, 3), SKIN) * (1 + 0.01 * rng.standard_normal(SIZE)[..., None])
    brows, jaw = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    for outline in (LEFT_BROW, RIGHT_BROW):
        cv2.fillPoly(brows, [points[list(outline)].round().astype(np.int32)], 1)
    cv2.fillPoly(jaw, [points[list(JAW)].round().astype(np.int32)], 1)
    if beard == "hairs":
        picture = np.where(jaw[..., None] > 0, HAIR * (1.6 + strands), picture)
    elif beard == "grey":
        picture = np.where(jaw[..., None] > 0, GREY * (1 + 0.25 * strands), picture)
    elif beard == "shade":
        picture = np.where(jaw[..., None] > 0, 0.5 * picture, picture)
    picture = np.where(brows[..., None] > 0, HAIR * (1.6 + strands), picture)
    oval = np.zeros(SIZE, np.uint8)
    cv2.fillConvexPoly(oval, cv2.convexHull(points.astype(np.float32)).astype(np.int32), 1)
    picture = np.where(oval[..., None] > 0, picture, HAIR)
    return torch.from_numpy(picture.clip(0, 255).round().astype(np.uint8)).permute(2, 0, 1), brows > 0, jaw > 0


def lab(photo: torch.Tensor) -> np.ndarray:
    return cv2.cvtColor(photo.permute(1, 2, 0).contiguous().numpy(), cv2.COLOR_RGB2LAB).astype(np.float32)


def changed(photo: torch.Tensor, points: np.ndarray, amount: float) -> torch.Tensor:
    after = photo.clone()
    change_hairs(after, find_hairs(photo, points), amount)
    return after


def test_grey_brows_keep_some_of_the_colour_of_the_skin_that_shines_through(points):
    """Plain grey is blue beside skin."""
    photo, brows, _ = face(points, "none")
    before, old = lab(photo), lab(changed(photo, points, 1.0))
    inner = cv2.erode(brows.astype(np.uint8), np.ones((3, 3))) > 0
    skin = lab(torch.from_numpy(SKIN.astype(np.uint8)).view(3, 1, 1))[0, 0, 1:] - 128
    shown = np.median(old[inner][:, 1:], axis=0) - 128
    assert (shown > 0.4 * skin).all() and (shown < 0.85 * skin).all(), (shown, skin)
    assert old[inner][:, 0].mean() > before[inner][:, 0].mean() + 3


def test_brows_and_beard_turn_grey_and_keep_their_strands(points):
    photo, brows, jaw = face(points, "hairs")
    before = lab(photo)
    inner = cv2.erode(jaw.astype(np.uint8), np.ones((25, 25))) > 0
    for where in (cv2.erode(brows.astype(np.uint8), np.ones((3, 3))) > 0, inner):
        some, old = (lab(changed(photo, points, amount)) for amount in (0.4, 1.0))
        levels = [one[where][:, 0].mean() for one in (before, some, old)]
        assert levels[1] > levels[0] + 0.3 and levels[2] > levels[1] + 3
        chroma = [np.linalg.norm(one[where][:, 1:] - 128, axis=1).mean() for one in (before, old)]
        assert chroma[1] < (0.75 if where is inner else 0.9) * chroma[0]  # skin shines through brows
        assert old[where][:, 0].std() > 0.9 * before[where][:, 0].std()
        assert lab(changed(photo, points, -1.0))[where][:, 0].mean() < levels[0] - 2
    assert torch.equal(changed(photo, points, 0.0), photo)


def test_skin_shade_and_what_is_behind_a_face_are_no_hairs(points):
    for kind in ("none", "shade", "hairs"):
        photo, brows, jaw = face(points, kind)
        touched = (changed(photo, points, 1.0) != photo).any(dim=0).numpy()
        hairs = brows | jaw if kind == "hairs" else brows
        allowed = cv2.dilate(hairs.astype(np.uint8), np.ones((25, 25))) > 0
        assert touched[brows].any() and not touched[~allowed].any(), kind
    photo[:] = 90  # one colour all over
    assert torch.equal(changed(photo, points, 1.0), photo)
    assert torch.equal(changed(photo, points + 900, 1.0), photo)


def test_hair_that_hangs_over_brows_is_left_to_them_who_know_hair(points):
    photo, _, _ = face(points)
    fringe = int(points[list(LEFT_BROW), 1].max()) + 12
    photo[:, :fringe] = torch.from_numpy(HAIR)[:, None, None].to(torch.uint8)
    change = (lab(changed(photo, points, 1.0)) - lab(photo))[: fringe - 12]
    assert np.abs(change).max() < 6


def test_a_beard_hangs_over_the_mesh_and_a_collar_beside_it_stays(points):
    photo, _, _ = face(points, "hairs")
    frame = face_frame(points)
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]] + 0.5
    places = frame.apply(np.stack([x, y], axis=-1).reshape(-1, 2)).reshape(*SIZE, 2)
    oval = np.zeros(SIZE, np.uint8)
    cv2.fillConvexPoly(oval, cv2.convexHull(points.astype(np.float32)).astype(np.int32), 1)
    outside = cv2.dilate(oval, np.ones((7, 7))) == 0
    beyond = cv2.dilate(oval, np.ones((33, 33))) == 0  # wide beards end farther out than the mesh
    below = outside & (places[..., 1] > 0.8)
    tip = below & (np.abs(places[..., 0]) < 0.3)
    strands = np.random.default_rng(1).normal(1.6, 0.6, SIZE).clip(0.6, 3.1)[..., None]
    moved, beside = {}, {}
    for name, color in (("beard", HAIR), ("collar", np.full(3, 38.0))):
        drawn = np.where(below[..., None], color * strands, photo.permute(1, 2, 0).numpy())
        picture = torch.from_numpy(drawn.clip(0, 255).round().astype(np.uint8)).permute(2, 0, 1)
        change = (changed(picture, points, 1.0).int() - picture.int()).abs().amax(dim=0).numpy()
        assert change[~outside].max() > 20
        moved[name] = change[tip].max()
        beside[name] = change[beyond & (np.abs(places[..., 0]) > 0.9)].max()
    assert moved["beard"] > 40 and moved["collar"] < 10, moved
    assert not any(beside.values()), beside  # a beard hangs down


def test_a_wide_beard_turns_grey_up_to_the_ears(points):
    """A red rim along the jaw of a grey beard is painted."""
    rim = (234, 93, 132, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 361, 323, 454, 425, 205)
    photo, _, jaw = face(points, "hairs")
    wide, red, rng = np.zeros(SIZE, np.uint8), np.array([120.0, 62.0, 30.0]), np.random.default_rng(1)
    cv2.fillPoly(wide, [points[list(rim)].round().astype(np.int32)], 1)
    strands = 1 + 0.35 * rng.standard_normal(SIZE).clip(-2, 2)[..., None]
    picture = np.where((wide > 0)[..., None] | jaw[..., None], red * strands, photo.permute(1, 2, 0).numpy())
    photo = torch.from_numpy(picture.clip(0, 255).astype(np.uint8)).permute(2, 0, 1)
    before, after = lab(photo), lab(changed(photo, points, 1.0))
    chroma = [cv2.blur(np.linalg.norm(one[..., 1:] - 128, axis=2), (5, 5)) for one in (before, after)]
    for x, y in (points[[93, 323, 132, 361]] * 0.92 + 0.08 * points[13]).astype(int):
        assert chroma[1][y, x] < 0.75 * chroma[0][y, x], (x, y, chroma[0][y, x], chroma[1][y, x])


def test_a_grey_beard_gets_dark_with_youth_strand_by_strand_and_skin_does_not(points):
    inner = {}
    for kind in ("grey", "none", "shade"):
        photo, brows, jaw = face(points, kind)
        hairs = find_hairs(photo, points)
        own = find_own_dark(photo, hairs, float(SKIN @ (0.299, 0.587, 0.114)))
        assert own.bright < 70 and own.tint[0] > own.tint[2]  # as the brows are
        after = photo.clone()
        change_hairs(after, hairs, -1.0, dark=own)
        middle = cv2.erode(jaw.astype(np.uint8), np.ones((25, 25))) > 0
        inner[kind] = [lab(one)[middle][:, 0] for one in (photo, after)]
        touched = (after != photo).any(dim=0).numpy() & ~brows & ~jaw
        assert touched.mean() < 0.02, kind
    assert inner["grey"][1].mean() < 0.7 * inner["grey"][0].mean() and inner["grey"][1].std() > 4
    for kind in ("none", "shade"):
        assert np.abs(inner[kind][1] - inner[kind][0]).max() < 3, kind
    photo, _, jaw = face(points, "grey")
    after, own = photo.clone(), find_own_dark(photo, find_hairs(photo, points), 160.0, believed=0.0)
    change_hairs(after, find_hairs(photo, points), -1.0, dark=own)
    assert (after.int() - photo.int()).abs().amax(dim=0).numpy()[jaw].mean() < 6  # fair


@pytest.mark.parametrize("kind", ["full", "behind glasses", "goatee", "shadow of a nose"])
def test_a_beard_is_found_where_men_have_one(points, kind):
    """Frames make cheeks as rough as a chin, most of a goatee's chin is skin, and what is dark below a nose no hair."""
    photo, _, _ = face(points, "none" if kind in ("goatee", "shadow of a nose") else "hairs")
    picture = photo.permute(1, 2, 0).contiguous().numpy()
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    strands = cv2.GaussianBlur(np.random.default_rng(3).normal(0, 1, SIZE), (0, 0), sigmaX=0.7, sigmaY=2.0)
    hairs = HAIR * (1.6 + (0.6 * strands / strands.std()).clip(-1, 1.5)[..., None])
    where = (np.abs(x - points[2, 0]) < 22) & (y > points[2, 1] + 2) & (y < points[0, 1])
    if kind == "goatee":
        away = np.hypot(x - points[13, 0], y - points[13, 1] - 10)
        where = (away > 22) & (away < 46)
    picture[where] = picture[where] * 0.5 if kind == "shadow of a nose" else hairs[where]
    if kind == "behind glasses":
        for below in ((118, 119), (347, 348)):
            cv2.polylines(picture, [points[list(below)].astype(np.int32)], False, (20, 20, 20), 2)
    found = find_hairs(torch.from_numpy(picture).permute(2, 0, 1).contiguous(), points).beard
    assert found.max() == 0 if kind == "shadow of a nose" else found.max() > 0.6


def test_thin_brows_turn_as_grey_as_thick_ones(points):
    """What shines between their hairs is skin: it does not say that they are light already."""
    photo, brows, _ = face(points)
    thin = photo.clone()
    rows = np.arange(SIZE[0])[:, None] % 4 < 2
    thin[:, torch.from_numpy(brows & rows)] = torch.from_numpy(SKIN).to(torch.uint8)[:, None]
    lifts = []
    for one, where in ((photo, brows), (thin, brows & ~rows)):
        where = where & (lab(one)[..., 0] < 110)
        lifts.append(float((lab(changed(one, points, 1.0)) - lab(one))[where][:, 0].mean()))
    assert lifts[1] > 0.6 * lifts[0] > 6, lifts


def test_thick_brows_turn_grey_all_over_and_skin_beside_them_stays(points):
    """Beside silver hair black brows look dyed; and skin that a brow covers does not say that hair hangs over it."""
    photo, brows, _ = face(points)
    thick = cv2.dilate(brows.astype(np.uint8), np.ones((11, 11))) > 0
    strands = np.random.default_rng(2).normal(1.3, 0.4, SIZE).clip(0.5, 2.2)[..., None]
    drawn = np.where(thick[..., None], HAIR * strands, photo.permute(1, 2, 0).numpy())
    photo = torch.from_numpy(drawn.clip(0, 255).round().astype(np.uint8)).permute(2, 0, 1).contiguous()
    lift = (lab(changed(photo, points, 1.0)) - lab(photo))[..., 0]
    assert np.quantile(lift[brows], 0.2) > 25 and 30 < lift[brows].mean() < 60, np.quantile(lift[brows], (0.2, 0.5))
    beside = (cv2.dilate(thick.astype(np.uint8), np.ones((25, 25))) > 0) & ~thick
    assert np.abs(lift[beside]).max() < 6
