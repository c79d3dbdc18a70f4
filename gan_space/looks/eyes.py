"""Eye shadow, eye liner, lashes, brows and the colour of the irises."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np

from gan_space.faces.landmarks import LEFT_BROW, LEFT_EYE, LEFT_EYE_CORNERS, RIGHT_BROW, RIGHT_EYE, RIGHT_EYE_CORNERS
from gan_space.faces.pigment import cover, luminance, sheer_ratio
from gan_space.faces.snap import brow_edge
from gan_space.images import smooth_step
from gan_space.looks.face_patch import Box, FacePatch, middle_of, shade_of
from gan_space.looks.layers import Brow, EyeLiner, EyeShadow, Iris, Lashes

_BROW_EDGES = ((55, 65, 52, 53, 46), (285, 295, 282, 283, 276))  # lower edges of the brows, from the nose outwards
_CLOSED, _OPEN = 0.12, 0.3  # height of an eye over its width where lashes begin to and fully stand up
_BELOW = (0.05, 0.2)  # face units below the lower lashes: where skin is in nearly everybody
# How much of that is skin where dark glasses hide the eyes, and where they do not: of the eye with less, with more.
_BARER, _BARE = ((0.3, 0.5), (0, 1)), ((0.65, 0.75), (0, 1))
_MIN_STROKE_UNIT = 45.0  # px; below this eye distance single lashes are finer than pixels


class Eye:
    """One eye: u runs from its inner corner (0) to its outer one (1), v up from that line in face units."""

    def __init__(self, patch: FacePatch, side: int) -> None:
        places, (outer, inner) = ((LEFT_EYE, LEFT_EYE_CORNERS), (RIGHT_EYE, RIGHT_EYE_CORNERS))[side]
        self.patch, self.side = patch, side
        self.places, self.corners = places, (outer, inner)
        self.inner, self.outer = patch.units((inner, outer))
        along = self.outer - self.inner
        self.width = float(max(np.hypot(*along), 0.05))
        self.along = along / self.width
        across = np.array([self.along[1], -self.along[0]])
        self.up = across if across[1] < 0 else -across
        edge = self.local(patch.frame.apply(patch.outline(places, self.corners)))  # outer, below, inner, above
        half = len(edge) // 2
        self.below, self.above = edge[: half + 1][::-1], np.concatenate([edge[half:], edge[:1]])  # inner to outer
        self.brow = self.local(patch.units(_BROW_EDGES[side]))
        self.openness = float((self.above[:, 1].max() - self.below[:, 1].min()) / self.width)
        self.share = 1.0  # of its make-up that shows, see `eyes_of`

    def local(self, units: np.ndarray) -> np.ndarray:
        """Convert [K, 2] face units to u, v."""
        from_inner = units - self.inner
        return np.stack([from_inner @ self.along / self.width, from_inner @ self.up], axis=1)

    def photo(self, u, v) -> np.ndarray:
        """Convert u, v to [K, 2] photo pixels."""
        u, v = np.asarray(u, np.float64), np.asarray(v, np.float64)
        return self.patch.photo(self.inner + (u * self.width)[..., None] * self.along + v[..., None] * self.up)

    def lid(self, u) -> np.ndarray:
        """Return v of the upper lashes."""
        return np.interp(u, self.above[:, 0], self.above[:, 1])

    def lower_lid(self, u) -> np.ndarray:
        """Return v of the lower lashes."""
        return np.interp(u, self.below[:, 0], self.below[:, 1])

    @cached_property
    def box(self) -> Box:
        """The eye up to its brow."""
        points = np.concatenate(
            [self.patch.outline(self.places, self.corners), self.patch.points[list(_BROW_EDGES[self.side])]]
        )
        return self.patch.box_of(points, 0.16)

    @cached_property
    def grid(self) -> tuple[np.ndarray, np.ndarray]:
        """u and v of the box's pixels."""
        x, y = self.patch.grid(self.box)
        dx, dy = x - np.float32(self.inner[0]), y - np.float32(self.inner[1])
        u = (dx * self.along[0] + dy * self.along[1]) / self.width
        return u.astype(np.float32), (dx * self.up[0] + dy * self.up[1]).astype(np.float32)

    @cached_property
    def height(self) -> np.ndarray:
        """How far from the lashes (0) to the brow (1) pixels of the box are, [h, w]."""
        u, v = self.grid
        lid_v, brow_v = self.lid(u), np.interp(u, self.brow[:, 0], self.brow[:, 1])
        return ((v - lid_v) / np.maximum(brow_v - lid_v, 0.08)).astype(np.float32)

    @cached_property
    def under_brow(self) -> np.ndarray:
        """How far below the lowest hairs of the brow pixels of the box are, [h, w] face units."""
        lid = [self.corners[1], *self.places[9:], self.corners[0]]
        points = self.patch.points - self.patch.box[:2]
        edge = brow_edge(self.patch.codes, points, self.patch.unit, _BROW_EDGES[self.side], lid)
        u, v = self.grid
        return (np.interp(u, *edge) - v).astype(np.float32)

    @cached_property
    def opening(self) -> np.ndarray:
        """What shows between the lids, [h, w]."""
        outline = self.patch.outline(self.places, self.corners)
        return self.patch.draw([outline], 0.02, self.box)


