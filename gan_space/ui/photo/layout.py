"""The page for a photo: a document of its own, without gradio's scripts, which would take seconds to open.

Its script asks through gradio's queue (`server.js`); what it asks for is answered by `events.py`.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import gradio as gr
from gradio.utils import is_zero_gpu_space
from PIL import Image

from gan_space.looks.recipe import GROUPS
from gan_space.photos.formats import READ_FORMATS
from gan_space.styles.settings import MAX_STRENGTH
from gan_space.ui.i18n import LANGUAGES, load_locale, translate
from gan_space.ui.photo.actions import GREETING_PX, PhotoActions, data_url
from gan_space.ui.photo.api import DEFAULT_STRENGTH
from gan_space.ui.server.hosts import SPACE_FRAME

SCRIPTS = ("page.js", "server.js", "choosing.js", "strip.js", "adjusting.js", "seeing.js", "keeping.js", "start.js")
SECTIONS = ("photo.", "tab.", "app.")  # of the texts that the script needs
EXAMPLE_PX = 144
MAX_UPLOAD_MB = 20
OTHER_PAGES = ("create", "expert")  # tabs of gradio's page
HUB = f"https://{SPACE_FRAME}"
# As the visitor's device is, or as the page around it says, which is how Spaces do; before the first paint.
DARK = """(() => {
  const wanted = new URLSearchParams(location.search).get('__theme');
  const device = matchMedia('(prefers-color-scheme: dark)');
  const show = () => {
    document.documentElement.classList.toggle('dark', wanted === 'dark' || (wanted !== 'light' && device.matches));
  };
  device.addEventListener('change', show);
  show();
})();"""


@dataclass(frozen=True)
class PhotoScreen:
    """What gradio has to know of the page; none of it is shown.

    Args:
        asked: a question, as the script wrote it.
        opened: the open photo of the visit.
        answer: to any question; of a kind whose files gradio hands out.
    """

    asked: gr.JSON
    opened: gr.State
    answer: gr.HTML


def build_photo_screen(actions: PhotoActions) -> PhotoScreen:
    """Build it inside the current gr.Blocks."""
    opened = gr.State(None, delete_callback=actions.forget)
    return PhotoScreen(gr.JSON(visible=False), opened, gr.HTML(visible=False))


def page_data(actions: PhotoActions, events: Mapping[str, Any], footers: Mapping[str, str]) -> dict[str, Any]:
    """Collect what the script has to know, as JSON can express it.

    Args:
        actions: what can be done.
        events: by name, how the script asks, see `connect_photo_screen`.
        footers: HTML at the foot of the page by language.
    """
    examples = [data_url_of(path, EXAMPLE_PX) for path in actions.examples]
    return {
        "events": dict(events),
        "looks": [vars(card) for card in actions.looks],
        "sliders": [vars(card) for card in actions.sliders],
        "frames": actions.frames,
        "makeup_from": actions.takes_makeup,
        "sees": actions.sees,
        "groups": list(GROUPS),
        "examples": examples,
        "before": data_url_of(actions.examples[0], GREETING_PX) if examples else "",
        "greeting": greeting_of(actions),
        "strength": DEFAULT_STRENGTH,
        "max_strength": min(MAX_STRENGTH, 1.0),
        "max_upload_mb": MAX_UPLOAD_MB,
        "formats": READ_FORMATS,
        "texts": {tag: texts_of(tag) for tag in LANGUAGES},
        "footers": dict(footers),
        "zerogpu_frame": HUB if is_zero_gpu_space() else "",
    }


def greeting_of(actions: PhotoActions) -> list[dict[str, str]]:
    """Return the example as it is shown in a few looks, as far as it is drawn by now."""
    return [{"look": name, "picture": picture} for name, picture in actions.greeting(wait=False)]


def photo_document(data: Mapping[str, Any], tag: str) -> str:
    """Write the page.

    Args:
        data: see `page_data`.
        tag: of its language.
    """
    content = json.dumps({**data, "language": tag}, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    text = {key: html.escape(translate(key, tag)) for key in ("app.title_photos", "app.language", "app.notice_photos")}
    links = "".join(
        f'<a href="?tab={name}" data-page="{name}" data-text="tab.{name}">{translate(f"tab.{name}", tag)}</a>'
        for name in OTHER_PAGES
    )
    languages = "".join(
        f'<label><input type="radio" name="language" value="{one}"{" checked" if one == tag else ""}>'
        f'<span lang="{one}">{name}</span></label>'
        for one, name in LANGUAGES.items()
    )
    return f"""<!doctype html>
<html lang="{tag}" data-built="{tag}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1, viewport-fit=cover">
<meta name="color-scheme" content="light dark">
<title>{text["app.title_photos"]}</title>
<link rel="icon" href="{_ICON}">
<script>{DARK}</script>
<style>{read_style()}</style>
</head>
<body>
<header id="top">
<div id="title"><h1 lang="{tag}" data-text="app.title_photos">{text["app.title_photos"]}</h1></div>
<nav id="pages"><a href="?" aria-current="page" data-text="tab.photo">{translate("tab.photo", tag)}</a>{links}</nav>
<div id="language" role="radiogroup" aria-label="{text["app.language"]}" data-aria="app.language">{languages}</div>
</header>
<main id="photo-page"><div class="photo-page"></div></main>
<footer id="page-end"><p id="ai-notice" data-text="app.notice_photos">{text["app.notice_photos"]}</p>
<div id="page-footer">{data["footers"][tag]}</div></footer>
<script>(() => {{
const data = {content};
{read_script()}
}})();</script>
</body>
</html>
"""


def texts_of(tag: str) -> dict[str, str]:
    """Pick the texts of a language that the script shows."""
    return {key: text for key, text in load_locale(tag).items() if key.startswith(SECTIONS)}


@cache
def read_script() -> str:
    """Read all of the script; its files are parts of one function."""
    return "\n".join(_read(name) for name in SCRIPTS)


@cache
def read_style() -> str:
    """Read the style sheets of the page."""
    return _read("tokens.css") + _read("page.css")


@cache
def data_url_of(path: str, px: int) -> str:
    """Make a small copy of a picture file as an address that holds it."""
    with Image.open(path) as picture:
        return data_url(picture, px)


def _read(name: str) -> str:
    return (files("gan_space.ui.photo") / name).read_text(encoding="utf-8")


_ICON = (  # two halves of a face, one changed
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 32 32'%3E"
    "%3Crect width='32' height='32' rx='9' fill='%234f46e5'/%3E"
    "%3Cpath d='M16 6a10 10 0 0 0 0 20z' fill='white'/%3E"
    "%3Cpath d='M16 6a10 10 0 0 1 0 20z' fill='%23f9a8d4'/%3E%3C/svg%3E"
)
