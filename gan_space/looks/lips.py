"""Lipstick and lip liner."""

from __future__ import annotations

import numpy as np

from gan_space.faces.landmarks import LIPS_INNER, LIPS_OUTER, MOUTH_CORNERS
from gan_space.looks.face_patch import Box, FacePatch, middle_of, shade_of
from gan_space.looks.layers import LipLiner, Lipstick
from gan_space.looks.pigment import cover, luminance

COVERAGE = {"matte": 0.95, "satin": 0.85, "gloss": 0.7}  # of the lips' own colour at full amount
_SHINE_FROM = 1.35  # times as bright as the lips: their shine
_SHINE = {"matte": 0.35, "satin": 1.0, "gloss": 1.7}
_INNER_CORNERS = (78, 308)
_OPEN_GAP = 0.045  # face units; a smaller opening is the seam of closed lips


def paint_lipstick(patch: FacePatch, layer: Lipstick) -> None:
    """Colour the lips; teeth, tongue and the dark between the lips stay as they are."""
    box = _mouth_box(patch)
    if box[0] >= box[2] or box[1] >= box[3]:
        return
    lips = lip_mask(patch, box)
    pixels = patch.at(box)
    own = middle_of(pixels, lips)
    brightness = float(luminance(own))
    shade = shade_of(pixels, brightness)
    shine = np.maximum(shade - _SHINE_FROM, 0)
    share = lips * (COVERAGE[layer.finish] * layer.amount)
    base = np.minimum(shade, _SHINE_FROM)
    if layer.finish == "matte":
        base = base**0.85  # powder fills creases
    painted = cover(
        pixels / np.maximum(shade / np.maximum(base, 1e-3), 1)[..., None], share, patch.light.on(layer.color), base
    )
    gain = 1 + (_SHINE[layer.finish] - 1) * layer.amount
    glow = shine * gain
    if layer.finish == "gloss":
        glow = glow + layer.amount * _gloss(patch, shade, lips)
    painted += (lips * glow * brightness)[..., None] * patch.light.white / patch.light.white.mean()
    outside = ((1 - lips) * shine * brightness)[..., None] * (pixels / np.maximum(luminance(pixels), 1e-4)[..., None])
    patch.put(box, painted + outside, share)


def paint_lip_liner(patch: FacePatch, layer: LipLiner) -> None:
    """Draw along the outer edge of the lips, half on the lips and half beside them."""
    box = _mouth_box(patch)
    if box[0] >= box[2] or box[1] >= box[3]:
        return
    outer = patch.outline(LIPS_OUTER, MOUTH_CORNERS)
    wide = patch.draw([outer], 0.05, box)
    line = 4 * wide * (1 - wide)  # strongest where the mask is a half
    pixels = patch.at(box)
    reference = float(luminance(middle_of(pixels, lip_mask(patch, box))))
    share = line * (0.8 * layer.amount)
    shade = shade_of(pixels, reference, high=1.6)
    patch.put(box, cover(pixels, share, patch.light.on(layer.color), shade), share)


def lip_mask(patch: FacePatch, box: Box) -> np.ndarray:
    """The lips without what shows between them, [h, w] in [0, 1]."""
    mouth = patch.draw([patch.outline(LIPS_OUTER, MOUTH_CORNERS)], 0.035, box)
    return mouth * (1 - _between_lips(patch, box, mouth))


def _between_lips(patch: FacePatch, box: Box, mouth: np.ndarray) -> np.ndarray:
    """Teeth, and the core of an open mouth."""
    inner = patch.outline(LIPS_INNER, _INNER_CORNERS)
    gap = patch.units((13, 14))
    gap = float(np.linalg.norm(gap[1] - gap[0]))
    openness = float(np.clip((gap - _OPEN_GAP) / _OPEN_GAP, 0, 1))
    if not openness:
        return np.zeros_like(mouth)
    opening = patch.draw([inner], 0.03, box)
    near = patch.draw([inner], 0.08, box)
    near = (2.5 * near).clip(0, 1)
    pixels = patch.bare(box)
    ring = (mouth > 0.9) & (near < 0.05)
    if ring.sum() < 10:
        return opening * openness
    total = pixels.sum(axis=2) + 1e-3
    redness = pixels[..., 0] / total
    of_lips = float(np.median(redness[ring]))
    core = opening > 0.8
    of_core = float(np.quantile(redness[core], 0.3)) if core.any() else of_lips
    bright = luminance(pixels) / max(float(np.median(luminance(pixels)[ring])), 1e-4)
    # Teeth are less red than lips and at least as bright; half way between the two is the edge.
    span = max(of_lips - of_core, 0.04)
    pale = ((of_lips - redness) / span - 0.35).clip(0, 0.4) / 0.4
    teeth = pale * (bright - 0.6).clip(0, 0.3) / 0.3 * near
    return openness * np.maximum(teeth, opening)


def _gloss(patch: FacePatch, shade: np.ndarray, lips: np.ndarray) -> np.ndarray:
    """Wet shine where the lips' own shading has its tops."""
    fine = shade - patch.blur(shade, 0.03)
    broad = patch.blur(shade, 0.02) - patch.blur(shade, 0.1)
    return 1.6 * np.maximum(fine, 0) + 1.0 * np.maximum(broad, 0)


def _mouth_box(patch: FacePatch) -> Box:
    return patch.box_of(patch.points[list(LIPS_OUTER)], 0.12)
