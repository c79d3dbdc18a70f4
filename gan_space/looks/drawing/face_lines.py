"""A pen's lines where a face has them: jaw, nose, lips, lids and brows, known from its landmarks.

Edges alone lose a jaw against a neck and a nose in even light. Landmarks say where such a line has to be, the photo
where it is exactly and how strong; where the photo shows none, a thin line is left, as a hand would draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np

from gan_space.faces.landmarks import JAW, LEFT_EYE, NOSE_TIP, Landmarks
from gan_space.faces.mirror import MIRROR
from gan_space.images import smooth_step
from gan_space.looks.drawing.blocks import blur
from gan_space.looks.drawing.canvas import Canvas

_STATIONS = 33  # of a line
_SHIFTS = 17  # places across it, of which one is taken
_STIFFNESS = 0.35  # of a line: cost of the square of one place's step between stations
_PRIOR = 0.6  # shares of the reach by which the photo moves a line easily
FINE, BROAD = 0.007, 0.015  # units, half the width of what counts as a line in the photo; of a jaw or a brow
_CONTRAST = (0.003, 0.028)  # in evened light: no line in the photo, and a clear one
_INSIDE = 0.08  # units from the jaw to where skin is asked for
_OUTSIDE = 0.1  # units to the other side
_AS_LIGHT, _AS_HUED = (0.4, 0.6), (0.05, 0.1)  # shares of the cheeks' light, and distance of hues, that tell hair
_TURNED = (0.1, 0.22)  # `Landmarks.turn` from which the far wing of a nose is hidden, and surely
_BEARDED = (0.03, 0.25)  # of a beard, on the jaw, from where on its line fades, and is gone: hair hangs over it
_AWAY = (0.03, 0.1)  # the same by how far along the jaw, of the far half of it
_CHEEKS = ((50, 101, 205), (280, 330, 425))


@dataclass(frozen=True)
class _Line:
    """One line of a face.

    Attributes:
        places: landmarks that it runs through.
        width: in units, where it is full.
        least: share of the width where the photo shows no line.
        reach: units that it may be moved.
        ends: share of its length over which it tapers, at both ends.
        other: landmarks of a second curve, if the line runs in the middle of two.
    """

    places: tuple[int, ...]
    width: float
    least: float
    reach: float = 0.03
    ends: tuple[float, float] = (0.3, 0.3)
    other: tuple[int, ...] = ()

    def mirrored(self) -> _Line:
        """Return the same line on the other side of the face."""
        places, other = (tuple(MIRROR[place] for place in part) for part in (self.places, self.other))
        return replace(self, places=places, other=other)


_LID = (33, *LEFT_EYE[:7:-1])
_MIDDLE = {
    "jaw": _Line(JAW, 0.018, 0.5, 0.09, (0.2, 0.2)),
    "upper lip": _Line((61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291), 0.008, 0.25, 0.03, (0.4, 0.4)),
    "seam": _Line((78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308), 0.013, 0.6, 0.035),
    "lower seam": _Line((78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308), 0.01, 0.4, 0.035),
    "lower lip": _Line((91, 181, 84, 17, 314, 405, 321), 0.011, 0.45, 0.035, (0.45, 0.45)),
    "nose base": _Line((20, 94, 250), 0.009, 0.3),
}
_SIDE = {
    "wing": _Line((49, 102, 64, 98), 0.011, 0.5, 0.03, (0.5, 0.3)),
    "nostril": _Line((240, 60, 20), 0.016, 0.45, 0.045, (0.3, 0.4)),
    "bridge": _Line((122, 196, 3, 51), 0.011, 0.0, 0.05, (0.4, 0.5)),
    "lid": _Line(_LID, 0.015, 0.55, 0.03, (0.25, 0.4)),
    "lower lid": _Line(LEFT_EYE[:9], 0.006, 0.3, 0.025, (0.3, 0.7)),
    "crease": _Line((247, 30, 29, 27, 28, 56, 190), 0.008, 0.0, 0.03, (0.35, 0.45)),
    "brow": _Line((70, 63, 105, 66, 107), 0.026, 0.2, 0.04, (0.7, 0.25), (46, 53, 52, 65, 55)),
}
_NAMES = [*_MIDDLE, *(f"{side} {name}" for name in _SIDE for side in ("left", "right"))]
_BROAD_LINES = ("jaw", "left brow", "right brow")
_LINES = [*_MIDDLE.values(), *(one for line in _SIDE.values() for one in (line, line.mirrored()))]


def draw_face_lines(c: Canvas) -> np.ndarray:
    """Draw the lines of all faces, 1 on a line and 0 off, [h, w] float32; empty without faces."""
    ink = np.zeros(c.size, np.uint8)
    if c.faces:
        small, unit_px = c.shrunk, c.work_unit
        dark = [c.lines(sigma)[0, 0].numpy() for sigma in (FINE, BROAD)]
        colours = np.ascontiguousarray(blur(small.x, 0.015, unit_px)[0].permute(1, 2, 0).numpy())
        beards = c.beard_room[0, 0].numpy() if c.is_bearded else None
        scale = c.size[1] / small.size[1]
        for face, unit in zip(small.faces, small.units, strict=True):
            places, widths = _find(face, unit, dark, colours, beards)
            for line, width in zip(places, widths, strict=True):
                _ink(ink, line * scale, width * scale)
    return ink.astype(np.float32) / 255


def _find(
    face: Landmarks, unit: float, dark: Sequence[np.ndarray], colours: np.ndarray, beards: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Find the lines of one face and how wide they are along them: [L, S, 2] px and [L, S] px of the small picture."""
    curves = _curves() @ face.points  # [L, S, 2]
    along = np.gradient(curves, axis=1)
    along /= np.maximum(np.linalg.norm(along, axis=2, keepdims=True), 1e-6)
    across = np.stack([-along[..., 1], along[..., 0]], axis=2)
    reach = np.array([line.reach for line in _LINES])[:, None, None] * unit
    shifts = np.linspace(-1, 1, _SHIFTS)
    places = curves[:, :, None] + (shifts * reach)[..., None] * across[:, :, None]  # [L, S, K, 2]
    found = _sample(dark[0], places)
    broad = [_NAMES.index(name) for name in _BROAD_LINES]
    found[broad] = _sample(dark[1], places[broad])
    shift, contrast = _smoothest(found / _CONTRAST[1], shifts)
    curves = curves + cv2.blur(shift.astype(np.float32), (3, 1))[..., None] * reach * across
    seen = smooth_step(contrast * _CONTRAST[1], *_CONTRAST)
    seen = cv2.GaussianBlur(seen.astype(np.float32), (9, 1), 2.0)
    left, right = (seen[_NAMES.index(f"{side} bridge")] for side in ("left", "right"))
    clear = np.array([left.mean(), right.mean()])  # of a nose one side is drawn, the darker one
    left *= smooth_step(clear[0], 0.1, 0.35) * smooth_step(clear[0] - clear[1], -0.05, 0.1)
    right *= smooth_step(clear[1], 0.1, 0.35) * smooth_step(clear[1] - clear[0], -0.05, 0.1)
    least = np.array([line.least for line in _LINES])[:, None] * np.ones(_STATIONS)
    least[_NAMES.index("jaw")] *= np.sin(np.linspace(0, np.pi, _STATIONS)) ** 2  # cheeks end at hair, or at an ear
    # Where a beard hangs, or hair lies, below a jaw, the edge of what is dark is all that is seen of it.
    least[_NAMES.index("jaw")] *= _beside_jaw(face, unit, curves[_NAMES.index("jaw")], colours, -_OUTSIDE)[0]
    share = (least + (1 - least) * seen) * _tapers() * _shares(face, unit, curves, colours, beards)
    widths = np.array([line.width for line in _LINES])[:, None] * unit * share
    return curves, widths


