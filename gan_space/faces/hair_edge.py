"""Part hair from what is beside it: colours of both around each place, and how much of a pixel is which.

At an edge a pixel is `share * hair + (1 - share) * beside`. Both colours are spread from where they are sure; the share
is how far a pixel's own colour has come from one to the other, and what it has besides goes to both, to the larger
share more (Germer et al. 2020). Then the hair's part alone is dyed. Any other share, such as that of a mask, leaves a
rim of the old colour, or makes one of too much of the new.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from gan_space.faces.hair_colors import ELSE, FIRM, beside_eyes, fill, softened
from gan_space.faces.landmarks import FACE_OVAL, LEFT_BROW, LEFT_EYE, RIGHT_BROW, RIGHT_EYE
from gan_space.faces.mesh import face_frame

_REACH = (0.02, 0.06, 0.2)  # of the small copy's side: how far colours around a place are looked for
_WEIGHTS = (0.7, 1.0, 1.0)  # of L, a and b: shade tells less
_BAND = 0.012  # of the side: how far from the edge of the hair colours tell what is hair
_CORE = 0.9  # of that, from where on hair is not at its edge
_ALIKE = (8.0, 20.0)  # Lab units; colours that are as near as this tell nothing, and all
_MOTLEY = 4.0  # how much less they tell where what is beside hair is of many colours
_NOISE = 0.05  # of the way between them, what is neither's
_DARKER = (8.0, 20.0)  # L* that hair is darker than skin by, from where on it shades it, and fully
_SHADED = 0.12  # face units: how far into a face
_SHADE = (0.3, 0.9)  # of the way from skin to hair: up to where skin is but shaded, and from where on it is hair
_LOCK = 0.55  # of that way, from where on what hangs together with hair is some
_MIXED = 0.5  # of that way, from where on a pixel says nothing of skin
_BROW_LINE = -0.2  # face units below the eyes: what is skin above it is forehead
_ROOT_REACH = 0.12  # face units from the forehead: where roots are


@dataclass(frozen=True, eq=False)
class Edge:
    """Where the edge of a head's hair is, in a small copy of it; Lab.

    Attributes:
        hair, beside: [h, w, 3] the mean colour of each around a place.
        clear: [h, w] how far to go by a pixel's colour: not where both look the same, or in the hair.
        reach: [h, w] how much hair there may be at most; 2 where its edge is no longer near.
        alike: [h, w] where the edge is, and colours tell nothing.
        face: [h, w] where hair shades skin.
        roots: [h, w] how near the forehead is.
    """

    hair: np.ndarray
    beside: np.ndarray
    clear: np.ndarray
    reach: np.ndarray
    alike: np.ndarray
    face: np.ndarray
    roots: np.ndarray

    @classmethod
    def of(cls, lab: np.ndarray, share: np.ndarray, points: np.ndarray | None) -> Edge:
        """Look at a small copy [h, w, 3] with the share of hair [h, w], and a face by its landmarks in px of it."""
        side = max(share.shape)
        broad = softened(share, _BAND * side)
        # Its edge may be something else, which tells only where there is no more than an edge.
        hair = spread(lab, np.where(share > FIRM, np.where(broad > _CORE, share, 0.02), 0))
        other, reach = np.where(share < ELSE, 1 - share, 0), 2 * broad
        face = roots = np.zeros_like(share)
        if points is not None:
            face, roots = inside_face(points, share.shape), _roots(points, share)
            bare = (other > 0) & (face > 0.5)
            if bare.any():  # a strand in the face that the mask has missed is no skin, nor is what hair shades
                skin = np.median(lab[bare], axis=0)
                way = along(cv2.split(lab), skin, cv2.split(hair))
                other[bare] *= (1 - way[bare] / _MIXED).clip(1e-3, 1)
        beside = spread(lab, other)
        if points is not None:
            darker = ((beside[..., 0] - hair[..., 0] - _DARKER[0]) / (_DARKER[1] - _DARKER[0])).clip(0, 1)
            face = face * darker
            way = along(cv2.split(lab), cv2.split(beside), cv2.split(hair))
            reach = np.maximum(reach, face * _on_forehead(points, share, way * darker))
        away = _square(hair - beside)
        # What is beside it tells little where it is of many colours.
        varies = spread(_square(lab - beside)[..., None], other)[..., 0]
        clear = (
            ((np.sqrt(away) - _ALIKE[0]) / (_ALIKE[1] - _ALIKE[0])).clip(0, 1) * away / (away + _MOTLEY * varies + 1)
        )
        band = ((0.97 - broad) / 0.1).clip(0, 1)
        return cls(hair, beside, band * clear, reach, band * (1 - clear), face, roots)


def _square(colors: np.ndarray) -> np.ndarray:
    """Squares of how far colours [..., 3] are from none."""
    return np.square(colors * np.float32(_WEIGHTS)).sum(axis=-1)


def along(lab: Iterable, beside: Iterable, hair: Iterable) -> np.ndarray:
    """Say how far colours, L, a and b each, have come from what is beside hair, 0, to hair, 1."""
    far = length = 0.0
    for value, start, end, weight in zip(lab, beside, hair, np.square(np.float32(_WEIGHTS)), strict=True):
        way = end - start
        far = far + weight * way * (value - start)
        length = length + weight * way * way
    return ((far / np.maximum(length, 1) - _NOISE) / (1 - 2 * _NOISE)).clip(0, 1)


def dyed_part(share: np.ndarray, face: np.ndarray) -> np.ndarray:
    """Say how much of a pixel takes a dye's hue: skin that is but shaded gets lighter with the hair, and stays skin."""
    low, high = _SHADE
    return share + face * (((share - low) / (high - low)).clip(0, 1) - share)


