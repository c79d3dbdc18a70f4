"""What stands on the page to choose from: looks, and the sliders of "Adjust"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gan_space.faces.shape import SLIDERS
from gan_space.looks.recipe import LookRecipe
from gan_space.looks.skin import AMOUNTS as SKIN
from gan_space.pipelines.personalization import PersonalizationPipeline
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from gan_space.ui.i18n import LANGUAGES, load_locale

EXPRESSION = ("smile", "mouth_open", "eyes_open", "brows_up", "turn", "tilt")
SKIN_PREFIX, MAKEUP_PREFIX = "skin-", "makeup-"
MAKEUP = ("lipstick", "blush", "eye_shadow", "eye_liner", "lashes", "brow", "highlight", "contour")


@dataclass(frozen=True)
class LookCard:
    """A look on the page.

    Args:
        name, group, strength: of its recipe.
        title: by language tag.
        needs_faces: whether it is for photos with a face alone.
    """

    name: str
    title: dict[str, str]
    group: str
    strength: float
    needs_faces: bool


@dataclass(frozen=True)
class SliderCard:
    """A slider of "Adjust": `title` by language tag, `group`, and range; 0 does nothing."""

    name: str
    title: dict[str, str]
    group: str
    low: float
    high: float


def look_cards(looks: Mapping[str, LookRecipe]) -> list[LookCard]:
    """Make one for each look, in their order."""
    return [LookCard(name, dict(one.title), one.group, one.strength, one.needs_faces) for name, one in looks.items()]


def slider_cards(style: StyleTransferPipeline, person: PersonalizationPipeline | None) -> list[SliderCard]:
    """Make one for each slider that works on photos with this model."""
    cards = []
    for name, slider in ({} if person is None else person.photo_sliders).items():
        if name in SLIDERS:
            titles, group = _titles(f"shape.{name}"), "expression" if name in EXPRESSION else "face"
        else:
            titles, group = {tag: person.directions[name].text(tag) for tag in LANGUAGES}, "age"
        cards.append(SliderCard(name, titles, group, slider.low, slider.high))
    if style.landmarker is not None:
        cards += [
            SliderCard(SKIN_PREFIX + name, _titles(f"skin.{name}"), "skin", amount.low, amount.high)
            for name, amount in SKIN.items()
        ]
        cards += [SliderCard(MAKEUP_PREFIX + name, _titles(f"makeup.{name}"), "makeup", 0.0, 1.0) for name in MAKEUP]
    return cards


def _titles(key: str) -> dict[str, str]:
    """The text of a key in all languages; for a key without one, its name in plain words."""
    return {tag: load_locale(tag).get(key, key.partition(".")[2].replace("_", " ").capitalize()) for tag in LANGUAGES}


def layers_of(amounts: dict[str, float]) -> tuple[dict[str, float], dict[str, float], dict[str, dict[str, float]]]:
    """Split what sliders say into what moves the face, what is done to the skin, and make-up as a look has it."""
    rest = {name: amount for name, amount in amounts.items() if not name.startswith((SKIN_PREFIX, MAKEUP_PREFIX))}
    skin = {key: amounts[name] for name in amounts if (key := name.removeprefix(SKIN_PREFIX)) != name}
    makeup = {key: {"amount": amounts[name]} for name in amounts if (key := name.removeprefix(MAKEUP_PREFIX)) != name}
    return rest, skin, makeup
