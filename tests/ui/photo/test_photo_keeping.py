"""How strong a look is and what becomes of it; and that no words of the page are too long for a phone."""

from __future__ import annotations

import re
from pathlib import Path
from threading import Event

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from gan_space.errors import GlassesError
from gan_space.output.provenance import read_provenance
from gan_space.ui.i18n import LANGUAGES, load_locale
from gan_space.ui.photo.actions import PhotoActions
from tests.ui.walking import PATIENCE_MSEC, PHONE, switch_language, wait_until

ENGLISH = load_locale("en")
PHOTO = Path(__file__).resolve().parents[2] / "data" / "samples" / "woman-lake.jpg"
AT_REST = "document.querySelector('.photo-page').getAttribute('aria-busy') === 'false'"
COPIED_SIZE = """async () => {
  const [copied] = await navigator.clipboard.read();
  const { width, height } = await createImageBitmap(await copied.getType('image/png'));
  return [width, height];
}"""
# What the button says in between is read here: 2.5 s later it says something else, and the test may look later still.
DOUBLE_CLICK = """async (which) => {
  const button = document.querySelector(which);
  button.click();
  await new Promise((done) => setTimeout(done));
  const said = button.innerText.trim();
  button.click();
  return said;
}"""
HOLD = """([which, value]) => {
  window.held = document.querySelector(which);
  held.dispatchEvent(new PointerEvent('pointerdown'));
  window.moveTo = (value) => { held.value = value; held.dispatchEvent(new Event('input')); };
  moveTo(value);
}"""
MOVE_UNTIL_TOLD = """(values) => {
  window.stoodAt = new Promise((done) => {
    let moves = 0;
    const move = () => {
      if (document.querySelector('.notice-line').hidden) { moveTo(values[moves++ % values.length]); return; }
      clearInterval(moving);
      done([held.value, String(values[(moves - 1) % values.length])]);
    };
    const moving = setInterval(move, 40);
    move();
  });
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


def test_after_a_drawing_that_failed_what_is_set_and_saved_is_what_is_shown(page, monkeypatch, tmp_path):
    preview, shown = PhotoActions.preview, page.locator(".picture-now").get_attribute("src")
    notice, downloads = page.locator(".notice-line"), []
    page.on("download", lambda one: downloads.append(one))

    def failing(actions, opened, ask):
        if ask.glasses != "none":
            raise GlassesError("it wears some")
        if ask.edits or ask.look == "comic":
            raise RuntimeError("out of memory")
        return preview(actions, opened, ask)

    monkeypatch.setattr(PhotoActions, "preview", failing)
    page.locator(".look[data-look='comic']").first.click()
    expect(notice).to_contain_text(ENGLISH["photo.error_busy"])
    expect(page.locator(".look[data-look='golden-hour']").first).to_have_attribute("aria-pressed", "true")
    page.locator("#photo-tab-adjust").click()
    page.locator("#photo-slider-smile").press("End")
    expect(notice).to_contain_text(ENGLISH["photo.error_busy"])
    expect(page.locator("#photo-slider-smile")).to_have_value("0")
    expect(page.locator(".picture-now")).to_have_attribute("src", shown)
    with page.expect_download() as caught:
        page.locator("#photo-save").click()
    caught.value.save_as(tmp_path / "saved.jpg")
    recipe = read_provenance(tmp_path / "saved.jpg").recipe
    assert recipe["look"] == "golden-hour" and not recipe.get("edits")
    expect(page.locator("#photo-save")).to_have_text(ENGLISH["photo.save"])
    assert page.evaluate(DOUBLE_CLICK, "#photo-save") == ENGLISH["photo.saved"]

    # What else was asked for in that moment is drawn without what a face cannot wear, and the reason stays.
    page.locator(".chip[data-group='glasses']").click()
    page.evaluate(
        "document.querySelector(\".look[data-look='silver-print']\").click(),"
        " document.querySelector(\".frame[data-frame='round']\").click()"
    )
    expect(page.locator(".picture-now")).not_to_have_attribute("src", shown)
    wait_until(page, AT_REST)
    expect(notice).to_contain_text(ENGLISH["photo.error_glasses"])
    expect(page.locator(".frame[data-frame='none']")).to_have_attribute("aria-pressed", "true")
    src = page.locator(".picture-now").get_attribute("src")
    assert read_provenance(page.request.get(src).body()).recipe["look"] == "silver-print"
    page.locator(".frame[data-frame='round']").click()
    expect(page.locator(".frame[data-frame='none']")).to_have_attribute("aria-pressed", "true")
    wait_until(page, AT_REST)
    expect(page.locator("#photo-save")).to_be_enabled()
    assert len(downloads) == 2


def test_who_comes_back_finds_the_tools_as_they_were_left(page):
    adjust, glasses = page.locator("#photo-tab-adjust"), page.locator(".chip[data-group='glasses']")
    adjust.click()
    glasses.click()
    page.reload()
    expect(page.locator(".picture-now")).to_be_visible()
    expect(adjust).to_have_attribute("aria-selected", "true")
    expect(glasses).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".frame[data-frame='round']")).to_be_visible()
    page.locator("#photo-tab-looks").click()
    page.reload()
    expect(page.locator(".look[data-look='golden-hour']").first).to_be_visible()
    expect(page.locator("#photo-tab-looks")).to_have_attribute("aria-selected", "true")
    adjust.click()
    expect(glasses).to_have_attribute("aria-pressed", "true")
    expect(glasses).to_be_in_viewport()  # the last of its row


def test_back_goes_back_one_tab_and_other_pages_begin_with_the_photo_that_is_open(page):
    looks, adjust = page.locator("#photo-tab-looks"), page.locator("#photo-tab-adjust")
    adjust.click()
    looks.click()
    adjust.click()
    expect(adjust).to_have_attribute("aria-selected", "true")
    page.reload()
    expect(page.locator(".picture-now")).to_be_visible()
    page.go_back()
    expect(looks).to_have_attribute("aria-selected", "true")
    page.go_forward()
    expect(adjust).to_have_attribute("aria-selected", "true")

    page.locator("#pages [data-page='create']").click()
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile("before.jpg"))
    page.locator("[data-tab-id='many']").click()
    expect(page.locator("#style-many-start")).to_be_visible()
    page.locator("[data-tab-id='expert']").click()
    page.get_by_role("radio", name=ENGLISH["person.photo"]).click()
    expect(page.locator("#person-photo img")).to_have_attribute("src", re.compile("before.jpg"))
    page.reload()
    expect(page.locator("[data-tab-id='expert']")).to_have_attribute("aria-selected", "true")
    for tab in ("many", "one"):
        page.go_back()
        expect(page.locator(f"[data-tab-id='{tab}']")).to_have_attribute("aria-selected", "true")
    page.go_back()
    expect(page.locator(".picture-now")).to_be_visible()
    expect(adjust).to_have_attribute("aria-selected", "true")


def test_a_slider_that_is_still_held_is_not_thrown_back_by_a_drawing_that_failed(page, monkeypatch):
    preview, begun, goes_on = PhotoActions.preview, Event(), Event()

    def failing(actions, opened, ask):
        if ask.strength >= 0.5:
            return preview(actions, opened, ask)
        begun.set()
        assert goes_on.wait(PATIENCE_MSEC / 1000)
        raise RuntimeError("out of memory")

    monkeypatch.setattr(PhotoActions, "preview", failing)
    page.evaluate(HOLD, ["#photo-strength", 10])  # held still, so it is drawn
    assert begun.wait(PATIENCE_MSEC / 1000)
    page.evaluate(MOVE_UNTIL_TOLD, list(range(20, 40, 2)))
    goes_on.set()
    stands, moved_to = page.evaluate("window.stoodAt")
    assert stands == moved_to
    page.evaluate("moveTo(60), held.dispatchEvent(new Event('change'))")
    wait_until(page, AT_REST)
    expect(page.locator("#photo-strength")).to_have_value("60")
    shown = page.request.get(page.locator(".picture-now").get_attribute("src")).body()
    assert read_provenance(shown).recipe["strength"] == 0.6
