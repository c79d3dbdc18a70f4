"""Pipelines that steer portraits by attributes: they hold directions, and find new ones for a person to name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from diffusers import DiffusionPipeline
from torch import Tensor

from gan_space.errors import InputError, raise_all
from gan_space.latents.directions import DIRECTIONS_FOLDER, Direction, Directions, generator_hash
from gan_space.latents.discovery import (
    MarkedDirection,
    WStatistics,
    direction_from_marks,
    ganspace,
    sefa,
    w_statistics,
)
from gan_space.models.analyzer import Analyzer, skin_tone
from gan_space.models.face_identity import FaceIdentity
from gan_space.packs.attaching import attached
from gan_space.pipelines.base import PortraitPipeline
from gan_space.pipelines.drawing import codes_of_seeds
from gan_space.seeding import latents_from_seeds, seed_faults
from gan_space.settings import as_list, brief, is_one_of

METHODS = ("sefa", "ganspace")
W_SAMPLES_PER_DIM = 8  # codes drawn for the statistics of W, at least MIN_W_SAMPLES
MIN_W_SAMPLES = 2048
W_SEED, USUAL_SEED, TRIED_SEED = 3_300_000_000, 3_400_000_000, 3_500_000_000  # far from those that people use
USUAL_FACES, TRIED_FACES = 128, 24
TRIED_PSI = 0.7  # what faces are drawn with by default
SKIN_TONE = "skin_tone"


@dataclass(frozen=True)
class Effects:
    """What an amount of 1 does, on average, to faces of the generator.

    Args:
        attributes: change of each attribute that the analyzer reads, in standard deviations among faces drawn.
        skin_tone: the same for the lightness of the cheeks, which light moves as well.
        identity: how far from the person, 0 the same face, 1 as different as two faces are on average; None where
            nothing can tell.
    """

    attributes: dict[str, float]
    skin_tone: float
    identity: float | None


class SteeredPipeline(PortraitPipeline):
    """Base of pipelines with a generator: holds the directions of its model folder; finds and measures new ones."""

    def __init__(self, **components):
        super().__init__(**components)
        self._directions: Directions | None = None

    @property
    def directions(self) -> Directions | None:
        """What `attributes` can name, see `gan_space.latents.directions`; None where the model has no directions."""
        return self._directions

    @directions.setter
    def directions(self, directions: Directions | None) -> None:
        if directions is not None:
            with attached(self.generator, []):  # the weights as they are without any pack
                directions.check_fits(self.generator)
        self._directions = directions

    @property
    def resolution(self) -> int:
        """Width and height in px of a picture at upscale_factor 1."""
        return self.generator.config.resolution

    @classmethod
    def from_pipe(cls, pipeline: DiffusionPipeline, **components) -> Self:
        """Make a pipeline that shares the networks and the directions of another one; see `PortraitPipeline`."""
        new = super().from_pipe(pipeline, **components)
        if new.generator is pipeline.components.get("generator"):  # directions of one mean nothing in another
            if hasattr(pipeline, "directions"):
                new._directions = pipeline.directions
            elif new.source.folder is not None:
                new._load_extras(new.source.folder)
        return new

    def _load_extras(self, folder: Path) -> None:
        if (folder / DIRECTIONS_FOLDER).is_dir():
            self.directions = Directions.from_pretrained(folder / DIRECTIONS_FOLDER)

    def _save_extras(self, folder: Path) -> tuple[str, ...]:
        if self.directions is not None:
            # The weights may have been cast since the directions were checked against them.
            self.directions.made_for(self.generator).save_pretrained(folder / DIRECTIONS_FOLDER)
        return (DIRECTIONS_FOLDER,)

    # New directions

    def find_directions(
        self, method: str = "sefa", layers: str | Sequence[int] = "all", count: int = 6
    ) -> list[Direction]:
        """Return directions that the network has by itself, strongest first, without names.

        Args:
            method: "sefa", what the style layers react to most, or "ganspace", along what W varies most.
            layers: rows of w_plus that change, see `parse_layers`.
            count: how many.

        Raises:
            InputError: an unknown method or layer, or more directions than W has dimensions.

        Example:
            >>> found = pipe.find_directions("sefa", "middle", 6)  # doctest: +SKIP
            >>> fringe = name_direction(found[2], "Fringe")  # doctest: +SKIP
            >>> pipe.with_directions([fringe])(seeds=[1], attributes={"fringe": 2}).images  # doctest: +SKIP
        """
        if not is_one_of(method, METHODS):
            raise InputError(f"method must be one of {', '.join(METHODS)}, got {brief(method)}")
        generator, statistics = self.generator, self.w_statistics()
        if method == "sefa":
            with attached(generator, []):  # the weights as they are without any pack
                return sefa(generator.synthesis, layers, count, statistics)
        return ganspace(statistics, layers, count, generator.num_ws)

    def direction_from_seeds(
        self,
        more: Sequence[int],
        less: Sequence[int],
        *,
        name: str,
        label: dict[str, str] | None = None,
        layers: str | Sequence[int] = "all",
        truncation_psi: float = 0.7,
        class_number: int | None = None,
    ) -> MarkedDirection:
        """Return a direction from faces that a person marked as having more or less of something, by their seeds.

        Args:
            more, less: seeds, about twenty of each; 2 at least.
            name, label, layers: see `latents.discovery.direction_from_marks`.
            truncation_psi: with which the faces were drawn.
            class_number: of a generator with classes.

        Raises:
            InputError: too few, a face on both sides, or a name for race or skin tone; all faults at once.
        """
        given, more, less = {"more": more, "less": less}, as_list(more), as_list(less)
        wrong = [side for side, seeds in (("more", more), ("less", less)) if seeds is None]
        raise_all([f"{side} must be a list of seeds, got {brief(given[side])}" for side in wrong], InputError)
        raise_all(seed_faults("more", more) + seed_faults("less", less), InputError)
        both = sorted(set(more) & set(less))
        faults = [f"seeds {both} are marked as more and as less; choose one side for each"] if both else []
        raise_all(faults, InputError)
        codes = [self._codes_for(seeds, truncation_psi, class_number) for seeds in (more, less)]
        return direction_from_marks(*codes, self.w_statistics(), name=name, label=label, layers=layers)

    def with_directions(self, items: Sequence[Direction]) -> Self:
        """Make a pipeline of these networks whose `attributes` can name these directions too; this one stays as it is.

        Raises:
            InputError: directions of another shape, too many, or two of one name.
            WeightsError: directions for another generator.
        """
        new = type(self).from_pipe(self)
        new.directions = self.joined_directions(items)
        return new

    def joined_directions(self, items: Sequence[Direction], record: dict | None = None) -> Directions | None:
        """Join the pipeline's directions and these, which replace those of the same name; None for none at all.

        `save_pretrained` of the result writes the folder directions/ of a model folder.
        """
        known = {one.name: one for one in self.directions or ()}
        known |= {one.name: one for one in items}
        if not known:
            return None
        return self.bind_directions(
            list(known.values()), record or dict(self.directions.record if self.directions else {})
        )

    def bind_directions(self, items: Sequence[Direction], record: dict | None = None) -> Directions:
        """Return these directions alone, bound to this pipeline's generator."""
        if self.directions is not None:
            base_hash = self.directions.base_hash
        else:
            with attached(self.generator, []):
                base_hash = generator_hash(self.generator)
        return Directions(tuple(items), base_hash, self.model_name, record or {})

    @torch.no_grad()
    def draw_along(
        self,
        direction: Direction,
        seeds: Sequence[int],
        amounts: Sequence[float],
        *,
        truncation_psi: float = 0.7,
        class_number: int | None = None,
        batch_size: int = 8,
    ) -> Tensor:
        """Draw every face at every amount of a direction: [N, A, 3, R, R] float32 in [-1, 1] on the CPU."""
        codes = self._codes_for(seeds, truncation_psi, class_number)  # [N, num_ws, w_dim]
        steps = torch.tensor(list(amounts), dtype=torch.float32)[:, None, None] * direction.vector
        moved = (codes[:, None] + steps.to(codes)).flatten(0, 1)
        with attached(self.generator, []):
            parts = [
                self.generator.synthesis(part, noise_mode="const").float().cpu() for part in moved.split(batch_size)
            ]
        return torch.cat(parts).unflatten(0, (len(seeds), len(amounts)))

    @torch.no_grad()
    def measure_effects(
        self, direction: Direction, analyzer: Analyzer, identity: FaceIdentity | None = None
    ) -> Effects:
        """Let an analyzer say what else a direction changes, on faces that nobody chose.

        Args:
            direction: of this generator.
            analyzer: for faces in the frame of this generator.
            identity: for the same; None leaves open whether the person stays.
        """
        drawn = self.draw_along(direction, range(TRIED_SEED, TRIED_SEED + TRIED_FACES), (-1.0, 0.0, 1.0),
                                truncation_psi=TRIED_PSI, class_number=self._first_class())  # fmt: skip
        low, plain, high = (drawn[:, number] for number in range(3))
        change = _scores(analyzer, high) - _scores(analyzer, low)
        change = (change.mean(dim=0) / 2 / self._usual_deviation(analyzer)).tolist()  # for an amount of 1
        names = [*analyzer.config.attributes, SKIN_TONE]
        found = {name: round(value, 4) for name, value in zip(names, change, strict=True)}
        tone = found.pop(SKIN_TONE)
        if identity is None:
            return Effects(found, tone, None)
        vectors = [identity(faces.clamp(-1, 1).to(identity.device)) for faces in (low, plain, high)]
        strangers = (vectors[1] * vectors[1].roll(1, 0)).sum(dim=1).mean().item()
        cosine = sum((moved * vectors[1]).sum(dim=1).mean().item() for moved in (vectors[0], vectors[2])) / 2
        return Effects(found, tone, round((1 - cosine) / max(1 - strangers, 1e-6), 4))

    def measured(self, direction: Direction, effects: Effects) -> Direction:
        """Return the direction with these effects in its record."""
        return replace(direction, effects=effects.attributes, identity=effects.identity)

    @torch.no_grad()
    def w_statistics(self) -> WStatistics:
        """Measure mean and spread of W, from some thousand codes; measured once."""
        known = getattr(self, "_w_statistics", None)
        if known is None or known[0] is not self.generator:
            config = self.generator.config
            count = max(MIN_W_SAMPLES, W_SAMPLES_PER_DIM * config.w_dim)
            z = latents_from_seeds(range(W_SEED, W_SEED + count), config.z_dim, self.generator.device)
            c = None
            if config.c_dim:  # all classes alike
                numbers = torch.from_numpy(np.random.RandomState(0).randint(config.c_dim, size=count))
                c = torch.nn.functional.one_hot(numbers, config.c_dim).float().to(z.device)
            parts = []
            for start in range(0, count, 1024):
                rows = slice(start, start + 1024)
                parts.append(self.generator.mapping(z[rows], None if c is None else c[rows])[:, 0].cpu())
            known = self.generator, w_statistics(torch.cat(parts))
            self._w_statistics = known
        return known[1]

    def _usual_deviation(self, analyzer: Analyzer) -> Tensor:
        """Deviation [K] of scores among the generator's faces."""
        known = getattr(self, "_usual", None)
        if known is None or known[0] is not analyzer:
            seeds = range(USUAL_SEED, USUAL_SEED + USUAL_FACES)
            zero = Direction("none", torch.ones(self.generator.num_ws, self.generator.config.w_dim))
            drawn = self.draw_along(zero, seeds, (0.0,), truncation_psi=1.0, class_number=self._first_class())
            known = analyzer, _scores(analyzer, drawn[:, 0]).std(dim=0).clamp(min=1e-6)
            self._usual = known
        return known[1]

    def _first_class(self) -> int | None:
        return 0 if self.generator.config.c_dim else None

    @torch.no_grad()
    def _codes_for(self, seeds: Sequence[int], truncation_psi: float, class_number: int | None) -> Tensor:
        numbers = [class_number] * len(seeds)
        return codes_of_seeds(self.generator, list(seeds), truncation_psi, None, numbers).cpu()


def _scores(analyzer: Analyzer, faces: Tensor) -> Tensor:
    """Scores [N, K], skin tone last, of faces [N, 3, R, R]."""
    faces = faces.clamp(-1, 1).to(analyzer.device)
    scores = [*analyzer(faces).scores.values(), skin_tone(analyzer.resize(faces))]
    return torch.stack(scores, dim=1).double().cpu()
