"""Where lids and irises lie in a photo: landmarks draw every eye towards the usual one, by up to 0.05 face units.

Whites of eyes are told from the skin around them by colour and light. The edges of the lids are those curves, near the
landmarks, that leave most of the white inside; both eyes are open alike and look the same way, so they are searched
together first and then each a little on its own. An iris is the darkest disc of an iris's size between the lids.
Lengths are in face units; left and right are as seen in the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from torch import Tensor

from gan_space.faces.landmarks import LEFT_EYE, LEFT_EYE_CORNERS, RIGHT_EYE, RIGHT_EYE_CORNERS
from gan_space.faces.mesh import check_landmarks, face_frame
from gan_space.faces.strip import STEP, Strip, color_features, discriminant
from gan_space.photos.opening import check_photo

IRIS_RADIUS = 0.093  # an iris is 11.7 mm wide in nearly everybody, pupils are 63 mm apart in the middle
EYES = ((LEFT_EYE, LEFT_EYE_CORNERS), (RIGHT_EYE, RIGHT_EYE_CORNERS))
_LOWER, _UPPER = slice(1, 8), slice(9, 16)  # places of an eye's outline between its corners
_MIN_UNIT = 30.0  # px; in smaller faces an edge is no clearer than the landmarks
_STATIONS = np.linspace(0.03, 0.97, 39)  # from the outer corner to the inner one
_ARCH = np.sqrt(4 * _STATIONS * (1 - _STATIONS))  # corners stay
_TILTS = np.linspace(-0.03, 0.03, 5)
_TOGETHER, _ALONE = np.linspace(-0.09, 0.09, 31), np.linspace(-0.024, 0.024, 9)  # shifts that are tried
_UPPER_PRIOR, _LOWER_PRIOR, _ALONE_PRIOR, _TILT_PRIOR = 0.035, 0.03, 0.012, 0.03  # standard deviations
_GAIN = 60.0  # of the evidence against these
_IS_WHITE = 0.42  # likeness from which on a pixel speaks for being inside
_SHADED = 0.45  # log light below that of the white where half of its likeness is left
_GAZE, _OWN_GAZE = (0.12, 0.05), (0.035, 0.025)  # how far irises may lie from the middle, and apart from each other
_LIFT_STEP, _LIFT_REACH = 0.015, (0.12, 0.14)  # how far to both sides and up an eye is searched that landmarks miss
_LIFT_APART = 0.035  # of both eyes, of which one may lie higher
_USUAL = 0.03  # an iris lies up to here above the line between the corners of its eye
_LIFTED, _MOST_LIFT = 0.7, 0.05  # of what is beyond, and at most; the lid's own edge is searched from there
# Logarithms: how dark the disc is against what is beside it, and how much darker than one where the landmarks are.
_IRIS_DARK, _IRIS_DARKER = (0.28, 0.38), (0.04, 0.12)


@dataclass(frozen=True)
class Eye:
    """One eye of a photo.

    Attributes:
        strip: the photo around it, levelled along its corners.
        upper, lower: [S] edges of its lids, heights in the strip at its stations.
        iris: [3] x, y, radius in photo pixels.
    """

    strip: Strip
    upper: np.ndarray
    lower: np.ndarray
    iris: np.ndarray

    def outline(self, band: float = 0.0) -> np.ndarray:
        """Return what shows between the lids, [K, 2] photo pixels, less a band along the lashes, in face units."""
        band = np.minimum(band, 0.3 * (self.upper - self.lower).clip(0)) * _ARCH
        middle = (self.upper + self.lower) / 2
        upper, lower = np.maximum(self.upper, middle) - band, np.minimum(self.lower, middle) + 0.5 * band
        strip = self.strip
        corners = strip.photo(np.array([0.0, 1.0]), np.zeros(2))
        below, above = (strip.photo(_STATIONS, v) for v in (lower, upper))
        return np.concatenate([corners[:1], below, corners[1:], above[::-1]])


@dataclass(frozen=True)
class Eyeball:
    """An eye whose lids move over it.

    Attributes:
        eye: lids and iris before.
        middle: [2] photo pixels, between the corners of its lids.
        shift: [2] photo pixels, how far it goes.
        scale: how much larger it becomes.
    """

    eye: Eye
    middle: np.ndarray
    shift: np.ndarray
    scale: float

    def before(self, places: np.ndarray) -> np.ndarray:
        """Say where [..., 2] photo pixels of the eyeball were."""
        return self.middle + (places - self.middle - self.shift) / self.scale

    def after(self, places: np.ndarray) -> np.ndarray:
        """Say where [..., 2] photo pixels of the eyeball go."""
        return self.middle + self.shift + self.scale * (places - self.middle)


def find_eyes(photo: Tensor, landmarks) -> tuple[Eye, Eye]:
    """Find lids and irises, the left eye first.

    Args:
        photo: [3, H, W] uint8.
        landmarks: [468, 2] photo pixels.
    """
    landmarks = check_landmarks(landmarks)
    frame = face_frame(landmarks)
    outlines = [landmarks[list(places)] for places, _ in EYES]
    near = np.concatenate(outlines)
    low = np.floor(near.min(axis=0) - 0.4 * frame.frame_px).astype(int).clip(0, None)
    high = np.ceil(near.max(axis=0) + 0.4 * frame.frame_px).astype(int).clip(low + 1, None)
    part = check_photo(photo)[:, low[1] : high[1], low[0] : high[0]]
    if 0 in part.shape:
        part = part.new_zeros(3, 1, 1)
    pixels = np.ascontiguousarray(part.permute(1, 2, 0).cpu().numpy())
    points = landmarks - low
    irises = _search_irises(pixels, points, outlines - low)
    eyes = [_Search(pixels, points, frame.frame_px, number) for number in range(2)]
    # Which columns an iris fills is known better once the lids are, and the other way round.
    for _ in range(2):
        _search_lids(eyes, irises)
        irises = _search_irises(pixels, points, [one.found(np.zeros(3)).outline() for one in eyes])
    for one in eyes:
        one.strip.first = one.strip.first + low
    irises[:, :2] += low
    return eyes[0].found(irises[0]), eyes[1].found(irises[1])


def find_irises(landmarks, photo: Tensor | None = None) -> np.ndarray:
    """Estimate centre and radius of both irises, [2, 3]: x, y, radius in photo pixels, the left one first.

    The mesh has no irises. Without a photo they are taken to look straight ahead, midway in the eye's opening. Their
    size is not measured: irises are as large in everybody, to a few percent.
    """
    landmarks = check_landmarks(landmarks)
    if photo is not None:
        return np.stack([eye.iris for eye in find_eyes(photo, landmarks)])
    return _search_irises(None, landmarks, [landmarks[list(places)] for places, _ in EYES])


def snap_lids(landmarks: np.ndarray, eyes: tuple[Eye, Eye]) -> np.ndarray:
    """Put the lids' landmarks onto the edges that were found, [468, 2] photo pixels."""
    snapped = landmarks.copy()
    for eye, (places, _) in zip(eyes, EYES, strict=True):
        for part, curve in ((_UPPER, eye.upper), (_LOWER, eye.lower)):
            rows = list(places[part])
            u, v = eye.strip.local(landmarks[rows]).T
            snapped[rows] += ((np.interp(u, _STATIONS, curve) - v) * eye.strip.unit)[:, None] * eye.strip.up
    return snapped


