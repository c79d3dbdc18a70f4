"""Part of "Create a look": a look of one's own from a few pictures, kept for the visit and as a zip."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import gradio as gr

from gan_space.errors import Cancelled, InputError
from gan_space.ui.controls import DRAW, FIT, Inputs
from gan_space.ui.create.actions import CreateActions, LookEntry
from gan_space.ui.create.own_packs import MAX_NAME_CHARS
from gan_space.ui.create.words import left_out_html
from gan_space.ui.i18n import Texts, translate
from gan_space.ui.parts import Pace, given_up, pictures_input, preview_image, progress_html, run_with_stop, stop_button
from gan_space.ui.server.visits import asked_at


@dataclass(frozen=True)
class MakeControls:
    """What stands on the left."""

    pictures: gr.File
    name: gr.Textbox
    start: gr.Button
    stop: gr.Button
    upload: gr.UploadButton


@dataclass(frozen=True)
class MakeParts:
    """All of it: what stands on the left, and the results."""

    controls: MakeControls
    progress: gr.HTML
    left_out: gr.HTML
    preview: gr.Image
    done: gr.Row
    try_it: gr.Button
    archive: gr.DownloadButton


def build_make_controls(texts: Texts) -> MakeControls:
    """Build what stands on the left."""
    add = texts.add
    pictures = pictures_input(texts, "style.make_pictures", "make-pictures", 200)
    name = add(gr.Textbox, label="style.make_name", max_lines=1, max_length=MAX_NAME_CHARS, elem_id="make-name")
    with gr.Row():
        start = add(gr.Button, value_key="style.make_start", variant="primary", min_width=110, elem_id="make-start")
        stop = stop_button(texts, "style.make_stop", "make-stop")
    upload = add(gr.UploadButton, label="style.make_upload", file_types=[".zip"], elem_id="make-upload")
    return MakeControls(
        pictures=pictures,
        name=name,
        start=start,
        stop=stop,
        upload=upload,
    )


def build_make_results(controls: MakeControls, texts: Texts) -> MakeParts:
    """Build what stands on the right."""
    add = texts.add
    add(gr.Markdown, value_key="style.make_info", elem_classes="hint")
    progress = gr.HTML(elem_id="make-progress", elem_classes="progress")
    left_out = gr.HTML(visible=False, elem_id="make-left-out", elem_classes="notice")
    preview = preview_image("make-preview", 360)
    with gr.Row(visible=False) as done:
        try_it = add(gr.Button, value_key="style.make_try", variant="primary", min_width=160, elem_id="make-try")
        archive = add(gr.DownloadButton, label="style.make_archive", min_width=160, elem_id="make-archive")
    return MakeParts(
        controls=controls,
        progress=progress,
        left_out=left_out,
        preview=preview,
        done=done,
        try_it=try_it,
        archive=archive,
    )


@dataclass(frozen=True)
class MakeOrder:
    """What a look is to be made of, or the zip that it is in."""

    own_looks: list[LookEntry]
    language: str
    pictures: list[str] | None = None
    name: str = ""
    archive: str | None = None


class MakePanel:
    """A style pack from a few pictures, or from a zip.

    Args:
        ui: the components.
        actions: makes it.
        chosen: makes a new look one of the visitor's own and chooses it: updates for `choice`.
        choice: components of the choice of a look.
    """

    def __init__(self, ui: MakeParts, actions: CreateActions, chosen: Callable[[list, str], dict], choice: list):
        self.ui, self.actions, self.chosen, self.choice = ui, actions, chosen, choice

    def connect(self, order: Inputs) -> None:
        """Wire the buttons; `order` reads the visitor's own looks and the language."""
        ui, controls = self.ui, self.ui.controls
        outputs = [ui.progress, ui.left_out, ui.preview, ui.done, ui.archive, *self.choice]
        run_with_stop(
            controls.start,
            controls.stop,
            self.give_up,
            *order.also(pictures=controls.pictures, name=controls.name).to(self.run),
            outputs,
            show_progress="minimal",  # also tells the place in the queue
            show_progress_on=controls.pictures,
            **FIT,
        )
        controls.upload.upload(*order.also(archive=controls.upload).to(self.bring), outputs, **DRAW)

    def run(self, request: gr.Request, order: MakeOrder) -> Iterator[dict]:
        """Tune, and show how far it is."""
        ui, language = self.ui, order.language
        if not order.pictures:
            raise InputError(translate("error.no_pictures", language))
        if not (order.name or "").strip():
            raise InputError(translate("error.no_name", language))
        yield {
            ui.progress: progress_html(0, 1, translate("style.make_begin", language)),
            ui.left_out: gr.update(visible=False),
            ui.done: gr.update(visible=False),
        }
        try:
            yield from self._tune(order, request.session_hash or "", asked_at(request))
        except Cancelled:
            yield given_up(ui.progress, ui.preview, language)

    def _tune(self, order: MakeOrder, session: str, asked_ns: int) -> Iterator[dict]:
        ui, language = self.ui, order.language
        pace = Pace()
        for step in self.actions.make_pack(order.pictures, order.name, session, asked_ns):
            update: dict = {}
            if step.left_out and step.done == 0:
                update[ui.left_out] = gr.update(value=left_out_html(language, step.left_out), visible=True)
            if step.look is not None:
                yield update | self._have(step.look, order.own_looks, step.archive, language)
                return
            if step.preview is not None:
                update[ui.preview] = gr.update(value=step.preview, visible=True)
            if bar := pace.bar(step.done, step.total, language, now=bool(update)):
                update[ui.progress] = bar
            if update:
                yield update

    def give_up(self, request: gr.Request) -> None:
        """Stop the tuning of this visit."""
        self.actions.stop_making(request.session_hash or "")

    def bring(self, order: MakeOrder) -> dict:
        """Take the zip that was chosen."""
        return self._have(self.actions.add_pack(order.archive), order.own_looks, order.archive, order.language)

    def _have(self, look: LookEntry, own_looks: list[LookEntry], archive: str | None, language: str) -> dict:
        """The new look stands among the others, and is chosen."""
        ui = self.ui
        text = translate("style.make_done", language, name=next(iter(look.name.values())))
        return self.chosen([*own_looks, look], language) | {
            ui.progress: progress_html(1, 1, text),
            ui.preview: gr.update(value=look.preview, visible=True),
            ui.done: gr.update(visible=True),
            ui.archive: archive,
        }
