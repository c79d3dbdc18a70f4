"""Warping a photo by moved landmarks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import gan_space
from gan_space.errors import InputError
from gan_space.faces.landmarks import FACE_OVAL
from gan_space.faces.mesh import (
    MAX_AREA,
    MIN_AREA,
    Flow,
    areas,
    face_frame,
    find_flow,
    find_hidden,
    find_places,
    warp_photo,
)
from gan_space.faces.shape import ShapeModel
from tests.faces.drawn_face import drawn_face

SIZE = (420, 400)


def noise(height: int = SIZE[0], width: int = SIZE[1]) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, height, width), dtype=np.uint8))


def wave(landmarks: np.ndarray, unit: float, size: float = 0.06) -> np.ndarray:
    """A smooth displacement of up to `size` face units."""
    place = (landmarks - landmarks.mean(axis=0)) / unit
    return size * unit * np.stack([np.sin(2 * place[:, 1]), np.cos(2 * place[:, 0])], axis=1)


def blob_photo(centre, size=SIZE) -> torch.Tensor:
    """A bright spot of 4 px on grey."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    light = 60 + 190 * np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * 4.0**2))
    return torch.from_numpy(np.repeat(light[None], 3, axis=0).round().astype(np.uint8))


def centre_of(photo: torch.Tensor) -> np.ndarray:
    light = photo[0].double().numpy() - 60
    light = np.where(light > 8, light, 0)
    y, x = np.mgrid[: light.shape[0], : light.shape[1]] + 0.5
    return np.array([(x * light).sum(), (y * light).sum()]) / light.sum()


def test_no_displacement_leaves_the_photo_equal_to_the_bit():
    landmarks, photo = drawn_face(), noise()
    warped = warp_photo(photo, find_flow(landmarks, np.zeros((468, 2)), SIZE))
    assert torch.equal(warped, photo)
    assert warped is not photo


@pytest.mark.parametrize("roll_deg", [0.0, 30.0])
@pytest.mark.parametrize("unit", [40.0, 100.0])
def test_landmarks_arrive_where_they_are_sent(unit, roll_deg):
    landmarks = drawn_face(unit, roll_deg=roll_deg)
    wanted = wave(landmarks, unit)
    flow = find_flow(landmarks, wanted, SIZE)
    assert flow.amount == 1
    missed = np.linalg.norm(flow.move(landmarks) - landmarks - wanted, axis=1) / unit
    assert missed.mean() < 0.005
    assert missed.max() < 0.02


def test_what_stands_at_a_landmark_is_drawn_where_the_landmark_goes():
    landmarks = drawn_face()
    wanted = np.tile([7.3, -4.6], (468, 1))
    number = int(np.linalg.norm(landmarks - (200, 200), axis=1).argmin())
    photo = blob_photo(landmarks[number])
    warped = warp_photo(photo, find_flow(landmarks, wanted, SIZE))
    assert np.allclose(centre_of(photo), landmarks[number], atol=0.1)
    assert np.allclose(centre_of(warped), landmarks[number] + wanted[number], atol=0.25)


def test_a_reading_of_the_flow_is_what_the_photo_does():
    """To a hundredth of a pixel, so that no half of a pixel or of a cell is lost between the two."""
    across = (np.arange(30) - 15)[None, :, None] * np.array([0.8, 0.0])  # grows by 0.1 px a pixel
    flow = Flow(np.repeat(across, 24, axis=0).astype(np.float32), left=4, top=3, cell_px=8, amount=1.0)
    x, y = np.arange(40, 200), np.arange(40, 150)
    photo = torch.from_numpy(np.arange(256, dtype=np.uint8)[None, None].repeat(210, axis=1).repeat(3, axis=0))
    drawn = warp_photo(photo, flow)[0].double().numpy()[np.ix_(y, x)]
    read = flow.at(np.stack(np.meshgrid(x + 0.5, y + 0.5), axis=-1))
    assert (read[..., 1] == 0).all()
    assert abs((drawn - x - read[..., 0]).mean()) < 0.02


