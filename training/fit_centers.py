"""Centres for truncation: `python training/fit_centers.py --model FOLDER --dataset_name NAME`.

Faces are drawn at psi 1, and the analyzer sorts them into the groups that `evaluate_groups.py` compares. K-means, in
which faces of rare groups weigh more, runs on what a linear readout of w says about the groups; a centre is the mean w
of a cluster. Then the offsets of the centres are moved until no group is predicted to come short at `truncation_psi`.
The readout is too kind to rare groups, so its predictions are scaled by what faces drawn in each round show.

Groups only weigh and check; no centre stands for one of them, and nothing in the result names any.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import training.common.start  # noqa: F401

import torch
from torch import Tensor

from gan_space.errors import ConfigError, raise_all
from gan_space.images import to_uint8
from gan_space.latents.directions import generator_hash
from gan_space.latents.truncation import TRUNCATION_FOLDER, TruncationCenters
from gan_space.models.analyzer import Analyzer
from gan_space.models.generator import Generator
from gan_space.pipelines.drawing import codes_of_seeds, draw_codes
from gan_space.settings import least_faults, values_of
from training.common.command import script
from training.common.files import folder_faults
from training.groups import group_probabilities
from training.measure import Reals, sample_seeds

KMEANS_STEPS = 40
OFFSET_STEPS, OFFSET_RATE = 60, 0.6  # of the search for offsets; rate in squared distance of W
ENOUGH = 1.15  # share over the data's above which a group no longer pushes
RIDGE = 50.0  # over some thousand faces in standard W
MIN_PROBABILITY = 0.01


@dataclass(frozen=True)
class FitCentersConfig:
    """Find centres for truncation and write them into the model folder."""

    model: str
    """Model folder with `generator` and `analyzer`."""
    dataset_name: str
    """Training images, faces in the tight frame: folder, parquet or Hub data set."""
    output: Path | None = None
    """Folder for the centres; None: `truncation` in the model folder."""
    num_centers: int = 32
    """Clusters; empty ones are left out."""
    num_faces: int = 4000
    """Faces drawn at psi 1, and real ones to compare with."""
    num_checked: int = 800
    """Faces drawn in each round, with the centres as they are then."""
    rounds: int = 2
    """Searches for offsets, each after a check."""
    truncation_psi: float = 0.7
    """Where groups are to keep their shares."""
    seed: int = 0
    """Of latents and of the draw of real images."""
    image_column: str | None = None
    """Column of the pictures; None finds it."""
    train_split: str = "train"
    """Split that the model was trained on."""
    batch_size: int = 32
    """Images the generator makes at once."""

    def check(self) -> None:
        """Raise ConfigError with all faults at once."""
        faults = []
        least = {"num_centers": 2, "num_faces": 10, "num_checked": 10, "rounds": 0, "batch_size": 1}
        for name, low in least.items():
            faults += least_faults(low, values_of(self, name), "--")
        if self.num_centers > self.num_faces:
            faults.append(f"num_centers must be at most num_faces, got {self.num_centers} and {self.num_faces}")
        if not 0 <= self.truncation_psi < 1:
            faults.append(f"truncation_psi must be from 0 to below 1, got {self.truncation_psi}")
        raise_all(faults + folder_faults(self, "output" if self.output else "model"), ConfigError)


class Readout:
    """Group probabilities from w: linear in w, up to a softmax over the groups of each kind."""

    def __init__(self, w: Tensor, probabilities: dict[str, Tensor]):
        self.sizes = [part.shape[1] for part in probabilities.values()]
        logits = torch.cat([_centered_log(part) for part in probabilities.values()], dim=1)  # [N, groups]
        self.mean_w, self.mean = w.mean(dim=0), logits.mean(dim=0)
        x = w - self.mean_w
        self.weight = torch.linalg.solve(x.T @ x + RIDGE * torch.eye(x.shape[1]), x.T @ (logits - self.mean))

    def logits(self, w: Tensor) -> Tensor:
        """Return [N, groups] without the mean."""
        return (w - self.mean_w) @ self.weight

    def __call__(self, w: Tensor) -> Tensor:
        """Probabilities [N, groups], those of each kind with sum 1."""
        parts = (self.logits(w) + self.mean).split(self.sizes, dim=1)
        return torch.cat([part.softmax(dim=1) for part in parts], dim=1)


def weighted_kmeans(points: Tensor, weights: Tensor, num_clusters: int, seed: int) -> Tensor:
    """Run Lloyd's algorithm from points drawn by weight: the cluster of each of [N, D] points, [N]."""
    start = torch.multinomial(weights, num_clusters, generator=torch.Generator().manual_seed(seed))
    middles = points[start]
    for _ in range(KMEANS_STEPS):
        cluster = torch.cdist(points, middles).argmin(dim=1)
        middles = _means(points, weights, cluster, middles)
    return torch.cdist(points, middles).argmin(dim=1)


