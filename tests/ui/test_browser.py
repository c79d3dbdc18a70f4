"""The page in a real browser: Debian's Chromium, driven by playwright."""

from __future__ import annotations

import json
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from gan_space.output.provenance import read_provenance
from gan_space.ui.explore.actions import recipe_from_text, recipe_to_text
from gan_space.ui.i18n import load_locale

ENGLISH, CHINESE = load_locale("en"), load_locale("zh-CN")
TIMEOUT_MSEC = 30_000


@pytest.fixture
def open_page(new_page, app_url):
    """Opens the app at a path."""

    def open_at(path: str = "/", width: int = 1280, locale: str = "en-US") -> Page:
        page = new_page(width, locale, TIMEOUT_MSEC)
        page.goto(app_url + path)
        expect(page.locator("#recipe-link")).to_be_visible(timeout=TIMEOUT_MSEC)
        expect(page.locator("#page-footer")).to_contain_text("Drawn from <noise>", timeout=TIMEOUT_MSEC)
        return page

    return open_at


def recipe_of(page: Page) -> dict:
    link = page.locator("#recipe-link").get_attribute("href")
    return recipe_from_text(link.removeprefix("?recipe="))


def pictures(page: Page):
    return page.locator("#gallery .thumbnail-item img")


def wait_until_drawn(page: Page, before: dict) -> dict:
    link = f"?recipe={recipe_to_text(before)}"
    expect(page.locator("#recipe-link")).not_to_have_attribute("href", link, timeout=TIMEOUT_MSEC)
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


def wait_for_pixels(page: Page) -> list[int]:
    """Natural widths of all pictures in the gallery, once they have arrived."""
    page.wait_for_function("[...document.querySelectorAll('#gallery img')].every(i => i.complete && i.naturalWidth)")
    return page.evaluate("[...document.querySelectorAll('#gallery img')].map(i => i.naturalWidth)")


def test_shuffle_shows_portraits_and_the_download_is_labelled(open_page, tiny_pipe, tmp_path):
    page = open_page()
    expect(pictures(page)).to_have_count(8)
    before = recipe_of(page)
    assert before["seed"] == 1
    page.locator("#shuffle").click()
    recipe = wait_until_drawn(page, before)
    assert page.locator("#seed input").input_value() == str(recipe["seed"])
    assert wait_for_pixels(page) == [256] * 8
    for source in page.evaluate("[...document.querySelectorAll('#gallery img, #picture img')].map(i => i.src)"):
        assert read_provenance(page.request.get(source).body()).is_ai_made

    marked = save(page, tmp_path)
    assert marked.suffix == ".png" and Image.open(marked).size == (128, 128)
    label = read_provenance(marked.read_bytes())
    assert label.is_ai_made and label.recipe["seed"] == recipe["seed"]

    page.locator("#visible-label input").uncheck()
    with page.expect_response(lambda response: "/queue/data" in response.url):
        page.locator("#size label", has_text="32 px").click()
    page.wait_for_timeout(800)
    plain = save(page, tmp_path)
    picture = tiny_pipe(seeds=[recipe["seed"]]).images[0]
    assert np.abs(np.asarray(Image.open(plain)).astype(int) - np.asarray(picture)).max() <= 1
    assert read_provenance(plain.read_bytes()).recipe["upscale_factor"] == 1


def test_a_click_chooses_another_portrait(open_page):
    page = open_page()
    before = recipe_of(page)
    pictures(page).nth(4).click()
    assert wait_until_drawn(page, before)["seed"] == 5
    expect(page.locator("#facts")).to_contain_text(re.compile(r"Seed\s*5"))


def test_sliders_redraw_when_they_are_let_go(open_page):
    page = open_page()
    before = recipe_of(page)
    page.locator("#truncation input[type=range]").press("ArrowLeft")
    assert wait_until_drawn(page, before)["truncation_psi"] == pytest.approx(0.65)


def test_a_link_opens_the_same_mix_again(open_page):
    page = open_page()
    before = recipe_of(page)
    page.get_by_role("tab", name=ENGLISH["mode.mix"]).click()
    page.locator("#draw-mix").click()
    recipe = wait_until_drawn(page, before)
    assert recipe["style_mixing_seed"] == 2
    shown = chosen_picture(page)

    link = page.locator("#recipe-link").get_attribute("href")
    again = open_page(f"/{link}")
    assert recipe_of(again) == recipe
    expect(again.get_by_role("tab", name=ENGLISH["mode.mix"])).to_have_attribute("aria-selected", "true")
    assert np.array_equal(chosen_picture(again), shown)
    expect(again.locator("#notice")).to_be_hidden()