def test_everything_outside_the_frame_is_equal_to_the_bit():
    landmarks, photo = drawn_face(60.0), noise()
    flow = find_flow(landmarks, wave(landmarks, 60.0, 0.1), SIZE)
    warped = warp_photo(photo, flow)
    left, top, right, bottom = flow.box
    assert 0 < left < right < SIZE[1] and 0 < top < bottom < SIZE[0]
    changed = (warped != photo).any(dim=0)
    assert changed[top:bottom, left:right].any()
    changed[top:bottom, left:right] = False
    assert not changed.any()


def test_straight_lines_beyond_the_margin_stay_straight_and_bend_smoothly_within_it():
    unit, middle = 60.0, np.array([200.0, 160.0])
    landmarks = drawn_face(unit, middle)
    wanted = (middle - landmarks) * [0.1, 0]  # slimmer by a tenth
    flow = find_flow(landmarks, wanted, SIZE)
    rows = np.linspace(60, 320, 200)
    for distance, limit in ((1.05, 0.1), (1.3, 0.08), (1.75, 0.0)):  # face units from the middle; the face ends at 1
        line = np.stack([np.full(200, middle[0] + distance * unit), rows], axis=1)
        bent = (flow.move(line) - line) / unit
        assert np.abs(bent).max() <= limit
        turned = np.abs(np.diff(bent[:, 0]) / np.diff(rows / unit))
        assert turned.max() < 0.2  # no corner: by less than 12 degrees anywhere


def test_a_displacement_that_would_fold_is_taken_back_until_it_does_not():
    landmarks = drawn_face()
    random = np.random.default_rng(1)
    flow = find_flow(landmarks, random.normal(0, 30, (468, 2)), SIZE)
    assert 0 < flow.amount < 1
    area = areas(flow.shift, flow.cell_px)
    assert area.min() >= MIN_AREA and area.max() <= MAX_AREA


def test_a_fold_in_one_place_is_eased_there_and_the_rest_goes_all_the_way():
    landmarks = drawn_face()
    frame = face_frame(landmarks)
    places = frame.apply(landmarks)
    near = np.exp(-(np.linalg.norm(places - places[61], axis=1) ** 2) / 0.02)  # a corner of the mouth is pulled down
    wanted = np.stack([np.full(468, 3.0), 16.0 * near], axis=1)
    flow = find_flow(landmarks, wanted, SIZE)
    area = areas(flow.shift, flow.cell_px)
    assert area.min() >= MIN_AREA and area.max() <= MAX_AREA
    share = flow.share(landmarks + wanted)[:, 0]
    assert flow.amount == 1 and share[61] < 0.9 and share[263] > 0.99
    assert np.allclose(flow.move(landmarks[[263, 362]]) - landmarks[[263, 362]], wanted[[263, 362]], atol=0.4)
    hidden = landmarks[61] + 60.0 * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    assert find_flow(landmarks, wanted, SIZE, torn=[hidden]).eased is None  # what is drawn over needs none


def test_areas_tell_a_fold_from_a_squeeze():
    x = np.arange(12, dtype=np.float32)
    squeeze = np.zeros((12, 12, 2), np.float32)
    squeeze[..., 0] = x  # reads two pixels for one
    assert np.allclose(areas(squeeze, 1.0), 0.5)
    assert (areas(-2 * squeeze, 1.0) <= 0).all()


def test_the_amount_does_not_depend_on_size_or_roll():
    def moved(unit, roll_deg):
        landmarks = drawn_face(unit, (0.5 * 4 * unit, 1.6 * unit), roll_deg)
        frame = face_frame(landmarks)
        place = frame.apply(landmarks)
        wanted = frame.inverse.apply(place + 0.05 * np.sin(place[:, ::-1] * 3)) - landmarks
        flow = find_flow(landmarks, wanted, (int(5 * unit), int(5 * unit)))
        return frame.apply(flow.move(landmarks)) - place

    assert np.abs(moved(40.0, 0.0) - moved(160.0, 0.0)).max() < 0.012
    assert np.abs(moved(80.0, 0.0) - moved(80.0, 25.0)).max() < 0.012


