"""Multimodal truncation (Self-Distilled StyleGAN, Mokady et al. 2022): towards the nearest of several centres in W.

Truncation towards the one average face draws what is common more often: of groups that are rare in the data less is
left the lower psi is. With centres, w moves towards the average of faces that are like it. Each centre also has an
offset, so that a rare kind of face may claim more of W than what lies nearest to it; `training/fit_centers.py` chooses
both so that groups keep their shares.

A model folder keeps them in `truncation/`: numbers in centers.safetensors, all else in centers.json.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import torch
from torch import Tensor

from gan_space.errors import WeightsError, raise_all
from gan_space.foreign_files import value_faults
from gan_space.hub import HubOptions, resolve_folder
from gan_space.latents.directions import generator_hash
from gan_space.latents.record_files import read_record, write_record

if TYPE_CHECKING:
    from gan_space.models.generator import Generator

FORMAT_VERSION = 1
TRUNCATION_FOLDER = "truncation"
STEM = "centers"  # of both files
MAX_CENTERS = 4096


@dataclass(frozen=True)
class TruncationCenters:
    """Points in W of one generator, towards which codes are truncated.

    Args:
        centers: [K, w_dim].
        offsets: [K], added to squared distances in W; below 0 a centre claims more than what lies nearest to it.
        base_hash: of the generator, see `generator_hash`.
        record: how they were made.

    Raises:
        WeightsError: other shapes, or values that cannot be; all faults at once.
    """

    centers: Tensor
    offsets: Tensor
    base_hash: str
    record: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        faults = []
        if self.centers.ndim != 2 or not 1 <= len(self.centers) <= MAX_CENTERS:
            shape = list(self.centers.shape)
            faults.append(f"centers must have shape [K, w_dim] with K from 1 to {MAX_CENTERS}, got {shape}")
        elif self.offsets.shape != self.centers.shape[:1]:
            faults.append(f"offsets must have shape [{len(self.centers)}], got {list(self.offsets.shape)}")
        for name, tensor in (("centers", self.centers), ("offsets", self.offsets)):
            if tensor.dtype != torch.float32:
                faults.append(f"{name} must be float32, got {tensor.dtype}")
        faults += value_faults({"centers": self.centers, "offsets": self.offsets})
        raise_all([f"truncation centres: {fault}" for fault in faults], WeightsError)

    def check_fits(self, generator: Generator) -> None:
        """Raise WeightsError unless they were made for exactly these weights."""
        found = generator_hash(generator)
        if self.centers.shape[1] != generator.config.w_dim or found != self.base_hash:
            raise WeightsError(
                f"these truncation centres were made for a generator with weights {self.base_hash[:12]} and w_dim "
                f"{self.centers.shape[1]}, but this one has {found[:12]} and {generator.config.w_dim}; make them anew "
                f"with training/fit_centers.py, or remove the folder {TRUNCATION_FOLDER}/"
            )

    def made_for(self, generator: Generator) -> TruncationCenters:
        """Return the same, bound to these weights: for the same network in another format."""
        return dataclasses.replace(self, base_hash=generator_hash(generator))

    def nearest(self, w: Tensor) -> Tensor:
        """Return the centre that claims each w, [N] from [N, w_dim]."""
        distances = (w[:, None] - self.centers.to(w)).square().sum(dim=2)  # [N, K]
        return (distances + self.offsets.to(w)).argmin(dim=1)

    def truncate(self, w_plus: Tensor, truncation_psi: float, truncation_cutoff: int | None = None) -> Tensor:
        """Move codes towards the centres that claim them.

        Args:
            w_plus: [N, num_ws, w_dim] of the mapping network at psi 1, all rows of a code alike.
            truncation_psi: 1 leaves codes as they are, 0 gives the centres.
            truncation_cutoff: move only the first so many rows; None: all.
        """
        centers = self.centers.to(w_plus)[self.nearest(w_plus[:, 0])][:, None]  # [N, 1, w_dim]
        moved = centers.lerp(w_plus, truncation_psi)
        if truncation_cutoff is None:
            return moved
        return torch.cat([moved[:, :truncation_cutoff], w_plus[:, truncation_cutoff:]], dim=1)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write centers.safetensors and centers.json into `folder`, which is made if need be."""
        content = {"base_hash": self.base_hash, "record": dict(self.record)}
        write_record(Path(folder), STEM, FORMAT_VERSION, {"centers": self.centers, "offsets": self.offsets}, content)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Unpack[HubOptions]) -> TruncationCenters:
        """Read what `save_pretrained` wrote; nothing in it is believed unchecked.

        Args:
            name_or_path: folder, or Hub repository "user/name".
            options: see `hub.HubOptions`; subfolder is "truncation" in a model.

        Raises:
            InputError: neither folder nor Hub id, or a revision given for a folder.
            WeightsError: a file is missing, damaged, of another version, or does not fit the other one.
        """
        folder = resolve_folder(name_or_path, **options)
        tensors, info = read_record(folder, STEM, FORMAT_VERSION, {"base_hash": str, "record": dict})
        if sorted(tensors) != ["centers", "offsets"]:
            raise WeightsError(f"{folder} holds {sorted(tensors)}, expected centers and offsets")
        return cls(tensors["centers"], tensors["offsets"], info["base_hash"], info["record"])


def load_centers(model: str, generator: Generator) -> TruncationCenters:
    """Load the centres of a model folder or a Hub repository; WeightsError if it holds none for this generator."""
    centers = TruncationCenters.from_pretrained(model, subfolder=TRUNCATION_FOLDER)
    centers.check_fits(generator)
    return centers
