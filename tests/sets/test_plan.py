"""The plan of a set of portraits: repeatable, no two alike, and nothing together that does not go together."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from gan_space.errors import InputError
from gan_space.looks.recipe import shipped_looks
from gan_space.output.visible_label import Box
from gan_space.sets.framing import FRAME_NAMES
from gan_space.sets.plan import BOLD_DYES, LEAST_DISTANCE, Planner, Variation, distance, rule_faults
from gan_space.sets.settings import PortraitSetSettings
from gan_space.sets.traits import PhotoTraits

LOOKS = shipped_looks()
FRAMES = {name: Box(0, 0, 400, 500) for name in FRAME_NAMES}
FACE = PhotoTraits(quality=0.8, turn=0.0, tilt=0.0, frames=FRAMES, suits_makeup=True)
FACES = {
    "plain": FACE,
    "bearded": replace(FACE, suits_makeup=False, beard=True),
    "bald": replace(FACE, suits_makeup=False, little_hair=True),
    "turned, with glasses": replace(FACE, turn=0.3, tilt=0.2, glasses=True),
    "grey": replace(FACE, grey=True),
    "covered": replace(FACE, covered_eyes=True, covered_mouth=True),
    "young, made up, laughing": replace(FACE, young=True, made_up=True, fringe=True, closed_lips=False, light_from=0.3),
    "no room": replace(FACE, frames={"photo": Box(0, 0, 400, 500)}, dark_around=True),
}


def plan_of(planner: Planner, num: int) -> list[Variation]:
    """A set in which every portrait came out well at once."""
    taken: list[Variation] = []
    for kind in planner.kinds(num):
        taken.append(planner.next(kind, taken, len(taken), num))
    return taken


@pytest.mark.parametrize("face", FACES.values(), ids=FACES)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_plan_is_spread_and_keeps_every_rule_whoever_is_in_the_photo(face, seed):
    plan = plan_of(Planner([face], LOOKS, seed=seed), 8)
    assert all(distance(one, other) >= LEAST_DISTANCE for one, other in combinations(plan, 2))
    assert not [fault for one in plan for fault in rule_faults(one, face)]
    assert plan[0].look is None and not plan[0].shape and not plan[0].age  # the photo itself comes first


def test_a_seed_repeats_its_plan_and_another_makes_another():
    plans = [plan_of(Planner([FACE, FACE], LOOKS, seed=seed), 12) for seed in (5, 5, 6)]
    as_dicts = [[one.to_dict() for one in plan] for plan in plans]
    assert as_dicts[0] == as_dicts[1] != as_dicts[2]


def test_a_set_has_photos_as_they_are_and_looks_of_all_kinds_and_uses_all_photos():
    plan = plan_of(Planner([FACE, FACE, FACE], LOOKS, seed=1), 16)
    assert {one.kind for one in plan} == {"", "beauty", "hair", "film", "background", "drawn"}
    assert {one.photo for one in plan} == {0, 1, 2}
    assert len({one.frame for one in plan}) >= 4 and len({one.expression for one in plan}) >= 4
    names = [one.look.name for one in plan if one.look]
    assert len(set(names)) == len(names)  # no look twice while there are others


@pytest.mark.parametrize(
    ("one", "face", "rule"),
    [
        (Variation(look=LOOKS["red-lip"]), FACES["bearded"], "make-up over a beard"),
        (Variation(look=LOOKS["pencil"], age=1.0), FACE, "another age under a drawing"),
        (Variation(look=LOOKS["smoky"], age=-1.0), FACE, "another age under make-up"),
        (Variation(look=LOOKS["copper-hair"], age=1.0), FACE, "another age under dyed hair"),
        (Variation(look=LOOKS["copper-hair"]), FACES["grey"], "dye on a grey photo, or where hardly any hair is"),
        (Variation(look=LOOKS["copper-hair"]), FACES["bald"], "dye on a grey photo, or where hardly any hair is"),
        (Variation(look=LOOKS["studio-grey"], frame="passport"), FACE, "a passport in a look or another age"),
        (Variation(look=LOOKS["cinema"]), FACES["grey"], "make-up or film colours on a grey photo"),
        (Variation(look=LOOKS["high-key"]), FACES["no room"], "a bright surrounding over a dark one"),
        (Variation(shape={"turn": 0.7}), FACES["turned, with glasses"], "a turned head turned further"),
        (Variation(shape={"smile": 1.7}), FACE, "closed lips parted"),
        (Variation(shape={"smile": -0.6}), replace(FACE, closed_lips=False), "a laugh taken back"),
        (Variation(age=-1.0), replace(FACE, young=True), "a young face made younger"),
        (Variation(look=LOOKS["smoky"]), replace(FACE, fringe=True), "strong make-up over make-up or a fringe"),
        (Variation(light="soft", look=LOOKS["id-photo-white"]), FACE, "light on the plain wall of a passport"),
        (Variation(light="window-left"), replace(FACE, light_from=0.2), "light against the photo's own"),
        (Variation(frame="passport", expression="smile"), FACE, "a face that smiles for a passport"),
        (Variation(frame="wide"), FACES["no room"], "no room for the frame"),
    ],
)
def test_what_does_not_go_together_is_named(one, face, rule):
    assert rule in rule_faults(one, face)


def test_what_is_asked_for_holds_for_all_and_named_looks_are_the_only_ones():
    looks = {name: LOOKS[name] for name in ("red-lip", "cinema")}
    planner = Planner([FACE], looks, seed=1, fixed={"smile": 1.2}, frames=["4x5", "avatar"], chosen_looks=True)
    plan = plan_of(planner, 4)
    assert {one.shape["smile"] for one in plan} == {1.2}
    assert {one.look.name for one in plan} == set(looks) and {one.frame for one in plan} == {"4x5", "avatar"}


def test_the_plain_walls_of_passports_are_for_passports():
    walls = {name: LOOKS[name] for name in ("id-photo-white", "id-photo-blue")}
    plan = plan_of(Planner([FACE], walls, seed=1, chosen_looks=True), 2)
    assert {one.look.name for one in plan} == set(walls) and {one.frame for one in plan} == {"passport"}
    no_room = Planner([FACES["no room"]], walls, seed=1, chosen_looks=True)  # who names one gets it all the same
    assert [one.frame for one in plan_of(no_room, 2)] == ["photo", "photo"]


@pytest.mark.parametrize("face", [FACES["bearded"], FACE], ids=["bearded", "plain"])
def test_loud_colours_of_hair_are_not_offered_unasked_to_faces_that_make_up_is_not(face):
    offered = {look.name for look in Planner([face], LOOKS, seed=1).looks[0]["hair"]}
    assert "chestnut-hair" in offered and (set(BOLD_DYES) & offered != set()) == face.suits_makeup


def test_no_more_is_promised_than_differs():
    planner = Planner([FACES["no room"]], {}, seed=1, expression=0, age=0)
    with pytest.raises(InputError, match=r"give \d portraits that differ, 12 were asked for"):
        plan_of(planner, 12)


def test_settings_name_all_faults_at_once():
    with pytest.raises(InputError, match=r"num must be(.|\n)*min_likeness must be"):
        PortraitSetSettings(num=0, min_likeness=2)
