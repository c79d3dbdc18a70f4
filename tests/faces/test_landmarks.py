"""Landmarks of a face in a photo: the way from crop to photo and back, and what is read off the places."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

import gan_space
from gan_space.errors import InputError
from gan_space.faces.align import TIGHT_FRAME, AlignTransform
from gan_space.faces.landmarks import (
    FACE_OVAL,
    LEFT_BROW,
    LEFT_EYE,
    LEFT_EYE_CORNERS,
    LIPS,
    MOUTH_CORNERS,
    NOSE_TIP,
    RIGHT_BROW,
    RIGHT_EYE,
    RIGHT_EYE_CORNERS,
    Landmarks,
    find_landmarks,
)
from gan_space.faces.mirror import MIRROR
from gan_space.faces.shape import ShapeModel

CORNERS = (LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS, MOUTH_CORNERS)
NUM = 468


class Output(NamedTuple):
    points: torch.Tensor
    error: torch.Tensor
    presence: torch.Tensor
    covered: torch.Tensor


class DotFinder:
    """Stands in for the network: finds a red, a green and a blue dot where left eye, right eye and mouth would be.

    The other places stand half way to the crop's middle. `gain` below 1 falls short of the right place.
    """

    resolution, view = 96, 1.15

    def __init__(self, gain: float = 1.0):
        self.gain, self.crops = gain, []

    def __call__(self, images: torch.Tensor) -> Output:
        self.crops.append(images)
        axis = (torch.arange(self.resolution) + 0.5) / self.resolution
        light = (images + 1).clamp(min=0) ** 4  # [N, 3, R, R]
        total = light.sum(dim=(2, 3))
        centre = torch.stack([(light.sum(2) * axis).sum(2) / total, (light.sum(3) * axis).sum(2) / total], dim=-1)
        order = (
            centre[:, 1, :1] < centre[:, 0, :1]
        ).long()  # [N, 1]; a mirrored face has its left eye where it is left
        eyes = centre[:, :2].gather(1, torch.cat([order, 1 - order], dim=1)[..., None].expand(-1, -1, 2))
        centre = torch.cat([eyes, centre[:, 2:]], dim=1)
        usual = (torch.tensor(TIGHT_FRAME).float() - 0.5) / self.view + 0.5
        centre = usual + self.gain * (centre - usual)
        points = torch.full([len(images), NUM, 2], 0.5)
        for number, pair in enumerate(CORNERS):
            points[:, list(pair)] = centre[:, number, None]
        points[:, NOSE_TIP] = centre.mean(dim=1)
        return Output(
            points, torch.full([len(images), NUM], 0.03), torch.ones(len(images)), torch.zeros(len(images), 3)
        )


def dotted_photo(dots: np.ndarray, side: int = 300) -> torch.Tensor:
    """A black photo with a red, a green and a blue dot."""
    x, y = np.meshgrid(np.arange(side) + 0.5, np.arange(side) + 0.5)
    photo = [np.exp(-((x - dot[0]) ** 2 + (y - dot[1]) ** 2) / 40) for dot in dots]
    return torch.from_numpy((255 * np.stack(photo)).astype(np.uint8))


DOTS = np.array([[120.0, 130.0], [180.0, 118.0], [162.0, 190.0]])
RIGHT = AlignTransform.from_landmarks(DOTS)


def of_points(points: np.ndarray) -> Landmarks:
    return Landmarks(points, np.full(NUM, 0.02), 1.0, np.zeros(3))


def test_places_come_back_in_photo_pixels():
    found = find_landmarks(dotted_photo(DOTS), RIGHT, DotFinder(), num_passes=1)
    assert found.points.shape == (NUM, 2) and found.points.dtype == np.float64
    for pair, dot in zip(CORNERS, DOTS, strict=True):
        np.testing.assert_allclose(found.of(pair), [dot, dot], atol=0.4)
    np.testing.assert_allclose(found.transform.matrix, RIGHT.matrix, atol=1e-2)
    assert found.error_of(LIPS) == pytest.approx(0.03)


def test_each_pass_starts_from_the_crop_that_the_last_one_found():
    """A finder that goes half of the way ends twice as near with every pass."""
    wrong = RIGHT.then(AlignTransform.from_box(0.08, 0.05, 1.1, 12))
    photo, errors = dotted_photo(DOTS), []
    for num_passes in (1, 2, 3):
        found = find_landmarks(photo, wrong, DotFinder(0.5), num_passes=num_passes)
        errors.append(max(np.abs(found.of(pair) - dot).max() for pair, dot in zip(CORNERS, DOTS, strict=True)))
    assert errors[1] < 0.65 * errors[0] and errors[2] < 0.65 * errors[1]


class SlantedFinder(DotFinder):
    """Puts every place a little too far to the right of the crop, and is surer of the left eye than of the right."""

    def __call__(self, images: torch.Tensor) -> Output:
        output = super().__call__(images)
        error, covered = output.error.clone(), output.covered.clone()
        error[:, 33], error[:, 263], covered[:, 0] = 0.01, 0.05, 1.0
        shift = torch.tensor([2 / self.resolution, 0.0])
        return output._replace(points=output.points + shift, error=error, covered=covered)


def test_what_the_network_says_of_left_and_right_is_taken_from_both_sides():
    """The mirror image's answers come back to the places and sides that they belong to."""
    found = find_landmarks(dotted_photo(DOTS), RIGHT, SlantedFinder(), num_passes=1)
    for pair, dot in zip(CORNERS, DOTS, strict=True):
        np.testing.assert_allclose(found.of(pair), [dot, dot], atol=0.4)
    assert found.error[[33, 263]] == pytest.approx(0.03)
    assert found.covered == pytest.approx([0.5, 0.5, 0.0])


