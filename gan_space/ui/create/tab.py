"""Tab "Style transfer": a photo in, the same photo in another look out; several at once; and looks of one's own."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from gan_space.errors import FaceError
from gan_space.latents.layers import LAYER_GROUPS
from gan_space.output.postprocess import STEPS
from gan_space.ui.create.actions import LookEntry, StyleRequest, StyleStudio, look_name
from gan_space.ui.create.layout import IDENTITY, LAYERS, SCOPES, STEP_TEXTS, TRANSFERS, UPSCALES, StyleLayout
from gan_space.ui.i18n import Texts, choose_language, translate
from gan_space.ui.messages import explain, friendly
from gan_space.ui.opened_photos import OpenedPhoto
from gan_space.ui.parts import SAVE_FILE, notice_html
from gan_space.ui.server.files import Shown

FACTS = (
    *("pack", "strength", "scope", "transfer", "upscale", "layers", "keep_identity", "post_processing", "refine_steps"),
    *("pack_credit", "model"),
)


@dataclass(frozen=True)
class Controls:
    """What stands in the controls, in the order in which gradio hands it over."""

    photo: str | None
    look_source: str
    look_key: str
    own_looks: list[LookEntry]
    reference: str | None
    layers: list[str]
    keep_identity: float
    strength: float
    preserve_color: bool
    scope: str
    transfer: str
    upscale: bool
    faces: str | int
    steps: tuple[float, ...]
    image_format: str
    visible_label: bool
    language: str

    @classmethod
    def read(cls, values: Sequence[Any]) -> Controls:
        """From the values in the order in which gradio hands them over: one for each step of post-processing."""
        first = 13
        end = first + len(STEPS)
        return cls(*values[:first], tuple(values[first:end]), *values[end:])


class StyleTab(StyleLayout):
    """Builds the tab inside the current gr.Blocks.

    Args:
        studio: draws.
        texts: collects every component whose texts follow the language.
        language: component with the chosen language.
    """

    def __init__(self, studio: StyleStudio, texts: Texts, language: gr.components.Component):
        super().__init__(studio, texts, language)
        self._connect()

    def _connect(self) -> None:
        # One drawing at a time, together with "Explore". A slider's last position wins.
        self.event = {"api_visibility": "private", "concurrency_limit": 1, "concurrency_id": "draw"}
        latest = {**self.event, "trigger_mode": "always_last", "show_progress": "minimal"}
        quick = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
        state = [self.opened, *self.inputs]
        # The old photo is taken out before a new one comes in: the second event must not be lost to the first.
        newest = {**self.event, "trigger_mode": "always_last"}
        self.photo.input(friendly(self.take_photo), self.inputs, self.result, **newest)
        self.example_gallery.select(friendly(self.take_example), self.inputs, [self.photo, *self.result], **self.event)
        self.looks.select(friendly(self.take_look), state, [self.look_key, *self.result], **latest)
        for tab, source in ((self.tab_packs, "packs"), (self.tab_picture, "picture")):
            tab.select(
                friendly(self._taker(source)),
                state,
                [self.look_source, self.keep_identity, *self.result],
                **latest,
            )
        gr.on(
            [
                *(slider.release for slider in (self.strength, self.keep_identity, *self.steps.values())),
                *(box.input for box in (self.layers, self.preserve_color, self.scope, self.transfer, self.upscale)),
                *(self.faces.input, self.reference.input),
            ],
            friendly(self.draw),
            state,
            self.result,
            **latest,
        )
        self.found.select(friendly(self.take_face), state, self.result, **self.event)
        self.all_faces.click(friendly(self.take_all_faces), state, self.result, **self.event)
        self.download.click(friendly(self.write_file), state, self.file, **self.event).success(
            None, self.file, self.file, js=SAVE_FILE, api_visibility="private"
        )
        panels = [self.one_panel, self.many_panel, self.make_panel, self.look_panel, self.settings_panel, self.notice]
        for mode, tab in (("one", self.tab_one), ("many", self.tab_many), ("make", self.tab_make)):
            tab.select(partial(self.show_mode, mode), None, panels, **quick)
        self.many.connect()
        self.make.connect()
        self.refine.connect()

    def read(self, values: Sequence[Any]) -> Controls:
        """The controls from the values of `inputs`."""
        return Controls.read(values)

    def take_photo(self, *values: Any) -> dict:
        """A new photo stands in the box, or none any more."""
        return self._draw(None, Controls.read(values))

    def take_example(self, event: gr.SelectData, *values: Any) -> dict:
        """An example was clicked; nobody has to be asked."""
        path = self.examples[event.index]
        return {self.photo: path} | self._draw(self.studio.open(path, own=False), Controls.read(values))

    def take_look(self, event: gr.SelectData, *values: Any) -> dict:
        """A pack was clicked."""
        controls = Controls.read(values[1:])
        key = [*self.studio.looks, *controls.own_looks][event.index].key
        return {self.look_key: key} | self._draw(values[0], _with(controls, look_key=key))

    def _taker(self, source: str) -> Callable:
        return lambda *values: self.take_source(source, *values)

    def take_source(self, source: str, *values: Any) -> dict:
        """Looks, or a picture whose look is taken."""
        controls = _with(Controls.read(values[1:]), look_source=source, keep_identity=IDENTITY[source])
        update = {self.look_source: source, self.keep_identity: IDENTITY[source]}
        ready = values[0] is not None and self.request(controls) is not None  # a picture is still to be chosen
        return update | (self._draw(values[0], controls) if ready else {})

    def take_face(self, event: gr.SelectData, *values: Any) -> dict:
        """A place in the picture of the faces was clicked."""
        if values[0] is None:
            return {self.found: gr.skip()}
        opened, number = self.studio.mark(values[0], *event.index)
        return self._draw(opened, _with(Controls.read(values[1:]), faces=number))

    def take_all_faces(self, *values: Any) -> dict:
        """Every face in the photo is meant."""
        return self._draw(values[0], _with(Controls.read(values[1:]), faces="all"))

    def draw(self, *values: Any) -> dict:
        """Draw again with what the controls say."""
        return self._draw(values[0], Controls.read(values[1:]))

    def start(self, opened: OpenedPhoto | None, *values: Any) -> dict:
        """The tab was opened: an example in the first look, unless there is a photo already."""
        controls = Controls.read(values)
        if opened is not None or not self.examples or controls.photo or self.request(controls) is None:
            return {self.photo: gr.skip()}
        opened = self.studio.open(self.examples[0], own=False)
        return {self.photo: self.examples[0]} | self._draw(opened, controls)

    def write_file(self, *values: Any) -> str:
        """Labelled file of full size."""
        opened, controls = values[0], Controls.read(values[1:])
        request = self.request(controls)
        if opened is None or request is None:
            raise gr.Error(translate("style.waiting", controls.language), print_exception=False)
        return self.studio.file(opened, request, controls.image_format, controls.visible_label).path

    def show_mode(self, mode: str) -> list[dict]:
        """Which parts of the page belong to a mode; the notice goes in any case."""
        shown = [mode == "one", mode == "many", mode == "make", mode != "make", mode != "make", False]
        return [gr.update(visible=part) for part in shown]

    def _draw(self, opened: OpenedPhoto | None, controls: Controls) -> dict:
        """Values for `result`."""
        if opened is None and controls.photo is None:
            return self._nothing()
        thorough = controls.faces == "all"
        if opened is None:
            opened = self.studio.open(controls.photo, thorough=thorough)
        elif thorough and not opened.thorough:
            opened = self.studio.open(opened.path, own=opened.own, thorough=True)
        if isinstance(controls.faces, int) and controls.faces >= len(opened.faces):
            controls = _with(controls, faces="largest")  # a number of the photo before
        update = self._found(opened, controls)
        request = self.request(controls)
        if request is None:
            return self._nothing(opened, "error.no_look", controls.language) | update
        try:
            shown = self.studio.preview(opened, request)
        except FaceError as error:
            found = {self.found_panel: gr.update(visible=True)}
            found[self.found] = self.studio.faces_picture(opened, controls.faces)
            return self._nothing(opened, explain(error, controls.language), controls.language) | update | found
        return update | {
            self.opened: opened,
            self.shown: shown,
            self.trouble: None,
            self.notice: gr.update(visible=False),
            self.hint: gr.update(visible=False),
            self.before_after: gr.update(value=(opened.before, shown.path), visible=True),
            self.card: gr.update(visible=True),
            self.facts: self.facts_html(shown, controls.own_looks, controls.language),
        }

    def _nothing(self, opened: OpenedPhoto | None = None, trouble: str = "", language: str = "en") -> dict:
        """Values for `result` where nothing could be drawn; `trouble` is a key, or a text that says why."""
        text = translate(trouble, language) if trouble.startswith("error.") else trouble
        return {
            self.opened: opened,
            self.shown: None,
            self.trouble: trouble,
            self.notice: gr.update(value=notice_html(text), visible=bool(trouble)),
            self.hint: gr.update(visible=not trouble),
            self.before_after: gr.update(value=None, visible=False),
            self.card: gr.update(visible=False),
            self.found_panel: gr.update(visible=False),
        }

    def _found(self, opened: OpenedPhoto, controls: Controls) -> dict:
        """The choice of faces, and their picture where there is something to choose."""
        several = len(opened.faces) > 1
        choices = self._face_choices(len(opened.faces), controls.language)
        return {
            self.faces: gr.update(choices=choices, value=controls.faces),
            self.found_panel: gr.update(visible=several),
            self.found: self.studio.faces_picture(opened, controls.faces) if several else None,
            self.all_faces: gr.update(visible=several),
        }

    def request(self, controls: Controls) -> StyleRequest | None:
        """What the controls ask for; None where no look is chosen."""
        look = reference = None
        if controls.look_source == "picture":
            reference = controls.reference
        else:
            entries = {entry.key: entry for entry in [*self.studio.looks, *controls.own_looks]}
            look = entries.get(controls.look_key)
        steps = tuple((name, amount) for name, amount in zip(STEPS, controls.steps, strict=True) if amount)
        if look is None and reference is None and not steps:
            return None
        layers = "+".join(name for name in LAYER_GROUPS if name in controls.layers)
        return StyleRequest(
            look=look,
            reference=reference,
            strength=controls.strength,
            layers=layers or "fine",
            preserve_color=controls.preserve_color,
            keep_identity=controls.keep_identity,
            scope=controls.scope,
            transfer=controls.transfer,
            upscale="auto" if controls.upscale else "plain",
            faces=controls.faces,
            post_processing=steps,
        )

    def facts_html(self, shown: Shown, own_looks: list[LookEntry], language: str) -> str:
        """How the picture was made, as a list of terms."""
        say = partial(translate, language=language)
        rows = []
        for name in FACTS:
            value = shown.recipe.get(name)
            if value not in (None, "", 0.0) or name == "strength":
                text = self._show_fact(name, value, own_looks, language)
                rows.append(f"<dt>{html.escape(say(f'recipe.{name}'))}</dt><dd>{html.escape(text)}</dd>")
        return f"<h2>{html.escape(say('results.recipe'))}</h2><dl>{''.join(rows)}</dl>"

    def _show_fact(self, name: str, value: Any, own_looks: list[LookEntry], language: str) -> str:
        if name in ("scope", "transfer", "upscale"):
            return translate({"scope": SCOPES, "transfer": TRANSFERS, "upscale": UPSCALES}[name][value], language)
        if name == "pack":
            return look_name([*self.studio.looks, *own_looks], value, choose_language(language))
        if name == "layers":
            return " + ".join(translate(LAYERS[part], language) for part in value.split("+"))
        if name == "post_processing":
            return ", ".join(f"{translate(STEP_TEXTS[step], language)} {amount:g}" for step, amount in value)
        return f"{value:g}" if isinstance(value, float) else str(value)

    # Languages

    @property
    def language_inputs(self) -> list:
        """What `in_language` needs to know."""
        return [self.opened, self.shown, self.trouble, self.own_looks, self.faces]

    @property
    def language_outputs(self) -> list:
        """Components that `in_language` gives values for."""
        return [self.looks, self.faces, self.facts, self.notice]

    def in_language(self, language: str, opened, shown, trouble, own_looks, faces) -> list:
        """Texts that are made here rather than read from a table."""
        count = len(opened.faces) if opened is not None else 0
        key = trouble if trouble and trouble.startswith("error.") else ""
        return [
            gr.update(value=self.look_items(own_looks, language)),
            gr.update(choices=self._face_choices(count, language), value=faces),
            self.facts_html(shown, own_looks, language) if shown else "",
            gr.update(value=notice_html(translate(key, language))) if key else gr.skip(),
        ]


def _with(controls: Controls, **changes: Any) -> Controls:
    return Controls(**{**controls.__dict__, **changes})