def lift_lids(pixels: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Raise upper lids that cross irises, as landmarks do behind glasses and in eyes that look up; [468, 2] px.

    Both eyes must show a dark disc that is clearly higher than the landmarks have it.

    Args:
        pixels: [H, W, 3] uint8.
        landmarks: [468, 2] photo pixels.
    """
    frame = face_frame(landmarks)
    if frame.frame_px < _MIN_UNIT:
        return landmarks
    scores = np.stack([_dark_discs(pixels, frame, landmarks[list(corners)]) for _, corners in EYES])
    axis = np.arange(scores.shape[1]) * _LIFT_STEP - (scores.shape[1] // 2) * _LIFT_STEP
    dx, dy = np.meshgrid(axis, axis)
    both = scores.min(axis=0) - np.square(dx / 0.3)
    both[(np.abs(dx) > _LIFT_REACH[0]) | (np.abs(dy) > _LIFT_REACH[1])] = _NEVER
    row, column = np.unravel_index(both.argmax(), both.shape)
    best, there = both[row, column], max(both[np.abs(dy) < 0.02].max(), 0)
    sure = np.interp(best, _IRIS_DARK, (0, 1)) * np.interp(best - there, _IRIS_DARKER, (0, 1))
    if not sure:
        return landmarks
    lifted = landmarks.copy()
    for score, (places, _) in zip(scores, EYES, strict=True):
        near = np.hypot(dx - axis[column], dy - axis[row]) <= _LIFT_APART
        height = -dy.ravel()[np.where(near, score, _NEVER).argmax()]
        lift = sure * np.clip(_LIFTED * (height - _USUAL), 0, _MOST_LIFT)
        upper = list(places[_UPPER])
        lifted[upper] = frame.inverse.apply(frame.apply(landmarks[upper]) - [0, lift])
    return lifted


def _dark_discs(pixels: np.ndarray, frame, corners: np.ndarray) -> np.ndarray:
    """How much darker discs of an iris's size are than what is left and right of them, [S, S] logarithms."""
    reach = _LIFT_STEP * round(0.3 / _LIFT_STEP)
    axis = np.arange(-reach, reach + _LIFT_STEP / 2, _LIFT_STEP)
    places = frame.apply(corners).mean(axis=0) + np.stack(np.meshgrid(axis, axis), axis=-1)
    px = frame.inverse.apply(places.reshape(-1, 2)).reshape(places.shape)
    low = np.floor(px.min(axis=(0, 1))).astype(int).clip(0, None)
    high = (np.ceil(px.max(axis=(0, 1))).astype(int) + 2).clip(0, None)
    part = pixels[low[1] : high[1], low[0] : high[0]]
    if 0 in part.shape:
        return np.zeros((len(axis), len(axis)), np.float32)
    grey = cv2.GaussianBlur(part.astype(np.float32).mean(axis=2), (0, 0), max(0.5 * _LIFT_STEP * frame.frame_px, 0.3))
    where = (px - low - 0.5).astype(np.float32)
    light = cv2.remap(np.log(grey + 10), where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    radius = IRIS_RADIUS / _LIFT_STEP
    half = int(np.ceil(1.75 * radius))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    far = np.hypot(x, y)
    disc = (0.95 * radius - far + 0.5).clip(0, 1)
    beside = (far > 1.12 * radius) & (far < 1.75 * radius) & (np.abs(y) < 0.6 * radius)
    return cv2.filter2D(light, cv2.CV_32F, beside / beside.sum()) - cv2.filter2D(light, cv2.CV_32F, disc / disc.sum())


class _Search:
    """What the photo says about the lids of one eye."""

    def __init__(self, pixels: np.ndarray, points: np.ndarray, unit: float, number: int) -> None:
        places, corners = EYES[number]
        self.strip = Strip(pixels, points, unit, corners, -0.26, 0.34, _STATIONS)
        self.start_upper = self.strip.curve(points[[corners[1], *places[_UPPER], corners[0]]])
        self.start_lower = self.strip.curve(points[[corners[0], *places[_LOWER], corners[1]]])
        self.upper, self.lower = self.start_upper, self.start_lower
        self.clear = 0.0  # how surely white and skin are told apart, in [0, 1]

    def found(self, iris: np.ndarray) -> Eye:
        return Eye(self.strip, self.upper, self.lower, iris)

    def look(self, iris: np.ndarray) -> None:
        """Tell the white from the skin, given where the iris lies, and start at the landmarks."""
        self.upper, self.lower = self.start_upper, self.start_lower
        strip, v, gap = self.strip, self.strip.v[:, None], self.upper - self.lower
        light = np.log(strip.light.mean(axis=2) + 8)
        features = color_features(np.square(strip.light / 255))
        away = np.abs(_STATIONS - strip.local(iris[None, :2])[0, 0]) * strip.width / strip.unit
        inside = (v < self.upper - 0.2 * gap) & (v > self.lower + 0.05 * gap) & (away > IRIS_RADIUS + 0.007)
        if inside.sum() < 20:
            inside = (v < self.upper - 0.1 * gap) & (v > self.lower)
        self.clear = 0.0
        if inside.sum() < 20 or strip.unit < _MIN_UNIT:
            return
        below = (v < self.lower - 0.05) & (v > self.lower - 0.14)
        above = (v > self.upper + 0.05) & (v < self.upper + 0.12)
        red = features[..., 0]
        white = inside & (red <= np.median(red[inside])) & (light >= np.median(light[inside]))
        direction, distance, offset, width = discriminant(features[white], features[below | above])
        if not distance:
            return
        like = ((features @ direction - offset) / width).clip(0, 1)
        like = like / (1 + np.exp(-(light - np.median(light[white]) + _SHADED) / 0.12))  # lashes are no white
        evidence = np.cumsum(np.concatenate([np.zeros((1, len(_STATIONS))), like - _IS_WHITE]), axis=0)
        self.evidence = (STEP * evidence).astype(np.float32)
        self.weight = ((away - 0.07) / 0.03).clip(0, 1) * (np.minimum(_STATIONS, 1 - _STATIONS) > 0.08)
        self.clear = float(np.clip((distance - 1) / 1.5, 0, 1))

    def below(self, curves: np.ndarray) -> np.ndarray:
        """Return the evidence for white below curves [K, S], means over the stations beside the iris, [K]."""
        if not self.clear:
            return np.zeros(len(curves))
        rows = ((curves - self.strip.v[0]) / STEP + 0.5).astype(np.float32)
        columns = np.broadcast_to(np.arange(len(_STATIONS), dtype=np.float32), rows.shape)
        read = cv2.remap(
            self.evidence, np.ascontiguousarray(columns), rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return self.clear * (read @ self.weight) / max(self.weight.sum(), 1)


def _search_lids(eyes: list[_Search], irises: np.ndarray) -> None:
    """Move the lids' curves to where they part white from skin."""
    for eye, iris in zip(eyes, irises, strict=True):
        eye.look(iris)
    for name, sign, prior in (("upper", 1, _UPPER_PRIOR), ("lower", -1, _LOWER_PRIOR)):
        for group, shifts, width in ((eyes, _TOGETHER, prior), *(([one], _ALONE, _ALONE_PRIOR) for one in eyes)):
            shift, tilt = (grid.ravel() for grid in np.meshgrid(shifts, _TILTS))
            moves = (shift[:, None] + tilt[:, None] * (2 * _STATIONS - 1)) * _ARCH  # [K, S]
            seen = sum(sign * eye.below(getattr(eye, name) + moves) for eye in group) / len(group)
            share = 2 if len(group) == 2 else 1
            best = np.argmax(share * _GAIN * seen - 0.5 * (shift / width) ** 2 - 0.5 * (tilt / _TILT_PRIOR) ** 2)
            for eye in group:
                setattr(eye, name, getattr(eye, name) + moves[best])


def _search_irises(pixels: np.ndarray | None, points: np.ndarray, outlines) -> np.ndarray:
    """Centre and radius of both irises, [2, 3] px; without pixels they look straight ahead.

    Args:
        pixels: [H, W, 3] uint8.
        points: [468, 2] px.
        outlines: of what shows between the lids, [K, 2] px each, the outer corner first.
    """
    frame = face_frame(points)
    openings = [frame.apply(np.asarray(one)) for one in outlines]
    middles = []
    for opening, (_, corners) in zip(openings, EYES, strict=True):
        across = frame.apply(points[list(corners)])[:, 0].mean()
        middles.append(np.array([across, (opening[:, 1].min() + opening[:, 1].max()) / 2]))
    shifts = np.zeros((2, 2))
    if pixels is not None:
        scores = [
            _disc_scores(pixels, frame.inverse, one, middle) for one, middle in zip(openings, middles, strict=True)
        ]
        open_eyes = [score for score in scores if score is not None]
        gaze = _best(sum(open_eyes)) if open_eyes else np.zeros(2)  # both look the same way
        dx, dy = np.meshgrid(_AXIS, _AXIS)
        near = (np.abs(dx - gaze[0]) <= _OWN_GAZE[0]) & (np.abs(dy - gaze[1]) <= _OWN_GAZE[1])
        shifts[:] = [gaze if score is None else _best(np.where(near, score, 2 * _NEVER)) for score in scores]
    radius = IRIS_RADIUS * frame.frame_px
    return np.array([[*frame.inverse.apply(one), radius] for one in middles + shifts])


_DISC_STEP, _DISC_HALF, _NEVER = 0.01, 0.26, -9.0
_AXIS = np.arange(-_DISC_HALF, _DISC_HALF + _DISC_STEP / 2, _DISC_STEP)


def _best(score: np.ndarray) -> np.ndarray:
    row, column = np.unravel_index(score.argmax(), score.shape)
    return np.array([_AXIS[column], _AXIS[row]])


def _disc_scores(pixels: np.ndarray, to_photo, outline: np.ndarray, middle: np.ndarray) -> np.ndarray | None:
    """How much darker than the rest of an eye a disc is, around `middle`, [S, S]; None for a closed eye."""
    grid = middle + np.stack(np.meshgrid(_AXIS, _AXIS), axis=-1)  # [S, S, 2]
    px = to_photo.apply(grid)
    low = np.floor(px.reshape(-1, 2).min(axis=0)).astype(int).clip(0, None)
    high = (np.ceil(px.reshape(-1, 2).max(axis=0)).astype(int) + 1).clip(0, None)
    part = pixels[low[1] : high[1], low[0] : high[0]]
    if 0 in part.shape:
        return None
    grey = part.astype(np.float32).mean(axis=2)
    blur = _DISC_STEP * to_photo.scale * 0.7
    if blur > 0.5:
        grey = cv2.GaussianBlur(grey, (0, 0), blur)
    places = (px - low - 0.5).astype(np.float32)
    light = cv2.remap(grey, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    opening = np.zeros(light.shape, np.uint8)
    cv2.fillPoly(opening, [np.round((outline - middle + _DISC_HALF) / _DISC_STEP).astype(np.int32)], 1)
    if opening.sum() < 30:
        return None
    open_light, open_area = light * opening, opening.astype(np.float32)
    reach = int(np.ceil(1.1 * IRIS_RADIUS / _DISC_STEP))
    far = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]) * _DISC_STEP
    # Sums over the disc, and over a slightly larger one whose outside is the white of the eye, at every place at once.
    disc, wider = ((far <= radius).astype(np.float32) for radius in (IRIS_RADIUS, 1.1 * IRIS_RADIUS))
    inside, inside_area, within, within_area = (
        cv2.filter2D(field, cv2.CV_32F, kernel, borderType=cv2.BORDER_CONSTANT)
        for kernel in (disc, wider)
        for field in (open_light, open_area)
    )
    outside, outside_area = open_light.sum() - within, open_area.sum() - within_area
    contrast = outside / outside_area.clip(1) - inside / inside_area.clip(1)
    contrast /= light[opening > 0].std() + 1e-6
    dx, dy = np.meshgrid(_AXIS, _AXIS)
    # Most people look at the camera: far from the middle the contrast has to be better.
    score = contrast - (dx / 0.15) ** 2 - (dy / 0.06) ** 2
    allowed = (inside_area >= 20) & (outside_area >= 10) & (np.abs(dx) <= _GAZE[0]) & (np.abs(dy) <= _GAZE[1])
    return np.where(allowed, score, _NEVER)
