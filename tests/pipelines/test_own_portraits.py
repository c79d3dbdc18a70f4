"""Sets of portraits from a person's own photos, with the embedded networks on real photos."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from gan_space.errors import InputError
from gan_space.output.provenance import read_provenance
from gan_space.packs.consent import Consent
from gan_space.pipelines.own_portraits import OwnPortrait
from gan_space.pipelines.personalization import PersonalizationPipeline
from gan_space.portraits.shape import reshape
from gan_space.sets.drawing import alike, summarise
from gan_space.sets.settings import PortraitSetSettings

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "samples"
LAKE = SAMPLES / "woman-lake.jpg"
STRONG = {"smile": 2.5, "nose_size": -2, "eye_size": 2, "face_width": -2}
MINE = Consent("a photo that may be used", "its licence")


@pytest.fixture(scope="module")
def made(person):
    return person.portraits([LAKE], consent=MINE, num=4, seed=3)


def least_likeness(made) -> float:
    return min(one.likeness for one in made.portraits)


def red_of_hair(one: OwnPortrait, person: PersonalizationPipeline) -> float:
    """How much more red than blue the hair of a portrait is on average, in levels."""
    (head,) = one.portrait.heads(person.segmenter)
    left, top, right, bottom = head.box
    hair = np.asarray(one.image)[top:bottom, left:right][head.hair > 0.9].astype(float)
    return float((hair[:, 0] - hair[:, 2]).mean())


def test_one_photo_gives_portraits_that_differ_and_still_show_the_person(made):
    assert len(made.images) == len(made.recipes) == 4 and not made.fault
    assert made.portraits[0].likeness == pytest.approx(1, abs=1e-3)
    assert least_likeness(made) >= PortraitSetSettings().min_likeness
    summaries = [summarise(one.portrait.pixels) for one in made.portraits]
    assert not any(alike(one, other) for one, other in combinations(summaries, 2))
    assert np.array_equal(np.asarray(made.images[0]), np.asarray(Image.open(LAKE).convert("RGB")))  # full size


def test_the_same_seed_gives_the_same_pictures(person, made):
    again = person.portraits([LAKE], consent=MINE, num=4, seed=3)
    assert again.recipes == made.recipes
    assert all((np.asarray(a) == np.asarray(b)).all() for a, b in zip(again.images, made.images, strict=True))


def test_every_file_is_labelled_and_says_how_it_was_made_but_not_whose_photo_it_was(made, tmp_path):
    files = made.save(tmp_path / "out", visible_label=False)
    assert [file.name for file in files] == [f"portrait{number:02d}.jpg" for number in range(1, 5)]
    for file, recipe, picture in zip(files, made.recipes, made.images, strict=True):
        found = read_provenance(file)
        assert found.is_ai_made and found.recipe == recipe
        assert "lake" not in str(found.recipe) and Image.open(file).size == picture.size
        assert picture.size == tuple(recipe["size"])


def test_a_change_beyond_the_limit_is_drawn_weaker_or_not_at_all(person):
    free = person.portraits([LAKE], consent=MINE, num=2, seed=1, attributes=STRONG, looks=[], min_likeness=0.0)
    limit = round(least_likeness(free) + 0.03, 3)
    held = person.portraits([LAKE], consent=MINE, num=2, seed=1, attributes=STRONG, looks=[], min_likeness=limit)
    assert least_likeness(free) < limit <= least_likeness(held)
    assert held.recipes[0]["attributes"]["smile"] == 1.25  # half of it


def test_of_several_photos_the_sharp_and_frontal_one_comes_first_and_useless_ones_are_named(person, tmp_path):
    photo = Image.open(LAKE).convert("RGB")
    small = photo.resize((150, 150)).resize((512, 512))  # soft
    small.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "soft.png")
    Image.new("RGB", (300, 300), "grey").save(tmp_path / "wall.png")
    made = person.portraits([tmp_path / "soft.png", tmp_path / "wall.png", LAKE], consent=MINE, num=2, seed=1)
    assert made.portraits[0].base.name == LAKE.name
    assert any(line.startswith("wall.png") for line in made.checked.lines())


def test_glasses_of_the_photo_stay_straight_under_raised_brows(person):
    officer = SAMPLES / "naval-officer.jpg"
    one = {"num": 1, "looks": [], "frames": ["photo"], "attributes": {"brows_up": 1.0}, "expression": 0, "age": 0}
    (made,) = person.portraits([officer], consent=MINE, **one).portraits
    assert made.base.face.glasses
    straight, bent = (
        reshape(made.base.portrait, person.landmarker, person.shapes, {"brows_up": 1.0}, glasses=glasses).pixels
        for glasses in (True, False)
    )
    assert made.recipe["attributes"] == {"brows_up": 1.0}  # not half of it
    assert np.array_equal(made.portrait.pixels, straight) and not np.array_equal(straight, bent)


def test_what_was_made_stays_where_a_later_portrait_cannot_be(person):
    same = {"looks": [], "frames": ["photo"], "expression": 0.0, "age": 0.0}
    few = person.portraits([LAKE], consent=MINE, num=16, seed=1, **same)
    assert 1 <= len(few.images) == len(few.recipes) < 16
    assert "ask for fewer" in few.fault


def test_without_consent_nothing_is_made_and_all_faults_are_told_at_once(person):
    with pytest.raises(InputError, match="record of consent"):
        person.portraits([LAKE], consent=None)
    with pytest.raises(InputError, match=r"num must be(.|\n)*frames must be(.|\n)*no shape slider 'beard'"):
        person.portraits([LAKE], consent=MINE, num=99, frames=["oval"], attributes={"beard": 1})
    with pytest.raises(InputError, match=r"there is no look .cold-studo.; .* the nearest are cold-studio"):
        person.portraits([LAKE], consent=MINE, looks=["cold-studo"])


def test_hair_is_dyed_and_backgrounds_change_with_a_segmenter_only(person):
    made = person.portraits([LAKE], consent=MINE, num=2, seed=1, looks=["copper-hair", "studio-grey"])
    own = np.asarray(Image.open(LAKE).convert("RGB")).astype(int)
    (wall,) = (one for one in made.portraits if one.recipe["look"] == "studio-grey")
    (dyed,) = (one for one in made.portraits if one.recipe["look"] == "copper-hair")
    corner = np.asarray(wall.image)[:20, :20].astype(int).reshape(-1, 3)
    assert np.ptp(corner, axis=1).max() <= 4 < np.ptp(own[:20, :20].reshape(-1, 3), axis=1).max()  # grey
    assert dyed.likeness >= PortraitSetSettings().min_likeness
    plain = person.portraits([LAKE], consent=MINE, num=1, seed=1, looks=[]).portraits[0]
    assert red_of_hair(dyed, person) > red_of_hair(plain, person) + 20

    without = PersonalizationPipeline.from_pipe(person, segmenter=None)
    with pytest.raises(InputError, match="studio-grey needs a model with a segmenter"):
        without.portraits([LAKE], consent=MINE, looks=["studio-grey"])
    assert not any(one.get("look") == "studio-grey" for one in without.portraits([LAKE], consent=MINE, num=3).recipes)
