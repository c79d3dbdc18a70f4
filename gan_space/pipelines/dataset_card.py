"""The card of a data set of generated portraits: what it is, how it was made, and what it must not be taken for."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_space import __version__
from gan_space.whole_files import write_whole

if TYPE_CHECKING:
    from gan_space.pipelines.generation import GenerationPipeline

CARD = "README.md"

_MEANINGS = {
    "image": "a whole picture file with its labels and its recipe",
    "seed": "source of the face; the same seed of the same model is the same face",
    "truncation_psi": "0 the average face, 1 all of the variety",
    "class_label": "class that the network was asked for",
    "model": "name of the model",
    "revision": "its commit on the Hub, or hash of its weights",
    "recipe": "JSON from which `GenerationPipeline.generate_from_recipe` draws the picture again",
}


def write_card(
    folder: Path,
    pipe: GenerationPipeline,
    settings: Mapping[str, Any],
    columns: Mapping[str, str],
    num_rows: int,
    split: str,
) -> None:
    """Write README.md with the front matter that the Hub and `datasets` read."""
    write_whole(folder / CARD, card_text(pipe, settings, columns, num_rows, split))


def card_text(
    pipe: GenerationPipeline, settings: Mapping[str, Any], columns: Mapping[str, str], num_rows: int, split: str
) -> str:
    """Return the card as text."""
    rows = "\n".join(
        f"| `{name}` | {kind} | {_meaning(name)} |" for name, kind in {"image": "Image", **columns}.items()
    )
    config = {"config_name": "default", "data_files": [{"split": split, "path": f"{split}-*.parquet"}]}
    model = f"{settings['model'] or 'a model in memory'} ({settings['revision'] or 'no revision'})"
    credit = f"\n{pipe.credit}\n" if pipe.credit else ""
    terms = f"The model's licence is {pipe.source.license}. " if pipe.source.license else ""
    measured = any(column.startswith("measured_") for column in columns)
    doubt = (
        "- What is measured was read off by a network that came with the model; it is wrong now and then, and for\n"
        "  some groups of people more often than for others. The model's card has the numbers.\n"
        if measured
        else ""
    )
    rejected = (
        "- Faces that came out broken were replaced by others (`replaces_seed` in the recipe), as far as a network\n"
        "  noticed. What the model draws worst, dark skin and old faces above all, was replaced most often.\n"
        if settings.get("rejection_sampling")
        else ""
    )
    return f"""---
configs: {json.dumps([config])}
tags: ["synthetic", "portraits", "gan_space"]
---

# {num_rows:,} generated portraits

Faces of people who do not exist, drawn by {model} with gan_space {__version__}.
Every picture file says so in its metadata (IPTC DigitalSourceType, `TC260:AIGC`).
{credit}
| column | type | meaning |
| --- | --- | --- |
{rows}

Made with that model and

```
gan-space generate {_options(settings)}
```

## Before you train on it

- The variety is that of the model, less what truncation takes away; what the model draws badly is drawn badly here.
- An amount asked for is not a measurement: directions reach their attribute most of the time and move others a little.
{doubt}{rejected}- A face may look like somebody by chance. Do not use the pictures as those of real people.
- {terms}Pass the credit on with the pictures.
"""


def _meaning(name: str) -> str:
    if name.startswith("asked_"):
        return f"amount of {name.removeprefix('asked_')} that was asked for; 1 is a visible step"
    if name.startswith("measured_"):
        return f"{name.removeprefix('measured_')} as the model's analyzer reads it"
    return _MEANINGS[name]


def _options(settings: Mapping[str, Any]) -> str:
    """The command line that asks for the same settings."""
    words = ["--seeds", settings["seeds"], "--as", "parquet", "--out", "FOLDER"]
    if settings["attributes"]:
        spans = [
            f"{name}={low:g}" if low == high else f"{name}={low:g}..{high:g}"
            for name, (low, high) in settings["attributes"].items()
        ]
        words += ["--attributes", ",".join(spans)]
    words += ["--psi", f"{settings['truncation_psi']:g}", "--noise-mode", settings["noise_mode"]]
    words += ["--format", settings["image_format"], "--rows-per-file", str(settings["rows_per_file"])]
    words += ["--truncation", settings["truncation"]] if "truncation" in settings else []
    words += ["--label", str(settings["label"])] if settings["label"] is not None else []
    words += ["--visible-label"] if settings["visible_label"] else []
    return shlex.join([*words, *(["--rejection-sampling"] if settings.get("rejection_sampling") else [])])
