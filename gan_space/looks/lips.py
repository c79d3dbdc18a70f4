"""Lipstick and lip liner."""

from __future__ import annotations

import numpy as np

from gan_space.faces.landmarks import LIPS_INNER, LIPS_OUTER, MOUTH_CORNERS
from gan_space.faces.pigment import cover, luminance
from gan_space.looks.face_patch import Box, FacePatch, middle_of, shade_of
from gan_space.looks.layers import LipLiner, Lipstick
from gan_space.looks.lip_edge import below_seam, within_lips

COVERAGE = {"matte": 0.95, "satin": 0.85, "gloss": 0.7}  # of the lips' own colour at full amount
_SHINE = {"matte": 0.35, "satin": 1.0, "gloss": 1.6}  # of what the lips shine by themselves
_SHINE_FROM = 1.3  # times as bright as the lip around it
_INNER_CORNERS = (78, 308)
_SEAM, _OPEN = 0.03, 0.05  # face units between the lips: closed up to here, open from there on
_EDGE = (0.25, 0.85)  # of the mask's soft edge: a rim of bare lip is hardly seen, one of painted skin is
_OTHER = (0.21, 0.3)  # share of the opening that is like neither lip: up to 0.21 in closed ones, else above 0.3
_FEW_PIXELS = 4
_WIDE_OPEN = 0.12  # from here on nothing between them can be lip


def paint_lipstick(
    patch: FacePatch, layer: Lipstick, color: np.ndarray | None = None, coverage: float | None = None
) -> None:
    """Colour the lips; teeth, tongue and the dark between the lips stay as they are.

    Args:
        color: [3] linear, how it looks in the photo's light; None: as the layer's does.
        coverage: of the lips' own colour at full amount; None: as the finish's is.
    """
    color = patch.light.on(layer.color) if color is None else color
    coverage = COVERAGE[layer.finish] if coverage is None else coverage
    box = mouth_box(patch)
    if box[0] >= box[2] or box[1] >= box[3]:
        return
    lips = lip_mask(patch)
    pixels = patch.at(box)
    bright = luminance(pixels)
    own = float(np.median(bright[lips > 0.5])) if (lips > 0.5).any() else float(bright.mean())
    # Each lip against its own surroundings: in most light the upper one is darker.
    weight = np.maximum(lips, 1e-3)
    broad = patch.blur(bright * weight, 0.07) / np.maximum(patch.blur(weight, 0.07), 1e-3)
    shine = ((lips - 0.5) / 0.4).clip(0, 1) * np.maximum(bright - _SHINE_FROM * broad, 0)
    white = patch.light.white / float(luminance(patch.light.white))
    dull = np.maximum(pixels - shine[..., None] * white, 0.2 * pixels)
    # No brighter than the lip near its edge, where the skin beside it is. Upper and lower lip differ by light and by
    # their own colour; the latter is covered.
    shade = np.minimum(luminance(dull) / np.maximum(broad, 1e-4), 1.25) * (broad / max(own, 1e-4)) ** 0.4
    if layer.finish == "matte":
        shade = shade**0.85  # powder fills creases
    share = lips * (coverage * layer.amount)
    painted = cover(dull, share, color, shade.clip(0.03, 4))
    glow = shine * (1 + (_SHINE[layer.finish] - 1) * layer.amount)
    if layer.finish == "gloss":
        glow += layer.amount * lips * _gloss(patch, bright, broad)
    patch.put(box, painted + glow[..., None] * white, share)


def paint_lip_liner(patch: FacePatch, layer: LipLiner) -> None:
    """Draw along the outer edge of the lips, and a little beside them."""
    box = mouth_box(patch)
    if box[0] >= box[2] or box[1] >= box[3]:
        return
    outer = patch.outline(LIPS_OUTER, MOUTH_CORNERS)
    wide = patch.draw([outer], 0.05, box)
    line = 4 * wide * (1 - wide)  # strongest where the mask is a half
    pixels = patch.at(box)
    reference = float(luminance(middle_of(pixels, lip_mask(patch))))
    # As strong beside the lips as on them, it is a halo where landmarks err or the photo is small.
    share = line * (0.2 + 0.8 * lip_mask(patch)) * (0.95 * layer.amount)
    shade = shade_of(pixels, reference, high=1.6)
    patch.put(box, cover(pixels, share, patch.light.on(layer.color), shade), share)


def lip_mask(patch: FacePatch) -> np.ndarray:
    """Return the lips without what shows between them, in `mouth_box`: [h, w] in [0, 1]."""
    return patch.once("lips", _find_lips)


