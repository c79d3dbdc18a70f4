"""Shape sliders on the face that the fitted model calls average, and on faces around it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import gan_space
from gan_space.errors import InputError, WeightsError
from gan_space.faces.landmarks import FACE_OVAL, LEFT_EYE_CORNERS, LIPS_INNER, LIPS_OUTER, RIGHT_EYE_CORNERS
from gan_space.faces.mesh import areas, face_frame
from gan_space.faces.shape import (
    FITTED,
    OPENS_BY,
    READINGS,
    SLIDERS,
    SMILE_ROOM,
    SMILE_WIDENS,
    STEPS,
    ShapeModel,
    tilt_of,
    turn_of,
)
from gan_space.faces.shape_flow import find_shape_flow
from gan_space.faces.snap import LOWER_INNER, UPPER_INNER
from gan_space.portraits.shape import reshape_face

FOLDER = Path(gan_space.__file__).parent / "assets" / "default" / "shape"
UNIT, MIDDLE, SIZE = 80.0, np.array([200.0, 150.0]), (400, 400)


@pytest.fixture(scope="module")
def model() -> ShapeModel:
    return ShapeModel.load(FOLDER)


def in_photo(places: np.ndarray, unit: float = UNIT, roll_deg: float = 0.0) -> np.ndarray:
    roll = np.deg2rad(roll_deg)
    return unit * places @ np.array([[np.cos(roll), np.sin(roll)], [-np.sin(roll), np.cos(roll)]]) + MIDDLE


def in_face(landmarks: np.ndarray) -> np.ndarray:
    return face_frame(landmarks).apply(landmarks)


def moved(model: ShapeModel, values: dict, places: np.ndarray | None = None) -> np.ndarray:
    """Displacement in face units."""
    landmarks = in_photo(model.mean if places is None else places)
    frame = face_frame(landmarks)
    return frame.apply(landmarks + model.displace(landmarks, values)) - frame.apply(landmarks)


def noise() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (3, *SIZE), dtype=np.uint8))


@pytest.mark.parametrize("name", ["smile", "eyes_open", "brows_up"])
@pytest.mark.parametrize("amount", [-1.0, 1.0])
def test_a_step_of_a_fitted_slider_is_what_it_says(model, name, amount):
    after = model.mean + moved(model, {name: amount})
    assert READINGS[name](after) - READINGS[name](model.mean) == pytest.approx(amount * STEPS[name], rel=0.1)


def test_the_fields_of_the_embedded_model_go_one_step(model):
    assert set(STEPS) == set(FITTED)
    for name in READINGS:
        straight = model.fields[name][0]
        gone = 10 * (READINGS[name](model.mean + 0.1 * straight) - READINGS[name](model.mean))
        assert gone == pytest.approx(STEPS[name], rel=0.05), name
    for name, axis in (("turn", 0), ("tilt", 1)):
        assert model.fields[name][0][1, axis] == pytest.approx(STEPS[name], rel=0.05)


def test_a_step_moves_the_others_little(model):
    for name in ("smile", "eyes_open", "brows_up"):
        after = model.mean + moved(model, {name: 1.0})
        for other, reading in READINGS.items():
            if other != name:
                assert abs(reading(after) - reading(model.mean)) < 0.01, (name, other)
        assert abs(turn_of(after) - turn_of(model.mean)) < 1e-3
        assert abs(tilt_of(after) - tilt_of(model.mean)) < 0.02, name


def test_a_smile_keeps_brows_and_forehead_and_lifts_both_corners_alike(model):
    field = moved(model, {"smile": 1.0})
    assert np.abs(field[[105, 334, 10, 9]]).max() < 0.003
    assert np.allclose(field[61], field[291] * (-1, 1), atol=0.003)
    assert field[291, 0] > 0.03 and field[291, 1] < -0.02


@pytest.mark.parametrize("name", SLIDERS)
def test_sliders_are_mirror_symmetric_and_zero_at_zero(model, name):
    assert not np.abs(model.displace(in_photo(model.mean), {name: 0.0})).any()
    if name == "turn":
        return
    field = moved(model, {name: SLIDERS[name].high})
    assert np.abs(field - field[model.mirror] * (-1, 1)).max() < 0.006


@pytest.mark.parametrize("name", SLIDERS)
@pytest.mark.parametrize("end", ["low", "high"])
def test_the_whole_range_stays_unfolded_and_spares_the_hair_line(model, name, end):
    places = model.mean + (moved(model, {"smile": 1.0}) if name == "mouth_open" else 0)
    landmarks = in_photo(places)
    flow = find_shape_flow(noise(), landmarks, {name: getattr(SLIDERS[name], end)}, model).flow
    assert flow.amount == 1
    assert areas(flow.shift, flow.cell_px).min() > 0.4
    assert np.abs(flow.at(landmarks[[10, 67, 297, 103, 332]])).max() < 0.02 * UNIT  # the mesh's upper edge


@pytest.mark.parametrize("name", ["face_width", "v_line", "face_length"])
def test_the_outline_of_a_face_moves_without_a_nod(model, name):
    """Nose, brows and eyes keep their places, and lips their thickness, whatever the jaw does."""
    for amount in (SLIDERS[name].low, SLIDERS[name].high):
        field = moved(model, {name: amount})
        assert np.abs(field[[1, 4, 6, 195, 70, 105, 334, 300, 159, 145, 386, 374]]).max() < 0.006
        assert np.abs(field[[0, 13, 14, 17], 1] - field[13, 1]).max() < 0.003


@pytest.mark.parametrize("name", ["brows_up", "eyes_open"])
def test_a_face_at_the_limit_goes_no_further_but_comes_back(model, name):
    low, high = model.limits[name]
    places = model.mean.copy()
    for _ in range(12):
        places = places + moved(model, {name: 1.0}, places)
    assert READINGS[name](in_face(in_photo(places))) == pytest.approx(high, abs=0.01 * (high - low))
    assert np.abs(moved(model, {name: 1.0}, places)).max() < 0.004
    assert np.abs(moved(model, {name: -1.0}, places)).max() > 0.01


@pytest.mark.parametrize("name", READINGS)
@pytest.mark.parametrize("end", ["low", "high"])
def test_no_part_of_a_range_stands_still_where_a_face_has_little_room(model, name, end):
    face, side = model.mean.copy(), -1.0 if end == "low" else 1.0
    if name in ("smile", "mouth_open"):  # parted lips have less room than closed ones
        face[list(UPPER_INNER), 1] -= 0.03
        face[list(LOWER_INNER), 1] += 0.03
    now = READINGS[name](face)
    limits = dict(model.limits)
    if name in ("eyes_open", "brows_up"):
        limits[name] = (now - 0.4 * STEPS[name], now + 0.4 * STEPS[name])
    tight, last = replace(model, limits=limits), getattr(SLIDERS[name], end)
    landmarks, gone = in_photo(face), [0.0]
    for amount in (0.5 * side, side, 0.5 * (side + last), last):
        moves = tight.displace(landmarks, {name: amount}, closed=False) / UNIT
        gone.append(side * float(READINGS[name](in_face(landmarks + UNIT * moves)) - now))
    steps = np.diff(gone)
    assert steps.min() > 0.15 * steps.max() > 0, gone


def test_the_broadest_grin_has_some_room_both_ways_and_no_more(model):
    grin = model.mean + 0.5 * model.fields["grin"][0] * 8
    before = READINGS["smile"](in_face(in_photo(grin)))
    assert before > model.limits["smile"][1] - 0.05
    up, down = (
        READINGS["smile"](grin + moved(model, {"smile": end}, grin)) - before for end in (SLIDERS["smile"].high, -2.0)
    )
    assert up == pytest.approx(SMILE_ROOM[1], abs=0.02) and down < -SMILE_ROOM[0]


def test_small_mouths_widen_less_than_large_ones(model):
    """What would make another person of them: a mouth of half the width that widens by as much."""
    closed = closed_mouth(model)
    small = closed.copy()
    around = np.linalg.norm(closed - closed[13], axis=1) < 0.6
    small[around, 0] *= 0.7
    ends = {"smile": SLIDERS["smile"].high}
    wide, narrow = (
        READINGS["smile"](one + moved(model, ends, one)) - READINGS["smile"](one) for one in (closed, small)
    )
    width = np.linalg.norm(small[291] - small[61])
    assert narrow == pytest.approx(SMILE_WIDENS * width, rel=0.05) and narrow < 0.9 * wide


def test_a_broad_smile_lifts_cheeks_and_lower_lids_and_leaves_brows_jaw_and_upper_lids(model):
    field = moved(model, {"smile": SLIDERS["smile"].high}, closed_mouth(model))
    assert field[280, 1] < -0.025 and field[374, 1] < -0.004  # up is negative
    assert np.abs(field[[105, 334, 10, 386, 159]]).max() < 0.004 and np.abs(field[[361, 132]]).max() < 0.02
    assert (
        field[13, 1] < -0.02 and field[0, 1] < -0.015
    )  # the upper lip bares teeth, the lower one alone would be a gape


def test_closed_lips_frown_more_than_they_purse(model):
    """Corners below the middle of the lips by what is seen as sad; a mouth that gets narrower purses."""
    closed = closed_mouth(model)
    field = moved(model, {"smile": -2.0}, closed)
    assert field[61, 1] > 0.05 and abs(field[61, 0]) < 0.3 * field[61, 1]
    assert field[61, 1] - field[13, 1] > 0.055 and abs(field[14, 1] - field[13, 1]) < 0.004
    assert np.abs(field[[105, 334, 33, 263]]).max() < 0.005


def test_open_lips_frown_as_well_unless_they_smile(model):
    """A smile drawn backwards purses lips that are open a little; one that is there goes back."""
    sulking, smiling = (model.mean + amount * model.fields["smile"][0] for amount in (-2.0, 2.5))
    lower, back = (moved(model, {"smile": -2.0}, places) for places in (sulking, smiling))
    assert lower[61, 1] > 0.03 and lower[61, 0] < 0.6 * lower[61, 1]
    assert back[61, 0] > 0.7 * back[61, 1] > 0.03
    gap = READINGS["mouth_open"]
    assert gap(sulking + lower) == pytest.approx(gap(sulking), abs=0.02)


def test_narrow_eyes_do_not_close_to_slits(model):
    down, reading = {"eyes_open": SLIDERS["eyes_open"].low}, READINGS["eyes_open"]
    narrow = model.mean - 0.8 * model.fields["eyes_open"][0]
    assert (
        reading(narrow) - reading(narrow + moved(model, down, narrow)) < 0.4 * -down["eyes_open"] * STEPS["eyes_open"]
    )


def closed_mouth(model: ShapeModel) -> np.ndarray:
    closed = model.mean.copy()
    closed[list(LIPS_INNER), 1] = closed[[13, 14], 1].mean()
    return closed


def test_closed_lips_part_and_an_open_mouth_opens_by_half_at_most(model):
    gap, closed = READINGS["mouth_open"], closed_mouth(model)
    assert not moved(model, {"mouth_open": -1.0}, closed).any()
    for values, parted in (({"mouth_open": 1.0}, 0.08), ({"smile": 1.0}, 0.0), ({"smile": 2.0}, 0.06)):
        assert gap(closed + moved(model, values, closed)) == pytest.approx(parted, abs=0.02)
    before = gap(model.mean)
    assert before > 0.03
    for values in ({"mouth_open": -2.0}, {"mouth_open": 1.0}, {"smile": -2.0}, {"smile": 2.5}):
        after = gap(model.mean + moved(model, values))
        assert 0.3 * before < after < max(1.55 * before, before + 1.1 * OPENS_BY[1][0])
        assert (after > before) == (max(values.values()) > 0)


def open_mouth(model: ShapeModel, gap: float) -> np.ndarray:
    face = closed_mouth(model)
    for ring, side in ((UPPER_INNER, -1), (LOWER_INNER, 1)):
        face[list(ring)[1:-1], 1] += side * gap / 2
    return face


def test_lips_that_are_open_a_little_open_visibly_and_open_ones_as_far_as_ever(model):
    """More the less they are open, without a jump; over the whole slider there is no way back."""
    reading, steps, noisy = READINGS["mouth_open"], [], noise()
    for gap in (0.02, 0.03, 0.04, 0.06, 0.08, 0.1, 0.14):
        landmarks = in_photo(open_mouth(model, gap))
        sent = [
            float(reading(in_face(landmarks + model.displace(landmarks, {"mouth_open": amount}, closed=False))))
            for amount in (-2.0, -1.0, 0.0, 0.5, 1.0, 1.5)
        ]
        assert np.diff(sent).min() > 0.002, gap
        steps.append(sent[-1] - sent[2])
    assert min(steps[:3]) > 0.055 and np.allclose(steps[-2:], 0.045, atol=0.003)
    assert np.diff(steps).min() > -0.02 and np.diff(steps).max() < 0.003
    landmarks = in_photo(open_mouth(model, 0.03))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gan_space.faces.shape_flow.how_closed", lambda *_: 0.0)
        flow, opening, _ = find_shape_flow(noisy, landmarks, {"mouth_open": 1.5}, model)
    assert flow.amount == 1
    edges = [LIPS_INNER.index(place) for place in (13, 14)]  # the flow takes them along, too
    grown = [np.diff(places[edges, 1])[0] for places in (opening.before, flow.move(opening.before))]
    assert grown[1] - grown[0] > 0.035 * UNIT
    wide = open_mouth(model, 0.05)
    assert reading(wide + model.displace(in_photo(wide), {"smile": 2.5}, closed=False) / UNIT) > 0.05 + 0.018


def test_a_smile_does_not_lower_the_nose(model):
    """Who looks on takes that for a nod."""
    assert moved(model, {"smile": 1.0})[[1, 2, 4, 5], 1].max() < 0.001


def test_a_smile_keeps_the_height_of_teeth_that_show(model):
    """Its own teeth are pulled as the mouth opens: much taller ones are another person's."""
    for gap in (0.12, 0.2, 0.3):
        places = open_mouth(model, gap)
        for value, low, high in ((2.5, 1.0, 1.26), (-2.0, 0.75, 1.0)):
            after = READINGS["mouth_open"](places + moved(model, {"smile": value}, places)) / gap
            assert low <= after <= high, (gap, value, after)


