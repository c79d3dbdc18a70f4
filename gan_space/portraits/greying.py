"""Turn brows, beards and stubble grey, strand by strand, or make them fuller and give grey ones their colour back.

Light strands turn first, and what is not darker than the skin around it never does. Silver hair is as light as the
light that falls on it allows, so what it becomes is told by the skin beside it, whatever the skin's own tone. Backwards
the person's own darkest hairs tell the colour (`OwnDark`); strands keep their order and their light.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.faces.landmarks import FACE_OVAL, LEFT_BROW, LEFT_EYE, LIPS_OUTER, RIGHT_BROW, RIGHT_EYE
from gan_space.faces.masks import draw_soft
from gan_space.faces.mesh import check_landmarks, face_frame
from gan_space.faces.monochrome import LUMA, find_tone
from gan_space.faces.regions import find_skin
from gan_space.images import smooth_step
from gan_space.portraits.light import agreed_hue, light_beside_mouth

_BROWS_GREY, _BEARD_GREY = 0.85, 0.8  # of hairs at a full step
_EVEN = (0.5, 0.35)  # of brows and beards that turns whatever the order of strands
_THROUGH, _NO_HAIR = (0.55, 0.0), 0.1  # of the skin's colour that shines through either; share of a hair that is skin
# Lightness of silver brows and beards beside skin: codes of 255, and a share of the skin's. How much of the way there
# either is lifted at once, and with the amount: beside silver hair brows are not black.
_SILVER = ((40.0, 0.62), (40.0, 0.5))
_LIFTED = ((0.3, 0.6), (0.3, 0.4))
_DARK_BROW = 0.55  # of that lightness, what a pixel lacks that is brow alone
_MOST_LIFT = 90.0  # codes
_STRAND, _TUFT = 0.02, 0.07  # face units: what is finer is a strand, told from those within this reach
_QUIET = 3.0  # codes; less contrast is no strand
_FIRST, _LAST = (0.6, 2.4), (-2.6, 0.6)  # deviations between which strands turn grey: the first ones, and all
_WARM = np.float32([0.5, 2.5])  # a* and b* of grey hair in white light
IN_LIGHT, IN_AGREED, _OFF_WARM = 0.5, 0.8, 0.3  # of the light's colour that silver takes; where eyes and skin agree
_PALES, _PALES_MORE = 0.4, 0.5  # of the colour of all hairs, and of those that are grey
_SKIN_AROUND = 0.25  # face units from which skin tells how much light falls on hairs
_ABOVE_BROW, _SKIN_NEAR = 0.25, 0.15  # face units above a brow where there is skin, and around there
_ENOUGH_SKIN = (0.3, 0.6)  # share of that
_HAIR_FROM, _HAIR_TO = 0.08, 0.3  # share of the skin's lightness that hairs are darker
_FULLER, _BROWS_FULLER = 0.15, 0.3  # how much darker hairs become with youth, of what they are darker than skin
# The darkest hairs: percentile of brows that is their own, brightness of the skin's that is the most, and codes that
# are the least. Their colour, of equal luma, is half what brows show, which skin shines through, and half black hair's.
_OWN_DARK, DARK_OF_SKIN, _DARKEST, _BLACK_HAIR = 20, 0.4, 20.0, np.float32([1.06, 0.99, 0.92])
BROWN = np.float32([1.2, 0.96, 0.8])  # where brows are as grey as the hair
# Grey hairs among skin: less colour than cheeks have, of their own lightness.
_PALER, _GREY_BEARD = (0.5, 0.85), (0.26, 0.44)  # of the skin's; of a chin, from which a beard is grey
_ROUGH_GREY = (0.75, 1.1)  # as `_ROUGH`, of one that its colour tells already
_BACK_BROAD, _BACK_FINE, _BACK = 0.3, 1.5, 0.9  # powers of light and of strands that stay, and most that turns
# Where beards grow, along the jaw from ear to ear and back below the nose, and how far below the mesh.
_BEARD = (132, 58, 136, 149, 152, 378, 365, 288, 361, 425, 327, 2, 98, 205)
_JAW, _LIPS_MIDDLE, _JAW_CORNERS, _HANGS = slice(0, 9), 13, (172, 397), 1.3
# Of wide ones, from ear to ear, and back over the cheeks, or, where they are dark, below these; how far they lie
# outside of the mesh, and how far from what surely is beard.
_WIDE_BEARD = (
    *(234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454),
)
_GREY_TOP, _SIDE_TOP = (330, 2, 101), (425, 327, 2, 98, 205)
_WIDE_JAW, _WIDE_HANGS, _GROWS, _GROWN_IN = slice(0, 21), 1.12, 0.6, 12
_THICK = 0.14  # face units: what is narrower is none
_GREY_BROWS = 0.5  # of grey brows that turn
_CHEEKS = (118, 119, 101, 347, 348, 330, 50, 280)
_ROUGH = (1.7, 2.3)  # fine contrast of a chin against that of cheeks: shaven, and bearded
_DARK = (0.95, 0.7)  # its lightness, likewise
# Where men with any beard have one: above the lip, and below it or beside the chin. Lightness of the cheeks', and fine
# contrast as a share of lightness, of the smoother half of cheeks: frames of glasses are none. A nose's shadow alone is
# dark there, and rough at its edge, hair that hangs over a jaw beside the chin.
_ABOVE_LIP, _BELOW_LIP = ((2, 37, 37), (2, 267, 267)), ((18, 200), (199,))
_BESIDE_CHIN = ((169,), (394,), (210,), (430,))
# Stubble is lighter, and a soft photo shows little contrast of it.
_PATCH, _DARK_PATCHES, _ROUGH_PATCH, _STRANDS_PATCH = 0.08, (0.58, 0.63), (1.8, 2.8), (0.028, 0.038)
_DOUBTED = (0.12, 0.25)  # less of both may be make-up
_STRANDS = (0.3, 0.75)  # fine contrast, of the beard's own, from which there are hairs: shade and background have none
_SURELY_STRANDS, _ROUGHEST = (0.6, 1.0), 70  # likewise, in the light; percentile that is the beard's own
_STRANDS_BESIDE = (0.9, 1.3)  # likewise where a wide one ends, and a wall begins that may be as dark
_STRANDS_BELOW = (0.5, 0.9)  # likewise where a beard hangs over neck and clothes, which have some contrast
_OTHER_COLOR = (0.4, 0.7)  # of the beard's a* and b*, as shares of lightness, that may differ, and may not
_LITTLE_COLOR = 0.25  # of those, which black beards have less of
_BEARD_NEAR = 0.2  # face units within which a beard tells its colour
_DARK_LIGHT = 8.0  # codes of lightness that hide noise in the dark
_BELOW = (1.0, 1.5)  # face units below the eyes from which a beard may hang over the mesh
# Face units beside the mouth to which it does: further on are neck and collar. How much further on a near side.
_BESIDE, _NEARER = (0.6, 0.9), 1.5
_UNIT_PX = 90.0  # of a face unit in which brows and beards are searched
_AROUND = 0.35  # face units around the mesh that are looked at


@dataclass(frozen=True, eq=False)
class Hairs:
    """Where a face has hairs, [h, w] float32, found in a smaller picture of a box.

    Attributes:
        box: left, top, right, bottom in whole photo pixels.
        brows: where brows are, with the skin between their hairs, 0 to 1.
        beard: where a beard is, 0 to 1.
        grey: where a beard is grey, also where it is no darker than skin, 0 to 1.
        around: lightness that skin has in the light there, in codes of 255.
        unit: face unit in photo px.
        in_color: False for a photo in one tone.
        silver: [2] a* and b* of grey hair in this light.
    """

    box: tuple[int, int, int, int]
    brows: np.ndarray
    beard: np.ndarray
    grey: np.ndarray
    around: np.ndarray
    unit: float
    in_color: bool
    silver: np.ndarray = field(default_factory=_WARM.copy)


def silver_tint(photo: Tensor, landmarks) -> np.ndarray:
    """Tell the colour that what is grey has in a photo's light, [3] float32 RGB of luma 1.

    Beside skin in warm light plain grey looks blue. Silver is warm or cool, hardly green or purple.
    """
    light, agreed = light_beside_mouth(photo, landmarks).mean(axis=0), IN_AGREED * agreed_hue(photo, landmarks)
    blue = max(IN_LIGHT * np.log(light[2] / light[0]), agreed[1], key=abs)
    green = blue / 2 + _OFF_WARM * (agreed[0] - agreed[1] / 2)
    tint = np.exp([0.0, green, blue]).astype(np.float32)
    return tint / float(tint @ np.float32(LUMA))


def find_hairs(photo: Tensor, landmarks, grey: bool = True) -> Hairs:
    """Find brows and beard.

    Args:
        photo: [3, H, W] uint8.
        landmarks: [468, 2] photo pixels.
        grey: whether to look for grey ones, too.
    """
    landmarks = check_landmarks(landmarks)
    unit, outline = face_frame(landmarks).frame_px, landmarks[list(FACE_OVAL)]
    left, top = np.floor(outline.min(axis=0) - _AROUND * unit).astype(int).clip(0, photo.shape[:0:-1])
    right, bottom = np.ceil(outline.max(axis=0) + _AROUND * unit).astype(int).clip(0, photo.shape[:0:-1])
    box = (int(left), int(top), int(right), int(bottom))
    part = np.ascontiguousarray(photo[:, top:bottom, left:right].permute(1, 2, 0).cpu().numpy())
    if not part.size:
        return Hairs(box, *(np.zeros((0, 0), np.float32) for _ in range(4)), unit, True)
    scale = min(1.0, _UNIT_PX / unit)
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    small = cv2.resize(part, size, interpolation=cv2.INTER_AREA) if scale < 1 else part
    points = (landmarks - box[:2]) * (small.shape[1] / part.shape[1], small.shape[0] / part.shape[0])
    in_color = find_tone(photo, landmarks) is None
    grey_now = (128 * silver_tint(photo, landmarks)).clip(0, 255).astype(np.uint8)
    silver = _WARM + cv2.cvtColor(grey_now[None, None], cv2.COLOR_RGB2LAB)[0, 0, 1:].astype(np.float32) - 128
    return Hairs(box, *_find_zones(small, points, grey and in_color), unit, in_color, silver)


def _find_zones(
    picture: np.ndarray, points: np.ndarray, look_for_grey: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Find brows, beard, grey beard and the light on skin in [h, w, 3] uint8, given landmarks in its pixels."""
    size, frame = picture.shape[:2], face_frame(points)
    unit, box = frame.frame_px, (0, 0, picture.shape[1], picture.shape[0])
    light = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)[..., 0].astype(np.float32)

    def part(outlines: list[np.ndarray], feather: float) -> np.ndarray:
        return draw_soft(outlines, size, feather * unit, box).values

    lips = part([points[list(LIPS_OUTER)]], 0.04)
    eyes = part([points[list(LEFT_EYE)], points[list(RIGHT_EYE)]], 0.1)
    brows = part([points[list(LEFT_BROW)], points[list(RIGHT_BROW)]], 0.12)
    brows = (2.0 * brows).clip(0, 1) * (1 - (2 * eyes).clip(0, 1))
    beard = _beard_zone(points, part) * (1 - lips)
    face = part([points[list(FACE_OVAL)]], 0.05)
    skin = find_skin(points, torch.from_numpy(picture).permute(2, 0, 1), box) * face
    # Brows have skin above them, in whatever light; hair that hangs over them has not.
    up = frame.inverse.matrix[:, :2] @ (0, -_ABOVE_BROW)
    forehead = part([points[list(one)] + up for one in (LEFT_BROW, RIGHT_BROW)], 0.02) * face
    rows, lit = np.flatnonzero(forehead.any(axis=1)), np.zeros_like(skin)
    if len(rows):
        strip = (0, int(rows[0]), size[1], int(rows[-1]) + 1)
        pixels = torch.from_numpy(picture).permute(2, 0, 1)
        lit[strip[1] : strip[3]] = find_skin(points, pixels, strip, any_light=True)
    near, there = (cv2.GaussianBlur(one, (0, 0), _SKIN_NEAR * unit) for one in (lit * forehead, forehead))
    brows *= smooth_step(near / (there + 1e-3), *_ENOUGH_SKIN)
    bare = skin * (beard < 0.05) * (brows < 0.05) * (lips < 0.05)
    around = _skin_beside(light, bare.astype(np.float32), unit)
    fine = np.abs(light - cv2.GaussianBlur(light, (0, 0), max(0.02 * unit, 0.6)))
    much, own, rough = _beardedness(light, fine, points, beard * face)
    grey, pale = np.zeros_like(beard), _paleness(picture, points, unit) if look_for_grey else None
    chin = beard * face > 0.8
    rough *= float(smooth_step(np.float32(pale[chin].mean()), *_GREY_BEARD)) if pale is not None and chin.any() else 0
    if much or rough:
        y, x = np.mgrid[0 : size[0], 0 : size[1]] + 0.5
        places = frame.apply(np.stack([x, y], axis=-1).reshape(-1, 2)).reshape(*size, 2)
        middle, left, right = frame.apply(points[[_LIPS_MIDDLE, *_JAW_CORNERS]])[:, 0]
        side = places[..., 0] - middle  # a turned face shows more of one
        nearer = np.float32([middle - left, right - middle]) / max((right - left) / 2, 1e-3)
        side = np.abs(side) / np.where(side < 0, *nearer.clip(1, _NEARER))
        strands = cv2.GaussianBlur(fine, (0, 0), 0.05 * unit) / max(own, 1.0)
        hangs = smooth_step(places[..., 1], *_BELOW) * (1 - smooth_step(side, *_BESIDE))
        hangs *= smooth_step(strands, *_STRANDS_BELOW)

        def grown(hairs: np.ndarray) -> np.ndarray:
            found = beard * (face + (1 - face) * hangs * _in_color_of(picture, beard * face * hairs, unit))
            found *= smooth_step(strands, *_STRANDS)
            # Between the hairs of a beard there is no bare skin.
            return found * cv2.GaussianBlur(hairs * found, (0, 0), max(0.03 * unit, 0.6))

        if rough:
            grey = grown(pale)
            wide = part([_jaw_around(points, _GREY_TOP)], 0.1) * (1 - lips)
            grey = _reached(grey, wide * pale * smooth_step(strands, *_STRANDS_BELOW), unit)
            grey = rough * cv2.GaussianBlur(grey, (0, 0), max(0.02 * unit, 0.6))
        if much:
            # Strands in the light are no darker than skin.
            hairs = np.maximum(_hairs_on_skin(light, around), smooth_step(strands, *_SURELY_STRANDS))
            own = _in_color_of(picture, beard * face * hairs, unit)
            wide = part([_jaw_around(points, _SIDE_TOP)], 0.1) * (1 - lips) * own * hairs
            beside = smooth_step(strands, *_STRANDS_BESIDE) * (1 - smooth_step(places[..., 1], *_BELOW))
            wide *= face * smooth_step(strands, *_STRANDS) + (1 - face) * beside
            beard = grown(hairs)
            # The edge of a cheek is a line, no hairs.
            thick = np.ones((max(3, round(_THICK * unit)),) * 2)
            beard = _reached(beard, cv2.morphologyEx(np.maximum(beard, wide), cv2.MORPH_OPEN, thick), unit)
    if pale is not None:
        grey = np.maximum(grey, _GREY_BROWS * brows * pale)
    return brows.astype(np.float32), (much * beard).astype(np.float32), grey.astype(np.float32), around


