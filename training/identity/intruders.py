"""How well a stranger's photo among somebody's own is noticed, as a profile is made (`find_outliers`)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gan_space.pipelines.photo_filter import PhotoLimits, find_outliers

MARGINS = (0.1, PhotoLimits().outlier_margin, 0.3, 0.4)
ROUNDS = 400


def intruder_rates(
    embeddings: Tensor,
    person: Tensor,
    *,
    num_photos: int,
    margins: Sequence[float] = MARGINS,
    rounds: int = ROUNDS,
    seed: int = 0,
) -> dict[str, dict[str, float]]:
    """Hide one photo of somebody else among a person's, again and again.

    Args:
        embeddings: [N, D] of unit length.
        person: [N] int64, the same number for the same person, -1 for nobody in particular.
        num_photos: photos in a round, one of them the stranger's.
        margins: of `find_outliers`, tried on the same rounds.
        rounds: how many.
        seed: of the choice.

    Returns:
        For each margin "found": share of rounds in which the stranger's photo is refused; "refused": share of the
        person's own photos that are, in rounds of their own alone. Nothing where fewer than two people have enough.
    """
    random = torch.Generator().manual_seed(seed)
    numbers, counts = person[person >= 0].unique(return_counts=True)
    enough = numbers[counts >= num_photos]
    if len(enough) < 2:
        return {}
    rows = {int(number): torch.nonzero(person == number).flatten() for number in enough}
    found, refused = dict.fromkeys(margins, 0), dict.fromkeys(margins, 0)
    for _ in range(rounds):
        own, other = enough[torch.randperm(len(enough), generator=random)[:2]].tolist()
        chosen = rows[own][torch.randperm(len(rows[own]), generator=random)[:num_photos]]
        stranger = rows[other][torch.randint(len(rows[other]), [1], generator=random)]
        mixed = torch.cat([chosen[:-1], stranger])
        for margin in margins:
            found[margin] += num_photos - 1 in find_outliers(embeddings[mixed], margin)
            refused[margin] += len(find_outliers(embeddings[chosen], margin))
    return {
        f"{margin:g}": {"found": found[margin] / rounds, "refused": refused[margin] / (rounds * num_photos)}
        for margin in margins
    }
