"""What a slider does besides its own, in words and as a table: from what was measured when it was made."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

from gan_space.latents.directions import Direction, Directions
from gan_space.ui.i18n import choose_language, translate

LOUD = 0.3  # standard deviations for an amount of 1, from which an effect is worth a word
NOTED = 0.1  # leak from which a slider says so
GOOD_SUCCESS = 0.9  # share of faces that should arrive
DEFAULT_LIMIT = 0.2  # of leaks, where the record names none
EFFECT_TEXTS = {
    "male": "effect.male",
    "age": "effect.age",
    "smile": "effect.smile",
    "mouth_open": "effect.mouth_open",
    "glasses": "effect.glasses",
    "yaw": "effect.yaw",
    "brightness": "effect.brightness",
    "skin_tone": "effect.skin_tone",  # watched, never a slider
}


def effect_name(name: str, directions: Directions | None, language: str) -> str:
    """Return what people call an attribute: as its slider, if there is one."""
    if directions is not None and name in directions:
        return directions[name].text(choose_language(language))
    return translate(EFFECT_TEXTS[name], language) if name in EFFECT_TEXTS else name.replace("_", " ")


def effects_text(
    effects: Mapping[str, float], directions: Directions | None, language: str, least: float = LOUD
) -> str:
    """Return the effects from `least` on, strongest first, such as "Age +0.40, Smile -0.31"; "" if there are none."""
    loud = sorted((pair for pair in effects.items() if abs(pair[1]) >= least), key=lambda pair: -abs(pair[1]))
    comma = "、" if choose_language(language) == "zh-CN" else ", "
    return comma.join(f"{effect_name(name, directions, language)} {effect:+.2f}" for name, effect in loud)


def slider_hint(direction: Direction, directions: Directions | None, language: str, on_photos: bool = False) -> str:
    """Say what was measured of a slider that a visitor should know; "" where nothing is worth a word.

    Args:
        direction: of the slider.
        directions: of the model.
        language: tag.
        on_photos: the face comes from a photo; then what was measured on photos counts, if that was done.
    """
    say = partial(translate, language=language)
    row, arrives = _row(direction), "leak.arrives"
    if on_photos and (found := _photo_row(direction, directions)) is not None:
        row, arrives = found, "leak.arrives_photos"
    parts = []
    if row.success is not None and row.success < GOOD_SUCCESS:
        parts.append(say(arrives, share=round(100 * row.success)))
    if also := effects_text(row.leaks, directions, language, NOTED):
        parts.append(say("leak.also", effects=also))
    return " · ".join(parts)


def leak_tables_html(directions: Directions | None, own: Sequence[Direction], language: str) -> str:
    """Say how well every slider works, and what each one moves besides: on drawn faces, and on photos if measured."""
    say = partial(translate, language=language)
    rows = [one for one in (*(directions or ()), *own) if one.effects]
    if not rows:
        return f"<p>{html.escape(say('leak.nothing'))}</p>"
    record = directions.record if directions is not None else {}
    limit = record.get("leak_limit", DEFAULT_LIMIT)
    parts = [
        f"<p>{html.escape(say('leak.about', limit=f'{limit:g}'))}</p>",
        _table([_row(one) for one in rows], directions, limit, language),
    ]
    found = [row for one in directions or () if (row := _photo_row(one, directions)) is not None]
    if found:
        parts.append(f"<p>{html.escape(say('leak.on_photos', count=record.get('num_encoded', 0)))}</p>")
        parts.append(_table(found, directions, limit, language))
    return "".join(parts)


class Row(NamedTuple):
    """A line of the table: a slider, the shares that arrive and never go back, the person's change, and the leaks."""

    direction: Direction
    success: float | None
    monotone: float | None
    identity: float | None
    leaks: Mapping[str, float]


def _leaks(direction: Direction) -> dict[str, float]:
    """By how much others change while its own attribute changes by 1; an unnamed direction has no own attribute."""
    return direction.leak if direction.effects.get(direction.name) else dict(direction.effects)


def _row(one: Direction) -> Row:
    return Row(one, one.success, one.monotone, one.identity, _leaks(one))


def _photo_row(one: Direction, directions: Directions | None) -> Row | None:
    """What the record of the model's directions, which anybody may have written, says of one on photos."""
    on_photos = directions.record.get("on_photos") if directions is not None else None
    found = on_photos.get(one.name) if isinstance(on_photos, Mapping) else None
    if not isinstance(found, Mapping) or not isinstance(found.get("leak"), Mapping):
        return None
    leaks = {str(name): float(value) for name, value in found["leak"].items() if isinstance(value, int | float)}
    numbers = [value if isinstance(value := found.get(key), int | float) else None for key in ("success", "monotone")]
    return Row(one, *numbers, None, leaks)


def _table(rows: Sequence[Row], directions: Directions | None, limit: float, language: str) -> str:
    say = partial(translate, language=language)
    tag = choose_language(language)
    found = dict.fromkeys(name for row in rows for name in (*row.leaks, *row.direction.effects))
    # Sliders first, in their own order, then what is measured beside them.
    columns = list(dict.fromkeys([row.direction.name for row in rows if row.direction.name in found] + list(found)))
    heads = [say("leak.slider"), say("leak.success"), say("leak.monotone"), say("leak.identity")]
    heads += [effect_name(name, directions, language) for name in columns]
    lines = ["".join(f"<th>{html.escape(head)}</th>" for head in heads)]
    for row in rows:
        cells = [f"<th>{html.escape(row.direction.text(tag))}</th>", _share(row.success), _share(row.monotone)]
        cells.append(_cell(row.identity, limit, signed=False))
        for name in columns:
            is_own = name == row.direction.name
            cells.append('<td class="own">1</td>' if is_own else _cell(row.leaks.get(name), limit))
        lines.append("".join(cells))
    return f'<div class="leaks"><table>{"".join(f"<tr>{line}</tr>" for line in lines)}</table></div>'


def _share(value: float | None) -> str:
    if value is None:
        return "<td>–</td>"
    weak = ' class="weak"' if value < GOOD_SUCCESS else ""
    return f"<td{weak}>{value:.0%}</td>"


def _cell(value: float | None, limit: float, signed: bool = True) -> str:
    """A number on a ground that is the stronger the further it is from 0; bold beyond the limit."""
    if value is None:
        return "<td>–</td>"
    strength = round(55 * min(abs(value), 1.0))
    colour = "#c43e30" if value > 0 else "#3062c4"
    weak = ' class="weak"' if abs(value) > limit else ""
    text = f"{value:+.2f}" if signed else f"{value:.2f}"
    return f'<td{weak} style="background:color-mix(in srgb, {colour} {strength}%, transparent)">{text}</td>'
