"""Closed lips part, and show teeth in the photo's light; open ones keep their own."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import gan_space
from gan_space.faces.landmarks import FACE_OVAL, LEFT_EYE, LIPS_INNER, LIPS_OUTER, RIGHT_EYE
from gan_space.faces.masks import draw_soft
from gan_space.faces.mesh import face_frame
from gan_space.faces.mouth import LIP_RINGS, how_closed, lips_are_closed, snap_seam
from gan_space.faces.shape import SLIDERS, ShapeModel, mouth_gap_of
from gan_space.faces.shape_flow import find_shape_flow
from gan_space.faces.snap import LOWER_INNER, UPPER_INNER
from gan_space.faces.strip import Strip
from gan_space.portraits.light import light_in_mouth
from gan_space.portraits.mouth import _colors
from gan_space.portraits.shape import reshape_face

UNIT, MIDDLE, SIZE = 80.0, np.array([200.0, 130.0]), (360, 400)
SKIN, LIPS, TEETH = ((200, 160, 140), (180, 80, 90), (235, 230, 220))


@pytest.fixture(scope="module")
def model() -> ShapeModel:
    return ShapeModel.load(Path(gan_space.__file__).parent / "assets" / "default" / "shape")


def closed_face(model: ShapeModel, gap: float = 0.0) -> np.ndarray:
    places = model.mean.copy()
    for upper, lower in zip(
        (191, 80, 81, 82, 13, 312, 311, 310, 415), (95, 88, 178, 87, 14, 317, 402, 318, 324), strict=True
    ):
        middle = (places[upper] + places[lower]) / 2
        half = np.array([0, gap / 2])
        places[upper], places[lower] = middle - half, middle + half
    return UNIT * places + MIDDLE


def paint(landmarks: np.ndarray, brightness: float = 1.0, between: tuple | None = None) -> torch.Tensor:
    picture = np.ones((*SIZE, 3)) * SKIN
    colors = {LIPS_OUTER: LIPS, **({LIPS_INNER: between} if between else {})}
    for outline, color in colors.items():
        mask = draw_soft([landmarks[list(outline)]], SIZE, 1.0, (0, 0, SIZE[1], SIZE[0])).values[..., None]
        picture = picture * (1 - mask) + mask * np.array(color)
    return torch.from_numpy((brightness * picture).round().astype(np.uint8)).permute(2, 0, 1).contiguous()


@pytest.mark.parametrize("beside", [(0.0, 0.0), (0.035, 0.0), (-0.03, 0.02)])
def test_lips_part_along_the_line_that_the_photo_shows(model, beside):
    """Whichever way the mesh misses it: by a shift, or by a lean."""
    landmarks = closed_face(model)
    seam = landmarks[list(LIPS_INNER)]
    lean = beside[1] * (seam[:, 0] - MIDDLE[0]) / np.ptp(seam[:, 0]) * 2
    line = seam + np.stack([np.zeros(len(seam)), (beside[0] + lean) * UNIT], axis=1)
    photo = paint(landmarks).permute(1, 2, 0).numpy().copy()
    cv2.polylines(photo, [line[line[:, 0].argsort()].round().astype(np.int32)], False, (90, 30, 40), 2)
    photo = torch.from_numpy(photo).permute(2, 0, 1).contiguous()
    snapped = snap_seam(landmarks, photo)
    assert np.abs(snapped[list(LIPS_INNER)] - line).max() < 0.02 * UNIT
    far = [place for place in range(468) if place not in np.ravel(LIP_RINGS)]
    assert np.abs(snapped[far] - landmarks[far]).max() < 1e-9
    blank = torch.full_like(photo, 128)
    assert np.abs(snap_seam(landmarks, blank) - landmarks).max() < 1e-9  # nothing seen, nothing moved


def gap_of(landmarks: np.ndarray) -> float:
    return float(mouth_gap_of(face_frame(landmarks).apply(landmarks)))


def test_closed_is_what_shows_neither_teeth_nor_dark_whatever_the_mesh_says(model):
    for gap in (0.0, 0.05, 0.08):
        landmarks = closed_face(model, gap)
        assert lips_are_closed(landmarks, paint(landmarks))
        assert lips_are_closed(landmarks, paint(landmarks, 0.3))
    for color in (TEETH, (20, 8, 8)):
        assert not lips_are_closed(landmarks, paint(landmarks, between=color))


def test_lips_under_a_black_bar_count_as_closed_and_can_be_edited(model):
    """Lips without light are no measure of what is between them."""
    for gap, top, bottom in ((0.0, -0.2, 0.2), (0.05, -0.2, 0.2), (0.0, -0.2, 0.0), (0.0, -0.14, 0.14)):
        landmarks = closed_face(model, gap)
        photo, middle = paint(landmarks), landmarks[[13, 14], 1].mean()
        photo[:, int(middle + top * UNIT) : int(middle + bottom * UNIT) + 2, 120:280] = 0
        if bottom > 0:
            with np.errstate(invalid="raise", divide="raise"):
                assert how_closed(landmarks, photo) == 1, (gap, top)
        for values in ({"smile": 1.0}, {"mouth_open": 1.5}):
            after, _, moved = reshape_face(photo, landmarks, values, model)
            assert np.isfinite(moved).all() and (after != photo).any(), values


@pytest.mark.parametrize("away", [(-300, 0), (0, -300), (900, 0), (0, 900)])
def test_a_mouth_outside_of_the_photo_shows_nothing(model, away):
    """On whichever side: an end left of the photo or above it must not count from the other edge."""
    landmarks = closed_face(model) + away
    photo = paint(closed_face(model))
    assert how_closed(landmarks, photo) == 0
    assert (snap_seam(landmarks, photo) == landmarks).all()
    pixels = photo.permute(1, 2, 0).numpy()
    assert not Strip(pixels, landmarks, UNIT, (61, 291), -0.2, 0.2, np.linspace(0, 1, 9)).light.any()


def test_teeth_in_shade_are_seen_where_the_mesh_sees_open_lips(model):
    shaded = (148, 75, 80)
    for gap, closed in ((0.05, True), (0.08, False)):
        landmarks = closed_face(model, gap)
        assert lips_are_closed(landmarks, paint(landmarks, between=shaded)) == closed, gap
    assert not lips_are_closed(closed_face(model, 0.1), paint(closed_face(model, 0.1)))


def test_teeth_take_the_color_of_the_light_not_that_of_the_skin(model):
    """Red skin in white light has white teeth; whites of eyes that mirror the sky make none blue."""
    landmarks = closed_face(model)
    white, warm = (230, 209, 200), (230, 170, 130)

    def hue(skin, eyes, around) -> np.ndarray:
        photo = torch.tensor(around, dtype=torch.uint8)[:, None, None].repeat(1, *SIZE)
        for outline, color in (([FACE_OVAL], skin), ((LEFT_EYE, RIGHT_EYE), eyes)):
            mask = draw_soft([landmarks[list(one)] for one in outline], SIZE, 1.0, (0, 0, SIZE[1], SIZE[0])).values
            photo[:, torch.from_numpy(mask > 0.5)] = torch.tensor(color, dtype=torch.uint8)[:, None]
        light = light_in_mouth(photo, landmarks).mean(axis=0)
        return light[1:] / light[0]

    plain = hue((220, 170, 150), white, white)
    assert np.abs(hue((220, 110, 90), white, white) / plain - 1).max() < 0.08
    assert (hue((220, 170, 150), warm, warm) < (0.95 * plain[0], 0.85 * plain[1])).all()
    assert hue((220, 170, 150), (180, 190, 255), white)[1] < 1.12
    assert hue((220, 170, 150), (200, 120, 190), white)[0] > 0.9  # purple is no light
    lens = hue((220, 170, 150), (150, 120, 180), white)  # eyes behind one that is tinted tell nothing
    assert np.abs(lens / plain - 1).max() < 0.03


def test_teeth_in_white_light_are_warm_and_never_green(model):
    """Whites of eyes that mirror leaves, or a green wall, make no green teeth."""
    landmarks = closed_face(model)
    for eyes, around in (((230, 209, 200), (230, 209, 200)), ((200, 205, 180), (120, 190, 120))):
        photo = torch.tensor(around, dtype=torch.uint8)[:, None, None].repeat(1, *SIZE)
        for outline, color in (([FACE_OVAL], (220, 170, 154)), ((LEFT_EYE, RIGHT_EYE), eyes)):
            mask = draw_soft([landmarks[list(one)] for one in outline], SIZE, 1.0, (0, 0, SIZE[1], SIZE[0])).values
            photo[:, torch.from_numpy(mask > 0.5)] = torch.tensor(color, dtype=torch.uint8)[:, None]
        after, _, moved = reshape_face(photo, landmarks, {"smile": SLIDERS["smile"].high}, model)
        x, y = (moved[13] + 0.45 * (moved[14] - moved[13])).astype(int)
        red, green, blue = after[:, y - 1 : y + 2, x - 8 : x + 9].float().mean(dim=(1, 2)).log().tolist()
        assert -0.09 < green - (red + blue) / 2 < -0.02, around


def test_teeth_that_show_in_a_part_of_the_mouth_open_it(model):
    """A second row over them is no smile; a light on closed lips is no tooth."""
    landmarks = closed_face(model, 0.05)
    photo, frame = paint(landmarks), face_frame(landmarks)
    for side, width, closed in ((-1, 0.25, False), (1, 0.25, False), (-1, 0.03, True)):
        glimpse = photo.clone()
        (x, y), half = landmarks[[13, 14]].mean(axis=0), width / 2 * frame.frame_px
        x = x + side * 0.18 * frame.frame_px
        glimpse[:, int(y) - 1 : int(y) + 1, int(x - half) : int(x + half)] = torch.tensor(TEETH)[:, None, None]
        assert lips_are_closed(landmarks, glimpse) == closed, (side, width)


def test_teeth_in_the_shade_of_the_cheek_are_warmer(model):
    landmarks = closed_face(model)
    after, _, moved = reshape_face(paint(landmarks), landmarks, {"smile": SLIDERS["smile"].high}, model)
    corner = moved[308] + 0.4 * (moved[[13, 14]].mean(axis=0) - moved[308])
    upper = np.interp(corner[0], *moved[[13, 312, 311, 310, 415, 308]].T)
    aside = after[:, int(upper) + 2 : int(upper) + 4, int(corner[0]) - 2 : int(corner[0]) + 3].float().mean(dim=(1, 2))
    x, y = (moved[13] + 0.45 * (moved[14] - moved[13])).astype(int)
    middle = after[:, y - 1 : y + 2, x - 8 : x + 9].float().mean(dim=(1, 2))
    assert aside[0] < 0.95 * middle[0] and aside[0] / aside[2] > 1.05 * middle[0] / middle[2]


def test_the_row_of_teeth_follows_the_longer_half_of_a_turned_mouth(model):
    """On the near side the row is as long as that half; a dark wedge below it is no smile."""
    face = model.mean.copy()
    for ring, y in ((UPPER_INNER, 0.95), (LOWER_INNER, 1.07)):
        face[list(ring)] = np.stack([np.linspace(-0.3, 0.6, len(ring)), np.full(len(ring), y)], axis=1)
    face[[13, 14], 0], face[[78, 308], 1] = 0.0, 0.91  # a smile
    shown = _colors(np.float32([[[0.0, 0.998], [0.45, 0.998], [-0.22, 0.998]]]), face)[0, :, 1]
    assert shown[1] > 0.4 * shown[0] and shown[2] > 0.4 * shown[0]  # what is behind has a tenth


@pytest.mark.parametrize("values", [{"mouth_open": 1.0}, {"smile": SLIDERS["smile"].high}])
def test_parted_lips_show_teeth_below_the_upper_lip_as_bright_as_the_photo(model, values):
    landmarks = closed_face(model)
    shown = []
    for brightness in (1.0, 0.5):
        photo = paint(landmarks, brightness)
        after, flow, moved = reshape_face(photo, landmarks, values, model)
        assert gap_of(moved) > 0.05
        left, top, right, bottom = flow.box
        changed = (after != photo).any(dim=0)
        changed[top:bottom, left:right] = False
        assert not changed.any()
        x, y = (moved[13] + 0.45 * (moved[14] - moved[13])).astype(int)
        teeth = after[:, y - 1 : y + 2, x - 8 : x + 9].float().mean(dim=(1, 2))
        assert teeth.min() > 0.72 * teeth.max()  # hardly coloured, unlike lips
        shown.append(float(teeth.mean()))
        lip = after[:, int(moved[17, 1]) - 8, x].float()
        assert lip[1] < 0.6 * lip[0]  # the lower lip is still there
    assert shown[0] > 120 and shown[1] < 0.75 * shown[0]


def test_lips_that_part_go_as_far_as_they_are_sent_and_are_not_drawn_out(model):
    """Both edges lie on one line before: where that goes says nothing of either."""
    landmarks = closed_face(model)
    flow, opening, _ = find_shape_flow(paint(landmarks), landmarks, {"mouth_open": 1.5}, model)
    down = np.array([0.0, 0.03 * UNIT])
    for edge, away in ((UPPER_INNER, -down), (LOWER_INNER, down)):
        rows = [LIPS_INNER.index(place) for place in edge if abs(landmarks[place, 0] - MIDDLE[0]) < 0.2 * UNIT]
        assert len(rows) >= 3
        for beyond in (away, 2 * away):  # on the lip, outside of the opening
            there = opening.after[rows] + beyond
            came_from = there + flow.at(there) - opening.before[rows]
            assert np.abs(came_from[:, 1] - beyond[1]).max() < 0.02 * UNIT


def test_lips_that_only_part_show_the_dark_below_their_teeth(model):
    """Teeth down to the lower lip are a smile's; where corners hang they are a bar."""
    face, low = model.mean.copy(), {}
    for ring, y in ((UPPER_INNER, 0.95), (LOWER_INNER, 1.07)):
        face[list(ring), 1] = y
    for name, corners in (("parted", 1.0), ("smile", 0.91)):
        face[[78, 308], 1] = corners
        shown = _colors(np.float32([[[0.04, 0.99], [0.04, 1.045]]]), face)[0, :, 1]
        low[name] = float(shown[1] / shown[0])
    assert low["parted"] < 0.3 and low["smile"] > 0.8, low


