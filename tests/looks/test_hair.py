"""Dyed hair: a new colour over the lights and darks that were there, and nothing but hair."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from gan_space.faces.head import Head
from gan_space.faces.landmarks import RIGHT_EYE
from gan_space.looks.hair import dye_hair
from gan_space.looks.layers import HairColor
from gan_space.looks.recipe import shipped_looks
from tests.faces.drawn_face import drawn_face
from tests.looks.painted_face import marks_of

SIDE = 240
SKIN, WALL = (205, 160, 135), (120, 140, 150)
BLACK, BROWN, BLONDE, GREY = (28, 24, 22), (92, 62, 44), (196, 160, 112), (150, 150, 150)
FACE = marks_of(drawn_face(48.0, (120.0, 112.8)))
COPPER, PLATINUM, COAL, BLUE = "#924b29", "#d3cbbd", "#1c1918", "#465c70"


def painted_head(color=BROWN) -> tuple[torch.Tensor, Head]:
    """`FACE` under hair with strands before a wall, [3, SIDE, SIDE] uint8, and where its hair is."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) / SIDE
    skull = np.hypot((x - 0.5) / 0.32, (y - 0.5) / 0.4)
    face = np.hypot((x - 0.5) / 0.2, (y - 0.56) / 0.25) < 1
    hair = (skull < 1) & ~face
    strands = 1 + 0.35 * np.sin(2 * np.pi * 60 * x / 2) + 0.15 * np.sin(2 * np.pi * 7 * y)
    photo = np.empty((SIDE, SIDE, 3), np.float32)
    photo[:] = WALL
    photo[face] = SKIN
    photo[hair] = (np.float32(color) * strands[..., None])[hair]
    soft = cv2.GaussianBlur(hair.astype(np.float32), (0, 0), 0.8)
    photo = cv2.GaussianBlur(photo, (0, 0), 0.8)
    pixels = torch.from_numpy(photo.round().clip(0, 255).astype(np.uint8)).permute(2, 0, 1).contiguous()
    return pixels, Head((0, 0, SIDE, SIDE), soft, np.clip(soft + face, 0, 1).astype(np.float32))


def lab_in(pixels: torch.Tensor, head: Head) -> np.ndarray:
    """Lab of the pixels that are all hair, [K, 3]."""
    codes = pixels.permute(1, 2, 0).numpy().astype(np.float32) / 255
    core = cv2.erode(head.hair, np.ones((7, 7))) > 0.99
    return cv2.cvtColor(codes, cv2.COLOR_RGB2LAB)[core]


def dyed(photo, head, color: str, amount: float = 1.0) -> np.ndarray:
    return lab_in(dye_hair(photo, [head], HairColor(color=color, amount=amount)), head)


def test_without_amount_or_hair_the_photo_stays_to_the_bit():
    photo, head = painted_head()
    nothing = Head(head.box, np.zeros_like(head.hair), head.person)
    speck = Head(head.box, np.zeros_like(head.hair), head.person)
    speck.hair[3:6, 3:6] = 1
    assert dye_hair(photo, [head], HairColor(amount=0.0)) is photo
    for heads in (
        [],
        [nothing],
        [speck],
        [Head((0, 0, 0, 0), np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float32))],
    ):
        assert torch.equal(dye_hair(photo, heads, HairColor(color=COPPER, amount=1.0)), photo)


def test_hair_without_any_dark_pixel_is_dyed_too():
    photo, head = painted_head((140, 110, 90))
    photo = photo.clamp(min=80)
    assert dyed(photo, head, PLATINUM)[:, 0].mean() > lab_in(photo, head)[:, 0].mean() + 5


