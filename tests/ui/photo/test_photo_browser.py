"""The tab "Photo" in a real browser, with the model inside the package: the widths of a phone and of a desk."""

from __future__ import annotations

import base64
import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Page, expect

from gan_space.output.provenance import read_provenance
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.ui.app import build_app
from gan_space.ui.i18n import load_locale
from tests.ui.walking import PATIENCE_MSEC, served

ENGLISH, CHINESE = load_locale("en"), load_locale("zh-CN")
SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
PHONE, DESK = (390, 844), (1280, 900)
SIZES = pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
AT_REST = "document.querySelector('.photo-page').getAttribute('aria-busy') === 'false'"
SHIFTS = """window.shift = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
}).observe({ type: 'layout-shift', buffered: true });"""


@pytest.fixture(scope="module")
def photo_url() -> str:
    app = build_app(GenerationPipeline.from_pretrained())
    with served(app) as url:
        yield url


@pytest.fixture
def open_page(new_page, photo_url, patience):
    """Opens the page at a size of the screen."""

    def open_at(size: tuple[int, int] = DESK, locale: str = "en-US") -> Page:
        page = new_page(size[0], locale, PATIENCE_MSEC)
        page.set_viewport_size({"width": size[0], "height": size[1]})
        page.add_init_script(SHIFTS)
        page.goto(photo_url)
        expect(page.locator(".photo-page .choose")).to_be_visible()
        return page

    return open_at


def bring(page: Page, path: Path, *, wait_for_strip: bool = True) -> None:
    page.locator("#photo-file").set_input_files(str(path))
    if wait_for_strip:
        wait_until(page, "[...document.querySelectorAll('.look:not([hidden]) img')].every((one) => one.src)")


def wait_until(page: Page, condition: str) -> None:
    page.wait_for_function(f"() => {condition}", timeout=PATIENCE_MSEC)


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


@SIZES
def test_from_the_page_to_a_saved_photo_in_three_taps(open_page, size, tmp_path):
    page = open_page(size)
    with page.expect_file_chooser() as chooser:
        page.locator(".choose").click()  # 1
    assert ENGLISH["photo.consent"] in page.locator(".photo-page .drop").inner_text()
    chooser.value.set_files(str(SAMPLES / "woman-lake.jpg"))
    look(page, "golden-hour").click()  # 2, whether the strip has come or not
    save = page.locator("#photo-save")
    expect(save).to_be_enabled()
    with page.expect_download(timeout=PATIENCE_MSEC) as caught:
        save.click()  # 3
    path = tmp_path / caught.value.suggested_filename
    caught.value.save_as(path)
    label = read_provenance(path)
    assert Image.open(path).size == Image.open(SAMPLES / "woman-lake.jpg").size
    assert label.is_ai_made and label.recipe["look"] == "golden-hour"
    assert label.recipe["consent"].startswith(ENGLISH["photo.consent"])
    assert page.evaluate("window.shift") <= 0.1


@SIZES
@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_picture_strip_and_buttons_are_on_one_screen(open_page, size, locale):
    page = open_page(size, locale)
    assert seen(page, ".photo-page .choose") and seen(page, ".photo-page .consent")
    bring(page, SAMPLES / "naval-officer.jpg")
    for selector in (".picture", "#photo-strength", ".look", ".look:not([data-look=''])", "#photo-save"):
        assert seen(page, selector), selector
    in_strip = page.locator(".look").count() - 1
    assert in_strip >= 12 and page.locator(".look img[src]").count() == in_strip + 1
    page.locator("#photo-tab-adjust").click()
    for selector in (".picture", "#photo-slider-smile", "#photo-save"):
        assert seen(page, selector), selector
    wide = page.evaluate(
        "[...document.querySelectorAll('.photo-page > *, .work > *')].filter((one) => one.checkVisibility() && "
        "one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.className)"
    )
    width, inner = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width <= inner == size[0], json.dumps(wide)
    assert page.evaluate("window.shift") <= 0.1


