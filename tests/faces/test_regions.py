"""Soft masks of the parts of a face."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from gan_space.errors import InputError
from gan_space.faces.eyes import IRIS_RADIUS, find_irises
from gan_space.faces.masks import draw_soft, smooth_outline
from gan_space.faces.regions import REGIONS, find_fringe, find_region, find_skin
from tests.faces.drawn_face import EYES, LIPS, OPENING, OVAL, drawn_face

UNIT, MIDDLE, SIZE = 100.0, np.array([200.0, 160.0]), (420, 400)


def area(ellipse_) -> float:
    """Of an ellipse in face units."""
    return float(np.pi * np.prod(ellipse_[1]))


def sum_of(name: str, unit: float = UNIT, **options) -> float:
    """Area of a region in square face units."""
    size = (int(4.2 * unit), int(4 * unit))
    landmarks = drawn_face(unit, (2.0 * unit, 1.6 * unit))
    return float(find_region(landmarks, name, size, **options).values.sum()) / unit**2


def disc(radius: float, middle=(100.0, 100.0)) -> np.ndarray:
    angle = np.arange(400) * 2 * np.pi / 400
    return np.asarray(middle) + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)


@pytest.mark.parametrize("feather_px", [0.0, 1.0, 5.0, 20.0, 60.0])
@pytest.mark.parametrize("radius", [30.0, 30.4])
def test_a_disc_has_its_area_whatever_the_feather(radius, feather_px):
    mask = draw_soft([disc(radius)], (200, 200), feather_px)
    assert mask.values.sum() == pytest.approx(np.pi * radius**2, rel=0.015)


@pytest.mark.parametrize("feather_px", [3.0, 8.0, 24.0, 60.0])
def test_an_edge_is_as_wide_as_asked(feather_px):
    half_plane = np.array([[-400.0, -400.0], [100.3, -400.0], [100.3, 600.0], [-400.0, 600.0]])
    edge = draw_soft([half_plane], (200, 200), feather_px).full(200, 200)[100].numpy()
    x = np.arange(200) + 0.5
    at = [np.interp(level, edge[::-1], x[::-1]) for level in (0.9, 0.5, 0.1)]
    assert at[1] == pytest.approx(100.3, abs=max(0.3, 0.03 * feather_px))
    assert at[2] - at[0] == pytest.approx(feather_px, rel=0.08, abs=0.3)


def test_the_photos_edge_softens_nothing():
    whole = np.array([[-50.0, -50.0], [250.0, -50.0], [250.0, 250.0], [-50.0, 250.0]])
    assert draw_soft([whole], (200, 200), 30.0).full(200, 200).min() > 0.98


def test_half_a_pixel_shows_in_the_edge():
    box = np.array([[10.0, 10.0], [20.5, 10.0], [20.5, 30.0], [10.0, 30.0]])
    edge = draw_soft([box], (40, 40), 0.0).full(40, 40)[20]
    assert edge[19] == 1 and edge[21] == 0
    assert edge[20] == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("unit", [40.0, 100.0])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("face", area(OVAL)),
        ("mouth", area(LIPS)),
        ("mouth_opening", area(OPENING)),
        ("lips", area(LIPS) - area(OPENING)),
        ("eye_left", area(EYES[0])),
        ("eyes", 2 * area(EYES[0])),
    ],
)
def test_regions_have_the_areas_of_their_outlines(name, expected, unit):
    assert sum_of(name, unit) == pytest.approx(expected, rel=0.04)


def test_irises_are_round_where_the_eye_is_open_enough():
    radius = IRIS_RADIUS
    assert sum_of("irises", feather=0.0) == pytest.approx(2 * np.pi * radius**2, rel=0.05)


def test_left_and_right_are_mirrored():
    landmarks = drawn_face(UNIT, MIDDLE)
    left, right = (find_region(landmarks, f"eye_{side}", SIZE).full(*SIZE) for side in ("left", "right"))
    assert (left - right.flip(1)).abs().max() < 0.1
    assert left[:, :200].sum() > 100 and left[:, 200:].sum() == 0


def test_all_regions_stay_within_0_and_1_and_within_the_face():
    landmarks = drawn_face(UNIT, MIDDLE)
    face = find_region(landmarks, "face", SIZE, feather=0.9).full(*SIZE)
    for name in REGIONS:
        mask = find_region(landmarks, name, SIZE, photo=torch.full((3, *SIZE), 127, dtype=torch.uint8)).full(*SIZE)
        assert mask.min() >= 0 and mask.max() <= 1.0001
        assert mask.max() > 0.5, name
        if name != "forehead":  # it may go above the mesh
            assert mask[face < 0.01].max() < 0.05, name


def test_skin_leaves_out_eyes_brows_and_mouth():
    landmarks = drawn_face(UNIT, MIDDLE)
    skin, mouth, eyes = (find_region(landmarks, name, SIZE).full(*SIZE) for name in ("skin", "mouth", "eyes"))
    assert skin[mouth > 0.999].max() < 0.15 and skin[eyes > 0.999].max() < 0.15
    assert skin[320, 200] == pytest.approx(1, abs=1e-3)  # the chin


def test_a_face_beyond_the_photo_gives_an_empty_mask():
    landmarks = drawn_face(UNIT, (900.0, 160.0))
    mask = find_region(landmarks, "lips", SIZE)
    assert mask.values.size == 0 and mask.full(*SIZE).sum() == 0


def eye_photo(shift: float) -> torch.Tensor:
    """White eyes with dark irises that look to one side, on skin."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    light = np.full(SIZE, 150.0)
    for (ex, ey), (a, b) in EYES:
        px, py = MIDDLE + UNIT * np.array([ex, ey])
        light[((x - px) / (a * UNIT)) ** 2 + ((y - py) / (b * UNIT)) ** 2 < 1] = 230
        light[(x - px - shift * UNIT) ** 2 + (y - py) ** 2 < (IRIS_RADIUS * UNIT) ** 2] = 40
    return torch.from_numpy(np.repeat(light[None], 3, axis=0).astype(np.uint8))


