"""Parts of the page that several tabs are made of."""

from __future__ import annotations

import html
import time
from collections.abc import Callable
from math import ceil
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from gan_space.pipelines.recipe import TRUNCATION_PSI
from gan_space.ui.controls import DRAW
from gan_space.ui.i18n import Texts, translate
from gan_space.ui.server.files import FORMATS

MAX_SHOWN_PSI = 1.2  # further out, faces fall apart

# A plain button writes the file first; then the browser is told to save it.
SAVE_FILE = """(file) => {
  if (!file) return [file];
  const link = document.createElement('a');
  link.href = file.url;
  link.download = file.orig_name || '';
  document.body.append(link);
  link.click();
  link.remove();
  return [file];
}"""

# The button is there for whom a job works or waits (frame.css).
STOP_COMES, STOP_GOES = (f"() => [{{ __type__: 'update', interactive: {state} }}]" for state in ("true", "false"))


def stop_button(texts: Texts, key: str, elem_id: str) -> gr.Button:
    """Build the button that ends a job: in sight from its start to its end, see `run_with_stop`."""
    return texts.add(
        gr.Button, value_key=key, min_width=110, interactive=False, elem_id=elem_id, elem_classes="stop-job"
    )


def run_with_stop(start: gr.Button, stop: gr.Button, give_up: Callable, *job: Any, **options: Any) -> Dependency:
    """Wire a button that starts a job, and the one that ends it; return the event of the job.

    Args:
        start, stop: the buttons; `stop` is a `stop_button`.
        give_up: ends the job of a visit.
        *job, **options: as a gradio event takes them.
    """
    page_only = {"fn": None, "outputs": stop, "api_visibility": "private", "show_progress": "hidden"}
    start.click(js=STOP_COMES, **page_only)  # first: gradio runs the events of one click one after the other
    event = start.click(*job, **options)
    for ended in (event.success, event.failure):  # `then` is not told of a failure
        ended(js=STOP_GOES, **page_only)
    stop.click(give_up, None, None, api_visibility="private", queue=False)
    return event


def photo_input(**settings: Any) -> gr.Image:
    """Build an upload that hands over the very file: nothing is encoded anew, and a broken one gets our own words."""
    image = gr.Image(type="filepath", image_mode=None, buttons=[], **settings)
    decode = image.preprocess
    # Not a subclass: gradio would write a stub file beside this one.
    image.preprocess = lambda payload: payload.path if payload is not None and payload.path else decode(payload)
    return image


def thumbnails(*, columns: int = 4, **settings: Any) -> gr.Gallery:
    """Return the small pictures to choose from: a click selects one, nothing is opened or offered for download."""
    return gr.Gallery(
        show_label=False,
        columns=columns,
        height="auto",
        object_fit="cover",
        allow_preview=False,
        interactive=False,
        buttons=[],
        elem_classes="thumbnails",
        **settings,
    )


def pictures_input(texts: Texts, key: str, elem_id: str, height: int) -> gr.File:
    """Build an upload of several pictures."""
    return texts.add(
        gr.File,
        label=key,
        file_count="multiple",
        file_types=["image"],
        type="filepath",
        height=height,
        elem_id=elem_id,
    )


def results_gallery(elem_id: str, columns: int, **settings) -> gr.Gallery:
    """Build a gallery of finished pictures, out of sight until there are some."""
    return gr.Gallery(
        visible=False,
        show_label=False,
        columns=columns,
        height="auto",
        object_fit="contain",
        interactive=False,
        buttons=["download", "fullscreen"],
        elem_id=elem_id,
        **settings,
    )


def save_on_click(button: gr.Button, write: tuple[Callable, set[Component]], file: gr.DownloadButton) -> None:
    """Let a button write a file and the browser save it; `write` is what `Inputs.to` makes of the writing function."""
    button.click(*write, file, **DRAW).success(None, file, file, js=SAVE_FILE, api_visibility="private")


