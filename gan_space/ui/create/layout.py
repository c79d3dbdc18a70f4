"""What the tab "Style transfer" is made of, and where it stands."""

from __future__ import annotations

from functools import partial

import gradio as gr

from gan_space.latents.layers import LAYER_GROUPS, group_layers
from gan_space.output.postprocess import STEPS
from gan_space.styles.settings import KEEP_IDENTITY
from gan_space.ui.create.actions import FORMATS, LookEntry, StyleStudio
from gan_space.ui.create.more import MakePanel, ManyPanel
from gan_space.ui.create.refine import RefinePanel
from gan_space.ui.i18n import Texts, choose_language, translate
from gan_space.ui.parts import photo_input, thumbnails

MODES = {"one": "style.mode_one", "many": "style.mode_many", "make": "style.mode_make"}
LAYERS = {"coarse": "style.coarse", "middle": "style.middle", "fine": "style.fine"}
SCOPES = {"auto": "style.auto", "face": "style.scope_face", "photo": "style.scope_photo"}
TRANSFERS = {"auto": "style.auto", "change": "style.transfer_change", "picture": "style.transfer_picture"}
UPSCALES = {"network": "style.upscale_network", "plain": "style.upscale_plain"}
STEP_TEXTS = {
    "denoise": "step.denoise",
    "white_balance": "step.white_balance",
    "temperature": "step.temperature",
    "contrast": "step.contrast",
    "saturation": "step.saturation",
    "film": "step.film",
    "sharpen": "step.sharpen",
}
IDENTITY = {"packs": 0.0, "picture": KEEP_IDENTITY}


