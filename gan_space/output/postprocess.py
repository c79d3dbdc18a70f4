"""Finishing steps after a look: a list of named steps, each with an amount, done in the order they are given.

Every step is a pure function of a picture [3, H, W] float in [-1, 1] and returns one of the same form; amount 0 returns
the picture itself. Widths of filters go with the picture's size, so a small preview looks like the large result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.errors import InputError, raise_all
from gan_space.images import gaussian_blur, luminance

MAX_STEPS = 16
GRAIN = ((700, 1.0), (1700, 0.5))  # parts of the short side that a grain is wide, and how strong
StepLike = str | Sequence | Mapping


def sharpen(image: Tensor, amount: float, seed: int = 0) -> Tensor:
    """Apply an unsharp mask on the luma: full on eyes, hair and edges, a quarter on skin; hardly a halo."""
    luma = luminance(image)
    sigma = _scaled(image, 1 / 500, 0.6)
    detail = luma - blur(luma, sigma)
    # Differences as small as noise and pores stay what they are.
    detail = detail * (detail.abs() / (detail.abs() + 0.02))
    strength = amount * 2.0 * (1 - 0.75 * skin_likeness(image))
    new = luma + strength * detail
    low, high = -F.max_pool2d(-luma[None], 3, 1, 1)[0], F.max_pool2d(luma[None], 3, 1, 1)[0]
    margin = 0.1  # a little overshoot reads as sharpness, more as a halo
    return (image + (new.clamp(low - margin, high + margin) - luma)).clamp(-1, 1)


def denoise(image: Tensor, amount: float, seed: int = 0) -> Tensor:
    """Filter the picture, guided by its own luma (He, Sun and Tang 2013): flat places are averaged, edges stay."""
    radius = max(1, round(_scaled(image, 1 / 250, 1.0)))
    epsilon = (0.12 * amount) ** 2
    luma = luminance(image)

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x[None], 2 * radius + 1, 1, radius, count_include_pad=False)[0]

    mean_luma, mean_image = mean(luma), mean(image)
    gain = (mean(luma * image) - mean_luma * mean_image) / (mean(luma * luma) - mean_luma.square() + epsilon)
    smooth = mean(gain) * luma + mean(mean_image - gain * mean_luma)
    # Colour noise has no edges worth keeping below the luma's, so the filter's colours are taken as they are.
    return image + min(1.0, 2 * amount) * (smooth - image)


def white_balance(image: Tensor, amount: float, seed: int = 0) -> Tensor:
    """Take a colour cast away: shades of grey (Finlayson and Trezzi 2004, p = 6) in linear light, luminance kept."""
    linear = _to_linear(image)
    shades = linear.flatten(1).clamp(min=1e-4).pow(6).mean(dim=1).pow(1 / 6)  # [3]
    gains = (shades.mean() / shades).clamp(0.6, 1.7) ** amount
    balanced = linear * gains[:, None, None]
    weight = balanced.new_tensor([0.2126, 0.7152, 0.0722])[:, None, None]
    kept = (linear * weight).mean() * 3 / ((balanced * weight).mean() * 3).clamp(min=1e-4)
    return _from_linear(balanced * kept)


def temperature(image: Tensor, amount: float, seed: int = 0) -> Tensor:
    """Make warmer above 0, cooler below: red against blue in linear light, luminance about kept."""
    gains = image.new_tensor([math.exp(0.25 * amount), 1.0, math.exp(-0.25 * amount)])
    gains = gains / (gains * gains.new_tensor([0.2126, 0.7152, 0.0722])).sum()
    return _from_linear(_to_linear(image) * gains[:, None, None])


def contrast(image: Tensor, amount: float, seed: int = 0) -> Tensor:
    """Return an S-curve through black, the picture's own middle and white; below 0 a flatter one. Hues stay."""
    luma = (luminance(image) + 1) / 2
    new = s_curve(luma, float(luma.median().clamp(0.25, 0.75)), amount)
    return (image + 2 * (new - luma)).clamp(-1, 1)


