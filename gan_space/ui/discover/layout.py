"""What the tab "New sliders" is made of, and where it stands."""

from __future__ import annotations

import gradio as gr

from gan_space.ui.discover.actions import MAX_FOUND, DiscoverStudio
from gan_space.ui.i18n import Texts
from gan_space.ui.parts import thumbnails
from gan_space.ui.person.layout import LAYER_TEXTS, PersonLayout

METHOD_TEXTS = {"sefa": "discover.sefa", "ganspace": "discover.ganspace", "marks": "discover.marks"}
FIRST_COUNT, FIRST_REACH, FIRST_SEED = 6, 2.0, 11
CSS = """
#discover { gap: 20px; }
#discover-controls, #discover-settings, #discover-results, #discover-own, #discover-chosen { gap: 12px; }
#discover-found .grid-container { grid-template: none / repeat(3, minmax(0, 1fr)); }
#discover-found .thumbnail-item { aspect-ratio: 3 / 2; }
#discover-found .thumbnail-item img { object-fit: contain; }
#discover-faces .grid-container { grid-template: none / repeat(5, minmax(0, 1fr)); }
#discover-found .thumbnail-item.selected { outline: 3px solid var(--primary-500); outline-offset: -1px; }
#discover-strip { border: 0; background: none; padding: 0; }
#discover-strip img { border-radius: 10px; width: 100%; height: auto; }
#discover-strip .image-container, #discover-strip .image-frame, #discover-strip button { width: 100%; height: auto; }
#discover-list h3 { font-size: 1rem; font-weight: 600; margin: 0 0 4px; }
#discover-list .html-container { padding: 0; }
#discover-list p, #discover-list li { font-size: 0.875rem; margin: 0; }
#discover-list ul { list-style: none; margin: 0; padding: 0; display: grid; gap: 8px; }
#discover-list li span { color: var(--body-text-color-subdued); }
#discover-list .warning { color: var(--error-text-color); }
@media (max-width: 720px) {
  #discover { flex-direction: column; flex-wrap: nowrap; align-items: stretch; }
  #discover-controls { display: contents; }
  #discover-results { width: 100%; order: 1; }
  #discover-own { order: 2; }
  #discover-found .grid-container { grid-template: none / repeat(2, minmax(0, 1fr)); }
  #discover-faces .grid-container { grid-template: none / repeat(4, minmax(0, 1fr)); gap: 4px; }
}
"""


class DiscoverLayout:
    """Components of the tab, built inside the current gr.Blocks; `DiscoverTab` says what they do.

    Args:
        studio: finds and draws.
        person: the tab whose sliders the directions become.
        texts: collects every component whose texts follow the language.
        language: component with the chosen language.
    """

    def __init__(self, studio: DiscoverStudio, person: PersonLayout, texts: Texts, language: gr.components.Component):
        self.studio, self.person, self.texts, self.language = studio, person, texts, language
        self._build()

    def _build(self) -> None:
        self.found, self.faces, self.marks = gr.State([]), gr.State([]), gr.State({})
        # What stands in the close look: a direction, how it was found, how well it tells marks.
        self.chosen, self.origin, self.accuracy = gr.State(None), gr.State("sefa"), gr.State(None)
        self.seed = gr.State(FIRST_SEED)
        with gr.Row(elem_id="discover", elem_classes="workbench"):
            with gr.Column(scale=4, min_width=300, elem_id="discover-controls"):
                with gr.Column(elem_id="discover-settings"):
                    self._build_controls()
                with gr.Column(elem_id="discover-own"):
                    self._build_list()
            with gr.Column(scale=7, min_width=300, elem_id="discover-results"):
                self._build_results()

    def _build_controls(self) -> None:
        add = self.texts.add
        add(gr.Markdown, value_key="discover.info", elem_classes="hint")
        self.method = add(
            gr.Radio, label="discover.method", choice_keys=METHOD_TEXTS, value="sefa", elem_id="discover-method"
        )
        self.layers = add(
            gr.CheckboxGroup,
            label="discover.layers",
            choice_keys={name: LAYER_TEXTS[name] for name in self.studio.groups},
            value=list(self.studio.groups),
            elem_id="discover-layers",
        )
        with gr.Column() as self.search_panel:
            self.count = add(
                gr.Slider,
                label="portraits.count",
                minimum=1,
                maximum=min(MAX_FOUND, self.studio.pipe.generator.config.w_dim),
                step=1,
                precision=0,
                value=FIRST_COUNT,
                buttons=[],
                elem_id="discover-count",
            )
            self.reach = add(
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
            self.search = add(gr.Button, value_key="discover.search", variant="primary", elem_id="discover-search")
        with gr.Column(visible=False) as self.marks_panel:
            add(gr.Markdown, value_key="discover.marks_info", elem_classes="hint")
            self.marked = gr.HTML(elem_id="discover-marked")
            self.more_faces = add(gr.Button, value_key="discover.more_faces", elem_id="discover-more-faces")
            self.fit = add(gr.Button, value_key="discover.fit", variant="primary", elem_id="discover-fit")

    def _build_list(self) -> None:
        add = self.texts.add
        self.listed = gr.HTML(elem_id="discover-list")
        self.which = add(
            gr.Dropdown, label="discover.which", choices=[], value=None, visible=False, elem_id="discover-which"
        )
        with gr.Row():
            self.remove = add(
                gr.Button, value_key="discover.remove", visible=False, min_width=110, elem_id="discover-remove"
            )
            self.archive = add(
                gr.Button, value_key="discover.archive", visible=False, min_width=110, elem_id="discover-archive"
            )
        self.bring = add(gr.UploadButton, label="discover.bring", file_types=[".zip"], elem_id="discover-bring")
        self.file = gr.DownloadButton(visible="hidden", elem_id="discover-file")

    def _build_results(self) -> None:
        add = self.texts.add
        self.hint = add(gr.Markdown, value_key="discover.hint", elem_classes="hint")
        self.told = gr.HTML(visible=False, elem_id="discover-told", elem_classes="hint")
        self.sheets = thumbnails(columns=3, visible=False, elem_id="discover-found")
        self.grid = thumbnails(columns=5, visible=False, elem_id="discover-faces")
        with gr.Column(visible=False, elem_id="discover-chosen") as self.card:
            add(gr.Markdown, value_key="discover.chosen", elem_classes="hint")
            self.strip = gr.Image(
                type="filepath", interactive=False, show_label=False, buttons=[], elem_id="discover-strip"
            )
            self.trust = gr.HTML(visible=False, elem_id="discover-trust", elem_classes="hint")
            with gr.Row():
                self.name = add(
                    gr.Textbox,
                    label="discover.name",
                    info="discover.name_info",
                    max_lines=1,
                    max_length=60,
                    min_width=200,
                    elem_id="discover-name",
                )
                self.turned = add(gr.Checkbox, label="discover.turn", min_width=160, elem_id="discover-turn")
            with gr.Row():
                self.other_faces = add(
                    gr.Button, value_key="discover.other_faces", min_width=110, elem_id="discover-other-faces"
                )
                self.keep = add(
                    gr.Button, value_key="discover.keep", variant="primary", min_width=110, elem_id="discover-keep"
                )
