"""Strokes that follow the forms of a photo: its flow of edges, contours along it, and hatching.

Everything here is found on a smaller picture, where a unit has `WORK_UNIT_PX` pixels, and enlarged before it is cut to
lines: they are as sharp as the canvas, and cost the same on each.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.images import luminance
from gan_space.looks.drawing.blocks import blur, enlarge, ramp, resize, to_bytes
from gan_space.photos.strips import side_by_side

WORK_UNIT_PX = 260.0
_BROAD_PX = 5.5


def work_size(size: tuple[int, int], unit: float, work_unit: float = WORK_UNIT_PX) -> tuple[int, int]:
    """Return height and width of the smaller picture."""
    scale = min(1.0, work_unit / unit)
    return math.ceil(size[0] * scale), math.ceil(size[1] * scale)


def find_flow(y: Tensor, unit: float, sigma: float = 0.02) -> np.ndarray:
    """Find the direction along edges, from the smoothed structure tensor (Kang et al. 2007; Kyprianidis & Kang 2011).

    Args:
        y: [1, 1, H, W] luminance.
        unit: in its pixels.
        sigma: over which edges agree on a direction, in units.

    Returns:
        [3, H, W] float32: a unit vector (x, y), its sign without meaning, and in [0, 1] how far edges agree.
    """
    plane = blur(y, 0.004, unit)[0, 0].numpy()
    dx, dy = cv2.Scharr(plane, cv2.CV_32F, 1, 0), cv2.Scharr(plane, cv2.CV_32F, 0, 1)
    tensor = blur(torch.from_numpy(np.stack([dx * dx - dy * dy, 2 * dx * dy, dx * dx + dy * dy]))[None], sigma, unit)
    along, across, energy = tensor[0].numpy()
    length = np.sqrt(along * along + across * across)
    agree = length / (energy + 1e-3) * np.sqrt(np.clip(energy / 0.02, 0, 1))
    length = np.maximum(length, 1e-9)
    # The gradient has the double angle (along, across); edges are at a right angle to it, which changes both signs.
    return np.stack([*_halve(-along / length, -across / length), agree])


def _halve(cosine: np.ndarray, sine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The unit vector of half an angle."""
    x = np.sqrt(np.clip((1 + cosine) / 2, 0, 1))
    y = np.copysign(np.sqrt(np.clip((1 - cosine) / 2, 0, 1)), sine)
    return x, y


def turn_towards(flow: np.ndarray, angle: float, share: float = 1.0) -> np.ndarray:
    """Turn strokes in one direction where edges do not agree, as a hand does; [2, H, W] of unit vectors.

    Args:
        angle: in radians from the x axis, downwards.
        share: how strongly the hand pulls.
    """
    x, y, agree = flow
    hand = np.float32(share) * (1 - agree)
    double_x = agree * (x * x - y * y) + hand * np.float32(math.cos(2 * angle))
    double_y = agree * 2 * x * y + hand * np.float32(math.sin(2 * angle))
    length = np.maximum(np.sqrt(double_x * double_x + double_y * double_y), 1e-9)
    return np.stack(_halve(double_x / length, double_y / length))


