"""Looks by formula with everything about them drawn at random: what the guided upscaler learns to carry over.

A look is a list of layers, each a function on [1, 3, H, W] in [0, 1] that never changes once it is made, so the same
look can be rendered at several sizes. Lengths are fractions of the width. Families are named, so that whole ones can be
held back and measured on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.images import luminance
from gan_space.looks.drawing.blocks import blur, even_light, ramp, saturate, smooth, spot

Layer = Callable[[Tensor], Tensor]
NOISE_CELLS = 48  # of the lattice behind paper and grain, across the width


class RandomLook(NamedTuple):
    """One look; `family` is that of its ground."""

    family: str
    layers: tuple[Layer, ...]

    def render(self, images: Tensor) -> Tensor:
        """Draw [N, 3, H, W] in [-1, 1], picture by picture; the same shape and range."""
        return torch.cat([self._draw(image[None]) for image in images])

    def _draw(self, image: Tensor) -> Tensor:
        x = (image.float().clamp(-1, 1) + 1) / 2
        for layer in self.layers:
            x = layer(x).clamp(0, 1)
        return x * 2 - 1


class Dice:
    """Numbers from a generator, under short names."""

    def __init__(self, random: torch.Generator):
        self.random = random

    def number(self, low: float, high: float) -> float:
        """Draw a number evenly."""
        return low + (high - low) * torch.rand([], generator=self.random).item()

    def log(self, low: float, high: float) -> float:
        """Draw a number, even in the logarithm, for lengths."""
        return math.exp(self.number(math.log(low), math.log(high)))

    def whole(self, low: int, high: int) -> int:
        """Draw a whole number, `high` included."""
        return int(torch.randint(low, high + 1, [], generator=self.random))

    def chance(self, share: float) -> bool:
        """Say yes in this share of all cases."""
        return torch.rand([], generator=self.random).item() < share

    def pick(self, options):
        """Draw one of these."""
        return options[self.whole(0, len(options) - 1)]

    def colour(self, low: float, high: float, chroma: float = 0.6) -> Tensor:
        """Draw a colour, [1, 3, 1, 1], of a lightness between `low` and `high`."""
        grey = self.number(low, high)
        tint = (torch.rand(1, 3, 1, 1, generator=self.random) - 0.5) * chroma * self.number(0, 1)
        return (grey + tint).clamp(0, 1)

    def ramp(self, count: int, chroma: float = 0.9) -> Tensor:
        """Draw [count, 3, 1, 1]: colours that grow lighter, or now and then darker."""
        low, high = self.number(0, 0.25), self.number(0.75, 1)
        steps = [low + (high - low) * (n + self.number(-0.3, 0.3)) / max(count - 1, 1) for n in range(count)]
        colours = torch.cat([self.colour(step, step, chroma) for step in steps])
        return colours.flip(0) if self.chance(0.08) else colours

    def lattice(self) -> Tensor:
        """Draw a coarse grid of noise."""
        return torch.rand(1, 1, NOISE_CELLS, NOISE_CELLS, generator=self.random)


# --- building blocks ---


def kuwahara(x: Tensor, radius: float) -> Tensor:
    """Give each pixel the mean of the calmest of the four squares at its corners: dabs of a brush."""
    r = max(1, round(radius * x.shape[-1]))
    y = luminance(x)
    stack = F.pad(torch.cat([x, y, y * y], dim=1), (r,) * 4, mode="replicate")
    means = F.avg_pool2d(stack, r + 1, stride=1)  # [1, 5, H + r, W + r]
    height, width = x.shape[-2:]
    corners = torch.stack([means[0, :, a : a + height, b : b + width] for a in (0, r) for b in (0, r)])
    calm = (corners[:, 4] - corners[:, 3] ** 2).argmin(dim=0)  # [H, W]
    return corners[:, :3].gather(0, calm.expand(1, 3, -1, -1))


def slope(y: Tensor, sigma: float) -> Tensor:
    """Return how fast a luminance rises, times the width's share of a pixel: about 0 to 1 at firm edges."""
    y = F.pad(blur(y, sigma), (1, 1, 1, 1), mode="replicate")
    across, down = y[..., 1:-1, 2:] - y[..., 1:-1, :-2], y[..., 2:, 1:-1] - y[..., :-2, 1:-1]
    return (across**2 + down**2 + 1e-8).sqrt() * sigma * y.shape[-1]