def s_curve(values: Tensor, middle: float, amount: float) -> Tensor:
    """Return values in [0, 1] pushed away from the middle one, or towards it below 0; 0, middle and 1 stay."""
    exponent = 2.0 ** (0.8 * amount)
    below = middle * (values.clamp(min=0) / middle).clamp(max=1) ** exponent
    above = 1 - (1 - middle) * ((1 - values).clamp(min=0) / (1 - middle)).clamp(max=1) ** exponent
    return torch.where(values < middle, below, above)


def saturation(image: Tensor, amount: float, seed: int = 0) -> Tensor:
    """Make colours stronger above 0, the pale ones more than the strong; grey at -1."""
    luma = luminance(image)
    chroma = image - luma
    if amount > 0:
        strong = (chroma.abs().amax(dim=0, keepdim=True) / 0.8).clamp(0, 1)
        return (luma + chroma * (1 + amount * (1 - 0.6 * strong))).clamp(-1, 1)
    return luma + chroma * (1 + amount)


def film(image: Tensor, amount: float, seed: int = 0) -> Tensor:
    """Give a film tone: lifted blacks, soft highlights, warm lights, cool shadows, and fine grain drawn from `seed`.

    A portrait of 128 px has hardly any grain, about one level of 255, as a small copy of a film's print has.
    """
    unit = (image + 1) / 2
    toned = 0.04 + 0.92 * unit + 0.10 * (unit - 0.5) * (1 - (2 * unit - 1).square())
    luma = (luminance(image) + 1) / 2
    lights, shadows = luma.clamp(0, 1).square(), (1 - luma.clamp(0, 1)).square()
    tint = lights * toned.new_tensor([0.035, 0.010, -0.030])[:, None, None]
    tint = tint + shadows * toned.new_tensor([-0.020, 0.004, 0.025])[:, None, None]
    grain = draw_grain(*image.shape[1:], seed).to(image)
    grain = grain * 0.022 * (4 * luma * (1 - luma)).clamp(0, 1)  # film has most grain in the middle tones
    toned = (toned + tint + grain) * 2 - 1
    return (image + amount * (toned - image)).clamp(-1, 1)


@dataclass(frozen=True)
class Step:
    """One kind of step: what does it, and which amounts make sense."""

    function: Callable[[Tensor, float, int], Tensor]
    low: float
    high: float = 1.0
    default: float = 0.5


# Name -> step; the app shows them in this order.
STEPS = {
    "denoise": Step(denoise, 0.0),
    "white_balance": Step(white_balance, 0.0),
    "temperature": Step(temperature, -1.0),
    "contrast": Step(contrast, -1.0, default=0.3),
    "saturation": Step(saturation, -1.0, default=0.3),
    "film": Step(film, 0.0),
    "sharpen": Step(sharpen, 0.0),
}


def parse_steps(steps: Sequence[StepLike] | StepLike | None) -> tuple[tuple[str, float], ...]:
    """Turn what a user writes into (name, amount) pairs.

    Args:
        steps: a list of "film", "film:0.5", ("film", 0.5) or {"name": "film", "amount": 0.5}; one text may hold
            several, joined by commas. A name alone takes the step's default amount.

    Raises:
        InputError: an unknown name, an amount out of range, or too many steps; all faults at once.

    Example:
        >>> parse_steps("contrast:0.2,sharpen")
        (('contrast', 0.2), ('sharpen', 0.5))
    """
    if steps is None:
        return ()
    if isinstance(steps, str):
        steps = [part for part in steps.split(",") if part.strip()]
    elif isinstance(steps, Mapping):
        steps = [steps]
    parsed, faults = [], []
    for step in steps:
        name, amount = _name_and_amount(step)
        if not isinstance(name, str) or name not in STEPS:
            faults.append(f"unknown step {name!r}, expected one of {', '.join(STEPS)}")
            continue
        kind = STEPS[name]
        amount = kind.default if amount is None else amount
        try:
            number = float(amount)
        except (TypeError, ValueError):
            number = math.nan
        if isinstance(amount, bool) or not kind.low <= number <= kind.high:
            faults.append(f"the amount of {name} must be from {kind.low:g} to {kind.high:g}, got {amount!r}")
        parsed.append((name, number))
    if len(parsed) > MAX_STEPS:
        faults.append(f"at most {MAX_STEPS} steps can follow each other, got {len(parsed)}")
    raise_all([f"post_processing: {fault}" for fault in faults], InputError)
    return tuple(parsed)


