"""What was seen, in a real browser: lines over the photo as it is, for those who ask, until something is drawn."""

from __future__ import annotations

import base64
import threading
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image, ImageDraw
from playwright.sync_api import Page, expect

from gan_space.ui.i18n import load_locale
from gan_space.ui.photo.actions import PhotoActions
from tests.ui.walking import DESK, PHONE, expect_to_fit, switch_language, wait_until

ENGLISH, CHINESE = load_locale("en"), load_locale("zh-CN")
SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
AT_REST = "document.querySelector('.photo-page').getAttribute('aria-busy') === 'false'"
OPACITY = "getComputedStyle(document.querySelector('.picture-now')).opacity === given"
BADGE = "getComputedStyle(document.querySelector('.picture .badge:not(.place)')).opacity === given"
NOTHING_FADES = "document.getAnimations().every((one) => !(one instanceof CSSTransition))"
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}


@pytest.fixture
def asked(monkeypatch) -> list:
    """The photos of which the server was asked what is seen in them."""
    photos, seen = [], PhotoActions.seen
    monkeypatch.setattr(PhotoActions, "seen", lambda self, opened: photos.append(opened) or seen(self, opened))
    return photos


@pytest.fixture
def open_photo(new_page, photo_url):
    """Opens the page, brings a photo, and goes to the sliders of the face."""

    def open_one(path: Path, size: tuple[int, int] = DESK, locale: str = "en-US") -> Page:
        page = new_page(photo_url, size, locale)
        bring(page, path)
        page.locator("#photo-tab-adjust").click()
        page.locator(".chip[data-group='face']").click()
        return page

    return open_one


def bring(page: Page, path: Path) -> None:
    page.locator("#photo-file").set_input_files(str(path))
    expect(page.locator(".look[data-look='golden-hour'] img[src]").first).to_have_count(1)  # the photo is open
    wait_until(page, AT_REST)


