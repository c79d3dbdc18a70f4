"""`convert_checkpoint`: from somebody else's checkpoint to a model folder of ours."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from gan_space.errors import InputError
from gan_space.formats.checkpoints import read_checkpoint
from gan_space.pipelines.base import MAX_SHARD_SIZE
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.loading import ModelSource, hash_weights


@dataclass(frozen=True)
class ConvertedModel:
    """What `convert_checkpoint` wrote.

    Attributes:
        folder: loads with `GenerationPipeline.from_pretrained(folder)`.
        format: what the file was.
        resolution: width and height of its pictures in px.
        revision: hash of the weights, as recipes will carry it.
        notes: what could not be taken over exactly; normally empty.
    """

    folder: Path
    format: str
    resolution: int
    revision: str
    notes: tuple[str, ...]


def convert_checkpoint(
    file: str | Path,
    folder: str | Path,
    *,
    name: str = "",
    license: str = "",
    credit: str = "",
    with_discriminator: bool = False,
    overwrite: bool = False,
) -> ConvertedModel:
    """Convert an NVIDIA `.pkl` or a rosinality `.pt` of StyleGAN2; nothing in the file is executed.

    The size and the settings of the network are read off the file. The folder appears whole or not at all.

    Args:
        file: the checkpoint.
        folder: where the model goes; new, or empty, unless `overwrite`.
        name: of the model, as recipes and labels will show it; the file's own name if "".
        license: short name of the licence of the weights, which is for their author to say; not known if "".
        credit: line to show with the pictures.
        with_discriminator: also save D, in `discriminator/`.
        overwrite: replace the model folder that stands there.

    Raises:
        WeightsError: the file is missing, damaged, hostile, or no StyleGAN2 network.
        InputError: the folder exists, or cannot be written.

    Example:
        >>> convert_checkpoint("ffhq.pkl", "ffhq", license="CC BY-NC-SA 4.0")  # doctest: +SKIP
    """
    file, folder = Path(file), Path(folder)
    occupied = folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))
    if occupied and not overwrite:
        raise InputError(f"{str(folder)!r} exists; give another folder, or allow it to be overwritten")
    if occupied and not (folder / "model_index.json").is_file():
        raise InputError(f"{str(folder)!r} exists and is no model folder, so it is not replaced; give another folder")
    networks = read_checkpoint(file, with_discriminator=with_discriminator)
    pipe = GenerationPipeline(networks.generator)
    pipe.source = ModelSource(name=name or file.stem, license=license, credit=credit)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as partial:
            made = Path(partial) / "model"
            pipe.save_pretrained(made)
            if networks.discriminator is not None:
                networks.discriminator.save_pretrained(made / "discriminator", max_shard_size=MAX_SHARD_SIZE)
            revision = hash_weights(made)
            if folder.exists():
                shutil.rmtree(folder)
            made.replace(folder)
    except OSError as error:
        raise InputError(
            f"cannot write {str(folder)!r}: {error.strerror or error}; choose a place with room"
        ) from error
    return ConvertedModel(
        folder=folder,
        format=networks.format,
        resolution=networks.generator.config.resolution,
        revision=revision,
        notes=tuple(networks.notes),
    )
