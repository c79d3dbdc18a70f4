"""Where persons are in a whole photo: their heads from near, the rest of their bodies from wider views."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.faces.align import EYE_DISTANCE, TIGHT_FRAME, AlignTransform
from gan_space.faces.by_color import Colors, from_odds, to_odds
from gan_space.faces.guided_filter import fit_to_colors, read_off
from gan_space.faces.head import TO_HEAD, Head, SegmenterLike, disc, find_head
from gan_space.photos.opening import to_rows

# Wider and wider views: widths in eye distances, and how far down in them the eyes are. What two views of a row say is
# averaged: one has the head in it, one is as near as the head's own view. The last holds a person from head to foot.
_VIEWS = (((11.0, 0.25), (9.0, -0.1)), ((16.0, 0.2),), ((28.0, 0.15),))
_WORK_PX = 512  # longer side of the picture in which bodies are drawn
_REACH = 0.8  # eye distances: how far an edge of a body may lie from where the network drew it
_FADE = 0.08  # of a view, along its sides
_CORE = (0.06, 0.16)  # of the head's view, from its sides: from where on it alone is heard
_FIRM = (0.3, 0.6)  # what wide views have to say to be taken for nothing, and for all: rather some wall than no arm
_COLOR_WORD = 0.6  # how much colours count
_SKIN_WORD = 1.5  # from here on a colour is skin
_SHOULDERS, _TORSO = (3.2, 3.9), 5.0  # below the eyes, and from there on, in eye distances
_BODY_WORD = 2.0  # how much sooner what is straight below shoulders is a person
_EDGE, _EDGE_WORD = 0.6, 0.7  # how far a person is carried on to the photo's edge, and over which colours
_REACHING = 0.1  # of a stretch of persons, what is at the photo's edge at least where they are cut by it
_SURE = 0.85  # of a thing beside the person: from here on it is one more person
_MAX_HEADS, _MAX_VIEWS = 64, 12  # of a group, the largest; a head takes a few milliseconds, a view more


@torch.no_grad()
def find_person(
    photo: Tensor,
    chosen: Sequence[AlignTransform],
    others: Sequence[AlignTransform],
    heads: Sequence[Head],
    segmenter: SegmenterLike,
) -> np.ndarray:
    """Find everybody in a photo, with hair, clothes and what they hold.

    Args:
        photo: [3, H, W] uint8.
        chosen, others: photo pixels -> tight frame, of the faces whose heads are known, and of all others.
        heads: of the chosen faces.
        segmenter: the network, in evaluation mode.

    Returns:
        [H, W] uint8, share of a pixel that is a person, 255 for all of it. In doubt it is a person.
    """
    width, height = photo.shape[2], photo.shape[1]
    person = np.zeros((height, width), np.uint8)
    known = list(zip(chosen, heads, strict=True))
    known += [(face, find_head(photo, face, segmenter)) for face in others[: max(0, _MAX_HEADS - len(known))]]
    scale = min(1.0, _WORK_PX / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    core = np.zeros(size[::-1], np.float32)
    for face, head in known:
        left, top, right, bottom = head.box
        part = person[top:bottom, left:right]
        np.maximum(part, (head.person * 255 + 0.5).astype(np.uint8), out=part)
        inside = (_inside(face.then(TO_HEAD), size, (width, height)) - _CORE[0]) / (_CORE[1] - _CORE[0])
        np.maximum(core, inside.clip(0, 1), out=core)
    near = cv2.resize(person, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    pixels = to_rows(photo)
    unit = max(face.frame_px for face in (*chosen, *others)) * EYE_DISTANCE * scale
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    colors, rough, skin = Colors(small), near, np.zeros_like(near)
    if core.min() < 1:
        rough = np.maximum(_seen_wide(photo, [*chosen, *others], segmenter, size, core), near)
        for one in (*chosen, *others):
            rough = _with_body_below(rough, one, scale)
        face = np.maximum.reduce([_inside_face(one, size, (width, height)) for one in (*chosen, *others)])
        weighed, skin = _by_color(colors, rough, face, unit)
        rough, skin = rough + (1 - core) * (weighed - rough), skin * (1 - core)
    alike = colors.compare(2 * rough - 1, 1 - 2 * rough) > _EDGE_WORD
    cut = _up_to_the_edges(rough, alike, max(2, round(_EDGE * unit)))
    rough = np.maximum(rough, cut)
    rough, around = _of_persons(rough, near, unit)
    soft = 2 * max(1, round(0.15 * unit)) + 1
    added = np.maximum(cv2.dilate(skin * (near < 0.8), disc(0.15 * unit)), cut)
    weight = np.maximum(1 - core, cv2.blur(added, (soft, soft)))
    if weight.any():
        _draw_bodies(person, pixels, small, (rough, weight), max(1, round(_REACH * unit / 4)))
    # Heads are drawn by themselves: what is far from all that was kept is nobody there, either.
    around = cv2.resize(255 * around, (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.min(person, around, dst=person)


def _view(face: AlignTransform, width: float, eyes_at: float) -> AlignTransform:
    """Photo pixels -> a square around a face, upright as bodies are even below a head that leans."""
    eyes = face.inverse.apply((TIGHT_FRAME[0] + TIGHT_FRAME[1]) / 2)
    turn = math.radians(90 * round(face.roll_deg / 90))
    factor = complex(math.cos(turn), -math.sin(turn)) / (width * EYE_DISTANCE * face.frame_px)
    shift = complex(0.5, eyes_at) - factor * complex(*eyes)
    return AlignTransform(factor.real, factor.imag, shift.real, shift.imag)


def _seen_wide(photo: Tensor, faces: Sequence[AlignTransform], segmenter, size, core: np.ndarray) -> np.ndarray:
    """What wider and wider views say of what the narrower ones do not show: [h, w] in 0 to 1."""
    said = np.zeros(size[::-1], np.float32)
    seen = core.copy()  # how much of a pixel's word is spoken
    photo, faces = _reduced(photo, faces, 1.2 * segmenter.resolution)
    views = 0
    for row in _VIEWS:
        level, weight = np.zeros_like(said), np.zeros_like(said)
        for face in faces:
            squares = [_view(face, *one) for one in row]
            inside = [(_inside(view, size, photo.shape[:0:-1]) / _FADE).clip(0, 1) for view in squares]
            reach = np.maximum.reduce(inside)
            if views >= _MAX_VIEWS or (reach * (1 - np.maximum(seen, weight))).sum() < 0.02 * reach.sum():
                continue
            views += len(squares)
            total = np.zeros_like(said)
            for view, share in zip(squares, inside, strict=True):
                crop = view.crop(photo, segmenter.resolution)
                output = segmenter(torch.cat([crop, crop.flip(3)])).person.float().cpu()
                words = ((output[0] + output[1].flip(1)) / 2).numpy()
                total += _laid_over(words, view, size, photo.shape[:0:-1]) * share
            np.maximum(level, total / np.maximum(sum(inside), 1e-3) * reach, out=level)
            np.maximum(weight, reach, out=weight)
        said += level * (1 - seen)
        seen += weight * (1 - seen)
        if seen.min() >= 1:
            break
    for y in range(1, len(said)):  # below all views a person goes on as above
        said[y] += said[y - 1] * (1 - seen[y])
    return said


def _with_body_below(said: np.ndarray, face: AlignTransform, scale: float) -> np.ndarray:
    """Believe a little more in a person [h, w] straight below shoulders: a sleeve or a hem is easily lost."""
    if abs(face.roll_deg) > 45:
        return said
    unit = EYE_DISTANCE * face.frame_px * scale
    eyes = face.inverse.apply((TIGHT_FRAME[0] + TIGHT_FRAME[1]) / 2) * scale
    low, high = (int(eyes[1] + reach * unit) for reach in _SHOULDERS)
    if not 0 <= low < high < len(said):
        return said
    columns = np.arange(said.shape[1], dtype=np.float32)
    near = (np.abs(columns - eyes[0]) < 0.5 * _VIEWS[0][0][0] * unit).astype(np.float32)  # not those of others
    level = np.median(said[low:high], axis=0) * near
    below = ((np.arange(len(said), dtype=np.float32) - low) / max(high - low, 1)).clip(0, 1)
    below *= (2 - (np.arange(len(said), dtype=np.float32) - high) / (_TORSO * unit)).clip(0, 1)
    more = np.maximum(said, from_odds(to_odds(said) + _BODY_WORD * below[:, None] * level[None]))
    return more.astype(np.float32)


def _reduced(photo: Tensor, faces: Sequence[AlignTransform], view_px: float) -> tuple[Tensor, list[AlignTransform]]:
    """Return a smaller copy in which the narrowest view is `view_px` wide: nothing more is seen in the photo itself."""
    narrowest = min(width for row in _VIEWS for width, _ in row)
    width = round(photo.shape[2] * view_px / (narrowest * EYE_DISTANCE * min(face.frame_px for face in faces)))
    if width >= photo.shape[2]:
        return photo, list(faces)
    step = photo.shape[2] / width
    size = (width, max(1, round(photo.shape[1] / step)))
    pixels = cv2.resize(to_rows(photo), size, interpolation=cv2.INTER_AREA)
    back = AlignTransform(step, 0.0, 0.0, 0.0)
    return torch.from_numpy(pixels).permute(2, 0, 1), [back.then(face) for face in faces]


def _by_color(colors: Colors, said: np.ndarray, face: np.ndarray, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """Weigh what was said with the colours that sure persons, and sure backgrounds, have in this photo.

    Args:
        colors: of the small picture.
        said: [h, w] in 0 to 1.
        face: [h, w] bool, where skin is seen.
        unit: distance of the eyes.

    Returns:
        Two [h, w]: the same, weighed; where skin is, in the face or not, as wide as an arm.
    """
    odds, found = to_odds(said), said
    for _ in range(2):
        found = from_odds(odds + _COLOR_WORD * colors.compare(2 * found - 1, 1 - 2 * found))
    # Hands and bare arms, which networks for heads know little of: thick things of the skin's colour, where that is a
    # colour that the background hardly has.
    is_skin = (colors.compare(face & (said > 0.8), 1 - 2 * found) > _SKIN_WORD).astype(np.float32)
    skin = cv2.morphologyEx(is_skin, cv2.MORPH_OPEN, disc(0.15 * unit))
    return np.maximum(found, 0.8 * skin).astype(np.float32), skin


def _up_to_the_edges(said: np.ndarray, alike: np.ndarray, depth: int) -> np.ndarray:
    """Carry persons on to the photo's edges, where networks see a mirror image and are often lost: hair, mostly.

    Args:
        said: [h, w] in 0 to 1.
        alike: [h, w] bool, where colours are rather a person's.
        depth: how far it is carried, in px.
    """
    added = np.zeros_like(said)
    if depth < min(said.shape):
        for quarter in range(4):
            inner, like, outer = (np.rot90(one, quarter) for one in (said, alike, added))
            reaches = _that_reach(inner[depth] > 0.8, inner[0] > 0.5)
            np.maximum(outer[:depth], reaches & like[:depth], out=outer[:depth], casting="unsafe")
    return added


def _that_reach(persons: np.ndarray, at_edge: np.ndarray) -> np.ndarray:
    """Return those stretches of persons [n] bool of which some part is at the photo's edge, too: others end before it.

    Args:
        at_edge: [n] bool, where persons are said to be there.
    """
    ends = np.flatnonzero(np.diff(np.concatenate([[0], persons.astype(np.int8), [0]]))).reshape(-1, 2)
    reaching = np.zeros_like(persons)
    for first, end in ends:
        reaching[first:end] = at_edge[first:end].mean() > _REACHING
    return reaching


def _inside_face(face: AlignTransform, size: tuple[int, int], photo_size) -> np.ndarray:
    """Whether pixels of the small picture show the middle of a face, [h, w]."""
    return _inside(face, size, photo_size) > 0.2


def _to_view(view: AlignTransform, size: tuple[int, int], photo_size) -> np.ndarray:
    """[2, 3] from pixels of the small picture, counted from their middles, to a view."""
    step = np.array([photo_size[0] / size[0], photo_size[1] / size[1]])
    matrix = view.matrix.copy()
    matrix[:, 2] += matrix[:, :2] @ (0.5 * step)
    matrix[:, :2] *= step
    return matrix


def _inside(view: AlignTransform, size: tuple[int, int], photo_size) -> np.ndarray:
    """How far each pixel of the small picture lies from the sides of a view, in its widths; below zero outside."""
    matrix = _to_view(view, size, photo_size).astype(np.float32)
    x, y = np.arange(size[0], dtype=np.float32)[None], np.arange(size[1], dtype=np.float32)[:, None]
    u = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]
    v = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]
    return np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v))


def _laid_over(mask: np.ndarray, view: AlignTransform, size: tuple[int, int], photo_size) -> np.ndarray:
    """Bring a mask [R, R] of a view to the small picture."""
    matrix = _to_view(view, size, photo_size) * mask.shape[0]
    matrix[:, 2] -= 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(mask, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _of_persons(rough: np.ndarray, near: np.ndarray, unit: float) -> tuple[np.ndarray, np.ndarray]:
    """Leave out what hangs together with no head and is no sure person of its own.

    Returns:
        [h, w] the rest; [h, w] uint8, 1 on it and around it.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats((rough > 0.4).astype(np.uint8))
    kept = np.zeros(len(stats), bool)
    kept[np.unique(labels[near > 0.5])] = True
    sure = np.bincount(labels[rough > _SURE], minlength=len(stats))
    kept |= sure > np.maximum(unit**2, 0.3 * stats[:, cv2.CC_STAT_AREA])
    kept[0] = False
    around = max(1, round(0.3 * unit))
    where = cv2.dilate(kept[labels].astype(np.uint8), np.ones((2 * around + 1, 2 * around + 1), np.uint8))
    rough = rough * where
    # A print on a shirt is no hole, a gap between arm and body is one.
    _, labels, stats, _ = cv2.connectedComponentsWithStats((rough < 0.5).astype(np.uint8), connectivity=4)
    beside = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    filled = stats[:, cv2.CC_STAT_AREA] < 1.5 * unit**2
    filled[beside] = filled[0] = False
    return np.where(filled[labels], np.float32(0.9), rough), where


def _draw_bodies(person: np.ndarray, pixels: np.ndarray, small: np.ndarray, found, radius: int) -> None:
    """Fit a rough mask to the colours around each pixel, and put it over `person`, at the photo's size.

    Args:
        person: [H, W] uint8, is changed.
        pixels, small: [H, W, 3] and [h, w, 3] uint8.
        found: the mask, [h, w], and how much of it goes over, [h, w].
        radius: in px of `small`.
    """
    rough, weight = found
    lines = fit_to_colors(small.astype(np.float32) / 255, [rough], radius)
    for rows, (value, share) in read_off(lines, pixels, _FIRM, [weight.astype(np.float32)]):
        value *= share
        value *= 255
        value += 0.5
        np.maximum(person[rows], value.astype(np.uint8), out=person[rows])
