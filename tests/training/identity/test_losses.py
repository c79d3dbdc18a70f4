"""The losses of the identity network, against slow ones."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F

from training.identity.losses import identity_losses


def unit(num: int, seed: int) -> torch.Tensor:
    return F.normalize(torch.randn(num, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=1)


def test_each_term_is_what_its_formula_says():
    pupil, teacher, strangers = unit(4, 0), unit(4, 1), unit(5, 2)
    losses = identity_losses(pupil, teacher, strangers, temperature=0.5)
    cosine = sum(1 - float(p @ t) for p, t in zip(pupil, teacher, strict=True)) / 4
    pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
    relation = sum((float(pupil[i] @ pupil[j]) - float(teacher[i] @ teacher[j])) ** 2 for i, j in pairs) / len(pairs)
    contrastive = 0.0
    for i in range(4):
        scores = [math.exp(float(pupil[i] @ other) / 0.5) for other in [*teacher, *strangers]]
        contrastive -= math.log(scores[i] / sum(scores)) / 4
    for name, value in {"cosine": cosine, "relation": relation, "contrastive": contrastive}.items():
        torch.testing.assert_close(losses[name].item(), value)


def test_the_teacher_itself_has_nothing_to_learn():
    teacher = unit(4, 1)
    losses = identity_losses(teacher, teacher, unit(5, 2), temperature=0.01)
    assert losses["cosine"].abs() < 1e-6 and losses["relation"] == 0 and losses["contrastive"] < 1e-3
