"""What the tab "New sliders" is made of, and where it stands."""

from __future__ import annotations

import html
from dataclasses import dataclass

import gradio as gr

from gan_space.ui.controls import Inputs
from gan_space.ui.discover.actions import MAX_FOUND, DiscoverActions
from gan_space.ui.discover.controls import Controls
from gan_space.ui.i18n import Texts, translate
from gan_space.ui.parts import notice_html, thumbnails, whole_slider
from gan_space.ui.person.words import LAYER_TEXTS

METHOD_TEXTS = {"sefa": "discover.sefa", "ganspace": "discover.ganspace", "marks": "discover.marks"}
FIRST_COUNT, FIRST_REACH, FIRST_SEED = 6, 2.0, 11


@dataclass(frozen=True)
class Search:
    """How directions are looked for."""

    method: gr.Radio
    layers: gr.CheckboxGroup
    search_panel: gr.Column
    count: gr.Slider
    reach: gr.Slider
    start: gr.Button
    marks_panel: gr.Column
    marked: gr.HTML
    more_faces: gr.Button
    fit: gr.Button


@dataclass(frozen=True)
class Kept:
    """The directions that the visitor has."""

    listed: gr.HTML
    which: gr.Dropdown
    remove: gr.Button
    archive: gr.Button
    bring: gr.UploadButton
    file: gr.DownloadButton


@dataclass(frozen=True)
class Results:
    """What was found, and the close look at one of them."""

    hint: gr.Markdown
    message: gr.HTML
    sheets: gr.Gallery
    grid: gr.Gallery
    card: gr.Column
    strip: gr.Image
    trust: gr.HTML
    name: gr.Textbox
    turned: gr.Checkbox
    other_faces: gr.Button
    keep: gr.Button


@dataclass(frozen=True)
class Memory:
    """What a visit remembers.

    Args:
        found, faces, marks: directions, faces to mark, and the marks.
        chosen, origin, accuracy: the direction in the close look, how it was found, and how well it tells marks.
        seed: of the faces in sheets.
    """

    found: gr.State
    faces: gr.State
    marks: gr.State
    chosen: gr.State
    origin: gr.State
    accuracy: gr.State
    seed: gr.State


@dataclass(frozen=True)
class DiscoverLayout:
    """Components of the tab; `DiscoverTab` says what they do."""

    search: Search
    kept: Kept
    results: Results
    memory: Memory


def build_discover(actions: DiscoverActions, texts: Texts) -> DiscoverLayout:
    """Build the tab inside the current gr.Blocks; `texts` collects what follows the language."""
    with gr.Row(elem_id="discover", elem_classes="workbench"):
        with gr.Column(scale=4, min_width=300, elem_id="discover-controls"):
            with gr.Column(elem_id="discover-settings"):
                search = _build_controls(actions, texts)
            with gr.Column(elem_id="discover-own"):
                kept = _build_list(texts)
        with gr.Column(scale=7, min_width=300, elem_id="discover-results"):
            results = _build_results(texts)
    memory = Memory(
        found=gr.State([]),
        faces=gr.State([]),
        marks=gr.State({}),
        chosen=gr.State(None),
        origin=gr.State("sefa"),
        accuracy=gr.State(None),
        seed=gr.State(FIRST_SEED),
    )
    return DiscoverLayout(search, kept, results, memory)


def inputs_of(ui: DiscoverLayout, own: gr.State, language: gr.components.Component) -> Inputs:
    """Return all that events of the tab read, as `Controls`; `own` holds the visitor's directions."""
    return Inputs(
        Controls,
        method=ui.search.method,
        layers=ui.search.layers,
        count=ui.search.count,
        reach=ui.search.reach,
        found=ui.memory.found,
        faces=ui.memory.faces,
        marks=ui.memory.marks,
        chosen=ui.memory.chosen,
        origin=ui.memory.origin,
        accuracy=ui.memory.accuracy,
        seed=ui.memory.seed,
        name=ui.results.name,
        turned=ui.results.turned,
        which=ui.kept.which,
        own=own,
        language=language,
    )


