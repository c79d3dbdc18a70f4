"""What is behind the persons of a photo: out of focus, or a plain wall."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.looks.layers import Background
from gan_space.looks.matte import Matte, spread
from gan_space.photos.opening import to_rows

_DISC = 0.5  # of an eye distance, radius of a point of light at full blur
_SMALL_DISC_PX = 9.0  # what it is in the smaller copy in which the blur is reckoned
_GLARE = 1.2  # light x counts x / (glare - x), so that a lamp stays bright where it is spread
_SHADE = 0.6  # how much of the light a shaded wall lacks in its corners
_GRAIN_PX = 512  # side of the patch of grain that is laid side by side
_STRIP_PX = 2**19

_LINEAR = np.float32([v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in np.arange(256) / 255])


def change_background(
    pixels: Tensor, person: np.ndarray, unit_px: float, background: Background, seed: int = 0
) -> Tensor:
    """Return the photo with another background.

    Args:
        pixels: [3, H, W] uint8.
        person: [H, W] uint8, share of a pixel that is a person, as of `gan_space.faces.person.find_person`.
        unit_px: distance of the eyes of the largest face.
        background: wall and blur.
        seed: of the grain.

    Returns:
        [3, H, W] uint8; the photo itself without an amount. Pixels that are all person stay to the bit.
    """
    if not (background.amount or background.blur):
        return pixels
    photo = to_rows(pixels)
    height, width = person.shape
    matte = Matte.of(photo, person)
    is_soft = background.blur and background.amount < 1
    soft = _OutOfFocus(photo, person, _DISC * unit_px * background.blur, seed) if is_soft else None
    wall = _wall(background, (height, width))
    done = np.empty_like(photo)
    rows = max(1, _STRIP_PX // width)
    for top in range(0, height, rows):
        part = slice(top, min(top + rows, height))
        before, mask = photo[part], person[part]
        edge = matte.edge(before, part)
        if background.amount == 1:  # nothing is seen of what is there
            behind = np.broadcast_to(wall(part), before.shape).astype(np.float32)
        elif soft is None:
            behind = before.astype(np.float32)
            behind[edge.where] = edge.back
        else:
            behind = soft.rows(part)
        if 0 < background.amount < 1:
            behind += (wall(part) - behind) * background.amount
        behind[edge.where] += edge.share * (edge.front - behind[edge.where])
        np.copyto(done[part], (behind + 0.5).clip(0, 255).astype(np.uint8))
        np.copyto(done[part], before, where=(mask == 255)[..., None])
    return torch.from_numpy(done).permute(2, 0, 1)


def _wall(background: Background, size: tuple[int, int]):
    """Return a function from rows to the wall's colours there, [r, W, 3] or [1, 1, 3]."""
    color = np.float32([int(background.color[start : start + 2], 16) for start in (1, 3, 5)])
    if not background.shade:
        return lambda part: color[None, None]
    height, width = size
    across = ((np.arange(width, dtype=np.float32) + 0.5) / width - 0.5) * 2
    down = ((np.arange(height, dtype=np.float32) + 0.5) / height - 0.42) * 2
    dither = np.random.default_rng(0).random((64, 1024), np.float32) - 0.5  # else a slow slope shows steps

    def rows(part: slice) -> np.ndarray:
        away = (across[None] ** 2 + down[part, None] ** 2) / 2
        left = 1 - _SHADE * background.shade * np.minimum(away, 1.0) ** 0.8
        # Of two power laws only the ratio of lights is left: no need to go to linear light and back.
        falls = left[..., None] ** np.float32(1 / 2.2)
        noise = np.resize(dither, (left.shape[0], 1024))
        noise = np.tile(noise, (1, -(-width // 1024)))[:, :width, None]
        return falls * color + noise

    return rows


class _OutOfFocus:
    """The background as a lens with a wide opening shows it, without anything of the persons.

    Each point becomes a disc of even light, reckoned in linear light on a smaller copy. Discs gather light from the
    background alone; what persons cover is filled from around.
    """

    def __init__(self, photo: np.ndarray, person: np.ndarray, radius: float, seed: int):
        self.step = max(1, int(radius / _SMALL_DISC_PX))
        light, weight = _shrunk(photo, person, self.step)
        light = spread(light, weight)
        light = light / (_GLARE - light)
        weight = np.maximum(weight, 0.02)[..., None]
        disc = _disc(radius / self.step)
        total = cv2.filter2D(weight, -1, disc, borderType=cv2.BORDER_REFLECT)[..., None]
        light = cv2.filter2D(light * weight, -1, disc, borderType=cv2.BORDER_REFLECT) / total
        light = (light * _GLARE / (1 + light)).clip(0, 1)
        self.picture = 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        self.width = photo.shape[1]
        self.grain = _grain(photo, person, seed)

    def rows(self, part: slice) -> np.ndarray:
        """[r, W, 3] float32 levels."""
        step, count = self.step, part.stop - part.start
        to_small = np.array([[1 / step, 0, 0.5 / step - 0.5], [0, 1 / step, (part.start + 0.5) / step - 0.5]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        found = cv2.warpAffine(
            self.picture, to_small, (self.width, count), flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        if self.grain is not None:
            lines = np.arange(part.start, part.stop) % len(self.grain)
            grain = np.tile(self.grain[lines], (1, -(-self.width // self.grain.shape[1])))
            found += grain[:, : self.width, None]
        return found


def _shrunk(photo: np.ndarray, person: np.ndarray, step: int) -> tuple[np.ndarray, np.ndarray]:
    """The background's light, [h, w, 3] in 0 to 1, and how much of a pixel it is, at one `step`-th of the size."""
    height, width = person.shape
    size = (-(-width // step), -(-height // step))
    light, weight = np.empty((size[1], size[0], 3), np.float32), np.empty(size[::-1], np.float32)
    rows = max(1, _STRIP_PX // (width * step))
    far = _LINEAR  # levels -> light
    for top in range(0, size[1], rows):
        bottom = min(top + rows, size[1])
        part = slice(top * step, min(bottom * step, height))
        pad = (0, (bottom - top) * step - (part.stop - part.start), 0, size[0] * step - width)
        # Pixels at the edge hold something of the person: only what is nearly free of it counts.
        free = (1 - person[part].astype(np.float32) * (4 / 255)).clip(0, 1)
        values = cv2.LUT(photo[part], far)
        if any(pad):
            free = cv2.copyMakeBorder(free, *pad, cv2.BORDER_REPLICATE)
            values = cv2.copyMakeBorder(values, *pad, cv2.BORDER_REPLICATE)
        if step > 1:
            shape = (size[0], bottom - top)
            values = cv2.resize(values * free[..., None], shape, interpolation=cv2.INTER_AREA)
            free = cv2.resize(free, shape, interpolation=cv2.INTER_AREA)
            values /= np.maximum(free, 1e-6)[..., None]
        light[top:bottom], weight[top:bottom] = values.reshape(bottom - top, size[0], 3), free
    return light.clip(0, 1), weight


def _disc(radius: float) -> np.ndarray:
    """A disc with smooth edges, of sum one."""
    reach = int(np.ceil(radius))
    axis = np.arange(-reach, reach + 1, dtype=np.float32)
    disc = (radius + 0.5 - np.hypot(axis[None], axis[:, None])).clip(0, 1)
    return disc / disc.sum()


def _grain(photo: np.ndarray, person: np.ndarray, seed: int) -> np.ndarray | None:
    """A patch of noise as strong as the photo's own where its background is smooth; None where that has none."""
    size = 16
    rows, columns = person.shape[0] // size, person.shape[1] // size
    jump = max(1, int(np.sqrt(rows * columns / 4096)))
    blocks = [
        (y * size, x * size)
        for y in range(0, rows, jump)
        for x in range(0, columns, jump)
        if not person[y * size : (y + 1) * size : 5, x * size : (x + 1) * size : 5].any()
    ]
    if len(blocks) < 8:
        return None
    cut = np.stack([photo[y : y + size, x : x + size, 1] for y, x in blocks]).astype(np.float32)
    rough = cut[:, 1:-1, 1:-1] - (cut[:, :-2, 1:-1] + cut[:, 2:, 1:-1] + cut[:, 1:-1, :-2] + cut[:, 1:-1, 2:]) / 4
    level = cut.mean(axis=(1, 2))
    usable = (level > 16) & (level < 240)
    if usable.sum() < 8:
        return None
    deviation = float(np.quantile(rough[usable].std(axis=(1, 2)), 0.2)) / np.sqrt(1.25)
    if deviation < 0.6:  # rounding to whole levels
        return None
    noise = np.random.default_rng(seed).standard_normal((_GRAIN_PX, _GRAIN_PX), np.float32)
    return noise * min(deviation, 8.0)