def eyes_of(patch: FacePatch) -> list[Eye]:
    """Return both eyes, as far as they face the camera and lie in the photo."""
    return patch.once("eyes", _find_eyes)


def _find_eyes(patch: FacePatch) -> list[Eye]:
    eyes = [Eye(patch, side) for side in (0, 1)]
    widest = max(eye.width for eye in eyes)
    for eye in eyes:  # the narrower it looks, the more it is turned away, and the less its landmarks are worth
        eye.share = float(np.clip((eye.width / widest - 0.35) / 0.3, 0, 1))
    eyes = [eye for eye in eyes if eye.share > 0 and eye.box[0] < eye.box[2] and eye.box[1] < eye.box[3]]
    shown = _shown(patch, eyes)
    for eye in eyes:
        eye.share *= shown
    return eyes if shown else []


def _shown(patch: FacePatch, eyes: list[Eye]) -> float:
    """Say how far the eyes are seen, in [0, 1]: below dark glasses no skin is, below neither eye; a lock hides one."""
    bare = []
    for eye in eyes:
        (u, v), skin = eye.grid, patch.lid_skin(eye.box)
        below = (u > 0) & (u < 1) & (_BELOW[0] < eye.lower_lid(u) - v) & (eye.lower_lid(u) - v < _BELOW[1])
        bare.append(float(skin[below].mean()) if below.any() else 1.0)
    return float(max(np.interp(min(bare), *_BARER), np.interp(max(bare), *_BARE))) if bare else 0.0


# Shadow


def paint_eye_shadow(patch: FacePatch, layer: EyeShadow) -> None:
    """Blend two colours between lashes and brow."""
    places = patch.once("shadow", lambda patch: [_shadow_places(eye) for eye in eyes_of(patch)])
    for eye, (lid, crease, below), skin in zip(eyes_of(patch), places, _lid_skins(patch, places), strict=True):
        free = (0.25 + 0.75 * skin) * (1 - eye.opening) * (1 - brow_hairs(patch, eye)) * eye.share
        pixels = patch.at(eye.box)
        logs = np.zeros_like(pixels)  # of what the skin is multiplied by
        total = np.zeros_like(lid)
        for color, mask in ((layer.color, lid), (layer.crease_color, np.maximum(crease, layer.lower * below))):
            share = mask * free * layer.amount
            ratio = sheer_ratio(patch.light.on(color), patch.light.skin, 0.1, 1.0 if layer.finish == "matte" else 1.1)
            logs += (0.9 * share)[..., None] * np.log(ratio)
            total = np.maximum(total, share)
        painted = pixels * cv2.exp(logs)
        if layer.finish != "matte":
            u, _ = eye.grid
            middle = np.exp(-np.square((u - 0.5) / 0.28)) * lid * free * layer.amount
            bright = luminance(painted)
            fine = bright / np.maximum(patch.blur(bright, 0.025), 1e-3) - 1
            gain = 0.18 if layer.finish == "satin" else 0.4
            shine = gain * middle * (1 + np.maximum(fine, -0.3)) * (1 - bright).clip(0, 1)
            color = patch.light.on(layer.color) + 0.3 * patch.light.white
            # Light that falls on a lid is reflected: what lies in the dark, as lashes do, does not shine.
            painted = painted + (shine * bright / max(float(luminance(color)), 1e-3))[..., None] * color
        patch.put(eye.box, painted, total)