@pytest.mark.parametrize("color", [COPPER, PLATINUM, COAL])
def test_what_is_not_hair_stays_to_the_bit(color):
    photo, head = painted_head()
    before = photo.clone()
    out = dye_hair(photo, [head], HairColor(color=color, amount=1.0))
    away = cv2.dilate(head.hair, np.ones((15, 15))) == 0
    assert torch.equal(photo, before) and away.mean() > 0.3
    assert torch.equal(out[:, torch.from_numpy(away)], photo[:, torch.from_numpy(away)])
    assert not torch.equal(out, photo)


def test_skin_and_wall_beside_hair_take_no_colour_where_the_mask_is_too_large():
    photo, head = painted_head(BLACK)
    wide = Head(head.box, cv2.dilate(head.hair, np.ones((7, 7))), head.person)
    out = dye_hair(photo, [wide], HairColor(color=COPPER, amount=1.0))
    beside = torch.from_numpy((wide.hair > 0.9) & (cv2.dilate(head.hair, np.ones((3, 3))) < 0.02))
    assert beside.sum() > 100
    assert (out[:, beside].float() - photo[:, beside].float()).abs().mean() < 4


@pytest.mark.parametrize(("own", "color"), [(BLACK, COPPER), (BROWN, BLUE), (BLONDE, COPPER), (GREY, COPPER)])
def test_the_hue_of_the_dye_arrives(own, color):
    photo, head = painted_head(own)
    wanted = cv2.cvtColor(np.float32([[[int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]]]), cv2.COLOR_RGB2LAB)[0, 0]
    after = np.median(dyed(photo, head, color), axis=0)
    turned = np.arctan2(after[2], after[1]) - np.arctan2(wanted[2], wanted[1])
    assert abs((turned + np.pi) % (2 * np.pi) - np.pi) < np.radians(22)
    assert np.hypot(*after[1:]) > 0.5 * np.hypot(*wanted[1:])


@pytest.mark.parametrize(("own", "color"), [(BLACK, PLATINUM), (BROWN, PLATINUM), (BLONDE, COAL), (BROWN, COAL)])
def test_lights_and_darks_of_strands_stay_where_hair_gets_lighter_or_darker(own, color):
    photo, head = painted_head(own)
    before, after = lab_in(photo, head)[:, 0], dyed(photo, head, color)[:, 0]
    up = color == PLATINUM
    assert (np.median(after) - np.median(before)) * (1 if up else -1) > (25 if up else 8)
    assert np.corrcoef(before, after)[0, 1] > 0.93  # the same strands
    low, high = np.quantile(after, (0.1, 0.9))
    assert high - low > (16 if up else 7)  # neither a flat tint nor a black hole
    assert np.quantile(after, 0.99) < 99.5


def test_gloss_is_paler_than_the_middle():
    photo, head = painted_head(BROWN)
    lab = dyed(photo, head, COPPER)
    middle, lights = np.quantile(lab[:, 0], (0.45, 0.55)), np.quantile(lab[:, 0], 0.98)
    chroma = np.hypot(lab[:, 1], lab[:, 2]) / lab[:, 0]
    assert chroma[lab[:, 0] > lights].mean() < 0.9 * chroma[(lab[:, 0] > middle[0]) & (lab[:, 0] < middle[1])].mean()


@pytest.mark.parametrize("cloth", [(190, 45, 40), (225, 225, 222)])
def test_cloth_that_the_mask_takes_for_hair_stays(cloth):
    photo, head = painted_head(BROWN)
    below = np.zeros((SIDE, SIDE), bool)
    below[204:, 30:210] = True
    photo[:, torch.from_numpy(below)] = torch.tensor(cloth, dtype=torch.uint8)[:, None]
    hair = head.hair.copy()
    hair[204:, 60:180] = 0.95  # of it the mask leaves but the sleeves alone
    out = dye_hair(photo, [Head(head.box, hair, head.person)], HairColor(color=BLUE, amount=1.0), [FACE])
    sure = np.zeros((SIDE, SIDE), bool)
    sure[212:, 70:170] = True
    assert (out[:, torch.from_numpy(sure)].float() - photo[:, torch.from_numpy(sure)].float()).abs().mean() < 2


