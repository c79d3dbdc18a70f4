"""Shares of groups of people among pictures, as the analyzer reads them; rough, and for comparing only."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_space.errors import InputError
from gan_space.images import from_uint8
from gan_space.models.analyzer import Analyzer
from training.common.face_labels import AGE_GROUPS

LARGEST_GAP = 0.5  # a share that is off by more than this part of the data's is marked
BATCH_SIZE = 128


@torch.no_grad()
def group_probabilities(analyzer: Analyzer, images: Tensor) -> dict[str, dict[str, Tensor]]:
    """Say how likely each face belongs to each group.

    Args:
        analyzer: in evaluation mode, with the attributes male and age and with race labels.
        images: [N, 3, S, S] uint8, faces in the tight frame.

    Returns:
        {"sex": {"women": [N], "men": [N]}, "age": {group: [N]}, "race label": {label: [N]}}; each kind sums to 1.

    Raises:
        InputError: the analyzer does not tell one of these.
    """
    missing = sorted({"male", "age"} - set(analyzer.config.attributes))
    if missing or len(analyzer.config.age_years) != len(AGE_GROUPS):
        raise InputError(f"groups need an analyzer of male and of {len(AGE_GROUPS)} age groups; it lacks {missing}")
    parts = []
    for batch in images.split(BATCH_SIZE):
        faces = from_uint8(batch)
        output = analyzer(faces)
        men = output.attributes["male"]
        above = (output.scores["age"][:, None] - analyzer.age_limits).sigmoid()  # P(older than limit k), falling
        edge = torch.ones(len(faces), 1)
        ages = torch.cat([edge, above], dim=1) - torch.cat([above, 0 * edge], dim=1)
        parts.append((torch.stack([1 - men, men], dim=1), ages, analyzer.groups(faces).race))
    names = {"sex": ("women", "men"), "age": AGE_GROUPS, "race label": tuple(analyzer.config.race_groups)}
    columns = [torch.cat(one).double().unbind(dim=1) for one in zip(*parts, strict=True)]
    return {kind: dict(zip(names[kind], of_kind, strict=True)) for kind, of_kind in zip(names, columns, strict=True)}


def compare_shares(samples: dict[str, dict[str, Tensor]], reals: dict[str, dict[str, Tensor]]) -> dict[str, dict]:
    """Set the shares of groups among samples against those among real pictures, both from `group_probabilities`.

    Returns:
        {kind: {group: {"samples", "reals", "ratio", "margin"}}}: shares, samples over reals, and half the width of the
        95 % interval of the ratio that comes from the numbers of pictures alone.
    """
    report: dict[str, dict] = {}
    for kind, groups in samples.items():
        report[kind] = {}
        for name, fake in groups.items():
            real = reals[kind][name]
            ratio = fake.mean() / real.mean()
            relative = sum(one.var() / len(one) / one.mean() ** 2 for one in (fake, real)).sqrt()  # to first order
            numbers = {"samples": fake.mean(), "reals": real.mean(), "ratio": ratio, "margin": 1.96 * ratio * relative}
            report[kind][name] = {key: float(value) for key, value in numbers.items()}
    return report


def format_groups(groups: dict[str, dict]) -> str:
    """Return the comparison as a table in Markdown; ratios that are off by more than half are marked."""
    lines = ["| | group | samples | data | samples / data |", "| --- | --- | --- | --- | --- |"]
    for kind, parts in groups.items():
        for name, one in parts.items():
            ratio = f"{one['ratio']:.2f} ± {one['margin']:.2f}"
            if abs(one["ratio"] - 1) > LARGEST_GAP:
                ratio = f"**{ratio}**"
            lines.append(f"| {kind} | {name} | {one['samples']:.1%} | {one['reals']:.1%} | {ratio} |")
    return "\n".join(lines)