def _lid_skins(patch: FacePatch, places: list[tuple[np.ndarray, ...]]) -> list[np.ndarray]:
    """Say where lids take powder, [h, w] for each eye: what one lid shows to be skin is skin on the other, too.

    A lid that lies in deeper shade than the other one hardly looks like skin; painted on one side alone, shadow looks
    like a bruise. Hair that hangs over an eye stays bare.
    """
    skins = [patch.lid_skin(eye.box) for eye in eyes_of(patch)]
    bare = [(1 - patch.hair(eye.box)) * (1 - brow_hairs(patch, eye)) for eye in eyes_of(patch)]
    skins = [skin * free for skin, free in zip(skins, bare, strict=True)]
    weights = [np.maximum(lid, crease) * free for (lid, crease, _), free in zip(places, bare, strict=True)]
    shares = [float((w * skin).sum() / max(w.sum(), 1e-6)) for w, skin in zip(weights, skins, strict=True)]
    even = [0.8 * (max(shares) - share) / max(1 - share, 1e-6) for share in shares]
    return [skin + more * (1 - skin) * free for skin, more, free in zip(skins, even, bare, strict=True)]


def brow_hairs(patch: FacePatch, eye: Eye) -> np.ndarray:
    """Say where a brow is, [h, w] in [0, 1]: above its lower edge, and wherever much darker hairs hang on the lid."""
    height, brow = eye.height, _fall(eye.under_brow, 0.01, 0.05)
    bright = patch.blur(luminance(patch.bare(eye.box)), 0.008)
    lid = bright[(height > 0.1) & (height < 0.5) & (np.abs(eye.grid[0] - 0.5) < 0.4)]
    if not lid.size:
        return brow
    skin = max(float(np.median(lid)), 0.75 * float(np.percentile(lid, 85)), 1e-4)  # a brow may lie on half of the lid
    hairs = ((0.6 - bright / skin) / 0.2).clip(0, 1) * _rise(height, 0.2, 0.45)
    return np.maximum(hairs, brow)