@dataclass(frozen=True, eq=False)
class OwnDark:
    """What grey hairs of a person turn to with youth.

    Attributes:
        bright: of the darkest hairs, in codes of 255.
        tint: [3] RGB of luma 1.
        believed: how far pale hairs are believed to be grey, and not fair or dyed, 0 to 1.
    """

    bright: float
    tint: np.ndarray
    believed: float = 1.0

    @property
    def lab(self) -> np.ndarray:
        """[3] lightness, a* and b*, of 255."""
        rgb = (self.bright * self.tint).clip(0, 255).round().astype(np.uint8)
        return cv2.cvtColor(rgb[None, None], cv2.COLOR_RGB2LAB)[0, 0].astype(np.float32)


def find_own_dark(
    photo: Tensor, hairs: Hairs, skin: float, hair_dark: float | None = None, believed: float = 1.0
) -> OwnDark:
    """Find the colour that grey hairs had, by brows and, where it is known, the darkest of the hair.

    Args:
        photo: [3, H, W] uint8.
        skin: brightness of lit skin, of 255.
        hair_dark: likewise of the darkest hair of the head.
        believed: as `OwnDark` says.
    """
    most = DARK_OF_SKIN * skin
    bright = min(most, 255.0 if hair_dark is None else hair_dark)
    left, top, right, bottom = hairs.box
    step = max(1, round((right - left) / max(hairs.brows.shape[1], 1)))
    small = photo[:, top:bottom:step, left:right:step].permute(1, 2, 0).cpu().numpy().astype(np.float32)
    brows = cv2.resize(hairs.brows, small.shape[1::-1]) > 0.6 if hairs.brows.size else np.zeros(small.shape[:2], bool)
    tint = BROWN
    if brows.sum() >= 20:
        colors = small[brows]
        luma = colors @ np.float32(LUMA)
        own = float(np.percentile(luma, _OWN_DARK))
        shown = colors[luma <= own].mean(axis=0)
        bright = min(bright, own)
        known = 1 - float(smooth_step(np.float32(own / max(skin, 1.0)), DARK_OF_SKIN, 1.6 * DARK_OF_SKIN))
        tint = BROWN + known * (0.5 * shown / max(float(shown @ np.float32(LUMA)), 1.0) + 0.5 * _BLACK_HAIR - BROWN)
    tint = np.ones(3, np.float32) if not hairs.in_color else tint / float(tint @ np.float32(LUMA))
    return OwnDark(max(bright, _DARKEST), tint.astype(np.float32), believed)


