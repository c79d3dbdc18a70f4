"""The page in a real browser: Debian's Chromium, driven by playwright."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from gan_space.output.provenance import read_provenance
from gan_space.ui.explore.actions import ExploreActions, recipe_from_text, recipe_to_text
from gan_space.ui.i18n import load_locale
from tests.ui.walking import (
    DESK,
    PHONE,
    expect_no_clock_over_the_page,
    expect_no_text_of,
    expect_to_fit,
    switch_language,
    turn,
    until_opened,
)

ENGLISH, CHINESE = load_locale("en"), load_locale("zh-CN")


@pytest.fixture
def open_page(new_page, app_url):
    """Opens the app at a path."""

    def open_at(path: str = "/", size: tuple[int, int] = DESK, locale: str = "en-US") -> Page:
        page = new_page(app_url + path, size, locale)
        expect(page.locator("#recipe-link")).to_be_visible()
        expect(page.locator("#page-footer")).to_contain_text("Drawn from <noise>")
        return page

    return open_at


@pytest.fixture
def used_page(kept_page, app_url):
    """A page that tests use one after another: what the one before has drawn is there.

    Its visitor's browser speaks a language that the page does not.
    """
    return kept_page(app_url, locale="de-DE", first="#recipe-link")


def recipe_of(page: Page) -> dict:
    link = page.locator("#recipe-link").get_attribute("href")
    return recipe_from_text(link.removeprefix("?recipe="))


def pictures(page: Page):
    return page.locator("#gallery .thumbnail-item img")


def wait_until_drawn(page: Page, before: dict) -> dict:
    expect(page.locator("#recipe-link")).not_to_have_attribute("href", f"?recipe={recipe_to_text(before)}")
    return recipe_of(page)


def chosen_picture(page: Page) -> np.ndarray:
    """Pixels of the large picture, as the server gave them."""
    return np.asarray(Image.open(BytesIO(page.request.get(page.locator("#picture img").get_attribute("src")).body())))


def save(page: Page, tmp_path: Path) -> Path:
    with page.expect_download() as caught:
        page.locator("#download").click()
    path = tmp_path / caught.value.suggested_filename
    caught.value.save_as(path)
    return path


def test_shuffle_shows_portraits_and_the_download_is_labelled(used_page, tiny_pipe, tmp_path):
    page = used_page
    expect(pictures(page)).to_have_count(8)
    before = recipe_of(page)
    assert before["seed"] == 1
    page.locator("#shuffle").click()
    recipe = wait_until_drawn(page, before)
    expect(page.locator("#seed input")).to_have_value(str(recipe["seed"]))
    for source in page.evaluate("[...document.querySelectorAll('#gallery img, #picture img')].map(i => i.src)"):
        body = page.request.get(source).body()
        assert read_provenance(body).is_ai_made and Image.open(BytesIO(body)).size == (256, 256)

    marked = save(page, tmp_path)
    assert marked.suffix == ".png" and Image.open(marked).size == (128, 128)
    label = read_provenance(marked.read_bytes())
    assert label.is_ai_made and label.recipe["seed"] == recipe["seed"]

    page.locator("#visible-label input").uncheck()
    page.locator("#size label", has_text="32 px").click()
    plain = save(page, tmp_path)  # as the controls say when it is asked for
    picture = tiny_pipe(seeds=[recipe["seed"]]).images[0]
    assert np.abs(np.asarray(Image.open(plain)).astype(int) - np.asarray(picture)).max() <= 1
    assert read_provenance(plain.read_bytes()).recipe["upscale_factor"] == 1


def test_the_page_stays_in_reach_while_portraits_are_drawn(used_page, held):
    page, before = used_page, recipe_of(used_page)
    _, goes_on = held(ExploreActions, "portraits")
    page.locator("#shuffle").click()
    expect_no_clock_over_the_page(page, "#gallery")
    goes_on.set()
    wait_until_drawn(page, before)


def test_a_click_chooses_another_portrait_and_a_slider_redraws(used_page):
    page, before = used_page, recipe_of(used_page)
    first = page.locator("#seed input").input_value()
    pictures(page).nth(4).click()
    recipe = wait_until_drawn(page, before)
    assert recipe["seed"] == int(first) + 4
    expect(page.locator("#facts")).to_contain_text(re.compile(rf"Seed\s*{recipe['seed']}"))
    page.locator("#truncation input[type=range]").press("ArrowLeft")
    assert wait_until_drawn(page, recipe)["truncation_psi"] == pytest.approx(0.65)


def test_a_morph_is_animated_and_can_be_saved(used_page, tmp_path):
    page, before = used_page, recipe_of(used_page)
    page.get_by_role("tab", name=ENGLISH["mode.morph"]).click()
    page.locator("#draw-morph").click()
    assert wait_until_drawn(page, before)["seeds"] == [1, 2]
    expect(pictures(page)).to_have_count(8)
    path = save(page, tmp_path)
    with Image.open(path) as picture:
        assert path.suffix == ".webp" and picture.n_frames == 32
    assert read_provenance(path).recipe["seeds"] == [1, 2]


def test_a_link_opens_the_same_mix_again(used_page, open_page):
    page, before = used_page, recipe_of(used_page)
    page.get_by_role("tab", name=ENGLISH["mode.mix"]).click()
    old = page.locator("#picture img").get_attribute("src")
    page.locator("#draw-mix").click()
    recipe = wait_until_drawn(page, before)
    assert recipe["style_mixing_seed"] == 2
    expect(page.locator("#picture img")).not_to_have_attribute("src", old)
    shown = chosen_picture(page)

    link = page.locator("#recipe-link").get_attribute("href")
    again = open_page(f"/{link}")
    assert recipe_of(again) == recipe
    expect(again.get_by_role("tab", name=ENGLISH["mode.mix"])).to_have_attribute("aria-selected", "true")
    expect(again.locator("#picture img")).to_be_visible()
    assert np.array_equal(chosen_picture(again), shown)
    expect(again.locator("#notice")).to_be_hidden()


def test_a_hostile_link_gets_a_friendly_word_in_the_language_that_it_names(open_page):
    page = open_page("/?lang=zh-CN&recipe=%3Cscript%3Ealert(1)%3C/script%3E")
    expect(page.locator("#notice")).to_have_text(CHINESE["error.recipe"])
    expect(page.locator("#shuffle")).to_have_text(CHINESE["portraits.shuffle"])
    expect(pictures(page)).to_have_count(8)


def test_a_link_of_another_model_says_so(open_page, tiny_pipe):
    recipe = {**tiny_pipe(seeds=[3]).recipe[0], "model": "<img src=x onerror=alert(1)>"}
    page = open_page(f"/?recipe={recipe_to_text(recipe)}")
    expect(page.locator("#notice")).to_contain_text("<img src=x onerror=alert(1)>")
    expect(page.locator("#notice img")).to_have_count(0)
    assert recipe_of(page)["seed"] == 3 and recipe_of(page)["model"] == "tiny"


def test_the_browser_chooses_the_language_and_no_phone_scrolls_sideways(used_page, open_page):
    turn(used_page, PHONE)
    for page, texts in ((used_page, ENGLISH), (open_page(size=PHONE, locale="zh-TW"), CHINESE)):
        for key in ("app.title", "app.notice", "portraits.shuffle", "portraits.seed", "results.recipe", "results.copy"):
            expect(page.locator("body")).to_contain_text(texts[key])
        for mode, button in (("portraits", "#shuffle"), ("morph", "#draw-morph"), ("mix", "#draw-mix")):
            page.get_by_role("tab", name=texts[f"mode.{mode}"]).click()
            expect(page.locator(button)).to_be_visible()
            expect_to_fit(page, mode)
        page.locator("#mix-layers input:checked").uncheck()
        expect(page.get_by_text(texts["error.no_layers"]).first).to_be_visible()  # bad settings get a friendly word
    used_page.get_by_role("tab", name=ENGLISH["mode.portraits"]).click()
    turn(used_page, DESK)


def test_the_switch_changes_every_text_and_is_remembered(used_page):
    page = used_page
    switch_language(page, "中文")
    expect(page.locator("#title")).to_have_text(CHINESE["app.title"])
    expect(page.locator("#shuffle")).to_have_text(CHINESE["portraits.shuffle"])
    expect(page.locator("#facts")).to_contain_text(CHINESE["results.recipe"])
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect_no_text_of(page, ENGLISH)
    page.reload()
    until_opened(page)
    expect(page.locator("#shuffle")).to_have_text(CHINESE["portraits.shuffle"])
    switch_language(page, "English")
    expect(page.locator("#shuffle")).to_have_text(ENGLISH["portraits.shuffle"])


AT_FIRST_SIGHT = """new MutationObserver((changes, watching) => {
  const chinese = [...document.querySelectorAll('#language label')].find((one) => one.textContent.includes('中文'));
  if (chinese) { watching.disconnect(); chinese.click(); }
}).observe(document, { childList: true, subtree: true })"""


def test_who_switches_at_first_sight_keeps_the_language(browser, app_url):
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    page.add_init_script(AT_FIRST_SIGHT)
    page.goto(app_url)
    expect(page.locator("#shuffle")).to_have_text(CHINESE["portraits.shuffle"])
    expect(page.locator("#language input:checked")).to_have_value("zh-CN")
    context.close()


def test_who_switches_while_the_page_still_opens_keeps_the_language(used_page, app_url):
    page = used_page
    page.evaluate("localStorage.clear()")
    page.context.clear_cookies()
    held, waiting = [], [True]
    page.route("**/queue/data*", lambda route: held.append(route) if waiting else route.continue_())  # no answer comes
    page.goto(app_url)
    page.locator("#language label", has_text="中文").click()
    waiting.clear()
    for route in held:
        route.continue_()
    expect(page.locator("#shuffle")).to_have_text(CHINESE["portraits.shuffle"])
    expect(page.locator("#language input:checked")).to_have_value("zh-CN")
