"""Photos in one tone, black and white or sepia, keep it whatever is drawn into them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gan_space.photos.opening import open_photo, to_picture
from gan_space.portraits.glasses import FRAMES

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "samples" / "woman-lake.jpg"
EDITS = [({}, name) for name in FRAMES] + [
    ({"age": 2.5}, "none"),
    ({"age": -3}, "none"),
    ({"smile": 2.5, "eyes_open": 2, "lip_fullness": 1}, "none"),
]


@pytest.mark.parametrize("tone", [(1.0, 1.0, 1.0), (1.0, 0.85, 0.66)])
def test_a_photo_in_one_tone_keeps_it(person, tone):
    grey = np.asarray(to_picture(open_photo(SAMPLE)).convert("L"), np.float32)[..., None]
    photo = np.round(grey * np.float32(tone)).astype(np.uint8)
    portrait = person.open(torch.from_numpy(photo).permute(2, 0, 1))
    for values, glasses in EDITS:
        after = np.asarray(person.edit(portrait, values, glasses=glasses).image, np.float32)
        changed = (after != photo).any(axis=2)
        assert changed.sum() > 500
        off = np.abs(after / np.float32(tone) - after[..., :1])[changed]  # in codes of red
        assert np.percentile(off, 99) <= 4, (values, glasses)
