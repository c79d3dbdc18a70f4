"""Move the outlines of lips and lids from where the landmarks put them to where the photo shows them.

Landmarks are off by about 2.2 % of the distance between the eyes, which on lips is the width of the lip liner. The
edge is searched along the outline's normal, all of an outline at once (dynamic programming), near the landmarks and
only where the photo is clear about it; where it is not, as under a beard, the landmarks stay.
"""

from __future__ import annotations

import cv2
import numpy as np

from gan_space.faces.eyes import lift_lids
from gan_space.faces.landmarks import LEFT_EYE, LEFT_EYE_CORNERS, MOUTH_CORNERS, RIGHT_EYE, RIGHT_EYE_CORNERS
from gan_space.faces.mesh import face_frame
from gan_space.faces.strip import STEP, Strip, color_features, discriminant
from gan_space.faces.teeth import find_teeth, lower_to_mouth, raise_to_teeth, shows_dark, widen

# Curves of the mouth from its left corner to its right one.
UPPER_OUTER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
LOWER_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
UPPER_INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
LOWER_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)

_MIN_UNIT = 30.0  # px; in smaller faces an edge is no clearer than the landmarks
_STATIONS = 41
_REACH = 0.1  # face units that an edge of the lips may lie from its landmarks
_LID_REACH, _EYE_REACH, _BROW_REACH = 0.05, 0.07, 0.1
_HAIRS = (0.1, 0.3)  # logarithm by which hairs are darker than the skin below them, where there is a brow
_LEAST_LID = 0.03  # face units between lashes and a brow
_EYE_MOST = 0.02  # face units that white and iris may reach over the lid's landmarks
_WINDOW = 0.07  # face units on both sides that tell whether an edge is one
_MOST_GAP = 0.08  # face units; up to here landmarks take closed lips for parted ones
_CORNER_SHARE = 0.8  # of the seam's shift that the corners make as well
_SHADED = 0.3  # logarithm of light by which a lip may be darker than most of it
_THIN_LIP = 0.06  # face units, of the upper lip over teeth
_TONES = (0.045, 0.065)  # face units from the clearest edge of a lower lip to skin: two tones of one lip from there on
_INWARD = 0.015  # face units inside of the landmarks that the clearest edge then lies
_SURELY = 9.0  # deviations away from skin
_TEETH_ROOM = 0.04  # face units above the upper lip's landmarks, which often lie too low


