"""What drawings are made of: blurs, tone curves, evened light and contours, on [N, C, H, W] in [0, 1].

Lengths are fractions of `unit`, the width of a face's tight frame in pixels, so that a drawing is the same at every
resolution. Without a unit the picture is the frame, as in faces that were cut to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.images import luminance

_DIRECT_PX = 6.0  # wider blurs are made on a smaller picture
_SMALL_PX = 2.5  # the standard deviation there
_BELOW = 0.02  # a level to which specks are lowered, so that enlarging brings none back
_STRIP_PIXELS = 50_000


def drop_specks(x: Tensor, level: float, least_px: float) -> Tensor:
    """Lower what is above a level in parts of a picture [1, 1, H, W] that have fewer than `least_px` pixels."""
    plane = x[0, 0].numpy()
    above = plane > level
    _, labels, stats, _ = cv2.connectedComponentsWithStats(above.astype(np.uint8))
    small = stats[:, cv2.CC_STAT_AREA] < least_px
    small[0] = False
    small = small[labels]
    # Their slopes as well: enlarged, a peak cut off at the level would reach over it again.
    around = cv2.dilate(small.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & ~(above & ~small)
    return torch.from_numpy(np.where(around, np.minimum(plane, level - _BELOW), plane))[None, None]


def by_plane(
    x: Tensor, filtered: Callable[[np.ndarray, np.ndarray], object], size: tuple[int, int] | None = None
) -> Tensor:
    """Filter every channel of every picture; `filtered(plane, into)` writes [H, W] float32, of `size` where given."""
    planes = x.detach().cpu().float().contiguous().numpy().reshape(-1, *x.shape[-2:])
    out = np.empty((len(planes), *(size or x.shape[-2:])), np.float32)
    for plane, into in zip(planes, out, strict=True):  # straight into its place: a copy takes a third of the time
        filtered(plane, into)
    return torch.from_numpy(out).view(*x.shape[:-2], *out.shape[1:]).to(x.device)


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Average down or read linearly between pixels; `size` is (H, W)."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    how = cv2.INTER_AREA if size[0] <= x.shape[-2] and size[1] <= x.shape[-1] else cv2.INTER_LINEAR
    return by_plane(x, lambda plane, into: cv2.resize(plane, size[::-1], into, interpolation=how), size)


def enlarge(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Enlarge to `size`, (H, W), edges kept as steep as can be."""
    return by_plane(x, lambda plane, into: cv2.resize(plane, size[::-1], into, interpolation=cv2.INTER_CUBIC), size)


def blur(x: Tensor, sigma: float, unit: float | None = None) -> Tensor:
    """Blur by a Gaussian; `sigma` is a fraction of the unit; past the edge goes the mirror image."""
    sigma = max(sigma * (unit or x.shape[-1]), 0.3)
    return by_plane(x, lambda plane, into: _blur_plane(plane, into, sigma))


def _blur_plane(plane: np.ndarray, into: np.ndarray, sigma: float) -> None:
    height, width = plane.shape
    if sigma <= _DIRECT_PX:
        radius = [min(math.ceil(2.5 * sigma), side - 1) for side in (width, height)]
        cv2.GaussianBlur(plane, [2 * r + 1 for r in radius], sigma, into, borderType=cv2.BORDER_REFLECT_101)
        return
    step = int(sigma / _SMALL_PX)
    size = (math.ceil(width / step), math.ceil(height / step))
    small = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    # Averaging and reading between pixels blur as well: variances 1/12 and 1/6 of a step.
    own = math.sqrt((sigma * size[0] / width) ** 2 - 1 / 4)
    radius = [min(math.ceil(2.5 * own), side - 1) for side in size]
    small = cv2.GaussianBlur(small, [2 * r + 1 for r in radius], own, borderType=cv2.BORDER_REFLECT)
    cv2.resize(small, (width, height), into, interpolation=cv2.INTER_LINEAR)


def smooth(x: Tensor, sigma: float, edge: float, unit: float | None = None) -> Tensor:
    """Blur up to edges of contrast above `edge`: a filter guided by the luminance (He et al. 2013).

    Wide ones find slope and offset on a smaller picture (He & Sun 2015).
    """
    unit = unit or x.shape[-1]
    height, width = x.shape[-2:]
    step = max(1, int(sigma * unit / _DIRECT_PX))
    small = resize(x, (math.ceil(height / step), math.ceil(width / step)))
    small_unit = unit * small.shape[-1] / width
    guide = luminance(small)
    means = blur(torch.cat([guide, small, guide * guide, guide * small], dim=1), sigma, small_unit)
    channels = x.shape[1]
    mean_guide, mean_x, mean_square, mean_product = means.split([1, channels, 1, channels], dim=1)
    slope = (mean_product - mean_guide * mean_x) / (mean_square - mean_guide**2 + edge**2)
    lines = blur(torch.cat([slope, mean_x - slope * mean_guide], dim=1), sigma, small_unit)
    slope, offset = resize(lines, (height, width)).split(channels, dim=1)
    return slope * luminance(x) + offset


