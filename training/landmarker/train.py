"""Train the landmarker: `python training/landmarker/train.py --dataset_name FOLDER --labels_name FOLDER ...`.

Learns from aligned faces and the landmarks that a teacher found in them: crops are disturbed by known similarities, and
the network has to say where each place went. The same command resumes a run that was stopped or killed. `--help` lists
all settings.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import training.common.start  # noqa: F401

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.faces.landmarks import BROWS, FACE_OVAL, LIDS, LIPS
from gan_space.models.landmarker import Landmarker, LandmarkerOutput
from gan_space.settings import multiple_faults
from training.common.command import script
from training.common.export import export_network
from training.common.fit_network import HeldOutFitConfig, Measurement, fit_device, fit_network, start_from, to_device
from training.common.optimizers import OptimizerName, make_optimizer
from training.common.order import rows_of_step
from training.common.precision import autocast
from training.landmarker.crops import CLOSE, ROUGH, CropMaker, Disturbance, draw_similarities, plain_crops
from training.landmarker.data import LabelOrigin, LandmarkFaces, joined, load_landmark_faces, load_mirror, split_turned
from training.landmarker.losses import TERM_WEIGHTS, landmarker_loss, point_weights

WARMUP_KIMG = 10.0
WEIGHT_DECAY = 0.01
PARTS = (LIPS, LIDS, BROWS, FACE_OVAL)  # whose labels are looked at one by one


@dataclass(frozen=True, kw_only=True)
class TrainLandmarkerConfig(HeldOutFitConfig):
    """Train the landmarker on faces in the tight frame. The same command resumes a stopped run."""

    MAY_CHANGE: ClassVar[tuple[str, ...]] = (*HeldOutFitConfig.MAY_CHANGE, "teacher")

    dataset_name: str
    """Folder, parquet or Hub data set of aligned faces with the column source_file."""
    labels_name: str
    """Folder with the columns source_file, landmarks and presence, and topology.json with the map `mirror`."""
    label_origin: LabelOrigin = "corner"
    """What the labels call (0, 0): the corner of the first pixel, or its middle, as OpenCV does."""
    more_name: str | None = None
    """More aligned faces, with landmarks in the same rows; a thousand turned ones are held back to measure on."""
    checked_by: str | None = None
    """Folder of a landmarker that checks the landmarks of `more_name`: where it finds others, a face is left out."""
    max_disagreement: float = 6.0
    """Largest difference that is let pass, in percent of the eye distance."""
    init_from: str | None = None
    """Folder of a landmarker to start from."""
    teacher: str = ""
    """Whose landmarks they are, and under which licence; goes into the card."""
    output_dir: str = "runs/landmarker"
    resolution: int = 80
    """Side of the crops that the network sees, in px."""
    width: int = 64
    """Channels of the first stage; later ones have twice as many."""
    optimizer: OptimizerName = "muon"
    """adam, or muon, which gets as far with half of the pictures."""
    batch_size: int = 128
    total_kimg: float = 1000.0
    lr: float = 0.002
    ema_halflife_kimg: float = 8.0
    checkpoint_kimg: float = 40.0
    eval_images: int = 512

    def faults(self) -> list[str]:
        """Return what is wrong, a message for each."""
        faults = super().faults(("max_disagreement",))
        faults += multiple_faults("--resolution", self.resolution, 16)
        return faults


def common_shapes(points: np.ndarray, rank: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return the mean and principal components of shapes in disturbed crops.

    Args:
        points: [N, 468, 2] in the tight frame.
        rank: K, how many components.
        seed: of the disturbances.

    Returns:
        [468, 2] and [K, 468, 2], each component as long as its standard deviation.
    """
    random = np.random.default_rng(seed)
    rows = random.permutation(len(points))[:4096]
    maps = draw_similarities(len(rows), ROUGH, random)
    shapes = points[rows] @ maps[:, :, :2].transpose(0, 2, 1) + maps[:, None, :, 2]
    shapes = torch.from_numpy(shapes.reshape(len(rows), -1)).float()
    mean = shapes.mean(dim=0)
    _, sizes, components = torch.linalg.svd(shapes - mean, full_matrices=False)
    basis = torch.zeros(rank, shapes.shape[1])
    known = min(rank, len(sizes))
    basis[:known] = components[:known] * sizes[:known, None] / len(rows) ** 0.5
    return mean.view(-1, 2), basis.unflatten(1, (-1, 2))


def eye_distances(points: Tensor) -> Tensor:
    """Return the distance of the middles of the eyes' corners: [N, 468, 2] -> [N]."""
    return (points[:, [33, 133]].mean(dim=1) - points[:, [263, 362]].mean(dim=1)).norm(dim=-1)


@torch.no_grad()
def measure(
    model: Landmarker, faces: LandmarkFaces, disturbance: Disturbance, *, seed: int = 0, batch_size: int = 128
) -> Tensor:
    """Measure the error of each place after one pass on the same crops every time: [N, 468] in eye distances."""
    random = np.random.default_rng(seed)
    errors = []
    for start in range(0, len(faces), batch_size):
        part = slice(start, start + batch_size)
        maps = draw_similarities(len(faces.images[part]), disturbance, random)
        batch = plain_crops(faces.images[part], faces.points[part], maps, model.resolution)
        points = model(to_input(batch.images).to(model.device)).points.cpu()
        errors.append((points - batch.points).norm(dim=-1) / eye_distances(batch.points)[:, None])
    return torch.cat(errors)


