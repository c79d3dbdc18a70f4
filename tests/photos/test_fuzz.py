"""Damaged files of every format: each opens or is refused in our words, nothing else."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from gan_space.errors import InputError
from gan_space.photos.opening import open_picture
from tests.photos.pictures import HEIC, two_colors
from tests.photos.profiles import DISPLAY_P3, rgb_profile

TRIES = 20
KINDS = {
    "JPEG": {"quality": 80},
    "PNG": {},
    "WEBP": {"quality": 60},
    "AVIF": {"speed": 10},
    "GIF": {"save_all": True, "append_images": [two_colors().transpose(Image.Transpose.ROTATE_180)]},
    "BMP": {},
    "TIFF": {"compression": "tiff_lzw"},
    "JPEG2000": {},
    "MPO": {"save_all": True, "append_images": [two_colors()]},
}


def damaged(data: bytes, chance: np.random.Generator) -> bytes:
    """Some bytes changed, more likely near the head; sometimes cut short, or with a stretch doubled."""
    content = bytearray(data)
    for _ in range(chance.integers(1, 9)):
        place = int(len(content) * chance.random() ** 2)
        content[place] = chance.choice([0, 0xFF, chance.integers(256), content[place] ^ 1 << chance.integers(8)])
    if chance.random() < 0.3:
        del content[chance.integers(len(content)) :]
    if chance.random() < 0.2:
        start = chance.integers(max(1, len(content)))
        content[start:start] = content[start : start + 40]
    return bytes(content)


@pytest.mark.parametrize("kind", [*KINDS, "HEIF"])
def test_a_damaged_file_opens_or_is_refused_in_words(kind):
    stream = io.BytesIO(HEIC)
    if kind != "HEIF":
        stream = io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = 6
        extra = (
            {} if kind in ("GIF", "BMP", "JPEG2000") else {"exif": exif, "icc_profile": rgb_profile(DISPLAY_P3, 2.2)}
        )
        two_colors().save(stream, kind, **KINDS[kind], **extra)
    whole = stream.getvalue()
    assert open_picture(io.BytesIO(whole)).pixels.shape[0] == 3
    chance = np.random.default_rng(sorted([*KINDS, "HEIF"]).index(kind))
    refused = 0
    for _ in range(TRIES):
        try:
            opened = open_picture(io.BytesIO(damaged(whole, chance)))
        except InputError as error:
            refused += 1
            assert "\n" not in str(error) and str(error).startswith("the upload ")
        else:
            assert opened.pixels.ndim == 3
    assert refused or kind == "BMP"