@lru_cache(maxsize=1)
def _curves() -> np.ndarray:
    """What each station of each line takes of each landmark, [L, S, 468]: splines through them, even in length."""
    weights = np.zeros((len(_LINES), _STATIONS, len(MIRROR)))
    for row, line in zip(weights, _LINES, strict=True):
        curves = [part for part in (line.places, line.other) if part]
        for places in curves:
            at = np.linspace(0, len(places) - 1, _STATIONS)
            before = np.minimum(at.astype(int), len(places) - 2)
            t = at - before
            spline = (
                (-1, (-t + 2 * t**2 - t**3) / 2),
                (0, (2 - 5 * t**2 + 3 * t**3) / 2),
                (1, (t + 4 * t**2 - 3 * t**3) / 2),
                (2, (t**3 - t**2) / 2),
            )  # Catmull and Rom
            for step, weight in spline:
                index = np.clip(before + step, 0, len(places) - 1)
                np.add.at(row, (np.arange(_STATIONS), np.array(places)[index]), weight / len(curves))
    return weights


@lru_cache(maxsize=1)
def _tapers() -> np.ndarray:
    """How thick each line is along its length, [L, S] in [0, 1]."""
    at = np.linspace(0, 1, _STATIONS)
    return np.stack(
        [np.sqrt(np.minimum(1, at / line.ends[0]) * np.minimum(1, (1 - at) / line.ends[1])) for line in _LINES]
    )


