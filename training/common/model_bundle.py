"""The networks of a model that another network is trained or measured with; none of them changes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from gan_space.errors import WeightsError
from gan_space.latents.directions import DIRECTIONS_FOLDER, Directions
from gan_space.models.aligner import Aligner
from gan_space.models.analyzer import Analyzer
from gan_space.models.discriminator import Discriminator
from gan_space.models.encoder import Encoder
from gan_space.models.face_identity import FaceIdentity
from gan_space.models.generator import Generator
from gan_space.models.landmarker import Landmarker
from gan_space.packs.style import base_hash
from gan_space.pipelines.loading import resolve_model

NETWORKS = {
    "encoder": Encoder,
    "discriminator": Discriminator,
    "aligner": Aligner,
    "analyzer": Analyzer,
    "identity": FaceIdentity,
    "landmarker": Landmarker,
}


@dataclass(frozen=True)
class ModelBundle:
    """A generator and what its model folder holds beside it, in evaluation mode and without gradients.

    Args:
        generator: of the folder's `generator/`.
        encoder, discriminator, aligner, analyzer, identity, landmarker, directions: None where the folder has none, or
            where nobody asked for it.
        name: of the model, for records.
        folder: where it lies; None for networks in memory.
    """

    generator: Generator
    encoder: Encoder | None = None
    discriminator: Discriminator | None = None
    aligner: Aligner | None = None
    analyzer: Analyzer | None = None
    identity: FaceIdentity | None = None
    landmarker: Landmarker | None = None
    directions: Directions | None = None
    name: str = ""
    folder: Path | None = None

    @classmethod
    def load(
        cls, model: str | Path | None, *parts: str, needed: tuple[str, ...] = (), device: torch.device | str = "cpu"
    ) -> ModelBundle:
        """Read networks of a model.

        Args:
            model: a folder with at least `generator/`, a Hub id, or None for the embedded default.
            parts: names of what else is read where the model has it: keys of NETWORKS, and "directions".
            needed: the same for what the model must have.
            device: where they go.

        Raises:
            InputError: neither a folder nor a Hub id.
            WeightsError: a network is missing or cannot be read, or directions are for another generator.
        """
        name, folder = _find(model)
        has = {part: (folder / part / "config.json").is_file() for part in ("generator", *NETWORKS)}
        for part in (*needed, "generator"):
            if not has[part]:
                raise WeightsError(f"the model {name} has no {part}, which is needed here; train one first")

        def load(network, part: str):
            return network.from_pretrained(folder / part).eval().requires_grad_(False).to(device)

        wanted = (*parts, *needed)
        found = {part: load(network, part) for part, network in NETWORKS.items() if part in wanted and has[part]}
        generator = load(Generator, "generator")
        if "directions" in wanted and (folder / DIRECTIONS_FOLDER).is_dir():
            found["directions"] = Directions.from_pretrained(folder / DIRECTIONS_FOLDER)
            found["directions"].check_fits(generator)
        return cls(generator, **found, name=name, folder=folder)

    @property
    def networks(self) -> list[torch.nn.Module]:
        """Those that are there, the generator first."""
        rest = (getattr(self, name) for name in NETWORKS)
        return [self.generator, *(network for network in rest if network is not None)]

    @cached_property
    def base_hash(self) -> str:
        """Of generator and encoder, which packs are bound to."""
        return base_hash(self.generator, self.encoder)

    @torch.no_grad()
    def reconstruct(self, faces: Tensor) -> Tensor:
        """Return what the model makes of faces without any look: [N, 3, R, R] in [-1, 1]."""
        drawn = []
        for part in faces.split(16):
            code = self.encoder(part)
            drawn.append(
                self.generator.synthesis.finish(code.state, code.w_plus, self.encoder.feature_resolution).clamp(-1, 1)
            )
        return torch.cat(drawn)


def _find(model: str | Path | None) -> tuple[str, Path]:
    """Name and folder of a model; a folder with networks alone will do."""
    if model is not None and Path(model).is_dir() and not (Path(model) / "model_index.json").is_file():
        return Path(model).resolve().name, Path(model)
    source = resolve_model(model)
    return source.name, source.folder