def test_teeth_are_no_even_band(model):
    """Darker at the sides and below the upper lip, a soft shade where two meet, down to a lower lip that curves."""
    face = model.mean.copy()
    across = np.linspace(-0.44, 0.44, len(UPPER_INNER))
    face[list(UPPER_INNER)] = np.stack([across, np.full(len(across), 0.95)], axis=1)
    face[list(LOWER_INNER)] = np.stack([across, 1.07 - 0.5 * across**2], axis=1)
    face[[78, 308], 1] = 0.92
    x = np.linspace(0, 0.42, 200)
    lower = 1.07 - 0.5 * x**2
    rows = [np.full_like(x, 0.952), 0.35 * 0.95 + 0.65 * lower, lower - 0.01, np.full_like(x, 1.0)]
    top, middle, end, level = _colors(np.float32([np.stack([x, y], axis=1) for y in rows]), face)[..., 1]
    tooth = x < 0.13
    assert top[tooth].mean() < 0.62 * middle[tooth].mean()
    assert end[tooth].max() > 0.6 * middle[tooth].max()
    side = np.abs(x - 0.27) < 0.02
    assert end[side].max() > 0.5 * level[side].max()  # no dark bar between the row and the lip
    assert middle[np.abs(x - 0.36) < 0.02].max() < 0.54 * middle.max()
    gap = level[np.abs(x - 0.1347) < 0.02]
    assert 0.64 * gap.max() < gap.min() < 0.9 * gap.max()  # seen, but no line


