"""Train the identity network: `python -m training.identity.train --dataset_names FOLDER... --label_names FOLDER`.

It learns the vectors that a teacher gave to pictures of people without names, from views that are changed in every way
that leaves the person the same. The same command resumes a run that was stopped or killed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import training.common.start  # noqa: F401

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.images import from_uint8
from gan_space.models.face_identity import FaceIdentity
from gan_space.settings import least_faults, multiple_faults, values_of
from training.common.command import script
from training.common.export import export_network, plain_copy
from training.common.face_labels import LabelledFaces, load_labelled_faces
from training.common.fit_network import HeldOutFitConfig, Measurement, fit_device, fit_network
from training.common.optimizers import OptimizerName, make_optimizer
from training.common.order import generator_of_step, rows_of_step
from training.common.precision import autocast
from training.identity.data import TaughtFaces, load_taught_faces, view_batch
from training.identity.last_layer import finish, last_layer_record
from training.identity.losses import identity_losses
from training.identity.pairs import compare, equal_error

RELATION_WEIGHT, CONTRASTIVE_WEIGHT = 5.0, 0.1  # so that the three pull about alike
NUM_STRANGERS = 4096
MAX_GRAD_NORM = 5.0


@dataclass(frozen=True, kw_only=True)
class TrainIdentityConfig(HeldOutFitConfig):
    """Train the identity network on a teacher's vectors. The same command resumes a stopped run."""

    MAY_CHANGE: ClassVar[tuple[str, ...]] = (*HeldOutFitConfig.MAY_CHANGE, "identity_dataset", "teacher")

    dataset_names: tuple[str, ...]
    """Folders, parquet files or Hub data sets of faces in the tight frame."""
    label_names: tuple[str, ...] = ()
    """The same with the columns `source_file` and `embedding`, for pictures that come without a vector."""
    teacher: str = ""
    """Whose vectors these are, and under which licence, for the model card."""
    output_dir: str = "runs/identity"
    identity_dataset: str | None = None
    """Head-and-shoulders pictures with a column `identity`, whose eval split is measured; never trained on."""
    resolution: int = 80
    """Side of the faces that the network sees, in px."""
    width: int = 64
    """Channels of the first layer."""
    optimizer: OptimizerName = "muon"
    """adam, or muon, which gets as far with half of the pictures."""
    batch_size: int = 128
    total_kimg: float = 800.0
    lr: float = 0.003
    weight_decay: float = 0.05
    """Decoupled, of either optimizer."""
    temperature: float = 0.1
    """Of the contrastive loss."""
    ema_halflife_kimg: float = 5.0
    checkpoint_kimg: float = 40.0
    eval_images: int = 651

    def faults(self) -> list[str]:
        """Return what is wrong, a message for each."""
        faults = super().faults(("temperature",))
        if not self.dataset_names:
            faults.append("--dataset_names must name one data set or more")
        faults += least_faults(0, values_of(self, "weight_decay"), "--")
        faults += least_faults(2, values_of(self, "batch_size", "eval_images"), "--")
        faults += multiple_faults("--resolution", self.resolution, 16)
        return faults

    @property
    def face_px(self) -> int:
        """Side of the faces in memory: a little more than the views, which are cut from them."""
        return self.resolution * 6 // 5


