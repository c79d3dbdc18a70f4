"""Tab "New sliders": directions of any generator, found, looked at, named, and used under "Personalised"."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

import gradio as gr

from gan_space.errors import InputError
from gan_space.latents.directions import Direction
from gan_space.ui.discover.actions import MAX_MARKED, DiscoverStudio
from gan_space.ui.discover.layout import DiscoverLayout
from gan_space.ui.explore.actions import SEED_SPAN
from gan_space.ui.i18n import Texts, choose_language, translate
from gan_space.ui.messages import friendly
from gan_space.ui.parts import SAVE_FILE, notice_html
from gan_space.ui.person.effects import LOUD, effects_text
from gan_space.ui.person.own_directions import OwnDirection
from gan_space.ui.person.tab import PersonTab
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


class DiscoverTab(DiscoverLayout):
    """Builds the tab inside the current gr.Blocks.

    Args:
        studio: finds and draws.
        person: the tab whose sliders the directions become.
        texts: collects every component whose texts follow the language.
        language: component with the chosen language.
    """

    person: PersonTab

    def __init__(self, studio: DiscoverStudio, person: PersonTab, texts: Texts, language: gr.components.Component):
        super().__init__(studio, person, texts, language)
        self._connect()

    def _connect(self) -> None:
        # Progress, and the mark of an error, are shown where they cover nothing that a visitor needs next.
        event = {"api_visibility": "private", "concurrency_limit": 1, "concurrency_id": "draw"}
        searching, looking = {**event, "show_progress_on": self.sheets}, {**event, "show_progress_on": self.strip}
        keeping = {**event, "show_progress_on": self.listed}
        latest = {**event, "trigger_mode": "always_last", "show_progress": "minimal"}
        look = [self.chosen, self.origin, self.accuracy, self.told, self.trust, self.card, self.strip, self.turned]
        kept = [self.person.own, *self.person.own_outputs, *self.list_outputs, self.told]
        self.method.input(
            friendly(self.take_method),
            [self.method, self.faces, self.marks, self.language],
            [self.search_panel, self.marks_panel, self.hint, self.sheets, self.grid, self.faces, self.marked, *look],
            **{**event, "show_progress_on": self.marked},
        )
        self.search.click(
            friendly(self.draw_found),
            [self.method, self.layers, self.count, self.reach, self.seed, self.language],
            [self.found, self.sheets, *look],
            **searching,
        )
        self.sheets.select(
            friendly(self.take_found), [self.found, self.method, self.seed, self.language], look, **looking
        ).success(None, js=SHOW_CARD, api_visibility="private")
        self.more_faces.click(
            friendly(self.draw_more_faces),
            [self.faces, self.marks, self.language],
            [self.faces, self.grid, self.marked],
            **{**event, "show_progress_on": self.marked},
        )
        self.grid.select(
            friendly(self.take_mark),
            [self.faces, self.marks, self.language],
            [self.marks, self.grid, self.marked],
            api_visibility="private",
            queue=False,
            show_progress="hidden",
        )
        self.fit.click(
            friendly(self.draw_fitted), [self.marks, self.layers, self.seed, self.language], look, **looking
        ).success(None, js=SHOW_CARD, api_visibility="private")
        self.other_faces.click(
            friendly(self.draw_others),
            [self.chosen, self.turned, self.seed, self.language],
            [self.seed, self.strip],
            **event,
        )
        self.turned.input(
            friendly(self.draw_turned), [self.chosen, self.turned, self.seed, self.language], self.strip, **latest
        )
        self.keep.click(
            friendly(self.take_kept),
            [self.person.own, self.chosen, self.name, self.origin, self.turned, self.accuracy, self.language],
            [*kept, self.name, self.card],
            **keeping,
        )
        self.remove.click(friendly(self.drop), [self.person.own, self.which, self.language], kept, **keeping)
        self.bring.upload(friendly(self.take_zip), [self.person.own, self.bring, self.language], kept, **keeping)
        self.archive.click(friendly(self.write_zip), [self.person.own, self.language], self.file, **event).success(
            None, self.file, self.file, js=SAVE_FILE, api_visibility="private"
        )

    # Finding

    def take_method(self, method: str, faces: list[Shown], marks: dict[int, int], language: str) -> dict:
        """Another way to look for directions."""
        sorting = method == "marks"
        if sorting and not faces:
            faces = self.studio.faces(0)
        return self._nothing_chosen() | {
            self.search_panel: gr.update(visible=not sorting),
            self.marks_panel: gr.update(visible=sorting),
            self.hint: gr.update(visible=not sorting),
            self.sheets: gr.update(value=None, visible=False),
            self.grid: self._grid(faces, marks, language) if sorting else gr.update(visible=False),
            self.faces: faces,
            self.marked: self._marked(marks, language),
        }

    def draw_found(
        self, method: str, layers: list[str], count: int, reach: float, seed: int, language: str
    ) -> Iterator[dict]:
        """Search, and draw a sheet of each direction."""
        found = self.studio.find(method, layers, int(count))
        yield self._nothing_chosen() | {self.found: found, self.sheets: gr.update(value=[], visible=True)}
        items = []
        for number, direction in enumerate(found, start=1):  # a large network takes a while for each
            items.append((self.studio.sheet(direction, seed, reach).path, str(number)))
            yield {self.sheets: gr.update(value=items, selected_index=None)}

    def take_found(self, event: gr.SelectData, found: list[Direction], method: str, seed: int, language: str) -> dict:
        """A sheet was clicked."""
        return self._look(found[event.index], method, None, seed, language)

    def draw_more_faces(self, faces: list[Shown], marks: dict[int, int], language: str) -> dict:
        """Another batch to mark."""
        if len(faces) >= MAX_MARKED:
            raise InputError(translate("discover.no_more_faces", language, count=MAX_MARKED))
        faces = [*faces, *self.studio.faces(len(faces))]
        return {self.faces: faces, self.grid: self._grid(faces, marks, language), self.marked: gr.skip()}

    def take_mark(self, event: gr.SelectData, faces: list[Shown], marks: dict[int, int], language: str) -> dict:
        """A face was clicked: more, less, neither, in turn."""
        seed = faces[event.index].recipe["seed"]
        marks = {**marks, seed: NEXT_MARK[marks.get(seed, 0)]}
        return {
            self.marks: marks,
            self.grid: self._grid(faces, marks, language),
            self.marked: self._marked(marks, language),
        }

    def draw_fitted(self, marks: dict[int, int], layers: list[str], seed: int, language: str) -> dict:
        """The direction that the marks give."""
        sides = self._counts(marks)
        if min(sides) < 2:
            raise InputError(translate("discover.too_few", language))
        fitted = self.studio.from_marks(marks, layers)
        return self._look(fitted.direction, "marks", fitted.accuracy, seed, language)

    # The close look

    def draw_others(self, chosen: Direction | None, turned: bool, seed: int, language: str) -> dict:
        """The same direction on two other faces."""
        seed = (seed + 2) % SEED_SPAN
        return {self.seed: seed, self.strip: self._strip(chosen, turned, seed)}

    def draw_turned(self, chosen: Direction | None, turned: bool, seed: int, language: str) -> str | None:
        """Less and more changed places, or back."""
        return self._strip(chosen, turned, seed)

    def take_kept(
        self,
        own: Sequence[OwnDirection],
        chosen: Direction | None,
        name: str,
        origin: str,
        turned: bool,
        accuracy: float | None,
        language: str,
    ) -> dict:
        """Name it, and make it a slider."""
        if chosen is None or not (name or "").strip():
            raise InputError(translate("error.no_slider_name", language))
        own = self.studio.keep(own, chosen, name, origin, turned=turned, accuracy=accuracy)
        text = translate("discover.kept", language, name=own[-1].direction.text("en"))
        return self._have(own, language, text) | {self.name: "", self.card: gr.update(visible=False)}

    # The list

    def drop(self, own: Sequence[OwnDirection], which: str | None, language: str) -> dict:
        """Remove one of them."""
        return self._have(tuple(one for one in own if one.name != which), language, "", moved=True)

    def take_zip(self, own: Sequence[OwnDirection], archive: str, language: str) -> dict:
        """A zip was chosen."""
        more = self.studio.bring(own, archive)
        names = ", ".join(one.direction.text(choose_language(language)) for one in more[len(own) :])
        return self._have(more, language, translate("discover.kept", language, name=names))

    def write_zip(self, own: Sequence[OwnDirection], language: str) -> str:
        """All of them as a file."""
        return self.studio.archive(own)

    # Inside

    def _look(self, direction: Direction, origin: str, accuracy: float | None, seed: int, language: str) -> dict:
        told = ""
        if accuracy is not None:
            told = translate("discover.accuracy", language, right=round(100 * accuracy))
            told += " " + translate("discover.weak", language) if accuracy < TRUSTED else ""
        return {
            self.chosen: direction,
            self.origin: origin,
            self.accuracy: accuracy,
            self.told: gr.update(visible=False),
            self.trust: gr.update(value=notice_html(told), visible=bool(told)),
            self.card: gr.update(visible=True),
            self.strip: self.studio.strip(direction, seed).path,
            self.turned: False,
        }

    def _nothing_chosen(self) -> dict:
        return {
            self.chosen: None,
            self.accuracy: None,
            self.told: gr.update(visible=False),
            self.card: gr.update(visible=False),
        }

    def _strip(self, chosen: Direction | None, turned: bool, seed: int) -> str | None:
        if chosen is None:
            return None
        return self.studio.strip(replace(chosen, vector=-chosen.vector) if turned else chosen, seed).path

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
        more, less = self._counts(marks)
        return notice_html(translate("discover.marked", language, more=more, less=less))

    def _have(self, own: tuple[OwnDirection, ...], language: str, told: str, moved: bool = False) -> dict:
        """Values for `kept` outputs: the list, and the sliders under "Personalised"."""
        return (
            {self.person.own: own, self.told: gr.update(value=notice_html(told), visible=bool(told))}
            | self.person.own_updates(own, language, moved)
            | self._list(own, language)
        )

    @property
    def list_outputs(self) -> list:
        """Components that show which directions there are."""
        return [self.listed, self.which, self.remove, self.archive]

    def _list(self, own: Sequence[OwnDirection], language: str) -> dict:
        choices = [(one.direction.text(choose_language(language)), one.name) for one in own]
        some = bool(own)
        return {
            self.listed: self.list_html(own, language),
            self.which: gr.update(choices=choices, value=choices[-1][1] if some else None, visible=some),
            self.remove: gr.update(visible=some),
            self.archive: gr.update(visible=some),
        }

    def list_html(self, own: Sequence[OwnDirection], language: str) -> str:
        """Each direction with where it came from and what else it changes."""
        say = partial(translate, language=language)
        title = f"<h3>{html.escape(say('discover.own'))}</h3>"
        if not own:
            return f"{title}<p>{html.escape(say('discover.none'))}</p>"
        items = []
        for one in own:
            about = [say(ORIGIN_TEXTS[one.origin]), say("discover.rows", rows=_rows(one.direction.layers))]
            if one.accuracy is not None:
                about.append(say("discover.accuracy", right=round(100 * one.accuracy)))
            if one.direction.effects:
                also = effects_text(one.direction.effects, self.studio.pipe.directions, language)
                about.append(say("discover.also", effects=also) if also else say("discover.quiet"))
            else:
                about.append(say("discover.not_measured"))
            words = f"<span>{html.escape(' · '.join(about))}</span>"
            if one.skin_tone is not None and abs(one.skin_tone) >= LOUD:
                words += f'<br><span class="warning">{html.escape(say("discover.skin"))}</span>'
            items.append(f"<li><b>{html.escape(one.direction.text(choose_language(language)))}</b><br>{words}</li>")
        return f"{title}<ul>{''.join(items)}</ul>"

    @property
    def language_inputs(self) -> list:
        """What `in_language` needs to know."""
        return [self.person.own, self.marks, self.faces, self.method]

    @property
    def language_outputs(self) -> list:
        """Components that `in_language` gives values for."""
        return [self.listed, self.marked, self.grid, self.told, self.trust]

    def in_language(self, language: str, own, marks, faces, method) -> list:
        """Texts that are made here rather than read from a table."""
        grid = self._grid(faces, marks, language) if method == "marks" and faces else gr.skip()
        hidden = gr.update(visible=False)  # what was told in the language before
        return [self.list_html(own, language), self._marked(marks, language), grid, hidden, hidden]


def _rows(layers: Sequence[int]) -> str:
    """Rows as people write them: 0-3, 7."""
    parts: list[list[int]] = []
    for row in layers:
        if parts and row == parts[-1][-1] + 1:
            parts[-1].append(row)
        else:
            parts.append([row])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
