"""Lipstick keeps to lips where mouths are parted, open or full, whatever the landmarks say of them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from gan_space.faces.snap import LOWER_INNER, UPPER_INNER, UPPER_OUTER, snap_outlines
from gan_space.looks.makeup import make_up
from tests.faces.drawn_face import LIPS, OPENING, drawn_face
from tests.looks.painted_face import MIDDLE, SIZE, SKINS, TEETH, UNIT, face_photo, lightness, marks_of, moved, where


@pytest.mark.parametrize("gap", [0.0, 0.05])
@pytest.mark.parametrize("lips", ["red", "pale"])
def test_front_teeth_stay_where_landmarks_put_the_lips_edge_across_or_below_them(lips, gap):
    pixels = face_photo(SKINS["light"]).permute(1, 2, 0).numpy().copy()
    color = {"red": (186, 90, 96), "pale": (236, 204, 204)}[lips]
    pixels[where(LIPS)] = color
    teeth = ((0.0, 0.98), (0.26, 0.06))
    pixels[where(((0.0, 1.0), (0.3, 0.09)))] = np.array(color) // 2  # the shade that they lie in
    pixels[where(teeth)] = TEETH
    photo = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
    points = drawn_face(UNIT, MIDDLE)
    points[list(UPPER_INNER), 1] = MIDDLE[1] + (1.01 - gap / 2) * UNIT
    points[list(LOWER_INNER), 1] = MIDDLE[1] + (1.01 + gap / 2) * UNIT
    change = moved(photo, make_up(photo, marks_of(points), {"lipstick": {"color": "#8a1030", "amount": 1.0}}))
    kept = cv2.erode(where(teeth).astype(np.uint8), np.ones((3, 3))).astype(bool)
    below = where(((0.0, 1.14), (0.15, 0.03)))
    assert np.quantile(change[kept], 0.8) < 0.2 * np.median(change[below]), lips


def test_a_wet_lip_below_the_teeth_is_painted_where_landmarks_take_it_for_the_open_mouth():
    pixels = face_photo(SKINS["light"]).permute(1, 2, 0).numpy().copy()
    pixels[where(LIPS)] = (160, 70, 76)
    pixels[where(((0.0, 1.0), (0.38, 0.14)))] = (200, 150, 148)  # wet, and pale for it
    pixels[where(((0.0, 0.9), (0.4, 0.08)))] = (160, 70, 76)
    pixels[where(OPENING)] = TEETH
    photo, points = torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), drawn_face(UNIT, MIDDLE)
    points[list(LOWER_INNER[1:-1]), 1] += 0.05 * UNIT
    change = moved(photo, make_up(photo, marks_of(points), {"lipstick": {"color": "#8a1030", "amount": 1.0}}))
    assert np.median(change[where(((0.0, 1.11), (0.1, 0.012)))]) > 15
    teeth = cv2.erode(where(OPENING).astype(np.uint8), np.ones((5, 5))).astype(bool)
    assert np.quantile(change[teeth], 0.8) < 3


def test_the_lower_row_of_teeth_stays_where_landmarks_see_only_the_upper_one():
    pixels = face_photo(SKINS["light"]).permute(1, 2, 0).numpy().copy()
    pixels[where(LIPS)] = (190, 100, 106)
    pixels[where(((0.0, 0.98), (0.34, 0.11)))] = (40, 12, 12)
    upper, lower = (((0.0, 0.91), (0.26, 0.04))), (((0.0, 1.06), (0.2, 0.03)))
    for row in (upper, lower):
        pixels[where(row)] = TEETH
    photo, points = torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), drawn_face(UNIT, MIDDLE)
    points[list(UPPER_INNER[1:-1]), 1] -= 0.04 * UNIT
    points[list(LOWER_INNER[1:-1]), 1] -= 0.1 * UNIT
    change = moved(photo, make_up(photo, marks_of(points), {"lipstick": {"color": "#8a1030", "amount": 1.0}}))
    row = cv2.erode(where(lower).astype(np.uint8), np.ones((3, 3))).astype(bool)
    assert np.quantile(change[row], 0.7) < 0.2 * np.median(change[where(((0.0, 1.15), (0.15, 0.02)))])


def test_a_full_upper_lip_is_painted_down_to_the_gums_where_landmarks_cut_through_it():
    pixels = face_photo(SKINS["dark"]).permute(1, 2, 0).numpy().copy()
    pixels[where(LIPS)] = (150, 104, 76)  # a pale rim
    pixels[where(((0.0, 1.02), (0.4, 0.17)))] = (88, 46, 36)
    pixels[where(((0.0, 1.02), (0.34, 0.1)))] = (168, 96, 98)  # gums
    pixels[where(((0.0, 1.04), (0.3, 0.05)))] = TEETH
    photo, points = torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), drawn_face(UNIT, MIDDLE)
    points[list(UPPER_INNER[1:-1]), 1] = MIDDLE[1] + 0.86 * UNIT
    points[list(LOWER_INNER[1:-1]), 1] = MIDDLE[1] + 1.11 * UNIT
    change = moved(photo, make_up(photo, marks_of(points), {"lipstick": {"color": "#c01030", "amount": 1.0}}))
    full = np.median(change[where(((0.0, 1.16), (0.1, 0.015)))])
    assert np.median(change[where(((0.0, 0.895), (0.15, 0.015)))]) > 0.6 * full  # by landmarks alone: nothing
    assert np.median(change[where(((0.0, 0.96), (0.15, 0.015)))]) < 0.2 * full


@pytest.mark.parametrize("sunlit", [False, True])
def test_the_dark_below_the_teeth_of_an_open_mouth_is_no_lip(sunlit):
    """Landmarks end the mouth at the upper teeth; a lip that is as pale as teeth in the sun is none of them."""
    pixels = face_photo(SKINS["light"]).permute(1, 2, 0).numpy().copy()
    pixels[where(((0.0, 1.0), (0.45, 0.24)))] = (176, 92, 96)
    pixels[where(((0.0, 0.99), (0.38, 0.14)))] = (30, 12, 12)
    pixels[where(((0.0, 0.93), (0.34, 0.05)))] = TEETH
    if sunlit:
        pixels[where(((-0.1, 1.185), (0.1, 0.03)))] = (250, 236, 234)
    photo, points = torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), drawn_face(UNIT, MIDDLE)
    points[list(UPPER_INNER[1:-1]), 1] = MIDDLE[1] + 0.88 * UNIT
    points[list(LOWER_INNER[1:-1]), 1] = MIDDLE[1] + 0.98 * UNIT
    change = moved(photo, make_up(photo, marks_of(points), {"lipstick": {"color": "#c01030", "amount": 1.0}}))
    full = np.median(change[where(((0.1, 1.18), (0.1, 0.02)))])
    assert full > 20 and np.median(change[where(((-0.1, 1.18), (0.05, 0.02)))]) > 0.6 * full
    assert np.median(change[where(((0.0, 1.05), (0.2, 0.03)))]) < 0.2 * full


def test_an_upper_lip_that_landmarks_put_across_the_teeth_is_painted():
    photo, points = face_photo(), drawn_face(UNIT, MIDDLE)
    points[list(UPPER_OUTER[1:-1] + UPPER_INNER[1:-1]), 1] += 0.12 * UNIT  # onto the teeth
    change = moved(photo, make_up(photo, marks_of(points), {"lipstick": {"color": "#8a1030", "amount": 1.0}}))
    lip = where(((0.0, 0.86), (0.15, 0.03)))
    assert np.median(change[lip]) > 15
    assert np.median(change[where(((0.0, 1.0), (0.2, 0.03)))]) < 3


def test_gloss_on_a_closed_lip_is_no_tooth():
    pixels = face_photo().permute(1, 2, 0).numpy().copy()
    pixels[where(LIPS)] = pixels[int(MIDDLE[1] + 1.15 * UNIT), int(MIDDLE[0])]
    pixels[where(((0.0, 1.0), (0.42, 0.012)))] //= 3  # the seam
    pixels[where(((0.0, 1.11), (0.2, 0.025)))] = TEETH
    points = drawn_face(UNIT, MIDDLE)
    points[list(UPPER_INNER), 1] = points[list(LOWER_INNER), 1] = MIDDLE[1] + UNIT
    snapped = (snap_outlines(pixels, points)[[13, 14], 1] - MIDDLE[1]) / UNIT
    assert np.abs(snapped - 1.0).max() < 0.02


def test_the_dark_between_parted_lips_stays_dark():
    pixels = face_photo().permute(1, 2, 0).numpy().copy()
    pixels[where(LIPS)] = pixels[int(MIDDLE[1] + 1.15 * UNIT), int(MIDDLE[0])]
    dark = where(((0.0, 1.0), (0.3, 0.035)))
    pixels[dark] = (30, 14, 14)
    photo = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
    points = drawn_face(UNIT, MIDDLE)
    points[list(UPPER_INNER), 1], points[list(LOWER_INNER), 1] = (MIDDLE[1] + y * UNIT for y in (0.965, 1.035))
    after = make_up(photo, marks_of(points), {"lipstick": {"color": "#d02040", "amount": 1.0}})
    assert np.abs(lightness(after) - lightness(photo))[dark].mean() < 3


def test_full_lips_of_two_tones_are_painted_where_landmarks_see_them_parted():
    """Seen on dark skin: a dusky upper lip on a pink lower one, closed, left a bare bar between them."""
    pixels = face_photo(SKINS["dark"]).permute(1, 2, 0).numpy().copy()
    lips, rows = where(LIPS), np.indices((SIZE, SIZE))[0]
    share = np.clip((rows - MIDDLE[1] - 0.97 * UNIT) / (0.06 * UNIT), 0, 1)[lips][:, None]
    pixels[lips] = (1 - share) * (96, 60, 74) + share * (158, 88, 106)
    photo, points = torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), drawn_face(UNIT, MIDDLE)
    points[list(UPPER_INNER), 1], points[list(LOWER_INNER), 1] = (MIDDLE[1] + y * UNIT for y in (0.95, 1.05))
    change = moved(photo, make_up(photo, marks_of(points), {"lipstick": {"color": "#d01020", "amount": 1.0}}))
    between = change[where(((0.0, 1.0), (0.25, 0.03)))]
    assert np.quantile(between, 0.1) > 0.6 * np.median(change[where(((0.0, 1.12), (0.2, 0.03)))])


def test_a_grey_upper_lip_in_shade_is_no_row_of_teeth():
    """Seen on dark skin: closed lips, both greyer than the skin above and the seam below them."""
    pixels = face_photo((112, 62, 44)).permute(1, 2, 0).numpy().copy()
    lower = where(LIPS) & (np.indices((SIZE, SIZE))[0] > MIDDLE[1] + UNIT)
    pixels[where(LIPS)] = pixels[int(MIDDLE[1] + 1.3 * UNIT), int(MIDDLE[0])]
    pixels[where(((0.0, 1.0), (0.45, 0.12)))] = (88, 66, 62)
    pixels[lower] = (150, 112, 108)
    pixels[where(((0.0, 1.0), (0.42, 0.02)))] = (34, 14, 12)
    photo, points = torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), drawn_face(UNIT, MIDDLE)
    points[list(UPPER_OUTER[1:-1]), 1] += 0.08 * UNIT
    points[list(UPPER_INNER), 1], points[list(LOWER_INNER), 1] = (MIDDLE[1] + y * UNIT for y in (0.95, 1.01))
    change = moved(photo, make_up(photo, marks_of(points), {"lipstick": {"color": "#d01020", "amount": 1.0}}))
    assert np.quantile(change[where(((0.0, 0.935), (0.2, 0.025)))], 0.1) > 10


def test_gloss_near_the_rim_of_a_lower_lip_is_painted():
    """Seen on dark skin: a white shine on one side of the lip, as bright as skin in the light on the other side."""
    pixels = face_photo((112, 62, 44)).permute(1, 2, 0).numpy().copy()
    columns = np.indices((SIZE, SIZE))[1]
    lit = np.clip((columns - MIDDLE[0]) / (0.3 * UNIT), 0, 1)[..., None]
    pixels[:] = (1 - lit) * pixels + lit * np.array((196, 150, 128))
    pixels[where(LIPS)] = (178, 92, 92)
    pixels[where(((0.0, 1.0), (0.42, 0.02)))] = (60, 24, 24)
    gloss = ((-0.2, 1.17), (0.14, 0.06))
    pixels[where(gloss) & where(LIPS)] = (196, 152, 134)
    photo, points = torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), drawn_face(UNIT, MIDDLE)
    points[list(UPPER_INNER), 1] = points[list(LOWER_INNER), 1] = MIDDLE[1] + UNIT
    change = moved(photo, make_up(photo, marks_of(points), {"lipstick": {"color": "#a01020", "amount": 1.0}}))
    assert np.quantile(change[where(((-0.2, 1.145), (0.06, 0.012)))], 0.2) > 15