def layer(page: Page) -> np.ndarray:
    """What lies over the photo, once it is there: [H, W, 4]."""
    expect(page.locator(".picture-seen")).to_be_visible()
    address = page.locator(".picture-seen").get_attribute("src")
    return np.asarray(Image.open(BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGBA")).astype(int)


@pytest.mark.parametrize(("size", "locale"), [(DESK, "en-US"), (PHONE, "zh-CN")])
def test_it_is_shown_for_those_who_ask_until_something_is_drawn(open_photo, asked, size, locale):
    page = open_photo(SAMPLES / "woman-lake.jpg", size, locale)
    texts = load_locale(locale.removesuffix("-US"))
    see, over = page.locator("#photo-see"), page.locator(".picture-seen")
    page.locator("#photo-slider-lip_fullness").press("End")
    expect(page.locator("#photo-save")).to_be_enabled()
    assert asked == []
    expect(over).to_be_hidden()

    see.focus()
    page.keyboard.press("Space")
    drawn = np.argwhere(layer(page)[..., 3] > 0)  # of 512 px, as the photo
    assert (drawn.min(axis=0) > 120).all() and (drawn.max(axis=0) < 420).all() and len(drawn) > 1000, "the face alone"
    expect(see).to_have_attribute("aria-pressed", "true")
    expect(page.locator("#photo-seen-list")).to_contain_text(texts["photo.seen_free"])
    lines = page.locator("#photo-seen-list p").all_text_contents()
    assert len(lines) == 2
    wait_until(page, "document.querySelector('[role=status].only-read').textContent === given", " ".join(lines))
    wait_until(page, OPACITY, "0")  # the photo as it is
    wait_until(page, BADGE, "1")  # and it says so
    expect_to_fit(page, locale)
    wait_until(page, NOTHING_FADES)
    assert [one["id"] for one in Axe().run(page, context="#photo-page", options=RULES).response["violations"]] == []

    page.keyboard.press("Enter")
    expect(over).to_be_hidden()
    wait_until(page, OPACITY, "1")
    page.keyboard.press("Enter")
    expect(over).to_be_visible()
    assert len(asked) == 1, "a photo is looked at once"

    page.locator("#photo-slider-lip_fullness").press("Home")
    expect(over).to_be_hidden()
    expect(see).to_have_attribute("aria-pressed", "false")
    wait_until(page, AT_REST)
    see.click()
    expect(over).to_be_visible()
    page.locator("#photo-tab-looks").click()
    expect(over).to_be_hidden()


def test_what_is_covered_and_how_many_faces_there_are_is_said(open_photo, asked, tmp_path):
    group = Image.new("RGB", (900, 460), "darkgreen")
    for place, name in enumerate(("woman-lake.jpg", "naval-officer.jpg")):
        group.paste(Image.open(SAMPLES / name).convert("RGB").resize((430, 430)), (10 + 445 * place, 15))
    ImageDraw.Draw(group).rectangle((170, 240, 280, 300), fill=(70, 90, 120))  # over the woman's mouth
    group.save(tmp_path / "group.png")
    page = open_photo(tmp_path / "group.png")
    page.locator("#photo-see").click()
    drawn = layer(page)
    red = (drawn[..., 3] > 100) & (drawn[..., 0] > 200) & (drawn[..., 1] < 130)
    assert np.argwhere(red)[:, 1].max() < 450 and red.sum() > 20
    told = page.locator("#photo-seen-list")
    expect(told).to_contain_text(ENGLISH["photo.face_number"].format(number=2))
    expect(told).to_contain_text(ENGLISH["photo.seen_covered"].format(parts=ENGLISH["photo.part_mouth"]))
    switch_language(page, "中文")
    expect(told).to_contain_text(CHINESE["photo.seen_covered"].format(parts=CHINESE["photo.part_mouth"]))

    Image.new("RGB", (160, 160), "gray").save(tmp_path / "wall.png")
    bring(page, tmp_path / "wall.png")
    expect(page.locator(".picture-seen")).to_be_hidden()
    page.locator("#photo-see").click()
    expect(told).to_contain_text(CHINESE["photo.seen_none"])
    assert [len(opened.faces) for opened in asked] == [2, 0] and not layer(page)[..., 3].any()


def test_a_photo_that_the_server_has_lost_is_brought_again_and_then_shown(open_photo, asked, monkeypatch):
    opened, open_one = [], PhotoActions.open
    monkeypatch.setattr(PhotoActions, "open", lambda *args, **how: opened.append(open_one(*args, **how)) or opened[-1])
    page = open_photo(SAMPLES / "woman-lake.jpg")
    Path(opened[0].before).unlink()
    page.locator("#photo-see").click()
    assert layer(page)[..., 3].any() and len(opened) == 2
    expect(page.locator(".notice-line")).to_be_hidden()


@pytest.fixture
def hold(monkeypatch):
    """Makes a function of the server wait until its event is set."""
    events = []

    def hold_one(name: str) -> threading.Event:
        go, function = threading.Event(), getattr(PhotoActions, name)
        events.append(go)
        monkeypatch.setattr(PhotoActions, name, lambda *args, **how: go.wait(60) and function(*args, **how))
        return go

    yield hold_one
    for go in events:
        go.set()


def test_who_asks_while_the_photo_goes_up_is_shown_when_it_has_arrived(new_page, photo_url, asked, hold):
    page, go = new_page(photo_url, DESK, "en-US"), hold("open")
    page.locator("#photo-file").set_input_files(str(SAMPLES / "woman-lake.jpg"))
    page.locator("#photo-tab-adjust").click()
    page.locator(".chip[data-group='face']").click()
    see = page.locator("#photo-see")
    see.click()
    expect(see).to_have_attribute("aria-pressed", "true")
    page.locator("#photo-slider-lip_fullness").press("End")  # who asks for this wants to see it
    expect(see).to_have_attribute("aria-pressed", "false")
    page.locator("#photo-slider-lip_fullness").dblclick()  # back in the middle
    see.click()
    assert asked == []
    go.set()
    assert layer(page)[..., 3].any() and len(asked) == 1
    expect(see).to_have_attribute("aria-pressed", "true")


def test_on_off_and_on_again_is_one_question_and_another_photo_is_one_of_its_own(open_photo, asked, hold, tmp_path):
    page, go = open_photo(SAMPLES / "woman-lake.jpg"), hold("seen")
    see, over = page.locator("#photo-see"), page.locator(".picture-seen")
    for pressed in ("true", "false", "true", "false"):
        see.click()
        expect(see).to_have_attribute("aria-pressed", pressed)
        wait_until(page, f"{AT_REST} === {str(pressed == 'false').lower()}")
    go.set()
    wait_until(page, "document.querySelector('.picture-seen').hasAttribute('src')")
    expect(over).to_be_hidden()  # it was taken back
    see.click()
    expect(over).to_be_visible()
    assert len(asked) == 1

    go.clear()
    Image.new("RGB", (160, 160), "gray").save(tmp_path / "wall.png")
    page.locator("#photo-slider-lip_fullness").press("End")
    wait_until(page, AT_REST)
    bring(page, SAMPLES / "naval-officer.jpg")
    see.click()
    wait_until(page, f"!({AT_REST})")
    page.locator("#photo-file").set_input_files(str(tmp_path / "wall.png"))
    see.click()
    expect(see).to_have_attribute("aria-pressed", "true")
    go.set()
    expect(page.locator("#photo-seen-list")).to_contain_text(ENGLISH["photo.seen_none"])
    assert [len(opened.faces) for opened in asked] == [1, 1, 0]
