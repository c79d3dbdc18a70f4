"""Refining the face of a photo in the tab "Create a look": in Python, then in a real browser."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from gan_space.errors import InputError, NoFaceError
from gan_space.output.provenance import read_provenance
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.styles.settings import StyleSettings
from gan_space.ui.create.actions import CreateActions, StyleRequest, style_pipeline
from gan_space.ui.create.refining import use_refined
from gan_space.ui.i18n import load_locale
from tests.counting import count_calls
from tests.ui.walking import at_tab, expect_changed, open_accordion

ENGLISH, CHINESE = load_locale("en"), load_locale("zh-CN")
SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"


@pytest.fixture(scope="module")
def actions(style_folder) -> CreateActions:
    return CreateActions(style_pipeline(GenerationPipeline.from_pretrained(style_folder)))


@pytest.fixture(scope="module")
def opened(actions):
    return actions.open(str(SAMPLES / "woman-lake.jpg"))


@pytest.fixture(scope="module")
def steps(actions, opened):
    return list(actions.refiner.run(opened, "largest", 6, "visit"))


def pixels(path: str) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_steps_are_told_and_the_last_brings_what_was_reached(opened, steps):
    assert [step.done for step in steps] == [0, 1, 2, 3, 4, 5, 6, 6]
    assert [step.refined is None for step in steps] == [True] * 7 + [False]
    refined = steps[-1].refined
    assert refined.fits(opened.path, [0]) and not refined.fits(opened.path, [1])
    assert refined.refinement.error < refined.refinement.error_before


def test_drawing_uses_it_for_these_faces_of_this_photo(actions, opened, steps):
    request = StyleRequest(actions.looks[0], settings=StyleSettings(transfer="picture", scope="face"))
    plain, better = actions.preview(opened, request), use_refined(opened, steps[-1].refined)
    assert better.refined is steps[-1].refined
    drawn = actions.preview(better, request)
    assert drawn.recipe["refine_steps"] == 6 and "refine_steps" not in plain.recipe
    assert np.abs(pixels(drawn.path) - pixels(plain.path)).max() > 2
    file = actions.file(better, request, "png", False)
    assert file.recipe["refine_steps"] == 6
    other = actions.open(str(SAMPLES / "woman-park.jpg"))
    assert use_refined(other, steps[-1].refined) is other and use_refined(None, steps[-1].refined) is None
    stale = replace(other, refined=steps[-1].refined)
    assert "refine_steps" not in actions.preview(stale, request).recipe
    marked, _ = actions.mark(better, 2, 2)  # a corner, where no face is: numbers move
    assert marked.refined is None and len(marked.faces) == 2


def test_a_photo_is_searched_and_its_face_encoded_once_in_a_visit(actions, tmp_path, monkeypatch):
    calls = count_calls(monkeypatch)
    path = tmp_path / "large.jpg"
    Image.open(SAMPLES / "woman-lake.jpg").convert("RGB").resize((1400, 1400)).save(path)  # the screen shows it smaller
    opened = actions.open(str(path))
    opening = Counter(calls)
    assert opening["detector"] == 1 and opening["encoder"] == 0
    requests = [StyleRequest(look, settings=StyleSettings(scope="face")) for look in actions.looks]
    for request in [*requests, *(with_strength(requests[0], step / 10) for step in range(10))]:
        actions.preview(opened, request)
    *_, last = actions.refiner.run(opened, "largest", 2, "visit3")
    actions.file(use_refined(opened, last.refined), requests[0], "png", False)
    assert calls["detector"] == 1 and calls["aligner"] == opening["aligner"] and calls["encoder"] == 1


def with_strength(request: StyleRequest, strength: float) -> StyleRequest:
    return replace(request, settings=replace(request.settings, strength=strength))


def test_what_was_lost_is_a_labelled_picture(actions, opened, steps):
    path, measured = actions.refiner.lost(opened, "largest")
    better, came = actions.refiner.lost(use_refined(opened, steps[-1].refined), "largest")
    assert measured.num_steps == 0 and came is steps[-1].refined.refinement and came.error < measured.error
    for file, count in ((path, 0), (better, 6)):
        label = read_provenance(file)
        assert label.is_ai_made and label.recipe["refine_steps"] == count
    assert Image.open(path).width == 3 * Image.open(path).height


def test_stopping_keeps_what_was_reached(actions, opened):
    run = actions.refiner.run(opened, "largest", 200, "another")
    for step in run:
        if step.done == 2:
            actions.refiner.stop("another")
        last = step
    assert last.refined is not None and 2 <= last.done < 200
    assert last.refined.refinement.num_steps == last.done
    again = list(actions.refiner.run(opened, "largest", 3, "another"))  # an old stop does not stop a new run
    assert again[-1].done == 3


def test_faults_reach_whoever_waits(actions, opened, tmp_path):
    with pytest.raises(InputError, match="refine_steps must be"):
        list(actions.refiner.run(opened, "largest", 100_000, "a"))
    with pytest.raises(InputError, match="numbered from 0"):
        list(actions.refiner.run(opened, 7, 3, "a"))
    Image.new("RGB", (120, 120), "gray").save(tmp_path / "wall.png")
    with pytest.raises(NoFaceError):
        list(actions.refiner.run(actions.open(str(tmp_path / "wall.png")), "largest", 3, "a"))
    with pytest.raises(InputError, match="no longer on the server"):
        actions.refiner.lost(replace(opened, before=str(tmp_path / "gone.jpg")), "largest")


@pytest.fixture
def open_page(kept_page, style_url):
    """Opens the tab in a language with all settings shown; the tests use one page of each, one after the other."""

    def open_in(texts: dict[str, str]) -> Page:
        locale = "zh-CN" if texts is CHINESE else "en-US"
        page = kept_page(at_tab(style_url, "tab.create"), locale=locale, first="#before-after img")
        open_accordion(page, texts["style.more"])
        return page

    return open_in


def test_a_visitor_refines_a_face_and_sees_what_was_lost(open_page):
    page = open_page(ENGLISH)
    expect(page.locator("#lost-panel")).to_be_hidden()
    page.locator("#lost-show input").check()
    page.locator("#lost").scroll_into_view_if_needed()  # the picture is fetched when it comes into view
    expect(page.locator("#lost img")).to_be_visible()
    before = page.locator("#lost img").get_attribute("src")
    label = read_provenance(page.request.get(before).body())
    assert label.is_ai_made and label.recipe["refine_steps"] == 0
    page.locator("#refine-start").click()
    expect(page.locator("#refine-progress")).to_contain_text("60 steps")
    refined = re.compile(rf"{ENGLISH['recipe.refine_steps']}\s*60")
    expect(page.locator("#style-facts")).to_contain_text(refined)
    expect_changed(page.locator("#lost img"), before)
    page.locator("#examples .thumbnail-item").nth(1).click()
    expect(page.locator("#lost-panel")).to_be_hidden()
    expect(page.locator("#refine-progress")).not_to_contain_text("60")
    expect(page.locator("#style-facts")).not_to_contain_text(ENGLISH["recipe.refine_steps"])


def test_visitors_wait_for_each_other_stop_early_and_keep_what_was_reached(open_page, until_stopped):
    until_stopped("gan_space.portraits.refinement.refine")
    pages = [open_page(texts) for texts in (ENGLISH, CHINESE)]
    for page in pages:
        expect(page.locator("#refine-stop")).to_be_hidden()
    pages[0].locator("#refine-start").click()
    expect(pages[0].locator("#refine-progress")).to_contain_text("Step 3 of 60")
    pages[1].locator("#refine-start").click()
    expect(pages[1].locator("#refine-steps")).to_contain_text("排队：1/1")
    for page in reversed(pages):
        page.locator("#refine-stop").click()
    expect(pages[0].locator("#refine-progress")).to_contain_text("3 steps: ")
    for page in pages:
        expect(page.locator("#refine-stop")).to_be_hidden()
    reached = re.compile(rf"{ENGLISH['recipe.refine_steps']}\s*3(?!\d)")
    expect(pages[0].locator("#style-facts")).to_contain_text(reached)
