"""How tests in a browser serve a page and walk to a tab."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr
from playwright.sync_api import Page, expect

from gan_space.ui.app import launch_options
from gan_space.ui.i18n import load_locale

PATIENCE_MSEC = 120_000  # for networks of the real size; ask for the fixture `patience` as well

INSIDE = {"tab.person": "tab.expert", "tab.discover": "tab.expert", "tab.explore": "tab.expert"}


@contextmanager
def served(app: gr.Blocks) -> Iterator[str]:
    """The address of the real server of a page, on a free port."""
    options = {**launch_options(), "server_name": "127.0.0.1", "server_port": None, "quiet": True}
    _, url, _ = app.launch(prevent_thread_lock=True, **options)
    yield url.rstrip("/")
    app.close()


def open_tab(page: Page, key: str, locale: str = "en-US", timeout_msec: int = 60_000) -> None:
    """Open the tab whose label has this key, through the tab that holds it where the page takes photos."""
    texts = load_locale("zh-CN" if locale.startswith("zh") else "en")
    expect(page.locator("#tabs [role=tab]").first).to_be_visible(timeout=timeout_msec)
    has_photos = page.get_by_role("tab", name=texts["tab.expert"], exact=True).count() > 0
    for step in ([INSIDE[key]] if has_photos and key in INSIDE else []) + [key]:
        name = texts[step]
        tab = page.get_by_role("tab", name=name, exact=True)
        if tab.first.is_visible():
            tab.first.click()
        else:  # on a phone the last tabs lie behind a menu
            page.locator(".overflow-menu > button:visible").last.click()
            page.locator(".overflow-dropdown button:visible", has_text=name).click()