def train(config: TrainIdentityConfig) -> Path:
    """Train until `total_kimg`, going on from the newest checkpoint in `output_dir` if there is one.

    Returns:
        The folder with config.json, the averaged weights, and training.json.

    Raises:
        ConfigError: bad settings, or the run in `output_dir` has other ones.
        DataError: a data set cannot be used.
        TrainingError: the loss is not finite.
    """
    config.check()
    device, names = fit_device(), (config.dataset_names, config.label_names)
    faces = load_taught_faces(*names, config.train_split, face_px=config.face_px)
    heldout = load_taught_faces(*names, config.eval_split, face_px=config.face_px, limit=config.eval_images)
    people = None
    if config.identity_dataset:
        people = load_labelled_faces(
            config.identity_dataset, config.eval_split, face_px=config.face_px, framing="portrait"
        )
    middle = faces.vectors.mean(dim=0)  # all of them share most of it: it says "a face", not whose
    targets = F.normalize(faces.vectors - middle, dim=1)  # on the CPU: as many as there are faces
    heldout_targets = F.normalize(heldout.vectors - middle, dim=1)
    torch.manual_seed(config.seed)
    model = FaceIdentity(resolution=config.resolution, width=config.width, embedding_dim=targets.shape[1])
    model = model.to(device, memory_format=torch.channels_last).train()

    def losses(nimg: int) -> dict[str, Tensor]:
        rows = rows_of_step(len(faces), config.seed, nimg, config.batch_size)
        images = view_batch(faces.images[rows.numpy()], config.resolution, (config.seed, nimg)).to(device)
        generator = generator_of_step(config.seed, nimg)
        others = torch.randperm(len(faces), generator=generator)[:NUM_STRANGERS]
        others = others[~torch.isin(others, rows)]
        with autocast(config.mixed_precision, device):
            features = model.trunk(images.contiguous(memory_format=torch.channels_last))
        embedding = model.project(features)
        return identity_losses(embedding, targets[rows].to(device), targets[others].to(device), config.temperature)

    def measured(ema: FaceIdentity, nimg: int) -> Measurement:
        numbers = measure(ema, heldout, heldout_targets, people)
        return Measurement(numbers, ", ".join(f"{name} {value:.4f}" for name, value in numbers.items()))

    weights = {"relation": RELATION_WEIGHT, "contrastive": CONTRASTIVE_WEIGHT}
    optimizer = make_optimizer(model, config.optimizer, config.lr, weight_decay=config.weight_decay)
    options = {"weights": weights, "warmup_kimg": 4.0, "max_grad_norm": MAX_GRAD_NORM}
    fitted = fit_network({"identity": model}, {"optimizer": optimizer}, config, losses, measured, **options)
    finished = plain_copy(fitted.ema)
    finish(finished, faces)
    record = {"teacher": config.teacher, "faces": len(faces), "faces_seen": fitted.nimg}
    record |= {"optimizer": config.optimizer, "batch_size": config.batch_size, "lr": config.lr}
    record |= {"last_layer": last_layer_record(faces)}
    return export_network(Path(config.output_dir) / "export", finished, record)


@torch.no_grad()
def embed(model: FaceIdentity, images: Tensor, batch_size: int = 128) -> Tensor:
    """Return vectors [N, D] of faces [N, 3, S, S] in [-1, 1], batch by batch."""
    return torch.cat([model(part.to(model.device)).cpu() for part in images.split(batch_size)])


def measure(
    model: FaceIdentity, heldout: TaughtFaces, targets: Tensor, people: LabelledFaces | None
) -> dict[str, float]:
    """Compare with the teacher on faces that were held back, and tell people apart where there are names.

    Returns:
        cosine: mean, to the teacher's vectors. relation: correlation of the cosines between pictures with the
        teacher's. eer: equal-error rate over all pairs of `people`, if given.
    """
    images = from_uint8(torch.from_numpy(np.ascontiguousarray(heldout.images.transpose(0, 3, 1, 2))))
    embedding = embed(model, images)
    i, j = torch.triu_indices(len(images), len(images), 1)
    relations = torch.stack([(embedding @ embedding.T)[i, j], (targets @ targets.T)[i, j]])
    numbers = {
        "cosine": (embedding * targets).sum(dim=1).mean().item(),
        "relation": torch.corrcoef(relations)[0, 1].item(),
    }
    if people is not None:
        pairs = compare(embed(model, from_uint8(people.images)).numpy(), people.person.numpy())
        numbers["eer"] = equal_error(pairs.same, pairs.different).rate
    return numbers


main = script(TrainIdentityConfig, train, "exported to {}")


if __name__ == "__main__":
    sys.exit(main())