def test_a_morph_is_animated_and_can_be_saved(open_page, tmp_path):
    page = open_page()
    before = recipe_of(page)
    page.get_by_role("tab", name=ENGLISH["mode.morph"]).click()
    page.locator("#draw-morph").click()
    assert wait_until_drawn(page, before)["seeds"] == [1, 2]
    expect(pictures(page)).to_have_count(8)
    path = save(page, tmp_path)
    with Image.open(path) as picture:
        assert path.suffix == ".webp" and picture.n_frames == 32
    assert read_provenance(path).recipe["seeds"] == [1, 2]


@pytest.mark.parametrize("text", ["garbled", "%3Cscript%3Ealert(1)%3C/script%3E", recipe_to_text({"seed": -5})])
def test_a_hostile_link_gets_a_friendly_word(open_page, text):
    page = open_page(f"/?recipe={text}")
    expect(page.locator("#notice")).to_have_text(ENGLISH["error.recipe"])
    expect(pictures(page)).to_have_count(8)


def test_a_link_of_another_model_says_so(open_page, tiny_pipe):
    recipe = {**tiny_pipe(seeds=[3]).recipe[0], "model": "<img src=x onerror=alert(1)>"}
    page = open_page(f"/?recipe={recipe_to_text(recipe)}")
    expect(page.locator("#notice")).to_contain_text("<img src=x onerror=alert(1)>")
    assert page.locator("#notice img").count() == 0
    assert recipe_of(page)["seed"] == 3 and recipe_of(page)["model"] == "tiny"


def test_bad_settings_get_a_friendly_word(open_page):
    page = open_page(locale="zh-CN")
    page.get_by_role("tab", name=CHINESE["mode.mix"]).click()
    page.locator("#mix-layers input:checked").uncheck()
    expect(page.get_by_text(CHINESE["error.no_layers"]).first).to_be_visible(timeout=TIMEOUT_MSEC)


@pytest.mark.parametrize(
    ("locale", "texts"),
    [("en-US", ENGLISH), ("de-DE", ENGLISH), ("zh-CN", CHINESE), ("zh-TW", CHINESE), ("zh", CHINESE)],
)
def test_the_browser_chooses_the_language(open_page, locale, texts):
    page = open_page(locale=locale)
    for key in ("app.title", "app.notice", "portraits.shuffle", "portraits.seed", "results.recipe", "results.copy"):
        expect(page.locator("body")).to_contain_text(texts[key])


def test_the_switch_changes_every_text_and_is_remembered(open_page):
    page = open_page()
    page.locator("#language label", has_text="中文").click()
    expect(page.locator("#title")).to_have_text(CHINESE["app.title"])
    expect(page.locator("#shuffle")).to_have_text(CHINESE["portraits.shuffle"])
    expect(page.locator("#facts")).to_contain_text(CHINESE["results.recipe"])
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    body = page.locator("body").inner_text()
    assert [text for text in ENGLISH.values() if text in body and len(text) > 8] == []
    page.reload()
    expect(page.locator("#shuffle")).to_have_text(CHINESE["portraits.shuffle"], timeout=TIMEOUT_MSEC)
    page.locator("#language label", has_text="English").click()
    expect(page.locator("#shuffle")).to_have_text(ENGLISH["portraits.shuffle"])


def test_the_link_may_choose_the_language(open_page):
    page = open_page("/?lang=zh-CN")
    expect(page.locator("#shuffle")).to_have_text(CHINESE["portraits.shuffle"], timeout=TIMEOUT_MSEC)


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_a_phone_never_scrolls_sideways(open_page, locale):
    page = open_page(width=390, locale=locale)
    texts = CHINESE if locale == "zh-CN" else ENGLISH
    for mode in ("portraits", "mix", "morph"):
        tab = page.get_by_role("tab", name=texts[f"mode.{mode}"])
        tab.click()
        expect(tab).to_have_attribute("aria-selected", "true")
        wide = page.evaluate(
            "[...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && "
            "e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + '#' + e.id).slice(0, 5)"
        )
        width, inner = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width <= inner == 390, (mode, json.dumps(wide))
