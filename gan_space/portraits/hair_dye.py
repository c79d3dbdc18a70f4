"""Dye hair: its lights and darks, strands and gloss stay, and its colour becomes another.

What becomes of a hair's lightness is one curve a head, from how light this hair is to how light the dye is; a second
curve says which colour the dye has at each lightness: deeper where light went through more of it, paler in the gloss.
A pixel that hair covers in part gets its part of what the hair around it gets, so nothing shines through at the edges.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import cv2
import numpy as np

from gan_space.faces.hair_colors import FIRM, SMALL_PX, no_hair
from gan_space.faces.hair_edge import Edge, along, dyed_part, unmixed
from gan_space.faces.head import Head
from gan_space.faces.monochrome import lightened
from gan_space.faces.pigment import LUMA, Light, to_linear
from gan_space.photos.strips import in_strips

STRIP_PIXELS = 60_000  # worked on at once: they stay in the cache
LEAST_SHARE = 0.004  # of hair's square in the small copy; less is no hair that could be dyed
STEPS = 1024  # of the curves from black to white
_STRANDS = 0.2  # of the contrast between strands, what is added where hair gets much lighter
_SHORT = 0.15  # of a long way to lighter hair, what is not gone
_MOST = (38.0, 1.5)  # L* that the darkest hair is brought to at most, and more by how light its lights are
_SLOPES = (0.3, 2.4)  # of the curve of lightness; steeper ones show noise
_NOISY = 14.0  # L* below which noise is stronger than strands
_BLACK = 7.0  # L* of the middle of hair below which it is black all over
_GROUND = 3.0  # L* below which a pixel at the edge of hair on black is the ground
_UNLIT = ((0.3, 9.0), (0.25, 5.0))  # of the dye, what is not seen in the gaps between strands, up to which L*
_OWN_LIGHT = 0.65  # of how light a pixel is against those around it, what tells how much light gets there
_ALL = 0.98  # share of hair from which on a pixel is but hair
_MUCH = 45.0  # of L*: that
_BARE = (9, 8, 6, 195, 5, 118, 119, 101, 50, 347, 348, 330, 280)  # landmarks where there is skin, on most faces
_EXPOSURE = 0.6  # of the light's brightness, what is seen on hair, which has its own place in it
_CAST = 0.6  # of its hue, as pale or made-up skin tells it wrong
_KEPT_HUE = 0.3  # of how a hair's own hue differs from strand to strand
_GREY_HUE = 0.1  # of its own, what greying hair keeps
_APART = (4.0, 0.05)  # L* that strands differ by, and more by how light they are
_SOFT = 1.0  # share of strands over which one turns
_EVEN = 0.65  # of the strands that are too fine to be seen one by one
_FLAT = (0.35, 6.0)  # of greying, what hair lacks that a photo shows black all over, and up to which L*


@dataclass(frozen=True, eq=False)
class HairColors:
    """What is known of the hair of one head; Lab throughout.

    Attributes:
        head: whose.
        edge: where its edge is, in a small copy of the head.
        dressed: [h, w] what is neither bare skin nor cloth.
        levels: [4] lightness that a tenth, half, three quarters and 95 in a hundred of it lie below.
        color: [2] a and b of its middle.
        white: [3] linear, what a white wall would be in its place.
    """

    head: Head
    edge: Edge
    dressed: np.ndarray
    levels: np.ndarray
    color: np.ndarray
    white: np.ndarray

    @classmethod
    def measure(cls, photo: np.ndarray, head: Head, face: np.ndarray | None) -> HairColors | None:
        """Look at a head's hair in [H, W, 3] uint8, with its face's landmarks; None where there is none."""
        left, top, right, bottom = head.box
        if 0 in head.hair.shape:
            return None
        scale = min(1.0, SMALL_PX / max(head.hair.shape))
        size = tuple(max(1, round(scale * side)) for side in head.hair.shape[::-1])
        share = cv2.resize(head.hair, size, interpolation=cv2.INTER_AREA)
        if (share > FIRM).mean() < LEAST_SHARE:
            return None
        small = cv2.resize(photo[top:bottom, left:right], size, interpolation=cv2.INTER_AREA)
        lab = _to_lab(small)
        points = None if face is None else (face - (left, top)) * (np.array(size) / head.hair.shape[::-1])
        dressed = np.ones_like(share)
        if points is not None:
            dressed = 1 - no_hair(small, share, points)
        share = share * dressed
        firm = share > FIRM
        if firm.mean() < LEAST_SHARE:
            return None
        hair = lab[firm]
        levels = np.quantile(hair[:, 0], (0.1, 0.5, 0.75, 0.95))
        white = np.ones(3, np.float32) if points is None else _light_on(small, points)
        edge = Edge.of(lab, share, points)
        return cls(head, edge, dressed, levels, np.median(hair[:, 1:], axis=0), white)

    def curves(self, pot: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Say what becomes of hair, for each step of lightness.

        Args:
            pot: [3] linear, the dye as it looks on hair in this light.

        Returns:
            [STEPS] the lightness that each one becomes; [STEPS] what is left of it where the hair around is as dark;
            [2, STEPS] a and b of the dye where it is as light. All float32.
        """
        light, lit = _lightness_curves(self.levels, _lightness(float(pot @ LUMA)))
        colors = _colors_at(np.linspace(0, 100, STEPS), pot)
        return light.astype(np.float32), lit.astype(np.float32), _planes(colors.astype(np.float32))

    def moved(self, move: Callable[[np.ndarray], np.ndarray]) -> HairColors:
        """Take along with a photo whose shape changes what lies in places; `move` does so with [a, b] or [a, b, 3]."""
        edge = Edge(*(move(getattr(self.edge, one.name)) for one in fields(Edge)))
        head = replace(self.head, hair=move(self.head.hair))
        return replace(self, head=head, edge=edge, dressed=move(self.dressed))

    def lift(self, pot: np.ndarray) -> float:
        """Say how much lighter a dye makes this hair, 0 to 1."""
        light, lit, _ = self.curves(pot)
        middle = self.levels[1]
        return float(min(max((light * lit)[_steps(np.float32([middle]))[0]] - middle, 0) / _MUCH, 1))


