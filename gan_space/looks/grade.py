"""The photographic grade of a whole photo: tone, colour, light and grain.

What depends on a pixel's colour alone (contrast, fade, warmth, split tones, saturation, black and white) becomes one
table of colours, which Pillow applies at any size. What depends on the neighbourhood (clarity, glow) is worked out on a
small copy and added strip by strip. A face keeps its lightness: the table ends in a curve that brings the middle of the
faces, or of a photo without any, back to where it was. Faces of unlike lightness each have their part of that curve.
Their colour keeps its strength within bounds (`own_skin.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gan_space.errors import InputError, raise_all
from gan_space.faces.landmarks import FACE_OVAL, Landmarks
from gan_space.faces.regions import find_region
from gan_space.images import from_uint8, luminance
from gan_space.looks.amounts import Amount, amount_faults
from gan_space.looks.blurring import blur
from gan_space.looks.color_table import FEWER_STEPS, all_colors, codes_through, photo_through, table_of
from gan_space.looks.own_skin import SkinColor, chroma_of, gains_of, own_skin, with_gains
from gan_space.output.lab import lab_to_rgb, rgb_to_lab
from gan_space.output.postprocess import draw_grain, s_curve, saturation, skin_tone, temperature
from gan_space.photos.opening import check_photo, to_picture
from gan_space.photos.strips import in_strips

# Name -> what it does; a look's `grade`. Hues are angles in Lab: 0 rose, 45 orange, 90 yellow, 180 green, 270 blue.
AMOUNTS: dict[str, Amount] = {
    "contrast": Amount("lights and darks further from the face's lightness; below 0 closer", -1.0),
    "shadows": Amount("opens the shadows; below 0 deepens them", -1.0),
    "highlights": Amount("lifts the lights; below 0 holds them back", -1.0),
    "fade": Amount("the blacks of an old print"),
    "warmth": Amount("warmer; below 0 cooler", -1.0),
    "tint": Amount("towards magenta; below 0 towards green", -1.0),
    "saturation": Amount("stronger colours, skin less than the rest; below 0 weaker", -1.0),
    "shadow_tint": Amount("colour in the shadows"),
    "shadow_hue": Amount("of which hue, in degrees", 0.0, 360.0, scales=False),
    "highlight_tint": Amount("colour in the lights"),
    "highlight_hue": Amount("of which hue, in degrees", 0.0, 360.0, scales=False),
    "monochrome": Amount("black and white"),
    "mono_filter": Amount("as through a red filter, below 0 through a blue one", -1.0, scales=False),
    "clarity": Amount("contrast of parts, less on skin; below 0 softer", -1.0),
    "glow": Amount("lights that bloom"),
    "vignette": Amount("darker corners; below 0 lighter ones", -1.0),
    "grain": Amount("film grain"),
}
SPATIAL = ("clarity", "glow", "vignette", "grain")
SMALL_PX = 256  # shorter side of the small copy
_MEASURED_PX, _FACE_PX = 128, 40  # of the copy on which faces are followed: its shorter side, its smallest face
STRIP_PIXELS = 150_000  # worked on at once: they stay in the cache
_AT_ONCE = 2_000_000  # pixels up to which what is broad is enlarged for the whole photo at once: 12 bytes for each
TINT_CHROMA = 22.0  # Lab units of a full tint
_SPARED, _SKIN_HUE = 0.75, 55.0  # of a tint, what skin does not take; degrees in Lab
_CHROMA_ROUNDS = 3  # at most, in which faces get back the strength of their colour
_ROUNDS = 4  # at most, in which faces get back their mean lightness
_LIGHTER, _NEARLY = 0.003, 0.001  # of white; by so much less, as not all of this is skin, and how near is enough
_SMOOTH = 0.06  # of white; over how much of lightness the last curve passes from one face to the next
_LIGHTEST = (0.87, 0.95)  # luma of the lights of skin in black and white, and up to where more are reckoned with
_SHOULDER = 0.3  # luma from which on they are held back
_SKIN = (0.15, 0.97)  # quantiles of a face's light between which it is skin, neither brows nor teeth
LIT = 0.3  # from this lightness on a lighter corner is as light as it can be


def grade(pixels: Tensor, marks: Sequence[Landmarks], amounts: Mapping[str, float], seed: int = 0) -> Tensor:
    """Grade a photo.

    Args:
        pixels: [3, H, W] uint8.
        marks: the places of each face; may be empty.
        amounts: name -> amount, see `AMOUNTS`.
        seed: of the grain.

    Returns:
        [3, H, W] uint8; the photo itself without amounts.

    Raises:
        InputError: an unknown name, an amount out of range, or another form of photo; all faults at once.

    Example:
        >>> grade(photo, [], {"contrast": 0.2, "fade": 0.3, "grain": 0.4})  # doctest: +SKIP
    """
    check_photo(pixels)
    raise_all(amount_faults(AMOUNTS, amounts), InputError)
    wanted = {name: float(amount) for name, amount in amounts.items() if amount}
    if not any(AMOUNTS[name].scales for name in wanted):
        return pixels
    large_copy, scale = _small_copy(pixels)
    small, inside, skins = _measured(large_copy, scale, marks)
    before = _lightness(small, skins)
    luma = _luma(small)
    middle = float(np.median(luma[inside]))
    everything, own = all_colors(pixels[0].numel()), [SkinColor.of(small, skin) for skin in skins[:, 1]]
    colors = _toned_colors(everything, wanted, middle, own)
    # One look at the small copy says where the middle of the faces went, and which curve brings it back.
    toned = _lay_light(_through(small, _table_of(_fewer(colors))), small, wanted, _focus(pixels, marks))
    if len(skins) > 1:  # each face by itself
        were, places = (_means(light, skins)[:, 0].clip(0.02, 0.98) for light in (luma, _luma(toned)))
        gammas = np.log(were) / np.log(places)
    else:
        places, moved = np.full(1, 0.5), float(np.median(_luma(toned)[inside]))
        gammas = np.full(1, math.log(min(max(middle, 0.02), 0.98)) / math.log(min(max(moved, 0.02), 0.98)))
    chroma, cast = chroma_of(small, skins[:, 1]), max(abs(wanted.get(name, 0.0)) for name in ("warmth", "tint"))
    for _ in range(_CHROMA_ROUNDS if len(skins) else 0):
        table = _table_of(_fewer(colors), places, gammas)
        toned = chroma_of(_lay_light(_through(small, table), small, wanted, _focus(pixels, marks)), skins[:, 1])
        gains = gains_of(chroma, toned, wanted.get("saturation", 0.0), wanted.get("monochrome", 0.0), cast)
        if (np.abs(gains - 1) < 0.01).all():
            break
        colors = with_gains(colors, everything, own, gains)
    for _ in range(_ROUNDS if len(skins) else 0):
        # Opened shadows leave the middle alone and lighten the rest of a dark face.
        table = _table_of(_fewer(colors), places, gammas)
        toned = _lay_light(_through(small, table), small, wanted, _focus(pixels, marks))
        after = _lightness(toned, skins)
        if (after <= before - _LIGHTER + _NEARLY).all():
            break
        wanting = np.log(np.maximum(before - _LIGHTER, 0.005)) / np.log(after)
        gammas = gammas * wanting.max(axis=1).clip(1 if len(skins) > 1 else 0)
    gammas = gammas.clip(0.5, 2.0)
    if wanted.get("monochrome") and len(skins):
        table = _table_of(_fewer(colors), places, gammas)
        toned = _lay_light(_through(small, table), small, wanted, _focus(pixels, marks))
        lights = max(float(np.quantile(_luma(toned)[skin > 0.5 * skin.max()], 0.9)) for skin in skins[:, 1])
        colors, gammas = _with_shoulder(_curved(colors, places, gammas), lights, wanted["monochrome"]), None
    table = _table_of(colors, places, gammas)
    toned = photo_through(pixels, table)
    if not any(wanted.get(name) for name in SPATIAL):
        return toned
    return _lay_light_in_strips(toned.permute(1, 2, 0).numpy(), large_copy, table, wanted, _focus(pixels, marks), seed)


def _toned_colors(colors: Tensor, amounts: Mapping[str, float], middle: float, own: Sequence[SkinColor]) -> Tensor:
    """What becomes of each colour before the last curve: [3, steps, steps²] in about [-1, 1].

    Args:
        colors: see `all_colors`.
        amounts: name -> amount.
        middle: the lightness, in [0, 1], that contrast leaves alone.
        own: the colour of each face's skin.
    """
    everything = colors

    def get(name: str) -> float:
        return amounts.get(name, 0.0)

    if get("warmth"):
        colors = temperature(colors, get("warmth"))
    if get("tint"):
        shift = 0.05 * get("tint") * colors.new_tensor([0.6, -1.0, 0.6])[:, None, None]
        colors = colors + 2 * shift * (1 - colors.square())  # black and white stay neutral
    if get("contrast"):
        unit = (colors + 1) / 2
        luma = luminance(unit)
        # Half by the luma and half by channels: colours gain strength with contrast, as on film, but not all of it.
        center = min(max(middle, 0.2), 0.8)
        by_luma = unit + s_curve(luma, center, get("contrast")) - luma
        colors = (by_luma + s_curve(unit, center, get("contrast"))) - 1
    if get("shadows") or get("highlights") or get("fade"):
        luma = ((luminance(colors) + 1) / 2).clamp(0, 1)
        new = luma + 0.35 * get("shadows") * luma * (1 - luma) ** 3 * 2
        new = new + 0.35 * get("highlights") * luma**3 * (1 - luma) * 2
        new = new + get("fade") * (0.13 * (1 - new) ** 3 - 0.05 * new**3)
        colors = (colors + 1) * (new / luma.clamp(min=0.02)).clamp(max=1.3) - 1
        colors = colors + 2 * (new - (luminance(colors) + 1) / 2)
    if get("saturation"):
        changed = saturation(colors, get("saturation"))
        colors = torch.lerp(changed, colors, 0.55 * own_skin(everything, own))
    if get("monochrome"):
        # Orthochromatic film saw blue and green; a red filter lets skin glow and darkens the sky.
        lean = get("mono_filter")
        mix = torch.tensor([0.30 + 0.35 * lean, 0.59 - 0.10 * lean, 0.11 - 0.25 * lean])
        grey = (colors * mix[:, None, None]).sum(dim=0, keepdim=True).clamp(-1, 1)
        colors = torch.lerp(colors, grey.expand_as(colors), get("monochrome"))
    if get("shadow_tint") or get("highlight_tint"):
        lab = rgb_to_lab(colors[None])
        light = lab[:, :1] / 100
        for part, weight in (("shadow", (1 - light) ** 2 * (4 * light).clamp(max=1)), ("highlight", light**2)):
            angle = math.radians(get(f"{part}_hue"))
            hue = lab.new_tensor([math.cos(angle), math.sin(angle)])[None, :, None, None]
            # Skin takes its own warm hues as they are, others hardly: a violet or green night is not to be on a face.
            spared = _SPARED * min(1 - math.cos(angle - math.radians(_SKIN_HUE)), 1.0) * own_skin(everything, own)
            lab[:, 1:] += TINT_CHROMA * get(f"{part}_tint") * weight * (1 - light**8) * (1 - spared)[None] * hue
        colors = lab_to_rgb(lab, clip=False)[0]
    return colors


def _table_of(colors: Tensor, places: np.ndarray | None = None, gammas: np.ndarray | None = None) -> np.ndarray:
    """A table of the colours under a last curve, or as they are: see `_curved`."""
    return table_of(_with_hue(colors if gammas is None else _curved(colors, places, gammas)))


def _curved(colors: Tensor, places: np.ndarray, gammas: np.ndarray) -> Tensor:
    """The colours under a curve over their lightness.

    Args:
        colors: see `_toned_colors`.
        places: lightness of each face in [0, 1]; faces of unlike lightness get unlike parts of one smooth curve, so
            that neither pays for the other and nothing shows between them.
        gammas: exponent at each place.
    """
    luma = ((luminance(colors) + 1) / 2).clamp(0, 1).clamp(min=0.02)
    if len(gammas) == 1:
        change = luma ** (float(gammas[0]) - 1)
    else:
        order, grid = np.argsort(places), np.linspace(0, 1, 256)
        exponents = np.interp(grid, places[order], gammas[order])[None]
        exponents = cv2.GaussianBlur(exponents, (0, 0), 255 * _SMOOTH, borderType=cv2.BORDER_REPLICATE)[0]
        curve = np.maximum.accumulate(grid**exponents)
        change = torch.from_numpy((np.interp(luma.numpy(), grid, curve) / luma.numpy()).astype(np.float32))
    return (colors + 1) * change - 1


def _with_shoulder(colors: Tensor, lights: float, amount: float) -> Tensor:
    """Hold back the lights of overexposed skin, which without its colour is white paper; white stays white.

    Args:
        lights: luma of the skin's lights in [0, 1].
        amount: how much of the colour is gone.
    """
    drop = amount * max(min(lights, _LIGHTEST[1]) - _LIGHTEST[0], 0.0)
    if not drop:
        return colors
    luma = ((luminance(colors) + 1) / 2).clamp(0.02, 1)
    share = ((luma - _SHOULDER) / (min(lights, _LIGHTEST[1]) - _SHOULDER)).clamp(max=1)
    share = torch.minimum(share, (1 - luma) / (1 - min(lights, _LIGHTEST[1]))).clamp(min=0)
    return (colors + 1) * (1 - drop * share.square() * (3 - 2 * share) / luma) - 1


def _with_hue(colors: Tensor) -> Tensor:
    """Bring colours beyond [-1, 1] inside by less chroma: channels cut one by one turn light skin yellow and flat."""
    luma = luminance(colors).clamp(-1, 1)
    away = colors - luma
    room = torch.where(away > 0, 1 - luma, 1 + luma) / away.abs().clamp(min=1e-6)
    return luma + away * room.amin(dim=0, keepdim=True).clamp(max=1)


def _through(codes: np.ndarray, table: np.ndarray) -> np.ndarray:
    """[h, w, 3] uint8 through a table -> float32 in [0, 1]."""
    return codes_through(codes, table).astype(np.float32) / 255


def _fewer(colors: Tensor) -> Tensor:
    """Every second colour in each direction: enough to see where a face went."""
    steps = colors.shape[1]
    if steps <= FEWER_STEPS:
        return colors
    return colors.reshape(3, steps, steps, steps)[:, ::2, ::2, ::2].flatten(2)


def _small_copy(pixels: Tensor) -> tuple[np.ndarray, float]:
    """The photo [h, w, 3] uint8 at `SMALL_PX`, and its px for one of the photo."""
    picture = to_picture(pixels)
    scale = min(1.0, SMALL_PX / min(picture.size))
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return np.array(picture.resize(size, Image.Resampling.BOX, reducing_gap=2.0)), scale


def _measured(copy: np.ndarray, scale: float, marks: Sequence[Landmarks]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The photo at `_MEASURED_PX`, where the middles of its faces are, and shares of skin face by face.

    Args:
        copy, scale: from `_small_copy`.

    Returns:
        The photo [h, w, 3] uint8; [h, w] bool, everywhere without faces; [faces in the photo, 2, h, w] float32: what is
        neither among a face's darkest nor its lightest, such as brows and teeth, and what landmarks take for skin.
    """
    smallest_px = min((scale * float(np.ptp(face.of(FACE_OVAL)[:, 0])) for face in marks), default=copy.shape[1])
    small, shrink = copy, min(1.0, max(_MEASURED_PX / min(copy.shape[:2]), _FACE_PX / max(smallest_px, 1)))
    if shrink < 1:
        size = [max(1, round(shrink * side)) for side in copy.shape[1::-1]]
        small, scale = cv2.resize(copy, size, interpolation=cv2.INTER_AREA), scale * shrink
    luma, middles, skins = _luma(small), np.zeros(small.shape[:2], np.uint8), []
    for face in marks:
        oval, whole = face.of(FACE_OVAL), np.zeros(small.shape[:2], np.uint8)
        for mask, share in ((middles, 0.8), (whole, 1.0)):
            outline = (oval.mean(axis=0) + share * (oval - oval.mean(axis=0))) * scale
            cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1)
        if whole.any():
            low, high = np.quantile(luma[whole > 0], _SKIN)
            by_light = whole * ((luma >= low) & (luma <= high)).astype(np.float32)
            by_marks = find_region(face.points * scale, "skin", luma.shape).full(*luma.shape).numpy()
            by_light = by_light if by_light.any() else whole.astype(np.float32)
            skins.append([by_light, by_marks if by_marks.any() else by_light])
    skins = np.array(skins, np.float32).reshape(-1, 2, *luma.shape)
    return small, middles > 0 if middles.any() else np.ones(middles.shape, bool), skins


