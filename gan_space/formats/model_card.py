"""The README.md of a model folder: what it is, what it was made from, how good it is, and what it must not be used for.

Everything in it is read from the folder (metadata.json, training.json, metrics.json, generator/, samples/), so that the
same folder always gets the same card. A number without the files that it comes from is not printed.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

from gan_space.foreign_files import count_values
from gan_space.formats.json_files import read_json

CARD = "README.md"
# The Hub knows no such library, so it shows no snippet and the card brings its own. `diffusers` would be a lie: the
# folder has its layout, but `DiffusionPipeline.from_pretrained` cannot load it without this package.
LIBRARY = "gan_space"
PIPELINE_TAG = "unconditional-image-generation"
TAGS = ["gan", "stylegan2", "portraits", "face-generation", "not-for-identification"]
MARK = "<!-- Written by gan_space, and written anew by the next push. Remove this line to keep changes of your own. -->"
# Identifiers that the Hub accepts as a licence, of those that weights commonly have; all else is "other".
HUB_LICENSES = (
    *("apache-2.0", "mit", "bsd-3-clause", "gpl-3.0", "cc0-1.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-4.0"),
    *("cc-by-nc-4.0", "cc-by-nd-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "openrail", "creativeml-openrail-m"),
)
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+")

FACE_RULES = """\
- The people in the pictures do not exist; a likeness to a real person is chance. Do not look for one on purpose.
- Adults only: the model is meant to be trained on adults, and must not be used to draw minors.
- No likeness of a named person, and no picture that says or suggests that a real person did something.
- Say that a picture is generated wherever it is shown. Files saved by gan_space carry that label (IPTC source type, \
`TC260:AIGC`); do not remove it.
- Ask for a person's separate consent before you put their photo into the model or give their face another look.
- Not for identification, for judging people, or for any decision about a person."""

LIMITS = """\
- The pictures have the resolution above and the framing of the training data; other poses, hats, hands and several \
people come out broken or not at all.
- It draws more often what the data hold more often. Groups, ages and looks that are rare there are rare and worse here.
- Some pictures are flawed (eyes, ears, glasses, background). Lower `truncation_psi` gives fewer flaws and less variety.
- A generator can come close to training pictures; see the copy test under Evaluation where it was made."""

IMAGENET_NETWORK = "an EfficientNet-Lite0 (Apache-2.0, trained on ImageNet)"

# What of training.json is worth a reader's time; the whole is in that file.
_TRAINING_ROWS = (
    *("discriminator", "loss", "r1_gamma", "r2_gamma", "batch_size", "g_lr", "d_lr", "mixed_precision", "augment"),
    *("augment_p", "style_mixing_prob", "path_length_weight", "ema_halflife_kimg", "horizontal_flip", "seed"),
)


@dataclass(frozen=True)
class CardFacts:
    """What a card tells, as found in a model folder; empty where the folder does not say.

    Args:
        name: title of the card.
        repo_id: Hub id that the snippets use, or "".
        config: of the generator.
        parameters: number of weights of the generator.
        metadata: name, version, credit, license.
        training: content of training.json.
        metrics: content of metrics.json.
        samples: names of the pictures in samples/.
        teachers: for networks that learned from another one's answers, what their training.json says of it.
    """

    name: str
    repo_id: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    parameters: int = 0
    metadata: dict[str, str] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    samples: tuple[str, ...] = ()
    teachers: dict[str, str] = field(default_factory=dict)


def write_card(folder: str | Path, repo_id: str | None = None) -> Path:
    """Write README.md into a model folder, unless somebody has made the one there their own.

    Args:
        folder: a model folder.
        repo_id: Hub id that it is going to have.

    Raises:
        WeightsError: the folder is no model, or one of its JSON files cannot be read.
    """
    path = Path(folder) / CARD
    if path.is_file() and MARK not in path.read_text(encoding="utf-8"):
        return path
    path.write_text(render_card(read_facts(folder, repo_id)), encoding="utf-8")
    return path


def read_facts(folder: str | Path, repo_id: str | None = None) -> CardFacts:
    """Collect what a model folder says about itself.

    Raises:
        WeightsError: generator/ is missing, or a file cannot be read.
    """
    folder = Path(folder)
    metadata = read_json(folder / "metadata.json", needed=False)
    metadata = {key: value for key, value in metadata.items() if isinstance(value, str)}
    return CardFacts(
        name=repo_id or metadata.get("name") or "Portrait generator",
        repo_id=repo_id or "",
        config=read_json(folder / "generator" / "config.json"),
        parameters=count_parameters(folder / "generator"),
        metadata=metadata,
        training=read_json(folder / "training.json", needed=False),
        metrics=read_json(folder / "metrics.json", needed=False),
        samples=tuple(sorted(path.name for path in (folder / "samples").glob("*.png"))),
        teachers=_teachers(folder),
    )


def _teachers(folder: Path) -> dict[str, str]:
    records = {path.parent.name: read_json(path) for path in sorted(folder.glob("*/training.json"))}
    return {name: record["teacher"] for name, record in records.items() if isinstance(record.get("teacher"), str)}


def count_parameters(folder: Path) -> int:
    """Return the number of values in all safetensors files of a folder; only their headers are read."""
    return count_values(sorted(folder.glob("*.safetensors")))


def render_card(facts: CardFacts) -> str:
    """Write the card out as Markdown with the front matter that the Hub reads."""
    sections = [
        f"---\n{front_matter(facts).to_yaml()}\n---\n",
        MARK,
        f"# {_plain(facts.name)}",
        _introduction(facts),
        *_samples(facts),
        "## How to use it",
        _snippet(facts),
        "## Intended use",
        "Research, teaching, design and play: drawing, mixing and steering portraits of people who do not exist.",
        "## Faces and consent",
        FACE_RULES,
        "## Limits",
        LIMITS,
        "## Training data",
        _data(facts),
        "## Training",
        _training(facts),
        "## Evaluation",
        _evaluation(facts),
    ]
    return "\n\n".join(section.strip("\n") for section in sections) + "\n"


def front_matter(facts: CardFacts) -> ModelCardData:
    """Return what the Hub sorts and filters by."""
    options: dict[str, Any] = hub_license(facts.metadata.get("license", ""))
    dataset = _dataset_name(facts)
    if _HUB_ID.fullmatch(dataset):
        options["datasets"] = [dataset]
    return ModelCardData(library_name=LIBRARY, pipeline_tag=PIPELINE_TAG, tags=list(TAGS), **options)


def hub_license(name: str) -> dict[str, str]:
    """Return front matter for a licence, as the Hub spells it: "CC BY 4.0" is `license: cc-by-4.0`."""
    known = re.sub(r"[\s_]+", "-", name.strip().lower())
    if known in HUB_LICENSES:
        return {"license": known}
    return (
        {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", known).strip("-")}
        if known
        else {"license": "unknown"}
    )


def _introduction(facts: CardFacts) -> str:
    config = facts.config
    resolution = config.get("resolution", "?")
    classes = f" It is conditional, with {config['c_dim']} classes." if config.get("c_dim") else ""
    return (
        f"A style-based GAN of the StyleGAN2 family that draws portraits of {resolution} x {resolution} px, with "
        f"{facts.parameters / 1e6:.2f} million parameters (z {config.get('z_dim')}, w {config.get('w_dim')})."
        f"{classes} All pictures it draws are generated by AI."
    )


def _samples(facts: CardFacts) -> list[str]:
    if not facts.samples:
        return []
    pictures = "\n".join(f"![{name.removesuffix('.png')}](samples/{name})" for name in facts.samples)
    return [f"Seeds 0 to 63, not chosen; psi is `truncation_psi`, 1.0 being the whole distribution.\n\n{pictures}"]


def _snippet(facts: CardFacts) -> str:
    name = facts.repo_id or "user/name"
    return f"""\
