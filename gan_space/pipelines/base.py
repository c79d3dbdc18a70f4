"""What all pipelines share: loading a model folder or a Hub id, sharing networks, saving."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Self, TypeVar

import torch
from diffusers import DiffusionPipeline

from gan_space.errors import InputError, WeightsError
from gan_space.faces.detect import FaceBox, FaceDetector
from gan_space.models.editor import Editor
from gan_space.models.encoder import Encoder
from gan_space.models.generator import Generator
from gan_space.photos.opening import PhotoLike
from gan_space.pipelines.loading import ModelSource, resolve_model
from gan_space.pipelines.release import copy_companions
from gan_space.portraits.choosing import Which
from gan_space.portraits.portrait import Portrait, open_portrait
from gan_space.settings import brief
from gan_space.whole_files import make_folder

MAX_SHARD_SIZE = "9MB"
Maker = TypeVar("Maker")


class PortraitPipeline(DiffusionPipeline):
    """Base of pipelines whose networks lie in one model folder.

    A subclass names its components in `_component_classes` (folder -> class), those that may be missing in
    `_optional_components`, and takes all of them as arguments.
    """

    _component_classes: dict[str, type] = {}  # noqa: RUF012
    _optional_components: list[str] = []  # noqa: RUF012

    def __init__(self, **components):
        super().__init__()
        self.register_modules(**components)
        self.source = ModelSource()

    @property
    def model_name(self) -> str:
        """Hub id or name of the model, for recipes; "" for a pipeline built in memory."""
        return self.source.name

    @property
    def revision(self) -> str:
        """Commit on the Hub, or hash of the weights; "" for a pipeline built in memory."""
        return self.source.revision

    @property
    def credit(self) -> str:
        """Line that credits the training data, to be shown with the pictures; "" if the model names none."""
        return self.source.credit

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path | None = None,
        revision: str | None = None,
        *,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        torch_dtype: torch.dtype | None = None,
    ) -> Self:
        """Load a model; no code that comes with it is executed.

        Args:
            name_or_path: None for the model inside the package (offline), a folder, or a Hub id "user/name".
            revision: branch, tag or commit of a Hub repository.
            token, cache_dir, local_files_only: as in huggingface_hub.
            torch_dtype: format to hold the weights in; float32 if None.

        Raises:
            WeightsError: the model or one of its networks is missing, damaged, or for another program; says which.
            InputError: a name that is neither folder nor Hub id.
        """
        if torch_dtype is not None and not isinstance(torch_dtype, torch.dtype):
            raise InputError(f"torch_dtype must be a dtype such as torch.float32, got {brief(torch_dtype)}")
        source = resolve_model(
            name_or_path, revision, token=token, cache_dir=cache_dir, local_files_only=local_files_only
        )
        pipe = cls(**{name: cls._load_component(name, source) for name in cls._component_classes})
        pipe.source = source
        pipe._load_extras(source.folder)
        return pipe if torch_dtype is None else pipe.to(torch_dtype)

    @classmethod
    def from_pipe(cls, pipeline: DiffusionPipeline, **components) -> Self:
        """Make a pipeline of this class that shares the networks (and the memory) of another one.

        Args:
            pipeline: any of our pipelines; networks that it lacks are loaded from the folder that it came from.
            **components: networks that replace or complete the shared ones.

        Raises:
            WeightsError: a network is neither shared, nor given, nor in the folder.
        """
        if not isinstance(pipeline, DiffusionPipeline):
            raise InputError(f"from_pipe takes one of gan_space's pipelines, got {brief(pipeline)}")
        source = getattr(pipeline, "source", ModelSource())
        found = {name: pipeline.components.get(name) for name in cls._component_classes} | components
        for name in cls._component_classes:
            if found[name] is None and name not in components:
                found[name] = cls._load_component(name, source)
                if found[name] is not None and pipeline.device.type != "cpu":
                    found[name] = found[name].to(pipeline.device)
        new = cls(**found)
        new.source = source
        return new

    def save_pretrained(self, save_directory: str | Path, **kwargs) -> None:
        """Write model_index.json, metadata.json and one folder a network; safetensors in shards of at most 9 MB.

        What else lies in the folder or the repository that this was loaded from (directions, packs, …) is copied along,
        as long as the networks of this pipeline are unchanged.
        """
        save_directory = make_folder(save_directory)
        super().save_pretrained(str(save_directory), **{"max_shard_size": MAX_SHARD_SIZE, **kwargs})
        text = json.dumps(self.source.metadata(), indent=2, ensure_ascii=False)
        (save_directory / "metadata.json").write_text(text + "\n", encoding="utf-8")
        own = (*self._component_classes, *self._save_extras(save_directory))
        if self.source.folder is not None:
            copy_companions(self.source.folder, save_directory, own)

    def _load_extras(self, folder: Path) -> None:
        """Load what a subclass keeps beside its networks."""

    def _save_extras(self, folder: Path) -> tuple[str, ...]:
        """Save it; the names in the folder that are this pipeline's own business, saved or not."""
        return ()

    @classmethod
    def _load_component(cls, name: str, source: ModelSource) -> torch.nn.Module | None:
        if source.folder is not None and (source.folder / name).is_dir():
            network = cls._component_classes[name].from_pretrained(str(source.folder), subfolder=name)
            return network.eval().requires_grad_(False)
        if name in cls._optional_components:
            return None
        where = source.folder or "a pipeline built in memory"
        raise WeightsError(
            f"{where} has no {name!r}, which {cls.__name__} needs; use a model that has one, or train it "
            f"(see docs/training.md) and give it as {cls.__name__}.from_pipe(pipe, {name}=network)"
        )


