"""Find where lips end: what pixels beside their outline look like, asked along the outline so that the edge is even."""

from __future__ import annotations

import cv2
import numpy as np

from gan_space.faces.landmarks import LIPS_OUTER, MOUTH_CORNERS
from gan_space.faces.snap import LOWER_INNER, UPPER_INNER
from gan_space.faces.strip import color_features, discriminant
from gan_space.looks.face_patch import Box, FacePatch

# All in face units.
_STEP = 0.008  # between places along the outline and across it
_INWARD, _OUTWARD = 0.12, 0.13  # how far lips and what surrounds them are looked at
_SURROUNDS = 0.073  # from here on it is surely no lip
_DEEP = (0.03, 0.065)  # inside of the outline: from here on a pixel's look counts less, and not at all
_EVEN, _SMOOTH = 0.025, 0.02  # standard deviation along the outline, of what is seen and of the edge found in it
_OUTSET = 0.02  # that colour may reach over the outline
_INSET_PX = 0.2  # a rim of bare lip is hardly seen, one of painted skin is
_CORNER = 0.1  # from a corner of the mouth: so near to it both lips' edges come together
_OVERHANG = 0.018  # that hair hangs over the edge of lips
_FEATHER = 0.022  # of the edge from 10 to 90 %

_HAIR = (0.04, 0.065)  # roughness in logarithms from where on what surrounds lips is hair, and where it surely is
_DOUBT, _CLEAR = 0.15, 4.0  # taken off where both differ by up to so many deviations; less where they differ more
_HAIR_DOUBT = 0.3  # how much less like lips a pixel is taken to be beside hair
_LIKE = (0.25, 0.75)  # from skin (0) to these lips (1): more skin than lip, and more lip than skin
_PRIOR = 0.4  # how much the outline adds to that inside, and takes off outside: 0.2 where it is certain
_PRIOR_WIDTH = 0.047
_TONES = (0.026, 0.036)  # inside of the outline of a lower lip: from here on two tones of it may meet, and surely do
_SHINY = (0.02, 0.03)  # the same where a part of a lip shines
_SHINE = 0.1  # of color_features' light over the skin near by
_NO_SKIN = (2.0, 3.0)  # deviations from skin: still skin, and surely none
_NEAR = 0.06  # standard deviation along the outline
_MIDDLE = (0.1, 0.25)  # from a corner of the mouth, where that is asked
_MIN_UNIT = 30.0  # px; in smaller faces a pixel knows no more than the landmarks


