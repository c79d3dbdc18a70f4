"""Two further parts of "Style transfer": a look for several photos at once, and looks that a visitor makes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import gradio as gr

from gan_space.errors import Cancelled, InputError
from gan_space.ui.create.own_packs import MAX_NAME_CHARS
from gan_space.ui.i18n import translate
from gan_space.ui.messages import explain, friendly
from gan_space.ui.parts import given_up, notice_html, progress_html, time_left
from gan_space.ui.server.visits import asked_at

if TYPE_CHECKING:
    from gan_space.ui.create.tab import StyleTab


def _left_out_html(language: str, left_out: list[tuple[str, InputError]]) -> str:
    rows = [translate("style.left_out", language, name=name, why=explain(error, language)) for name, error in left_out]
    return "".join(notice_html(row) for row in rows)


class ManyPanel:
    """Several photos in the look that is chosen."""

    def __init__(self, tab: StyleTab):
        self.tab = tab

    def build_controls(self) -> None:
        """What stands on the left."""
        add = self.tab.texts.add
        self.photos = add(
            gr.File,
            label="style.many_photos",
            file_count="multiple",
            file_types=["image"],
            type="filepath",
            height=230,
            elem_id="photos",
        )
        self.start = add(gr.Button, value_key="style.many_start", variant="primary", elem_id="style-many-start")

    def build_results(self) -> None:
        """What stands on the right."""
        add = self.tab.texts.add
        add(gr.Markdown, value_key="style.many_info", elem_classes="hint")
        self.progress = gr.HTML(elem_id="many-progress", elem_classes="progress")
        self.left_out = gr.HTML(visible=False, elem_id="many-left-out", elem_classes="notice")
        self.gallery = gr.Gallery(
            visible=False,
            show_label=False,
            columns=3,
            height="auto",
            object_fit="contain",
            interactive=False,
            buttons=["download", "fullscreen"],
            elem_id="many-gallery",
            elem_classes="thumbnails",
        )
        self.archive = add(
            gr.DownloadButton,
            label="style.many_archive",
            variant="primary",
            visible=False,
            elem_id="many-archive",
        )

    def connect(self) -> None:
        """Wire the button."""
        outputs = [self.progress, self.left_out, self.gallery, self.archive]
        self.start.click(friendly(self.run), [self.photos, *self.tab.inputs], outputs, **self.tab.event)

    def run(self, photos: list[str] | None, *values: Any) -> Iterator[dict]:
        """Style one photo after the other."""
        controls = self.tab.read(values)
        language = controls.language
        request = self.tab.request(controls)
        if not photos:
            raise InputError(translate("error.no_photos", language))
        if request is None:
            raise InputError(translate("error.no_look", language))
        steps = self.tab.studio.many(photos, request, controls.image_format, controls.visible_label)
        for step in steps:
            text = translate("style.many_progress", language, done=step.done, total=step.total)
            yield {
                self.progress: progress_html(step.done, step.total, text),
                self.left_out: gr.update(value=_left_out_html(language, step.failed), visible=bool(step.failed)),
                self.gallery: gr.update(
                    value=[(item.path, item.caption) for item in step.shown], visible=bool(step.shown)
                ),
                self.archive: gr.update(value=step.archive, visible=step.archive is not None),
            }


class MakePanel:
    """A style pack from a few pictures, kept for this visit and as a zip."""

    def __init__(self, tab: StyleTab):
        self.tab = tab

    def build_controls(self) -> None:
        """What stands on the left."""
        add = self.tab.texts.add
        self.pictures = add(
            gr.File,
            label="style.make_pictures",
            file_count="multiple",
            file_types=["image"],
            type="filepath",
            height=200,
            elem_id="make-pictures",
        )
        self.name = add(
            gr.Textbox, label="style.make_name", max_lines=1, max_length=MAX_NAME_CHARS, elem_id="make-name"
        )
        with gr.Row():
            self.start = add(
                gr.Button, value_key="style.make_start", variant="primary", min_width=110, elem_id="make-start"
            )
            self.stop = add(gr.Button, value_key="style.make_stop", min_width=110, elem_id="make-stop")
        self.upload = add(gr.UploadButton, label="style.make_upload", file_types=[".zip"], elem_id="make-upload")

    def build_results(self) -> None:
        """What stands on the right."""
        add = self.tab.texts.add
        add(gr.Markdown, value_key="style.make_info", elem_classes="hint")
        self.progress = gr.HTML(elem_id="make-progress", elem_classes="progress")
        self.left_out = gr.HTML(visible=False, elem_id="make-left-out", elem_classes="notice")
        self.preview = gr.Image(
            type="filepath",
            interactive=False,
            visible=False,
            show_label=False,
            buttons=[],
            height=360,
            elem_id="make-preview",
        )
        with gr.Row(visible=False) as self.done:
            self.try_it = add(
                gr.Button, value_key="style.make_try", variant="primary", min_width=160, elem_id="make-try"
            )
            self.archive = add(gr.DownloadButton, label="style.make_archive", min_width=160, elem_id="make-archive")

    def connect(self) -> None:
        """Wire the buttons."""
        tab = self.tab
        outputs = [
            *(self.progress, self.left_out, self.preview, self.done, self.archive),
            *(tab.looks, tab.own_looks, tab.look_key, tab.look_source, tab.look_tabs, tab.tab_packs),
        ]
        # Not in the queue of drawings: others go on looking at photos meanwhile.
        event = {"api_visibility": "private", "concurrency_limit": 1, "concurrency_id": "tune"}
        self.start.click(
            friendly(self.run),
            [self.pictures, self.name, tab.own_looks, tab.language],
            outputs,
            show_progress="minimal",  # also tells the place in the queue
            show_progress_on=self.pictures,
            **event,
        )
        self.stop.click(self.give_up, None, None, api_visibility="private", queue=False)
        self.upload.upload(friendly(self.bring), [self.upload, tab.own_looks, tab.language], outputs, **tab.event)
        panels = [tab.one_panel, tab.many_panel, tab.make_panel, tab.look_panel, tab.settings_panel, tab.notice]
        self.try_it.click(
            lambda: [gr.Tabs(selected="one"), *tab.show_mode("one")],
            None,
            [tab.modes, *panels],
            api_visibility="private",
            queue=False,
        ).then(friendly(tab.draw), [tab.opened, *tab.inputs], tab.result, **tab.event)

    def run(
        self,
        request: gr.Request,
        pictures: list[str] | None,
        name: str,
        own_looks: list,
        language: str,
    ) -> Iterator[dict]:
        """Tune, and show how far it is."""
        if not pictures:
            raise InputError(translate("error.no_pictures", language))
        if not (name or "").strip():
            raise InputError(translate("error.no_name", language))
        yield {
            self.progress: progress_html(0, 1, translate("style.make_begin", language)),
            self.left_out: gr.update(visible=False),
            self.done: gr.update(visible=False),
        }
        try:
            yield from self._tune(pictures, name, own_looks, request.session_hash or "", language, asked_at(request))
        except Cancelled:
            yield given_up(self.progress, self.preview, language)

    def _tune(
        self, pictures: list[str], name: str, own_looks: list, session: str, language: str, asked_ns: int
    ) -> Iterator[dict]:
        started, shown_at = time.monotonic(), 0.0
        for step in self.tab.studio.make_pack(pictures, name, session, asked_ns):
            elapsed = time.monotonic() - started
            update: dict = {}
            if step.left_out and step.done == 0:
                update[self.left_out] = gr.update(value=_left_out_html(language, step.left_out), visible=True)
            if step.look is not None:
                yield update | self._chosen(step.look, own_looks, step.archive, language)
                return
            if step.preview is not None:
                update[self.preview] = gr.update(value=step.preview, visible=True)
            if step.done and (update or elapsed - shown_at > 1):
                shown_at = elapsed
                left = time_left(elapsed, step.done, step.total, language)
                text = translate("style.make_progress", language, done=step.done, total=step.total, left=left)
                update[self.progress] = progress_html(step.done, step.total, text)
            if update:
                yield update

    def give_up(self, request: gr.Request) -> None:
        """Stop the tuning of this visit."""
        self.tab.studio.stop_making(request.session_hash or "")

    def bring(self, archive: str, own_looks: list, language: str) -> dict:
        """A zip was chosen."""
        return self._chosen(self.tab.studio.add_pack(archive), own_looks, archive, language)

    def _chosen(self, look, own_looks: list, archive: str | None, language: str) -> dict:
        """The new look stands among the others, and is chosen."""
        own_looks = [*own_looks, look]
        items = self.tab.look_items(own_looks, language)
        text = translate("style.make_done", language, name=next(iter(look.name.values())))
        return {
            self.progress: progress_html(1, 1, text),
            self.preview: gr.update(value=look.preview, visible=True),
            self.done: gr.update(visible=True),
            self.archive: archive,
            self.tab.looks: gr.update(value=items, selected_index=len(items) - 1),
            self.tab.own_looks: own_looks,
            self.tab.look_key: look.key,
            self.tab.look_source: "packs",
            self.tab.look_tabs: gr.Tabs(selected="packs"),
            self.tab.tab_packs: gr.update(visible=True),
        }