def test_an_eye_that_looks_out_of_a_fringe_is_not_dyed():
    photo, head = painted_head(BROWN)
    eye = np.round(FACE.points[list(RIGHT_EYE)].mean(axis=0)).astype(int)
    hair = head.hair.copy()
    hair[eye[1] - 20 : eye[1] + 1, eye[0] - 14 : eye[0] + 14] = 1  # its upper half, for the mask
    photo[:, eye[1] - 20 : eye[1] - 3, eye[0] - 14 : eye[0] + 14] = torch.tensor(BROWN, dtype=torch.uint8)[
        :, None, None
    ]
    photo[:, eye[1] - 3 : eye[1] + 3, eye[0] - 5 : eye[0] + 5] = 40
    out = dye_hair(photo, [Head(head.box, hair, head.person)], HairColor(color=PLATINUM, amount=1.0), [FACE])
    there = (slice(None), slice(eye[1] - 2, eye[1] + 2), slice(eye[0] - 3, eye[0] + 3))
    assert (out[there].float() - photo[there].float()).abs().mean() < 6


def lightness(pixels: torch.Tensor) -> np.ndarray:
    """L* of a photo [3, H, W] uint8, [H, W]."""
    return cv2.cvtColor(pixels.permute(1, 2, 0).numpy().astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 0]


def test_light_dye_on_black_hair_leaves_no_dark_rim_at_the_forehead():
    photo, head = painted_head(BLACK)
    photo = torch.from_numpy(cv2.GaussianBlur(photo.permute(1, 2, 0).numpy(), (0, 0), 4.0)).permute(2, 0, 1)
    head = Head(head.box, cv2.erode(head.hair, np.ones((7, 7))), head.person)  # masks end before soft edges do
    out = lightness(dye_hair(photo, [head], HairColor(color=PLATINUM, amount=1.0), [FACE]))[:, 105:135].mean(axis=1)
    line = int(np.argmax(head.hair[60:, 120] < 0.5)) + 60  # the first row of the forehead
    hair, skin = out[line - 24 : line - 14].mean(), out[line + 18 : line + 22].mean()
    between = out[line - 12 : line + 16]
    assert between.min() > min(hair, skin) - 6 and between.max() < max(hair, skin) + 3


def test_a_lock_that_hangs_into_the_forehead_is_dyed_and_a_mole_is_not():
    photo, head = painted_head(BLACK)
    line, low, black = 74, 92, torch.tensor(BLACK, dtype=torch.uint8)[:, None, None]
    photo[:, line:low, 103:109] = black
    photo[:, 96:99, 120:123] = black
    moved = lightness(dye_hair(photo, [head], HairColor(color=PLATINUM, amount=1.0), [FACE])) - lightness(photo)
    assert moved[line + 2 : low - 4, 105:107].min() > 10
    assert np.abs(moved[96:99, 120:123]).max() < 3


def test_what_a_camera_has_sharpened_leaves_no_line_at_the_edge():
    photo, head = painted_head((52, 48, 46))
    photo[:, (head.hair < 0.5) & (head.person < 0.5)] = 190  # a bright wall
    rim = (head.hair > 0.5) & (cv2.dilate(np.float32(head.person < 0.5), np.ones((5, 5))) > 0)
    photo[:, torch.from_numpy(rim)] = 26
    out = lightness(dye_hair(photo, [head], HairColor(color=PLATINUM, amount=1.0), [FACE]))
    within = cv2.erode(head.hair, np.ones((9, 9))) > 0.99
    assert np.quantile(out[rim], 0.1) > np.quantile(out[within], 0.1) - 6


