"""Put a changed face back into its photo, with a soft edge and the rest untouched."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.errors import InputError
from gan_space.faces.align import AlignTransform
from gan_space.images import from_uint8, to_uint8
from gan_space.photos.opening import check_photo

MASK_POWER = 3.0  # superellipse: 2 is an ellipse, more fills the corners
MASK_RADII = (0.5, 0.5)  # of the frame; the mask is zero from here on
PIXELS_AT_ONCE = 1 << 18  # bounds the memory, about 100 bytes each, whatever the size of the photo
MAX_COLOR_GAIN = 1.6  # colour matching stretches contrast by no more than this, either way


def soft_mask(frame: np.ndarray, feather: float = 0.3) -> np.ndarray:
    """Say how much of the new face is seen at places in the frame: [..., 2] -> [...] in [0, 1].

    A superellipse that touches the edges of the frame, with a smooth slope inward.

    Args:
        frame: places in the frame.
        feather: width of the slope as a share of the radius, in (0, 1].
    """
    if not 0 < feather <= 1:
        raise InputError(f"feather must be above 0 and at most 1, got {feather}")
    x = np.abs(frame[..., 0] - 0.5) / MASK_RADII[0]
    y = np.abs(frame[..., 1] - 0.5) / MASK_RADII[1]
    radius = (x**MASK_POWER + y**MASK_POWER) ** (1 / MASK_POWER)
    t = np.clip((1 - radius) / feather, 0, 1)
    return t * t * (3 - 2 * t)


def frame_weight(height: int, width: int) -> Tensor:
    """Return [height, width] how much a place in the frame belongs to the face, see `soft_mask`."""
    x, y = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    return torch.from_numpy(soft_mask(np.stack(np.meshgrid(x, y), axis=-1)).astype(np.float32))


def match_color(face: Tensor, reference: Tensor) -> Tensor:
    """Give a face the mean and the contrast of another, channel by channel (Reinhard et al. 2001, in RGB).

    Measured under the mask only. Both [1, 3, R, R] in [-1, 1]; the contrast changes by at most a factor of 1.6.
    """
    resolution = face.shape[-1]
    axis = (np.arange(resolution) + 0.5) / resolution
    weight = torch.from_numpy(soft_mask(np.stack(np.meshgrid(axis, axis), axis=-1))).to(face)
    weight = weight / weight.sum()

    def moments(images: Tensor) -> tuple[Tensor, Tensor]:
        mean = (images * weight).sum(dim=(2, 3), keepdim=True)
        return mean, ((images - mean).square() * weight).sum(dim=(2, 3), keepdim=True).sqrt()

    (mean, deviation), (wanted_mean, wanted_deviation) = moments(face), moments(reference)
    gain = (wanted_deviation / deviation.clamp(min=1e-3)).clamp(1 / MAX_COLOR_GAIN, MAX_COLOR_GAIN)
    return ((face - mean) * gain + wanted_mean).clamp(-1, 1)


def paste_face(
    photo: Tensor,
    face: Tensor,
    transform: AlignTransform,
    *,
    feather: float = 0.3,
    color_match: bool = False,
) -> Tensor:
    """Put a face back where `transform.crop` took it from.

    Args:
        photo: [3, H, W] uint8; is left as it is.
        face: [1, 3, R, R] float in [-1, 1]; R need not be the resolution of the crop.
        transform: photo pixels -> frame.
        feather: width of the soft edge, as a share of the face's radius.
        color_match: take mean colour and contrast of the face that was there, see `match_color`.

    Returns:
        [3, H, W] uint8, a new tensor. Where the mask is zero, every pixel is that of `photo`, bit for bit.

    Raises:
        InputError: a photo or face of another form.
    """
    check_photo(photo)
    if face.ndim != 4 or face.shape[:2] != (1, 3) or face.shape[2] != face.shape[3]:
        raise InputError(f"a face to paste is [1, 3, R, R], got {list(face.shape)}")
    face = face.detach().float().to(photo.device)
    if color_match:
        face = match_color(face, transform.crop(photo, face.shape[-1]))
    # A face with more pixels than its place in the photo is averaged first.
    shrink = max(1, math.floor(face.shape[-1] * transform.scale + 1e-6))
    if shrink > 1:
        wanted = max(1, face.shape[-1] // shrink)
        face = F.interpolate(face, size=(wanted, wanted), mode="area")
    result = photo.clone()
    for rows, columns, places in frame_strips(transform, photo.shape[2], photo.shape[1]):
        mask = torch.from_numpy(soft_mask(places, feather).astype(np.float32)).to(photo.device)  # [h, w]
        grid = torch.from_numpy((places * 2 - 1).astype(np.float32)).to(photo.device)[None]
        placed = F.grid_sample(face, grid, mode="bicubic", padding_mode="border", align_corners=False)[0]
        region = photo[:, rows, columns]
        old = from_uint8(region)
        result[:, rows, columns] = torch.where(mask > 0, to_uint8(old + mask * (placed - old)), region)
    return result


def frame_bounds(transform: AlignTransform, width: int, height: int) -> tuple[int, int, int, int]:
    """Return left, top, right and bottom of the frame in photo pixels, cut to the photo; empty outside of it."""
    corners = transform.inverse.apply([[0, 0], [1, 0], [0, 1], [1, 1]])
    left, top = np.clip(np.floor(corners.min(axis=0)), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(axis=0)), 0, (width, height)).astype(int)
    return int(left), int(top), max(int(right), int(left)), max(int(bottom), int(top))


def frame_strips(transform: AlignTransform, width: int, height: int) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """Return rows, columns and places [h, w, 2] in the frame of a photo's pixels around a face, some rows at a time."""
    left, top, right, bottom = frame_bounds(transform, width, height)
    for first, last in strips(top, bottom, right - left):
        x, y = np.arange(left, right) + 0.5, np.arange(first, last) + 0.5
        yield slice(first, last), slice(left, right), transform.apply(np.stack(np.meshgrid(x, y), axis=-1))


def strips(first: int, last: int, width: int) -> Iterator[tuple[int, int]]:
    """Split rows `first` to `last` into runs of at most `PIXELS_AT_ONCE`, or of one row."""
    step = max(1, PIXELS_AT_ONCE // max(1, width))
    for start in range(first, last if width > 0 else first, step):
        yield start, min(start + step, last)