def test_a_smile_keeps_the_width_of_teeth_that_show(model):
    """Corners go apart, or together, and show more of the row or less; wider teeth look drawn out."""
    places = open_mouth(model, 0.15)
    places = places + moved(model, {"smile": 2.0}, places)
    teeth, mouth = (80, 310), (61, 291)
    for value, most, least in ((2.5, 0.09, 0.12), (-2.0, 0.16, 0.14)):
        after = places + moved(model, {"smile": value}, places)
        of_teeth, of_mouth = (abs(width(after, *pair) / width(places, *pair) - 1) for pair in (teeth, mouth))
        assert of_teeth < most and of_mouth > least, (value, of_teeth, of_mouth)


def test_a_turned_head_smiles_less_far_on_the_side_that_is_turned_away(model):
    """Fields change with the turn, the other way in a mirror."""
    turned = model.mean + 3 * moved(model, {"turn": 1.0})
    other = turned[model.mirror] * (-1, 1)
    assert turn_of(turned) > 0.1
    field, mirrored = moved(model, {"smile": 1.0}, turned), moved(model, {"smile": 1.0}, other)
    assert np.abs(field - mirrored[model.mirror] * (-1, 1)).max() < 0.01
    assert abs(field[291, 0] + field[61, 0]) > 0.003


