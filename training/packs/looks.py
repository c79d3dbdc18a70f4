"""Looks rendered by formula: what default packs are tuned towards, without a single foreign picture.

Each look is a function on faces [N, 3, R, R] in [-1, 1], aligned to the tight frame; its row in `LOOKS` gives the names
and how a pack of it is used. Sizes inside are fractions of the width, so a look is the same at every resolution.
The mean lightness of skin stays what it is in all that are not `DRAWN` in inks on paper: no look makes skin lighter.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from gan_space.errors import ConfigError
from gan_space.images import luminance
from gan_space.looks.drawing.blocks import blur, colour, curve, ramp, saturate, smooth, spot
from gan_space.looks.drawing.formulas import duotone, ink_wash, pastel, pencil, poster
from gan_space.looks.drawing.skin import divide_odds, find_divisor, lightness
from gan_space.output.lab import lab_to_rgb, rgb_to_lab

LEFT_EYE, RIGHT_EYE, MOUTH = (0.305, 0.309), (0.695, 0.309), (0.500, 0.703)  # x, y of the tight frame


@dataclass(frozen=True)
class FormulaLook:
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


def screen(x: Tensor, light: Tensor) -> Tensor:
    """Lay light over a picture, both in [0, 1]."""
    return 1 - (1 - x) * (1 - light)


def features_mask(x: Tensor) -> Tensor:
    """Return 1 on eyes, brows and mouth, which smoothing leaves alone."""
    eyes = spot(x, LEFT_EYE, 0.12, 0.075, 4) + spot(x, RIGHT_EYE, 0.12, 0.075, 4)
    return (eyes + spot(x, MOUTH, 0.16, 0.07, 4)).clamp(0, 1)


def find_skin(x: Tensor) -> Tensor:
    """Say where a face and what is beside it have the colour of its cheeks: [N, 1, H, W] in [0, 1], soft.

    Colour against lightness is what skin keeps from its lights to its shadows, and hair and walls do not.
    """
    H, W = x.shape[2:]
    lab = rgb_to_lab(x.clamp(0, 1) * 2 - 1)
    tone = blur(lab[:, 1:] / (lab[:, :1] + 12), 0.01)  # [N, 2, H, W]
    light = blur(lab[:, :1], 0.01)
    rows = slice(round(0.44 * H), round(0.6 * H))
    cheeks = [slice(round((u - 0.08) * W), round((u + 0.08) * W)) for u in (LEFT_EYE[0], RIGHT_EYE[0])]
    both = torch.cat([tone, light], dim=1)
    samples = torch.cat([both[:, :, rows, cheek].flatten(2) for cheek in cheeks], dim=2)  # [N, 3, places]
    usual = samples.median(dim=2).values[..., None, None]  # [N, 3, 1, 1]
    spread = 1.48 * (samples[:, :2] - usual[:, :2, :, 0]).abs().median(dim=2).values.clamp(0.03, 0.06)[..., None, None]
    distance = ((tone - usual[:, :2]) / spread).square().mean(dim=1, keepdim=True).sqrt()
    like = ((3.4 - distance) / 1.4).clamp(0, 1) * ((light / usual[:, 2:].clamp(min=1) - 0.42) / 0.16).clamp(0, 1)
    like = torch.maximum(like, ramp(blur(like, 0.05), 0.4, 0.6) * (light > usual[:, 2:]))  # glare has no colour
    return blur(like, 0.012) * (1 - features_mask(x))


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Return the mean of [N, 1, H, W] under a mask, [N, 1, 1, 1]."""
    return (mask * x).sum(dim=[2, 3], keepdim=True) / mask.sum(dim=[2, 3], keepdim=True).clamp(min=1)


def masked_blur(x: Tensor, mask: Tensor, sigma: float) -> Tensor:
    """Blur what lies under a mask, with nothing from beside it."""
    return blur(x * mask, sigma) / blur(mask, sigma).clamp(min=1e-3)


