"""Turn the hair of a head grey, strand by strand, or give grey hair some of its colour back.

Temples, what is above the ears, and the hair line turn first, lengths last; among neighbours the lighter strands do.
A silver strand is as light as the light that falls on its lock allows: skin says how much light there is, the broad
lights and darks of the hair how much of it arrives. Strands that a photo does not show, as in black hair, are drawn
along those that it does show: line integral convolution (Cabral and Leedom 1993).

What is known of the hair does not depend on the amount, so it is found once for a photo and moves along with its shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import cv2
import numpy as np
from torch import Tensor

from gan_space.faces.hair_colors import own_hair
from gan_space.faces.head import Head, SegmenterLike
from gan_space.faces.landmarks import FACE_OVAL, LandmarkerLike
from gan_space.faces.mesh import Flow, check_landmarks, face_frame
from gan_space.faces.monochrome import LUMA, find_tone
from gan_space.images import smooth_step
from gan_space.portraits.greying import BROWN, DARK_OF_SKIN, OwnDark, silver_tint
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
_AHEAD = 0.75  # how much earlier, in steps of the whole, the first hair turns than the last
_MOST_GREY = 0.75  # of strands, at the end
_LIGHT_REACH = 0.14  # face units over which light falls evenly on hair
_SILVER = (44.0, 0.52)  # brightness of silver hair beside skin: codes of 255, and a share of the skin's
_SILVER_MOST = 185.0
_LIFT = 82.0  # codes that silver is brighter than dark hair at most,
_LIFT_SHARE = (0.6, 1.4)  # times these: what turns last, and first
_SHADED, _BRIGHTEST = 0.8, 1.3  # power of the light on a lock that silver hair shows, and the most
_DARK = 10.0  # codes that hide noise in the dark
_BLURRED = (0.008, 0.018)  # face units of blur in a photo, between which its finest detail is no strands but noise
_MOST_CONTRAST, _CONTRAST_POWER = 2.0, 0.9  # of silver strands against that of dark ones, by how much brighter they are
_MATTE, _GLOSS = 0.1, 12.0  # silver shines less: share that goes of what is brighter by more than these codes
_UNEVEN = 0.1  # silver strands differ in brightness by this
_LIFTED, _EVEN_GREY, _GREY_STAYS = 60.0, 0.2, 0.6  # codes that dark hair is lifted by; what grey hair has of all this
_PALE = 0.88  # of its colour a silver strand has lost
_WARM = np.float32([1.015, 1.0, 0.965])  # silver against grey, of equal luma about
_SOFT = 0.75  # share of strands over which one turns
_EVEN = 0.68  # of the strands that are too fine to be seen one by one
_STRAND, _TUFT = 0.014, 0.07  # face units
_STREAK, _STREAK_STEPS = 0.17, 9  # face units to each side along which drawn strands run
_OWN, _DRAWN, _LOCKS = 0.75, 0.6, 0.3  # of the photo's own strands, drawn ones and locks in the order of strands
_QUIET = 2.5  # codes; less contrast is no strand
_TILE_PX = 512  # of the noise
# How much brighter than hair what is behind it is: codes, and shares of what hair is lifted by, and of its colour.
_BEHIND, _THROUGH, _RICH = 85.0, 0.8, 0.9
# Face units below the eyes between which a beard is left alone, fading in and out.
_BEARD_FROM, _BEARD_TO = (0.15, 0.5), (0.7, 1.4)
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
_ROWS = 48  # that are drawn at once


@dataclass(frozen=True, eq=False)
class Hair:
    """Hair of one head and what of it does not change with the amount; maps are smaller than the photo.

    Attributes:
        box: left, top, right, bottom in whole photo pixels, of the hair alone.
        mask: [h, w] uint8 at the photo's size, share of a pixel that is hair, 255 for all of it.
        rank: [a, b] float32, share of the strands around it that turn before this one, 0 to 1.
        order: [c, d] float32, 1 where hair turns first, 0 where it turns last.
        light: [c, d] float32, how bright hair is around there, codes of 255.
        chroma: [c, d] float32, largest difference of its channels, likewise.
        typical: brightness of all of it.
        dark: brightness of its darkest strands.
        edge: [a, b] float32, 1 where hair ends, 0 inside of it.
        beside: [c, d] float32, how bright what is no hair is around there, codes of 255.
        skin: brightness of the skin.
        tint: [3] RGB of grey in this photo.
        in_color: False for a photo in one tone.
        crisp: how far the photo shows strands, 0 to 1.
    """

    box: tuple[int, int, int, int]
    mask: np.ndarray
    rank: np.ndarray
    order: np.ndarray
    light: np.ndarray
    chroma: np.ndarray
    typical: float
    dark: float
    edge: np.ndarray
    beside: np.ndarray
    skin: float
    tint: np.ndarray
    in_color: bool
    crisp: float

    def moved(self, flow: Flow) -> Hair:
        """Take the hair along with a photo whose shape changes."""
        left, top, right, bottom = self.box
        x0, y0, x1, y1 = flow.box
        x0, y0, x1, y1 = max(left, x0), max(top, y0), min(right, x1), min(bottom, y1)
        if x1 <= x0 or y1 <= y0:
            return self
        here = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
        cell = flow.cell_px
        # Middles of the photo's pixels, among the middles of the flow's cells.
        into = np.float32(
            [
                [1 / cell, 0, (x0 + 0.5 - flow.left) / cell - 0.5],
                [0, 1 / cell, (y0 + 0.5 - flow.top) / cell - 0.5],
            ]
        )
        size = (x1 - x0, y1 - y0)
        shift = cv2.warpAffine(flow.shift, into, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        shift[..., 0] += np.arange(x0 - left, x1 - left, dtype=np.float32)
        shift[..., 1] += np.arange(y0 - top, y1 - top, dtype=np.float32)[:, None]
        mask = self.mask.copy()
        mask[here] = cv2.remap(self.mask, shift, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return replace(self, mask=mask)


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
    found = own_hair(photo, head, landmarks, tint) if tone is None else head.hair
    rows, columns = (np.flatnonzero((found > _SURE[0]).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return None
    frame = face_frame(landmarks)
    unit = frame.frame_px
    around = int(_EDGE_SEEN * unit) + 1  # hair ends there, which is seen from outside
    top, left = max(0, rows[0] - around), max(0, columns[0] - around)
    cut = (slice(top, rows[-1] + 1 + around), slice(left, columns[-1] + 1 + around))
    mask = (255 * smooth_step(found[cut], *_SURE) + 0.5).astype(np.uint8)
    left, top = head.box[0] + int(left), head.box[1] + int(top)
    box = (left, top, left + mask.shape[1], top + mask.shape[0])
    part = np.ascontiguousarray(photo[:, box[1] : box[3], box[0] : box[2]].permute(1, 2, 0).cpu().numpy())

    def smaller(one: np.ndarray, unit_px: float) -> np.ndarray:
        scale = min(1.0, unit_px / unit)
        size = (max(1, round(one.shape[1] * scale)), max(1, round(one.shape[0] * scale)))
        return cv2.resize(one, size, interpolation=cv2.INTER_AREA) if size != one.shape[1::-1] else one

    small = smaller(part, _UNIT_PX)
    weight = smaller(mask, _UNIT_PX) / np.float32(255)
    bright = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    coarse, share = smaller(part, _COARSE_PX).astype(np.float32), smaller(mask, _COARSE_PX) / np.float32(255)
    step = coarse.shape[1] / part.shape[1]
    level = coarse @ np.float32(LUMA)
    light, chroma = _mean_in(np.dstack([level, np.ptp(coarse, axis=2)]), share**2, _LIGHT_REACH * unit * step)
    beside = _mean_in(np.dstack([level, level]), (1 - share) ** 2, _BESIDE_REACH * unit * step)[0]
    inside = cv2.GaussianBlur(weight, (0, 0), max(_EDGE * unit * small.shape[1] / part.shape[1], 0.6))
    firm = share > min(_FIRM, 0.9 * float(share.max()))
    skin = skin_brightness(photo, landmarks)
    tint = (tint / (tint @ _LUMA)).astype(np.float32)
    blur = find_blur(photo, landmarks)
    x, y = _places(coarse.shape[:2], box, frame)
    return Hair(
        box=box,
        mask=mask,
        rank=_rank(bright, weight, box, frame, blur / part.shape[1] * small.shape[1]),
        order=_order(x, y, frame.apply(landmarks)),
        light=light,
        chroma=chroma,
        typical=float(np.median(light[firm])),
        dark=float(np.percentile(bright[weight > min(_FIRM, 0.9 * float(weight.max()))], _DARKEST)),
        edge=(1 - smooth_step(inside, *_INSIDE)).astype(np.float32),
        beside=beside,
        skin=skin,
        tint=tint,
        in_color=tone is None,
        crisp=1 - float(smooth_step(np.float32(blur / unit), *_BLURRED)),
    )


def beside_beard(hair: Hair, landmarks: np.ndarray) -> Hair:
    """Leave what of the hair is a beard beside the mouth to `greying.change_hairs`, which knows it strand by strand.

    Masks take beards for hair from somewhere on a cheek on; turned silver there they would end in a line.
    """
    frame = face_frame(landmarks)
    step = max(1, round(frame.frame_px / _COARSE_PX))
    size = tuple(max(1, -(-side // step)) for side in hair.mask.shape)
    _, y = _places(size, hair.box, frame)
    kept = 1 - smooth_step(y, *_BEARD_FROM) * (1 - smooth_step(y, *_BEARD_TO))
    kept = cv2.resize(kept.astype(np.float32), hair.mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return replace(hair, mask=cv2.multiply(hair.mask, kept, dtype=cv2.CV_8U))


def change_hair(photo: Tensor, hair: Hair, amount: float, own: OwnDark | None = None) -> None:
    """Turn hair grey, or grey hair dark, in place; only where `hair.mask` says that there is some.

    Args:
        photo: [3, H, W] uint8, with the hair where `hair` says.
        amount: 1 for the oldest, -1 for the youngest.
        own: what grey hair turns to with youth; by the hair itself if left out.
    """
    if not amount:
        return
    own = own or OwnDark(min(hair.dark, DARK_OF_SKIN * hair.skin), BROWN)
    maps = _older(hair, amount) if amount > 0 else _younger(hair, -amount, own)
    tint = hair.tint if amount > 0 or not hair.in_color else own.tint
    left, top, _, bottom = hair.box
    gloss = np.float32(_BEHIND + _RICH * float(np.median(hair.chroma)))
    beside = cv2.resize(hair.beside, maps.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    edge = cv2.resize(hair.edge, maps.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    ends, flags = np.dstack([edge, beside]), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    across, down = maps.shape[1] / hair.mask.shape[1], maps.shape[0] / hair.mask.shape[0]
    for start in range(0, bottom - top, _ROWS):
        end = min(start + _ROWS, bottom - top)
        rows = hair.mask[start:end]
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
        weight *= rows[:, first:last] * np.float32(1 / 255)
        away -= lost * (_MATTE * np.maximum(away - _GLOSS, 0))
        grey = weight * (contrast * away + level - (1 - lost) * bright)
        keep = 1 - weight * lost
        for plane, own in zip(planes, tint, strict=True):
            kept = cv2.multiply(plane, keep, dtype=cv2.CV_32F)
            plane[:] = cv2.addWeighted(kept, 1, grey, float(own), 0, dtype=cv2.CV_8U)


def _older(hair: Hair, amount: float) -> np.ndarray:
    """[a, b, 4]: how much colour goes, contrast to the hair around, how bright that gets, and is."""
    turned = (amount * (1 + _AHEAD) - _AHEAD * (1 - hair.order)).clip(0, 1) ** 1.2 * _MOST_GREY
    turned *= (1 - _GREY_STAYS * _greyness(hair)) * (1 - _bare(hair))
    silver = _SILVER[0] + _SILVER[1] * hair.skin
    lit = ((hair.light + _DARK) / (hair.typical + _DARK)) ** _SHADED
    lift = _LIFT * (_LIFT_SHARE[0] + (_LIFT_SHARE[1] - _LIFT_SHARE[0]) * hair.order)
    silver = np.minimum(silver * lit.clip(0, _BRIGHTEST), np.minimum(_SILVER_MOST, hair.light + lift))
    silver = np.maximum(silver, hair.light)
    size = hair.rank.shape[::-1]
    turned, silver, light = (
        cv2.resize(one, size, interpolation=cv2.INTER_LINEAR) for one in (turned, silver, hair.light)
    )
    grey = smooth_step((1 + _SOFT) * turned - hair.rank, 0, _SOFT).astype(np.float32)
    grey += _EVEN * (turned - grey)
    contrast = ((silver + _DARK) / (light + _DARK)) ** _CONTRAST_POWER
    contrast = 1 + hair.crisp * grey * (contrast.clip(1, _MOST_CONTRAST) - 1)
    lifted = ((silver - light) / _LIFTED).clip(_EVEN_GREY, 1)  # what is grey already has strands of its own
    silver *= 1 + _UNEVEN * lifted * (1 - 2 * hair.rank)
    lost = _PALE * np.maximum(grey, 0.35 * turned) if hair.in_color else np.ones_like(grey)
    return np.dstack([lost, contrast, light + grey * (silver - light), light]).astype(np.float32)


def _younger(hair: Hair, amount: float, own: OwnDark) -> np.ndarray:
    """The same for hair that is to look younger."""
    is_grey = _greyness(hair)
    share = cv2.resize(hair.mask, is_grey.shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
    mean = np.float32((is_grey * share).sum() / max(float(share.sum()), 1e-6))
    is_grey = (is_grey + (1 - is_grey) * smooth_step(mean, *_GREY_ALL)) * (1 - _bare(hair))
    back = amount * _GREY_BACK * own.believed * is_grey
    light = np.maximum(hair.light, 1)
    level = own.bright * (np.maximum(light, own.bright) / own.bright) ** _BACK_BROAD
    level = light * (np.minimum(level, light) / light) ** back
    level *= 1 - amount * _YOUNG_DARK
    contrast = level / light * (1 + back * (_BACK_FINE - 1))
    lost = back + (1 - back) * (1 - (1 + amount * _YOUNG_RICH) * level / light) if hair.in_color else 0 * light + 1
    return np.dstack([lost, contrast, level, hair.light]).astype(np.float32)


def _greyness(hair: Hair) -> np.ndarray:
    """How grey hair is already, [c, d] 0 to 1: light, and without colour, in one place as on the whole."""
    pale = 1 - smooth_step(hair.chroma / np.maximum(hair.light, 1), *_GREY_CHROMA)
    grey = pale * smooth_step(hair.light / max(hair.skin, 1.0), *_GREY_LIGHT)
    size = grey.shape[::-1]
    share = cv2.resize(hair.mask, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    return grey * smooth_step((grey * share).sum() / max(float(share.sum()), 1e-6), *_GREY_HEAD)


def _bare(hair: Hair) -> np.ndarray:
    """Where the mask of a grey head has skin, as above temples where hair is thin, [c, d] 0 to 1: it has colour."""
    grey = _greyness(hair)
    share = cv2.resize(hair.mask, grey.shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
    mean = np.float32((grey * share).sum() / max(float(share.sum()), 1e-6))
    return smooth_step(mean, *_GREY_ALL) * smooth_step(hair.chroma / np.maximum(hair.light, 1), *_SKIN_CHROMA)


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


def _rank(bright: np.ndarray, weight: np.ndarray, box, frame, blur: float) -> np.ndarray:
    """Order of strands among their neighbours, 0 for the first to 1: the photo's own light ones, and drawn ones.

    Both are as soft as the photo, whose edges are blurred by so many pixels.
    """
    unit = frame.frame_px * bright.shape[1] / (box[2] - box[0])
    tuft = cv2.GaussianBlur(bright, (0, 0), max(_TUFT * unit / 2, 1.0))
    band = cv2.GaussianBlur(bright, (0, 0), max(_STRAND * unit, blur, 0.6)) - tuft
    spread = cv2.sqrt(cv2.GaussianBlur(band * band, (0, 0), _TUFT * unit * 2)) + _QUIET
    own = band / spread
    x, y = _places(bright.shape, box, frame)
    fine, locks = _streaks(bright, weight, x, y, unit)
    fine = cv2.GaussianBlur(fine, (0, 0), max(blur, 0.3))
    shown = (spread - _QUIET) / spread
    score = _OWN * own + _DRAWN * fine + _LOCKS * locks
    score /= np.sqrt((_OWN * shown) ** 2 + _DRAWN**2 + _LOCKS**2)
    return (1 / (1 + cv2.exp((1.7 * score).astype(np.float32)))).astype(np.float32)  # about the normal distribution's


def _streaks(bright: np.ndarray, weight: np.ndarray, x: np.ndarray, y: np.ndarray, unit: float):
    """Noise of deviation 1 that runs along the strands, fine and in locks, two times [h, w]."""
    tile = _noise(min(unit / _UNIT_PX, 1.0))
    places = [np.float32(one * _UNIT_PX * tile.shape[0] / _TILE_PX) for one in (x, y)]
    drawn = cv2.remap(tile, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)  # [h, w, 2]
    along_x, along_y = _directions(bright, weight, unit)
    size = bright.shape
    step = max(_STREAK * unit / _STREAK_STEPS, 0.7)
    column, row = np.meshgrid(np.arange(size[1], dtype=np.float32), np.arange(size[0], dtype=np.float32))
    total = drawn.copy()
    for side in (step, -step):
        at_x, at_y = column.copy(), row.copy()
        for _ in range(_STREAK_STEPS):
            at_x += side * cv2.remap(along_x, at_x, at_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
            at_y += side * cv2.remap(along_y, at_x, at_y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
            total += cv2.remap(drawn, at_x, at_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    total /= total.std(axis=(0, 1)) + 1e-6
    return total[..., 0], total[..., 1]


@lru_cache(maxsize=1)
def _tile() -> np.ndarray:
    """Noise that stays where it is on a head whatever the photo's size: fine and in locks, [T, T, 2]."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((2, _TILE_PX, _TILE_PX)).astype(np.float32)
    fine, locks = (cv2.GaussianBlur(one, (0, 0), sigma) for one, sigma in zip(noise, (0.8, 5.0), strict=True))
    return np.dstack([fine, locks / locks.std()])


def _noise(scale: float) -> np.ndarray:
    size = max(16, round(_TILE_PX * scale))
    return _tile() if scale == 1 else cv2.resize(_tile(), (size, size), interpolation=cv2.INTER_AREA)


def _directions(bright: np.ndarray, weight: np.ndarray, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors along the strands, x and y, [h, w] each: structure tensor, downwards where nothing is seen."""
    dx, dy = (cv2.Sobel(bright, cv2.CV_32F, *order) for order in ((1, 0), (0, 1)))
    sigma = max(0.07 * unit, 1.0)
    inner = weight**2
    xx, yy, xy = (cv2.GaussianBlur(one * inner, (0, 0), sigma) for one in (dx * dx, dy * dy, dx * dy))
    quiet = (12 * _QUIET) ** 2  # of Sobel's eight; less is grain, or what JPEG made of it
    angle = 0.5 * np.arctan2(2 * xy, xx + quiet - yy)  # across the strands
    return -np.sin(angle).astype(np.float32), np.cos(angle).astype(np.float32)
