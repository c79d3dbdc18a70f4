"""How tests in a browser serve a page, open it, walk to a tab, and wait for what they look at.

No test may depend on who is faster, the page or the server: after an action it waits for a state, and reads then.
`GAN_SPACE_CHAOS="page net" pytest -m browser` proves it: pages six times slower, answers up to 1.5 s late, and the
page's own files in any order.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

import gradio as gr
from playwright.sync_api import Browser, Locator, Page, TimeoutError, expect
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gan_space.ui.app import launch_options
from gan_space.ui.i18n import load_locale

PATIENCE_MSEC = 240_000  # for everything: what is slow is no fault here
CHAOS = os.environ.get("GAN_SPACE_CHAOS", "").split()
DESK, PHONE = (1280, 900), (390, 844)
HAS_PHOTOS = "gradio_config.components.some((one) => one.props.elem_id === 'expert-tabs')"
# Every shift counts, also those soon after a tap, which browsers forgive: how soon depends on the machine alone.
SHIFTS = """window.shift = 0; window.moved = [];
new PerformanceObserver((list) => {
  for (const { value, sources } of list.getEntries()) {
    window.shift += value;
    const named = ({ node }) => node?.id || node?.className || node?.parentElement?.className || node?.nodeName;
    window.moved.push([value, sources.map(named)]);
  }
}).observe({ type: 'layout-shift', buffered: true });"""
# Controls, links and pictures in sight over which gradio's clock lies: no tap reaches them, and a picture is not seen.
UNDER_A_CLOCK = """[
  ...document.querySelectorAll('input:not([type=file]), textarea, .block a, .block img')
].filter((one) => {
  if (!one.checkVisibility()) return false;
  one.scrollIntoView({ block: 'center' });
  const { x, y, width, height } = one.getBoundingClientRect();
  return document.elementFromPoint(x + width / 2, y + height / 2)?.closest('[data-testid="status-tracker"]');
}).map((one) => one.closest('.block').id)"""
INSIDE = {"tab.person": "tab.expert", "tab.discover": "tab.expert", "tab.explore": "tab.expert"}


class LateAnswers:
    """An ASGI middleware: answers to the page's questions come late, each by another time, and so do its own files."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_answer = "/gradio_api/" in scope.get("path", "")

        async def send_late(message: Message) -> None:
            begins = message["type"] == "http.response.start"
            if is_answer or begins:
                await asyncio.sleep(random.uniform(0, 1.5 if is_answer and begins else 0.3))
            await send(message)

        await self.app(scope, receive, send_late if scope["type"] == "http" else send)


@contextmanager
def served(app: gr.Blocks, port: int | None = None) -> Iterator[str]:
    """The address of the real server of a page, on a free port where none is given."""
    options = {**launch_options(), "server_name": "127.0.0.1", "server_port": port, "quiet": True}
    if "net" in CHAOS:
        settings = options["app_kwargs"]
        options["app_kwargs"] = settings | {"middleware": [Middleware(LateAnswers), *settings["middleware"]]}
    _, url, _ = app.launch(prevent_thread_lock=True, **options)
    yield url.rstrip("/")
    app.close()


class Visitors:
    """Opens pages; no request of theirs may leave this machine, and none of their scripts may fail."""

    def __init__(self, browser: Browser):
        self._browser, self._hosts, self._errors = browser, set(), []

    def open(self, url: str, size: tuple[int, int] = DESK, locale: str = "en-US", script: str = "") -> Page:
        """A page whose texts have come; `script` runs before those of the page, each time it is loaded.

        Its visitor asks for less motion: drawing what moves takes half a core from whom the test waits for.
        """
        screen = {"viewport": {"width": size[0], "height": size[1]}, "reduced_motion": "reduce"}
        context = self._browser.new_context(**screen, locale=locale, accept_downloads=True)
        context.set_default_timeout(PATIENCE_MSEC)
        page = context.new_page()
        page.on("request", lambda request: self._hosts.add(urlparse(request.url).hostname))
        page.on("pageerror", lambda error: self._errors.append(str(error)))
        if script:
            page.add_init_script(script)
        if "page" in CHAOS:
            context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 6})
        page.goto(url)
        until_opened(page)
        return page

    def check(self) -> None:
        """Of all that was opened so far."""
        errors, self._errors = self._errors, []
        assert self._hosts - {None} <= {"127.0.0.1"}
        assert errors == []


TAP = """([x, y]) => { // on a place of the photo; the number of the face that is chosen then
  const stack = document.querySelector('.picture-stack');
  const { left, top, width, height } = stack.getBoundingClientRect();
  const { naturalWidth, naturalHeight } = stack.querySelector('.picture-before');
  const scale = Math.min(width / naturalWidth, height / naturalHeight);
  const clientX = left + width / 2 + scale * (x - naturalWidth / 2);
  const clientY = top + height / 2 + scale * (y - naturalHeight / 2);
  for (const kind of ['pointerdown', 'pointerup']) {
    stack.dispatchEvent(new PointerEvent(kind, { clientX, clientY, bubbles: true }));
  }
  return [...document.querySelectorAll('.face')].findIndex((one) => one.getAttribute('aria-pressed') === 'true');
}"""


def until_opened(page: Page) -> None:
    """Wait until a new page speaks the visitor's language: the link's, the one chosen before, or the browser's."""
    wait_until(
        page,
        "document.querySelector('#title h1')?.lang === ((new URLSearchParams(location.search).get('lang')"
        " || localStorage.getItem('gan_space_language') || navigator.language).startsWith('zh') ? 'zh-CN' : 'en')",
    )