@pytest.mark.parametrize("shift", [-0.08, 0.0, 0.06])
def test_irises_are_found_where_they_look(shift):
    irises = find_irises(drawn_face(UNIT, MIDDLE), eye_photo(shift))
    expected = MIDDLE + UNIT * np.array([[-0.5 + shift, 0.0], [0.5 + shift, 0.0]])
    assert np.abs(irises[:, :2] - expected).max() < 2.0
    assert np.allclose(irises[:, 2], IRIS_RADIUS * UNIT)


def test_without_a_photo_irises_look_ahead():
    irises = find_irises(drawn_face(UNIT, MIDDLE))
    assert np.abs(irises[:, :2] - (MIDDLE + UNIT * np.array([[-0.5, 0.0], [0.5, 0.0]]))).max() < 1e-6


def test_skin_without_any_light_is_skin_in_any_light():
    """A black face, as under a bar: nothing is divided by its light."""
    photo, box = torch.zeros(3, 420, 400, dtype=torch.uint8), (100, 100, 300, 300)
    landmarks = drawn_face(UNIT, (2.0 * UNIT, 1.6 * UNIT))
    with np.errstate(invalid="raise", divide="raise"):
        lit = find_skin(landmarks, photo, box, any_light=True)
        assert not find_fringe(landmarks, photo, box).any()
    assert (lit >= find_skin(landmarks, photo, box)).all() and lit.min() > 0.9


def test_the_forehead_ends_where_the_hair_begins():
    photo = torch.full((3, *SIZE), 0, dtype=torch.uint8)
    photo[:] = torch.tensor([205, 160, 140], dtype=torch.uint8)[:, None, None]
    hair = 60  # rows; the mesh begins at row 80
    photo[:, :hair] = torch.tensor([40, 30, 25], dtype=torch.uint8)[:, None, None]
    landmarks = drawn_face(UNIT, MIDDLE)
    seen = find_region(landmarks, "forehead", SIZE, photo=photo).full(*SIZE)
    blind = find_region(landmarks, "forehead", SIZE).full(*SIZE)
    assert seen[hair + 8, 200] > 0.9 and seen[hair - 8, 200] < 0.1
    assert blind[hair + 8, 200] < 0.2 and blind[95, 200] > 0.9