def unmixed(lab: np.ndarray, share: np.ndarray, hair: Sequence, beside: Sequence) -> tuple[np.ndarray, np.ndarray]:
    """Part pixels with a share of hair [N] into their own hair and what is beside it; L, a and b are [3, N]."""
    other, own, behind = 1 - share, np.empty_like(lab), np.empty_like(lab)
    by = 1 / (share * share + other * other)
    for channel, value in enumerate(lab):
        rest = (value - share * hair[channel] - other * beside[channel]) * by
        own[channel] = hair[channel] + share * rest
        behind[channel] = beside[channel] + other * rest
    return own, behind


def spread(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Mean of values [h, w, C] around each place of what has a weight [h, w]; from farther away where none is near."""
    total = np.dstack([values * weight[..., None], weight]).astype(np.float32)
    side = max(weight.shape)
    found = np.full_like(total, 0) + 1e-9 * total.sum(axis=(0, 1))
    for reach, share in zip(_REACH, (1.0, 1e-3, 1e-6), strict=True):
        found += share * softened(total, reach * side)
    return found[..., :-1] / np.maximum(found[..., -1:], 1e-12)


def inside_face(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Find the face by its landmarks, [h, w] float32 in [0, 1], and less and less of it outwards."""
    face = fill(points[list(FACE_OVAL)], size)
    return (2 * softened(face, _ROOT_REACH * face_frame(points).frame_px)).clip(0, 1)


def _roots(points: np.ndarray, share: np.ndarray) -> np.ndarray:
    """How near the forehead is to each place, by the small copy's landmarks and shares of hair, [h, w] in [0, 1]."""
    above = ((_BROW_LINE - beside_eyes(points, share.shape)[1]) / 0.1).clip(0, 1).astype(np.float32)
    forehead = fill(points[list(FACE_OVAL)], share.shape) * (1 - share) * above
    return (2 * softened(forehead, _ROOT_REACH * face_frame(points).frame_px)).clip(0, 1)


def _on_forehead(points: np.ndarray, share: np.ndarray, way: np.ndarray) -> np.ndarray:
    """How much hair there may be on a forehead: what it shades, and locks that hang into it from hair of this share.

    Args:
        points: landmarks in px of the small copy.
        share: [h, w] of hair.
        way: [h, w] how far colours have come from skin to darker hair.

    Returns:
        [h, w] in [0, 1]; brows and eyes are none of it.
    """
    unit = face_frame(points).frame_px
    near = (4 * softened(share, _SHADED * unit)).clip(0, 1)
    own = np.zeros_like(share)
    for part in (LEFT_BROW, RIGHT_BROW, LEFT_EYE, RIGHT_EYE):
        cv2.fillConvexPoly(own, cv2.convexHull(np.round(points[list(part)]).astype(np.int32)), 1)
    own = softened(own, 0.08 * unit)
    above = (-beside_eyes(points, share.shape)[1] / 0.2).clip(0, 1).astype(np.float32)
    bare = above * (1 - (3 * own).clip(0, 1))
    dark = ((share > FIRM) | ((way > _LOCK) & (bare > 0.5))).astype(np.uint8)
    locks = cv2.dilate(dark, np.ones((3, 3), np.uint8))  # what is thinner than a pixel has gaps
    _, labels = cv2.connectedComponents(locks)
    hanging = np.isin(labels, np.unique(labels[share > FIRM])) * locks.astype(np.float32)
    return np.maximum(near, softened(hanging, 0.6)) * bare
