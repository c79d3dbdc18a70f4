"""Tab "Create a look": a photo in, the same photo in another look out; several at once; and looks of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from gan_space.errors import FaceError, InputError
from gan_space.settings import is_number
from gan_space.ui.controls import AT_ONCE, DRAW, DRAW_LATEST, Inputs, clicked
from gan_space.ui.create.actions import CreateActions, LookEntry, StyleRequest
from gan_space.ui.create.controls import Controls, request_of
from gan_space.ui.create.layout import IDENTITY, build_create, inputs_of
from gan_space.ui.create.make_panel import MakeOrder, MakePanel
from gan_space.ui.create.many_panel import ManyPanel
from gan_space.ui.create.refine_panel import RefinePanel
from gan_space.ui.create.words import face_choices, facts_html, look_items
from gan_space.ui.i18n import Texts, translate
from gan_space.ui.messages import explain
from gan_space.ui.opened_photos import OpenedPhoto
from gan_space.ui.parts import notice_html, save_on_click
from gan_space.ui.photo.left import LeftPhoto, read_left


def first_of_many(opened: OpenedPhoto | None, photos: list[str] | None) -> Any:
    """Return what the box for several photos begins with: the visitor's own photo that is open, unless it has some."""
    begins = opened is not None and opened.own and not photos and Path(opened.path).is_file()
    return [opened.path] if begins else gr.skip()


