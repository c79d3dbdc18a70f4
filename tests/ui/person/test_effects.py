"""What the page says of each slider: hints where something is weak, and the table of leaks."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
import torch

from gan_space.latents.directions import Direction, Directions
from gan_space.ui.i18n import load_locale
from gan_space.ui.person.effects import effects_text, leak_tables_html, slider_hint


def direction(name: str, **measured) -> Direction:
    return Direction(name, torch.ones(4, 3), label={"zh-CN": f"{name}中"}, **measured)


SMILE = direction("smile", success=0.79, monotone=0.95, identity=0.1, effects={"smile": 0.5, "age": 0.15, "yaw": 0.01})
AGE = direction("age", success=1.0, monotone=1.0, identity=0.4, effects={"smile": 0.0, "age": 1.0, "yaw": 0.0})
OWN = direction("fringe", effects={"smile": -0.4, "age": 0.0, "yaw": 0.0}, identity=0.2)


def directions(**record) -> Directions:
    return Directions((SMILE, AGE), "0" * 64, record=record)


class Cells(HTMLParser):
    """Rows of the tables in some HTML."""

    def __init__(self, text: str):
        super().__init__()
        self.rows: list[list[str]] = []
        self.weak: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.is_weak = ("class", "weak") in attributes

    def handle_data(self, data):
        if self.rows:
            self.rows[-1][-1] += data
            self.weak += [data] if getattr(self, "is_weak", False) else []


def test_the_table_holds_what_was_measured():
    cells = Cells(leak_tables_html(directions(leak_limit=0.2), [OWN], "en"))
    assert cells.rows[0] == ["Slider", "Arrives", "Steady", "Person", "Smile", "Age", "Turn"]
    assert cells.rows[1] == ["Smile", "79%", "95%", "0.10", "1", "+0.30", "+0.02"]  # 0.15 for each 0.5 of its own
    assert cells.rows[2] == ["Age", "100%", "100%", "0.40", "+0.00", "1", "+0.00"]
    assert cells.rows[3] == ["Fringe", "–", "–", "0.20", "-0.40", "+0.00", "+0.00"]
    assert cells.weak == ["79%", "+0.30", "0.40", "-0.40"]


def test_photos_have_a_table_of_their_own():
    found = {"smile": {"success": 0.36, "monotone": 0.5, "leak": {"age": 1.49}}, "age": "damaged"}
    cells = Cells(leak_tables_html(directions(on_photos=found, num_encoded=64), (), "en"))
    assert cells.rows[-1][:6] == ["Smile", "36%", "50%", "–", "1", "+1.49"]
    assert "64 photos" in leak_tables_html(directions(on_photos=found, num_encoded=64), (), "en")


def test_a_hint_names_what_is_weak_and_nothing_else():
    assert slider_hint(SMILE, directions(), "en") == "arrives on 79 in 100 faces · also moves Age +0.30"
    assert slider_hint(AGE, directions(), "en") == ""
    assert "smile中 -0.40" in slider_hint(OWN, directions(), "zh-CN")
    assert effects_text({"glasses": 0.5, "left_eye": -0.9, "age": 0.1}, None, "en") == "left eye -0.90, Glasses +0.50"


def test_a_hint_on_photos_tells_what_photos_did():
    found = {"smile": {"success": 0.36, "monotone": 0.5, "leak": {"age": 1.49}}, "age": "damaged"}
    measured = directions(on_photos=found)
    assert slider_hint(SMILE, measured, "en", on_photos=True) == "arrives on 36 in 100 photos · also moves Age +1.49"
    assert slider_hint(SMILE, measured, "en") == "arrives on 79 in 100 faces · also moves Age +0.30"
    # Where photos were not measured, what drawn faces did is still worth knowing.
    assert slider_hint(SMILE, directions(), "en", on_photos=True) == slider_hint(SMILE, directions(), "en")
    assert slider_hint(AGE, measured, "en", on_photos=True) == ""


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_nothing_measured_is_said(language):
    nothing = load_locale(language)["leak.nothing"]
    assert nothing in leak_tables_html(None, (), language)
    assert nothing in leak_tables_html(Directions((direction("smile"),), "0" * 64), (), language)


def test_names_are_shown_as_they_are():
    odd = Direction("odd", torch.ones(4, 3), label={"en": "<b>x</b>"}, effects={"age": 0.5})
    assert "<b>x</b>" not in leak_tables_html(None, [odd], "en")
