"""Measure the identity network: `python -m training.identity.evaluate --model FOLDER --identity_dataset PORTRAITS128`.

All pairs of pictures of people that it never saw: how often it is wrong, over all and by sex, beside the teacher where
its vectors are given. On faces without names: how alike to the teacher, and how often strangers of one group are taken
for one person.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import training.common.start  # noqa: F401

import numpy as np
import torch
from torch import Tensor

from gan_space.errors import ConfigError, DataError, FaceError, raise_all
from gan_space.faces.find import choose_face, find_faces
from gan_space.images import from_uint8
from gan_space.models.aligner import Aligner
from gan_space.models.analyzer import RACE_GROUPS
from gan_space.models.face_identity import FaceIdentity
from gan_space.models.hashing import weights_sha256
from training.common.command import script
from training.common.face_labels import AGE_GROUPS, LabelledFaces, load_labelled_faces
from training.common.files import no_folder_faults
from training.common.tables import open_table
from training.identity.data import LABEL_COLUMN, NAME_COLUMN
from training.identity.intruders import intruder_rates
from training.identity.pairs import compare, equal_error, identity_metrics, write_report

FALSE_ACCEPTS = (0.001, 0.01, 0.05, 0.1)  # points of the ROC curve
MIN_PAIRS = 30  # fewer give no number
NUM_PHOTOS = 5  # of a profile, one of them a stranger's


@dataclass(frozen=True)
class EvaluateIdentityNetworkConfig:
    """Measure an identity network; prints the tables, and writes the files that are asked for."""

    identity_dataset: str
    """Folder, parquet or Hub data set of pictures with a column `identity`."""
    model: Path = Path("gan_space/assets/default/identity")
    """Folder of the network."""
    identity_labels: str | None = None
    """The same with the columns `source_file` and `embedding`: the teacher, measured on the same pairs."""
    identity_framing: Literal["tight", "portrait"] = "portrait"
    """Framing of the pictures; portrait is cropped to tight."""
    aligner: Path | None = None
    """Folder of an aligner: the faces are also found in the pictures, as the product finds them in photos."""
    dataset_name: str | None = None
    """Faces in the tight frame without names, for what groups of strangers come to."""
    label_name: str | None = None
    """The teacher's vectors of these."""
    split: str = "test"
    """Split of all of them."""
    output: Path | None = None
    """JSON file for the numbers; metrics.json beside the weights is what the app reads."""
    table: Path | None = None
    """Markdown file for the tables."""
    histogram: Path | None = None
    """Picture file (.png) for the cosines of pairs."""

    def check(self) -> None:
        """Raise ConfigError with all faults at once."""
        faults = []
        if self.label_name is not None and self.dataset_name is None:
            faults.append("--label_name goes with a --dataset_name")
        faults += no_folder_faults(self, "output", "table", "histogram")
        raise_all(faults, ConfigError)


@torch.no_grad()
def embed(model: FaceIdentity, images: Tensor, batch_size: int = 128) -> np.ndarray:
    """Return vectors [N, D] float64 of faces [N, 3, S, S] uint8, batch by batch."""
    return torch.cat([model(from_uint8(part)) for part in images.split(batch_size)]).double().numpy()


def teacher_vectors(name: str, dataset_name: str, split: str) -> np.ndarray:
    """Return the teacher's vectors [N, D] float64 of a data set, in its order, centred and of unit length.

    The mean over the set is taken off first: all of them share most of it.

    Raises:
        DataError: a picture has no vector.
    """
    labels, names = open_table(name, split), open_table(dataset_name, split)[NAME_COLUMN]
    known = dict(zip(labels[NAME_COLUMN], labels[LABEL_COLUMN], strict=True))
    missing = [one for one in names if one not in known]
    if missing:
        raise DataError(f"{name} has no vector for {len(missing)} pictures of {dataset_name}, such as {missing[0]}")
    vectors = np.asarray([known[one] for one in names], np.float64)
    vectors -= vectors.mean(axis=0)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def pair_metrics(embedding: np.ndarray, person: np.ndarray, male: np.ndarray) -> dict[str, Any]:
    """Return what `identity_metrics` gives, points of the ROC curve, and both kinds of errors within each sex.

    Args:
        embedding: [N, D] of unit length.
        person: [N], the same number for the same person, -1 for nobody in particular.
        male: [N], 0, 1 or nan.

    Returns:
        Beside those numbers "roc": the share of pairs of one person that is refused where so many pairs of two are
        accepted, and the cosine of it. "by_sex": among the pictures of that sex alone, whose strangers are harder to
        tell apart: the equal-error rate with a limit of its own, and both errors at the limit of all.
    """
    metrics = identity_metrics(embedding, person)
    pairs = compare(embedding, person)
    metrics["roc"] = [_roc_point(pairs.same, pairs.different, share) for share in FALSE_ACCEPTS]
    metrics["by_sex"] = {}
    for name, value in (("women", 0), ("men", 1)):
        of = male == value
        own = compare(embedding[of], person[of])
        if min(len(own.same), len(own.different)) < MIN_PAIRS:
            continue
        all_strangers = np.isin(pairs.same_person, np.unique(person[of]))
        metrics["by_sex"][name] = {
            "num_pictures": int(of.sum()),
            "num_same": len(own.same),
            "eer": equal_error(own.same, own.different).rate,
            "eer_all_strangers": equal_error(pairs.same[all_strangers], pairs.different).rate,
            "refused": float((own.same < metrics["eer_threshold"]).mean()),
            "accepted": float((own.different >= metrics["eer_threshold"]).mean()),
        }
    return metrics


