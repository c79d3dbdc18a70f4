"""Colours of persons and of what is behind them, told apart along their edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

_WORK_PX = 512  # longer side of the picture in which colours are spread
_FIRM = 0.1  # share of the other side up to which a pixel is taken to have none of it
_STEEPER = 1.4  # a mask's edge, where colours do not say better
_ROW = 1024  # of places that are read in one go
_NOISE = 12.0  # levels of 255: colours no further apart do not say where an edge is


class Edge(NamedTuple):
    """The N pixels of a strip that are neither all person nor all background."""

    where: tuple[np.ndarray, np.ndarray]  # rows and columns, [N] each
    share: np.ndarray  # [N, 1], of the person
    front: np.ndarray  # [N, 3], the person's own colour
    back: np.ndarray  # [N, 3], the background's own colour


@dataclass(frozen=True, eq=False)
class Matte:
    """A mask with what colours it parts.

    After "Fast multi-level foreground estimation" (Germer et al. 2020) and "Approximate fast foreground colour
    estimation" (Forte 2021): colours that are sure are spread over the edge, then what a pixel has besides goes to
    both, to the larger share more.
    """

    person: np.ndarray  # [H, W] uint8
    colors: np.ndarray  # [h, w, 8] float32: front, back, and how much each of them varies

    @classmethod
    def of(cls, photo: np.ndarray, person: np.ndarray) -> Matte:
        """Spread colours of a photo [H, W, 3] uint8 from both sides of a mask [H, W] uint8."""
        scale = min(1.0, _WORK_PX / max(person.shape))
        size = (max(1, round(person.shape[1] * scale)), max(1, round(person.shape[0] * scale)))
        small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        share = cv2.resize(person, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        around = np.ones((3, 3), np.uint8)
        parts, spreads = [], []
        for part in (share, 1 - share):
            weight = ((cv2.erode(part, around) - 1 + _FIRM) / _FIRM).clip(0, 1)
            color = spread(small, weight)
            parts.append(color)
            spreads.append(spread(((small - cv2.blur(color, (5, 5))) ** 2).sum(axis=2)[..., None], weight))
        return cls(person, np.dstack([*parts, *spreads]))

    def edge(self, photo: np.ndarray, rows: slice) -> Edge:
        """Return the edge in rows of the photo, whose pixels are given [r, W, 3] uint8."""
        person = self.person[rows]
        where = np.nonzero((person > 0) & (person < 255))
        height, width = self.person.shape
        found = _sampled(self.colors, (where[0] + rows.start + 0.5) / height, (where[1] + 0.5) / width)
        front, back, varies = found[:, :3], found[:, 3:6], found[:, 6:].sum(axis=1, keepdims=True)
        pixel = photo[where].astype(np.float32)
        share = person[where].astype(np.float32)[:, None] / 255
        # Where the two sides' colours are far apart, a pixel's own colour says how much of each it has.
        way = front - back
        length = (way**2).sum(axis=1, keepdims=True)
        along = (((pixel - back) * way).sum(axis=1, keepdims=True) / (length + 1)).clip(0, 1)
        beside = ((pixel - back - along * way) ** 2).sum(axis=1, keepdims=True)
        trust = length / (length + 12 * varies + 8 * beside + _NOISE**2)
        share = ((share - 0.5) * _STEEPER + 0.5).clip(0, 1)  # else a mask in doubt leaves veils
        share = share + trust * (along - share)
        rest = (pixel - share * front - (1 - share) * back) / (share**2 + (1 - share) ** 2)
        front = (front + share * rest).clip(0, 255)
        back = (back + (1 - share) * rest).clip(0, 255)
        return Edge(where, share, front, back)


def spread(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Fill [h, w, C] where `weight` [h, w], 0 to 1, is low with what is nearest to it, from coarse to fine."""
    levels = [(values * weight[..., None], weight[..., None])]
    while max(levels[-1][1].shape[:2]) > 1:
        height, width = levels[-1][1].shape[:2]
        size = (max(1, width // 2), max(1, height // 2))
        value, known = (
            cv2.resize(one, size, interpolation=cv2.INTER_AREA).reshape(*size[::-1], -1) for one in levels[-1]
        )
        more = np.minimum(1 / np.maximum(known, 1e-6), 4.0)
        levels.append((value * more, known * more))
    value, known = levels.pop()
    filled = value / np.maximum(known, 1e-6)
    for value, known in reversed(levels):
        size = known.shape[1::-1]
        filled = cv2.resize(filled, size, interpolation=cv2.INTER_LINEAR).reshape(*size[::-1], -1)
        filled = value + (1 - known) * filled
    return filled


def _sampled(values: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Read [h, w, C] at N places, fractions of its height and width: [N, C]."""
    height, width = values.shape[:2]
    rows = max(1, -(-len(y) // _ROW))
    places = np.zeros((2, rows * _ROW), np.float32)
    places[0, : len(x)], places[1, : len(y)] = x * width - 0.5, y * height - 0.5
    places = places.reshape(2, rows, _ROW)
    found = cv2.remap(values, places[0], places[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return found.reshape(rows * _ROW, -1)[: len(y)]
