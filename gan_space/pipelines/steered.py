"""Pipelines that steer portraits by attributes: they hold the directions of their generator."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from diffusers import DiffusionPipeline

from gan_space.latents.directions import DIRECTIONS_FOLDER, Directions
from gan_space.packs.low_rank import attached
from gan_space.pipelines.base import PortraitPipeline
from gan_space.pipelines.new_directions import DiscoveryMixin


class SteeredPipeline(DiscoveryMixin, PortraitPipeline):
    """Base of pipelines with a generator whose model folder may hold directions."""

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
