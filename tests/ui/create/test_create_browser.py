"""The tab "Create a look" in a real browser: one photo or several in a look, and looks of one's own."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pytest
from PIL import Image, ImageChops
from playwright.sync_api import Page, expect

from gan_space.output.provenance import read_provenance
from gan_space.ui.explore.actions import recipe_to_text
from gan_space.ui.i18n import load_locale
from tests.ui.walking import open_tab

ENGLISH, CHINESE = load_locale("en"), load_locale("zh-CN")
SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
TIMEOUT_MSEC = 60_000


@pytest.fixture
def open_page(new_page, style_url):
    """Opens the page."""

    def open_at(path: str = "/", width: int = 1280, locale: str = "en-US", ready: str = "#before-after img") -> Page:
        page = new_page(width, locale, TIMEOUT_MSEC)
        page.goto(style_url + path)
        if path == "/":
            open_tab(page, "tab.create", locale)
        expect(page.locator(ready).first).to_be_visible(timeout=TIMEOUT_MSEC)
        return page

    return open_at


def shown_files(page: Page) -> list[str]:
    return page.evaluate("[...document.querySelectorAll('#before-after img')].map(i => i.src)")


def upload(page: Page, box: str, *paths: Path) -> None:
    page.locator(f"{box} input[type=file]").first.set_input_files([str(path) for path in paths])


def take_out_photo(page: Page) -> None:
    page.locator("#photo").locator("[title='Clear'], [aria-label='Clear'], [aria-label='Remove Image']").click()


def expect_drawn(page: Page, before: list[str]) -> None:
    """Wait until another picture stands there."""
    script = "old => [...document.querySelectorAll('#before-after img')].some(i => !old.includes(i.src))"
    page.wait_for_function(script, arg=before, timeout=TIMEOUT_MSEC)


def save(page: Page, button: str, folder: Path) -> Path:
    with page.expect_download(timeout=TIMEOUT_MSEC) as caught:
        page.locator(button).click()
    path = folder / caught.value.suggested_filename
    caught.value.save_as(path)
    return path


def test_the_tab_greets_with_an_example_in_the_first_look(open_page, tmp_path):
    page = open_page()
    expect(page.locator("#style-facts")).to_contain_text(re.compile(r"Look\s*Ink"))
    labels = [read_provenance(page.request.get(source).body()) for source in set(shown_files(page))]
    assert sorted(label is not None and label.is_ai_made for label in labels) == [False, True]  # before and after

    before = shown_files(page)
    page.locator("#looks .thumbnail-item").nth(1).click()
    expect_drawn(page, before)
    expect(page.locator("#style-facts")).to_contain_text(re.compile(r"Look\s*Soft"))
    before = shown_files(page)
    page.locator("#strength input[type=range]").press("ArrowLeft")
    expect_drawn(page, before)
    expect(page.locator("#style-facts")).to_contain_text("0.75")


def test_an_own_photo_comes_with_consent_and_is_saved_at_its_size(open_page, tmp_path):
    wide = Image.new("RGB", (1300, 700), "darkgreen")
    wide.paste(Image.open(SAMPLES / "woman-park.jpg").convert("RGB").resize((600, 600)), (50, 50))
    wide.save(tmp_path / "me and you.jpg")
    page = open_page()
    page.locator("#photo button[aria-label], #photo .icon-button").first.wait_for()
    take_out_photo(page)
    upload(page, "#photo", tmp_path / "me and you.jpg")
    expect(page.locator("#consent")).to_have_text(ENGLISH["style.consent"])
    expect(page.locator("#before-after img").first).to_be_visible(timeout=TIMEOUT_MSEC)
    expect(page.locator("#style-notice")).to_be_hidden()
    page.locator("#style-format label", has_text="PNG").click()
    path = save(page, "#style-download", tmp_path)
    assert path.suffix == ".png" and Image.open(path).size == (1300, 700)
    recipe = read_provenance(path).recipe
    assert recipe["pack"] == "ink" and recipe["consent"].startswith(ENGLISH["photo.consent"])


def test_a_photo_without_a_face_gets_a_word_and_a_way_out(open_page, tmp_path):
    Image.new("RGB", (160, 160), "gray").save(tmp_path / "wall.png")  # small: it is searched everywhere
    page = open_page(locale="zh-CN")
    take_out_photo(page)
    upload(page, "#photo", tmp_path / "wall.png")
    expect(page.locator("#style-notice")).to_contain_text(CHINESE["error.no_face"], timeout=TIMEOUT_MSEC)
    page.locator("#found img").click()
    expect(page.locator("#before-after img").first).to_be_visible(timeout=TIMEOUT_MSEC)
    expect(page.locator("#style-notice")).to_be_hidden()


def test_one_face_of_several_takes_the_look_or_all_of_them(open_page, tmp_path):
    names = ("woman-park.jpg", "naval-officer.jpg")
    group = Image.new("RGB", (900, 460), "darkgreen")
    for place, name in enumerate(names):
        group.paste(Image.open(SAMPLES / name).convert("RGB").resize((430, 430)), (10 + 445 * place, 15))
    group.save(tmp_path / "group.png")
    page = open_page()
    before = shown_files(page)
    take_out_photo(page)
    upload(page, "#photo", tmp_path / "group.png")
    expect_drawn(page, before)

    def changed(folder: Path) -> list[bool]:
        """Of which half of the photo, left and right, the saved picture is another."""
        with Image.open(save(page, "#style-download", folder)) as drawn:
            differences = ImageChops.difference(drawn.convert("RGB"), group)
        halves = [differences.crop((left, 0, left + 450, 330)) for left in (0, 450)]  # above the visible label
        return [half.getbbox() is not None for half in halves]

    page.get_by_text(ENGLISH["style.scope_face"]).first.click()
    page.locator("#style-format label", has_text="PNG").click()
    expect(page.locator("#all-faces")).to_be_visible()
    assert sorted(changed(tmp_path)) == [False, True]
    before = shown_files(page)
    page.locator("#all-faces").click()
    expect_drawn(page, before)
    assert changed(tmp_path) == [True, True]


def test_several_photos_become_a_zip(open_page, tmp_path):
    page = open_page()
    page.get_by_role("tab", name=ENGLISH["style.mode_many"]).click()
    upload(page, "#photos", SAMPLES / "woman-lake.jpg", SAMPLES / "naval-officer.jpg")
    page.locator("#style-many-start").click()
    expect(page.locator("#many-progress")).to_contain_text("2 of 2", timeout=TIMEOUT_MSEC)
    expect(page.locator("#many-archive")).to_be_visible(timeout=TIMEOUT_MSEC)
    with zipfile.ZipFile(save(page, "#many-archive", tmp_path)) as archive:
        assert len(archive.namelist()) == 2
        assert all(read_provenance(archive.read(name)).is_ai_made for name in archive.namelist())


def test_a_look_is_brought_and_tried(open_page, style_folder, tmp_path):
    path = tmp_path / "soft.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in (style_folder / "packs" / "soft").iterdir():
            archive.write(file, f"soft/{file.name}")
    page = open_page()
    before = shown_files(page)
    page.get_by_role("tab", name=ENGLISH["style.mode_make"]).click()
    with page.expect_file_chooser() as chooser:
        page.locator("#make-upload").click()
    chooser.value.set_files(str(path))
    expect(page.locator("#make-try")).to_be_visible(timeout=TIMEOUT_MSEC)
    page.locator("#make-try").click()
    expect(page.locator("#looks .thumbnail-item")).to_have_count(3, timeout=TIMEOUT_MSEC)
    expect(page.locator("#before-after img").first).to_be_visible(timeout=TIMEOUT_MSEC)
    expect_drawn(page, before)
    expect(page.locator("#style-facts")).to_contain_text(re.compile(r"Look\s*Soft"))  # its name, not the pack's id


def test_making_a_look_can_be_stopped(open_page, until_stopped):
    until_stopped("gan_space.pipelines.pack_fitting.tune_on_pictures")
    page = open_page()
    page.get_by_role("tab", name=ENGLISH["style.mode_make"]).click()
    upload(page, "#make-pictures", SAMPLES / "naval-officer.jpg")
    page.locator("#make-name input, #make-name textarea").fill("Navy")
    page.locator("#make-start").click()
    expect(page.locator("#make-progress")).to_contain_text(re.compile(r"Step \d+ of 240"), timeout=TIMEOUT_MSEC)
    page.locator("#make-stop").click()
    expect(page.locator("#make-progress")).to_have_text(ENGLISH["error.stopped"], timeout=TIMEOUT_MSEC)
    for gone in ("#make-preview", "#make-try"):
        expect(page.locator(gone)).to_be_hidden()


def test_who_waits_for_a_look_of_their_own_sees_the_place_in_the_queue(open_page, until_stopped):
    until_stopped("gan_space.pipelines.pack_fitting.tune_on_pictures")
    pages = [open_page() for _ in range(2)]
    for page in pages:
        page.get_by_role("tab", name=ENGLISH["style.mode_make"]).click()
        upload(page, "#make-pictures", SAMPLES / "naval-officer.jpg")
        page.locator("#make-name input, #make-name textarea").fill("Navy")
    pages[0].locator("#make-start").click()
    expect(pages[0].locator("#make-progress")).to_contain_text(re.compile(r"Step \d+ of 240"), timeout=TIMEOUT_MSEC)
    pages[1].locator("#make-start").click()
    expect(pages[1].locator("#make-pictures")).to_contain_text("queue: 1/1", timeout=TIMEOUT_MSEC)
    for page in reversed(pages):
        page.locator("#make-stop").click()
    expect(pages[1].locator("#make-progress")).to_have_text(ENGLISH["error.stopped"], timeout=TIMEOUT_MSEC)


def test_a_link_with_a_recipe_opens_the_tab_that_draws_it(open_page):
    recipe = {"seed": 3, "truncation_psi": 0.7}
    page = open_page(f"/?recipe={recipe_to_text(recipe)}", ready="#recipe-link")
    expect(page.locator("#facts")).to_contain_text(re.compile(r"Seed\s*3"))
    expect(page.locator("#before-after")).to_be_hidden()


def test_the_other_tab_draws_when_it_is_opened(open_page):
    page = open_page()
    open_tab(page, "tab.explore")
    expect(page.locator("#gallery .thumbnail-item")).to_have_count(8, timeout=TIMEOUT_MSEC)


def test_the_network_that_enlarges_can_be_switched_off(open_page):
    page = open_page()
    expect(page.locator("#style-facts")).to_contain_text(ENGLISH["style.upscale_network"])
    page.get_by_text(ENGLISH["style.more"]).click()
    before = shown_files(page)
    page.locator("#upscale input").uncheck()
    expect_drawn(page, before)
    expect(page.locator("#style-facts")).to_contain_text(ENGLISH["style.upscale_plain"])


def test_the_switch_changes_every_text(open_page):
    page = open_page()
    page.locator("#language label", has_text="中文").click()
    expect(page.locator("#title")).to_have_text(CHINESE["app.title_photos"])
    expect(page.locator("#style-facts")).to_contain_text(re.compile(CHINESE["recipe.pack"] + r"\s*水墨"))
    expect(page.locator("#looks")).to_contain_text("水墨")
    page.get_by_text(CHINESE["style.more"]).click()
    body = page.locator("body").inner_text()
    assert [text for text in ENGLISH.values() if text in body and len(text) > 8] == []


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_a_phone_never_scrolls_sideways(open_page, locale):
    page = open_page(width=390, locale=locale)
    texts = CHINESE if locale == "zh-CN" else ENGLISH
    page.get_by_text(texts["style.more"]).click()
    for mode in ("one", "many", "make"):
        page.get_by_role("tab", name=texts[f"style.mode_{mode}"]).click()
        page.wait_for_timeout(500)
        wide = page.evaluate(
            "[...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && "
            "e.getBoundingClientRect().right > innerWidth + 1).map(e => e.tagName + '#' + e.id).slice(0, 5)"
        )
        width, inner = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width <= inner == 390, (mode, json.dumps(wide))
