"""The tab "Personalised" in a real browser, and its endpoint through the real client."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image
from playwright.sync_api import Page, expect

from gan_space.output.provenance import read_provenance
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.ui.app import build_app
from gan_space.ui.i18n import load_locale
from gan_space.ui.person.actions import PersonActions
from tests.ui.person.test_person_actions import SAMPLES, person_folder  # noqa: F401, a fixture
from tests.ui.walking import (
    DESK,
    PHONE,
    at_tab,
    bring_files,
    expect_changed,
    expect_no_clock_over_the_page,
    expect_no_text_of,
    expect_to_fit,
    open_tab,
    served,
    switch_language,
    turn,
)

ENGLISH, CHINESE = load_locale("en"), load_locale("zh-CN")


@pytest.fixture(scope="session")
def person_url(person_folder) -> str:  # noqa: F811
    app = build_app(GenerationPipeline.from_pretrained(person_folder))
    with served(app) as url:
        yield url


@pytest.fixture
def open_page(new_page, person_url):
    """Opens the tab."""

    def open_at(path: str = "", size: tuple[int, int] = DESK, locale: str = "en-US") -> Page:
        page = new_page(f"{person_url}/{path}" if path else at_tab(person_url, "tab.person"), size, locale)
        if not path:
            open_tab(page, "tab.person", locale)
        expect(page.locator("#person-picture img")).to_be_visible()
        return page

    return open_at


@pytest.fixture
def used_page(kept_page, person_url) -> Page:
    """A page that tests use one after another; each chooses what it starts from."""
    page = kept_page(at_tab(person_url, "tab.person"), first="#title")
    if not page.locator("#person-source").is_visible():
        open_tab(page, "tab.person")
        expect(page.locator("#person-picture img")).to_be_visible()
    return page


@pytest.fixture
def chinese_phone(kept_page, person_url) -> Page:
    """As `used_page`, on a phone and in Chinese."""
    page = kept_page(at_tab(person_url, "tab.person"), PHONE, "zh-CN", first="#title")
    if not page.locator("#person-source").is_visible():
        open_tab(page, "tab.person", "zh-CN")
        expect(page.locator("#person-picture img")).to_be_visible()
    return page


def shown(page: Page) -> str:
    return page.locator("#person-picture img").get_attribute("src")


def expect_drawn(page: Page, before: str) -> str:
    return expect_changed(page.locator("#person-picture img"), before)


def move(page: Page, slider: str, value: float) -> None:
    """Drag a handle to a value and let go: keys, one after the other, would count as one move or as several."""
    handle = page.locator(f"#{slider} input[type=range]")
    handle.fill(str(value))
    handle.dispatch_event("pointerup")


def save(page: Page, button: str, folder: Path) -> Path:
    with page.expect_download() as caught:
        page.locator(button).click()
    path = folder / caught.value.suggested_filename
    caught.value.save_as(path)
    return path


def choose(page: Page, source: str, texts: dict[str, str] = ENGLISH) -> None:
    page.locator("#person-source label", has_text=texts[source]).click()


def test_a_slider_an_undo_a_link_and_a_file(used_page, open_page, tmp_path):
    page = used_page
    first = shown(page)
    expect(page.locator("#person-undo")).to_be_disabled()
    move(page, "attribute-smile", 0.5)
    expect(page.locator("#person-facts")).to_contain_text("Smile +0.5")
    second = expect_drawn(page, first)
    path = save(page, "#person-download", tmp_path)
    assert read_provenance(path).recipe["attributes"] == {"smile": pytest.approx(0.5)}
    link = page.locator("#person-link").get_attribute("href")  # facts and link are one text

    page.locator("#person-undo").click()
    expect_drawn(page, second)
    expect(page.locator("#attribute-smile input[type=number]")).to_have_value("0")

    page.locator("#person-pin").click()
    expect(page.locator("#person-pinned img")).to_be_visible()
    page.locator("#person-unpin").click()
    expect(page.locator("#person-pinned")).to_be_hidden()

    page.locator("#person-vary").click()
    expect(page.locator("#person-variations .thumbnail-item")).to_have_count(8)
    page.locator("#person-variations .thumbnail-item").nth(2).click()
    expect(page.locator("#person-facts")).to_contain_text(re.compile(r"Seed\s*9"))

    linked = open_page(link)
    expect(linked.locator("#attribute-smile input[type=number]")).to_have_value("0.5")
    expect(linked.locator("#person-facts")).to_contain_text("Smile +0.5")


def test_the_page_stays_in_reach_while_a_face_is_drawn(used_page, held):
    page, before = used_page, shown(used_page)
    _, goes_on = held(PersonActions, "preview")
    page.locator("#person-shuffle").click()
    expect_no_clock_over_the_page(page, "#person-picture")
    goes_on.set()
    expect_drawn(page, before)


def test_a_number_beside_a_slider_counts_with_enter(used_page):
    page = used_page
    first = shown(page)
    number = page.locator("#attribute-smile input[type=number]")
    number.fill("0.7")
    number.press("Enter")
    expect_drawn(page, first)
    expect(page.locator("#person-facts")).to_contain_text("Smile +0.7")


def test_a_photo_comes_with_consent(used_page):
    page = used_page
    choose(page, "person.photo")
    expect(page.locator("#person-picture")).to_be_hidden()  # nothing to start from yet
    bring_files(page, "#person-photo", SAMPLES / "woman-park.jpg")
    expect(page.locator("#person-consent")).to_have_text(ENGLISH["style.consent"])
    expect(page.locator("#person-picture img")).to_be_visible()
    expect(page.locator("#person-pinned img")).to_be_visible()
    expect(page.locator("#person-copy")).to_be_hidden()
    before = shown(page)
    move(page, "attribute-age", 0.9)
    label = read_provenance(page.request.get(expect_drawn(page, before)).body())
    assert label.is_ai_made and label.recipe["kind"] == "attributes"
    assert label.recipe["consent"].startswith(ENGLISH["photo.consent"])


def test_who_waits_for_a_profile_sees_the_place_in_the_queue_and_may_stop(used_page, chinese_phone, until_stopped):
    until_stopped("gan_space.pipelines.profiles.tune_identity")
    pages, languages = [used_page, chinese_phone], [ENGLISH, CHINESE]
    for page, texts in zip(pages, languages, strict=True):
        choose(page, "person.profile", texts)
        bring_files(page, "#profile-photos", SAMPLES / "woman-lake.jpg")
        page.locator("#profile-whose input, #profile-whose textarea").fill("a sample")
        expect(page.locator("#profile-stop")).to_be_hidden()
    pages[0].locator("#profile-start").click()
    expect(pages[0].get_by_text(ENGLISH["error.agreed"]).first).to_be_visible()
    expect(pages[0].locator("#profile-stop")).to_be_hidden()  # what is refused does not run
    for page in pages:
        page.locator("#profile-agreed input").check()
    pages[0].locator("#profile-start").click()
    expect(pages[0].locator("#profile-progress")).to_contain_text(re.compile(r"Step \d+ of"))
    pages[1].locator("#profile-start").click()
    expect(pages[1].locator("#profile-photos")).to_contain_text("排队：1/1")
    for page in reversed(pages):  # one while it waits: it never begins
        page.locator("#profile-stop").click()
    for page, texts in zip(pages, languages, strict=True):
        expect(page.locator("#profile-progress")).to_have_text(texts["error.stopped"])
        for gone in ("#profile-preview", "#profile-delete", "#profile-stop"):
            expect(page.locator(gone)).to_be_hidden()


@pytest.fixture(scope="module")
def profile_zip(person_folder, tmp_path_factory) -> Path:  # noqa: F811
    """A profile of the model, as somebody downloaded it."""
    from gan_space.ui.create.actions import CreateActions, style_pipeline
    from gan_space.ui.explore.actions import ExploreActions
    from tests.ui.person.test_person_actions import QUICK, make

    pipe = GenerationPipeline.from_pretrained(person_folder)
    actions = PersonActions(ExploreActions(pipe), CreateActions(style_pipeline(pipe)), identity_settings=QUICK)
    entry = make(actions, [str(SAMPLES / "woman-lake.jpg"), str(SAMPLES / "woman-park.jpg")])[-1].entry
    path = tmp_path_factory.mktemp("zip") / "me.zip"
    path.write_bytes(Path(entry.archive).read_bytes())
    return path


def test_a_profile_is_brought_drawn_and_deleted(used_page, profile_zip, tmp_path):
    page = used_page
    choose(page, "person.profile")
    expect(page.locator("#person-picture")).to_be_hidden()
    expect(page.locator("#person-vary")).to_be_hidden()  # there is nobody yet to be drawn with other seeds
    with page.expect_file_chooser() as chooser:
        page.locator("#profile-upload").click()
    chooser.value.set_files(str(profile_zip))
    expect(page.locator("#profile-message")).to_contain_text("a woman in sample pictures")
    expect(page.locator("#person-picture img")).to_be_visible()
    expect(page.locator("#person-vary")).to_be_visible()
    picture = page.request.get(shown(page))
    assert "profile" in read_provenance(picture.body()).recipe
    assert save(page, "#profile-archive", tmp_path).read_bytes()[:2] == b"PK"
    address = shown(page)
    page.locator("#profile-delete").click()
    expect(page.locator("#profile-message")).to_contain_text("pack.safetensors")
    for gone in ("#person-picture", "#person-vary"):
        expect(page.locator(gone)).to_be_hidden()
    assert page.request.get(address).status != 200  # gradio's copy is gone too


def test_a_phone_never_scrolls_sideways(used_page, chinese_phone):
    turn(used_page, PHONE)
    for page, texts in ((used_page, ENGLISH), (chinese_phone, CHINESE)):
        choose(page, "person.random", texts)
        expect(page.locator("#person-picture img")).to_be_visible()
        page.locator("#person-pin").click()
        page.locator("#person-advanced").get_by_text(texts["person.advanced"]).click()
        page.locator("#person-measured").get_by_text(texts["leak.title"]).click()
        expect(page.locator("#person-measured table")).to_be_visible()
        for source, part in (("random", "#person-shuffle"), ("photo", "#person-photo"), ("profile", "#profile-start")):
            choose(page, f"person.{source}", texts)
            expect(page.locator(part)).to_be_visible()
            expect_to_fit(page, source)
    turn(used_page, DESK)


def test_the_switch_changes_every_text(used_page):
    page = used_page
    switch_language(page, "中文")
    expect(page.locator("#attribute-smile")).to_contain_text("微笑")
    choose(page, "person.profile", CHINESE)
    expect(page.locator("#person-hint")).to_contain_text(CHINESE["person.waiting_profile"])
    expect_no_text_of(page, ENGLISH)


def test_programs_get_labelled_files(person_url, profile_zip):
    client = Client(person_url, verbose=False)
    files, recipes = client.predict([3, 4], {"smile": 1.0}, api_name="/personalize")
    assert [recipe["seed"] for recipe in recipes] == [3, 4]
    assert all(read_provenance(file).recipe["attributes"] == {"smile": 1.0} for file in files)
    photo = handle_file(str(SAMPLES / "woman-lake.jpg"))
    files, recipes = client.predict([], {"age": 1.0}, photo=photo, consent=True, api_name="/personalize")
    assert Image.open(files[0]).size == Image.open(SAMPLES / "woman-lake.jpg").size
    with pytest.raises(AppError, match="consent must be true"):
        client.predict([], {"age": 1.0}, photo=photo, api_name="/personalize")
    profile = handle_file(str(profile_zip))
    files, recipes = client.predict([1], {}, profile=profile, consent=True, api_name="/personalize")
    assert recipes[0]["kind"] == "portrait of a profile" and read_provenance(files[0]).is_ai_made
