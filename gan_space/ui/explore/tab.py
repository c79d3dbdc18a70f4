"""Tab "Explore": portraits from seeds, mixing two, morphing one into another; recipe, link and download of each."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from gan_space.errors import GanSpaceError, InputError
from gan_space.latents.layers import LAYER_GROUPS, group_layers
from gan_space.ui.explore.actions import (
    MAX_COUNT,
    MAX_FRAMES,
    SEED_SPAN,
    Studio,
    random_seed,
    recipe_from_text,
    recipe_to_text,
)
from gan_space.ui.i18n import Texts, translate
from gan_space.ui.messages import friendly
from gan_space.ui.server.files import Shown

FIRST_SEED, FIRST_COUNT = 1, 8
DOWNLOAD_FACTORS = (1, 2, 4)
RECIPE_ROWS = (
    *(
        "model",
        "revision",
        "seed",
        "replaces_seed",
        "seeds",
        "label",
        "style_mixing_seed",
        "style_mixing_layers",
        "to_seed",
    ),
    *("position", "frames_between", "loop", "truncation_psi", "truncation_cutoff", "noise_mode", "upscale_factor"),
)
COPY_LINK = """() => {
  const link = document.querySelector('#recipe-link');
  if (link && navigator.clipboard) navigator.clipboard.writeText(link.href);
}"""


@dataclass(frozen=True)
class Controls:
    """What stands in the controls, in the order in which gradio hands it over."""

    seed: int
    count: int
    mix_seed: int
    mix_style_seed: int
    mix_layers: list[str]
    morph_seed: int
    morph_to_seed: int
    morph_frames: int
    morph_loop: bool
    truncation_psi: float
    label: int | None
    rejection_sampling: bool
    download_factor: int
    visible_label: bool
    language: str


class ExploreTab:
    """Builds the tab inside the current gr.Blocks.

    Args:
        studio: draws.
        texts: collects every component whose texts follow the language.
        language: component with the chosen language.
    """

    def __init__(self, studio: Studio, texts: Texts, language: gr.components.Component):
        self.studio = studio
        self.resolution = studio.pipe.resolution
        self._build(texts, language)
        self._connect()

    def _build(self, texts: Texts, language: gr.components.Component) -> None:
        seed_box = {"precision": 0, "minimum": 0, "maximum": SEED_SPAN - 1, "min_width": 110}
        num_ws = self.studio.pipe.generator.num_ws
        groups = {name: f"mix.{name}" for name in LAYER_GROUPS if group_layers(name, num_ws)}
        self.notice = gr.HTML(visible=False, elem_id="notice")
        with gr.Row(elem_id="explore"):
            with gr.Column(scale=2, min_width=280, elem_id="controls"):
                with gr.Tabs(elem_id="modes") as self.modes:
                    with texts.add(gr.Tab, label="mode.portraits", id="portraits"):
                        self.shuffle = texts.add(
                            gr.Button, value_key="portraits.shuffle", variant="primary", elem_id="shuffle"
                        )
                        self.seed = texts.add(
                            gr.Number,
                            label="portraits.seed",
                            info="portraits.seed_info",
                            value=FIRST_SEED,
                            elem_id="seed",
                            **seed_box,
                        )
                        self.count = texts.add(
                            gr.Slider,
                            label="portraits.count",
                            minimum=1,
                            maximum=MAX_COUNT,
                            step=1,
                            precision=0,
                            value=FIRST_COUNT,
                            buttons=[],
                            elem_id="count",
                        )
                        self.draw_portraits = texts.add(gr.Button, value_key="portraits.draw", elem_id="draw-portraits")
                    with texts.add(gr.Tab, label="mode.mix", id="mix"):
                        self.mix_random = texts.add(gr.Button, value_key="mix.random", elem_id="mix-random")
                        with gr.Row():
                            self.mix_seed = texts.add(gr.Number, label="mix.seed", value=1, **seed_box)
                            self.mix_style_seed = texts.add(gr.Number, label="mix.style_seed", value=2, **seed_box)
                        self.mix_layers = texts.add(
                            gr.CheckboxGroup,
                            label="mix.layers",
                            info="mix.layers_info",
                            choice_keys=groups,
                            value=list(groups)[-1:],
                            elem_id="mix-layers",
                        )
                        self.draw_mix = texts.add(
                            gr.Button, value_key="mix.draw", variant="primary", elem_id="draw-mix"
                        )
                    with texts.add(gr.Tab, label="mode.morph", id="morph"):
                        with gr.Row():
                            self.morph_seed = texts.add(gr.Number, label="morph.seed", value=1, **seed_box)
                            self.morph_to_seed = texts.add(gr.Number, label="morph.to_seed", value=2, **seed_box)
                        self.morph_frames = texts.add(
                            gr.Slider,
                            label="morph.frames",
                            minimum=1,
                            maximum=MAX_FRAMES,
                            step=1,
                            precision=0,
                            value=15,
                            buttons=[],
                        )
                        self.morph_loop = texts.add(gr.Checkbox, label="morph.loop", value=True)
                        self.draw_morph = texts.add(
                            gr.Button, value_key="morph.draw", variant="primary", elem_id="draw-morph"
                        )
                self.truncation_psi = texts.add(
                    gr.Slider,
                    label="settings.truncation",
                    info="settings.truncation_info",
                    minimum=0,
                    maximum=1.2,
                    step=0.05,
                    value=0.7,
                    buttons=[],
                    elem_id="truncation",
                )
                classes = self.studio.classes
                self.label = texts.add(
                    gr.Dropdown,
                    label="settings.label",
                    choices=[(name, number) for number, name in enumerate(classes)],
                    value=0 if classes else None,
                    visible=bool(classes),
                    elem_id="label",
                )
                can_judge = self.studio.can_reject
                self.rejection_sampling = texts.add(
                    gr.Checkbox,
                    label="settings.rejection",
                    info="settings.rejection_info",
                    value=can_judge,
                    visible=can_judge,
                    elem_id="rejection",
                )
            with gr.Column(scale=5, min_width=300, elem_id="results"):
                texts.add(gr.Markdown, value_key="results.gallery", elem_id="gallery-hint")
                self.gallery = texts.add(
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
                    self.picture = texts.add(
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
                        self.facts = gr.HTML(elem_id="facts")
                        self.download_factor = texts.add(
                            gr.Radio,
                            label="results.size",
                            choices=[(f"{self.resolution * factor} px", factor) for factor in DOWNLOAD_FACTORS],
                            value=min(self.studio.shown_factor, DOWNLOAD_FACTORS[-1]),
                            elem_id="size",
                        )
                        self.visible_label = texts.add(
                            gr.Checkbox, label="results.visible_label", value=True, elem_id="visible-label"
                        )
                        with gr.Row():
                            self.download = texts.add(
                                gr.DownloadButton,
                                label="results.download",
                                variant="primary",
                                min_width=110,
                                elem_id="download",
                            )
                            self.copy = texts.add(gr.Button, value_key="results.copy", min_width=110, elem_id="copy")
        self.mode = gr.State("portraits")
        self.shown = gr.State([])
        self.chosen = gr.State(0)
        self.language = language
        self.inputs = [
            *(self.seed, self.count, self.mix_seed, self.mix_style_seed, self.mix_layers),
            *(self.morph_seed, self.morph_to_seed, self.morph_frames, self.morph_loop),
            *(self.truncation_psi, self.label, self.rejection_sampling),
            *(self.download_factor, self.visible_label, self.language),
        ]
        self.card = [self.picture, self.facts, self.download, self.chosen]
        self.outputs = [self.mode, self.gallery, self.shown, *self.card]

    def _connect(self) -> None:
        # One drawing at a time: two would only take turns on the same cores. A slider's last position wins.
        event = {"api_visibility": "private", "concurrency_limit": 1, "concurrency_id": "draw"}
        latest = {**event, "trigger_mode": "always_last", "show_progress": "minimal"}
        portraits, mix, morph = (partial(self.draw, mode) for mode in ("portraits", "mix", "morph"))
        self.shuffle.click(friendly(self.draw_shuffled), self.inputs, [self.seed, *self.outputs], **event)
        self.mix_random.click(
            friendly(self.draw_random_mix), self.inputs, [self.mix_seed, self.mix_style_seed, *self.outputs], **event
        )
        gr.on([self.draw_portraits.click, self.seed.submit], _guard(portraits), self.inputs, self.outputs, **event)
        gr.on([self.count.release], _guard(portraits), self.inputs, self.outputs, **latest)
        gr.on(
            [self.draw_mix.click, self.mix_seed.submit, self.mix_style_seed.submit, self.mix_layers.input],
            _guard(mix),
            self.inputs,
            self.outputs,
            **latest,
        )
        gr.on([self.draw_morph.click], _guard(morph), self.inputs, self.outputs, **event)
        self.truncation_psi.release(friendly(self.draw), [self.mode, *self.inputs], self.outputs, **latest)
        gr.on(
            [self.label.input, self.rejection_sampling.input],
            friendly(self.draw),
            [self.mode, *self.inputs],
            self.outputs,
            **latest,
        )
        self.gallery.select(friendly(self.choose), [self.shown, *self.inputs], self.card, **event)
        gr.on(
            [self.download_factor.input, self.visible_label.input],
            friendly(self.write_download),
            [self.shown, self.chosen, *self.inputs],
            self.download,
            **latest,
        )
        self.copy.click(
            lambda language: gr.Info(translate("results.copied", language), title=""),
            self.language,
            None,
            js=f"(language) => {{ ({COPY_LINK})(); return [language]; }}",
            api_visibility="private",
        )

    def draw(self, mode: str, *values: Any) -> tuple:
        """Draw in `mode` what the controls say; values for `outputs`."""
        controls = Controls(*values)
        psi, label = controls.truncation_psi, controls.label
        if mode == "mix":
            if not controls.mix_layers:
                raise InputError(translate("error.no_layers", controls.language))
            layers = "+".join(name for name in LAYER_GROUPS if name in controls.mix_layers)
            shown = self.studio.mix(controls.mix_seed, controls.mix_style_seed, layers, psi, label)
        elif mode == "morph":
            shown = self.studio.morph(
                controls.morph_seed, controls.morph_to_seed, controls.morph_frames, controls.morph_loop, psi, label
            )
        else:
            mode = "portraits"
            shown = self.studio.portraits(controls.seed, controls.count, psi, label, controls.rejection_sampling)
        return self.present(mode, shown, controls)

    def draw_shuffled(self, *values: Any) -> tuple:
        """Draw portraits from a new seed; that seed, then values for `outputs`."""
        seed = random_seed()
        return seed, *self.draw("portraits", seed, *values[1:])

    def draw_random_mix(self, *values: Any) -> tuple:
        """Mix two new portraits; their seeds, then values for `outputs`."""
        seeds = random_seed(), random_seed()
        return *seeds, *self.draw("mix", *values[:2], *seeds, *values[4:])

    def present(self, mode: str, shown: list[Shown], controls: Controls) -> tuple:
        """Values for `outputs`, the first picture chosen."""
        gallery = gr.update(value=[(item.path, item.caption) for item in shown], selected_index=0)
        return mode, gallery, shown, *self._card(shown, 0, controls)

    def choose(self, event: gr.SelectData, shown: list[Shown], *values: Any) -> tuple:
        """Values for `card` after a click into the gallery."""
        return self._card(shown, event.index, Controls(*values))

    def write_download(self, shown: list[Shown], chosen: int, *values: Any) -> str | None:
        """File for the download button, at the chosen size."""
        controls = Controls(*values)
        if not shown:
            return None
        return self._download(shown[chosen], controls)

    def _card(self, shown: list[Shown], index: int, controls: Controls) -> tuple:
        item = shown[index]
        if not Path(item.path).is_file():  # swept away after an hour
            item = self.studio.draw_again(item.recipe)
        return item.path, self.facts_html(item.recipe, controls.language), self._download(item, controls), index

    def _download(self, item: Shown, controls: Controls) -> str:
        return self.studio.draw_again(item.recipe, controls.download_factor, controls.visible_label).path

    def facts_html(self, recipe: dict, language: str) -> str:
        """Recipe as a list of terms, and the link that opens it again."""
        say = partial(translate, language=language)
        rows = "".join(
            f"<dt>{html.escape(say(f'recipe.{name}'))}</dt><dd>{html.escape(_show(name, recipe[name], say))}</dd>"
            for name in RECIPE_ROWS
            if recipe.get(name) not in (None, "")
        )
        link = f"?recipe={recipe_to_text(recipe)}"
        title, text = html.escape(say("results.recipe")), html.escape(say("results.link"))
        return f'<h2>{title}</h2><dl>{rows}</dl><a id="recipe-link" href="{link}">{text}</a>'

    def open_link(self, recipe_text: str, *values: Any) -> tuple:
        """Values for `opened` when the page is opened: the picture of the link's recipe, or the first portraits."""
        controls = Controls(*values)
        message = ""
        recipe = None
        if recipe_text:
            try:
                recipe = recipe_from_text(recipe_text)
                item = self.studio.draw_again(recipe)
                if not self.studio.is_from_here(recipe):
                    model = str(recipe.get("model") or "?")
                    message = translate("error.other_model", controls.language, model=model)
            except GanSpaceError:
                recipe = None
                message = translate("error.recipe", controls.language)
        notice = gr.update(value=f"<p>{html.escape(message)}</p>", visible=bool(message))
        if recipe is None:
            return notice, *[gr.skip()] * (1 + len(_RESTORED)), *self.draw("portraits", *values)
        mode, settings = _settings_from(recipe)
        updates = [gr.update(value=settings[name]) if name in settings else gr.skip() for name in _RESTORED]
        return notice, gr.update(selected=mode), *updates, *self.present(mode, [item], controls)

    def open_if_linked(self, recipe_text: str, shown: list[Shown], *values: Any) -> tuple:
        """`open_link` where the link has a recipe; nothing otherwise."""
        return self.open_link(recipe_text, *values) if recipe_text else (gr.skip(),) * len(self.opened)

    def open_if_empty(self, recipe_text: str, shown: list[Shown], *values: Any) -> tuple:
        """`open_link` where nothing was drawn so far; the link itself is opened by `open_if_linked`."""
        return (gr.skip(),) * len(self.opened) if shown or recipe_text else self.open_link("", *values)

    @property
    def language_inputs(self) -> list:
        """What `in_language` needs to know."""
        return [self.shown, self.chosen]

    @property
    def language_outputs(self) -> list:
        """Components that `in_language` gives values for."""
        return [self.facts]

    def in_language(self, language: str, shown: list[Shown], chosen: int) -> list:
        """Texts that are made here rather than read from a table."""
        return [self.facts_html(shown[chosen].recipe, language) if shown else ""]

    @property
    def opened(self) -> list:
        """Components that `open_link` gives values for."""
        restored = [component for name, component in zip(_CONTROL_NAMES, self.inputs, strict=True) if name in _RESTORED]
        return [self.notice, self.modes, *restored, *self.outputs]


