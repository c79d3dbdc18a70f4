"""Reads networks out of other people's checkpoints; see docs/formats.md for what is understood."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gan_space.errors import GanSpaceError, WeightsError
from gan_space.formats import nvidia, rosinality
from gan_space.formats.networks import build_discriminator, build_generator
from gan_space.formats.records import PickledObject
from gan_space.formats.torch_files import read_checkpoint_file
from gan_space.models.discriminator import Discriminator
from gan_space.models.generator import Generator


@dataclass
class ForeignNetworks:
    """What `read_checkpoint` found.

    Attributes:
        generator: the averaged (EMA) generator, in eval mode.
        discriminator: None unless asked for.
        format: "NVIDIA pickle" or "rosinality checkpoint".
        notes: what could not be taken over exactly.
    """

    generator: Generator
    discriminator: Discriminator | None
    format: str
    notes: list[str] = field(default_factory=list)


def read_checkpoint(path: str | Path, *, with_discriminator: bool = False) -> ForeignNetworks:
    """Build our networks from an NVIDIA `.pkl` or a rosinality `.pt`; nothing in the file is executed.

    Args:
        path: the file; its kind is told by its content, not by its name.
        with_discriminator: also build D.

    Raises:
        WeightsError: missing, damaged, hostile, or no StyleGAN2 network that our generator can stand for.

    Example:
        >>> read_checkpoint("ffhq.pkl").generator.config.resolution  # doctest: +SKIP
        1024
    """
    path = Path(path)
    content = read_checkpoint_file(path)
    try:
        if nvidia.is_nvidia(content):
            kind, reader = "NVIDIA pickle", nvidia
        elif rosinality.is_rosinality(content):
            kind, reader = "rosinality checkpoint", rosinality
        else:
            raise WeightsError(
                f"holds {_summary(content)}; expected a snapshot with 'G_ema' or a checkpoint with 'g_ema'"
            )
        size = path.stat().st_size
        weights = reader.read_generator(content)
        generator = build_generator(weights, size)
        discriminator = None
        if with_discriminator:
            discriminator = build_discriminator(reader.read_discriminator(content), size)
    except GanSpaceError as error:
        raise WeightsError(f"{path.name}: {error}") from error
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError) as error:
        # Values of a foreign file may have any type; a surprise in them is the file's fault.
        raise WeightsError(f"{path.name}: not a sound checkpoint ({type(error).__name__}: {error})") from error
    except MemoryError as error:
        raise WeightsError(f"{path.name} does not fit into memory") from error
    return ForeignNetworks(generator, discriminator, kind, weights.notes)


def _summary(content: Any) -> str:
    """Say in a few words what a file holds instead."""
    if isinstance(content, dict):
        keys = ", ".join(repr(str(key)[:30]) for key in list(content)[:6])
        return f"a dict with the keys {keys}" if keys else "an empty dict"
    if isinstance(content, PickledObject):
        return f"a single {content.class_name[:60]!r}"
    return f"a {type(content).__name__}"
