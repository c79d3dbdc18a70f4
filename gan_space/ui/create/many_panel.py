"""Part of "Create a look": one look for several photos at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import gradio as gr

from gan_space.errors import InputError
from gan_space.ui.controls import DRAW, Inputs
from gan_space.ui.create.actions import CreateActions
from gan_space.ui.create.controls import Controls, request_of
from gan_space.ui.create.words import left_out_html
from gan_space.ui.i18n import Texts, translate
from gan_space.ui.parts import pictures_input, progress_html, results_gallery


@dataclass(frozen=True)
class ManyControls:
    """What stands on the left."""

    photos: gr.File
    start: gr.Button


@dataclass(frozen=True)
class ManyParts:
    """All of it: what stands on the left, and the results."""

    controls: ManyControls
    progress: gr.HTML
    left_out: gr.HTML
    gallery: gr.Gallery
    archive: gr.DownloadButton


def build_many_controls(texts: Texts) -> ManyControls:
    """Build what stands on the left."""
    add = texts.add
    photos = pictures_input(texts, "style.many_photos", "photos", 230)
    start = add(gr.Button, value_key="style.many_start", variant="primary", elem_id="style-many-start")
    return ManyControls(
        photos=photos,
        start=start,
    )


def build_many_results(controls: ManyControls, texts: Texts) -> ManyParts:
    """Build what stands on the right."""
    add = texts.add
    add(gr.Markdown, value_key="style.many_info", elem_classes="hint")
    progress = gr.HTML(elem_id="many-progress", elem_classes="progress")
    left_out = gr.HTML(visible=False, elem_id="many-left-out", elem_classes="notice")
    gallery = results_gallery("many-gallery", 3, elem_classes="thumbnails")
    archive = add(
        gr.DownloadButton,
        label="style.many_archive",
        variant="primary",
        visible=False,
        elem_id="many-archive",
    )
    return ManyParts(
        controls=controls,
        progress=progress,
        left_out=left_out,
        gallery=gallery,
        archive=archive,
    )


class ManyPanel:
    """Several photos in the look that is chosen.

    Args:
        ui: the components.
        actions: draws.
    """

    def __init__(self, ui: ManyParts, actions: CreateActions):
        self.ui, self.actions = ui, actions

    def connect(self, inputs: Inputs) -> None:
        """Wire the button; `inputs` are those of the tab."""
        ui = self.ui
        given = inputs.also(photos=ui.controls.photos)
        ui.controls.start.click(*given.to(self.run), [ui.progress, ui.left_out, ui.gallery, ui.archive], **DRAW)

    def run(self, controls: Controls) -> Iterator[dict]:
        """Style one photo after the other."""
        ui, language = self.ui, controls.language
        request = request_of(controls, self.actions.looks)
        if not controls.photos:
            raise InputError(translate("error.no_photos", language))
        if request is None:
            raise InputError(translate("error.no_look", language))
        steps = self.actions.many(controls.photos, request, controls.image_format, controls.visible_label)
        for step in steps:
            text = translate("style.many_progress", language, done=step.done, total=step.total)
            yield {
                ui.progress: progress_html(step.done, step.total, text),
                ui.left_out: gr.update(value=left_out_html(language, step.failed), visible=bool(step.failed)),
                ui.gallery: gr.update(
                    value=[(item.path, item.caption) for item in step.shown], visible=bool(step.shown)
                ),
                ui.archive: gr.update(value=step.archive, visible=step.archive is not None),
            }
