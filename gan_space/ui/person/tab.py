"""Tab "Personalised generation": a random face, a photo or a profile of one person, and what is different about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import gradio as gr

from gan_space.errors import FaceError, GanSpaceError, InputError
from gan_space.faces.shape import SLIDERS
from gan_space.ui.explore.actions import SEED_SPAN, random_seed, recipe_from_text
from gan_space.ui.i18n import Texts, translate
from gan_space.ui.messages import explain, friendly
from gan_space.ui.opened_photos import OpenedPhoto
from gan_space.ui.parts import SAVE_FILE, notice_html
from gan_space.ui.person.actions import PersonStudio
from gan_space.ui.person.controls import Controls
from gan_space.ui.person.effects import leak_tables_html
from gan_space.ui.person.layout import PersonLayout
from gan_space.ui.person.own_directions import OwnDirection
from gan_space.ui.person.request import PersonRequest, is_personal, is_shareable, request_of, with_step
from gan_space.ui.person.words import WAITING, PersonWords
from gan_space.ui.server.files import Shown

COPY_LINK = """(language) => {
  const link = document.querySelector('#person-link');
  if (link && navigator.clipboard) navigator.clipboard.writeText(link.href);
  return [language];
}"""


class PersonTab(PersonWords, PersonLayout):
    """Builds the tab inside the current gr.Blocks.

    Args:
        studio: draws.
        texts: collects every component whose texts follow the language.
        language: component with the chosen language.
    """

    def __init__(self, studio: PersonStudio, texts: Texts, language: gr.components.Component):
        super().__init__(studio, texts, language)
        self._connect()

    def _connect(self) -> None:
        # One drawing at a time, together with the other tabs. A slider's last position wins.
        self.event = {"api_visibility": "private", "concurrency_limit": 1, "concurrency_id": "draw"}
        latest = {**self.event, "trigger_mode": "always_last", "show_progress": "minimal"}
        quick = {"api_visibility": "private", "queue": False, "show_progress": "hidden"}
        sliders = [*self.sliders.values(), *self.own_sliders]
        self.source.input(
            friendly(self.take_source),
            self.inputs,
            [*self.panels, *self.sliders.values(), *self.pin_outputs, self.varied, self.variations, *self.result],
            **latest,
        )
        self.shuffle.click(friendly(self.draw_shuffled), self.inputs, [self.seed, *self.result], **self.event)
        photo_outputs = [self.photo, *self.pin_outputs, *self.result]
        self.photo.input(friendly(self.take_photo), self.inputs, photo_outputs, **self.event)
        self.example_gallery.select(friendly(self.take_example), self.inputs, photo_outputs, **self.event)
        gr.on(
            [
                *(part.release for part in (*sliders, self.truncation_psi, self.identity_strength, self.look_weight)),
                *(part.input for part in (self.keep, self.layers, self.look, self.face)),
                self.seed.submit,
            ],
            friendly(self.draw),
            self.inputs,
            self.result,
            **latest,
        )
        self.reset.click(friendly(self.draw_reset), self.inputs, [*sliders, *self.result], **self.event)
        self.undo.click(friendly(self.go_back), self.inputs, [*self.restored, *self.result], **self.event)
        self.pin.click(self.take_pin, self.shown, self.pin_outputs, **quick)
        self.unpin.click(self.drop_pin, None, self.pin_outputs, **quick)
        self.vary.click(friendly(self.draw_variations), self.inputs, [self.varied, self.variations], **self.event)
        self.variations.select(
            friendly(self.take_variation), [self.varied, *self.inputs], [self.seed, *self.result], **latest
        )
        self.download.click(friendly(self.write_file), self.inputs, self.file, **self.event).success(
            None, self.file, self.file, js=SAVE_FILE, api_visibility="private"
        )
        self.copy.click(
            lambda language: gr.Info(translate("results.copied", language), title=""),
            self.language,
            None,
            js=COPY_LINK,
            api_visibility="private",
        )
        self.profile_panel.connect()

    def take_source(self, *values: Any) -> dict:
        """Another thing to start from; what it shows stays in the history."""
        controls = Controls.read(values)
        hints = {
            self.sliders[one.name]: gr.update(**self.slider_texts(one, controls.language, controls.source))
            for one in self.directions
        }
        return self._panels(controls.source) | hints | self.drop_pin() | self._no_variations() | self._draw(controls)

    def draw_shuffled(self, *values: Any) -> dict:
        """Another random face."""
        seed = random_seed()
        return {self.seed: seed} | self._draw(replace(Controls.read(values), seed=seed))

    def take_photo(self, *values: Any) -> dict:
        """A new photo stands in the box, or none any more."""
        return self._open(replace(Controls.read(values), opened=None))

    def take_example(self, event: gr.SelectData, *values: Any) -> dict:
        """An example was clicked; nobody has to be asked."""
        path = self.examples[event.index]
        opened = self.studio.open(path, own=False)
        return {self.photo: path} | self._open(replace(Controls.read(values), opened=opened, face="largest"))

    def draw(self, *values: Any) -> dict:
        """Draw with what the controls say."""
        return self._draw(Controls.read(values))

    def draw_reset(self, *values: Any) -> dict:
        """All attributes as they were."""
        controls = Controls.read(values)
        controls = replace(controls, amounts=(0.0,) * len(controls.amounts))
        return dict.fromkeys([*self.sliders.values(), *self.own_sliders], 0) | self._draw(controls)

    def go_back(self, *values: Any) -> dict:
        """The state before this one; nothing where there is none."""
        controls = Controls.read(values)
        if len(controls.history) < 2:
            return {self.notice: gr.skip()}
        earlier = controls.history[:-1]
        return self._restore(earlier[-1], replace(controls, history=earlier[:-1]))

    def take_pin(self, shown: Shown | None) -> dict:
        """Keep the picture for comparison."""
        return self._pin(None if shown is None else shown.path)

    def drop_pin(self) -> dict:
        """Nothing to compare with."""
        return self._pin(None)

    def draw_variations(self, *values: Any) -> dict:
        """The same settings on the seeds that follow."""
        controls = Controls.read(values)
        request = self._request(controls)
        if request is None:
            raise InputError(translate(WAITING[controls.source], controls.language))
        seeds = [(controls.seed + offset) % SEED_SPAN for offset in range(1, controls.count + 1)]
        shown = self.studio.variations(request, seeds)
        items = [(item.path, item.caption) for item in shown]
        return {self.varied: shown, self.variations: gr.update(value=items, visible=True, selected_index=None)}

    def take_variation(self, event: gr.SelectData, varied: list[Shown], *values: Any) -> dict:
        """A variation was clicked: its seed is the new one."""
        seed = varied[event.index].recipe["seed"]
        return {self.seed: seed} | self._draw(replace(Controls.read(values), seed=seed))

    def write_file(self, *values: Any) -> str:
        """Labelled file of what is shown, at full size."""
        controls = Controls.read(values)
        request = self._request(controls)
        if request is None or controls.shown is None:
            raise InputError(translate(WAITING[controls.source], controls.language))
        return self.studio.file(request, controls.image_format, controls.visible_label).path

    def open_if_linked(self, recipe_text: str, *values: Any) -> dict:
        """What a link with attributes shows; nothing for any other link."""
        controls = Controls.read(values)
        if not opens_here(recipe_text):
            return {self.notice: gr.skip()}
        recipe = recipe_from_text(recipe_text)
        try:
            update = self._restore(request_of(recipe), controls)
        except GanSpaceError:
            return self._nothing(controls, "error.recipe")
        if not self.studio.is_from_here(recipe):
            text = translate("error.other_model", controls.language, model=str(recipe.get("model") or "?"))
            update |= {self.notice: gr.update(value=notice_html(text), visible=True)}
        return update

    def open_if_empty(self, recipe_text: str, *values: Any) -> dict:
        """The first face, where nothing was drawn so far."""
        controls = Controls.read(values)
        if controls.shown is not None or controls.source != "random" or opens_here(recipe_text):
            return {self.notice: gr.skip()}
        return self._draw(controls)

    def profile_ended(self, controls: Controls) -> dict:
        """Values for `result`, the pinned picture and the variations, without a profile that was deleted."""
        history = [past for past in controls.history if past.profile is None]
        without = replace(controls, profile=None, history=history)
        return self._nothing(without) | self.drop_pin() | self._no_variations()

    # The visitor's own directions

    @property
    def own_outputs(self) -> list:
        """Components that `own_updates` gives values for."""
        return [self.own_title, self.no_sliders, self.reset, self.measured, *self.own_sliders]

    def own_updates(self, own: Sequence[OwnDirection], language: str, moved: bool) -> dict:
        """One slider for each; all of them back to 0 where directions `moved` from one slider to another."""
        some = bool(own or self.directions)
        updates = {
            self.own_title: gr.update(visible=bool(own)),
            self.no_sliders: gr.update(visible=not some),
            self.reset: gr.update(visible=some),
            self.measured: leak_tables_html(self.studio.directions, [one.direction for one in own], language),
        }
        back = {"value": 0} if moved else {}
        for number, slider in enumerate(self.own_sliders):
            settings: dict[str, Any] = {"visible": False, "value": 0}
            if number < len(own):
                one = own[number].direction
                low, high = one.safe_range
                settings = {
                    "visible": True,
                    "minimum": low,
                    "maximum": high,
                    **self.slider_texts(one, language),
                    **back,
                }
            updates[slider] = gr.update(**settings)
        return updates

    def read(self, values: Sequence[Any]) -> Controls:
        """The controls from the values of `inputs`."""
        return Controls.read(values)

    # Inside

    def _open(self, controls: Controls) -> dict:
        """Open the photo; as it is it stands beside the result."""
        opened = controls.opened
        if opened is None and controls.photo is not None:
            opened = self.studio.open(controls.photo)
        before = None if opened is None else opened.before
        return self._pin(before) | self._draw(replace(controls, opened=opened))

    def _draw(self, controls: Controls) -> dict:
        """Values for `result`; the new state goes into the history."""
        opened = controls.opened
        on_photo = controls.source == "photo" and opened is not None
        if on_photo and isinstance(controls.face, int) and controls.face >= len(opened.faces):
            controls = replace(controls, face="largest")  # a number of the photo before
        request = self._request(controls)
        if request is None:
            return self._nothing(controls)
        faces = {} if opened is None else self._faces(opened, controls)
        try:
            shown = self.studio.preview(request)
        except FaceError as error:
            key = "person.no_face" if not opened.faces else ""
            return self._nothing(controls, key or explain(error, controls.language)) | faces
        history = with_step(controls.history, request)
        return faces | {
            self.opened: opened,
            self.shown: shown,
            self.trouble: None,
            self.history: history,
            self.notice: gr.update(visible=False),
            self.hint: gr.update(visible=False),
            self.pictures: gr.update(visible=True),
            self.picture: shown.path,
            self.card: gr.update(visible=True),
            self.facts: self.facts_html(shown, controls.language),
            self.tools: gr.update(visible=True),
            self.undo: gr.update(interactive=len(history) > 1),
            self.copy: gr.update(visible=is_shareable(shown.recipe)),
            self.meter: self._meter(shown, controls.source, controls.language),
        }

    def _nothing(self, controls: Controls, trouble: str = "") -> dict:
        """Values for `result` where nothing was drawn; `trouble` is a key, or a text that says why."""
        text = translate(trouble, controls.language) if trouble.startswith(("error.", "person.")) else trouble
        waiting = translate(WAITING[controls.source], controls.language)
        return {
            self.opened: controls.opened,
            self.shown: None,
            self.trouble: trouble,
            self.history: controls.history,
            self.notice: gr.update(value=notice_html(text), visible=bool(trouble)),
            self.hint: gr.update(value=waiting, visible=not trouble),
            self.pictures: gr.update(visible=False),
            self.card: gr.update(visible=False),
            self.tools: gr.update(visible=False),
            self.meter: gr.update(visible=False),
        }

    def _request(self, controls: Controls) -> PersonRequest | None:
        """What the controls ask for; None where there is nothing to start from."""
        if controls.source == "photo" and controls.opened is None:
            return None
        if controls.source == "profile" and controls.profile is None:
            return None
        everywhere = len(controls.layers) in (0, len(self.studio.groups))
        return PersonRequest(
            source=controls.source,
            seed=controls.seed,
            photo=controls.opened if controls.source == "photo" else None,
            face=controls.face,
            profile=controls.profile if controls.source == "profile" else None,
            amounts=tuple(
                # Sliders behind the last own direction belong to nobody.
                (name, amount)
                for name, amount in zip(self._names(controls), controls.amounts, strict=False)
                if amount
            ),
            keep=tuple(controls.keep),
            layers=() if everywhere else tuple(name for name in self.studio.groups if name in controls.layers),
            truncation_psi=controls.truncation_psi,
            identity_strength=controls.identity_strength,
            look=controls.look,
            look_weight=controls.look_weight,
            own=tuple(one.direction for one in controls.own),
        )

    def _names(self, controls: Controls) -> list[str]:
        """What the sliders change, in the order of `Controls.amounts`."""
        return [*self.sliders, *(one.name for one in controls.own)]

    def _restore(self, request: PersonRequest, controls: Controls) -> dict:
        """Values for `restored` and `result`: controls and picture of an earlier state, or of a link."""
        wanted = dict(request.amounts)
        known = {one.name: one for one in (*self.directions, *request.own)}
        if missing := sorted(set(wanted) - set(known) - set(self.studio.shapes)):
            raise InputError(f"this model cannot change {', '.join(missing)}")
        names = self._names(controls)  # own directions that were removed since then are left out
        layers = list(request.layers or self.studio.groups)
        then = replace(
            controls,
            source=request.source,
            seed=request.seed,
            opened=request.photo or controls.opened,
            face=request.face,
            profile=request.profile or controls.profile,
            keep=list(request.keep),
            layers=layers,
            truncation_psi=request.truncation_psi,
            identity_strength=request.identity_strength,
            look=request.look,
            look_weight=request.look_weight,
            amounts=tuple(wanted.get(name, 0.0) for name in names),
        )
        # What keeps another attribute still may lie beyond the slider's end.
        known |= {one.name: one.direction for one in controls.own}
        sliders = {}
        for name, slider in zip(names, [*self.sliders.values(), *self.own_sliders], strict=False):
            shape = name in self.studio.shapes
            low, high = (SLIDERS[name].low, SLIDERS[name].high) if shape else known[name].safe_range
            amount = min(max(wanted.get(name, 0.0), low), high)
            texts = {}
            if name in self.sliders and not shape:
                texts = self.slider_texts(known[name], controls.language, request.source)
            sliders[slider] = gr.update(value=amount, **texts)
        return (
            sliders
            | self._panels(request.source)
            | self._draw(then)
            | {
                self.source: request.source,
                self.seed: request.seed,
                self.profile: then.profile,
                self.keep: then.keep,
                self.layers: layers,
                self.truncation_psi: request.truncation_psi,
                self.identity_strength: request.identity_strength,
                self.look: request.look,
                self.look_weight: request.look_weight,
            }
        )

    def _panels(self, source: str) -> dict:
        """Which parts of the page belong to a source."""
        profile, seeds, photo = source == "profile", source != "photo", source == "photo"
        shown = [source == "random", photo, profile, profile, seeds, seeds, seeds and self.has_looks]
        shown.append(photo and bool(self.studio.shapes))
        return {panel: gr.update(visible=part) for panel, part in zip(self.panels, shown, strict=True)}

    def _pin(self, path: str | None) -> dict:
        return {
            self.pinned: gr.update(value=path, visible=path is not None),
            self.unpin: gr.update(visible=path is not None),
        }

    def _no_variations(self) -> dict:
        return {self.varied: [], self.variations: gr.update(value=None, visible=False)}

    def _faces(self, opened: OpenedPhoto, controls: Controls) -> dict:
        choices = self._face_choices(len(opened.faces), controls.language)
        return {self.face: gr.update(choices=choices, value=controls.face, visible=len(opened.faces) > 1)}


def opens_here(recipe_text: str) -> bool:
    """Whether a link's recipe is one of this tab's: a random face with attributes."""
    try:
        return bool(recipe_text) and is_personal(recipe_from_text(recipe_text))
    except InputError:
        return False


def tab_of(recipe_text: str) -> Callable | Any:
    """The tab that a link opens; no change without a recipe."""
    if not recipe_text:
        return gr.skip()
    return gr.Tabs(selected="person" if opens_here(recipe_text) else "explore")
