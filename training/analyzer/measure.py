"""What is measured of an analyzer, while it is trained and afterwards."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gan_space.models.analyzer import Analyzer, AnalyzerOutput
from training.identity.pairs import auc

AGE_MIDDLES = np.array([25.0, 35.0, 45.0, 55.0, 65.0, 75.0])  # what an age group counts as, in years
MIN_GROUP = 10  # fewer known labels, or fewer on one side, give no number


@torch.no_grad()
def predict(model: Analyzer, images: Tensor, batch_size: int = 128) -> AnalyzerOutput:
    """Return what the analyzer says about [N, 3, S, S] in [-1, 1], in batches."""
    outputs = [model(batch.to(model.device)) for batch in images.split(batch_size)]
    attributes, scores = (
        {name: torch.cat([getattr(one, part)[name] for one in outputs]).cpu() for name in getattr(outputs[0], part)}
        for part in ("attributes", "scores")
    )
    return AnalyzerOutput(attributes, scores, torch.cat([one.embedding for one in outputs]).cpu())


def calibration_error(probability: np.ndarray, positive: np.ndarray, bins: int = 10) -> float:
    """Return the expected calibration error over bins of equal width (Guo et al. 2017)."""
    number = np.minimum((probability * bins).astype(int), bins - 1)
    gaps = [
        (number == b).mean() * abs(probability[number == b].mean() - positive[number == b].mean())
        for b in np.unique(number)
    ]
    return float(sum(gaps))


def attribute_metrics(attributes: dict[str, Tensor], labels: dict[str, Tensor]) -> dict[str, dict[str, float]]:
    """Measure each attribute over the faces with a known label.

    Args:
        attributes: natural units, each [N].
        labels: as in `LabelledFaces`, each [N].

    Returns:
        {name: {"num", …}}. Binary: share, auc, accuracy (at 0.5), ece. age: mae (years, to the middle of the group),
        within_one_group, correlation. yaw, brightness: mae, correlation. Left out where too few labels are known.
    """
    found = {}
    for name, value in attributes.items():
        if name not in labels:
            continue
        known = labels[name].isfinite()
        guess, label = value[known].double().numpy(), labels[name][known].double().numpy()
        parts: dict[str, float] = {"num": len(label)}
        if len(label) < MIN_GROUP:
            continue
        if name in ("age", "yaw", "brightness"):
            truth = AGE_MIDDLES[label.astype(int)] if name == "age" else label
            parts["mae"] = float(np.abs(guess - truth).mean())
            if name == "age":
                group = np.abs(guess[:, None] - AGE_MIDDLES).argmin(axis=1)
                parts["accuracy"] = float((group == label).mean())
                parts["within_one_group"] = float((np.abs(group - label) <= 1).mean())
            if guess.std() > 1e-9 and truth.std() > 1e-9:
                parts["correlation"] = float(np.corrcoef(guess, truth)[0, 1])
        else:
            if min(label.sum(), (1 - label).sum()) < MIN_GROUP // 2:
                continue
            parts |= {"share": float(label.mean()), "auc": auc(guess, label)}
            parts["accuracy"] = float(((guess > 0.5) == label).mean())
            parts["ece"] = calibration_error(guess, label)
        found[name] = parts
    return found
