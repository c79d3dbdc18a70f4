"""From a name to a checked model folder: the embedded default, a local folder, or a Hub repository.

Nothing that a folder says is executed: components are built from our own classes, and only JSON, safetensors,
pictures and text are ever downloaded.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Protocol

from gan_space import hub
from gan_space.errors import InputError, WeightsError, raise_all
from gan_space.formats.json_files import read_json
from gan_space.settings import brief

KNOWN_PIPELINES = ("GenerationPipeline", "StyleTransferPipeline", "PersonalizationPipeline")
MAX_METADATA_CHARS = {"name": 200, "version": 200, "credit": 2000, "license": 200}


@dataclass(frozen=True)
class ModelSource:
    """Where a pipeline's weights came from, as far as recipes and credits need to know.

    Args:
        name: Hub id, or the `name` in metadata.json, or the folder's own name; never a path.
        revision: the Hub's commit, or "sha256:" and the first 16 digits of the hash of all weights.
        folder: where the files lie; None for a pipeline built in memory.
        version: version that the model's author gave, or "".
        credit: line to show wherever the pictures are shown, or "".
        license: short name of the weights' licence, or "".
    """

    name: str = ""
    revision: str = ""
    folder: Path | None = None
    version: str = ""
    credit: str = ""
    license: str = ""
    _hashes: dict[tuple[str, ...], str] = field(default_factory=dict, repr=False, compare=False)

    def revision_of(self, *parts: str) -> str:
        """Say what recipes name as the weights: the Hub's commit, or the hash of these parts, which draw the picture.

        Another part that changes, such as the network that finds faces, changes neither picture nor hash.
        """
        if self.folder is None or not self.revision.startswith("sha256:"):
            return self.revision
        if parts not in self._hashes:
            self._hashes[parts] = hash_weights(self.folder, parts)
        return self._hashes[parts]

    def metadata(self) -> dict[str, str]:
        """Return content of metadata.json for a copy of this model."""
        return {"name": self.name, "version": self.version, "credit": self.credit, "license": self.license}


def default_model_folder() -> Path:
    """Return the folder of the model inside the package; WeightsError if this copy of the package came without it."""
    folder = Path(str(files("gan_space"))) / "assets" / "default"
    if not (folder / "model_index.json").is_file():
        raise WeightsError(
            "this copy of gan_space has no embedded model (assets/default/model_index.json is missing); "
            "give a folder or a Hub id to from_pretrained, or install the package again"
        )
    return folder


def resolve_model(
    name_or_path: str | Path | None,
    revision: str | None = None,
    *,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> ModelSource:
    """Find the model folder that a user means, downloading it if it is a Hub id.

    Args:
        name_or_path: None for the embedded default, a folder, or a Hub id "user/name".
        revision: branch, tag or commit of a Hub repository.
        token, cache_dir, local_files_only: as in huggingface_hub.

    Raises:
        InputError: a revision given for a folder, or a name that is neither folder nor Hub id.
        WeightsError: the repository cannot be had, a file differs from the Hub's checksum, or the folder is no model.
    """
    if name_or_path is None or hub.is_folder(name_or_path):
        if revision is not None:
            what = "the embedded model" if name_or_path is None else f"the folder {os.fspath(name_or_path)}"
            raise InputError(f"revision {revision!r} works for Hub ids only, not for {what}; leave it out")
        folder = default_model_folder() if name_or_path is None else Path(name_or_path)
        check_model_index(folder)
        metadata = read_metadata(folder)
        own_name = "gan_space/default" if name_or_path is None else folder.resolve().name
        metadata["name"] = metadata["name"] or own_name
        return ModelSource(**metadata, revision=hash_weights(folder), folder=folder)
    repo_id = os.fspath(name_or_path)
    folder = hub.download(repo_id, revision, token=token, cache_dir=cache_dir, local_files_only=local_files_only)
    check_model_index(folder)
    return ModelSource(**{**read_metadata(folder), "name": repo_id}, revision=folder.name, folder=folder)


@dataclass(frozen=True)
class PackRequest:
    """A style pack that somebody asks for.

    Args:
        name: folder, Hub id "user/name", or name of a pack in the model's own folder.
        revision: branch, tag or commit of a Hub id; None for its newest state.
    """

    name: str
    revision: str | None = None


class TakesPacks(Protocol):
    """A pipeline that can load style packs."""

    def load_style_pack(self, name_or_path: str, *, revision: str | None = None) -> str: ...


def parse_packs(text: str) -> list[PackRequest]:
    """Read a list such as "ink, user/oil-paint@v1, ./my-pack": packs with commas between, "@" before a revision.

    Raises:
        InputError: an entry that cannot be a pack, or that stands there twice; all faults at once, each named.

    Example:
        >>> parse_packs("ink, user/oil@v1")
        [PackRequest(name='ink', revision=None), PackRequest(name='user/oil', revision='v1')]
    """
    requests, faults = [], []
    for entry in [part.strip() for part in text.split(",") if part.strip()]:
        if Path(entry).is_dir():  # a folder may be called anything, also with @
            requests.append(PackRequest(entry))
        elif match := re.fullmatch(r"([\w-][\w.-]*/[\w.-]+)@([\w./-]+)", entry):
            requests.append(PackRequest(match[1], match[2]))
        elif re.fullmatch(r"[\w-][\w.-]*(/[\w.-]+)?", entry):
            requests.append(PackRequest(entry))
        else:
            faults.append(
                f"pack {entry!r} is neither a folder, nor a name, nor a Hub id such as user/name or user/name@revision"
            )
    names = [request.name for request in requests]
    faults += [f"pack {name!r} stands there twice" for name in sorted(set(names)) if names.count(name) > 1]
    raise_all(faults, InputError)
    return requests


def load_packs(pipe: TakesPacks, requests: Sequence[PackRequest]) -> list[str]:
    """Load packs into a pipeline that takes them, and return their names.

    Raises:
        InputError: the pipeline takes none, or some cannot be loaded; each is named, with the reason.
    """
    if requests and not hasattr(pipe, "load_style_pack"):
        asked = ", ".join(request.name for request in requests)
        raise InputError(f"{type(pipe).__name__} takes no style packs, but these are asked for: {asked}")
    names, faults = [], []
    for request in requests:
        try:
            names.append(pipe.load_style_pack(request.name, revision=request.revision))
        except InputError as error:
            faults.append(f"pack {request.name!r}: {error}")
    raise_all(faults, InputError)
    return names


def check_model_index(folder: Path) -> None:
    """Raise WeightsError unless model_index.json exists and is for one of our pipelines."""
    path = folder / "model_index.json"
    index = read_json(path)
    made_for = index.get("_class_name")
    if made_for not in KNOWN_PIPELINES:
        raise WeightsError(
            f"{path} is for {made_for!r}, expected one of {', '.join(KNOWN_PIPELINES)}: this is not a gan_space model"
        )


def read_metadata(folder: Path) -> dict[str, str]:
    """Read name, version, credit and license from metadata.json; empty strings where the file is missing."""
    keys = tuple(MAX_METADATA_CHARS)
    path = folder / "metadata.json"
    content = read_json(path, needed=False)
    raise_all(
        [
            f"{path}: {key} must be text of at most {MAX_METADATA_CHARS[key]} characters, got {brief(content[key])}"
            for key in keys
            if not _is_text(content.get(key, ""), MAX_METADATA_CHARS[key])
        ],
        WeightsError,
    )
    return {key: content.get(key, "") for key in keys}


def _is_text(value: object, max_chars: int) -> bool:
    is_short = isinstance(value, str) and len(value) <= max_chars
    return is_short and not any("\ud800" <= char <= "\udfff" for char in value)  # half a character cannot be written


def hash_weights(folder: Path, parts: Sequence[str] = ("*",)) -> str:
    """Return "sha256:" and 16 hex digits over names and bytes of all weights and configs of the components.

    Args:
        parts: folders of the components that count; all of them if left out.

    Raises:
        WeightsError: one of them cannot be read.
    """
    digest = hashlib.sha256()
    files = {
        path for part in parts for name in ("*.safetensors", "config.json") for path in folder.glob(f"{part}/{name}")
    }
    for path in sorted(files):
        digest.update(path.relative_to(folder).as_posix().encode())
        try:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise WeightsError(f"{path} cannot be read ({error.strerror or error})") from error
    return f"sha256:{digest.hexdigest()[:16]}"
