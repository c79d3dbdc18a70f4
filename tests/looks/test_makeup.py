"""Make-up lands where it belongs and nowhere else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from gan_space.errors import InputError
from gan_space.faces.landmarks import LEFT_EYE, LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS
from gan_space.faces.mesh import face_frame
from gan_space.faces.pigment import to_linear, to_srgb
from gan_space.faces.regions import find_region
from gan_space.faces.snap import LOWER_INNER, UPPER_INNER, brow_edge, snap_outlines
from gan_space.faces.strip import Strip
from gan_space.looks import eyes
from gan_space.looks.face_patch import FacePatch
from gan_space.looks.layers import LAYERS, layer_faults, read_layers, scale_layers
from gan_space.looks.makeup import make_up
from tests.faces import painted_eyes
from tests.faces.drawn_face import EYES, LIPS, OPENING, drawn_face
from tests.looks.painted_face import (
    MIDDLE,
    SKINS,
    UNIT,
    face_photo,
    lightness,
    marks_of,
    moved,
    person,
    turned,
    two_tones,
    where,
)


@pytest.fixture(scope="module")
def marks():
    return marks_of(drawn_face(UNIT, MIDDLE))


def with_brows(points: np.ndarray) -> np.ndarray:
    """Put the lower edges of the brows above the eyes; the drawn face has none."""
    for edge, (outer, inner) in zip(eyes._BROW_EDGES, (LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS), strict=True):
        points[list(edge)] = np.linspace(points[inner], points[outer], len(edge)) - np.array([0, 0.3 * UNIT])
    return points


@pytest.mark.parametrize("shift", [-0.03, 0.0, 0.04])
@pytest.mark.parametrize("skin", SKINS)
def test_lipstick_lands_on_the_lips_even_if_the_landmarks_are_off(skin, shift):
    photo, points = face_photo(SKINS[skin]), drawn_face(UNIT, MIDDLE)
    points[:, 1] += shift * UNIT
    change = moved(photo, make_up(photo, marks_of(points), {"lipstick": {"color": "#8a1030", "amount": 1.0}}))
    lips = where(LIPS) & ~where(OPENING)
    edge = cv2.dilate(lips.astype(np.uint8), np.ones((3, 3))).astype(bool)  # a pixel of softness
    assert change[edge].sum() / change.sum() > 0.93
    core = cv2.erode(lips.astype(np.uint8), np.ones((7, 7))).astype(bool)
    assert np.quantile(change[core], 0.1) > 8


def test_lipstick_covers_both_tones_of_a_lower_lip():
    """Of a brown rim that is no skin the colours say less than the outline does."""
    photo, points, rim = two_tones()
    change = moved(photo, make_up(photo, marks_of(points), {"lipstick": {"color": "#c00018", "amount": 1.0}}))
    rim = cv2.erode(rim.astype(np.uint8), np.ones((3, 3))).astype(bool)
    assert (change[rim] > 12).mean() > 0.7


def test_teeth_stay(marks):
    photo = face_photo()
    change = moved(photo, make_up(photo, marks, {"lipstick": {"color": "#8a1030", "amount": 1.0}}))
    teeth = cv2.erode(where(OPENING).astype(np.uint8), np.ones((3, 3))).astype(bool)
    assert np.quantile(change[teeth], 0.9) < 2


def test_the_edge_of_lipstick_is_even_where_shine_and_pores_blot_the_rim_of_the_lip(marks):
    pixels = face_photo().permute(1, 2, 0).numpy().copy()
    skin = pixels[int(MIDDLE[1] + 1.4 * UNIT), int(MIDDLE[0])].astype(float)
    for x in np.linspace(-0.24, 0.24, 7):  # pale as skin, on the lower lip's rim
        y = LIPS[0][1] + LIPS[1][1] * np.sqrt(1 - (x / LIPS[1][0]) ** 2) - 0.03
        blot = where(((x, y), (0.02, 0.03))) & where(LIPS)
        pixels[blot] = (0.75 * skin + 0.25 * pixels[blot]).astype(np.uint8)
    photo = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
    change = moved(photo, make_up(photo, marks, {"lipstick": {"color": "#c01030", "amount": 1.0}}))
    columns = np.arange(int(MIDDLE[0] - 0.28 * UNIT), int(MIDDLE[0] + 0.28 * UNIT))
    full = np.median(change[where(((0.0, 1.1), (0.2, 0.03)))])
    ends = np.array([np.flatnonzero(change[:, column] > 0.5 * full).max() for column in columns])
    waves = ends - np.polyval(np.polyfit(columns, ends, 4), columns)
    assert ends.max() > MIDDLE[1] + 1.17 * UNIT  # the lip ends at 1.2
    assert waves.std() < 0.006 * UNIT  # asked pixel by pixel: 0.010


def test_a_moustache_over_the_edge_of_the_lip_stays_hair(marks):
    pixels = face_photo().permute(1, 2, 0).numpy().copy()
    top = int(MIDDLE[1] + 0.8 * UNIT)  # the upper edge of the upper lip, which is 0.12 units high
    hair = np.zeros(pixels.shape[:2], bool)
    hair[top - 20 : top + 3, 165:235] = np.arange(70) % 6 < 3  # single strands
    pixels[hair] = (60, 42, 32)
    photo = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
    change = moved(photo, make_up(photo, marks, {"lipstick": {"color": "#c01030", "amount": 1.0}}))
    below = cv2.erode((where(LIPS) & ~where(OPENING) & ~hair).astype(np.uint8), np.ones((3, 3))).astype(bool)
    full = np.median(change[below])
    assert full > 15 and change[hair & where(LIPS)].mean() < 0.65 * full  # without a look at pixels: all of it


@pytest.mark.parametrize("beard", [False, True])
def test_lips_end_where_a_beard_of_their_own_colour_hangs_over_them(marks, beard):
    pixels = face_photo().permute(1, 2, 0).numpy().copy()
    own = pixels[int(MIDDLE[1] + 1.15 * UNIT), int(MIDDLE[0])].copy()
    pixels[where(LIPS)] = own
    if beard:
        strands = (np.arange(pixels.shape[1]) % 5 < 3)[None] & where(((0.0, 1.0), (0.8, 0.5))) & ~where(LIPS)
        pixels[where(((0.0, 1.0), (0.8, 0.5))) & ~where(LIPS)] = own
        pixels[strands] = own // 2
    photo = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
    change = moved(photo, make_up(photo, marks, {"lipstick": {"color": "#c01030", "amount": 1.0}}))
    rim = where(LIPS) & ~where(((0.0, 1.0), (0.43, 0.18))) & where(((0.0, 1.0), (0.25, 0.5)))
    share = change[rim].mean() / np.median(change[where(((0.0, 1.1), (0.2, 0.03)))])
    assert share < 0.42 if beard else share > 0.6


@pytest.mark.parametrize("gap", [0.02, 0.05, 0.075])
def test_closed_lips_that_landmarks_take_for_parted_ones_higher_up(gap):
    pixels = face_photo().permute(1, 2, 0).numpy().copy()
    lip = pixels[int(MIDDLE[1] + 1.15 * UNIT), int(MIDDLE[0])]
    pixels[where(((0.0, 1.0), (0.4, 0.1)))] = lip
    pixels[where(((0.0, 1.0), (0.42, 0.012)))] = lip // 3  # the seam
    points = drawn_face(UNIT, MIDDLE)
    points[list(UPPER_INNER), 1] = MIDDLE[1] + (1.0 - gap / 2) * UNIT
    points[list(LOWER_INNER), 1] = MIDDLE[1] + (1.0 + gap / 2) * UNIT
    points[:, 1] -= 0.06 * UNIT
    snapped = (snap_outlines(pixels, points)[[13, 14], 1] - MIDDLE[1]) / UNIT
    assert np.abs(snapped - 1.0).max() < 0.02


def test_lids_take_powder_alike_when_one_lies_in_deep_shade():
    pixels = face_photo().permute(1, 2, 0).numpy().copy()
    middle = int(MIDDLE[0])
    pixels[:, middle:] = (0.12 * pixels[:, middle:].mean(axis=2, keepdims=True) + (0, 4, 12)).astype(np.uint8)
    patch = FacePatch(pixels, with_brows(drawn_face(UNIT, MIDDLE)))
    places = [eyes._shadow_places(eye) for eye in eyes.eyes_of(patch)]

    def shares(skins):
        return [float((lid * skin).sum() / lid.sum()) for (lid, _, _), skin in zip(places, skins, strict=True)]

    alone = shares([patch.lid_skin(eye.box) for eye in eyes.eyes_of(patch)])
    together = shares(eyes._lid_skins(patch, places))
    assert alone[0] - alone[1] > 0.3, alone
    assert together[1] - alone[1] > 0.6 * (alone[0] - alone[1]), (alone, together)
    assert abs(together[0] - alone[0]) < 0.05


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_changes_its_part_and_nothing_else_to_the_bit(name):
    photo, face = person("woman-lake")
    result = make_up(photo, face, {name: {"amount": 1.0}})
    changed = (result != photo).any(dim=0).numpy()
    assert 30 < changed.sum() < 0.25 * changed.size
    near = {
        **dict.fromkeys(("lipstick", "lip_liner"), ("mouth",)),
        **dict.fromkeys(("contour", "blush", "highlight"), ("face",)),
        **dict.fromkeys(("eye_shadow", "eye_liner", "lashes"), ("eyes", "brows")),
        "brow": ("brows",),
        "iris": ("eyes",),
    }[name]
    allowed = max(find_region(face.points, part, photo.shape[1:]).full(*photo.shape[1:]).numpy() for part in near[:1])
    for part in near:
        allowed = np.maximum(allowed, find_region(face.points, part, photo.shape[1:]).full(*photo.shape[1:]).numpy())
    reach = 2 * int(0.35 * face.eye_distance) + 1
    allowed = cv2.dilate((allowed > 0.05).astype(np.uint8), np.ones((reach, reach))).astype(bool)
    assert not changed[~allowed].any()


def test_an_amount_of_nothing_is_the_photo_to_the_bit():
    photo, face = person("woman-lake")
    assert torch.equal(make_up(photo, face, {name: {"amount": 0.0} for name in LAYERS}), photo)
    assert torch.equal(make_up(photo, [], {"lipstick": {}}), photo)
    assert make_up(photo, face, {}) is not photo


@pytest.mark.parametrize("skin", SKINS)
def test_powder_keeps_the_skins_lightness_and_pores(skin, marks):
    photo = face_photo(SKINS[skin])
    result = make_up(photo, marks, {"blush": {}})
    change = moved(photo, result)
    cheeks = change > 0.5 * change.max()
    assert change.max() > 3
    light = lightness(result) - lightness(photo)
    assert -6 < light[cheeks].mean() < 0.5
    assert lightness(result)[cheeks].std() > 0.7 * lightness(photo)[cheeks].std()


def test_hair_and_glasses_over_the_cheek_get_no_blush(marks):
    bare = face_photo()
    covered = bare.clone()
    covered[:, 190:205, 100:300] = torch.tensor([20, 20, 24], dtype=torch.uint8)[:, None, None]  # a frame across
    change = moved(covered, make_up(covered, marks, {"blush": {"amount": 1.0}}))
    beside = moved(bare, make_up(bare, marks, {"blush": {"amount": 1.0}}))[190:205, 100:300]
    assert change[192:203, 102:298].max() < 0.25 * beside.max()


@pytest.mark.parametrize("skin", ["middle", "light"])
def test_a_lid_in_shade_takes_shadow_and_glasses_do_not(skin, marks):
    lid = where(((0.5, -0.2), (0.25, 0.1)))
    pixels = face_photo(SKINS[skin]).permute(1, 2, 0).numpy().copy()
    shaded, framed = pixels.copy(), pixels.copy()
    shaded[lid] = shaded[lid] * 0.45
    framed[lid] = (40, 60, 110)
    rows, columns = (np.flatnonzero(lid.any(axis=axis)) for axis in (1, 0))
    box = (columns[0] + 8, rows[0] + 4, columns[-1] - 7, rows[-1] - 3)
    patches = [FacePatch(one, marks.points) for one in (shaded, framed)]
    assert patches[0].lid_skin(box).mean() > 0.8 > 0.2 > patches[0].skin(box).mean()
    assert patches[1].lid_skin(box).mean() < 0.2


@pytest.mark.parametrize("lenses", [1, 2])
def test_dark_glasses_stay_as_they_are_and_one_covered_eye_leaves_the_other_its_make_up(lenses, marks):
    """What a lens mirrors may look like skin."""
    pixels = face_photo(SKINS["light"]).permute(1, 2, 0).numpy().copy()
    for (x, y), _ in EYES[:lenses]:
        pixels[where(((x, y), (0.44, 0.4)))] = (16, 22, 24)
        pixels[where(((x, y - 0.2), (0.3, 0.1)))] = (220, 190, 170)
    photo = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
    layers = {"eye_shadow": {"color": "#5030a0", "amount": 1.0}, "eye_liner": {}, "lashes": {}}
    change = moved(photo, make_up(photo, marks, layers))
    lid = where(((EYES[1][0][0], -0.16), (0.2, 0.05)))
    assert change.max() == 0 if lenses == 2 else np.quantile(change[lid], 0.8) > 8


def test_rouged_cheeks_get_little_more_blush():
    (photo, face), blush = person("woman-lake"), {"blush": {"color": "#e06070", "amount": 0.8}}
    once = make_up(photo, face, blush)
    twice = make_up(once, face, blush)
    assert moved(once, twice).sum() < 0.6 * moved(photo, once).sum()


def test_liner_stays_off_hair_that_hangs_over_an_eye(marks):
    pixels = face_photo().permute(1, 2, 0).numpy().copy()
    pixels[: int(MIDDLE[1] - 0.9 * UNIT)] = (150, 70, 35)  # hair above the forehead
    bare = torch.from_numpy(pixels.copy()).permute(2, 0, 1).contiguous()
    strand = slice(int(MIDDLE[0] + 0.5 * UNIT), int(MIDDLE[0] + 0.72 * UNIT))  # over the outer half of one eye
    pixels[: int(MIDDLE[1] + 0.2 * UNIT), strand] = (150, 70, 35)
    photo = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
    layers = {"eye_liner": {"amount": 1.0, "wing": 0.0}}
    on_lid, on_hair = (moved(one, make_up(one, marks, layers))[:, strand].sum() for one in (bare, photo))
    assert on_lid > 500 and on_hair < 0.3 * on_lid


def test_shadow_stays_off_hair_of_skins_colour_beside_the_eye():
    photo, face = person("woman-lake")  # fair hair hangs down to the corner of the right eye
    unit = face_frame(face.points).frame_px
    change = moved(photo, make_up(photo, face, {"eye_shadow": {"color": "#4a3a8a", "amount": 1.0}}))
    (left, right), rows = (
        face.points[[33, 263]],
        slice(*(np.array([-0.3, 0.2]) * unit + face.points[33, 1]).astype(int)),
    )
    beside_left = change[rows, int(left[0] - 0.1 * unit) : int(left[0] - 0.03 * unit)].sum()
    beside_right = change[rows, int(right[0] + 0.03 * unit) : int(right[0] + 0.1 * unit)].sum()
    assert beside_left > 500 and beside_right < 0.9 * beside_left  # 1.3 on hair taken for skin


@pytest.mark.parametrize("lashes", [True, False])
@pytest.mark.parametrize("low", [0.0, 0.02])
def test_liner_stays_out_of_an_eye_whose_lid_lies_higher_than_its_landmarks(low, lashes):
    high, unit, middle = 0.11 + low, painted_eyes.UNIT, painted_eyes.MIDDLE
    photo = painted_eyes.paint_eyes(high)
    if not lashes:  # as behind glasses, where only the eye's own colours end
        bare = (photo - torch.tensor(painted_eyes.LASHES)[:, None, None]).abs().amax(dim=0) == 0
        photo[:, bare] = torch.tensor(painted_eyes.SKIN, dtype=torch.uint8)[:, None]
    face = drawn_face(unit, middle)
    change = moved(photo, make_up(photo, marks_of(face), {"eye_liner": {"amount": 1.0, "wing": 0.0}}))
    y, x = np.mgrid[: photo.shape[1], : photo.shape[2]] + 0.5
    in_eyes = np.zeros(change.shape, bool)
    for (ex, ey), _ in EYES:
        px, py = (
            (x, y) - (painted_eyes.MIDDLE + painted_eyes.UNIT * np.array([ex, ey]))[:, None, None]
        ) / painted_eyes.UNIT
        in_eyes |= (np.abs(px) < 0.22) & (-py < high * np.sqrt((1 - (px / 0.22) ** 2).clip(0))) & (py < 0.05)
    assert change.sum() > 500
    assert change[in_eyes].sum() < 0.15 * change.sum()


@pytest.mark.parametrize("far", [0.6, 0.75])
def test_shadow_stays_off_a_brow_that_hangs_over_the_lid(far):
    photo, face = person("woman-lake")
    lid, brow = face.points[[159, 158, 160], 1].mean(), face.points[[52, 53, 65], 1].mean()
    rows = slice(int(brow + 0.1 * (lid - brow)), int(brow + far * (lid - brow)))
    columns = slice(*sorted(face.points[[33, 133], 0].astype(int)))
    hung = photo.clone()
    hung[:, rows, columns] = (hung[:, rows, columns] * 0.3).to(torch.uint8)
    layers = {"eye_shadow": {"color": "#4a3a8a", "amount": 1.0, "finish": "matte"}}
    on_lid, on_brow = (
        (one.float() / make_up(one, face, layers).float().clamp(min=1))[0, rows, columns].log().mean()
        for one in (photo, hung)
    )
    assert on_lid > 0.05 and on_brow < 0.5 * on_lid


@pytest.mark.parametrize("hangs", [0.0, 0.04, 0.07])
def test_the_lower_edge_of_a_brow_is_found_where_its_hairs_end(hangs):
    photo, points = np.full((400, 400, 3), SKINS["middle"], np.uint8), with_brows(drawn_face(UNIT, MIDDLE))
    lid, edge = (LEFT_EYE_CORNERS[1], *LEFT_EYE[9:], LEFT_EYE_CORNERS[0]), eyes._BROW_EDGES[0]
    bare = brow_edge(photo, points, UNIT, edge, lid)[1]
    low = points[list(edge)] + np.array([0, hangs * UNIT])
    hairs = np.concatenate([low, low[::-1] - np.array([0, 0.2 * UNIT])])
    cv2.fillPoly(photo, [hairs.round().astype(np.int32)], (60, 42, 34))
    u, found = brow_edge(cv2.GaussianBlur(photo, (0, 0), 1), points, UNIT, edge, lid)
    strip, inside = Strip(photo, points, UNIT, (lid[0], lid[-1]), -0.1, 0.3, u), (u > 0.1) & (u < 0.9)
    assert np.abs(found - strip.curve(low))[inside].max() < 0.02
    np.testing.assert_allclose(bare, strip.curve(points[list(edge)]))  # of a brow that is not seen nothing is known


@pytest.mark.parametrize("powder", [(1.0, 0.62, 0.35), (0.95, 0.5, 0.5)], ids=["orange", "red"])
def test_shadow_lands_on_lids_that_are_powdered_already(powder):
    photo, face = person("woman-lake")
    lid, brow = face.points[[159, 158, 160], 1].mean(), face.points[[52, 53, 65], 1].mean()
    rows = slice(int(brow + 0.4 * (lid - brow)), int(lid - 0.1 * (lid - brow)))
    columns = slice(*sorted(face.points[[33, 133], 0].astype(int)))
    worn = photo.clone()
    worn[:, rows, columns] = (worn[:, rows, columns] * torch.tensor(powder)[:, None, None]).to(torch.uint8)
    layers = {"eye_shadow": {"color": "#4a3a8a", "amount": 1.0, "finish": "matte"}}
    plain, over = (
        (one.float() / make_up(one, face, layers).float().clamp(min=1))[0, rows, columns].log().mean()
        for one in (photo, worn)
    )
    assert over > 0.8 * plain > 0.04


@pytest.mark.parametrize("name", ["eye_shadow", "eye_liner", "lashes", "lipstick"])
@pytest.mark.parametrize("who", ["woman-park", "astronaut"])
def test_a_face_that_lies_or_stands_on_its_head_is_made_up_as_an_upright_one(who, name):
    (photo, face), layers = person(who), {name: {"amount": 1.0}}
    upright = make_up(photo, face, layers)
    for quarters in (1, 2, 3):
        lying = torch.rot90(make_up(*turned(photo, face, quarters), layers), -quarters, (1, 2))
        assert moved(lying, upright).sum() < 0.25 * moved(photo, upright).sum(), quarters


def test_a_colour_takes_on_the_rooms_light():
    photo, face = person("woman-lake")
    lamp = np.array([1.0, 0.75, 0.45])
    linear = to_linear(photo.permute(1, 2, 0).numpy()) * lamp
    warm = torch.from_numpy(to_srgb(linear.astype(np.float32))).permute(2, 0, 1).contiguous()
    layers = {"lipstick": {"color": "#ffffff", "amount": 1.0, "finish": "matte"}}
    mask = find_region(face.points, "lips", photo.shape[1:]).full(*photo.shape[1:]).numpy() > 0.9
    plain, lit = (
        to_linear(make_up(one, face, layers).permute(1, 2, 0).numpy())[mask].mean(axis=0) for one in (photo, warm)
    )
    assert lit[2] / lit[0] < 0.85 * plain[2] / plain[0]


def test_a_small_and_a_half_hidden_face_work():
    photo, face = person("woman-lake")
    everything = {name: {} for name in LAYERS}
    small = torch.from_numpy(
        cv2.resize(photo.permute(1, 2, 0).numpy(), (76, 76), interpolation=cv2.INTER_AREA)
    ).permute(2, 0, 1)
    assert (make_up(small, marks_of(face.points * 76 / 512), everything) != small).any()
    for corner in ([-230.0, 0.0], [0.0, -290.0], [300.0, 60.0], [-900.0, 0.0]):
        for quarters in (0, 1, 2):
            some, marks = turned(photo, marks_of(face.points + corner), quarters)
            assert make_up(some, marks, everything).shape == some.shape


def test_faults_are_said_all_at_once():
    wrong = {"lipstick": {"color": "red", "amount": 2, "finish": "wet"}, "nose": {}, "blush": {"colour": "#ffffff"}}
    assert len(layer_faults(wrong)) == 5
    with pytest.raises(InputError, match="5 problems") as caught:
        read_layers(wrong)
    for part in ("#a1343c", "0 to 1", "matte, satin, gloss", "no make-up layer 'nose'", "no 'colour'"):
        assert part in str(caught.value)


def test_strength_scales_amounts():
    scaled = scale_layers({"lipstick": {"amount": 0.5}, "blush": {"amount": 0.8}}, 1.5)
    assert scaled["lipstick"]["amount"] == pytest.approx(0.75)
    assert scaled["blush"]["amount"] == 1.0
    assert read_layers(scaled)


@pytest.mark.parametrize("skin", [(196, 128, 86), (236, 186, 150), (110, 66, 40)])
def test_pink_blush_on_warm_skin_is_a_flush_and_not_mauve(skin, marks):
    photo = face_photo(skin)
    after = make_up(photo, marks, {"blush": {"color": "#c9507e", "amount": 0.8}})
    before, painted = (
        cv2.cvtColor(np.float32(one.permute(1, 2, 0).numpy()) / 255, cv2.COLOR_RGB2LAB) for one in (photo, after)
    )
    cheeks = moved(photo, after) > 8
    bare, flushed = before[cheeks].mean(axis=0), painted[cheeks].mean(axis=0)
    assert flushed[1] > bare[1] + 5
    assert flushed[2] / flushed[0] > bare[2] / bare[0] - 0.02


def test_blush_keeps_off_what_is_taken_for_hair(marks, monkeypatch):
    photo = face_photo()
    monkeypatch.setattr(FacePatch, "small_hair", property(lambda patch: np.ones_like(patch.small_pixels[..., 0])))
    assert torch.equal(make_up(photo, marks, {"blush": {"amount": 1.0}}), photo)
