"""Tab "Explore": portraits from seeds, mixing two, morphing one into another; recipe, link and download of each."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from gan_space.errors import GanSpaceError, InputError
from gan_space.latents.layers import LAYER_GROUPS
from gan_space.pipelines.recipe import TRUNCATION_PSI
from gan_space.ui.controls import DRAW_LATEST, REDRAW, clicked
from gan_space.ui.explore.actions import (
    ExploreActions,
    random_seed,
    recipe_from_text,
    recipe_to_text,
)
from gan_space.ui.explore.controls import TRUNCATION_KEYS, Controls
from gan_space.ui.explore.layout import build_explore, inputs_of
from gan_space.ui.i18n import Texts, translate
from gan_space.ui.parts import copy_on_click, notice_html, save_on_click
from gan_space.ui.server.files import Shown
from gan_space.ui.terms import fact_html

RECIPE_ROWS = (
    *("model", "revision", "seed", "replaces_seed", "seeds", "label", "style_mixing_seed", "style_mixing_layers"),
    "to_seed",
    *("position", "frames_between", "loop", "truncation", "truncation_psi", "truncation_cutoff", "noise_mode"),
    "upscale_factor",
)
# Controls that a link sets.
RESTORED = (
    *("seed", "count", "mix_seed", "mix_style_seed", "mix_layers", "morph_seed", "morph_to_seed", "morph_frames"),
    *("morph_loop", "truncation_psi", "truncation", "label"),
)


class ExploreTab:
    """Builds the tab inside the current gr.Blocks.

    Args:
        actions: draws.
        texts: collects every component whose texts follow the language.
        language: component with the chosen language.
    """

    def __init__(self, actions: ExploreActions, texts: Texts, language: gr.components.Component):
        self.actions = actions
        self.ui = ui = build_explore(actions, texts)
        self.inputs = inputs_of(ui, language)
        self.card = [ui.picture, ui.facts, ui.chosen]
        self.drawn = [ui.mode, ui.gallery, ui.shown, *self.card]
        self.opened = [ui.notice, ui.modes, *(self.inputs.parts[name] for name in RESTORED), *self.drawn]
        self._connect(language)

    def _connect(self, language: gr.components.Component) -> None:
        ui, given, drawn = self.ui, self.inputs, self.drawn
        pictures = {"show_progress_on": [ui.gallery, ui.picture]}
        ui.shuffle.click(*given.to(self.draw_shuffled), [ui.seed, *drawn], **REDRAW, **pictures)
        ui.mix_random.click(
            *given.to(self.draw_random_mix), [ui.mix_seed, ui.mix_style_seed, *drawn], **REDRAW, **pictures
        )
        gr.on([ui.draw_portraits.click, ui.seed.submit], *given.to(self.draw_portraits), drawn, **REDRAW, **pictures)
        ui.count.release(*given.to(self.draw_portraits), drawn, **DRAW_LATEST, **pictures)
        mixes = [ui.draw_mix.click, ui.mix_seed.submit, ui.mix_style_seed.submit, ui.mix_layers.input]
        gr.on(mixes, *given.to(self.draw_mix), drawn, **DRAW_LATEST, **pictures)
        ui.draw_morph.click(*given.to(self.draw_morph), drawn, **REDRAW, **pictures)
        settings = [
            *(ui.truncation_psi.release, ui.truncation.input),
            *(ui.label.input, ui.rejection_sampling.input),
        ]
        gr.on(settings, *given.to(self.draw_again), drawn, **DRAW_LATEST, **pictures)
        ui.gallery.select(*given.to(self.choose), self.card, **REDRAW, show_progress_on=ui.picture)
        save_on_click(ui.download, given.to(self.write_file), ui.file)
        copy_on_click(ui.copy, "recipe-link", language)

    def draw_portraits(self, controls: Controls) -> dict:
        """Draw portraits from a seed on."""
        return self._draw(replace(controls, mode="portraits"))

    def draw_mix(self, controls: Controls) -> dict:
        """Mix two portraits."""
        return self._draw(replace(controls, mode="mix"))

    def draw_morph(self, controls: Controls) -> dict:
        """Draw a walk from one portrait to another."""
        return self._draw(replace(controls, mode="morph"))

    def draw_again(self, controls: Controls) -> dict:
        """Draw what was drawn last, with what the controls say now."""
        return self._draw(controls)

    def draw_shuffled(self, controls: Controls) -> dict:
        """Draw portraits from a new seed."""
        seed = random_seed()
        return {self.ui.seed: seed} | self._draw(replace(controls, mode="portraits", seed=seed))

    def draw_random_mix(self, controls: Controls) -> dict:
        """Mix two new portraits."""
        seed, style_seed = random_seed(), random_seed()
        mixed = replace(controls, mode="mix", mix_seed=seed, mix_style_seed=style_seed)
        return {self.ui.mix_seed: seed, self.ui.mix_style_seed: style_seed} | self._draw(mixed)

    def choose(self, event: gr.SelectData, controls: Controls) -> dict:
        """Show the picture that was clicked: values for `card`."""
        clicked(event, controls.shown)
        return self._card(controls.shown, event.index, controls)

    def write_file(self, controls: Controls) -> str | None:
        """Return the labelled file of the chosen picture, at the chosen size; None where there is none."""
        if not controls.shown:
            return None
        recipe = controls.shown[controls.chosen].recipe
        return self.actions.draw_again(recipe, controls.download_factor, controls.visible_label).path

    def open_link(self, controls: Controls) -> dict:
        """Fill `opened` when the page is opened: the picture of the link's recipe, or the first portraits."""
        message, recipe = "", None
        if controls.recipe_text:
            try:
                recipe = recipe_from_text(controls.recipe_text)
                item = self.actions.draw_again(recipe)
                if not self.actions.is_from_here(recipe):
                    model = str(recipe.get("model") or "?")
                    message = translate("error.other_model", controls.language, model=model)
            except GanSpaceError:
                recipe = None
                message = translate("error.recipe", controls.language)
        notice = {self.ui.notice: gr.update(value=notice_html(message), visible=bool(message))}
        if recipe is None:
            return notice | self.draw_portraits(controls)
        mode, settings = _settings_from(recipe)
        restored = {self.inputs.parts[name]: value for name, value in settings.items()}
        return notice | {self.ui.modes: gr.update(selected=mode)} | restored | self._present(mode, [item], controls)

    def open_if_linked(self, controls: Controls) -> dict:
        """Return `open_link` where the link has a recipe; nothing otherwise."""
        return self.open_link(controls) if controls.recipe_text else {self.ui.notice: gr.skip()}

    def open_if_empty(self, controls: Controls) -> dict:
        """Return `open_link` where nothing was drawn so far; the link itself is opened by `open_if_linked`."""
        nothing = not controls.shown and not controls.recipe_text
        return self.open_link(controls) if nothing else {self.ui.notice: gr.skip()}

    # Languages

    @property
    def language_inputs(self) -> list:
        """Components that `in_language` reads."""
        return [self.ui.shown, self.ui.chosen]

    @property
    def language_outputs(self) -> list:
        """Components that `in_language` gives values for."""
        return [self.ui.facts]

    def in_language(self, language: str, values: Mapping[gr.components.Component, Any]) -> dict:
        """Say the texts that are made here rather than read from a table; `values` by component."""
        shown, chosen = values[self.ui.shown], values[self.ui.chosen]
        return {self.ui.facts: facts_html(shown[chosen].recipe, language) if shown else gr.skip()}

    # Inside

    def _draw(self, controls: Controls) -> dict:
        """Draw what the mode and the other controls say; values for `drawn`."""
        shared = {"truncation_psi": controls.truncation_psi, "truncation": controls.truncation, "label": controls.label}
        if controls.mode == "mix":
            if not controls.mix_layers:
                raise InputError(translate("error.no_layers", controls.language))
            layers = "+".join(name for name in LAYER_GROUPS if name in controls.mix_layers)
            shown = self.actions.mix(controls.mix_seed, controls.mix_style_seed, layers, **shared)
        elif controls.mode == "morph":
            shown = self.actions.morph(
                controls.morph_seed, controls.morph_to_seed, controls.morph_frames, controls.morph_loop, **shared
            )
        else:
            rejection = controls.rejection_sampling
            shown = self.actions.portraits(controls.seed, controls.count, rejection_sampling=rejection, **shared)
        return self._present(controls.mode, shown, controls)

    def _present(self, mode: str, shown: list[Shown], controls: Controls) -> dict:
        """Values for `drawn`, the first picture chosen."""
        gallery = gr.update(value=[(item.path, item.caption) for item in shown], selected_index=0)
        return {self.ui.mode: mode, self.ui.gallery: gallery, self.ui.shown: shown} | self._card(shown, 0, controls)

    def _card(self, shown: list[Shown], index: int, controls: Controls) -> dict:
        item = shown[index]
        if not Path(item.path).is_file():  # swept away after an hour
            item = self.actions.draw_again(item.recipe)
        return {
            self.ui.picture: item.path,
            self.ui.facts: facts_html(item.recipe, controls.language),
            self.ui.chosen: index,
        }


def facts_html(recipe: dict, language: str) -> str:
    """Return the recipe as a list of terms, and the link that opens it again."""
    say = partial(translate, language=language)
    rows = "".join(
        fact_html(name, _show(name, recipe[name], say), language)
        for name in RECIPE_ROWS
        if recipe.get(name) not in (None, "")
    )
    link = f"?recipe={recipe_to_text(recipe)}"
    title, text = html.escape(say("results.recipe")), html.escape(say("results.link"))
    return f'<h2>{title}</h2><dl>{rows}</dl><a id="recipe-link" href="{link}">{text}</a>'


def _settings_from(recipe: dict) -> tuple[str, dict[str, Any]]:
    """Mode and settings of the controls that make the picture of `recipe`."""
    settings: dict[str, Any] = {"truncation_psi": recipe.get("truncation_psi", TRUNCATION_PSI)}
    settings["truncation"] = recipe.get("truncation", "mean")
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
    if name == "truncation":
        return say(TRUNCATION_KEYS[value])
    if name == "upscale_factor":
        return f"{value}×"
    if name == "revision":
        return value[:23]
    if isinstance(value, float):
        return f"{value:g}"
    return " → ".join(map(str, value)) if isinstance(value, list) else str(value)
