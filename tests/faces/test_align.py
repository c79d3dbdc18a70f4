"""The similarity is exact, and the crop agrees with slow, obvious sampling."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gan_space.errors import InputError
from gan_space.faces import align
from gan_space.faces.align import EYE_DISTANCE, STRIP_PX, TIGHT_FRAME, AlignTransform, mirrored


def random_transform(seed: int) -> AlignTransform:
    random = np.random.default_rng(seed)
    return AlignTransform.from_box(*random.uniform(-50, 50, 2), random.uniform(5, 200), random.uniform(-180, 180))


def umeyama(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """[2, 3], by singular values as in the paper (Umeyama 1991, equations 34 to 43), rotations only."""
    source_mean, target_mean = source.mean(0), target.mean(0)
    covariance = (target - target_mean).T @ (source - source_mean) / len(source)
    u, values, vt = np.linalg.svd(covariance)
    signs = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ np.diag(signs) @ vt
    scale = (values * signs).sum() / (source - source_mean).var(0).sum()
    return np.column_stack([scale * rotation, target_mean - scale * rotation @ source_mean])


@pytest.mark.parametrize("seed", range(5))
def test_a_fit_finds_the_similarity_again(seed):
    transform = random_transform(seed)
    points = np.random.default_rng(seed + 99).uniform(0, 300, (3, 2))
    again = AlignTransform.fit(points, transform.apply(points))
    np.testing.assert_allclose(again.matrix, transform.matrix, atol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_a_fit_to_points_that_do_not_fit_is_umeyamas(seed):
    random = np.random.default_rng(seed)
    source, target = random.uniform(0, 100, (4, 2)), random.uniform(0, 1, (4, 2))
    np.testing.assert_allclose(AlignTransform.fit(source, target).matrix, umeyama(source, target), atol=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_inverse_and_composition(seed):
    one, other = random_transform(seed), random_transform(seed + 50)
    points = np.random.default_rng(seed).uniform(-10, 10, (2, 5, 2))
    np.testing.assert_allclose(one.inverse.apply(one.apply(points)), points, atol=1e-10)
    np.testing.assert_allclose(one.then(other).apply(points), other.apply(one.apply(points)), atol=1e-10)
    np.testing.assert_allclose(one.then(one.inverse).matrix, np.eye(2, 3), atol=1e-10)


def test_a_box_is_its_own_frame():
    transform = AlignTransform.from_box(10, 20, 40)
    np.testing.assert_allclose(transform.apply([[10, 20], [50, 60]]), [[0, 0], [1, 1]], atol=1e-12)
    assert transform.frame_px == pytest.approx(40)
    assert transform.roll_deg == pytest.approx(0)


def test_roll_is_the_lean_of_the_line_through_the_eyes():
    # y points down: a right eye that is lower leans clockwise.
    eyes = np.array([[100.0, 100.0], [100 + 39 * math.cos(math.radians(20)), 100 + 39 * math.sin(math.radians(20))]])
    transform = AlignTransform.fit(eyes, TIGHT_FRAME[:2])
    assert transform.roll_deg == pytest.approx(20)
    assert transform.frame_px == pytest.approx(39 / EYE_DISTANCE)
    assert AlignTransform.from_box(0, 0, 10, 33).roll_deg == pytest.approx(33)


def test_landmarks_go_to_the_tight_frame():
    landmarks = random_transform(3).inverse.apply(TIGHT_FRAME)
    np.testing.assert_allclose(AlignTransform.from_landmarks(landmarks).apply(landmarks), TIGHT_FRAME, atol=1e-10)


def mirrored_pixel(photo: np.ndarray, x: int, y: int) -> np.ndarray:
    height, width = photo.shape[1:]
    while not (0 <= x < width and 0 <= y < height):
        x = -1 - x if x < 0 else 2 * width - 1 - x if x >= width else x
        y = -1 - y if y < 0 else 2 * height - 1 - y if y >= height else y
    return photo[:, y, x]


def bilinear(photo: np.ndarray, x: float, y: float) -> np.ndarray:
    """The photo at a place in px, float64; the middle of the first pixel is (0.5, 0.5)."""
    left, top = math.floor(x - 0.5), math.floor(y - 0.5)
    fx, fy = x - 0.5 - left, y - 0.5 - top
    total = np.zeros(3)
    for dx, wx in ((0, 1 - fx), (1, fx)):
        for dy, wy in ((0, 1 - fy), (1, fy)):
            total += wx * wy * mirrored_pixel(photo, left + dx, top + dy)
    return total


def slow_crop(photo: torch.Tensor, transform: AlignTransform, resolution: int, samples: int) -> np.ndarray:
    """Every pixel the mean of samples x samples places in it."""
    pixels = photo.numpy().astype(np.float64) / 127.5 - 1
    inverse = transform.inverse
    crop = np.zeros((3, resolution, resolution))
    offsets = (np.arange(samples) + 0.5) / samples
    for row in range(resolution):
        for column in range(resolution):
            places = [[(column + dx) / resolution, (row + dy) / resolution] for dx in offsets for dy in offsets]
            crop[:, row, column] = np.mean([bilinear(pixels, *inverse.apply(place)) for place in places], axis=0)
    return crop


def noise_photo(height: int, width: int) -> torch.Tensor:
    return torch.randint(0, 256, (3, height, width), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


@pytest.mark.parametrize("box", [(3.3, 2.1, 9.0, 25.0), (-6.0, -5.0, 12.0, -10.0), (30.0, 4.0, 11.0, 170.0)])
def test_a_magnified_crop_is_bilinear_with_mirrored_edges(box):
    photo, transform = noise_photo(18, 23), AlignTransform.from_box(*box)
    crop = transform.crop(photo, 12)
    assert crop.shape == (1, 3, 12, 12)
    np.testing.assert_allclose(crop[0].numpy(), slow_crop(photo, transform, 12, 1), atol=1e-4)


@pytest.mark.parametrize("size", [20.0, 52.0, 97.0])
def test_a_shrunk_crop_is_the_mean_of_what_falls_on_a_pixel(size, photos):
    photo = photos["woman-lake"][:, 150:300, 180:330]
    transform = AlignTransform.from_box(20, 15, size, 15)
    crop = transform.crop(photo, 8)[0].numpy()
    error = np.abs(crop - slow_crop(photo, transform, 8, 12))
    assert error.mean() < 0.015  # of a range of 2
    assert error.max() < 0.06


def test_a_shrunk_crop_does_not_alias():
    checkers = (torch.arange(160)[:, None] + torch.arange(160)[None]) % 2 * 255
    crop = AlignTransform.from_box(32, 32, 96).crop(checkers.to(torch.uint8).expand(3, 160, 160), 12)
    assert crop.abs().max() < 0.02


def test_a_crop_of_whole_pixels_is_exact():
    photo = noise_photo(20, 30)
    crop = AlignTransform.from_box(7, 4, 16).crop(photo, 16)
    np.testing.assert_allclose(crop[0].numpy(), photo[:, 4:20, 7:23].numpy() / 127.5 - 1, atol=1e-5)


@pytest.mark.parametrize("box", [(20, 15, 97, 15), (-40, -60, 230, 0), (30, 10, 70, -80)])
def test_a_crop_in_strips_is_the_crop_bit_for_bit(box, monkeypatch):
    photo, transform = noise_photo(150, 130), AlignTransform.from_box(*box)
    whole = transform.crop(photo, 16)
    monkeypatch.setattr(align, "STRIP_PX", 500)
    assert torch.equal(transform.crop(photo, 16), whole)


class LargestTensor(TorchDispatchMode):
    """Keeps how many bytes the largest tensor takes that an operation makes."""

    num_bytes = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        if isinstance(result, torch.Tensor):
            self.num_bytes = max(self.num_bytes, result.untyped_storage().nbytes())
        return result


def test_a_face_that_fills_a_large_photo_is_cropped_strip_by_strip():
    photo = torch.full((1, 1, 1), 130, dtype=torch.uint8).expand(3, 5000, 5000)
    with LargestTensor() as largest:
        crop = AlignTransform.from_box(-100, -100, 5200).crop(photo, 64)
    assert largest.num_bytes <= 2 * 3 * 4 * STRIP_PX  # of 300 MB as float32
    assert crop.sub(130 / 127.5 - 1).abs().max() < 1e-5


def test_mirrored_indices():
    assert mirrored(np.arange(-7, 8), 3).tolist() == [0, 0, 1, 2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0, 1]


def test_the_share_outside_of_the_photo():
    assert AlignTransform.from_box(0, 0, 50).outside_share(100, 100) == 0
    assert AlignTransform.from_box(-25, 0, 50).outside_share(100, 100) == pytest.approx(0.5)


def test_what_cannot_be_fitted_or_cropped_is_refused():
    with pytest.raises(InputError, match="different places"):
        AlignTransform.fit([[1, 1], [1, 1]], [[0, 0], [1, 1]])
    with pytest.raises(InputError, match="two or more pairs"):
        AlignTransform.fit([[1, 1]], [[0, 0]])
    with pytest.raises(InputError, match="finite"):
        AlignTransform(float("nan"), 0, 0, 0)
    with pytest.raises(InputError, match="size above zero"):
        AlignTransform.from_box(0, 0, 0)
    with pytest.raises(InputError, match="uint8"):
        AlignTransform.from_box(0, 0, 5).crop(torch.zeros(3, 8, 8), 4)
    with pytest.raises(InputError, match="resolution"):
        AlignTransform.from_box(0, 0, 5).crop(noise_photo(8, 8), 0)
