"""The tab "Photo" in a real browser, with the model inside the package: the widths of a phone and of a desk."""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, expect

from gan_space.faces.shape import SLIDERS
from gan_space.output.provenance import read_provenance
from gan_space.ui.i18n import load_locale
from gan_space.ui.photo.actions import PhotoActions
from tests.ui.walking import (
    DESK,
    PATIENCE_MSEC,
    PHONE,
    SHIFTS,
    TAP,
    expect_no_text_of,
    expect_nothing_moved,
    expect_to_fit,
    switch_language,
    turn,
    until_opened,
    wait_until,
)

ENGLISH, CHINESE = load_locale("en"), load_locale("zh-CN")
SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
SIZES = {"phone": PHONE, "desk": DESK}
AT_REST = "document.querySelector('.photo-page').getAttribute('aria-busy') === 'false'"
STRIP_IS_THERE = "[...document.querySelectorAll('.look:not([hidden]) img')].every((one) => one.src)"
NOTHING_FADES = "document.getAnimations().every((one) => !(one instanceof CSSTransition))"
MAX_SHIFT = 0.02  # of all that a visit does together; 0.1 is what counts as good


@pytest.fixture
def open_page(new_page, photo_url):
    """Opens the page at a size of the screen."""

    def open_at(size: tuple[int, int] = DESK, locale: str = "en-US") -> Page:
        page = new_page(photo_url, size, locale, SHIFTS)
        expect(page.locator(".photo-page .choose")).to_be_visible()
        return page

    return open_at


@pytest.fixture
def used_page(kept_page, photo_url):
    """Opens a page that tests use one after another: a photo that is brought starts anew, all else stays."""

    def open_at(size: tuple[int, int] = DESK) -> Page:
        page = kept_page(photo_url, size, script=SHIFTS, first=".photo-page")
        page.evaluate("localStorage.clear()")
        for first in ("#photo-tab-looks", ".chip[data-group]"):
            page.locator(first).first.dispatch_event("click")  # it may be out of sight
        return page

    return open_at


def bring(page: Page, path: Path, *, wait_for_strip: bool = True) -> None:
    """Choose a photo, and wait until it is on the screen, at least."""
    before = page.locator(".picture-before").get_attribute("src")
    page.locator("#photo-file").set_input_files(str(path))
    wait_until(page, "document.querySelector('.picture-before').getAttribute('src') !== given", before)
    if wait_for_strip:
        wait_until(page, STRIP_IS_THERE)


def look(page: Page, name: str):
    return page.locator(f".look[data-look='{name}']").first


def draw(page: Page, name: str) -> str:
    """Tap a look, and wait for the large picture; its address."""
    look(page, name).click()
    wait_until(page, AT_REST)
    expect(page.locator("#photo-save")).to_be_enabled()
    return page.locator(".picture-now").get_attribute("src")


def drawn_recipe(page: Page) -> dict:
    """How the large picture was made, once it is there."""
    wait_until(page, AT_REST)
    return read_provenance(page.request.get(page.locator(".picture-now").get_attribute("src")).body()).recipe


def seen(page: Page, selector: str) -> bool:
    """Whether a part of the page lies inside of the screen, without scrolling."""
    box, screen = page.locator(selector).first.bounding_box(), page.viewport_size
    inside = box["x"] >= 0 and box["y"] >= 0 and box["x"] + box["width"] <= screen["width"]
    return inside and box["y"] + box["height"] <= screen["height"] and page.evaluate("scrollY") == 0


