"""Another background: the wall arrives, persons stay, and nothing of one side shows on the other. Masks are given."""

import json

import cv2
import numpy as np
import pytest
import torch

from gan_space.errors import NoFaceError
from gan_space.faces.align import AlignTransform
from gan_space.faces.head import Head
from gan_space.faces.person import _up_to_the_edges, find_person
from gan_space.looks.apply import apply_look
from gan_space.looks.background import change_background
from gan_space.looks.layers import Background
from gan_space.looks.recipe import shipped_looks
from gan_space.models.segmenter import SegmenterOutput
from gan_space.photos.opening import open_picture
from gan_space.portraits.portrait import Portrait

SIDE, UNIT = 256, 32.0
DARK, LIGHT = (40, 30, 25), (225, 228, 230)
WALLS = {"#ffffff": (255, 255, 255), "#438edb": (67, 142, 219), "#d9001b": (217, 0, 27)}
BLUR, RED = Background(blur=1.0), Background(color="#d9001b", amount=1.0)


def circle(x: float = 128, y: float = 128, radius: float = 60, soft: float = 3.0) -> np.ndarray:
    """Shares of pixels inside a circle, [SIDE, SIDE] in 0 to 1."""
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    return ((radius - np.hypot(columns - x, rows - y)) / soft + 0.5).clip(0, 1).astype(np.float32)


def photo_of(share: np.ndarray, front, back) -> tuple[torch.Tensor, np.ndarray]:
    """A photo in which a person of one colour stands before another, and its mask."""
    front, back = np.float32(front), np.float32(back)
    photo = share[..., None] * front + (1 - share[..., None]) * back
    return torch.from_numpy(photo.round().astype(np.uint8)).permute(2, 0, 1).contiguous(), to_mask(share)


def to_mask(share: np.ndarray) -> np.ndarray:
    return (share * 255).round().astype(np.uint8)


def grained(photo: torch.Tensor, deviation: float = 4.0) -> torch.Tensor:
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, deviation, photo.shape[1:]))
    return (photo + noise).round().clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("layer", [BLUR, RED, Background(amount=1.0, shade=1.0)])
def test_the_person_stays_to_the_bit(layer):
    share = circle()
    photo, mask = photo_of(share, DARK, LIGHT)
    photo = grained(photo, 20.0)
    changed = change_background(photo, mask, UNIT, layer)
    inside = torch.from_numpy(mask == 255)
    assert torch.equal(changed[:, inside], photo[:, inside])
    assert not torch.equal(changed, photo)


def test_no_amount_is_the_photo_itself():
    photo, mask = photo_of(circle(), DARK, LIGHT)
    assert change_background(photo, mask, UNIT, Background()) is photo
    assert change_background(photo, mask, UNIT, BLUR.scaled(0)) is photo


@pytest.mark.parametrize("color", WALLS)
def test_the_wall_arrives(color):
    photo, mask = photo_of(circle(), DARK, LIGHT)
    changed = change_background(grained(photo), mask, UNIT, Background(color=color, amount=1.0))
    outside = torch.from_numpy(mask == 0)
    assert (torch.tensor(WALLS[color]) == changed[:, outside].T).all()


def test_half_a_wall_is_between():
    photo, mask = photo_of(circle(), DARK, LIGHT)
    changed = change_background(photo, mask, UNIT, Background(color="#000000", amount=0.5))
    assert changed[:, 2, 2].tolist() == pytest.approx([value / 2 for value in LIGHT], abs=1)


def test_shade_darkens_the_corners_alone():
    photo, mask = photo_of(circle(), DARK, LIGHT)
    grey = Background(color="#a9abad", amount=1.0, shade=0.6)
    lights = change_background(photo, mask, UNIT, grey).float().mean(dim=0)
    assert lights[:3, :3].mean() < lights[60:64, 126:130].mean() - 15
    assert abs(lights[48:52, 126:130].mean() - 0xAB) < 8