def test_what_is_saved_is_what_is_shown_and_no_face_is_covered(open_page, tmp_path):
    """The face fills the corner in which the mark stands by itself."""
    scene = Image.new("RGB", (900, 900), "darkgreen")
    face = Image.open(SAMPLES / "woman-park.jpg").convert("RGB").crop((180, 90, 370, 330))
    scene.paste(face.resize((570, 720)), (330, 180))
    scene.save(tmp_path / "corner.png")
    page = open_page()
    bring(page, tmp_path / "corner.png")
    shown = page.request.get(draw(page, "silver-print")).body()
    with page.expect_download(timeout=PATIENCE_MSEC) as caught:
        page.locator("#photo-save").click()
    caught.value.save_as(tmp_path / "saved.jpg")
    pictures = [
        np.asarray(Image.open(file).convert("L"), dtype=int) for file in (BytesIO(shown), tmp_path / "saved.jpg")
    ]
    assert abs(pictures[0] - pictures[1]).max() <= 12  # two JPEGs of one picture
    green = int(np.median(pictures[0][:200, :200]))
    corner = pictures[0][-120:, :250]
    assert corner.max() > green + 60, "the mark is at the bottom left"


@SIZES
def test_holding_the_picture_shows_the_photo(open_page, size):
    page = open_page(size)
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