def _shares(
    face: Landmarks, unit: float, curves: np.ndarray, colours: np.ndarray, beards: np.ndarray | None
) -> np.ndarray:
    """How much of each line may be seen, [L, S]: not jaws under hair or beards, far wings, covered eyes and mouths."""
    shares = np.ones(curves.shape[:2])
    jaw = curves[_NAMES.index("jaw")]
    bare = np.prod(_beside_jaw(face, unit, jaw, colours, _INSIDE), axis=0)
    if beards is not None:
        bare *= 1 - smooth_step(_sample(beards, jaw), *_BEARDED)
    shares[_NAMES.index("jaw")] = cv2.GaussianBlur(bare.astype(np.float32)[None], (7, 1), 1.5)[0]
    # The jaw runs from the right ear to the left one; where a head turns away, the mesh lies inside of its edge.
    away = np.linspace(1, -1, _STATIONS) * face.turn
    shares[_NAMES.index("jaw")] *= 1 - smooth_step(away, *_AWAY)
    left, right, mouth = (1 - float(covered > 0.5) for covered in face.covered)
    for number, name in enumerate(_NAMES):
        if name.endswith(("wing", "nostril")):
            far = -face.turn if name.startswith("left") else face.turn
            shares[number] *= 1 - smooth_step(np.asarray(far), *_TURNED)
        elif name.endswith(("lip", "seam")):
            shares[number] *= mouth
        elif name.startswith(("left", "right")) and not name.endswith("bridge"):
            shares[number] *= left if name.startswith("left") else right
    return shares


def _beside_jaw(
    face: Landmarks, unit: float, jaw: np.ndarray, colours: np.ndarray, inside: float
) -> tuple[np.ndarray, np.ndarray]:
    """As how light and as how hued as the cheeks it is so many units inside of a jaw [S, 2]; [S] in [0, 1] each."""
    to_middle = face.points[NOSE_TIP] - jaw
    here = _sample(colours, jaw + to_middle / np.linalg.norm(to_middle, axis=1, keepdims=True) * (inside * unit))
    cheeks = [np.median(_sample(colours, face.points[list(side)]), axis=0) for side in _CHEEKS]
    right = np.linspace(1, 0, _STATIONS)[:, None]
    cheek = cheeks[0] * (1 - right) + cheeks[1] * right
    light = here.mean(axis=1) / np.maximum(cheek.mean(axis=1), 0.02)
    hues = [part / np.maximum(part.sum(axis=1, keepdims=True), 0.05) for part in (here, cheek)]
    return smooth_step(light, *_AS_LIGHT), 1 - smooth_step(np.linalg.norm(hues[0] - hues[1], axis=1), *_AS_HUED)


def _smoothest(score: np.ndarray, shifts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the calm paths of the best score: shifts [L, S] out of [K], and the scores there; `score` is [L, S, K]."""
    value = score.clip(-0.5, 1.5) - 0.5 * (shifts / _PRIOR) ** 2
    steps = _STIFFNESS * (np.arange(len(shifts))[:, None] - np.arange(len(shifts))) ** 2  # from row to column
    best, back = value[:, 0], []
    for station in range(1, value.shape[1]):
        total = best[:, :, None] - steps
        back.append(total.argmax(axis=1))
        best = total.max(axis=1) + value[:, station]
    path = [best.argmax(axis=1)]
    rows = np.arange(len(score))
    for step in reversed(back):
        path.append(step[rows, path[-1]])
    path = np.stack(path[::-1], axis=1)  # [L, S]
    return shifts[path], np.take_along_axis(score, path[..., None], axis=2)[..., 0]


def _ink(ink: np.ndarray, line: np.ndarray, width: np.ndarray) -> None:
    """Draw a line [S, 2] px of changing width [S] px into [h, w] uint8."""
    along = np.gradient(line, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-6)
    aside = np.stack([-along[:, 1], along[:, 0]], axis=1) * (width / 2)[:, None]
    # Pieces, since a line goes out where nothing is seen; thinner than a pixel is paler, as OpenCV's edges are.
    for first in range(len(line) - 1):
        if width[first : first + 2].max() < 0.3:
            continue
        pair = slice(first, first + 2)
        quad = np.concatenate([line[pair] + aside[pair], (line[pair] - aside[pair])[::-1]])
        cv2.fillConvexPoly(ink, np.round((quad - 0.5) * 16).astype(np.int32), 255, lineType=cv2.LINE_AA, shift=4)


def _sample(plane: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Read [h, w] or [h, w, C] at places [..., 2] px."""
    flat = (places.reshape(-1, 1, 2) - 0.5).astype(np.float32)
    found = cv2.remap(plane, flat, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return found.reshape(*places.shape[:-1], *plane.shape[2:])
