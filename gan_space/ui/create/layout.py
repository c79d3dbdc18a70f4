"""What the tab "Create a look" is made of, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from gan_space.latents.layers import LAYER_GROUPS, group_layers
from gan_space.output.postprocess import STEPS
from gan_space.styles.settings import KEEP_IDENTITY, StyleSettings
from gan_space.ui.controls import Inputs, choices_of, range_of
from gan_space.ui.create.actions import CreateActions
from gan_space.ui.create.controls import Controls
from gan_space.ui.create.make_panel import MakeParts, build_make_controls, build_make_results
from gan_space.ui.create.many_panel import ManyParts, build_many_controls, build_many_results
from gan_space.ui.create.refine_panel import RefineControls, RefineResults, build_refine_controls, build_refine_results
from gan_space.ui.create.words import LAYERS, SCOPES, STEP_TEXTS, TRANSFERS, face_choices, look_items
from gan_space.ui.i18n import Texts
from gan_space.ui.parts import file_choices, photo_input, thumbnails

MODES = {"one": "style.mode_one", "many": "style.mode_many", "make": "style.mode_make"}
IDENTITY = {"packs": 0.0, "picture": KEEP_IDENTITY}


@dataclass(frozen=True)
class PhotoBox:
    """The photo."""

    photo: gr.Image
    example_gallery: gr.Gallery


@dataclass(frozen=True)
class Looks:
    """The look: a pack, or a picture's."""

    look_tabs: gr.Tabs
    tab_packs: gr.Tab
    gallery: gr.Gallery
    tab_picture: gr.Tab
    reference: gr.Image
    layers: gr.CheckboxGroup


@dataclass(frozen=True)
class Settings:
    """How the look is applied."""

    strength: gr.Slider
    scope: gr.Radio
    preserve_color: gr.Checkbox
    keep_identity: gr.Slider
    transfer: gr.Radio
    upscale: gr.Checkbox
    faces: gr.Dropdown
    steps: dict[str, gr.Slider]
    refine: RefineControls


@dataclass(frozen=True)
class Result:
    """What is shown of a drawing."""

    hint: gr.Markdown
    before_after: gr.ImageSlider
    found_panel: gr.Column
    found: gr.Image
    all_faces: gr.Button
    card: gr.Row
    facts: gr.HTML
    image_format: gr.Radio
    visible_label: gr.Checkbox
    download: gr.Button
    file: gr.DownloadButton
    lost: RefineResults


@dataclass(frozen=True)
class Frame:
    """Choice between one photo, many photos and a look of one's own, and what belongs to each."""

    modes: gr.Tabs
    tab_one: gr.Tab
    tab_many: gr.Tab
    tab_make: gr.Tab
    look_panel: gr.Column
    settings_panel: gr.Column
    notice: gr.HTML
    one_panel: gr.Column
    many_panel: gr.Column
    make_panel: gr.Column


@dataclass(frozen=True)
class Memory:
    """What a visit remembers.

    Args:
        opened: the photo.
        shown: the picture.
        trouble: why there is none: key of a text, or a text.
        look_source: "packs" or "picture"; "" until one of their tabs was opened.
        look_key: the chosen pack.
        own_looks: made or brought in this visit.
        refined: what was made of the faces by optimisation.
        left: what the browser says of the photo that is open on the page for a photo.
    """

    opened: gr.State
    shown: gr.State
    trouble: gr.State
    look_source: gr.State
    look_key: gr.State
    own_looks: gr.State
    refined: gr.State
    left: gr.Textbox


@dataclass(frozen=True)
class CreateLayout:
    """Components of the tab; `CreateTab` says what they do."""

    frame: Frame
    box: PhotoBox
    looks: Looks
    settings: Settings
    result: Result
    many: ManyParts
    make: MakeParts
    memory: Memory


