"""The visible label can be read: high enough, of enough contrast, in a corner without a face, no larger than asked."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageChops

from gan_space.errors import InputError
from gan_space.output.visible_label import Box, draw_visible_label, eight_bit


def panel_of(labelled: Image.Image, ground: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of what the label changed."""
    return ImageChops.difference(labelled, Image.new("RGB", labelled.size, (ground,) * 3)).getbbox()


@pytest.mark.parametrize("size", [(1024, 1024), (640, 480), (300, 512), (128, 128), (100, 700), (64, 64)])
@pytest.mark.parametrize("ground", [0, 128, 255])
def test_visible_label_is_high_enough_legible_and_no_larger(size, ground):
    labelled = draw_visible_label(Image.new("RGB", size, (ground,) * 3))
    left, top, right, bottom = panel_of(labelled, ground)
    short = min(size)
    assert right < size[0] and bottom < size[1], "a margin stays"
    if short > 300:
        assert bottom - top <= 0.1 * short and right - left <= 0.25 * short, "a small mark in a corner"
    assert top > size[1] / 2 and left > size[0] * 0.3, "the label belongs into the corner"

    box = np.asarray(labelled.convert("L")).astype(int)[top:bottom, left:right]
    box = box[:, len(box[0]) // 8 : -len(box[0]) // 8]  # leaves the panel's round corners out
    rows = np.flatnonzero((box > 150).any(1))
    assert rows[-1] - rows[0] + 1 >= 0.05 * short, "the characters"
    letters = letters_of(labelled.crop((left, top, right, bottom)))
    capital = np.flatnonzero(letters[0].any(1))
    assert capital[-1] - capital[0] + 1 >= 0.05 * short - 1, "the capitals, to the pixel"

    def luminance(value: float) -> float:  # WCAG 2.2, relative luminance of sRGB
        value /= 255
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    background = np.bincount(box.ravel()).argmax()
    contrast = (luminance(box.max()) + 0.05) / (luminance(background) + 0.05)
    assert contrast >= 4.5


def letters_of(label: Image.Image) -> list[np.ndarray]:
    """The characters of a label, from the left, as [H, W] of true where there is ink."""
    ink = np.asarray(label.convert("L")) > 150
    columns = np.concatenate([[0], ink.any(0).astype(int), [0]])
    return [ink[:, start:end] for start, end in np.flatnonzero(np.diff(columns)).reshape(-1, 2)]


@pytest.mark.parametrize(
    ("faces", "corner"),
    [
        ([], "bottom right"),
        ([Box(300, 100, 700, 900)], "bottom right"),
        ([Box(500, 500, 1000, 1000)], "bottom left"),
        ([Box(500, 500, 1000, 1000), Box(0, 700, 300, 1000)], "top right"),
        ([Box(500, 0, 1000, 1000), Box(0, 700, 300, 1000)], "top left"),
        ([Box(0, 0, 1000, 990)], "bottom right"),  # none is free: where least is covered
    ],
)
def test_a_label_is_never_over_a_face_while_a_corner_is_free(faces, corner):
    labelled = draw_visible_label(Image.new("RGB", (1000, 1000)), faces)
    left, top, right, bottom = panel_of(labelled, 0)
    found = ("bottom " if top > 500 else "top ") + ("right" if left > 500 else "left")
    assert found == corner
    if len(faces) and faces[0].top > 0:
        assert all(
            right <= face.left or left >= face.right or bottom <= face.top or top >= face.bottom for face in faces
        )


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
    """After "AI" stand two different shapes, each about as wide as high."""
    labelled = draw_visible_label(Image.new("RGB", (1024, 1024)))
    letters = letters_of(labelled.crop(panel_of(labelled, 0)))
    assert len(letters) == 4  # A, I, 生, 成
    for character in letters[2:]:
        rows = np.flatnonzero(character.any(1))
        assert 0.8 < character.shape[1] / (rows[-1] - rows[0] + 1) < 1.2
    assert letters[2].shape != letters[3].shape or (letters[2] != letters[3]).any()


def test_colour_keys_become_transparency():
    picture = Image.new("RGB", (4, 4), (1, 2, 3))
    picture.info["transparency"] = (1, 2, 3)
    assert eight_bit(picture).getpixel((0, 0)) == (1, 2, 3, 0)


@pytest.mark.parametrize("picture", ["a.png", None, Image.new("I", (2, 2)), Image.new("RGB", (0, 0))])
def test_what_has_no_eight_bit_pixels_is_refused(picture):
    with pytest.raises(InputError):
        draw_visible_label(picture)
