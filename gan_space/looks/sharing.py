"""Looks that travel: from a file or the Hub, checked like everything foreign, and to the Hub with a card."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from gan_space import hub
from gan_space.errors import InputError
from gan_space.looks.recipe import LookRecipe
from gan_space.whole_files import json_text

LOOK_FILE, CARD_FILE = "look.json", "README.md"

_CARD = """\
---
library_name: gan_space
license: {license}
tags:
- gan_space
- gan-space-look
---

# {title}

{description}

A look for photos of faces: amounts alone, no weights and no pictures.

```bash
gan-space stylize photo.jpg --look {repo} --out out.png
```

```json
{content}```
"""


def load_look(
    source: str | Path,
    revision: str | None = None,
    *,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> LookRecipe:
    """Read a look that somebody shared.

    Args:
        source: a JSON file, a folder with a look.json, or a Hub id "user/name".
        revision: branch, tag or commit of a Hub id.
        token, cache_dir, local_files_only: as in huggingface_hub.

    Raises:
        InputError: nothing there, or no look; all faults at once.
        WeightsError: the file cannot be had whole from the Hub.
    """
    path = Path(source)
    if path.is_file() or path.suffix == ".json":
        if revision is not None:
            raise InputError(f"revision {revision!r} works for Hub ids only, not for the file {path}")
        return LookRecipe.load(path)
    if not path.is_dir():
        if str(source).count("/") != 1:
            raise InputError(f"{str(source)!r:.80} is neither a file nor a folder nor a Hub id of the form user/name")
        options = {"token": token, "cache_dir": cache_dir, "local_files_only": local_files_only}
        path = hub.download(str(source), revision, allow_patterns=(LOOK_FILE,), **options)
    elif revision is not None:
        raise InputError(f"revision {revision!r} works for Hub ids only, not for the folder {path}")
    return LookRecipe.load(path / LOOK_FILE)


def push_look(
    look: LookRecipe,
    repo_id: str,
    *,
    private: bool | None = None,
    token: str | bool | None = None,
    tag: str | None = None,
    license: str = "cc-by-4.0",
) -> hub.Upload:
    """Push a look with a card to the Hub.

    Args:
        repo_id: "user/name"; made if it does not exist.
        private, token, tag: as in `gan_space.hub.upload`.
        license: of the recipe, for the card.

    Raises:
        InputError: the Hub did not take it; says why and what to do.
    """
    description = (look.description or look.title)["en"]
    with tempfile.TemporaryDirectory() as folder:
        look.save(Path(folder) / LOOK_FILE)
        card = _CARD.format(
            license=json.dumps(license),
            title=_plain(look.title["en"]),
            description=_plain(description),
            repo=repo_id,
            content=_readable(look),
        )
        (Path(folder) / CARD_FILE).write_text(card, encoding="utf-8")
        return hub.upload(folder, repo_id, private=private, token=token, tag=tag, message=f"Push the look {look.name}")


def _readable(look: LookRecipe) -> str:
    """The look as JSON, without the long maps of another picture's make-up."""
    content = look.to_dict()
    if "makeup_from" in content:
        content["makeup_from"] = {name: content["makeup_from"][name] for name in ("lip_color", "strengths")}
    return json_text(content)


def _plain(text: str) -> str:
    """A line of Markdown in which nothing is markup."""
    return "".join(f"\\{char}" if char in "\\`*_{}[]<>()#+-.!|" else char for char in text)
