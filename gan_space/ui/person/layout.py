"""What the tab "Personalised generation" is made of, and where it stands."""

from __future__ import annotations

from functools import partial

import gradio as gr

from gan_space.faces.shape import SLIDERS
from gan_space.latents.discovery import FOUND_RANGE
from gan_space.ui.create.actions import FORMATS
from gan_space.ui.explore.actions import MAX_COUNT, SEED_SPAN
from gan_space.ui.i18n import Texts, choose_language, translate
from gan_space.ui.parts import photo_input, thumbnails
from gan_space.ui.person.actions import PersonStudio
from gan_space.ui.person.effects import CSS as EFFECTS_CSS
from gan_space.ui.person.effects import leak_tables_html, slider_hint
from gan_space.ui.person.likeness import CSS as LIKENESS_CSS
from gan_space.ui.person.own_directions import MAX_OWN
from gan_space.ui.person.profiles import ProfilePanel

FIRST_SEED, FIRST_COUNT = 6, 8
SOURCE_TEXTS = {"random": "person.random", "photo": "person.photo", "profile": "person.profile"}
GROUP_TEXTS = {
    "expression": "person.group_expression",
    "person": "person.group_person",
    "pose": "person.group_pose",
    "light": "person.group_light",
    "hair": "person.group_hair",
    "other": "person.group_other",
}
LAYER_TEXTS = {"coarse": "mix.coarse", "middle": "mix.middle", "fine": "mix.fine"}
CSS = (
    LIKENESS_CSS
    + EFFECTS_CSS
    + """
#person { gap: 20px; }
#person-controls, #person-start, #person-attributes, #person-profile, #person-look-panel { gap: 12px; }
#person-results { position: sticky; top: 12px; align-self: flex-start; }
#person-file { display: none; }
#person-pictures { gap: 14px; }
#person-picture, #person-pinned { border: 0; background: none; padding: 0; }
#person-picture, #person-pinned { max-width: 440px; margin: 0 auto; }
#person-picture img, #person-pinned img { border-radius: 14px; width: 100%; height: auto; object-fit: contain; }
#person-picture .image-container, #person-picture .image-frame, #person-picture button,
#person-pinned .image-container, #person-pinned .image-frame, #person-pinned button { width: 100%; height: auto; }
#person-card { align-items: flex-start; gap: 20px; }
#person-attributes .form { gap: 2px; }
#person-attributes .group p { font-size: 0.8125rem; font-weight: 600; margin: 4px 0 0;
  color: var(--body-text-color-subdued); }
#person-facts a { font-size: 0.875rem; text-decoration: underline; padding: 0; }
#person-variations .grid-container { grid-template: none / repeat(4, minmax(0, 1fr)); }
#person-variations .thumbnail-item.selected { outline: 3px solid var(--primary-500); outline-offset: -1px; }
@media (max-width: 720px) {
  #person { flex-direction: column; flex-wrap: nowrap; align-items: stretch; }
  #person-controls { display: contents; }
  #person-start { order: 0; }
  #person-results { display: contents; }
  #person-notice, #person-hint, #person-pictures, #person-likeness, #person-tools { order: 1; width: 100%; }
  #person-attributes { order: 2; }
  #person-card, #person-varied, #person-measured { order: 3; width: 100%; }
  #person-pictures { flex-wrap: nowrap; }
  #person-pictures > * { min-width: 0 !important; }
}
"""
)