@pytest.mark.parametrize("size", SIZES)
def test_from_the_page_to_a_saved_photo_in_three_taps(open_page, size, tmp_path):
    page = open_page(SIZES[size])
    with page.expect_file_chooser() as chooser:
        page.locator(".choose").click()  # 1
    assert ENGLISH["photo.consent"] in page.locator(".photo-page .drop").inner_text()
    chooser.value.set_files(str(SAMPLES / "woman-lake.jpg"))
    look(page, "golden-hour").click()  # 2, whether the strip has come or not
    save = page.locator("#photo-save")
    expect(save).to_be_enabled()
    with page.expect_download() as caught:
        save.click()  # 3
    path = tmp_path / caught.value.suggested_filename
    caught.value.save_as(path)
    label = read_provenance(path)
    assert Image.open(path).size == Image.open(SAMPLES / "woman-lake.jpg").size
    assert label.is_ai_made and label.recipe["look"] == "golden-hour"
    assert label.recipe["consent"].startswith(ENGLISH["photo.consent"])
    expect_nothing_moved(page, MAX_SHIFT)


@pytest.mark.parametrize("size", SIZES)
def test_what_stays_visible_stands_still(used_page, size, tmp_path):
    page = used_page(SIZES[size])
    page.evaluate("[window.shift, window.moved] = [0, []]")
    (tmp_path / "letter.pdf").write_bytes(b"%PDF-1.7")
    page.locator("#photo-file").set_input_files(str(tmp_path / "letter.pdf"))
    expect(page.locator(".notice-line")).to_be_visible()
    bring(page, SAMPLES / "woman-lake.jpg")
    for name in ("golden-hour", "fresh-faced", "comic"):  # short names, long ones
        draw(page, name)
    page.locator(".icon.undo").click()
    page.locator(".icon.heart").click()
    page.locator("#photo-tab-adjust").click()
    for chip in page.locator(".chip[data-group]").all():
        chip.click()
    page.locator(".chip[data-group='makeup']").click()
    page.locator("#photo-makeup-file").set_input_files(str(SAMPLES / "woman-park.jpg"))
    expect(page.locator("#photo-makeup-strength")).to_be_visible()
    wait_until(page, AT_REST)
    page.locator(".icon.reset").click()
    page.locator("#photo-tab-looks").click()
    wait_until(page, AT_REST)
    expect_nothing_moved(page, 0.002)


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_picture_strip_and_buttons_are_on_one_screen(open_page, locale):
    page = open_page(PHONE, locale)
    turned = [PHONE, DESK]
    for size in turned:
        turn(page, size)
        assert seen(page, ".photo-page .choose") and seen(page, ".photo-page .consent"), size
    bring(page, SAMPLES / "naval-officer.jpg")
    in_strip = page.locator(".look").count() - 1
    assert in_strip >= 12 and page.locator(".look img[src]").count() == in_strip + 1
    for size in reversed(turned):
        turn(page, size)
        page.locator("#photo-tab-looks").click()
        for selector in (".picture", ".strength", ".look", ".look:not([data-look=''])", "#photo-save"):
            assert seen(page, selector), (size, selector)
        page.locator("#photo-tab-adjust").click()
        for selector in (".picture", "#photo-slider-smile", "#photo-save"):
            assert seen(page, selector), (size, selector)
        expect_to_fit(page, locale)


def test_what_is_saved_is_what_is_shown_and_no_face_is_covered(used_page, tmp_path):
    """The face fills the corner in which the mark stands by itself."""
    scene = Image.new("RGB", (900, 900), "darkgreen")
    face = Image.open(SAMPLES / "woman-park.jpg").convert("RGB").crop((180, 90, 370, 330))
    scene.paste(face.resize((570, 720)), (330, 180))
    scene.save(tmp_path / "corner.png")
    page = used_page()
    bring(page, tmp_path / "corner.png", wait_for_strip=False)
    shown = page.request.get(draw(page, "silver-print")).body()
    with page.expect_download() as caught:
        page.locator("#photo-save").click()
    caught.value.save_as(tmp_path / "saved.jpg")
    pictures = [
        np.asarray(Image.open(file).convert("L"), dtype=int) for file in (BytesIO(shown), tmp_path / "saved.jpg")
    ]
    assert abs(pictures[0] - pictures[1]).max() <= 12  # two JPEGs of one picture
    green = int(np.median(pictures[0][:200, :200]))
    corner = pictures[0][-120:, :250]
    assert corner.max() > green + 60, "the mark is at the bottom left"