def keep_lightness(plain: Tensor, x: Tensor, sigma: float | None) -> Tensor:
    """Bring the skin of a look back to the mean lightness that it has without: no look makes skin lighter.

    Args:
        plain, x: the face without and with the look, [N, 3, H, W] in [0, 1].
        sigma: light that a look gives to one place it takes from places as near as this; None: from the whole face.
    """
    skin = find_skin(plain)
    wanted = rgb_to_lab(plain.clamp(0, 1) * 2 - 1)[:, :1]
    for _ in range(3):  # colours that leave the gamut are clipped, which moves the mean again
        lab = rgb_to_lab(x.clamp(0, 1) * 2 - 1)
        change = lab[:, :1] - wanted
        if sigma is not None:
            lab[:, :1] -= skin * masked_blur(change, skin, sigma)
            change = lab[:, :1] - wanted
        weight = skin.square().sum(dim=[2, 3], keepdim=True).clamp(min=1)
        lab[:, :1] -= skin * (skin * change).sum(dim=[2, 3], keepdim=True) / weight
        x = (lab_to_rgb(lab) + 1) / 2
    return x


# --- the looks, on [0, 1] ---


def soft_glow(x: Tensor) -> Tensor:
    """Even out the skin, keep the eyes crisp, lay a veil of light around what is lit, a breath of rose."""
    plain, mask = x, features_mask(x)
    skin = smooth(x, 0.03, 0.12)
    detail = x - blur(x, 0.008)
    x = torch.lerp(skin + 0.3 * (x - skin), x + 0.6 * detail, mask).clamp(0, 1)
    glow = blur(x, 0.05)
    veil = 0.42 * ramp(luminance(glow), 0.2, 0.9)
    x = screen(x, veil * glow)
    y = luminance(x)
    x = (y + (1 + 0.7 * veil) * (x - y)) * colour(x, 1.015, 0.985, 0.995)  # white light must not take the colour out
    return keep_lightness(plain, x, 0.14)


def high_key(x: Tensor) -> Tensor:
    """Light a white, open studio: lights around the face go white, shadows open, light from the front; cool, airy."""
    plain, skin, y = x, find_skin(x), luminance(x)
    face = torch.maximum((1.5 * blur(skin, 0.02)).clamp(0, 1), spot(x, (0.5, 0.52), 0.3, 0.4, 6))
    lit = curve(y, [(0, 0.03), (0.12, 0.16), (0.35, 0.52), (0.6, 0.84), (1, 1)])
    around = x * (lit / y.clamp(min=0.02)).clamp(max=1.5)
    around = saturate(around + 0.6 * (lit - luminance(around)), 0.75)
    edge = (1 - spot(x, (0.5, 0.5), 0.42, 0.46, 4)) * ramp(blur(y, 0.02), 0.08, 0.5)
    around = screen(around, 0.75 * edge * torch.ones_like(x))
    form = masked_blur(y, skin, 0.06)  # light from the front brings a face's lights and shadows nearer to its mean
    mean = masked_mean(y, skin)
    filled = plain * torch.lerp(torch.ones_like(y), (mean / form.clamp(min=0.05)).clamp(0.6, 1.8), 0.4 * skin)
    x = torch.lerp(around, saturate(filled, 0.86), face)
    x = screen(x, 0.3 * blur(x, 0.04) * ramp(luminance(x), 0.35, 1.0))
    x = (x + 0.15 * (x - blur(x, 0.012))) * colour(x, 0.985, 1.0, 1.025)
    return keep_lightness(plain, x, None)


