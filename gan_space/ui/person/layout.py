"""What the tab "Personalised" is made of, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from gan_space.faces.shape import SLIDERS
from gan_space.latents.discovery import FOUND_RANGE
from gan_space.styles.settings import StyleSettings
from gan_space.ui.controls import Inputs, range_of
from gan_space.ui.explore.actions import MAX_COUNT, SEED_SPAN
from gan_space.ui.i18n import Texts
from gan_space.ui.parts import file_choices, photo_input, thumbnails, truncation_slider, whole_slider
from gan_space.ui.person.actions import PersonActions
from gan_space.ui.person.controls import Controls
from gan_space.ui.person.effects import leak_tables_html, slider_hint
from gan_space.ui.person.own_directions import MAX_OWN
from gan_space.ui.person.own_portraits import PortraitSet
from gan_space.ui.person.own_profiles import ProfileEntry
from gan_space.ui.person.portraits_panel import OwnPortraitsParts, build_own_portraits
from gan_space.ui.person.profile_panel import ProfileParts, build_profile, profile_caches
from gan_space.ui.person.words import LAYER_TEXTS, PersonWords

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


@dataclass(frozen=True)
class Start:
    """What a face is drawn from, and the panel of each."""

    source: gr.Radio
    random_panel: gr.Column
    shuffle: gr.Button
    seed_panel: gr.Column
    seed: gr.Number
    photo_panel: gr.Column
    photo: gr.Image
    example_gallery: gr.Gallery
    face: gr.Dropdown
    profile_box: gr.Column
    profile: ProfileParts
    own_portraits: OwnPortraitsParts


@dataclass(frozen=True)
class Attributes:
    """What is different about the face."""

    profile_settings: gr.Column
    identity_strength: gr.Slider
    sliders: dict[str, gr.Slider]
    shape_panel: gr.Column
    own_title: gr.Markdown
    own_sliders: list[gr.Slider]
    no_sliders: gr.Markdown
    reset: gr.Button
    keep: gr.CheckboxGroup
    look_panel: gr.Column
    look: gr.Dropdown
    look_weight: gr.Slider
    truncation_psi: gr.Slider
    layers: gr.CheckboxGroup


@dataclass(frozen=True)
class Results:
    """What is shown of a drawing."""

    notice: gr.HTML
    hint: gr.Markdown
    pictures: gr.Row
    picture: gr.Image
    pinned: gr.Image
    meter: gr.HTML
    tools: gr.Row
    undo: gr.Button
    pin: gr.Button
    unpin: gr.Button
    card: gr.Row
    facts: gr.HTML
    image_format: gr.Radio
    visible_label: gr.Checkbox
    download: gr.Button
    copy: gr.Button
    file: gr.DownloadButton
    varied_panel: gr.Column
    vary: gr.Button
    count: gr.Slider
    variations: gr.Gallery
    measured: gr.HTML


@dataclass(frozen=True)
class Memory:
    """What a visit remembers.

    Args:
        opened: the photo.
        shown: the picture.
        trouble: why there is none: key of a text, or a text.
        history: what was drawn, to take back.
        varied: the variations.
        own: directions that the visitor found, see the tab "New sliders".
        profile: the visitor's.
        portraits: a set from the visitor's own photos.
        left: what the browser says of the photo that is open on the page for a photo.
    """

    opened: gr.State
    shown: gr.State
    trouble: gr.State
    history: gr.State
    varied: gr.State
    own: gr.State
    profile: gr.State
    portraits: gr.State
    left: gr.Textbox


@dataclass(frozen=True)
class PersonLayout:
    """Components of the tab; `PersonTab` says what they do."""

    start: Start
    attributes: Attributes
    results: Results
    memory: Memory


def build_person(actions: PersonActions, words: PersonWords, texts: Texts) -> PersonLayout:
    """Build the tab inside the current gr.Blocks; `texts` collects what follows the language."""
    with gr.Row(elem_id="person", elem_classes="workbench"):
        with gr.Column(scale=4, min_width=300, elem_id="person-controls"):
            with gr.Column(elem_id="person-start"):
                start = _build_start(actions, words, texts)
            with gr.Column(elem_id="person-attributes"):
                attributes = _build_attributes(actions, words, texts)
        with gr.Column(scale=7, min_width=300, elem_id="person-results"):
            results = _build_results(actions, texts)

    # gradio copies a State in depth for every visit: a bound method would take the networks along, a function not.
    def left_behind(profile: ProfileEntry | None) -> None:
        if profile is not None:
            actions.delete_profile(profile, profile_caches())

    def portraits_left_behind(made: PortraitSet | None) -> None:
        if made is not None:
            actions.delete_portraits(made, profile_caches())

    memory = Memory(
        opened=gr.State(None),
        shown=gr.State(None),
        trouble=gr.State(None),
        history=gr.State([]),
        varied=gr.State([]),
        own=gr.State(()),
        profile=gr.State(None, delete_callback=left_behind),
        portraits=gr.State(None, delete_callback=portraits_left_behind),
        left=gr.Textbox(visible="hidden"),
    )
    return PersonLayout(start, attributes, results, memory)


def _build_start(actions: PersonActions, words: PersonWords, texts: Texts) -> Start:
    """Build the upper left."""
    add = texts.add
    source = add(
        gr.Radio,
        label="person.source",
        choice_keys={source: SOURCE_TEXTS[source] for source in actions.sources},
        value="random",
        visible=len(actions.sources) > 1,
        elem_id="person-source",
    )
    with gr.Column() as random_panel:
        shuffle = add(gr.Button, value_key="portraits.shuffle", variant="primary", elem_id="person-shuffle")
    with gr.Column() as seed_panel:
        seed = add(
            gr.Number,
            label="portraits.seed",
            value=FIRST_SEED,
            precision=0,
            minimum=0,
            maximum=SEED_SPAN - 1,
            elem_id="person-seed",
        )
    with gr.Column(visible=False) as photo_panel:
        photo = add(
            photo_input,
            label="style.photo",
            sources=["upload", "webcam", "clipboard"],
            height=230,
            elem_id="person-photo",
        )
        add(gr.Markdown, value_key="style.consent", elem_id="person-consent", elem_classes="hint")
        add(gr.Markdown, value_key="style.examples", elem_classes="hint", visible=bool(actions.examples))
        example_gallery = thumbnails(
            value=[(path, None) for path in actions.examples],
            visible=bool(actions.examples),
            elem_id="person-examples",
        )
        face = add(
            gr.Dropdown,
            label="style.faces",
            choices=words.face_choices(0, "en"),
            value="largest",
            visible=False,
            elem_id="person-face",
        )
    with gr.Column(visible=False, elem_id="person-profile") as profile_box:
        profile = build_profile(texts)
        own_portraits = build_own_portraits(texts, actions.own_portraits is not None)
    return Start(
        source=source,
        random_panel=random_panel,
        shuffle=shuffle,
        seed_panel=seed_panel,
        seed=seed,
        photo_panel=photo_panel,
        photo=photo,
        example_gallery=example_gallery,
        face=face,
        profile_box=profile_box,
        profile=profile,
        own_portraits=own_portraits,
    )


def _build_attributes(actions: PersonActions, words: PersonWords, texts: Texts) -> Attributes:
    """Build the lower left."""
    add = texts.add
    with gr.Column(visible=False) as profile_settings:
        identity_strength = add(
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
    directions, sliders = list(actions.directions or ()), {}
    groups = list(dict.fromkeys(one.group for one in directions))
    for group in groups:
        add(gr.Markdown, value_key=GROUP_TEXTS.get(group, "person.group_other"), elem_classes="group")
        for one in directions:
            if one.group == group:
                sliders[one.name] = gr.Slider(
                    label=one.text("en"),
                    info=slider_hint(one, actions.directions, "en") or None,
                    minimum=one.safe_range[0],
                    maximum=one.safe_range[1],
                    step=0.1,
                    value=0,
                    buttons=[],
                    elem_id=f"attribute-{one.name.replace('_', '-')}",
                )
    with gr.Column(visible=False, elem_id="person-shape") as shape_panel:
        add(gr.Markdown, value_key="person.group_shape", elem_classes="group")
        for name in actions.shapes:
            sliders[name] = add(
                gr.Slider,
                label=f"shape.{name}",
                minimum=SLIDERS[name].low,
                maximum=SLIDERS[name].high,
                step=0.1,
                value=0,
                buttons=[],
                elem_id=f"shape-{name.replace('_', '-')}",
            )
    own_title = add(gr.Markdown, value_key="person.group_own", visible=False, elem_classes="group")
    own_sliders = [
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
    no_sliders = add(gr.Markdown, value_key="person.no_sliders", visible=not directions, elem_classes="hint")
    reset = add(gr.Button, value_key="person.reset", visible=bool(directions), elem_id="person-reset")
    keep = add(
        gr.CheckboxGroup,
        label="person.keep",
        info="person.keep_info",
        choices=words.keep_choices("en"),
        value=[],
        visible=actions.can_keep,
        elem_id="person-keep",
    )
    with gr.Column(visible=bool(actions.looks), elem_id="person-look-panel") as look_panel:
        look = add(gr.Dropdown, label="person.look", choices=words.look_choices("en"), value="", elem_id="person-look")
        look_weight = add(
            gr.Slider,
            label="style.strength",
            step=0.05,
            buttons=[],
            elem_id="person-look-weight",
            **range_of(StyleSettings, "strength"),
        )
    with add(gr.Accordion, label="person.advanced", open=False, elem_id="person-advanced"):
        truncation_psi = truncation_slider(texts, "person-truncation")
        layers = add(
            gr.CheckboxGroup,
            label="person.layers",
            info="person.layers_info",
            choice_keys={name: LAYER_TEXTS[name] for name in actions.groups},
            value=list(actions.groups),
            elem_id="person-layers",
        )
    return Attributes(
        profile_settings=profile_settings,
        identity_strength=identity_strength,
        sliders=sliders,
        shape_panel=shape_panel,
        own_title=own_title,
        own_sliders=own_sliders,
        no_sliders=no_sliders,
        reset=reset,
        keep=keep,
        look_panel=look_panel,
        look=look,
        look_weight=look_weight,
        truncation_psi=truncation_psi,
        layers=layers,
    )


def _build_results(actions: PersonActions, texts: Texts) -> Results:
    """Build the right."""
    add = texts.add
    plain = {"type": "filepath", "interactive": False, "buttons": [], "min_width": 150}
    notice = gr.HTML(visible=False, elem_id="person-notice", elem_classes="notice")
    hint = add(gr.Markdown, value_key="person.waiting_random", elem_id="person-hint", elem_classes="hint")
    with gr.Row(visible=False, elem_id="person-pictures") as pictures:
        picture = add(gr.Image, label="person.now", elem_id="person-picture", **plain)
        pinned = add(gr.Image, label="person.pinned", visible=False, elem_id="person-pinned", **plain)
    meter = gr.HTML(visible=False, elem_id="person-likeness")
    with gr.Row(visible=False, elem_id="person-tools") as tools:
        undo = add(gr.Button, value_key="person.undo", min_width=90, elem_id="person-undo")
        pin = add(gr.Button, value_key="person.pin", min_width=90, elem_id="person-pin")
        unpin = add(gr.Button, value_key="person.unpin", min_width=90, visible=False, elem_id="person-unpin")
    with gr.Row(visible=False, elem_id="person-card") as card:
        with gr.Column(scale=1, min_width=260):
            facts = gr.HTML(elem_id="person-facts", elem_classes="facts")
        with gr.Column(scale=1, min_width=260):
            image_format, visible_label = file_choices(texts, "person", "png")
            with gr.Row():
                download = add(
                    gr.Button,
                    value_key="results.download",
                    variant="primary",
                    min_width=110,
                    elem_id="person-download",
                )
                copy = add(gr.Button, value_key="results.copy", min_width=110, elem_id="person-copy")
    file = gr.DownloadButton(visible="hidden", elem_id="person-file")
    with gr.Column(elem_id="person-varied") as varied_panel:
        with gr.Row():
            vary = add(gr.Button, value_key="person.vary", min_width=160, elem_id="person-vary")
            wide = {"min_width": 160, "elem_id": "person-count"}
            count = whole_slider(texts, "portraits.count", MAX_COUNT, FIRST_COUNT, minimum=2, **wide)
        variations = thumbnails(
            visible=False,
            elem_id="person-variations",
        )
    with add(gr.Accordion, label="leak.title", open=False, elem_id="person-measured"):
        measured = gr.HTML(leak_tables_html(actions.directions, (), "en"))
    return Results(
        notice=notice,
        hint=hint,
        pictures=pictures,
        picture=picture,
        pinned=pinned,
        meter=meter,
        tools=tools,
        undo=undo,
        pin=pin,
        unpin=unpin,
        card=card,
        facts=facts,
        image_format=image_format,
        visible_label=visible_label,
        download=download,
        copy=copy,
        file=file,
        varied_panel=varied_panel,
        vary=vary,
        count=count,
        variations=variations,
        measured=measured,
    )


def inputs_of(ui: PersonLayout, language: gr.components.Component) -> Inputs:
    """Return all that events of the tab read, as `Controls`."""
    start, attributes, results, memory = ui.start, ui.attributes, ui.results, ui.memory
    return Inputs(
        Controls,
        source=start.source,
        seed=start.seed,
        opened=memory.opened,
        photo=start.photo,
        face=start.face,
        profile=memory.profile,
        keep=attributes.keep,
        layers=attributes.layers,
        truncation_psi=attributes.truncation_psi,
        identity_strength=attributes.identity_strength,
        look=attributes.look,
        look_weight=attributes.look_weight,
        count=results.count,
        image_format=results.image_format,
        visible_label=results.visible_label,
        shown=memory.shown,
        history=memory.history,
        varied=memory.varied,
        own=memory.own,
        amounts=attributes.sliders,
        own_amounts=dict(enumerate(attributes.own_sliders)),
        left=memory.left,
        language=language,
    )
