"""What browsers ask for is checked before anything runs, whoever wrote it; and what the page greets with is there."""

from __future__ import annotations

import pytest

from gan_space.errors import InputError
from gan_space.looks.recipe import shipped_looks
from gan_space.ui.photo.actions import GREETING_LOOKS
from gan_space.ui.photo.api import PhotoAsk, PhotoGone
from gan_space.ui.photo.left import LeftPhoto, read_left

LOOKS, SLIDERS = ["pencil"], {"smile": (-1.0, 2.5)}


def read(**asked) -> PhotoAsk:
    return PhotoAsk.read(asked, LOOKS, SLIDERS)


def test_what_is_left_out_changes_nothing():
    assert read() == PhotoAsk() and not read().adjusts
    assert read(edits={"smile": 0.0}).edits == ()


@pytest.mark.parametrize("asked", [{"edits": {"smile": 0.5}}, {"glasses": "round"}])
def test_what_is_asked_for_is_taken_over(asked):
    ask = read(look="pencil", number=3, language="zh-TW", **asked)
    assert (ask.look, ask.number, ask.language, ask.adjusts) == ("pencil", 3, "zh-CN", True)


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"look": "none"}, "look must be"),
        ({"look": ["pencil"]}, "look must be"),
        ({"strength": "1"}, "strength must be"),
        ({"edits": {"smile": 3}}, "smile must be"),
        ({"edits": {"race": 1}}, "no slider"),
        ({"glasses": "x-ray"}, "glasses must be"),
        ({"glasses": ["round"]}, "glasses must be"),
        ({"makeup_strength": 2}, "makeup_strength must be"),
        ({"makeup_tone": "all"}, "makeup_tone must be"),
        ({"faces": True}, "faces must be"),
    ],
)
def test_a_value_that_does_not_work_is_named(asked, named):
    with pytest.raises(InputError, match=named):
        read(**asked)


@pytest.mark.parametrize("path", ["/etc/passwd", {"path": "/etc/passwd"}, 7])
def test_make_up_comes_from_uploads_alone(path):
    with pytest.raises(PhotoGone):
        read(makeup_from=path)


def test_one_look_of_each_group_greets():
    looks = shipped_looks()
    assert sorted(looks[name].group for name in GREETING_LOOKS) == sorted({look.group for look in looks.values()})


@pytest.mark.parametrize("text", ["", "{", "7", "[[1]]", "[" * 99_999, '{"path": "/etc/passwd"}', '{"example": 2}'])
def test_what_is_no_photo_of_the_page_is_not_taken_to_other_tabs(text):
    assert read_left(text, ["first.jpg", "second.jpg"]) is None


@pytest.mark.parametrize(("said", "taken"), [("1", 1), ('"all"', "all"), ("true", "largest"), ("[1]", "largest")])
def test_an_example_goes_to_other_tabs_with_the_faces_that_are_meant(said, taken):
    left = read_left(f'{{"example": 1, "faces": {said}}}', ["first.jpg", "second.jpg"])
    assert left == LeftPhoto("second.jpg", own=False, faces=taken)