@pytest.mark.parametrize(("front", "back"), [(DARK, LIGHT), (LIGHT, DARK)])
@pytest.mark.parametrize("wall", [DARK, LIGHT, (128, 128, 128)])
def test_edges_hold_nothing_of_the_old_wall(front, back, wall):
    share = circle(soft=8.0)
    photo, mask = photo_of(share, front, back)
    color = "#" + "".join(f"{value:02x}" for value in wall)
    changed = change_background(photo, mask, UNIT, Background(color=color, amount=1.0))
    expected, _ = photo_of(share, front, wall)
    assert (changed.float() - expected.float()).abs().max() < 12  # of a difference of 200 between the walls


@pytest.mark.parametrize(("front", "back"), [(DARK, LIGHT), (LIGHT, DARK)])
def test_blur_has_no_halo(front, back):
    """Before an even wall there is nothing to be seen of a blur; the person's own colour would be."""
    photo, mask = photo_of(circle(), front, back)
    changed = change_background(photo, mask, UNIT, BLUR)
    assert (changed.float() - photo.float()).abs().max() <= 3


def test_a_mask_that_is_drawn_wide_makes_no_veil():
    """Where colours are plain to tell, they say where the edge is."""
    share = circle()
    photo, _ = photo_of(share, DARK, LIGHT)
    wide = cv2.GaussianBlur(circle(radius=64), (0, 0), 5)
    changed = change_background(photo, to_mask(wide), UNIT, RED)
    expected, _ = photo_of(share, DARK, WALLS["#d9001b"])
    away = (changed.float() - expected.float()).abs().mean(dim=0)
    assert away[torch.from_numpy((share == 0) & (wide < 0.9))].max() < 30


def test_thin_hair_stays_and_takes_the_new_wall():
    strands = np.zeros((SIDE, SIDE), np.float32)
    for x in range(100, 160, 12):
        cv2.line(strands, (x, 80), (x - 20, 20), 1.0, 1, cv2.LINE_AA)
    share = np.maximum(circle(), strands)
    photo, _ = photo_of(share, DARK, LIGHT)
    vague = to_mask(np.maximum(circle(), cv2.GaussianBlur(strands, (0, 0), 3)))
    changed = change_background(photo, vague, UNIT, RED)
    expected, _ = photo_of(share, DARK, WALLS["#d9001b"])
    here = torch.from_numpy((circle() == 0) & (strands > 0.5) & (vague > 25))
    assert here.sum() > 100
    assert (changed.float() - expected.float()).abs()[:, here].mean() < 15


def test_a_lamp_becomes_a_disc():
    photo, mask = photo_of(circle(x=60), (90, 70, 60), (30, 30, 34))
    photo[:, 126:130, 186:190] = 255
    changed = change_background(photo, mask, UNIT, BLUR).float().mean(dim=0)
    before = photo.float().mean(dim=0)
    radius = 0.5 * UNIT
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    away = torch.from_numpy(np.hypot(rows - 128, columns - 188))
    disc = changed[away < 0.7 * radius]
    assert disc.mean() > before[0, -1] + 12  # light is spread, not lost
    assert disc.std() < 0.1 * (disc.mean() - before[0, -1])  # evenly: no bell
    assert changed[(away > 1.4 * radius) & (away < 1.6 * radius)].mean() < before[0, -1] + 3


def test_grain_comes_back():
    photo, mask = photo_of(circle(), DARK, LIGHT)
    corner = (slice(None), slice(0, 40), slice(0, 40))
    assert change_background(photo, mask, UNIT, BLUR)[corner][1].float().std() < 0.5
    changed = change_background(grained(photo), mask, UNIT, BLUR)[corner].float()
    assert 2.5 < changed[1].std() < 5.5


def test_a_wide_blur_stays_within_the_photo():
    photo, mask = photo_of(circle(radius=400), DARK, LIGHT)
    assert torch.equal(change_background(photo, mask, 200.0, BLUR), photo)  # all person
    for size in ((1, 1), (3, 200), (200, 3)):
        photo = torch.full((3, *size), 90, dtype=torch.uint8)
        assert (change_background(photo, np.zeros(size, np.uint8), 50.0, BLUR).float() - 90).abs().max() <= 1


# Where persons are


class Painted:
    """Says what a mask of the photo says, which is in the photo's red."""

    resolution = 96

    def __call__(self, images):
        said = 12 * images[:, 0]
        return SegmenterOutput(torch.full_like(said, -9), said)


