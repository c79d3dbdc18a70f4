"""Pipelines over the same networks whose attributes are limited to some layers, or joined by a visitor's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from gan_space.latents.directions import Direction, Directions
from gan_space.latents.layers import parse_layers
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.personalization import PersonalizationPipeline
from gan_space.ui.last_used import LastUsed

KEPT_PIPES = 16  # they hold no networks of their own, but to make one hashes the weights


class PipeShelf:
    """Makes and keeps them.

    Args:
        random: draws random faces.
        person: for photos and profiles; None where the model has none.
    """

    def __init__(self, random: GenerationPipeline, person: PersonalizationPipeline | None):
        self.random, self.person = random, person
        self._pipes: LastUsed[tuple, GenerationPipeline | PersonalizationPipeline] = LastUsed(KEPT_PIPES)

    def directions(self, own: Sequence[Direction] = ()) -> Directions | None:
        """Return the model's directions with a visitor's own."""
        return self.random.joined_directions(own) if own else self.random.directions

    def get(
        self, source: str, layers: tuple[str, ...] = (), own: tuple[Direction, ...] = ()
    ) -> GenerationPipeline | PersonalizationPipeline:
        """Return the pipeline for a source whose attributes change these groups of layers only, all of them if ()."""
        original = self.random if source == "random" else self.person
        if not layers and not own:
            return original

        def make() -> GenerationPipeline | PersonalizationPipeline:
            pipe = type(original).from_pipe(original)
            wanted = self.directions(own)
            if layers and wanted is not None:
                wanted = limit_layers(wanted, "+".join(layers), original.generator.num_ws) or wanted
            pipe.directions = wanted
            return pipe

        return self._pipes.get_or_make((source == "random", layers, own), make)


def limit_layers(directions: Directions, layers: str, num_ws: int) -> Directions | None:
    """Return the same directions in these layers alone; those that do nothing there are left out, None if all are."""
    rows = list(parse_layers(layers, num_ws))
    items = []
    for one in directions:
        vector = torch.zeros_like(one.vector)
        vector[rows] = one.vector[rows]
        if vector.any():
            items.append(replace(one, vector=vector))
    return replace(directions, items=tuple(items)) if items else None
