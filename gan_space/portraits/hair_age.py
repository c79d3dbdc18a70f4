"""Turn the hair of a head grey, strand by strand, or give grey hair some of its colour back.

Grey is a dye like others (`portraits/hair_dye.py`): as light as the light on the head allows. Temples, what is above
the ears, and the hair line take it first, lengths last; among neighbours the lighter strands do.

What is known of the hair does not depend on the amount, so it is found once for a photo and moves along with its shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.faces.hair_colors import own_hair, with_missed
from gan_space.faces.head import Head, SegmenterLike
from gan_space.faces.landmarks import FACE_OVAL, LandmarkerLike
from gan_space.faces.mesh import Flow, check_landmarks, face_frame
from gan_space.faces.monochrome import LUMA, find_tone
from gan_space.faces.pigment import luminance, parse_color, to_linear
from gan_space.images import smooth_step
from gan_space.photos.opening import to_rows
from gan_space.portraits.greying import BROWN, DARK_OF_SKIN, OwnDark, silver_tint
from gan_space.portraits.hair_dye import HairColors, dye, luminance_of
from gan_space.portraits.light import find_blur
from gan_space.portraits.portrait import Portrait

_LUMA = np.float32(LUMA)
_UNIT_PX = 110.0  # of a face unit at most, in which strands are told apart
_COARSE_PX = 20.0  # likewise for light and order, which are smooth
_SURE = (0.2, 0.95)  # of the mask, between which pixels begin to turn, and turn wholly
_FIRM = 0.6  # of the mask, from which it is hair that tells how light hair is
# Order, 0 to 1, in which hair turns: sideways of the temples, above the hair line, elsewhere, lengths.
_TEMPLES, _TEMPLE_REACH = ((127, 162, 21), (356, 389, 251)), 0.55
_LINE_ORDER, _LINE_REACH = 0.72, 0.32
_REST_ORDER, _LENGTHS_ORDER = 0.38, 0.12
_LENGTHS = (0.6, 1.6)  # face units below the eyes
_AHEAD = 0.7  # how much earlier, in steps of the whole, the first hair turns than the last
_SLOWLY, _MOST_GREY = 1.4, 0.95  # power with which strands turn; how many of them, at the end
_SILVER = "#a2a2a2"  # on hair in even light
_LIGHT_REACH = 0.14  # face units over which light falls evenly on hair
_BLURRED = (0.008, 0.018)  # face units of blur in a photo, between which its finest detail is no strands but noise
_HUE = 0.9  # power of the light's
_MATTE, _GLOSS = 0.1, 12.0  # share that grey hair loses with its light of what is brighter by more than these codes
_GREY_STAYS = 0.6  # of all this, what hair that is grey lacks
_WARM = np.float32([1.03, 1.0, 0.955])  # silver against grey
# How much brighter than hair what is behind it is: codes, and shares of what hair is lifted by, and of its colour.
_BEHIND, _THROUGH, _RICH = 85.0, 0.8, 0.9
# Face units below the eyes between which a beard is left alone, fading in and out; how much of what hangs lower is not.
_BEARD_FROM, _BEARD_TO, _BEARD_BELOW = (0.15, 0.5), (0.7, 1.4), 0.7
# Where hair ends a pixel is a mixture of it and what is beside it: face units, of the mask blurred by them, and codes.
_EDGE, _INSIDE, _BESIDE_REACH, _LEAST_APART = 0.06, (0.65, 0.99), 0.1, 25.0
_EDGE_SEEN = 0.12  # face units
_YOUNG_DARK, _YOUNG_RICH = 0.08, 0.12  # how much darker and richer hair is at the youngest
_GREY_BACK = 0.95  # of the way that grey hair goes to the person's own dark colour
_GREY_ALL = (0.35, 0.65)  # mean greyness from which what is left of other hair goes along, and wholly
_SKIN_CHROMA = (0.42, 0.6)  # of its own brightness, that skin has and warm light does not give grey hair
_BACK_BROAD, _BACK_FINE = 0.3, 0.85  # powers of light and of strands that stay
_DARKEST = 15  # percentile of hair that is its own dark
_GREY_HEAD = (0.15, 0.5)  # mean of that, from which a head is grey: a dull lock among blond ones is none
_GREY_CHROMA, _GREY_LIGHT = (0.26, 0.42), (0.42, 0.62)  # share of hair's own brightness, and of the skin's
# Fine contrast of hair, of the skin's, and its brightness, likewise: up to where it is a bald head, from where on none.
# Face units that are fine, and around landmarks where there is skin.
_AS_SMOOTH, _AS_LIGHT, _FINE, _SKIN_AT = (1.3, 1.7), (0.95, 0.8), (0.02, 0.08), (151, 9, 118, 347)
_ROWS = 48  # that are drawn at once


@dataclass(frozen=True, eq=False)
class Hair:
    """Hair of one head and what of it does not change with the amount; maps are smaller than the photo.

    Attributes:
        box: left, top, right, bottom in whole photo pixels, of the hair alone.
        colors: of the hair in the box, and what of its pixels is hair.
        order: [c, d] float32, 1 where hair turns first, 0 where it turns last.
        grey: [c, d] float32, how grey it is already, 0 to 1.
        grey_head: how grey all of it is.
        bare: [c, d] float32, where a grey or a bald head has skin for hair, 0 to 1.
        beard: [c, d] float32, where it is a beard, 0 to 1, which does not turn grey here.
        light: [c, d] float32, how bright hair is around there, codes of 255.
        chroma: [c, d] float32, largest difference of its channels, likewise.
        dark: brightness of its darkest strands.
        edge: [a, b] float32, 1 where hair ends, 0 inside of it.
        beside: [c, d] float32, how bright what is no hair is around there, codes of 255.
        skin: brightness of the skin.
        tint: [3] RGB of grey in this photo.
        in_color: False for a photo in one tone.
        soft: how far the finest that the photo shows is noise, 0 to 1.
    """

    box: tuple[int, int, int, int]
    colors: HairColors
    order: np.ndarray
    grey: np.ndarray
    grey_head: float
    bare: np.ndarray
    beard: np.ndarray
    light: np.ndarray
    chroma: np.ndarray
    dark: float
    edge: np.ndarray
    beside: np.ndarray
    skin: float
    tint: np.ndarray
    in_color: bool
    soft: float

    def moved(self, flow: Flow) -> Hair:
        """Take the hair along with a photo whose shape changes."""
        return replace(self, colors=self.colors.moved(lambda field: _moved(field, self.box, flow)))


def hair_of(
    portrait: Portrait, landmarker: LandmarkerLike, segmenter: SegmenterLike | None, flows: Sequence[Flow] = ()
) -> Hair | None:
    """Find the hair of the one chosen face, once for a portrait, and take it along with flows.

    Returns:
        None without a segmenter, or without hair.
    """
    if segmenter is None:
        return None

    def find() -> Hair | None:
        (marks,), (head,) = portrait.landmarks(landmarker), portrait.heads(segmenter)
        return find_hair(portrait.pixels, marks.points, head)

    hair = portrait.remember_at_this_size("hair", [landmarker, segmenter], find)
    for flow in flows if hair is not None else ():
        hair = hair.moved(flow)
    return hair


def _moved(field: np.ndarray, box: tuple[int, int, int, int], flow: Flow) -> np.ndarray:
    """Take a field over a box of the photo along with a flow."""
    height, width = field.shape[:2]
    step = np.float32([(box[2] - box[0]) / width, (box[3] - box[1]) / height])  # photo px
    from_x, from_y = (np.float32(flow.box[:2]) - box[:2]) / step
    to_x, to_y = (np.float32(flow.box[2:]) - box[:2]) / step
    left, top = max(0, int(from_x)), max(0, int(from_y))
    right, bottom = min(width, int(to_x) + 1), min(height, int(to_y) + 1)
    if right <= left or bottom <= top:
        return field
    # Middles of the field's pixels, among the middles of the flow's cells.
    across, down = step / flow.cell_px
    into = np.float32([[across, 0, (left + 0.5 - from_x) * across - 0.5], [0, down, (top + 0.5 - from_y) * down - 0.5]])
    size = (right - left, bottom - top)
    shift = cv2.warpAffine(flow.shift, into, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    shift *= 1 / step
    shift[..., 0] += np.arange(left, right, dtype=np.float32)
    shift[..., 1] += np.arange(top, bottom, dtype=np.float32)[:, None]
    moved = field.copy()
    moved[top:bottom, left:right] = cv2.remap(field, shift, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return moved


def find_hair(photo: Tensor, landmarks, head: Head) -> Hair | None:
    """Find strands, their order and the light on them; None without hair.

    Args:
        photo: [3, H, W] uint8.
        landmarks: [468, 2] photo pixels.
        head: from `gan_space.faces.head.find_head`, of the same photo.
    """
    landmarks = check_landmarks(landmarks)
    if 0 in head.hair.shape:
        return None
    tone = find_tone(photo, landmarks)
    tint = _WARM * silver_tint(photo, landmarks) if tone is None else tone
    pixels = to_rows(photo)
    head = with_missed(pixels, head, landmarks)
    share = own_hair(pixels, head, landmarks, tint) if tone is None else head.hair
    rows, columns = (np.flatnonzero((share > _SURE[0]).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    frame = face_frame(landmarks)
    unit = frame.frame_px
    around = int(_EDGE_SEEN * unit) + 1  # hair ends there, which is seen from outside
    top, left = max(0, rows[0] - around), max(0, columns[0] - around)
    cut = (slice(top, rows[-1] + 1 + around), slice(left, columns[-1] + 1 + around))
    share = np.ascontiguousarray(share[cut])
    left, top = head.box[0] + int(left), head.box[1] + int(top)
    box = (left, top, left + share.shape[1], top + share.shape[0])
    part = np.ascontiguousarray(pixels[box[1] : box[3], box[0] : box[2]])

    mask = smooth_step(share, *_SURE).astype(np.float32)
    here = Head((0, 0, *share.shape[::-1]), mask, mask)
    colors = HairColors.measure(part, here, landmarks - (left, top))
    if colors is None:
        return None

    def smaller(one: np.ndarray, unit_px: float) -> np.ndarray:
        scale = min(1.0, unit_px / unit)
        size = (max(1, round(one.shape[1] * scale)), max(1, round(one.shape[0] * scale)))
        return cv2.resize(one, size, interpolation=cv2.INTER_AREA) if size != one.shape[1::-1] else one

    small = smaller(part, _UNIT_PX)
    weight = smaller(mask, _UNIT_PX)
    bright = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    coarse, share = smaller(part, _COARSE_PX).astype(np.float32), smaller(mask, _COARSE_PX)
    step = coarse.shape[1] / part.shape[1]
    level = coarse @ _LUMA
    light, chroma = _mean_in(np.dstack([level, np.ptp(coarse, axis=2)]), share**2, _LIGHT_REACH * unit * step)
    beside = _mean_in(np.dstack([level, level]), (1 - share) ** 2, _BESIDE_REACH * unit * step)[0]
    inside = cv2.GaussianBlur(weight, (0, 0), max(_EDGE * unit * small.shape[1] / part.shape[1], 0.6))
    skin = skin_brightness(photo, landmarks)
    tint = (tint / (tint @ _LUMA)).astype(np.float32)
    x, y = _places(coarse.shape[:2], box, frame)
    grey, grey_head = _greyness(light, chroma / np.maximum(light, 1), share, skin)
    colorful = smooth_step(chroma / np.maximum(light, 1), *_SKIN_CHROMA)
    return Hair(
        box=box,
        colors=colors,
        order=_order(x, y, frame.apply(landmarks)),
        grey=grey,
        grey_head=grey_head,
        bare=np.maximum(smooth_step(np.float32(grey_head), *_GREY_ALL) * colorful, _bald(photo, head, landmarks, skin)),
        beard=np.zeros_like(grey),
        light=light,
        chroma=chroma,
        dark=float(np.percentile(bright[weight > min(_FIRM, 0.9 * float(weight.max()))], _DARKEST)),
        edge=(1 - smooth_step(inside, *_INSIDE)).astype(np.float32),
        beside=beside,
        skin=skin,
        tint=tint,
        in_color=tone is None,
        soft=float(smooth_step(np.float32(find_blur(photo, landmarks) / unit), *_BLURRED)),
    )


def beside_beard(hair: Hair, landmarks: np.ndarray) -> Hair:
    """Leave what of the hair is a beard beside the mouth to `greying.change_hairs`, which knows it strand by strand.

    Masks take beards for hair from somewhere on a cheek on; turned silver there they would end in a line.
    """
    _, y = _places(hair.order.shape, hair.box, face_frame(landmarks))
    return replace(hair, beard=smooth_step(y, *_BEARD_FROM) * (1 - _BEARD_BELOW * smooth_step(y, *_BEARD_TO)))


def change_hair(photo: Tensor, hair: Hair, amount: float, own: OwnDark | None = None) -> None:
    """Turn hair grey, or grey hair dark, in place.

    Args:
        photo: [3, H, W] uint8, with the hair where `hair` says.
        amount: 1 for the oldest, -1 for the youngest.
        own: what grey hair turns to with youth; by the hair itself if left out.
    """
    if not amount:
        return
    if amount > 0:
        _turn_grey(photo, hair, amount)
    else:
        own = own or OwnDark(min(hair.dark, DARK_OF_SKIN * hair.skin), BROWN)
        _draw(photo, hair, _younger(hair, -amount, own), own.tint if hair.in_color else hair.tint)


def _turn_grey(photo: Tensor, hair: Hair, amount: float) -> None:
    """Dye hair in the grey that the light on it allows, as far as its time has come."""
    turned = (amount * (1 + _AHEAD) - _AHEAD * (1 - hair.order)).clip(0, 1) ** _SLOWLY * _MOST_GREY
    turned *= (1 - _GREY_STAYS * hair.grey) * (1 - hair.bare) * (1 - hair.beard)
    colors, (left, top, right, bottom) = hair.colors, hair.box
    # Hair that is lighter than silver stays as light.
    light = max(float(luminance(parse_color(_SILVER) * colors.white)), luminance_of(colors.levels[1]))
    silver = to_linear((128 * hair.tint**_HUE).clip(0, 255).astype(np.uint8))
    silver *= light / luminance(silver)
    part = to_rows(photo[:, top:bottom, left:right])
    done, tone = part.copy(), None if hair.in_color else hair.tint / hair.tint[0]
    dye(part, done, colors, silver, turned, tone=tone, greying=True, soft=hair.soft)
    photo[:, top:bottom, left:right] = torch.from_numpy(done).permute(2, 0, 1)


def _draw(photo: Tensor, hair: Hair, maps: np.ndarray, tint: np.ndarray) -> None:
    """Draw hair by [a, b, 4]: how much colour goes, contrast to the hair around, how bright that gets, and is."""
    left, top, _, bottom = hair.box
    share = hair.colors.head.hair
    gloss = np.float32(_BEHIND + _RICH * float(np.median(hair.chroma)))
    beside = cv2.resize(hair.beside, maps.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    edge = cv2.resize(hair.edge, maps.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    ends, flags = np.dstack([edge, beside]), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    across, down = maps.shape[1] / share.shape[1], maps.shape[0] / share.shape[0]
    for start in range(0, bottom - top, _ROWS):
        end = min(start + _ROWS, bottom - top)
        rows = share[start:end]
        used = np.flatnonzero(rows.any(axis=0))
        if not len(used):
            continue
        first, last = int(used[0]), int(used[-1]) + 1
        into = np.float32([[across, 0, (first + 0.5) * across - 0.5], [0, down, (start + 0.5) * down - 0.5]])
        size = (last - first, end - start)
        (lost, contrast, level, light), (edge, beside) = (
            cv2.split(cv2.warpAffine(one, into, size, flags=flags, borderMode=cv2.BORDER_REPLICATE))
            for one in (maps, ends)
        )
        part = photo[:, top + start : top + end, left + first : left + last]
        planes = [plane.numpy() for plane in part]
        bright = cv2.addWeighted(planes[0], LUMA[0], planes[1], LUMA[1], 0, dtype=cv2.CV_32F)
        bright = cv2.addWeighted(bright, 1, planes[2], LUMA[2], 0, dtype=cv2.CV_32F)
        away = bright - light
        # What is much brighter than the hair around it is gloss, or what is behind it.
        through = np.maximum(away / (gloss + _THROUGH * np.maximum(level - light, 0)), 0)
        weight = np.maximum(1 - through * through, 0)
        weight *= weight
        apart = beside - light
        apart = np.where(apart < 0, np.minimum(apart, -_LEAST_APART), np.maximum(apart, _LEAST_APART))
        weight += edge * (1 - (away / apart).clip(0, 1) - weight)
        contrast -= edge * (contrast - 1)
        weight *= rows[:, first:last]
        away -= lost * (_MATTE * np.maximum(away - _GLOSS, 0))
        grey = weight * (contrast * away + level - (1 - lost) * bright)
        keep = 1 - weight * lost
        for plane, own in zip(planes, tint, strict=True):
            kept = cv2.multiply(plane, keep, dtype=cv2.CV_32F)
            plane[:] = cv2.addWeighted(kept, 1, grey, float(own), 0, dtype=cv2.CV_8U)


def _younger(hair: Hair, amount: float, own: OwnDark) -> np.ndarray:
    """Tell what `_draw` takes for hair that is to look younger."""
    is_grey = (hair.grey + (1 - hair.grey) * smooth_step(np.float32(hair.grey_head), *_GREY_ALL)) * (1 - hair.bare)
    back = amount * _GREY_BACK * own.believed * is_grey
    light = np.maximum(hair.light, 1)
    level = own.bright * (np.maximum(light, own.bright) / own.bright) ** _BACK_BROAD
    level = light * (np.minimum(level, light) / light) ** back
    amount = amount * (1 - hair.bare)
    level *= 1 - amount * _YOUNG_DARK
    contrast = level / light * (1 + back * (_BACK_FINE - 1))
    lost = back + (1 - back) * (1 - (1 + amount * _YOUNG_RICH) * level / light) if hair.in_color else 0 * light + 1
    return np.dstack([lost, contrast, level, hair.light]).astype(np.float32)


def _bald(photo: Tensor, head: Head, landmarks: np.ndarray, skin: float) -> np.float32:
    """Tell whether all that is taken for hair is skin, as smooth and as light as that of the face, 0 to 1."""
    unit = face_frame(landmarks).frame_px
    radius = max(1, int(_FINE[1] * unit))
    firm = cv2.erode((head.hair > _SURE[1]).astype(np.uint8), np.ones((radius, radius))) > 0

    def seen(box: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        part = to_rows(photo[:, max(box[1], 0) : max(box[3], 0), max(box[0], 0) : max(box[2], 0)])
        light = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY).astype(np.float32)
        return light, cv2.absdiff(light, cv2.GaussianBlur(light, (0, 0), max(_FINE[0] * unit, 0.6)))

    x, y = landmarks[list(_SKIN_AT)].astype(int).T
    patches = [
        seen((a - radius, b - radius, a + radius, b + radius)) for a, b in zip(x, y, strict=True) if min(a, b) > 0
    ]
    own = [fine.mean() / max(light.mean(), 1) for light, fine in patches if light.size]
    if not own or not firm.any():
        return np.float32(0)
    light, fine = (one[firm] for one in seen(head.box))
    smooth = (fine / light.clip(8)).mean() / max(float(np.median(own)), 1e-3)
    lighter = 1 - smooth_step(-np.float32(np.median(light) / max(skin, 1)), *(-one for one in _AS_LIGHT))
    return np.float32((1 - smooth_step(np.float32(smooth), *_AS_SMOOTH)) * lighter)


def _greyness(light: np.ndarray, colorful: np.ndarray, share: np.ndarray, skin: float) -> tuple[np.ndarray, float]:
    """How grey hair is already, [c, d] 0 to 1: light, without colour, in one place as on the whole; its mean."""
    grey = (1 - smooth_step(colorful, *_GREY_CHROMA)) * smooth_step(light / max(skin, 1.0), *_GREY_LIGHT)
    whole = max(float(share.sum()), 1e-6)
    grey = grey * smooth_step((grey * share).sum() / whole, *_GREY_HEAD)
    return grey.astype(np.float32), float((grey * share).sum() / whole)


def _places(size: tuple[int, int], box, frame) -> tuple[np.ndarray, np.ndarray]:
    """Face units, x and y, of the pixels of a smaller picture of a box."""
    x = box[0] + (np.arange(size[1]) + 0.5) * (box[2] - box[0]) / size[1]
    y = box[1] + (np.arange(size[0]) + 0.5) * (box[3] - box[1]) / size[0]
    there = frame.matrix
    return tuple((row[0] * x[None] + row[1] * y[:, None] + row[2]).astype(np.float32) for row in there)


def _order(x: np.ndarray, y: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Where hair turns first, [h, w] 0 to 1, given places and landmarks in face units."""
    lengths = smooth_step(y, *_LENGTHS)
    order = _REST_ORDER + (_LENGTHS_ORDER - _REST_ORDER) * lengths
    for temple in _TEMPLES:
        middle = points[list(temple)].mean(axis=0)
        away = ((x - middle[0]) ** 2 + (y - middle[1]) ** 2) / _TEMPLE_REACH**2
        order = np.maximum(order, np.exp(-away))
    outline = points[list(FACE_OVAL)]
    away = np.full(x.shape, np.inf, np.float32)
    for px, py in outline[outline[:, 1] < 0]:
        away = np.minimum(away, (x - px) ** 2 + (y - py) ** 2)
    return np.maximum(order, _LINE_ORDER * np.exp(-away / _LINE_REACH**2)).astype(np.float32)


