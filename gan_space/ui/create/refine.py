"""Part of "Style transfer": keeping more of the face by a few steps of optimisation, and seeing what is lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import gradio as gr

from gan_space.errors import InputError
from gan_space.portraits.refinement import GOOD_REFINE_STEPS
from gan_space.ui.create.refining import RefinedFaces, use_refined
from gan_space.ui.i18n import translate
from gan_space.ui.messages import friendly
from gan_space.ui.opened_photos import OpenedPhoto  # gradio reads the types of `run` to find the request
from gan_space.ui.parts import notice_html, progress_html
from gan_space.ui.server.visits import asked_at

if TYPE_CHECKING:
    from gan_space.ui.create.tab import Controls, StyleTab

MIN_STEPS, MAX_STEPS = 20, 300
TOLD_EVERY_SEC = 0.25


class RefinePanel:
    """Two buttons, a bar and a picture."""

    def __init__(self, tab: StyleTab):
        self.tab = tab

    def build_controls(self) -> None:
        """What stands under "More settings"."""
        add = self.tab.texts.add
        self.refined = gr.State(None)
        self.steps = add(
            gr.Slider,
            label="style.refine_steps",
            info="style.refine_info",
            minimum=MIN_STEPS,
            maximum=MAX_STEPS,
            step=20,
            value=GOOD_REFINE_STEPS,
            buttons=[],
            elem_id="refine-steps",
        )
        with gr.Row():
            self.start = add(gr.Button, value_key="style.refine_start", min_width=110, elem_id="refine-start")
            self.stop = add(gr.Button, value_key="style.refine_stop", min_width=110, elem_id="refine-stop")
        self.progress = gr.HTML(elem_id="refine-progress", elem_classes="progress")
        self.show = add(gr.Checkbox, label="style.lost_show", elem_id="lost-show")

    def build_results(self) -> None:
        """What stands below the result."""
        with gr.Column(visible=False, elem_id="lost-panel") as self.panel:
            self.told = gr.HTML(elem_id="lost-told", elem_classes="hint")
            self.picture = gr.Image(
                type="filepath", interactive=False, buttons=["fullscreen"], show_label=False, elem_id="lost"
            )

    def connect(self) -> None:
        """Wire them."""
        tab, lost = self.tab, [self.panel, self.told, self.picture]
        state = [tab.opened, *tab.inputs]
        # Not in the queue of drawings: others go on looking at photos meanwhile.
        event = {"api_visibility": "private", "concurrency_limit": 1, "concurrency_id": "refine"}
        shown = [self.show, tab.opened, *tab.inputs]
        refined = self.start.click(
            friendly(self.run),
            [self.steps, *state],
            [self.refined, self.progress],
            show_progress="minimal",  # also tells the place in the queue
            show_progress_on=self.steps,
            **event,
        )
        used = refined.success(friendly(self.use), [self.refined, *state], tab.result, **tab.event)
        shown_again = used.success(friendly(self.show_lost), shown, lost, **event)
        self.stop.click(self.give_up, None, None, api_visibility="private", queue=False)
        asked = self.show.input(friendly(self.show_lost), shown, lost, **event)
        gr.on(
            [tab.photo.input, tab.example_gallery.select, tab.found.select, tab.all_faces.click, tab.faces.input],
            self.forget,
            None,
            [self.refined, self.progress, self.show, self.panel],
            api_visibility="private",
            queue=False,
            show_progress="hidden",
            cancels=[refined, used, shown_again, asked],  # what is still on its way is of the face before
        )

    def run(self, request: gr.Request, num_steps: float, opened: OpenedPhoto | None, *values: Any) -> Iterator[dict]:
        """Refine, and show how far it is."""
        controls = self._ready(opened, values)
        language = controls.language
        job = request.session_hash or ""
        told_at = 0.0
        for step in self.tab.studio.refiner.run(opened, controls.faces, int(num_steps), job, asked_at(request)):
            if step.refined is not None:
                came = step.refined.refinement
                numbers = {"before": f"{100 * came.error_before:.1f}", "after": f"{100 * came.error:.1f}"}
                text = translate("style.refine_done", language, done=step.done, **numbers)
                yield {self.refined: step.refined, self.progress: progress_html(1, 1, text)}
            elif time.monotonic() - told_at > TOLD_EVERY_SEC:
                told_at = time.monotonic()
                text = translate("style.refine_progress", language, done=step.done, total=step.total)
                yield {self.progress: progress_html(step.done, step.total, text)}

    def give_up(self, request: gr.Request) -> None:
        """End the steps of this visit."""
        self.tab.studio.refiner.stop(request.session_hash or "")

    def use(self, refined: RefinedFaces | None, opened: OpenedPhoto | None, *values: Any) -> dict:
        """Draw again with what was reached, unless another photo stands there by now."""
        return self.tab.draw(use_refined(opened, refined), *values)

    def show_lost(self, wanted: bool, opened: OpenedPhoto | None, *values: Any) -> dict:
        """The picture of what was lost, or nothing."""
        if not wanted:
            return {self.panel: gr.update(visible=False)}
        controls = self._ready(opened, values)
        path, came = self.tab.studio.refiner.lost(opened, controls.faces)
        text = translate("style.lost_told", controls.language, percent=f"{100 * came.error:.1f}")
        return {self.panel: gr.update(visible=True), self.told: notice_html(text), self.picture: path}

    def forget(self) -> list:
        """Another face is meant."""
        return [None, "", False, gr.update(visible=False)]

    def _ready(self, opened: OpenedPhoto | None, values: tuple) -> Controls:
        """The controls, once there is a photo that may be used."""
        controls = self.tab.read(values)
        if opened is None:
            raise InputError(translate("style.waiting", controls.language))
        return controls
