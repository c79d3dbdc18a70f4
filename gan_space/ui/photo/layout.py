"""What the first tab is made of: one page drawn by our own script, and the wires on which answers reach it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import gradio as gr
from PIL import Image

from gan_space.looks.recipe import GROUPS
from gan_space.photos.formats import READ_FORMATS
from gan_space.styles.settings import MAX_STRENGTH
from gan_space.ui.i18n import LANGUAGES, load_locale
from gan_space.ui.photo.actions import GREETING_PX, PhotoActions, data_url
from gan_space.ui.photo.api import DEFAULT_STRENGTH

SCRIPTS = ("page.js", "choosing.js", "strip.js", "adjusting.js", "keeping.js", "start.js")
SECTIONS = ("photo.",)  # of the texts that the script needs
EXAMPLE_PX = 128
MAX_UPLOAD_MB = 20
WIRE = """watch('value', () => window.dispatchEvent(
  new CustomEvent('gan-space-photo', { detail: { kind: props.kind, answer: props.value } })))"""


@dataclass(frozen=True)
class PhotoScreen:
    """Components of the tab.

    Args:
        page: what people see; it tells of `photo_chosen`, `strip_wanted`, `strip_moved`, `look_wanted`,
            `makeup_chosen`, `file_wanted` and `place_wanted`.
        opened: the open photo of the visit.
        greeting, answer, strip, drawn, worn, file, place: wires to the page: the example, what became of the choice of
            a photo, the small pictures, the large one, what became of the choice of make-up, the file to save, and how
            many wait before this visit. One each, so that no answer is lost to another.
    """

    page: gr.HTML
    opened: gr.State
    greeting: gr.HTML
    answer: gr.HTML
    strip: gr.HTML
    drawn: gr.HTML
    worn: gr.HTML
    file: gr.HTML
    place: gr.HTML


def build_photo_screen(actions: PhotoActions) -> PhotoScreen:
    """Build the tab inside the current gr.Blocks."""
    page = gr.HTML(
        html_template='<div class="photo-page"></div>',
        js_on_load=read_script(),
        page_data=page_data(actions),
        apply_default_css=False,
        elem_id="photo-page",
    )
    kinds = ("greeting", "answer", "strip", "drawn", "worn", "file", "place")
    opened = gr.State(None, delete_callback=actions.forget)
    return PhotoScreen(page, opened, **{kind: _wire(kind) for kind in kinds})


def page_data(actions: PhotoActions) -> dict[str, Any]:
    """Collect what the script has to know, as JSON can express it."""
    examples = [data_url_of(path, EXAMPLE_PX) for path in actions.examples]
    return {
        "looks": [vars(card) for card in actions.looks],
        "sliders": [vars(card) for card in actions.sliders],
        "frames": actions.frames,
        "makeup_from": actions.takes_makeup,
        "groups": list(GROUPS),
        "examples": examples,
        "greeting": data_url_of(actions.examples[0], GREETING_PX) if examples else "",
        "strength": DEFAULT_STRENGTH,
        "max_strength": min(MAX_STRENGTH, 1.0),
        "max_upload_mb": MAX_UPLOAD_MB,
        "formats": READ_FORMATS,
        "texts": {tag: texts_of(tag) for tag in LANGUAGES},
    }


def texts_of(tag: str) -> dict[str, str]:
    """Pick the texts of a language that the script shows."""
    return {key: text for key, text in load_locale(tag).items() if key.startswith(SECTIONS)}


@cache
def read_script() -> str:
    """Read all of the script; its files are parts of one function."""
    folder = files("gan_space.ui.photo")
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in SCRIPTS)


@cache
def data_url_of(path: str, px: int) -> str:
    """Make a small copy of a picture file as an address that holds it."""
    with Image.open(path) as picture:
        return data_url(picture, px)


def _wire(kind: str) -> gr.HTML:
    return gr.HTML(html_template="", js_on_load=WIRE, kind=kind, visible="hidden", elem_id=f"photo-wire-{kind}")
