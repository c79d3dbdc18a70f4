"""The regular look at a run: metrics on the averaged weights, and the doctor's verdict."""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path

import torch

from gan_space.errors import DataError
from gan_space.metrics.features import random_conv_extractor
from gan_space.whole_files import write_json
from training.common.columns import Labels
from training.common.tables import open_table
from training.config import TrainConfig
from training.data import MIN_PICTURES, PortraitDataset, StreamedPortraits
from training.doctor import Diagnosis, Doctor, signs_from
from training.judging import logits_of
from training.measure import Reals, evaluate_generator, sample, sample_seeds, scalars
from training.steps import Players

SIGNS_SEED = 1  # evaluation seed of the pictures that the doctor sees; the metrics use 0


class Checkup:
    """Measures a run every `eval_kimg`; draws nothing from the random state of training.

    Args:
        config: settings of the run.
        dataset: the training pictures.
        labels: of the run, or None.
    """

    def __init__(self, config: TrainConfig, dataset: PortraitDataset | StreamedPortraits, labels: Labels | None):
        self.config = config
        self.doctor = Doctor()
        self.heldout_missing: str | None = None
        heldout = self._open_heldout()
        train = _Few(dataset, config.eval_images) if isinstance(dataset, StreamedPortraits) else dataset
        self.reals = Reals.from_datasets(
            train, heldout, num_images=config.eval_images, seed=config.seed, use_labels=labels is not None
        )
        self.extractor = random_conv_extractor()
        self._sums = {"grad_norm_g": 0.0, "grad_norm_d": 0.0, "bad": 0.0, "steps": 0}

    def note(self, grad_norm_g: float, grad_norm_d: float, bad: float) -> None:
        """Remember one training step for the next visit; steps that were skipped count as such only."""
        self._sums["bad"] += bad
        if not bad:
            self._sums["grad_norm_g"] += grad_norm_g
            self._sums["grad_norm_d"] += grad_norm_d
            self._sums["steps"] += 1

    def visit(self, players: Players, nimg: int) -> tuple[dict[str, float], Diagnosis]:
        """Evaluate and diagnose. Writes the full report, with N, seeds and hashes, to `metrics.json` of the run.

        Returns:
            ({metric name: value}, diagnosis)
        """
        report = evaluate_generator(
            players.ema, self.reals, num_images=self.config.eval_images, extractor=self.extractor
        )
        diagnosis = self.doctor.examine(self._signs(players, nimg))
        report |= {"nimg": nimg, "verdict": diagnosis.verdict, "reasons": list(diagnosis.reasons)}
        file = Path(self.config.output_dir) / "metrics.json"
        write_json(file, report)
        return scalars(report), diagnosis

    def state(self) -> dict:
        """Return what a checkpoint keeps."""
        return {"doctor": self.doctor.state_dict(), "sums": dict(self._sums)}

    def load_state(self, state: dict) -> None:
        """Go on from a saved state."""
        self.doctor.load_state_dict(state["doctor"])
        self._sums = dict(state["sums"])

    def _open_heldout(self) -> PortraitDataset | None:
        if Path(self.config.dataset_name).is_file():
            name, split = self.config.dataset_name, self.config.eval_split
            self.heldout_missing = f"{name} is one file; give a folder that has {split}.parquet too"
            return None
        try:
            table = open_table(self.config.dataset_name, self.config.eval_split)
        except DataError as error:
            self.heldout_missing = str(error)
            return None
        if len(table) < MIN_PICTURES:
            self.heldout_missing = f"the split {self.config.eval_split} has {len(table)}, {MIN_PICTURES} are needed"
            return None
        return PortraitDataset(
            table, self.config.resolution, image_column=self.config.image_column, name=self.config.eval_split
        )

    @torch.no_grad()
    def _signs(self, players: Players, nimg: int):
        labels = self.reals.labels
        # The generator as it trains, not its average: a collapse shows there first.
        fakes = sample(players.generator, sample_seeds(SIGNS_SEED, len(self.reals.images)), labels=labels)
        steps = max(self._sums["steps"], 1)
        discriminator = players.discriminator or players.projected
        judge = partial(logits_of, discriminator.eval())
        signs = signs_from(
            fakes,
            self.reals.images,
            real_logits=judge(self.reals.images, labels).cpu(),
            fake_logits=judge(fakes, labels).cpu(),
            # Held-out pictures have no labels here, and a conditional D cannot judge without.
            heldout_logits=None if self.reals.heldout is None or labels is not None
            else judge(self.reals.heldout).cpu(),
            grad_norm_g=self._sums["grad_norm_g"] / steps,
            grad_norm_d=self._sums["grad_norm_d"] / steps,
            nonfinite_steps=int(self._sums["bad"]),
            kimg=None if self.config.init_from else nimg / 1000,  # weights of another run need no warm-up
        )  # fmt: skip
        discriminator.train()
        self._sums = dict.fromkeys(self._sums, 0.0)
        return signs


class _Few:
    """The first pictures of a stream, as a map-style data set."""

    def __init__(self, stream: StreamedPortraits, count: int):
        self._items = list(itertools.islice(stream, count))

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int):
        return self._items[index]
