"""Differentiable augmentation of everything the discriminator sees (ADA, Karras et al. 2020).

Each transformation is drawn for each picture with probability p. As long as p < 0.8 or so, a generator cannot gain by
drawing augmented pictures, so the augmentations do not leak. Geometry is one affine warp, colour one 3x4 matrix.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.errors import ConfigError

KINDS = ("translation", "scale", "rotation", "color", "cutout")


@dataclass(frozen=True)
class AugmentStrength:
    """How far each kind goes; the standard deviations are those of ADA's table 1 unless said."""

    translation: float = 0.125  # of the width, normal
    scale: float = 0.2  # log2, normal; isotropic
    aspect: float = 0.2  # log2, normal; anisotropic
    rotation_turns: float = 1.0  # uniform in ± half of it; faces come upright, so the preset asks for less
    brightness: float = 0.2
    contrast: float = 0.5  # log2, normal
    hue_turns: float = 1.0  # uniform in ± half of it
    saturation: float = 1.0  # log2, normal
    cutout: float = 0.5  # side of the square, of the width


class Augment:
    """Callable [N, 3, H, W] -> [N, 3, H, W]; `p` is moved by the training loop.

    Args:
        kinds: any of translation, scale, rotation, color, cutout.
        strength: see `AugmentStrength`.

    Raises:
        ConfigError: an unknown kind.
    """

    def __init__(self, kinds: tuple[str, ...] = KINDS, strength: AugmentStrength | None = None, p: float = 0.0):
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown:
            raise ConfigError(f"unknown augmentations {unknown}; known are {list(KINDS)}")
        self.kinds = kinds
        self.strength = strength or AugmentStrength()
        self.p = p

    def __call__(self, images: Tensor) -> Tensor:
        if self.p <= 0 or not self.kinds:
            return images
        images = self._warp(images)
        if "color" in self.kinds:
            images = self._recolor(images)
        if "cutout" in self.kinds:
            images = self._cut_out(images)
        return images

    def _gate(self, values: Tensor, neutral: float) -> Tensor:
        """Keep a picture's value with probability p, else the neutral one. [N] -> [N]"""
        chosen = torch.rand(len(values), device=values.device) < self.p
        return torch.where(chosen, values, torch.full_like(values, neutral))

    def _warp(self, images: Tensor) -> Tensor:
        N, device, s = len(images), images.device, self.strength
        matrix = torch.eye(3, device=device).repeat(N, 1, 1)  # from output to input, both in [-1, 1]
        if "scale" in self.kinds:
            factor = torch.exp2(self._gate(torch.randn(N, device=device) * s.scale, 0.0))
            aspect = torch.exp2(self._gate(torch.randn(N, device=device) * s.aspect, 0.0))
            matrix = matrix @ _diagonal(1 / (factor * aspect), aspect / factor)
        if "rotation" in self.kinds:
            turns = self._gate((torch.rand(N, device=device) - 0.5) * s.rotation_turns, 0.0)
            matrix = matrix @ _rotation(turns * 2 * math.pi)
        if "translation" in self.kinds:
            shift = torch.stack([self._gate(torch.randn(N, device=device) * s.translation, 0.0) for _ in range(2)], 1)
            matrix = matrix.clone()
            matrix[:, :2, 2] = matrix[:, :2, 2] + shift * 2
        still = (matrix == torch.eye(3, device=device)).all(dim=2).all(dim=1)  # [N]
        # The pictures that do not move stay as they are. On a GPU it costs more to ask which than to resample all.
        if device.type != "cpu":
            warped = _resample(images, matrix)
            return torch.where(still[:, None, None, None], images, warped)
        if still.all():
            return images
        moving = (~still).nonzero().flatten()
        return images.index_copy(0, moving, _resample(images[moving], matrix[moving]))

    def _recolor(self, images: Tensor) -> Tensor:
        N, device, s = len(images), images.device, self.strength
        matrix = torch.eye(4, device=device).repeat(N, 1, 1)  # acts on (r, g, b, 1)
        brightness = self._gate(torch.randn(N, device=device) * s.brightness, 0.0)
        matrix[:, :3, 3] = brightness[:, None]
        contrast = torch.exp2(self._gate(torch.randn(N, device=device) * s.contrast, 0.0))
        matrix = torch.diag_embed(torch.stack([contrast] * 3 + [torch.ones_like(contrast)], 1)) @ matrix
        projection = torch.zeros(4, 4, device=device)
        projection[:3, :3] = 1 / 3  # onto the axis of equal r, g, b
        hue = self._gate((torch.rand(N, device=device) - 0.5) * s.hue_turns, 0.0) * 2 * math.pi
        matrix = _rotation_about_grey(hue) @ matrix
        saturation = torch.exp2(self._gate(torch.randn(N, device=device) * s.saturation, 0.0))[:, None, None]
        matrix = (projection + (torch.eye(4, device=device) - projection) * saturation) @ matrix
        pixels = images.flatten(2)  # [N, 3, H*W]
        mixed = torch.baddbmm(matrix[:, :3, 3:], matrix[:, :3, :3], pixels.float())
        return mixed.view_as(images).to(images.dtype)

    def _cut_out(self, images: Tensor) -> Tensor:
        N, _, H, W = images.shape
        device = images.device
        size = self._gate(torch.full([N], self.strength.cutout, device=device), 0.0)[:, None]  # [N, 1]
        center = torch.rand(2, N, 1, device=device)
        rows = ((torch.arange(H, device=device)[None] + 0.5) / H - center[0]).abs() >= size / 2  # [N, H]
        columns = ((torch.arange(W, device=device)[None] + 0.5) / W - center[1]).abs() >= size / 2  # [N, W]
        mask = rows[:, None, :, None] | columns[:, None, None, :]
        return images * mask.to(images.dtype)