def width(places, a, b):
    return np.linalg.norm(places[a] - places[b])


@pytest.mark.parametrize(
    ("name", "measure", "share"),
    [
        ("face_width", lambda p: width(p, 123, 352), 0.038),
        ("v_line", lambda p: width(p, 150, 379), -0.06),
        ("face_length", lambda p: width(p, 10, 152), 0.06 / 2.49),
        ("nose_size", lambda p: width(p, 129, 358), 0.06),
        ("eye_size", lambda p: width(p, 33, 133), 0.07),
        ("lip_fullness", lambda p: width(p, 0, 13) + width(p, 14, 17), 0.15),
    ],
)
def test_free_sliders_change_what_they_name(model, name, measure, share):
    changed = measure(model.mean + moved(model, {name: 1.0})) / measure(model.mean) - 1
    assert changed == pytest.approx(share, rel=0.3)


def test_fuller_lips_leave_the_opening_and_larger_eyes_the_brows(model):
    assert np.abs(moved(model, {"lip_fullness": 1.0})[list(LIPS_INNER)]).max() < 1e-9
    assert np.abs(moved(model, {"lip_fullness": 1.0})[list(LIPS_OUTER)]).max() > 0.01
    assert np.abs(moved(model, {"eye_size": 1.0})[[105, 334, 66, 296]]).max() < 0.008