def within_lips(patch: FacePatch, box: Box, lips: np.ndarray) -> np.ndarray:
    """Draw the lips as far as pixels near their outline look like these lips, [h, w] in [0, 1], teeth filled.

    Where lips look like their surroundings the outline alone counts.

    Args:
        lips: [h, w] in [0, 1], as the landmarks say, without teeth.
    """
    outline = patch.outline(LIPS_OUTER, MOUTH_CORNERS)
    if patch.unit < _MIN_UNIT:
        return patch.draw([outline], _FEATHER, box)
    pixels = patch.blur(patch.bare(box), 0.006)
    first, last = sorted(LIPS_OUTER.index(corner) * (len(outline) // len(LIPS_OUTER)) for corner in MOUTH_CORNERS)
    curves = [outline[first : last + 1], np.concatenate([outline[last:], outline[: first + 1]])]
    (x, y), (next_x, next_y) = outline.T, np.roll(outline, -1, axis=0).T
    turn = np.sign((x * next_y - y * next_x).sum())
    stations = [_stations(curve, _STEP * patch.unit, turn) for curve in curves]
    reaches = [_edge(patch, box, pixels, lips, *station) for station in stations]
    # Both edges meet at a corner: the one that is surer of skin there takes the other along.
    first, last = (min(reaches[0][a], reaches[1][b], 0) for a, b in ((0, -1), (-1, 0)))
    moved, beyond = [], []
    for (curve, normal), reach, start, end in zip(stations, reaches, (first, last), (last, first), strict=True):
        near = 1 - _STEP * np.arange(len(curve)) / _CORNER
        reach = reach + near.clip(0) * (start - reach[0]) + near[::-1].clip(0) * (end - reach[-1])
        moved.append(curve + (reach * patch.unit)[:, None] * normal)
        beyond.append(curve + _OUTWARD * patch.unit * normal)
    # Each lip's edge cuts by itself: near the corners, edges that moved inwards cross.
    drawn = [
        patch.draw([np.concatenate([edge, other])], _FEATHER, box)
        for edge, other in zip(moved, reversed(beyond), strict=True)
    ]
    return np.minimum(*drawn)


def below_seam(patch: FacePatch, places: np.ndarray) -> np.ndarray:
    """Say how far places [..., 2] in the photo's px lie below the middle between the lips, [...] face units."""
    units = patch.frame.apply(places.reshape(-1, 2)).reshape(places.shape)
    seam = (patch.units(UPPER_INNER) + patch.units(LOWER_INNER)) / 2
    return units[..., 1] - np.interp(units[..., 0], seam[:, 0], seam[:, 1])


def _stations(curve: np.ndarray, step: float, turn: float) -> tuple[np.ndarray, np.ndarray]:
    """Return places at even distances along a curve, [S, 2], and its normals outwards."""
    at = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    even = np.linspace(0, at[-1], max(8, round(at[-1] / step)))
    places = np.stack([np.interp(even, at, axis) for axis in curve.T], axis=1)
    along = _along(np.gradient(places, axis=0), 3.0)
    normal = turn * np.stack([along[:, 1], -along[:, 0]], axis=1)
    return places, normal / np.maximum(np.hypot(*normal.T), 1e-6)[:, None]


def _edge(patch: FacePatch, box: Box, pixels: np.ndarray, lips: np.ndarray, curve, normal) -> np.ndarray:
    """Say how far over one lip's outline its colour reaches, [S] face units."""
    out = np.arange(-_INWARD, _OUTWARD + _STEP / 2, _STEP)[:, None]  # [R, 1]
    places = curve + (out * patch.unit)[..., None] * normal  # [R, S, 2]
    where = (places - box[:2] - 0.5).astype(np.float32)
    features = color_features(cv2.remap(pixels, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    below = below_seam(patch, places)
    own = below * np.sign(np.median(below[-1])) > 0  # not the other lip
    inside = own & (cv2.remap(lips, where, None, cv2.INTER_LINEAR) > 0.9) & (out < 0)
    outside = np.broadcast_to(out > _SURROUNDS, own.shape)
    reach = np.zeros(len(curve), np.float32)
    if not inside.any():
        return reach
    inside &= out <= np.quantile(np.broadcast_to(out, own.shape)[inside], 0.6)
    light = features[..., 2].astype(np.float32)
    rough = cv2.GaussianBlur(np.abs(light - cv2.GaussianBlur(light, (0, 0), 0.02 / _STEP)), (0, 0), 0.03 / _STEP)
    hair = float(np.interp(np.median(rough[outside]), _HAIR, (0, 1)))
    likeness = np.ones(own.shape, np.float32)
    prior = _PRIOR * (1 / (1 + np.exp(1.7 * out / _PRIOR_WIDTH)) - 0.5)
    middle = np.median(light[outside])
    for half in (light <= middle, light > middle):
        direction, distance, offset, width = discriminant(features[inside], features[outside & half])
        clear = float(np.clip((distance - 1.0) / 1.2, 0, 1))
        if clear:
            score = ((features @ direction - offset) / width).clip(-0.5, 1.5)
            doubt = _DOUBT * min(1.0, _CLEAR / distance) + _HAIR_DOUBT * hair
            like = ((score + prior - doubt - _LIKE[0]) / (_LIKE[1] - _LIKE[0])).clip(0, 1)
            likeness = np.minimum(likeness, 1 - clear * (1 - like))
    deep = np.maximum(np.interp(-out, _DEEP, (0, 1)), ~own)
    reach = _reach(likeness, deep, out)
    if np.median(below[-1]) > 0:  # the lower lip
        # Far inside of the outline two tones of one lip may meet, as on dark skin; what is no skin there is lip. Where
        # a part of the edge is missed that asks for shine: else it may be skin in shade.
        at = _STEP * np.arange(len(curve))
        middle = np.interp(np.minimum(at, at[::-1]), _MIDDLE, (0, 1)) * (1 - hair)  # corners lie in shade
        here = np.interp(-_along(reach[:, None], _SMOOTH / _STEP)[:, 0], _SHINY, (0, 1))
        median = np.median(reach[middle > 0.5]) if (middle > 0.5).any() else 0.0
        missed = float(np.interp(-median, _TONES, (0, 1)))
        if (np.maximum(here, missed) * middle).any():
            no_skin, shine = _no_skin(features, outside)
            other = np.maximum(here * shine, missed) * middle * (out <= 0) * no_skin
            reach = _reach(np.maximum(likeness, other), deep, out)
    reach = np.minimum(reach - _INSET_PX / patch.unit, (1 - hair) * _OUTSET - hair * _OVERHANG)
    return _along(reach[:, None], _SMOOTH / _STEP)[:, 0]


def _reach(likeness: np.ndarray, deep: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Say how far a lip reaches, [S] face units: as far as pixels add up that are more lip than skin."""
    likeness = likeness + (1 - likeness) * deep
    more = _along(likeness.T - 0.5, _EVEN / _STEP).T
    gain = np.cumsum(more, axis=0)[: int((out <= _OUTSET).sum())]
    last = gain.argmax(axis=0)[None]
    here, next_one = (np.take_along_axis(more, rows, axis=0)[0] for rows in (last, last + 1))
    part = (here / np.maximum(here - next_one, 1e-6)).clip(0, 1)
    return out[last[0], 0] + part * _STEP


def _no_skin(features: np.ndarray, skin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Say whether pixels lie outside of how skin varies near by, [R, S] in [0, 1], and which shine, [R, S] bool.

    Near by, as gloss on the side of a mouth in shade is of the colour of skin on the other side.

    Args:
        skin: [R, S] bool, surely skin.
    """
    weight = np.broadcast_to(skin, features.shape[:2]).sum(axis=0)[:, None]
    local = _along((features * skin[..., None]).sum(axis=0), _NEAR / _STEP) / _along(weight, _NEAR / _STEP)
    away = features - local
    known = away[skin]
    white = np.linalg.cholesky(np.linalg.inv(np.cov(known.T) + 1e-3 * np.eye(3)))
    no_skin = np.interp(np.linalg.norm(away @ white, axis=2), _NO_SKIN, (0, 1))
    return no_skin, away[..., 2] > _SHINE


def _along(values: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth [S, K] along a curve."""
    return cv2.GaussianBlur(
        values.astype(np.float32), (1, 0), sigmaX=1e-3, sigmaY=sigma, borderType=cv2.BORDER_REPLICATE
    )