class PersonLayout:
    """Components of the tab, built inside the current gr.Blocks; `PersonTab` says what they do.

    Args:
        studio: draws.
        texts: collects every component whose texts follow the language.
        language: component with the chosen language.
    """

    def __init__(self, studio: PersonStudio, texts: Texts, language: gr.components.Component):
        self.studio, self.texts, self.language = studio, texts, language
        self.directions = list(studio.directions or ())
        self.examples = studio.style.examples if studio.style is not None else []
        self.source_choices = {source: SOURCE_TEXTS[source] for source in studio.sources}
        self.profile_panel = ProfilePanel(self)
        self._build()

    def _build(self) -> None:
        self.opened, self.shown, self.trouble = gr.State(None), gr.State(None), gr.State(None)
        self.history, self.varied = gr.State([]), gr.State([])
        self.own = gr.State(())  # directions that the visitor found, see the tab "New sliders"
        # gradio copies a State in depth for every visit: a bound method would take the networks along, a function not.
        self.profile = gr.State(None, delete_callback=lambda profile: self.profile_panel.left_behind(profile))
        with gr.Row(elem_id="person", elem_classes="workbench"):
            with gr.Column(scale=4, min_width=300, elem_id="person-controls"):
                with gr.Column(elem_id="person-start"):
                    self._build_start()
                with gr.Column(elem_id="person-attributes"):
                    self._build_attributes()
            with gr.Column(scale=7, min_width=300, elem_id="person-results"):
                self._build_results()
        sliders = list(self.sliders.values())
        self.inputs = [
            *(self.source, self.seed, self.opened, self.photo, self.face, self.profile, self.keep),
            *(self.layers, self.truncation_psi, self.identity_strength, self.look, self.look_weight, self.count),
            *(self.image_format, self.visible_label, self.shown, self.history, self.own),
            *(*sliders, *self.own_sliders, self.language),
        ]
        self.result = [
            *(self.opened, self.shown, self.trouble, self.history, self.notice, self.hint, self.pictures),
            *(self.picture, self.face, self.card, self.facts, self.tools, self.undo, self.copy, self.meter),
        ]
        self.panels = [
            *(self.random_panel, self.photo_panel, self.profile_box, self.profile_settings),
            *(self.seed_panel, self.varied_panel, self.look_panel, self.shape_panel),
        ]
        self.restored = [
            *(self.source, self.seed, self.profile, self.keep, self.layers, self.truncation_psi),
            *(self.identity_strength, self.look, self.look_weight, *sliders, *self.own_sliders, *self.panels),
        ]
        self.pin_outputs = [self.pinned, self.unpin]

    def _build_start(self) -> None:
        add = self.texts.add
        self.source = add(
            gr.Radio,
            label="person.source",
            choice_keys=self.source_choices,
            value="random",
            visible=len(self.studio.sources) > 1,
            elem_id="person-source",
        )
        with gr.Column() as self.random_panel:
            self.shuffle = add(gr.Button, value_key="portraits.shuffle", variant="primary", elem_id="person-shuffle")
        with gr.Column() as self.seed_panel:
            self.seed = add(
                gr.Number,
                label="portraits.seed",
                value=FIRST_SEED,
                precision=0,
                minimum=0,
                maximum=SEED_SPAN - 1,
                elem_id="person-seed",
            )
        with gr.Column(visible=False) as self.photo_panel:
            self.photo = add(
                photo_input,
                label="style.photo",
                sources=["upload", "webcam", "clipboard"],
                height=230,
                elem_id="person-photo",
            )
            add(gr.Markdown, value_key="style.consent", elem_id="person-consent", elem_classes="hint")
            add(gr.Markdown, value_key="style.examples", elem_classes="hint", visible=bool(self.examples))
            self.example_gallery = thumbnails(
                value=[(path, None) for path in self.examples],
                visible=bool(self.examples),
                elem_id="person-examples",
            )
            self.face = add(
                gr.Dropdown,
                label="style.faces",
                choices=self._face_choices(0, "en"),
                value="largest",
                visible=False,
                elem_id="person-face",
            )
        with gr.Column(visible=False, elem_id="person-profile") as self.profile_box:
            self.profile_panel.build()

    def _build_attributes(self) -> None:
        add = self.texts.add
        with gr.Column(visible=False) as self.profile_settings:
            self.identity_strength = add(
                gr.Slider,
                label="person.identity_strength",
                info="person.identity_strength_info",
                minimum=0,
                maximum=1,
                step=0.05,
                value=1,
                buttons=[],
                elem_id="identity-strength",
            )
        self.sliders: dict[str, gr.Slider] = {}
        groups = list(dict.fromkeys(one.group for one in self.directions))
        for group in groups:
            add(gr.Markdown, value_key=GROUP_TEXTS.get(group, "person.group_other"), elem_classes="group")
            for one in self.directions:
                if one.group == group:
                    self.sliders[one.name] = gr.Slider(
                        label=one.text("en"),
                        info=slider_hint(one, self.studio.directions, "en") or None,
                        minimum=one.safe_range[0],
                        maximum=one.safe_range[1],
                        step=0.1,
                        value=0,
                        buttons=[],
                        elem_id=f"attribute-{one.name.replace('_', '-')}",
                    )
        with gr.Column(visible=False, elem_id="person-shape") as self.shape_panel:
            add(gr.Markdown, value_key="person.group_shape", elem_classes="group")
            for name in self.studio.shapes:
                self.sliders[name] = add(
                    gr.Slider,
                    label=f"shape.{name}",
                    minimum=SLIDERS[name].low,
                    maximum=SLIDERS[name].high,
                    step=0.1,
                    value=0,
                    buttons=[],
                    elem_id=f"shape-{name.replace('_', '-')}",
                )
        self.own_title = add(gr.Markdown, value_key="person.group_own", visible=False, elem_classes="group")
        self.own_sliders = [
            gr.Slider(
                minimum=FOUND_RANGE[0],
                maximum=FOUND_RANGE[1],
                step=0.1,
                value=0,
                visible=False,
                buttons=[],
                elem_id=f"own-attribute-{number}",
            )
            for number in range(MAX_OWN)
        ]
        self.no_sliders = add(
            gr.Markdown, value_key="person.no_sliders", visible=not self.directions, elem_classes="hint"
        )
        self.reset = add(gr.Button, value_key="person.reset", visible=bool(self.directions), elem_id="person-reset")
        self.keep = add(
            gr.CheckboxGroup,
            label="person.keep",
            info="person.keep_info",
            choices=self._keep_choices("en"),
            value=[],
            visible=self._can_keep,
            elem_id="person-keep",
        )
        with gr.Column(visible=self.has_looks, elem_id="person-look-panel") as self.look_panel:
            self.look = add(
                gr.Dropdown, label="person.look", choices=self._look_choices("en"), value="", elem_id="person-look"
            )
            self.look_weight = add(
                gr.Slider,
                label="style.strength",
                minimum=0,
                maximum=1.5,
                step=0.05,
                value=0.8,
                buttons=[],
                elem_id="person-look-weight",
            )
        with add(gr.Accordion, label="person.advanced", open=False, elem_id="person-advanced"):
            self.truncation_psi = add(
                gr.Slider,
                label="settings.truncation",
                info="settings.truncation_info",
                minimum=0,
                maximum=1.2,
                step=0.05,
                value=0.7,
                buttons=[],
                elem_id="person-truncation",
            )
            self.layers = add(
                gr.CheckboxGroup,
                label="person.layers",
                info="person.layers_info",
                choice_keys={name: LAYER_TEXTS[name] for name in self.studio.groups},
                value=list(self.studio.groups),
                elem_id="person-layers",
            )

    def _build_results(self) -> None:
        add = self.texts.add
        picture = {"type": "filepath", "interactive": False, "buttons": [], "min_width": 150}
        self.notice = gr.HTML(visible=False, elem_id="person-notice", elem_classes="notice")
        self.hint = add(gr.Markdown, value_key="person.waiting_random", elem_id="person-hint", elem_classes="hint")
        with gr.Row(visible=False, elem_id="person-pictures") as self.pictures:
            self.picture = add(gr.Image, label="person.now", elem_id="person-picture", **picture)
            self.pinned = add(gr.Image, label="person.pinned", visible=False, elem_id="person-pinned", **picture)
        self.meter = gr.HTML(visible=False, elem_id="person-likeness")
        with gr.Row(visible=False, elem_id="person-tools") as self.tools:
            self.undo = add(gr.Button, value_key="person.undo", min_width=90, elem_id="person-undo")
            self.pin = add(gr.Button, value_key="person.pin", min_width=90, elem_id="person-pin")
            self.unpin = add(gr.Button, value_key="person.unpin", min_width=90, visible=False, elem_id="person-unpin")
        with gr.Row(visible=False, elem_id="person-card") as self.card:
            with gr.Column(scale=1, min_width=260):
                self.facts = gr.HTML(elem_id="person-facts", elem_classes="facts")
            with gr.Column(scale=1, min_width=260):
                self.image_format = add(
                    gr.Radio,
                    label="style.format",
                    choices=[(name.upper(), name) for name in FORMATS],
                    value="png",
                    elem_id="person-format",
                )
                self.visible_label = add(
                    gr.Checkbox, label="results.visible_label", value=True, elem_id="person-visible-label"
                )
                with gr.Row():
                    self.download = add(
                        gr.Button,
                        value_key="results.download",
                        variant="primary",
                        min_width=110,
                        elem_id="person-download",
                    )
                    self.copy = add(gr.Button, value_key="results.copy", min_width=110, elem_id="person-copy")
        self.file = gr.DownloadButton(visible="hidden", elem_id="person-file")
        with gr.Column(elem_id="person-varied") as self.varied_panel:
            with gr.Row():
                self.vary = add(gr.Button, value_key="person.vary", min_width=160, elem_id="person-vary")
                self.count = add(
                    gr.Slider,
                    label="portraits.count",
                    minimum=2,
                    maximum=MAX_COUNT,
                    step=1,
                    precision=0,
                    value=FIRST_COUNT,
                    min_width=160,
                    buttons=[],
                    elem_id="person-count",
                )
            self.variations = thumbnails(
                visible=False,
                elem_id="person-variations",
            )
        with add(gr.Accordion, label="leak.title", open=False, elem_id="person-measured"):
            self.measured = gr.HTML(leak_tables_html(self.studio.directions, (), "en"))

    @property
    def has_looks(self) -> bool:
        """Whether there are looks to put on top."""
        return bool(self.studio.looks)

    @property
    def _can_keep(self) -> bool:
        """Whether it was measured what every attribute does to every other one."""
        names = {one.name for one in self.directions}
        return len(names) > 1 and all(names <= set(one.effects) for one in self.directions)

    def _face_choices(self, count: int, language: str) -> list[tuple[str, str | int]]:
        say = partial(translate, language=language)
        numbered = [(say("style.face_number", number=number), number) for number in range(count if count > 1 else 0)]
        return [(say("style.faces_largest"), "largest"), *numbered]

    def _look_choices(self, language: str) -> list[tuple[str, str]]:
        tag = choose_language(language)
        return [(translate("person.no_look", language), ""), *((one.name[tag], one.key) for one in self.studio.looks)]

    def _keep_choices(self, language: str) -> list[tuple[str, str]]:
        return [(one.text(choose_language(language)), one.name) for one in self.directions]
