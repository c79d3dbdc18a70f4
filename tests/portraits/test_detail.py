"""Transfer of a change: exact where nothing changes, close where an affine map says all, against a slow solution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from gan_space.errors import InputError
from gan_space.faces.align import AlignTransform
from gan_space.images import from_uint8
from gan_space.portraits import paste
from gan_space.portraits.detail import change_face, change_photo, fit_change, grid_places
from gan_space.portraits.paste import frame_bounds, soft_mask


def smooth_photo(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """[3, height, width] uint8 with structure at all sizes."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.zeros(1, 3, height, width)
    for cells in (3, 7, 19, 41):
        noise = torch.randn(1, 3, cells, cells, generator=generator) / cells**0.5
        image += F.interpolate(noise, size=(height, width), mode="bicubic")
    return ((image[0] / image.abs().max() * 0.9 + 1) * 127.5).to(torch.uint8)


def small(photo: torch.Tensor, side: int) -> torch.Tensor:
    return F.interpolate(from_uint8(photo)[None], size=(side, side), mode="area")


@pytest.mark.parametrize("roll_deg", [0.0, 23.0])
def test_no_change_gives_the_photo_back_bit_for_bit(roll_deg):
    photo = smooth_photo(210, 170)
    transform = AlignTransform.from_box(30.3, 40.7, 120, roll_deg)
    guide = transform.crop(photo, 32)
    change = fit_change(guide, torch.zeros_like(guide), radius=3)
    assert torch.equal(change_face(photo, change, transform), photo)
    whole = small(photo, 48)
    assert torch.equal(change_photo(photo, fit_change(whole, torch.zeros_like(whole), radius=3, stride=2)), photo)


def test_every_grey_value_survives_no_change():
    photo = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16).repeat(3, 1, 1)
    guide = torch.zeros(1, 3, 8, 8)
    assert torch.equal(change_photo(photo, fit_change(guide, guide, radius=2)), photo)


def test_gains_and_offsets_solve_the_ridge_regression_of_each_window():
    guide, change = torch.rand(2, 1, 3, 14, 12, generator=torch.Generator().manual_seed(1)) * 2 - 1
    radius, ridge = 3, 0.02
    fitted = fit_change(guide, change, radius, stride=radius, ridge=ridge)
    centers = [(row, column) for row in range(0, 14, 3) for column in range(0, 12, 3)]
    assert fitted.gains.shape == (1, 9, 5, 4)
    for row, column in centers:
        window = (slice(max(0, row - 3), row + 4), slice(max(0, column - 3), column + 4))
        x, y = (part[0][:, window[0], window[1]].flatten(1).double().T for part in (guide, change))  # [P, 3]
        centered = x - x.mean(dim=0)
        left = centered.T @ centered / len(x) + ridge * torch.eye(3, dtype=torch.float64)
        slope = torch.linalg.solve(left, centered.T @ (y - y.mean(dim=0)) / len(x))  # [guide, change]
        offset = y.mean(dim=0) - x.mean(dim=0) @ slope
        place = (0, slice(None), row // 3, column // 3)
        torch.testing.assert_close(fitted.gains[place].reshape(3, 3).double(), slope.T, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(fitted.offsets[place].double(), offset, atol=1e-4, rtol=1e-3)


def test_what_was_fitted_and_the_rest_give_the_change_itself():
    guide, change = torch.rand(2, 1, 3, 24, 20, generator=torch.Generator().manual_seed(2)) * 2 - 1
    fitted = fit_change(guide, change, radius=4, stride=2)
    again = fitted.at(grid_places(20, 24), guide[0])
    torch.testing.assert_close(again, change[0], atol=1e-5, rtol=0)


def test_a_grade_fitted_on_a_small_picture_holds_on_the_large_one():
    """Detail that the small picture cannot show is graded like its surroundings, and is still there."""
    photo = smooth_photo(256, 256)
    matrix = torch.tensor([[0.7, 0.2, 0.0], [0.1, 0.6, 0.1], [-0.1, 0.1, 0.5]])

    def grade(image: torch.Tensor) -> torch.Tensor:
        return torch.einsum("ij,...jhw->...ihw", matrix, image) + torch.tensor([0.1, 0.0, -0.1])[:, None, None]

    guide = small(photo, 32)
    result = change_photo(photo, fit_change(guide, grade(guide) - guide, radius=4, ridge=1e-5))
    expected = grade(from_uint8(photo)).clamp(-1, 1)
    error = (from_uint8(result) - expected).abs().mean().item()
    pasted = F.interpolate(grade(guide), size=(256, 256), mode="bicubic")[0]
    assert error < 0.02
    assert error < 0.3 * (pasted - expected).abs().mean().item()


def test_the_rest_of_the_photo_is_untouched_and_strips_do_not_matter(monkeypatch):
    photo = smooth_photo(180, 220)
    transform = AlignTransform.from_box(-20, 60, 130, 10)  # hangs over the edge
    guide = transform.crop(photo, 32)
    change = fit_change(guide, 0.5 * torch.ones_like(guide), radius=3)
    result = change_face(photo, change, transform)
    x, y = np.arange(220) + 0.5, np.arange(180) + 0.5
    outside = torch.from_numpy(soft_mask(transform.apply(np.stack(np.meshgrid(x, y), axis=-1))) == 0)
    assert outside.any() and not outside.all()
    assert torch.equal(result[:, outside], photo[:, outside])
    assert (result != photo).float().mean() > 0.1
    whole = change_photo(photo, change)
    monkeypatch.setattr(paste, "PIXELS_AT_ONCE", 700)
    assert torch.equal(change_face(photo, change, transform), result)
    assert torch.equal(change_photo(photo, change), whole)


def test_a_frame_outside_of_the_photo_changes_nothing():
    photo = smooth_photo(40, 40)
    transform = AlignTransform.from_box(100, 100, 30)
    guide = torch.rand(1, 3, 16, 16)
    left, top, right, bottom = frame_bounds(transform, 40, 40)
    assert right <= left and bottom <= top
    assert torch.equal(change_face(photo, fit_change(guide, guide, radius=2), transform), photo)


@pytest.mark.parametrize(
    ("shape", "radius", "stride"), [((1, 3, 8, 9), 2, 1), ((1, 3, 8, 8), 0, 1), ((1, 3, 8, 8), 2, 3)]
)
def test_wrong_arguments_are_told(shape, radius, stride):
    with pytest.raises(InputError, match="expected"):
        fit_change(torch.zeros(1, 3, 8, 8), torch.zeros(shape), radius, stride=stride)
