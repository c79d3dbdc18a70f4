"""What a photo says about its noise, for things that are drawn into it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from gan_space.portraits.light import grain_like


@pytest.mark.parametrize("grain", [0.0, 2.0, 5.0])
def test_grain_is_that_of_the_photo_and_hair_is_none(grain):
    noise = np.random.default_rng(1)
    slope = np.linspace(90, 170, 300)[None].repeat(240, axis=0)  # skin in soft light
    slope[:, 90:] += 60 * noise.choice((-1, 1), (1, 210))  # strands beside it
    own = cv2.GaussianBlur(noise.standard_normal(slope.shape), (0, 0), 0.6)
    picture = np.repeat((slope + grain * own / own.std()).round().clip(0, 255)[..., None], 3, axis=2).astype(np.uint8)
    assert 255 * grain_like(picture).std() == pytest.approx(grain, abs=0.6)
