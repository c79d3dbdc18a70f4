"""Texts of "Personalised" that are made here rather than read from a table."""

from __future__ import annotations

import html
from functools import partial
from typing import Any

import gradio as gr

from gan_space.latents.directions import Direction
from gan_space.ui.create.actions import look_name
from gan_space.ui.explore.actions import recipe_to_text
from gan_space.ui.i18n import choose_language, translate
from gan_space.ui.person.actions import PersonActions
from gan_space.ui.person.effects import slider_hint
from gan_space.ui.person.likeness import likeness_html
from gan_space.ui.person.request import is_shareable
from gan_space.ui.server.files import Shown
from gan_space.ui.terms import fact_html

LAYER_TEXTS = {"coarse": "mix.coarse", "middle": "mix.middle", "fine": "mix.fine"}
WAITING = {"random": "person.waiting_random", "photo": "person.waiting_photo", "profile": "person.waiting_profile"}
FACTS = (
    *("model", "seed", "profile", "attributes", "attribute_layers", "identity_strength", "truncation_psi"),
    *("packs", "upscale_factor"),
)


class PersonWords:
    """Says what the tab shows.

    Args:
        actions: whose attributes, looks and pictures are named.
    """

    def __init__(self, actions: PersonActions):
        self.actions = actions
        self.directions = list(actions.directions or ())

    def face_choices(self, count: int, language: str) -> list[tuple[str, str | int]]:
        """Return faces of a photo that has `count` of them."""
        say = partial(translate, language=language)
        numbered = [(say("style.face_number", number=number), number) for number in range(count if count > 1 else 0)]
        return [(say("style.faces_largest"), "largest"), *numbered]

    def look_choices(self, language: str) -> list[tuple[str, str]]:
        """Return looks to put on top."""
        tag = choose_language(language)
        return [(translate("person.no_look", language), ""), *((one.name[tag], one.key) for one in self.actions.looks)]

    def keep_choices(self, language: str) -> list[tuple[str, str]]:
        """Return attributes that others may leave alone."""
        return [(one.text(choose_language(language)), one.name) for one in self.directions]

    def meter(self, shown: Shown | None, source: str, language: str) -> dict:
        """Say how alike the picture is to what it was made from, where that was measured."""
        judge = self.actions.comparisons.judge
        text = likeness_html(shown and shown.likeness, judge and judge.scale, source, language)
        return gr.update(value=text, visible=bool(text))

    def facts_html(self, shown: Shown, language: str) -> str:
        """Say how the picture was made, as a list of terms, and a link where anybody can open it."""
        say = partial(translate, language=language)
        rows = "".join(
            fact_html(name, self._show(name, value, shown.recipe, language), language)
            for name in FACTS
            if (value := shown.recipe.get(name)) not in (None, "", {}, [])
        )
        link = ""
        if is_shareable(shown.recipe):
            address = f"?recipe={recipe_to_text(shown.recipe)}"
            link = f'<a id="person-link" href="{address}">{html.escape(say("results.link"))}</a>'
        return f"<h2>{html.escape(say('results.recipe'))}</h2><dl>{rows}</dl>{link}"

    def _show(self, name: str, value: Any, recipe: dict, language: str) -> str:
        if name == "attributes":
            labels = {one.name: one.text(choose_language(language)) for one in self.directions}
            labels |= {name: translate(f"shape.{name}", language) for name in self.actions.shapes}
            labels |= {key: own["label"] for key, own in recipe.get("own_directions", {}).items()}
            return ", ".join(f"{labels.get(key, key)} {amount:+.2g}" for key, amount in value.items())
        if name == "attribute_layers":
            return " + ".join(translate(LAYER_TEXTS[part], language) for part in value.split("+"))
        if name == "packs":
            tag = choose_language(language)
            return ", ".join(f"{look_name(self.actions.looks, one['name'], tag)} {one['weight']:g}" for one in value)
        if name == "upscale_factor":
            return f"{value}×"
        return f"{value:g}" if isinstance(value, float) else str(value)

    def slider_texts(self, direction: Direction, language: str, source: str = "") -> dict[str, str | bool | None]:
        """Return the name of a slider, and what should be known of it where one starts from `source`.

        A visitor's own direction was not measured on photos, whatever the model says of one with its name.
        """
        hint = slider_hint(direction, self.actions.directions, language, on_photos=source == "photo")
        if source == "photo" and direction.name in self.actions.moved_on_photos:
            hint = ""  # was measured on drawings
        hidden = source == "photo" and direction.name in self.actions.hidden_on_photos
        return {"label": direction.text(choose_language(language)), "info": hint or None, "visible": not hidden}
