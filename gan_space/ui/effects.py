"""What a slider does besides its own, in words and as a table: from what was measured when it was made."""

from __future__ import annotations

from collections.abc import Mapping

from gan_space.latents.directions import Directions
from gan_space.ui.i18n import choose_language, translate

LOUD = 0.3  # standard deviations for an amount of 1, from which an effect is worth a word
EFFECT_TEXTS = {
    "male": "effect.male",
    "age": "effect.age",
    "smile": "effect.smile",
    "mouth_open": "effect.mouth_open",
    "glasses": "effect.glasses",
    "yaw": "effect.yaw",
    "brightness": "effect.brightness",
}


def effect_name(name: str, directions: Directions | None, language: str) -> str:
    """What people call an attribute: as its slider, if there is one."""
    if directions is not None and name in directions:
        return directions[name].text(choose_language(language))
    return translate(EFFECT_TEXTS[name], language) if name in EFFECT_TEXTS else name.replace("_", " ")


def effects_text(
    effects: Mapping[str, float], directions: Directions | None, language: str, least: float = LOUD
) -> str:
    """The effects from `least` on, strongest first, such as "Age +0.40, Smile -0.31"; "" if there are none."""
    loud = sorted((pair for pair in effects.items() if abs(pair[1]) >= least), key=lambda pair: -abs(pair[1]))
    comma = "、" if choose_language(language) == "zh-CN" else ", "
    return comma.join(f"{effect_name(name, directions, language)} {effect:+.2f}" for name, effect in loud)
