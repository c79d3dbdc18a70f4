"""Texts of "Create a look" that are made here rather than read from a table."""

from __future__ import annotations

import html
from collections.abc import Sequence
from functools import partial
from typing import Any

from gan_space.errors import InputError
from gan_space.ui.create.actions import LookEntry, look_name
from gan_space.ui.i18n import choose_language, translate
from gan_space.ui.messages import explain
from gan_space.ui.parts import notice_html
from gan_space.ui.server.files import Shown
from gan_space.ui.terms import fact_html

LAYERS = {"coarse": "style.coarse", "middle": "style.middle", "fine": "style.fine"}
SCOPES = {"auto": "style.auto", "face": "style.scope_face", "photo": "style.scope_photo"}
TRANSFERS = {"auto": "style.auto", "change": "style.transfer_change", "picture": "style.transfer_picture"}
UPSCALES = {"network": "style.upscale_network", "plain": "style.upscale_plain"}
STEP_TEXTS = {
    "denoise": "step.denoise",
    "white_balance": "step.white_balance",
    "temperature": "step.temperature",
    "contrast": "step.contrast",
    "saturation": "step.saturation",
    "film": "step.film",
    "sharpen": "step.sharpen",
}
FACTS = (
    *("pack", "strength", "scope", "transfer", "upscale", "layers", "keep_identity", "post_processing", "refine_steps"),
    *("pack_credit", "model"),
)


def look_items(looks: Sequence[LookEntry], language: str) -> list[tuple[str, str]]:
    """Return looks as a gallery shows them."""
    return [(entry.preview, entry.name[choose_language(language)]) for entry in looks]


def face_choices(count: int, language: str) -> list[tuple[str, str | int]]:
    """Return faces of a photo that has `count` of them."""
    say = partial(translate, language=language)
    numbered = [(say("style.face_number", number=number), number) for number in range(count)]
    return [(say("style.faces_largest"), "largest"), (say("style.faces_all"), "all"), *numbered]


def left_out_html(language: str, left_out: Sequence[tuple[str, InputError]]) -> str:
    """Return the files that could not be used, and why."""
    rows = [translate("style.left_out", language, name=name, why=explain(error, language)) for name, error in left_out]
    return "".join(notice_html(row) for row in rows)


def facts_html(shown: Shown, looks: Sequence[LookEntry], language: str) -> str:
    """Say how the picture was made, as a list of terms."""
    rows = []
    for name in FACTS:
        value = shown.recipe.get(name)
        if value not in (None, "", 0.0) or name == "strength":
            rows.append(fact_html(name, _show_fact(name, value, looks, language), language))
    return f"<h2>{html.escape(translate('results.recipe', language))}</h2><dl>{''.join(rows)}</dl>"


def _show_fact(name: str, value: Any, looks: Sequence[LookEntry], language: str) -> str:
    if name in ("scope", "transfer", "upscale"):
        return translate({"scope": SCOPES, "transfer": TRANSFERS, "upscale": UPSCALES}[name][value], language)
    if name == "pack":
        return look_name(looks, value, choose_language(language))
    if name == "layers":
        return " + ".join(translate(LAYERS[part], language) for part in value.split("+"))
    if name == "post_processing":
        return ", ".join(f"{translate(STEP_TEXTS[step], language)} {amount:g}" for step, amount in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
