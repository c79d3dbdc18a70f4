"""What the codes of drawn faces say about their scores, read off by ridge regression; the start of every direction."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gan_space.latents.discovery import fit_readouts
from gan_space.models.generator import Generator
from gan_space.seeding import latents_from_seeds
from training.directions.checks import DrawnFaces, Population, Scorer, Scores, draw_and_score, measure_population
from training.directions.search import layer_groups

W_SAMPLES = 8192  # codes, which cost no drawing, that say what is usual in W
FIT_SEEDS = 3_000_000_000  # far from those that people use, and from those of other steps


class Readings(NamedTuple):
    """What codes and scores of many drawn faces say."""

    population: Population
    weights: Tensor  # [K, G, w_dim], of the standardised scores
    quality: dict[str, dict[str, float]]  # {score: {"explained": …, "accuracy": …}}, on faces left out


def read_off_codes(
    generator: Generator,
    scorer: Scorer,
    *,
    num_faces: int,
    mixed_share: float,
    psi: float,
    batch_size: int,
    seed: int,
    logits: Callable[[Tensor], Tensor] | None = None,
) -> Readings:
    """Draw faces, score them, and regress the scores on the codes.

    Args:
        generator: in eval mode; its faces in the frame that the scorer expects.
        scorer: reads attributes off images.
        num_faces: how many.
        mixed_share: share of them whose layer groups have codes of their own, which tells what each group does.
        psi: truncation of a quarter of them.
        batch_size: faces drawn at once.
        seed: of the faces and of which are left out.
        logits: of a discriminator for images [N, 3, R, R], or None.
    """
    z_dim, groups = generator.config.z_dim, layer_groups(generator.num_ws)
    first = FIT_SEEDS + 1_000_000 * seed
    seeds = np.arange(first, first + num_faces)
    usual = codes_in_w(generator, latents_from_seeds(seeds, z_dim))  # [N, w_dim]
    num_plain = num_faces - int(num_faces * mixed_share)
    codes = usual[:, None].repeat(1, len(groups), 1)  # [N, G, w_dim]
    mixed = len(codes) - num_plain
    for group in range(1, len(groups)):
        codes[num_plain:, group] = usual[num_plain:].roll(group * max(mixed // len(groups), 1), 0)
    # A quarter at the default truncation, where sliders are used.
    truncated = torch.arange(len(codes)) % 4 == 3
    codes[truncated] = generator.mapping.w_avg.lerp(codes[truncated], psi)

    w_plus = torch.zeros(len(codes), generator.num_ws, usual.shape[1])
    for number, rows in enumerate(groups):
        w_plus[:, list(rows)] = codes[:, number : number + 1]
    faces = DrawnFaces(generator.synthesis, w_plus)
    scores, judged = _score(faces, scorer, batch_size, logits)
    plain = torch.arange(num_plain)[~truncated[:num_plain]]
    many = codes_in_w(generator, latents_from_seeds(range(first + num_faces, first + num_faces + W_SAMPLES), z_dim))
    population = measure_population(many, _take(scores, plain), judged if judged is None else judged[plain])
    order = torch.from_numpy(np.random.RandomState(seed).permutation(len(codes)))
    standardised = population.standardise(scores)
    readouts = fit_readouts(codes[order], standardised[order])
    numbers = zip(population.names, readouts.explained.tolist(), readouts.accuracy.tolist(), strict=True)
    quality = {name: {"explained": r2, "accuracy": right} for name, r2, right in numbers}
    return Readings(population, readouts.weights, quality)


def _score(faces: DrawnFaces, scorer: Scorer, batch_size: int, logits) -> tuple[Scores, Tensor | None]:
    """Score many faces without keeping their pictures."""
    parts, judged = [], []
    zero = torch.zeros(faces.w_plus.shape[1:])
    for codes in faces.w_plus.split(batch_size):
        images, scores = draw_and_score(DrawnFaces(faces.synthesis, codes), scorer, zero, batch_size)
        parts.append(scores)
        if logits is not None:
            judged.append(logits(images))
    joined = [{name: torch.cat([part[i][name] for part in parts]) for name in parts[0][i]} for i in range(3)]
    embedding = None if parts[0].embedding is None else torch.cat([part.embedding for part in parts])
    return Scores(*joined, embedding), torch.cat(judged) if judged else None


def _take(scores: Scores, rows: Tensor) -> Scores:
    parts = [{name: value[rows] for name, value in part.items()} for part in scores[:3]]
    return Scores(*parts, None if scores.embedding is None else scores.embedding[rows])


@torch.no_grad()
def codes_in_w(generator: Generator, z: Tensor) -> Tensor:
    """Map without truncation [N, z_dim] -> [N, w_dim]."""
    return torch.cat([generator.mapping(batch)[:, 0] for batch in z.split(1024)])