def _luma(picture: np.ndarray) -> np.ndarray:
    """[h, w] in [0, 1] of [h, w, 3] uint8 or float in [0, 1]."""
    unit = picture.astype(np.float32) / 255 if picture.dtype == np.uint8 else picture
    return cv2.transform(unit, np.array([[0.299, 0.587, 0.114]], np.float32))


def _lightness(picture: np.ndarray, skins: np.ndarray) -> np.ndarray:
    """Mean CIE L* of a picture [h, w, 3] for each face in two ways, [faces, 2] in [0.01, 0.99]."""
    unit = picture.astype(np.float32) / 255 if picture.dtype == np.uint8 else picture.clip(0, 1)
    return (_means(cv2.cvtColor(unit, cv2.COLOR_RGB2LAB)[..., 0], skins) / 100).clip(0.01, 0.99)


def _means(light: np.ndarray, skins: np.ndarray) -> np.ndarray:
    """Mean of [h, w] under [faces, 2, h, w] -> [faces, 2]."""
    return np.einsum("hw,fkhw->fk", light, skins) / skins.sum(axis=(2, 3))


def _focus(pixels: Tensor, marks: Sequence[Landmarks]) -> tuple[float, float]:
    """Middle of a vignette in shares of width and height: between that of the photo and that of the first face."""
    height, width = pixels.shape[1:]
    if not marks:
        return 0.5, 0.5
    x, y = marks[0].of(FACE_OVAL).mean(axis=0) / (width, height)
    return 0.5 + 0.5 * (min(max(x, 0), 1) - 0.5), 0.5 + 0.5 * (min(max(y, 0), 1) - 0.5)