def noise(lattice: Tensor, like: Tensor, cells: float) -> Tensor:
    """Draw the same paper at every size: [1, 1, H, W] about [0, 1], `cells` across the width."""
    count = max(2, min(NOISE_CELLS, round(cells)))
    size = like.shape[-2:]
    return F.interpolate(lattice[..., :count, :count], size=size, mode="bicubic", align_corners=False)


def grid(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the places of the pixels as fractions of the width, u [1, 1, 1, W] and v [1, 1, H, 1]."""
    height, width = x.shape[-2:]
    u, v = (torch.arange(side, dtype=x.dtype) + 0.5 for side in (width, height))
    return (u / width).view(1, 1, 1, -1), (v / width).view(1, 1, -1, 1)


def stops(y: Tensor, colours: Tensor, at: list[float], width: float) -> Tensor:
    """Lay fields of colour: from one to the next around each of `at`, over `width` of luminance."""
    out = colours[:1].expand(1, 3, *y.shape[-2:])
    for colour, place in zip(colours[1:], at, strict=True):
        out = torch.lerp(out, colour[None].expand_as(out), ramp(y, place - width / 2, place + width / 2))
    return out


def tone(dice: Dice) -> Layer:
    """Return a luminance to draw from: plain, evened in light, smoothed."""
    kind, even = dice.pick(["plain", "blur", "guided", "guided"]), dice.chance(0.7)
    sigma, edge = dice.log(0.008, 0.035), dice.number(0.05, 0.12)
    mid, spread, crisp = dice.number(0.45, 0.62), dice.number(0.18, 0.28), dice.number(0, 0.9) * dice.chance(0.4)
    around = dice.number(0.02, 0.06)

    def make(x: Tensor) -> Tensor:
        if kind != "plain":
            x = blur(x, 0.5 * sigma) if kind == "blur" else smooth(x, sigma, edge)
        y = luminance(x)
        y = even_light(y, mid, spread) if even else y
        return (y + crisp * (y - blur(y, around)) if crisp else y).clamp(0, 1)

    return make


# --- grounds: what the whole picture becomes ---


def poster(dice: Dice) -> list[Layer]:
    """Draw the settings of flat colours with hard edges."""
    count, make = dice.whole(2, 6), tone(dice)
    colours, width = dice.ramp(count), dice.log(0.02, 0.12)
    at = [0.15 + 0.7 * (n + dice.number(0.2, 0.8)) / (count - 1) for n in range(count - 1)]
    return [lambda x: stops(make(x), colours, at, width)]


def washes(dice: Dice) -> list[Layer]:
    """Draw the settings of soft, pale tones."""
    count, make = dice.whole(3, 5), tone(dice)
    colours, width = dice.ramp(count, 0.4), dice.number(0.08, 0.25)
    at = [0.1 + 0.75 * (n + dice.number(0.2, 0.8)) / (count - 1) for n in range(count - 1)]
    soft, sigma = dice.number(0, 0.5), dice.number(0.01, 0.04)

    def paint(x: Tensor) -> Tensor:
        fields = stops(make(x), colours, at, width)
        return torch.lerp(fields, blur(fields, sigma), soft)

    return [paint]


def palette(dice: Dice) -> list[Layer]:
    """Take the nearest of a few colours at each pixel, soft or hard."""
    count, hard = dice.whole(4, 12), dice.log(40, 400)
    colours = torch.cat([dice.ramp(count), torch.rand(count, 3, 1, 1, generator=dice.random)])[:, :, 0, 0]  # [K, 3]
    sigma, edge, keep = dice.log(0.01, 0.03), dice.number(0.05, 0.12), dice.number(0, 0.4)

    def paint(x: Tensor) -> Tensor:
        flat = smooth(x, sigma, edge)
        distance = torch.cdist(flat.flatten(2).transpose(1, 2), colours[None]).square()  # [1, HW, K]
        out = (-hard * distance).softmax(dim=2) @ colours
        return torch.lerp(out.transpose(1, 2).view_as(x), flat, keep)

    return [paint]


def flat_tones(dice: Dice) -> list[Layer]:
    """Take the photo's own colours, smoothed, brightened, stepped."""
    sigma, edge, twice = dice.log(0.012, 0.035), dice.number(0.05, 0.12), dice.chance(0.5)
    saturation, gamma, lift = dice.number(0.4, 2.0), dice.log(0.6, 1.4), dice.number(0, 0.4) * dice.chance(0.5)
    count, step = dice.whole(4, 9), dice.chance(0.5)

    def paint(x: Tensor) -> Tensor:
        x = smooth(x, sigma, edge)
        x = smooth(x, sigma, edge) if twice else x
        x = saturate(x.clamp(0, 1) ** gamma, saturation).clamp(0, 1)
        if step:
            y = luminance(x)
            places = [(n + 0.5) / count for n in range(count)]
            stairs = sum(ramp(y, place - 0.15 / count, place + 0.15 / count) for place in places) / count
            x = x * (stairs / y.clamp(min=0.05))
        return lift + (1 - lift) * x

    return [paint]


def dodge(dice: Dice) -> list[Layer]:
    """Draw in graphite: the picture over its own blur."""
    sigma, power = dice.log(0.01, 0.04), dice.number(0.8, 3)
    dark, light, shade = dice.colour(0, 0.35), dice.colour(0.8, 1, 0.3), dice.number(0, 0.45)
    low, high = dice.number(0, 0.2), dice.number(0.45, 0.8)

    def paint(x: Tensor) -> Tensor:
        y = even_light(luminance(x))
        tone = (y / blur(y, sigma).clamp(min=0.05)).clamp(0, 1) ** power
        tone = tone * (1 - shade + shade * ramp(blur(y, 0.012), low, high))
        return torch.lerp(dark, light, tone)

    return [paint]


def tint(dice: Dice) -> list[Layer]:
    """Lay the colours of two to four inks over the whole range of light."""
    count, own = dice.whole(2, 4), dice.number(0, 0.6) * dice.chance(0.5)
    colours, even, gamma = dice.ramp(count), dice.chance(0.5), dice.log(0.6, 1.6)

    def paint(x: Tensor) -> Tensor:
        y = luminance(x)
        y = (even_light(y) if even else y).clamp(0, 1) ** gamma
        out = colours[:1].expand_as(x)
        for n in range(1, count):
            out = out + (colours[n] - colours[n - 1]) * (y * (count - 1) - n + 1).clamp(0, 1)
        return torch.lerp(out, x, own)

    return [paint]


def grade(dice: Dice) -> list[Layer]:
    """Leave a photograph: mixed channels, curves, sharpened or glowing."""
    mixing = torch.eye(3) + 0.25 * torch.randn(3, 3, generator=dice.random)
    gamma, lift, gain = dice.log(0.6, 1.6), dice.number(0, 0.15), dice.number(0.8, 1)
    crisp, sigma = dice.number(-0.6, 1.2), dice.log(0.006, 0.04)

    def paint(x: Tensor) -> Tensor:
        x = torch.einsum("oc,nchw->nohw", mixing, x).clamp(0, 1) ** gamma
        return lift + (gain - lift) * (x + crisp * (x - blur(x, sigma)))

    return [paint]


def paper(dice: Dice) -> list[Layer]:
    """Lay nothing but a sheet: what is drawn on it are lines."""
    colour = dice.colour(0.75, 1, 0.4) if dice.chance(0.75) else dice.colour(0, 0.25, 0.5)
    return [lambda x: colour.expand_as(x)]


def oil(dice: Dice) -> list[Layer]:
    """Paint in dabs of a brush (Kuwahara et al. 1976)."""
    radius, saturation, crisp = dice.log(0.012, 0.035), dice.number(0.8, 1.8), dice.number(0, 0.8)
    return [
        lambda x: saturate(kuwahara(x, radius), saturation),
        lambda x: x + crisp * (x - blur(x, 0.01)),
    ]


def relief(dice: Dice) -> list[Layer]:
    """Light the picture from one side as if it were carved."""
    angle, sigma, gain = dice.number(0, 2 * math.pi), dice.log(0.006, 0.02), dice.number(1.5, 4)
    dark, light, own = dice.colour(0, 0.3), dice.colour(0.75, 1), dice.number(0, 0.5)

    def paint(x: Tensor) -> Tensor:
        y = F.pad(blur(luminance(x), sigma), (1, 1, 1, 1), mode="replicate")
        across, down = y[..., 1:-1, 2:] - y[..., 1:-1, :-2], y[..., 2:, 1:-1] - y[..., :-2, 1:-1]
        light_share = 0.5 + gain * sigma * x.shape[-1] * (math.cos(angle) * across + math.sin(angle) * down)
        return torch.lerp(torch.lerp(dark, light, light_share.clamp(0, 1)), x, own)

    return [paint]


# --- what is drawn on top ---


def ink(dice: Dice, dark_ground: bool = False) -> Layer:
    """Draw lines where the picture is darker than around (XDoG; Winnemöller et al. 2012)."""
    sigma, sharp, level = dice.log(0.006, 0.016), dice.log(5, 30), dice.number(0.004, 0.02)
    colour = dice.colour(0.7, 1) if dark_ground else dice.colour(0, 0.4)
    amount, even = dice.number(0.5, 1), dice.chance(0.7)
    return lambda source, x: torch.lerp(x, colour.expand_as(x), amount * _ink(source, sigma, sharp, level, even))


def _ink(source: Tensor, sigma: float, sharp: float, level: float, even: bool) -> Tensor:
    y = luminance(source)
    y = even_light(y) if even else y
    return (sharp * (blur(y, 1.6 * sigma) - blur(y, sigma) - level)).clamp(0, 1)


def contour(dice: Dice, dark_ground: bool = False) -> Layer:
    """Draw lines along edges of any kind."""
    sigma, low = dice.log(0.006, 0.015), dice.number(0.05, 0.15)
    high, amount = low + dice.number(0.08, 0.3), dice.number(0.5, 1)
    colour = dice.colour(0.7, 1) if dark_ground else dice.colour(0, 0.4)

    def paint(source: Tensor, x: Tensor) -> Tensor:
        edge = ramp(slope(even_light(luminance(source)), sigma), low, high)
        return torch.lerp(x, colour.expand_as(x), amount * edge)

    return paint


def hatching(dice: Dice, dark_ground: bool = False) -> Layer:
    """Draw parallel strokes, the wider the darker the picture is."""
    period, angle, make = dice.log(0.035, 0.08), dice.number(0, math.pi), tone(dice)
    colour = dice.colour(0.7, 1) if dark_ground else dice.colour(0, 0.4)
    amount, hard, from_ = dice.number(0.4, 0.9), dice.number(2, 6), dice.number(0.4, 0.8)

    def paint(source: Tensor, x: Tensor) -> Tensor:
        u, v = grid(x)
        wave = 0.5 + 0.5 * torch.cos(2 * math.pi / period * (u * math.cos(angle) + v * math.sin(angle)))
        light = (make(source) / from_).clamp(0, 1)
        stroke = (hard * (wave - light) + 0.5).clamp(0, 1) * (light < 1)
        return torch.lerp(x, colour.expand_as(x), amount * stroke)

    return paint


def grain(dice: Dice) -> Layer:
    """Lay paper or canvas under the colours."""
    lattice, cells, amount = dice.lattice(), dice.number(12, NOISE_CELLS), dice.number(0.05, 0.25)
    return lambda x: x * (1 - amount * noise(lattice, x, cells))


def fading(dice: Dice) -> Layer:
    """Let the sheet show at the edge."""
    colour, width, height = dice.colour(0.8, 1, 0.3), dice.number(0.4, 0.55), dice.number(0.4, 0.6)
    return lambda x: torch.lerp(colour.expand_as(x), x, spot(x, (0.5, 0.5), width, height, 6))


GROUNDS: dict[str, Callable[[Dice], list[Layer]]] = {
    "poster": poster, "washes": washes, "palette": palette, "flat tones": flat_tones, "dodge": dodge,
    "tint": tint, "grade": grade, "paper": paper, "oil": oil, "relief": relief,
}  # fmt: skip
STROKES = {"ink": ink, "contour": contour, "hatching": hatching}
HELD_BACK = ("washes", "oil", "relief")  # families of grounds that are never trained on


def random_look(random: torch.Generator, families: tuple[str, ...]) -> RandomLook:
    """Draw a look whose ground is of one of these families."""
    dice = Dice(random)
    family = dice.pick(families)
    layers = GROUNDS[family](dice)
    strokes = []
    if family == "paper" or dice.chance(0.5):
        dark_ground = family == "paper" and layers[0](torch.zeros(1, 3, 8, 8)).mean().item() < 0.5
        kinds = [dice.pick(["ink", "ink", "contour", "hatching"]) for _ in range(dice.whole(1, 2))]
        strokes = [STROKES[kind](dice, dark_ground) for kind in kinds]
    own = dice.number(0.5, 0.95) if dice.chance(0.25) else 1.0  # how much of the look
    last = [grain(dice)] if dice.chance(0.15) else []
    last += [fading(dice)] if dice.chance(0.15) else []

    def draw(source: Tensor) -> Tensor:
        x = source
        for layer in layers:
            x = layer(x).clamp(0, 1)
        for stroke in strokes:
            x = stroke(source, x)
        for layer in last:
            x = layer(x)
        return torch.lerp(source, x.clamp(0, 1), own)

    return RandomLook(family, (draw,))
