"""Dye hair: its lights and darks, strands and gloss stay, and its colour becomes another.

What becomes of a hair's lightness is one curve a head, from how light this hair is to how light the dye is; a second
curve says which colour the dye has at each lightness: deeper where light went through more of it, paler in the gloss.
A pixel that hair covers in part gets its part of what the hair around it gets, so nothing shines through at the edges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.faces.head import Head
from gan_space.faces.landmarks import FACE_OVAL, Landmarks
from gan_space.faces.mesh import face_frame
from gan_space.faces.monochrome import find_tone
from gan_space.looks.layers import HairColor
from gan_space.looks.pigment import LUMA, Light, parse_color, to_linear
from gan_space.looks.strips import in_strips
from gan_space.photos.opening import to_rows

SMALL_PX = 256  # longer side of the copy of a head on which its hair is measured
STRIP_PIXELS = 60_000  # worked on at once: they stay in the cache
LEAST_SHARE = 0.004  # of hair's square in the small copy; less is no hair that could be dyed
STEPS = 1024  # of the curves from black to white
_ELSE = 0.1  # share of hair up to which a pixel tells what is beside it
_REACH = (0.02, 0.06, 0.2)  # of the small copy's side: how far colours around a place are looked for
_WEIGHTS = (0.7, 1.0, 1.0)  # of L, a and b: shade tells less
_BAND = 0.012  # of the side: how far from the edge of the hair colours tell what is hair
_CORE = 0.9  # of that, from where on hair is not at its edge
_ALIKE = (8.0, 20.0)  # Lab units; colours that are as near as this tell nothing, and all
_EDGE = (0.1, 0.9)  # of the way from what is beside to the hair: where hair begins, and all is hair
_SMOOTH_SKIN = 0.012  # of the side: over how much of it skin is smooth
_ROUGH = 5.0  # L* of strands beyond which there is no bare skin
_BROW_LINE = -0.2  # face units below the eyes: what is skin above it is forehead
_ROOT_REACH = 0.12  # face units from the forehead: where roots are
_DARK_ROOTS = 0.45  # of the dye, what roots at the forehead lack where it lightens
_STRANDS = 0.2  # of the contrast between strands, what is added where hair gets much lighter
_SHORT = 0.15  # of a long way to lighter hair, what is not gone
_MOST = (38.0, 1.5)  # L* that the darkest hair is brought to at most, and more by how light its lights are
_SLOPES = (0.3, 2.4)  # of the curve of lightness; steeper ones show noise
_NOISY = 14.0  # L* below which noise is stronger than strands
_BLACK = 7.0  # L* of the middle of hair below which it is black all over
_GROUND = 3.0  # L* below which a pixel at the edge of hair on black is the ground
_UNLIT = ((0.3, 9.0), (0.25, 2.0))  # of the dye, what is not seen in the gaps between strands, up to which L*
_MUCH = 45.0  # of L*: that
_SHADE = 0.35  # of that way, how far the skin of a forehead goes in the shade of hair
_FIRM = 0.6  # share of hair from which a pixel tells what the hair looks like
_BARE = (9, 8, 6, 195, 5, 118, 119, 101, 50, 347, 348, 330, 280)  # landmarks where there is skin, on most faces
_EXPOSURE = 0.6  # of the light's brightness, what is seen on hair, which has its own place in it
_CAST = 0.6  # of its hue, as pale or made-up skin tells it wrong
_KEPT_HUE = 0.3  # of how a hair's own hue differs from strand to strand


def dye_hair(pixels: Tensor, heads: Sequence[Head], dye: HairColor, marks: Sequence[Landmarks] = ()) -> Tensor:
    """Return the photo with dyed hair.

    In a photo in one tone the hair's lightness alone changes.

    Args:
        pixels: [3, H, W] uint8.
        heads: where hair is.
        dye: colour and amount.
        marks: the places of each head's face, which tell the light and what is skin; may be empty.

    Returns:
        [3, H, W] uint8; the photo itself without hair or amount.
    """
    if not dye.amount:
        return pixels
    photo = to_rows(pixels)
    faces = marks if len(marks) == len(heads) else [None] * len(heads)
    found = [_Hair.measure(photo, head, face) for head, face in zip(heads, faces, strict=True)]
    hairs = [hair for hair in found if hair is not None]
    if not hairs:
        return pixels
    done = photo.copy()
    for number, hair in enumerate(hairs):
        tone = None if hair.face is None else find_tone(pixels, hair.face.points)
        _dye_one(photo, done, hair, hairs[:number] + hairs[number + 1 :], dye, tone)
    return torch.from_numpy(done).permute(2, 0, 1)


@dataclass(frozen=True, eq=False)
class _Hair:
    """What is known of the hair of one head; Lab throughout.

    Attributes:
        head, face: whose.
        near: [h, w, 4] the hair's mean colour around each place of the small copy; where its edge lies on the like.
        fit: [h, w, 4] how a pixel's share of hair is read off its colour, see `_edge_fit`.
        hints: [h, w, 4] how far to go by that, how near hair is, how near the forehead, and what is no bare skin.
        levels: [4] lightness that a tenth, half, three quarters and 95 in a hundred of it lie below.
        color: [2] a and b of its middle.
        white: [3] linear, what a white wall would be in its place.
    """

    head: Head
    face: Landmarks | None
    near: np.ndarray
    fit: np.ndarray
    hints: np.ndarray
    levels: np.ndarray
    color: np.ndarray
    white: np.ndarray

    @classmethod
    def measure(cls, photo: np.ndarray, head: Head, face: Landmarks | None) -> _Hair | None:
        """Look at a head's hair; None where there is none."""
        left, top, right, bottom = head.box
        if 0 in head.hair.shape:
            return None
        scale = min(1.0, SMALL_PX / max(head.hair.shape))
        size = tuple(max(1, round(scale * side)) for side in head.hair.shape[::-1])
        share = cv2.resize(head.hair, size, interpolation=cv2.INTER_AREA)
        if (share > _FIRM).mean() < LEAST_SHARE:
            return None
        small = cv2.resize(photo[top:bottom, left:right], size, interpolation=cv2.INTER_AREA)
        lab = _to_lab(small)
        points = None if face is None else (face.points - (left, top)) * (np.array(size) / head.hair.shape[::-1])
        dressed = 1 - (np.zeros_like(share) if points is None else _bare_skin(lab, points, share))
        share = share * dressed
        firm = share > _FIRM
        if firm.mean() < LEAST_SHARE:
            return None
        # Its edge may be something else, which tells only where there is no more than an edge.
        core = cv2.GaussianBlur(share, (0, 0), max(_BAND * max(size), 0.6)) > _CORE
        near = _spread(lab, np.where(firm, np.where(core, share, 0.02), 0))
        within = np.zeros_like(share) if points is None else _inside_face(points, share.shape)
        other = np.where(share < _ELSE, 1 - share, 0)
        bare = (other > 0) & (within > 0.5)
        if bare.any():  # a strand in the face that the mask has missed is no skin
            skin = np.median(lab[bare], axis=0)
            other[bare & (_distance(lab, near) < 0.7 * _distance(lab, skin))] = 0
        fit, clear, about, alike = _edge_fit(near, _spread(lab, other), share, within)
        hair = lab[firm]
        levels = np.quantile(hair[:, 0], (0.1, 0.5, 0.75, 0.95))
        color = np.median(hair[:, 1:], axis=0)
        white, roots = np.ones(3, np.float32), np.zeros_like(share)
        if face is not None:
            white, roots = _light_on(small, points), _roots(points, share)
        return cls(
            head, face, np.dstack([near, alike]), fit, np.dstack([clear, about, roots, dressed]), levels, color, white
        )

    def curves(self, dye: HairColor) -> np.ndarray:
        """Say what becomes of hair of each lightness from 0 to 100: [STEPS, 3] float32 Lab."""
        pot = parse_color(dye.color) * self.white
        light = _lightness_curve(self.levels, _lightness(float(pot @ LUMA)))
        return np.column_stack([light, _colors_at(light, pot)]).astype(np.float32)


