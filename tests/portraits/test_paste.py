"""Pasting changes what is under the mask and not one bit of the rest."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from gan_space.errors import InputError
from gan_space.faces.align import AlignTransform
from gan_space.photos.opening import open_photo
from gan_space.portraits import paste
from gan_space.portraits.paste import match_color, paste_face, soft_mask

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"


def noise_photo(height: int = 80, width: int = 100) -> torch.Tensor:
    return torch.randint(0, 256, (3, height, width), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def mask_over(photo: torch.Tensor, transform: AlignTransform, feather: float = 0.3) -> torch.Tensor:
    """The mask at every pixel of the photo: [H, W]."""
    y, x = np.mgrid[: photo.shape[1], : photo.shape[2]] + 0.5
    return torch.from_numpy(soft_mask(transform.apply(np.stack([x, y], axis=-1)), feather))


@pytest.mark.parametrize("box", [(20, 15, 40, 0), (33.3, 20.2, 37, 28), (-15, -10, 50, -20), (70, 50, 60, 5)])
def test_outside_of_the_mask_every_bit_stays(box):
    photo, transform = noise_photo(), AlignTransform.from_box(*box)
    before = photo.clone()
    result = paste_face(photo, torch.ones(1, 3, 32, 32), transform)
    mask = mask_over(photo, transform)
    assert torch.equal(photo, before)
    assert torch.equal(result[:, mask == 0], photo[:, mask == 0])
    assert (result[:, mask == 1] == 255).all()
    assert (mask == 1).sum() > 100
    assert (mask == 0).sum() > 100


def test_a_face_pasted_back_unchanged_changes_little():
    photo = open_photo(SAMPLES / "woman-lake.jpg")
    transform = AlignTransform.from_landmarks([[213.3, 203.9], [297.0, 204.0], [257.8, 296.5]])
    result = paste_face(photo, transform.crop(photo, 256), transform)
    difference = (result.int() - photo.int()).abs().float()
    assert difference.mean() < 0.2
    assert difference.max() <= 30


def test_a_face_on_the_pixel_grid_comes_back_exactly():
    photo, transform = noise_photo(), AlignTransform.from_box(12, 8, 64)
    assert torch.equal(paste_face(photo, transform.crop(photo, 64), transform), photo)


def test_the_blend_is_linear_in_the_mask():
    photo, transform = torch.zeros(3, 80, 100, dtype=torch.uint8), AlignTransform.from_box(10, 10, 60)
    result = paste_face(photo, torch.ones(1, 3, 16, 16), transform, feather=0.5)
    np.testing.assert_allclose(result[0].numpy(), 255 * mask_over(photo, transform, 0.5).numpy(), atol=0.51)


def test_a_face_larger_than_its_place_does_not_alias():
    checkers = ((torch.arange(256)[:, None] + torch.arange(256)[None]) % 2 * 2.0 - 1).expand(1, 3, 256, 256)
    photo, transform = torch.full((3, 80, 100), 128, dtype=torch.uint8), AlignTransform.from_box(10, 10, 32)
    assert (paste_face(photo, checkers, transform).int() - 128).abs().max() <= 2


@pytest.mark.parametrize("box", [(-20, 5, 90, 13), (10.2, 8.7, 61, 0), (40, 20, 90, 40)])
def test_strips_do_not_matter(box, monkeypatch):
    photo, transform = noise_photo(), AlignTransform.from_box(*box)
    face = transform.crop(photo, 32).flip(3)
    whole = paste_face(photo, face, transform)
    monkeypatch.setattr(paste, "PIXELS_AT_ONCE", 300)
    assert torch.equal(paste_face(photo, face, transform), whole)


def test_a_face_that_fills_a_large_photo_is_pasted_strip_by_strip():
    photo = torch.full((3, 2000, 2000), 130, dtype=torch.uint8)
    tracemalloc.start()  # counts arrays, which hold the places; tensors are as large as they are many
    try:
        paste_face(photo, torch.zeros(1, 3, 64, 64), AlignTransform.from_box(-100, -100, 2200, 5))
        assert tracemalloc.get_traced_memory()[1] < 2**26  # of 400 MB
    finally:
        tracemalloc.stop()


def test_a_face_beside_the_photo_changes_nothing():
    photo = noise_photo()
    assert torch.equal(paste_face(photo, torch.ones(1, 3, 8, 8), AlignTransform.from_box(500, 10, 30)), photo)


def test_the_mask_is_soft_and_ends_at_the_frame():
    edge = np.linspace(0, 1, 11)
    for side in (0.0, 1.0):
        assert (soft_mask(np.stack([edge, np.full(11, side)], axis=-1)) == 0).all()
        assert (soft_mask(np.stack([np.full(11, side), edge], axis=-1)) == 0).all()
    line = soft_mask(np.stack([np.linspace(0, 0.5, 101), np.full(101, 0.5)], axis=-1))
    assert (np.diff(line) >= 0).all()
    assert np.diff(line).max() < 0.12
    assert line[-1] == 1
    with pytest.raises(InputError, match="feather"):
        soft_mask(np.zeros((1, 2)), 0)


def test_matched_colors_have_the_mean_and_contrast_of_the_photo():
    generator = torch.Generator().manual_seed(1)
    face = torch.randn(1, 3, 64, 64, generator=generator) * 0.1 + torch.tensor([0.3, 0.0, -0.3]).view(1, 3, 1, 1)
    reference = torch.randn(1, 3, 64, 64, generator=generator) * 0.14 - 0.2
    matched = match_color(face, reference)[..., 24:40, 24:40]
    np.testing.assert_allclose(matched.mean(dim=(0, 2, 3)), [-0.2] * 3, atol=0.03)
    np.testing.assert_allclose(matched.std(dim=(0, 2, 3)), [0.14] * 3, atol=0.02)
    flat = match_color(torch.full((1, 3, 8, 8), 0.5), torch.full((1, 3, 8, 8), -0.5))
    np.testing.assert_allclose(flat, -0.5, atol=1e-5)


def test_color_match_is_used_when_asked_for():
    photo = torch.full((3, 80, 100), 60, dtype=torch.uint8)
    transform = AlignTransform.from_box(10, 10, 60)
    result = paste_face(photo, torch.full((1, 3, 32, 32), 0.9), transform, color_match=True)
    assert (result.int() - 60).abs().max() <= 1


def test_other_forms_are_refused():
    transform = AlignTransform.from_box(0, 0, 10)
    with pytest.raises(InputError, match="face to paste"):
        paste_face(noise_photo(), torch.zeros(3, 8, 8), transform)
    with pytest.raises(InputError, match="uint8"):
        paste_face(torch.zeros(3, 8, 8), torch.zeros(1, 3, 8, 8), transform)
