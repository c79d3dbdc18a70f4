"""Tone and light of another picture: they reach the whole photo, and leave the skin as light as it was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gan_space.errors import InputError
from gan_space.faces.regions import find_region
from gan_space.looks.grade import grade
from gan_space.looks.makeup_reference import PARTS, MakeupReference, apply_makeup, read_makeup
from gan_space.looks.tone import Tone
from tests.faces.drawn_face import drawn_face
from tests.looks.painted_face import MIDDLE, SKINS, UNIT, face_photo, lightness, marks_of, moved, person

ALONE = dict.fromkeys(PARTS, 0) | {"tone": 1}
GRADES = {
    "faded": {"fade": 1.0, "contrast": -0.5},
    "warm": {"warmth": 1.0},
    "cool": {"warmth": -1.0},
    "grey": {"monochrome": 1.0},
}


def worn_like(name) -> MakeupReference:
    photo, face = person("woman-lake")
    return read_makeup(grade(photo, [face], GRADES[name]), face)


def brought(name) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Another photo before and after, [H, W, 3] of codes, and where its background is."""
    photo, face = person("woman-park")
    after = apply_makeup(photo, face, worn_like(name), ALONE)
    height, width = photo.shape[1:]
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    left, top = face.points.min(axis=0) - 20
    right = face.points[:, 0].max() + 20
    return photo.permute(1, 2, 0).numpy(), after.permute(1, 2, 0).numpy(), (x < left) | (x > right) | (y < top)


def test_a_warm_picture_makes_warmer_than_a_cool_one():
    _, warm, around = brought("warm")
    _, cool, _ = brought("cool")
    lean = [(one[..., 0].astype(float) - one[..., 2])[around].mean() for one in (warm, cool)]
    assert lean[0] > lean[1] + 4


def test_an_old_print_lifts_the_blacks_and_black_and_white_takes_colours():
    before, faded, _ = brought("faded")
    assert np.quantile(faded.mean(axis=2), 0.01) > np.quantile(before.mean(axis=2), 0.01) + 8
    before, grey, around = brought("grey")
    colors = [np.ptp(one.astype(float), axis=2)[around].mean() for one in (before, grey)]
    assert colors[1] < 0.6 * colors[0]


@pytest.mark.parametrize("name", GRADES)
@pytest.mark.parametrize("skin", SKINS)
def test_skin_stays_as_light_as_it_was(skin, name):
    photo, marks = face_photo(SKINS[skin], (40, 60, 120)), marks_of(drawn_face(UNIT, MIDDLE))
    result = apply_makeup(photo, marks, worn_like(name), ALONE)
    cheeks = find_region(marks.points, "cheeks", photo.shape[1:]).full(*photo.shape[1:]).numpy() > 0.8
    assert not torch.equal(result, photo)
    assert abs((lightness(result) - lightness(photo))[cheeks].mean()) < 1


def test_its_own_tone_changes_nothing_and_half_of_another_changes_less():
    photo, face = person("woman-lake")
    assert moved(photo, apply_makeup(photo, face, read_makeup(photo, face), ALONE)).max() < 1.5
    worn = worn_like("warm")
    half, full = (moved(photo, apply_makeup(photo, face, worn, ALONE | {"tone": share})).mean() for share in (0.5, 1))
    assert 0.3 * full < half < 0.7 * full


def test_a_look_saved_without_tone_has_none():
    photo, face = person("astronaut")
    content = worn_like("warm").to_dict()
    del content["tone"], content["strengths"]
    old = MakeupReference.from_dict(content)
    assert old == replace(old, tone=None) and torch.equal(apply_makeup(photo, face, old, ALONE), photo)


def test_values_that_are_none_are_named():
    tone = worn_like("warm").tone
    assert Tone.from_dict(tone.to_dict()) == tone
    with pytest.raises(InputError, match="2 problems"):
        Tone.from_dict(tone.to_dict() | {"black": float("nan"), "lights": [1, "2"]})
    with pytest.raises(InputError, match="must be a record"):
        Tone.from_dict({"hue": 3})