def test_a_face_cut_by_the_photos_edge_draws_nothing_in_from_beyond():
    landmarks, photo = drawn_face(100.0, (60.0, 100.0)), noise()
    flow = find_flow(landmarks, np.tile([12.0, 6.0], (468, 1)), SIZE)
    warped = warp_photo(photo, flow)
    assert torch.equal(warped[:, 0], photo[:, 0]) and torch.equal(warped[:, :, 0], photo[:, :, 0])
    edge = np.stack([np.full(50, 1.0), np.linspace(1, 300, 50)], axis=1)
    assert (edge + flow.at(edge) >= 0).all()
    assert not torch.equal(warped, photo)


def test_a_face_outside_of_the_photo_changes_nothing():
    landmarks, photo = drawn_face(30.0, (900.0, 900.0)), noise()
    assert torch.equal(warp_photo(photo, find_flow(landmarks, np.full((468, 2), 3.0), SIZE)), photo)


def test_half_a_pixel_keeps_the_sharpness():
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    waves = 128 + 60 * np.sin(x * 2 * np.pi / 6) + 40 * np.sin(y * 2 * np.pi / 7)
    photo = torch.from_numpy(np.repeat(waves[None], 3, axis=0).astype(np.uint8))
    landmarks = drawn_face()
    warped = warp_photo(photo, find_flow(landmarks, np.full((468, 2), 0.5), SIZE))
    inside = (slice(120, 240), slice(150, 250))

    def energy(picture):
        light = picture[0].double().numpy()[inside]
        return (np.diff(light, axis=0) ** 2).mean() + (np.diff(light, axis=1) ** 2).mean()

    assert energy(warped) > 0.97 * energy(photo)


@pytest.mark.parametrize("broken", [np.zeros((3, 2)), np.full((468, 2), np.nan)])
def test_landmarks_of_another_form_are_refused(broken):
    with pytest.raises(InputError, match="468"):
        find_flow(broken, np.zeros((468, 2)), SIZE)
    with pytest.raises(InputError, match="468"):
        find_flow(drawn_face(), broken, SIZE)


def test_the_outline_is_carried_to_the_margin():
    landmarks = drawn_face(60.0)
    flow = find_flow(landmarks, np.tile([6.0, 0.0], (468, 1)), SIZE)
    outline = landmarks[list(FACE_OVAL)]
    away = (outline - outline.mean(axis=0)) / np.linalg.norm(outline - outline.mean(axis=0), axis=1, keepdims=True)
    moved = [np.linalg.norm(flow.at(outline + share * 0.6 * 60 * away), axis=1).mean() for share in (0, 0.5, 1.2)]
    assert moved[0] > 5 and 1 < moved[1] < 2.5 and moved[2] < 0.05


def turned_face(turn_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """An average face with a nose that stands out, and the same turned; [468, 2] each, units of 60 px."""
    average = ShapeModel.load(Path(gan_space.__file__).parent / "assets" / "default" / "shape").mean
    x, y = average.T
    depth = 0.6 * (1 - 0.6 * x * x) + 0.4 * np.exp(-((x / 0.15) ** 2) - ((y - 0.55) / 0.22) ** 2)
    turn = np.radians(turn_deg)
    turned = np.stack([x * np.cos(turn) + depth * np.sin(turn), y], axis=1)
    return average, 60 * turned + (160.0, 120.0)


@pytest.mark.parametrize("turn_deg", [0.0, 70.0, 75.0, -75.0])
def test_skin_is_one_sheet_without_the_places_that_a_nose_hides(turn_deg):
    average, landmarks = turned_face(turn_deg)
    hidden = find_hidden(landmarks, average)
    if not turn_deg:
        assert not hidden.any()
        return
    assert (average[hidden, 0] * turn_deg > 0).all()  # of the half that is turned away
    assert hidden.sum() > 20
    # Between the nearer cheek and the ridge of the nose no more than the flank of that shows.
    ridge, cheek = landmarks[5], landmarks[205 if turn_deg > 0 else 425]
    left, right = sorted((round(ridge[0] - 2 * np.sign(turn_deg)), round(cheek[0])))
    places = find_places(landmarks, average, (left, round(ridge[1]) - 3, right, round(ridge[1]) + 3))
    assert (places[..., 0] * np.sign(turn_deg)).max() < 0.4