def _find_lips(patch: FacePatch) -> np.ndarray:
    box = mouth_box(patch)
    mouth = patch.draw([patch.outline(LIPS_OUTER, MOUTH_CORNERS)], 0.035, box)
    bare = 1 - _between_lips(patch, box, mouth)
    lips = bare * within_lips(patch, box, mouth * bare)
    return ((lips - _EDGE[0]) / (_EDGE[1] - _EDGE[0])).clip(0, 1)


def _between_lips(patch: FacePatch, box: Box, mouth: np.ndarray) -> np.ndarray:
    """Teeth, the dark between parted lips, and all that is between lips wide open."""
    gap = float(np.linalg.norm(np.diff(patch.units((13, 14)), axis=0)))
    inner = patch.outline(LIPS_INNER, _INNER_CORNERS)
    opening = patch.draw([inner], 0.03, box)
    near = (2.5 * patch.draw([inner], 0.08, box)).clip(0, 1)
    pixels = patch.bare(box)
    bright = luminance(pixels)
    redness = pixels[..., 0] / (pixels.sum(axis=2) + 1e-3)
    ring = (mouth > 0.9) & (near < 0.05)
    openness = float(np.clip((gap - _SEAM) / (_OPEN - _SEAM), 0, 1))
    if ring.sum() < 10:
        return opening * openness
    openness *= _shows_more_than_lips(patch, box, opening > 0.9, ring, bright, redness)
    of_lips, lip_bright = float(np.median(redness[ring])), max(float(np.median(bright[ring])), 1e-4)
    between = near > 0.5
    palest = float(np.quantile(redness[between], 0.15)) if between.any() else of_lips
    # Teeth are less red than lips and hardly darker; half way between the two is the edge.
    pale = ((of_lips - redness) / max(of_lips - palest, 0.04) - 0.4).clip(0, 0.4) / 0.4
    teeth = pale * (bright / lip_bright - 0.6).clip(0, 0.3) / 0.3 * near
    # Pale lips are of one colour with teeth; there the landmarks alone say what lies between.
    alike = float(np.clip((0.11 - (of_lips - palest)) / 0.04, 0, 1)) * openness
    teeth = np.maximum(teeth, alike * opening)
    # A little of them shows between lips that the landmarks take for closed.
    spread = 1.48 * float(np.median(np.abs(redness[ring] - of_lips)))
    openness = max(openness, float(np.clip((of_lips - palest - 0.05) / max(2 * spread, 0.03), 0, 1)))
    dark = (0.5 - bright / lip_bright).clip(0, 0.25) / 0.25 * opening
    wide = float(np.clip((gap - _OPEN) / (_WIDE_OPEN - _OPEN), 0, 1))
    return openness * patch.blur(np.maximum(np.maximum(teeth, dark), wide * opening).astype(np.float32), 0.008)


def _shows_more_than_lips(
    patch: FacePatch, box: Box, between: np.ndarray, lips: np.ndarray, bright: np.ndarray, redness: np.ndarray
) -> float:
    """Say whether teeth or the dark show where the landmarks see an opening, in [0, 1]; else two full lips are closed.

    Args:
        between, lips: [h, w] bool, surely in the opening, and surely on one of the lips.
    """
    x, y = np.meshgrid(np.arange(box[0], box[2]) + 0.5, np.arange(box[1], box[3]) + 0.5)
    upper = lips & (below_seam(patch, np.stack([x, y], axis=-1)) < 0)
    lower = lips & ~upper
    if min(between.sum(), upper.sum(), lower.sum()) < _FEW_PIXELS:
        return 1.0
    dimmer, brighter = sorted(float(np.median(bright[lip])) for lip in (upper, lower))
    least_red = min(float(np.median(redness[lip])) for lip in (upper, lower))
    bright, redness = bright[between], redness[between]
    pale = (redness < least_red - 0.04) & (bright > 0.6 * dimmer)
    other = (bright < 0.5 * dimmer) | (bright > 1.3 * brighter) | pale
    return float(np.interp(other.mean(), _OTHER, (0, 1)))


def _gloss(patch: FacePatch, bright: np.ndarray, broad: np.ndarray) -> np.ndarray:
    """Wet shine where the lips' own shading has its tops."""
    fine = patch.blur(bright, 0.006) - patch.blur(bright, 0.03)
    bump = patch.blur(bright, 0.02) - broad
    return np.minimum(0.8 * np.maximum(fine, 0) + 0.9 * np.maximum(bump, 0), broad)


def mouth_box(patch: FacePatch) -> Box:
    """Return the part of a photo that holds a mouth."""
    return patch.box_of(patch.points[list(LIPS_OUTER)], 0.12)