def copy_on_click(button: gr.Button, link_id: str, language: Component) -> None:
    """Let a button put the address of a link into the clipboard, and say so."""
    script = f"""(language) => {{
  const link = document.querySelector('#{link_id}');
  if (link && navigator.clipboard) navigator.clipboard.writeText(link.href);
  return [language];
}}"""

    def say(language: str) -> None:
        gr.Info(translate("results.copied", language), title="")

    button.click(say, language, None, js=script, api_visibility="private")


def preview_image(elem_id: str, height: int) -> gr.Image:
    """Build a picture of what is being made, out of sight until there is one."""
    return gr.Image(
        type="filepath",
        interactive=False,
        visible=False,
        show_label=False,
        buttons=[],
        height=height,
        elem_id=elem_id,
    )


def whole_slider(texts: Texts, key: str, maximum: int, value: int, *, minimum: int = 1, **settings: Any) -> gr.Slider:
    """Build a slider for a whole number, such as how many."""
    limits = {"minimum": minimum, "maximum": maximum, "value": value}
    return texts.add(gr.Slider, label=key, step=1, precision=0, buttons=[], **limits, **settings)


def truncation_slider(texts: Texts, elem_id: str) -> gr.Slider:
    """Build the slider for how far drawn faces are from the average one."""
    return texts.add(
        gr.Slider,
        label="settings.truncation",
        info="settings.truncation_info",
        minimum=0,
        maximum=MAX_SHOWN_PSI,
        step=0.05,
        value=TRUNCATION_PSI,
        buttons=[],
        elem_id=elem_id,
    )


def file_choices(texts: Texts, tab: str, value: str) -> tuple[gr.Radio, gr.Checkbox]:
    """Build the choices for saving: the format, `value` at first, and whether the label is to be seen."""
    image_format = texts.add(
        gr.Radio,
        label="style.format",
        choices=[(name.upper(), name) for name in FORMATS],
        value=value,
        elem_id=f"{tab}-format",
    )
    visible_label = texts.add(gr.Checkbox, label="results.visible_label", value=True, elem_id=f"{tab}-visible-label")
    return image_format, visible_label


def notice_html(text: str) -> str:
    """Return a message for the page; `text` is shown as it is, whatever it holds."""
    return f"<p>{html.escape(text)}</p>"


def progress_html(done: int, total: int, text: str) -> str:
    """Return a bar with a line below."""
    return f'<progress max="{total}" value="{done}"></progress><p>{html.escape(text)}</p>'


class Pace:
    """Says how far a long job is, and about how long it goes on, once a second."""

    def __init__(self) -> None:
        self._first: tuple[float, int] | None = None  # time in sec and steps done when it was asked first
        self._reported_sec = 0.0

    def bar(self, done: int, total: int, language: str, *, now: bool = False) -> str | None:
        """Return the bar; None where there is nothing to say yet, or it is too soon and need not be `now`."""
        time_sec = time.monotonic()
        if self._first is None:
            self._first = time_sec, done
        since_sec, steps = time_sec - self._first[0], done - self._first[1]
        if not steps or not (now or time_sec - self._reported_sec > 1):
            return None
        self._reported_sec = time_sec
        left = time_left(since_sec, steps, total - self._first[1], language)
        return progress_html(done, total, translate("style.make_progress", language, done=done, total=total, left=left))


def time_left(elapsed_sec: float, done: int, total: int, language: str) -> str:
    """Say how long a job goes on, in words: in steps of five seconds, and no number near the end, where none is right.

    Args:
        elapsed_sec: since the first of the steps that were done.
        done, total: steps; 0 done says nothing.
    """
    if done < 1 or elapsed_sec < 2:
        return ""
    left = elapsed_sec / done * (total - done)
    if left < 8:
        return translate("progress.nearly", language)
    if left < 100:
        return translate("progress.seconds", language, seconds=5 * ceil(left / 5))
    return translate("progress.minutes", language, minutes=ceil(left / 60))


def given_up(progress: gr.HTML, preview: gr.Image, language: str) -> dict:
    """Clear the page of a fit that was stopped: a word in place of the bar, and no preview."""
    return {
        progress: notice_html(translate("error.stopped", language)),
        preview: gr.update(value=None, visible=False),
    }
