"""Who judges directions, loaded from a model folder: the analyzer, the discriminator, and real faces for both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from gan_space.errors import ConfigError, DataError
from gan_space.images import from_uint8
from gan_space.models.analyzer import Analyzer
from gan_space.models.discriminator import Discriminator
from gan_space.models.editor import Editor
from gan_space.models.encoder import Encoder
from gan_space.models.face_identity import FaceIdentity
from gan_space.models.generator import Generator
from training.data import open_dataset
from training.directions.checks import EncodedFaces, Scorer, Scores
from training.judging import logits_of


def analyzer_scorer(analyzer: Analyzer, attributes: Sequence[str] = (), identity: FaceIdentity | None = None) -> Scorer:
    """Turn an analyzer into a scorer of these attributes; of all its own if none is named.

    Skin tone, where the analyzer reads it, is watched: directions are kept from changing it, and none is made for it.
    Whether it is still the same person is for `identity` to say; None leaves that open.

    Raises:
        ConfigError: an attribute that the analyzer does not have.
    """
    known = list(analyzer.config.attributes)
    unknown = [name for name in attributes if name not in known]
    if unknown:
        raise ConfigError(f"--attributes {' '.join(unknown)}: this analyzer has {', '.join(known)}")
    names = list(attributes) or known
    watches = {"race", "skin_tone"} <= set(analyzer.config.fairness_attributes)

    def score(images: Tensor) -> Scores:
        out = analyzer(images)
        values = {name: out.scores[name] for name in names}
        natural = {name: out.attributes[name] for name in names}
        watched = {"skin_tone": analyzer.groups(images).skin_tone} if watches else {}
        return Scores(values, natural, watched, None if identity is None else identity(images))

    return score


def discriminator_logits(folder: Path) -> Callable[[Tensor], Tensor] | None:
    """Return logits [N] of the discriminator in a model folder for images [N, 3, R, R]; None if the folder has none."""
    if not (folder / "discriminator").is_dir():
        return None
    discriminator = Discriminator.from_pretrained(folder, subfolder="discriminator").eval().requires_grad_(False)

    def logits(images: Tensor) -> Tensor:
        return logits_of(discriminator, images)

    return logits


def encoded_faces(folder: Path, generator: Generator, dataset_name: str, split: str, count: int) -> EncodedFaces:
    """Return the first faces of a data set, for the encoder in a model folder, and its editor if it has one.

    Raises:
        ConfigError: the folder has no encoder.
        DataError: fewer than two faces.
    """
    if not (folder / "encoder").is_dir():
        raise ConfigError(f"--dataset_name needs an encoder, but {folder} has no folder encoder/; leave it out")
    encoder = Encoder.from_pretrained(folder, subfolder="encoder").eval().requires_grad_(False)
    editor = None
    if (folder / "editor").is_dir():
        editor = Editor.from_pretrained(folder, subfolder="editor").eval().requires_grad_(False)
    dataset = open_dataset(dataset_name, generator.config.resolution, split)
    count = min(count, len(dataset))
    if count < 2:
        raise DataError(f"{dataset_name} (split {split}) has {count} pictures, expected 2 or more")
    images = torch.stack([dataset[index][0] for index in range(count)])
    return EncodedFaces(generator.synthesis, encoder, from_uint8(images), editor)