def test_history_goes_back_and_forth_and_favourites_come_first(open_page):
    page = open_page()
    bring(page, SAMPLES / "woman-lake.jpg", wait_for_strip=False)
    first, second = draw(page, "golden-hour"), draw(page, "silver-print")
    page.locator(".icon.heart").click()
    page.locator(".icon.undo").click()
    expect(page.locator(".picture-now")).to_have_attribute("src", first)
    expect(look(page, "golden-hour")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Control+Shift+Z")
    expect(page.locator(".picture-now")).to_have_attribute("src", second)
    expect(page.locator(".past")).to_have_count(2)
    page.locator(".past").first.click()
    page.keyboard.press("Control+Z")
    expect(page.locator(".picture-now")).to_be_hidden()

    page.reload()
    bring(page, SAMPLES / "woman-lake.jpg", wait_for_strip=False)
    names = page.locator(".section").first.locator(".look").evaluate_all("(all) => all.map((one) => one.dataset.look)")
    assert names == ["", "silver-print", "golden-hour"]


def test_sliders_change_the_face_and_go_with_a_look(open_page):
    page = open_page()
    bring(page, SAMPLES / "woman-lake.jpg", wait_for_strip=False)
    page.locator("#photo-tab-adjust").click()
    page.locator("#photo-slider-smile").press("End")
    expect(page.locator("#photo-save")).to_be_enabled()
    label = read_provenance(page.request.get(page.locator(".picture-now").get_attribute("src")).body())
    assert label.recipe["attributes"] == {"smile": 3}
    page.locator("#photo-tab-looks").click()
    label = read_provenance(page.request.get(draw(page, "golden-hour")).body())
    assert label.recipe["look"] == "golden-hour" and label.recipe["edits"] == {"smile": 3}
    page.locator("#photo-tab-adjust").click()
    page.locator(".icon.reset").click()
    wait_until(page, AT_REST)
    expect(page.locator("#photo-slider-smile")).to_have_value("0")


def test_glasses_and_the_makeup_of_another_picture(open_page):
    page = open_page(PHONE)
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


def test_what_cannot_be_worn_is_said_and_taken_off(open_page, tmp_path):
    page = open_page()
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


def test_a_photo_is_dropped_pasted_and_shared(open_page):
    page = open_page()
    content = base64.b64encode((SAMPLES / "woman-lake.jpg").read_bytes()).decode()
    give = """([kind, content, type]) => {
      const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
      const data = new DataTransfer();
      data.items.add(new File([bytes], 'me.jpg', { type }));
      const how = { dataTransfer: data, clipboardData: data, bubbles: true, cancelable: true };
      document.querySelector('.photo-page').dispatchEvent(
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
    page.emulate_media(reduced_motion="reduce")
    moving = "document.querySelector('.photo-page').getAnimations({ subtree: true }).length"
    assert page.evaluate(moving) == 0
    bring(page, SAMPLES / "woman-lake.jpg")
    page.locator(".look[tabindex='0']").first.focus()
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
    with page.expect_download(timeout=PATIENCE_MSEC):
        page.keyboard.press("Enter")


def test_the_strip_is_drawn_in_the_order_in_which_it_is_seen(open_page):
    page = open_page(PHONE)
    page.evaluate("window.came = []")
    bring(page, SAMPLES / "woman-lake.jpg", wait_for_strip=False)
    page.locator(".jump[data-section='drawn']").click()
    page.evaluate(
        "new MutationObserver((all) => all.forEach(({ target }) => came.push(target.closest('.look').dataset.look)))"
        ".observe(document.querySelector('.strip'), { subtree: true, attributeFilter: ['src'] })"
    )
    wait_until(page, "[...document.querySelectorAll('.look:not([hidden]) img')].every((one) => one.src)")
    came = [name for name in page.evaluate("window.came") if name]
    assert came.index("comic") < came.index("vintage-print")  # the last of the group before


def test_what_is_no_photo_is_refused_before_it_is_sent(open_page, tmp_path):
    page, sent = open_page(), []
    page.on("request", lambda request: sent.append(request.url) if "/upload" in request.url else None)
    (tmp_path / "letter.pdf").write_bytes(b"%PDF-1.7")
    bring(page, tmp_path / "letter.pdf", wait_for_strip=False)
    expect(page.locator(".notice-line")).to_contain_text(ENGLISH["photo.error_type"])
    assert sent == []
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 and no more")
    bring(page, tmp_path / "broken.jpg", wait_for_strip=False)
    expect(page.locator(".notice-line")).to_contain_text(ENGLISH["photo.error_unreadable"])
    expect(page.locator(".photo-page .choose")).to_be_visible()
    assert len(sent) == 1


def test_a_photo_without_a_face_takes_the_looks_of_whole_photos(open_page, tmp_path):
    Image.new("RGB", (160, 160), "gray").save(tmp_path / "wall.png")  # small: it is searched everywhere
    page = open_page(locale="zh-CN")
    bring(page, tmp_path / "wall.png", wait_for_strip=False)
    expect(page.locator(".notice-line")).to_contain_text(CHINESE["photo.error_no_face"])
    expect(look(page, "fresh-faced")).to_be_hidden()
    expect(look(page, "silver-print")).to_be_visible()
    label = read_provenance(page.request.get(draw(page, "golden-hour")).body())
    assert label.recipe["look"] == "golden-hour"


def test_one_face_of_several_is_chosen(open_page, tmp_path):
    group = Image.new("RGB", (900, 460), "darkgreen")
    for place, name in enumerate(("woman-park.jpg", "naval-officer.jpg")):
        group.paste(Image.open(SAMPLES / name).convert("RGB").resize((430, 430)), (10 + 445 * place, 15))
    group.save(tmp_path / "group.png")
    page = open_page()
    bring(page, tmp_path / "group.png", wait_for_strip=False)
    faces = page.locator(".face")
    expect(faces).to_have_count(3)  # two, and all of them
    faces.nth(1).click()
    expect(faces.nth(1)).to_have_attribute("aria-pressed", "true")
    label = read_provenance(page.request.get(draw(page, "fresh-faced")).body())
    assert label.recipe["faces"] == 1


def test_the_switch_changes_every_text(open_page):
    page = open_page()
    bring(page, SAMPLES / "woman-lake.jpg", wait_for_strip=False)
    draw(page, "golden-hour")
    page.locator("#language label", has_text="中文").click()
    expect(page.locator("#photo-save")).to_have_text(CHINESE["photo.save"])
    expect(page.locator("#title")).to_have_text(CHINESE["app.title_photos"])
    expect(page.locator("#page-footer")).to_contain_text(CHINESE["footer.made_with"])
    page.locator("#photo-tab-adjust").click()
    body = page.locator("body").inner_text()
    assert [text for text in ENGLISH.values() if text in body and len(text) > 8] == []


@SIZES
def test_nothing_stands_in_the_way_of_a_screen_reader_or_weak_eyes(open_page, size):
    """axe-core finds no breach of WCAG 2.2 A and AA: before, with a photo, and while adjusting."""
    page, axe = open_page(size), Axe()
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}

    def faults() -> list[str]:
        found = axe.run(page, context="#photo-page", options=options)
        assert len(found.response["passes"]) > 5
        return [f"{one['id']}: {node['html'][:200]}" for one in found.response["violations"] for node in one["nodes"]]

    assert faults() == []
    bring(page, SAMPLES / "woman-lake.jpg")
    draw(page, "golden-hour")
    page.locator("#photo-save").hover()
    page.wait_for_timeout(400)  # colours fade in
    assert faults() == []
    page.locator("#photo-tab-adjust").click()
    assert faults() == []
