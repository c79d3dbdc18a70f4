"""Age out of the photo's own detail: lines deepen and soften, skin stays as light, hair and background as they were."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import gan_space
from gan_space.errors import InputError, WeightsError
from gan_space.faces.regions import find_region, find_skin
from gan_space.faces.shape import SLIDERS, ShapeModel
from gan_space.pipelines.personalization import PersonalizationPipeline
from gan_space.portraits.aging import AGE_SLIDER, BOX, AgeModel, change_age, shape_of_age
from gan_space.portraits.shape import reshape_face
from gan_space.portraits.wrinkles import draw_wrinkles

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"
FOLDER = Path(gan_space.__file__).parent / "assets" / "default" / "shape"
UNIT, MIDDLE, SIZE = 80.0, np.array([200.0, 130.0]), (360, 400)


@pytest.fixture(scope="module")
def shape() -> ShapeModel:
    return ShapeModel.load(FOLDER)


@pytest.fixture(scope="module")
def ages(shape) -> AgeModel:
    return AgeModel.load(FOLDER, shape.mean)


def skin(lightness: float, lines: float = 0.0, rough: float = 0.06) -> torch.Tensor:
    """A face of one colour and some texture, with lines of this depth across the forehead."""
    texture = cv2.GaussianBlur(np.random.default_rng(0).normal(0, rough, SIZE), (0, 0), 1.2)
    picture = (1 + texture)[..., None] * np.array([1.0, 0.75, 0.65]) * lightness
    picture = picture.clip(0, 255)
    rows = np.arange(SIZE[0])[:, None, None]
    return torch.from_numpy((picture * (1 - lines * (rows % 8 < 2) * (rows < 110))).round().astype(np.uint8)).permute(
        2, 0, 1
    )


def colored(photo: torch.Tensor, landmarks: np.ndarray) -> torch.Tensor:
    """The same with red lips before green, or it would be a photo in one tone."""
    lips = find_region(landmarks, "lips", SIZE, 0.0).full(*SIZE).numpy() > 0.5
    photo = photo.clone()
    photo[:, torch.from_numpy(lips)] = torch.tensor([[170], [70], [75]], dtype=torch.uint8)
    photo[:, :, :40] = torch.tensor([60, 150, 70], dtype=torch.uint8)[:, None, None]
    return photo


def lightness(photo: torch.Tensor) -> np.ndarray:
    return cv2.cvtColor(photo.permute(1, 2, 0).contiguous().numpy(), cv2.COLOR_RGB2LAB)[..., 0] / 2.55


@pytest.mark.parametrize("level", [230, 90])
@pytest.mark.parametrize("amount", [AGE_SLIDER.low, AGE_SLIDER.high])
def test_skin_gets_neither_lighter_nor_darker_and_nothing_outside_changes(shape, ages, level, amount):
    photo, landmarks = skin(level), UNIT * shape.mean + MIDDLE
    after = change_age(photo, landmarks, amount, ages)
    inside = find_region(landmarks, "skin", SIZE, 0.0).full(*SIZE).numpy() > 0.5
    assert abs((lightness(after) - lightness(photo))[inside].mean()) < 1.0
    outside = find_region(landmarks, "face", SIZE, 0.06).full(*SIZE).numpy() < 0.01
    assert not (after != photo).any(dim=0).numpy()[outside].any()
    fold = (UNIT * np.array([0.47, 0.63]) + MIDDLE).astype(int)  # between nose and corner of the mouth
    if amount > 0:
        near = lightness(after)[fold[1] - 4 : fold[1] + 5, fold[0] - 4 : fold[0] + 5]
        assert near.min() < 0.93 * lightness(photo).max()


def test_lines_deepen_with_age_and_soften_with_youth_step_by_step(shape, ages):
    photo, landmarks = skin(200, 0.15), UNIT * shape.mean + MIDDLE
    x, y = (UNIT * np.array([0.0, -0.45]) + MIDDLE).astype(int)

    def depth(amount: float) -> float:
        part = lightness(change_age(photo, landmarks, amount, ages))[y - 12 : y + 13, x - 30 : x + 31]
        return float(part.std(axis=0).mean())

    depths = [depth(amount) for amount in (-3.0, -1.5, 0.0, 1.5, 2.5)]
    assert all(later > earlier for earlier, later in pairwise(depths)), depths
    assert torch.equal(change_age(photo, landmarks, 0.0, ages), photo)


def test_folds_in_light_skin_are_shallower_and_youth_keeps_pores(shape, ages):
    landmarks = UNIT * shape.mean + MIDDLE
    x, y = (UNIT * np.array([0.47, 0.63]) + MIDDLE).astype(int)
    light, dark = (
        (lightness(change_age(skin(level), landmarks, 2.5, ages)) / lightness(skin(level)))[
            y - 4 : y + 5, x - 4 : x + 5
        ]
        for level in (250, 120)
    )
    assert dark.min() < 0.9 and 1 - light.min() < 0.7 * (1 - dark.min())
    pores = skin(200).int() + 20 * (torch.arange(SIZE[1]) % 2)
    after = change_age(pores.to(torch.uint8), landmarks, -3.0, ages)
    cheek = (UNIT * np.array([0.55, 0.35]) + MIDDLE).astype(int)
    near = (slice(cheek[1] - 8, cheek[1] + 8), slice(cheek[0] - 8, cheek[0] + 8))
    fine, before = (np.abs(np.diff(lightness(one), axis=1))[near].mean() for one in (after, pores.to(torch.uint8)))
    assert fine > 0.97 * before


def test_youth_fills_lines_and_leaves_the_skin_beside_them_as_sharp(shape, ages):
    """On the forehead, where lines soften most. This texture is as coarse as lines: real pores keep more of theirs."""
    landmarks = UNIT * shape.mean + MIDDLE
    x, y = (UNIT * np.array([0.0, -0.45]) + MIDDLE).astype(int)

    def energy(photo: torch.Tensor) -> float:
        part = lightness(photo)[y - 12 : y + 13, x - 30 : x + 31]
        return float(sum(np.square(np.diff(part, axis=axis)).mean() for axis in (0, 1)))

    plain = skin(200, rough=0.12)
    lined = plain * (1 - 0.2 * (torch.arange(SIZE[0]) % 16 < 5)[:, None])
    lined = lined.round().to(torch.uint8)
    sharp = energy(change_age(plain, landmarks, -3.0, ages)) / energy(plain)
    depths = []
    for photo in (lined, change_age(lined, landmarks, -3.0, ages)):
        rows = lightness(photo)[y - 24 : y + 25, x - 30 : x + 31].mean(axis=1)
        depths.append(np.percentile(rows, 90) - np.percentile(rows, 10))
    assert sharp > 0.64 and depths[1] < 0.93 * depths[0]


def test_youth_fills_folds_where_age_makes_them_and_leaves_wide_shades_elsewhere(shape, ages):
    """A fold beside the nose fills, a shade as wide beside the chin is the shape of a face."""
    photo, landmarks = skin(180, rough=0.02), UNIT * shape.mean + MIDDLE
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    left = {}
    for name, place in (("fold", (0.47, 0.63)), ("chin", (0.0, 1.42))):
        at = UNIT * np.array(place) + MIDDLE
        dark = 1 - 0.25 * np.exp(-((x - at[0]) ** 2 + ((y - at[1]) / 2) ** 2) / (0.06 * UNIT) ** 2)
        shaded = (photo.float() * torch.from_numpy(dark)).round().to(torch.uint8)
        near = (slice(int(at[1]) - 3, int(at[1]) + 4), slice(int(at[0]) - 3, int(at[0]) + 4))
        depths = [
            lightness(plain)[near].mean() - lightness(one)[near].mean()
            for plain, one in (
                (photo, shaded),
                (change_age(photo, landmarks, -3.0, ages), change_age(shaded, landmarks, -3.0, ages)),
            )
        ]
        left[name] = depths[1] / depths[0]
    assert left["fold"] < 0.6 and left["chin"] > left["fold"] + 0.15, left


def test_youth_evens_blotches_of_colour_and_keeps_the_mean_of_skin(shape, ages):
    photo, landmarks = skin(190), UNIT * shape.mean + MIDDLE
    blotch = np.random.default_rng(1).normal(0, 1, SIZE).astype(np.float32)
    blotch = cv2.GaussianBlur(blotch, (0, 0), 0.05 * UNIT)
    red = torch.from_numpy(6 * blotch / blotch.std()).clamp(-15, 15)
    photo = (photo.float() - torch.stack([0 * red, red, red])).round().clamp(0, 255).to(torch.uint8)
    photo = colored(photo, landmarks)
    inside = cv2.erode(find_region(landmarks, "cheeks", SIZE, 0.0).full(*SIZE).numpy(), np.ones((9, 9))) > 0.9

    def red_of(one: torch.Tensor) -> np.ndarray:
        return cv2.cvtColor(one.permute(1, 2, 0).contiguous().numpy(), cv2.COLOR_RGB2LAB)[..., 1][inside].astype(float)

    before, after = red_of(photo), red_of(change_age(photo, landmarks, -3.0, ages))
    assert after.std() < 0.85 * before.std() and abs(after.mean() - before.mean()) < 1.0


def test_youth_gives_eyes_contrast_and_their_whites_less_red(shape, ages):
    landmarks = UNIT * shape.mean + MIDDLE
    photo = colored(skin(180), landmarks)
    eyes = find_region(landmarks, "eyes", SIZE, 0.0).full(*SIZE).numpy() > 0.9
    iris = find_region(landmarks, "irises", SIZE, 0.0).full(*SIZE).numpy() > 0.5
    photo[:, torch.from_numpy(eyes)] = torch.tensor([[190], [165], [160]], dtype=torch.uint8)
    photo[:, torch.from_numpy(eyes & iris)] = torch.tensor([[70], [55], [45]], dtype=torch.uint8)
    young = change_age(photo, landmarks, -3.0, ages)
    white = eyes & (cv2.dilate(iris.astype(np.uint8), np.ones((3, 3))) == 0)
    contrast = [lightness(one)[white].mean() - lightness(one)[eyes & iris].mean() for one in (photo, young)]
    reds = [(one[0].float() - one[1].float()).numpy()[white].mean() for one in (photo, young)]
    assert contrast[1] > contrast[0] + 2 and reds[1] < reds[0] - 5
    shut = colored(skin(180), landmarks)  # lids, which are as light as skin
    reds = [
        (one[0].float() - one[1].float()).numpy()[eyes].mean() for one in (shut, change_age(shut, landmarks, -3, ages))
    ]
    assert abs(reds[1] - reds[0]) < 4


def test_folds_are_shallower_on_smooth_skin_and_fade_where_skin_is_seen_from_the_side(shape, ages):
    """Where lines would look drawn."""
    landmarks = UNIT * shape.mean + MIDDLE
    aside = landmarks.copy()
    left = shape.mean[:, 0] < 0
    aside[left, 0] = MIDDLE[0] + 0.4 * (landmarks[left, 0] - MIDDLE[0])

    def fold(photo: torch.Tensor, points: np.ndarray) -> float:
        x, y = points[205].astype(int)  # beside the nose, to the left
        before, after = (lightness(one) for one in (photo, change_age(photo, points, 2.5, ages)))
        change = cv2.GaussianBlur((after - before).astype(np.float32), (0, 0), 2.0)
        return -float(change[y - 16 : y + 17, x - 16 : x + 17].min())

    rough, smooth = (fold(skin(150, rough=one), landmarks) for one in (0.06, 0.0))
    assert rough > 3 and 0.3 * rough < smooth < 0.75 * rough
    assert fold(skin(150), aside) < 0.6 * rough


def test_lines_dissolve_on_smooth_skin(shape, ages):
    """Crescents and scratches are what crisp lines look like there."""
    photo, landmarks = skin(200, rough=0.0), UNIT * shape.mean + MIDDLE
    x, y = (UNIT * np.array([0.5, 0.2]) + MIDDLE).astype(int)  # below an eye
    change = (lightness(change_age(photo, landmarks, 2.5, ages)) - lightness(photo)).astype(np.float32)
    change = cv2.GaussianBlur(change, (0, 0), 1.5)[y - 16 : y + 40, x - 24 : x + 25]  # less what rounding leaves
    assert change.std() > 0.5
    assert (change - cv2.GaussianBlur(change, (0, 0), 0.03 * UNIT)).std() < 0.28 * change.std()  # 0.33 where crisp


def test_what_is_no_skin_is_left_alone(shape, ages):
    photo, landmarks = skin(200), UNIT * shape.mean + MIDDLE
    photo[:, :95] = torch.tensor([30, 22, 18], dtype=torch.uint8)[:, None, None]  # a fringe
    after = change_age(photo, landmarks, 2.5, ages)
    assert (after[:, :85].int() - photo[:, :85].int()).abs().max() <= 3
    assert find_skin(landmarks, photo, (100, 0, 300, 360))[:80].max() < 0.1
    away = landmarks + 900
    assert torch.equal(change_age(photo, away, 2.5, ages), photo)


def test_wrinkles_are_the_same_each_time_and_darker_than_skin():
    drawn = draw_wrinkles(60, BOX)
    assert np.array_equal(drawn, draw_wrinkles(60, BOX)) and not np.array_equal(drawn, draw_wrinkles(60, BOX, seed=1))
    assert drawn.min() < -8 and 0 < drawn.max() < 8
    assert not np.allclose(drawn, drawn[:, ::-1], atol=1.0)  # no face is a mirror


def test_a_shape_goes_with_an_age_and_keeps_to_the_ranges_of_what_is_asked_for():
    assert shape_of_age(0.0) == {} and shape_of_age(0.0, {"smile": 1.0}) == {"smile": 1.0}
    old, some, young = shape_of_age(2.5), shape_of_age(1.0), shape_of_age(-3.0)
    assert old["lip_fullness"] < some["lip_fullness"] < 0 < young["lip_fullness"]
    both = shape_of_age(2.5, {"smile": 1.0, "lip_fullness": -1.4, "v_line": 1.0})
    assert both["smile"] == 1.0 and both["lip_fullness"] == SLIDERS["lip_fullness"].low
    assert both["v_line"] == pytest.approx(1.0 + old["v_line"])
    with pytest.raises(InputError, match=r"v_line goes from -1 to 2, got 9(.|\n)*age goes from -3 to 2\.5, got nan"):
        shape_of_age(float("nan"), {"v_line": 9.0})
    with pytest.raises(InputError, match="v_line goes"):
        shape_of_age(0.0, {"v_line": float("nan")})


def test_slivers_of_a_face_at_the_rim_of_a_photo_work(shape, ages):
    landmarks = UNIT * shape.mean
    left, top = landmarks.min(axis=0)
    for wide, high in ((1, 40), (2, 300), (40, 1), (300, 2), (1, 1), (7, 9), (9, 7)):
        photo = torch.full((3, high, wide), 150, dtype=torch.uint8)
        places = landmarks - (left + 70, top + 70)
        assert change_age(photo, places, 2.5, ages).shape == photo.shape


def test_without_a_shape_model_no_age_is_offered():
    person = PersonalizationPipeline.from_pretrained()
    portrait, person.shapes = person.open(SAMPLES / "woman-lake.jpg"), None
    assert person.ages is not None and "age" not in person.photo_sliders
    with pytest.raises(InputError, match="age"):
        person.edit(portrait, {"age": 1.0})


def test_lips_pale_with_age_and_keep_their_light(shape, ages):
    photo, landmarks = skin(200), UNIT * shape.mean + MIDDLE
    lips = find_region(landmarks, "lips", SIZE, 0.0).full(*SIZE).numpy() > 0.5
    red = torch.tensor([170, 70, 75], dtype=torch.uint8)[:, None, None]
    photo = torch.where(torch.from_numpy(lips), red, photo)

    def seen(one: torch.Tensor) -> tuple[float, float]:
        lab = cv2.cvtColor(one.permute(1, 2, 0).contiguous().numpy(), cv2.COLOR_RGB2LAB).astype(np.float32)
        inner = cv2.erode(lips.astype(np.uint8), np.ones((5, 5))) > 0
        return float(lab[inner][:, 1].mean()), float(lab[inner][:, 0].mean())

    old, now, young = (seen(change_age(photo, landmarks, amount, ages)) for amount in (2.5, 0.0, -3.0))
    assert old[0] < now[0] - 4 < now[0] + 1 < young[0] and abs(old[1] - now[1]) < 4


def test_an_edit_takes_age_from_the_photo_and_faults_are_told(shape, ages, tmp_path):
    person = PersonalizationPipeline.from_pretrained()
    portrait, person.segmenter = person.open(SAMPLES / "woman-lake.jpg"), None  # hair: test_hair_age.py
    (marks,) = portrait.landmarks(person.landmarker)
    out = person.edit(portrait, {"age": 2.0})
    moved, _, points = reshape_face(portrait.pixels, marks.points, shape_of_age(2.0), person.shapes)
    wanted = change_age(moved, points, 2.0, person.ages)
    assert np.array_equal(np.asarray(out.image), wanted.permute(1, 2, 0).numpy()) and out.recipe["attributes"] == {
        "age": 2.0
    }
    assert "age" in person.photo_sliders
    with pytest.raises(InputError, match=r"age goes from -3 to 2\.5, got 4"):
        change_age(portrait.pixels, marks.points, 4, ages)
    with pytest.raises(WeightsError, match="age model"):
        AgeModel.load(tmp_path, shape.mean)
