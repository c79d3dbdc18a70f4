"""Put a changed face back into its photo, with a soft edge and the rest untouched."""

from __future__ import annotations

import math

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
MAX_COLOR_GAIN = 1.6  # colour matching stretches contrast by no more than this, either way


def soft_mask(frame: np.ndarray, feather: float = 0.3) -> np.ndarray:
    """How much of the new face is seen at places in the frame: [..., 2] -> [...] in [0, 1].

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
    result = photo.clone()
    height, width = photo.shape[1:]
    corners = transform.inverse.apply([[0, 0], [1, 0], [0, 1], [1, 1]])
    left, top = np.clip(np.floor(corners.min(axis=0)), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(corners.max(axis=0)), 0, (width, height)).astype(int)
    if right <= left or bottom <= top:
        return result

    x, y = np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5
    frame = transform.apply(np.stack(np.meshgrid(x, y), axis=-1))  # [h, w, 2]
    mask = torch.from_numpy(soft_mask(frame, feather).astype(np.float32)).to(photo.device)  # [h, w]
    # A face with more pixels than its place in the photo is averaged first.
    shrink = max(1, math.floor(face.shape[-1] * transform.scale + 1e-6))
    if shrink > 1:
        wanted = max(1, face.shape[-1] // shrink)
        face = F.interpolate(face, size=(wanted, wanted), mode="area")
    grid = torch.from_numpy((frame * 2 - 1).astype(np.float32)).to(photo.device)[None]
    placed = F.grid_sample(face, grid, mode="bicubic", padding_mode="border", align_corners=False)[0]

    region = photo[:, top:bottom, left:right]
    old = from_uint8(region)
    blended = to_uint8(old + mask * (placed - old))
    result[:, top:bottom, left:right] = torch.where(mask > 0, blended, region)
    return result