def test_black_that_a_file_has_mottled_does_not_blotch():
    photo, head = painted_head((9, 9, 9))
    rows, columns = np.mgrid[0:SIDE, 0:SIDE] // 8
    photo[:, torch.from_numpy(head.hair > 0.9)] = 9
    photo[:, torch.from_numpy((head.hair > 0.9) & ((rows + columns) % 2 > 0))] = 2
    photo[:, torch.from_numpy((head.hair > 0.9) & (rows < 7))] = 70  # what is lit
    out = lightness(dye_hair(photo, [head], HairColor(color=PLATINUM, amount=1.0), [FACE]))
    part = (cv2.erode(head.hair, np.ones((9, 9))) > 0.99) & (rows > 9)
    even = (rows + columns) % 2 == 0
    assert abs(np.median(out[part & even]) - np.median(out[part & ~even])) < 7


def test_the_amount_is_continuous():
    photo, head = painted_head(BLACK)
    steps = [photo, *(dye_hair(photo, [head], HairColor(color=PLATINUM, amount=n / 10)) for n in range(1, 11))]
    means = [lab_in(step, head)[:, 0].mean() for step in steps]
    moves = np.diff(means)
    assert moves.min() > 0 and moves.max() < 3 * moves.min()
    one_code = dye_hair(photo, [head], HairColor(color=PLATINUM, amount=0.005))
    assert (one_code.int() - photo.int()).abs().max() <= 3


@pytest.mark.parametrize("tone", [(1.0, 1.0, 1.0), (1.0, 0.85, 0.66)])
def test_a_photo_in_one_tone_keeps_it(tone):
    photo, head = painted_head(BLACK)
    grey = photo.float().mean(dim=0)
    photo = torch.stack([grey * share for share in tone]).round().byte()
    out = dye_hair(photo, [head], HairColor(color=COPPER, amount=1.0), [FACE])
    before, after = (one[:, torch.from_numpy(head.hair > 0.99)].float() for one in (photo, out))
    assert after.mean() > before.mean() + 15  # but it gets lighter
    bright = after[0] > 60
    ratio = (after[:, bright] / after[0, bright]).median(dim=1).values
    assert torch.allclose(ratio, torch.tensor(tone), atol=0.03)


def test_heads_that_overlap_share_their_hair():
    photo, head = painted_head()
    whole = dye_hair(photo, [head], HairColor(color=COPPER, amount=1.0))
    twice = dye_hair(photo, [head, head], HairColor(color=COPPER, amount=1.0))
    gap = (whole.int() - twice.int()).abs()
    assert gap.max() <= 12 and gap[:, torch.from_numpy(cv2.erode(head.hair, np.ones((9, 9))) > 0.999)].max() <= 3


def test_heads_side_by_side_are_each_dyed_by_their_own_hair():
    left, one = painted_head(BLACK)
    right, _ = painted_head(BLONDE)
    photo = torch.cat([left, right], dim=2)
    other = Head((SIDE, 0, 2 * SIDE, SIDE), one.hair, one.person)
    dye = HairColor(color=COPPER, amount=1.0)
    out = dye_hair(photo, [one, other], dye)
    assert torch.equal(out[:, :, :SIDE], dye_hair(left, [one], dye))
    assert torch.equal(out[:, :, SIDE:], dye_hair(right, [one], dye))


def test_a_box_beyond_which_nothing_is_known_may_lie_anywhere():
    photo, head = painted_head()
    whole = dye_hair(photo, [head], HairColor(color=COPPER, amount=1.0))
    top = Head((0, 0, SIDE, 100), head.hair[:100], head.person[:100])
    part = dye_hair(photo, [top], HairColor(color=COPPER, amount=1.0))
    assert torch.equal(part[:, 100:], photo[:, 100:]) and not torch.equal(part, whole)


def test_looks_of_hair_dye_it_and_do_nothing_else():
    looks = [look for look in shipped_looks().values() if look.group == "hair"]
    assert len(looks) >= 10 and all(look.hair for look in looks)
    assert not any(look.skin or look.makeup or look.shape or look.drawing or look.grade for look in looks)
    assert len({look.hair["color"] for look in looks}) == len(looks)