def _lay_light_in_strips(
    picture: np.ndarray,
    small: np.ndarray,
    table: np.ndarray,
    amounts: Mapping[str, float],
    focus: tuple[float, float],
    seed: int,
) -> Tensor:
    """Clarity, glow, vignette and grain over a toned photo [H, W, 3] uint8, a few rows at a time."""
    height, width = picture.shape[:2]
    fields = _fields(_through(small, table), small, amounts, focus)
    if height * width <= _AT_ONCE:
        fields = {name: cv2.resize(field, (width, height)) for name, field in fields.items()}
    grain = draw_grain(height, width, seed)[0].numpy() if amounts.get("grain") else None

    def lay(rows: slice) -> None:
        strip = picture[rows].astype(np.float32)
        strip *= 1 / 255
        _lay(strip, fields, amounts, rows, height)
        if grain is not None:
            luma = _luma(strip).clip(0, 1)
            strip += (grain[rows] * (0.036 * amounts["grain"] * (0.25 + 3 * luma * (1 - luma))))[..., None]
        strip *= 255
        strip += 0.5
        picture[rows] = np.clip(strip, 0, 255, out=strip)

    in_strips(lay, height, max(1, STRIP_PIXELS // width))
    return torch.from_numpy(picture).permute(2, 0, 1)


def _lay_light(
    toned: np.ndarray, small: np.ndarray, amounts: Mapping[str, float], focus: tuple[float, float]
) -> np.ndarray:
    """The same over a small copy in place, without grain."""
    if any(amounts.get(name) for name in SPATIAL):
        height = toned.shape[0]
        _lay(toned, _fields(toned, small, amounts, focus), amounts, slice(0, height), height)
    return toned


def _fields(
    toned: np.ndarray, small: np.ndarray, amounts: Mapping[str, float], focus: tuple[float, float]
) -> dict[str, np.ndarray]:
    """What the strips need to know of their surroundings, at the size of the small copy.

    Returns:
        "clarity": [h, w, 2] broad lightness, and how much is wanted there; "glow": [h, w, 3] the light that blooms;
        "vignette": [h, w] 0 around the focus, 1 in the corners.
    """
    height, width = toned.shape[:2]
    side, luma, fields = min(height, width), _luma(toned), {}
    if clarity := amounts.get("clarity"):
        skin = skin_tone(from_uint8(torch.from_numpy(small).permute(2, 0, 1)))[0].numpy()
        weight = 0.9 * clarity * (1 - 0.65 * cv2.GaussianBlur(skin, (0, 0), max(side / 100, 0.5)))
        fields["clarity"] = np.dstack([_guided(luma, max(1, side // 24), 0.02), weight])
    if glow := amounts.get("glow"):
        bright = toned * (0.75 * glow * ((luma - 0.45) / 0.45).clip(0, 1)[..., None] ** 1.5)
        near, far = (blur(bright, max(side / part, 0.5)) for part in (60, 16))
        fields["glow"] = 0.6 * near + 0.4 * far
    if amounts.get("vignette"):
        x, y = (np.arange(width, dtype=np.float32) + 0.5) / width, (np.arange(height, dtype=np.float32) + 0.5) / height
        fall = ((np.hypot((x - focus[0])[None], (y - focus[1])[:, None]) - 0.28) / 0.5).clip(0, 1)
        fields["vignette"] = fall * fall * (3 - 2 * fall)
    return fields


def _lay(
    strip: np.ndarray, fields: Mapping[str, np.ndarray], amounts: Mapping[str, float], rows: slice, height: int
) -> None:
    """Clarity, glow and vignette over some rows of a picture of a height, in place: float32 in about [0, 1]."""
    width = strip.shape[1]

    def enlarged(name: str) -> np.ndarray:
        field = fields[name]
        if field.shape[:2] == (height, width):
            return field[rows]
        x = (np.arange(width, dtype=np.float32) + 0.5) * (field.shape[1] / width) - 0.5
        y = (np.arange(rows.start, rows.stop, dtype=np.float32) + 0.5) * (field.shape[0] / height) - 0.5
        return cv2.remap(
            field,
            np.tile(x, (len(y), 1)),
            np.tile(y[:, None], (1, width)),
            cv2.INTER_LINEAR,
            None,
            cv2.BORDER_REPLICATE,
        )

    if "clarity" in fields:
        broad, weight = cv2.split(enlarged("clarity"))
        luma = _luma(strip)
        strip += (weight * (4 * luma * (1 - luma)).clip(0, 1) * (luma - broad))[..., None]
    if "glow" in fields:
        strip += enlarged("glow") * (1 - strip)
    if "vignette" in fields:
        fall = enlarged("vignette")[..., None]
        vignette = amounts["vignette"]
        if vignette > 0:
            strip *= 1 - 0.5 * vignette * fall
        else:
            # Towards white, but for what is nearly black: a dark ground would turn to fog.
            fall = fall * (_luma(strip)[..., None] / LIT).clip(0, 1)
            strip += -0.6 * vignette * fall * (1 - strip)


def _guided(luma: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """Guided filter of a picture by itself (He, Sun and Tang 2013): flat places are averaged, edges stay."""
    size = (2 * radius + 1, 2 * radius + 1)
    mean = cv2.blur(luma, size)
    spread = (cv2.blur(luma * luma, size) - mean * mean).clip(0)
    gain = spread / (spread + epsilon)
    return cv2.blur(gain, size) * luma + cv2.blur(mean - gain * mean, size)
