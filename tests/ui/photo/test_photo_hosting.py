"""The page for a photo where people host it: below a path, in a frame, in several tabs, on servers that start anew."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import gradio as gr
import httpx
import uvicorn
from playwright.sync_api import Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from gan_space.pipelines.generation import GenerationPipeline
from gan_space.ui.app import build_app
from gan_space.ui.i18n import load_locale
from gan_space.ui.photo import layout
from gan_space.ui.photo.actions import PhotoActions
from gan_space.ui.server.folder import server_folder
from tests.ui.walking import PATIENCE_MSEC, open_tab, served, wait_until

ENGLISH = load_locale("en")
SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
AT_REST = "document.querySelector('.photo-page').getAttribute('aria-busy') === 'false'"
DEAF = """window.late = 0;
window.streams = [];
const now = performance.now.bind(performance);
performance.now = () => now() + window.late;
window.EventSource = class extends EventSource {
  constructor(url) { super(url); if (this.url.includes('queue/data')) window.streams.push(this); }
  set onmessage(tell) {
    super.onmessage = (event) => {
      if (this.url.includes(window.deaf)) return;
      tell(event);
      this.hasTold = true;
      window.told += 1;
    };
  }
};
window.told = 0;
window.taken = ''; // by the server
const ask = window.fetch;
window.fetch = async (address, message) => {
  const answer = await ask(address, message);
  if (`${address}`.includes('queue/join')) window.taken += message.body;
  return answer;
};
const every = window.setInterval;
window.setInterval = (tick, msec) => { // the place is asked for when the test says so
  if (tick.name !== 'askForPlace') return every(tick, msec);
  window.check = tick;
  return every(() => {}, msec);
};"""
VISIT = "sessionStorage.getItem('gan_space_visit_2')"


@contextmanager
def running(app: Starlette) -> Iterator[str]:
    """The address of a server of an ASGI app."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + PATIENCE_MSEC / 1000
    while not server.started and thread.is_alive() and time.monotonic() < deadline:
        thread.join(0.05)
    assert server.started
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = server.force_exit = True
    thread.join()


def proxy(prefix: str, url: str, asked: list[str]) -> Starlette:
    """Hands on what is asked for below a path, as a web server before ours does; nothing else is there."""
    client = httpx.AsyncClient(base_url=url, timeout=None)

    async def hand_on(request: Request) -> Response:
        asked.append(str(request.url))
        kept = {"accept", "accept-encoding", "accept-language", "content-type", "cookie", "host"}
        headers = {name: value for name, value in request.headers.items() if name in kept}
        headers |= {"x-forwarded-host": request.headers["host"]}
        path = request.url.path.removeprefix(prefix) or "/"
        question = client.build_request(
            request.method, path, params=request.query_params, headers=headers, content=await request.body()
        )
        answer = await client.send(question, stream=True)
        told = {name: value for name, value in answer.headers.items() if name != "transfer-encoding"}
        return StreamingResponse(answer.aiter_raw(), answer.status_code, told)

    def refuse(request: Request) -> Response:
        asked.append(str(request.url))
        return PlainTextResponse("nothing here", 404)

    methods = ["GET", "POST", "HEAD"]
    below = [Route(path, hand_on, methods=methods) for path in (prefix, prefix + "/{path:path}")]
    return Starlette(routes=[*below, Route("/{path:path}", refuse, methods=methods)])


def bring(page: Page) -> None:
    page.locator("#photo-file").set_input_files(str(SAMPLES / "woman-lake.jpg"))


def draw(page: Page, name: str) -> str:
    """Tap a look, and wait for the large picture; its address."""
    page.locator(f".look[data-look='{name}']").first.click()
    wait_until(page, AT_REST)
    expect(page.locator("#photo-save")).to_be_enabled()
    expect(page.locator(".notice-line")).to_be_hidden()
    return page.locator(".picture-now").get_attribute("src")


