"""Tab "New sliders": directions of any generator, found, looked at, named, and used under "Personalised"."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr

from gan_space.errors import InputError
from gan_space.latents.directions import Direction
from gan_space.ui.controls import DRAW, DRAW_LATEST, clicked
from gan_space.ui.discover.actions import MAX_MARKED, DiscoverActions
from gan_space.ui.discover.controls import Controls
from gan_space.ui.discover.layout import build_discover, inputs_of, marked_html, no_sliders_html
from gan_space.ui.explore.actions import SEED_SPAN
from gan_space.ui.i18n import Texts, choose_language, translate
from gan_space.ui.parts import notice_html, save_on_click
from gan_space.ui.person.effects import LOUD, effects_text
from gan_space.ui.person.events import PersonTab
from gan_space.ui.person.own_directions import OwnDirection
from gan_space.ui.server.files import Shown

ORIGIN_TEXTS = {
    "sefa": "discover.origin_sefa",
    "ganspace": "discover.origin_ganspace",
    "marks": "discover.origin_marks",
    "file": "discover.origin_file",
}
NEXT_MARK = {0: 1, 1: -1, -1: 0}
MARK_TEXTS = {1: "discover.more", -1: "discover.less"}
SHOW_CARD = "() => document.querySelector('#discover-chosen')?.scrollIntoView({block: 'nearest', behavior: 'smooth'})"
TRUSTED = 0.7  # share of left-out marks from which a direction is worth a try


class DiscoverTab:
    """Builds the tab inside the current gr.Blocks.

    Args:
        actions: finds and draws.
        person: the tab whose sliders the directions become.
        texts: collects every component whose texts follow the language.
        language: component with the chosen language.
    """

    def __init__(self, actions: DiscoverActions, person: PersonTab, texts: Texts, language: gr.components.Component):
        self.actions, self.person = actions, person
        ui = build_discover(actions, texts)
        self.search, self.kept, self.results, self.memory = ui.search, ui.kept, ui.results, ui.memory
        self.inputs = inputs_of(ui, person.memory.own, language)
        self._connect(language)

    def _connect(self, language: gr.components.Component) -> None:
        search, kept, results, memory, given = self.search, self.kept, self.results, self.memory, self.inputs
        # Progress, and the mark of an error, are shown where they cover nothing that a visitor needs next.
        searching, looking = {**DRAW, "show_progress_on": results.sheets}, {**DRAW, "show_progress_on": results.strip}
        keeping, marking = {**DRAW, "show_progress_on": kept.listed}, {**DRAW, "show_progress_on": search.marked}
        look = [
            *(memory.chosen, memory.origin, memory.accuracy, results.message, results.trust, results.card),
            *(results.strip, results.turned),
        ]
        have = [self.person.memory.own, *self.person.own.outputs, *self.list_outputs, results.message]
        method_outputs = [
            *(search.search_panel, search.marks_panel, search.marked, results.hint, results.sheets, results.grid),
            *(memory.faces, *look),
        ]
        search.method.input(*given.to(self.take_method), method_outputs, **marking)
        search.start.click(*given.to(self.draw_found), [memory.found, results.sheets, *look], **searching)
        results.sheets.select(*given.to(self.take_found), look, **looking).success(
            None, js=SHOW_CARD, api_visibility="private"
        )
        search.more_faces.click(*given.to(self.draw_more_faces), [memory.faces, results.grid, search.marked], **marking)
        results.grid.select(
            *given.to(self.take_mark),
            [memory.marks, results.grid, search.marked],
            api_visibility="private",
            trigger_mode="multiple",  # each counts, however fast they come, one after the other
            concurrency_limit=1,
            show_progress="hidden",
        )
        search.fit.click(*given.to(self.draw_fitted), look, **looking).success(
            None, js=SHOW_CARD, api_visibility="private"
        )
        results.other_faces.click(*given.to(self.draw_others), [memory.seed, results.strip], **DRAW)
        results.turned.input(*given.to(self.draw_turned), results.strip, **DRAW_LATEST)
        results.keep.click(*given.to(self.take_kept), [*have, results.name, results.card], **keeping)
        kept.remove.click(*given.to(self.drop), have, **keeping)
        kept.bring.upload(*given.also(archive=kept.bring).to(self.take_zip), have, **keeping)
        save_on_click(kept.archive, given.to(self.write_zip), kept.file)

    # Finding

    def take_method(self, controls: Controls) -> dict:
        """Take another way to look for directions."""
        sorting, faces, marks, language = controls.method == "marks", controls.faces, controls.marks, controls.language
        if sorting and not faces:
            faces = self.actions.faces(0)
        return self._nothing_chosen() | {
            self.search.search_panel: gr.update(visible=not sorting),
            self.search.marks_panel: gr.update(visible=sorting),
            self.results.hint: gr.update(visible=not sorting),
            self.results.sheets: gr.update(value=None, visible=False),
            self.results.grid: self._grid(faces, marks, language) if sorting else gr.update(visible=False),
            self.memory.faces: faces,
            self.search.marked: self._marked(marks, language),
        }

    def draw_found(self, controls: Controls) -> Iterator[dict]:
        """Search, and draw a sheet of each direction."""
        found = self.actions.find(controls.method, controls.layers, int(controls.count))
        yield self._nothing_chosen() | {
            self.memory.found: found,
            self.results.sheets: gr.update(value=[], visible=True),
        }
        items = []
        for number, direction in enumerate(found, start=1):  # a large network takes a while for each
            items.append((self.actions.sheet(direction, controls.seed, controls.reach).path, str(number)))
            yield {self.results.sheets: gr.update(value=items, selected_index=None)}

    def take_found(self, event: gr.SelectData, controls: Controls) -> dict:
        """Take the sheet that was clicked."""
        return self._look(clicked(event, controls.found), controls.method, None, controls)

    def draw_more_faces(self, controls: Controls) -> dict:
        """Draw another batch to mark."""
        faces = controls.faces
        if len(faces) >= MAX_MARKED:
            raise InputError(translate("discover.no_more_faces", controls.language, count=MAX_MARKED))
        faces = [*faces, *self.actions.faces(len(faces))]
        return {self.memory.faces: faces, self.results.grid: self._grid(faces, controls.marks, controls.language)}

    def take_mark(self, event: gr.SelectData, controls: Controls) -> dict:
        """Mark the face that was clicked: more, less, neither, in turn."""
        seed = clicked(event, controls.faces).recipe["seed"]
        marks = {**controls.marks, seed: NEXT_MARK[controls.marks.get(seed, 0)]}
        return {
            self.memory.marks: marks,
            self.results.grid: self._grid(controls.faces, marks, controls.language),
            self.search.marked: self._marked(marks, controls.language),
        }

    def draw_fitted(self, controls: Controls) -> dict:
        """Draw the direction that the marks give."""
        sides = self._counts(controls.marks)
        if min(sides) < 2:
            raise InputError(translate("discover.too_few", controls.language))
        fitted = self.actions.from_marks(controls.marks, controls.layers)
        return self._look(fitted.direction, "marks", fitted.accuracy, controls)

    # The close look

    def draw_others(self, controls: Controls) -> dict:
        """Draw the same direction on two other faces."""
        seed = (controls.seed + 2) % SEED_SPAN
        return {self.memory.seed: seed, self.results.strip: self._strip(controls.chosen, controls.turned, seed)}

    def draw_turned(self, controls: Controls) -> str | None:
        """Let less and more change places, or change them back."""
        return self._strip(controls.chosen, controls.turned, controls.seed)

    def take_kept(self, controls: Controls) -> dict:
        """Name it, and make it a slider."""
        if controls.chosen is None or not (controls.name or "").strip():
            raise InputError(translate("error.no_slider_name", controls.language))
        own = self.actions.keep(
            *(controls.own, controls.chosen, controls.name, controls.origin),
            turned=controls.turned,
            accuracy=controls.accuracy,
        )
        text = translate("discover.kept", controls.language, name=own[-1].direction.text("en"))
        return self._have(own, controls.language, text) | {
            self.results.name: "",
            self.results.card: gr.update(visible=False),
        }

    # The list

    def drop(self, controls: Controls) -> dict:
        """Remove one of them."""
        left = tuple(one for one in controls.own if one.name != controls.which)
        return self._have(left, controls.language, "", moved=True)

    def take_zip(self, controls: Controls) -> dict:
        """Take the zip that was chosen."""
        more, language = self.actions.bring(controls.own, controls.archive), controls.language
        names = ", ".join(one.direction.text(choose_language(language)) for one in more[len(controls.own) :])
        return self._have(more, language, translate("discover.kept", language, name=names))

    def write_zip(self, controls: Controls) -> str:
        """Write all of them as a file."""
        return self.actions.archive(controls.own)

    # Inside

    def _look(self, direction: Direction, origin: str, accuracy: float | None, controls: Controls) -> dict:
        text, language = "", controls.language
        if accuracy is not None:
            text = translate("discover.accuracy", language, right=round(100 * accuracy))
            text += " " + translate("discover.weak", language) if accuracy < TRUSTED else ""
        return {
            self.memory.chosen: direction,
            self.memory.origin: origin,
            self.memory.accuracy: accuracy,
            self.results.message: gr.update(visible=False),
            self.results.trust: gr.update(value=notice_html(text), visible=bool(text)),
            self.results.card: gr.update(visible=True),
            self.results.strip: self.actions.strip(direction, controls.seed).path,
            self.results.turned: False,
        }

    def _nothing_chosen(self) -> dict:
        return {
            self.memory.chosen: None,
            self.memory.accuracy: None,
            self.results.message: gr.update(visible=False),
            self.results.card: gr.update(visible=False),
        }

    def _strip(self, chosen: Direction | None, turned: bool, seed: int) -> str | None:
        if chosen is None:
            return None
        return self.actions.strip(replace(chosen, vector=-chosen.vector) if turned else chosen, seed).path

    def _grid(self, faces: list[Shown], marks: dict[int, int], language: str) -> dict:
        items = []
        for face in faces:
            mark = marks.get(face.recipe["seed"], 0)
            items.append((face.path, translate(MARK_TEXTS[mark], language) if mark else None))
        return gr.update(value=items, visible=True, selected_index=None)

    def _counts(self, marks: dict[int, int]) -> tuple[int, int]:
        values = list(marks.values())
        return values.count(1), values.count(-1)

    def _marked(self, marks: dict[int, int], language: str) -> str:
        return marked_html(*self._counts(marks), language)

    def _have(self, own: tuple[OwnDirection, ...], language: str, text: str, moved: bool = False) -> dict:
        """Values for `kept` outputs: the list, and the sliders under "Personalised"."""
        return (
            {self.person.memory.own: own, self.results.message: gr.update(value=notice_html(text), visible=bool(text))}
            | self.person.own.updates(own, language, moved)
            | self._list(own, language)
        )

    @property
    def list_outputs(self) -> list:
        """Components that show which directions there are."""
        return [self.kept.listed, self.kept.which, self.kept.remove, self.kept.archive]

    def _list(self, own: Sequence[OwnDirection], language: str) -> dict:
        choices = [(one.direction.text(choose_language(language)), one.name) for one in own]
        some = bool(own)
        return {
            self.kept.listed: self.list_html(own, language),
            self.kept.which: gr.update(choices=choices, value=choices[-1][1] if some else None, visible=some),
            self.kept.remove: gr.update(visible=some),
            self.kept.archive: gr.update(visible=some),
        }

    def list_html(self, own: Sequence[OwnDirection], language: str) -> str:
        """List each direction with where it came from and what else it changes."""
        say = partial(translate, language=language)
        if not own:
            return no_sliders_html(language)
        title = f"<h3>{html.escape(say('discover.own'))}</h3>"
        items = []
        for one in own:
            about = [say(ORIGIN_TEXTS[one.origin]), say("discover.rows", rows=_rows(one.direction.layers))]
            if one.accuracy is not None:
                about.append(say("discover.accuracy", right=round(100 * one.accuracy)))
            if one.direction.effects:
                also = effects_text(one.direction.effects, self.actions.pipe.directions, language)
                about.append(say("discover.also", effects=also) if also else say("discover.quiet"))
            else:
                about.append(say("discover.not_measured"))
            words = f"<span>{html.escape(' · '.join(about))}</span>"
            if one.skin_tone is not None and abs(one.skin_tone) >= LOUD:
                words += f'<br><span class="warning">{html.escape(say("discover.skin"))}</span>'
            items.append(f"<li><b>{html.escape(one.direction.text(choose_language(language)))}</b><br>{words}</li>")
        return f"{title}<ul>{''.join(items)}</ul>"

    # Languages

    @property
    def language_inputs(self) -> list:
        """Components that `in_language` reads."""
        return [self.person.memory.own, self.memory.marks, self.memory.faces, self.search.method]

    @property
    def language_outputs(self) -> list:
        """Components that `in_language` gives values for."""
        return [self.kept.listed, self.search.marked, self.results.grid, self.results.message, self.results.trust]

    def in_language(self, language: str, values: Mapping[gr.components.Component, Any]) -> dict:
        """Say the texts that are made here rather than read from a table; `values` by component."""
        marks, faces = values[self.memory.marks], values[self.memory.faces]
        sorting = values[self.search.method] == "marks" and faces
        hidden = gr.update(visible=False)  # it was said in the language before
        return {
            self.kept.listed: self.list_html(values[self.person.memory.own], language),
            self.search.marked: self._marked(marks, language),
            self.results.grid: self._grid(faces, marks, language) if sorting else gr.skip(),
            self.results.message: hidden,
            self.results.trust: hidden,
        }


def _rows(layers: Sequence[int]) -> str:
    """Rows as people write them: 0-3, 7."""
    parts: list[list[int]] = []
    for row in layers:
        if parts and row == parts[-1][-1] + 1:
            parts[-1].append(row)
        else:
            parts.append([row])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
