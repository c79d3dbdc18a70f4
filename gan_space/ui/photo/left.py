"""The photo that a visitor has open on the page for a photo: the tabs of gradio's page begin with it, too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from gan_space.errors import InputError
from gan_space.ui.photo.api import MAX_FACES, PhotoChoice

# What `keeping.js` keeps in this tab of the browser.
READ_LEFT = """() => {
  try {
    const { source, settings } = JSON.parse(window.sessionStorage.getItem('gan_space_visit_2')) || {};
    return source ? JSON.stringify({ path: source.path, example: source.example, faces: settings.faces }) : '';
  } catch { return ''; } // storage is switched off
}"""


@dataclass(frozen=True)
class LeftPhoto:
    """A photo as the page for a photo left it: `path`, whether it is the visitor's `own`, and the `faces` meant."""

    path: str
    own: bool
    faces: str | int = "largest"


def read_left(text: str, examples: Sequence[str]) -> LeftPhoto | None:
    """Read what the browser says; None for nothing, no upload or example, or one that is no longer kept."""
    try:
        said = json.loads(text or "null")
        choice = PhotoChoice.read(said, len(examples))
    except (InputError, ValueError, RecursionError):
        return None
    faces = said.get("faces")
    by_number = isinstance(faces, int) and not isinstance(faces, bool) and 0 <= faces <= MAX_FACES
    path = examples[choice.example] if choice.path is None else choice.path
    return LeftPhoto(path, choice.path is not None, faces if by_number or faces == "all" else "largest")
