"""Words of the trade are explained where they stand, time is told in honest words, and wrong files stay out."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect

from gan_space.ui.i18n import load_locale
from gan_space.ui.parts import time_left
from gan_space.ui.terms import FACT_TERMS, TERMS, fact_html
from tests.ui.walking import at_tab, switch_language, wait_until

ENGLISH, CHINESE = load_locale("en"), load_locale("zh-CN")
MARK = "__i18n__"  # gradio's, before the key of a text
OF_TRADE = re.compile(r"\b(seeds?|psi|ψ|layers?|classe?s?|direction|deviation|latent|SeFa|GANSpace)\b", re.IGNORECASE)
IN_RECIPES = re.compile(r"\b(truncated|noise|revision)\b", re.IGNORECASE)  # noise is an everyday word elsewhere


def test_every_word_stands_on_the_page(style_app, app):
    ids = {part["props"].get("elem_id") for page in (style_app, app) for part in page.config["components"]}
    assert set(TERMS) <= ids


def test_no_control_is_named_by_a_word_that_is_not_explained(style_app, app):
    """Buttons have no room for a "?": the number that they are about stands beside them."""
    named = {}
    for part in (part for page in (style_app, app) for part in page.config["components"]):
        label = str(part["props"].get("label") or "")
        key = json.loads(label.removeprefix(MARK))["key"] if label.startswith(MARK) else label
        if OF_TRADE.search(ENGLISH.get(key, key)):
            named[key] = part["props"].get("elem_id")
    assert {"portraits.seed", "mix.seed", "morph.to_seed", "settings.truncation"} <= set(named)
    assert {key: one for key, one in named.items() if one not in TERMS} == {}


def test_what_a_recipe_says_in_words_of_the_trade_is_explained_there():
    rows = {key.removeprefix("recipe.") for key, text in ENGLISH.items() if key.startswith("recipe.")}
    of_trade = {name for name in rows for kind in (OF_TRADE, IN_RECIPES) if kind.search(ENGLISH[f"recipe.{name}"])}
    assert of_trade <= FACT_TERMS.keys() <= rows
    for language, texts in (("en", ENGLISH), ("zh-CN", CHINESE)):
        row = fact_html("noise_mode", "<const>", language)
        assert f'<dt title="{texts["term.noise"]}">{texts["recipe.noise_mode"]}</dt><dd>&lt;const&gt;</dd>' == row
    assert fact_html("strength", "1", "en") == "<dt>Strength</dt><dd>1</dd>"


@pytest.mark.parametrize(
    ("elapsed", "done", "said"),
    [
        (1.0, 1, ""),
        (10.0, 0, ""),
        (10.0, 10, ", about 90 s left"),
        (50.0, 20, ", about 4 min left"),
        (99.0, 99, ", nearly done"),
        (200.0, 100, ", nearly done"),
    ],
)
def test_time_left_is_told_only_as_well_as_it_is_known(elapsed, done, said):
    assert time_left(elapsed, done, 100, "en") == said
    assert bool(time_left(elapsed, done, 100, "zh-CN")) == bool(said)


def test_a_word_is_explained_and_a_wrong_file_is_refused_before_it_is_sent(new_page, style_url, tmp_path):
    page, sent = new_page(at_tab(style_url, "tab.create")), []
    page.on(
        "request",
        lambda request: sent.append(request.url) if request.method == "POST" and "/upload" in request.url else None,
    )
    page.locator("#scope .term").click()
    expect(page.locator(".term-bubble")).to_have_text(ENGLISH["term.scope"])
    page.keyboard.press("Escape")
    expect(page.locator(".term-bubble")).to_be_hidden()
    switch_language(page, "中文")
    page.get_by_role("tab", name=CHINESE["style.mode_many"]).click()
    words = "getComputedStyle(document.querySelector(`#photos [data-testid='upload-text']`), '::after').content"
    wait_until(page, f"{words} === given", f'"{CHINESE["upload.drop"]}"')
    expect(page.locator("#looks .thumbnail-item").first).to_have_attribute("aria-label", "水墨")
    expect(page.locator("#strength input[type=range]")).to_have_attribute("aria-label", CHINESE["style.strength"])
    (tmp_path / "letter.pdf").write_bytes(b"%PDF-1.7")
    page.locator("#photos input[type=file]").first.set_input_files(str(tmp_path / "letter.pdf"))
    expect(page.locator(".refused")).to_have_text(CHINESE["upload.no_photo"])
    assert sent == []