def apply_steps(image: Tensor, steps: Sequence[StepLike] | StepLike | None, seed: int = 0) -> Tensor:
    """Do the steps in their order.

    Args:
        image: [3, H, W] float in [-1, 1]; is left as it is.
        steps: see `parse_steps`.
        seed: of whatever is drawn at random, such as film grain.

    Returns:
        [3, H, W] float32 in [-1, 1]; `image` itself where no step has an amount.

    Raises:
        InputError: a wrong step, or a picture of another form.
    """
    if image.ndim != 3 or image.shape[0] != 3 or not image.is_floating_point():
        raise InputError(f"post-processing takes [3, H, W] float in [-1, 1], got {list(image.shape)} of {image.dtype}")
    for name, amount in parse_steps(steps):
        if amount:
            image = STEPS[name].function(image.float(), amount, seed).clamp(-1, 1)
    return image


def skin_likeness(image: Tensor) -> Tensor:
    """Say how much a pixel and those around it have the colour of skin: [3, H, W] -> [1, H, W] in [0, 1], smooth."""
    return blur(skin_tone(image), _scaled(image, 1 / 250, 0.8))


def skin_tone(
    image: Tensor, middle: tuple[float, float] = (0.24, -0.28), width: tuple[float, float] = (0.22, 0.26)
) -> Tensor:
    """Say how much a pixel has the colour of skin, of whatever lightness: [3, H, W] -> [1, H, W] in [0, 1].

    Skin of most people has nearly one hue; in chroma divided by luma it lies on a short stroke from grey to orange.

    Args:
        middle: of that stroke, red and blue beyond the luma in shares of it; of all people, or of somebody's own skin.
        width: of it, in the same.
    """
    unit = (image + 1) / 2
    luma = ((luminance(image) + 1) / 2).clamp(min=0.04)
    red, blue = (unit[:1] - luma) / luma, (unit[2:] - luma) / luma
    distance = ((red - middle[0]) / width[0]).square() + ((blue - middle[1]) / width[1]).square()
    return torch.exp(-distance)


def blur(x: Tensor, sigma: float) -> Tensor:
    """Blur [C, H, W], mirrored at the edges."""
    radius = max(1, min(math.ceil(2.5 * sigma), min(x.shape[1:]) - 1))
    if min(x.shape[1:]) < 2:
        return x
    return gaussian_blur(x[:, None], sigma, radius)[:, 0]


def _scaled(image: Tensor, share: float, minimum: float) -> float:
    return max(minimum, share * min(image.shape[1:]))


def draw_grain(height: int, width: int, seed: int) -> Tensor:
    """Draw [1, H, W] of grain on its own grid: grains a 700th of the short side wide, and finer ones.

    A pixel that holds many grains shows their mean: the small copy of a picture has no more grain than the large one.
    So the deviation is about 1 from a short side of about 1,000 px on, 0.75 at 512 px and only 0.09 at 64 px.
    """
    side, generator = min(height, width), torch.Generator().manual_seed(seed)
    total = torch.zeros(1, height, width)
    for parts, share in GRAIN:
        grain_px = max(1.0, side / parts)
        size = max(1, round(height / grain_px)), max(1, round(width / grain_px))
        grain = torch.randn(1, 1, *size, generator=generator).mul_(share * min(1.0, side / parts))
        total += F.interpolate(grain, size=(height, width), mode="bicubic", align_corners=False)[0]
    return total


def _to_linear(image: Tensor) -> Tensor:
    unit = ((image + 1) / 2).clamp(0, 1)
    return torch.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)


def _from_linear(linear: Tensor) -> Tensor:
    linear = linear.clamp(0, 1)
    curve = 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.0031308, linear * 12.92, curve) * 2 - 1


def _name_and_amount(step: StepLike):
    if isinstance(step, str):
        name, _, amount = step.partition(":")
        return name.strip(), amount.strip() or None
    if isinstance(step, Mapping):
        return step.get("name"), step.get("amount")
    if isinstance(step, Sequence) and len(step) == 2:
        return step[0], step[1]
    return step, None