def _paleness(picture: np.ndarray, points: np.ndarray, unit: float) -> np.ndarray:
    """How little colour for their light pixels have against the cheeks, [h, w] 0 to 1."""
    lab = cv2.GaussianBlur(picture, (0, 0), max(0.02 * unit, 0.6))
    lab = cv2.cvtColor(lab, cv2.COLOR_RGB2LAB).astype(np.float32)
    chroma = np.linalg.norm(lab[..., 1:] - 128, axis=2) / (lab[..., 0] + _DARK_LIGHT)
    x, y = points[list(_CHEEKS)].astype(int).clip(0, np.array(chroma.shape[::-1]) - 1).T
    return 1 - smooth_step(chroma / max(float(np.median(chroma[y, x])), 1e-3), *_PALER)


def change_hairs(photo: Tensor, hairs: Hairs, amount: float, beard: float = 1.0, dark: OwnDark | None = None) -> None:
    """Turn hairs grey, or with youth fuller and grey ones dark, in place.

    Args:
        photo: [3, H, W] uint8.
        amount: 1 for the oldest, -1 for the youngest.
        beard: times the amount for beards and brows, up to 1.25.
        dark: what grey hairs turn to with youth, and how far pale ones are believed to be grey; without it they stay.
    """
    if not amount:
        return
    _change_zone(photo, hairs, hairs.brows, min(beard * amount, 1 / _BROWS_GREY), _BROWS_GREY, one_by_one=True)
    _change_zone(photo, hairs, hairs.beard, beard * amount, _BEARD_GREY, one_by_one=False)
    if amount < 0 and dark is not None:
        _change_zone(photo, hairs, hairs.grey, dark.believed * amount, _BACK, one_by_one=False, dark=dark)