def test_several_sliders_are_one_sum_whatever_the_size_and_roll(model):
    values = {"smile": 1.0, "face_width": -0.5, "eye_size": 1.0}
    apart = sum(moved(model, {name: value}) for name, value in values.items())
    assert np.allclose(moved(model, values), apart)
    leaning = in_photo(model.mean, 200.0, 33.0)
    there = in_face(leaning + model.displace(leaning, values))
    assert np.allclose(there, in_face(in_photo(model.mean) + model.displace(in_photo(model.mean), values)), atol=1e-9)


def test_eyeballs_keep_their_size_when_lids_open_and_grow_with_the_eyes(model):
    landmarks, photo = in_photo(model.mean, 200.0), torch.zeros(3, 800, 800, dtype=torch.uint8)
    for values, scale in (({"eyes_open": 2.0}, 1.0), ({"eyes_open": 2.0, "eye_size": 2.0}, 1.14)):
        eyeballs = find_shape_flow(photo, landmarks, values, model).eyeballs
        for eyeball, corners in zip(eyeballs, (LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS), strict=True):
            before = landmarks[list(corners)]
            sent = before + model.displace(landmarks, values)[list(corners)]
            assert np.abs(eyeball.after(before) - sent).max() < 0.02 * 200
            assert np.allclose(eyeball.before(eyeball.after(before)), before) and eyeball.scale == pytest.approx(scale)
    flow = find_shape_flow(photo, landmarks, {"eye_size": 2.0}, model).flow
    eye = landmarks[list(LEFT_EYE_CORNERS)].mean(axis=0)
    after = flow.move(eye + np.array([[-12, 0], [12, 0]]))
    assert np.linalg.norm(after[1] - after[0]) / 24 == pytest.approx(1.14, abs=0.03)


