"""Hair of the head turns grey from the temples on, strand by strand, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import gan_space
from gan_space.faces.head import Head
from gan_space.faces.landmarks import LEFT_EYE, RIGHT_EYE
from gan_space.faces.mesh import face_frame, find_flow
from gan_space.faces.shape import ShapeModel
from gan_space.models.segmenter import Segmenter
from gan_space.pipelines.personalization import PersonalizationPipeline
from gan_space.portraits.aging import AgeModel, change_age
from gan_space.portraits.hair_age import Hair, beside_beard, change_hair, find_hair, hair_of

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"
FOLDER = Path(gan_space.__file__).parent / "assets" / "default" / "shape"
UNIT, MIDDLE, SIZE = 80.0, np.array([200.0, 190.0]), (420, 400)
SKIN = np.array([205.0, 160.0, 140.0])
COLORS = {
    "black": (34, 27, 24),
    "brown": (84, 56, 40),
    "blond": (190, 155, 105),
    "red": (140, 66, 34),
    "pink": (215, 80, 150),
}
GREY = (150, 149, 147)


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    return UNIT * ShapeModel.load(FOLDER).mean + MIDDLE


def made(points: np.ndarray, color, light=1.0, strands: float = 0.3) -> tuple[torch.Tensor, Head, np.ndarray]:
    """A face with hair around it, down to the shoulders, before a green wall; its head, and places in face units."""
    rng = np.random.default_rng(0)
    fine = cv2.GaussianBlur(rng.normal(0, 1, SIZE), (0, 0), sigmaX=0.8, sigmaY=6.0)
    fine = (1 + strands * fine / fine.std()).clip(0.3, 2)
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]] + 0.5
    places = face_frame(points).apply(np.stack([x, y], axis=-1).reshape(-1, 2)).reshape(*SIZE, 2)
    face = np.zeros(SIZE, np.uint8)
    cv2.fillConvexPoly(face, cv2.convexHull(points.astype(np.float32)).astype(np.int32), 1)
    head = np.abs(places[..., 0]) < 1.7
    head &= places[..., 1] > -1.9 + 0.4 * places[..., 0] ** 2
    hair = head & (face == 0) & ((places[..., 1] < 0.9) | (np.abs(places[..., 0]) > 0.8))
    picture = np.where(hair[..., None], np.array(color) * (fine * light)[..., None], (60, 150, 70))
    picture = np.where((face > 0)[..., None], SKIN, picture)
    photo = torch.from_numpy(picture.round().clip(0, 255).astype(np.uint8)).permute(2, 0, 1).contiguous()
    mask = cv2.GaussianBlur(hair.astype(np.float32), (0, 0), 0.5)
    mask[mask < 0.02] = 0
    return photo, Head((0, 0, SIZE[1], SIZE[0]), mask, np.ones(SIZE, np.float32)), places


def lab(photo: torch.Tensor) -> np.ndarray:
    return cv2.cvtColor(photo.permute(1, 2, 0).contiguous().numpy(), cv2.COLOR_RGB2LAB).astype(np.float32)


def chroma(photo: torch.Tensor) -> np.ndarray:
    return np.linalg.norm(lab(photo)[..., 1:] - 128, axis=2)


def changed(photo: torch.Tensor, hair: Hair, amount: float) -> torch.Tensor:
    after = photo.clone()
    change_hair(after, hair, amount)
    return after


@pytest.mark.parametrize("amount", [-1.0, 0.3, 1.0])
def test_nothing_but_hair_changes_and_no_age_is_the_photo(points, amount):
    photo, head, _ = made(points, COLORS["brown"])
    hair = find_hair(photo, points, head)
    touched = (changed(photo, hair, amount) != photo).any(dim=0).numpy()
    near = cv2.dilate(head.hair, np.ones((9, 9))) > 0  # strands that the mask has missed
    assert touched[head.hair > 0.9].any() and not touched[~near].any()
    assert torch.equal(changed(photo, hair, 0.0), photo)
    assert find_hair(photo, points, replace(head, hair=0 * head.hair)) is None


def test_temples_turn_first_then_the_hair_line_and_lengths_last(points):
    photo, head, places = made(points, COLORS["brown"])
    hair = find_hair(photo, points, head)
    x, y = places[..., 0], places[..., 1]
    inside = head.hair > 0.95
    temples = inside & (np.abs(np.abs(x) - 1.15) < 0.2) & (np.abs(y + 0.1) < 0.25)
    line = inside & (np.abs(x) < 0.3) & (y > -1.35)
    crown = inside & (np.abs(x) < 0.3) & (y < -1.6)
    lengths = inside & (y > 1.5)
    for amount in (0.45, 0.6):
        lost = 1 - chroma(changed(photo, hair, amount)) / chroma(photo).clip(1)
        gone = [float(lost[where].mean()) for where in (temples, line, crown, lengths)]
        assert gone[0] > gone[1] + 0.04 and gone[1] > gone[2] + 0.03 and gone[2] >= gone[3], gone
    for where in (temples, line, crown, lengths):
        steps = [chroma(changed(photo, hair, amount))[where].mean() for amount in (0.0, 0.25, 0.5, 0.75, 1.0)]
        assert all(later <= earlier + 0.05 for earlier, later in pairwise(steps)), steps
        assert steps[-1] < 0.5 * steps[0]  # pepper stays among the salt


def test_light_strands_turn_before_their_neighbours_and_none_is_a_flat_cap(points):
    photo, head, places = made(points, COLORS["brown"])
    hair = find_hair(photo, points, head)
    side = (head.hair > 0.95) & (np.abs(np.abs(places[..., 0]) - 1.3) < 0.15) & (np.abs(places[..., 1]) < 0.6)
    before, half = lab(photo)[..., 0], lab(changed(photo, hair, 0.45))[..., 0]
    light = side & (before > np.percentile(before[side], 75))
    dark = side & (before < np.percentile(before[side], 25))
    lift = half - before
    assert lift[light].mean() > lift[dark].mean() + 6
    old = lab(changed(photo, hair, 1.0))[..., 0]
    assert old[side].mean() > before[side].mean() + 35 and old[side].std() > before[side].std()


def test_hair_without_strands_is_no_woven_cap(points):
    """Strands that a photo does not show, as in black hair, were drawn: a wig."""
    smooth, head, places = made(points, COLORS["black"], strands=0.0)
    side = (head.hair > 0.95) & (np.abs(np.abs(places[..., 0]) - 1.3) < 0.15) & (np.abs(places[..., 1]) < 0.6)
    for amount in (0.45, 1.0):
        after = lab(changed(smooth, find_hair(smooth, points, head), amount))[..., 0]
        fine = (after - cv2.GaussianBlur(after, (0, 0), 4.0))[side]
        assert (after - lab(smooth)[..., 0])[side].mean() > 15 and fine.std() < 3


def test_a_gap_in_the_mask_turns_as_what_is_around_it(points):
    """Where messy hair passes for a cap; a forehead in such a gap stays skin."""
    photo, head, places = made(points, COLORS["brown"])
    gap = (np.abs(places[..., 0]) < 0.6) & (np.abs(places[..., 1] + 1.55) < 0.15)
    head = replace(head, hair=np.where(gap, 0, head.hair).astype(np.float32))
    lift = lab(changed(photo, find_hair(photo, points, head), 1.0))[..., 0] - lab(photo)[..., 0]
    assert lift[gap].mean() > 20
    photo[:, torch.from_numpy(gap)] = torch.tensor(SKIN).to(torch.uint8).view(3, 1)
    change = (changed(photo, find_hair(photo, points, head), 1.0).int() - photo.int()).abs().amax(dim=0).numpy()
    assert change[cv2.erode(gap.astype(np.uint8), np.ones((9, 9))) > 0].mean() < 3


@pytest.mark.parametrize("name", COLORS)
def test_every_colour_pales_and_a_lock_in_shade_stays_dark(points, name):
    light = np.where(np.arange(SIZE[1]) < MIDDLE[0], 1.0, 0.4)[None] * np.ones((SIZE[0], 1))
    photo, head, places = made(points, COLORS[name], light)
    old = changed(photo, find_hair(photo, points, head), 1.0)
    inside = (head.hair > 0.95) & (np.abs(np.abs(places[..., 0]) - 1.35) < 0.15) & (np.abs(places[..., 1]) < 0.8)
    lit, shade = inside & (places[..., 0] < 0), inside & (places[..., 0] > 0)
    levels = [lab(old)[where][:, 0].mean() for where in (lit, shade)]
    assert levels[1] < 0.8 * levels[0]
    assert 95 < levels[0] < 200
    assert chroma(old)[inside].mean() < 14


def test_grey_hair_stays_and_gets_darker_with_youth(points):
    photo, head, _ = made(points, GREY)
    hair, inside = find_hair(photo, points, head), head.hair > 0.95
    before, old, young = (lab(changed(photo, hair, amount))[inside] for amount in (0.0, 1.0, -1.0))
    assert np.abs(old - before).mean() < 7
    assert young[:, 0].mean() < before[:, 0].mean() - 45 and young[:, 2].mean() > before[:, 2].mean() + 3
    assert young[:, 0].std() > 0.3 * before[:, 0].std()  # strands stay
    photo, head, _ = made(points, COLORS["black"])
    before, young = (lab(changed(photo, find_hair(photo, points, head), amount))[inside] for amount in (0.0, -1.0))
    assert np.abs(young - before).mean() < 4


def test_pale_hair_of_the_young_is_fair_and_takes_no_other_colour(points):
    """By how old the face looks; where nobody says, little of it turns."""
    photo, head, _ = made(points, GREY)
    hair, inside = find_hair(photo, points, head), torch.from_numpy(head.hair > 0.95)
    shape = ShapeModel.load(FOLDER)
    ages = AgeModel.load(FOLDER, shape.mean)
    levels = [
        change_age(photo, points, -3.0, ages, hair, years)[:, inside].float().mean() for years in (26.0, None, 60.0)
    ]
    assert levels[0] > photo[:, inside].float().mean() - 20 and levels[0] > levels[1] + 10 > levels[2] + 30, levels


def test_a_head_that_is_mostly_grey_turns_dark_all_over(points):
    """Also where a warm light gives locks some colour: patches would look dyed."""
    photo, head, places = made(points, GREY)
    warm = torch.from_numpy((places[..., 0] > 0.9)[None] * np.array([0.0, -0.13, -0.33])[:, None, None])
    photo = (photo.float() * (1 + warm)).round().clamp(0, 255).to(torch.uint8)
    inside = head.hair > 0.95
    young = lab(changed(photo, find_hair(photo, points, head), -1.0))[..., 0]
    sides = [young[inside & (side * places[..., 0] > 1.2)].mean() for side in (-1, 1)]
    assert abs(sides[0] - sides[1]) < 14 and max(sides) < 110, sides


def test_what_is_bright_behind_dark_hair_stays(points):
    """Masks are wrong between strands now and then."""
    photo, head, places = made(points, COLORS["black"])
    hole = (np.abs(places[..., 0] - 1.3) < 0.1) & (np.abs(places[..., 1] - 0.3) < 0.1)
    photo[:, torch.from_numpy(hole)] = torch.tensor([[250], [245], [240]], dtype=torch.uint8)
    after = changed(photo, find_hair(photo, points, head), 1.0)
    assert (after.int() - photo.int()).abs().amax(dim=0).numpy()[hole].max() < 16


@pytest.mark.parametrize("wall", [(85, 95, 110), (235, 235, 235)])
def test_hair_ends_without_a_bright_line(points, wall):
    """Masks reach a little over soft edges: what is half of a wall or of skin is no strand in the light."""
    photo, head, _ = made(points, COLORS["black"])
    green = torch.tensor([60, 150, 70], dtype=torch.uint8).view(3, 1, 1)
    photo = torch.where((photo == green).all(dim=0), torch.tensor(wall, dtype=torch.uint8).view(3, 1, 1), photo)
    soft = cv2.GaussianBlur(photo.permute(1, 2, 0).numpy(), (0, 0), 2.0)
    hair = head.hair > 0.5
    far = cv2.distanceTransform((~hair).astype(np.uint8), cv2.DIST_L2, 5)
    wide = cv2.GaussianBlur(cv2.dilate(head.hair, np.ones((7, 7))), (0, 0), 0.8)
    photo = torch.from_numpy(soft).permute(2, 0, 1).contiguous()
    after = lab(changed(photo, find_hair(photo, points, replace(head, hair=wide)), 1.0))[..., 0]
    rim = (far > 1.5) & (far < 4)
    assert np.percentile(np.abs(after - lab(photo)[..., 0])[rim], 90) < 36
    deep = cv2.distanceTransform(hair.astype(np.uint8), cv2.DIST_L2, 5) > 12
    assert (after - lab(photo)[..., 0])[deep].mean() > 40  # hair itself is grey


def test_the_first_grey_is_a_shimmer_and_no_white_dashes(points):
    """A pixel shows more than one hair."""
    photo, head, places = made(points, COLORS["black"], strands=0.1)
    after = lab(changed(photo, find_hair(photo, points, head), 0.4))[..., 0]
    side = (head.hair > 0.95) & (np.abs(np.abs(places[..., 0]) - 1.2) < 0.2) & (np.abs(places[..., 1]) < 0.3)
    lift = (after - lab(photo)[..., 0])[side]
    assert 8 < lift.mean() < 45 and np.percentile(lift, 98) < 80


def test_black_hair_becomes_a_grey_with_its_own_strands_and_no_white_wig(points):
    photo, head, places = made(points, COLORS["black"], light=0.35)
    after = changed(photo, find_hair(photo, points, head), 1.0)
    inside = (head.hair > 0.95) & (places[..., 1] < 0.3)
    before, grey = (one.float().mean(dim=0).numpy() for one in (photo, after))
    assert before[inside].mean() < 15 and 60 < grey[inside].mean() < 98  # its skin has 168
    own, drawn = ((one - cv2.GaussianBlur(one, (0, 0), 4.0))[inside] for one in (before, grey))
    assert np.corrcoef(own, drawn)[0, 1] > 0.55


def test_silver_is_warm_in_warm_light(points):
    blue = []
    for light in ((1.0, 1.0, 1.0), (1.0, 0.86, 0.62)):
        photo, head, _ = made(points, COLORS["black"])
        photo = (photo.float() * torch.tensor(light).view(3, 1, 1)).round().to(torch.uint8)
        blue.append(lab(changed(photo, find_hair(photo, points, head), 1.0))[head.hair > 0.95][:, 2].mean())
    assert blue[1] > blue[0] + 3, blue


def test_silver_takes_the_color_of_light_that_skin_and_eyes_agree_on(points):
    """Half of it only left blue hair over orange skin, and a yellow one in the blue hour."""
    for light in ((1.0, 0.75, 0.45), (0.75, 0.85, 1.0)):
        photo, head, _ = made(points, COLORS["black"])
        photo = photo.permute(1, 2, 0).contiguous().numpy()
        for eye in (LEFT_EYE, RIGHT_EYE):
            cv2.fillPoly(photo, [points[list(eye)].astype(np.int32)], (210, 191, 183))
        photo = torch.from_numpy((photo * np.array(light)).round().astype(np.uint8)).permute(2, 0, 1).contiguous()
        seen = changed(photo, find_hair(photo, points, head), 1.0).float()[:, head.hair > 0.95].mean(dim=1)
        assert 0.4 < float(torch.log(seen[2] / seen[0])) / np.log(light[2] / light[0]) < 1.2


def test_silver_is_as_soft_as_the_photo_and_raises_no_noise(points):
    """Strands drawn into a soft photo were a woven cap, and noise a frosted one."""
    photo, head, places = made(points, COLORS["black"], strands=0.1)
    inside = (head.hair > 0.95) & (np.abs(np.abs(places[..., 0]) - 1.35) < 0.2) & (np.abs(places[..., 1]) < 0.8)
    noise = np.random.default_rng(0).normal(0, 3, (*SIZE, 1))

    def roughness(blur: float) -> float:
        soft = cv2.GaussianBlur(photo.permute(1, 2, 0).float().numpy(), (0, 0), blur)
        seen = torch.from_numpy((soft + noise).round().clip(0, 255).astype(np.uint8)).permute(2, 0, 1).contiguous()
        light = changed(seen, find_hair(seen, points, head), 1.0).float().mean(dim=0).numpy()
        return float((light - cv2.GaussianBlur(light, (0, 0), 1.5))[inside].std())

    assert roughness(2.5) < 1.5 * 3 and roughness(0.3) > 1.7 * roughness(2.5)


def test_a_blue_cap_in_the_mask_of_hair_stays_and_what_hangs_below_it_turns(points):
    photo, head, places = made(points, COLORS["brown"])
    cap = (places[..., 1] < 0.6) & (head.hair > 0)
    knit = np.random.default_rng(0).normal(1, 0.2, SIZE).clip(0.6, 1.4)
    photo[:, torch.from_numpy(cap)] = torch.from_numpy(np.array([[38], [55], [85]]) * knit[cap]).to(torch.uint8)
    hair = find_hair(photo, points, head)
    change = (changed(photo, hair, 1.0).int() - photo.int()).abs().amax(dim=0).numpy()
    inner = cv2.erode(cap.astype(np.uint8), np.ones((25, 25))) > 0
    assert inner.sum() > 1000 and change[inner].max() < 25
    assert change[(head.hair > 0.95) & (places[..., 1] > 1.2)].mean() > 5


@pytest.mark.parametrize(("strands", "low", "high"), [(0.0, 0, 6), (0.3, 20, 255)])
def test_a_bald_head_in_the_mask_of_hair_gets_no_dark_hair_with_youth(points, strands, low, high):
    """A scalp that shines is as grey as hair, but has no strands."""
    photo, head, _ = made(points, (215, 203, 198), strands=strands)
    noise = np.random.default_rng(2).normal(0, 3, SIZE)
    photo = torch.from_numpy((photo.numpy() + noise).round().clip(0, 255).astype(np.uint8))
    inner = cv2.erode((head.hair > 0.95).astype(np.uint8), np.ones((25, 25))) > 0
    after = changed(photo, find_hair(photo, points, head), -1.0)
    change = (after.int() - photo.int()).abs().amax(dim=0).numpy()
    assert low <= change[inner].mean() < high


def test_black_hair_that_mirrors_the_sky_is_no_blue_cap(points):
    photo, head, _ = made(points, (52, 61, 77))
    inner = cv2.erode((head.hair > 0.95).astype(np.uint8), np.ones((25, 25))) > 0
    change = (changed(photo, find_hair(photo, points, head), 1.0).int() - photo.int()).abs().amax(dim=0).numpy()
    assert inner.sum() > 1000 and change[inner].mean() > 20


@pytest.mark.parametrize("amount", [1.0, -1.0])
def test_cloth_in_the_mask_of_hair_stays(points, amount):
    photo, head, places = made(points, COLORS["brown"])
    cloth = (places[..., 1] > 1.6) & (np.abs(places[..., 0]) < 2.2)
    photo[:, torch.from_numpy(cloth)] = torch.tensor([[190], [45], [40]], dtype=torch.uint8)
    taken = cloth & (places[..., 0] > -1.5) & (places[..., 0] < 1.5)
    mask = np.where(taken, 0.97, np.where(cloth, 0, head.hair)).astype(np.float32)
    hair = find_hair(photo, points, Head(head.box, mask, head.person))
    change = (changed(photo, hair, amount).int() - photo.int()).abs().amax(dim=0).numpy()
    inner = cv2.erode(taken.astype(np.uint8), np.ones((41, 41)), borderValue=1) > 0
    assert inner.sum() > 1000 and change[inner].mean() < 2
    assert change[(head.hair > 0.95) & (places[..., 1] < 1.2)].mean() > 2


def test_skin_that_the_mask_of_a_grey_head_takes_along_stays_skin(points):
    """As above temples where hair is thin."""
    photo, head, places = made(points, GREY)
    bare = (np.abs(places[..., 0] - 1.2) < 0.3) & (np.abs(places[..., 1] + 0.6) < 0.3)
    photo[:, torch.from_numpy(bare)] = torch.tensor([[190], [125], [90]], dtype=torch.uint8)
    middle = cv2.erode(bare.astype(np.uint8), np.ones((31, 31))) > 0
    for amount in (1.0, -1.0):
        apart = changed(photo, find_hair(photo, points, head), amount).int() - photo.int()
        assert apart.abs().amax(dim=0).numpy()[middle].mean() < 14


def test_a_beard_in_the_mask_of_hair_turns_grey_without_a_line_across_the_cheek(points):
    photo, head, places = made(points, COLORS["brown"])
    x, y = places[..., 0], places[..., 1]
    beard = (y > 0.55) & (y < 1.9) & (np.abs(x) < 1.0)
    fine = np.random.default_rng(1).normal(1, 0.25, SIZE).clip(0.4, 1.8)[..., None]
    picture = np.where(beard[..., None], np.array(COLORS["brown"]) * fine, photo.permute(1, 2, 0).numpy())
    photo = torch.from_numpy(picture.round().clip(0, 255).astype(np.uint8)).permute(2, 0, 1).contiguous()
    hair = find_hair(photo, points, replace(head, hair=np.maximum(head.hair, beard.astype(np.float32))))
    after = lab(changed(photo, beside_beard(hair, points), 1.0))[..., 0]
    cheek = beard & (np.abs(x) > 0.6)
    rows = np.array(
        [(after - lab(photo)[..., 0])[cheek & (np.abs(y - at) < 0.04)].mean() for at in np.arange(0.6, 1.8, 0.08)]
    )
    assert rows[0] < 4 and rows[-1] > 25 and np.abs(np.diff(rows)).max() < 14, rows
    top = (head.hair > 0.95) & (y < 0)
    assert torch.equal(changed(photo, beside_beard(hair, points), 1.0)[:, top], changed(photo, hair, 1.0)[:, top])


def test_a_photo_in_one_tone_keeps_it(points):
    photo, head, _ = made(points, COLORS["brown"])
    grey = (photo.float() * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(dim=0)
    for hue in ((1.0, 1.0, 1.0), (1.05, 0.98, 0.85)):
        photo = (grey * torch.tensor(hue).view(3, 1, 1)).round().to(torch.uint8)
        hair = find_hair(photo, points, head)
        for amount in (-1.0, 1.0):
            after = changed(photo, hair, amount).float()
            level = (after * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(dim=0)
            off = (after - level * torch.tensor(hue).view(3, 1, 1)).abs().amax(dim=0).numpy()
            assert not hair.in_color and off[head.hair > 0.95].max() < 5


def test_a_smaller_photo_of_the_same_head_turns_grey_alike(points):
    photo, head, _ = made(points, COLORS["brown"])
    half = [cv2.resize(one, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for one in (head.hair, head.person)]
    small = cv2.resize(photo.permute(1, 2, 0).numpy(), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    small = torch.from_numpy(small).permute(2, 0, 1).contiguous()
    hair = find_hair(small, points / 2, Head((0, 0, SIZE[1] // 2, SIZE[0] // 2), *half))
    for amount in (0.5, 1.0):
        after = lab(changed(photo, find_hair(photo, points, head), amount))
        after = cv2.resize(after, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        apart = cv2.GaussianBlur(after - lab(changed(small, hair, amount)), (0, 0), 2)[half[0] > 0.9]
        assert np.abs(apart.mean(axis=0)).max() < 4 and np.abs(apart).mean() < 5


def test_hair_goes_along_with_the_shape_of_the_face(points):
    photo, head, _ = made(points, COLORS["brown"])
    hair = find_hair(photo, points, head)
    push = np.zeros_like(points)
    push[:, 0] = 8 * np.sign(points[:, 0] - MIDDLE[0])
    flow = find_flow(points, push, SIZE)
    moved = hair.moved(flow)
    y, x = np.mgrid[hair.box[1] : hair.box[3], hair.box[0] : hair.box[2]] + 0.5
    shift = np.stack([flow.at(row) for row in np.stack([x, y], axis=-1)])
    assert np.abs(shift).max() > 4
    from_x, from_y = (np.float32(at + shift[..., axis] - 0.5 - hair.box[axis]) for axis, at in enumerate((x, y)))
    wanted = cv2.remap(hair.colors.head.hair, from_x, from_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    apart = [np.abs(moved.colors.head.hair - one).max() for one in (wanted, hair.colors.head.hair)]
    assert apart[0] < 0.05 and apart[1] > 0.5


def test_age_takes_hair_along_and_a_model_without_a_segmenter_leaves_it(points):
    photo, head, _ = made(points, COLORS["brown"])
    shape = ShapeModel.load(FOLDER)
    ages = AgeModel.load(FOLDER, shape.mean)
    hair = find_hair(photo, points, head)
    without, old = (change_age(photo, points, 2.5, ages, one) for one in (None, hair))
    firm = torch.from_numpy(head.hair > 0.95)
    assert (old.int() - without.int()).abs().amax(dim=0)[firm].float().mean() > 30
    assert torch.equal(change_age(photo, points, 0.0, ages, hair), photo)
    person = PersonalizationPipeline.from_pretrained()
    portrait, person.segmenter = person.open(SAMPLES / "woman-lake.jpg"), None
    assert hair_of(portrait, person.landmarker, None) is None
    without = [np.asarray(person.edit(portrait, {"age": amount}).image) for amount in (2.5, -3.0)]
    person.segmenter, asked = Segmenter(32, 8).eval(), []
    person.segmenter.head[0].bias.data[:] = 5.0  # all is hair
    person.segmenter.register_forward_hook(lambda *_: asked.append(1))
    portrait = person.open(SAMPLES / "woman-lake.jpg")
    for amount, before in zip((2.5, -3.0), without, strict=True):
        after = np.asarray(person.edit(portrait, {"age": amount}).image)
        assert (after != before).any(axis=2).mean() > 0.5
    assert len(asked) == 1  # a slider that moves does not ask again
