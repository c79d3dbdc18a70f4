"""Heads seen in other ways: moved, cut off, before other scenery, with dyed hair and other clothes, in other light.

Photos to train on come from few studios, so what must not be learned is drawn anew: what is behind the person, what
colour hair and clothes have, and where the photo ends.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from training.segmenter.data import SegmentedHeads

MAX_ROLL_DEG, MAX_ZOOM, MAX_SHIFT = 12.0, 0.35, 0.05  # zoom as a logarithm, shift in widths
CUT, CLOSE, MAX_CUT = 0.5, 0.4, 0.3  # share of crops that a photo's edge cuts, of those the close-ups; depth in widths
ROOM, SCENERY, DYED, CLOTHES, HAT, GREY, NOISE = 0.35, 0.25, 0.45, 0.3, 0.15, 0.05, 0.3  # shares of crops
CHIN_Y = 0.515  # of the head frame; what of the person is lower, is mostly clothes


class SegmentedBatch(NamedTuple):
    """Crops with what they show."""

    images: Tensor  # [N, 3, R, R] float32 in [-1, 1]
    masks: Tensor  # [N, 3, R, R] float32 in [0, 1]: hair, person, weight


def plain_crops(heads: SegmentedHeads, rows: np.ndarray, resolution: int) -> SegmentedBatch:
    """Return pictures as they are, at the network's size."""
    size = (resolution, resolution)
    images = [cv2.resize(heads.images[row], size, interpolation=cv2.INTER_AREA) for row in rows]
    masks = [cv2.resize(heads.masks[row], size, interpolation=cv2.INTER_AREA) for row in rows]
    return _to_batch(images, [mask.astype(np.float32) / 255 for mask in masks])


def disturbed_crops(
    heads: SegmentedHeads, rows: np.ndarray, resolution: int, random: np.random.Generator
) -> SegmentedBatch:
    """Return pictures that are disturbed at random.

    Args:
        rows: which ones.
        resolution: R, of the crops.
        random: makes the result depend on nothing else.
    """
    images, masks = [], []
    for row in rows:
        other = heads.images[random.integers(len(heads))]
        image, mask = heads.images[row], heads.masks[row]
        if random.random() < HAT:
            image, mask = _put_on_hat(image, mask, other, random)
        image, mask = _moved(image, mask, resolution, random)
        image, mask = image.astype(np.float32) / 255, mask.astype(np.float32) / 255
        if random.random() < DYED:
            image = _tinted(image, mask[..., 0], random)
        if random.random() < CLOTHES:
            image = _tinted(image, _clothes(mask), random)
        kind = random.random()
        if kind < ROOM:
            room = random.choice(heads.rooms)
            image, mask = _in_room(image, mask, heads.images[room], heads.masks[room], random)
        elif kind < ROOM + SCENERY:
            behind = _scenery(other, resolution, random)
            image = behind + (image - behind) * mask[..., 1:2]
        image = _lit(image, random)
        if random.random() < CUT:
            image, mask = _cut(image, mask, random)
        images.append((255 * image).clip(0, 255).astype(np.uint8))
        masks.append(mask)
    return _to_batch(images, masks)


def _to_batch(images: list[np.ndarray], masks: list[np.ndarray]) -> SegmentedBatch:
    pictures = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)  # channels last
    return SegmentedBatch(pictures.float().div_(127.5).sub_(1), torch.from_numpy(np.stack(masks)).permute(0, 3, 1, 2))


