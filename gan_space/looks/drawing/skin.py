"""Hold the lightness of skin in drawings: paper, chalk and inks must not make a dark face lighter.

One curve does it for skin, hair and ground, so that a neck goes with its face and nothing has a halo: odds y / (1 - y)
of the luminance are divided by one number, which leaves black and white where they are, and shadows open.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.faces.landmarks import CHIN, FOREHEAD_TOP
from gan_space.faces.masks import Mask, draw_soft
from gan_space.faces.regions import find_region
from gan_space.images import luminance
from gan_space.looks.drawing.blocks import blur, ramp, resize, row_strips
from gan_space.looks.drawing.canvas import Canvas
from gan_space.output.lab import rgb_to_lightness
from gan_space.portraits.light import find_level

_CELL = 0.02  # units, of the small picture on which the curve is found
_WIDE = 1.0  # units, over which the light on a face is averaged
_ROUNDS = 4
# Of L* in good light: skin that gets all of its hatching, and none; share of ink in shadows.
_HATCHED, _MOST_INK = (0.47, 0.55), 0.85
_NECK, _EARS = 0.6, 0.3  # units below the jaw, and around all of it, in which skin of the face's hue is hatched
_NECK_ENDS = (172, 397)  # of the landmarks: corners of the jaw, between which the neck lies
_COLOURED = (0.015, 0.05)  # distance of hues that tells skin from its ground not at all, and well
_PAPER = 0.15  # of L* that skin may be lighter on paper when it is light itself


def hold_skin(c: Canvas, drawn: Tensor) -> Tensor:
    """Give the skin of every face back the mean lightness that it has in the photo.

    Args:
        c: what the drawing was made from; without faces nothing changes.
        drawn: [1, 3, h, w] in [0, 1], at any size.
    """
    found = c.once("skin", _skin_of)
    if found is None:
        return drawn.clamp(0, 1)
    wanted, mean = found
    small = resize(drawn, _small_size(c)).clamp(0, 1)
    divisor = find_divisor(lambda divisor: mean(lightness(divide_odds(small, divisor))), wanted)
    divisor = resize(divisor, tuple(drawn.shape[-2:]))
    held = torch.empty_like(drawn)
    for into, strip, by in row_strips(held, drawn, divisor):
        into.copy_(divide_odds(strip.clamp(0, 1), by))
    return held


def hold_tone(c: Canvas, tone: Tensor, printed: Callable[[Tensor], Tensor], share: float = 1.0) -> Tensor:
    """Let darker inks land on darker skin: the tones of a print in other colours than the photo's, made darker.

    Light skin may be as light as paper, which has no tone above it; dark skin stays as dark as it is.

    Args:
        c: what the drawing was made from; without faces nothing changes.
        tone: [1, 1, h, w] about [0, 1], at any size.
        printed: tones -> [1, 3, h, w] in [0, 1], about as the print will be.
        share: of the way back to the lightness of the photo.
    """
    found = c.once("skin", _skin_of)
    if found is None:
        return tone
    own, mean = found
    small = resize(tone, _small_size(c)).clamp(0, 1)
    as_it_is = mean(lightness(printed(small)))
    wanted = torch.minimum(as_it_is, torch.lerp(as_it_is, own + _PAPER * ramp(own, 0.45, 0.8), share))
    divisor = find_divisor(lambda divisor: mean(lightness(printed(_darker(small, divisor)))), wanted).clamp(min=1)
    return _darker(tone, resize(divisor, tuple(tone.shape[-2:])))


def hatch_amount(c: Canvas, painted: Tensor) -> Tensor | None:
    """Return how much ink a pen's strokes put on dark skin, [1, 1, H, W]; None: nowhere.

    Lines alone would leave dark skin as white as paper. Whether skin is dark is judged against the light on the face:
    light skin in dim light stays bare. So does what is lighter than the skin, and all but faces, necks and ears.

    Args:
        c: what the drawing is made from.
        painted: [1, 3, h, w] of the photo in flat strokes at `work_size`.
    """
    found = c.once("skin", _skin_of)
    if found is None:
        return None
    own, mean = found
    small = resize(c.shrunk.x, _small_size(c))
    level = mean(resize(_level(c.shrunk), _small_size(c))).clamp(0.1, 1)
    well_lit = mean(lightness((small / level).clamp(max=1)))
    own, well_lit = resize(torch.cat([own, well_lit], dim=1), tuple(c.shrunk.x.shape[-2:])).split(1, dim=1)
    dark = 1 - ramp(well_lit, *_HATCHED)
    if float(dark.max()) == 0:
        return None
    light, hue = lightness(painted), _hue(painted)
    faces = c.shrunk.skins(_small_size(c))
    points = [c.shrunk.faces[number].points for number in faces.numbers]
    own_hue = faces.blend([_own_hue(hue, find_region(face, "skin", c.shrunk.size)) for face in points])
    own_hue = resize(own_hue, c.shrunk.size)
    apart = (hue - own_hue).square().sum(dim=1, keepdim=True).sqrt()
    alike = (1 - ramp(apart, 0.05, 0.12)) * _room(c.shrunk, float(ramp(apart.mean(), *_COLOURED)))
    alike = torch.maximum(alike, resize(c.shrunk.region("lips"), tuple(painted.shape[-2:])))
    shade = 1 - ramp(light / own.clamp(min=0.05), 0.45, 1.7)
    return c.enlarge(dark * alike * _MOST_INK * shade).clamp_(min=0)


def _level(c: Canvas) -> Tensor:
    """How bright white is in the light on each face, on its skin, [1, 1, h, w]: in dim light eyes are dim as well."""
    masks = [(find_region(face.points, "skin", c.size), find_level(c.pixels, face.points)) for face in c.faces]
    return c._join(masks) / c.skin.clamp(min=1e-3)


def _room(c: Canvas, coloured: float) -> Tensor:
    """Where skin of the faces may be, [1, 1, h, w]: they with foreheads and necks; ears only where hues tell them."""
    necks = []
    for face in c.faces:
        down = face.points[CHIN] - face.points[FOREHEAD_TOP]
        down = down / max(float(np.hypot(*down)), 1e-6) * (_NECK * c.unit)
        jaw = face.points[list(_NECK_ENDS)]
        necks.append((draw_soft([np.concatenate([jaw, jaw[::-1] + down])], c.size, 0.15 * c.unit), 1.0))
    near = torch.stack([c.region("face"), c.foreheads, c._join(necks)]).amax(dim=0)
    side = 2 * max(1, round(_EARS * c.unit)) + 1
    wide = cv2.dilate(near[0, 0].numpy(), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
    return torch.lerp(near, blur(torch.from_numpy(wide)[None, None], 0.08, c.unit), coloured)


def _hue(x: Tensor) -> Tensor:
    """Shares of red and of blue in a colour, [N, 2, H, W]."""
    return x[:, ::2] / x.sum(dim=1, keepdim=True).clamp(min=0.05)


def _own_hue(hue: Tensor, skin: Mask) -> Tensor:
    """Mean hue under a mask, [1, 2, 1, 1]."""
    left, top, right, bottom = skin.box
    values = torch.from_numpy(skin.values)
    return (hue[..., top:bottom, left:right] * values).sum(dim=(2, 3), keepdim=True) / values.sum().clamp(min=1e-3)


def _small_size(c: Canvas) -> tuple[int, int]:
    return tuple(math.ceil(side / max(1.0, _CELL * c.unit)) for side in c.size)


def _skin_of(c: Canvas) -> tuple[Tensor, Callable[[Tensor], Tensor]] | None:
    """Lightness of the skin in the photo, and what takes the mean over skin alike, of the nearest face everywhere."""
    size = _small_size(c)
    faces = c.shrunk.skins(size)
    if faces is None:
        return None
    photo = lightness(resize(c.shrunk.x, size))

    def averaged(skins: Sequence[Tensor]) -> Callable[[Tensor], Tensor]:
        wide = [blur(skin, _WIDE, unit) + 1e-4 * skin.mean() for skin, unit in zip(skins, faces.units, strict=True)]

        def mean(light: Tensor) -> Tensor:
            means = [
                (blur(skin * light, _WIDE, unit) + 1e-4 * (skin * light).mean()) / whole
                for skin, unit, whole in zip(skins, faces.units, wide, strict=True)
            ]
            return faces.blend(means)

        return mean

    # A beard gets lighter, and is no skin.
    bare = ramp(photo / averaged(faces.skins)(photo).clamp(min=0.01), 0.55, 0.8)
    mean = averaged([skin * bare for skin in faces.skins])
    return mean(photo), mean


def find_divisor(seen: Callable[[Tensor], Tensor], wanted: Tensor) -> Tensor:
    """Find by what to divide odds so that the mean of a drawing's lightness is what is wanted.

    Args:
        seen: a divisor [N, 1, h, w] -> the mean lightness in [0, 1] that it gives.
        wanted: the same lightness, [N, 1, h, w].
    """
    divisor = torch.ones_like(wanted)
    for _ in range(_ROUNDS):
        divisor = divisor * (_odds(seen(divisor)) / _odds(wanted)).clamp(0.4, 2.5)
    return divisor


def _darker(tone: Tensor, divisor: Tensor) -> Tensor:
    inside = tone.clamp(0, 1)  # what is beyond paper or ink stays as far beyond it
    return inside / (inside + divisor * (1 - inside)).clamp_(min=1e-6) + (tone - inside)


def divide_odds(x: Tensor, divisor: Tensor) -> Tensor:
    """Make y / (1 - y) of the luminance of [N, 3, H, W] smaller by a divisor; colours go a third of the way."""
    y = luminance(x)
    gain = (y + divisor * (1 - y)).clamp_(min=1e-6).reciprocal_()
    of_colour = gain.clamp(max=1.5).pow_(0.3)
    return (x * of_colour).add_(y.mul_(gain.sub_(of_colour))).clamp_(0, 1)


def lightness(x: Tensor) -> Tensor:
    """Return CIE L* in [0, 1] of [N, 3, H, W] in [0, 1]; [N, 1, H, W]."""
    return rgb_to_lightness(2 * x - 1) / 100


def _odds(v: Tensor) -> Tensor:
    v = v.clamp(0.03, 0.97)
    return v / (1 - v)
