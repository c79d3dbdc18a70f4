"""Tab "Personalised": a random face, a photo or a profile of one person, and what is different about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import gradio as gr

from gan_space.errors import FaceError, GanSpaceError, InputError
from gan_space.faces.shape import SLIDERS
from gan_space.ui.controls import AT_ONCE, DRAW, DRAW_LATEST, REDRAW, clicked
from gan_space.ui.explore.actions import SEED_SPAN, random_seed, recipe_from_text
from gan_space.ui.i18n import Texts, translate
from gan_space.ui.messages import explain
from gan_space.ui.opened_photos import OpenedPhoto
from gan_space.ui.parts import copy_on_click, notice_html, save_on_click
from gan_space.ui.person.actions import PersonActions
from gan_space.ui.person.controls import Controls
from gan_space.ui.person.effects import leak_tables_html
from gan_space.ui.person.layout import build_person, inputs_of
from gan_space.ui.person.own_sliders import OwnSliders
from gan_space.ui.person.portraits_panel import OwnPortraitsPanel
from gan_space.ui.person.profile_panel import ProfilePanel
from gan_space.ui.person.request import PersonRequest, is_personal, is_shareable, request_of, with_step
from gan_space.ui.person.words import WAITING, PersonWords
from gan_space.ui.photo.left import read_left


class PersonTab:
    """Builds the tab inside the current gr.Blocks.

    Args:
        actions: draws.
        texts: collects every component whose texts follow the language.
        language: component with the chosen language.
    """

    def __init__(self, actions: PersonActions, texts: Texts, language: gr.components.Component):
        self.actions = actions
        self.words = PersonWords(actions)
        ui = build_person(actions, self.words, texts)
        start, attributes, results, memory = ui.start, ui.attributes, ui.results, ui.memory
        self.start, self.attributes, self.results, self.memory = start, attributes, results, memory
        self.profiles = ProfilePanel(start.profile, memory.profile, actions, language)
        self.portraits = OwnPortraitsPanel(
            start.own_portraits, memory.portraits, memory.profile, start.profile, actions, language
        )
        self.own = OwnSliders(attributes, results, self.words, actions)
        self.sliders = [*attributes.sliders.values(), *attributes.own_sliders]
        self.inputs = inputs_of(ui, language)
        self.drawn = [
            *(memory.opened, memory.shown, memory.trouble, memory.history, results.notice, results.hint),
            *(results.pictures, results.picture, start.face, results.card, results.facts, results.tools),
            *(results.undo, results.copy, results.meter, results.varied_panel),
        ]
        self.panels = [
            *(start.random_panel, start.photo_panel, start.profile_box, attributes.profile_settings),
            *(start.seed_panel, attributes.look_panel, attributes.shape_panel),
        ]
        self.restored = [
            *(start.source, start.seed, memory.profile, attributes.keep, attributes.layers),
            *(attributes.truncation_psi, attributes.identity_strength, attributes.look, attributes.look_weight),
            *(*self.sliders, *self.panels),
        ]
        self.pins = [results.pinned, results.unpin]
        self.variations = [memory.varied, results.variations]
        self._connect(language)

    def _connect(self, language: gr.components.Component) -> None:
        start, attributes, results = self.start, self.attributes, self.results
        given, drawn = self.inputs, self.drawn
        picture = {"show_progress_on": results.picture}
        model_sliders, photo_outputs = attributes.sliders.values(), [start.photo, *self.pins, *drawn]
        start.source.input(
            *given.to(self.take_source),
            [start.photo, *self.panels, *model_sliders, *self.pins, *self.variations, *drawn],
            **DRAW_LATEST,
        )
        start.shuffle.click(*given.to(self.draw_shuffled), [start.seed, *drawn], **REDRAW, **picture)
        start.photo.input(*given.to(self.take_photo), photo_outputs, **DRAW)
        start.example_gallery.select(*given.to(self.take_example), photo_outputs, **DRAW)
        weights = (attributes.truncation_psi, attributes.identity_strength, attributes.look_weight)
        gr.on(
            [
                *(part.release for part in (*self.sliders, *weights)),
                *(part.input for part in (attributes.keep, attributes.layers, attributes.look, start.face)),
                start.seed.submit,
            ],
            *given.to(self.draw),
            drawn,
            **DRAW_LATEST,
            **picture,
        )
        attributes.reset.click(*given.to(self.draw_reset), [*self.sliders, *drawn], **REDRAW, **picture)
        results.undo.click(*given.to(self.go_back), [*self.restored, *drawn], **REDRAW, **picture)
        results.pin.click(*given.to(self.take_pin), self.pins, **AT_ONCE)
        results.unpin.click(self.drop_pin, None, self.pins, **AT_ONCE)
        results.vary.click(*given.to(self.draw_variations), self.variations, **DRAW)
        results.variations.select(*given.to(self.take_variation), [start.seed, *drawn], **DRAW_LATEST, **picture)
        save_on_click(results.download, given.to(self.write_file), results.file)
        copy_on_click(results.copy, "person-link", language)
        self.profiles.connect(given.to(self.draw), drawn)
        start.profile.delete.click(
            *given.to(self.end_profile),
            [*self.profiles.outputs, *self.portraits.outputs, *self.variations, *self.pins, *drawn],
            **DRAW,
        )
        self.portraits.connect()

    def take_source(self, controls: Controls) -> dict:
        """Start from another thing, its picture stays in the history; first the photo that is open elsewhere."""
        hints = {
            self.attributes.sliders[one.name]: gr.update(
                **self.words.slider_texts(one, controls.language, controls.source)
            )
            for one in self.words.directions
        }
        shown = self._panels(controls.source) | hints | self.drop_pin() | self._no_variations()
        begins = controls.source == "photo" and controls.opened is None and controls.photo is None
        left = read_left(controls.left, self.actions.examples) if begins else None
        if left is None:
            return shown | self._draw(controls)
        opened = self.actions.open(left.path, own=left.own)
        face = left.faces if isinstance(left.faces, int) else "largest"
        return shown | {self.start.photo: opened.before} | self._open(replace(controls, opened=opened, face=face))

    def draw_shuffled(self, controls: Controls) -> dict:
        """Draw another random face."""
        seed = random_seed()
        return {self.start.seed: seed} | self._draw(replace(controls, seed=seed))

    def take_photo(self, controls: Controls) -> dict:
        """Draw for a new photo in the box, or clear what was drawn."""
        if controls.opened is not None and controls.opened.is_its_copy(controls.photo):
            controls = replace(controls, photo=None)  # it was taken out
            return {self.start.photo: None} | self._open(replace(controls, opened=None))
        update = self._open(replace(controls, opened=None))
        opened = update.get(self.memory.opened)
        return update | ({self.start.photo: opened.before} if opened and opened.needs_copy else {})

    def take_example(self, event: gr.SelectData, controls: Controls) -> dict:
        """Take the example that was clicked; nobody has to be asked."""
        opened = self.actions.open(clicked(event, self.actions.examples), own=False)
        return {self.start.photo: opened.before} | self._open(replace(controls, opened=opened, face="largest"))

    def draw(self, controls: Controls) -> dict:
        """Draw with what the controls say."""
        return self._draw(controls)

    def draw_reset(self, controls: Controls) -> dict:
        """Draw with all attributes as they were."""
        still = {
            "amounts": dict.fromkeys(controls.amounts, 0.0),
            "own_amounts": dict.fromkeys(controls.own_amounts, 0.0),
        }
        return dict.fromkeys(self.sliders, 0) | self._draw(replace(controls, **still))

    def go_back(self, controls: Controls) -> dict:
        """Restore the state before this one; nothing where there is none."""
        if len(controls.history) < 2:
            return {self.results.notice: gr.skip()}
        earlier = controls.history[:-1]
        return self._restore(earlier[-1], replace(controls, history=earlier[:-1]))

    def take_pin(self, controls: Controls) -> dict:
        """Keep the picture for comparison."""
        return self._pin(None if controls.shown is None else controls.shown.path)

    def drop_pin(self) -> dict:
        """Leave nothing to compare with."""
        return self._pin(None)

    def draw_variations(self, controls: Controls) -> dict:
        """Draw the same settings on the seeds that follow."""
        request = controls.request(self.actions.groups)
        if request is None:
            raise InputError(translate(WAITING[controls.source], controls.language))
        seeds = [(controls.seed + offset) % SEED_SPAN for offset in range(1, controls.count + 1)]
        shown = self.actions.variations(request, seeds)
        items = [(item.path, item.caption) for item in shown]
        return {
            self.memory.varied: shown,
            self.results.variations: gr.update(value=items, visible=True, selected_index=None),
        }

    def take_variation(self, event: gr.SelectData, controls: Controls) -> dict:
        """Take the seed of the variation that was clicked."""
        seed = clicked(event, controls.varied).recipe["seed"]
        return {self.start.seed: seed} | self._draw(replace(controls, seed=seed))

    def write_file(self, controls: Controls) -> str:
        """Return the labelled file of what is shown, at full size."""
        request = controls.request(self.actions.groups)
        if request is None or controls.shown is None:
            raise InputError(translate(WAITING[controls.source], controls.language))
        return self.actions.file(request, controls.image_format, controls.visible_label).path

    def open_if_linked(self, controls: Controls) -> dict:
        """Draw what a link with attributes shows; nothing for any other link."""
        if not opens_here(controls.recipe_text):
            return {self.results.notice: gr.skip()}
        recipe = recipe_from_text(controls.recipe_text)
        try:
            update = self._restore(request_of(recipe), controls)
        except GanSpaceError:
            return self._nothing(controls, "error.recipe")
        if not self.actions.is_from_here(recipe):
            text = translate("error.other_model", controls.language, model=str(recipe.get("model") or "?"))
            update |= {self.results.notice: gr.update(value=notice_html(text), visible=True)}
        return update

    def open_if_empty(self, controls: Controls) -> dict:
        """Draw the first face where nothing was drawn so far."""
        if controls.shown is not None or controls.source != "random" or opens_here(controls.recipe_text):
            return {self.results.notice: gr.skip()}
        return self._draw(controls)

    def end_profile(self, controls: Controls) -> dict:
        """Delete the profile, and all on the page that was drawn with it."""
        ended = self.profiles.end(controls.profile, controls.language)
        history = [past for past in controls.history if past.profile is None]
        without = replace(controls, profile=None, history=history)
        ended |= self.portraits.ended()  # their files went with the profile
        return ended | self._nothing(without) | self.drop_pin() | self._no_variations()

    # Languages

    @property
    def language_inputs(self) -> list:
        """Components that `in_language` reads."""
        start, attributes, memory = self.start, self.attributes, self.memory
        kept = [memory.opened, memory.shown, memory.trouble, memory.own]
        return [*kept, start.face, start.source, attributes.look, attributes.keep]

    @property
    def language_outputs(self) -> list:
        """Components that `in_language` gives values for."""
        start, attributes, results = self.start, self.attributes, self.results
        parts = [start.face, attributes.look, attributes.keep, results.facts, results.meter, results.notice]
        return [*parts, results.hint, results.measured, *self.sliders]

    def in_language(self, language: str, values: Mapping[gr.components.Component, Any]) -> dict:
        """Say the texts that are made here rather than read from a table; `values` by component."""
        start, attributes, results, memory = self.start, self.attributes, self.results, self.memory
        opened, shown, trouble = values[memory.opened], values[memory.shown], values[memory.trouble]
        source, own = values[start.source], [one.direction for one in values[memory.own]]
        count = len(opened.faces) if opened is not None else 0
        key = trouble if trouble and trouble.startswith(("error.", "person.")) else ""
        named = {attributes.sliders[one.name]: (one, source) for one in self.words.directions}
        named |= {slider: (one, "") for slider, one in zip(attributes.own_sliders, own, strict=False)}
        sliders = {
            slider: gr.update(**self.words.slider_texts(one, language, source))
            for slider, (one, source) in named.items()
        }
        return sliders | {
            start.face: gr.update(choices=self.words.face_choices(count, language), value=values[start.face]),
            attributes.look: gr.update(choices=self.words.look_choices(language), value=values[attributes.look]),
            attributes.keep: gr.update(choices=self.words.keep_choices(language), value=values[attributes.keep]),
            results.facts: self.words.facts_html(shown, language) if shown else gr.skip(),
            results.meter: self.words.meter(shown, source, language) if shown else gr.skip(),
            results.notice: gr.update(value=notice_html(translate(key, language))) if key else gr.skip(),
            results.hint: gr.update(value=translate(WAITING[source], language)),
            results.measured: leak_tables_html(self.actions.directions, own, language),
        }

    # Inside

    def _open(self, controls: Controls) -> dict:
        """Open the photo; as it is it stands beside the result."""
        opened = controls.opened
        if opened is None and controls.photo is not None:
            opened = self.actions.open(controls.photo)
            if remark := opened.remark(controls.language):
                gr.Info(remark, title="")
        before = None if opened is None else opened.before
        return self._pin(before) | self._draw(replace(controls, opened=opened))

    def _draw(self, controls: Controls) -> dict:
        """Values for `drawn`; the new state goes into the history."""
        opened = controls.opened
        on_photo = controls.source == "photo" and opened is not None
        if on_photo and isinstance(controls.face, int) and controls.face >= len(opened.faces):
            controls = replace(controls, face="largest")  # a number of the photo before
        request = controls.request(self.actions.groups)
        if request is None:
            return self._nothing(controls)
        faces = {} if opened is None else self._faces(opened, controls)
        try:
            shown = self.actions.preview(request)
        except FaceError as error:
            key = "person.no_face" if not opened.faces else ""
            return self._nothing(controls, key or explain(error, controls.language)) | faces
        history = with_step(controls.history, request)
        return faces | {
            self.memory.opened: opened,
            self.memory.shown: shown,
            self.memory.trouble: None,
            self.memory.history: history,
            self.results.notice: gr.update(visible=False),
            self.results.hint: gr.update(visible=False),
            self.results.pictures: gr.update(visible=True),
            self.results.picture: shown.path,
            self.results.card: gr.update(visible=True),
            self.results.facts: self.words.facts_html(shown, controls.language),
            self.results.tools: gr.update(visible=True),
            self.results.undo: gr.update(interactive=len(history) > 1),
            self.results.copy: gr.update(visible=is_shareable(shown.recipe)),
            self.results.meter: self.words.meter(shown, controls.source, controls.language),
            self.results.varied_panel: gr.update(visible=controls.source != "photo"),
        }

    def _nothing(self, controls: Controls, trouble: str = "") -> dict:
        """Values for `drawn` where nothing was drawn; `trouble` is a key, or a text that says why."""
        text = translate(trouble, controls.language) if trouble.startswith(("error.", "person.")) else trouble
        waiting = translate(WAITING[controls.source], controls.language)
        return {
            self.memory.opened: controls.opened,
            self.memory.shown: None,
            self.memory.trouble: trouble,
            self.memory.history: controls.history,
            self.results.notice: gr.update(value=notice_html(text), visible=bool(trouble)),
            self.results.hint: gr.update(value=waiting, visible=not trouble),
            self.results.pictures: gr.update(visible=False),
            self.results.card: gr.update(visible=False),
            self.results.tools: gr.update(visible=False),
            self.results.meter: gr.update(visible=False),
            self.results.varied_panel: gr.update(visible=controls.source == "random"),  # without a profile: of whom?
        }

    def _restore(self, request: PersonRequest, controls: Controls) -> dict:
        """Values for `restored` and `drawn`: controls and picture of an earlier state, or of a link."""
        wanted = dict(request.amounts)
        known = {one.name: one for one in (*self.words.directions, *request.own)}
        if missing := sorted(set(wanted) - set(known) - set(self.actions.shapes)):
            raise InputError(f"this model cannot change {', '.join(missing)}")
        then = controls.restored(request, self.actions.groups)
        # What keeps another attribute still may lie beyond the slider's end.
        known |= {one.name: one.direction for one in controls.own}
        sliders = {}
        own = zip((one.name for one in controls.own), self.attributes.own_sliders, strict=False)
        named = self.attributes.sliders | dict(own)
        for name, slider in named.items():
            shape = name in self.actions.shapes
            low, high = (SLIDERS[name].low, SLIDERS[name].high) if shape else known[name].safe_range
            amount = min(max(wanted.get(name, 0.0), low), high)
            texts = {}
            if name in self.attributes.sliders and not shape:
                texts = self.words.slider_texts(known[name], controls.language, request.source)
            sliders[slider] = gr.update(value=amount, **texts)
        return (
            sliders
            | self._panels(request.source)
            | self._draw(then)
            | {
                self.start.source: request.source,
                self.start.seed: request.seed,
                self.memory.profile: then.profile,
                self.attributes.keep: then.keep,
                self.attributes.layers: then.layers,
                self.attributes.truncation_psi: request.truncation_psi,
                self.attributes.identity_strength: request.identity_strength,
                self.attributes.look: request.look,
                self.attributes.look_weight: request.look_weight,
            }
        )

    def _panels(self, source: str) -> dict:
        """Which parts of the page belong to a source."""
        profile, seeds, photo = source == "profile", source != "photo", source == "photo"
        shown = {
            self.start.random_panel: source == "random",
            self.start.photo_panel: photo,
            self.start.profile_box: profile,
            self.attributes.profile_settings: profile,
            self.start.seed_panel: seeds,
            self.attributes.look_panel: seeds and bool(self.actions.looks),
            self.attributes.shape_panel: photo and bool(self.actions.shapes),
        }
        return {panel: gr.update(visible=part) for panel, part in shown.items()}

    def _pin(self, path: str | None) -> dict:
        return {
            self.results.pinned: gr.update(value=path, visible=path is not None),
            self.results.unpin: gr.update(visible=path is not None),
        }

    def _no_variations(self) -> dict:
        return {self.memory.varied: [], self.results.variations: gr.update(value=None, visible=False)}

    def _faces(self, opened: OpenedPhoto, controls: Controls) -> dict:
        choices = self.words.face_choices(len(opened.faces), controls.language)
        return {self.start.face: gr.update(choices=choices, value=controls.face, visible=len(opened.faces) > 1)}


def opens_here(recipe_text: str) -> bool:
    """Tell whether a link's recipe is one of this tab's: a random face with attributes."""
    try:
        return bool(recipe_text) and is_personal(recipe_from_text(recipe_text))
    except InputError:
        return False