def test_below_a_path_every_address_is_there_and_says_who_asks(new_page, style_app, style_url, monkeypatch):
    """The address has no slash at its end, and the words that a private Space gives its frame."""
    monkeypatch.setattr(style_app.app, "root_path", "/portraits")  # gradio's page has to be told
    asked: list[str] = []
    with running(proxy("/portraits", style_url, asked)) as url:
        page = new_page(f"{url}/portraits?__sign=ticket&__theme=dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 15, 20)"
        bring(page)
        draw(page, "golden-hour")
        with page.expect_download():
            page.locator("#photo-save").click()
        wait_until(page, "[...document.querySelectorAll('.look:not([hidden]) img')].every((one) => one.src)")
        ours = [one for one in asked if "favicon" not in one]
        assert [one for one in ours if "/portraits" not in one or "__sign=ticket" not in one] == []
        assert {"upload", "join", "data"} <= {one.split("?")[0].rsplit("/", 1)[-1] for one in ours}
        open_tab(page, "tab.create")
        page.get_by_role("tab", name=ENGLISH["tab.photo"], exact=True).click()
        expect(page.locator(".picture-now")).to_be_visible()
        assert page.url.split("?")[0].rstrip("/") == f"{url}/portraits"
        assert "__sign=ticket" in page.url and "__theme=dark" in page.url and "tab=" not in page.url
        page.goto("about:blank")  # closes what is open, before the server between ends


def test_a_space_that_borrows_gpus_is_told_whose_time_it_takes(new_page, style_folder, monkeypatch):
    """The page around it is the Hub's; a stranger's gets no word, and a queue of one would refuse most questions."""
    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    frame = """<iframe name="space" style="width: 1000px; height: 800px" src="URL"></iframe><script>
    window.heard = [];
    addEventListener('message', ({ data, source, origin, ports }) => {
      window.heard.push(data);
      if (data === 'supports-zerogpu-headers') source.postMessage(data, origin);
      if (data === 'zerogpu-headers') ports[0].postMessage({ 'x-zerogpu-token': 'mine' });
    });</script>"""
    space: list[str] = []

    def hub(request: Request) -> Response:
        return HTMLResponse(frame.replace("URL", space[0]))

    with running(Starlette(routes=[Route("/hub", hub)])) as url:
        monkeypatch.setattr(layout, "HUB", url)
        app = build_app(GenerationPipeline.from_pretrained(style_folder))
        with served(app) as address:
            space.append(address)
            page = new_page(address)
            page.goto("about:blank")
            tokens: list[tuple[str, str | None]] = []
            page.on("request", lambda one: tokens.append((one.url, one.headers.get("x-zerogpu-token"))))
            page.goto(f"{url}/hub")
            inside = page.frame_locator("iframe")
            inside.locator("#photo-file").set_input_files(str(SAMPLES / "woman-lake.jpg"))
            inside.locator(".look[data-look='golden-hour']").first.click()
            expect(inside.locator("#photo-save")).to_be_enabled()
            joins = [token for one, token in tokens if "queue/join" in one]
            assert joins and set(joins) == {"mine"}
            assert [one for one, token in tokens if token and "queue/join" not in one] == []
            monkeypatch.setattr(layout, "HUB", "https://huggingface.co")
            page.goto("about:blank")


def test_an_open_page_outlives_its_server(new_page, style_folder):
    """The next server knows no visit and has no file."""
    pipe = GenerationPipeline.from_pretrained(style_folder)
    with served(build_app(pipe)) as url:
        page = new_page(url)
        bring(page)
        first = draw(page, "golden-hour")
    for left in server_folder().uploads.iterdir():
        shutil.rmtree(left, ignore_errors=True)
    with served(build_app(pipe), port=int(url.rsplit(":", 1)[1])):
        assert draw(page, "silver-print") != first
        expect(page.locator(".past")).to_have_count(1)  # pictures of the server before are gone
        page.goto("about:blank")


def test_a_server_that_is_full_for_a_moment_is_asked_again(new_page, style_url):
    page, refused = new_page(style_url), []

    def refuse(route) -> None:
        refused.append(route.request.url)
        if len(refused) <= 2:
            route.fulfill(status=503, body='{"detail": "Queue is full."}')
        else:
            route.continue_()

    page.route("**/queue/join", refuse)
    bring(page)
    draw(page, "golden-hour")
    assert len(refused) > 2


def test_an_answer_whose_connection_broke_is_asked_for_again(new_page, style_url, held):
    """On a phone that was locked, or that has left the house."""
    kept = """window.heard = [];
    window.EventSource = class extends EventSource { constructor(url) { super(url); window.heard.push(this); } };"""
    page = new_page(style_url, script=kept)
    begun, goes_on = held(PhotoActions, "preview")
    bring(page)
    page.locator(".look[data-look='golden-hour']").first.click()
    assert begun.wait(PATIENCE_MSEC / 1000)
    page.evaluate(
        "window.heard.filter((one) => one.url.includes('queue/data') && one.readyState !== 2)"
        ".forEach((one) => one.dispatchEvent(new Event('error')))"
    )
    goes_on.set()
    expect(page.locator("#photo-save")).to_be_enabled()
    expect(page.locator(".notice-line")).to_be_hidden()


def test_an_answer_that_is_lost_without_a_word_is_asked_for_again(new_page, style_app, style_url, held):
    """By the server, when an older connection of the same visit ends; or on its way, with a connection that is dead."""
    page = new_page(style_url, script=DEAF)
    bring(page)
    draw(page, "golden-hour")
    save, heard_elsewhere = page.locator("#photo-save"), "window.streams.some((one) => !one.url.includes(window.deaf))"
    for look, loser in (("silver-print", "server"), ("vintage-print", "way")):
        begun, goes_on = held(PhotoActions, "preview")
        page.locator(f".look[data-look='{look}']").first.click()
        assert begun.wait(PATIENCE_MSEC / 1000)
        if loser == "server":
            for job in list(style_app._queue.event_ids_to_events.values()):
                job.alive = False
        else:
            page.evaluate(f"window.deaf = JSON.parse({VISIT}).session")
            wait_until(page, f"window.late += 60_000, window.check(), {heard_elsewhere}")
        goes_on.set()
        wait_until(page, f"window.check() || {AT_REST}")
        expect(save).to_be_enabled()
        expect(page.locator(".notice-line")).to_be_hidden()
        expect(page.locator(f".look[data-look='{look}']").first).to_have_attribute("aria-pressed", "true")


def test_who_wakes_up_often_is_neither_asked_for_twice_nor_given_up(new_page, style_url, held):
    """A clock that jumps is no sign of a dead connection; one that is dead, but was not at first, is not counted."""
    page = new_page(style_url, script=DEAF)
    bring(page)
    draw(page, "golden-hour")
    begun, goes_on = held(PhotoActions, "preview")
    page.evaluate("window.told = 0")
    page.locator(".look[data-look='silver-print']").first.click()
    assert begun.wait(PATIENCE_MSEC / 1000)
    visit, streams, last = page.evaluate(VISIT), page.evaluate("window.streams.length"), "window.streams.at(-1)"
    for _ in range(2):
        told = page.evaluate("window.told")
        page.evaluate("window.late += 60_000; window.check()")
        wait_until(page, "window.told > given", told)
    assert page.evaluate("window.streams.length") == streams
    for _ in range(8):  # a stream that is done with one question before the next one is taken is followed by another
        page.evaluate(f"window.deaf = {last}.url.split('session_hash=')[1]; window.taken = ''")
        wait_until(page, f"window.late += 60_000, window.check(), !{last}.url.includes(window.deaf)")
        wait_until(
            page, f"window.taken.includes('silver-print') && {last}.readyState === EventSource.OPEN && {last}.hasTold"
        )
    goes_on.set()
    wait_until(page, AT_REST)
    expect(page.locator("#photo-save")).to_be_enabled()
    expect(page.locator(".notice-line")).to_be_hidden()
    assert page.evaluate(VISIT) != visit


def test_a_copied_tab_is_another_visit_with_the_same_photo(new_page, style_url):
    page = new_page(style_url)
    bring(page)
    first = draw(page, "golden-hour")
    kept = page.evaluate(VISIT)
    with page.context.expect_page() as opened:
        page.evaluate("window.open(location.href)")  # browsers give it a copy of what this tab keeps
    copy = opened.value
    if not copy.evaluate(VISIT):
        copy.evaluate(f"sessionStorage.setItem('gan_space_visit_2', {json.dumps(kept)})")
        copy.reload()
    expect(copy.locator(".picture-now")).to_have_attribute("src", first)
    wait_until(copy, AT_REST)
    looks = [draw(one, name) for one, name in ((copy, "silver-print"), (page, "vintage-print"))]
    assert len({first, *looks}) == 3
    sessions = [json.loads(one.evaluate(VISIT))["session"] for one in (page, copy)]
    assert sessions[0] != sessions[1]


def test_who_leaves_while_the_photo_is_opened_finds_it_opened(new_page, style_url, held):
    begun, goes_on = held(PhotoActions, "open")
    page = new_page(style_url)
    bring(page)
    page.locator(".look[data-look='golden-hour']").first.click()
    assert begun.wait(PATIENCE_MSEC / 1000)
    open_tab(page, "tab.create")
    goes_on.set()
    page.go_back()
    expect(page.locator("#photo-save")).to_be_enabled()
    expect(page.locator(".look[data-look='golden-hour']").first).to_have_attribute("aria-pressed", "true")


def test_who_has_no_gpu_time_left_is_told_so(new_page, style_url, monkeypatch):
    def refuse(*args) -> None:
        raise gr.Error("You have exceeded your quota")

    monkeypatch.setattr(PhotoActions, "preview", refuse)
    page = new_page(style_url)
    bring(page)
    page.locator(".look[data-look='golden-hour']").first.click()
    expect(page.locator(".notice-line")).to_contain_text(ENGLISH["photo.error_gpu"])