def _roc_point(same: np.ndarray, different: np.ndarray, accepted: float) -> dict[str, float]:
    threshold = float(np.quantile(different, 1 - accepted))
    return {"accepted": accepted, "refused": float((same < threshold).mean()), "threshold": threshold}


def find_tight(pictures: Tensor, aligner: Aligner, resolution: int) -> tuple[Tensor, list[int]]:
    """Cut the largest face that is found in each picture [N, 3, H, W] uint8.

    Returns:
        [n, 3, R, R] uint8, and the numbers of the pictures in which there was one.
    """
    faces, rows = [], []
    for number, picture in enumerate(pictures):
        try:
            face = choose_face(find_faces(picture, aligner))
        except FaceError:
            continue
        crop = face.transform.crop(picture, resolution)
        faces.append(((crop + 1) * 127.5).round().clamp(0, 255).byte())
        rows.append(number)
    return torch.cat(faces), rows


def stranger_metrics(
    embedding: np.ndarray, threshold: float, labels: dict[str, np.ndarray], teacher: np.ndarray | None
) -> dict[str, Any]:
    """Say how often two faces of strangers are taken for one person, within each group of sex, race and age.

    Args:
        embedding: [N, D] of unit length, of N people.
        threshold: cosine from which on a pair is accepted.
        labels: male, race and age as in `LabelledFaces`, each [N].
        teacher: [N, D] of unit length, or None.

    Returns:
        "accepted": share of all pairs. "groups": name -> number of faces, and the share of the pairs within it. With a
        teacher "cosine", the mean to its vectors, and "relation", the correlation of the cosines of pairs; in the
        groups the former.
    """

    def accepted(of: np.ndarray) -> float:
        return float((compare(embedding[of], np.full(of.sum(), -1)).different >= threshold).mean())

    everyone = np.ones(len(embedding), bool)
    report: dict[str, Any] = {"num_faces": len(embedding), "accepted": accepted(everyone), "groups": {}}
    if teacher is not None:
        agreement = (embedding * teacher).sum(axis=1)
        upper = np.triu_indices(len(embedding), 1)
        report["cosine"] = float(agreement.mean())
        report["relation"] = float(np.corrcoef((embedding @ embedding.T)[upper], (teacher @ teacher.T)[upper])[0, 1])
    named = {"women": ("male", 0), "men": ("male", 1)}
    named |= {name: ("race", k) for k, name in enumerate(RACE_GROUPS)}
    named |= {name: ("age", k) for k, name in enumerate(AGE_GROUPS)}
    for name, (label, value) in named.items():
        of = labels[label] == value
        if of.sum() * (of.sum() - 1) / 2 < MIN_PAIRS:
            continue
        report["groups"][name] = {"num_faces": int(of.sum()), "accepted": accepted(of)}
        if teacher is not None:
            report["groups"][name]["cosine"] = float(agreement[of].mean())
    return report


