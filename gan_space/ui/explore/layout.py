"""What the tab "Explore" is made of, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from gan_space.latents.layers import LAYER_GROUPS, group_layers
from gan_space.ui.controls import Inputs
from gan_space.ui.explore.actions import FRAMES_BETWEEN, MAX_COUNT, MAX_FRAMES, SEED_SPAN, ExploreActions
from gan_space.ui.explore.controls import TRUNCATION_KEYS, Controls
from gan_space.ui.i18n import Texts
from gan_space.ui.parts import truncation_slider, whole_slider

FIRST_SEED, FIRST_COUNT = 1, 8
DOWNLOAD_FACTORS = (1, 2, 4)


@dataclass(frozen=True)
class ExploreLayout:
    """Components of the tab; `ExploreTab` says what they do. The last three are what a visit remembers."""

    notice: gr.HTML
    modes: gr.Tabs
    shuffle: gr.Button
    seed: gr.Number
    count: gr.Slider
    draw_portraits: gr.Button
    mix_random: gr.Button
    mix_seed: gr.Number
    mix_style_seed: gr.Number
    mix_layers: gr.CheckboxGroup
    draw_mix: gr.Button
    morph_seed: gr.Number
    morph_to_seed: gr.Number
    morph_frames: gr.Slider
    morph_loop: gr.Checkbox
    draw_morph: gr.Button
    truncation_psi: gr.Slider
    truncation: gr.Radio
    label: gr.Dropdown
    rejection_sampling: gr.Checkbox
    gallery: gr.Gallery
    picture: gr.Image
    facts: gr.HTML
    download_factor: gr.Radio
    visible_label: gr.Checkbox
    download: gr.Button
    file: gr.DownloadButton
    copy: gr.Button
    mode: gr.State
    shown: gr.State
    chosen: gr.State


def build_explore(actions: ExploreActions, texts: Texts) -> ExploreLayout:
    """Build the tab inside the current gr.Blocks; `texts` collects what follows the language."""
    seed_box = {"precision": 0, "minimum": 0, "maximum": SEED_SPAN - 1, "min_width": 110}
    num_ws = actions.pipe.generator.num_ws
    groups = {name: f"mix.{name}" for name in LAYER_GROUPS if group_layers(name, num_ws)}
    notice = gr.HTML(visible=False, elem_id="notice")
    with gr.Row(elem_id="explore"):
        with gr.Column(scale=2, min_width=280, elem_id="controls"):
            with gr.Tabs(elem_id="modes") as modes:
                with texts.add(gr.Tab, label="mode.portraits", id="portraits"):
                    shuffle = texts.add(gr.Button, value_key="portraits.shuffle", variant="primary", elem_id="shuffle")
                    seed = texts.add(
                        gr.Number,
                        label="portraits.seed",
                        info="portraits.seed_info",
                        value=FIRST_SEED,
                        elem_id="seed",
                        **seed_box,
                    )
                    count = whole_slider(texts, "portraits.count", MAX_COUNT, FIRST_COUNT, elem_id="count")
                    draw_portraits = texts.add(gr.Button, value_key="portraits.draw", elem_id="draw-portraits")
                with texts.add(gr.Tab, label="mode.mix", id="mix"):
                    mix_random = texts.add(gr.Button, value_key="mix.random", elem_id="mix-random")
                    with gr.Row():
                        mix_seed = texts.add(gr.Number, label="mix.seed", value=1, elem_id="mix-seed", **seed_box)
                        mix_style_seed = texts.add(
                            gr.Number, label="mix.style_seed", value=2, elem_id="mix-style-seed", **seed_box
                        )
                    mix_layers = texts.add(
                        gr.CheckboxGroup,
                        label="mix.layers",
                        info="mix.layers_info",
                        choice_keys=groups,
                        value=list(groups)[-1:],
                        elem_id="mix-layers",
                    )
                    draw_mix = texts.add(gr.Button, value_key="mix.draw", variant="primary", elem_id="draw-mix")
                with texts.add(gr.Tab, label="mode.morph", id="morph"):
                    with gr.Row():
                        morph_seed = texts.add(gr.Number, label="morph.seed", value=1, elem_id="morph-seed", **seed_box)
                        morph_to_seed = texts.add(
                            gr.Number, label="morph.to_seed", value=2, elem_id="morph-to-seed", **seed_box
                        )
                    morph_frames = whole_slider(texts, "morph.frames", MAX_FRAMES, FRAMES_BETWEEN)
                    morph_loop = texts.add(gr.Checkbox, label="morph.loop", value=True)
                    draw_morph = texts.add(gr.Button, value_key="morph.draw", variant="primary", elem_id="draw-morph")
            truncation_psi = truncation_slider(texts, "truncation")
            truncation = texts.add(
                gr.Radio,
                label="settings.truncation_kind",
                info="settings.truncation_kind_info",
                choice_keys=TRUNCATION_KEYS,
                value="mean",
                visible=actions.pipe.truncation_centers is not None,
                elem_id="truncation-kind",
            )
            classes = actions.classes
            label = texts.add(
                gr.Dropdown,
                label="settings.label",
                choices=[(name, number) for number, name in enumerate(classes)],
                value=0 if classes else None,
                visible=bool(classes),
                elem_id="label",
            )
            rejection_sampling = texts.add(
                gr.Checkbox,
                label="settings.rejection",
                info="settings.rejection_info",
                value=actions.can_reject,
                visible=actions.can_reject,
                elem_id="rejection",
            )
        with gr.Column(scale=5, min_width=300, elem_id="results"):
            texts.add(gr.Markdown, value_key="results.gallery", elem_id="gallery-hint")
            gallery = texts.add(
                gr.Gallery,
                label="results.gallery",
                show_label=False,
                columns=4,
                height="auto",
                object_fit="cover",
                allow_preview=False,
                interactive=False,
                buttons=[],
                elem_id="gallery",
            )
            with gr.Row(elem_id="chosen"):
                picture = texts.add(
                    gr.Image,
                    label="results.selected",
                    show_label=False,
                    type="filepath",
                    interactive=False,
                    buttons=[],
                    scale=1,
                    min_width=220,
                    elem_id="picture",
                )
                with gr.Column(scale=1, min_width=260):
                    facts = gr.HTML(elem_id="facts")
                    download_factor = texts.add(
                        gr.Radio,
                        label="results.size",
                        choices=[(f"{actions.pipe.resolution * factor} px", factor) for factor in DOWNLOAD_FACTORS],
                        value=min(actions.shown_factor, DOWNLOAD_FACTORS[-1]),
                        elem_id="size",
                    )
                    visible_label = texts.add(
                        gr.Checkbox, label="results.visible_label", value=True, elem_id="visible-label"
                    )
                    with gr.Row():
                        download = texts.add(
                            gr.Button,
                            value_key="results.download",
                            variant="primary",
                            min_width=110,
                            elem_id="download",
                        )
                        copy = texts.add(gr.Button, value_key="results.copy", min_width=110, elem_id="copy")
                    file = gr.DownloadButton(visible="hidden", elem_id="download-file")
    return ExploreLayout(
        notice=notice,
        modes=modes,
        shuffle=shuffle,
        seed=seed,
        count=count,
        draw_portraits=draw_portraits,
        mix_random=mix_random,
        mix_seed=mix_seed,
        mix_style_seed=mix_style_seed,
        mix_layers=mix_layers,
        draw_mix=draw_mix,
        morph_seed=morph_seed,
        morph_to_seed=morph_to_seed,
        morph_frames=morph_frames,
        morph_loop=morph_loop,
        draw_morph=draw_morph,
        truncation_psi=truncation_psi,
        truncation=truncation,
        label=label,
        rejection_sampling=rejection_sampling,
        gallery=gallery,
        picture=picture,
        facts=facts,
        download_factor=download_factor,
        visible_label=visible_label,
        download=download,
        file=file,
        copy=copy,
        mode=gr.State("portraits"),
        shown=gr.State([]),
        chosen=gr.State(0),
    )


def inputs_of(ui: ExploreLayout, language: gr.components.Component) -> Inputs:
    """Return all that events of the tab read, as `Controls`."""
    return Inputs(
        Controls,
        seed=ui.seed,
        count=ui.count,
        mix_seed=ui.mix_seed,
        mix_style_seed=ui.mix_style_seed,
        mix_layers=ui.mix_layers,
        morph_seed=ui.morph_seed,
        morph_to_seed=ui.morph_to_seed,
        morph_frames=ui.morph_frames,
        morph_loop=ui.morph_loop,
        truncation_psi=ui.truncation_psi,
        truncation=ui.truncation,
        label=ui.label,
        rejection_sampling=ui.rejection_sampling,
        download_factor=ui.download_factor,
        visible_label=ui.visible_label,
        mode=ui.mode,
        shown=ui.shown,
        chosen=ui.chosen,
        language=language,
    )
