"""What a photo says about its noise and blur, for things that are drawn into it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from gan_space.portraits.light import find_blur, grain_like


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


@pytest.mark.parametrize("blur", [0.8, 1.5, 3.0])
def test_blur_is_that_of_the_sharpest_edges_whatever_the_noise(blur):
    picture = np.full((200, 200), 170, np.float32)
    cv2.circle(picture, (100, 100), 60, 30, -1)
    picture = cv2.GaussianBlur(picture, (0, 0), blur) + np.random.default_rng(0).normal(0, 3, picture.shape)
    photo = torch.from_numpy(picture.round().clip(0, 255).astype(np.uint8)).expand(3, -1, -1)
    corners = np.array([[0, 0], [200, 200]] * 234)
    assert find_blur(photo, corners) == pytest.approx(blur, rel=0.3, abs=0.25)
    assert find_blur(torch.full((3, 50, 50), 90, dtype=torch.uint8), corners) >= 0  # a flat one tells nothing