def _shadow_places(eye: Eye) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where lid colour, crease colour and colour below the eye go, [h, w] each."""
    (u, v), height = eye.grid, eye.height
    lid = _rise(height, -0.04, 0.02) * _fall(height, 0.2, 0.55) * _rise(u, -0.1, 0.15) * _fall(u, 0.95, 1.25)
    arch = _rise(height, 0.08, 0.36) * _fall(height, 0.34, 0.76)
    crease = arch * (0.3 + 0.7 * _rise(u, 0.3, 0.95)) * _rise(u, -0.1, 0.3) * _fall(u, 0.9, 1.22)
    corner = _rise(u, 0.6, 1.0) * _fall(u, 0.98, 1.22) * _rise(height, -0.04, 0.04) * _fall(height, 0.22, 0.62)
    depth = eye.lower_lid(u) - v  # face units below the lower lashes
    below = _rise(depth, -0.01, 0.008) * _fall(depth, 0.012, 0.075) * _rise(u, 0.15, 0.6) * _fall(u, 0.98, 1.2)
    return lid, np.maximum(crease, corner), below * (height < 0)


def eye_surroundings(eye: Eye) -> np.ndarray:
    """Return all around an eye that make-up reaches, fading out below the brow and on the cheek; [h, w] in [0, 1]."""
    (u, v), height = eye.grid, eye.height
    depth = eye.lower_lid(u) - v
    return _fall(height, 0.55, 0.95) * _fall(depth, 0.06, 0.16) * _rise(u, -0.4, 0.0) * _fall(u, 1.05, 1.35)


# Liner and lashes


def paint_eye_liner(patch: FacePatch, layer: EyeLiner) -> None:
    """Draw a line along the lashes that grows outwards, and its wing."""
    for eye in eyes_of(patch):
        line = patch.draw([_liner_shape(eye, layer.thickness, layer.wing)], 0.018, eye.box)
        if layer.lower:
            u = np.linspace(0.25, 1.0, 16)
            depth = 0.012 * (0.3 + 0.7 * np.linspace(0, 1, 16))
            v = eye.lower_lid(u)
            shape = np.concatenate([eye.photo(u, v + 0.003), eye.photo(u, v - depth)[::-1]])
            line = np.maximum(line, layer.lower * 0.8 * patch.draw([shape], 0.02, eye.box))
        line *= 1 - _rise(eye.grid[0], 1.0, 1.1) * (1 - patch.skin(eye.box))  # hair hangs over the wing
        _draw_dark(patch, eye, line * layer.amount * eye.share, layer.color)


def _liner_shape(eye: Eye, thickness: float, wing: float) -> np.ndarray:
    """Outline of the line along the upper lashes, [K, 2] photo pixels."""
    u = np.linspace(0.04, 1.0, 32)
    lid = eye.lid(u)
    grow = 0.012 + (0.01 + 0.045 * thickness) * u**1.6
    grow *= np.clip(u / 0.2, 0, 1)
    if not wing:
        grow[-6:] *= np.linspace(1, 0.4, 6)
    top, bottom = np.stack([u, lid + grow], axis=1), np.stack([u, lid + 0.007], axis=1)
    if wing > 0:
        # From where the line is thickest in a hollow curve to the tip, and from there back to the corner of the eye:
        # the wing goes on as the lower lid ends, towards the end of the brow.
        length = 0.04 + 0.16 * wing
        corner = np.array([1.0, float(eye.lid(1.0))])
        tip = corner + np.array([0.88 * length / eye.width, 0.48 * length])
        hollow = 0.55 * corner + 0.45 * tip + np.array([0.0, 0.45 * grow[u < 0.9][-1]])
        shape = np.concatenate([top[u < 0.9], hollow[None], tip[None], bottom[::-1]])
    else:
        shape = np.concatenate([top, bottom[::-1]])
    return eye.photo(shape[:, 0], shape[:, 1])


def paint_lashes(patch: FacePatch, layer: Lashes) -> None:
    """Darken the line that lashes grow from, and draw single ones where the photo is fine enough to have them."""
    for eye in eyes_of(patch):
        u = np.linspace(0.05, 1.0, 24)
        lid = eye.lid(u)
        root = np.concatenate([eye.photo(u, lid + 0.012), eye.photo(u, lid - 0.008)[::-1]])
        share = 0.75 * patch.draw([root], 0.025, eye.box)
        standing = float(np.clip((eye.openness - _CLOSED) / (_OPEN - _CLOSED), 0, 1))
        fine = float(np.clip(patch.unit / _MIN_STROKE_UNIT - 0.5, 0, 1))
        if fine * standing > 0:
            strokes = _strokes(eye, layer.length, layer.lower, standing)
            share = np.maximum(share, fine * _draw_strokes(patch, *strokes, eye.box))
        _draw_dark(patch, eye, share * layer.amount * eye.share, layer.color)


def _strokes(eye: Eye, length: float, lower: float, standing: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lashes as curves: [N, K, 2] photo pixels, widths at the roots in face units [N], darkness [N]."""
    # The same for every face: an uneven row is what lashes look like, a random one would flicker from frame to frame.
    uneven = np.random.RandomState(7 + eye.side)
    group = np.linspace(0.1, 0.985, 12)[:, None]
    lots = uneven.random_sample((12, 11))

    def lot(column: int | slice, low: float, high: float) -> np.ndarray:
        return low + (high - low) * lots[:, column].reshape(12, -1)

    lean = np.interp(group, [0, 0.35, 1], [-0.35, 0.0, 0.85]) + lot(0, -0.12, 0.12)
    longest = np.interp(group, [0, 0.2, 0.75, 1], [0.35, 0.7, 1.0, 0.85]) * lot(1, 0.85, 1.1)
    reach = (0.05 + 0.075 * length) * longest * standing
    tip_u = group + np.sin(lean) * reach / eye.width
    place = group + np.array([-0.028, 0.0, 0.026]) + lot(slice(2, None, 3), -0.012, 0.012)
    own, dark = reach * lot(slice(3, None, 3), 0.65, 1.05), lot(slice(4, None, 3), 0.6, 1.0)
    # u, v, reach, lean, u of the tip, width, darkness, up or down
    rows = [(place, eye.lid(place) - 0.002, own, lean, tip_u, 0.009, dark, 1.0)]
    if lower:
        place = np.linspace(0.3, 0.97, 16) + uneven.uniform(-0.02, 0.02, 16)
        lots = uneven.random_sample((16, 3)).T
        lean = np.interp(place, [0.3, 0.5, 1], [-0.2, 0.0, 0.7]) - 0.15 + 0.3 * lots[0]
        reach = (0.025 + 0.02 * length) * (0.6 + 0.5 * lots[1]) * standing
        tip_u = place + np.sin(lean) * reach / eye.width
        dark = 0.8 * lower * (0.6 + 0.4 * lots[2])
        rows.append((place, eye.lower_lid(place), reach, lean, tip_u, 0.006, dark, -1.0))
    columns = [[part.ravel() for part in np.broadcast_arrays(*row)] for row in rows]
    u, v, reach, lean, tip_u, width, dark, sign = np.concatenate(columns, axis=1)[..., None]  # [N, 1] each
    # Out from the lid first, then up: a lash is bent towards its tip, and tips of neighbours stick together.
    t = np.linspace(0, 1, 7)
    side = 0.5 * np.sin(lean) * reach / eye.width + 0.5 * (tip_u - u)
    rise = np.cos(lean) * reach
    paths = eye.photo(u + side * (0.7 * t + 0.3 * t * t), v + sign * rise * (0.65 * t + 0.35 * t * t))
    return paths, width[:, 0], dark[:, 0]


