"""The part of a photo around one face, in linear light, while make-up is put on it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import cv2
import numpy as np

from gan_space.faces.landmarks import FACE_OVAL, LEFT_EYE, LIPS_OUTER, RIGHT_EYE
from gan_space.faces.mesh import face_frame
from gan_space.faces.regions import Mask, draw_soft, smooth_outline
from gan_space.looks.pigment import Light, luminance, to_linear, to_srgb

Box = tuple[int, int, int, int]  # left, top, right, bottom in photo pixels

ROOM = 0.35  # face units around the mesh: wings and brows reach out of it
LEAST_SHARE = 1 / 400  # of a colour; less changes no code
# Where hardly anybody has hair, beard or glasses: below the eyes, on the bridge of the nose, between the brows.
_BARE = (9, 8, 6, 197, 195, 5, 118, 119, 101, 50, 347, 348, 330, 280)
_LIKE_PX = 64  # px an eye distance has where skin is told from hair


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
        left, top, right, bottom = self.box
        self.codes = pixels[top:bottom, left:right]
        self.linear = to_linear(self.codes)  # [h, w, 3], what is painted on
        self.changed = np.zeros(self.linear.shape[:2], bool)

    # Places

    def box_of(self, points, room: float) -> Box:
        """A box around points with some face units of room, inside the photo and the patch."""
        points = np.asarray(points).reshape(-1, 2)
        left, top, right, bottom = getattr(self, "box", (0, 0, self.size[1], self.size[0]))
        reach = room * self.unit
        low = np.floor(points.min(axis=0) - reach).clip((left, top), (right, bottom)).astype(int)
        high = np.ceil(points.max(axis=0) + reach).clip(low, (right, bottom)).astype(int)
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])

    def grid(self, box: Box) -> tuple[np.ndarray, np.ndarray]:
        """x and y of every pixel's middle in face units, each [h, w] float32."""
        left, top, right, bottom = box
        (a, b, tx), (c, d, ty) = self.frame.matrix
        x, y = np.arange(left, right) + 0.5, (np.arange(top, bottom) + 0.5)[:, None]
        return (a * x + b * y + tx).astype(np.float32), (c * x + d * y + ty).astype(np.float32)

    def units(self, places: Sequence[int]) -> np.ndarray:
        """Landmarks in face units, [K, 2]."""
        return self.frame.apply(self.points[list(places)])

    def photo(self, places_in_units) -> np.ndarray:
        """Face units -> photo pixels."""
        return self.frame.inverse.apply(places_in_units)

    # Pixels

    def at(self, box: Box) -> np.ndarray:
        """The painted pixels in a box, a view of [h, w, 3] linear."""
        return self._part(self.linear, box)

    def bare(self, box: Box) -> np.ndarray:
        """The photo's own pixels in a box, [h, w, 3] linear."""
        return to_linear(self._part(self.codes, box))

    def put(self, box: Box, painted: np.ndarray, share: np.ndarray) -> None:
        """Take over painted pixels wherever their share is worth it; all others stay as they are."""
        here = share > LEAST_SHARE
        self.at(box)[here] = painted[here]
        self._part(self.changed, box)[here] = True

    def codes_after(self) -> np.ndarray:
        """[h, w, 3] uint8: painted where it was painted, else the photo to the bit."""
        result = self.codes.copy()
        result[self.changed] = to_srgb(self.linear[self.changed])
        return result

    def blur(self, values: np.ndarray, width: float) -> np.ndarray:
        """Gaussian blur with a standard deviation in face units."""
        sigma = width * self.unit
        if sigma < 0.3:
            return values
        shrink = int(sigma // 4)
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
        """Soft mask of polygons in photo pixels, inside a box; `feather` in face units."""
        return draw_soft(polygons, self.size, feather * self.unit, box=box).values

    def outline(self, places: Sequence[int], corners: Sequence[int] = ()) -> np.ndarray:
        """A smooth outline through landmarks, [K, 2] photo pixels."""
        return smooth_outline(self.points, (tuple(places), tuple(corners)))

    @cached_property
    def light(self) -> Light:
        """What the bare skin tells of the light."""
        radius = max(1, round(0.04 * self.unit))
        left, top, _, _ = self.box
        patches = []
        for x, y in self.points[list(_BARE)].astype(int) - (left, top):
            patch = self.codes[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1]
            if x >= 0 and y >= 0 and patch.size:
                patches.append(to_linear(patch).reshape(-1, 3).mean(axis=0))
        return Light.of_skin(np.median(patches, axis=0) if patches else (0.4, 0.27, 0.2))

    @cached_property
    def side_shares(self) -> tuple[float, float]:
        """How much of the left and the right half of the face is turned to the camera, in [0, 1]."""
        bridge = self.units((195, 5, 197))[:, 0].mean()
        left = bridge - self.units((234, 93, 132))[:, 0].mean()
        right = self.units((454, 323, 361))[:, 0].mean() - bridge
        widest = max(left, right, 1e-6)
        return tuple(float(np.clip((side / widest - 0.15) / 0.4, 0, 1)) for side in (left, right))

    @cached_property
    def _skin_like(self) -> np.ndarray:
        """How much each place of the patch looks like this face's skin, small, [h, w] float32 in [0, 1]."""
        scale = min(1.0, _LIKE_PX / self.unit)
        small = cv2.resize(self.codes, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        lab = cv2.cvtColor(np.ascontiguousarray(small), cv2.COLOR_RGB2LAB).astype(np.float32)
        oval = Mask(self.box, self.draw([self.outline(FACE_OVAL)], 0.12, self.box))
        holes = [self.outline(places) for places in (LEFT_EYE, RIGHT_EYE, LIPS_OUTER)]
        inside = oval.values * (1 - self.draw(holes, 0.04, self.box))
        inside = cv2.resize(inside, lab.shape[1::-1], interpolation=cv2.INTER_AREA)
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
        return inside * cv2.GaussianBlur(like.astype(np.float32) / 255, (0, 0), 0.02 * _LIKE_PX)

    @cached_property
    def _skin_large(self) -> np.ndarray:
        return cv2.resize(self._skin_like, self.linear.shape[1::-1], interpolation=cv2.INTER_LINEAR)

    def skin(self, box: Box) -> np.ndarray:
        """Where there is bare skin to put powder on, [h, w] in [0, 1]: not over hair, beard, glasses, eyes and lips."""
        return self._part(self._skin_large, box)


def middle_of(values: np.ndarray, weights: np.ndarray, least: float = 0.5) -> np.ndarray:
    """Median of [h, w, 3] where the weights are high; of all where they are nowhere."""
    picked = values[weights > least * max(weights.max(initial=0), 1e-6)]
    return np.median(picked if len(picked) else values.reshape(-1, values.shape[-1]), axis=0).astype(np.float32)


def shade_of(pixels: np.ndarray, reference: float, low: float = 0.05, high: float = 4.0) -> np.ndarray:
    """How bright each place is against a reference luminance, [h, w]."""
    return (luminance(pixels) / max(reference, 1e-4)).clip(low, high)
