"""Identity packs: a profile of one person, from which a generator draws portraits of that person.

A profile holds anchors, one code in W+ for every photo, and a low-rank change of the synthesis weights under which the
anchors draw those photos (pivotal tuning; Roich et al. 2021). New portraits come from inside the anchors' hull, and a
little beyond it (MyStyle; Nitzan et al. 2022). Photos themselves are not kept, nor are the encoder's feature maps: they
would be 131 KB a photo at 128 px, two photos' layouts cannot be averaged, and all of this works from W+ alone.

A profile is private. Nothing here sends it anywhere; `delete_pack` removes a saved one, `IdentityPack.forget` the one
in memory.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

import numpy as np
import torch
from torch import Tensor

from gan_space.errors import InputError, PackError, raise_all
from gan_space.foreign_files import read_json_file
from gan_space.hub import HubOptions, resolve_folder
from gan_space.models.generator import Generator
from gan_space.packs.consent import Consent, now, time_faults
from gan_space.packs.files import (
    PREVIEW_FILE,
    RECORD_FILE,
    WEIGHTS_FILE,
    read_pack,
    record_faults,
    split_weights,
    write_pack,
)
from gan_space.packs.low_rank import LowRankDelta
from gan_space.seeding import check_seed

KIND = "identity"
MAX_BYTES = 2_000_000
MAX_PHOTOS = 20
MAX_BEYOND = 0.5
SALT = 0x1DE  # stands beside every seed
CONCENTRATION = 1.0  # of the Dirichlet distribution: every place in the hull is equally likely


@dataclass(frozen=True, eq=False)
class IdentityPack:
    """A profile of one person for one generator.

    Args:
        anchors: [K, num_ws, w_dim] float32, one for each photo.
        delta: change of the generator's weights, by names from the generator.
        base_model: name of the model that the profile was made for.
        base_hash: `weights_sha256` of its generator.
        consent: whose face it is and who agreed.
        num_photos: K, unless anchors were dropped.
        created: ISO 8601 with a time zone.
        quality: what was measured when it was made, name -> number.
        training: how it was made; plain JSON values, nothing about the person.
        preview: content of preview.png.

    Raises:
        PackError: a field that does not work; all faults at once.

    Example:
        >>> me = IdentityPack.from_pretrained("me")  # doctest: +SKIP
        >>> person(pack=me, seeds=[7, 8]).images  # doctest: +SKIP
    """

    anchors: Tensor
    delta: LowRankDelta
    base_model: str
    base_hash: str
    consent: Consent
    num_photos: int
    created: str = field(default_factory=now)
    quality: dict[str, float] = field(default_factory=dict)
    training: dict = field(default_factory=dict)
    preview: bytes = field(default=b"", repr=False)

    def __post_init__(self):
        faults = []
        anchors = self.anchors
        if anchors.ndim != 3 or not 1 <= len(anchors) <= MAX_PHOTOS or not anchors.isfinite().all():
            shape = list(anchors.shape)
            faults.append(f"anchors must be finite numbers [1 to {MAX_PHOTOS}, num_ws, w_dim], got {shape}")
        if len(self.base_hash) != 64 or set(self.base_hash) - set("0123456789abcdef"):
            faults.append(f"base_hash must be 64 hex digits, got {self.base_hash!r}")
        if not len(anchors) <= self.num_photos <= MAX_PHOTOS:
            faults.append(f"num_photos must be from {len(anchors)} to {MAX_PHOTOS}, got {self.num_photos}")
        if not all(isinstance(value, int | float) for value in self.quality.values()):
            faults.append(f"quality must hold numbers, got {self.quality!r}")
        faults += time_faults("created", self.created)
        raise_all([f"identity pack: {fault}" for fault in faults], PackError)
        self.delta.name = "identity pack"

    @property
    def digest(self) -> str:
        """16 hex digits that stand for this profile in recipes, and from which nothing about it can be read."""
        hashed = hashlib.sha256()
        for name, tensor in sorted(_to_tensors(self).items()):
            hashed.update(name.encode() + tensor.detach().float().cpu().contiguous().numpy().tobytes())
        return hashed.hexdigest()[:16]

    def check_base(self, hash_of_base: str, name_of_base: str) -> None:
        """Raise PackError unless the profile was made for the generator with this hash, and is not forgotten."""
        if not self.anchors.any():
            raise PackError("this profile was forgotten: load it again, or make a new one")
        if hash_of_base != self.base_hash:
            raise PackError(
                f"this profile was made for {self.base_model} ({self.base_hash[:16]}…), this model is "
                f"{name_of_base} ({hash_of_base[:16]}…). Load that model, or make the profile anew for this one."
            )

    def check_fits(self, generator: Generator) -> None:
        """Raise PackError unless all shapes fit the generator; all faults at once."""
        faults = self.delta.faults_in(generator)
        expected = [generator.num_ws, generator.config.w_dim]
        if list(self.anchors.shape[1:]) != expected:
            faults.append(f"anchors are {list(self.anchors.shape)}, expected [K, {expected[0]}, {expected[1]}]")
        raise_all(faults, PackError)

    def forget(self) -> None:
        """Overwrite all numbers and the preview in memory; the pack is of no use afterwards.

        Copies that others made (a code in an output, a drawn picture) are theirs to drop.
        """
        with torch.no_grad():
            for tensor in (self.anchors, *self.delta.parameters()):
                tensor.zero_()
        object.__setattr__(self, "preview", b"")

    def save_pretrained(self, folder: str | Path) -> Path:
        """Write pack.safetensors, pack.json and preview.png, readable by their owner alone; whole or not at all.

        Raises:
            PackError: the folder holds something else, there is no preview, or the files exceed 2 MB together.
        """
        if not self.anchors.any():
            raise PackError("this profile was forgotten, so there is nothing to save")
        record = {"kind": KIND, "consent": self.consent.to_dict(), "weights": self.delta.names}
        record |= {key: getattr(self, key) for key in _RECORD_TYPES}
        if (Path(folder) / RECORD_FILE).is_file() and _kind_of(Path(folder)) not in (KIND, None):
            raise PackError(f"{folder} holds a {_kind_of(Path(folder))} pack; give a folder of its own")
        written = write_pack(folder, _to_tensors(self), record, self.preview, MAX_BYTES)
        written.chmod(0o700)
        return written

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Unpack[HubOptions]) -> IdentityPack:
        """Read what `save_pretrained` wrote.

        Args:
            name_or_path: folder, or Hub repository "user/name".
            options: see `hub.HubOptions`.

        Raises:
            InputError: neither folder nor Hub id, or a revision given for a folder.
            WeightsError: the files cannot be had whole from the Hub.
            PackError: not an identity pack, damaged, unknown or missing keys, values that are not finite.
        """
        folder = resolve_folder(name_or_path, **options)
        tensors, record, preview = read_pack(folder, MAX_BYTES)
        weights, faults = split_weights(tensors, record, ("anchors",))
        faults = record_faults(record, KIND, _RECORD_TYPES, ("consent", "weights")) + faults
        raise_all([f"{folder}: {fault}" for fault in faults], PackError)
        try:
            consent = Consent.from_dict(record["consent"])
        except InputError as error:
            raise PackError(f"{folder}: {error}") from error
        return cls(
            anchors=tensors["anchors"].float(),
            delta=LowRankDelta.from_tensors(weights, str(folder)),
            consent=consent,
            preview=preview,
            **{key: record[key] for key in _RECORD_TYPES},
        )


_RECORD_TYPES = {
    "base_model": str, "base_hash": str, "created": str, "num_photos": int, "quality": dict, "training": dict,
}  # fmt: skip


def hull_weights(seeds: Sequence[int], num_anchors: int, beyond: float = 0.0) -> Tensor:
    """Say where in the anchors' hull each seed stands: [N, K] float32, rows that sum to 1, every weight >= -beyond.

    Uniform in the hull that is stretched from its middle, the P_beta of MyStyle (Nitzan et al. 2022, section 3.3). One
    anchor leaves no choice.

    Args:
        seeds: N whole numbers in [0, 2**32 - 1].
        num_anchors: K.
        beyond: how far a weight may fall below 0, from 0 to 0.5.

    Raises:
        InputError: a seed or `beyond` is out of range.

    Example:
        >>> hull_weights([1, 2], 3).sum(dim=1)
        tensor([1., 1.])
    """
    if not 0 <= beyond <= MAX_BEYOND:
        raise InputError(f"beyond must be a number from 0 to {MAX_BEYOND}, got {beyond!r}")
    # A second number beside the seed: the latent of the same seed must not repeat these draws.
    sources = [np.random.RandomState([check_seed(seed), SALT]) for seed in seeds]
    rows = [source.dirichlet([CONCENTRATION] * num_anchors) for source in sources]
    weights = np.stack(rows) if rows else np.empty((0, num_anchors))
    return torch.from_numpy((weights * (1 + num_anchors * beyond) - beyond).astype(np.float32))


def hull_codes(pack: IdentityPack, seeds: Sequence[int], beyond: float = 0.0) -> Tensor:
    """Return codes [N, num_ws, w_dim] of the person, one a seed; see `hull_weights`."""
    return torch.einsum("nk,kld->nld", hull_weights(seeds, len(pack.anchors), beyond).to(pack.anchors), pack.anchors)


def delete_pack(folder: str | Path) -> list[Path]:
    """Remove a saved profile and everything that a killed save may have left beside it.

    Args:
        folder: the profile's.

    Returns:
        The files that are gone. The folder goes too, unless it holds something that is not the profile's.

    Raises:
        PackError: there is no profile, the folder is a style pack's, or a file cannot be removed; names what is left.
    """
    folder = Path(folder)
    own = (WEIGHTS_FILE, RECORD_FILE, PREVIEW_FILE)
    partial = [path for path in folder.parent.glob(f".{folder.name}.partial*") if path.is_dir()]
    found = [folder / name for name in own if (folder / name).is_file()]
    if folder.is_symlink() or (not found and not partial):
        raise PackError(f"there is no profile at {folder}: expected a folder with {', '.join(own)}")
    if _kind_of(folder) not in (KIND, None):
        raise PackError(f"{folder} holds a {_kind_of(folder)} pack, not a profile; remove it by hand if you mean it")
    found += [file for path in partial for file in path.iterdir() if file.name in own]
    for file in found:
        file.unlink(missing_ok=True)
    for path in (*partial, folder):
        if path.is_dir() and not any(path.iterdir()):
            shutil.rmtree(path)
    left = [str(file) for file in found if file.exists()]
    if left:
        raise PackError(f"could not remove {', '.join(left)}: remove them by hand")
    return found


def _kind_of(folder: Path) -> str | None:
    """What pack.json says it is; None where that cannot be read."""
    try:
        return str(read_json_file(folder / RECORD_FILE)["kind"])
    except (OSError, ValueError, KeyError):
        return None


def _to_tensors(pack: IdentityPack) -> dict[str, Tensor]:
    return {"anchors": pack.anchors} | {f"weights/{key}": value for key, value in pack.delta.to_tensors().items()}
