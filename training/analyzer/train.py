"""Train the analyzer: `python training/analyzer/train.py --dataset_name FOLDER --output_dir runs/analyzer`.

Attributes are learned from labels. The embedding is learned without any name: two changed views of one picture shall
lie close together, views of different pictures apart. With `--identity_dataset` the two views come from two pictures of
one person where there are two; what is trained so is bound to the terms of those pictures. The same command resumes.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import training.common.start  # noqa: F401

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.errors import ConfigError
from gan_space.images import from_uint8
from gan_space.models.analyzer import Analyzer, brightness
from gan_space.settings import least_faults, multiple_faults, values_of
from training.analyzer.contrastive import (
    EmbeddingQueue,
    contrastive_loss,
    decorrelation_loss,
    recolour,
    redundancy_loss,
    turn,
)
from training.analyzer.finish import calibrate, fit_embedding
from training.analyzer.measure import attribute_metrics, predict
from training.common.command import script
from training.common.disturb import face_views, mirror_half
from training.common.export import export_network, plain_copy
from training.common.face_labels import AGE_GROUPS, LabelledFaces, load_labelled_faces
from training.common.fit_network import HeldOutFitConfig, Measurement, fit_device, fit_network
from training.common.optimizers import make_optimizer
from training.common.order import rows_of_step
from training.common.precision import autocast

EMBEDDING_FACES = 4096  # whose views decide the last projection
YAW_WEIGHT, RACE_WEIGHT = 0.5, 0.25
NUISANCES = ("yaw", "smile_degree", "mouth_gap")  # and brightness: what must not tell one person from another


@dataclass(frozen=True, kw_only=True)
class TrainAnalyzerConfig(HeldOutFitConfig):
    """Train the analyzer on labelled faces in the tight frame. The same command resumes a stopped run."""

    dataset_name: str
    """Folder, parquet or Hub data set with the columns male, age_group, race, glasses, yaw, mouth_width,
    mouth_corner_lift, mouth_gap; missing ones are not learned."""
    output_dir: str = "runs/analyzer"
    image_column: str | None = None
    """Column of the pictures; None finds it."""
    identity_dataset: str | None = None
    """Pictures with a column `identity`; half of each batch comes from them."""
    identity_framing: Literal["tight", "portrait"] = "portrait"
    """Framing of these; portrait is cropped to tight."""
    initial_model: str | None = None
    """Folder of an analyzer to start from."""
    resolution: int = 64
    """Side of the faces that the network sees, in px."""
    width: int = 24
    """Channels of the first layer."""
    batch_size: int = 128
    total_kimg: float = 150.0
    lr: float = 0.003
    weight_decay: float = 0.02
    """Decoupled, of either optimizer."""
    contrastive_weight: float = 1.0
    """Weight of the loss of the embedding beside the sum of those of the attributes."""
    redundancy_weight: float = 0.1
    """Weight of what keeps dimensions of the embedding from telling the same."""
    decorrelation_weight: float = 10.0
    """Weight of what keeps light, pose and expression out of the embedding."""
    temperature: float = 0.1
    """Of the contrastive loss."""
    queue_size: int = 512
    """Embeddings of earlier batches that serve as further strangers."""
    ema_halflife_kimg: float = 3.0
    checkpoint_kimg: float = 15.0
    calibration_images: int = 600
    """Training faces kept apart, at most a tenth, to calibrate the probabilities on at the end."""
    eval_images: int = 651

    def faults(self) -> list[str]:
        """Return what is wrong, a message for each."""
        faults = super().faults(("temperature", "calibration_images"))
        weights = ("contrastive_weight", "redundancy_weight", "decorrelation_weight", "weight_decay")
        faults += least_faults(0, values_of(self, *weights, "queue_size"), "--")
        faults += least_faults(8, values_of(self, "batch_size"), "--")
        faults += least_faults(2, values_of(self, "eval_images"), "--")
        faults += multiple_faults("--resolution", self.resolution, 16)
        return faults

    @property
    def face_px(self) -> int:
        """Side of the faces in memory: a little more than the views, which are cut from them."""
        return self.resolution * 9 // 8


def attribute_losses(model: Analyzer, scores: dict[str, Tensor], labels: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the loss of each learned attribute over the faces whose label is known; zero where none is.

    Binary cross-entropy; for age the mean of it over all limits (CORAL); for yaw the absolute error in its unit.
    """
    losses = {}
    for name in model.learned:
        label = labels[name]
        known = label.isfinite()
        score, label = scores[name][known], label[known]
        if name == "yaw":
            error = (model.natural({name: score})[name] - label).abs().sum() * 6  # about 1 when nothing is known
        elif name == "age":
            logits = score[:, None] - model.age_limits  # [n, limits]
            above = (label[:, None] > torch.arange(logits.shape[1], device=label.device)).float()
            error = F.binary_cross_entropy_with_logits(logits, above, reduction="none").mean(dim=1).sum()
        else:
            error = F.binary_cross_entropy_with_logits(score, label, reduction="sum")
        losses[name] = error / max(int(known.sum()), 1)
    return losses


