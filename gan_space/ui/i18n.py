"""English and Chinese: the browser's language on first sight, and a switch in the page.

The page is sent in the visitor's language (`ui/server/first_page.py`), so nothing flashes in the wrong one. The switch
then replaces every text by that of the chosen language, and server-made texts follow the same choice.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

import gradio as gr

LANGUAGES = {"en": "English", "zh-CN": "中文"}
# Browsers ask by these names; without a key of its own each of them would fall back to English.
CHINESE_TAGS = ("zh", "zh-CN", "zh-TW", "zh-HK", "zh-SG", "zh-MO", "zh-Hans", "zh-Hant")


@cache
def load_locale(language: str) -> dict[str, str]:
    """Load the texts of one language by key."""
    return json.loads((files("gan_space.ui") / "locales" / f"{language}.json").read_text(encoding="utf-8"))


def choose_language(tag: object) -> str:
    """Turn whatever a browser or link says ("zh-hant-TW", "de", None) into one of LANGUAGES."""
    return "zh-CN" if isinstance(tag, str) and tag.lower().startswith("zh") else "en"


def translate(key: str, language: str, **values: object) -> str:
    """Return the text of `key` in `language`, with {placeholders} filled in."""
    return load_locale(choose_language(language))[key].format(**values)


def browser_translations() -> gr.I18n:
    """Return all texts, for the browser to choose from at first paint."""
    return gr.I18n(en=load_locale("en"), **dict.fromkeys(CHINESE_TAGS, load_locale("zh-CN")))


class Texts:
    """Remembers which component shows which text, so that the switch can replace them all.

    Example:
        >>> texts = Texts()
        >>> with gr.Blocks():
        ...     seed = texts.add(gr.Number, label="portraits.seed", precision=0)
        >>> len(texts.updates("zh-CN"))
        1
    """

    def __init__(self) -> None:
        self._i18n = gr.I18n()
        self._entries: list[tuple[Any, Callable[[str], dict[str, Any]]]] = []

    @property
    def components(self) -> list[Any]:
        """The components, in the order in which they were made."""
        return [component for component, _ in self._entries]

    def add(
        self,
        kind: type,
        *,
        label: str | None = None,
        info: str | None = None,
        value_key: str | None = None,
        choice_keys: dict[str, str] | None = None,
        **settings: Any,
    ) -> Any:
        """Make a component of `kind` whose texts are given by key.

        Args:
            label, info, value_key: keys of the label, the help text, and a value that is text.
            choice_keys: choice value -> key of its text.
            **settings: passed on to the component.
        """

        def texts(translated: Callable[[str], Any]) -> dict[str, Any]:
            given = {"label": label, "info": info, "value": value_key}
            found = {name: translated(key) for name, key in given.items() if key is not None}
            if choice_keys is not None:
                found["choices"] = [(translated(key), value) for value, key in choice_keys.items()]
            return found

        component = kind(**texts(self._i18n), **settings)
        self._entries.append((component, lambda language: texts(lambda key: translate(key, language))))
        return component

    def updates(self, language: str) -> dict[Any, dict]:
        """Return one gradio update for each component."""
        return {component: gr.update(**texts(language)) for component, texts in self._entries}
