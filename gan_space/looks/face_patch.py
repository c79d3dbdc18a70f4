"""The part of a photo around one face, in linear light, while make-up is put on it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from copy import copy
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import torch

from gan_space.faces.landmarks import FACE_OVAL, LEFT_EYE, LIPS_OUTER, RIGHT_EYE
from gan_space.faces.masks import draw_soft, smooth_outline
from gan_space.faces.mesh import face_frame
from gan_space.faces.pigment import Light, luminance, to_linear, to_srgb
from gan_space.faces.regions import find_fringe
from gan_space.looks.side_hair import find_side_hair

Box = tuple[int, int, int, int]  # left, top, right, bottom in photo pixels

ROOM = 0.35  # face units around the mesh: wings and brows reach out of it
LEAST_SHARE = 1 / 400  # of a colour; less changes no code
# Where hardly anybody has hair, beard or glasses: below the eyes, on the bridge of the nose, between the brows.
_BARE = (9, 8, 6, 197, 195, 5, 118, 119, 101, 50, 347, 348, 330, 280)
# What was found in the photo as it was.
_FOUND = ("side_shares", "light", "small_pixels", "small_skin", "small_lid_skin", "_skin_large")
SMALL_UNIT = 64  # px an eye distance has, at most, on the grid where skin is told from hair and powder is brushed on


class FacePatch:
    """Pixels of one face that can be painted on, and what is known about them.

    Args:
        pixels: [H, W, 3] uint8 sRGB, the whole photo; not changed.
        points: [468, 2] landmarks in photo pixels.
    """

    def __init__(self, pixels: np.ndarray, points: np.ndarray) -> None:
        self.size = pixels.shape[:2]
        self.points = points
        self.frame = face_frame(points)  # photo pixels -> face units
        self.unit = self.frame.frame_px  # px
        self.box = self.box_of(points, ROOM)
        self._found: dict[str, Any] = {}
        self._lock = threading.RLock()  # shared with `over`, as what was found is
        self._unpainted: FacePatch | None = None  # before a retouch
        self._take(pixels)

    def _take(self, pixels: np.ndarray) -> None:
        left, top, right, bottom = self.box
        self.codes = pixels[top:bottom, left:right]
        self.changed = np.zeros(self.codes.shape[:2], bool)
        self._linear, self._known = np.empty(self.codes.shape, np.float32), np.zeros(self.codes.shape[:2], bool)

    @property
    def linear(self) -> np.ndarray:
        """What is painted on, [h, w, 3]."""
        return self.at(self.box)

    def kept(self) -> FacePatch:
        """Return the same with a copy of its own pixels, which does not hold the whole photo; see `over`."""
        self.codes = self.codes.copy()
        return self

    def over(self, pixels: np.ndarray) -> FacePatch:
        """Return the same face after a retouch, to be painted on; what was found in the photo still holds."""
        for name in _FOUND:
            getattr(self, name)
        other = copy(self)
        other._unpainted = self
        other._take(pixels)
        return other

    def once(self, name: str, find: Callable[[FacePatch], Any]) -> Any:
        """Return what several layers need to know of the photo as it was: found by the first that asks."""
        with self._lock:
            if name not in self._found:
                self._found[name] = find(self._unpainted or self)
            return self._found[name]

    # Places

    def box_of(self, points, room: float) -> Box:
        """Return a box around points with some face units of room, inside the photo and the patch."""
        points = np.asarray(points).reshape(-1, 2)
        left, top, right, bottom = getattr(self, "box", (0, 0, self.size[1], self.size[0]))
        reach = room * self.unit
        low = np.floor(points.min(axis=0) - reach).clip((left, top), (right, bottom)).astype(int)
        high = np.ceil(points.max(axis=0) + reach).clip(low, (right, bottom)).astype(int)
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])

    def grid(self, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """Return x and y of every pixel's middle in face units, each [h, w] float32."""
        left, top, right, bottom = box
        (a, b, tx), (c, d, ty) = self.frame.matrix
        x, y = np.arange(left, right) + 0.5, (np.arange(top, bottom) + 0.5)[:, None]
        return (a * x + b * y + tx).astype(np.float32), (c * x + d * y + ty).astype(np.float32)

    def units(self, places: Sequence[int]) -> np.ndarray:
        """Return landmarks in face units, [K, 2]."""
        return self.frame.apply(self.points[list(places)])

    def photo(self, places_in_units) -> np.ndarray:
        """Convert face units to photo pixels."""
        return self.frame.inverse.apply(places_in_units)

    # Pixels

    def at(self, box: Box) -> np.ndarray:
        """Return the painted pixels in a box, a view of [h, w, 3] linear."""
        # Only what is painted on is brought to linear light: of a large photo lips alone are little.
        known, linear = self._part(self._known, box), self._part(self._linear, box)
        if not known.all():
            np.copyto(linear, self.bare(box), where=~known[..., None])
            known[...] = True
        return linear

    def bare(self, box: Box) -> np.ndarray:
        """Return the photo's own pixels in a box, [h, w, 3] linear."""
        return to_linear(self._part(self.codes, box))

    def put(self, box: Box, painted: np.ndarray, share: np.ndarray) -> None:
        """Take over painted pixels wherever their share is worth it; all others stay as they are."""
        here = share > LEAST_SHARE
        np.copyto(self.at(box), painted, where=here[..., None])
        self._part(self.changed, box)[...] |= here

    def codes_after(self) -> tuple[Box, np.ndarray]:
        """Return a box and its pixels, uint8: painted where it was painted, else the photo to the bit."""
        rows, columns = (np.flatnonzero(self.changed.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return (0, 0, 0, 0), np.zeros((0, 0, 3), np.uint8)
        left, top = self.box[:2]
        box = (left + int(columns[0]), top + int(rows[0]), left + int(columns[-1]) + 1, top + int(rows[-1]) + 1)
        changed, codes = self._part(self.changed, box), self._part(self.codes, box)
        painted = codes.copy()
        where = np.flatnonzero(changed)
        painted.reshape(-1, 3)[where] = to_srgb(np.take(self.at(box).reshape(-1, 3), where, axis=0))
        return box, painted

    def blur(self, values: np.ndarray, width: float) -> np.ndarray:
        """Blur by a Gaussian with a standard deviation in face units."""
        sigma = width * self.unit
        if sigma < 0.3:
            return values
        shrink = int(sigma // 2)
        if shrink > 1:
            small = cv2.resize(values, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA)
            small = cv2.GaussianBlur(small, (0, 0), sigma / shrink, borderType=cv2.BORDER_REPLICATE)
            return cv2.resize(small, values.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        return cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)

    def _part(self, values: np.ndarray, box: Box) -> np.ndarray:
        left, top = self.box[:2]
        return values[box[1] - top : box[3] - top, box[0] - left : box[2] - left]

    # Masks

    def draw(self, polygons: list[np.ndarray], feather: float, box: Box) -> np.ndarray:
        """Draw a soft mask of polygons in photo pixels, inside a box; `feather` in face units."""
        return draw_soft(polygons, self.size, feather * self.unit, box=box).values

    def outline(self, places: Sequence[int], corners: Sequence[int] = ()) -> np.ndarray:
        """Return a smooth outline through landmarks, [K, 2] photo pixels."""
        return smooth_outline(self.points, (tuple(places), tuple(corners)))

    def colors_at(self, places: Sequence[int]) -> np.ndarray:
        """Return the photo's colour around landmarks, [3] linear: the median of small patches' means."""
        radius = max(1, round(0.04 * self.unit))
        patches = []
        for x, y in self.points[list(places)].astype(int) - self.box[:2]:
            patch = self.codes[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1]
            if x >= 0 and y >= 0 and patch.size:
                patches.append(to_linear(patch).reshape(-1, 3).mean(axis=0))
        return np.median(patches, axis=0) if patches else np.array([0.4, 0.27, 0.2])

    @cached_property
    def light(self) -> Light:
        """What the bare skin tells of the light."""
        return Light.of_skin(self.colors_at(_BARE))

    @cached_property
    def side_shares(self) -> tuple[float, float]:
        """How much of the left and the right half of the face is turned to the camera, in [0, 1]."""
        bridge = self.units((195, 5, 197))[:, 0].mean()
        left = bridge - self.units((234, 93, 132))[:, 0].mean()
        right = self.units((454, 323, 361))[:, 0].mean() - bridge
        widest = max(left, right, 1e-6)
        return tuple(float(np.clip((side / widest - 0.1) / 0.3, 0, 1)) for side in (left, right))

    # The same small: whatever is smooth

    @property
    def small_scale(self) -> float:
        """px of the small grid over px of the photo."""
        return min(1.0, SMALL_UNIT / self.unit)

    def to_small(self, points) -> np.ndarray:
        """Convert photo pixels to places of the small grid."""
        rows, columns = self.small_codes.shape[:2]
        scale = (columns / self.codes.shape[1], rows / self.codes.shape[0])
        return (np.asarray(points) - self.box[:2]) * scale

    @cached_property
    def small_codes(self) -> np.ndarray:
        """The photo's pixels on the small grid, [h, w, 3] uint8."""
        scale = self.small_scale
        size = [max(1, round(scale * length)) for length in self.codes.shape[1::-1]]
        return cv2.resize(np.ascontiguousarray(self.codes), size, interpolation=cv2.INTER_AREA)

    @cached_property
    def small_pixels(self) -> np.ndarray:
        """The same in linear light."""
        return to_linear(self.small_codes)

    @cached_property
    def small_skin(self) -> np.ndarray:
        """How much each place looks like this face's bare skin, [h, w] float32 in [0, 1]."""
        lab = cv2.cvtColor(self.small_codes, cv2.COLOR_RGB2LAB).astype(np.float32)
        rows, columns = lab.shape[:2]
        unit = self.small_scale * self.unit

        def drawn(places: list, feather: float) -> np.ndarray:
            outlines = [self.to_small(self.outline(part)) for part in places]
            return draw_soft(outlines, (rows, columns), feather * unit, box=(0, 0, columns, rows)).values

        inside = drawn([FACE_OVAL], 0.12) * (1 - drawn([LEFT_EYE, RIGHT_EYE, LIPS_OUTER], 0.04))
        skin = cv2.cvtColor(to_srgb(self.light.skin)[None, None], cv2.COLOR_RGB2LAB)[0, 0].astype(np.float32)
        away = lab - skin
        sample = away[inside > 0.9]
        if len(sample) < 20:
            return inside
        # Of most of the face; what is hair or glasses is the smaller part of it.
        spread = (1.48 * np.median(np.abs(sample), axis=0)).clip((22, 5, 6), (34, 9, 11))
        away[..., 0] = np.minimum(away[..., 0], 0.4 * np.abs(away[..., 0]))  # shine is skin, too
        distance = np.sqrt(np.square(away / spread).mean(axis=2))
        like = cv2.medianBlur((255 * np.clip((2.5 - distance) / 1.2, 0, 1)).astype(np.uint8), 3)
        return inside * cv2.GaussianBlur(like.astype(np.float32) / 255, (0, 0), 0.02 * SMALL_UNIT)

    @cached_property
    def small_lid_skin(self) -> np.ndarray:
        """The same for lids, which lie in shade: darker skin counts as well while its hue is that of this face's skin.

        Hair in the face and frames of glasses stay bare: the one hangs from above, the others have no skin's hue.
        """
        lab = cv2.cvtColor(self.small_codes.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        skin = cv2.cvtColor(to_srgb(self.light.skin)[None, None].astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[0, 0]
        # Colour against lightness is what skin keeps from its lights to its shadows; in warm photos it gains some.
        tone, own = lab[..., 1:] / (lab[..., :1] + 12), skin[1:] / (skin[0] + 12)
        times = (tone @ own) / max(float(own @ own), 1e-4)
        aside = np.linalg.norm(tone - times[..., None] * own, axis=2)
        # Red or orange powder is on skin; it has much of the skin's hue.
        aside /= np.maximum(times, 1)
        like = np.clip((0.3 - aside) / 0.12, 0, 1) * np.clip((times - 0.35) / 0.25, 0, 1)
        like *= np.clip((lab[..., 0] / max(float(skin[0]), 1) - 0.15) / 0.15, 0, 1)
        like = cv2.GaussianBlur(cv2.medianBlur((255 * like).astype(np.uint8), 3), (0, 0), 0.02 * SMALL_UNIT)
        return np.maximum(self.small_skin, like.astype(np.float32) / 255 * (1 - self.small_hair))

    @cached_property
    def small_hair(self) -> np.ndarray:
        """Where hair hangs into the face, [h, w] float32 in [0, 1]."""
        rows, columns = self.small_codes.shape[:2]
        photo = torch.from_numpy(self.small_codes).permute(2, 0, 1)
        fringe = find_fringe(self.to_small(self.points), photo, (0, 0, columns, rows), beside_eyes=True)
        frame = face_frame(self.to_small(self.points))
        places = np.stack(np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5), axis=-1)
        x, y = frame.apply(places.reshape(-1, 2)).T.reshape(2, rows, columns)
        return np.maximum(fringe, find_side_hair(self.small_pixels, x, y, frame.frame_px))

    def multiply(self, small_logs: np.ndarray) -> None:
        """Multiply the painted pixels by the exponential of [h, w, 3] on the small grid."""
        busy = np.abs(small_logs).max(axis=2) > LEAST_SHARE / 2
        if not busy.any():
            return
        rows, columns = self.codes.shape[:2]
        small_rows, small_columns = busy.shape
        y, x = (np.flatnonzero(busy.any(axis=axis)) for axis in (1, 0))
        top, bottom = (int(edge * rows / small_rows) for edge in (max(y[0] - 1, 0), min(y[-1] + 2, small_rows)))
        left, right = (
            int(edge * columns / small_columns) for edge in (max(x[0] - 1, 0), min(x[-1] + 2, small_columns))
        )
        part = (slice(top, bottom), slice(left, right))
        factor = cv2.resize(cv2.exp(small_logs * busy[..., None]), (columns, rows), interpolation=cv2.INTER_LINEAR)
        here = cv2.resize(busy.astype(np.float32), (columns, rows), interpolation=cv2.INTER_LINEAR)[part] > 0
        offset = self.box[0] + left, self.box[1] + top
        brushed = self.at((*offset, self.box[0] + right, self.box[1] + bottom))
        brushed *= factor[part]  # 1 where nothing is brushed on
        self.changed[part] |= here

    @cached_property
    def _skin_large(self) -> np.ndarray:
        return cv2.resize(self.small_skin, self.codes.shape[1::-1], interpolation=cv2.INTER_LINEAR)

    def lid_skin(self, box: Box) -> np.ndarray:
        """Say where lids take powder, also where they lie in shade, [h, w] in [0, 1]."""
        return self._enlarged(self.small_lid_skin, box)

    def hair(self, box: Box) -> np.ndarray:
        """Say where hair hangs into the face, [h, w] in [0, 1]."""
        return self._enlarged(self.small_hair, box)

    def _enlarged(self, small: np.ndarray, box: Box) -> np.ndarray:
        """A part of what was found on the small grid, at the photo's size."""
        left, top, right, bottom = box
        low, high = self.to_small([left, top]), self.to_small([right, bottom])
        scale = (high - low) / (right - left, bottom - top)
        matrix = np.array([[scale[0], 0, low[0] + 0.5 * scale[0] - 0.5], [0, scale[1], low[1] + 0.5 * scale[1] - 0.5]])
        flags, border = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.BORDER_REPLICATE
        return cv2.warpAffine(small, matrix, (right - left, bottom - top), flags=flags, borderMode=border)

    def skin(self, box: Box) -> np.ndarray:
        """Say where bare skin takes powder, [h, w] in [0, 1]: not over hair, beard, glasses, eyes and lips."""
        return self._part(self._skin_large, box)


def middle_of(values: np.ndarray, weights: np.ndarray, least: float = 0.5) -> np.ndarray:
    """Return the median of [h, w, 3] where the weights are high; of all where they are nowhere."""
    picked = values[weights > least * max(weights.max(initial=0), 1e-6)]
    return np.median(picked if len(picked) else values.reshape(-1, values.shape[-1]), axis=0).astype(np.float32)


def shade_of(pixels: np.ndarray, reference: float, low: float = 0.05, high: float = 4.0) -> np.ndarray:
    """Say how bright each place is against a reference luminance, [h, w]."""
    return (luminance(pixels) / max(reference, 1e-4)).clip(low, high)