def _change_zone(
    photo: Tensor,
    hairs: Hairs,
    zone: np.ndarray,
    amount: float,
    most: float,
    one_by_one: bool,
    dark: OwnDark | None = None,
) -> None:
    rows, columns = (np.flatnonzero((zone > 0.004).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return
    cut = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    across = (hairs.box[2] - hairs.box[0]) / zone.shape[1]
    down = (hairs.box[3] - hairs.box[1]) / zone.shape[0]
    left, right = (hairs.box[0] + round(edge.item() * across) for edge in (columns[0], columns[-1] + 1))
    top, bottom = (hairs.box[1] + round(edge.item() * down) for edge in (rows[0], rows[-1] + 1))
    size = (right - left, bottom - top)
    hair, around = (cv2.resize(one[cut], size, interpolation=cv2.INTER_LINEAR) for one in (zone, hairs.around))
    part = photo[:, top:bottom, left:right]
    before = np.ascontiguousarray(part.permute(1, 2, 0).cpu().numpy())
    lab = cv2.cvtColor(before, cv2.COLOR_RGB2LAB).astype(np.float32)
    light, colors = lab[..., 0], None if hairs.in_color else lab[..., 1:].copy()
    if one_by_one:
        hair *= _hairs_on_skin(light, around)
    if dark is not None:
        _turn_dark(lab, hair, -most * amount, dark.lab, hairs)
    elif amount < 0:  # fuller
        light += (_BROWS_FULLER if one_by_one else _FULLER) * amount * hair * (around - light).clip(0, None)
    else:
        kind = 0 if one_by_one else 1
        _turn_grey(lab, hair, around, most * amount, hairs, kind)
        if colors is not None:
            lab[..., 1:] = colors
    drawn = cv2.cvtColor(np.round(lab).clip(0, 255).astype(np.uint8), cv2.COLOR_LAB2RGB)
    part.copy_(torch.from_numpy(np.where((hair > 0.004)[..., None], drawn, before)).permute(2, 0, 1))


def _hairs_on_skin(light: np.ndarray, around: np.ndarray) -> np.ndarray:
    """How much darker than the skin around them pixels are, 0 for skin to 1 for hairs."""
    return smooth_step(1 - light / np.maximum(around, 1), _HAIR_FROM, _HAIR_TO).astype(np.float32)


def _turn_grey(lab: np.ndarray, hair: np.ndarray, around: np.ndarray, amount: float, hairs: Hairs, kind: int) -> None:
    even, through, silver, lifted = _EVEN[kind], _THROUGH[kind], _SILVER[kind], _LIFTED[kind]
    light, unit = lab[..., 0], hairs.unit
    tuft = cv2.GaussianBlur(light, (0, 0), max(_STRAND * unit, 0.8))
    band = cv2.GaussianBlur(light, (0, 0), 0.5) - tuft
    spread = np.sqrt(cv2.GaussianBlur(band * band, (0, 0), _TUFT * unit)) + _QUIET
    low, high = (first + (last - first) * amount for first, last in zip(_FIRST, _LAST, strict=True))
    grey = smooth_step(band / spread, low, high).astype(np.float32)
    hair = hair * min(4 * amount, 1)
    silver = silver[0] + silver[1] * around
    # Light and shade of a beard stay. What shines between the hairs of a thin brow is skin, no light on hairs.
    weight, reach = hair + 1e-3, max(0.05 * unit, 1.0)
    broad = cv2.GaussianBlur(light * weight, (0, 0), reach) / cv2.GaussianBlur(weight, (0, 0), reach)
    lift = (silver - broad).clip(0, _MOST_LIFT) * (lifted[0] + lifted[1] * amount)
    lift = lift * (even * amount + (1 - even) * grey) * hair
    if kind == 0:  # what is partly skin, at the edge of a brow, is no light line beside it
        lift *= smooth_step(1 - light / silver, 0, _DARK_BROW)
    lab[..., 0] = light + lift
    pales = hair * (_PALES * amount + _PALES_MORE * grey)
    silver = 128 + hairs.silver
    skin = lab[hair < _NO_HAIR]
    if through and len(skin):  # else thin grey brows are blue beside skin
        silver = silver + through * (np.median(skin[:, 1:], axis=0) - silver)
    lab[..., 1:] += pales[..., None] * (silver - lab[..., 1:])


def _turn_dark(lab: np.ndarray, hair: np.ndarray, amount: float, dark: np.ndarray, hairs: Hairs) -> None:
    light = lab[..., 0]
    broad = cv2.GaussianBlur(light, (0, 0), max(_TUFT * hairs.unit, 1.0))
    wanted = dark[0] * (np.maximum(broad, dark[0]) / dark[0]) ** _BACK_BROAD
    wanted = wanted * ((light + _DARK_LIGHT) / (broad + _DARK_LIGHT)) ** _BACK_FINE
    share = amount * hair * (light > 0)
    darker = np.minimum(wanted - light, 0)
    light += share * darker
    if hairs.in_color:
        colors = 128 + (dark[1:] - 128) * ((wanted + _DARK_LIGHT) / (dark[0] + _DARK_LIGHT))[..., None]
        lab[..., 1:] += share[..., None] * (colors - lab[..., 1:])


def _jaw_around(points: np.ndarray, top: tuple[int, ...]) -> np.ndarray:
    """Outline of the jaw from ear to ear and what hangs over it, back along a top, for beards wider than most."""
    rim = points[[*_WIDE_BEARD, *top]].astype(np.float64)
    rim[_WIDE_JAW] = points[_LIPS_MIDDLE] + _WIDE_HANGS * (rim[_WIDE_JAW] - points[_LIPS_MIDDLE])
    return rim


def _reached(start: np.ndarray, allowed: np.ndarray, unit: float) -> np.ndarray:
    """Let [h, w] grow over what is allowed and hangs together with it."""
    step = max(1, round(_GROWS / _GROWN_IN * unit))
    kernel = np.ones((2 * step + 1, 2 * step + 1))
    grown = start
    for _ in range(_GROWN_IN):
        grown = np.minimum(cv2.dilate(grown, kernel), allowed)
    return np.maximum(start, grown)


def _beard_zone(landmarks: np.ndarray, part) -> np.ndarray:
    rim = landmarks[list(_BEARD)].astype(np.float64)
    middle = landmarks[_LIPS_MIDDLE]
    rim[_JAW] = middle + _HANGS * (rim[_JAW] - middle)
    return part([rim], 0.2)


def _beardedness(
    light: np.ndarray, fine: np.ndarray, points: np.ndarray, zone: np.ndarray
) -> tuple[float, float, float]:
    """Tell stubble and beards, which are rough and dark, from shaven skin, 0 to 1; how rough the chin is, in codes; and
    how sure that it is rougher than cheeks, 0 to 1.
    """
    chin, unit = zone > 0.8, face_frame(points).frame_px

    def around(places: tuple[tuple[int, ...], ...], radius: float) -> list[np.ndarray]:
        found = []
        for x, y in (points[list(place)].mean(axis=0) for place in places):
            patch = np.zeros(light.shape, np.uint8)
            cv2.circle(patch, (int(x), int(y)), max(1, int(radius * unit)), 1, -1)
            found += [patch > 0] if patch.any() else []
        return found

    cheeks = around(tuple((place,) for place in _CHEEKS), 0.06)
    if not cheeks or not chin.any():
        return 0.0, 1.0, 0.0
    all_cheeks = np.any(cheeks, axis=0)
    lit = max(float(np.median(light[all_cheeks])), 1.0)
    rougher = float(fine[chin].mean()) / (float(fine[all_cheeks].mean()) + 0.5)
    # A goatee is a part of it.
    own = float(np.percentile(cv2.GaussianBlur(fine, (0, 0), 0.05 * unit)[chin], _ROUGHEST))
    dark = float(np.median(light[chin])) / lit
    much = np.interp(rougher, _ROUGH, (0, 1)) * np.interp(-dark, (-_DARK[0], -_DARK[1]), (0, 1))
    cheeks.sort(key=lambda one: float(fine[one].mean() / max(float(np.median(light[one])), 1.0)))
    bare = np.any(cheeks[: (len(cheeks) + 1) // 2], axis=0)
    lit = max(float(np.median(light[bare])), 1.0)
    smooth = float(fine[bare].mean() + 0.5) / lit

    def hairy(places: tuple[tuple[int, ...], ...]) -> tuple[float, float]:
        """How surely there are hairs by their contrast, 0 to 1, and how light it is, of the cheeks' lightness."""
        patches = around(places, _PATCH)
        if not patches:
            return 0.0, 1.0
        patch = np.any(patches, axis=0)
        level = max(float(np.median(light[patch])), 1.0)
        strands = float(fine[patch].mean()) / level
        seen = np.interp(strands / smooth, _ROUGH_PATCH, (0, 1)) * np.interp(strands, _STRANDS_PATCH, (0, 1))
        return float(seen), level / lit

    above, level = hairy(_ABOVE_LIP)
    for below, other in (hairy(_BELOW_LIP), hairy(_BESIDE_CHIN)):
        much = max(much, min(above, below) * np.interp((level + other) / 2, _DARK_PATCHES, (1, 0)))
    return float(much * np.interp(much, _DOUBTED, (0, 1))), own, float(np.interp(rougher, _ROUGH_GREY, (0, 1)))


def _in_color_of(picture: np.ndarray, beard: np.ndarray, unit: float) -> np.ndarray:
    """How much what is around a beard has its colour, light or in shade, 0 to 1; collars have another."""
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB).astype(np.float32)
    light, colors = lab[..., :1] + _DARK_LIGHT, lab[..., 1:] - 128
    colors = np.dstack([colors, light])
    seen = cv2.GaussianBlur(colors, (0, 0), max(0.03 * unit, 0.6))
    step = max(1, int(_BEARD_NEAR * unit / 4))  # so wide a mean needs no pixels
    size = (max(1, light.shape[1] // step), max(1, light.shape[0] // step))
    known = cv2.resize(colors * beard[..., None], size, interpolation=cv2.INTER_AREA)
    known = cv2.GaussianBlur(known, (0, 0), _BEARD_NEAR * unit / step)
    known = cv2.resize(known, light.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    seen, known = (one[..., :2] / (one[..., 2:] + 1e-6) for one in (seen, known))
    apart = np.linalg.norm(seen - known, axis=2) / np.maximum(np.linalg.norm(known, axis=2), _LITTLE_COLOR)
    return (1 - smooth_step(apart, *_OTHER_COLOR)).astype(np.float32)


def _skin_beside(light: np.ndarray, bare: np.ndarray, unit: float) -> np.ndarray:
    step = max(1, int(_SKIN_AROUND * unit / 8))  # so wide a mean needs no pixels
    size = (max(1, light.shape[1] // step), max(1, light.shape[0] // step))
    weight = cv2.resize(bare, size, interpolation=cv2.INTER_AREA)
    product = cv2.resize(light * bare, size, interpolation=cv2.INTER_AREA)
    known = float(product.sum() / max(float(weight.sum()), 1e-6)) or 128.0
    weight, product = (cv2.GaussianBlur(one, (0, 0), _SKIN_AROUND * unit / step) for one in (weight, product))
    around = (product + 0.02 * known) / (weight + 0.02)
    return cv2.resize(around, light.shape[::-1], interpolation=cv2.INTER_LINEAR)