def test_an_edit_changes_the_face_and_nothing_outside_its_frame(model):
    photo, landmarks = noise(), in_photo(model.mean)
    edited, flow, _ = reshape_face(photo, landmarks, {"smile": 1.0, "face_width": -1.0}, model)
    left, top, right, bottom = flow.box
    changed = (edited != photo).any(dim=0)
    assert changed[int(landmarks[61, 1]), int(landmarks[61, 0]) - 8 : int(landmarks[61, 0]) + 8].any()
    changed[top:bottom, left:right] = False
    assert not changed.any()
    assert torch.equal(reshape_face(photo, landmarks, {"smile": 0.0}, model)[0], photo)


def test_turning_leaves_the_outline_of_the_head(model):
    assert np.abs(moved(model, {"turn": 1.0})[list(FACE_OVAL)]).max() < 1e-6
    assert moved(model, {"turn": 1.0})[1, 0] == pytest.approx(0.06, rel=0.1)
    assert moved(model, {"tilt": 1.0})[1, 1] == pytest.approx(0.055, rel=0.1)


@pytest.mark.parametrize("name", ["turn", "tilt"])
def test_a_pose_leaves_lips_and_lids_as_far_open_as_they_are(model, name):
    for places in (model.mean, model.mean + 3 * moved(model, {"turn": 1.0})):
        for held in ("mouth_open", "eyes_open"):
            after = READINGS[held](places + moved(model, {name: 1.0}, places))
            assert abs(after - READINGS[held](places)) < 0.001, (held, name)


