"""Make rough crops with known answers out of aligned faces, all at once on tensors; and scenes to test the result in.

What lies outside an aligned picture has to be invented. The seam would tell a network exactly where the face is, so it
is soft, and its place and shape are drawn anew for every crop.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.models.aligner import MEAN_POINTS

MAX_ROLL_DEG = 45.0
MIN_VIEW, MAX_VIEW = 0.6, 1.6  # side of the crop, in widths of the aligned picture
MAX_SHIFT = 0.2  # of the crop's width
CLOSE_SHARE = 0.5  # crops as they come in a second pass: nearly right
CLOSE_ROLL_DEG, CLOSE_VIEW, CLOSE_SHIFT = 12.0, 1.18, 0.07
NOT_A_FACE_SHARE = 0.2
VIEW_ROLL_DEG, VIEW_SCALE, VIEW_SHIFT = 8.0, 1.1, 0.04  # of faces that stay nearly in place
SIDE_LIGHT = 0.5  # deviation of the logarithm of the light between two opposite edges
# JPEG's example luminance table (ITU-T T.81, K.1), used for all three channels.
JPEG_TABLE = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)


class DisturbedBatch(NamedTuple):
    """Rough crops and what is in them."""

    images: Tensor  # [N, 3, R, R] float in [-1, 1]
    points: Tensor  # [N, 3, 2], eyes and mouth as fractions of the crop
    eye_distance: Tensor  # [N], fraction of the crop's width
    is_face: Tensor  # [N] bool; where False, points mean nothing


def mirror_half(images: Tensor, yaw: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mirror about half of the faces [N, 3, R, R]; their turns [N] to the side change sign with them."""
    mirrored = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(mirrored.view(-1, 1, 1, 1), images.flip(3), images), torch.where(mirrored, -yaw, yaw)


def disturb(faces: Tensor, resolution: int, generator: torch.Generator) -> DisturbedBatch:
    """Disturb aligned faces by random similarities, put them on other backgrounds, and spoil the picture.

    Args:
        faces: [N, 3, S, S] uint8 in the tight frame.
        resolution: R, of the crops.
        generator: makes the result depend on nothing else.
    """
    num = len(faces)
    random = _Random(num, generator)
    pictures = faces.float() / 127.5 - 1
    close = random.chance(CLOSE_SHARE)
    roll = torch.deg2rad(torch.where(close, random.spread(CLOSE_ROLL_DEG), random.spread(MAX_ROLL_DEG)))
    wide_view = random.between(math.log(MIN_VIEW), math.log(MAX_VIEW))
    view = torch.where(close, random.spread(math.log(CLOSE_VIEW)), wide_view).exp()
    reach = torch.where(close, CLOSE_SHIFT, MAX_SHIFT)[:, None]
    shift = torch.stack([random.spread(1.0), random.spread(1.0)], dim=1) * reach * view[:, None]

    is_face = ~random.chance(NOT_A_FACE_SHARE)
    kind = random.between(0, 4).long()  # of what is not a face
    # 0: background alone; 1: shredded; 2: far off; 3: much too large or too small
    far = (~is_face & (kind == 2))[:, None]
    angle = random.between(0, 2 * math.pi)
    away = torch.stack([angle.cos(), angle.sin()], dim=1) * (random.between(0.75, 1.2) * view)[:, None]
    shift = torch.where(far, away, shift)
    wrong_size = torch.where(random.chance(0.5), random.between(0.15, 0.3), random.between(3.0, 5.0))
    view = torch.where(~is_face & (kind == 3), wrong_size, view)

    grid = _grid(view, roll, shift, resolution)  # [N, R, R, 2] of frame fractions
    inside = _face_mask(grid, random)  # [N, 1, R, R]
    inside = inside * (is_face | (kind > 0)).view(-1, 1, 1, 1)
    shredded = torch.where((~is_face & (kind == 1)).view(-1, 1, 1, 1), shred(pictures), pictures)
    face = _sample(shredded, grid, view * pictures.shape[-1] / resolution)
    scenery = _background(pictures, resolution, random)
    # A third of the crops go on past the edge in the picture's own mirror image: no seam at all.
    mirrored = random.chance(0.35).view(-1, 1, 1, 1) & is_face.view(-1, 1, 1, 1)
    images = torch.where(mirrored, face, inside * face + (1 - inside) * scenery)
    images = _occlude(images, scenery.flip(0), random)
    images = _spoil(images, random)

    mean = images.new_tensor(MEAN_POINTS)
    offset = mean - 0.5 - shift[:, None]  # [N, 3, 2]
    cos, sin = roll.cos()[:, None], roll.sin()[:, None]
    turned = torch.stack(
        [cos * offset[..., 0] + sin * offset[..., 1], -sin * offset[..., 0] + cos * offset[..., 1]], dim=-1
    )
    points = 0.5 + turned / view[:, None, None]
    return DisturbedBatch(images, points, (mean[1, 0] - mean[0, 0]) / view, is_face)


