"""Photos come in upright and as RGB, or with an error that tells what to do."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from gan_space.errors import InputError
from gan_space.photos.opening import open_photo, to_picture


def two_colors() -> Image.Image:
    """Red on the left, blue on the right, 40 x 20."""
    picture = Image.new("RGB", (40, 20), "red")
    picture.paste("blue", (20, 0, 40, 20))
    return picture


def test_exif_orientation_is_obeyed():
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6  # shown upright after a quarter turn clockwise
    two_colors().save(stream, "PNG", exif=exif)
    stream.seek(0)
    photo = open_photo(stream)
    assert photo.shape == (3, 40, 20)
    assert photo[:, 0, 0].tolist() == [255, 0, 0]
    assert photo[:, -1, 0].tolist() == [0, 0, 255]


def test_transparency_goes_on_white():
    photo = open_photo(Image.new("RGBA", (4, 4), (10, 20, 30, 0)))
    assert (photo == 255).all()


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "1", "LA"])
def test_every_mode_becomes_rgb(mode):
    photo = open_photo(two_colors().convert("L" if mode == "LA" else "RGB").convert(mode))
    assert photo.shape == (3, 20, 40)
    assert photo.dtype == torch.uint8


def test_sixteen_bits_are_scaled_not_clipped():
    deep = Image.fromarray(np.linspace(0, 65535, 16, dtype=np.uint16).reshape(4, 4))
    photo = open_photo(deep)
    assert photo.unique().numel() == 16
    assert (photo.min(), photo.max()) == (0, 255)


def test_a_picture_and_a_photo_are_the_same():
    picture = two_colors()
    photo = open_photo(picture)
    assert to_picture(photo).tobytes() == picture.tobytes()
    assert open_photo(photo) is photo


def test_what_is_no_picture_is_refused(tmp_path):
    file = tmp_path / "note.jpg"
    file.write_text("not a picture")
    with pytest.raises(InputError, match=r"note.jpg cannot be read as a picture .* save it as JPEG or PNG"):
        open_photo(file)
    stream = io.BytesIO()
    two_colors().resize((400, 400)).save(stream, "JPEG")
    with pytest.raises(InputError, match="cannot be read"):
        open_photo(io.BytesIO(stream.getvalue()[:900]))
    with pytest.raises(InputError, match=r"got \[3, 4, 4\] of torch.float32"):
        open_photo(torch.zeros(3, 4, 4))


def test_a_huge_picture_is_refused():
    with pytest.raises(InputError, match="20000 x 6000 px"):
        open_photo(Image.new("1", (20000, 6000)))