def adapt_p(p: float, real_sign: float, target: float, batch_size: int, interval: int, ramp_kimg: float) -> float:
    """Move p up if D is too sure of the real pictures, else down; at most 0 to 1 in `ramp_kimg` thousand images.

    Args:
        real_sign: mean of sign(D(real)) since the last change; ADA's r_t.
        target: the value of r_t to hold, 0.6 in the paper.
        interval: training steps since the last change.
    """
    step = batch_size * interval / (ramp_kimg * 1000)
    return min(max(p + math.copysign(step, real_sign - target), 0.0), 1.0)


def _diagonal(x: Tensor, y: Tensor) -> Tensor:
    return torch.diag_embed(torch.stack([x, y, torch.ones_like(x)], dim=1))


def _rotation(angle: Tensor) -> Tensor:
    """[N] radians -> [N, 3, 3] about the origin."""
    cos, sin, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    return torch.stack([cos, -sin, zero, sin, cos, zero, zero, zero, one], dim=1).view(-1, 3, 3)


def _rotation_about_grey(angle: Tensor) -> Tensor:
    """Rotation of colours about the axis of equal r, g, b, by Rodrigues' formula: [N] radians -> [N, 4, 4]."""
    eye = torch.eye(3, device=angle.device)
    cross = (eye.roll(1, dims=0) - eye.roll(-1, dims=0)) / math.sqrt(3)  # made on the device: nothing to wait for
    cos, sin = angle.cos()[:, None, None], angle.sin()[:, None, None]
    turn = eye * cos + cross * sin + (1 - cos) / 3
    matrix = torch.eye(4, device=angle.device).repeat(len(angle), 1, 1)
    matrix[:, :3, :3] = turn
    return matrix


def _resample(images: Tensor, matrix: Tensor) -> Tensor:
    """Warp [N, 3, H, W] by matrices [N, 3, 3] from output to input, mirrored past the edge."""
    grid = F.affine_grid(matrix[:, :2], list(images.shape), align_corners=False)
    warped = F.grid_sample(images.contiguous(), grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    return warped.to(images.dtype)