def find_offsets(centers: Tensor, offsets: Tensor, w: Tensor, readout: Readout, wanted: Tensor, psi: float) -> Tensor:
    """Return offsets with which no group is predicted to have less than its wanted share, as far as that can be.

    Args:
        centers: [K, w_dim].
        offsets: [K], to start from.
        w: [N, w_dim] of the mapping network at psi 1.
        wanted: [groups], shares in the readout's own scale.
        psi: of the truncation.
    """
    distances = torch.cdist(w, centers).square()  # [N, K]
    groups_of_centers = readout(centers)
    for _ in range(OFFSET_STEPS):
        own = centers[(distances + offsets).argmin(dim=1)]
        lack = -(readout(own.lerp(w, psi)).mean(dim=0) / wanted).clamp(max=ENOUGH).log()  # above 0: too few
        pull = groups_of_centers @ lack  # [K]
        offsets = offsets - OFFSET_RATE * (pull - pull.mean())
    return offsets


@torch.no_grad()
def run(config: FitCentersConfig) -> TruncationCenters:
    """Find centres as configured, write them, print the shares of each round, and return the centres.

    Raises:
        InputError: settings, model or data that cannot be used.
    """
    config.check()
    from training.data import open_dataset

    generator = Generator.from_pretrained(config.model, subfolder="generator").eval()
    analyzer = Analyzer.from_pretrained(config.model, subfolder="analyzer").eval()
    if generator.config.c_dim > 0:
        raise ConfigError("centres are for an unconditional model; one with classes is truncated within its classes")
    train = open_dataset(
        config.dataset_name, generator.config.resolution, config.train_split, image_column=config.image_column
    )
    reals = Reals.from_datasets(train, num_images=config.num_faces, seed=config.seed).images
    names, shares = _groups(analyzer, reals)
    shares = shares.mean(dim=0)  # [groups]

    total = config.num_faces + config.rounds * config.num_checked
    codes = codes_of_seeds(generator, sample_seeds(config.seed, total), 1.0, None, [None] * total)[:, 0]
    w, fresh = codes[: config.num_faces], codes[config.num_faces :]
    drawn = group_probabilities(analyzer, _draw(generator, w, config.batch_size))
    by_kind = {kind: torch.stack(list(groups.values()), dim=1).float() for kind, groups in drawn.items()}
    readout = Readout(w, by_kind)
    weights = (torch.cat(list(by_kind.values()), dim=1) / shares).amax(dim=1)  # a face of a rare group weighs more
    cluster = weighted_kmeans(readout.logits(w), weights, config.num_centers, config.seed)
    kept = cluster.unique()
    centers = _means(w, weights, cluster, w.new_zeros(config.num_centers, w.shape[1]))[kept]
    offsets = torch.zeros(len(centers))

    for number in range(config.rounds):
        part = fresh[number * config.num_checked : (number + 1) * config.num_checked]
        now = TruncationCenters(centers, offsets, "")
        moved = now.truncate(part[:, None], config.truncation_psi)[:, 0]
        _, seen = _groups(analyzer, _draw(generator, moved, config.batch_size))
        seen, predicted = seen.mean(dim=0), readout(moved).mean(dim=0)
        print(f"round {number}: " + ", ".join(f"{n} {r:.2f}" for n, r in zip(names, seen / shares, strict=True)))
        offsets = find_offsets(centers, offsets, w, readout, shares * predicted / seen, config.truncation_psi)

    settings = {key: value for key, value in asdict(config).items() if key not in ("model", "output")}
    settings["dataset_name"] = Path(config.dataset_name).name
    made = TruncationCenters(centers, offsets, generator_hash(generator), settings)
    made.save_pretrained(config.output or Path(config.model) / TRUNCATION_FOLDER)
    return made


def _draw(generator: Generator, w: Tensor, batch_size: int) -> Tensor:
    """[N, 3, R, R] uint8 from [N, w_dim]."""
    codes = w[:, None].expand(-1, generator.num_ws, -1)
    how: dict[str, Any] = {"noise_mode": "const", "upscale_factor": 1, "output_type": "pt", "callback": None}
    parts = [
        to_uint8(draw_codes(generator, part, [None] * len(part), batch_size=batch_size, **how))
        for part in codes.split(batch_size)
    ]
    return torch.cat(parts)


def _groups(analyzer: Analyzer, images: Tensor) -> tuple[list[str], Tensor]:
    """Names of all groups, and their probabilities [N, groups]."""
    found = [pair for groups in group_probabilities(analyzer, images).values() for pair in groups.items()]
    return [name for name, _ in found], torch.stack([values for _, values in found], dim=1).float()


def _centered_log(probabilities: Tensor) -> Tensor:
    logs = (probabilities + MIN_PROBABILITY).log()
    return logs - logs.mean(dim=1, keepdim=True)


def _means(points: Tensor, weights: Tensor, cluster: Tensor, otherwise: Tensor) -> Tensor:
    """Weighted mean of each cluster, [K, D]; that of `otherwise` where it is empty."""
    member = torch.nn.functional.one_hot(cluster, len(otherwise)).T * weights  # [K, N]
    total = member.sum(dim=1, keepdim=True)
    return torch.where(total > 0, member @ points / total.clamp(min=1e-9), otherwise)


main = script(FitCentersConfig, run)


if __name__ == "__main__":
    sys.exit(main())
