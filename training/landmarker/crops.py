"""Make disturbed crops with known landmarks out of aligned faces.

What lies outside an aligned picture has to be invented. Its edge would tell a network exactly where the face is, so the
edge is moved inwards by random amounts, and softened, mirrored or put on another background, anew for every crop.
One picture at a time with OpenCV: under a millisecond each, and real JPEG.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.faces.align import EYE_DISTANCE
from gan_space.faces.landmarks import LEFT_EYE, LIPS, RIGHT_EYE
from gan_space.models.landmarker import VIEW
from training.landmarker.data import LandmarkFaces

NOT_A_FACE_SHARE = 0.1
CLEAN_SHARE = 0.35  # crops of which only light and colour change
COVER_SHARE = 0.35
LEVELS = np.linspace(0, 1, 256)[:, None]
COVERED = 0.5  # share of the places of an eye or the mouth from which on it counts as covered


@dataclass(frozen=True)
class Disturbance:
    """How far crops lie from the right one; each drawn evenly up to these bounds."""

    roll_deg: float
    scale: float  # view times or divided by up to this
    shift: float  # of the tight frame's width, in x and y


ROUGH = Disturbance(roll_deg=36.0, scale=1.36, shift=0.16)  # a first pass
CLOSE = Disturbance(roll_deg=7.0, scale=1.09, shift=0.035)  # later ones
EXACT = Disturbance(roll_deg=0.0, scale=1.0, shift=0.0)
CLOSE_SHARE = 0.6


class CropBatch(NamedTuple):
    """Crops and what is in them."""

    images: Tensor  # [N, 3, R, R] uint8, channels last in memory
    points: Tensor  # [N, 468, 2], fractions of the crop
    eye_distance: Tensor  # [N], of the tight frame in the crop's widths: 0.39 / view
    is_face: Tensor  # [N] bool; where False, points mean nothing
    covered: Tensor  # [N, 3] float, 1 where left eye, right eye or mouth lies under something drawn over it


def tight_to_crop(roll: np.ndarray, view: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return maps of tight frame fractions to crop fractions: [N, 2, 3] float64.

    Args:
        roll: [N] radians that the face leans clockwise in the crop.
        view: [N] side of the crop in widths of the tight frame.
        shift: [N, 2] of the crop's middle from the frame's, in widths of the tight frame.
    """
    cos, sin = np.cos(roll) / view, np.sin(roll) / view
    turn = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], 1)  # [N, 2, 2]
    middle = 0.5 + shift
    return np.concatenate([turn, 0.5 - turn @ middle[..., None]], axis=2)


def draw_similarities(num: int, disturbance: Disturbance, random: np.random.Generator) -> np.ndarray:
    """Return the random `tight_to_crop` maps of one kind, [N, 2, 3]."""
    roll = np.radians(disturbance.roll_deg) * random.uniform(-1, 1, num)
    view = VIEW * np.exp(math.log(disturbance.scale) * random.uniform(-1, 1, num))
    return tight_to_crop(roll, view, disturbance.shift * random.uniform(-1, 1, (num, 2)) * (view / VIEW)[:, None])