def test_teeth_in_more_light_than_a_photo_shows_are_not_cut_off(model):
    landmarks = closed_face(model)
    photo = paint(landmarks, 1.25)
    after, _, moved = reshape_face(photo, landmarks, {"smile": SLIDERS["smile"].high}, model)
    x, y = (moved[13] + 0.45 * (moved[14] - moved[13])).astype(int)
    assert after[:, y - 2 : y + 3, x - 8 : x + 9].max() < 250 <= photo.max()


def test_teeth_are_as_dark_as_the_cheek_beside_them_and_as_warm_as_the_light(model):
    landmarks = closed_face(model)
    photo = paint(landmarks).float()
    from_the_left = torch.where(torch.arange(SIZE[1]) < MIDDLE[0], 1.0, 0.35)
    warm = torch.tensor([1.0, 0.8, 0.5])[:, None, None]

    def teeth(light) -> tuple[torch.Tensor, torch.Tensor]:
        lit = (light * photo).round().to(torch.uint8)
        after, _, moved = reshape_face(lit, landmarks, {"mouth_open": 1.5}, model)
        x, y = (moved[13] + 0.45 * (moved[14] - moved[13])).astype(int)
        rows = after[:, y - 1 : y + 2].float()
        return rows[:, :, x - 24 : x - 8].mean(dim=(1, 2)), rows[:, :, x + 9 : x + 25].mean(dim=(1, 2))

    left, right = teeth(from_the_left)
    assert right.mean() < 0.75 * left.mean()
    (plain, _), (tinted, _) = teeth(1.0), teeth(warm)
    assert tinted[2] / tinted[0] < 0.8 * plain[2] / plain[0]


