"""Haar boxes on real whole photos: upright, rolled, several, none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from gan_space.errors import ConfigError
from gan_space.faces.align import AlignTransform
from gan_space.faces.detect import FaceBox, HaarDetector, suppress_overlaps
from gan_space.images import to_uint8


def is_on(box: FaceBox, wanted: AlignTransform) -> bool:
    distance = np.linalg.norm(wanted.apply(box.center) - 0.5)
    return distance < 0.2 and 0.7 < box.size / wanted.frame_px < 1.4


@pytest.mark.parametrize("name", ["astronaut", "naval-officer", "woman-lake", "woman-park"])
def test_the_surest_box_is_on_the_face(name, photos, landmarks):
    boxes = HaarDetector()(photos[name])
    assert is_on(boxes[0], AlignTransform.from_landmarks(landmarks[name]))
    assert 0.5 < boxes[0].score <= 1
    assert all(box.score < 0.5 for box in boxes[1:])  # the aligner has the last word on these


@pytest.mark.parametrize("roll_deg", [-32, 30])
def test_a_rolled_face_is_found_and_its_lean_is_told(roll_deg, photos, landmarks):
    view = AlignTransform.from_box(60, 60, 390, roll_deg=-roll_deg)
    rolled = to_uint8(view.crop(photos["woman-lake"], 390))[0]
    moved = view.apply(landmarks["woman-lake"]) * 390
    wanted = AlignTransform.from_landmarks(moved)
    assert wanted.roll_deg == pytest.approx(roll_deg, abs=3)
    boxes = HaarDetector()(rolled)
    assert is_on(boxes[0], wanted)
    assert abs(boxes[0].roll_deg - roll_deg) < 15
    assert not any(is_on(box, wanted) for box in HaarDetector(rolls_deg=())(rolled))


def test_all_faces_of_a_photo_are_found(photos, landmarks):
    together = torch.cat([photos["woman-lake"], photos["naval-officer"]], dim=2)
    boxes = HaarDetector()(together)
    wanted = [
        AlignTransform.from_landmarks(landmarks["woman-lake"]),
        AlignTransform.from_landmarks(np.add(landmarks["naval-officer"], [512, 0])),
    ]
    assert len(boxes) == 2
    assert all(any(is_on(box, one) for box in boxes) for one in wanted)


@pytest.mark.parametrize("shape", [(300, 200), (40, 500), (1, 1)])
def test_no_face_no_box(shape):
    assert HaarDetector()(torch.full((3, *shape), 120, dtype=torch.uint8)) == []


def test_faces_below_the_share_are_not_looked_for(photos):
    assert HaarDetector(min_share=0.9)(photos["woman-lake"]) == []


def test_of_boxes_on_one_face_the_surest_stays():
    sure, unsure = FaceBox(100, 100, 80, 0.9), FaceBox(110, 95, 90, 0.6)
    inside, beside = FaceBox(125, 130, 20, 0.7), FaceBox(220, 100, 80, 0.5)
    assert suppress_overlaps([unsure, inside, beside, sure]) == [sure, beside]


def test_a_box_is_a_first_guess_of_the_frame():
    transform = FaceBox(10, 20, 30, roll_deg=12).transform
    np.testing.assert_allclose(transform.apply([25, 35]), [0.5, 0.5])
    assert (transform.frame_px, transform.roll_deg) == (pytest.approx(30), pytest.approx(12))


def test_all_bad_settings_are_named():
    with pytest.raises(ConfigError, match=r"(?s)min_share .* got 0.*min_neighbors .* got 0"):
        HaarDetector(min_share=0, min_neighbors=0)


def test_threads_that_search_at_once_do_not_disturb_each_other(photos):
    chosen = [photos["astronaut"], photos["woman-lake"][:, 100:400, 60:420]] * 4
    alone = [HaarDetector()(photo) for photo in chosen[:2]]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(HaarDetector(), chosen)) == alone * 4
