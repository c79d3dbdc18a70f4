"""The page for a photo as a page: what it is made of, the way to the other pages and back, and dark ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from gan_space.ui.i18n import load_locale
from tests.ui.walking import PHONE, open_tab, wait_until

ENGLISH = load_locale("en")
SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
AT_REST = "document.querySelector('.photo-page').getAttribute('aria-busy') === 'false'"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
NOTHING_FADES = "document.getAnimations().every((one) => !(one instanceof CSSTransition))"


def faults(page: Page) -> list[str]:
    """What axe-core finds against WCAG 2.2 A and AA on all of a page, and still finds after a while."""
    for _ in range(20):
        wait_until(page, NOTHING_FADES)
        found = Axe().run(page, options=RULES).response
        assert len(found["passes"]) > 5
        if not found["violations"]:
            return []
        page.wait_for_timeout(500)  # what gradio has just drawn gets its name when the page rests, see terms.js
    return [f"{one['id']}: {node['html'][:200]}" for one in found["violations"] for node in one["nodes"]]


def test_the_page_is_one_file_until_somebody_asks_for_something(new_page, style_url):
    page = new_page(style_url)
    expect(page.locator(".photo-page .choose")).to_be_visible()
    loaded = page.evaluate("performance.getEntriesByType('resource').map((one) => [one.name, one.initiatorType])")
    assert [name for name, kind in loaded if kind in ("script", "link", "css")] == []


def test_who_comes_back_from_another_page_finds_the_photo_as_it_was_left(new_page, style_url):
    page = new_page(style_url)
    page.locator("#photo-file").set_input_files(str(SAMPLES / "woman-lake.jpg"))
    page.locator(".look[data-look='golden-hour']").first.click()
    expect(page.locator("#photo-save")).to_be_enabled()
    shown = page.locator(".picture-now").get_attribute("src")
    open_tab(page, "tab.create")
    page.get_by_role("tab", name=ENGLISH["tab.photo"], exact=True).click()
    expect(page.locator(".picture-now")).to_have_attribute("src", shown)
    expect(page.locator(".look[data-look='golden-hour']").first).to_have_attribute("aria-pressed", "true")
    page.locator(".look[data-look='silver-print']").first.click()  # the server knows the photo, too
    wait_until(page, AT_REST)
    expect(page.locator(".picture-now")).not_to_have_attribute("src", shown)
    expect(page.locator(".notice-line")).to_be_hidden()


def test_a_server_that_does_not_answer_is_told_of_in_one_sentence(new_page, style_url):
    page = new_page(style_url)
    page.route("**/queue/join", lambda route: route.abort())
    page.locator("#photo-file").set_input_files(str(SAMPLES / "woman-lake.jpg"))
    expect(page.locator(".notice-line")).to_contain_text(ENGLISH["photo.error_busy"])
    expect(page.locator(".photo-page .choose")).to_be_visible()
    page.unroute("**/queue/join")
    page.locator("#photo-file").set_input_files(str(SAMPLES / "woman-lake.jpg"))
    page.locator(".look[data-look='golden-hour']").first.click()
    expect(page.locator("#photo-save")).to_be_enabled()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_stands_in_the_way_of_a_screen_reader_or_weak_eyes(new_page, style_url, scheme):
    page = new_page(style_url, PHONE if scheme == "dark" else (1280, 900))
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    assert faults(page) == []
    links = page.locator("#pages").bounding_box()
    page.locator("#photo-file").set_input_files(str(SAMPLES / "woman-lake.jpg"))
    page.locator(".look[data-look='golden-hour']").first.click()
    expect(page.locator("#photo-save")).to_be_enabled()
    assert faults(page) == []
    open_tab(page, "tab.create")
    expect(page.locator("#before-after img").first).to_be_visible()
    assert faults(page) == []
    if scheme == "light":  # on a desk they stand where they stood
        assert page.locator("#tabs [role=tablist]").first.bounding_box() == pytest.approx(links, abs=1.5)
    open_tab(page, "tab.explore")
    expect(page.locator("#recipe-link")).to_be_visible()
    assert faults(page) == []