def race_loss(logits: Tensor, label: Tensor) -> Tensor:
    """Return the cross-entropy over the known labels."""
    known = label.isfinite()
    return F.cross_entropy(logits[known], label[known].long(), reduction="sum") / max(int(known.sum()), 1)


class PairSampler:
    """For a picture of a person, another one of the same person if there is one; depends on the generator alone."""

    def __init__(self, person: Tensor):
        self.rows: dict[int, list[int]] = {}
        for row, number in enumerate(person.tolist()):
            self.rows.setdefault(number if number >= 0 else -1 - row, []).append(row)
        self.person = person.tolist()

    def partner(self, row: int, generator: torch.Generator) -> int:
        """Draw another picture of the same person; the same one where there is none."""
        others = self.rows[self.person[row]] if self.person[row] >= 0 else [row]
        others = [other for other in others if other != row] or [row]
        return others[int(torch.randint(len(others), (1,), generator=generator))]


def train(config: TrainAnalyzerConfig) -> Path:
    """Train until `total_kimg`, going on from the newest checkpoint in `output_dir` if there is one.

    Returns:
        The folder with config.json, the averaged and calibrated weights, and training.json.

    Raises:
        ConfigError: bad settings, or the run in `output_dir` has other ones.
        DataError: a data set cannot be used.
        TrainingError: the loss is not finite.
    """
    config.check()
    device = fit_device()
    options = dict(face_px=config.face_px, image_column=config.image_column)
    faces = load_labelled_faces(config.dataset_name, config.train_split, **options)
    heldout = load_labelled_faces(config.dataset_name, config.eval_split, limit=config.eval_images, **options)
    num_apart = max(1, min(config.calibration_images, len(faces) // 10))
    apart, faces = faces.select(slice(len(faces) - num_apart, None)), faces.select(slice(0, len(faces) - num_apart))
    people = None
    if config.identity_dataset:
        people = load_labelled_faces(
            config.identity_dataset, config.train_split, face_px=config.face_px, framing=config.identity_framing
        )
    torch.manual_seed(config.seed)
    if config.initial_model:
        model = Analyzer.from_pretrained(config.initial_model)
        if (model.config.resolution, model.config.width) != (config.resolution, config.width):
            raise ConfigError(
                f"{config.initial_model} has resolution {model.config.resolution} and width {model.config.width}, "
                f"got --resolution {config.resolution} --width {config.width}"
            )
    else:
        model = Analyzer(resolution=config.resolution, width=config.width)  # by name, or diffusers forgets them

    model = model.to(device, memory_format=torch.channels_last).train()
    queue = EmbeddingQueue(config.queue_size, model.config.embedding_dim).to(device)
    batches, latest = Batches(config, faces, people), None

    def losses(nimg: int) -> dict[str, Tensor]:
        nonlocal latest
        images, labels, owners = batches.draw(nimg)
        images, owners = images.to(device), owners.to(device)
        labels = {name: values.to(device) for name, values in labels.items()}
        with autocast(config.mixed_precision, device):
            trunk = model.trunk(images.contiguous(memory_format=torch.channels_last))
        features, projected = model.hidden_features(trunk), model.project(trunk)
        embedding = F.normalize(projected, dim=1)
        first, second = embedding.chunk(2)
        light = brightness(images)[:, None]
        nuisances = torch.cat([light, *(labels[name][:, None] for name in NUISANCES)], dim=1)
        parts = attribute_losses(model, model.scores(features, images), labels)
        parts["race"] = race_loss(model.race_head(features), labels["race"])
        parts["contrastive"] = contrastive_loss(first, second, owners, queue, config.temperature)
        parts["decorrelation"] = decorrelation_loss(embedding, nuisances)
        parts["redundancy"] = redundancy_loss(projected)
        latest = (first.detach(), owners)
        return parts

    def after_step() -> None:
        queue.push(*latest)

    def measured(ema: Analyzer, nimg: int) -> Measurement:
        numbers = measure(ema, heldout)
        return Measurement(numbers, ", ".join(f"{name} {value:.3f}" for name, value in numbers.items()))

    weights = {"yaw": YAW_WEIGHT, "race": RACE_WEIGHT, "contrastive": config.contrastive_weight}
    weights |= {"decorrelation": config.decorrelation_weight, "redundancy": config.redundancy_weight}
    optimizer = make_optimizer(model, config.optimizer, config.lr, weight_decay=config.weight_decay)
    options = {"weights": weights, "after_step": after_step, "warmup_kimg": 4.0}
    fitted = fit_network(
        {"analyzer": model, "queue": queue}, {"optimizer": optimizer}, config, losses, measured, **options
    )
    return _export(fitted.ema, config, fitted.nimg, apart, batches)


class Batches:
    """Draws batches; what one holds depends on its position alone, so a resumed run needs no random state."""

    def __init__(self, config: TrainAnalyzerConfig, faces: LabelledFaces, people: LabelledFaces | None):
        self.config, self.faces, self.people = config, faces, people
        self.num_people = config.batch_size // 2 if people is not None else 0
        if people is not None:
            self.pairs = PairSampler(people.person)

    def draw(self, nimg: int) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Return views [2 N, 3, R, R] of N faces, the first views before the second; labels, each [2 N]; owners [N]."""
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_000_007 + nimg)
        seed, share = self.config.seed, self.num_people / self.config.batch_size
        num_faces = self.config.batch_size - self.num_people
        rows = rows_of_step(len(self.faces), seed, round(nimg * (1 - share)), num_faces)
        parts = [self.faces.select(rows)]
        seconds = [parts[0]]
        owners = [rows]
        if self.people is not None:
            rows = rows_of_step(len(self.people), seed + 1, round(nimg * share), self.num_people).tolist()
            partners = [self.pairs.partner(row, generator) for row in rows]
            parts.append(self.people.select(torch.tensor(rows)))
            seconds.append(self.people.select(torch.tensor(partners)))
            known = parts[-1].person
            # Numbers of people come after those of pictures; people without a name own their picture only.
            own = torch.where(known >= 0, known, len(self.people) + torch.tensor(rows))
            owners.append(len(self.faces) + own)
        views, labels = [], []
        for some, strong in ((parts, False), (seconds, True)):
            images = torch.cat([part.images for part in some])
            values = {name: torch.cat([part.labels[name] for part in some]) for name in some[0].labels}
            images, values["yaw"] = mirror_half(images, values["yaw"], generator)
            seen = face_views(images, self.config.resolution, generator, strong=strong)
            if strong:
                seen, values["yaw"] = turn(seen, generator), torch.full_like(values["yaw"], torch.nan)
            views.append(recolour(seen, generator))
            labels.append(values)
        joined = {name: torch.cat([one[name] for one in labels]) for name in labels[0]}
        return torch.cat(views), joined, torch.cat(owners)


def measure(model: Analyzer, faces: LabelledFaces) -> dict[str, float]:
    """Return one number for each attribute: AUC of binary ones, mean absolute error of age (years) and yaw."""
    found = attribute_metrics(predict(model, from_uint8(faces.images)).attributes, faces.labels)
    return {f"{name}_{key}": parts[key] for name, parts in found.items() for key in ("auc", "mae") if key in parts}


def _export(ema: Analyzer, config: TrainAnalyzerConfig, nimg: int, apart: LabelledFaces, batches: Batches) -> Path:
    model = plain_copy(ema)
    num_fitted = 0  # with names: views say less about a person than what the names have taught
    if batches.people is None:
        num_fitted = max(1, min(EMBEDDING_FACES, len(batches.faces)) // config.batch_size)
        fit_embedding(model, (batches.draw(k * config.batch_size)[0] for k in range(num_fitted)))
    calibration = calibrate(model, apart)
    record = {"faces_seen": nimg, "batch_size": config.batch_size, "lr": config.lr, "age_groups": AGE_GROUPS}
    record |= {"optimizer": config.optimizer}
    record |= {
        "used_identities": config.identity_dataset is not None,
        "embedding_fitted_on": num_fitted * config.batch_size,
    }
    record |= {"initial_model": config.initial_model is not None, "calibration": calibration}
    return export_network(Path(config.output_dir) / "export", model, record)


main = script(TrainAnalyzerConfig, train, "exported to {}")


if __name__ == "__main__":
    sys.exit(main())
