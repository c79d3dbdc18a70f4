"""Put a pair of glasses on a face: frames drawn at the photo's size, placed by the mesh of the face.

The frame is a curve in front of the eyes, in millimetres' worth of face units (an eye distance is about 63 mm). It is
turned with the head, drawn as a rod or a slab with light from above, and tinted by the photo's own light. It throws
a soft shadow on the skin, its lenses take a little light and give some back, and its arms run to the ears, under hair.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.errors import GlassesError, InputError
from gan_space.faces.landmarks import FACE_OVAL, Landmarks
from gan_space.faces.masks import draw_soft
from gan_space.faces.mesh import check_landmarks, face_frame
from gan_space.faces.monochrome import LUMA, find_tone
from gan_space.faces.regions import find_fringe, find_skin
from gan_space.faces.shape import turn_of
from gan_space.photos.opening import check_photo
from gan_space.portraits.light import find_light, grain_like

MAX_TURN = 1.2  # of `turn_of`; beyond, the nose hides one of the lenses
_EAR_DEPTH = 1.65  # from the bridge of the nose back to the ears
_LENS_DEPTH = 0.2  # from the eyes forward to the lenses
_EARS = ((127, 162), (356, 389))  # where the arms end, left and right: between these two
_TEMPLES = 1.09  # half the width of an average face there
_FINEST_PX = 180  # of the eye distance; in smaller faces more is drawn than twice what the photo has
SHARPNESS_PX = 0.45  # of the finished drawing: a photo's edges are no sharper
LENS_TINT = 0.035  # what lenses take of the light
_ARM_LOOKS, _SHORTEST_ARM = 40, 0.04  # places along an arm where hair is looked for; a shorter stump is not drawn
_ARM_FADES = 0.12  # face units over which an arm goes under hair or behind an ear
_END_PIECE = 0.03  # how far the hinge stands beside the rim
_PAD_AT, _PAD_SIZE = (0.165, 0.15), (0.026, 0.058)  # of a nose pad, which hangs on a wire
_WIRE = 0.35  # of the rim's thickness
_DARKEST, _PALEST = 0.8, 0.1  # of the deepest shade around the eyes, and at most: faded photos have no black
_BEYOND_MESH = 1.0  # of an arm's length, for a head turned by 45 degrees
_SHADE_TAKES = (0.8, 1.0, 1.05)  # of red, green and blue: shaded skin glows red
_UNSEEN = 0.5  # of 255: what changes by less stays equal to the bit
_LIGHT_FROM = (-0.25, -0.68, 0.69)  # above, a little from the left


@dataclass(frozen=True)
class Frame:
    """One kind of glasses; lengths in distances between the eyes.

    Attributes:
        outline: [K, 2] of the right lens around its centre, smooth through all of them.
        centre: x and y of that centre.
        thickness: of the rim; slabs are stronger above and weaker below.
        color: of the rim, sRGB in [0, 1].
        metal: a rod that mirrors, or a slab of acetate.
        bridge: lines between the lenses: y at the rims, y in the middle, and how far from the centre it starts.
        arm_y: height of the hinge.
        flecks: what shines through the colour in places, as in horn.
    """

    outline: np.ndarray
    centre: tuple[float, float]
    thickness: float
    color: tuple[float, float, float]
    metal: bool
    bridge: tuple[tuple[float, float], ...]
    arm_y: float
    flecks: tuple[float, float, float] | None = None


def _superellipse(half_width: float, half_height: float, power: float, tilt: float = 0.0) -> np.ndarray:
    angle = np.arange(48) * (2 * np.pi / 48)
    c, s = np.cos(angle), np.sin(angle)
    x = half_width * np.sign(c) * np.abs(c) ** (2 / power)
    y = half_height * np.sign(s) * np.abs(s) ** (2 / power)
    return np.stack([x, y + tilt * x], axis=1)


def _square() -> np.ndarray:
    """Wider above than below, as most are, and level above."""
    points = _superellipse(0.41, 0.285, 4.6)
    low = (points[:, 1] / 0.285 + 1) / 2  # 0 above, 1 below
    points[:, 0] *= 1 - 0.13 * low
    points[:, 1] -= 0.035 * (points[:, 0] / 0.41) * (1 - low)
    return points


def _aviator() -> np.ndarray:
    """A drop that hangs outwards."""
    points = _superellipse(0.43, 0.36, 2.5)
    low = (points[:, 1] / 0.36 + 1) / 2  # 0 above, 1 below
    points[:, 0] = points[:, 0] * (1 - 0.26 * low**1.5) + 0.035 * low
    points[:, 1] = np.where(points[:, 1] < 0, 0.8 * points[:, 1], points[:, 1])
    return points


def _cat_eye() -> np.ndarray:
    """Its upper edge rises outwards to a corner."""
    points = _superellipse(0.415, 0.265, 2.9)
    x, high = points[:, 0] / 0.415, ((0.265 - points[:, 1]) / 0.53).clip(0, 1)
    out = (x.clip(0) ** 1.6) * high**1.3
    return np.stack([points[:, 0] + 0.055 * out, points[:, 1] - 0.04 * x * high - 0.07 * out], axis=1)


FRAMES = {
    "round": Frame(
        _superellipse(0.365, 0.355, 2.0), (0.53, 0.05), 0.026, (0.74, 0.55, 0.29), True, ((-0.1, -0.2),), -0.08
    ),
    "square": Frame(_square(), (0.545, 0.03), 0.05, (0.045, 0.042, 0.045), False, ((-0.12, -0.165),), -0.175),
    "aviator": Frame(
        _aviator(), (0.545, 0.06), 0.022, (0.55, 0.56, 0.58), True, ((-0.06, -0.09), (-0.23, -0.235)), -0.17
    ),
    "cat-eye": Frame(
        _cat_eye(), (0.54, 0.03), 0.048, (0.15, 0.06, 0.035), False, ((-0.09, -0.135),), -0.26, (0.5, 0.25, 0.1)
    ),
}


class Surroundings(NamedTuple):
    """What glasses are drawn into, whatever their kind; [h, w] of the box around them.

    Attributes:
        light: [3] RGB, strength and colour.
        skin, fringe, face: where skin is, where hair hangs over it, and where a shadow can fall, 0 to 1.
        grain: noise like the photo's.
        black: [3] RGB, the deepest shade.
        tone: [3] RGB, the hue of all of a photo in one tone, 1 for its brightest channel; None in colour.
    """

    light: np.ndarray
    skin: np.ndarray
    fringe: np.ndarray
    face: np.ndarray
    grain: np.ndarray
    black: np.ndarray
    tone: np.ndarray | None


def look_around(photo: Tensor, marks: Landmarks) -> Surroundings:
    """Find what `put_on_glasses` needs to know of a photo, [3, H, W] uint8, with any kind of frame."""
    head = _Head(check_landmarks(marks.points))
    return _look_around(check_photo(photo), head, head.box(tuple(photo.shape[1:])))


def _look_around(photo: Tensor, head: _Head, box: tuple[int, int, int, int]) -> Surroundings:
    left, top, right, bottom = box
    part = np.ascontiguousarray(photo[:, top:bottom, left:right].permute(1, 2, 0).cpu().numpy())
    skin = cv2.GaussianBlur(find_skin(head.points, photo, box, any_light=True), (0, 0), 0.03 * head.unit)
    face = draw_soft([head.points[list(FACE_OVAL)]], tuple(photo.shape[1:]), 0.1 * head.unit, box).values
    step, tone = max(1, part.shape[1] // 200), find_tone(photo, head.points)
    black = np.percentile(part[::step, ::step].reshape(-1, 3), 0.3, axis=0) / 255 if part.size else np.zeros(3)
    return Surroundings(
        find_light(photo, head.points),
        skin,
        find_fringe(head.points, photo, box),
        face,
        grain_like(part),
        np.float32(_DARKEST * black).clip(0, _PALEST),
        None if tone is None else np.float32(tone / tone.max()),
    )


def put_on_glasses(photo: Tensor, marks: Landmarks, name: str, around: Surroundings | None = None) -> Tensor:
    """Draw glasses onto one face.

    Args:
        photo: [3, H, W] uint8.
        marks: landmarks of the face.
        name: one of `FRAMES`.
        around: what `look_around` has found in this photo, where it is known already.

    Returns:
        A new photo of the same size, equal to the bit but for the glasses and their shadow.

    Raises:
        InputError: an unknown name.
        GlassesError: a head that is turned too far.
    """
    check_photo(photo)
    if name not in FRAMES:
        raise InputError(f"glasses are one of {', '.join(FRAMES)}, got {name!r}")
    points = check_landmarks(marks.points)
    frame = face_frame(points)
    turn = float(turn_of(frame.apply(points)))
    if abs(turn) > MAX_TURN:
        raise GlassesError(f"glasses are for heads turned by at most {MAX_TURN}, this one is turned by {turn:+.2f}")
    head = _Head(points)
    box = head.box(tuple(photo.shape[1:]))
    if box[0] >= box[2] or box[1] >= box[3]:
        return photo.clone()
    return _Drawing(photo, head, box, FRAMES[name], around or _look_around(photo, head, box)).finished()


class _Head:
    """How a head stands, and where on the photo a place beside it is."""

    def __init__(self, points: np.ndarray):
        self.points = points
        self.frame = face_frame(points)
        self.unit = self.frame.frame_px
        self.places = self.frame.apply(points)
        self.tangent = float(turn_of(self.places)) / _EAR_DEPTH
        self.sine = self.tangent / np.hypot(1, self.tangent)
        self.ears = [0.65 * self.places[low] + 0.35 * self.places[high] for low, high in _EARS]
        width = (self.ears[1][0] - self.ears[0][0]) / 2
        self.size = 1.03 * np.clip(width / _TEMPLES, 0.9, 1.12)  # people buy glasses that fit

    def box(self, size: tuple[int, int]) -> tuple[int, int, int, int]:
        """Return left, top, right and bottom of what any glasses and their shadow may touch; `size` is [H, W]."""
        height, width = size
        corners = self.project([[x, y, 0] for x in (-1.5, 1.5) for y in (-0.55, 0.7)])
        low, high = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int)
        left, top = (low - 2).clip(0, (width, height))
        right, bottom = (high + 2).clip(0, (width, height))
        return int(left), int(top), int(right), int(bottom)

    def project(self, places) -> np.ndarray:
        """Project [K, 3] of a frontal head in face units, z from the lenses towards the camera -> photo pixels."""
        x, y, z = (np.asarray(places, np.float64).reshape(-1, 3) * (self.size, self.size, 1)).T
        z = z - 0.05 * x * x  # frames follow the face
        # The eye distance that everything is measured in is itself foreshortened.
        across = x + (z + _LENS_DEPTH) * self.tangent
        near = 1 + 0.1 * (z - x * self.sine)
        return self.frame.inverse.apply(np.stack([across * near, y * near * np.hypot(1, self.tangent)], axis=1))


class _Drawing:
    """One pair of glasses on one face; everything inside `box`, at `fine` times the photo's size."""

    def __init__(self, photo: Tensor, head: _Head, box: tuple[int, int, int, int], kind: Frame, around: Surroundings):
        self.photo, self.head, self.box, self.kind, self.around = photo, head, box, kind, around
        self.frame, self.unit, self.light = head.frame, head.unit, around.light
        self.fine = int(np.clip(round(2 * _FINEST_PX / self.unit), 2, 4))
        self.colors = np.float32([kind.color, kind.flecks or kind.color])
        if around.tone is not None:  # the light has the tone: colours would add another
            self.colors = np.repeat(self.colors @ np.float32(LUMA)[:, None], 3, axis=1)
        left, top, right, bottom = box
        self.shape = ((bottom - top) * self.fine, (right - left) * self.fine)

    def fine_places(self, places) -> np.ndarray:
        return (self.head.project(places) - self.box[:2]) * self.fine

    def lens(self, side: int) -> np.ndarray:
        outline = self.kind.outline * (side, 1) + np.array(self.kind.centre) * (side, 1)
        return self.fine_places(np.c_[outline, np.zeros(len(outline))])

    def filled(self, polygons) -> np.ndarray:
        canvas = np.zeros(self.shape, np.uint8)
        for polygon in polygons:
            cv2.fillPoly(canvas, [np.round((polygon - 0.5) * 16).astype(np.int32)], 255, cv2.LINE_8, shift=4)
        return canvas

    def lines(self) -> list[np.ndarray]:
        """Return the middle lines of bridge and end pieces, [K, 2] each."""
        found = []
        for at_rim, middle in self.kind.bridge:
            start = self.edge_at(at_rim).min() - 0.3 * self.kind.thickness
            x = np.linspace(-start, start, 15)
            y = middle + (at_rim - middle) * (x / start) ** 2
            found.append(self.fine_places(np.stack([x, y, 0.08 * (1 - (x / start) ** 2)], axis=1)))
        outer, y = self.edge_at(self.kind.arm_y).max(), self.kind.arm_y
        for side in (-1, 1):
            found.append(self.fine_places([[side * outer, y, 0], [side * (outer + _END_PIECE), y, -0.06]]))
        return found

    def wires(self) -> list[np.ndarray]:
        """Return the middle lines of what holds the nose pads of metal frames, [K, 2] each."""
        if not self.kind.metal:
            return []
        (x, y), inner = _PAD_AT, self.edge_at(0.02).min()
        bend = ((inner, 0.02, 0), (0.6 * inner + 0.4 * x - 0.01, 0.04, -0.06), (x, y - 0.01, -0.1))
        return [self.fine_places(np.array(bend) * (side, 1, 1)) for side in (-1, 1)]

    def pads(self) -> list[np.ndarray]:
        """Return the outlines of the nose pads of metal frames, [K, 2] each."""
        if not self.kind.metal:
            return []
        angle = np.arange(24) * (2 * np.pi / 24)
        x, y = _PAD_SIZE[0] * np.cos(angle), _PAD_SIZE[1] * np.sin(angle)
        outline = np.stack([_PAD_AT[0] + x + 0.25 * y, _PAD_AT[1] + y, np.full(24, -0.1)], axis=1)
        return [self.fine_places(outline * (side, 1, 1)) for side in (-1, 1)]

    def edge_at(self, y: float) -> np.ndarray:
        """Return x of the right lens's outline where it is nearest to a height."""
        edge = self.kind.outline + self.kind.centre
        return edge[np.abs(edge[:, 1] - y).argsort()[:6], 0]

    def arm(self, side: int, skin: np.ndarray) -> np.ndarray | None:
        """Return the outline of an arm, [K, 2], as far as hair leaves it; None where face or hair hide it.

        Args:
            skin: [h, w] of the box, 0 where hair lies.
        """
        outer = self.edge_at(self.kind.arm_y).max() + _END_PIECE
        hinge = self.frame.apply(self.head.project([side * outer, self.kind.arm_y, -0.06]))[0]
        end = self.head.ears[(side + 1) // 2]
        if side * (end[0] - hinge[0]) < 0.03:
            return None
        # On a turned head the mesh ends before the ear: the arm goes on as long as there is skin.
        end = end + _BEYOND_MESH * min(abs(self.head.tangent), 0.5) * (end - hinge)
        along = hinge + np.linspace(0, 1, _ARM_LOOKS)[:, None] * (end - hinge)
        places = (self.frame.inverse.apply(along) - self.box[:2] - 0.5).astype(np.float32)
        seen = cv2.remap(skin, places[:, None], None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE).ravel()
        hidden = np.flatnonzero(seen < 0.5)  # from the first strand on: pieces of an arm hang in the air
        end = along[min(hidden[0] + 1, _ARM_LOOKS - 1)] if len(hidden) else end
        if side * (end[0] - hinge[0]) < _SHORTEST_ARM:
            return None
        half = max(self.kind.thickness, 0.026) * np.array([0.5, 0.42])
        upper, lower = (
            [[*hinge[:1], hinge[1] + sign * half[0]], [end[0], end[1] + sign * half[1]]] for sign in (-1, 1)
        )
        return (self.frame.inverse.apply([*upper, *lower[::-1]]) - self.box[:2]) * self.fine

    def finished(self) -> Tensor:
        left, top, right, bottom = self.box
        part = np.ascontiguousarray(self.photo[:, top:bottom, left:right].permute(1, 2, 0).cpu().numpy())
        lenses = self.filled([self.lens(-1), self.lens(1)])
        away, half = self._from_rim(lenses)
        rim = np.clip(half - away + 0.5, 0, 1)
        ink = self._material(away / half, rim)  # [h, w, 3], times how much of it there is
        alpha = rim.copy()
        arms = [arm for side in (-1, 1) if (arm := self.arm(side, self.around.skin)) is not None]
        for arm in arms:  # thin: only around each of them
            here, drawn = self._close(arm)
            if drawn.size:
                depth = cv2.distanceTransform((drawn > 0).astype(np.uint8), cv2.DIST_L2, 5)
                behind = cv2.GaussianBlur(drawn, (0, 0), 0.4 * self.fine) * (1 - rim[here]) * self._fading(arm, here)
                shape = (1 - (depth - 0.5) / max(depth.max() - 0.5, 1)).clip(0, 1)
                ink[here] += 0.85 * self._material(shape, behind, here)
                alpha[here] += behind
        for pad in self.pads():
            here, drawn = self._close(pad)
            if drawn.size:
                clear = cv2.GaussianBlur(drawn, (0, 0), 0.5 * self.fine) * (1 - alpha[here])
                edge = clear * (1 - cv2.erode(drawn, np.ones((2 * self.fine + 1,) * 2)))
                ink[here] += (0.22 * clear + 0.1 * edge)[..., None] * self.light
                alpha[here] += 0.28 * clear + 0.2 * edge
        ink += alpha[..., None] * self.around.black * (1 - ink.clip(0, 1))
        inside = lenses.astype(np.float32) / 255 * (1 - rim)
        size = part.shape[1::-1]
        ink, alpha, inside = (
            cv2.GaussianBlur(cv2.resize(layer, size, interpolation=cv2.INTER_AREA), (0, 0), SHARPNESS_PX)
            for layer in (ink, alpha, inside)
        )
        over = 1 - self.around.fringe
        ink, alpha, inside = ink * over[..., None], alpha * over, inside * over
        taken = self._shadow(alpha) * self.around.face
        added = self._glare(inside) * inside * (1 - alpha) + alpha * self.around.grain
        kept = (1 - LENS_TINT * inside) * (1 - alpha)
        tone = self.around.tone
        takes, white = (_SHADE_TAKES, (1, 1, 1)) if tone is None else ((1, 1, 1), tone)
        planes = [
            255 * (plane * (kept * (1 - takes[channel] * taken)) + ink[..., channel] + white[channel] * added)
            for channel, plane in enumerate((part.astype(np.float32) / 255).transpose(2, 0, 1))
        ]
        result = cv2.merge(planes)
        final = np.where(np.abs(result - part) > _UNSEEN, np.round(result).clip(0, 255), part).astype(np.uint8)
        photo = self.photo.clone()
        photo[:, top:bottom, left:right] = torch.from_numpy(final).permute(2, 0, 1)
        return photo

    def _close(self, outline: np.ndarray) -> tuple[tuple[slice, slice], np.ndarray]:
        """Rows and columns around an outline, and how much of each place there it fills."""
        low = (np.floor(outline.min(axis=0)).astype(int) - 4 * self.fine).clip(0)
        high = np.ceil(outline.max(axis=0)).astype(int) + 4 * self.fine
        here = (slice(low[1], max(high[1], low[1])), slice(low[0], max(high[0], low[0])))
        return here, self.filled([outline])[here].astype(np.float32) / 255

    def _fading(self, arm: np.ndarray, here: tuple[slice, slice]) -> np.ndarray:
        """[h, w] 1 from the hinge on, down to 0 at the end of an arm."""
        start, end = (arm[0] + arm[3]) / 2, (arm[1] + arm[2]) / 2
        along = (end - start) / max(np.hypot(*(end - start)), 1e-6)
        rows, columns = (np.arange(*one.indices(size)) for one, size in zip(here, self.shape, strict=True))
        left = along @ end - along[0] * columns - along[1] * rows[:, None]
        over = min(_ARM_FADES * self.unit * self.fine, 0.5 * np.hypot(*(end - start)))
        return (left / max(over, 1.0)).clip(0, 1).astype(np.float32)

    def _from_rim(self, lenses: np.ndarray) -> tuple[np.ndarray, np.ndarray | float]:
        """How far a place is from the middle of the rim or bridge, [h, w], and the half thickness; fine pixels."""
        pixel = self.unit * self.fine
        depth = cv2.distanceTransform(lenses, cv2.DIST_L2, 5) - cv2.distanceTransform(255 - lenses, cv2.DIST_L2, 5)
        away = np.abs(depth + 0.3 * self.kind.thickness * pixel)  # the rim lies around the lens
        half = max(self.kind.thickness / 2 * pixel, 0.6 * self.fine)
        bridge = np.full(self.shape, 255, np.uint8)
        for line in self.lines():
            cv2.polylines(bridge, [np.round((line - 0.5) * 16).astype(np.int32)], False, 0, 1, cv2.LINE_8, shift=4)
        away = _joined(away, cv2.distanceTransform(bridge, cv2.DIST_L2, 5), half)
        if wires := self.wires():
            thin = np.full(self.shape, 255, np.uint8)
            for line in wires:
                cv2.polylines(thin, [np.round((line - 0.5) * 16).astype(np.int32)], False, 0, 1, cv2.LINE_8, shift=4)
            away = np.minimum(away, cv2.distanceTransform(thin, cv2.DIST_L2, 5) + (1 - _WIRE) * half)
        if not self.kind.metal:  # slabs are stronger above
            half = half * (1.05 - 1.1 * self._places[1].clip(-0.35, 0.3))
        return away, half

    @cached_property
    def _places(self) -> tuple[np.ndarray, np.ndarray]:
        """x and y of every fine place, from between the lenses."""
        return self._face_places(self.fine, (0.0, self.kind.centre[1]))

    def _face_places(self, fine: int, origin: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
        """x and y of every place in the box, in face units from `origin`, [h, w] float32 each."""
        rows, columns = self.shape[0] // self.fine * fine, self.shape[1] // self.fine * fine
        start, right, down = self.frame.apply(np.add(self.box[:2], [[0, 0], [1, 0], [0, 1]])) - origin
        right, down = (right - start) / fine, (down - start) / fine
        x, y = (
            (start[axis] + right[axis] * np.arange(columns) + down[axis] * np.arange(rows)[:, None]).astype(np.float32)
            for axis in (0, 1)
        )
        return x, y

    def _material(self, t: np.ndarray, rim: np.ndarray, here: tuple[slice, slice] = np.s_[:, :]) -> np.ndarray:
        """[h, w, 3] colours of a rim times its coverage; t is 0 in the middle of its profile, 1 at its edge.

        Args:
            here: rows and columns of the fine box that both cover.
        """
        soft = cv2.copyMakeBorder(cv2.GaussianBlur(t, (0, 0), 0.8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
        y, x = np.nonzero(rim)
        gx, gy = soft[y + 1, x + 2] - soft[y + 1, x], soft[y + 2, x + 1] - soft[y, x + 1]
        length = np.maximum(np.hypot(gx, gy), 1e-6)
        lean = np.clip(t[y, x], 0, 1)
        if not self.kind.metal:
            lean = np.clip((lean - 0.3) / 0.7, 0, 1) ** 1.3  # flat, with rounded edges
        facing = np.sqrt(1 - lean * lean)
        lit = (lean * (_LIGHT_FROM[0] * gx + _LIGHT_FROM[1] * gy) / length + _LIGHT_FROM[2] * facing).clip(0, 1)
        across, down = (places[here][y, x] for places in self._places)
        across = np.abs(across)
        # A curved front shows a lamp in some places only, and more of the sky the higher they are.
        lamp = 0.3 + np.exp(-(((across - 0.36) / 0.17) ** 2)) + 0.7 * np.exp(-(((across - 0.86) / 0.1) ** 2))
        if self.kind.metal:
            shade, mirror = 0.25 + 0.7 * lit + 0.6 * lit**10, 0.5 * lamp * lit**14
        else:
            shade, mirror = 0.7 + 0.5 * lit, 0.34 * lamp * lit**9 + 0.05 * facing * (0.45 - down).clip(0.15, 0.8)
        color = np.broadcast_to(self.colors[0], (len(y), 3))
        if self.kind.flecks is not None:
            waves = np.sin(13 * across + 3) * np.sin(17 * down + 1) + 0.6 * np.sin(29 * across - 23 * down + 2)
            through = np.clip(0.5 * waves + 0.12, 0, 0.75)[:, None]
            color = color + through * (self.colors[1] - color)
        ink = np.zeros((*rim.shape, 3), np.float32)
        ink[y, x] = (shade[:, None] * color + mirror[:, None]) * self.light * rim[y, x, None]
        return ink

    def _shadow(self, alpha: np.ndarray) -> np.ndarray:
        """What the rim keeps from the skin below it, [h, w]."""
        down = self.frame.inverse.apply([0.0, 0.05]) - self.frame.inverse.apply([0.0, 0.0])
        move = np.float32([[1, 0, down[0]], [0, 1, down[1]]])
        fallen = cv2.warpAffine(alpha, move, alpha.shape[::-1])
        soft = cv2.GaussianBlur(fallen, (0, 0), max(0.035 * self.unit, 0.5))
        close = cv2.GaussianBlur(alpha, (0, 0), max(0.012 * self.unit, 0.5))
        return (0.48 * soft + 0.08 * close).clip(0, 0.5)

    def _glare(self, inside: np.ndarray) -> np.ndarray:
        """A faint band of light across each lens, and sky in its upper corner, [h, w]."""
        x, y = self._face_places(1, (0.0, self.kind.centre[1]))
        x = x - np.sign(x) * self.kind.centre[0]
        along = 0.55 * x + y
        wide, narrow = (np.clip(1 - np.abs(along + at) / half, 0, 1) for at, half in ((0.17, 0.11), (0.02, 0.05)))
        sky = np.clip((-0.08 - y - 0.35 * x) / 0.25, 0, 1)
        return self.light.max() * (0.07 * wide + 0.04 * narrow + 0.08 * sky)


def _joined(a: np.ndarray, b: np.ndarray, radius: float) -> np.ndarray:
    """The smaller of two distances, rounded where two rods meet."""
    close = np.clip(1 - np.abs(a - b) / radius, 0, 1)
    return np.minimum(a, b) - 0.25 * radius * close * close
