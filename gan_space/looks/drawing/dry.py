"""Drawn with dry points on paper: pencil, coloured pencil, charcoal, pastel and a pen's line."""

from __future__ import annotations

import math

import numpy as np
import torch

from gan_space.images import luminance
from gan_space.looks.drawing.blocks import colour, drop_specks, gradient_map, ramp, saturate, to_pixels, tone_to_pixels
from gan_space.looks.drawing.canvas import Canvas
from gan_space.looks.drawing.face_lines import BROAD, FINE, draw_face_lines
from gan_space.looks.drawing.skin import hatch_amount, hold_skin, hold_tone
from gan_space.looks.drawing.strokes import smear, turn_towards

_GRAPHITE = ((0, (34, 34, 38)), (1, (250, 250, 248)))
_COAL = ((0, (24, 23, 24)), (0.5, (126, 122, 118)), (1, (241, 237, 228)))
_BLACK = 0.181  # of the evened light; darker is a spot of ink
_DARK, _DEEP = 0.36, 0.45  # shares of a skin's luminance that are black beside it, of the skin of at most this one
_SPECK, _SPOT = 0.002, 0.003  # square units; smaller lines are scribble, and so are smaller spots of black or white
_HATCHES = 46.0  # of a pen's strokes to a unit
HAND = math.radians(-52)  # direction of the strokes of a right hand


def pencil(c: Canvas) -> np.ndarray:
    """Draw in graphite on grained paper: the formula's lines, and strokes along the forms where it is dark."""
    dodge = (c.light / c.blur(c.light, 0.03).clamp_(min=0.04)).clamp_(0, 1) ** 1.5
    y = hold_tone(c, c.light, lambda tone: gradient_map(1 - 0.72 * (1 - ramp(tone, 0.0, 0.85)) ** 1.4, _GRAPHITE), 0.5)
    line = c.contours(0.007, 0.012, 0.06)
    dark = 1 - ramp(c.blur(y, 0.005), 0.0, 0.85)
    strokes = c.streaks(2, turn_towards(c.calm_flow, HAND), 0.12, 1.0)
    lead = dark**1.4 * (0.55 * strokes + (0.445 + 0.06 * c.grain(1, 0.6)))
    tone = (1 - lead.clamp_(0, 0.93)) * (0.25 + 0.75 * dodge) * (1 - 0.8 * line)
    tone = c.put_eyes(tone, lambda eye: 0.1 + 0.9 * eye.tones)
    return tone_to_pixels(tone, _GRAPHITE)


def pastel(c: Canvas) -> np.ndarray:
    """Draw in chalk on toned paper: the formula's fields and coloured contour, rubbed over the grain of the paper."""
    flat = c.brushed(0.026)
    shadow = 1 - ramp(c.even(luminance(flat)), 0.05, 0.5)  # against the face's own light: dark skin is no shadow
    field = 0.16 + 0.84 * saturate(c.relight(flat).clamp_(0, 1), 1.4)
    field += shadow * colour(flat, 0.01, -0.02, 0.055) + colour(flat, 0.05, 0.0, -0.01)
    tint = 0.5 * colour(flat, 0.5, 0.26, 0.42) + 0.3 * field
    chalk = 0.1 * c.streaks(2, turn_towards(c.calm_flow, HAND, 0.7), 0.3, 4.5) + 0.015 * c.grain(1, 0.9) - 0.05
    drawn = c.enlarge(field) + chalk
    drawn = torch.lerp(drawn, c.enlarge(tint), 0.8 * c.contours(0.011, 0.01, 0.07, 0.05))
    return to_pixels(c.put_eyes(hold_skin(c, drawn), lambda eye: 0.12 + 0.88 * eye.colours))


def coloured_pencil(c: Canvas) -> np.ndarray:
    """Draw in wax pencil on white paper: strokes in the photo's colours, over one another, white where it is light."""
    flat = torch.lerp(c.brushed(0.012), c.shrunk.x, 0.4)
    pure = saturate(c.relight(flat).clamp_(0, 1), 1.3).clamp_(0, 1)
    first = c.streaks(2, turn_towards(c.calm_flow, HAND), 0.14, 1.6) - 0.5
    second = c.streaks(4, turn_towards(c.calm_flow, HAND + 0.5, 0.6), 0.1, 1.6) - 0.5
    wax = c.enlarge(0.98 - pure)  # what each colour takes away from white
    much = luminance(wax)
    uneven = (0.5 * first + 0.3 * second + 0.05 * c.grain(1, 0.7)) * (1 - 0.65 * much)
    covered = (0.72 + 0.26 * much + uneven).clamp_(0, 0.97) + 0.2 * c.contours(FINE, 0.01, 0.06)
    return to_pixels(c.put_eyes(hold_skin(c, 0.985 - wax * covered), lambda eye: 0.06 + 0.94 * eye.colours))