class CreateTab:
    """Builds the tab inside the current gr.Blocks.

    Args:
        actions: draws.
        texts: collects every component whose texts follow the language.
        language: component with the chosen language.
    """

    def __init__(self, actions: CreateActions, texts: Texts, language: gr.components.Component):
        self.actions = actions
        ui = build_create(actions, texts)
        self.frame, self.box, self.looks, self.settings = ui.frame, ui.box, ui.looks, ui.settings
        self.result, self.memory = ui.result, ui.memory
        self.inputs = inputs_of(ui, language)
        self.drawn = [
            *(ui.memory.opened, ui.memory.shown, ui.memory.trouble, ui.frame.notice, ui.result.hint),
            *(ui.result.before_after, ui.settings.faces, ui.result.found_panel, ui.result.found),
            *(ui.result.all_faces, ui.result.card, ui.result.facts),
        ]
        choice = [
            *(ui.looks.gallery, ui.memory.own_looks, ui.memory.look_key, ui.memory.look_source),
            *(ui.looks.look_tabs, ui.looks.tab_packs),
        ]
        self.many = ManyPanel(ui.many, actions)
        self.make = MakePanel(ui.make, actions, self.choose_own_look, choice)
        self.refine = RefinePanel(ui.settings.refine, ui.result.lost, ui.memory.refined, actions.refiner, self.draw)
        self._connect(language)

    def _connect(self, language: gr.components.Component) -> None:
        # The old photo is taken out before a new one comes in: the second event must not be lost to the first.
        newest = {**DRAW, "trigger_mode": "always_last"}
        frame, box, looks, settings, result = self.frame, self.box, self.looks, self.settings, self.result
        given, drawn = self.inputs, self.drawn
        box.photo.input(*given.to(self.take_photo), [box.photo, *drawn], **newest, show_progress_on=drawn)
        box.example_gallery.select(*given.to(self.take_example), [box.photo, *drawn], **DRAW)
        looks.gallery.select(*given.to(self.take_look), [self.memory.look_key, *drawn], **DRAW_LATEST)
        for tab, take in ((looks.tab_packs, self.take_packs), (looks.tab_picture, self.take_picture)):
            tab.select(*given.to(take), [self.memory.look_source, settings.keep_identity, *drawn], **DRAW_LATEST)
        sliders = [settings.strength, settings.keep_identity, *settings.steps.values()]
        boxes = [settings.preserve_color, settings.scope, settings.transfer, settings.upscale, settings.faces]
        boxes += [looks.layers, looks.reference]
        moved = [*(slider.release for slider in sliders), *(part.input for part in boxes)]
        gr.on(moved, *given.to(self.draw), drawn, **DRAW_LATEST)
        result.found.select(*given.to(self.take_face), drawn, **DRAW)
        result.all_faces.click(*given.to(self.take_all_faces), drawn, **DRAW)
        save_on_click(result.download, given.to(self.write_file), result.file)
        panels = [
            *(frame.one_panel, frame.many_panel, frame.make_panel, frame.look_panel, frame.settings_panel),
            frame.notice,
        ]
        for mode, tab in (("one", frame.tab_one), ("many", frame.tab_many), ("make", frame.tab_make)):
            tab.select(partial(self.show_mode, mode), None, panels, **AT_ONCE)
        photos = self.many.ui.controls.photos
        frame.tab_many.select(first_of_many, [self.memory.opened, photos], photos, **AT_ONCE)
        self.many.connect(given)
        order = Inputs(MakeOrder, own_looks=self.memory.own_looks, language=language)
        self.make.connect(order)
        self.make.ui.try_it.click(
            self.try_own_look, None, [frame.modes, *panels], api_visibility="private", queue=False
        ).then(*given.to(self.draw), drawn, **DRAW)
        others = [box.photo.input, box.example_gallery.select, result.found.select, result.all_faces.click]
        self.refine.connect(given, drawn, [*others, settings.faces.input])

    def take_photo(self, controls: Controls) -> dict:
        """Draw for a new photo in the box, or clear what was drawn."""
        if controls.opened is not None and controls.opened.is_its_copy(controls.photo):
            return {self.box.photo: None} | self._nothing()  # it was taken out
        update = self._draw(replace(controls, opened=None))
        opened = update[self.memory.opened]
        if opened is None:
            return update
        if remark := opened.remark(controls.language):
            gr.Info(remark, title="")
        return update | ({self.box.photo: opened.before} if opened.needs_copy else {})

    def take_example(self, event: gr.SelectData, controls: Controls) -> dict:
        """Take the example that was clicked; nobody has to be asked."""
        opened = self.actions.open(clicked(event, self.actions.examples), own=False)
        return {self.box.photo: opened.before} | self._draw(replace(controls, opened=opened))

    def take_look(self, event: gr.SelectData, controls: Controls) -> dict:
        """Draw with the pack that was clicked."""
        key = clicked(event, self._looks(controls.own_looks)).key
        return {self.memory.look_key: key} | self._draw(replace(controls, look_key=key))

    def take_packs(self, controls: Controls) -> dict:
        """Draw the look of a pack."""
        return self._take_source("packs", controls)

    def take_picture(self, controls: Controls) -> dict:
        """Draw the look of a picture."""
        return self._take_source("picture", controls)

    def take_face(self, event: gr.SelectData, controls: Controls) -> dict:
        """Take the face that was clicked in the picture of all."""
        if controls.opened is None:
            return {self.result.found: gr.skip()}
        place = event.index if isinstance(event.index, list) and all(map(is_number, event.index)) else ()
        if len(place) != 2:
            raise InputError("a click has two coordinates")
        opened, number = self.actions.mark(controls.opened, *place)
        return self._draw(replace(controls, opened=opened, faces=number))

    def take_all_faces(self, controls: Controls) -> dict:
        """Take every face in the photo."""
        return self._draw(replace(controls, faces="all"))

    def draw(self, controls: Controls) -> dict:
        """Draw again with what the controls say."""
        return self._draw(controls)

    def start(self, controls: Controls) -> dict:
        """Draw in the first look when the tab is opened, unless there is a photo already.

        It is the photo that the visitor has open on the page for a photo, else an example.
        """
        examples = self.actions.examples
        if controls.opened is not None or controls.photo or self._request(controls) is None:
            return {self.box.photo: gr.skip()}
        left = read_left(controls.left, examples) or next((LeftPhoto(path, own=False) for path in examples), None)
        if left is None:
            return {self.box.photo: gr.skip()}
        opened = self.actions.open(left.path, own=left.own)
        # Its copy: browsers cannot show every kind of photo, nor need all of a large one for a small box.
        return {self.box.photo: opened.before} | self._draw(replace(controls, opened=opened, faces=left.faces))

    def write_file(self, controls: Controls) -> str:
        """Return the labelled file of full size."""
        request = self._request(controls)
        if controls.opened is None or request is None:
            raise gr.Error(translate("style.waiting", controls.language), title="", print_exception=False)
        return self.actions.file(controls.opened, request, controls.image_format, controls.visible_label).path

    def show_mode(self, mode: str) -> dict:
        """Show which parts of the page belong to a mode; the notice goes in any case."""
        shown = {
            self.frame.one_panel: mode == "one",
            self.frame.many_panel: mode == "many",
            self.frame.make_panel: mode == "make",
            self.frame.look_panel: mode != "make",
            self.frame.settings_panel: mode != "make",
            self.frame.notice: False,
        }
        return {panel: gr.update(visible=part) for panel, part in shown.items()}

    def try_own_look(self) -> dict:
        """Go to the photo, which is drawn in the look that was made."""
        return {self.frame.modes: gr.Tabs(selected="one")} | self.show_mode("one")

    def choose_own_look(self, own_looks: list[LookEntry], language: str) -> dict:
        """Put the last of the visitor's own looks among the others, and choose it."""
        items = look_items(self._looks(own_looks), language)
        return {
            self.looks.gallery: gr.update(value=items, selected_index=len(items) - 1),
            self.memory.own_looks: own_looks,
            self.memory.look_key: own_looks[-1].key,
            self.memory.look_source: "packs",
            self.looks.look_tabs: gr.Tabs(selected="packs"),
            self.looks.tab_packs: gr.update(visible=True),
        }

    # Inside

    def _looks(self, own_looks: list[LookEntry]) -> list[LookEntry]:
        return [*self.actions.looks, *own_looks]

    def _request(self, controls: Controls) -> StyleRequest | None:
        return request_of(controls, self.actions.looks)

    def _take_source(self, source: str, controls: Controls) -> dict:
        was_open, controls = controls.look_source, replace(controls, look_source=source, keep_identity=IDENTITY[source])
        update = {self.memory.look_source: controls.look_source, self.settings.keep_identity: controls.keep_identity}
        # A page that opens tells of its first tab, too, while `start` draws; and a picture is still to be chosen.
        ready = bool(was_open) and controls.opened is not None and self._request(controls) is not None
        return update | (self._draw(controls) if ready else {})

    def _draw(self, controls: Controls) -> dict:
        """Values for `drawn`."""
        opened = controls.opened
        if opened is None and controls.photo is None:
            return self._nothing()
        thorough = controls.faces == "all"
        if opened is None:
            opened = self.actions.open(controls.photo, thorough=thorough)
        elif thorough and not opened.thorough:
            opened = self.actions.open(opened.path, own=opened.own, thorough=True)
        if isinstance(controls.faces, int) and controls.faces >= len(opened.faces):
            controls = replace(controls, faces="largest")  # a number of the photo before
        update = self._found(opened, controls)
        request = self._request(controls)
        if request is None:
            return self._nothing(opened, "error.no_look", controls.language) | update
        try:
            shown = self.actions.preview(opened, request)
        except FaceError as error:
            found = {self.result.found_panel: gr.update(visible=True)}
            found[self.result.found] = self.actions.faces_picture(opened, controls.faces)
            return self._nothing(opened, explain(error, controls.language), controls.language) | update | found
        return update | {
            self.memory.opened: opened,
            self.memory.shown: shown,
            self.memory.trouble: None,
            self.frame.notice: gr.update(visible=False),
            self.result.hint: gr.update(visible=False),
            self.result.before_after: gr.update(value=(opened.before, shown.path), visible=True),
            self.result.card: gr.update(visible=True),
            self.result.facts: facts_html(shown, self._looks(controls.own_looks), controls.language),
        }

    def _nothing(self, opened: OpenedPhoto | None = None, trouble: str = "", language: str = "en") -> dict:
        """Values for `drawn` where nothing could be drawn; `trouble` is a key, or a text that says why."""
        text = translate(trouble, language) if trouble.startswith("error.") else trouble
        return {
            self.memory.opened: opened,
            self.memory.shown: None,
            self.memory.trouble: trouble,
            self.frame.notice: gr.update(value=notice_html(text), visible=bool(trouble)),
            self.result.hint: gr.update(visible=not trouble),
            self.result.before_after: gr.update(value=None, visible=False),
            self.result.card: gr.update(visible=False),
            self.result.found_panel: gr.update(visible=False),
        }

    def _found(self, opened: OpenedPhoto, controls: Controls) -> dict:
        """The choice of faces, and their picture where there is something to choose."""
        several = len(opened.faces) > 1
        choices = face_choices(len(opened.faces), controls.language)
        return {
            self.settings.faces: gr.update(choices=choices, value=controls.faces),
            self.result.found_panel: gr.update(visible=several),
            self.result.found: self.actions.faces_picture(opened, controls.faces) if several else None,
            self.result.all_faces: gr.update(visible=several),
        }

    # Languages

    @property
    def language_inputs(self) -> list:
        """Components that `in_language` reads."""
        memory = self.memory
        return [memory.opened, memory.shown, memory.trouble, memory.own_looks, self.settings.faces]

    @property
    def language_outputs(self) -> list:
        """Components that `in_language` gives values for."""
        return [self.looks.gallery, self.settings.faces, self.result.facts, self.frame.notice]

    def in_language(self, language: str, values: Mapping[gr.components.Component, Any]) -> dict:
        """Say the texts that are made here rather than read from a table; `values` by component."""
        memory, faces = self.memory, self.settings.faces
        opened, shown, trouble = values[memory.opened], values[memory.shown], values[memory.trouble]
        looks = self._looks(values[memory.own_looks])
        count = len(opened.faces) if opened is not None else 0
        key = trouble if trouble and trouble.startswith("error.") else ""
        return {
            self.looks.gallery: gr.update(value=look_items(looks, language)),
            faces: gr.update(choices=face_choices(count, language), value=values[faces]),
            self.result.facts: facts_html(shown, looks, language) if shown else gr.skip(),
            self.frame.notice: gr.update(value=notice_html(translate(key, language))) if key else gr.skip(),
        }
