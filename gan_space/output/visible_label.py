"""The label that people can see, where it stands, and the kinds of pictures it can be drawn on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from gan_space.errors import InputError

MIN_LABEL_SHARE = 0.05  # GB 45438-2025: characters are at least 5 % of the short side high
MIN_LEGIBLE_PX = 12  # of a capital, on small pictures


class Box(NamedTuple):
    """A part of a picture in px."""

    left: float
    top: float
    right: float
    bottom: float


def draw_visible_label(picture: Image.Image, keep_clear: Sequence[Box] = ()) -> Image.Image:
    """Return an RGB or RGBA copy with a small "AI生成" in a corner.

    Capitals are 5 % of the short side high, which is what GB 45438-2025 asks for and no more, and larger on small
    pictures so that they can be read; white on a dark panel shows on any background.

    Args:
        picture: not changed.
        keep_clear: parts such as faces that the label must not cover; see `choose_corner`.
    """
    picture = eight_bit(picture)
    labelled = picture.convert("RGBA" if "A" in picture.getbands() else "RGB")
    short = min(labelled.size)
    cap_px = max(math.ceil(short * MIN_LABEL_SHARE), min(MIN_LEGIBLE_PX, short // 12), 1)
    panel, text = _label_masks(cap_px)
    box = choose_corner(labelled.size, panel.size, max(cap_px // 3, 1), keep_clear)
    labelled.paste((16, 16, 16, 255)[: len(labelled.getbands())], box, panel)
    labelled.paste((255, 255, 255, 255)[: len(labelled.getbands())], box, text)
    return labelled


def choose_corner(
    picture: tuple[int, int], label: tuple[int, int], margin: int, keep_clear: Sequence[Box] = ()
) -> tuple[int, int, int, int]:
    """Place a label in the first free corner: bottom right, bottom left, top right, top left.

    Args:
        picture, label: (width, height) in px.
        margin: between the label and the edges, in px.
        keep_clear: parts that it must not cover; where every corner covers some, the one that covers least is taken.

    Returns:
        (left, top, right, bottom) in px.

    Example:
        >>> choose_corner((100, 100), (20, 10), 2, [Box(50, 50, 100, 100)])
        (2, 88, 22, 98)
    """
    right, bottom = picture[0] - label[0] - margin, picture[1] - label[1] - margin
    corners = [(right, bottom), (margin, bottom), (right, margin), (margin, margin)]
    boxes = [(x, y, x + label[0], y + label[1]) for x, y in corners]
    return min(boxes, key=lambda box: sum(_overlap(box, part) for part in keep_clear))  # the first of equals


def _overlap(one: Sequence[float], other: Sequence[float]) -> float:
    """Area in px that two boxes share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0.0) * max(height, 0.0)


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
    glyph, pen = round(cap * 1.1), max(round(cap * 0.12), 1)
    font = ImageFont.load_default(cap)
    font = ImageFont.load_default(cap * cap / -font.getbbox("I", anchor="ls")[1])  # capitals, not lines, of `cap`
    latin, gap, pad = math.ceil(font.getlength("AI")), round(cap * 0.22), round(cap * 0.32)
    width = -(-(2 * pad + latin + gap + 2 * glyph + gap // 2) // scale) * scale
    height = -(-(2 * pad + glyph) // scale) * scale

    text = Image.new("L", (width, height))
    draw = ImageDraw.Draw(text)
    x = (width - latin - gap - 2 * glyph - gap // 2) // 2
    draw.text((x, pad + (glyph + cap) // 2), "AI", fill=255, font=font, anchor="ls", stroke_width=round(cap * 0.02))
    x += latin + gap
    for strokes in _STROKES.values():
        for stroke in strokes:
            points = [(x + px * glyph, pad + py * glyph) for px, py in stroke]
            draw.line(points, fill=255, width=pen, joint="curve")
            for px, py in (points[0], points[-1]):  # round ends
                draw.ellipse((px - pen / 2, py - pen / 2, px + pen / 2, py + pen / 2), fill=255)
        x += glyph + gap // 2

    panel = Image.new("L", (width, height))
    ImageDraw.Draw(panel).rounded_rectangle((0, 0, width - 1, height - 1), radius=height // 3, fill=175)
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
