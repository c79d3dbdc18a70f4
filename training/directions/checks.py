"""Does a direction do what it says? Faces are moved along it, drawn, and scored by a network that knows no better."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from gan_space.latents.discovery import WStatistics, w_statistics
from gan_space.latents.editing import edit_state
from gan_space.models.editor import Editor
from gan_space.models.encoder import Encoder
from gan_space.models.generator import Generator
from gan_space.models.synthesis import SynthesisNetwork, SynthesisState
from gan_space.portraits.colors import keep_light

BACK_STEP = 0.1  # standard deviations that a score may go back between two amounts and still count as monotone
ARRIVED = 0.5  # standard deviations from the mean at which a face has arrived, for attributes without a yes and no
USUAL_SHARE = 0.9  # of the faces must look usual at a safe amount
USUAL_QUANTILE = 0.99  # as usual as this share of the generator's own faces without truncation
USUAL_ALONG = 4.0  # standard deviations of W along one line
LEAST_GAIN = 0.25  # standard deviations of the score for an amount of 1, or the slider ends there
SAME_PERSON = 0.7  # of the way to another person, by the embedding, that a face may go
REAL_QUANTILE = 0.05  # the mean logit may fall by as much as the worst 5 % of the generator's faces lie below theirs


class Scores(NamedTuple):
    """What is read off N faces."""

    values: dict[str, Tensor]  # [N] each, unbounded
    natural: dict[str, Tensor]  # [N] each, in the unit that people use
    watched: dict[str, Tensor]  # [N] each: must not change, and never become a direction
    embedding: Tensor | None  # [N, E] of unit length


Scorer = Callable[[Tensor], Scores]  # of images [N, 3, R, R] in [-1, 1]


class Faces(Protocol):
    """Faces that can be moved along directions."""

    def __len__(self) -> int: ...

    def draw(self, shift: Tensor, rows: slice) -> Tensor:
        """Draw the faces in `rows` after adding `shift` [num_ws, w_dim] to their codes: [n, 3, R, R]."""


@dataclass(frozen=True, eq=False)
class DrawnFaces:
    """Faces of the generator: w_plus [N, num_ws, w_dim]."""

    synthesis: SynthesisNetwork
    w_plus: Tensor

    def __len__(self) -> int:
        return len(self.w_plus)

    def draw(self, shift: Tensor, rows: slice) -> Tensor:
        """Draw faces with their codes shifted."""
        return self.synthesis(self.w_plus[rows] + shift, noise_mode="const")


@dataclass(frozen=True, eq=False)
class EncodedFaces:
    """Real faces [N, 3, R, R] in [-1, 1], as `PersonalizationPipeline.edit` changes them.

    With `keeps_light`, moved faces keep the light of the photo.
    """

    synthesis: SynthesisNetwork
    encoder: Encoder
    images: Tensor
    editor: Editor | None = None
    keeps_light: bool = True
    _unmoved: dict[tuple, tuple[Tensor, SynthesisState, Tensor]] = field(default_factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        return len(self.images)

    def draw(self, shift: Tensor, rows: slice) -> Tensor:
        """Draw photos with their codes shifted, and the change in their features with it."""
        resolution = self.encoder.config.feature_resolution
        code, state, before = self._without_change(rows)
        moved = code + shift
        new_state = edit_state(self.synthesis, state, code, moved, resolution, self.editor)
        after = self.synthesis.finish(new_state, moved, resolution)
        return keep_light(before, after) if self.keeps_light else after

    def _without_change(self, rows: slice) -> tuple[Tensor, SynthesisState, Tensor]:
        """Code and features of the faces in `rows`, and what they draw; the same for every shift, so it is kept."""
        key = (rows.start, rows.stop)  # slices cannot be keys before Python 3.12
        if key not in self._unmoved:
            code, state = self.encoder(self.images[rows])
            before = self.synthesis.finish(state, code, self.encoder.config.feature_resolution)
            self._unmoved[key] = code, state, before
        return self._unmoved[key]


@dataclass(frozen=True, eq=False)
class Population:
    """What is usual among the generator's own faces without truncation.

    Args:
        names: of the K scores; attributes first, then those only watched.
        num_attributes: how many of them are attributes.
        mean, std: [K] of the scores.
        other_person: mean of 1 - cosine between the embeddings of two faces; None without embeddings.
        w: mean and spread of W.
        usual_distance: of w from the mean, which 99 % of the faces do not pass.
        usual_drop: from the mean logit of the discriminator to the one that 95 % of the faces pass; None without a
            discriminator.
    """

    names: tuple[str, ...]
    num_attributes: int
    mean: Tensor
    std: Tensor
    other_person: float | None
    w: WStatistics
    usual_distance: float
    usual_drop: float | None = None

    def standardise(self, scores: Scores) -> Tensor:
        """Return [N, K] in standard deviations."""
        return (_stack(scores) - self.mean) / self.std


def measure_population(w: Tensor, scores: Scores, logits: Tensor | None = None) -> Population:
    """Measure it.

    Args:
        w: [M, w_dim]; many times w_dim of them, or codes that are not among them will seem unusual.
        scores: of N faces.
        logits: [N] of the discriminator for these faces.
    """
    stacked = _stack(scores)
    statistics = w_statistics(w)
    other = None
    if scores.embedding is not None:
        other = (1 - (scores.embedding * scores.embedding.roll(1, 0)).sum(dim=1)).mean().item()
    return Population(
        names=(*scores.values, *scores.watched),
        num_attributes=len(scores.values),
        mean=stacked.mean(dim=0),
        std=stacked.std(dim=0).clamp(min=1e-6),
        other_person=other,
        w=statistics,
        usual_distance=statistics.distance(w).quantile(USUAL_QUANTILE).item(),
        usual_drop=None if logits is None else (logits.mean() - logits.quantile(REAL_QUANTILE)).item(),
    )


def _stack(scores: Scores) -> Tensor:
    return torch.stack([*scores.values.values(), *scores.watched.values()], dim=1).double()  # [N, K]


@dataclass(frozen=True, eq=False)
class Judge:
    """Scores faces against a population.

    Args:
        scorer: reads attributes.
        population: what is usual.
        logits: of a discriminator for images, or None.
        batch_size: faces drawn at once.
    """

    scorer: Scorer
    population: Population
    logits: Callable[[Tensor], Tensor] | None = None
    batch_size: int = 32

    def sweep(self, faces: Faces, vector: Tensor, amounts: Sequence[float]) -> Sweep:
        """Draw and score all faces at all amounts of `vector` [num_ws, w_dim]."""
        values, natural, embeddings, logits = [], [], [], []
        for amount in amounts:
            images, scores = draw_and_score(faces, self.scorer, amount * vector, self.batch_size)
            values.append(self.population.standardise(scores))
            natural.append(torch.stack(list(scores.natural.values()), dim=1))
            embeddings.append(scores.embedding)
            if self.logits is not None:
                logits.append(torch.cat([self.logits(batch) for batch in images.split(self.batch_size)]))
        return Sweep(
            tuple(amounts),
            torch.stack(values),
            torch.stack(natural),
            None if embeddings[0] is None else torch.stack(embeddings),
            torch.stack(logits) if logits else None,
        )


@torch.no_grad()
def draw_and_score(faces: Faces, scorer: Scorer, shift: Tensor, batch_size: int) -> tuple[Tensor, Scores]:
    """Draw all faces, as 8-bit files would hold them at most, and score them."""
    images = [
        faces.draw(shift, slice(start, start + batch_size)).clamp(-1, 1) for start in range(0, len(faces), batch_size)
    ]
    parts = [scorer(batch) for batch in images]
    joined = [{name: torch.cat([part[i][name] for part in parts]) for name in parts[0][i]} for i in range(3)]
    embedding = None if parts[0].embedding is None else torch.cat([part.embedding for part in parts])
    return torch.cat(images), Scores(*joined, embedding)


@dataclass(frozen=True, eq=False)
class Sweep:
    """Scores of N faces at A amounts."""

    amounts: tuple[float, ...]
    values: Tensor  # [A, N, K] in standard deviations
    natural: Tensor  # [A, N, attributes]
    embedding: Tensor | None = None  # [A, N, E]
    logits: Tensor | None = None  # [A, N]

    def at(self, amount: float) -> int:
        """Return the number of an amount."""
        return min(range(len(self.amounts)), key=lambda index: abs(self.amounts[index] - amount))

    def effects(self, low: float, high: float) -> Tensor:
        """Return [K], the mean change of every score between two amounts, for an amount of 1."""
        return (self.values[self.at(high)] - self.values[self.at(low)]).mean(dim=0) / (high - low)


@dataclass(frozen=True)
class Measured:
    """How well a direction does; see `Direction` for the words."""

    safe_range: tuple[float, float]
    success: float
    monotone: float
    identity: float | None
    step: float
    identity_step: float | None = None  # as `identity`, while the own score changes by one standard deviation
    effects: dict[str, float] = field(default_factory=dict)
    means: dict[str, float] = field(default_factory=dict)

    def leak(self, name: str) -> dict[str, float]:
        """Return the change of every other score while `name` changes by one standard deviation."""
        own = self.effects[name]
        return {key: effect / own for key, effect in self.effects.items() if key != name} if own else {}


def measure_direction(
    sweep: Sweep, target: int, population: Population, safe_range: tuple[float, float], threshold: float | None
) -> Measured:
    """Summarise a sweep.

    Args:
        sweep: at 0, at both ends of the range, and in between.
        target: number of the attribute.
        population: what it is measured against.
        safe_range: ends of the slider.
        threshold: raw score above which a face has the attribute; None: half a standard deviation from the mean.
    """
    low, high = safe_range
    inside = [index for index, amount in enumerate(sweep.amounts) if low <= amount <= high]
    inside.sort(key=lambda index: sweep.amounts[index])
    own = sweep.values[inside, :, target]  # [A, N]
    means = {f"{sweep.amounts[index]:g}": sweep.values[index, :, target].mean().item() for index in inside}
    full = sweep.natural[sweep.at(high), :, target] - sweep.natural[sweep.at(low), :, target]
    effects = sweep.effects(low, high) if high > low else torch.zeros(len(population.names))
    by_one = identity_change(sweep, population, (max(low, -1.0), min(high, 1.0)))
    return Measured(
        safe_range=safe_range,
        success=success_share(sweep, target, population, safe_range, threshold),
        monotone=(own.diff(dim=0) >= -BACK_STEP).all(dim=0).double().mean().item(),
        identity=identity_change(sweep, population, safe_range),
        step=full.mean().item() / max(high - low, 1e-6),
        identity_step=by_one / abs(effects[target].item()) if by_one is not None and effects[target] else None,
        effects=dict(zip(population.names, effects.tolist(), strict=True)),
        means=means,
    )


def success_share(
    sweep: Sweep, target: int, population: Population, ends: tuple[float, float], threshold: float | None
) -> float:
    """Return the share of faces that arrive at the slider's ends, of those not there before; 0 if the slider is 0.

    A face has arrived when it passed the threshold, or half a standard deviation from the mean where there is none.
    Counting faces that show the attribute anyway would flatter every direction.
    """
    limit = torch.zeros([], dtype=torch.float64)
    slack = ARRIVED
    if threshold is not None:
        limit, slack = (threshold - population.mean[target]) / population.std[target], 0.0
    before = sweep.values[sweep.at(0), :, target]
    arrived = []
    for end, sign in zip(ends, (-1, 1), strict=True):
        outside = sign * (before - limit) <= slack
        after = sweep.values[sweep.at(end), :, target][outside]
        if len(after):
            arrived.append((sign * (after - limit) > slack).double().mean().item())
    return sum(arrived) / len(arrived) if arrived else 0.0


def identity_change(sweep: Sweep, population: Population, ends: tuple[float, float]) -> float | None:
    """Average 1 - cosine to the face before, at both ends, over that of two people; None without embeddings."""
    if sweep.embedding is None or not population.other_person:
        return None
    before = sweep.embedding[sweep.at(0)]
    changes = [1 - (sweep.embedding[sweep.at(end)] * before).sum(dim=1).mean().item() for end in ends]
    return sum(changes) / 2 / population.other_person


def usual_range(
    vector: Tensor, w_plus: Tensor, population: Population, amounts: Sequence[float]
) -> tuple[float, float]:
    """Find the largest of the amounts, to both sides of 0, up to which nine in ten moved codes are as usual as W's own.

    Two things are asked of a code: that it is no further from W's mean than usual, where rows that differ from each
    other, as they never do in W, count as distance; and that what the rows have in common stays within four standard
    deviations along the slider's own line, since in many dimensions the first alone lets a code go very far one way.

    Args:
        vector: [num_ws, w_dim].
        w_plus: [N, num_ws, w_dim] of the faces.
        amounts: tried from 0 outward.
    """
    w = population.w
    common = vector.double().mean(dim=0)
    apart = w.whiten(w.mean + vector.double() - common).square().sum()
    move, codes = w.whiten(w.mean + common), w.whiten(w_plus.mean(dim=1))  # [w_dim], [N, w_dim]
    line = codes @ torch.nn.functional.normalize(move, dim=0)  # [N]

    def is_usual(amount: float) -> bool:
        distance = ((codes + amount * move).square().sum(dim=1) + amount**2 * apart).sqrt()
        along = (line + amount * move.norm()).abs()
        near = (distance <= population.usual_distance) & (along <= USUAL_ALONG)
        return near.double().mean().item() >= USUAL_SHARE

    return outward(amounts, is_usual)


def safe_range_of(
    sweep: Sweep, target: int, vector: Tensor, w_plus: Tensor, population: Population
) -> tuple[float, float]:
    """Return the part of `usual_range` that is also in `believed_range`.

    Args:
        sweep: at 0 and at amounts to both sides.
        target: number of the score that the slider is for.
        vector, w_plus: see `usual_range`.
    """
    return believed_range(sweep, target, population, usual_range(vector, w_plus, population, sweep.amounts))


def believed_range(
    sweep: Sweep, target: int, population: Population, usual: tuple[float, float]
) -> tuple[float, float]:
    """Return the part of a range in which the score still follows, and the judges that there are still believe.

    The discriminator that it is a face, and the embedding that it is no other person's.
    """
    low, high = usual
    means = sweep.values[:, :, target].mean(dim=1)

    def is_safe(amount: float) -> bool:
        if not low <= amount <= high:
            return False
        if sweep.logits is not None:
            # Against the same faces unmoved: the discriminator also reads how varied a batch is.
            drop = sweep.logits[sweep.at(0)].mean() - sweep.logits[sweep.at(amount)].mean()
            if drop.item() > population.usual_drop:
                return False
        changed = identity_change(sweep, population, (amount, amount))
        if changed is not None and changed > SAME_PERSON:
            return False
        before = max((a for a in sweep.amounts if a * amount >= 0 and abs(a) < abs(amount)), key=abs)
        gain = (means[sweep.at(amount)] - means[sweep.at(before)]) / (amount - before)
        return gain.item() >= LEAST_GAIN

    return outward(sweep.amounts, is_safe)


def outward(amounts: Sequence[float], is_fine: Callable[[float], bool]) -> tuple[float, float]:
    """Say how far to both sides of 0 all amounts are fine."""
    ends = []
    for sign in (-1, 1):
        side = sorted((amount for amount in amounts if sign * amount > 0), key=abs)
        fine = list(itertools.takewhile(is_fine, side))
        ends.append(fine[-1] if fine else 0.0)
    return ends[0], ends[1]


def drawn_faces(generator: Generator, z: Tensor, truncation_psi: float) -> DrawnFaces:
    """Return faces from latents [N, z_dim]."""
    with torch.no_grad():
        return DrawnFaces(generator.synthesis, generator.mapping(z, truncation_psi=truncation_psi))
