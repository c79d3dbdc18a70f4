"""Photos in one tone are told from those in colour, in dim light, too."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gan_space.faces.monochrome import LUMA, find_tone
from tests.looks.painted_face import person

GREY, SEPIA = (1.0, 1.0, 1.0), (1.0, 0.85, 0.66)


@pytest.mark.parametrize("light", [1.0, 0.5, 0.3, 0.23, 0.215, 0.21, 0.205, 0.2, 0.195, 0.1])
@pytest.mark.parametrize("name", ["woman-park", "astronaut"])
def test_a_colour_photo_has_no_tone_in_any_light(name, light):
    photo, face = person(name)
    assert find_tone((photo * light).to(torch.uint8), face.points) is None


@pytest.mark.parametrize(
    "tone, light",
    [((1.0, 1.0, 1.0), 1.0), ((1.0, 1.0, 1.0), 0.25), ((1.0, 0.85, 0.66), 1.0), ((1.0, 0.85, 0.66), 0.35)],
)
def test_a_tone_is_told_until_the_light_is_dim(tone, light):
    photo, face = person("woman-park")
    grey = np.tensordot(LUMA, photo.numpy(), 1)
    toned = np.round(light * grey * np.array(tone)[:, None, None]).astype(np.uint8)
    assert find_tone(torch.from_numpy(toned), face.points) == pytest.approx(tone, abs=0.05)
