"""Oil on canvas: strokes of a brush laid over one another, broad ones first (after Hertzmann 1998).

A stroke has one colour, follows the forms and ends where the picture becomes another colour. Each layer paints only
what it is fine enough for: a ground of broad strokes, smaller ones where there is something to see, the finest on
faces and their eyes, brows and lips. All lengths are in units of the canvas, so every size of a photo looks the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.looks.drawing.blocks import blur, resize, row_strips, saturate, to_pixels
from gan_space.looks.drawing.canvas import Canvas
from gan_space.looks.drawing.skin import hold_skin
from gan_space.looks.drawing.strokes import find_streaks, turn_towards
from gan_space.photos.strips import in_strips

_HAND = 0.6  # radians; where nothing gives a direction
_STEPS = 2  # of a stroke's path to each side of its middle
_MOST_STROKES, _LEAST_ROOM_PX = 4000, 40  # in one layer; for each stroke, of the smaller picture
_LEAST_STRIDE_PX = 2.1  # strokes that are closer are not told apart
_SOFT_PX = 2.0  # of blur, from which half the size shows as much
_BROAD = 0.05  # units; broader strokes are painted at half the size, which takes a quarter of the pixels
_FIXED = 4  # bits of a pixel in which corners are placed


@dataclass(frozen=True)
class _Layer:
    """Strokes of one width: `width` and `length` in units, `least` detail from which a place gets one."""

    width: float
    length: float
    least: float


_LAYERS = (
    _Layer(0.11, 0.42, -1.0),
    _Layer(0.055, 0.24, 0.16),
    _Layer(0.028, 0.13, 0.33),
    _Layer(0.015, 0.075, 0.6),
)


def oil(c: Canvas) -> np.ndarray:
    """Paint in layers, and light the paint from the upper left."""
    small = c.shrunk
    picture = hold_skin(c, saturate(c.relight(small.x).clamp_(0, 1), 1.25))
    direction = turn_towards(c.calm_flow, _HAND, 0.35)
    field = cv2.merge(list(direction))
    wanted = _detail(c)
    random = np.random.RandomState((1009 * c.seed + 77) % 2**32)
    ground = torch.cat([picture, torch.full_like(c.small_light, 0.5)], dim=1)
    painted = to_pixels(ground)  # the last: how thick it is
    pictures = picture, resize(picture, tuple(-(-side // 2) for side in small.size))
    for layer in _LAYERS:
        size = tuple(-(-side // 2) for side in c.size) if layer.width > _BROAD else c.size
        if painted.shape[:2] != size:
            painted = cv2.resize(painted, size[::-1], interpolation=cv2.INTER_LINEAR)
        _paint(painted, pictures, field, wanted, layer, c, random)
    paint = torch.from_numpy(np.stack(cv2.split(painted)))[None]
    bristles = find_streaks(small.grain(1, 0.0, 1.6), direction, small.unit, 0.1)
    thick = c.blur(paint[:, 3:] / 255 + 0.6 * c.enlarge(bristles), 0.0018)
    step = max(1, round(c.unit / 220))
    relief = torch.roll(thick, (step, step), (2, 3)).neg_().add_(thick).clamp_(-0.6, 0.6)
    if c.faces:  # what makes a face this one's is not left to chance
        drawn, calm = c.enlarge(blur(picture, 0.005, small.unit)), c.enlarge(c.calm)
        for into, colours, light, still in row_strips(drawn, paint[:, :3], relief, calm):
            lit = (colours / 255).mul_(1 + 0.3 * light * (1 - 0.6 * still))
            into.copy_(lit.lerp_(into, 0.55 * still))
    else:
        drawn = (paint[:, :3] / 255).mul_(1 + 0.3 * relief)
    drawn = c.put_eyes(drawn, lambda eye: eye.colours, 0.75)
    return to_pixels(drawn.add_(c.weave(5.0), alpha=0.014))


def _detail(c: Canvas) -> Tensor:
    """How fine strokes are to be, [1, 1, h, w] at `work_size`: 0 anywhere, 1 on eyes, brows and lips."""
    small = c.shrunk
    y = c.small_light
    busy = blur((y - blur(y, 0.03, small.unit)).abs(), 0.02, small.unit)
    wanted = (busy / 0.09).clamp_(max=0.8)
    if c.faces:
        wanted = torch.maximum(wanted, torch.maximum(0.92 * c.calm, 0.95 * c.features))
    return wanted


def _paint(painted: np.ndarray, pictures: Sequence[Tensor], field: np.ndarray, wanted: Tensor, layer: _Layer, c: Canvas,
           random: np.random.RandomState) -> None:  # fmt: skip
    """Lay the strokes of one layer over what is painted, [H, W, 4] uint8, in place; the last picture is smallest."""
    small = c.shrunk
    height, width = small.size
    most = max(1, min(_MOST_STROKES, height * width // _LEAST_ROOM_PX))
    stride, broad = max(0.55 * layer.width * small.unit, _LEAST_STRIDE_PX), layer.width
    if layer.least < 0 and stride < (height * width / most) ** 0.5:  # the ground has to be covered
        stride = (height * width / most) ** 0.5
        broad = stride / (0.55 * small.unit)
    rows, columns = (max(2, round(side / stride)) for side in (height, width))
    places = np.stack(np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5), axis=-1).reshape(-1, 2)
    places = (places + random.uniform(-0.5, 0.5, places.shape)) * (width / columns, height / rows)
    places = places.astype(np.float32)
    chance = random.permutation(len(places))
    due = _read(wanted[0, 0].numpy(), places)
    picked = chance[due[chance] > layer.least]
    if len(picked) > most:
        picked = picked[due[picked] >= np.partition(due[picked], -most)[-most]]
    places, due = places[picked], due[picked, None].clip(0, 1)
    if not len(places):
        return
    uneven = random.uniform(-1, 1, (len(places), 6)).astype(np.float32)
    picture = pictures[-1] if 0.3 * broad * small.unit > _SOFT_PX else pictures[0]
    unit = small.unit * picture.shape[-1] / width
    seen = cv2.merge(list(blur(picture, 0.3 * broad, unit)[0].numpy()))
    colours = _read(seen, places, unit / small.unit)
    path = _follow(places, colours, seen, field, 0.5 * layer.length * small.unit * (1 + 0.35 * uneven[:, :1]))
    outline = _around(path, 0.5 * broad * small.unit * (1.05 + 0.3 * uneven[:, 1]))
    scale = np.float32(painted.shape[1::-1]) / np.float32((width, height))
    corners = np.round((outline * scale - 0.5) * 2**_FIXED).astype(np.int32)
    calm = 1 - 0.7 * due  # the finer, the truer
    colours = colours * (1 + 0.055 * calm * uneven[:, 2:3]) + 0.014 * calm * uneven[:, 3:6]
    thick = 0.5 + 0.4 * uneven[:, 5:6]
    inks = (255 * np.concatenate([colours, thick], axis=1)).clip(0, 255).tolist()
    low, high = corners[..., 1].min(axis=1) >> _FIXED, corners[..., 1].max(axis=1) >> _FIXED

    def lay(rows: slice) -> None:  # each strip gets the strokes that reach into it, in their order
        strip = painted[rows]
        for number in np.flatnonzero((high >= rows.start - 2) & (low <= rows.stop + 1)):
            cv2.fillPoly(strip, [corners[number]], inks[number], cv2.LINE_AA, _FIXED, (0, -rows.start << _FIXED))

    in_strips(lay, len(painted), -(-len(painted) // 2))  # always two: edges cut at a strip differ by a few levels


def _follow(places: np.ndarray, colours: np.ndarray, seen: np.ndarray, field: np.ndarray, reach: np.ndarray):
    """Paths through places along directions [h, w, 2]; [N, 2 * _STEPS + 1, 2]; they stay where their colour ends.

    `seen` may be a smaller picture.
    """
    ways, scale = [], seen.shape[1] / field.shape[1]
    first = _read(field, places)
    for sign in (1.0, -1.0):
        at, heading, way = places, sign * first, []
        going = np.ones((len(places), 1), bool)
        for _ in range(_STEPS):
            ahead = at + heading * (reach / _STEPS)
            alike = np.abs(_read(seen, ahead, scale) - colours) < 0.07
            going &= alike[:, :1] & alike[:, 1:2] & alike[:, 2:]  # a third of the time of all()
            at = np.where(going, ahead, at)
            own = _read(field, at)
            turn = own[:, :1] * heading[:, :1] + own[:, 1:] * heading[:, 1:]
            heading = np.copysign(own, own * turn)
            way.append(at)
        ways.append(way)
    return np.stack([*reversed(ways[1]), places, *ways[0]], axis=1)


def _around(path: np.ndarray, half: np.ndarray) -> np.ndarray:
    """The outline of strokes with rounded ends, [N, K, 2], from their paths and half widths [N]."""
    x, y = (np.gradient(path[..., axis], axis=1) for axis in (0, 1))  # by axis: sums over two numbers take long
    ends = path[:, -1] - path[:, 0]
    still = np.maximum(np.abs(x), np.abs(y)) < 1e-3
    x, y = np.where(still, ends[:, :1], x), np.where(still, ends[:, 1:], y)
    length = np.sqrt(x * x + y * y).clip(1e-6)
    along = np.stack([x / length, y / length], axis=-1)
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1) * half[:, None, None]
    taper = np.interp(np.linspace(-1, 1, path.shape[1]), [-1, -0.6, 0.6, 1], [0.55, 1, 1, 0.55])
    tips = [path[:, end] + sign * along[:, end] * half[:, None] * 0.6 for end, sign in ((0, -1), (-1, 1))]
    across *= np.float32(taper[:, None])
    one, other = path + across, path - across
    return np.concatenate([tips[0][:, None], one, tips[1][:, None], other[:, ::-1]], axis=1)


def _read(plane: np.ndarray, places: np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Values of [h, w] or [h, w, C] at places [N, 2], x and y of its pixels over `scale`; [N] or [N, C]."""
    height, width = plane.shape[:2]
    columns, rows = (places * np.float32(scale)).astype(np.int32).T
    at = rows.clip(0, height - 1) * width + columns.clip(0, width - 1)
    return plane.reshape(height * width, *plane.shape[2:]).take(at, axis=0)  # faster than by two indices