def build_create(actions: CreateActions, texts: Texts) -> CreateLayout:
    """Build the tab inside the current gr.Blocks; `texts` collects what follows the language."""
    add, first = texts.add, actions.looks[:1]
    source = "packs" if first else "picture"
    with gr.Row(elem_id="style", elem_classes="workbench"):
        with gr.Column(scale=4, min_width=300, elem_id="style-controls"):
            with gr.Column(elem_id="style-input"):
                with gr.Tabs(elem_id="style-modes") as modes:
                    with add(gr.Tab, label=MODES["one"], id="one") as tab_one:
                        box = _build_photo(actions, texts)
                    with add(gr.Tab, label=MODES["many"], id="many") as tab_many:
                        many_controls = build_many_controls(texts)
                    with add(gr.Tab, label=MODES["make"], id="make") as tab_make:
                        make_controls = build_make_controls(texts)
                add(gr.Markdown, value_key="style.consent", elem_id="consent", elem_classes="hint")
            with gr.Column(elem_id="style-look") as look_panel:
                looks = _build_looks(actions, source, texts)
            with gr.Column(elem_id="style-settings") as settings_panel:
                settings = _build_settings(actions, source, texts)
        with gr.Column(scale=7, min_width=300, elem_id="style-results"):
            notice = gr.HTML(visible=False, elem_id="style-notice", elem_classes="notice")
            with gr.Column(elem_id="style-one") as one_panel:
                result = _build_result(texts)
            with gr.Column(visible=False, elem_id="style-many") as many_panel:
                many = build_many_results(many_controls, texts)
            with gr.Column(visible=False, elem_id="style-make") as make_panel:
                make = build_make_results(make_controls, texts)
    frame = Frame(
        modes=modes,
        tab_one=tab_one,
        tab_many=tab_many,
        tab_make=tab_make,
        look_panel=look_panel,
        settings_panel=settings_panel,
        notice=notice,
        one_panel=one_panel,
        many_panel=many_panel,
        make_panel=make_panel,
    )
    memory = Memory(
        opened=gr.State(None),
        shown=gr.State(None),
        trouble=gr.State(None),
        look_source=gr.State(""),
        look_key=gr.State(first[0].key if first else ""),
        own_looks=gr.State([]),
        refined=gr.State(None),
        left=gr.Textbox(visible="hidden"),
    )
    return CreateLayout(frame, box, looks, settings, result, many, make, memory)


def inputs_of(ui: CreateLayout, language: gr.components.Component) -> Inputs:
    """Return all that events of the tab read, as `Controls`."""
    return Inputs(
        Controls,
        opened=ui.memory.opened,
        photo=ui.box.photo,
        look_source=ui.memory.look_source,
        look_key=ui.memory.look_key,
        own_looks=ui.memory.own_looks,
        reference=ui.looks.reference,
        layers=ui.looks.layers,
        keep_identity=ui.settings.keep_identity,
        strength=ui.settings.strength,
        preserve_color=ui.settings.preserve_color,
        scope=ui.settings.scope,
        transfer=ui.settings.transfer,
        upscale=ui.settings.upscale,
        faces=ui.settings.faces,
        steps=ui.settings.steps,
        image_format=ui.result.image_format,
        visible_label=ui.result.visible_label,
        left=ui.memory.left,
        language=language,
    )


def _build_photo(actions: CreateActions, texts: Texts) -> PhotoBox:
    """Build the upper left."""
    photo = texts.add(
        photo_input,
        label="style.photo",
        sources=["upload", "webcam", "clipboard"],
        height=230,
        elem_id="photo",
    )
    texts.add(gr.Markdown, value_key="style.examples", elem_classes="hint")
    example_gallery = thumbnails(
        value=[(path, None) for path in actions.examples],
        elem_id="examples",
    )
    return PhotoBox(
        photo=photo,
        example_gallery=example_gallery,
    )