@pytest.mark.parametrize("size", SIZES)
def test_holding_the_picture_shows_the_photo(used_page, size):
    page = used_page(SIZES[size])
    bring(page, SAMPLES / "woman-lake.jpg", wait_for_strip=False)
    draw(page, "golden-hour")
    opacity = "Number(getComputedStyle(document.querySelector('.picture-now')).opacity)"
    box = page.locator(".picture").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    wait_until(page, f"{opacity} === 0")
    page.mouse.up()
    wait_until(page, f"{opacity} === 1")
    page.locator(".icon.compare").focus()
    page.keyboard.down("Space")
    wait_until(page, f"{opacity} === 0")
    page.keyboard.up("Space")
    wait_until(page, f"{opacity} === 1")
    page.locator(".icon.compare").click()  # a tap, which holds nothing
    wait_until(page, f"{opacity} === 0")
    draw(page, "silver-print")  # is to be seen
    wait_until(page, f"{opacity} === 1")
    for shown in (0, 1):
        page.locator(".icon.compare").click()
        wait_until(page, f"{opacity} === {shown}")


def test_history_goes_back_and_forth_and_favourites_come_first(used_page):
    page = used_page()
    bring(page, SAMPLES / "woman-lake.jpg", wait_for_strip=False)
    first, second = draw(page, "golden-hour"), draw(page, "silver-print")
    page.locator(".icon.heart").click()
    page.locator(".icon.undo").click()
    expect(page.locator(".picture-now")).to_have_attribute("src", first)
    expect(look(page, "golden-hour")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".jump[aria-pressed='true']")).to_have_attribute("data-section", "film")  # beauty stands first
    page.keyboard.press("Control+Shift+Z")
    expect(page.locator(".picture-now")).to_have_attribute("src", second)
    expect(page.locator(".past")).to_have_count(2)
    page.locator(".past").first.click()
    page.keyboard.press("Control+Z")
    expect(page.locator(".picture-now")).to_be_hidden()
    page.reload()
    until_opened(page)
    bring(page, SAMPLES / "woman-lake.jpg")
    names = page.locator(".section").first.locator(".look").evaluate_all("(all) => all.map((one) => one.dataset.look)")
    assert names == ["", "silver-print", "golden-hour"]


def test_sliders_change_the_face_and_go_with_a_look(used_page):
    page = used_page()
    bring(page, SAMPLES / "woman-lake.jpg", wait_for_strip=False)
    page.locator("#photo-tab-adjust").click()
    page.locator("#photo-slider-smile").press("End")
    smile = {"smile": SLIDERS["smile"].high}
    assert drawn_recipe(page)["attributes"] == smile
    box = page.locator("#photo-slider-mouth_open").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2 + 4, box["y"] + box["height"] / 2)
    expect(page.locator("#photo-slider-mouth_open")).to_have_value("0")  # the middle is met
    page.locator("#photo-tab-looks").click()
    label = read_provenance(page.request.get(draw(page, "golden-hour")).body())
    assert label.recipe["look"] == "golden-hour" and label.recipe["edits"] == smile
    done = page.locator(".past").evaluate_all("(all) => all.map((one) => one.title)")
    assert done == [f"1: {ENGLISH['photo.adjusted']}", f"2: Golden hour + {ENGLISH['photo.adjusted']}"]
    page.locator("#photo-tab-adjust").click()
    page.locator(".icon.reset").click()
    wait_until(page, AT_REST)
    expect(page.locator("#photo-slider-smile")).to_have_value("0")


