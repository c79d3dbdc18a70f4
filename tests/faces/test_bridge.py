"""Glasses are told by what crosses the nose; folds, shade and hair do not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import gan_space
from gan_space.errors import GlassesError
from gan_space.faces.bridge import bridge_seen
from gan_space.faces.shape import ShapeModel
from gan_space.pipelines.personalization import PersonalizationPipeline

UNIT, MIDDLE, SIZE = 80.0, np.array([150.0, 120.0]), (300, 300)
SKIN = np.array([205.0, 160.0, 140.0])


PHOTO = Path(__file__).resolve().parents[1] / "data" / "samples" / "woman-park.jpg"


def average_face() -> np.ndarray:
    return ShapeModel.load(Path(gan_space.__file__).parent / "assets" / "default" / "shape").mean


def skin() -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 3, (*SIZE, 1))
    slope = np.linspace(1.0, 0.8, SIZE[0])[:, None, None]
    return slope * SKIN + noise


def seen(picture: np.ndarray) -> float:
    photo = torch.from_numpy(picture.round().clip(0, 255).astype(np.uint8)).permute(2, 0, 1).contiguous()
    return bridge_seen(photo, UNIT * average_face() + MIDDLE)


@pytest.mark.parametrize("color", [(30, 28, 28), (232, 214, 208), (120, 60, 50)])
@pytest.mark.parametrize("down", [-0.05, 0.1])
def test_a_bar_across_the_nose_is_a_bridge_whatever_its_color(color, down):
    picture = skin()
    y = int(MIDDLE[1] + down * UNIT)
    cv2.rectangle(picture, (100, y - 2), (200, y + 3), color, -1)
    assert seen(picture) > 0.5


def test_bare_skin_a_fold_shade_and_a_fringe_are_none():
    frown, shade, fringe = skin(), skin(), skin()
    cv2.line(frown, (150, 95), (150, 135), (150, 100, 85), 3)  # folds between brows go down
    shade[:, :150] *= 0.5
    fringe[: int(MIDDLE[1] - 0.25 * UNIT)] = 40
    for picture in (skin(), frown, shade, fringe):
        assert seen(picture) < 0.1


def test_a_face_outside_of_the_photo_shows_nothing():
    assert bridge_seen(torch.full((3, 60, 60), 120, dtype=torch.uint8), UNIT * average_face() + 900) == 0


def test_a_second_pair_is_refused_where_only_the_bridge_of_the_first_is_seen():
    person = PersonalizationPipeline.from_pretrained()
    portrait = person.open(PHOTO)
    (marks,) = portrait.landmarks(person.landmarker)
    assert not person.wears_glasses(portrait)
    pixels = portrait.pixels.permute(1, 2, 0).contiguous().numpy().copy()
    x, y = marks.points[168]
    half, thick = int(0.2 * marks.eye_distance), max(1, int(0.03 * marks.eye_distance))
    cv2.rectangle(pixels, (int(x) - half, int(y)), (int(x) + half, int(y) + 2 * thick), (235, 225, 222), -1)
    worn = portrait.painted_over(torch.from_numpy(pixels).permute(2, 0, 1).contiguous())
    assert person.wears_glasses(worn)
    with pytest.raises(GlassesError):
        person.edit(worn, {}, glasses="round")