def _mean_in(values: np.ndarray, weight: np.ndarray, sigma: float) -> list[np.ndarray]:
    """Weighted mean of [h, w, C] around each pixel, C times [h, w]; far from any weight that of all."""
    whole = (values * weight[..., None]).sum(axis=(0, 1)) / max(float(weight.sum()), 1e-6)
    sigma = max(sigma, 0.5)
    total = cv2.GaussianBlur(weight, (0, 0), sigma) + 0.01
    sums = cv2.GaussianBlur(values * weight[..., None], (0, 0), sigma) + 0.01 * whole.astype(np.float32)
    return [np.ascontiguousarray(sums[..., c] / total) for c in range(values.shape[2])]


def skin_brightness(photo: Tensor, landmarks: np.ndarray) -> float:
    """Brightness of lit skin: of cheeks, forehead and nose, in codes of 255."""
    height, width = photo.shape[1:]
    xy = landmarks[[50, 280, 101, 330, 151, 9, 195, 205, 425]].astype(int).clip(0, (width - 1, height - 1))
    reach = max(1, int(0.06 * face_frame(landmarks).frame_px))
    seen = [
        photo[:, max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        .float()
        .mean(dim=(1, 2))
        .cpu()
        .numpy()
        for x, y in xy
    ]
    return float(np.percentile(np.array(seen) @ np.array(LUMA), 65))