def test_glasses_and_the_makeup_of_another_picture(used_page):
    page = used_page(PHONE)
    bring(page, SAMPLES / "woman-lake.jpg", wait_for_strip=False)
    page.locator("#photo-tab-adjust").click()
    page.locator(".chip[data-group='glasses']").click()
    page.locator(".frame[data-frame='round']").click()
    assert drawn_recipe(page)["glasses"] == "round"
    page.locator(".chip[data-group='makeup']").click()
    page.locator("#photo-makeup-file").set_input_files(str(SAMPLES / "woman-park.jpg"))
    expect(page.locator("#photo-makeup-strength")).to_be_visible()
    recipe = drawn_recipe(page)
    assert recipe["glasses"] == "round" and recipe["makeup_strength"] == 1
    assert ENGLISH["photo.makeup_consent"] in recipe["makeup_from"]
    page.locator("#photo-makeup-strength").press("ArrowLeft")
    assert drawn_recipe(page)["makeup_strength"] == pytest.approx(0.95)
    page.locator("#photo-makeup-tone").press("Home")
    recipe = drawn_recipe(page)
    assert recipe["makeup_tone"] == 0 and recipe["makeup_strength"] == pytest.approx(0.95)
    for _ in range(3):
        page.locator(".icon.undo").click()
    expect(page.locator("#photo-makeup-strength")).to_be_hidden()
    expect(page.locator("#photo-makeup-tone")).to_be_hidden()
    assert "makeup_from" not in drawn_recipe(page)


def test_what_cannot_be_worn_is_said_and_taken_off(used_page, tmp_path):
    page = used_page()
    bring(page, SAMPLES / "naval-officer.jpg", wait_for_strip=False)
    page.locator("#photo-tab-adjust").click()
    page.locator(".chip[data-group='glasses']").click()
    page.locator(".frame[data-frame='square']").click()
    expect(page.locator(".notice-line")).to_contain_text(ENGLISH["photo.error_glasses"])
    expect(page.locator(".frame[data-frame='none']")).to_have_attribute("aria-pressed", "true")
    Image.new("RGB", (160, 160), "gray").save(tmp_path / "wall.png")
    page.locator(".chip[data-group='makeup']").click()
    page.locator("#photo-makeup-file").set_input_files(str(tmp_path / "wall.png"))
    expect(page.locator(".notice-line")).to_contain_text(ENGLISH["photo.error_makeup"])


def test_a_photo_is_dropped_pasted_and_shared(used_page):
    page = used_page()
    content = base64.b64encode((SAMPLES / "woman-lake.jpg").read_bytes()).decode()
    give = """([kind, content, type]) => {
      const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
      const data = new DataTransfer();
      data.items.add(new File([bytes], 'me.jpg', { type }));
      const how = { dataTransfer: data, clipboardData: data, bubbles: true, cancelable: true };
      document.querySelector(kind === 'drop' ? 'body' : '.photo-page').dispatchEvent(
        kind === 'drop' ? new DragEvent(kind, how) : new ClipboardEvent(kind, how));
    }"""
    for kind in ("drop", "paste"):
        page.evaluate(give, [kind, content, "image/jpeg"])
        expect(page.locator(".picture")).to_be_visible()
        wait_until(page, AT_REST)
        draw(page, "golden-hour")
    expect(page.locator(".icon.share")).to_be_hidden()  # this browser has none

    page.add_init_script(
        "navigator.canShare = () => true; navigator.share = async ({ files }) => { window.shared = files[0]; };"
    )
    page.reload()
    until_opened(page)
    bring(page, SAMPLES / "woman-lake.jpg", wait_for_strip=False)
    draw(page, "golden-hour")
    page.locator(".icon.share").click()
    wait_until(page, "window.shared")
    content = page.evaluate(
        "async () => btoa(String.fromCharCode(...new Uint8Array(await window.shared.arrayBuffer()).slice(0, 60000)))"
    )
    assert read_provenance(base64.b64decode(content)).recipe["look"] == "golden-hour"