def background(pictures: Tensor, resolution: int, generator: torch.Generator) -> Tensor:
    """Make scenery that shows no face: [N, 3, S, S] pictures in [-1, 1] -> [N, 3, R, R], each made of its neighbour."""
    return _background(pictures, resolution, _Random(len(pictures), generator))


def face_views(faces: Tensor, resolution: int, generator: torch.Generator, *, strong: bool) -> Tensor:
    """Show aligned faces in another way: nearly in place, in other light and quality, partly covered.

    Args:
        faces: [N, 3, S, S] uint8 in the tight frame, S at most 1.3 R so that nothing is read from a half-size copy.
        resolution: R, of the views.
        generator: makes the result depend on nothing else.
        strong: also cover, blur, recolour and compress them, and light them from one side.

    Returns:
        [N, 3, R, R] float in [-1, 1].
    """
    random = _Random(len(faces), generator)
    view = random.spread(math.log(VIEW_SCALE)).exp()
    shift = torch.stack([random.spread(VIEW_SHIFT), random.spread(VIEW_SHIFT)], dim=1)
    grid = _grid(view, torch.deg2rad(random.spread(VIEW_ROLL_DEG)), shift, resolution)
    images = _sample(faces.float() / 127.5 - 1, grid, view * faces.shape[-1] / resolution)
    if not strong:
        gain = (0.07 * random.normal()).exp().view(-1, 1, 1, 1)
        return (images * gain + 0.05 * random.normal().view(-1, 1, 1, 1)).clamp(-1, 1)
    axis = (torch.arange(resolution) + 0.5) / resolution - 0.5
    across, down = (SIDE_LIGHT * random.normal(2)).unbind(dim=1)
    light = (across.view(-1, 1, 1) * axis + down.view(-1, 1, 1) * axis[:, None]).exp()[:, None]  # [N, 1, R, R]
    images = ((images + 1) * light - 1).clamp(-1, 1)
    images = _occlude(images, images.roll(1, dims=0).flip(3), random)
    # Mixed with the clean picture, since a view in which nothing can be seen teaches nothing.
    return images.lerp(_spoil(images, random), random.between(0.4, 1.0).view(-1, 1, 1, 1))


