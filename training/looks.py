"""Looks rendered by formula: what default packs are tuned towards, without a single foreign picture.

Each look is a function on faces [N, 3, R, R] in [-1, 1], aligned to the tight frame; its row in `LOOKS` gives the names
and how a pack of it is used. Sizes inside are fractions of the width, so a look is the same at every resolution.
Changes of skin are relative to what is there: no look makes dark skin light.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.errors import ConfigError
from gan_space.images import luminance

LEFT_EYE, RIGHT_EYE, MOUTH = (0.305, 0.309), (0.695, 0.309), (0.500, 0.703)  # x, y of the tight frame


@dataclass(frozen=True)
class Look:
    """One look and how its pack is used.

    Args:
        render: [N, 3, R, R] in [-1, 1] -> the same shape and range.
        name, description: in English and Chinese.
        scope, transfer: see `gan_space.packs.style.StylePack`.
    """

    render: Callable[[Tensor], Tensor]
    name: dict[str, str]
    description: dict[str, str]
    scope: str
    transfer: str


# --- building blocks, all on [N, C, H, W] in [0, 1] ---


def blur(x: Tensor, sigma: float) -> Tensor:
    """Gaussian blur; `sigma` is a fraction of the width; past the edge goes the mirror image."""
    sigma = max(sigma * x.shape[-1], 0.3)
    radius = min(math.ceil(2.5 * sigma), x.shape[-1] - 1)
    offsets = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, 1, -1)
    x = F.conv2d(F.pad(x, [radius, radius, 0, 0], mode="reflect"), kernel, groups=x.shape[1])
    return F.conv2d(F.pad(x, [0, 0, radius, radius], mode="reflect"), kernel.transpose(2, 3), groups=x.shape[1])


def smooth(x: Tensor, sigma: float, edge: float) -> Tensor:
    """Blur that stops at edges of contrast above `edge`: a filter guided by the luminance (He et al. 2013)."""
    guide = luminance(x)
    mean_guide, mean_x = blur(guide, sigma), blur(x, sigma)
    variance = blur(guide * guide, sigma) - mean_guide**2
    covariance = blur(guide * x, sigma) - mean_guide * mean_x
    slope = covariance / (variance + edge**2)
    return blur(slope, sigma) * guide + blur(mean_x - slope * mean_guide, sigma)


def ramp(x: Tensor, low: float, high: float) -> Tensor:
    """Smooth step from 0 at `low` to 1 at `high`."""
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def saturate(x: Tensor, amount: float) -> Tensor:
    """Colours further from grey (above 1) or nearer (below)."""
    y = luminance(x)
    return y + amount * (x - y)


def screen(x: Tensor, light: Tensor) -> Tensor:
    return 1 - (1 - x) * (1 - light)


def curve(x: Tensor, points: Sequence[tuple[float, float]]) -> Tensor:
    """Tone curve through (in, out) points, straight between them; "in" ascends from 0 to 1."""
    out = torch.full_like(x, points[0][1])
    for (x0, y0), (x1, y1) in pairwise(points):
        out = out + (y1 - y0) * ((x - x0) / (x1 - x0)).clamp(0, 1)
    return out


def gradient_map(y: Tensor, stops: Sequence[tuple[float, tuple[int, int, int]]]) -> Tensor:
    """Colours for a luminance [N, 1, H, W]: straight between the stops (luminance, (R, G, B) of 255)."""
    channels = [curve(y, [(at, colour[channel] / 255) for at, colour in stops]) for channel in range(3)]
    return torch.cat(channels, dim=1)


def even_light(y: Tensor, mid: float = 0.52, spread: float = 0.23) -> Tensor:
    """Bring a luminance to one mean and contrast, picture by picture: a drawing works for every skin and light."""
    mean, std = y.mean(dim=[2, 3], keepdim=True), y.std(dim=[2, 3], keepdim=True)
    return ((y - mean) * (spread / std.clamp(min=0.05)) + mid).clamp(0, 1)


def spot(x: Tensor, at: tuple[float, float], width: float, height: float, power: float = 2.0) -> Tensor:
    """Soft ellipse [1, 1, H, W]: 1 in its middle, 0.61 at its half axes `width` and `height`."""
    H, W = x.shape[-2:]
    v = (torch.arange(H, dtype=x.dtype, device=x.device) + 0.5).view(1, 1, H, 1) / H - at[1]
    u = (torch.arange(W, dtype=x.dtype, device=x.device) + 0.5).view(1, 1, 1, W) / W - at[0]
    return torch.exp(-0.5 * ((u / width).abs() ** 2 + (v / height).abs() ** 2) ** (power / 2))


def lines(y: Tensor, sigma: float, sharpness: float = 12.0, level: float = 0.0) -> Tensor:
    """Ink lines where the picture is darker than around: 1 on a line, 0 off (XDoG; Winnemöller et al. 2012)."""
    difference = blur(y, 1.6 * sigma) - blur(y, sigma)
    return (sharpness * (difference - level)).clamp(0, 1)


def features_mask(x: Tensor) -> Tensor:
    """1 on eyes, brows and mouth, which smoothing leaves alone."""
    eyes = spot(x, LEFT_EYE, 0.12, 0.075, 4) + spot(x, RIGHT_EYE, 0.12, 0.075, 4)
    return (eyes + spot(x, MOUTH, 0.16, 0.07, 4)).clamp(0, 1)


# --- the looks, on [0, 1] ---


def soft_glow(x: Tensor) -> Tensor:
    """Skin evened out, eyes kept crisp, a veil of light over the highlights, a breath of rose."""
    mask = features_mask(x)
    skin = smooth(x, 0.03, 0.12)
    detail = x - blur(x, 0.008)
    x = torch.lerp(skin + 0.15 * (x - skin), x + 0.6 * detail, mask)
    x = x.clamp(0, 1) ** 0.86
    glow = blur(x, 0.05)
    x = screen(x, 0.34 * glow * ramp(luminance(glow), 0.3, 0.95))
    x = 0.03 + 0.97 * saturate(x, 1.06)
    return x * _colour(x, 1.02, 0.985, 0.995)


def high_key(x: Tensor) -> Tensor:
    """Bright studio light from the front: open shadows, clean whites, cool and airy, deep eyes."""
    y = luminance(x)
    shade = blur(y, 0.12)
    x = x * (0.62 + 0.38 * (0.55 / shade.clamp(min=0.12))).clamp(0.9, 1.55)  # fill light where it is dark
    x = curve(x, [(0, 0.015), (0.12, 0.12), (0.35, 0.5), (0.65, 0.85), (1, 1)])
    edge = 1 - spot(x, (0.5, 0.5), 0.42, 0.46, 4)
    x = torch.lerp(x, screen(x, 0.55 * torch.ones_like(x)), 0.8 * edge)
    x = x + 0.5 * (x - blur(x, 0.012))
    return saturate(x, 0.62) * _colour(x, 0.985, 1.0, 1.03)


def film(x: Tensor) -> Tensor:
    """Colour negative: faded blacks, teal in the shadows, amber in the lights, edges falling off."""
    y = luminance(x)
    x = curve(x, [(0, 0.1), (0.2, 0.23), (0.5, 0.58), (0.8, 0.87), (1, 0.95)])
    shadow, light = 1 - ramp(y, 0.05, 0.55), ramp(y, 0.4, 0.95)
    x = x + shadow * _colour(x, -0.055, 0.015, 0.055) + light * _colour(x, 0.06, 0.015, -0.085)
    x = saturate(x, 0.92)
    return x * (0.82 + 0.18 * spot(x, (0.5, 0.48), 0.5, 0.5, 4))


def bold_make_up(x: Tensor) -> Tensor:
    """Red lips, plum shadow, lined eyes, blush and contour, at the known places of eyes and mouth."""
    mask = features_mask(x)
    x = torch.lerp(smooth(x, 0.022, 0.1), x, mask.clamp(min=0.3))
    # Lips are redder than the skin around them: colour only what is, inside an ellipse around the mouth.
    redness = x[:, :1] - 0.5 * (x[:, 1:2] + x[:, 2:])
    ratio = x[:, 1:2] / x[:, :1].clamp(min=0.05)
    around = spot(x, MOUTH, 0.24, 0.16, 4)
    skin_ratio = (ratio * around).sum(dim=[2, 3], keepdim=True) / around.sum()
    lips = spot(x, (MOUTH[0], MOUTH[1] + 0.005), 0.155, 0.062, 5) * ramp(skin_ratio - ratio, -0.035, 0.045)
    lips = blur(lips * ramp(redness, 0.0, 0.08), 0.006)
    y = luminance(x)
    lipstick = torch.cat([0.3 + 0.62 * y, 0.02 + 0.22 * y, 0.1 + 0.28 * y], dim=1)
    x = torch.lerp(x, lipstick, 0.85 * lips)
    for (u, v), side in ((LEFT_EYE, -1), (RIGHT_EYE, 1)):
        shadow = spot(x, (u + 0.018 * side, v - 0.045), 0.1, 0.032, 3) + 0.7 * spot(
            x, (u + 0.1 * side, v - 0.035), 0.05, 0.03
        )
        x = x * (1 - 0.62 * shadow.clamp(0, 1) * _colour(x, 0.36, 0.72, 0.34))
        wing = spot(x, (u + 0.095 * side, v - 0.004), 0.035, 0.012)
        dark = ramp(blur(luminance(x), 0.04) - luminance(x), 0.0, 0.12)
        liner = spot(x, (u, v - 0.004), 0.088, 0.032, 4) * dark + 0.5 * wing
        x = x * (1 - 0.55 * liner.clamp(0, 1))
        cheek = spot(x, (u + 0.06 * side, v + 0.24), 0.085, 0.06)
        x = x * (1 - 0.5 * cheek * _colour(x, -0.08, 0.3, 0.16))
        contour = spot(x, (0.5 + 0.42 * side, 0.66), 0.07, 0.16)
        x = x * (1 - 0.25 * contour)
    bridge = spot(x, (0.5, 0.45), 0.022, 0.12, 3) + 0.7 * spot(x, (0.5, 0.62), 0.03, 0.012)
    x = screen(x, 0.12 * bridge * torch.ones_like(x))
    x = x + 0.35 * mask * (x - blur(x, 0.012))
    return saturate(curve(x, [(0, 0), (0.25, 0.23), (0.75, 0.79), (1, 1)]), 1.05)


def ink_wash(x: Tensor) -> Tensor:
    """Brush lines and three washes of ink on warm paper, fading out at the edge."""
    y = even_light(luminance(smooth(x, 0.025, 0.08)), 0.6, 0.25)
    wash = 0.3 * ramp(y, 0.02, 0.16) + 0.3 * ramp(y, 0.26, 0.4) + 0.4 * ramp(y, 0.48, 0.66)
    wash = 0.75 * wash + 0.25 * blur(wash, 0.03)
    stroke = lines(even_light(luminance(x)), 0.011, 16.0, 0.012)
    ink = (0.12 + 0.88 * wash) * (1 - 0.85 * stroke)
    paper = 1 - spot(x, (0.5, 0.5), 0.5, 0.52, 6)
    ink = torch.lerp(ink, torch.ones_like(ink), 0.75 * paper)
    return gradient_map(ink, [(0, (24, 26, 34)), (0.45, (112, 116, 120)), (1, (246, 241, 229))])


def pencil(x: Tensor) -> Tensor:
    """Graphite: fine lines, light shading, white paper."""
    y = even_light(luminance(x))
    dodge = (y / blur(y, 0.025).clamp(min=0.05)).clamp(0, 1) ** 2.0  # the classic: picture over its own blur
    stroke = lines(y, 0.008, 7.0, 0.008)
    shade = 0.68 + 0.32 * ramp(blur(y, 0.012), 0.08, 0.62)
    drawn = dodge * shade * (1 - 0.6 * stroke)
    return gradient_map(drawn, [(0, (38, 38, 42)), (1, (250, 250, 248))])


def poster(x: Tensor) -> Tensor:
    """Four flat colours of a screen print: navy, red, blue, cream."""
    y = even_light(luminance(smooth(x, 0.03, 0.06)), 0.52, 0.25)
    y = y + 0.8 * (y - blur(y, 0.04))
    navy, red, blue, cream = (12, 42, 74), (206, 32, 44), (112, 160, 172), (250, 228, 172)
    steps = [(0, navy), (0.29, navy), (0.34, red), (0.48, red), (0.53, blue), (0.65, blue), (0.7, cream), (1, cream)]
    return gradient_map(y.clamp(0, 1), steps)


def pastel(x: Tensor) -> Tensor:
    """Chalk: soft fields, light rose and lilac, a coloured contour instead of black."""
    flat = smooth(smooth(x, 0.03, 0.07), 0.02, 0.05)
    y = luminance(flat)
    flat = 0.36 + 0.64 * saturate(flat.clamp(0, 1) ** 0.8, 1.25)
    shadow = 1 - ramp(y, 0.1, 0.6)
    flat = flat + shadow * _colour(flat, 0.05, -0.05, 0.16) + (1 - shadow) * _colour(flat, 0.06, -0.005, -0.01)
    stroke = lines(even_light(luminance(x)), 0.012, 9.0, 0.01)
    contour = torch.ones_like(flat) * _colour(flat, 0.52, 0.3, 0.46)
    return torch.lerp(flat, contour, 0.75 * stroke)


def duotone(x: Tensor) -> Tensor:
    """Two inks: violet shadows into coral and pale gold lights."""
    y = luminance(x)
    y = 0.5 * y + 0.5 * even_light(y, 0.5, 0.24)
    return gradient_map(y, [(0, (28, 12, 74)), (0.3, (92, 24, 120)), (0.6, (238, 86, 96)), (1, (255, 236, 180))])


def _colour(x: Tensor, red: float, green: float, blue: float) -> Tensor:
    return torch.tensor([red, green, blue], dtype=x.dtype, device=x.device).view(1, 3, 1, 1)


def _look(render: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Wrap a look on [0, 1] as one on [-1, 1], clipped."""

    def on_signed(images: Tensor) -> Tensor:
        return render((images.float().clamp(-1, 1) + 1) / 2).clamp(0, 1) * 2 - 1

    on_signed.__doc__ = render.__doc__
    return on_signed


