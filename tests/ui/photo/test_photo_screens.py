"""The page for a photo on screens of all sizes, with many faces; the way back to its start; how sliders feel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from gan_space.output.provenance import read_provenance
from gan_space.ui.i18n import load_locale
from tests.ui.walking import PHONE, expect_to_fit, turn, until_opened, wait_until

ENGLISH = load_locale("en")
SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
AT_REST = "document.querySelector('.photo-page').getAttribute('aria-busy') === 'false'"
SMALLEST, SIDEWAYS, TWICE = (320, 568), (844, 390), (640, 400)  # TWICE: a desk's page at twice its size
INSIDE = """(one) => {
  const { left, right, top, bottom } = one.getBoundingClientRect();
  return left >= 0 && right <= innerWidth && top >= 0 && bottom <= innerHeight;
}"""
FACES_CUT_OFF = """() => {
  const edge = document.querySelector('.picture').getBoundingClientRect();
  return [...document.querySelectorAll('.face')].filter((one) => {
    one.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    const { left, right } = one.getBoundingClientRect();
    return left < edge.left || right > edge.right;
  }).length;
}"""
# Of an answer the head has come when the page is left; its rest breaks off, and the page is told before it is gone.
BREAKS_OFF = """window.heads = 0;
const ask = window.fetch;
window.fetch = async (address, how) => {
  const answer = await ask(address, how);
  if (!String(address).includes('queue/join') || !window.breaksOff) return answer;
  window.heads += 1;
  const body = new ReadableStream({
    start: (rest) => addEventListener('beforeunload', () => rest.error(new TypeError('it broke off'))),
  });
  return new Response(body, answer);
};"""
FREE_OF_FACES = """() => document.querySelector('.picture-stack').getBoundingClientRect().bottom
  <= document.querySelector('.face').getBoundingClientRect().top"""


@pytest.fixture
def page(new_page, style_url) -> Page:
    return new_page(style_url, PHONE)


def draw(page: Page, photo: Path) -> str:
    """Give a photo a look; the address of the picture."""
    page.locator("#photo-file").set_input_files(str(photo))
    page.locator(".look[data-look='silver-print']").first.click()
    expect(page.locator("#photo-save")).to_be_enabled()
    return page.locator(".picture-now").get_attribute("src")


def test_all_can_be_reached_on_every_screen_and_faces_to_choose_from_cover_none(page, tmp_path):
    group = Image.new("RGB", (900, 600), "darkgreen")
    for number, name in enumerate(("naval-officer", "woman-lake", "woman-park") * 2):
        face = Image.open(SAMPLES / f"{name}.jpg").convert("RGB").resize((290, 290))
        group.paste(face, (300 * (number % 3), 300 * (number // 3)))
    group.save(tmp_path / "group.png")
    turn(page, SMALLEST)
    for screen in (SMALLEST, SIDEWAYS):
        turn(page, screen)
        expect_to_fit(page, str(screen))
        for part in (".choose", ".take", "#language label:last-of-type"):
            assert page.locator(part).evaluate(INSIDE), (screen, part)
    draw(page, tmp_path / "group.png")
    expect(page.locator(".face")).to_have_count(7)  # six, and all of them
    for screen in (SMALLEST, PHONE, SIDEWAYS, TWICE):
        turn(page, screen)
        expect_to_fit(page, str(screen))
        assert page.evaluate(FACES_CUT_OFF) == 0, screen
        assert page.evaluate(FREE_OF_FACES), screen
        page.evaluate("scrollTo(0, 0)")
        for part in (".strength", ".icon.compare", *(["#photo-save"] if screen != SMALLEST else [])):
            assert page.locator(part).evaluate(INSIDE), (screen, part)
    size = "(one) => getComputedStyle(one).fontSize"
    assert page.locator(".jump").first.evaluate(size) == "14px"  # not the text's: a rule for all buttons had hidden it


def test_the_group_that_was_tapped_is_marked_until_the_strip_is_moved(page):
    """Also the last one, which does not come to the top."""
    turn(page, (1280, 800))
    draw(page, SAMPLES / "woman-lake.jpg")
    marked = page.locator(".jump[aria-pressed='true']")
    page.locator(".jump[data-section='drawn']").click()
    expect(marked).to_have_attribute("data-section", "drawn")
    page.locator(".strip").hover()
    page.mouse.wheel(0, -9000)
    expect(marked).not_to_have_attribute("data-section", "drawn")


def test_back_leads_to_the_start_and_from_there_to_the_photo(page):
    shown = draw(page, SAMPLES / "woman-lake.jpg")
    now, start = page.locator(".picture-now"), page.locator(".choose")
    page.go_back()
    expect(start).to_be_visible()
    page.go_forward()
    expect(now).to_be_visible()
    expect(now).to_have_attribute("src", shown)
    page.locator("#pages [aria-current]").click()
    expect(start).to_be_visible()
    page.locator(".go-on").click()
    expect(now).to_have_attribute("src", shown)
    expect(page.locator(".past")).to_have_count(1)
    page.locator(".look[data-look='golden-hour']").first.click()  # the server has it, too
    wait_until(page, AT_REST)
    expect(now).not_to_have_attribute("src", shown)
    page.go_back()
    expect(start).to_be_visible()
    draw(page, SAMPLES / "woman-park.jpg")  # another photo
    expect(page.locator(".past")).to_have_count(1)


def test_what_was_being_drawn_when_the_photo_was_left_is_drawn_on_coming_back(page):
    """Else the file that is saved would not be the picture that is seen."""
    shown = draw(page, SAMPLES / "woman-lake.jpg")
    now = page.locator(".picture-now")
    for name, leave in (("golden-hour", "back"), ("pencil", "reload")):
        page.locator(f".look[data-look='{name}']").first.click()
        if leave == "back":
            page.go_back()
            expect(page.locator(".choose")).to_be_visible()
            page.go_forward()
        else:
            page.reload()
        expect(now).to_be_visible()
        expect(now).not_to_have_attribute("src", shown)
        wait_until(page, AT_REST)
        shown = now.get_attribute("src")
        assert read_provenance(page.request.get(shown).body()).recipe["look"] == name
        expect(page.locator("#photo-save")).to_be_enabled()


def test_a_question_that_breaks_off_as_the_page_is_left_takes_back_neither_the_look_nor_the_photo(new_page, style_url):
    page = new_page(style_url, PHONE, script=BREAKS_OFF)
    look, save = page.locator(".look[data-look='pencil']").first, page.locator("#photo-save")
    for wanted in ("photo", "look"):
        page.evaluate("window.breaksOff = true")
        if wanted == "photo":
            page.locator("#photo-file").set_input_files(str(SAMPLES / "woman-lake.jpg"))
        else:
            look.click()
        wait_until(page, "window.heads > 0")
        page.reload()
        until_opened(page)
        expect(page.locator(".work")).to_be_visible()
        if wanted == "look":
            expect(look).to_have_attribute("aria-pressed", "true")
            expect(save).to_be_enabled()
            shown = page.request.get(page.locator(".picture-now").get_attribute("src")).body()
            assert read_provenance(shown).recipe["look"] == "pencil"
        else:
            wait_until(page, AT_REST)


def test_who_sends_a_photo_slowly_sees_how_much_has_gone(page, tmp_path):
    Image.fromarray(np.random.RandomState(0).randint(0, 255, (400, 400, 3), np.uint8)).save(tmp_path / "large.png")
    network = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 150_000}
    network.send("Network.enable")
    network.send("Network.emulateNetworkConditions", slow)
    page.locator("#photo-file").set_input_files(str(tmp_path / "large.png"))
    before = ENGLISH["photo.waiting_upload"].partition("{")[0]
    wait_until(page, "document.querySelector('.strength .hint').textContent.startsWith(given)", before)


def test_a_slider_that_is_held_still_is_drawn_and_is_one_step_of_the_history(page):
    shown = draw(page, SAMPLES / "woman-lake.jpg")
    box = page.locator("#photo-strength").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    for share in (0.4, 0.3):
        page.mouse.move(box["x"] + box["width"] * share, middle)
        expect(page.locator(".picture-now")).not_to_have_attribute("src", shown)
        wait_until(page, AT_REST)
        shown = page.locator(".picture-now").get_attribute("src")
    page.mouse.up()
    wait_until(page, AT_REST)
    assert page.locator(".picture-now").get_attribute("src") == shown  # it was drawn as it was let go
    expect(page.locator(".past")).to_have_count(2)  # the look, and the move