def test_a_wider_face_leaves_the_eyes_that_everything_is_measured_by(model):
    field = moved(model, {"face_width": 1.0})
    assert np.abs(field[[33, 133, 362, 263, 159, 386]]).max() < 0.001
    assert field[352, 0] > 0.03  # the cheek


@pytest.mark.parametrize("name", ["eyes_open", "brows_up"])
def test_lids_under_low_brows_rise_less_and_fall_as_far(model, name):
    low = model.mean.copy()
    low[[52, 53, 65, 282, 283, 295], 1] += 0.09
    up, held, down = (
        READINGS[name](places + moved(model, {name: amount}, places)) - READINGS[name](places)
        for places, amount in ((model.mean, 1.0), (low, 1.0), (low, -1.0))
    )
    assert 0.3 * up < held < 0.6 * up and down == pytest.approx(-up, rel=0.1)


def test_all_faults_of_the_values_are_told_at_once(model):
    with pytest.raises(InputError) as caught:
        model.displace(in_photo(model.mean), {"smile": 9.0, "beauty": 1.0, "face_width": float("nan")})
    for word in ("smile goes from", "beauty", "face_width goes from", "eye_size"):
        assert word in str(caught.value)


def test_damaged_models_are_refused(tmp_path):
    with pytest.raises(WeightsError, match="shape"):
        ShapeModel.load(tmp_path)
    shutil.copytree(FOLDER, tmp_path / "cut")
    content = json.loads((tmp_path / "cut" / "shape.json").read_text())
    del content["limits"]["smile"]
    (tmp_path / "cut" / "shape.json").write_text(json.dumps(content))
    with pytest.raises(WeightsError, match="smile"):
        ShapeModel.load(tmp_path / "cut")


def test_brows_rise_above_glasses_and_leave_their_rims_where_they_are(model):
    landmarks = in_photo(model.mean)
    y, x = np.mgrid[-0.24:0.4:0.02, -1.0:1.0:0.02]  # lenses and rims
    rims = in_photo(np.stack([x, y], axis=-1).reshape(-1, 2))
    for amount in (SLIDERS["brows_up"].low, SLIDERS["brows_up"].high):
        plain, held = (
            find_shape_flow(noise(), landmarks, {"brows_up": amount}, model, glasses=worn).flow
            for worn in (False, True)
        )
        assert np.abs(plain.at(rims)).max() > 0.03 * UNIT
        assert np.abs(held.at(rims)).max() < 0.01 * UNIT
        brows = landmarks[[105, 66, 334, 296]]
        assert ((held.move(brows) - brows)[:, 1] / amount < -0.5 * 0.03 * UNIT).all()


def test_cheeks_narrow_below_glasses_and_leave_their_rims_where_they_are(model):
    """Rims came closer where they end: a rectangle became a trapezium."""
    landmarks = in_photo(model.mean)
    y, x = np.mgrid[-0.24:0.42:0.02, -1.0:1.0:0.02]
    rims = in_photo(np.stack([x, y], axis=-1).reshape(-1, 2))
    for amount in (SLIDERS["face_width"].low, SLIDERS["face_width"].high):
        plain, held = (
            find_shape_flow(noise(), landmarks, {"face_width": amount}, model, glasses=worn).flow
            for worn in (False, True)
        )
        assert np.abs(plain.at(rims)).max() > 0.03 * UNIT
        assert np.abs(held.at(rims)).max() < 0.012 * UNIT
        jaw = landmarks[[172, 397]]
        assert ((held.move(jaw) - jaw)[:, 0] * (-1, 1) / amount > 0.01 * UNIT).all()


def test_raising_low_brows_above_glasses_again_raises_them_as_far(model):
    low = model.mean.copy()
    low[[52, 53, 65, 282, 283, 295], 1] = low[[159, 386], 1].mean() - 0.14  # has less room than the whole movement
    first, second = (model.displace(in_photo(low), {"brows_up": 1.0}, glasses=True) for _ in range(2))
    assert np.array_equal(first, second) and np.abs(first).max() > 0.5