def _row(render, en: str, zh: str, says_en: str, says_zh: str, scope: str, transfer: str) -> Look:
    return Look(_look(render), {"en": en, "zh-CN": zh}, {"en": says_en, "zh-CN": says_zh}, scope, transfer)


LOOKS: dict[str, Look] = {
    "soft-glow": _row(soft_glow, "Soft glow", "柔光美颜", "Even skin and a veil of light; eyes stay crisp.",
                      "肤色均匀，光线柔和，眼神依然清晰。", "face", "change"),
    "high-key": _row(high_key, "High-key studio", "高调影棚", "Bright, cool studio light with open shadows.",
                     "明亮清冷的影棚光，阴影通透。", "photo", "change"),
    "film-tone": _row(film, "Film tone", "胶片色调", "Faded blacks, teal shadows and amber lights of colour film.",
                      "褪色的黑、青色暗部与琥珀色高光。", "photo", "change"),
    "bold-make-up": _row(bold_make_up, "Bold make-up", "浓妆", "Red lips, plum eye shadow, blush and contour.",
                         "红唇、梅子色眼影、腮红与修容。", "face", "change"),
    "ink-wash": _row(ink_wash, "Ink wash", "水墨", "Brush lines and washes of ink on warm paper.",
                     "暖色宣纸上的笔线与墨色渲染。", "photo", "picture"),
    "pencil": _row(pencil, "Pencil", "铅笔素描", "Graphite lines and light shading on white paper.",
                   "白纸上的石墨线条与淡淡的明暗。", "photo", "picture"),
    "poster": _row(poster, "Poster", "波普海报", "A screen print in four flat colours.",
                   "四种平涂颜色的丝网印刷。", "photo", "picture"),
    "pastel": _row(pastel, "Pastel", "粉彩", "Soft chalk fields in rose and lilac.",
                   "玫瑰与丁香色的柔和粉笔画。", "photo", "picture"),
    "duotone": _row(duotone, "Duotone", "双色调", "Violet shadows into coral and pale gold.",
                    "紫色暗部过渡到珊瑚与淡金。", "photo", "change"),
}  # fmt: skip


def render_look(name: str, images: Tensor) -> Tensor:
    """Render faces [N, 3, R, R] in [-1, 1] in a look of `LOOKS`.

    Raises:
        ConfigError: no such look.

    Example:
        >>> render_look("duotone", torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 3, 32, 32])
    """
    return find_look(name).render(images)


def find_look(name: str) -> Look:
    """The row of a look; ConfigError names all there are."""
    if name not in LOOKS:
        raise ConfigError(f"there is no look {name!r}; there are {', '.join(LOOKS)}")
    return LOOKS[name]