def _moved(image: np.ndarray, mask: np.ndarray, resolution: int, random) -> tuple[np.ndarray, np.ndarray]:
    """A random similarity, mirrored half of the time; past the edge goes the mirror image, which has no weight."""
    side = image.shape[0]
    angle = np.deg2rad(random.uniform(-MAX_ROLL_DEG, MAX_ROLL_DEG))
    scale = resolution / side * np.exp(random.uniform(-MAX_ZOOM, MAX_ZOOM))
    flip = -1 if random.random() < 0.5 else 1
    turn = scale * np.array([[flip * np.cos(angle), -np.sin(angle)], [flip * np.sin(angle), np.cos(angle)]])
    # Around the middle of the face, which stays where it is but for the shift.
    pivot = np.array([0.5, 0.4])
    shift = resolution * (pivot + random.uniform(-MAX_SHIFT, MAX_SHIFT, 2)) - turn @ (side * pivot)
    to_crop, size = np.column_stack([turn, shift]), (resolution, resolution)
    if scale < 0.8:
        image = cv2.GaussianBlur(image, (0, 0), 0.4 / scale)
    image = cv2.warpAffine(image, to_crop, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return image, cv2.warpAffine(mask, to_crop, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def _cut(image: np.ndarray, mask: np.ndarray, random) -> tuple[np.ndarray, np.ndarray]:
    """As if the photo ended inside of the crop: beyond is the mirror image, of which nothing is known."""
    side = image.shape[0]
    if random.random() < CLOSE:  # what a close-up leaves of the head
        depth = random.uniform((0.1, 0.25, 0.2, 0.2), (0.27, 0.48, 0.36, 0.36))
    else:
        depth = np.where(random.random(4) < 0.4, random.uniform(0, MAX_CUT, 4), 0)
    top, bottom, left, right = (int(side * one) for one in depth)
    image = image[top : side - bottom, left : side - right]
    image = cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_REFLECT)
    mask = mask[top : side - bottom, left : side - right]
    return image, cv2.copyMakeBorder(mask, top, bottom, left, right, cv2.BORDER_CONSTANT)


def _put_on_hat(image: np.ndarray, mask: np.ndarray, other: np.ndarray, random) -> tuple[np.ndarray, np.ndarray]:
    """Paint a cap over the top of the head: cloth with a clear lower edge is no hair, whatever hangs out below it."""
    side = image.shape[0]
    brim = side * random.uniform(0.23, 0.29)  # above the eyes, which are at 0.34
    half, tall = side * random.uniform(0.13, 0.2), side * random.uniform(0.1, 0.2)
    x, y = np.meshgrid(np.arange(side, dtype=np.float32), np.arange(side, dtype=np.float32))
    x, y = x - side * random.uniform(0.48, 0.52), y - brim + random.uniform(-0.15, 0.15) * (x - 0.5 * side)
    dome = (1 - (np.abs(x / half) ** 2.5 + np.abs(np.minimum(y, 0) / tall) ** 2.5)) * min(half, tall) / 2.5
    bend = random.uniform(-0.05, 0.12) * side * (1 - (x / half) ** 2)
    cap = np.minimum(dome, bend - y).clip(0, 1)
    color = random.uniform(0, 1, 3).astype(np.float32) ** random.choice((0.5, 1, 2))
    if random.random() < 0.4:  # black or navy ones look like hair
        color = color * 0.25
    shade = 1 - 0.5 * ((x * random.uniform(-1, 1) / half + y * random.uniform(-1, 1) / tall) / 2).clip(-1, 1)
    cloth = color * shade[..., None] * random.uniform(0.5, 1.1)
    if random.random() < 0.5:
        part = cv2.resize(np.rot90(other, 2)[: other.shape[0] // 3], (side, side)).astype(np.float32) / 255
        cloth = cloth + random.uniform(0.1, 0.6) * (part - 0.5)
    band = (np.abs(y - bend + side * 0.015) < side * 0.015)[..., None] * (random.random() < 0.4)
    cloth = np.where(band, cloth * random.uniform(0.2, 1.8), cloth)
    if random.random() < 0.3:  # a badge, or a lighter crown
        wide, high, up = (
            half * random.uniform(0.1, 0.5),
            tall * random.uniform(0.1, 0.4),
            tall * random.uniform(0.2, 0.9),
        )
        badge = np.exp(-((x / wide) ** 2) - ((y + up) / high) ** 2)
        cloth = cloth + badge.round()[..., None] * (random.uniform(0.3, 1, 3).astype(np.float32) - cloth)
    image = image + (255 * cloth.clip(0, 1) - image) * cap[..., None]
    mask = mask.astype(np.float32)
    mask[..., 0] *= 1 - cap
    mask[..., 1] = np.maximum(mask[..., 1], 255 * cap)
    return image.astype(np.uint8), mask.astype(np.uint8)


def _tinted(image: np.ndarray, where: np.ndarray, random) -> np.ndarray:
    """Darker or lighter, and of another colour; its structure stays."""
    gamma = np.exp(random.uniform(-0.9, 0.9))
    changed = np.clip(image, 1e-3, 1) ** gamma
    if random.random() < 0.6:
        grey = changed.mean(axis=2, keepdims=True)
        changed = grey * (1 + random.uniform(0, 0.8) * random.uniform(-1, 1, 3).astype(np.float32))
        if random.random() < 0.5:
            changed = changed * random.uniform(0.7, 1.2) + random.uniform(-0.1, 0.15)
    return image + (changed - image) * where[..., None]


def _clothes(mask: np.ndarray) -> np.ndarray:
    """Most of what the person wears: what is no hair, below the chin; with a soft upper edge."""
    side = mask.shape[0]
    below = ((np.arange(side, dtype=np.float32) / side - CHIN_Y) / 0.06).clip(0, 1)[:, None]
    return mask[..., 1] * (1 - mask[..., 0]) * below


def _in_room(
    image: np.ndarray, mask: np.ndarray, other: np.ndarray, other_mask: np.ndarray, random
) -> tuple[np.ndarray, np.ndarray]:
    """Put the person where another one was photographed, of whom nothing is known where still to be seen.

    Rooms, streets and trees as they are: sharp, with edges that touch the head, at any scale.
    """
    side, size = image.shape[0], image.shape[:2]
    scale = side / other.shape[0] * np.exp(random.uniform(-0.1, 0.9))
    flip = -1 if random.random() < 0.5 else 1
    spare = side - scale * other.shape[0]
    x, y = random.uniform(min(spare, 0), max(spare, 0), 2)
    to_crop = np.array([[flip * scale, 0, x if flip > 0 else x + scale * other.shape[0]], [0, scale, y]])
    behind = cv2.warpAffine(other, to_crop, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    theirs = cv2.warpAffine(other_mask, to_crop, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    behind, theirs = behind.astype(np.float32) / 255, theirs.astype(np.float32) / 255
    if random.random() < 0.3:
        behind = cv2.GaussianBlur(behind, (0, 0), random.uniform(0.5, 5))
    behind = behind * random.uniform(0.5, 1.3)
    person = mask[..., 1:2]
    stranger = 1 - (1 - theirs[..., 1]) * theirs[..., 2]
    mask = mask.copy()
    mask[..., 2] *= 1 - stranger * (1 - mask[..., 1])
    return behind + (image - behind) * person, mask


def _scenery(other: np.ndarray, resolution: int, random) -> np.ndarray:
    """Something behind a person: a wash of colours, with another picture in it, upside down and blurred or not."""
    coarse = random.random((random.integers(2, 9), random.integers(2, 9), 3)).astype(np.float32)
    size = (resolution, resolution)
    wash = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC if random.random() < 0.7 else cv2.INTER_NEAREST)
    wash = random.uniform(0, 1) + random.uniform(0.1, 1) * (wash - 0.5)
    wash = wash * (random.uniform(0.05, 0.4) if random.random() < 0.25 else 1.0)
    kind = random.random()
    if kind < 0.6:
        top, left = random.integers(0, other.shape[0] // 2, 2)
        part = other[top : top + other.shape[0] // 2, left : left + other.shape[1] // 2]
        part = cv2.resize(np.rot90(part, random.integers(1, 4)), size).astype(np.float32) / 255 * random.uniform(0.2, 1)
        if random.random() < 0.6:
            part = cv2.GaussianBlur(part, (0, 0), random.uniform(1, 8))
        wash = wash + random.uniform(0.4, 1) * (part - wash)
    elif kind < 0.8:
        fine = random.standard_normal((resolution, resolution, 1)).astype(np.float32)
        wash = wash + random.uniform(0.02, 0.2) * cv2.GaussianBlur(fine, (0, 0), random.uniform(0.3, 3))[..., None]
    return wash.clip(0, 1)


def _lit(image: np.ndarray, random) -> np.ndarray:
    """Other light, from one side too; other colours, sharpness and noise."""
    side = image.shape[0]
    across, down = 0.3 * random.standard_normal(2)
    axis = np.linspace(-0.5, 0.5, side, dtype=np.float32)
    light = np.exp(across * axis[None] + down * axis[:, None] + 0.15 * random.standard_normal())[..., None]
    image = image * light.astype(np.float32) * (1 + 0.06 * random.standard_normal(3).astype(np.float32))
    image = np.clip(image, 1e-3, 1) ** np.exp(random.uniform(-0.35, 0.35))
    if random.random() < GREY:
        image = np.repeat(image.mean(axis=2, keepdims=True), 3, axis=2)
    if random.random() < NOISE:
        kind = random.random()
        if kind < 0.5:
            image = cv2.GaussianBlur(image, (0, 0), random.uniform(0.4, 1.8))
        if kind > 0.3:
            image = image + random.uniform(0.01, 0.06) * random.standard_normal(image.shape).astype(np.float32)
    return image.astype(np.float32)
