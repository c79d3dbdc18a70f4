"""Faces as the encoder meets them in use: a little off, in odd light, soft or noisy; all at once on tensors."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

SHIFT, SCALE, ROLL_DEG = 0.03, 0.04, 3.0  # standard deviations of what the aligner leaves, a little more than it does
WILD_SHIFT, WILD_SCALE, WILD_ROLL_DEG = 0.35, 0.4, 30.0  # for whole photos: a face may be anywhere
BLUR_SHARE, NOISE_SHARE, MAX_NOISE = 0.15, 0.4, 0.06


class EncoderBatch(NamedTuple):
    """Real faces for one step."""

    inputs: Tensor  # [N, 3, R, R] in [-1, 1], what the encoder sees
    targets: Tensor  # [N, 3, R, R], what it should draw: without the noise
    aligned: Tensor  # [N] bool; False: far from the frame, for the features only, with no code to be learned


def augment_faces(
    faces: Tensor, random: torch.Generator, *, warp_share: float = 0.5, wild_share: float = 0.15, strength: float = 1.0,
    mirror_share: float = 0.5,
) -> EncoderBatch:  # fmt: skip
    """Turn aligned faces into a batch.

    Mirroring, and for some a small or a large similarity transform with the rest of the picture mirrored at its edge;
    light, colour and blur of input and target alike, since a photo has to come back as it is; noise of the input alone.

    Args:
        faces: [N, 3, R, R] uint8, aligned.
        random: on the CPU; the result depends on nothing else.
        warp_share: share that is moved as much as an aligner errs. Those left as they are stay sharp to the pixel.
        wild_share: share that is moved far.
        mirror_share: share that is mirrored.
        strength: of light, colour, blur and noise; 0 leaves them alone.
    """
    num = len(faces)

    def normal(*more: int) -> Tensor:
        return torch.randn(num, *more, generator=random)

    def chance(share: float) -> Tensor:
        return torch.rand(num, generator=random) < share

    pictures = faces.float() / 127.5 - 1
    pictures = torch.where(chance(mirror_share).view(-1, 1, 1, 1), pictures.flip(3), pictures)
    wild, warped = chance(wild_share), chance(warp_share)
    spread = torch.where(wild[:, None], torch.tensor([WILD_SHIFT, WILD_SCALE, WILD_ROLL_DEG]),
                         torch.tensor([SHIFT, SCALE, ROLL_DEG]) * warped[:, None].float())  # fmt: skip
    shift, scale, roll = normal(2) * spread[:, :1], (normal() * spread[:, 1]).clamp(-0.6, 0.6).exp(), normal()
    pictures = _move(pictures, 2 * shift.clamp(-0.6, 0.6), scale, roll * spread[:, 2] * math.pi / 180, wild | warped)

    light = strength * (0.15 * normal(3) * chance(0.5)[:, None] + 0.2 * normal(1))[:, :, None, None]  # gain, log
    offset = strength * 0.06 * normal()[:, None, None, None]
    grey = pictures.mean(dim=1, keepdim=True)
    saturation = (strength * 0.2 * normal()).exp()[:, None, None, None]
    pictures = ((grey + (pictures - grey) * saturation + 1) * light.clamp(-0.7, 0.7).exp() - 1 + offset).clamp(-1, 1)
    soft = (chance(BLUR_SHARE * min(strength, 1.0))).nonzero().flatten()
    if len(soft):
        taps = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16
        kernel = torch.outer(taps, taps).expand(3, 1, -1, -1)
        blurred = F.conv2d(F.pad(pictures[soft], (2, 2, 2, 2), mode="reflect"), kernel, groups=3)
        pictures = pictures.index_copy(0, soft, blurred)
    level = strength * MAX_NOISE * torch.rand(num, generator=random) * chance(NOISE_SHARE)
    noise = torch.randn(pictures.shape, generator=random) * level[:, None, None, None]
    return EncoderBatch((pictures + noise).clamp(-1, 1), pictures, ~wild)


def _move(pictures: Tensor, shift: Tensor, scale: Tensor, roll: Tensor, which: Tensor) -> Tensor:
    """Warp those in `which`, the picture going on mirrored past its edge; the others stay as they are to the bit."""
    rows = which.nonzero().flatten()
    if len(rows) == 0:
        return pictures
    cos, sin = scale * roll.cos(), scale * roll.sin()
    matrix = torch.stack([cos, -sin, shift[:, 0], sin, cos, shift[:, 1]], dim=1).view(-1, 2, 3)[rows]
    grid = F.affine_grid(matrix, [len(rows), *pictures.shape[1:]], align_corners=False)
    moved = F.grid_sample(pictures[rows], grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return pictures.index_copy(0, rows, moved)