def _spread(lab: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Mean colour [h, w, 3] around each place of what has a weight [h, w]; from farther away where nothing is near."""
    total = np.dstack([lab * weight[..., None], weight]).astype(np.float32)
    side = max(weight.shape)
    spread = np.full_like(total, 0) + 1e-9 * total.sum(axis=(0, 1))
    for reach, share in zip(_REACH, (1.0, 1e-3, 1e-6), strict=True):
        spread += share * cv2.GaussianBlur(total, (0, 0), max(reach * side, 0.6))
    return spread[..., :3] / np.maximum(spread[..., 3:], 1e-12)


def _inside_face(points: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The face by its landmarks, [h, w] float32 in [0, 1], and less and less of it outwards."""
    face = np.zeros(size, np.float32)
    cv2.fillPoly(face, [np.round(points[list(FACE_OVAL)]).astype(np.int32)], 1)
    return (2 * cv2.GaussianBlur(face, (0, 0), max(_ROOT_REACH * face_frame(points).frame_px, 0.6))).clip(0, 1)


def _distance(lab: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.linalg.norm((lab - other) * np.float32(_WEIGHTS), axis=2)


def _edge_fit(hair: np.ndarray, other: np.ndarray, share: np.ndarray, face: np.ndarray) -> tuple[np.ndarray, ...]:
    """Say how the colour of a pixel at the edge tells how much of it is hair.

    Args:
        hair, other: [h, w, 3] colours around each place.
        share: [h, w] of hair, by its shape.
        face: [h, w] where the face is, in whose skin there is shade.

    Returns:
        [h, w, 4] float32, what L, a and b are multiplied by and what is added: the sum is 0 in what is beside the hair
        and 1 in hair; [h, w] how far to go by it, not where both look the same, or in the hair;
        [h, w] how much hair there may be at most; [h, w] where the edge is, and colours tell nothing.
    """
    away = (hair - other) * np.float32(_WEIGHTS)
    square = np.square(away).sum(axis=2)
    line = away * np.float32(_WEIGHTS) / np.maximum(square, 1)[..., None]
    low, high = _EDGE
    low = low + (_SHADE - low) * face
    line, offset = line / (high - low)[..., None], -((line * other).sum(axis=2) + low) / (high - low)
    side = max(share.shape)
    broad = cv2.GaussianBlur(share, (0, 0), max(_BAND * side, 0.6))
    band = ((0.97 - broad) / 0.1).clip(0, 1)
    clear = ((np.sqrt(square) - _ALIKE[0]) / (_ALIKE[1] - _ALIKE[0])).clip(0, 1)
    return np.dstack([line, offset]).astype(np.float32), band * clear, (2 * broad).clip(0, 1), band * (1 - clear)


def _bare_skin(lab: np.ndarray, points: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Find skin that was taken for hair, such as a shoulder: smooth, of the face's colour, unlike this hair.

    Args:
        lab: [h, w, 3] the small copy.
        points: landmarks in its px.
        share: [h, w] of hair.

    Returns:
        [h, w] float32 in [0, 1].
    """
    inside = np.zeros(share.shape, np.uint8)
    cv2.fillPoly(inside, [np.round(points[list(FACE_OVAL)]).astype(np.int32)], 1)
    skin, hair = lab[(inside > 0) & (share < _ELSE)], lab[share > _FIRM]
    if min(len(skin), len(hair)) < 30:
        return np.zeros_like(share)
    blurred = cv2.GaussianBlur(lab, (0, 0), max(_SMOOTH_SKIN * max(share.shape), 0.6))
    rough = cv2.GaussianBlur(np.abs(lab - blurred)[..., 0], (0, 0), max(_SMOOTH_SKIN * max(share.shape), 0.6))

    def distance(sample: np.ndarray) -> np.ndarray:
        middle = np.median(sample, axis=0)
        spread = np.maximum(1.48 * np.median(np.abs(sample - middle), axis=0), (8, 4, 4))
        return np.sqrt(np.square((blurred - middle) / spread).mean(axis=2))

    like = (distance(hair) / (distance(skin) + 0.5) - 1.2).clip(0, 1) * ((_ROUGH - rough) / 2).clip(0, 1)
    return (like * (distance(hair) - 1).clip(0, 1)).astype(np.float32)


def _roots(points: np.ndarray, share: np.ndarray) -> np.ndarray:
    """How near the forehead is to each place, by the small copy's landmarks and shares of hair, [h, w] in [0, 1]."""
    frame = face_frame(points)
    x, y = np.arange(share.shape[1]) + 0.5, (np.arange(share.shape[0]) + 0.5)[:, None]
    down = frame.matrix[1, 0] * x + frame.matrix[1, 1] * y + frame.matrix[1, 2]  # face units below the eyes
    face = np.zeros(share.shape, np.uint8)
    cv2.fillPoly(face, [np.round(points[list(FACE_OVAL)]).astype(np.int32)], 1)
    forehead = face * (1 - share) * ((_BROW_LINE - down) / 0.1).clip(0, 1).astype(np.float32)
    return (2 * cv2.GaussianBlur(forehead, (0, 0), max(_ROOT_REACH * frame.frame_px, 0.6))).clip(0, 1)


def _lightness_curve(levels: np.ndarray, wanted: float) -> np.ndarray:
    """Say which lightness each one from 0 to 100 becomes, [STEPS].

    Args:
        levels: of the hair, see `_Hair`.
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
    return light * (1 - far * unlit * min(max(middle / _BLACK, 0.3), 1))


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


def _dye_one(
    photo: np.ndarray, done: np.ndarray, hair: _Hair, others: Sequence[_Hair], dye: HairColor, tone: np.ndarray | None
) -> None:
    """Dye the hair of one head in `done`, in place; what lies under other heads as well is shared by them."""
    left, top, right, bottom = hair.head.box
    table = hair.curves(dye)
    light, green, blue = (np.ascontiguousarray(table[:, channel]) for channel in range(3))
    middle = float(hair.levels[1])
    lift = min(max(float(light[_steps(np.float32([middle]))[0]]) - middle, 0) / _MUCH, 1)
    width, height = right - left, bottom - top
    scale = np.array([[hair.near.shape[1] / width, 0, 0], [0, hair.near.shape[0] / height, 0]], np.float64)
    shared = [other for other in others if _meet(hair.head.box, other.head.box)]

    def work(rows: slice) -> None:
        share, matrix = hair.head.hair[rows], scale.copy()
        matrix[:, 2] = (0.5 * scale[0, 0] - 0.5, (rows.start + 0.5) * scale[1, 1] - 0.5)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP

        def enlarged(field: np.ndarray) -> np.ndarray:
            return cv2.warpAffine(field, matrix, share.shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)

        hints = enlarged(hair.hints).reshape(-1, 4)
        here = np.flatnonzero((share.ravel() > 0) | (hints[:, 0] * hints[:, 1] > 0))
        if not len(here):
            return

        def planes(values: np.ndarray) -> list[np.ndarray]:
            return [np.ascontiguousarray(plane) for plane in np.take(values, here, axis=0).T]

        into = done[top + rows.start : top + rows.stop, left:right]
        around = photo[top + rows.start : top + rows.stop, left:right]
        own = seen = _to_lab(np.take(around.reshape(-1, 3), here, axis=0)[None])[0]
        if lift > 0:  # what is brought out of the dark without its noise
            calm = _to_lab(np.take(cv2.blur(around, (3, 3)).reshape(-1, 3), here, axis=0)[None])[0]
            seen = own + (lift * (1 - calm[:, :1] / _NOISY).clip(0, 1)) * (calm - own)
        L, a, b = (np.ascontiguousarray(plane) for plane in seen.T)
        clear, about, roots, dressed = planes(hints)
        part = share.ravel()[here] * dressed
        edge = np.flatnonzero(clear > 0)
        fit = np.take(enlarged(hair.fit).reshape(-1, 4), here[edge], axis=0)
        like = (np.einsum("kc,kc->k", fit[:, :3], seen[edge]) + fit[:, 3]).clip(0, 1)
        part[edge] += clear[edge] * (like * about[edge] - part[edge])
        sure = part * part * part
        if shared:
            box = (left, top + rows.start, right, top + rows.stop)
            theirs = sum(_part_of(other.head, box).ravel()[here] for other in shared)
            part *= part / np.maximum(part + theirs, 1e-6)
        # Where hair covers a pixel in part, the hair around it tells what its own colour is.
        near_l, near_a, near_b, alike = planes(enlarged(hair.near).reshape(-1, 4))
        if lift > 0:
            part *= 1 - lift * alike * (1 - _smooth(L / _GROUND))
        L, a, b = (near + sure * (value - near) for value, near in ((L, near_l), (a, near_a), (b, near_b)))
        steps = _steps(L)
        new_l, new_a, new_b = light[steps], green[steps], blue[steps]
        if lift > 0:  # light hair has more contrast from strand to strand
            new_l += _STRANDS * lift * (new_l - light[_steps(near_l)])
        part *= dye.amount * (1 - _DARK_ROOTS * lift * roots)
        base = own if not shared else _to_lab(into.reshape(-1, 3)[here][None])[0]
        if tone is None:
            usual = (L * (1 / max(middle, 1.0))).clip(0, 1.3)
            new_a += _KEPT_HUE * (a - usual * hair.color[0])
            new_b += _KEPT_HUE * (b - usual * hair.color[1])
            moved = base + part[:, None] * np.stack([new_l - L, new_a - a, new_b - b], axis=1)
            codes = _to_codes(moved[None])[0]
        else:
            codes = _lightened(into.reshape(-1, 3)[here], base[:, 0], base[:, 0] + part * (new_l - L), tone)
        into[np.unravel_index(here, share.shape)] = codes

    in_strips(work, height, max(1, STRIP_PIXELS // max(width, 1)))


def _lightened(codes: np.ndarray, before: np.ndarray, after: np.ndarray, tone: np.ndarray) -> np.ndarray:
    """Pixels [N, 3] of a photo in one tone, RGB with 1 for red, with another lightness [N], uint8."""
    grey = np.linspace(0, 255, STEPS)
    scale = cv2.cvtColor((grey[None, :, None] * tone / 255).clip(0, 1).astype(np.float32), cv2.COLOR_RGB2LAB)[0, :, 0]
    more = np.interp(after, scale, grey) - np.interp(before, scale, grey)
    return (codes + more[:, None] * tone + 0.5).clip(0, 255).astype(np.uint8)


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


def _to_lab(codes: np.ndarray) -> np.ndarray:
    """[h, w, 3] uint8 -> float32 Lab."""
    return cv2.cvtColor(codes.astype(np.float32) * np.float32(1 / 255), cv2.COLOR_RGB2LAB)


def _to_codes(lab: np.ndarray) -> np.ndarray:
    """Bring float32 Lab [h, w, 3] to uint8; what sRGB lacks is clipped."""
    np.clip(lab[..., 0], 0, 100, out=lab[..., 0])
    rgb = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
    return (rgb.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def _lightness(luminance: float) -> float:
    return 116 * luminance ** (1 / 3) - 16 if luminance > 216 / 24389 else luminance * 24389 / 27