def _build_looks(actions: CreateActions, source: str, texts: Texts) -> Looks:
    """Build the choice of a look."""
    add = texts.add
    with gr.Tabs(elem_id="look-source", selected=source) as look_tabs:
        with add(gr.Tab, label="style.looks", id="packs", visible=bool(actions.looks)) as tab_packs:
            gallery = thumbnails(
                value=look_items(actions.looks, "en"),
                selected_index=0 if actions.looks else None,
                columns=3,
                elem_id="looks",
            )
        with add(gr.Tab, label="style.look_picture", id="picture") as tab_picture:
            reference = add(
                photo_input,
                label="style.reference",
                sources=["upload", "clipboard"],
                height=220,
                elem_id="reference",
            )
            num_ws = actions.pipe.generator.num_ws
            groups = {name: LAYERS[name] for name in LAYER_GROUPS if group_layers(name, num_ws)}
            layers = add(
                gr.CheckboxGroup,
                label="style.layers",
                choice_keys=groups,
                value=[name for name in groups if name != "coarse"] or list(groups),
                elem_id="style-layers",
            )
    return Looks(
        look_tabs=look_tabs,
        tab_packs=tab_packs,
        gallery=gallery,
        tab_picture=tab_picture,
        reference=reference,
        layers=layers,
    )


def _build_settings(actions: CreateActions, source: str, texts: Texts) -> Settings:
    """Build the lower left."""
    add, slider = texts.add, {"step": 0.05, "buttons": []}
    strength = add(
        gr.Slider, label="style.strength", elem_id="strength", **range_of(StyleSettings, "strength"), **slider
    )
    scope = add(gr.Radio, label="style.scope", elem_id="scope", **choices_of(StyleSettings, "scope", SCOPES))
    preserve_color = add(gr.Checkbox, label="style.preserve_color", elem_id="preserve-color")
    with add(gr.Accordion, label="style.more", open=False, elem_id="style-more"):
        keep_identity = add(
            gr.Slider,
            label="style.keep_identity",
            info="style.keep_identity_info",
            minimum=0,
            maximum=1,
            value=IDENTITY[source],
            elem_id="keep-identity",
            **slider,
        )
        transfer = add(
            gr.Radio, label="style.transfer", elem_id="transfer", **choices_of(StyleSettings, "transfer", TRANSFERS)
        )
        upscale = add(
            gr.Checkbox,
            label="style.upscale",
            info="style.upscale_info",
            value=True,
            visible=actions.pipe.guided_upscaler is not None,
            elem_id="upscale",
        )
        faces = add(gr.Dropdown, label="style.faces", choices=face_choices(0, "en"), value="largest", elem_id="faces")
        steps = {
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
        refine = build_refine_controls(texts)
    return Settings(
        strength=strength,
        scope=scope,
        preserve_color=preserve_color,
        keep_identity=keep_identity,
        transfer=transfer,
        upscale=upscale,
        faces=faces,
        steps=steps,
        refine=refine,
    )


def _build_result(texts: Texts) -> Result:
    """Build the right."""
    add = texts.add
    hint = add(gr.Markdown, value_key="style.waiting", elem_id="style-hint", elem_classes="hint")
    before_after = add(
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
    with gr.Column(visible=False, elem_id="found-panel") as found_panel:
        add(gr.Markdown, value_key="style.found", elem_classes="hint")
        found = gr.Image(type="filepath", interactive=False, buttons=[], show_label=False, height=300, elem_id="found")
        all_faces = add(gr.Button, value_key="style.faces_all", size="sm", elem_id="all-faces")
    lost = build_refine_results()
    with gr.Row(visible=False, elem_id="style-card") as card:
        with gr.Column(scale=1, min_width=260):
            facts = gr.HTML(elem_id="style-facts", elem_classes="facts")
        with gr.Column(scale=1, min_width=260):
            image_format, visible_label = file_choices(texts, "style", "jpeg")
            download = add(gr.Button, value_key="results.download", variant="primary", elem_id="style-download")
    file = gr.DownloadButton(visible="hidden", elem_id="style-file")
    return Result(
        hint=hint,
        before_after=before_after,
        found_panel=found_panel,
        found=found,
        all_faces=all_faces,
        card=card,
        facts=facts,
        image_format=image_format,
        visible_label=visible_label,
        download=download,
        file=file,
        lost=lost,
    )
