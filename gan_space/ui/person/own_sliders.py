"""The sliders of "Personalised" for directions that the visitor found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from gan_space.ui.person.actions import PersonActions
from gan_space.ui.person.effects import leak_tables_html
from gan_space.ui.person.layout import Attributes, Results
from gan_space.ui.person.own_directions import OwnDirection
from gan_space.ui.person.words import PersonWords


class OwnSliders:
    """As many sliders as a visitor may have directions; those without one are hidden.

    Args:
        attributes, results: components of the tab.
        words: texts of sliders.
        actions: knows the model's directions.
    """

    def __init__(self, attributes: Attributes, results: Results, words: PersonWords, actions: PersonActions):
        self.attributes, self.results, self.words, self.actions = attributes, results, words, actions

    @property
    def outputs(self) -> list:
        """Components that `updates` gives values for."""
        return [
            self.attributes.own_title,
            self.attributes.no_sliders,
            self.attributes.reset,
            self.results.measured,
            *self.attributes.own_sliders,
        ]

    def updates(self, own: Sequence[OwnDirection], language: str, moved: bool) -> dict:
        """Return one slider for each; all of them back to 0 where directions `moved` from one slider to another."""
        some = bool(own or self.words.directions)
        updates = {
            self.attributes.own_title: gr.update(visible=bool(own)),
            self.attributes.no_sliders: gr.update(visible=not some),
            self.attributes.reset: gr.update(visible=some),
            self.results.measured: leak_tables_html(self.actions.directions, [one.direction for one in own], language),
        }
        back = {"value": 0} if moved else {}
        for number, slider in enumerate(self.attributes.own_sliders):
            settings: dict[str, Any] = {"visible": False, "value": 0}
            if number < len(own):
                one = own[number].direction
                low, high = one.safe_range
                settings = {
                    "visible": True,
                    "minimum": low,
                    "maximum": high,
                    **self.words.slider_texts(one, language),
                    **back,
                }
            updates[slider] = gr.update(**settings)
        return updates