def run(config: EvaluateIdentityNetworkConfig) -> dict[str, Any]:
    """Measure as configured, print the tables, write the files and return the numbers.

    Raises:
        ConfigError: bad settings.
        DataError: a data set cannot be used, or holds no people with several pictures.
    """
    config.check()
    model = FaceIdentity.from_pretrained(config.model).eval()
    size = model.resolution
    people = load_labelled_faces(config.identity_dataset, config.split, face_px=size, framing=config.identity_framing)
    person, male = people.person.numpy(), people.labels["male"].numpy()
    start = time.process_time()
    embedding = embed(model, people.images)
    report: dict[str, Any] = {
        "model_sha256": weights_sha256(model),
        "num_parameters": sum(p.numel() for p in model.parameters()),
        "cpu_ms_per_face_in_batches": 1000 * (time.process_time() - start) / len(people),
        "identity": pair_metrics(embedding, person, male),
        "intruders": intruder_rates(torch.from_numpy(embedding), people.person, num_photos=NUM_PHOTOS),
    }
    if config.identity_labels is not None:
        teacher = teacher_vectors(config.identity_labels, config.identity_dataset, config.split)
        report["identity_of_teacher"] = pair_metrics(teacher, person, male)
    if config.aligner is not None:
        pictures = load_labelled_faces(config.identity_dataset, config.split, face_px=128).images
        found, rows = find_tight(pictures, Aligner.from_pretrained(config.aligner).eval(), size)
        report["identity_found"] = pair_metrics(embed(model, found), person[rows], male[rows])
    if config.dataset_name is not None:
        report["strangers"] = _strangers(config, model, report["identity"]["eer_threshold"])
    pairs = None if config.histogram is None else compare(embedding, person)
    write_report(report, format_tables(report), pairs, config)
    return report


def _strangers(config: EvaluateIdentityNetworkConfig, model: FaceIdentity, threshold: float) -> dict[str, Any]:
    faces: LabelledFaces = load_labelled_faces(config.dataset_name, config.split, face_px=model.resolution)
    teacher = None
    if config.label_name is not None:
        teacher = teacher_vectors(config.label_name, config.dataset_name, config.split)
    labels = {name: values.numpy() for name, values in faces.labels.items()}
    return stranger_metrics(embed(model, faces.images), threshold, labels, teacher)


def format_tables(report: dict[str, Any]) -> str:
    """Return the numbers as Markdown."""
    names = {
        "identity": "this network, known places",
        "identity_found": "this network, faces found in the picture",
        "identity_of_teacher": "the teacher",
    }
    lines = [
        "| | EER, all pairs | EER, one vote a person (95 %) | AUC | women alone | men alone |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for key, name in names.items():
        if key not in report:
            continue
        one = report[key]
        interval = f"{one['eer_one_vote_low']:.1%} to {one['eer_one_vote_high']:.1%}"
        sexes = [f"{one['by_sex'][sex]['eer']:.1%}" if sex in one["by_sex"] else "–" for sex in ("women", "men")]
        lines.append(
            f"| {name} | {one['eer']:.1%} | {one['eer_one_vote_a_person']:.1%} ({interval}) | {one['auc']:.3f} | "
            + " | ".join(sexes)
            + " |"
        )
    numbers = report["identity"]
    lines += ["", f"The limit at equal error is a cosine of {numbers['eer_threshold']:.3f}. At others:", ""]
    lines += ["| pairs of two people accepted | pairs of one person refused | cosine |", "| --- | --- | --- |"]
    for point in numbers["roc"]:
        lines.append(f"| {point['accepted']:.1%} | {point['refused']:.1%} | {point['threshold']:.3f} |")
    lines += [
        "",
        "| | pictures, pairs | EER against all strangers | at the limit of all: one person refused | two accepted |",
    ]
    lines += ["| --- | --- | --- | --- | --- |"]
    for name, one in numbers["by_sex"].items():
        line = f"| {name} | {one['num_pictures']}, {one['num_same']} | {one['eer_all_strangers']:.1%} | "
        lines.append(line + f"{one['refused']:.1%} | {one['accepted']:.1%} |")
    if report["intruders"]:
        lines += ["", f"One of {NUM_PHOTOS} photos of a profile is a stranger's:", ""]
        lines += ["| margin | the stranger's photo is refused | own photos refused, where all are |"]
        lines += ["| --- | --- | --- |"]
        lines += [f"| {key} | {row['found']:.0%} | {row['refused']:.1%} |" for key, row in report["intruders"].items()]
    if "strangers" in report:
        lines += ["", *_stranger_lines(report["strangers"])]
    return "\n".join(lines) + "\n"


def _stranger_lines(strangers: dict[str, Any]) -> list[str]:
    lines = [f"{strangers['num_faces']} faces without names, all pairs of them taken for strangers:", ""]
    taught = "cosine" in strangers
    lines += ["| group | faces | pairs within it accepted |" + (" cosine to the teacher |" if taught else "")]
    lines += ["| --- | --- | --- |" + (" --- |" if taught else "")]
    for name, one in {"all": strangers, **strangers["groups"]}.items():
        line = f"| {name} | {one['num_faces']} | {one['accepted']:.1%} |"
        lines.append(line + (f" {one['cosine']:.3f} |" if taught else ""))
    return lines


main = script(EvaluateIdentityNetworkConfig, run)


if __name__ == "__main__":
    sys.exit(main())