def test_all_goes_by_keyboard_and_nothing_moves_for_those_who_ask(open_page):
    page = open_page()
    moving = "document.querySelector('.photo-page').getAnimations({ subtree: true }).length"
    page.emulate_media(reduced_motion="no-preference")
    wait_until(page, f"{moving} > 0")  # the last frame stays, and counts
    page.emulate_media(reduced_motion="reduce")
    wait_until(page, f"{moving} === 0")
    page.emulate_media(reduced_motion="no-preference")
    bring(page, SAMPLES / "woman-lake.jpg")
    wait_until(page, f"{moving} === 0")  # what has come stands still: the page costs nothing while nobody does anything
    page.locator(".look[tabindex='0']").first.focus()
    place = "(({ left, top }) => [left, top])(document.activeElement.getBoundingClientRect())"
    above = page.evaluate(place)
    page.keyboard.press("ArrowDown")
    below = page.evaluate(place)
    assert below[0] == above[0] and below[1] > above[1]  # looks stand in rows
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    wait_until(page, "!document.querySelector('#photo-save').disabled")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    reached = []
    for _ in range(14):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.className"))
        assert page.evaluate(outline) == "solid", reached[-1]
        if reached[-1] == "photo-save":
            break
    assert reached[-1] == "photo-save"
    with page.expect_download():
        page.keyboard.press("Enter")


def test_who_waits_for_a_picture_sees_how_many_come_before(open_page, held):
    begun, goes_on = held(PhotoActions, "preview")
    pages = [open_page(PHONE), open_page(PHONE, "zh-CN")]
    for page in pages:
        bring(page, SAMPLES / "woman-lake.jpg")
    for page in pages:
        look(page, "comic").click()
        assert begun.wait(PATIENCE_MSEC / 1000)
    expect(pages[1].locator(".place")).to_have_text(CHINESE["photo.place"].format(count=1))
    expect(pages[0].locator(".place")).to_be_empty()
    goes_on.set()
    for page in pages:
        expect(page.locator(".place")).to_be_empty()


@pytest.fixture
def held_strip(monkeypatch) -> Event:
    """The server draws one picture of a strip and waits until this is set: else it may be done before anybody looks."""
    goes_on, thumbnails = Event(), PhotoActions.thumbnails

    def held(*args):
        for number, drawn in enumerate(thumbnails(*args)):
            if number == 1:
                goes_on.wait()
            yield drawn

    monkeypatch.setattr(PhotoActions, "thumbnails", held)
    yield goes_on
    goes_on.set()


def test_the_strip_is_drawn_in_the_order_in_which_it_is_seen(used_page, held_strip):
    page = used_page(PHONE)
    page.evaluate(
        "window.order = []; addEventListener('gan-space-photo', "
        "({ detail }) => { if (detail.kind === 'strip') window.order.push(...Object.keys(detail.answer.thumbs)); })"
    )
    bring(page, SAMPLES / "woman-lake.jpg", wait_for_strip=False)
    wait_until(page, "window.order.length")
    with page.expect_request(lambda request: '"done":["' in (request.post_data or "")) as asked:
        page.locator(".jump[data-section='drawn']").click()
    assert "comic" in asked.value.post_data and "vintage-print" not in asked.value.post_data
    held_strip.set()
    wait_until(page, STRIP_IS_THERE)
    order = page.evaluate("window.order")
    assert order.index("comic") < order.index("vintage-print")  # the last of the group before


def test_what_is_no_photo_is_refused_before_it_is_sent(used_page, tmp_path):
    page, sent = used_page(), []
    page.on("request", lambda request: sent.append(request.url) if "/upload" in request.url else None)
    (tmp_path / "letter.pdf").write_bytes(b"%PDF-1.7")
    page.locator("#photo-file").set_input_files(str(tmp_path / "letter.pdf"))
    expect(page.locator(".notice-line")).to_contain_text(ENGLISH["photo.error_type"])
    assert sent == []  # requests are told of in the order in which they are sent
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    bring(page, tmp_path / "broken.jpg", wait_for_strip=False)
    expect(page.locator(".notice-line")).to_contain_text(ENGLISH["photo.error_unreadable"])
    expect(page.locator(".photo-page .choose")).to_be_visible()
    assert len(sent) == 1


