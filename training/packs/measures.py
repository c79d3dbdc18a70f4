"""What style transfer is measured by: nearness to a look, what is left of the face, and two simple peers.

Free functions on pictures [N, 3, H, W] in [-1, 1] that return one number a picture, [N].
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gan_space.images import luminance
from gan_space.output.lab import lab_to_rgb, rgb_to_lab
from gan_space.packs.losses import gram_matrix
from training.encoder.losses import ms_ssim

SMALL = 1e-4  # below, a deviation is nothing to divide by


# --- nearness to a look ---


def gram_matrices(maps: Sequence[Tensor]) -> list[Tensor]:
    """Return the Gram matrices of feature maps, each [N, C, h, w] -> [N, C, C], see `gram_matrix`."""
    return [gram_matrix(features.float()) for features in maps]


def gram_distance(grams: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """Return the distance of the Gram matrices of N pictures, [N] in [0, 1]: |A - B| / (|A| + |B|), mean over the maps.

    The division makes every map count alike, whatever the scale of its network.

    Example:
        >>> one = gram_matrices([torch.ones(1, 2, 4, 4)])
        >>> gram_distance(one, [3 * matrix for matrix in one]).item()
        0.5
    """
    parts = []
    for one, other in zip(grams, targets, strict=True):
        size = one.flatten(1).norm(dim=1) + other.flatten(1).norm(dim=1)
        parts.append((one - other).flatten(1).norm(dim=1) / size.clamp(min=1e-12))
    return torch.stack(parts).mean(dim=0)


def lab_histogram_distance(images: Tensor, targets: Tensor) -> Tensor:
    """Say how far the colours have to travel, in units of Lab: [N].

    The earth mover's distance between the histograms of L, of a and of b, with bins as fine as can be (both sorted, and
    compared place by place), mean over the three. A difference of 2 or 3 can just be seen.
    """
    one, other = (rgb_to_lab(part).flatten(2).sort(dim=2).values for part in (images, targets))
    return (one - other).abs().mean(dim=(1, 2))


# --- what is left of the face ---


def structure_similarity(images: Tensor, photos: Tensor) -> Tensor:
    """Return MS-SSIM of the luminance: [N], 1 where the light and dark are the same."""
    return ms_ssim(luminance(images.clamp(-1, 1)), luminance(photos.clamp(-1, 1)))


def landmarks_moved(points: Tensor, originals: Tensor) -> Tensor:
    """Say how far eyes and mouth moved, mean of the three, in percent of the distance of the eyes: [N].

    Args:
        points, originals: [N, 3, 2] left eye, right eye, mouth, in any unit; see `gan_space.models.aligner.Aligner`.
    """
    eye_distance = (originals[:, 1] - originals[:, 0]).norm(dim=1)
    return 100 * (points - originals).norm(dim=2).mean(dim=1) / eye_distance


# --- peers ---


def color_moments(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and deviation of L, a and b of every picture: two of [N, 3, 1, 1]."""
    lab = rgb_to_lab(images)
    return lab.mean(dim=(2, 3), keepdim=True), lab.std(dim=(2, 3), keepdim=True)


def transfer_colors(images: Tensor, mean: Tensor, std: Tensor, strength: float = 1.0) -> Tensor:
    """Transfer colours after Reinhard et al. 2001, in CIE Lab: every channel takes on a mean and a deviation.

    Args:
        mean, std: [1 or N, 3, 1, 1], see `color_moments`.
        strength: 0 to 1, share of the way in Lab.
    """
    lab = rgb_to_lab(images)
    own_mean, own_std = color_moments(images)
    moved = (lab - own_mean) / own_std.clamp(min=SMALL) * std + mean
    return lab_to_rgb(torch.lerp(lab, moved, strength))


def code_moments(w_plus: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and deviation of the numbers of every row of [N, num_ws, w_dim]: two of [N, num_ws, 1]."""
    return w_plus.mean(dim=2, keepdim=True), w_plus.std(dim=2, keepdim=True)


def match_code(w_plus: Tensor, mean: Tensor, std: Tensor, strength: float = 1.0) -> Tensor:
    """Match codes by AdaIN (Huang and Belongie 2017): every row of w_plus takes on a mean and a deviation.

    Args:
        w_plus: [N, num_ws, w_dim].
        mean, std: [1 or N, num_ws, 1], see `code_moments`.
        strength: 0 to 1, share of the way.
    """
    own_mean, own_std = code_moments(w_plus)
    return torch.lerp(w_plus, (w_plus - own_mean) / own_std.clamp(min=SMALL) * std + mean, strength)