def drawn_teeth(model: ShapeModel, photo: torch.Tensor, landmarks: np.ndarray, values: dict) -> np.ndarray:
    """Rows of the upper half of what shows in the middle of a mouth that parts, [h, w, 3]."""
    after, _, moved = reshape_face(photo, landmarks, values, model)
    (x, top), low = moved[13], 0.6 * moved[14, 1] + 0.4 * moved[13, 1]
    return after[:, int(top) : int(low) + 1, int(x) - 26 : int(x) + 27].permute(1, 2, 0).numpy().astype(float)


def test_teeth_are_in_the_shade_that_lips_and_chin_are_in_and_not_the_cheek(model):
    landmarks = closed_face(model)
    photo, shade = paint(landmarks), np.zeros(SIZE, np.float32)
    x, y = landmarks[[13, 14]].mean(axis=0)
    shade[int(y - 0.3 * UNIT) : int(y + 0.45 * UNIT), int(x - 0.42 * UNIT) : int(x + 0.42 * UNIT)] = 1
    shaded = (photo * torch.from_numpy(1 - 0.5 * cv2.GaussianBlur(shade, (0, 0), 3))).to(torch.uint8)
    lit, dim = (drawn_teeth(model, one, landmarks, {"smile": 2.5}).max(axis=(0, 1)) for one in (photo, shaded))
    assert (dim < 0.82 * lit).all() and dim[2] / dim[0] < 0.98 * lit[2] / lit[0]
    dark = photo.clone()  # a lipstick is no shade
    lips = draw_soft([landmarks[list(LIPS_OUTER)]], SIZE, 1.0, (0, 0, SIZE[1], SIZE[0])).values
    dark[:, torch.from_numpy(lips > 0.5)] = torch.tensor((70, 30, 40), dtype=torch.uint8)[:, None]
    assert (drawn_teeth(model, dark, landmarks, {"smile": 2.5}).max(axis=(0, 1)) > 0.93 * lit).all()


