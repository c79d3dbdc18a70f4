"""What a photo says about its noise, for things that are drawn into it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gan_space.portraits.light import grain_like


def skin_and_strands(grain: float) -> np.ndarray:
    """[240, 300, 3] of codes: skin in soft light, strands of hair beside it, and noise of so many codes."""
    noise = np.random.default_rng(1)
    slope = np.linspace(90, 170, 300)[None].repeat(240, axis=0)
    slope[:, 90:] += 60 * noise.choice((-1, 1), (1, 210))
    own = cv2.GaussianBlur(noise.standard_normal(slope.shape), (0, 0), 0.6)
    return np.repeat((slope + grain * own / own.std()).round().clip(0, 255)[..., None], 3, axis=2).astype(np.uint8)


@pytest.mark.parametrize("grain", [0.0, 2.0, 5.0])
def test_grain_is_that_of_the_photo_and_hair_is_none(grain):
    assert 255 * grain_like(skin_and_strands(grain)).std() == pytest.approx(grain, abs=0.6)


@pytest.mark.parametrize("code", [0, 130, 255])
def test_a_flat_ground_beside_the_face_hides_no_grain(code):
    picture = skin_and_strands(5.0)
    picture[:70] = code
    assert 255 * grain_like(picture).std() == pytest.approx(5, abs=0.6)


def test_a_picture_without_noise_gets_none_for_its_strands():
    picture = skin_and_strands(0.0)
    picture[:, :90], picture[:100] = 130, 130
    assert not grain_like(picture).any()
    assert not grain_like(np.full((40, 40, 3), 255, np.uint8)).any()