class StyleLayout:
    """Components of the tab, built inside the current gr.Blocks; `StyleTab` says what they do.

    Args:
        studio: draws.
        texts: collects every component whose texts follow the language.
        language: component with the chosen language.
    """

    def __init__(self, studio: StyleStudio, texts: Texts, language: gr.components.Component):
        self.studio, self.texts, self.language = studio, texts, language
        self.examples = studio.examples
        self._build()

    def _build(self) -> None:
        add, first = self.texts.add, self.studio.looks[:1]
        self.opened, self.shown = gr.State(None), gr.State(None)
        self.trouble = gr.State(None)
        self.look_source = gr.State("packs" if first else "picture")
        self.look_key = gr.State(first[0].key if first else "")
        self.own_looks = gr.State([])
        self.many, self.make, self.refine = ManyPanel(self), MakePanel(self), RefinePanel(self)
        with gr.Row(elem_id="style", elem_classes="workbench"):
            with gr.Column(scale=4, min_width=300, elem_id="style-controls"):
                with gr.Column(elem_id="style-input"):
                    with gr.Tabs(elem_id="style-modes") as self.modes:
                        with add(gr.Tab, label=MODES["one"], id="one") as self.tab_one:
                            self._build_photo()
                        with add(gr.Tab, label=MODES["many"], id="many") as self.tab_many:
                            self.many.build_controls()
                        with add(gr.Tab, label=MODES["make"], id="make") as self.tab_make:
                            self.make.build_controls()
                    add(gr.Markdown, value_key="style.consent", elem_id="consent", elem_classes="hint")
                with gr.Column(elem_id="style-look") as self.look_panel:
                    self._build_looks()
                with gr.Column(elem_id="style-settings") as self.settings_panel:
                    self._build_settings()
            with gr.Column(scale=7, min_width=300, elem_id="style-results"):
                self.notice = gr.HTML(visible=False, elem_id="style-notice", elem_classes="notice")
                with gr.Column(elem_id="style-one") as self.one_panel:
                    self._build_result()
                with gr.Column(visible=False, elem_id="style-many") as self.many_panel:
                    self.many.build_results()
                with gr.Column(visible=False, elem_id="style-make") as self.make_panel:
                    self.make.build_results()
        self.inputs = [
            *(self.photo, self.look_source, self.look_key, self.own_looks, self.reference),
            *(self.layers, self.keep_identity, self.strength, self.preserve_color, self.scope, self.transfer),
            *(self.upscale, self.faces, *self.steps.values(), self.image_format, self.visible_label, self.language),
        ]
        self.result = [
            *(self.opened, self.shown, self.trouble, self.notice, self.hint, self.before_after, self.faces),
            *(self.found_panel, self.found, self.all_faces, self.card, self.facts),
        ]

    def _build_photo(self) -> None:
        self.photo = self.texts.add(
            photo_input,
            label="style.photo",
            sources=["upload", "webcam", "clipboard"],
            height=230,
            elem_id="photo",
        )
        self.texts.add(gr.Markdown, value_key="style.examples", elem_classes="hint")
        self.example_gallery = thumbnails(
            value=[(path, None) for path in self.examples],
            elem_id="examples",
        )

    def _build_looks(self) -> None:
        add = self.texts.add
        with gr.Tabs(elem_id="look-source", selected=self.look_source.value) as self.look_tabs:
            with add(gr.Tab, label="style.looks", id="packs", visible=bool(self.studio.looks)) as self.tab_packs:
                self.looks = thumbnails(
                    value=self.look_items([], "en"),
                    selected_index=0 if self.studio.looks else None,
                    columns=3,
                    elem_id="looks",
                )
            with add(gr.Tab, label="style.look_picture", id="picture") as self.tab_picture:
                self.reference = add(
                    photo_input,
                    label="style.reference",
                    sources=["upload", "clipboard"],
                    height=220,
                    elem_id="reference",
                )
                num_ws = self.studio.pipe.generator.num_ws
                groups = {name: LAYERS[name] for name in LAYER_GROUPS if group_layers(name, num_ws)}
                self.layers = add(
                    gr.CheckboxGroup,
                    label="style.layers",
                    choice_keys=groups,
                    value=[name for name in groups if name != "coarse"] or list(groups),
                    elem_id="style-layers",
                )

    def _build_settings(self) -> None:
        add, slider = self.texts.add, {"step": 0.05, "buttons": []}
        self.strength = add(
            gr.Slider, label="style.strength", minimum=0, maximum=1.5, value=0.8, elem_id="strength", **slider
        )
        self.scope = add(gr.Radio, label="style.scope", choice_keys=SCOPES, value="auto", elem_id="scope")
        self.preserve_color = add(gr.Checkbox, label="style.preserve_color", elem_id="preserve-color")
        with add(gr.Accordion, label="style.more", open=False, elem_id="style-more"):
            self.keep_identity = add(
                gr.Slider,
                label="style.keep_identity",
                info="style.keep_identity_info",
                minimum=0,
                maximum=1,
                value=IDENTITY[self.look_source.value],
                elem_id="keep-identity",
                **slider,
            )
            self.transfer = add(
                gr.Radio, label="style.transfer", choice_keys=TRANSFERS, value="auto", elem_id="transfer"
            )
            self.upscale = add(
                gr.Checkbox,
                label="style.upscale",
                info="style.upscale_info",
                value=True,
                visible=self.studio.pipe.guided_upscaler is not None,
                elem_id="upscale",
            )
            self.faces = add(
                gr.Dropdown, label="style.faces", choices=self._face_choices(0, "en"), value="largest", elem_id="faces"
            )
            self.steps = {
                name: add(
                    gr.Slider,
                    label=STEP_TEXTS[name],
                    minimum=step.low,
                    maximum=step.high,
                    value=0,
                    elem_id=f"step-{name.replace('_', '-')}",
                    **slider,
                )
                for name, step in STEPS.items()
            }
            self.refine.build_controls()

    def _build_result(self) -> None:
        add = self.texts.add
        self.hint = add(gr.Markdown, value_key="style.waiting", elem_id="style-hint", elem_classes="hint")
        self.before_after = add(
            gr.ImageSlider,
            label="style.before_after",
            show_label=False,
            type="filepath",
            interactive=False,
            buttons=["fullscreen"],
            max_height=640,
            visible=False,
            elem_id="before-after",
        )
        with gr.Column(visible=False, elem_id="found-panel") as self.found_panel:
            add(gr.Markdown, value_key="style.found", elem_classes="hint")
            self.found = gr.Image(
                type="filepath", interactive=False, buttons=[], show_label=False, height=300, elem_id="found"
            )
            self.all_faces = add(gr.Button, value_key="style.faces_all", size="sm", elem_id="all-faces")
        self.refine.build_results()
        with gr.Row(visible=False, elem_id="style-card") as self.card:
            with gr.Column(scale=1, min_width=260):
                self.facts = gr.HTML(elem_id="style-facts", elem_classes="facts")
            with gr.Column(scale=1, min_width=260):
                self.image_format = add(
                    gr.Radio,
                    label="style.format",
                    choices=[(name.upper(), name) for name in FORMATS],
                    value="jpeg",
                    elem_id="style-format",
                )
                self.visible_label = add(
                    gr.Checkbox, label="results.visible_label", value=True, elem_id="style-visible-label"
                )
                self.download = add(
                    gr.Button, value_key="results.download", variant="primary", elem_id="style-download"
                )
        self.file = gr.DownloadButton(visible="hidden", elem_id="style-file")

    def look_items(self, own_looks: list[LookEntry], language: str) -> list[tuple[str, str]]:
        tag = choose_language(language)
        return [(entry.preview, entry.name[tag]) for entry in [*self.studio.looks, *own_looks]]

    def _face_choices(self, count: int, language: str) -> list[tuple[str, str | int]]:
        say = partial(translate, language=language)
        numbered = [(say("style.face_number", number=number), number) for number in range(count)]
        return [(say("style.faces_largest"), "largest"), (say("style.faces_all"), "all"), *numbered]
