"""A smile shades the face: folds get darker, cheeks lighter, skin as a whole stays, and so does all that is no skin."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import gan_space
from gan_space.errors import WeightsError
from gan_space.faces.regions import find_region
from gan_space.faces.shape import SMILE_FILE, ShapeModel
from gan_space.portraits.shape import reshape_face
from gan_space.portraits.smiling import added_smile, shade_smile

FOLDER = Path(gan_space.__file__).parent / "assets" / "default" / "shape"
UNIT, MIDDLE, SIZE = 80.0, np.array([200.0, 130.0]), (360, 400)
MODEL = ShapeModel.load(FOLDER)
LANDMARKS = UNIT * MODEL.mean + MIDDLE
FOLD, CHEEK = (0.47, 0.63), (0.62, 0.45)  # of the average face
WHOLE = 0.3  # face units of a broad smile


def skin(level: float, scale: float = 1.0) -> torch.Tensor:
    size = tuple(int(scale * side) for side in SIZE)
    texture = cv2.GaussianBlur(np.random.default_rng(0).normal(0, 0.12 * scale, size), (0, 0), 1.2 * scale)
    picture = (1 + texture)[..., None] * np.array([1.0, 0.75, 0.65]) * level
    return torch.from_numpy(picture.clip(0, 255).round().astype(np.uint8)).permute(2, 0, 1).contiguous()


def lightness(photo: torch.Tensor) -> np.ndarray:
    return cv2.cvtColor(photo.permute(1, 2, 0).contiguous().numpy(), cv2.COLOR_RGB2LAB)[..., 0] / 2.55


def at(values: np.ndarray, place: tuple[float, float], scale: float = 1.0) -> float:
    x, y = (scale * (UNIT * np.array(place) + MIDDLE)).astype(int)
    half = int(4 * scale)
    return float(values[y - half : y + half + 1, x - half : x + half + 1].mean())


@pytest.mark.parametrize("added", [WHOLE, -WHOLE])
@pytest.mark.parametrize("level", [90, 200])
def test_folds_are_shaded_skin_as_a_whole_stays_and_nothing_outside_changes(level, added):
    photo = skin(level)
    after = shade_smile(photo, LANDMARKS, added, MODEL)
    ratio = lightness(after) / lightness(photo)
    if added > 0:
        assert at(ratio, FOLD) < 0.93 and at(ratio, CHEEK) > 1.01
    else:
        assert at(ratio, FOLD) > 1.02
    inside = find_region(LANDMARKS, "skin", SIZE, 0.0).full(*SIZE).numpy() > 0.5
    assert abs((lightness(after) - lightness(photo))[inside].mean()) < 0.2
    changed = (after != photo).any(dim=0).numpy()
    assert not changed[find_region(LANDMARKS, "face", SIZE, 0.06).full(*SIZE).numpy() < 0.01].any()
    for part in ("lips", "eyes"):
        middle = cv2.erode(find_region(LANDMARKS, part, SIZE, 0.0).full(*SIZE).numpy(), np.ones((7, 7))) > 0.9
        assert middle.any() and not changed[middle].any(), part


def test_folds_on_skin_without_texture_are_faint():
    """Made up skin shows a ring around the mouth where other skin shows folds."""
    rough = skin(150.0)
    smooth = torch.from_numpy(cv2.GaussianBlur(rough.permute(1, 2, 0).numpy(), (0, 0), 8)).permute(2, 0, 1).contiguous()
    change = [
        at(lightness(shade_smile(photo, LANDMARKS, WHOLE, MODEL)) - lightness(photo), FOLD) for photo in (rough, smooth)
    ]
    assert change[0] < 2 * change[1] < 0


def test_dark_and_lighter_skin_change_by_the_same_share():
    dark, light = (
        at(lightness(shade_smile(skin(level), LANDMARKS, WHOLE, MODEL)) / lightness(skin(level)), FOLD)
        for level in (80, 150)
    )
    assert abs(dark - light) < 0.03


def test_a_little_smile_is_seen_more_than_in_proportion():
    little, whole = (
        1 - at(lightness(shade_smile(skin(150), LANDMARKS, one, MODEL)) / lightness(skin(150)), FOLD)
        for one in (0.4 * WHOLE, WHOLE)
    )
    assert 0.5 * whole < little < 0.8 * whole


def test_shade_on_skin_that_a_photo_cuts_off_is_warm():
    """Red that is nearly white falls less than the rest: grey folds look drawn."""
    photo = skin(225)
    photo[2, :120] //= 2  # a tanned forehead: no photo in one tone
    after = shade_smile(photo, LANDMARKS, WHOLE, MODEL)
    red, green, blue = (at(after[channel].numpy() / photo[channel].numpy().astype(float), FOLD) for channel in range(3))
    assert blue < 0.9 and 1 - red < 0.6 * (1 - green)


def test_a_larger_photo_gets_the_same_shades_and_keeps_its_pores():
    scale = 4.0
    large, small = skin(150, scale), skin(150)
    after = shade_smile(large, scale * LANDMARKS, WHOLE, MODEL)
    ratio = lightness(after) / lightness(large)
    expected = lightness(shade_smile(small, LANDMARKS, WHOLE, MODEL)) / lightness(small)
    assert abs(at(ratio, FOLD, scale) - at(expected, FOLD)) < 0.04
    assert np.abs(np.diff(after.float() / large.clamp(1), axis=2))[:, 400:900, 600:1000].max() < 0.1  # pores stay


def test_nothing_added_or_no_map_is_nothing_changed():
    photo = skin(150)
    assert torch.equal(shade_smile(photo, LANDMARKS, 0.0, MODEL), photo)
    assert torch.equal(shade_smile(photo, LANDMARKS, WHOLE, replace(MODEL, smile_light=None)), photo)
    elsewhere = LANDMARKS + np.array([5000.0, 0.0])
    assert torch.equal(shade_smile(photo, elsewhere, WHOLE, MODEL), photo)


def test_a_slider_shades_by_the_smile_that_it_adds():
    photo, bare = skin(150), replace(MODEL, smile_light=None)
    for values, shaded in (({"smile": 2.0}, True), ({"face_width": 1.0}, False), ({"smile": 0.0}, False)):
        with_map, without = (reshape_face(photo, LANDMARKS, values, model)[0] for model in (MODEL, bare))
        assert torch.equal(with_map, without) is not shaded, values
    smiles = LANDMARKS + MODEL.displace(LANDMARKS, {"smile": 2.5})
    more, less = (added_smile(one, MODEL.displace(one, {"smile": 2.5}), MODEL) for one in (LANDMARKS, smiles))
    assert 0 < less < 0.9 * more


def test_models_without_the_map_load_and_damaged_ones_say_so(tmp_path):
    for name in ("shape.safetensors", "shape.json"):
        shutil.copy(FOLDER / name, tmp_path / name)
    assert ShapeModel.load(tmp_path).smile_light is None
    (tmp_path / SMILE_FILE).write_bytes(b"no weights")
    with pytest.raises(WeightsError, match="shape model"):
        ShapeModel.load(tmp_path)