class CropMaker:
    """Draws crops for training.

    Args:
        faces: in the tight frame.
        mirror: [468], see `load_mirror`.
        resolution: R, of the crops.
    """

    def __init__(self, faces: LandmarkFaces, mirror: np.ndarray, resolution: int):
        self.faces, self.mirror, self.resolution = faces, mirror, resolution
        random = np.random.default_rng(0)
        self._noise = random.standard_normal((512, 512, 3)).astype(np.float32)
        self._masks = [_soft_mask(faces.images.shape[1], random) for _ in range(96)]

    def __call__(self, rows: np.ndarray, random: np.random.Generator) -> CropBatch:
        """Crops of the faces in `rows`, [N] int; the result depends on nothing else."""
        num, size = len(rows), self.resolution
        close = random.random(num) < CLOSE_SHARE
        maps = np.where(
            close[:, None, None], draw_similarities(num, CLOSE, random), draw_similarities(num, ROUGH, random)
        )
        is_face = random.random(num) >= NOT_A_FACE_SHARE
        images = np.empty((num, size, size, 3), np.uint8)
        points = np.empty((num, self.mirror.size, 2), np.float32)
        covered = np.zeros((num, 3), np.float32)
        others = random.integers(len(self.faces), size=num)
        for n, row in enumerate(rows):
            picture, shape = self.faces.images[row], self.faces.points[row]
            if random.random() < 0.5:
                picture, shape = cv2.flip(picture, 1), _mirrored(shape, self.mirror)
            other = self.faces.images[others[n]]
            if is_face[n]:
                points[n] = shape @ maps[n, :, :2].T + maps[n, :, 2]
                crop = self._scene(picture, other, maps[n], random)
                if random.random() < COVER_SHARE:
                    crop, covered[n] = cover(crop, points[n], other, random)
            else:
                points[n] = 0.5
                crop = self._no_face(picture, other, maps[n], random)
            images[n] = self._spoil(crop, random)
        eye_distance = EYE_DISTANCE * np.hypot(maps[:, 0, 0], maps[:, 1, 0])
        return CropBatch(
            torch.from_numpy(images).permute(0, 3, 1, 2),
            torch.from_numpy(points),
            torch.from_numpy(eye_distance.astype(np.float32)),
            torch.from_numpy(is_face),
            torch.from_numpy(covered),
        )

    def _scene(self, picture: np.ndarray, other: np.ndarray, to_crop: np.ndarray, random) -> np.ndarray:
        """Cut the face out; past a random edge goes its mirror image, one colour, or another background."""
        size = picture.shape[0]
        left, top, right, bottom = (random.uniform(0, 0.05, 4) * random.choice([0.0, 1.0], 4) * size).astype(int)
        part = picture[top : size - bottom, left : size - right]
        matrix = _in_px(to_crop, size, self.resolution, (left, top))
        kind = random.random()
        border = cv2.BORDER_REFLECT if kind < 0.75 else cv2.BORDER_REPLICATE
        crop = _warp(part, matrix, self.resolution, border)
        if kind < 0.45:
            return crop
        matrix = _in_px(to_crop, size, self.resolution, (0, 0))
        mask = self._masks[random.integers(len(self._masks))]
        mask = cv2.warpAffine(mask, matrix, (self.resolution, self.resolution), flags=cv2.INTER_LINEAR)
        return cv2.blendLinear(crop, self._background(other, random), mask, 1 - mask)

    def _background(self, other: np.ndarray, random) -> np.ndarray:
        """Something without a face: a magnified or blurred part of another picture, or a plain gradient."""
        size, kind = self.resolution, random.random()
        if kind < 0.2:
            corners = random.integers(0, 256, (2, 2, 3)).astype(np.uint8)
            return cv2.resize(corners, (size, size), interpolation=cv2.INTER_LINEAR)
        side = int(random.integers(12, 48))
        x, y = random.integers(0, other.shape[0] - side, 2)
        part = other[y : y + side, x : x + side]
        if kind < 0.5:
            part = cv2.resize(part, (6, 6), interpolation=cv2.INTER_AREA)
        part = cv2.resize(part, (size, size), interpolation=cv2.INTER_LINEAR)
        return cv2.flip(part, 0) if random.random() < 0.5 else part

    def _no_face(self, picture: np.ndarray, other: np.ndarray, to_crop: np.ndarray, random) -> np.ndarray:
        """Background alone, a shredded face, one far off, or one much too large or too small."""
        kind = random.integers(4)
        if kind == 0:
            return self._background(other, random)
        if kind == 1:
            half = picture.shape[0] // 2
            picture = np.ascontiguousarray(np.roll(picture, (half, half), (0, 1)).transpose(1, 0, 2))
            return self._scene(picture, other, to_crop, random)
        roll, angle = random.uniform(-0.6, 0.6), random.uniform(0, 2 * math.pi)
        if kind == 2:
            view = VIEW * random.uniform(0.8, 1.3)
            away = random.uniform(0.7, 1.1) * view
        else:
            view = VIEW * (random.uniform(0.12, 0.3) if random.random() < 0.5 else random.uniform(2.8, 5.0))
            away = 0.3 * view * random.random()
        shift = np.array([[away * math.cos(angle), away * math.sin(angle)]])
        to_crop = tight_to_crop(np.array([roll]), np.array([view]), shift)[0]
        matrix = _in_px(to_crop, picture.shape[0], self.resolution, (0, 0))
        crop = _warp(picture, matrix, self.resolution, cv2.BORDER_CONSTANT)
        mask = np.ones(picture.shape[:2], np.float32)
        mask = cv2.warpAffine(mask, matrix, (self.resolution, self.resolution), flags=cv2.INTER_LINEAR)
        return cv2.blendLinear(crop, self._background(other, random), mask, 1 - mask)

    def _spoil(self, image: np.ndarray, random) -> np.ndarray:
        """Light and colour; and in most crops shade, blur, few pixels, noise and JPEG."""
        size, chance = self.resolution, random.random(8)
        if chance[0] < 0.08:
            image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        image = cv2.LUT(image, _tone_curves(random))
        if chance[7] < CLEAN_SHARE:
            return image
        if chance[1] < 0.3:  # light from one side
            axis = np.arange(size, dtype=np.float32) / size - 0.5
            across, down = np.exp(0.5 * random.standard_normal((2, 1), np.float32) * axis)
            light = cv2.merge([down[:, None] * across] * 3)
            image = cv2.multiply(image, light, dtype=cv2.CV_8U)
        if chance[2] < 0.35:
            few = int(size * random.uniform(0.28, 0.7))
            few = cv2.resize(image, (few, few), interpolation=cv2.INTER_AREA)
            kind = cv2.INTER_LINEAR if chance[3] < 0.6 else cv2.INTER_CUBIC
            image = cv2.resize(few, (size, size), interpolation=kind)
        elif chance[2] < 0.65:
            image = cv2.GaussianBlur(image, (0, 0), random.uniform(0.4, 1.5))
        if chance[4] < 0.4:
            x, y = random.integers(0, 512 - size, 2)
            noise = self._noise[y : y + size, x : x + size] * np.float32(10 * abs(random.standard_normal()))
            image = cv2.add(image, noise, dtype=cv2.CV_8U)
        if chance[5] < 0.45:
            data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(random.uniform(15, 85))])[1]
            image = cv2.imdecode(data, cv2.IMREAD_COLOR)
        return image


