"""Pairs for the upscaler: a picture, and the same at half the size as a generator or a camera might give it."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.models.upscaler import FACTOR
from training.disturb import jpeg_like
from training.looks import LOOKS, render_look

# Sizes of the target as shares of the data's, drawn with equal chances: pictures made smaller are crisper to the pixel
# than any of 128 px here, and an edge is an edge at every scale.
SCALES = (1.0, 0.75, 0.5, 0.5)
FACE_STEP_PX = 64  # with whole multiples, all sizes above halve into blocks of 8 px, which JPEG needs
BLUR_SHARE, MIN_BLUR, MAX_BLUR = 0.5, 0.3, 1.1  # Gaussian, in px of the small picture: what a generator draws is soft
NOISE_SHARE, MAX_NOISE = 0.3, 0.04
JPEG_SHARE, MIN_QUALITY, MAX_QUALITY = 0.25, 50.0, 95.0
BLUR_TAPS = 7


class UpscalerBatch(NamedTuple):
    """Pictures for one step."""

    inputs: Tensor  # [N, 3, P / 2, P / 2] in [-1, 1]
    targets: Tensor  # [N, 3, P, P], clean


def make_pairs(
    faces: Tensor, random: torch.Generator, *, patch_px: int = 64, looks_share: float = 0.25, spoil: float = 1.0
) -> UpscalerBatch:
    """Turn aligned faces into patches with their small counterparts.

    Args:
        faces: [N, 3, S, S] uint8, S a multiple of 64.
        random: on the CPU; the result depends on nothing else.
        patch_px: P, even and at most S / 2, the smallest size that a face is shrunk to.
        looks_share: share of the pictures that are rendered in a look first, so that drawn lines are known too.
        spoil: share of the usual blur, noise and JPEG; 0 leaves the small pictures clean.
    """
    num, side = len(faces), faces.shape[-1]
    targets = faces.float() / 127.5 - 1
    mirrored = (torch.rand(num, generator=random) < 0.5).view(-1, 1, 1, 1)
    targets = torch.where(mirrored, targets.flip(3), targets)
    drawn = round(num * looks_share)
    if drawn:
        name = list(LOOKS)[_index(len(LOOKS), random)]
        targets = torch.cat([render_look(name, targets[:drawn]), targets[drawn:]])
    scale = SCALES[_index(len(SCALES), random)]
    if scale < 1:
        targets = shrink_smooth(targets, round(side * scale)).clamp(-1, 1)
    inputs = _spoil(_halve(targets, random), random, spoil)
    return UpscalerBatch(*_patches(inputs, targets, patch_px // FACTOR, random))


def shrink_smooth(images: Tensor, side: int) -> Tensor:
    """Antialiased bicubic resize to side x side."""
    return F.interpolate(images, size=(side, side), mode="bicubic", antialias=True, align_corners=False)


def blur_small(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of [N, C, H, W] with a width of its own, in px, for each picture: sigma [N], above 0."""
    num, channels = images.shape[:2]
    offsets = torch.arange(BLUR_TAPS) - BLUR_TAPS // 2
    taps = torch.exp(-0.5 * (offsets / sigma[:, None]).square())  # [N, taps]
    taps = (taps / taps.sum(dim=1, keepdim=True)).repeat_interleave(channels, dim=0)
    stack = F.pad(images.reshape(1, num * channels, *images.shape[2:]), (BLUR_TAPS // 2,) * 4, mode="reflect")
    stack = F.conv2d(stack, taps[:, None, None], groups=num * channels)
    return F.conv2d(stack, taps[:, None, :, None], groups=num * channels).view_as(images)


def _index(count: int, random: torch.Generator) -> int:
    return int(torch.randint(count, [1], generator=random))


def _halve(targets: Tensor, random: torch.Generator) -> Tensor:
    """Each picture by area, bicubic or bilinear filter, drawn at random."""
    size = [side // FACTOR for side in targets.shape[2:]]
    smooth = {"antialias": True, "align_corners": False}
    kinds = [F.avg_pool2d(targets, FACTOR)]
    kinds += [F.interpolate(targets, size=size, mode=mode, **smooth) for mode in ("bicubic", "bilinear")]
    chosen = torch.randint(len(kinds), [len(targets)], generator=random)
    return torch.stack(kinds)[chosen, torch.arange(len(targets))]


def _spoil(images: Tensor, random: torch.Generator, amount: float) -> Tensor:
    """Blur, noise and JPEG on some of the pictures."""
    num = len(images)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(num, generator=random)

    def chance(share: float) -> Tensor:
        return torch.rand(num, generator=random) < share * amount

    def column(values: Tensor) -> Tensor:
        return values.view(-1, 1, 1, 1)

    blurred = blur_small(images, uniform(MIN_BLUR, MAX_BLUR))
    images = torch.where(column(chance(BLUR_SHARE)), blurred, images)
    level = uniform(0, MAX_NOISE) * chance(NOISE_SHARE)
    images = images + torch.randn(images.shape, generator=random) * column(level)
    images = images.clamp(-1, 1)
    quality, rows = uniform(MIN_QUALITY, MAX_QUALITY), chance(JPEG_SHARE).nonzero().flatten()
    return images.index_copy(0, rows, jpeg_like(images[rows], quality[rows])) if len(rows) else images


def _patches(inputs: Tensor, targets: Tensor, side: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Cut one patch out of each picture, at the same place in both: [N, 3, side, side], [N, 3, 2 side, 2 side]."""
    room = inputs.shape[-1] - side
    corners = (torch.rand(len(inputs), 2, generator=random) * (room + 1)).long().tolist()
    small = [x[:, top : top + side, left : left + side] for x, (top, left) in zip(inputs, corners, strict=True)]
    large = [
        x[:, FACTOR * top : FACTOR * (top + side), FACTOR * left : FACTOR * (left + side)]
        for x, (top, left) in zip(targets, corners, strict=True)
    ]
    return torch.stack(small), torch.stack(large)


def max_patch_px(face_px: int) -> int:
    """Largest patch that fits into faces of that size at every scale."""
    return math.floor(face_px * min(SCALES))
