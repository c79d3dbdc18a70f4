"""How strong a look is and what becomes of it; and that no words of the page are too long for a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from gan_space.output.provenance import read_provenance
from gan_space.ui.i18n import LANGUAGES, load_locale
from tests.ui.walking import PHONE, switch_language, wait_until

ENGLISH = load_locale("en")
PHOTO = Path(__file__).resolve().parents[2] / "data" / "samples" / "woman-lake.jpg"
AT_REST = "document.querySelector('.photo-page').getAttribute('aria-busy') === 'false'"
COPIED_SIZE = """async () => {
  const [copied] = await navigator.clipboard.read();
  const { width, height } = await createImageBitmap(await copied.getType('image/png'));
  return [width, height];
}"""
TOO_LONG = """() => {
  const seen = (which) => [...document.querySelectorAll(which)].filter((one) => one.checkVisibility());
  const lines = (one) => Math.round(one.offsetHeight / parseFloat(getComputedStyle(one).lineHeight));
  const [first, ...labels] = seen('.slider label'); // of equal width, so that sliders stand below each other
  const wide = labels.filter((one) => one.offsetWidth !== first.offsetWidth);
  return [...wide, ...seen('.slider label, .frame span, .label-note').filter((one) => lines(one) > 1)]
    .map((one) => one.textContent);
}"""


@pytest.fixture
def page(new_page, photo_url) -> Page:
    """A phone that shows a look on a photo."""
    page = new_page(photo_url, PHONE)
    page.locator("#photo-file").set_input_files(str(PHOTO))
    page.locator(".look[data-look='golden-hour']").first.click()
    expect(page.locator("#photo-save")).to_be_enabled()
    return page


def test_strength_is_one_slider_that_each_look_keeps_and_what_is_copied_is_the_whole_photo(page):
    page.locator("#photo-strength").fill("40")
    wait_until(page, AT_REST)
    shown = page.request.get(page.locator(".picture-now").get_attribute("src")).body()
    assert read_provenance(shown).recipe["strength"] == 0.4
    for look in ("silver-print", "golden-hour"):
        page.locator(f".look[data-look='{look}']").first.click()
    expect(page.locator("#photo-strength")).to_have_value("40")
    wait_until(page, AT_REST)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".icon.copy").click()
    expect(page.locator("p[role=status]")).to_have_text(ENGLISH["photo.copied"])
    assert tuple(page.evaluate(COPIED_SIZE)) == Image.open(PHOTO).size

    for language in LANGUAGES.values():
        if not page.locator("#language label", has_text=language).locator("input").is_checked():
            switch_language(page, language)
        page.locator("#photo-tab-looks").click()
        assert page.evaluate(TOO_LONG) == []
        page.locator("#photo-tab-adjust").click()
        for chip in page.locator(".chip[data-group]").all():
            chip.click()
            assert page.evaluate(TOO_LONG) == [], chip.inner_text()
