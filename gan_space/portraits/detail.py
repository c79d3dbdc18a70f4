"""Carry a change from a small picture over to a large one, so that pores and hair stay those of the photo.

A network draws 128 px; a photo has thousands. What a look does to a face is smooth within small windows: there, the
change of a pixel is nearly an affine function of its colour, 3x3 gains and 3 offsets. They are fitted at the small size
(a guided filter with colours: He, Sun and Tang 2013) and enlarged; the photo's own pixels then go through them (as in
bilateral guided upsampling: Chen, Adams, Wadhwa and Hasinoff 2016). What no affine function can say, such as a drawn
line, is kept beside them as a small picture.

No change in gives no change out, exactly: nothing is ever taken out of the photo and put back.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.errors import InputError
from gan_space.faces.align import AlignTransform
from gan_space.images import from_uint8, to_uint8
from gan_space.photos.opening import check_photo
from gan_space.portraits.paste import frame_strips, soft_mask, strips

WINDOW_SHARE = 0.07  # radius of a window, as a share of a face's frame: an eye has two or three
RIDGE = 0.01  # variance, in units of [-1, 1], below which a window is taken for one colour and gets offsets only


@dataclass(frozen=True)
class ChangeMap:
    """A change as a function of place and colour, see `fit_change`."""

    gains: Tensor  # [1, 9, gh, gw], row by row: what red, green and blue of the photo add to each colour
    offsets: Tensor  # [1, 3, gh, gw]
    rest: Tensor  # [1, 3, h, w], what gains and offsets leave over

    def at(self, places: Tensor, colors: Tensor, rest_amount: float = 1.0) -> Tensor:
        """Return the change of pixels.

        Args:
            places: [h, w, 2] x and y as fractions of the fitted picture's width and height.
            colors: [3, h, w] in [-1, 1].
            rest_amount: how much of `rest` is added.

        Returns:
            [3, h, w], to be added to `colors`.
        """
        grid = (places * 2 - 1)[None].to(colors)
        sample = {"padding_mode": "border", "align_corners": False}
        affine = F.grid_sample(torch.cat([self.gains, self.offsets], dim=1).to(colors), grid, **sample)[0]
        change = (affine[:9].unflatten(0, (3, 3)) * colors).sum(dim=1) + affine[9:]
        if rest_amount:
            change = change + rest_amount * F.grid_sample(self.rest.to(colors), grid, mode="bicubic", **sample)[0]
        return change


def fit_change(guide: Tensor, change: Tensor, radius: int, *, stride: int = 1, ridge: float = RIDGE) -> ChangeMap:
    """Describe a change by gains and offsets in windows, least squares with a ridge.

    Args:
        guide: [1, 3, h, w] in [-1, 1], the photo at the small size.
        change: [1, 3, h, w], what is to be added to it.
        radius: of a window, in px; 2 * radius + 1 is its side.
        stride: px between windows, at most `radius`.
        ridge: variance below which gains fade out.

    Raises:
        InputError: shapes that do not belong together, or a radius or stride that does not work.

    Example:
        >>> guide = torch.rand(1, 3, 32, 32)
        >>> fit_change(guide, torch.zeros_like(guide), radius=4).rest.abs().max().item()
        0.0
    """
    if guide.ndim != 4 or guide.shape[:2] != (1, 3) or change.shape != guide.shape:
        shapes = f"{list(guide.shape)} and {list(change.shape)}"
        raise InputError(f"expected a guide and a change of one shape [1, 3, h, w], got {shapes}")
    if not 1 <= stride <= radius:
        raise InputError(f"expected 1 <= stride <= radius, got stride {stride} and radius {radius}")
    guide, change = guide.float(), change.float()

    def window_mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2 * radius + 1, stride, radius, count_include_pad=False)

    products = [guide[:, i : i + 1] * guide[:, j : j + 1] for i in range(3) for j in range(i, 3)]
    crossed = [guide[:, i : i + 1] * change for i in range(3)]
    means = window_mean(torch.cat([guide, change, *products, *crossed], dim=1))
    mean_guide, mean_change = means[:, :3], means[:, 3:6]
    pairs = [(i, j) for i in range(3) for j in range(i, 3)]
    covariance = {pair: means[0, 6 + k] - means[0, pair[0]] * means[0, pair[1]] for k, pair in enumerate(pairs)}
    cross = means[0, 12:21].unflatten(0, (3, 3)) - means[0, :3, None] * means[0, None, 3:6]  # [guide, change, gh, gw]
    gains = _solve_symmetric(covariance, cross, ridge).transpose(0, 1).reshape(1, 9, *cross.shape[2:])
    offsets = mean_change - (gains[0].unflatten(0, (3, 3)) * mean_guide[0]).sum(dim=1)[None]
    if stride < radius:  # neighbouring windows speak for a pixel together, as in the guided filter
        smooth = max(1, radius // stride // 2)
        gains, offsets = (F.avg_pool2d(x, 2 * smooth + 1, 1, smooth, count_include_pad=False) for x in (gains, offsets))
    fitted = ChangeMap(gains, offsets, torch.zeros_like(guide))
    height, width = guide.shape[2:]
    rest = change - fitted.at(grid_places(width, height), guide[0], rest_amount=0)[None]
    return ChangeMap(gains, offsets, rest)


def grid_places(width: int, height: int, rows: slice = slice(None)) -> Tensor:
    """Return [h, width, 2] the middles of pixels as fractions of width and height; only some rows if asked for."""
    x, y = (np.arange(width) + 0.5) / width, ((np.arange(height) + 0.5) / height)[rows]
    return torch.from_numpy(np.stack(np.meshgrid(x, y), axis=-1).astype(np.float32))


def change_face(
    photo: Tensor, change: ChangeMap, transform: AlignTransform, *, feather: float = 0.3, rest: float = 1.0
) -> Tensor:
    """Apply a change that was fitted in a face's frame to the photo, under the soft mask of the frame.

    Args:
        photo: [3, H, W] uint8; is left as it is.
        change: fitted on [1, 3, R, R] crops of the frame.
        transform: photo pixels -> frame.
        feather: see `gan_space.portraits.paste.soft_mask`.
        rest: share of what gains and offsets do not say.

    Returns:
        [3, H, W] uint8, a new tensor; where the mask is zero, every pixel is that of `photo`.
    """
    check_photo(photo)
    result = photo.clone()
    for rows, columns, places in frame_strips(transform, photo.shape[2], photo.shape[1]):
        mask = torch.from_numpy(soft_mask(places, feather).astype(np.float32))
        old = photo[:, rows, columns]
        colors = from_uint8(old)
        new = to_uint8(colors + mask * change.at(torch.from_numpy(places.astype(np.float32)), colors, rest))
        result[:, rows, columns] = torch.where(mask > 0, new, old)
    return result


def change_photo(photo: Tensor, change: ChangeMap, *, rest: float = 1.0) -> Tensor:
    """Apply a change that was fitted on the whole photo at a small size: [3, H, W] uint8 -> a new one."""
    height, width = check_photo(photo).shape[1:]
    result = torch.empty_like(photo)
    for first, last in strips(0, height, width):
        colors = from_uint8(photo[:, first:last])
        places = grid_places(width, height, slice(first, last))
        result[:, first:last] = to_uint8(colors + change.at(places, colors, rest))
    return result


def _solve_symmetric(matrix: dict[tuple[int, int], Tensor], right: Tensor, ridge: float) -> Tensor:
    """Solve (M + ridge I) X = right for every place at once, by cofactors.

    `matrix` holds the upper triangle, entries [gh, gw]; `right` is [3, K, gh, gw]; returns [3, K, gh, gw]. LAPACK on
    tens of thousands of 3x3 systems takes far longer than these few products.
    """
    a, d, f = (matrix[i, i] + ridge for i in range(3))
    b, c, e = matrix[0, 1], matrix[0, 2], matrix[1, 2]
    aa, bb, cc = d * f - e * e, c * e - b * f, b * e - c * d
    dd, ee, ff = a * f - c * c, b * c - a * e, a * d - b * b
    determinant = (a * aa + b * bb + c * cc).clamp(min=math.ulp(0.0) + ridge**3)
    rows = ((aa, bb, cc), (bb, dd, ee), (cc, ee, ff))
    return torch.stack([sum(row[k] * right[k] for k in range(3)) / determinant for row in rows])