def test_teeth_are_as_soft_as_the_photo(model):
    landmarks = closed_face(model)
    sharp = paint(landmarks)
    soft = torch.from_numpy(cv2.GaussianBlur(sharp.permute(1, 2, 0).numpy(), (0, 0), 3.0)).permute(2, 0, 1)
    gaps = [
        np.abs(np.diff(drawn_teeth(model, photo.contiguous(), landmarks, {"smile": 2.5})[..., 1], axis=1)).max()
        for photo in (sharp, soft)
    ]
    assert gaps[1] < 0.6 * gaps[0], gaps


def test_less_light_reaches_teeth_behind_lips_that_part_a_little(model):
    face = model.mean.copy()
    seen = []
    for gap in (0.04, 0.13):
        for ring, y in ((UPPER_INNER, 0.95), (LOWER_INNER, 0.95 + gap)):
            face[list(ring), 1] = y
        face[[78, 308], 1] = 0.92
        seen.append(_colors(np.float32([[[0.04, 0.95 + 0.03]]]), face)[0, 0, 1])
    assert seen[0] < 0.85 * seen[1]


def test_a_mouth_that_is_open_keeps_what_it_shows(model):
    landmarks = closed_face(model, 0.1)
    green = (40, 200, 60)
    after, _, moved = reshape_face(paint(landmarks, between=green), landmarks, {"mouth_open": 1.0}, model)
    x, y = moved[[13, 14]].mean(axis=0).astype(int)
    assert gap_of(moved) > gap_of(landmarks) and (after[:, y, x].float() - torch.tensor(green)).abs().max() < 6


