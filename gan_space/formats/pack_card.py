"""The README.md of a pack: what it is, which model it is for, how to load it, and what it must not be used for."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

from gan_space.formats.json_files import read_json
from gan_space.formats.model_card import CARD, FACE_RULES, LIBRARY, MARK, hub_license

RECORD = "pack.json"
PREVIEW = "preview.png"
PERSON = "identity"  # kind of a pack that is a profile of one person

_LOAD_STYLE = """\
```python
from gan_space import StyleTransferPipeline

style = StyleTransferPipeline.from_pretrained({base})
style.load_style_pack("{repo}", name="{name}")  # revision="v1", or a commit, pins it
style("photo.jpg", pack="{name}").images[0].save("out.png")
```"""


def is_pack(folder: str | Path) -> bool:
    """Tell whether a folder is a pack rather than a model."""
    return (Path(folder) / RECORD).is_file() and not (Path(folder) / "model_index.json").is_file()


def read_record(folder: str | Path) -> dict[str, Any]:
    """Return content of pack.json; WeightsError if it cannot be read."""
    return read_json(Path(folder) / RECORD, remedy="make the pack again")


def people_in(folder: str | Path) -> list[Path]:
    """Return folders of the packs in a folder, itself among them, that are profiles of people."""
    records = sorted(Path(folder).rglob(RECORD))
    return [path.parent for path in records if read_record(path.parent).get("kind") == PERSON]


def write_pack_card(folder: str | Path, repo_id: str | None = None) -> Path:
    """Write README.md into a pack's folder, unless somebody has made the one there their own.

    Args:
        folder: a pack.
        repo_id: Hub id that it is going to have.

    Raises:
        WeightsError: pack.json cannot be read.
    """
    path = Path(folder) / CARD
    if path.is_file() and MARK not in path.read_text(encoding="utf-8"):
        return path
    has_preview = (Path(folder) / PREVIEW).is_file()
    path.write_text(render_pack_card(read_record(folder), repo_id, has_preview=has_preview), encoding="utf-8")
    return path


def render_pack_card(record: dict[str, Any], repo_id: str | None = None, *, has_preview: bool = True) -> str:
    """Return the card as Markdown, with the front matter that the Hub reads.

    Args:
        record: content of pack.json.
        repo_id: Hub id for the snippet.
        has_preview: whether to show preview.png.
    """
    base = str(record.get("base_model", ""))
    on_hub = base.count("/") == 1 and not base.startswith("gan_space/")
    person = record.get("kind") == PERSON
    tags = ["gan", "stylegan2", "portraits", "identity-pack" if person else "style-pack", "not-for-identification"]
    front = ModelCardData(
        library_name=LIBRARY,
        tags=tags,
        **({"base_model": base} if on_hub else {}),
        **hub_license(str(record.get("license", ""))),
    )
    title = "Profile of a person" if person else _text(record.get("name")) or repo_id or "Style pack"
    sections = [
        f"---\n{front.to_yaml()}\n---\n",
        MARK,
        f"# {_plain(title)}",
        "A profile of one person, who agreed to it; it is of no use to anybody else." if person else "",
        _plain(_text(record.get("description"))),
        f"![What it does]({PREVIEW})" if has_preview else "",
        "## Which model it is for",
        f"`{_plain(base)}` (hash {str(record.get('base_hash', ''))[:16]}); other weights are refused.",
    ]
    if not person:
        name = str(record.get("id", "look"))
        loaded = json.dumps(base) if on_hub else ""
        sections += ["## How to use it", _LOAD_STYLE.format(base=loaded, repo=repo_id or "user/name", name=name)]
    credit = _plain(str(record.get("credit", "")))
    sections += ["## Credit and licence", f"> {credit}" if credit else "", _license(record)]
    sections += ["## Faces and consent", FACE_RULES]
    return "\n\n".join(section.strip("\n") for section in sections if section) + "\n"


def _license(record: dict[str, Any]) -> str:
    name = _plain(str(record.get("license", "")))
    return f"Licence: {name}." if name else "No licence is stated: ask the author before you use it."


def _text(by_language: Any) -> str:
    """The English text of {"en": …, "zh-CN": …}, with the Chinese one behind it."""
    if not isinstance(by_language, dict):
        return ""
    return " · ".join(str(by_language[tag]) for tag in ("en", "zh-CN") if by_language.get(tag))


def _plain(text: str) -> str:
    """One line in which nothing is taken for HTML."""
    return html.escape(" ".join(text.split()), quote=False)