def test_a_spline_passes_its_landmarks_and_keeps_corners():
    landmarks = drawn_face(UNIT, MIDDLE)
    from gan_space.faces import regions

    outline = smooth_outline(landmarks, regions._LIPS_OUTER)
    places = landmarks[list(regions._LIPS_OUTER[0])]
    assert np.allclose(outline[::6], places)
    radius = np.linalg.norm((outline - MIDDLE - UNIT * np.array(LIPS[0])) / (UNIT * np.array(LIPS[1])), axis=1)
    assert np.abs(radius - 1).max() < 0.03


def test_unknown_regions_and_other_forms_are_refused():
    with pytest.raises(InputError, match="lips"):
        find_region(drawn_face(), "ears", SIZE)
    with pytest.raises(InputError, match="feather"):
        find_region(drawn_face(), "lips", SIZE, feather=-1)
    with pytest.raises(InputError, match="468"):
        find_region(np.zeros((4, 2)), "lips", SIZE)
    with pytest.raises(InputError, match="size"):
        find_region(drawn_face(), "lips", SIZE, photo=torch.zeros(3, 10, 10, dtype=torch.uint8))


@pytest.mark.parametrize("glare", [None, (250, 248, 246), (245, 235, 225)])
def test_a_glaring_forehead_below_dark_hair_is_no_hair(glare):
    photo = np.full((*SIZE, 3), (30, 22, 18), np.uint8)
    y, x = (np.mgrid[: SIZE[0], : SIZE[1]] + 0.5 - MIDDLE[::-1, None, None]) / UNIT
    photo[((x - OVAL[0][0]) / OVAL[1][0]) ** 2 + ((y - OVAL[0][1]) / OVAL[1][1]) ** 2 < 1] = (168, 120, 92)
    shiny = (x / 0.3) ** 2 + ((y + 0.6) / 0.24) ** 2 < 1
    if glare:
        photo[shiny] = glare
    top = 40
    picture = torch.from_numpy(photo).permute(2, 0, 1).contiguous()
    hair = find_fringe(drawn_face(UNIT, MIDDLE), picture, (0, top, SIZE[1], SIZE[0]))
    assert hair[shiny[top:]].mean() < 0.1
    assert hair[(np.hypot(x / 0.3, (y + 1.0) / 0.08) < 1)[top:]].mean() > 0.9


@pytest.mark.parametrize("degrees", [0, 20, 45, 90, 180, -100])
def test_hair_hangs_from_the_top_of_a_face_that_leans_or_lies(degrees):
    photo, points = np.full((400, 400, 3), (168, 120, 92), np.uint8), drawn_face(50.0, (200.0, 200.0))
    y, x = (np.mgrid[:400, :400] + 0.5 - 200) / 50.0
    fringe = (y < -0.1) & (y > -1.6) & (np.abs(x) < 0.6)
    photo[(y < -1.0) | fringe] = (30, 22, 18)
    matrix = cv2.getRotationMatrix2D((200, 200), degrees, 1.0)
    photo, fringe = (
        cv2.warpAffine(one, matrix, (400, 400), borderMode=cv2.BORDER_REPLICATE)
        for one in (photo, fringe.astype(np.float32))
    )
    left, top, right, bottom = box = 90, 80, 330, 310
    picture = torch.from_numpy(photo).permute(2, 0, 1).contiguous()
    hair = find_fringe(points @ matrix[:, :2].T + matrix[:, 2], picture, box)
    fringe = fringe[top:bottom, left:right]
    assert hair.shape == fringe.shape
    edge = cv2.dilate(fringe, np.ones((9, 9))) > 0.5
    assert hair[cv2.erode(fringe, np.ones((21, 21))) > 0.9].mean() > 0.8
    assert hair[~edge].mean() < 0.1