def test_the_dark_between_lips_opens_as_the_dark(model):
    """A slit of a few pixels that is pulled is streaks of the lips around it."""
    landmarks, grain = closed_face(model, 0.06), np.random.default_rng(0).normal(0, 45, (1, SIZE[1], 1))
    photo = paint(landmarks, between=(40, 20, 20)).permute(1, 2, 0).numpy() + grain
    photo = cv2.GaussianBlur(photo, (0, 0), 1.2).round().clip(0, 255).astype(np.uint8)
    photo = torch.from_numpy(photo).permute(2, 0, 1).contiguous()
    after, _, moved = reshape_face(photo, landmarks, {"mouth_open": 1.5}, model)
    (x, top), low = moved[13], moved[14, 1]
    middle, quarter = int((top + low) / 2), int((low - top) / 4)
    inside = after[0, middle - quarter : middle + quarter, int(x) - 20 : int(x) + 21].float()
    lips = after[0, int(low) + 4 : int(low) + 8, int(x) - 20 : int(x) + 21].float()
    assert inside.mean() < 40 and inside.mean(dim=0).std() < 0.7 * lips.mean(dim=0).std()


def test_a_little_smile_and_a_closed_mouth_part_nothing(model):
    landmarks = closed_face(model)
    for values in ({"smile": 1.0}, {"mouth_open": -1.0}):
        after, _, moved = reshape_face(paint(landmarks), landmarks, values, model)
        assert gap_of(moved) < 0.02
        x, y = moved[13].astype(int)
        assert after[1, y, x] < 0.6 * after[0, y, x]  # lips


def parted(model: ShapeModel, height: float, below: float = 0.0) -> tuple[torch.Tensor, np.ndarray]:
    """A face whose lips show teeth of a height; the mesh has its lips' edges lower by `below`."""
    landmarks, grain = closed_face(model, 0.04), np.random.default_rng(0).normal(0, 12, (SIZE[0], SIZE[1], 1))
    photo = paint(landmarks).permute(1, 2, 0).numpy()
    (left, middle), (right, _) = landmarks[[78, 308]]
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] + 0.5
    half = height / 2 * UNIT * (1 - np.abs((2 * x - left - right) / (right - left)).clip(0, 1) ** 2)
    teeth = np.clip(half - np.abs(y - middle) + 0.5, 0, np.minimum(2 * half, 1))[..., None]
    photo = (photo + grain) * (1 - teeth) + np.array(TEETH) * teeth
    landmarks[np.ravel(LIP_RINGS)] += (0, below * UNIT)
    return torch.from_numpy(photo.round().clip(0, 255).astype(np.uint8)).permute(2, 0, 1).contiguous(), landmarks


def test_lips_go_from_closed_to_open_without_a_jump(model):
    """By what is seen between them, and by the mesh where nothing is seen."""
    seen = [how_closed(landmarks, photo) for photo, landmarks in (parted(model, height / 80) for height in range(0, 4))]
    fine = [parted(model, height) for height in np.arange(0.007, 0.02, 0.0005)]
    fine = [how_closed(landmarks, photo) for photo, landmarks in fine]
    meshes = [
        how_closed(closed_face(model, gap), paint(closed_face(model, gap))) for gap in np.arange(0.05, 0.11, 0.002)
    ]
    assert seen[0] == meshes[0] == 1 and seen[-1] == meshes[-1] == 0
    assert np.diff(fine).min() > -0.25 and np.diff(fine).max() < 0.05
    assert np.diff(meshes).min() > -0.25 and np.diff(meshes).max() < 1e-6


def test_a_photo_between_closed_and_open_lips_is_changed_as_one_between(model):
    heights = np.array([0.0, 0.013, 0.03])
    photos = [parted(model, height) for height in heights]
    assert 0.2 < how_closed(photos[1][1], photos[1][0]) < 0.8
    for values in ({"mouth_open": 1.5}, {"smile": -2.0}):
        closed, between, opened = (reshape_face(*one, values, model)[0].float() for one in photos)
        whole = (closed - opened).abs().mean()
        assert max((between - closed).abs().mean(), (between - opened).abs().mean()) < 0.88 * whole


