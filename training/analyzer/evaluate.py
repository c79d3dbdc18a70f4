"""Measure the analyzer: `python training/analyzer/evaluate.py --model FOLDER --dataset_name FOLDER`.

Attributes are measured on held-out faces, over all and within each group of sex, age and the data's race labels; the
embedding on pairs of pictures of people that it never saw. A few hundred faces leave wide margins within the groups.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import training.common.start  # noqa: F401

import torch
from torch import Tensor

from gan_space.errors import ConfigError, raise_all
from gan_space.images import from_uint8
from gan_space.models.analyzer import RACE_GROUPS, Analyzer
from gan_space.models.hashing import weights_sha256
from training.analyzer.measure import MIN_GROUP, attribute_metrics, predict
from training.common.command import script
from training.common.face_labels import AGE_GROUPS, LabelledFaces, load_labelled_faces
from training.common.files import no_folder_faults
from training.identity.pairs import compare, identity_metrics, pixel_embedding, write_report

FACE_PX = 128


def by_group(attributes: dict[str, Tensor], labels: dict[str, Tensor]) -> dict[str, dict]:
    """Return `attribute_metrics` of each group of sex, age and race label; groups of under ten faces are left out."""
    sides = {"male": ("women", "men"), "age": AGE_GROUPS, "race": RACE_GROUPS}
    found = {}
    for column, names in sides.items():
        for number, name in enumerate(names):
            rows = labels[column] == number
            if rows.sum() >= MIN_GROUP:
                picked = {key: value[rows] for key, value in attributes.items()}
                found[name] = attribute_metrics(picked, {key: value[rows] for key, value in labels.items()})
    return found


def fairness_metrics(model: Analyzer, images: Tensor, labels: dict[str, Tensor]) -> dict[str, dict]:
    """Say how well the groups are told: accuracy of race labels over all and each, correlation of the skin tone."""
    parts = [model.groups(batch) for batch in images.split(128)]
    race, tone = (torch.cat([getattr(part, name) for part in parts]) for name in ("race", "skin_tone"))
    found: dict[str, dict] = {}
    known = labels["race"].isfinite()
    if known.any():
        right = race[known].argmax(dim=1) == labels["race"][known]
        each = {
            name: right[labels["race"][known] == number].float().mean().item()
            for number, name in enumerate(RACE_GROUPS)
            if (labels["race"][known] == number).any()
        }
        found["race"] = {"num": int(known.sum()), "accuracy": right.float().mean().item(), "recall": each}
    known = labels["skin_tone"].isfinite()
    if known.sum() >= MIN_GROUP:
        pair = torch.stack([tone[known], labels["skin_tone"][known]])
        found["skin_tone"] = {
            "num": int(known.sum()),
            "mae": (pair[0] - pair[1]).abs().mean().item(),
            "correlation": torch.corrcoef(pair)[0, 1].item(),
        }
    return found


def format_tables(report: dict) -> str:
    """Return the report as Markdown: all faces, then each group, then the people."""
    rows = [["group", "faces", *_COLUMNS]]
    rows += [_row("all", report["attributes"])]
    rows += [_row(name, found) for name, found in report["groups"].items()]
    text = _markdown(rows)
    if "race" in report["fairness"]:
        race = report["fairness"]["race"]
        text += f"\n\nRace labels, for measurement only: {race['accuracy']:.0%} right of seven; recall "
        text += ", ".join(f"{name} {share:.0%}" for name, share in race["recall"].items()) + "."
    for name in ("identity", "identity_of_pixels"):
        if name in report:
            one = report[name]
            span = f"{one['eer_one_vote_low']:.1%} to {one['eer_one_vote_high']:.1%}"
            text += (
                f"\n\n{name}: EER {one['eer']:.1%} over {one['num_same']} pairs of one person; one vote a person "
                f"{one['eer_one_vote_a_person']:.1%} ({span}); AUC {one['auc']:.3f}; "
                f"threshold {one['eer_threshold']:.3f}."
            )
    return text + "\n"


_COLUMNS = {
    "male AUC / acc": ("male", "auc", "accuracy"),
    "smile AUC / acc": ("smile", "auc", "accuracy"),
    "mouth open AUC / acc": ("mouth_open", "auc", "accuracy"),
    "glasses AUC / acc": ("glasses", "auc", "accuracy"),
    "age error, within one group": ("age", "mae", "within_one_group"),
    "yaw error, correlation": ("yaw", "mae", "correlation"),
}


def _row(name: str, found: dict) -> list[str]:
    cells = [name, str(max((parts["num"] for parts in found.values()), default=0))]
    for attribute, *keys in _COLUMNS.values():
        parts = found.get(attribute, {})
        cells.append(" / ".join(_cell(attribute, key, parts[key]) for key in keys if key in parts) or "–")
    return cells


def _cell(attribute: str, key: str, value: float) -> str:
    if key == "mae":
        return f"{value:.1f} y" if attribute == "age" else f"{value:.3f}"
    return f"{value:.0%}" if key in ("accuracy", "within_one_group") else f"{value:.2f}"


def _markdown(rows: list[list[str]]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


@dataclass(frozen=True)
class EvaluateAnalyzerConfig:
    """Measure an analyzer on held-out faces."""

    model: str
    """Folder with config.json and weights of the analyzer."""
    dataset_name: str
    """Folder, parquet or Hub data set of labelled faces in the tight frame."""
    split: str = "test"
    """Split to measure on, also of the identities."""
    identity_dataset: str | None = None
    """Pictures with a column `identity`; without it, identities are not measured."""
    identity_framing: Literal["tight", "portrait"] = "portrait"
    """Framing of these; portrait is cropped to tight."""
    num_images: int = 2000
    """At most so many faces."""
    output: Path | None = None
    """JSON file for the numbers."""
    table: Path | None = None
    """Markdown file for the tables."""
    histogram: Path | None = None
    """Picture file (.png) for the cosines of pairs; needs --identity_dataset."""

    def check(self) -> None:
        """Raise ConfigError with all faults at once."""
        faults = []
        if self.num_images < MIN_GROUP:
            faults.append(f"--num_images must be {MIN_GROUP} or more, got {self.num_images}")
        if self.histogram is not None and self.identity_dataset is None:
            faults.append("--histogram shows pairs of people: name an --identity_dataset")
        faults += no_folder_faults(self, "output", "table", "histogram")
        raise_all(faults, ConfigError)


def evaluate_analyzer(model: Analyzer, faces: LabelledFaces, people: LabelledFaces | None = None) -> dict:
    """Measure everything; plain numbers, fit for JSON.

    Args:
        model: in evaluation mode.
        faces: labelled faces that it was not trained on.
        people: pictures of people that it was not trained on, or None.
    """
    images = from_uint8(faces.images)
    start = time.process_time()
    output = predict(model, images)
    milliseconds = 1000 * (time.process_time() - start) / len(images)
    report = {
        "model_sha256": weights_sha256(model),
        "num_parameters": sum(p.numel() for p in model.parameters()),
        "num_faces": len(faces),
        "cpu_ms_per_face_in_batches": milliseconds,
        "attributes": attribute_metrics(output.attributes, faces.labels),
        "groups": by_group(output.attributes, faces.labels),
        "fairness": fairness_metrics(model, images, faces.labels),
    }
    if people is not None:
        pictures, person = from_uint8(people.images), people.person.numpy()
        report["identity"] = identity_metrics(predict(model, pictures).embedding.double().numpy(), person)
        report["identity_of_pixels"] = identity_metrics(pixel_embedding(pictures), person)
    return report


def run(config: EvaluateAnalyzerConfig) -> dict:
    """Measure as configured, print the tables, write the files and return the numbers."""
    config.check()
    model = Analyzer.from_pretrained(config.model).eval()
    faces = load_labelled_faces(config.dataset_name, config.split, face_px=FACE_PX, limit=config.num_images)
    people = None
    if config.identity_dataset is not None:
        people = load_labelled_faces(
            config.identity_dataset, config.split, face_px=FACE_PX, framing=config.identity_framing
        )
    report = evaluate_analyzer(model, faces, people)
    pairs = None
    if config.histogram is not None:
        pairs = compare(predict(model, from_uint8(people.images)).embedding.numpy(), people.person.numpy())
    write_report(report, format_tables(report), pairs, config)
    return report


main = script(EvaluateAnalyzerConfig, run)


if __name__ == "__main__":
    sys.exit(main())