@torch.no_grad()
def disagreements(model: Landmarker, faces: LandmarkFaces, *, looks: int = 3, batch_size: int = 128) -> np.ndarray:
    """Say how far the labels of each face lie from what a network finds, [N] in percent of the eye distance.

    The network looks several times, each time at another crop, so that it cannot go by the frame, which was made from
    these very labels. What counts is the part of the face with the largest difference.
    """
    random, differences = np.random.default_rng(0), []
    for start in range(0, len(faces), batch_size):
        images, labels = faces.images[start : start + batch_size], faces.points[start : start + batch_size]
        found = np.zeros(labels.shape)
        for _ in range(looks):
            maps = draw_similarities(len(images), ROUGH, random)
            batch = plain_crops(images, labels, maps, model.resolution)
            points = model(to_input(batch.images)).points.double().numpy() - maps[:, None, :, 2]
            found += points @ np.linalg.inv(maps[:, :, :2]).transpose(0, 2, 1) / looks
        unit = eye_distances(torch.from_numpy(labels)).numpy()
        distance = 100 * np.linalg.norm(found - labels, axis=2) / unit[:, None]  # [N, 468]
        differences.append(np.max([distance[:, list(part)].mean(axis=1) for part in PARTS], axis=0))
    return np.concatenate(differences)


def to_input(images: Tensor) -> Tensor:
    """Map [N, 3, R, R] uint8 -> float in [-1, 1], in the same memory format."""
    return images.float().div_(127.5).sub_(1)


def train(config: TrainLandmarkerConfig) -> Path:
    """Train until `total_kimg`, going on from the newest checkpoint in `output_dir` if there is one.

    Returns:
        The folder with config.json and the averaged weights.

    Raises:
        ConfigError: bad settings, or the run in `output_dir` has other ones.
        DataError: the data set cannot be used.
        TrainingError: the loss is not finite.
    """
    config.check()
    cv2.setNumThreads(1)  # crops are small: threads would wait for each other
    device, mirror = fit_device(), load_mirror(config.labels_name)
    options, remarks = dict(labels_name=config.labels_name, label_origin=config.label_origin), []
    faces = load_landmark_faces(config.dataset_name, config.train_split, **options)
    heldout = {
        "frontal": load_landmark_faces(config.dataset_name, config.eval_split, limit=config.eval_images, **options)
    }
    if config.more_name:
        more, turned = split_turned(
            load_landmark_faces(config.more_name, config.train_split, label_origin=config.label_origin)
        )
        if config.checked_by:
            checker = Landmarker.from_pretrained(config.checked_by).eval()
            agreed = np.flatnonzero(disagreements(checker, more) <= config.max_disagreement)
            remarks.append(f"{len(agreed)} of {len(more)} more faces have landmarks that {config.checked_by} finds too")
            more = more.select(agreed)
        faces = joined(faces, more)
        if len(turned):
            heldout["turned"] = turned.select(range(min(config.eval_images, len(turned))))

    torch.manual_seed(config.seed)
    model = Landmarker(config.resolution, config.width)
    model.set_shapes(*common_shapes(faces.points, model.config.rank))
    remarks.append(start_from(model, config.init_from))
    model = model.to(device, memory_format=torch.channels_last).train()
    crops, weights = CropMaker(faces, mirror, config.resolution), point_weights().to(device)

    def losses(nimg: int) -> dict[str, Tensor]:
        rows = rows_of_step(len(faces), config.seed, nimg, config.batch_size).numpy()
        batch = to_device(crops(rows, np.random.default_rng([config.seed, nimg])), device)
        with autocast(config.mixed_precision, device):
            output = model(to_input(batch.images))
        return landmarker_loss(LandmarkerOutput(*(part.float() for part in output)), batch, weights)

    def measured(ema: Landmarker, nimg: int) -> Measurement:
        numbers = {}
        for name, part in heldout.items():
            for kind, disturbance in {"rough": ROUGH, "close": CLOSE}.items():
                numbers[f"{name}_{kind}"] = 100 * measure(ema, part, disturbance).mean().item()
        summary = ", ".join(f"{name} {error:.2f} %" for name, error in numbers.items())
        return Measurement(numbers, f"mean error of one pass, of the eye distance: {summary}")

    optimizers = {"optimizer": make_optimizer(model, config.optimizer, config.lr, weight_decay=WEIGHT_DECAY)}
    fitted = fit_network(
        {"landmarker": model}, optimizers, config, losses, measured,
        weights=TERM_WEIGHTS, warmup_kimg=WARMUP_KIMG, max_grad_norm=1.0, remark="; ".join(filter(None, remarks)),
    )  # fmt: skip
    record = {"teacher": config.teacher, "crops_seen": fitted.nimg, "batch_size": config.batch_size, "lr": config.lr}
    record |= {"optimizer": config.optimizer}
    return export_network(Path(config.output_dir) / "export", fitted.ema, record | {"error_percent": fitted.numbers})


main = script(TrainLandmarkerConfig, train, "exported to {}")


if __name__ == "__main__":
    sys.exit(main())