_CONTROL_NAMES = [field.name for field in fields(Controls)]
_RESTORED = _CONTROL_NAMES[: _CONTROL_NAMES.index("label") + 1]


def _settings_from(recipe: dict) -> tuple[str, dict[str, Any]]:
    """Mode and settings of the controls that make the picture of `recipe`."""
    settings: dict[str, Any] = {"truncation_psi": recipe.get("truncation_psi", 0.7)}
    if recipe.get("label") is not None:
        settings["label"] = recipe["label"]
    if "seeds" in recipe:
        settings |= {"morph_seed": recipe["seeds"][0], "morph_to_seed": recipe["seeds"][1]}
        settings |= {"morph_frames": recipe.get("frames_between", 11), "morph_loop": recipe.get("loop", True)}
        return "morph", settings
    if "to_seed" in recipe:
        return "morph", settings | {"morph_seed": recipe.get("seed", 0), "morph_to_seed": recipe["to_seed"]}
    if "style_mixing_seed" in recipe:
        groups = [name for name in LAYER_GROUPS if name in recipe["style_mixing_layers"].split("+")]
        settings |= {"mix_seed": recipe.get("seed", 0), "mix_style_seed": recipe["style_mixing_seed"]}
        return "mix", settings | {"mix_layers": groups}
    if "seed" in recipe:
        settings |= {"seed": recipe["seed"], "count": 1}
    return "portraits", settings


def _show(name: str, value: Any, say: Callable[[str], str]) -> str:
    if isinstance(value, bool):
        return say("recipe.yes" if value else "recipe.no")
    if name == "style_mixing_layers":
        known = {group: say(f"mix.{group}") for group in LAYER_GROUPS}
        return " + ".join(known.get(part, part) for part in value.split("+"))
    if name == "upscale_factor":
        return f"{value}×"
    if name == "revision":
        return value[:23]
    if isinstance(value, float):
        return f"{value:g}"
    return " → ".join(map(str, value)) if isinstance(value, list) else str(value)


def _guard(bound: partial) -> Callable:
    """`friendly` for a partial, which has no name of its own to wrap."""

    def call(*values: Any) -> tuple:
        return bound(*values)

    return friendly(call)
