"""The networks of a model that an editor is trained for."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch

from gan_space.errors import ConfigError
from gan_space.latents.directions import DIRECTIONS_FOLDER, Directions
from gan_space.models.analyzer import Analyzer
from gan_space.models.discriminator import Discriminator
from gan_space.models.encoder import Encoder
from gan_space.models.face_identity import FaceIdentity
from gan_space.models.generator import Generator


class Teacher(NamedTuple):
    """The networks of a model that an editor is trained for; none of them changes."""

    generator: Generator
    encoder: Encoder
    discriminator: Discriminator | None
    analyzer: Analyzer | None
    identity: FaceIdentity | None
    directions: Directions | None

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> Teacher:
        """Read them from a model folder.

        Raises:
            ConfigError: no encoder.
            WeightsError: a network cannot be read, or directions for another generator.
        """
        if not (folder / "encoder").is_dir():
            raise ConfigError(f"{folder} has no folder encoder/; train one first with training/encoder/train.py")

        def part(network, name: str):
            return network.from_pretrained(folder, subfolder=name).eval().requires_grad_(False).to(device)

        generator, encoder = part(Generator, "generator"), part(Encoder, "encoder")
        discriminator = part(Discriminator, "discriminator") if (folder / "discriminator").is_dir() else None
        analyzer = part(Analyzer, "analyzer") if (folder / "analyzer").is_dir() else None
        identity = part(FaceIdentity, "identity") if (folder / "identity").is_dir() else None
        directions = None
        if (folder / DIRECTIONS_FOLDER).is_dir():
            directions = Directions.from_pretrained(folder / DIRECTIONS_FOLDER)
            directions.check_fits(generator)
        return cls(generator, encoder, discriminator, analyzer, identity, directions)