def film(x: Tensor) -> Tensor:
    """Render a colour negative: faded blacks, teal in the shadows, amber in the lights, edges falling off."""
    plain, y = x, luminance(x)
    x = curve(x, [(0, 0.1), (0.2, 0.22), (0.5, 0.53), (0.8, 0.83), (1, 0.93)])
    shadow, light = 1 - ramp(y, 0.05, 0.55), ramp(y, 0.4, 0.95)
    x = x + shadow * colour(x, -0.055, 0.015, 0.055) + light * colour(x, 0.06, 0.015, -0.085)
    x = saturate(x, 0.92)
    x = x * (0.82 + 0.18 * spot(x, (0.5, 0.48), 0.5, 0.5, 4))
    return keep_lightness(plain, x, None)


def chalk(x: Tensor) -> Tensor:
    """Draw pastel on toned paper that is no lighter than the skin."""
    drawn, skin = pastel(x).clamp(0, 1), find_skin(x)
    wanted = masked_mean(lightness(x.clamp(0, 1)), skin)
    divisor = find_divisor(lambda divisor: masked_mean(lightness(divide_odds(drawn, divisor)), skin), wanted)
    return divide_odds(drawn, divisor)


def _look(render: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Wrap a look on [0, 1] as one on [-1, 1], clipped."""

    def on_signed(images: Tensor) -> Tensor:
        return render((images.float().clamp(-1, 1) + 1) / 2).clamp(0, 1) * 2 - 1

    on_signed.__doc__ = render.__doc__
    return on_signed


def _row(render, en: str, zh: str, says_en: str, says_zh: str, scope: str, transfer: str) -> FormulaLook:
    return FormulaLook(_look(render), {"en": en, "zh-CN": zh}, {"en": says_en, "zh-CN": says_zh}, scope, transfer)


LOOKS: dict[str, FormulaLook] = {
    "soft-glow": _row(soft_glow, "Soft glow", "柔光美颜", "Even skin and a veil of light; eyes stay crisp.",
                      "肤色均匀，光线柔和，眼神依然清晰。", "face", "change"),
    "high-key": _row(high_key, "High-key studio", "高调影棚",
                     "A white, open studio with cool light; the skin keeps its own tone.",
                     "明亮通透的白色影棚，光线清冷，肤色保持本色。", "photo", "change"),
    "film-tone": _row(film, "Film tone", "胶片色调", "Faded blacks, teal shadows and amber lights of colour film.",
                      "褪色的黑、青色暗部与琥珀色高光。", "photo", "change"),
    "ink-wash": _row(ink_wash, "Ink wash", "水墨", "Brush lines and washes of ink on warm paper.",
                     "暖色宣纸上的笔线与墨色渲染。", "photo", "picture"),
    "pencil": _row(pencil, "Pencil", "铅笔素描", "Graphite lines and light shading on white paper.",
                   "白纸上的石墨线条与淡淡的明暗。", "photo", "picture"),
    "poster": _row(poster, "Poster", "波普海报", "A screen print in four flat colours.",
                   "四种平涂颜色的丝网印刷。", "photo", "picture"),
    "pastel": _row(chalk, "Pastel", "粉彩", "Soft chalk fields in rose and lilac.",
                   "玫瑰与丁香色的柔和粉笔画。", "photo", "picture"),
    "duotone": _row(duotone, "Duotone", "双色调", "Violet shadows into coral and pale gold.",
                    "紫色暗部过渡到珊瑚与淡金。", "photo", "change"),
}  # fmt: skip
DRAWN = ("ink-wash", "pencil", "poster", "duotone")  # inks on paper: their lightness is no skin's


def render_look(name: str, images: Tensor) -> Tensor:
    """Render faces [N, 3, R, R] in [-1, 1] in a look of `LOOKS`.

    Raises:
        ConfigError: no such look.

    Example:
        >>> render_look("duotone", torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 3, 32, 32])
    """
    return find_look(name).render(images)


def find_look(name: str) -> FormulaLook:
    """Return the row of a look; ConfigError names all there are."""
    if name not in LOOKS:
        raise ConfigError(f"there is no look {name!r}; there are {', '.join(LOOKS)}")
    return LOOKS[name]
