"""A photo is read no larger than the screen and the networks need, and nobody can tell."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gan_space
from gan_space.photos import opening
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from gan_space.ui import opened_photos
from gan_space.ui.i18n import translate
from gan_space.ui.opened_photos import OpenedPhotos
from gan_space.ui.server.files import FileFolder

EXAMPLE = Path(gan_space.__file__).parent / "assets" / "examples" / "woman-park.jpg"


@pytest.fixture(scope="module")
def photos(style_folder) -> OpenedPhotos:
    return OpenedPhotos(StyleTransferPipeline.from_pretrained(style_folder), FileFolder())


@pytest.fixture
def sizes_read(monkeypatch) -> list[tuple[int, int]]:
    """(width, height) of everything that is read."""
    read, sizes = opened_photos.open_picture, []

    def noted(*source, **settings):
        picture = read(*source, **settings)
        sizes.append((picture.pixels.shape[2], picture.pixels.shape[1]))
        return picture

    monkeypatch.setattr(opened_photos, "open_picture", noted)
    return sizes


def test_a_large_photo_is_read_at_half_its_size_with_the_faces_of_the_whole(photos, sizes_read, tmp_path):
    path = tmp_path / "large.jpg"
    Image.open(EXAMPLE).convert("RGB").resize((2100, 2101)).save(path)
    opened = photos.open(path)
    assert sizes_read == [(1050, 1051)] and opened.size == (2100, 2101)
    (face, *_), (wanted, *_) = opened.faces, photos.read(path).faces
    assert np.abs(face.landmarks - wanted.landmarks).max() < 0.01 * wanted.frame_px
    full = photos.portrait(opened, "largest", full_size=True)
    assert np.allclose(full.faces[0].landmarks, face.landmarks, atol=1e-3)


def test_a_photo_with_a_small_face_is_read_whole_and_the_face_stays_usable(photos, sizes_read, tmp_path):
    path, canvas = tmp_path / "far.jpg", Image.new("RGB", (2200, 2200), (120, 130, 140))
    canvas.paste(Image.open(EXAMPLE).convert("RGB").resize((260, 260)), (900, 800))
    canvas.save(path)
    opened = photos.open(path)
    assert sizes_read[-1] == opened.size == (2200, 2200)
    assert opened.faces[0].usable and photos.portrait(opened, "largest").chosen == (0,)


def test_what_of_a_file_is_not_used_is_said(photos, tmp_path, monkeypatch):
    photo = Image.open(EXAMPLE).convert("RGB").resize((200, 200))
    photo.save(tmp_path / "one.png")
    photo.save(tmp_path / "two.gif", save_all=True, append_images=[photo.rotate(90)])
    assert photos.open(tmp_path / "one.png").remark("en") == ""
    assert photos.open(tmp_path / "two.gif").remark("en") == translate("photo.frames", "en", count=2)
    monkeypatch.setattr(opening, "WHOLE_PIXELS", 30_000)
    opened = photos.open(tmp_path / "one.png")
    assert opened.remark("zh-CN") == translate("photo.reduced", "zh-CN") and opened.size == (100, 100)
