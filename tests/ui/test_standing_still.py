"""Nothing jumps while gradio's page is opened: what stays visible stands still, as far as browsers count it as good."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.ui.walking import DESK, PHONE, SHIFTS, expect_nothing_moved

GOOD_SHIFT = 0.1


@pytest.mark.parametrize(
    ("tab", "size", "first", "below"),
    [
        ("create", DESK, "#before-after img", ["#style-card", "#looks", "#strength"]),
        ("expert", PHONE, "#person-picture img", ["#person-tools", "#person-card", "#person-attributes"]),
    ],
)
def test_the_page_stands_still_while_it_is_opened(new_page, style_url, tab, size, first, below):
    page = new_page(f"{style_url}/?tab={tab}", size, script=SHIFTS)
    expect(page.locator(first).first).to_be_visible()
    for part in below:
        expect(page.locator(part)).to_be_visible()
    expect_nothing_moved(page, GOOD_SHIFT)