```python
from gan_space import GenerationPipeline
from gan_space.output.provenance import save_image

pipe = GenerationPipeline.from_pretrained("{name}")  # revision="v1", or a commit, pins it
out = pipe(seeds=[1, 2, 3, 4], truncation_psi=0.7)
save_image(out.images[0], "portrait.png", recipe=out.recipe[0])  # labelled as generated
```

In the app: `GAN_SPACE_MODEL={name} make app`. No code of this repository is executed: it holds safetensors, JSON, \
pictures and this text."""


def _data(facts: CardFacts) -> str:
    credit, license_name = facts.metadata.get("credit", ""), facts.metadata.get("license", "")
    lines = [f"> {_plain(credit)}" if credit else "The author has not said whose pictures it was trained on."]
    dataset = _dataset_name(facts)
    if dataset:
        lines.append(f"Data set: `{dataset}`.")
    config = facts.training.get("config") or {}
    judges = {"both": "judged, too, by", "projected": "judged by"}  # beside a discriminator of its own, or alone
    judged = judges.get(config.get("discriminator"))
    if judged and config.get("projected_features") == "efficientnet":
        lines.append(f"`generator/` was {judged} what {IMAGENET_NETWORK} sees in such pictures and in its own.")
    lines += [f"`{name}/` learned, on such pictures, from {_plain(text)}." for name, text in facts.teachers.items()]
    lines.append(
        f"Licence: {_plain(license_name)}. Whoever shows pictures or passes the weights on shows the credit too."
        if license_name
        else "No licence is stated: ask the author before you use it."
    )
    return "\n\n".join(lines)


def _training(facts: CardFacts) -> str:
    training = facts.training
    if not training:
        return "This folder does not record how it was trained."
    config = training.get("config") or {}
    rows = [("images seen", f"{training.get('images_seen', 0):,}")]
    if before := training.get("images_seen_before"):
        rows.append(("images seen before, by the weights it started from", f"{before:,}"))
    hardware = training.get("hardware")
    if hardware:
        rows.append(("hardware", ", ".join(str(value) for value in hardware.values() if value)))
    rows += [(name, config[name]) for name in _TRAINING_ROWS if name in config]
    if (training.get("labels") or {}).get("classes"):
        rows.append(("classes", ", ".join(str(value) for value in training["labels"]["classes"])))
    return _table(("setting", "value"), rows) + "\n\nAll settings are in `training.json`."


def _evaluation(facts: CardFacts) -> str:
    metrics = facts.metrics.get("metrics") or {}
    if not metrics:
        return "Not measured. `python training/evaluate.py --model FOLDER --dataset_name NAME` does it."
    rows = []
    for name, record in metrics.items():
        spread = f" ± {record['std']:.2g}" if "std" in record else ""
        judged = record.get("num_fake", record.get("num_heldout", ""))
        network = f"{record['extractor']} {record['extractor_sha256'][:8]}" if "extractor" in record else "pixels"
        rows.append(
            (
                f"`{name}`",
                f"{record['value']:.5g}{spread}",
                record.get("num_real", ""),
                judged,
                network,
                record.get("resolution", ""),
                record.get("truncation_psi", ""),
            )
        )
    when = f" after {facts.metrics['nimg']:,} images" if isinstance(facts.metrics.get("nimg"), int) else ""
    note = (
        f"Measured{when}. Compare numbers only where N, features, resolution and psi agree; none of these is the FID "
        "of papers unless the features are called inception. `…_of_heldout` is what real pictures get that were not "
        "trained on: as good as it can be at this N."
    )
    verdict = facts.metrics.get("verdict")
    if verdict:
        note += f" The doctor's verdict on the run: {_plain(str(verdict))}."
    header = ("metric", "value", "N real", "N generated", "features", "px", "psi")
    return f"{note}\n\n{_table(header, rows)}"


def _table(header: tuple, rows: list[tuple]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(_plain(str(cell)).replace("|", "\\|") for cell in line) + " |" for line in lines)


def _dataset_name(facts: CardFacts) -> str:
    """Name of the data set; of one on the trainer's machine only the last part of its path is ever told."""
    return str((facts.training.get("config") or {}).get("dataset_name") or "")


def _plain(text: str) -> str:
    """One line in which nothing is taken for HTML."""
    return html.escape(" ".join(text.split()), quote=False)