def snap_outlines(pixels: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return landmarks whose lips and upper lids lie on the photo's edges, [468, 2] photo pixels.

    Args:
        pixels: [H, W, 3] uint8.
        points: [468, 2] photo pixels.
    """
    unit = face_frame(points).frame_px
    if unit < _MIN_UNIT:
        return points
    points = snap_lips(pixels, lift_lids(pixels, points))
    for places, corners in ((LEFT_EYE, LEFT_EYE_CORNERS), (RIGHT_EYE, RIGHT_EYE_CORNERS)):
        points = _snap_lid(pixels, points, unit, places, corners)
    return points


def snap_lips(pixels: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return landmarks whose lips lie on the photo's edges, [468, 2] photo pixels; see `snap_outlines`."""
    unit = face_frame(points).frame_px
    if unit < _MIN_UNIT:
        return points
    points = points.copy()
    curves = {name: list(name) for name in (UPPER_OUTER, LOWER_OUTER, UPPER_INNER, LOWER_INNER)}
    heights = face_frame(points).apply(points[list(UPPER_OUTER + LOWER_OUTER)])[:, 1]
    room = float(np.ptp(heights)) + _REACH + _WINDOW + 0.05
    stations = np.linspace(0.04, 0.96, _STATIONS)
    strip = Strip(pixels, points, unit, MOUTH_CORNERS, -room, room, stations)
    at = {name: strip.curve(points[places]) for name, places in curves.items()}
    features = color_features(np.square(strip.light / 255))
    v = strip.v[:, None]
    gap = float(np.max(at[UPPER_INNER] - at[LOWER_INNER]))
    seam = (at[UPPER_INNER] + at[LOWER_INNER]) / 2
    move = _seam_shift(strip, seam) if gap < _MOST_GAP else seam
    teeth = find_teeth(strip, features, seam, at[UPPER_OUTER] + _TEETH_ROOM, at[LOWER_OUTER])
    closed = gap < _MOST_GAP and teeth is None
    if closed:
        # The seam of closed lips is the clearest line of a mouth, and the landmarks of a mouth err together.
        at = {name: curve + move.mean() for name, curve in at.items()}
        at[UPPER_INNER] = at[LOWER_INNER] = seam + move
    if teeth is not None:  # outer edges are searched from where lips can be
        at[UPPER_OUTER] = widen(at[UPPER_OUTER], teeth[0] + _THIN_LIP, 1)
        at[UPPER_INNER], at[LOWER_INNER] = widen(at[UPPER_INNER], teeth[0], 1), widen(at[LOWER_INNER], teeth[1], -1)
    gapes = teeth is not None and shows_dark(strip, features, teeth)
    marked = at[LOWER_OUTER]
    for _ in range(2):
        if teeth is not None:
            at[LOWER_OUTER] = widen(at[LOWER_OUTER], teeth[1] - _THIN_LIP, -1)
        seeds = _lip_seeds(v, at)
        if gapes and seeds["lower"].any():  # beside the teeth landmarks take a mouth's dark for lip
            light = features[..., 2]
            seeds["lower"] &= light > np.median(light[seeds["lower"]]) - _SHADED
        for name, inside, outside, sign in (
            (UPPER_OUTER, seeds["upper"], seeds["above"], -1),
            (LOWER_OUTER, seeds["lower"], seeds["below"], 1),
        ):
            likeness, clear = _tell_apart(features, inside, outside)
            found = at[name] + clear * _best_shift(likeness, strip.v, at[name], sign, _REACH, 0.05)
            if name is LOWER_OUTER:
                found = _second_tone(strip, features, inside, outside, found, marked)
            at[name] = found
    if not closed:
        gap = max(gap, STEP)
        middle = (at[UPPER_INNER] + at[LOWER_INNER]) / 2
        between = np.abs(v - middle) < 0.3 * (at[UPPER_INNER] - at[LOWER_INNER])
        seeds = _lip_seeds(v, at)
        for name, inside, sign in ((UPPER_INNER, seeds["upper"], 1), (LOWER_INNER, seeds["lower"], -1)):
            likeness, clear = _tell_apart(features, inside, between)
            at[name] = at[name] + clear * _best_shift(
                likeness, strip.v, at[name], sign, min(0.08, gap), min(0.045, 0.5 * gap)
            )
    if teeth is not None:
        at[UPPER_INNER], at[LOWER_INNER] = widen(at[UPPER_INNER], teeth[0], 1), widen(at[LOWER_INNER], teeth[1], -1)
        at[LOWER_INNER] = raise_to_teeth(strip, features, at[LOWER_INNER], teeth[1])
    if not closed:
        at[UPPER_INNER] = lower_to_mouth(strip, features, at[UPPER_INNER], (at[UPPER_INNER] + at[LOWER_INNER]) / 2)
    before = {name: strip.curve(points[places]) for name, places in curves.items()}
    taper = np.minimum(1, np.minimum(strip.u, 1 - strip.u) / 0.1)
    # Corners go along with the ends of the seam, as far as those can be seen.
    ends = np.interp(strip.u, [0, 1], [np.median(move[:5]), np.median(move[-5:])]) if closed else 0.0
    for places, name in ((list(MOUTH_CORNERS), None), *((places[1:-1], name) for name, places in curves.items())):
        own = (at[name] - before[name]) * taper if name else 0.0
        points[places] = strip.shifted(points[places], own + _CORNER_SHARE * ends * (1 - taper))
    return points


def _second_tone(strip: Strip, features, inside, outside, found: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """Take the edge of a lower lip on to where skin begins, [S] face units, if it was found between two tones of lip.

    Lips that are pale inside and brown outside, as on dark skin, are clearest where the tones meet. What is no skin
    there is lip; that asks how skin varies alone, and so lies a little outside of other lips' edges.
    """
    share = np.clip(float(np.median(found - marked)) / _INWARD, 0, 1)
    if not share:
        return found
    likeness, clear = _unlike(features, inside, outside)
    further = marked + clear * _best_shift(likeness, strip.v, marked, 1, _REACH, 0.05)
    missed = float(np.median(found - further))
    share *= np.clip((missed - _TONES[0]) / (_TONES[1] - _TONES[0]), 0, 1)
    return found + share * (further - found)


def _seam_shift(strip: Strip, seam: np.ndarray) -> np.ndarray:
    """From where the lips are taken to meet to the dark line where they do, [S] face units."""
    light = np.log(strip.light.mean(axis=2) + 8)
    line = cv2.GaussianBlur(light, (1, 31), sigmaX=1, sigmaY=0.035 / STEP)
    line -= cv2.GaussianBlur(light, (1, 9), sigmaX=1, sigmaY=0.008 / STEP)
    return _viterbi(line / max(float(line.std()), 0.03), strip.v, seam, 0.1, 0.045, gain=1.0, stiffness=150.0)


def _lip_seeds(v: np.ndarray, at: dict) -> dict[str, np.ndarray]:
    """Where lips and the skin around them surely are, [R, S] each: the inner two thirds of each lip, and two bands."""
    upper = (v < at[UPPER_OUTER] - 0.3 * (at[UPPER_OUTER] - at[UPPER_INNER])) & (v > at[UPPER_INNER] + 0.01)
    lower = (v > at[LOWER_OUTER] + 0.3 * (at[LOWER_INNER] - at[LOWER_OUTER])) & (v < at[LOWER_INNER] - 0.01)
    above = (v > at[UPPER_OUTER] + 0.04) & (v < at[UPPER_OUTER] + 0.13)
    below = (v < at[LOWER_OUTER] - 0.06) & (v > at[LOWER_OUTER] - 0.16)
    return {"upper": upper, "lower": lower, "above": above, "below": below}


def _snap_lid(pixels: np.ndarray, points: np.ndarray, unit: float, places, corners) -> np.ndarray:
    """Put the upper lid on the upper edge of the dark line of lashes, and above all that has the eye's own colours."""
    upper = list(places[9:])  # from the inner corner to the outer one
    stations = np.linspace(0.05, 0.95, 25)
    strip = Strip(pixels, points, unit, corners, -0.2, 0.35, stations)
    curve = strip.curve(points[[corners[1], *upper, corners[0]]])
    light = np.log(strip.light.mean(axis=2) + 8)
    spread = float(light.std())
    if spread < 0.05:
        return points
    # Dark here and lighter above; the window is short, a crease runs close.
    likeness = (light.mean() - light) / spread
    count = max(1, round(0.028 / STEP))
    kernel = np.concatenate([np.full(count, 1.0), np.full(count, -1.0)])[:, None].astype(np.float32) / count
    edge = cv2.filter2D(likeness.astype(np.float32), cv2.CV_32F, kernel, borderType=cv2.BORDER_REPLICATE)
    shift = _viterbi(edge, strip.v, curve, _LID_REACH, 0.03, gain=2.0, stiffness=400.0)
    fine = float(np.clip((unit - 40) / 30, 0, 1))  # in small faces white and lashes are of one pixel
    shift = np.maximum(
        shift, fine * _above_eye(strip, curve, strip.curve(points[[corners[1], *places[1:8], corners[0]]]))
    )
    points[upper] = strip.shifted(points[upper], shift)
    return points


def brow_edge(pixels, points: np.ndarray, unit: float, edge, lid) -> tuple[np.ndarray, np.ndarray]:
    """Find where a brow's hairs end below; landmarks put it too high where a brow hangs over the lid.

    Args:
        edge: landmarks of the brow's lower edge.
        lid: of the upper lid, from the inner corner of the eye to the outer one.

    Returns:
        u [S], 0 at the inner corner and 1 at the outer one, and the distance above the line between them in face units.
    """
    strip = Strip(pixels, points, unit, (lid[0], lid[-1]), -0.15, 0.5, np.linspace(-0.3, 1.3, 40))
    curve, lashes = strip.curve(points[list(edge)]), strip.curve(points[list(lid)])
    if unit < _MIN_UNIT:
        return strip.u, curve
    # Hairs above and skin below; the window is longer than a crease is thick.
    light = np.log(strip.light.mean(axis=2) + 8).astype(np.float32)
    count = max(1, round(0.04 / STEP))
    kernel = np.concatenate([np.full(count, 1.0), np.full(count, -1.0)])[:, None].astype(np.float32) / count
    darker = cv2.filter2D(light, cv2.CV_32F, kernel, borderType=cv2.BORDER_REPLICATE)
    gain = 1 / max(float(light.std()), 0.05)
    shift = _viterbi(darker, strip.v, curve, _BROW_REACH, 0.05, gain=gain, stiffness=60.0)
    shift = shift.clip(np.minimum(lashes + _LEAST_LID - curve, 0), 0)
    rows = ((curve + shift - strip.v[0]) / STEP).round().astype(int).clip(0, len(strip.v) - 1)
    firm = ((darker[rows, np.arange(len(rows))] - _HAIRS[0]) / (_HAIRS[1] - _HAIRS[0])).clip(0, 1)
    return strip.u, curve + cv2.GaussianBlur((shift * firm).astype(np.float32)[None], (5, 1), 0)[0]


def _above_eye(strip: Strip, upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """From the upper lid's landmarks to where white and iris end, [S] face units; what lies between lids is the eye.

    Where landmarks lie too low, as behind glasses, the darkest edge is the iris against the white.
    """
    features = color_features(np.square(strip.light / 255))
    v, found = strip.v[:, None], upper
    for _ in range(2):  # what was lid at first may be eye
        between = (v < found - 0.01) & (v > lower + 0.01) & (strip.u > 0.15) & (strip.u < 0.85)
        likeness, clear = _tell_apart(features, between, (v > found + 0.05) & (v < found + 0.12))
        found = found + clear * _best_shift(likeness, strip.v, found, -1, _EYE_REACH, 0.03)
    return (found - upper).clip(max=_EYE_MOST)


def _tell_apart(features: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> tuple[np.ndarray, float]:
    """Tell two seeds apart: [R, S] about 1 like the first and 0 like the second, and how clear it is in [0, 1]."""
    direction, distance, offset, width = discriminant(features[inside], features[outside])
    if not distance:
        return np.zeros(features.shape[:2]), 0.0
    likeness = (features @ direction - offset) / width
    return likeness.clip(-0.5, 1.5), float(np.clip((distance - 0.9) / 1.2, 0, 1))


def _unlike(features: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> tuple[np.ndarray, float]:
    """As `_tell_apart`, by how the second seed varies alone: all is 1 that is far from it in the first one's way."""
    _, clear = _tell_apart(features, inside, outside)
    if not clear:
        return np.zeros(features.shape[:2]), 0.0
    a, b = features[inside], features[outside]
    direction = np.linalg.solve(np.cov(b.T) + 1e-3 * np.eye(3), a.mean(axis=0) - b.mean(axis=0))
    at_a, at_b = a @ direction, b @ direction
    width = min(float(at_a.mean() - at_b.mean()), _SURELY * float(at_b.std()))
    return ((features @ direction - at_b.mean()) / max(width, 1e-6)).clip(-0.5, 1.5), clear


def _best_shift(likeness, v: np.ndarray, curve: np.ndarray, sign: int, reach: float, prior: float) -> np.ndarray:
    """Shift of a curve so that likeness is high on one side and low on the other; `sign` 1: high above it."""
    count = max(2, round(_WINDOW / STEP))
    evidence = np.concatenate([np.zeros((1, likeness.shape[1])), np.cumsum(likeness - 0.5, axis=0)])
    rows = np.arange(len(v))
    up, down = np.minimum(rows + count, len(v)), np.maximum(rows - count, 0)
    score = sign * ((evidence[up] - evidence[rows]) - (evidence[rows] - evidence[down])) / count  # [R, S]
    return _viterbi(score.astype(np.float32), v, curve, reach, prior, gain=4.0, stiffness=400.0)


def _viterbi(score, v, curve, reach: float, prior: float, gain: float, stiffness: float) -> np.ndarray:
    """The smooth path of shifts with the best score, [S] face units; shifts cost by a Gaussian of width `prior`."""
    shifts = np.arange(-reach, reach + STEP / 4, STEP / 2)  # [K]
    rows = (curve[None] + shifts[:, None] - v[0]) / STEP
    columns = np.broadcast_to(np.arange(len(curve), dtype=np.float32), rows.shape)
    found = cv2.remap(score, columns.astype(np.float32), rows.astype(np.float32), cv2.INTER_LINEAR)  # [K, S]
    value = gain * found - 0.5 * np.square(shifts / prior)[:, None]
    step = stiffness * np.abs(shifts[:, None] - shifts[None]) ** 2 / STEP  # from row to column
    best, steps_back = value[:, 0], []
    for station in range(1, value.shape[1]):
        total = best[:, None] - step
        steps_back.append(total.argmax(axis=0))
        best = total.max(axis=0) + value[:, station]
    path = [int(best.argmax())]
    for back in reversed(steps_back):
        path.append(int(back[path[-1]]))
    result = shifts[path[::-1]]
    return cv2.GaussianBlur(result[None], (5, 1), 0)[0] if len(result) > 4 else result