def _build_controls(actions: DiscoverActions, texts: Texts) -> Search:
    """Build the upper left."""
    add = texts.add
    add(gr.Markdown, value_key="discover.info", elem_classes="hint")
    method = add(gr.Radio, label="discover.method", choice_keys=METHOD_TEXTS, value="sefa", elem_id="discover-method")
    layers = add(
        gr.CheckboxGroup,
        label="discover.layers",
        choice_keys={name: LAYER_TEXTS[name] for name in actions.groups},
        value=list(actions.groups),
        elem_id="discover-layers",
    )
    with gr.Column() as search_panel:
        most = min(MAX_FOUND, actions.pipe.generator.config.w_dim)
        count = whole_slider(texts, "portraits.count", most, FIRST_COUNT, elem_id="discover-count")
        reach = add(
            gr.Slider,
            label="discover.reach",
            info="discover.reach_info",
            minimum=0.5,
            maximum=4,
            step=0.5,
            value=FIRST_REACH,
            buttons=[],
            elem_id="discover-reach",
        )
        start = add(gr.Button, value_key="discover.search", variant="primary", elem_id="discover-search")
    with gr.Column(visible=False) as marks_panel:
        add(gr.Markdown, value_key="discover.marks_info", elem_classes="hint")
        marked = gr.HTML(marked_html(0, 0, "en"), elem_id="discover-marked")
        more_faces = add(gr.Button, value_key="discover.more_faces", elem_id="discover-more-faces")
        fit = add(gr.Button, value_key="discover.fit", variant="primary", elem_id="discover-fit")
    return Search(
        method=method,
        layers=layers,
        search_panel=search_panel,
        count=count,
        reach=reach,
        start=start,
        marks_panel=marks_panel,
        marked=marked,
        more_faces=more_faces,
        fit=fit,
    )


def marked_html(more: int, less: int, language: str) -> str:
    """Say how many faces are marked with more and with less of what is looked for."""
    return notice_html(translate("discover.marked", language, more=more, less=less))


def no_sliders_html(language: str) -> str:
    """Say that the visitor has no sliders of their own."""
    title, none = (html.escape(translate(key, language)) for key in ("discover.own", "discover.none"))
    return f"<h3>{title}</h3><p>{none}</p>"


def _build_list(texts: Texts) -> Kept:
    """Build the lower left."""
    add = texts.add
    listed = gr.HTML(no_sliders_html("en"), elem_id="discover-list")
    which = add(gr.Dropdown, label="discover.which", choices=[], value=None, visible=False, elem_id="discover-which")
    with gr.Row():
        remove = add(gr.Button, value_key="discover.remove", visible=False, min_width=110, elem_id="discover-remove")
        archive = add(gr.Button, value_key="discover.archive", visible=False, min_width=110, elem_id="discover-archive")
    bring = add(gr.UploadButton, label="discover.bring", file_types=[".zip"], elem_id="discover-bring")
    file = gr.DownloadButton(visible="hidden", elem_id="discover-file")
    return Kept(
        listed=listed,
        which=which,
        remove=remove,
        archive=archive,
        bring=bring,
        file=file,
    )


def _build_results(texts: Texts) -> Results:
    """Build the right."""
    add = texts.add
    hint = add(gr.Markdown, value_key="discover.hint", elem_classes="hint")
    message = gr.HTML(visible=False, elem_id="discover-message", elem_classes="hint")
    sheets = thumbnails(columns=3, visible=False, elem_id="discover-found")
    grid = thumbnails(columns=5, visible=False, elem_id="discover-faces")
    with gr.Column(visible=False, elem_id="discover-chosen") as card:
        add(gr.Markdown, value_key="discover.chosen", elem_classes="hint")
        strip = gr.Image(type="filepath", interactive=False, show_label=False, buttons=[], elem_id="discover-strip")
        trust = gr.HTML(visible=False, elem_id="discover-trust", elem_classes="hint")
        with gr.Row():
            name = add(
                gr.Textbox,
                label="discover.name",
                info="discover.name_info",
                max_lines=1,
                max_length=60,
                min_width=200,
                elem_id="discover-name",
            )
            turned = add(gr.Checkbox, label="discover.turn", min_width=160, elem_id="discover-turn")
        with gr.Row():
            other_faces = add(
                gr.Button, value_key="discover.other_faces", min_width=110, elem_id="discover-other-faces"
            )
            keep = add(gr.Button, value_key="discover.keep", variant="primary", min_width=110, elem_id="discover-keep")
    return Results(
        hint=hint,
        message=message,
        sheets=sheets,
        grid=grid,
        card=card,
        strip=strip,
        trust=trust,
        name=name,
        turned=turned,
        other_faces=other_faces,
        keep=keep,
    )