def _lightness_curves(levels: np.ndarray, wanted: float) -> tuple[np.ndarray, np.ndarray]:
    """Say which lightness each one from 0 to 100 becomes, and what is left of it around that, [STEPS] each.

    Args:
        levels: of the hair, see `HairColors`.
        wanted: L* of the dye on hair in even light.
    """
    low, middle, upper, high = levels
    far = min(max((wanted - middle) / _MUCH, 0), 1)
    # The dark half of black hair lies in shade, and stays there: the dye's lightness is that of what is lit.
    own = middle + far * (upper - middle)
    goal = min(wanted - _SHORT * far * (wanted - own), max(_MOST[0] + _MOST[1] * upper, own))
    usual = (5 + 0.17 * goal) / (5 + 0.17 * own)  # light hair has more contrast
    down = 0.4 * usual + 0.6 * 0.4 * goal / max(own - low, 2.0)
    up = 0.4 * usual + 0.6 * min(7 + 0.2 * goal, 0.5 * (98 - goal)) / max(high - own, 2.0)
    away = np.linspace(0, 100, STEPS) - own
    above, below = max(98 - goal, 5.0), max(0.88 * goal, 3.0)
    lighter = above * (1 - np.exp(-np.clip(up, *_SLOPES) * away.clip(0) / above))
    darker = below * (1 - np.exp(-np.clip(down, *_SLOPES) * (-away).clip(0) / below))
    light = goal + np.where(away > 0, lighter, -darker)
    # Where hardly any light gets, hardly any dye is seen.
    unlit = sum(share * (1 - _smooth(np.linspace(0, 100, STEPS) / reach)) for share, reach in _UNLIT)
    # Of hair that is black all over this is most, and what shows is mottled.
    return light, 1 - far * unlit * min(max(middle / _BLACK, 0.3), 1)