def _draw_strokes(
    patch: FacePatch, paths: np.ndarray, widths: np.ndarray, darkness: np.ndarray, box: Box
) -> np.ndarray:
    """Draw tapering strokes with true coverage of pixels, [h, w]; arguments as `_strokes` gives them."""
    left, top, right, bottom = box
    over = int(np.clip(np.ceil(5 / max(0.01 * patch.unit, 0.5)), 2, 8))
    drawn = np.zeros(((bottom - top) * over, (right - left) * over), np.uint8)
    along = np.gradient(paths, axis=1)
    across = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    across /= np.linalg.norm(across, axis=-1, keepdims=True).clip(1e-9)
    half = (0.5 * widths * patch.unit)[:, None, None] * np.linspace(1, 0.12, paths.shape[1])[:, None]
    shapes = np.concatenate([paths + half * across, (paths - half * across)[:, ::-1]], axis=1)
    places = np.round(((shapes - (left, top)) * over - 0.5) * 16).astype(np.int32)
    for place, dark in zip(places, darkness, strict=True):
        cv2.fillPoly(drawn, [place], int(255 * dark), lineType=cv2.LINE_8, shift=4)
    return cv2.resize(drawn, (right - left, bottom - top), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def _draw_dark(patch: FacePatch, eye: Eye, share: np.ndarray, color: str) -> None:
    """Cover with a pen: nearly opaque, with a little of the skin's shading."""
    pixels = patch.at(eye.box)
    reference = float(luminance(patch.light.skin))
    around = patch.blur(luminance(pixels), 0.06)
    shade = (around / max(reference, 1e-4)).clip(0.1, 1.2)
    painted = patch.light.on(color) * shade[..., None]
    # Hair that hangs over an eye stays as it is; what is as dark as lashes may be lashes.
    share = share * (1 - patch.hair(eye.box) * ((luminance(patch.bare(eye.box)) / reference - 0.03) / 0.05).clip(0, 1))
    # In linear light, as ink covers part of a pixel; never lighter than what is there.
    mixed = pixels + share[..., None] * (np.minimum(painted, pixels) - pixels)
    patch.put(eye.box, mixed, share)


# Brows


def paint_brow(patch: FacePatch, layer: Brow) -> None:
    """Darken a brow's hairs and fill the gaps between them, only where hairs are near."""
    for places, share in zip((LEFT_BROW, RIGHT_BROW), patch.side_shares, strict=True):
        if not share:
            continue
        outline = patch.outline(places, (places[0], places[3], places[5], places[9]))
        box = patch.box_of(outline, 0.12)
        if box[0] >= box[2] or box[1] >= box[3]:
            continue
        near = (1.5 * patch.draw([outline], 0.08, box)).clip(0, 1)
        pixels = patch.at(box)
        bright = patch.blur(luminance(pixels), 0.008)
        skin = np.quantile(bright[near > 0.2], 0.85) if (near > 0.2).any() else bright.max()
        hair = np.quantile(bright[near > 0.9], 0.15) if (near > 0.9).any() else bright.min()
        hairs = ((0.85 * skin - bright) / max(0.85 * skin - hair, 0.25 * skin, 1e-4)).clip(0, 1)
        filled = patch.blur(hairs, 0.02)
        amount = near * (0.5 * hairs + 0.4 * filled * filled).clip(0, 1) * layer.amount * share
        dark = middle_of(pixels, near * hairs, 0.6)
        target = patch.light.on(layer.color)
        lowest = min(1.0, 0.9 * float(luminance(dark)) / max(float(luminance(target)), 1e-4))
        painted = cover(
            pixels, 0.8 * amount, target * lowest, shade_of(pixels, float(luminance(dark)), 0.3, 2.5) ** 0.8
        )
        patch.put(box, np.minimum(painted, 1.15 * pixels), amount)


# Irises


def paint_iris(patch: FacePatch, layer: Iris, irises: np.ndarray) -> None:
    """Change the colour of the irises; pupils, lights and the dark rim stay.

    Args:
        irises: [2, 3] x, y, radius in photo pixels, left one first.
    """
    for eye in eyes_of(patch):
        x, y, radius = irises[eye.side]
        box = patch.box_of([[x, y]], 1.3 * radius / patch.unit)
        if eye.openness < 0.12 or box[0] >= box[2] or box[1] >= box[3]:
            continue
        columns, rows = np.arange(box[0], box[2]) + 0.5, (np.arange(box[1], box[3]) + 0.5)[:, None]
        far = (np.hypot(columns - x, rows - y) / radius).astype(np.float32)
        soft = max(0.12, 1.2 / radius)
        opening = patch.draw([patch.outline(eye.places, eye.corners)], 0.03, box)
        pixels = patch.at(box)
        bright = luminance(pixels)
        disc = _fall(far, 1.0 - soft, 1.0 + 0.5 * soft) * ((opening - 0.25) / 0.5).clip(0, 1)
        own = float(np.median(bright[disc > 0.5])) if (disc > 0.5).any() else 0.05
        lights = _fall(bright / max(own + 0.05, 1e-3), 1.8, 2.8)
        pupil = _rise(far, 0.3, 0.3 + 2 * soft)
        share = disc * lights * pupil * 0.75 * layer.amount * eye.share
        rim = 1 - 0.35 * _rise(far, 0.72, 0.95)
        floor = 0.02 * float(patch.light.white.mean())
        shade = ((bright + floor) / (own + floor)).clip(0.2, 1.8) * rim
        patch.put(box, cover(pixels, share, 0.55 * patch.light.on(layer.color), shade), share)


def _rise(x, low: float, high: float) -> np.ndarray:
    return smooth_step(x, low, high).astype(np.float32)


def _fall(x, low: float, high: float) -> np.ndarray:
    return 1 - _rise(x, low, high)
