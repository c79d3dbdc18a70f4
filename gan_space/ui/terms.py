"""Words of the trade, each explained where it stands; and gradio's own words, which follow the page's language."""

from __future__ import annotations

import html
import json
from functools import cache
from importlib.resources import files

from gan_space.ui.i18n import LANGUAGES, load_locale, translate

# Control -> the word that it uses.
TERMS = {
    "seed": "term.seed",
    "mix-seed": "term.seed",
    "mix-style-seed": "term.seed",
    "morph-seed": "term.seed",
    "morph-to-seed": "term.seed",
    "person-seed": "term.seed",
    "mine-seed": "term.seed",
    "truncation": "term.psi",
    "person-truncation": "term.psi",
    "mix-layers": "term.layers",
    "style-layers": "term.layers",
    "person-layers": "term.layers",
    "discover-layers": "term.layers",
    "label": "term.label",
    "discover-method": "term.directions",
    "discover-reach": "term.deviation",
    "identity-strength": "term.profile",
    "keep-identity": "term.features",
    "scope": "term.scope",
    "transfer": "term.transfer",
    "refine-steps": "term.refine",
}
# Row of "How it was made" -> the word that it uses.
FACT_TERMS = {
    **dict.fromkeys(("seed", "seeds", "replaces_seed", "style_mixing_seed", "to_seed"), "term.seed"),
    **dict.fromkeys(("truncation", "truncation_psi", "truncation_cutoff"), "term.psi"),
    **dict.fromkeys(("style_mixing_layers", "attribute_layers"), "term.layers"),
    "revision": "term.revision",
    "noise_mode": "term.noise",
    "label": "term.label",
    "identity_strength": "term.profile",
    "keep_identity": "term.features",
    "scope": "term.scope",
    "transfer": "term.transfer",
    "refine_steps": "term.refine",
}
SECTIONS = ("term.", "upload.", "progress.")  # of the texts that the script needs
_NAMED_IN_CSS = {"--words-drop": "upload.drop"}


def fact_html(name: str, text: str, language: str) -> str:
    """Return a row of "How it was made"; a word of the trade in its name is explained where a pointer rests on it."""
    about = f' title="{html.escape(translate(FACT_TERMS[name], language))}"' if name in FACT_TERMS else ""
    return f"<dt{about}>{html.escape(translate(f'recipe.{name}', language))}</dt><dd>{html.escape(text)}</dd>"


@cache
def read_head() -> str:
    """Return what goes into the head of the page: the script, and the words for the style sheet."""
    texts = {
        tag: {key: text for key, text in load_locale(tag).items() if key.startswith(SECTIONS)} for tag in LANGUAGES
    }
    known = json.dumps({"terms": TERMS, "texts": texts}, ensure_ascii=False).replace("<", "\\u003c")
    script = (files("gan_space.ui") / "terms.js").read_text(encoding="utf-8").replace("KNOWN_TERMS", known)
    words = []
    for tag, where in zip(LANGUAGES, (":root", ":root[lang^=zh]"), strict=True):
        said = {name: json.dumps(load_locale(tag)[key], ensure_ascii=False) for name, key in _NAMED_IN_CSS.items()}
        words.append(f"{where} {{ {' '.join(f'{name}: {text};' for name, text in said.items())} }}")
    return f"<style>{' '.join(words)}</style><script>{script}</script>"
