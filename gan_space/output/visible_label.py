"""The label that people can see, and the kinds of pictures it can be drawn on."""

from __future__ import annotations

import math
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from gan_space.errors import InputError

MIN_LABEL_SHARE = 0.05  # GB 45438-2025: characters are at least 5 % of the short side high


def draw_visible_label(picture: Image.Image) -> Image.Image:
    """Return an RGB or RGBA copy with "AI生成 AI-generated" in the bottom right corner.

    Capitals are at least 5 % of the short side high, and larger on small pictures so that they can be read; white
    on a dark panel shows on any background.
    """
    picture = eight_bit(picture)
    labelled = picture.convert("RGBA" if "A" in picture.getbands() else "RGB")
    short = min(labelled.size)
    cap_px = max(math.ceil(short * MIN_LABEL_SHARE * 1.05), min(12, short // 12), 1)
    panel, text = _label_masks(cap_px)
    margin = cap_px // 2
    corner = (labelled.width - panel.width - margin, labelled.height - panel.height - margin)
    box = (*corner, corner[0] + panel.width, corner[1] + panel.height)
    labelled.paste((16, 16, 16, 255)[: len(labelled.getbands())], box, panel)
    labelled.paste((255, 255, 255, 255)[: len(labelled.getbands())], box, text)
    return labelled


# No Chinese font can be counted on and none is shipped, so the two characters are drawn: strokes as points (x, y)
# in a unit square, y down.
_STROKES = {
    "生": (
        ((0.27, 0.06), (0.21, 0.24), (0.07, 0.44)),
        ((0.20, 0.27), (0.90, 0.27)),
        ((0.52, 0.02), (0.52, 0.95)),
        ((0.17, 0.60), (0.85, 0.60)),
        ((0.04, 0.95), (0.97, 0.95)),
    ),
    "成": (
        ((0.95, 0.24), (0.14, 0.24), (0.14, 0.55), (0.11, 0.76), (0.03, 0.96)),
        ((0.15, 0.50), (0.43, 0.50), (0.42, 0.70), (0.38, 0.79), (0.25, 0.78)),
        ((0.55, 0.03), (0.58, 0.36), (0.66, 0.64), (0.78, 0.86), (0.89, 0.96), (0.95, 0.93), (0.97, 0.76)),
        ((0.86, 0.40), (0.76, 0.62), (0.62, 0.80), (0.43, 0.95)),
        ((0.70, 0.05), (0.84, 0.15)),
    ),
}


@lru_cache(maxsize=8)
def _label_masks(cap_px: int) -> tuple[Image.Image, Image.Image]:
    """Return the panel's and the text's opacity, L pictures of one size, for capitals of `cap_px` pixels."""
    scale = 4  # drawn larger and reduced, because ImageDraw lines are not anti-aliased
    cap = cap_px * scale
    glyph, pen = round(cap * 1.2), max(round(cap * 0.13), 1)
    font = ImageFont.load_default(cap)
    font = ImageFont.load_default(cap * cap / -font.getbbox("I", anchor="ls")[1])  # capitals, not lines, of `cap`
    bold = max(round(cap * 0.02), 0)
    first, second = "AI", "AI-generated"
    first_width = math.ceil(font.getlength(first)) + round(cap * 0.3) + 2 * glyph + round(cap * 0.25)
    second_width = math.ceil(font.getlength(second))
    pad, gap, descent = round(cap * 0.55), round(cap * 0.5), round(cap * 0.3)
    width = -(-(max(first_width, second_width) + 2 * pad) // scale) * scale
    height = -(-(pad + glyph + gap + cap + descent + pad) // scale) * scale

    text = Image.new("L", (width, height))
    draw = ImageDraw.Draw(text)
    x, baseline = (width - first_width) // 2, pad + (glyph + cap) // 2
    draw.text((x, baseline), first, fill=255, font=font, anchor="ls", stroke_width=bold)
    x += math.ceil(font.getlength(first)) + round(cap * 0.3)
    for strokes in _STROKES.values():
        for stroke in strokes:
            points = [(x + px * glyph, pad + py * glyph) for px, py in stroke]
            draw.line(points, fill=255, width=pen, joint="curve")
            for px, py in (points[0], points[-1]):  # round ends
                draw.ellipse((px - pen / 2, py - pen / 2, px + pen / 2, py + pen / 2), fill=255)
        x += glyph + round(cap * 0.25)
    second_at = ((width - second_width) // 2, pad + glyph + gap + cap)
    draw.text(second_at, second, fill=255, font=font, anchor="ls", stroke_width=bold)

    panel = Image.new("L", (width, height))
    ImageDraw.Draw(panel).rounded_rectangle((0, 0, width - 1, height - 1), radius=pad, fill=165)
    return panel.reduce(scale), text.reduce(scale)


def eight_bit(picture: Image.Image) -> Image.Image:
    """Return the picture as L, LA, RGB or RGBA; the same object where it is one already."""
    if not isinstance(picture, Image.Image):
        raise InputError(f"expected a PIL picture, got {type(picture).__name__}; see gan_space.images.to_pil")
    if min(picture.size) < 1:
        raise InputError(f"cannot save a picture of {picture.width} x {picture.height} pixels: nothing is in it")
    if "transparency" in picture.info or picture.mode in ("PA", "RGBa", "La"):
        return picture.convert("RGBA")
    if picture.mode in ("L", "LA", "RGB", "RGBA"):
        return picture
    if picture.mode not in ("1", "P", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"):
        raise InputError(f"cannot save a picture of mode {picture.mode!r}: convert it to 8 bits, for example RGB")
    return picture.convert("L" if picture.mode == "1" else "RGB")
