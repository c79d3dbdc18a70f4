from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from gan_space.errors import InputError
from gan_space.metrics import swd


def smooth_images(count: int, side: int, seed: int) -> torch.Tensor:
    """Coloured blobs with a little grain, [N, 3, S, S] in about [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = F.interpolate(torch.randn(count, 3, 8, 8, generator=generator), size=side, mode="bicubic")
    return (coarse * 0.4 + torch.randn(count, 3, side, side, generator=generator) * 0.05).clamp(-1, 1)


def wasserstein_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Area between the two distribution functions."""
    places = np.sort(np.concatenate([a, b]))
    shares = [np.searchsorted(np.sort(values), places[:-1], side="right") / len(values) for values in (a, b)]
    return float((np.abs(shares[0] - shares[1]) * np.diff(places)).sum())


def test_pyramid_adds_up_to_the_image_again():
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    fine, middle, coarse = swd.laplacian_pyramid(images, 3)
    assert (fine.shape[-1], middle.shape[-1], coarse.shape[-1]) == (64, 32, 16)
    for band in (middle, fine):
        spread = torch.zeros_like(band)
        spread[:, :, ::2, ::2] = coarse
        coarse = band + swd._blur(spread, gain=2.0)
    torch.testing.assert_close(coarse, images)


def test_blur_equals_numpy_and_keeps_constants():
    images = torch.randn(1, 2, 9, 12, dtype=torch.float64)
    expected = np.pad(images.numpy(), [(0, 0), (0, 0), (2, 2), (2, 2)], mode="reflect")
    for axis in (2, 3):
        expected = np.apply_along_axis(np.convolve, axis, expected, np.array([1, 4, 6, 4, 1]) / 16, mode="valid")
    torch.testing.assert_close(swd._blur(images), torch.from_numpy(expected))
    torch.testing.assert_close(swd._blur(torch.full((1, 3, 8, 8), 0.7)), torch.full((1, 3, 8, 8), 0.7))


def test_patches_are_cut_from_the_pyramid_and_do_not_depend_on_batch_size():
    images = smooth_images(7, 32, 0)
    whole = swd.patch_descriptors(images, patches_per_image=5, seed=3)
    parts = swd.patch_descriptors(images, patches_per_image=5, seed=3, batch_size=2)
    assert list(whole.levels) == [32, 16] and whole.levels[32].shape == (35, 3, 7, 7)
    for side in whole.levels:
        torch.testing.assert_close(whole.levels[side], parts.levels[side])
    band = swd.laplacian_pyramid(images, 2)[1][2]  # third image, coarse level: patches 10 to 14
    windows = band.unfold(1, 7, 1).unfold(2, 7, 1).permute(1, 2, 0, 3, 4).flatten(0, 1)  # every 7 x 7 place
    for patch in whole.levels[16][10:15]:
        assert (windows - patch).abs().amax((1, 2, 3)).min() < 1e-6


def test_distance_equals_the_mean_of_one_dimensional_wasserstein_distances():
    real = swd.patch_descriptors(smooth_images(6, 16, 0), patches_per_image=8)
    fake = swd.patch_descriptors(smooth_images(6, 16, 1) * 0.7, patches_per_image=8)
    a, b = real.levels[16].double().numpy(), fake.levels[16].double().numpy()
    mean, std = a.mean((0, 2, 3), keepdims=True), a.std((0, 2, 3), ddof=1, keepdims=True)
    a, b = (((x - mean) / std).reshape(len(x), -1) for x in (a, b))
    directions = np.random.RandomState(5).randn(147, 512)
    directions /= np.linalg.norm(directions, axis=0)
    expected = np.mean([wasserstein_distance(a @ d, b @ d) for d in directions.T]) * 1e3
    result = swd.distance_of_descriptors(real, fake, seed=5)
    assert result["16"] == pytest.approx(expected, rel=1e-5) and result["mean"] == result["16"]


def test_same_patches_are_at_distance_zero_and_equal_sets_near_it():
    images = smooth_images(60, 32, 0)
    patches = swd.patch_descriptors(images)
    assert swd.distance_of_descriptors(patches, patches)["mean"] == 0
    by_chance = swd.sliced_wasserstein(images, images)["mean"]
    assert swd.sliced_wasserstein(images, images)["mean"] == by_chance  # seeded
    assert by_chance < 40
    assert swd.sliced_wasserstein(images, smooth_images(60, 32, 1))["mean"] < 4 * by_chance


def test_distance_grows_with_blur_at_the_fine_level_and_with_a_colour_shift_at_the_coarse_one():
    real, fake = smooth_images(60, 32, 0), smooth_images(60, 32, 1)
    kernels = [1, 3, 5]
    blurred = [swd.sliced_wasserstein(real, F.avg_pool2d(fake, k, 1, k // 2)) for k in kernels]
    assert blurred[0]["32"] < 0.25 * blurred[1]["32"] and blurred[1]["32"] < blurred[2]["32"]
    shifts = [swd.sliced_wasserstein(real, fake + shift) for shift in (0.0, 0.2, 0.4)]
    assert shifts[0]["16"] < 0.5 * shifts[1]["16"] and shifts[1]["16"] < 0.7 * shifts[2]["16"]
    assert shifts[2]["32"] == pytest.approx(shifts[0]["32"], rel=0.05)  # a band-pass level does not see it


def test_uint8_and_float_images_give_one_result():
    floats = smooth_images(4, 16, 0)
    bytes_ = (floats * 127.5 + 127.5).round().to(torch.uint8)
    a, b = swd.patch_descriptors(floats), swd.patch_descriptors(bytes_)
    torch.testing.assert_close(a.levels[16], b.levels[16], atol=0.005, rtol=0)


def test_unusable_images_are_refused():
    with pytest.raises(InputError, match="32x16 px"):
        swd.patch_descriptors(torch.zeros(1, 3, 16, 32))
    with pytest.raises(InputError, match="16 px or more"):
        swd.patch_descriptors(torch.zeros(1, 3, 8, 8))
    with pytest.raises(InputError, match="same resolution and number"):
        swd.sliced_wasserstein(torch.zeros(2, 3, 16, 16), torch.zeros(3, 3, 16, 16))
