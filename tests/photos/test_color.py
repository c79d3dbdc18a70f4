"""What a colour profile says is what is seen, checked against the arithmetic of the profiles."""

from __future__ import annotations

import io
import logging

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from gan_space.images import from_uint8
from gan_space.output.lab import rgb_to_lab
from gan_space.photos.opening import open_photo
from tests.photos.profiles import (
    ADOBE_RGB,
    DISPLAY_P3,
    SRGB,
    cmyk_lightness,
    cmyk_profile,
    decode,
    encode,
    gray_profile,
    rgb_profile,
    to_srgb,
)


def all_colors() -> np.ndarray:
    """[51, 52, 3] uint8, all over the cube."""
    steps = np.linspace(0, 255, 13).round().astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.ascontiguousarray(cube[: 13 * 169].reshape(13, 169, 3))


def stored(picture: Image.Image, format_name: str = "PNG", **options) -> io.BytesIO:
    stream = io.BytesIO()
    picture.save(stream, format_name, **options)
    return stream


def distances(photo: torch.Tensor, wanted: np.ndarray) -> torch.Tensor:
    """CIE dE of 1976 between [3, H, W] uint8 and [H, W, 3] from 0 to 255."""
    images = torch.from_numpy(np.asarray(wanted, np.float32)).permute(2, 0, 1)[None] / 127.5 - 1
    return (rgb_to_lab(from_uint8(photo[None])) - rgb_to_lab(images)).norm(dim=1)


@pytest.mark.parametrize("format_name", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(("colorants", "gamma"), [(DISPLAY_P3, None), (ADOBE_RGB, 2.2), (SRGB, 1.0), (DISPLAY_P3, 1.8)])
def test_rgb_profiles_become_srgb(colorants, gamma, format_name):
    colors = all_colors()
    options = {"lossless": True} if format_name == "WEBP" else {}
    file = stored(Image.fromarray(colors), format_name, icc_profile=rgb_profile(colorants, gamma), **options)
    photo = open_photo(file)
    apart = distances(photo, to_srgb(colors / 255, colorants, gamma))
    assert apart.mean() < 0.3 and apart.max() < 1
    assert distances(photo, colors).max() > 5  # the profile does say something


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
@pytest.mark.parametrize("gamma", [1.0, 1.8])
def test_grey_profiles_become_srgb(gamma, mode):
    values = np.linspace(20, 255, 120).round().astype(np.uint8)[None].repeat(4, axis=0)
    picture = Image.fromarray(values if mode != "I;16" else values.astype(np.uint16) * 257)
    picture = picture.convert(mode) if mode == "LA" else picture
    photo = open_photo(stored(picture, icc_profile=gray_profile(gamma)))
    wanted = 255 * encode((values / 255) ** gamma)
    assert distances(photo, np.stack([wanted] * 3, axis=-1)).max() < 1


@pytest.mark.parametrize("format_name", ["TIFF", "JPEG"])
def test_cmyk_profiles_become_srgb(format_name):
    inks = np.array([[c, m, y, k] for c in (0, 255) for m in (0, 255) for y in (0, 255) for k in (0, 255)], np.uint8)
    blocks = inks.reshape(2, 8, 4).repeat(16, axis=0).repeat(16, axis=1)
    options = {"quality": 100} if format_name == "JPEG" else {}
    file = stored(Image.fromarray(blocks, "CMYK"), format_name, icc_profile=cmyk_profile(), **options)
    lightness = rgb_to_lab(from_uint8(open_photo(file)[None, :, 8::16, 8::16]))  # [1, 3, 2, 8]
    wanted = cmyk_lightness(inks / 255).reshape(2, 8)  # the profile has no way back, so nobody knows its black
    assert np.abs(lightness[0, 0].numpy() - wanted).max() < 1
    assert lightness[0, 1:].abs().max() < 2


def test_pixels_that_are_srgb_already_stay_to_the_bit():
    colors = all_colors()
    for profile in (ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(), rgb_profile(SRGB, None)):
        photo = open_photo(stored(Image.fromarray(colors), icc_profile=profile))
        assert np.array_equal(photo.permute(1, 2, 0).numpy(), colors)


@pytest.mark.parametrize(
    "profile",
    [b"no profile", rgb_profile(DISPLAY_P3, None)[:200], bytes(400), gray_profile(1.0), cmyk_profile()],
    ids=["words", "cut", "zeros", "grey", "cmyk"],
)
def test_profiles_that_are_broken_or_for_other_pixels_are_ignored(profile, caplog):
    colors = all_colors()
    with caplog.at_level(logging.DEBUG, "gan_space.photos"):
        photo = open_photo(stored(Image.fromarray(colors), "TIFF", icc_profile=profile))
    assert np.array_equal(photo.permute(1, 2, 0).numpy(), colors)
    assert [record.levelname for record in caplog.records] == ["DEBUG"]


def test_colours_of_a_palette_and_under_alpha_are_converted_too():
    profile = rgb_profile(SRGB, 1.0)
    wanted = 255 * encode(np.array([100, 160, 40]) / 255)
    palette = Image.new("RGB", (4, 4), (100, 160, 40)).quantize(4)
    clear = Image.new("RGBA", (4, 4), (100, 160, 40, 254))
    for picture in (palette, clear):
        photo = open_photo(stored(picture, icc_profile=profile)).permute(1, 2, 0).numpy()
        assert np.abs(photo - wanted).max() <= 2


def test_the_arithmetic_of_this_file_is_its_own_inverse():
    values = np.linspace(0, 1, 50)
    assert np.allclose(encode(decode(values)), values, atol=1e-6)