def cover(
    crop: np.ndarray, points: np.ndarray, other: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw something over a part of a face.

    Args:
        crop: [R, R, 3] uint8.
        points: [468, 2], fractions of the crop.
        other: [S, S, 3] uint8, another picture, whose parts cover as well as plain colours.

    Returns:
        The crop, and whether left eye, right eye and mouth are covered, [3] float.
    """
    size = crop.shape[0]
    px = points * size
    eyes, mouth = [px[list(LEFT_EYE)].mean(0), px[list(RIGHT_EYE)].mean(0)], px[list(LIPS)].mean(0)
    unit = np.linalg.norm(eyes[1] - eyes[0])
    angle = math.degrees(math.atan2(*(eyes[1] - eyes[0])[::-1]))
    mask = np.zeros((size, size), np.uint8)
    kind = random.random()
    if kind < 0.2:  # dark glasses, or a hand over one eye
        for eye in eyes if random.random() < 0.7 else eyes[: 1 + random.integers(2)][-1:]:
            radii = unit * random.uniform(0.25, 0.45), unit * random.uniform(0.18, 0.35)
            _ellipse(mask, eye, radii, angle)
    elif kind < 0.4:  # a mask, a scarf or a cup
        radii = unit * random.uniform(0.4, 1.0), unit * random.uniform(0.3, 0.7)
        _ellipse(mask, mouth + unit * random.uniform(-0.15, 0.15, 2), radii, angle)
    else:  # a hand, hair, a microphone: anywhere
        middle = px.mean(0) + unit * random.uniform(-1.1, 1.1, 2)
        radii = unit * np.exp(random.uniform(math.log(0.1), math.log(0.6), 2))
        if random.random() < 0.5:
            _ellipse(mask, middle, radii, random.uniform(0, 180))
        else:
            box = cv2.boxPoints((tuple(map(float, middle)), tuple(map(float, 2 * radii)), random.uniform(0, 180)))
            cv2.fillPoly(mask, [box.astype(np.int32)], 255)
    if random.random() < 0.5:
        colour = random.integers(0, 70 if kind < 0.2 else 256, 3)
        if random.random() < 0.4:  # skin, from the face itself
            x, y = (px[[205, 425][random.integers(2)]]).clip(0, size - 1).astype(int)
            colour = crop[y, x]
        filling = np.empty_like(crop)
        filling[:] = colour
    else:
        filling = cv2.resize(other[: other.shape[0] // 2], (size, size), interpolation=cv2.INTER_LINEAR)
    inside = mask
    if random.random() < 0.5:
        mask = cv2.GaussianBlur(mask, (0, 0), random.uniform(0.5, 2.0))
    share = mask * np.float32(1 / 255)
    crop = cv2.blendLinear(filling, crop, share, 1 - share)
    covered = []
    for part in (LEFT_EYE, RIGHT_EYE, LIPS):
        x, y = px[list(part)].clip(0, size - 1).astype(int).T
        covered.append(float((inside[y, x] > 127).mean() > COVERED))
    return crop, np.array(covered, np.float32)


def plain_crops(images: np.ndarray, points: np.ndarray, maps: np.ndarray, resolution: int) -> CropBatch:
    """Return crops without anything spoiled, by given similarities, to measure on.

    Args:
        images: [N, S, S, 3] uint8 in the tight frame.
        points: [N, 468, 2], fractions of it.
        maps: [N, 2, 3], see `tight_to_crop`.
        resolution: R, of the crops.
    """
    crops = np.empty((len(images), resolution, resolution, 3), np.uint8)
    for n, picture in enumerate(images):
        fine = cv2.warpAffine(
            picture, _in_px(maps[n], picture.shape[0], 2 * resolution, (0, 0)), (2 * resolution, 2 * resolution),
            flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT,
        )  # fmt: skip
        crops[n] = cv2.resize(fine, (resolution, resolution), interpolation=cv2.INTER_AREA)
    placed = points @ maps[:, :, :2].transpose(0, 2, 1) + maps[:, None, :, 2]
    eye_distance = EYE_DISTANCE * np.hypot(maps[:, 0, 0], maps[:, 1, 0])
    return CropBatch(
        torch.from_numpy(crops).permute(0, 3, 1, 2),
        torch.from_numpy(placed.astype(np.float32)),
        torch.from_numpy(eye_distance.astype(np.float32)),
        torch.ones(len(images), dtype=torch.bool),
        torch.zeros(len(images), 3),
    )


def _mirrored(points: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    points = points[mirror]  # a copy
    points[:, 0] = 1 - points[:, 0]
    return points


def _in_px(to_crop: np.ndarray, size: int, resolution: int, corner: tuple[int, int]) -> np.ndarray:
    """The same map between the pixel indices of a part of the picture, which begins at `corner`, and of the crop."""
    turn = to_crop[:, :2] * resolution / size
    # The middle of the first pixel is 0.5 for us and 0 for OpenCV.
    shift = turn @ (np.array(corner) + 0.5) + to_crop[:, 2] * resolution - 0.5
    return np.concatenate([turn, shift[:, None]], axis=1)


def _warp(picture: np.ndarray, matrix: np.ndarray, resolution: int, border: int) -> np.ndarray:
    return cv2.warpAffine(picture, matrix, (resolution, resolution), flags=cv2.INTER_LINEAR, borderMode=border)


def _soft_mask(size: int, random: np.random.Generator) -> np.ndarray:
    """A superellipse around the face with a centre, radii, corners and feather of its own: [S, S] float32."""
    axis = (np.arange(size) + 0.5) / size - 0.5
    x = np.abs(axis - random.uniform(-0.04, 0.04)) / random.uniform(0.44, 0.58)
    y = np.abs(axis - random.uniform(-0.03, 0.03)) / random.uniform(0.46, 0.58)
    power, softness = random.uniform(2.0, 6.0), random.uniform(0.03, 0.3)
    radius = (x**power + y[:, None] ** power) ** (1 / power)
    return ((1 + softness / 2 - radius) / softness).clip(0, 1).astype(np.float32)


def _tone_curves(random: np.random.Generator) -> np.ndarray:
    """Gamma, contrast, brightness and colour cast as a table a channel, [256, 1, 3]; some photos are very dark."""
    draw = random.standard_normal(6)
    level = LEVELS ** math.exp(np.clip(0.35 * draw[0], -0.9, 0.9))
    gain = np.exp(0.2 * draw[1] + 0.08 * draw[2:5])
    if random.random() < 0.08:
        gain = gain * random.uniform(0.15, 0.5)
    table = ((level - 0.5) * gain + 0.5 * min(1.0, gain.mean()) + 0.06 * draw[5]).clip(0, 1) * 255
    return table.astype(np.uint8)[:, None]


def _ellipse(mask: np.ndarray, middle: np.ndarray, radii, angle: float) -> None:
    axes = (max(1, int(radii[0])), max(1, int(radii[1])))
    cv2.ellipse(mask, (int(middle[0]), int(middle[1])), axes, angle, 0, 360, 255, -1)