def smear(plane: np.ndarray, direction: np.ndarray, length_px: float) -> np.ndarray:
    """Average along streamlines over about `length_px` (line integral convolution; Cabral & Leedom 1993).

    Three times the length costs one more round: each averages what the last one made, here and to both sides.
    """
    height, width = plane.shape
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    rounds = max(1, round(math.log(max(length_px, 3.0), 3)))
    for number in range(rounds):
        step = np.float32(length_px / 3 ** (rounds - number))
        shift_x, shift_y = direction[0] * step, direction[1] * step
        ahead = cv2.remap(plane, x + shift_x, y + shift_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        behind = cv2.remap(plane, x - shift_x, y - shift_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        plane = cv2.addWeighted(cv2.add(ahead, behind), 1 / 3, plane, 1 / 3, 0)
    return plane


def find_lines(y: Tensor, unit: float, sigma: float) -> Tensor:
    """Say how much darker lines of half a width of `sigma` units are than what is beside them; as [1, 1, H, W]."""
    return blur(y, 1.6 * sigma, unit) - blur(y, sigma, unit)


def find_contours(y: Tensor, flow: np.ndarray, unit: float, sigma: float, length: float) -> Tensor:
    """Say how much darker lines are than what is beside them, smoothed along the flow (flow-based DoG).

    Args:
        y: [1, 1, H, W]; flow: [>= 2, H, W]; unit: in their pixels.
        sigma: half the width of a line; length: along which it is smoothed; in units.
    """
    return smear_lines(find_lines(y, unit, sigma), flow, unit, length)


def smear_lines(difference: Tensor, flow: np.ndarray, unit: float, length: float) -> Tensor:
    """Smooth what `find_lines` found along the flow, over a length in units."""
    return torch.from_numpy(smear(difference[0, 0].numpy(), flow, length * unit))[None, None]


def cut(difference: Tensor, size: tuple[int, int], level: float, width: float) -> Tensor:
    """Draw lines from `find_contours` at full size: 0 below `level`, 1 above `level + width`."""
    plane = cv2.resize(difference[0, 0].numpy(), size[::-1], interpolation=cv2.INTER_CUBIC)
    return ramp(torch.from_numpy(plane)[None, None], level, level + width)


def find_streaks(noise: Tensor, direction: np.ndarray, unit: float, length: float) -> Tensor:
    """Draw streaks of noise along a direction, evenly spread over [0, 1]; what is darker than its streak gets a stroke.

    Args:
        noise: [1, 1, H, W] of mean 0 and deviation 1; direction: [>= 2, H, W]; unit: in their pixels.
        length: of a streak in units.
    """
    plane = torch.from_numpy(smear(noise[0, 0].numpy(), direction, length * unit))
    plane = (plane - plane.mean()) / plane.std().clamp(min=1e-3)
    return torch.sigmoid(1.7 * plane)[None, None]  # close to the normal distribution's integral


def brush(x: Tensor, flow: np.ndarray, unit: float, radius: float, sharpness: float = 8.0) -> Tensor:
    """Flatten into strokes: the anisotropic Kuwahara filter (Kyprianidis et al. 2009), sampled.

    Of eight places around a pixel, on an ellipse along the flow, each with the mean and deviation of its surroundings,
    those count that vary least. Blurring once and reading eight times stands for eight filters of one sector each.

    Args:
        x: [1, 3, H, W]; flow: [3, H, W]; unit: in their pixels.
        radius: of the ellipse in units.
        sharpness: how much more the calm places count.
    """
    if radius * unit > _BROAD_PX:  # broad strokes need fewer pixels
        size = tuple(x.shape[-2:])
        half = resize(x, (math.ceil(size[0] / 2), math.ceil(size[1] / 2)))
        drawn = brush(half, np.ascontiguousarray(flow[:, ::2, ::2]), unit / 2, radius, sharpness)
        return enlarge(drawn, size)
    y = luminance(x)
    sigma = 0.55 * radius
    means = blur(torch.cat([x, y, y * y], dim=1), sigma, unit)[0]
    deviation = (means[4] - means[3] ** 2).clamp(min=0).sqrt()
    planes = [*means[:3].numpy(), deviation.numpy()]
    packed = cv2.merge([to_bytes(plane, gain) for plane, gain in zip(planes, (255, 255, 255, 510), strict=True)])
    height, width = packed.shape[:2]
    here = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    along = radius * unit * (1 + 0.8 * flow[2])
    across = radius * unit / (1 + 0.8 * flow[2])
    along, across = (along * flow[0], along * flow[1]), (-across * flow[1], across * flow[0])  # as x and y
    table = ((1 + np.arange(256) / 4) ** -sharpness).astype(np.float32)

    def add_up(eighths: range) -> np.ndarray:  # [4, H, W]: red, green, blue and weight
        total = np.zeros((4, height, width), np.float32)
        for eighth in eighths:
            angle = 2 * math.pi * (eighth + 0.5) / 8
            turn = math.cos(angle), math.sin(angle)
            away = [cv2.addWeighted(far, turn[0], aside, turn[1], 0) for far, aside in zip(along, across, strict=True)]
            for step in (cv2.add, cv2.subtract):  # the place across lies as far away
                places = [step(at, shift) for at, shift in zip(here, away, strict=True)]
                found = cv2.remap(packed, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
                *colours, spread = cv2.split(found)
                weight = cv2.LUT(spread, table)
                for channel, plane in enumerate(colours):
                    total[channel] += cv2.multiply(plane, weight, dtype=cv2.CV_32F)
                total[3] += weight
        return total

    total, other = side_by_side(add_up, [range(2), range(2, 4)])
    total += other
    return torch.from_numpy(total[:3] / (255 * total[3]))[None]