def test_a_photo_without_a_face_takes_the_looks_of_whole_photos(open_page, tmp_path):
    wall, later = Image.new("RGB", (160, 160), "gray"), Image.new("RGB", (160, 160), "red")
    wall.save(tmp_path / "wall.gif", save_all=True, append_images=[later])  # small: it is searched everywhere
    page = open_page(locale="zh-CN")
    bring(page, tmp_path / "wall.gif", wait_for_strip=False)
    expect(page.locator(".notice-line")).to_contain_text(CHINESE["photo.error_no_face"])
    expect(page.locator(".notice-line")).to_contain_text(CHINESE["photo.frames"].format(count=2))
    expect(look(page, "fresh-faced")).to_be_hidden()
    expect(look(page, "silver-print")).to_be_visible()
    look(page, "").focus()
    page.keyboard.press("ArrowRight")  # past those that are hidden
    assert page.evaluate("document.activeElement.dataset.look && document.activeElement.checkVisibility()")
    page.locator("#photo-tab-adjust").click()
    expect(page.locator(".faceless")).to_have_text(CHINESE["photo.adjust_no_face"])
    expect(page.locator("#photo-slider-smile")).to_be_hidden()
    page.locator("#photo-tab-looks").click()
    label = read_provenance(page.request.get(draw(page, "golden-hour")).body())
    assert label.recipe["look"] == "golden-hour"


def test_one_face_of_several_is_chosen(used_page, held_strip, tmp_path):
    group = Image.new("RGB", (900, 460), "darkgreen")
    for place, name in enumerate(("woman-park.jpg", "naval-officer.jpg")):
        group.paste(Image.open(SAMPLES / name).convert("RGB").resize((430, 430)), (10 + 445 * place, 15))
    group.save(tmp_path / "group.png")
    page = used_page()
    bring(page, tmp_path / "group.png", wait_for_strip=False)
    faces = page.locator(".face")
    expect(faces).to_have_count(3)  # two, and all of them
    assert sorted(page.evaluate(TAP, place) for place in ((670, 195), (241, 190))) == [0, 1]
    assert page.locator(".look img.stale").count() > 9  # of another face
    held_strip.set()
    wait_until(page, "document.querySelector('.look img[src]:not(.stale)')")
    faces.nth(1).click()
    expect(faces.nth(1)).to_have_attribute("aria-pressed", "true")
    label = read_provenance(page.request.get(draw(page, "fresh-faced")).body())
    assert label.recipe["faces"] == 1


def test_the_switch_changes_every_text(open_page):
    page = open_page()
    bring(page, SAMPLES / "woman-lake.jpg", wait_for_strip=False)
    draw(page, "golden-hour")
    switch_language(page, "中文")
    expect(page.locator("#photo-save")).to_have_text(CHINESE["photo.save"])
    expect(page.locator("#title")).to_have_text(CHINESE["app.title_photos"])
    expect(page.locator("#page-footer")).to_contain_text(CHINESE["footer.made_with"])
    page.locator("#photo-tab-adjust").click()
    expect_no_text_of(page, ENGLISH)


def test_nothing_stands_in_the_way_of_a_screen_reader_or_weak_eyes(open_page):
    """axe-core finds no breach of WCAG 2.2 A and AA: before, with a photo, and while adjusting."""
    page, axe = open_page(), Axe()
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}

    def expect_no_faults() -> None:
        for size in SIZES.values():
            turn(page, size)
            wait_until(page, NOTHING_FADES)
            found = axe.run(page, context="#photo-page", options=options)
            assert len(found.response["passes"]) > 5
            violations = found.response["violations"]
            assert [f"{one['id']}: {node['html'][:200]}" for one in violations for node in one["nodes"]] == [], size

    expect_no_faults()
    bring(page, SAMPLES / "woman-lake.jpg")
    draw(page, "golden-hour")
    page.locator("#photo-save").hover()
    expect_no_faults()
    page.locator("#photo-tab-adjust").click()
    expect_no_faults()