class _Random:
    """One number for each of N crops."""

    def __init__(self, num: int, generator: torch.Generator):
        self.num, self.generator = num, generator

    def between(self, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(self.num, generator=self.generator)

    def spread(self, size: float) -> Tensor:
        return self.between(-size, size)

    def chance(self, share: float) -> Tensor:
        return torch.rand(self.num, generator=self.generator) < share

    def normal(self, *shape: int) -> Tensor:
        return torch.randn(self.num, *shape, generator=self.generator)


def _grid(view: Tensor, roll: Tensor, shift: Tensor, resolution: int) -> Tensor:
    """Pixel centres v of the crops in fractions of the aligned picture: 0.5 + view R(roll) (v - 0.5) + shift."""
    axis = (torch.arange(resolution) + 0.5) / resolution - 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    cos, sin = (view * roll.cos()).view(-1, 1, 1), (view * roll.sin()).view(-1, 1, 1)
    grid = torch.stack([cos * x - sin * y, sin * x + cos * y], dim=-1)
    return grid + 0.5 + shift[:, None, None]


def _sample(pictures: Tensor, grid: Tensor, step: Tensor) -> Tensor:
    """Read pictures [N, 3, S, S] at a grid; where more than 1.3 px of them fall on one, from a half-size copy."""
    grid = grid * 2 - 1
    large = F.grid_sample(pictures, grid, padding_mode="reflection", align_corners=False)
    small = F.grid_sample(F.avg_pool2d(pictures, 2), grid, padding_mode="reflection", align_corners=False)
    return torch.where((step > 1.3).view(-1, 1, 1, 1), small, large)


def _face_mask(grid: Tensor, random: _Random) -> Tensor:
    """Soft superellipses around the face, each with a centre, radii, corners and feather of its own: [N, 1, R, R]."""

    def column(values: Tensor) -> Tensor:
        return values.view(-1, 1, 1)

    x = (grid[..., 0] - 0.5 - column(random.spread(0.06))) / column(random.between(0.40, 0.56))
    y = (grid[..., 1] - 0.5 - column(random.spread(0.05))) / column(random.between(0.44, 0.56))
    power = column(random.between(2.0, 6.0))
    radius = (x.abs() ** power + y.abs() ** power) ** (1 / power)
    softness = column(random.between(0.03, 0.3))
    return ((1 + softness / 2 - radius) / softness).clamp(0, 1)[:, None]


def shred(pictures: Tensor) -> Tensor:
    """Swap the quarters of pictures crosswise and turn them: all textures of a face, but no face."""
    half = pictures.shape[-1] // 2
    return torch.roll(pictures, (half, half), dims=(2, 3)).transpose(2, 3)


def _background(pictures: Tensor, resolution: int, random: _Random) -> Tensor:
    """Magnified and blurred parts of other pictures, colour gradients and noise, in random shares: [N, 3, R, R]."""
    others = pictures.roll(1, dims=0)
    shift = torch.stack([random.spread(0.5), random.spread(0.5)], dim=1)
    grid = _grid(random.between(0.1, 0.5), random.between(0, 2 * math.pi), shift, resolution) * 2 - 1
    sharp = F.grid_sample(others, grid, padding_mode="reflection", align_corners=False)
    blurred_others = F.avg_pool2d(others, others.shape[-1] // 12)
    wide = _grid(random.between(0.4, 2.0), random.between(0, 2 * math.pi), shift, resolution) * 2 - 1
    blurred = F.grid_sample(blurred_others, wide, padding_mode="reflection", align_corners=False)
    texture = torch.where(random.chance(0.4).view(-1, 1, 1, 1), sharp, blurred)
    corners = torch.rand(random.num, 3, 2, 2, generator=random.generator) * 2 - 1
    gradient = F.interpolate(corners, size=(resolution, resolution), mode="bilinear", align_corners=True)
    blobs = F.interpolate(random.normal(3, 8, 8) * 0.5, size=(resolution, resolution), mode="bilinear")
    share = random.between(0, 1).view(-1, 1, 1, 1)
    plain = torch.where(random.chance(0.5).view(-1, 1, 1, 1), gradient, (gradient + blobs).clamp(-1, 1))
    # Three in five show a texture only, one in five no texture, the rest both.
    share = torch.where(share < 0.6, 1.0, torch.where(share < 0.8, 0.0, (share - 0.8) * 5))
    return share * texture + (1 - share) * plain


def _occlude(images: Tensor, filling: Tensor, random: _Random) -> Tensor:
    """Cover a third of the crops with a box of something else, up to 0.4 wide."""
    resolution = images.shape[-1]
    axis = (torch.arange(resolution) + 0.5) / resolution
    across = (axis - random.between(0, 1)[:, None]).abs() < random.between(0.04, 0.2)[:, None]  # [N, R]
    down = (axis - random.between(0, 1)[:, None]).abs() < random.between(0.04, 0.2)[:, None]
    box = (across[:, None, None, :] & down[:, None, :, None]) & random.chance(0.33).view(-1, 1, 1, 1)
    return torch.where(box, filling, images)


def _spoil(images: Tensor, random: _Random) -> Tensor:
    """Light, colour, blur, noise and JPEG."""

    def column(values: Tensor) -> Tensor:
        return values.view(-1, 1, 1, 1)

    resolution = images.shape[-1]
    grey = images.mean(dim=1, keepdim=True)
    images = torch.where(column(random.chance(0.1)), grey, images)
    gamma = column((0.35 * random.normal()).exp().clamp(0.4, 2.5))
    images = ((images.clamp(-1, 1) + 1) / 2 + 1e-4) ** gamma * 2 - 1
    images = images * column((0.2 * random.normal()).exp()) + column(0.15 * random.normal())
    images = images * (0.1 * random.normal(3)).exp()[:, :, None, None]
    # Each row of the batch is a random face already, so fixed shares of the batch are random as well.
    parts = list(images.split(max(1, len(images) // 8)))
    for index, size in zip((1, 3, 5), (0.3, 0.45, 0.65), strict=True):
        if index < len(parts):
            small = F.interpolate(parts[index], size=max(8, round(resolution * size)), mode="area")
            parts[index] = F.interpolate(small, size=resolution, mode="bilinear", align_corners=False)
    images = torch.cat(parts)
    noise = torch.randn(images.shape, generator=random.generator)
    images = images + noise * column(0.06 * random.normal().abs() * random.chance(0.7))
    images = images.clamp(-1, 1)
    compressed = jpeg_like(images[::3], random.between(15, 80)[::3])
    images = images.clone()
    images[::3] = compressed
    return images


def jpeg_like(images: Tensor, quality: Tensor) -> Tensor:
    """Quantise 8x8 blocks as JPEG does, per RGB channel, without entropy coding: fast, and close enough to learn from.

    Args:
        images: [N, 3, R, R] in [-1, 1], R a multiple of 8.
        quality: [N] in [1, 100], as libjpeg counts it.
    """
    num, channels, resolution, _ = images.shape
    k = torch.arange(8.0)
    basis = torch.cos(math.pi / 8 * (k[None, :] + 0.5) * k[:, None]) / 2  # [frequency, place]
    basis[0] /= math.sqrt(2)
    blocks = images.view(num, channels, resolution // 8, 8, resolution // 8, 8).transpose(3, 4) * 127.5 - 0.5
    scale = torch.where(quality < 50, 50 / quality, 2 - quality / 50)  # IJG's rule
    table = torch.tensor(JPEG_TABLE, dtype=torch.float32).view(8, 8) * scale.view(-1, 1, 1, 1, 1, 1)
    table = (table + 0.5).floor().clamp(min=1)
    frequencies = basis @ blocks @ basis.T
    blocks = (basis.T @ (torch.round(frequencies / table) * table) @ basis + 0.5) / 127.5
    return blocks.transpose(3, 4).reshape(images.shape).clamp(-1, 1)