def ramp(x: Tensor, low: float, high: float) -> Tensor:
    """Smooth step from 0 at `low` to 1 at `high`."""
    t = (x - low).div_(high - low).clamp_(0, 1)
    return (3 - 2 * t).mul_(t).mul_(t)


def saturate(x: Tensor, amount: float) -> Tensor:
    """Move colours further from grey (above 1) or nearer (below)."""
    y = luminance(x)
    return y + amount * (x - y)


def fit_colours(x: Tensor) -> Tensor:
    """Bring colours that are brighter than 1 into range: paler, of the same luminance and hue; in place.

    Cut off instead, the red of skin stays while its green goes on growing, and light skin turns yellow.
    """
    y = luminance(x).clamp_(0, 1)
    over = (1 - y).div_((x.amax(dim=1, keepdim=True) - y).clamp_(min=1e-4)).clamp_(max=1)
    return x.sub_(y).mul_(over).add_(y)


def curve(x: Tensor, points: Sequence[tuple[float, float]]) -> Tensor:
    """Apply a tone curve through (in, out) points, straight between them; "in" ascends from 0 to 1."""
    out = torch.full_like(x, points[0][1])
    for (x0, y0), (x1, y1) in pairwise(points):
        if y1 != y0:
            out += (x - x0).div_(x1 - x0).clamp_(0, 1).mul_(y1 - y0)
    return out


def gradient_map(y: Tensor, stops: Sequence[tuple[float, tuple[int, int, int]]]) -> Tensor:
    """Return colours for a luminance [N, 1, H, W]: straight between the stops (luminance, (R, G, B) of 255)."""
    channels = [curve(y, [(at, colour[channel] / 255) for at, colour in stops]) for channel in range(3)]
    return torch.cat(channels, dim=1)


def tone_to_pixels(tone: Tensor, stops: Sequence[tuple[float, tuple[int, int, int]]]) -> np.ndarray:
    """Take one picture through `gradient_map`, straight to [H, W, 3] uint8."""
    table = gradient_map(torch.arange(256).float().view(1, 1, 1, 256) / 255, stops)[0, :, 0]  # [3, 256]
    table = (table * 255 + 0.5).to(torch.uint8).T[None].contiguous().numpy()
    level = (tone[0, 0] * 255 + 0.5).clamp_(0, 255).to(torch.uint8).numpy()
    return cv2.LUT(cv2.merge([level, level, level]), table)


def to_pixels(x: Tensor) -> np.ndarray:
    """Turn one picture [1, C, H, W] in [0, 1] into [H, W, C] uint8."""
    return cv2.merge([to_bytes(plane, 255.0) for plane in x[0].contiguous().numpy()])


def row_strips(*pictures: Tensor) -> Iterable[tuple[Tensor, ...]]:
    """Return views of the same few rows of pictures [..., H, W] of one size: what is worked on stays in the cache."""
    rows = max(1, _STRIP_PIXELS // pictures[0].shape[-1])
    return zip(*(picture.split(rows, dim=-2) for picture in pictures), strict=True)


def to_bytes(plane: np.ndarray, gain: float) -> np.ndarray:
    """Multiply [h, w] float32, round it and cut it off to uint8, in one pass."""
    return cv2.addWeighted(plane, gain, plane, 0.0, 0.0, dtype=cv2.CV_8U)


def colour(x: Tensor, red: float, green: float, blue: float) -> Tensor:
    """Make one colour [1, 3, 1, 1] in the type and place of `x`."""
    return torch.tensor([red, green, blue], dtype=x.dtype, device=x.device).view(1, 3, 1, 1)


def even_light(y: Tensor, mid: float = 0.52, spread: float = 0.23) -> Tensor:
    """Bring a luminance to one mean and contrast, picture by picture: a drawing works for every skin and light."""
    mean, std = y.mean(dim=[2, 3], keepdim=True), y.std(dim=[2, 3], keepdim=True)
    return ((y - mean) * (spread / std.clamp(min=0.05)) + mid).clamp(0, 1)


def spot(x: Tensor, at: tuple[float, float], width: float, height: float, power: float = 2.0) -> Tensor:
    """Draw a soft ellipse [1, 1, H, W]: 1 in its middle, 0.61 at half axes `width`, `height`; all in picture sides."""
    H, W = x.shape[-2:]
    v = (torch.arange(H, dtype=x.dtype, device=x.device) + 0.5).view(1, 1, H, 1) / H - at[1]
    u = (torch.arange(W, dtype=x.dtype, device=x.device) + 0.5).view(1, 1, 1, W) / W - at[0]
    return torch.exp(-0.5 * ((u / width).abs() ** 2 + (v / height).abs() ** 2) ** (power / 2))


def lines(y: Tensor, sigma: float, sharpness: float = 12.0, level: float = 0.0, unit: float | None = None) -> Tensor:
    """Draw ink lines where the picture is darker than around: 1 on a line, 0 off (XDoG; Winnemöller et al. 2012)."""
    difference = blur(y, 1.6 * sigma, unit) - blur(y, sigma, unit)
    return (sharpness * (difference - level)).clamp(0, 1)