def face_at(x: float, y: float, eyes_px: float) -> AlignTransform:
    return AlignTransform.from_landmarks([[x - eyes_px / 2, y], [x + eyes_px / 2, y], [x, y + eyes_px]])


def test_bodies_below_and_beside_the_heads_box_are_found_and_two_persons_are():
    body = np.zeros((600, 400), np.float32)
    for x in (100, 300):
        cv2.circle(body, (x, 60), 30, 1.0, -1)
        cv2.rectangle(body, (x - 45, 90), (x + 45, 599), 1.0, -1)
    photo = torch.from_numpy((30 + 200 * body).astype(np.uint8)).expand(3, -1, -1).contiguous()
    one, two = (face_at(x, 60, 14) for x in (100, 300))  # smaller than the wide views reach down
    empty = Head((20, 5, 180, 165), np.zeros((160, 160), np.float32), np.zeros((160, 160), np.float32))
    person = find_person(photo, [one], [two], [empty], Painted())
    for x in (100, 300):
        below = person[300:, x - 35 : x + 35]
        assert below.min() == 255, f"the body at {x}"
    assert person[200:, 190:210].max() == 0


def test_what_is_no_person_far_from_heads_is_left_out():
    body = np.zeros((400, 400), np.float32)
    cv2.rectangle(body, (60, 20), (140, 399), 1.0, -1)
    cv2.rectangle(body, (330, 250), (345, 265), 1.0, -1)
    photo = torch.from_numpy((30 + 200 * body).astype(np.uint8)).expand(3, -1, -1).contiguous()
    face = face_at(100, 60, 20)
    head = Head((20, 5, 180, 165), np.zeros((160, 160), np.float32), body[5:165, 20:180].copy())
    person = find_person(photo, [face], [], [head], Painted())
    assert person[200:390, 70:130].min() == 255
    assert person[250:265, 330:345].max() == 0


def test_what_a_heads_view_takes_for_somebody_far_from_all_persons_is_left_out():
    body = np.zeros((200, 400), np.float32)
    cv2.rectangle(body, (60, 20), (140, 199), 1.0, -1)
    photo = torch.from_numpy((30 + 200 * body).astype(np.uint8)).expand(3, -1, -1).contiguous()
    mask = body[5:165, 20:340].copy()
    mask[10:14, 250:260] = 0.3  # stripes of a flag
    head = Head((20, 5, 340, 165), np.zeros_like(mask), mask)
    person = find_person(photo, [face_at(100, 60, 20)], [], [head], Painted())
    assert person[:, 250:290].max() == 0 and person[30:150, 70:130].min() == 255


@pytest.mark.parametrize("quarter", range(4))
def test_only_who_is_cut_by_the_photos_edge_is_carried_on_to_it(quarter):
    said = np.zeros((60, 90), np.float32)
    said[5:, 10:40] = 1  # ends before the edge, in front of a wall of this hair's colour
    said[8:, 50:80] = 1
    said[:, 60:66] = 1  # is cut by it, and seen only in part
    turned = np.rot90(said, -quarter).copy()
    added = np.rot90(_up_to_the_edges(turned, np.ones(turned.shape, bool), 12), quarter)
    assert not added[:5, :45].any() and added[:8, 50:80].all()


# Looks

BEHIND = {name: look for name, look in shipped_looks().items() if look.group == "background"}


def test_shipped_looks_name_their_walls():
    assert len(BEHIND) == 6
    assert all(look.background and look.strength == 1.0 for look in BEHIND.values())
    assert {look.background.get("color") for look in BEHIND.values()} >= set(WALLS)
    assert all(json.loads(look.to_json())["background"] for look in BEHIND.values())


@pytest.mark.parametrize("name", BEHIND)
def test_a_photo_without_a_face_is_refused(name):
    portrait = Portrait(open_picture(torch.full((3, 80, 80), 120, dtype=torch.uint8)), ())
    with pytest.raises(NoFaceError, match="no face"):
        apply_look(portrait, BEHIND[name], segmenter=Painted())
    assert apply_look(portrait, BEHIND[name], 0, segmenter=Painted()) is portrait.pixels