class PhotoMixin:
    """For a pipeline with an aligner: opens photos."""

    def open(
        self,
        photo: PhotoLike | Portrait,
        faces: Which | None = None,
        *,
        boxes: Sequence[FaceBox | Sequence[float]] | None = None,
        detector: FaceDetector | None = None,
    ) -> Portrait:
        """Open a photo once, to look at its faces and to change it as often as wanted without another search.

        Where no face can be used, that is no error yet; `.picture()` shows what was found.

        Args:
            photo: a picture, a file name, or a tensor [3, H, W] uint8; what is open already is only asked for `faces`.
            faces: which are meant: "largest", "all", or a number, counted from 0, the largest first; None: the
                largest, or what an opened photo says. "all" searches thoroughly.
            boxes: faces marked by hand: `FaceBox` or (x, y, size[, roll in degrees]) in px; all of them are meant.
            detector: finds faces instead of OpenCV's cascade.

        Raises:
            InputError: not a picture, or an argument that does not work.
        """
        with torch.no_grad():
            networks = {"aligner": self.aligner, "landmarker": self.landmarker}
            return open_portrait(photo, faces=faces, **networks, boxes=boxes, detector=detector)


def part_of(pipeline: PortraitPipeline, maker: type[Maker], **others) -> Maker:
    """Make a dataclass whose fields are named as attributes of a pipeline; those that are not are given."""
    shared = {field.name: getattr(pipeline, field.name) for field in fields(maker) if field.name not in others}
    return maker(**shared, **others)


def encoder_mismatches(generator: Generator, encoder: Encoder) -> list[str]:
    """Return what makes an encoder unfit for a generator."""
    synthesis = generator.synthesis
    pairs = [
        ("resolution", encoder.config.resolution, generator.config.resolution),
        ("num_ws", encoder.config.num_ws, generator.num_ws),
        ("w_dim", encoder.config.w_dim, generator.config.w_dim),
    ]
    r = encoder.config.feature_resolution
    if r in synthesis.block_resolutions:
        channels = synthesis.block(r).conv1.weight.shape[0]
        pairs.append(("feature_channels", encoder.config.feature_channels, channels))
    return [
        f"the encoder was made for a generator with {name} {got}, this one has {expected}"
        for name, got, expected in pairs
        if got != expected
    ]


def editor_mismatches(encoder: Encoder, editor: Editor | None) -> list[str]:
    """Return what makes an editor unfit for an encoder; nothing where there is no editor."""
    if editor is None:
        return []
    pairs = [
        ("resolution", editor.config.resolution, encoder.config.feature_resolution),
        ("feature_channels", editor.config.feature_channels, encoder.config.feature_channels),
    ]
    return [
        f"the editor was made for features of {name} {got}, this encoder gives {expected}"
        for name, got, expected in pairs
        if got != expected
    ]