def turn(page: Page, size: tuple[int, int]) -> None:
    """Give the page another screen, and wait until it has been drawn there."""
    page.set_viewport_size({"width": size[0], "height": size[1]})
    wait_until(page, "innerWidth === given", size[0])
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def wait_until(page: Page, condition: str, given: object = None) -> None:
    """Wait until an expression of JavaScript is true; in it, `given` is what is given here."""
    page.wait_for_function(f"(given) => ({condition})", arg=given, timeout=PATIENCE_MSEC, polling=100)


def at_tab(url: str, key: str) -> str:
    """The address at which the page with photos opens with a tab, or with the one that holds it: one load, not two."""
    return f"{url}/?tab={INSIDE.get(key, key).removeprefix('tab.')}"


def open_tab(page: Page, key: str, locale: str = "en-US") -> None:
    """Open the tab whose label has this key, through the tab that holds it where the page takes photos."""
    texts = load_locale("zh-CN" if locale.startswith("zh") else "en")
    outer = INSIDE.get(key, key)
    if page.locator("#pages").count():  # the page for a photo: the others are gradio's
        page.locator("#pages a", has_text=texts[outer]).click()
        page.wait_for_url("**tab=*")
        until_opened(page)
        expect(page.get_by_role("tab", name=texts[outer], exact=True).first).to_have_attribute("aria-selected", "true")
    elif (outer != key and page.evaluate(HAS_PHOTOS)) or outer == key:
        _open_one(page, texts[outer])
    if outer != key:
        _open_one(page, texts[key])


def _open_one(page: Page, name: str) -> None:
    """On a phone the last tabs lie behind a menu, once the page has seen that there is no room."""
    tab = page.get_by_role("tab", name=name, exact=True).first
    menu = page.locator(".overflow-menu > button:visible").last
    inside = page.locator(".overflow-dropdown button:visible", has_text=name)
    expect(tab.or_(menu).locator("visible=true").first).to_be_visible()
    for _ in range(PATIENCE_MSEC // 10_000):
        try:
            if not tab.is_visible():
                menu.click(timeout=10_000)
            (tab if tab.is_visible() else inside).click(timeout=10_000)
            return
        except TimeoutError:
            continue
    raise AssertionError(f"the tab {name} cannot be opened")


def open_accordion(page: Page, name: str) -> None:
    """Open one of gradio's accordions, if it is closed: its own button knows, what it holds comes into view later."""
    button = page.locator("button.label-wrap:visible", has_text=name)
    if "open" not in button.get_attribute("class").split():
        button.click()
    expect(button).to_have_class(re.compile(r"\bopen\b"))


def bring_files(page: Page, box: str, *paths: Path) -> None:
    """Put files into a box of gradio's and wait until it holds them: an earlier question is asked without them."""
    place = page.locator(box)
    place.locator("input[type=file]").first.set_input_files([str(path) for path in paths])
    expect(place.locator(".file-preview tr, img").first).to_be_visible()


def switch_language(page: Page, name: str) -> None:
    """Choose another language and wait until the server has given its texts."""
    before = page.locator("#title").inner_text()
    page.locator("#language label", has_text=name).click()
    expect(page.locator("#title")).not_to_have_text(before)


def expect_no_clock_over_the_page(page: Page, drawn: str) -> None:
    """Wait until something is being drawn in a part of the page: all controls can be tapped, all pictures seen."""
    clock = f"{drawn} [data-testid='status-tracker']:not(.hide)"
    expect(page.locator(clock).first).to_be_visible()
    assert page.evaluate(UNDER_A_CLOCK) == []
    expect(page.locator(clock).first).to_be_visible()  # it was drawn all the while


def expect_no_text_of(page: Page, texts: dict[str, str]) -> None:
    """Wait until no longer text of a language is to be seen."""
    long = [text for text in texts.values() if len(text) > 8]
    try:
        wait_until(page, "!given.some((text) => document.body.innerText.includes(text))", long)
    except TimeoutError:
        body = page.locator("body").inner_text()
        raise AssertionError([text for text in long if text in body]) from None


def expect_to_fit(page: Page, of_what: str) -> None:
    """Wait until nothing is wider than the screen."""
    width = page.viewport_size["width"]
    try:
        wait_until(page, "document.documentElement.scrollWidth <= given && innerWidth === given", width)
    except TimeoutError:
        wide = page.evaluate(
            "[...document.querySelectorAll('body *')].filter(e => e.checkVisibility() && "
            "e.getBoundingClientRect().right > innerWidth + 1).map(e => `${e.tagName}#${e.id}`).slice(0, 5)"
        )
        raise AssertionError((of_what, wide)) from None


def expect_nothing_moved(page: Page, limit: float, but: Collection[str] = ()) -> None:
    """What stays visible stood still, on a page with `SHIFTS`; shifts are told of after the next two frames.

    Shifts of nothing else than what `but` names are meant.
    """
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done))))")
    moved = page.evaluate("window.moved")
    assert sum(value for value, names in moved if any(name not in but for name in names)) <= limit, moved


def expect_changed(shown: Locator, before: str) -> str:
    """Wait for another picture than that at the address `before`; its address."""
    expect(shown).not_to_have_attribute("src", before)
    return shown.get_attribute("src")