def charcoal(c: Canvas) -> np.ndarray:
    """Draw in charcoal on rough paper: broad dark strokes, rubbed tones, whites lifted with the eraser."""
    soft = c.enlarge(c.even(luminance(c.brushed(0.02))))
    light = hold_tone(c, 0.6 * soft + 0.4 * c.light, lambda tone: gradient_map(ramp(tone, 0.02, 0.98), _COAL), 0.7)
    dark = (1 - ramp(light, 0.02, 0.98)) ** 1.4  # to the lights: forms of light skin are in them
    strokes = c.streaks(2, turn_towards(c.calm_flow, HAND), 0.16, 3.0) - 0.5
    tooth = c.grain(1, 0.9)
    coal = ramp(1.05 * dark + 0.3 * strokes * (0.3 + dark) + 0.1 * tooth * (1 - dark), 0.05, 1.05)
    line = c.contours(0.01, 0.01, 0.05, 0.06)
    tone = (1 - 0.95 * coal) * (1 - line * (0.72 + 0.25 * strokes))
    tone = c.put_eyes(tone, lambda eye: eye.tones)
    return tone_to_pixels(tone, _COAL)


def line_art(c: Canvas) -> np.ndarray:
    """Draw a pen's lines thick and thin, a face's own ones surely, black where it is darkest, dark skin hatched."""
    line = c.contours(FINE, 0.01, 0.007, 0.08, local=True, skin=0.75, far=0.22, speck=_SPECK)
    bold = c.contours(BROAD, 0.022, 0.009, 0.1, fine=1.0, skin=0.5, speck=_SPECK)
    tone = _in_locks(c, _against_skin(c, c.small_light))
    around, square = c.blur_small(tone, 0.07), c.blur_small(tone**2, 0.07)
    contrast = (tone - around) / ((square - around**2).clamp(min=0).sqrt() + 0.03)
    strands = 0.3 * ramp(c.strands_small.clone(), 0.06, 0.09)  # as light as what is not black
    dark = torch.maximum(tone + 0.09 * contrast, strands)
    least = _SPOT * c.work_unit**2
    dark = -drop_specks(-drop_specks(dark, _BLACK, least), -_BLACK, least)
    black = 1 - ramp(c.enlarge(dark), _BLACK - 0.006, _BLACK + 0.006)
    beard = ramp(c.enlarge(c.beard_room), 0.4, 0.6) if c.is_bearded else torch.zeros(1)  # between grey edges is fog
    paper = (1 - line * (1 - 0.75 * beard)) * (1 - 0.9 * bold * (1 - beard)) * (1 - black * (1 - beard))
    if c.is_bearded:
        paper *= 1 - c.beard_hairs
    hatched = hatch_amount(c, c.blur_small(c.shrunk.x, 0.006))
    if hatched is not None:
        paper *= 1 - 0.92 * _hatching(c, hatched)
    paper = c.put_eyes(paper, lambda eye: ramp(eye.tones, 0.12, 0.5) * (1 - _rims(c, eye.tones)), 1.0)
    if c.faces:
        paper *= 1 - torch.from_numpy(draw_face_lines(c))
    return tone_to_pixels(paper, [(0, (20, 20, 24)), (1, (252, 251, 247))])


def _against_skin(c: Canvas, tone: torch.Tensor) -> torch.Tensor:
    """Darken a tone beside faces that is far darker than their skin: black hair is black beside dark skin, too."""
    small = c.shrunk
    faces = small.skins(small.size)
    if faces is None:
        return tone
    own = faces.blend([(skin * small.y).sum(dim=(2, 3), keepdim=True) / skin.sum() for skin, _ in faces])
    beside = small.y * (_BLACK / _DARK / own.clamp(0.05, _DEEP))
    return torch.lerp(torch.minimum(tone, beside), tone, torch.maximum(small.skin, c.features))


def _in_locks(c: Canvas, tone: torch.Tensor) -> torch.Tensor:
    """Smooth a tone along the forms outside of faces, where edges agree: hair lies in locks; at `work_size`."""
    plane = tone[0, 0].numpy()
    short, long = (torch.from_numpy(smear(plane, c.flow, part * c.work_unit))[None, None] for part in (0.03, 0.15))
    agree = ramp(torch.from_numpy(c.flow[2].copy())[None, None], 0.3, 0.7)
    calm = torch.lerp(short, long, agree)
    if not c.faces:
        return calm
    inside = torch.lerp(short, tone, c.features)
    return torch.lerp(calm, inside, torch.maximum(c.shrunk.skin, c.features))


def _rims(c: Canvas, tones: torch.Tensor) -> torch.Tensor:
    """Draw the fine dark lines of an eye, 1 on one: light irises have a rim, and would be as white as the white."""
    return 0.9 * ramp(c.blur(tones, 0.02) - c.blur(tones, 0.008), 0.02, 0.09)


def _hatching(c: Canvas, amount: torch.Tensor) -> torch.Tensor:
    """Draw a pen's parallel strokes, as thick as there is ink, a little uneven; [1, 1, H, W] in [0, 1]."""
    rows, columns = (torch.arange(side, dtype=torch.float32) * (_HATCHES / c.unit) for side in c.size)
    uneven = c.grain(2, 12.0)
    phase = torch.add(columns * -math.sin(HAND), (rows * math.cos(HAND))[:, None]).add(uneven, alpha=0.09)
    strokes = phase.frac_().mul_(2).sub_(1).abs_()
    soft = min(0.4, 1.2 * _HATCHES / c.unit)
    return ramp(amount * (1 + 0.2 * uneven) - strokes, -soft, soft).mul_(amount > 0.05)
