"""Recipes of looks: what is taken, what is refused, and that a file gives back what was saved."""

from __future__ import annotations

import json

import pytest

from gan_space.errors import InputError
from gan_space.looks.recipe import FIRST, GROUPS, LANGUAGES, LookRecipe, shipped_looks

TITLE = {"en": "Mine", "zh-CN": "我的"}


def make_look(**entries) -> LookRecipe:
    return LookRecipe(**{"name": "mine", "title": TITLE, "group": "mine", **entries})


def test_a_saved_look_is_read_back_the_same(tmp_path):
    look = make_look(
        description={"en": "Of mine.", "zh-CN": "我的。"},
        strength=1.0,
        shape={"eye_size": 0.3},
        packs={"soft-glow": 0.5},
        post_processing=[["contrast", 0.2]],
        credit="me",
    )
    read = LookRecipe.load(look.save(tmp_path / "new" / "mine.json"))
    assert read == look
    assert read.digest == look.digest != make_look().digest


def test_every_shipped_look_is_sound_and_in_the_order_of_its_groups():
    looks = shipped_looks()
    assert len(looks) >= 10
    assert all(name == look.name and set(look.description) == set(LANGUAGES) for name, look in looks.items())
    assert set(FIRST) <= set(looks) and next(iter(looks)) == FIRST[0]
    places = [GROUPS.index(look.group) for look in looks.values()]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"name": "../x"}, ["name"]),
        ({"title": {"en": "x"}}, ["title"]),
        ({"title": {"en": "two\nlines", "zh-CN": "x"}}, ["title in en"]),
        ({"title": {"en": "x" * 41, "zh-CN": ""}}, ["title in en", "title in zh-CN"]),
        ({"group": "best"}, ["group"]),
        ({"strength": float("nan")}, ["strength"]),
        ({"strength": True}, ["strength"]),
        ({"shape": {"eye_size": 9, "ears": 1}}, ["eye_size", "ears"]),
        ({"shape": ["eye_size"]}, ["shape"]),
        ({"skin": {"bleach": 1}}, ["bleach"]),
        ({"grade": {"nonsense": 1}}, ["nonsense"]),
        ({"makeup": {"nonsense": {}}}, ["nonsense"]),
        ({"drawing": 5}, ["drawing"]),
        ({"makeup_from": 5}, ["makeup_from"]),
        ({"makeup_from": {"format_version": 1, "picture": "x"}}, ["picture", "points", "lip_color"]),
        ({"packs": {"/etc/passwd": 1, "ink-wash": 5}}, ["passwd", "ink-wash"]),
        ({"post_processing": [["film", 7]]}, ["film"]),
        ({"credit": 5}, ["credit"]),
        ({"name": "", "group": "x", "skin": {"y": 1}}, ["name", "group", "skin"]),
    ],
)
def test_all_faults_are_told_at_once(entries, words):
    with pytest.raises(InputError) as caught:
        make_look(**entries)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format_version": 2}, ["format version"]),
        ({"format_version": None}, ["format version"]),
        ({"code": "import os"}, ["unknown entry 'code'"]),
        ({"title": None, "shape": {"ears": 1}}, ["title", "ears"]),
    ],
)
def test_a_foreign_file_is_refused_by_name(tmp_path, change, words):
    file = tmp_path / "foreign.json"
    file.write_text(json.dumps(make_look().to_dict() | change))
    with pytest.raises(InputError) as caught:
        LookRecipe.load(file)
    assert all(word in str(caught.value) for word in ["foreign.json", *words])


def test_missing_entries_and_faults_of_others_come_together(tmp_path):
    file = tmp_path / "foreign.json"
    file.write_text(json.dumps({"format_version": 1, "name": "x", "shape": {"ears": 1}}))
    with pytest.raises(InputError) as caught:
        LookRecipe.load(file)
    assert all(word in str(caught.value) for word in ["title is missing", "group is missing", "ears"])


@pytest.mark.parametrize("text", ["", "[1]", "{", '{"a":' * 100_000, "<html>"])
def test_what_is_no_look_at_all_is_one_line_of_our_own(tmp_path, text):
    file = tmp_path / "x.json"
    file.write_text(text)
    with pytest.raises(InputError, match=r"x\.json"):
        LookRecipe.load(file)
    with pytest.raises(InputError, match="no look"):
        LookRecipe.load(tmp_path / "nowhere.json")


def test_amounts_go_with_the_strength_and_stop_at_their_ranges():
    look = make_look(shape={"eye_size": 1.6, "smile": -0.4}, post_processing=[["contrast", 0.8]])
    half = look.scaled(0.5)
    assert half.shape == {"eye_size": 0.8, "smile": -0.2} and half.post_processing == (("contrast", 0.4),)
    more = look.scaled(1.5)
    assert more.shape["eye_size"] == 2.0 and more.post_processing == (("contrast", 1.0),)
