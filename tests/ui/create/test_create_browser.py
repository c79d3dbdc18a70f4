"""The tab "Create a look" in a real browser: one photo or several in a look, and looks of one's own."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest
from PIL import Image, ImageChops
from playwright.sync_api import Page, expect

from gan_space.output.provenance import read_provenance
from gan_space.ui.explore.actions import recipe_to_text
from gan_space.ui.i18n import load_locale
from tests.photos.pictures import HEIC
from tests.ui.walking import (
    DESK,
    PHONE,
    at_tab,
    bring_files,
    expect_no_text_of,
    expect_to_fit,
    open_accordion,
    open_tab,
    switch_language,
    turn,
    wait_until,
)

ENGLISH, CHINESE = load_locale("en"), load_locale("zh-CN")
SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"


@pytest.fixture
def open_page(new_page, style_url):
    """Opens a page for a test alone."""

    def open_one() -> Page:
        page = new_page(at_tab(style_url, "tab.create"))
        expect(page.locator("#before-after img").first).to_be_visible()
        return page

    return open_one


@pytest.fixture
def used_page(kept_page, style_url) -> Page:
    """A page that tests use one after another: photo, look and settings are those of the test before."""
    return kept_page(at_tab(style_url, "tab.create"), first="#before-after img")


@pytest.fixture
def chinese_phone(kept_page, style_url) -> Page:
    """As `used_page`, on a phone and in Chinese."""
    return kept_page(at_tab(style_url, "tab.create"), PHONE, "zh-CN", first="#before-after img")


def choose_look(page: Page, number: int, name: str) -> None:
    page.locator("#looks .thumbnail-item").nth(number).click()
    expect(page.locator("#style-facts")).to_contain_text(re.compile(rf"Look\s*{name}"))


def open_more(page: Page, texts: dict[str, str]) -> None:
    open_accordion(page, texts["style.more"])
    expect(page.locator("#upscale")).to_be_visible()


def shown_files(page: Page) -> list[str]:
    return page.evaluate("[...document.querySelectorAll('#before-after img')].map(i => i.src)")


def remove_photo(page: Page) -> None:
    expect(page.locator("#photo img")).to_be_visible()
    page.locator("#photo button").first.click()


def replace_photo(page: Page, path: Path) -> None:
    """Take the photo out and bring another; do not wait in between, nor for what becomes of it."""
    remove_photo(page)
    bring_files(page, "#photo", path)


def expect_drawn(page: Page, before: list[str], some_or_every: str = "some") -> None:
    """Wait until another picture stands there; every one of them is another if the photo is."""
    pictures = "[...document.querySelectorAll('#before-after img')]"
    condition = f"{pictures}.length && {pictures}.{some_or_every}((one) => !given.includes(one.src))"
    wait_until(page, condition, before)


def save(page: Page, button: str, folder: Path) -> Path:
    with page.expect_download() as caught:
        page.locator(button).click()
    path = folder / caught.value.suggested_filename
    caught.value.save_as(path)
    return path


def test_the_tab_greets_with_an_example_in_the_first_look(used_page):
    page = used_page
    expect(page.locator("#style-facts")).to_contain_text(re.compile(r"Look\s*Ink"))
    labels = [read_provenance(page.request.get(source).body()) for source in set(shown_files(page))]
    assert sorted(label is not None and label.is_ai_made for label in labels) == [False, True]  # before and after

    before = shown_files(page)
    choose_look(page, 1, "Soft")
    expect_drawn(page, before)
    before = shown_files(page)
    page.locator("#strength input[type=range]").press("ArrowLeft")
    expect_drawn(page, before)
    expect(page.locator("#style-facts")).to_contain_text("0.75")


def test_the_network_that_enlarges_can_be_switched_off(used_page):
    page = used_page
    choose_look(page, 0, "Ink")
    expect(page.locator("#style-facts")).to_contain_text(ENGLISH["style.upscale_network"])
    open_more(page, ENGLISH)
    before = shown_files(page)
    page.locator("#upscale input").uncheck()
    expect_drawn(page, before)
    expect(page.locator("#style-facts")).to_contain_text(ENGLISH["style.upscale_plain"])


def test_a_photo_that_is_taken_out_is_gone_and_one_that_no_browser_shows_is_seen(used_page, tmp_path):
    page = used_page  # the server has put a photo into the box: gradio then tells of that one when it is taken out
    remove_photo(page)
    expect(page.locator("#before-after")).to_be_hidden()
    (tmp_path / "IMG_0007.HEIC").write_bytes(HEIC)  # of which browsers do not even say that it is a picture
    page.locator("#photo input[type=file]").first.set_input_files(tmp_path / "IMG_0007.HEIC")
    expect(page.locator("#photo img")).to_have_attribute("src", re.compile("before.jpg"))
    expect(page.locator("#style-notice")).to_contain_text(ENGLISH["error.no_face"])
    page.locator("#examples .thumbnail-item").first.click()
    expect(page.locator("#before-after img").first).to_be_visible()


def test_an_own_photo_comes_with_consent_and_is_saved_at_its_size(used_page, tmp_path):
    wide = Image.new("RGB", (1300, 700), "darkgreen")
    wide.paste(Image.open(SAMPLES / "woman-park.jpg").convert("RGB").resize((600, 600)), (50, 50))
    wide.save(tmp_path / "me and you.jpg")
    page = used_page
    choose_look(page, 0, "Ink")
    before = shown_files(page)
    replace_photo(page, tmp_path / "me and you.jpg")
    expect(page.locator("#consent")).to_have_text(ENGLISH["style.consent"])
    expect_drawn(page, before, "every")
    expect(page.locator("#style-notice")).to_be_hidden()
    page.locator("#style-format label", has_text="PNG").click()
    path = save(page, "#style-download", tmp_path)
    assert path.suffix == ".png" and Image.open(path).size == (1300, 700)
    recipe = read_provenance(path).recipe
    assert recipe["pack"] == "ink" and recipe["consent"].startswith(ENGLISH["photo.consent"])


def test_a_photo_without_a_face_gets_a_word_and_a_way_out(chinese_phone, tmp_path):
    Image.new("RGB", (160, 160), "gray").save(tmp_path / "wall.png")  # small: it is searched everywhere
    page = chinese_phone
    replace_photo(page, tmp_path / "wall.png")
    expect(page.locator("#style-notice")).to_contain_text(CHINESE["error.no_face"])
    wait_until(page, "document.querySelector('#found img')?.naturalWidth")  # a click is told in its pixels
    page.locator("#found img").click()
    expect(page.locator("#before-after img").first).to_be_visible()
    expect(page.locator("#style-notice")).to_be_hidden()


def test_one_face_of_several_takes_the_look_or_all_of_them(used_page, tmp_path):
    names = ("woman-park.jpg", "naval-officer.jpg")
    group = Image.new("RGB", (900, 460), "darkgreen")
    for place, name in enumerate(names):
        group.paste(Image.open(SAMPLES / name).convert("RGB").resize((430, 430)), (10 + 445 * place, 15))
    group.save(tmp_path / "group.png")
    page = used_page
    before = shown_files(page)
    replace_photo(page, tmp_path / "group.png")
    expect_drawn(page, before, "every")

    def changed(folder: Path) -> list[bool]:
        """Of which half of the photo, left and right, the saved picture is another."""
        with Image.open(save(page, "#style-download", folder)) as drawn:
            differences = ImageChops.difference(drawn.convert("RGB"), group)
        halves = [differences.crop((left, 0, left + 450, 330)) for left in (0, 450)]  # above the visible label
        return [half.getbbox() is not None for half in halves]

    before = shown_files(page)
    page.get_by_text(ENGLISH["style.scope_face"]).first.click()
    expect_drawn(page, before)
    page.locator("#style-format label", has_text="PNG").click()
    expect(page.locator("#all-faces")).to_be_visible()
    assert sorted(changed(tmp_path)) == [False, True]
    before = shown_files(page)
    page.locator("#all-faces").click()
    expect_drawn(page, before)
    assert changed(tmp_path) == [True, True]


def test_several_photos_become_a_zip(used_page, tmp_path):
    page, before = used_page, shown_files(used_page)
    replace_photo(page, SAMPLES / "woman-lake.jpg")
    expect_drawn(page, before, "every")
    page.get_by_role("tab", name=ENGLISH["style.mode_many"]).click()
    expect(page.locator("#photos .file-preview tr")).to_have_count(1)  # the photo that is open
    bring_files(page, "#photos", SAMPLES / "naval-officer.jpg")
    expect(page.locator("#photos .file-preview tr")).to_have_count(2)
    page.locator("#style-many-start").click()
    expect(page.locator("#many-progress")).to_contain_text("2 of 2")
    expect(page.locator("#many-archive")).to_be_visible()
    with zipfile.ZipFile(save(page, "#many-archive", tmp_path)) as archive:
        assert len(archive.namelist()) == 2
        assert all(read_provenance(archive.read(name)).is_ai_made for name in archive.namelist())


def test_a_look_is_brought_and_tried(used_page, style_folder, tmp_path):
    path = tmp_path / "soft.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in (style_folder / "packs" / "soft").iterdir():
            archive.write(file, f"soft/{file.name}")
    page = used_page
    page.get_by_role("tab", name=ENGLISH["style.mode_one"]).click()
    expect(page.locator("#before-after img").first).to_be_visible()
    before = shown_files(page)
    page.get_by_role("tab", name=ENGLISH["style.mode_make"]).click()
    with page.expect_file_chooser() as chooser:
        page.locator("#make-upload").click()
    chooser.value.set_files(str(path))
    expect(page.locator("#make-try")).to_be_visible()
    page.locator("#make-try").click()
    expect(page.locator("#looks .thumbnail-item")).to_have_count(3)
    expect(page.locator("#before-after img").first).to_be_visible()
    expect_drawn(page, before)
    expect(page.locator("#style-facts")).to_contain_text(re.compile(r"Look\s*Soft"))  # its name, not the pack's id


def test_who_waits_for_a_look_of_their_own_sees_the_place_in_the_queue_and_may_stop(
    used_page, open_page, until_stopped
):
    until_stopped("gan_space.pipelines.pack_fitting.tune_on_pictures")
    pages = [used_page, open_page()]
    for page in pages:
        page.get_by_role("tab", name=ENGLISH["style.mode_make"]).click()
        bring_files(page, "#make-pictures", SAMPLES / "naval-officer.jpg")
        page.locator("#make-name input, #make-name textarea").fill("Navy")
        expect(page.locator("#make-stop")).to_be_hidden()
    pages[0].locator("#make-start").click()
    expect(pages[0].locator("#make-progress")).to_contain_text(re.compile(r"Step \d+ of 240"))
    pages[1].locator("#make-start").click()
    expect(pages[1].locator("#make-pictures")).to_contain_text("queue: 1/1")
    for page in reversed(pages):
        page.locator("#make-stop").click()
    for page in pages:
        expect(page.locator("#make-progress")).to_have_text(ENGLISH["error.stopped"])
        for gone in ("#make-preview", "#make-try", "#make-stop"):
            expect(page.locator(gone)).to_be_hidden()


def test_a_link_with_a_recipe_opens_the_tab_that_draws_it(new_page, style_url):
    recipe = {"seed": 3, "truncation_psi": 0.7}
    page = new_page(f"{style_url}/?recipe={recipe_to_text(recipe)}")
    expect(page.locator("#facts")).to_contain_text(re.compile(r"Seed\s*3"))
    expect(page.locator("#before-after")).to_be_hidden()


def test_a_phone_never_scrolls_sideways(used_page, chinese_phone):
    turn(used_page, PHONE)
    for page, texts in ((used_page, ENGLISH), (chinese_phone, CHINESE)):
        for mode, part in (("many", "#style-many-start"), ("make", "#make-start"), ("one", "#photo")):
            page.get_by_role("tab", name=texts[f"style.mode_{mode}"]).click()
            expect(page.locator(part)).to_be_visible()
            expect_to_fit(page, mode)
        open_more(page, texts)
        expect_to_fit(page, "more")
    turn(used_page, DESK)


def test_the_switch_changes_every_text(used_page):
    page = used_page
    choose_look(page, 0, "Ink")
    switch_language(page, "中文")
    expect(page.locator("#title")).to_have_text(CHINESE["app.title_photos"])
    expect(page.locator("#style-facts")).to_contain_text(re.compile(CHINESE["recipe.pack"] + r"\s*水墨"))
    expect(page.locator("#looks")).to_contain_text("水墨")
    open_more(page, CHINESE)
    expect_no_text_of(page, ENGLISH)


def test_the_other_tab_draws_when_it_is_opened(used_page):
    page = used_page
    open_tab(page, "tab.explore", "zh-CN" if page.locator("html").get_attribute("lang") == "zh-CN" else "en-US")
    expect(page.locator("#gallery .thumbnail-item")).to_have_count(8)
