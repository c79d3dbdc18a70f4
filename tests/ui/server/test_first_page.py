"""The page as it is first sent: in one language from the first paint, and written once."""

from __future__ import annotations

import json
import re

import httpx
import pytest
from playwright.sync_api import expect

from gan_space.ui.i18n import load_locale
from gan_space.ui.server.first_page import COOKIE, MAX_KEPT, FirstPage, first_page

ENGLISH, CHINESE = load_locale("en"), load_locale("zh-CN")


def sent(url: str, **headers: str) -> str:
    return httpx.get(url, headers=headers, timeout=240).text


def config_of(page: str) -> dict:
    return json.loads(re.search(r"gradio_config = (.*?);</script>", page, re.DOTALL)[1])


@pytest.mark.parametrize(
    ("query", "headers", "texts"),
    [
        ("", {}, ENGLISH),
        ("", {"Accept-Language": "de-DE,zh;q=0.5"}, ENGLISH),
        ("", {"Accept-Language": "zh-TW,en;q=0.5"}, CHINESE),
        ("", {"Accept-Language": "zh-CN", "Cookie": f"{COOKIE}=en"}, ENGLISH),
        ("?lang=zh-CN", {"Accept-Language": "en-US", "Cookie": f"{COOKIE}=en"}, CHINESE),
        ("", {"Accept-Language": "zh", "Cookie": "a=b; broken\x01"}, CHINESE),
    ],
)
def test_the_page_comes_in_the_language_of_link_choice_or_browser(style_url, query, headers, texts):
    page = sent(f"{style_url}/{query}", **headers)
    assert f'lang="{"zh-CN" if texts is CHINESE else "en"}"' in page[:200]
    for key in ("app.title_photos", "tab.create", "footer.made_with"):
        assert f">{texts[key]}<" in page, key
    assert "gradio_config" not in page and "<script src" not in page

    page = sent(f"{style_url}/{query or '?'}&tab=create", **headers)
    config = config_of(page)
    told = json.dumps(config["components"], ensure_ascii=False)
    assert "__i18n__" not in told and not config["i18n_translations"]
    assert f'lang="{"zh-CN" if texts is CHINESE else "en"}"' in page[:200]
    for key in ("app.title_photos", "tab.create", "footer.made_with", "style.make_start"):
        assert texts[key].replace("'", "&#x27;") in told or texts[key] in told, key


def test_an_address_names_the_tab_that_is_open_first(style_url):
    for query, first in (
        ("tab=create", "create"),
        ("tab=expert", "expert"),
        ("tab=<x>", "create"),
        ("recipe=x", "expert"),
    ):
        tabs = [one["props"] for one in config_of(sent(f"{style_url}/?{query}"))["components"] if one["type"] == "tabs"]
        assert next(one["selected"] for one in tabs if one.get("elem_id") == "tabs") == first


def test_names_of_no_tab_make_no_pages(style_app, style_url, monkeypatch):
    """Else a stranger could push the pages out that are kept, each of which takes a second to write."""
    written, write = [], style_app.words_for

    async def counted(*asked):
        written.append(asked)
        return await write(*asked)

    monkeypatch.setattr(style_app, "words_for", counted)
    pages = {sent(f"{style_url}/?tab={name}") for name in ("create", *(f"no-tab-{number}" for number in range(14)))}
    assert len(pages) == 1 and len(written) <= 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("X-Forwarded-Host", "made-up-{}.example"),
        ("X-Gradio-Server", "http://made-up-{}.example"),
        ("X-Forwarded-Host", "a" * 6000 + "{}"),
        ("X-Forwarded-Host", 'made-up-{}"></script><script>alert(1)</script>'),
        ("X-Forwarded-Host", "http://[made-up-{}"),
    ],
)
def test_an_address_that_a_stranger_makes_up_is_the_strangers_alone(style_app, style_url, monkeypatch, header, value):
    """Neither is a page written for each, which takes long, nor kept, nor does another visitor get it."""
    own, written, write = sent(f"{style_url}/?tab=create"), [], style_app.words_for

    async def counted(*asked):
        written.append(asked)
        return await write(*asked)

    monkeypatch.setattr(style_app, "words_for", counted)
    for number in range(2 * MAX_KEPT):
        page = sent(f"{style_url}/?tab=create", **{header: value.format(number)})
        assert "<script>alert" not in page and "a" * 600 not in page
        told = config_of(page)["root"]
        assert told in (f"http://made-up-{number}.example", config_of(own)["root"])
        assert told.startswith("http://made-up") == (value.endswith("{}.example"))
    assert not written
    assert sent(f"{style_url}/?tab=create") == own and style_url in own
    assert sent(f"{style_url}/?tab=create", **{"X-Forwarded-Host": "me.example", "X-Forwarded-Proto": "https"}) == (
        own.replace(style_url, "https://me.example")
    )
    kept = first_page_of(style_app)
    assert len(kept._kept) <= MAX_KEPT and len(kept._packed) <= MAX_KEPT


def test_what_every_client_asks_for_first_is_written_once(style_app, style_url, monkeypatch):
    wanted = httpx.get(f"{style_url}/config?page=none", timeout=240)  # gradio's own, which is not kept
    httpx.get(f"{style_url}/config", timeout=240)
    asked, ask = [], FirstPage._ask

    async def counted(*given):
        asked.append(given)
        return await ask(*given)

    monkeypatch.setattr(FirstPage, "_ask", counted)
    for encoding in ("identity", "gzip"):
        got = httpx.get(f"{style_url}/config", headers={"Accept-Encoding": encoding}, timeout=240)
        assert got.json() == wanted.json() and got.json()["root"] == style_url
        assert got.headers["content-type"] == wanted.headers["content-type"]
        assert (int(got.headers["content-length"]) < len(wanted.content) / 5) == (encoding == "gzip")
    away = {"X-Forwarded-Host": "me.example", "X-Forwarded-Proto": "https"}
    other = httpx.get(f"{style_url}/config", headers=away, timeout=240)
    assert other.json() == httpx.get(f"{style_url}/config?page=none", headers=away, timeout=240).json()
    assert other.json()["root"] == "https://me.example" and not asked
    assert httpx.get(f"{style_url}/config", headers={"Host": "evil.example"}, timeout=240).status_code == 403


def first_page_of(app) -> FirstPage:
    """The middleware of a running app."""
    layer = app.app.middleware_stack
    while not isinstance(layer, FirstPage):
        layer = layer.app
    return layer


def test_a_page_of_another_form_is_left_alone():
    assert first_page("<html>no gradio here</html>", "zh-CN", {}) == "<html>no gradio here</html>"


def test_no_word_of_another_language_is_painted_before_the_visitors(new_page, style_url):
    seen = """window.seen = new Set();
    new MutationObserver(() => window.seen.add(document.querySelector('#title h1')?.textContent))
      .observe(document, { childList: true, subtree: true, characterData: true });"""
    page = new_page(f"{style_url}/?tab=create", locale="zh-CN", script=seen)
    expect(page.locator("#before-after img").first).to_be_visible()
    titles = page.evaluate("[...window.seen].filter(Boolean).map((text) => text.trim()).filter(Boolean)")
    assert set(titles) == {CHINESE["app.title_photos"]}
