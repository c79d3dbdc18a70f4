"""Where the page says what is wrong: in sight, over neither a face nor a button, and nothing jumps for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from gan_space.ui.i18n import load_locale
from tests.ui.walking import DESK, PHONE, SHIFTS, expect_nothing_moved, expect_to_fit, wait_until

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
AT_REST = "document.querySelector('.photo-page').getAttribute('aria-busy') === 'false'"
# What a notice lies over, among pictures and all that can be pressed; "screen" where it is not all in sight.
COVERED = """() => {
  const notice = document.querySelector('.notice-line');
  const box = notice.getBoundingClientRect();
  const inside = box.top >= 0 && box.left >= 0 && box.bottom <= innerHeight && box.right <= innerWidth;
  const below = new Set(); // what is scrolled out of a strip is not there
  for (let x = box.left + 1; x < box.right; x += 6) for (let y = box.top + 1; y < box.bottom; y += 6)
    for (const one of document.elementsFromPoint(x, y)) below.add(one);
  const others = [...below].filter((one) => one.matches('.picture, .greeting-picture, button, input, a, label'));
  const told = others.filter((one) => !notice.contains(one)).map((one) => `${one.tagName} ${one.className}`);
  return [...(inside ? [] : ['screen']), ...told];
}"""
MAX_SHIFT = 0.1  # of all notices together; up to 0.055 was seen, of tools that a face brings along
COME_BACK = ("section", "jump")  # with a photo of a face after one without: the groups of looks that need one


@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_a_notice_covers_neither_face_nor_button(new_page, photo_url, tmp_path, size, locale):
    page, texts = new_page(photo_url, size, locale, SHIFTS), load_locale(locale.split("-US")[0])
    (tmp_path / "letter.pdf").write_bytes(b"%PDF-1.7")
    Image.new("RGB", (160, 160), "gray").save(tmp_path / "wall.png")

    def bring(path: Path) -> None:
        page.locator("#photo-file").set_input_files(str(path))

    bring(tmp_path / "letter.pdf")
    expect_in_sight(page, texts["photo.error_type"])
    bring(tmp_path / "wall.png")
    expect_in_sight(page, texts["photo.error_no_face"])
    bring(SAMPLES / "naval-officer.jpg")
    wait_until(page, AT_REST)
    expect(page.locator(".notice-line")).to_be_hidden()
    page.locator("#photo-tab-adjust").click()
    page.locator(".chip[data-group='glasses']").click()
    page.locator(".frame[data-frame='square']").click()
    expect_in_sight(page, texts["photo.error_glasses"])
    page.locator("#photo-tab-looks").click()
    expect_in_sight(page, texts["photo.error_glasses"])
    expect_nothing_moved(page, MAX_SHIFT, but=COME_BACK)
    page.locator(".notice-line .close").click()
    expect(page.locator(".notice-line")).to_be_hidden()


def expect_in_sight(page: Page, text: str) -> None:
    """The notice says this, and all else that matters is still seen."""
    expect(page.locator(".notice-line")).to_contain_text(text)
    assert page.evaluate(COVERED) == []
    expect_to_fit(page, text)


def test_a_photo_that_does_not_open_takes_its_adjusting_along(new_page, photo_url, tmp_path):
    page = new_page(photo_url, PHONE, "en-US")
    page.locator("#photo-file").set_input_files(str(SAMPLES / "naval-officer.jpg"))
    wait_until(page, AT_REST)
    page.locator("#photo-tab-adjust").click()
    wait_until(page, "history.state?.panel === 'adjust'")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no picture" * 50)
    page.locator("#photo-file").set_input_files(str(tmp_path / "broken.jpg"))
    expect(page.locator(".photo-page .choose")).to_be_visible()
    wait_until(page, "history.state?.open === false && !history.state.panel")
