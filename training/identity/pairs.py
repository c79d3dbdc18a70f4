"""How well an embedding tells people apart: all pairs of pictures of people that it never saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from gan_space.errors import DataError
from gan_space.whole_files import write_json

NUM_BOOTSTRAPS = 200
# Where the two distributions of cosines are written down, so that others can say how unusual a cosine is.
SHARES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)


def auc(score: np.ndarray, positive: np.ndarray) -> float:
    """Return the chance that a positive scores higher than a negative, ties half (Mann-Whitney); nan for one kind."""
    positive = positive.astype(bool)
    high, low = score[positive], np.sort(score[~positive])
    if not len(high) or not len(low):
        return float("nan")
    below = np.searchsorted(low, high, side="left") + np.searchsorted(low, high, side="right")
    return float(below.mean() / 2 / len(low))


class Pairs(NamedTuple):
    """Cosines of all pairs of pictures of a set of people."""

    same: np.ndarray  # [P]
    same_person: np.ndarray  # [P], whose
    different: np.ndarray  # [Q]


def compare(embedding: np.ndarray, person: np.ndarray) -> Pairs:
    """Return all pairs of N pictures; those of nobody in particular (-1) make no pair of one person, only of two.

    Args:
        embedding: [N, D] unit vectors.
        person: [N] numbers.
    """
    cosine = embedding @ embedding.T
    i, j = np.triu_indices(len(embedding), 1)
    same = (person[i] == person[j]) & (person[i] >= 0)
    return Pairs(cosine[i, j][same], person[i][same], cosine[i, j][~same])


class EqualError(NamedTuple):
    """Where as many pairs of one person are refused as pairs of two are accepted."""

    rate: float
    threshold: float  # a cosine: above it, the pair is taken for one person


def equal_error(same: np.ndarray, different: np.ndarray, weight: np.ndarray | None = None) -> EqualError:
    """Return the equal-error rate; the mean of both rates at the threshold where they come closest.

    Args:
        same, different: cosines.
        weight: of each pair in `same`.
    """
    weight = np.full(len(same), 1 / len(same)) if weight is None else weight / weight.sum()
    order = np.argsort(same, kind="stable")
    thresholds = np.unique(np.concatenate([same, different]))
    refused = np.concatenate([[0.0], np.cumsum(weight[order])])[np.searchsorted(same[order], thresholds, side="right")]
    accepted = 1 - np.searchsorted(np.sort(different), thresholds, side="right") / len(different)
    best = int(np.argmin(np.abs(refused - accepted)))
    return EqualError(float((refused[best] + accepted[best]) / 2), float(thresholds[best]))


def identity_metrics(embedding: np.ndarray, person: np.ndarray, seed: int = 0) -> dict[str, Any]:
    """Return the equal-error rate over all pairs, and with one vote for each person, with a bootstrap over people.

    "quantiles" holds the distributions of the cosines: below same[i] lies the share shares[i] of pairs of one person.

    Raises:
        DataError: no person with two pictures, or only one person.
    """
    pairs = compare(embedding, person)
    if not len(pairs.same) or not len(pairs.different):
        raise DataError("identities can only be measured on several people, some of them with two pictures or more")
    people, number, count = np.unique(pairs.same_person, return_inverse=True, return_counts=True)
    vote = 1 / count[number]
    total, balanced = equal_error(pairs.same, pairs.different), equal_error(pairs.same, pairs.different, vote)
    is_same = np.arange(len(pairs.same) + len(pairs.different)) < len(pairs.same)
    random = np.random.default_rng(seed)
    rates = []
    for _ in range(NUM_BOOTSTRAPS):
        drawn = np.bincount(random.integers(0, len(people), len(people)), minlength=len(people))[number]
        rates.append(equal_error(pairs.same[drawn > 0], pairs.different, (vote * drawn)[drawn > 0]).rate)
    return {
        "num_pictures": len(person),
        "num_people_with_pairs": len(people),
        "num_same": len(pairs.same),
        "num_different": len(pairs.different),
        "auc": auc(np.concatenate([pairs.same, pairs.different]), is_same),
        "eer": total.rate,
        "eer_threshold": total.threshold,
        "eer_one_vote_a_person": balanced.rate,
        "eer_one_vote_low": float(np.quantile(rates, 0.025)),
        "eer_one_vote_high": float(np.quantile(rates, 0.975)),
        "effective_dim": effective_dim(embedding),
        "mean_same": float(pairs.same.mean()),
        "mean_different": float(pairs.different.mean()),
        "quantiles": {
            "shares": list(SHARES),
            "same": np.quantile(pairs.same, SHARES).round(4).tolist(),
            "different": np.quantile(pairs.different, SHARES).round(4).tolist(),
        },
    }


def effective_dim(embedding: np.ndarray) -> float:
    """Say how many directions [N, D] vectors spread over: (sum of variances)² / sum of squared ones, from 1 to D.

    Near 1 or 2 the embedding has collapsed (Jing et al. 2022), whatever its equal-error rate says.
    """
    variances = np.linalg.svd(embedding - embedding.mean(axis=0), compute_uv=False) ** 2
    return float(variances.sum() ** 2 / np.maximum(np.square(variances).sum(), 1e-30))


def pixel_embedding(images: Tensor, side: int = 16) -> np.ndarray:
    """Return the unit vectors of small pictures with mean 0 and deviation 1: what anyone gets without a network."""
    small = torch.nn.functional.interpolate(images, size=(side, side), mode="bilinear", antialias=True).flatten(1)
    small = (small - small.mean(dim=1, keepdim=True)) / (small.std(dim=1, keepdim=True) + 1e-6)
    small = small - small.mean(dim=0)  # the mean face is in all of them
    return torch.nn.functional.normalize(small, dim=1).double().numpy()


class ReportFiles(Protocol):
    """Where a report goes besides the screen; None: nowhere."""

    output: Path | None
    table: Path | None
    histogram: Path | None


def write_report(report: dict, tables: str, pairs: Pairs | None, files: ReportFiles) -> None:
    """Print the tables, and write the files that are asked for; `pairs` are those of the histogram."""
    print(tables)
    if files.output is not None:
        write_json(files.output, report)
    if files.table is not None:
        files.table.write_text(tables)
    if files.histogram is not None:
        numbers = report["identity"]
        title = f"{numbers['num_people_with_pairs']} people never seen, EER {numbers['eer']:.1%}"
        histogram(pairs, numbers["eer_threshold"], title).save(files.histogram)


def histogram(pairs: Pairs, threshold: float, title: str) -> Image.Image:
    """Draw the cosines of same-person pairs (blue) and of different people (orange), each with an area of 1."""
    width, height, left, bottom, top = 640, 300, 20, 40, 36
    picture = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(picture, "RGBA")
    edges = np.linspace(-1, 1, 61)
    columns = np.linspace(left, width - left, 61)
    bars = [np.histogram(values, bins=edges)[0] / len(values) for values in (pairs.different, pairs.same)]
    scale = (height - bottom - top) / max(max(bar.max() for bar in bars), 1e-9)
    for bar, colour in zip(bars, ((225, 120, 30, 150), (30, 90, 200, 150)), strict=True):
        for number, share in enumerate(bar):
            if share:
                box = (columns[number], height - bottom - share * scale, columns[number + 1] - 1, height - bottom)
                draw.rectangle(box, fill=colour)
    draw.line((left, height - bottom, width - left, height - bottom), fill="black")
    x = left + (threshold + 1) / 2 * (width - 2 * left)
    draw.line((x, top, x, height - bottom), fill="black")
    for value in (-1, -0.5, 0, 0.5, 1):
        x = left + (value + 1) / 2 * (width - 2 * left)
        draw.text((x, height - bottom + 12), f"{value:g}", fill="black", anchor="mm")
    draw.text((left, 12), title, fill="black")
    draw.text((width - left, 12), "blue: one person   orange: two", fill="black", anchor="ra")
    draw.text((width / 2, height - 10), "cosine of two pictures", fill="black", anchor="mm")
    return picture