def test_lips_that_are_open_a_little_part_at_the_edge_that_the_photo_shows(model):
    """Where the mesh has it inside of a lip, that lip was pulled over the teeth instead of down."""

    def edge(photo: torch.Tensor) -> float:
        row = int(MIDDLE[1] + UNIT * model.mean[13, 1]) - 12
        green = photo[1, row : row + 34, int(MIDDLE[0]) - 12 : int(MIDDLE[0]) + 13].float().mean(dim=1)
        return float((green - 80).clamp(0, 150).sum() / 150)

    went = []
    for below in (-0.02, 0.0, 0.02):
        photo, landmarks = parted(model, 0.08, below)
        went.append(edge(reshape_face(photo, landmarks, {"mouth_open": 1.5}, model)[0]) - edge(photo))
    assert min(went) > 0.03 * UNIT and np.ptp(went) < 0.015 * UNIT


@pytest.mark.parametrize("values", [{"mouth_open": -2.0}, {"smile": -2.0}])
def test_lips_that_close_show_nothing_from_afar(model, values):
    """Pixels beside an opening that nearly goes came from as many times further away as it got lower: white dots."""
    dark = (40, 20, 20)
    for gap in (0.02, 0.035, 0.05, 0.065):
        landmarks = closed_face(model, gap)
        photo = paint(landmarks, between=dark)
        (left, right), middle = landmarks[[78, 308], 0].astype(int), int(landmarks[13, 1])
        afar = torch.ones(SIZE, dtype=torch.bool)
        afar[middle - 40 : middle + 40, left - 30 : right + 30] = False
        photo[:, afar] = torch.tensor([[0], [255], [0]], dtype=torch.uint8)
        after = reshape_face(photo, landmarks, values, model)[0].int()
        mouth = after[:, middle - 15 : middle + 15, left:right]
        assert mouth[1].max() <= SKIN[1] + 12 and (mouth[1] - mouth[0]).max() < 5


TONES = {"grey": (1.0, 1.0, 1.0), "sepia": (1.0, 0.9, 0.75), "cyan": (0.75, 0.9, 1.0)}


def in_one_tone(photo: torch.Tensor, tone: str) -> torch.Tensor:
    grey = torch.einsum("c,chw->hw", torch.tensor([0.299, 0.587, 0.114]), photo.float())
    return (grey * torch.tensor(TONES[tone])[:, None, None]).round().to(torch.uint8)


@pytest.mark.parametrize("tone", TONES)
def test_open_lips_are_told_in_photos_in_one_tone(model, tone):
    """Teeth have the hue of lips there: they are lighter, or the mesh is believed."""
    assert lips_are_closed(closed_face(model, 0.05), in_one_tone(paint(closed_face(model, 0.05)), tone))
    for gap in (0.05, 0.07, 0.085):
        landmarks = closed_face(model, gap)
        for color in (TEETH, (170, 150, 140), (20, 8, 8)):
            if gap > 0.065 or color != (170, 150, 140):
                assert not lips_are_closed(landmarks, in_one_tone(paint(landmarks, between=color), tone)), (gap, color)


@pytest.mark.parametrize("tone", TONES)
def test_a_mouth_drawn_into_a_photo_in_one_tone_has_that_tone(model, tone):
    landmarks = closed_face(model)
    for values in ({"mouth_open": SLIDERS["mouth_open"].high}, {"smile": SLIDERS["smile"].high}):
        photo = in_one_tone(paint(landmarks), tone)
        after, _, moved = reshape_face(photo, landmarks, values, model)
        x, y = (moved[13] + 0.45 * (moved[14] - moved[13])).astype(int)
        assert (after[:, y, x].float() / torch.tensor(TONES[tone])).mean() > 120  # teeth
        grey = after.float() / torch.tensor(TONES[tone])[:, None, None]
        assert (grey.amax(dim=0) - grey.amin(dim=0)).max() < (1e-3 if tone == "grey" else 5)