def _colors_at(light: np.ndarray, pot: np.ndarray) -> np.ndarray:
    """a and b of a dye, [3] linear, on hair of each lightness, [N, 2].

    Light that went through more of the dye, dark, took more of its colour; gloss never went in.
    """
    own = _lightness(float(pot @ LUMA))
    depth = (1 - light / max(own, 1.0)).clip(0, 1)  # 0 at the dye's own lightness, 1 in black
    shine = ((light - own) / max(100 - own, 1.0)).clip(0, 1)
    color = np.maximum(pot, 1e-4)[None] ** (1 + 0.35 * depth)[:, None]
    color = color / (color @ LUMA)[:, None]
    color = color + (1 - color) * (0.75 * shine**1.2)[:, None]
    bright = np.where(light > 8, ((light + 16) / 116) ** 3, light / 903.3)
    linear = color * bright[:, None]
    # What sRGB lacks gets paler, not of another hue.
    grey = bright[:, None]
    linear = grey + (linear - grey) * ((1 - grey) / (linear.max(axis=1, keepdims=True) - grey).clip(1e-6)).clip(0, 1)
    srgb = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.clip(1e-9) ** (1 / 2.4) - 0.055)
    return cv2.cvtColor(srgb[None].clip(0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)[0, :, 1:]


def dye(
    photo: np.ndarray,
    done: np.ndarray,
    hair: HairColors,
    pot: np.ndarray,
    amount: np.ndarray,
    others: Sequence[Head] = (),
    tone: np.ndarray | None = None,
    greying: bool = False,
    soft: float = 0.0,
) -> None:
    """Dye the hair of one head in `done`, in place; what lies under other heads as well is shared by them.

    Args:
        photo: [H, W, 3] uint8, undyed.
        done: the same, dyed so far.
        pot: [3] linear, the dye as it looks on hair in this light.
        amount: [a, b] over the head's box, how much of the hair's own colour goes.
        others: heads that are dyed as well.
        tone: of a photo in one tone, from `find_tone`.
        greying: whether `amount` is of strands, the lighter ones first.
        soft: how far the finest that the photo shows is noise, 0 to 1.
    """
    left, top, right, bottom = hair.head.box
    light, lit, colors = hair.curves(pot)
    middle, lift = float(hair.levels[1]), hair.lift(pot)
    width, height = right - left, bottom - top
    edge = hair.edge
    rows, columns = edge.clear.shape
    scale = np.array([[columns / width, 0, 0], [0, rows / height, 0]], np.float64)
    shared = [other for other in others if _meet(hair.head.box, other.box)]
    amount = cv2.resize(np.asarray(amount, np.float32), (columns, rows), interpolation=cv2.INTER_LINEAR)
    hairs, besides = np.dstack([edge.hair, amount]), np.dstack([edge.beside, edge.face])
    hints = np.dstack([edge.clear, edge.reach, edge.alike, hair.dressed])

    def work(rows: slice) -> None:
        share, matrix = hair.head.hair[rows], scale.copy()
        matrix[:, 2] = (0.5 * scale[0, 0] - 0.5, (rows.start + 0.5) * scale[1, 1] - 0.5)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP

        def enlarged(field: np.ndarray) -> np.ndarray:
            found = cv2.warpAffine(field, matrix, share.shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
            return found.reshape(-1, field.shape[2])

        hint = enlarged(hints)
        here = np.flatnonzero((share.ravel() > 0) | (hint[:, 0] * hint[:, 1] > 0))
        if not len(here):
            return
        into = done[top + rows.start : top + rows.stop, left:right]
        around = photo[top + rows.start : top + rows.stop, left:right]
        own = seen = _planes(_to_lab(np.take(around.reshape(-1, 3), here, axis=0)[None])[0])
        noisy = np.flatnonzero(own[0] < (100 if soft else 2 * _NOISY))
        if lift > 0 and len(noisy):  # what is brought out of the dark without its noise
            calm = np.take(cv2.blur(around, (3, 3)).reshape(-1, 3), here[noisy], axis=0)
            calm, strong = _planes(_to_lab(calm[None])[0]), np.take(own, noisy, axis=1)
            seen = own.copy()
            for plane, rough, smooth in zip(seen, strong, calm, strict=True):
                plane[noisy] = rough + (lift * np.maximum(1 - calm[0] / _NOISY, soft).clip(0, 1)) * (smooth - rough)
        clear, reach, alike, dressed = _planes(np.take(hint, here, axis=0))
        *near, amount = _planes(np.take(enlarged(hairs), here, axis=0))
        part = share.ravel()[here] * dressed
        if lift > 0:
            part *= 1 - lift * alike * (1 - _smooth(seen[0] / _GROUND))
        mixed = np.flatnonzero((part < _ALL) | (clear > 0))
        *beside, face = _planes(np.take(enlarged(besides), here[mixed], axis=0))
        pixels, hairy = np.take(seen, mixed, axis=1), [plane[mixed] for plane in near]
        clear, reach = clear[mixed], reach[mixed]
        some = part[mixed]
        some += clear * (along(pixels, beside, hairy) * np.minimum(reach, 1) - some)
        part[mixed] = some
        # Where hair covers a pixel in part, its own colour is what the rest leaves of it.
        pixels, behind = unmixed(pixels, some, hairy, beside)
        # Cameras sharpen: beside a bright wall the last of dark hair is darker still.
        pixels[0] += clear * (2 - reach).clip(0, 1) * (hairy[0] - pixels[0]).clip(0, None)
        strands = seen.copy()
        for plane, own_hair in zip(strands, pixels, strict=True):
            plane[mixed] = own_hair
        # How much light gets there is a matter of places, not of pixels: black ones are mottled.
        fresh = np.empty_like(strands)
        fresh[0] = light[_steps(strands[0])]
        if lift > 0:  # light hair has more contrast from strand to strand
            fresh[0] += _STRANDS * lift * (fresh[0] - light[_steps(near[0])])
        fresh[0] *= lit[_steps(near[0] + _OWN_LIGHT * (strands[0] - near[0]))]
        usual, steps = (strands[0] * (1 / max(middle, 1.0))).clip(0, 1.3), _steps(fresh[0])
        for channel in (1, 2):
            own_hue = strands[channel] * _GREY_HUE
            if not greying:
                own_hue = _KEPT_HUE * (strands[channel] - usual * hair.color[channel - 1])
            fresh[channel] = colors[channel - 1][steps] + own_hue
        hued = dyed_part(some, face)
        for plane, rest, covered in zip(fresh, behind, (some, hued, hued), strict=True):
            plane[mixed] = rest + covered * (plane[mixed] - rest)
        if greying:
            away = (strands[0] - near[0]) / (_APART[0] + _APART[1] * near[0])
            order = 1 / (1 + cv2.exp(-away).ravel())  # 1 for the first
            grey = _smooth(((1 + _SOFT) * amount - 1 + order) / _SOFT)
            amount = grey + _EVEN * (amount - grey)
            amount *= 1 - _FLAT[0] * (1 - _smooth(near[0] / _FLAT[1]))
        if shared:
            box = (left, top + rows.start, right, top + rows.stop)
            theirs = sum(_part_of(other, box).ravel()[here] for other in shared)
            amount *= part / np.maximum(part + theirs, 1e-6)
        painted = np.ascontiguousarray(into).reshape(-1, 3)
        base = own if not shared else _planes(_to_lab(painted[here][None])[0])
        if tone is None:
            codes = _to_codes(base + amount * (fresh - seen))
        else:
            after = base[0] + amount * (fresh[0] - seen[0])
            codes = lightened(painted[here], base[0], after, tone)
        painted.view("V3")[here] = codes.view("V3")  # three bytes at once
        into[:] = painted.reshape(into.shape)

    in_strips(work, height, max(1, STRIP_PIXELS // max(width, 1)))


def _light_on(small: np.ndarray, points: np.ndarray) -> np.ndarray:
    """What a white wall would be beside a face, [3] linear, by its skin; `points` are in px of the small copy."""
    x, y = points[list(_BARE)].astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < small.shape[1]) & (y < small.shape[0])
    if not inside.any():
        return np.ones(3, np.float32)
    blurred = cv2.blur(small, (3, 3))
    white = Light.of_skin(np.median(to_linear(blurred[y[inside], x[inside]]), axis=0)).white
    brightness = float(white @ LUMA)
    return (white / brightness) ** np.float32(_CAST) * np.float32(brightness**_EXPOSURE)


def _part_of(head: Head, box: tuple[int, int, int, int]) -> np.ndarray:
    """The hair of a head in another box of the photo, zero beyond its own."""
    left, top, right, bottom = box
    part = np.zeros((bottom - top, right - left), np.float32)
    x0, y0, x1, y1 = head.box
    across, down = (max(left, x0), min(right, x1)), (max(top, y0), min(bottom, y1))
    if across[0] < across[1] and down[0] < down[1]:
        part[down[0] - top : down[1] - top, across[0] - left : across[1] - left] = head.hair[
            down[0] - y0 : down[1] - y0, across[0] - x0 : across[1] - x0
        ]
    return part


def _meet(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _smooth(values: np.ndarray) -> np.ndarray:
    """Go from 0 to 1 without corners."""
    values = values.clip(0, 1)
    return values * values * (3 - 2 * values)


def _steps(light: np.ndarray) -> np.ndarray:
    """Which place of the curves a lightness has."""
    return (light * ((STEPS - 1) / 100)).clip(0, STEPS - 1).astype(np.uint16)


def _planes(rows: np.ndarray) -> np.ndarray:
    """[N, C] -> [C, N]: what is done to one channel goes through memory in one piece."""
    return np.ascontiguousarray(rows.T)


def _to_lab(codes: np.ndarray) -> np.ndarray:
    """[h, w, 3] uint8 -> float32 Lab."""
    return cv2.cvtColor(codes.astype(np.float32) * np.float32(1 / 255), cv2.COLOR_RGB2LAB)


def _to_codes(lab: np.ndarray) -> np.ndarray:
    """Bring Lab planes [3, N] to [N, 3] uint8; what sRGB lacks is clipped."""
    np.clip(lab[0], 0, 100, out=lab[0])
    rgb = cv2.cvtColor(cv2.merge([plane[None] for plane in lab]), cv2.COLOR_LAB2RGB)
    return cv2.convertScaleAbs(rgb, alpha=255)[0]


def luminance_of(lightness: float) -> float:
    """L* -> luminance."""
    return ((lightness + 16) / 116) ** 3 if lightness > 8 else lightness * 27 / 24389


def _lightness(luminance: float) -> float:
    return 116 * luminance ** (1 / 3) - 16 if luminance > 216 / 24389 else luminance * 24389 / 27
