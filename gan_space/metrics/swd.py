"""Sliced Wasserstein distance between the patches of two sets of images, scale by scale (Karras 2018, section 5).

It needs no network: a low distance at 16 px means that large structures agree, at the full resolution that texture
does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gan_space.errors import InputError
from gan_space.images import from_uint8
from gan_space.metrics.features import check_images
from gan_space.seeding import check_seed

PATCH_PX = 7
NUM_PROJECTIONS = 512
# The article takes 128 patches of each of 16,384 images. With 1000 portraits of 64 px against themselves, 64 patches
# leave a distance by chance of 7 (times 1000, mean of the levels) and 128 patches 5.6, at twice the time; a blur of one
# pixel gives 150.
PATCHES_PER_IMAGE = 64
MIN_LEVEL_PX = 16
_KERNEL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)  # Burt and Adelson 1983


@dataclass(frozen=True, eq=False)
class PatchDescriptors:
    """Random patches of every pyramid level of a set of images.

    Args:
        levels: resolution in px -> [P, 3, 7, 7] float32, finest level first.
        num_images: how many images the patches come from.
        seed: of the places of the patches.
    """

    levels: Mapping[int, Tensor]
    num_images: int
    seed: int


def _blur(images: Tensor, gain: float = 1.0) -> Tensor:
    """Binomial 5 x 5 low pass with mirrored borders; [N, C, H, W] to the same shape."""
    for dim, pad in ((3, (2, 2, 0, 0)), (2, (0, 0, 2, 2))):
        padded, size = F.pad(images, pad, mode="reflect"), images.shape[dim]
        # Five shifted sums: a depthwise convolution of three channels takes several times longer on a CPU.
        images = sum(weight * gain * padded.narrow(dim, shift, size) for shift, weight in enumerate(_KERNEL))
    return images


def laplacian_pyramid(images: Tensor, num_levels: int) -> list[Tensor]:
    """Split [N, C, H, W] into `num_levels` band-pass images, finest first; the last is the low pass that remains."""
    levels = []
    for _ in range(num_levels - 1):
        smaller = _blur(images)[:, :, ::2, ::2]
        spread = torch.zeros_like(images)
        spread[:, :, ::2, ::2] = smaller
        levels.append(images - _blur(spread, gain=2.0))  # x2 on each axis makes up for the zeros between the pixels
        images = smaller
    return [*levels, images]


def _num_levels(side: int) -> int:
    levels = 1
    while side % 2 == 0 and side // 2 >= MIN_LEVEL_PX:
        side //= 2
        levels += 1
    return levels


def patch_descriptors(
    images: Tensor, patches_per_image: int = PATCHES_PER_IMAGE, seed: int = 0, batch_size: int = 128
) -> PatchDescriptors:
    """Cut random 7 x 7 patches from every level of the Laplacian pyramid of square images.

    Args:
        images: [N, 3, S, S], uint8 in [0, 255] or float in [-1, 1]; S >= 16.
        patches_per_image: patches of each image and level.
        seed: of the patches' places.
        batch_size: images in memory as floats at once; does not change the result.

    Raises:
        InputError: no images, images that are not square or below 16 px, or a wrong dtype.
    """
    check_images(images, "the sliced Wasserstein distance")
    count, _, height, width = images.shape
    if count == 0 or height != width or height < MIN_LEVEL_PX:
        raise InputError(
            f"the sliced Wasserstein distance takes square images of {MIN_LEVEL_PX} px or more, got {count} images of "
            f"{width}x{height} px"
        )
    random = np.random.RandomState(check_seed(seed))
    sides = [height >> level for level in range(_num_levels(height))]
    # Drawn before the loop over batches, so that the batch size changes nothing.
    places = [torch.from_numpy(random.randint(0, side - PATCH_PX + 1, (2, count, patches_per_image))) for side in sides]
    cut: list[list[Tensor]] = [[] for _ in sides]
    window = torch.arange(PATCH_PX)
    for start in range(0, count, batch_size):
        batch = images[start : start + batch_size].cpu()
        batch = from_uint8(batch) if batch.dtype == torch.uint8 else batch.float()
        item = torch.arange(len(batch))[:, None, None, None]
        for level, band in enumerate(laplacian_pyramid(batch, len(sides))):
            top, left = places[level][:, start : start + batch_size, :, None, None]  # [B, P, 1, 1]
            rows, columns = top + window[:, None], left + window  # [B, P, 7, 1], [B, P, 1, 7]
            patches = band.permute(0, 2, 3, 1)[item, rows, columns]  # [B, P, 7, 7, 3]
            cut[level].append(patches.flatten(0, 1).permute(0, 3, 1, 2).contiguous())
    return PatchDescriptors({side: torch.cat(parts) for side, parts in zip(sides, cut, strict=True)}, count, seed)


def distance_of_descriptors(real: PatchDescriptors, fake: PatchDescriptors, seed: int = 0) -> dict[str, float]:
    """Return the distance of two sets of patches, see `sliced_wasserstein`; keep the reals' patches between calls.

    Raises:
        InputError: the sets differ in resolution or in the number of patches.
    """
    shapes = [{side: list(patches.shape) for side, patches in both.levels.items()} for both in (real, fake)]
    if shapes[0] != shapes[1]:
        raise InputError(f"both sets need the same resolution and number of images, got {shapes[0]} and {shapes[1]}")
    random = np.random.RandomState(check_seed(seed))
    result = {}
    for side, real_patches in real.levels.items():
        fake_patches = fake.levels[side]
        # Both by the reals' statistics. The article's code scales each set by its own, which hides a colour cast or a
        # wrong contrast of the generator.
        std, mean = torch.std_mean(real_patches.double(), dim=(0, 2, 3), keepdim=True)
        std = std.clamp(min=1e-8)
        rows = [((patches - mean) / std).float().flatten(1) for patches in (real_patches, fake_patches)]  # [P, 147]
        directions = random.randn(rows[0].shape[1], NUM_PROJECTIONS)
        directions = torch.from_numpy(directions / np.linalg.norm(directions, axis=0)).float()  # unit length
        total = 0.0
        for part in directions.split(64, dim=1):
            # numpy's sort along rows is vectorised and some twenty times faster than torch's here.
            sorted_real, sorted_fake = (np.sort((part.T @ row.T).numpy(), axis=1) for row in rows)  # [64, P]
            total += float(np.abs(sorted_real - sorted_fake).mean(axis=1, dtype=np.float64).sum())
        result[str(side)] = total / NUM_PROJECTIONS * 1e3
    result["mean"] = float(np.mean(list(result.values())))
    return result


def sliced_wasserstein(
    real: Tensor, fake: Tensor, patches_per_image: int = PATCHES_PER_IMAGE, seed: int = 0
) -> dict[str, float]:
    """Return the sliced Wasserstein distance of two sets of images for every pyramid level (Karras 2018).

    For each of 512 random directions the projected patches of both sets are sorted and compared rank by rank, which is
    the exact Wasserstein distance in one dimension. Patches are scaled per channel by the reals' mean and deviation.

    Args:
        real: [N, 3, S, S], uint8 or float in [-1, 1].
        fake: the same number of images of the same size.
        patches_per_image: patches of each image and level.
        seed: of places and directions. The two sets get different places, so that even equal sets keep the small
            distance that chance gives.

    Returns:
        {"64": …, "32": …, "16": …, "mean": …}, all times 1000.

    Raises:
        InputError: the sets differ in number or size of images, or the images do not fit.
    """
    return distance_of_descriptors(
        patch_descriptors(real, patches_per_image, seed), patch_descriptors(fake, patches_per_image, seed + 1), seed
    )
