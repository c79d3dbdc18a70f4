"""The visible label can be read: high enough, of enough contrast, in the corner, on any picture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gan_space.errors import InputError
from gan_space.output.visible_label import draw_visible_label, eight_bit


@pytest.mark.parametrize("size", [(1024, 1024), (640, 480), (300, 512), (128, 128), (100, 700), (64, 64)])
@pytest.mark.parametrize("ground", [0, 128, 255])
def test_visible_label_is_high_enough_and_legible(size, ground):
    labelled = np.asarray(draw_visible_label(Image.new("RGB", size, (ground,) * 3)).convert("L")).astype(int)
    changed = labelled != ground
    panel = np.argwhere(changed)
    (top, left), (bottom, right) = panel.min(0), panel.max(0)
    short = min(size)
    assert top > size[1] - 0.5 * short and left > size[0] - 0.8 * short, "the label belongs into the corner"
    assert bottom < size[1] - 1 and right < size[0] - 1

    inset = (right - left) * 6 // 100  # leaves the panel's round corners out
    box = labelled[top : bottom + 1, left + inset : right + 1 - inset]
    inked = (box > 190).any(1)  # rows with text
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inked.astype(int), [0]])))
    lines = [(start, end) for start, end in edges.reshape(-1, 2) if end - start > 1]
    assert len(lines) == 2, "AI生成, and AI-generated below it"
    assert all(end - start >= 0.05 * short for start, end in lines)
    # A capital I is the tallest thing in the left fifth of the second line but has no descender.
    start, end = lines[1]
    second = box[start:end]
    columns = np.flatnonzero((second > 190).any(0))
    capitals = second[:, columns[0] : columns[0] + (columns[-1] - columns[0]) // 5]
    rows = np.flatnonzero((capitals > 150).any(1))
    assert rows[-1] - rows[0] + 1 >= 0.05 * short

    def luminance(value: float) -> float:  # WCAG 2.2, relative luminance of sRGB
        value /= 255
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    background = np.bincount(box.ravel()).argmax()
    contrast = (luminance(box.max()) + 0.05) / (luminance(background) + 0.05)
    assert contrast >= 4.5


@pytest.mark.parametrize("size", [(1, 1), (3, 300), (300, 3), (11, 11), (20, 20)])
def test_visible_label_on_tiny_pictures(size):
    assert draw_visible_label(Image.new("RGB", size)).size == size


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "LA", "RGBA", "PA"])
def test_visible_label_keeps_transparency_and_nothing_else_of_the_mode(mode):
    labelled = draw_visible_label(Image.new("RGBA", (64, 64)).convert(mode))
    assert labelled.mode == ("RGBA" if "A" in mode else "RGB")


def test_the_given_picture_is_not_drawn_on():
    for mode in ("RGB", "RGBA"):
        picture = Image.new(mode, (64, 64))
        draw_visible_label(picture)
        assert picture.tobytes() == Image.new(mode, (64, 64)).tobytes()


def test_the_two_characters_are_drawn_and_differ():
    """Between "AI" and the end of the first line stand two different shapes, each about as wide as high."""
    box = np.asarray(draw_visible_label(Image.new("L", (1024, 1024))).convert("L"))
    rows = np.flatnonzero((box > 190).any(1))
    first_line = box[rows[0] : rows[np.flatnonzero(np.diff(rows) > 1)[0]] + 1] > 190
    columns = first_line.any(0).astype(int)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], columns, [0]]))).reshape(-1, 2)
    letters = [first_line[:, start:end] for start, end in edges]
    assert len(letters) == 4  # A, I, 生, 成
    for character in letters[2:]:
        assert 0.8 < character.shape[1] / character.shape[0] < 1.2
    assert letters[2].shape != letters[3].shape or (letters[2] != letters[3]).any()


def test_colour_keys_become_transparency():
    picture = Image.new("RGB", (4, 4), (1, 2, 3))
    picture.info["transparency"] = (1, 2, 3)
    assert eight_bit(picture).getpixel((0, 0)) == (1, 2, 3, 0)


@pytest.mark.parametrize("picture", ["a.png", None, Image.new("I", (2, 2)), Image.new("RGB", (0, 0))])
def test_what_has_no_eight_bit_pixels_is_refused(picture):
    with pytest.raises(InputError):
        draw_visible_label(picture)
