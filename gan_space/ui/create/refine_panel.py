"""Part of "Create a look": keeping more of the face by a few steps of optimisation, and seeing what is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import gradio as gr

from gan_space.errors import InputError
from gan_space.portraits.refinement import GOOD_REFINE_STEPS
from gan_space.ui.controls import DRAW, FIT, Inputs
from gan_space.ui.create.controls import Controls
from gan_space.ui.create.refining import Refiner, use_refined
from gan_space.ui.i18n import Texts, translate
from gan_space.ui.parts import notice_html, progress_html, run_with_stop, stop_button
from gan_space.ui.server.visits import asked_at

MIN_STEPS, MAX_STEPS = 20, 300
REPORT_EVERY_SEC = 0.25


@dataclass(frozen=True)
class RefineControls:
    """What stands under "More settings"."""

    steps: gr.Slider
    start: gr.Button
    stop: gr.Button
    progress: gr.HTML
    show: gr.Checkbox


@dataclass(frozen=True)
class RefineResults:
    """What stands below the result."""

    panel: gr.Column
    message: gr.HTML
    picture: gr.Image


def build_refine_controls(texts: Texts) -> RefineControls:
    """Build what stands under "More settings"."""
    add = texts.add
    steps = add(
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
        start = add(gr.Button, value_key="style.refine_start", min_width=110, elem_id="refine-start")
        stop = stop_button(texts, "style.refine_stop", "refine-stop")
    progress = gr.HTML(elem_id="refine-progress", elem_classes="progress")
    show = add(gr.Checkbox, label="style.lost_show", elem_id="lost-show")
    return RefineControls(
        steps=steps,
        start=start,
        stop=stop,
        progress=progress,
        show=show,
    )


def build_refine_results() -> RefineResults:
    """Build what stands below the result."""
    with gr.Column(visible=False, elem_id="lost-panel") as panel:
        message = gr.HTML(elem_id="lost-message", elem_classes="hint")
        picture = gr.Image(type="filepath", interactive=False, buttons=["fullscreen"], show_label=False, elem_id="lost")
    return RefineResults(
        panel=panel,
        message=message,
        picture=picture,
    )


class RefinePanel:
    """Two buttons, a bar and a picture.

    Args:
        ui, lost: the components.
        refined: state with what was reached.
        refiner: does it.
        draw: draws again with changed controls.
    """

    def __init__(
        self,
        ui: RefineControls,
        lost: RefineResults,
        refined: gr.State,
        refiner: Refiner,
        draw: Callable[[Controls], dict],
    ):
        self.ui, self.lost, self.refined, self.refiner, self.draw = ui, lost, refined, refiner, draw

    def connect(self, inputs: Inputs, drawn: list, others: list[Callable]) -> None:
        """Wire them.

        Args:
            inputs: of the tab.
            drawn: what `draw` gives values for.
            others: events after which another face is meant.
        """
        ui, lost = self.ui, [self.lost.panel, self.lost.message, self.lost.picture]
        given = inputs.also(refined=self.refined, refine_steps=ui.steps, show_lost=ui.show)
        refining = {**FIT, "concurrency_id": "refine"}
        refined = run_with_stop(
            ui.start,
            ui.stop,
            self.give_up,
            *given.to(self.run),
            [self.refined, ui.progress],
            show_progress="minimal",  # also tells the place in the queue
            show_progress_on=ui.steps,
            **refining,
        )
        used = refined.success(*given.to(self.use), drawn, **DRAW)
        shown_again = used.success(*given.to(self.show_lost), lost, **refining)
        asked = ui.show.input(*given.to(self.show_lost), lost, **refining)
        gr.on(
            others,
            self.forget,
            None,
            [self.refined, ui.stop, ui.progress, ui.show, self.lost.panel],
            api_visibility="private",
            queue=False,
            show_progress="hidden",
            cancels=[refined, used, shown_again, asked],  # what is still on its way is of the face before
        )

    def run(self, request: gr.Request, controls: Controls) -> Iterator[dict]:
        """Refine, and show how far it is."""
        _check_ready(controls)
        language, job, reported_at = controls.language, request.session_hash or "", 0.0
        steps = self.refiner.run(controls.opened, controls.faces, int(controls.refine_steps), job, asked_at(request))
        for step in steps:
            if step.refined is not None:
                reached = step.refined.refinement
                numbers = {"before": f"{100 * reached.error_before:.1f}", "after": f"{100 * reached.error:.1f}"}
                text = translate("style.refine_done", language, done=step.done, **numbers)
                yield {self.refined: step.refined, self.ui.progress: progress_html(1, 1, text)}
            elif time.monotonic() - reported_at > REPORT_EVERY_SEC:
                reported_at = time.monotonic()
                text = translate("style.refine_progress", language, done=step.done, total=step.total)
                yield {self.ui.progress: progress_html(step.done, step.total, text)}

    def give_up(self, request: gr.Request) -> None:
        """End the steps of this visit."""
        self.refiner.stop(request.session_hash or "")

    def use(self, controls: Controls) -> dict:
        """Draw again with what was reached, unless another photo stands there by now."""
        return self.draw(replace(controls, opened=use_refined(controls.opened, controls.refined)))

    def show_lost(self, controls: Controls) -> dict:
        """Show the picture of what was lost, or nothing."""
        if not controls.show_lost:
            return {self.lost.panel: gr.update(visible=False)}
        _check_ready(controls)
        path, measured = self.refiner.lost(controls.opened, controls.faces)
        text = translate("style.lost_told", controls.language, percent=f"{100 * measured.error:.1f}")
        return {
            self.lost.panel: gr.update(visible=True),
            self.lost.message: notice_html(text),
            self.lost.picture: path,
        }

    def forget(self) -> dict:
        """Clear all where another face is meant."""
        return {
            self.refined: None,
            self.ui.stop: gr.update(interactive=False),  # what is cancelled does not tell that it has ended
            self.ui.progress: "",
            self.ui.show: False,
            self.lost.panel: gr.update(visible=False),
        }


def _check_ready(controls: Controls) -> None:
    """InputError unless there is a photo."""
    if controls.opened is None:
        raise InputError(translate("style.waiting", controls.language))
