"""Draw what parted lips show: teeth and the dark behind them, at the photo's own size.

A warp can pull closed lips apart, but what lay behind them is not in the photo. The teeth are those of an average
mouth: their sizes on the dental arch, hung from behind the upper lip, in the light of the photo and with its grain.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.faces.align import AlignTransform
from gan_space.faces.landmarks import LIPS_INNER
from gan_space.faces.masks import Mask, draw_soft, smooth_outline
from gan_space.faces.mesh import check_landmarks, face_frame
from gan_space.faces.monochrome import LUMA, find_tone
from gan_space.faces.mouth import Opening
from gan_space.faces.shape import turn_of
from gan_space.images import smooth_step
from gan_space.photos.opening import check_photo
from gan_space.portraits.light import find_blur, grain_like, light_in_mouth

_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
# From the middle outwards, in face units: incisors, canine, premolars; widths on the arch, and how much shorter than
# the first they look.
_WIDTHS = (0.137, 0.107, 0.12, 0.11, 0.11)
_SHORTER = (0.0, 0.009, 0.001, 0.009, 0.016)
_BRIGHT = (1.0, 0.94, 0.9, 0.84, 0.74)  # of the first one: the others stand back
# Shades as on 17 real smiles. A tooth is round in itself, and a soft shade lies where two meet: lines would be a grid.
_ROUND, _EDGE = 0.015, 0.014  # how far the corners of its end are cut, and how soft the end is
_SIDES, _BETWEEN, _BETWEEN_WIDE = 0.07, 0.2, 0.009  # darker at its sides, and where two meet, over a width
_TIP, _TIP_TALL = 0.16, 0.028  # darker at its end, which lets light through, over a height
_IN_CHEEKS, _CHEEKS_POWER = 0.62, 3.0  # darker at the ends of the arch, by a power of the way there
_UNDER_LIP, _LIP_SHADE = 0.5, 0.024  # darker below the upper lip, over a height
_FOLLOWS, _MOST_CURVED = 0.8, 0.6  # share of the lower lip's curve that the row has, and its own, at most
# Ends that the lower lip hides, and the share of an opening beyond a height that stays dark below them.
_HIDDEN, _SLIVER, _SLIVER_FROM = 0.008, 0.45, 0.1
_ARCH = 0.44  # half the width of the arch
_NARROWEST, _WIDEST = 0.6, 1.5  # of it, on the far and on the near side of a turned head
_TALLEST = 0.155  # of the teeth that lips uncover
# A smile shows teeth down to the lower lip, lips that part alone show their upper half: share of the gap, by how far
# the corners of the mouth stand above the upper lip, in face units.
_CORNERS, _OF_GAP = (-0.03, 0.03), (0.46, 0.95)
_FEATHER = 0.018  # of the lips' edge
_FOOT, _FOOT_PULLED = 0.4, 0.35  # the lower part of what showed between open lips, and its share of what they part by
_RIM_PX = 1.0
# The darkest line: shares of the way down it may lie, the share of the mouth that tells, and how soft what opens there
# starts; the middle, a lean and a bend that are tried. Up to which green of the lips' no tooth shows, and up to which
# light of theirs they meet there.
_LINE_WITHIN, _LINE_ALONG, _LINE_SOFT = (0.25, 0.9), 0.7, 0.15
_LINES_TRIED = (np.linspace(0.25, 0.9, 14), np.linspace(-0.2, 0.2, 5), np.linspace(-0.3, 0.3, 5))
_BARE, _SEAM = (0.38, 0.5), (0.45, 0.6)
_PULLED_FAR, _PULLED_SOFT = 1.4, 0.007  # times as tall as before, and the blur across for each more, of the mouth
_DEEPER = 0.6  # how light it is farther in
_STATIONS, _ROWS = 64, 41  # that are looked at along a mouth and down
_LIP_BESIDE = 0.08  # of its width, from the edges of an opening to where there is lip
_SOFT = 0.75  # of the blur of the photo's sharpest edges
_THIN, _IN_THIN = (0.03, 0.13), (0.85, 1.0)  # openings, face units, and how much light reaches teeth in them
_LIT = 1.2  # teeth in full light, against those that lips and their own curve shade
_TEETH = (0.96, 0.912, 0.867)  # before lips and their own curve shade them; as 60 real smiles show, in white light
_IN_SHADE = (0.87, 1.13, 1.17)  # what reaches them in the shade of lips and cheeks is red: powers of how much is left
_SHOULDER, _WHITEST = 0.78, 0.95  # of what a photo can show: from where on light is held back, and what it reaches
_BEHIND = (0.21, 0.075, 0.07)
_TONGUE = (0.40, 0.17, 0.16)


def draw_opening(photo: Tensor, landmarks, own: tuple[Tensor, Opening] | None = None) -> Tensor:
    """Fill the opening between the lips of one face.

    Args:
        photo: [3, H, W] uint8, whose lips stand where the landmarks say.
        landmarks: [468, 2] photo pixels.
        own: the photo before its lips parted, [3, H, W] uint8, and how they did: what showed between them then shows
            now, as far as they were open, and only the rest is drawn.

    Returns:
        A new photo of the same size, equal to the bit outside of the lips.
    """
    landmarks = check_landmarks(landmarks)
    size = tuple(check_photo(photo).shape[1:])
    frame = face_frame(landmarks)
    unit = frame.frame_px
    outline = smooth_outline(landmarks, (LIPS_INNER, (78, 308)))
    mask = draw_soft([outline], size, _FEATHER * unit)
    left, top, right, bottom = mask.box
    if 0 in mask.values.shape:
        return photo.clone()
    part = np.ascontiguousarray(photo[:, top:bottom, left:right].permute(1, 2, 0).cpu().numpy())
    drawn, kept = (1.0, 0.0) if own is None else (own[1].drawn, own[1].own)
    filled = _draw(photo, landmarks, frame, mask, part) if drawn else None
    filled = _own(*own, mask.box, filled) if kept else filled
    if filled is None:
        return photo.clone()
    result = part + (drawn + kept) * mask.values[..., None] * (filled - part)
    final = np.where(mask.values[..., None] > 1 / 512, np.round(result).clip(0, 255), part).astype(np.uint8)
    photo = photo.clone()
    photo[:, top:bottom, left:right] = torch.from_numpy(final).permute(2, 0, 1)
    return photo


def _draw(photo: Tensor, landmarks: np.ndarray, frame: AlignTransform, mask: Mask, part: np.ndarray) -> np.ndarray:
    """Teeth and the dark behind them, in the light of the photo; [h, w, 3] of 255."""
    unit, (left, top, _, _) = frame.frame_px, mask.box
    fine = int(np.clip(round(300 / unit), 2, 4))
    rows, columns = part.shape[0] * fine, part.shape[1] * fine
    y, x = (np.mgrid[0:rows, 0:columns] + 0.5) / fine
    places = frame.apply(np.stack([x + left, y + top], axis=-1).reshape(-1, 2)).reshape(rows, columns, 2)
    face = frame.apply(landmarks)
    inside = _colors(places.astype(np.float32), face)
    if find_tone(photo, landmarks) is not None:
        inside = np.repeat(inside @ np.float32(LUMA)[:, None], 3, axis=2)
    left_light, right_light = light_in_mouth(photo, landmarks) * _LIT
    right_share = ((places[..., :1] - face[61, 0]) / max(face[291, 0] - face[61, 0], 1e-3)).clip(0, 1)
    inside *= left_light + (right_light - left_light) * right_share
    inside *= _held(inside.max(axis=2, keepdims=True))
    inside = cv2.resize(inside, part.shape[1::-1], interpolation=cv2.INTER_AREA)
    inside = cv2.GaussianBlur(inside, (0, 0), max(0.5, _SOFT * find_blur(photo, landmarks)))
    return 255 * (inside + grain_like(part)[..., None])


def _held(brightest: np.ndarray) -> np.ndarray:
    """What to multiply light by so that none is above _WHITEST: teeth that a photo cannot show are flat and white."""
    room = _WHITEST - _SHOULDER
    held = _SHOULDER + room * np.tanh((brightest - _SHOULDER) / room)
    return np.where(brightest > _SHOULDER, held / np.maximum(brightest, _SHOULDER), np.float32(1.0))


def _own(photo: Tensor, opening: Opening, box: tuple[int, int, int, int], drawn: np.ndarray | None) -> np.ndarray:
    """What showed between the lips, pulled as far apart as they are now; [h, w, 3] of 255, from the photo before.

    Pulled lips, or a slit, would be streaks. So where a jaw drops and only the dark shows, that opens along its darkest
    line, and of lips that are hardly open the share that was closed shows there what is drawn.
    """
    outline = tuple(range(len(LIPS_INNER))), (LIPS_INNER.index(78), LIPS_INNER.index(308))
    before, after = smooth_outline(opening.before, outline), smooth_outline(opening.after, outline)
    half = len(after) // 2 + 1  # the lower edge from the left corner to the right one; the upper one runs back
    across = after[half - 1] - after[0]
    across = across / max(float(np.hypot(*across)), 1e-6)
    turn = np.stack([across, (-across[1], across[0])])  # photo pixels -> along the mouth and down from it
    left, top, right, bottom = box
    pixels = np.stack(np.meshgrid(np.arange(left, right), np.arange(top, bottom)), axis=-1) + 0.5
    x, y = np.moveaxis(pixels @ turn.T, -1, 0)
    sides = []  # along, down, and photo pixels of the upper edge, and of the lower one
    for order in (np.r_[half - 1 : len(after), 0][::-1], np.arange(half)):
        at, down = (after[order] @ turn.T).T
        sides.append((np.maximum.accumulate(at) + 1e-6 * np.arange(half), down, *before[order].T))

    def edges(along: np.ndarray) -> list[np.ndarray]:
        return [np.stack([np.interp(along, at, one) for one in rest], axis=-1) for at, *rest in sides]

    (upper, above), (lower, below) = (np.split(edge, [1], axis=-1) for edge in edges(x))
    upper, lower = upper[..., 0], lower[..., 0]
    was = ((below - above) @ turn[1]).clip(1e-3)  # px
    height = np.maximum(lower - upper, 1e-3)
    down = (y - upper).clip(0, height)
    beyond = y - upper - down  # an edge the photo goes on as it is: what a soft edge reads there is lip
    stations = np.linspace(sides[0][0][0], sides[0][0][-1], _STATIONS)
    line, dark, bare, seam = _find_dark(photo, *(edge[:, 1:] for edge in edges(stations)))
    line, *dark = (np.interp(x, stations, one) for one in (line, *dark.T))
    dark, share = _DEEPER * np.stack(dark, axis=-1), opening.drops * bare
    mixed = opening.drawn / (opening.drawn + opening.own)
    if mixed:
        share, dark = max(share, seam * mixed), dark + min(2 * mixed, 1.0) * (drawn - dark)
    fill = share * (height - was).clip(0)
    line = line * (height - fill)
    edge = max(1.0, _LINE_SOFT * float(np.median(was.max(axis=0))))
    in_dark = ((down - line) / edge + 0.5).clip(0, 1) * ((line + fill - down) / edge + 0.5).clip(0, 1) * (fill > 0)
    in_dark *= (fill / edge).clip(0, 1)
    down, height = np.where(down < line, down, np.maximum(down - fill, line)), height - fill
    closer = was / np.minimum(height, was)  # lips that close squeeze evenly
    down, height = closer * down, closer * height
    # Teeth are pulled at their middles, which are smooth: not where they meet the lips, less where they end.
    foot = _FOOT * (was + _FOOT_PULLED * (height - was))
    rim = np.minimum(_RIM_PX, 0.2 * was)
    pulled = rim + (down - rim) * ((1 - _FOOT) * was - rim) / (height - foot - rim)
    ends = (1 - _FOOT) * was + (down - height + foot) * (_FOOT * was - rim) / (foot - rim)
    depth = np.select(
        [down < rim, down < height - foot, down < height - rim], [down, pulled, ends], was + down - height
    )
    places = above + (depth / was)[..., None] * (below - above) + beyond[..., None] * turn[1]
    low = (np.floor(places.reshape(-1, 2).min(axis=0)).astype(int) - 3).clip(0, np.array(photo.shape[:0:-1]) - 1)
    high = np.maximum(np.ceil(places.reshape(-1, 2).max(axis=0)).astype(int) + 3, low + 1)
    part = np.ascontiguousarray(photo[:, low[1] : high[1], low[0] : high[0]].permute(1, 2, 0).cpu().numpy())
    places = (places - low - 0.5).astype(np.float32)
    shown = cv2.remap(part, places, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    # What is pulled far is seen no finer across than down.
    far = float(np.median(height.max(axis=0) / was.max(axis=0).clip(1)))
    softer = _PULLED_SOFT * shown.shape[1] * (far - _PULLED_FAR)
    if softer > 0.3:
        shown = cv2.GaussianBlur(shown, (0, 0), sigmaX=softer, sigmaY=0.01)
    if mixed:
        shown = shown + (1 - seam) * mixed * (drawn - shown)
    return shown + in_dark[..., None] * (dark - shown)


def _find_dark(photo: Tensor, above: np.ndarray, below: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Find the darkest line along a mouth, and what it is.

    Args:
        photo: [3, H, W] uint8.
        above, below: [S, 2] photo pixels of the upper and the lower edge.

    Returns:
        [S] its share of the way down, [S, 3] of 255 what is seen there; how surely no teeth show, and how
        surely it is where lips meet, 0 to 1.
    """
    beside = _LIP_BESIDE * (below[-1] - below[0]) @ [[0, 1], [-1, 0]]  # down
    places = above + np.linspace(0, 1, _ROWS)[:, None, None] * (below - above)
    places = np.concatenate([above[None] - beside, below[None] + beside, places])  # both lips first
    low = np.floor(places.reshape(-1, 2).min(axis=0)).astype(int).clip(0, np.array(photo.shape[:0:-1]) - 1)
    high = np.maximum(np.ceil(places.reshape(-1, 2).max(axis=0)).astype(int) + 1, low + 1)
    part = np.ascontiguousarray(photo[:, low[1] : high[1], low[0] : high[0]].permute(1, 2, 0).cpu().numpy())
    seen = cv2.remap(part, (places - low - 0.5).astype(np.float32), None, cv2.INTER_LINEAR, borderMode=1)
    lips, seen = np.split(seen.astype(np.float32), [2])
    light = cv2.GaussianBlur(seen.mean(axis=2), (0, 0), 1.0)
    u = np.linspace(-1, 1, _STATIONS)
    inner = np.flatnonzero(np.abs(u) < _LINE_ALONG)
    shifts = np.stack(np.meshgrid(*_LINES_TRIED, indexing="ij"), axis=-1).reshape(-1, 3)
    lines = (shifts @ np.stack([np.ones_like(u), u, u * u])).clip(*_LINE_WITHIN)  # [candidates, columns]
    numbers = (lines * (_ROWS - 1)).round().astype(int)
    along = light[numbers[:, inner], inner].mean(axis=1)
    best = along.argmin()
    colors = cv2.GaussianBlur(seen[numbers[best], np.arange(_STATIONS)][None], (0, 0), 0.03 * _STATIONS)[0]
    lips = np.median(lips[:, inner].reshape(-1, 3), axis=0).clip(1)
    shows = np.percentile(seen[_ROWS // 5 : -_ROWS // 5, inner, 1], 75) / lips[1]
    bare, seam = (
        1 - smooth_step(np.float32(of_lips), *ends)
        for of_lips, ends in ((shows, _BARE), (along[best] / lips.mean(), _SEAM))
    )
    return lines[best], colors, float(bare), float(seam)


def _colors(places: np.ndarray, face: np.ndarray) -> np.ndarray:
    """[h, w, 3] RGB in white light at [h, w, 2] places of a face's own frame; face is [468, 2] in it."""
    x, y = places[..., 0], places[..., 1]
    upper, lower = (np.interp(x, *face[list(ring)].T) for ring in (_UPPER, _LOWER))
    middle = float(face[13, 0]) + 0.1 * float(turn_of(face))
    gap = float(face[14, 1] - face[13, 1])
    below, opening = y - upper, np.maximum(lower - upper, 1e-4)
    # Teeth stand on an arch: those at the side are seen at an angle and lie in the shade of the cheek.
    # A turned head shows more of the near side: its half of the mouth is longer, and so is its half of the arch.
    left, right = middle - float(face[78, 0]), float(face[308, 0]) - middle
    half = _ARCH * np.where(x < middle, left, right) / max((left + right) / 2, 1e-3)
    half = half.clip(_NARROWEST * _ARCH, _WIDEST * _ARCH)
    across = ((x - middle) / half).clip(-0.999, 0.999)
    along = _ARCH * np.arcsin(across)
    lift = float(face[13, 1] - face[[78, 308], 1].mean())
    height = min(_TALLEST, float(np.interp(lift, _CORNERS, _OF_GAP)) * gap + 0.02)
    # Their ends follow the lower lip, which hides them; over one that is far down is a sliver of dark.
    curve = np.minimum(lower - float(face[14, 1]), 0)
    line = float(face[13, 1]) + height + np.maximum(_FOLLOWS * curve, -_MOST_CURVED * (_ARCH * across) ** 2)
    line = np.minimum(line, lower + _HIDDEN - _SLIVER * (opening - _SLIVER_FROM).clip(0))
    teeth, lit = np.zeros_like(x), np.zeros_like(x)
    start = 0.0
    for width, shorter, bright in zip(_WIDTHS, _SHORTER, _BRIGHT, strict=True):
        here = (np.abs(along) >= start) & (np.abs(along) < start + width)
        t = 2 * (np.abs(along) - start) / width - 1  # -1 ... 1 across one tooth
        edge = line - shorter - _ROUND * np.abs(t) ** 3
        teeth = np.where(here, smooth_step((edge - y) / _EDGE + 0.5, 0, 1), teeth)
        # Round in themselves, with a soft shade where two meet: a line between all would be a grid.
        rounded = 1 - _SIDES * t * t - _BETWEEN * np.exp(-(1 - np.abs(t)) * width / _BETWEEN_WIDE)
        ends = 1 - _TIP * np.exp(-np.maximum(edge - y, 0) / _TIP_TALL)
        lit = np.where(here, bright * rounded * ends, lit)
        start += width
    lit *= float(np.interp(gap, _THIN, _IN_THIN))
    lit *= 1 - _IN_CHEEKS * np.abs(across) ** _CHEEKS_POWER
    lit = (lit * (1 - _UNDER_LIP * np.exp(-below.clip(0) / _LIP_SHADE))).clip(0)
    teeth_color = lit[..., None] ** np.float32(_IN_SHADE) * np.float32(_TEETH)
    deep = np.clip(below / opening, 0, 1)
    tongue = np.clip((deep - 0.55) / 0.4, 0, 1) * np.clip((gap - 0.1) / 0.1, 0, 1) * (1 - across * across)
    behind = np.multiply.outer(1 - 0.45 * np.abs(across), np.float32(_BEHIND))
    behind = behind + np.multiply.outer(0.55 * tongue, np.float32(_TONGUE) - np.float32(_BEHIND))
    return (behind + teeth[..., None] * (teeth_color - behind)).astype(np.float32)