def test_a_pass_that_hardly_moves_the_frame_is_the_last_one():
    photo, finder = dotted_photo(DOTS), DotFinder()
    wrong = RIGHT.then(AlignTransform.from_box(0.12, 0, 1))
    find_landmarks(photo, [RIGHT, wrong, RIGHT], finder, num_passes=3)
    assert [len(crops) for crops in finder.crops] == [6, 2]  # each face and its mirror image; then the wrong one alone


def test_several_faces_go_through_the_network_together_and_keep_their_order():
    photo, finder = dotted_photo(DOTS), DotFinder()
    wrong = RIGHT.then(AlignTransform.from_box(0.05, 0, 1))
    both = find_landmarks(photo, [RIGHT, wrong], finder, num_passes=1)
    assert [len(crop) for crop in finder.crops] == [4]
    alone = find_landmarks(photo, wrong, finder, num_passes=1)
    np.testing.assert_allclose(both[1].points, alone.points, atol=1e-4)
    assert find_landmarks(photo, [], finder) == []


def test_the_mirror_is_its_own_inverse_and_keeps_each_part_of_the_face():
    mirror = np.array(MIRROR)
    np.testing.assert_array_equal(mirror[mirror], np.arange(NUM))
    for left, right in ((LEFT_EYE, RIGHT_EYE), (LEFT_BROW, RIGHT_BROW)):
        assert set(mirror[list(left)]) == set(right)
    for part in (LIPS, FACE_OVAL):
        assert set(mirror[list(part)]) == set(part)


def test_every_place_of_the_mean_face_lies_where_the_mirror_says():
    """The mean was fitted on faces and their mirror images, by the labels' own map; a wrong place is off by 0.07."""
    mean = ShapeModel.load(Path(gan_space.__file__).parent / "assets" / "default" / "shape").mean
    np.testing.assert_allclose(mean[list(MIRROR)] * [-1, 1], mean, atol=1e-6)


def test_bad_input_is_named():
    with pytest.raises(InputError, match="uint8"):
        find_landmarks(torch.zeros(3, 8, 8), RIGHT, DotFinder())
    with pytest.raises(InputError, match="num_passes must be 1 or more, got 0"):
        find_landmarks(dotted_photo(DOTS), RIGHT, DotFinder(), num_passes=0)


@pytest.mark.parametrize("roll_deg", [-30.0, 0.0, 25.0])
@pytest.mark.parametrize("size", [60.0, 700.0])
def test_turn_and_tilt_depend_neither_on_size_nor_on_lean(roll_deg, size):
    frame = np.full((NUM, 2), 0.5)
    for pair, place in zip(CORNERS, TIGHT_FRAME, strict=True):
        frame[list(pair)] = place
    to_photo = AlignTransform.from_box(30, 40, size, roll_deg).inverse
    frame[NOSE_TIP] = (0.5 + 0.39 * 0.25, 0.6)
    right = of_points(to_photo.apply(frame))
    frame[NOSE_TIP] = (0.5, 0.5)
    up = of_points(to_photo.apply(frame))
    assert right.turn == pytest.approx(0.25) and up.turn == pytest.approx(0, abs=1e-9)
    assert right.tilt > 0 > up.tilt
    assert right.transform.roll_deg == pytest.approx(roll_deg)
    assert right.eye_distance == pytest.approx(0.39 * size)


def test_outlines_are_closed_rings_of_different_places():
    for places in (FACE_OVAL, LIPS):
        assert len(set(places)) == len(places) and max(places) < NUM


# The weights in the package


NAMES = ("astronaut", "naval-officer", "woman-lake", "woman-park")


@pytest.mark.parametrize("name", NAMES)
def test_eyes_and_mouth_of_photos_are_found_from_a_wrong_start(name, photos, landmarks, landmarker):
    right = AlignTransform.from_landmarks(landmarks[name])
    wrong = right.then(AlignTransform.from_box(0.1, -0.05, 1.15, 15))
    found = find_landmarks(photos[name], wrong, landmarker)
    eyes, lips = [found.of(pair).mean(axis=0) for pair in CORNERS[:2]], found.of(LIPS)
    middles = np.stack([*eyes, (lips.min(axis=0) + lips.max(axis=0)) / 2])  # a smile lifts the corners off the middle
    distance = np.linalg.norm(middles - landmarks[name], axis=1)
    assert distance.max() < 0.1 * found.eye_distance and distance.mean() < 0.07 * found.eye_distance
    assert found.presence > 0.9 and found.covered.max() < 0.5


def test_a_covered_mouth_is_noticed_and_its_error_grows(photos, landmarks, landmarker):
    photo, right = photos["woman-lake"], AlignTransform.from_landmarks(landmarks["woman-lake"])
    before = find_landmarks(photo, right, landmarker)
    (left, top), (end, bottom) = before.of(LIPS).min(axis=0) - 15, before.of(LIPS).max(axis=0) + 15
    photo = photo.clone()
    photo[:, int(top) : int(bottom), int(left) : int(end)] = 90
    after = find_landmarks(photo, right, landmarker)
    assert after.covered[2] > 0.5 > before.covered[2]
    assert after.error_of(LIPS) > 1.2 * before.error_of(LIPS)
    np.testing.assert_allclose(
        after.of(LIPS).mean(axis=0), before.of(LIPS).mean(axis=0), atol=0.15 * before.eye_distance
    )


def test_noise_is_no_face(landmarker):
    noise = torch.randint(0, 256, [3, 200, 200], generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    assert find_landmarks(noise, AlignTransform.from_box(20, 20, 150), landmarker).presence < 0.5
