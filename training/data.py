"""Pictures and labels for training, from a folder, parquet files or the Hub, in an order that can be resumed.

Every picture of the run has a position, counted over all processes from 0. What is at a position depends on the seed
alone, so a resumed run goes on with exactly the picture where the killed one stopped.
"""

from __future__ import annotations

import itertools
import math
import os
import signal
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler, default_collate

from gan_space.errors import DataError
from training.common.columns import Labels, balancing_weights, find_image_column, find_labels
from training.common.tables import decode_picture, open_table
from training.config import MIN_EVALUATED

if TYPE_CHECKING:
    from training.config import TrainConfig

CACHE_MB = 1024  # decoded pictures kept in memory by one process
MIN_PICTURES = 2  # fewer are no data set to train on
MAX_BROKEN_SHARE = 0.5  # more broken pictures than this and the data set is refused
STAND_INS = 32  # good pictures kept to take the place of broken ones when streaming
LOOK_BACK = 8 * STAND_INS  # pictures before the start of a resumed stream that are looked through for them
SHUFFLE_BUFFER = 2048  # pictures held back for shuffling when streaming


class TrainingTable(NamedTuple):
    """What a run reads: `table` undecoded, `labels` of a conditional run, `weights` of the rows of a balanced one."""

    table: Any
    labels: Labels | None
    weights: np.ndarray | None


def open_training_table(config: TrainConfig) -> TrainingTable:
    """Open the data of a run and check all columns that its settings name.

    Raises:
        DataError: too few pictures; see `open_table`, `find_image_column`, `find_labels` and `balancing_weights` too.
    """
    name = config.dataset_name
    table = open_table(name, config.dataset_split, streaming=config.streaming)
    column = find_image_column(table, config.image_column, name)
    _check_count(config, table.select_columns([column]))
    labels = find_labels(table, config.label_column, name) if config.label_column else None
    weights = None
    if config.balance_column:
        weights = balancing_weights(table, config.balance_column, config.balance_power, name)
    return TrainingTable(table, labels, weights)


def _check_count(config: TrainConfig, pictures) -> None:
    """Raise DataError if a table has too few rows to train on and to measure by."""
    import datasets

    needed = MIN_EVALUATED if config.eval_kimg > 0 else MIN_PICTURES
    if config.streaming:
        pictures = pictures.cast_column(next(iter(pictures.features)), datasets.Image(decode=False))
        count = sum(1 for _ in itertools.islice(pictures, needed))
    else:
        count = len(pictures)
    if count < needed:
        evaluated = f" with evaluation ({MIN_PICTURES} with --eval_kimg 0)" if needed > MIN_PICTURES else ""
        raise DataError(
            f"{config.dataset_name} (split {config.dataset_split}) has {count} pictures; a run{evaluated} needs "
            f"{needed} or more"
        )


def stand_ins(row: int, count: int) -> Iterator[int]:
    """Order the rows to try in place of a broken one: every other row once, and no two broken rows the same first.

    Steps of the golden section fall far from each other, so also a whole stretch of broken rows is spread over the set.
    """
    step = max(1, round(count * 0.618))
    while math.gcd(step, count) != 1:
        step += 1
    return ((row + number * step) % count for number in range(1, count))


class PortraitDataset(Dataset):
    """Map-style data set: index -> (image [3, R, R] uint8, label [c_dim] float32).

    With `horizontal_flip` it is twice as long; indices from N on are the mirrored pictures. A broken picture is
    noted in `broken` and replaced by a good one, each by another, see `stand_ins`.

    Raises:
        DataError: from `__getitem__` when no good picture can be found near.
    """

    def __init__(
        self,
        table,
        resolution: int,
        *,
        image_column: str | None = None,
        labels: Labels | None = None,
        horizontal_flip: bool = False,
        name: str = "data set",
    ):
        import datasets

        if len(table) == 0:
            raise DataError(f"{name} is empty")
        column = find_image_column(table, image_column, name)
        self.table = table.cast_column(column, datasets.Image(decode=False))
        self.column = column
        self.resolution = resolution
        self.labels = labels
        self.horizontal_flip = horizontal_flip
        self.name = name
        self.broken: dict[int, str] = {}
        self._cache: dict[int, np.ndarray] = {}
        self._cache_limit = int(CACHE_MB * 2**20 / (3 * resolution**2))

    @property
    def num_pictures(self) -> int:
        """How many there are without their mirror images."""
        return len(self.table)

    def __len__(self) -> int:
        return self.num_pictures * (2 if self.horizontal_flip else 1)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        row = index % self.num_pictures
        image, row = self._first_good(row)
        if index >= self.num_pictures:
            image = image[:, :, ::-1]
        return torch.from_numpy(np.ascontiguousarray(image)), self._label(row)

    def _first_good(self, row: int) -> tuple[np.ndarray, int]:
        for one in itertools.chain([row], stand_ins(row, self.num_pictures)):
            if one in self._cache:
                return self._cache[one], one
            if one in self.broken:
                continue
            try:
                image = decode_picture(self.table[one][self.column], self.resolution)
            except DataError as error:
                self.broken[one] = str(error)
                self.check_broken()
                continue
            if len(self._cache) < self._cache_limit:
                self._cache[one] = image
            return image, one
        raise AssertionError("a share of the pictures is good, or check_broken has raised")

    def check_broken(self) -> None:
        """Raise DataError where too many pictures are broken to go on with the others."""
        if len(self.broken) > self.num_pictures * MAX_BROKEN_SHARE:
            raise DataError(
                f"{len(self.broken)} of {self.num_pictures} pictures of {self.name} cannot be read; "
                f"the first: {next(iter(self.broken.values()))}"
            )

    def _label(self, row: int) -> Tensor:
        if self.labels is None:
            return torch.empty(0)
        return torch.from_numpy(self.labels.encode(self.table[row][self.labels.column]))


def open_dataset(
    name: str,
    resolution: int,
    split: str = "train",
    *,
    image_column: str | None = None,
    label_column: str | None = None,
    horizontal_flip: bool = False,
) -> PortraitDataset:
    """Open a map-style data set; see `open_table` for what `name` may be."""
    table = open_table(name, split)
    labels = find_labels(table, label_column, name) if label_column else None
    return PortraitDataset(
        table, resolution, image_column=image_column, labels=labels, horizontal_flip=horizontal_flip, name=name
    )


class StreamedPortraits(IterableDataset):
    """The same for a streamed table: endless, shuffled in a buffer, split by process, from any position on.

    Resuming reads past what was seen, so that the order stays exact; that costs the time of reading. A broken picture
    is replaced by one of the good ones shortly before it, by turns.
    """

    def __init__(
        self,
        table,
        resolution: int,
        *,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        start: int = 0,
        image_column: str | None = None,
        labels: Labels | None = None,
        horizontal_flip: bool = False,
        name: str = "data set",
    ):
        import datasets
        from datasets.distributed import split_dataset_by_node

        self.column = find_image_column(table, image_column, name)
        self.table = split_dataset_by_node(
            table.cast_column(self.column, datasets.Image(decode=False)), rank=rank, world_size=world_size
        )
        self.resolution, self.seed, self.rank, self.start = resolution, seed, rank, start // world_size
        self.labels, self.horizontal_flip, self.name = labels, horizontal_flip, name
        self.broken: dict[int, str] = {}

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        position, epoch = 0, 0
        recent: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=STAND_INS)
        while True:
            first_of_epoch = position
            for row in self._rows(epoch):
                # Some before the start are decoded too: they may have to stand in for broken ones.
                if position >= self.start - LOOK_BACK:
                    good = self._decode(row, position)
                    if good is not None:
                        recent.append(good)
                    elif recent:
                        good = recent[position % len(recent)]
                    if good is not None and position >= self.start:
                        yield self._as_tensors(*good, position)
                position += 1
            if position == first_of_epoch or (not recent and position > self.start):
                first = f"; the first: {next(iter(self.broken.values()))}" if self.broken else ""
                raise DataError(f"{self.name} gives no readable picture to process {self.rank}{first}")
            epoch += 1

    def _rows(self, epoch: int) -> Iterator[dict]:
        try:
            yield from self.table.shuffle(seed=self.seed + epoch, buffer_size=SHUFFLE_BUFFER)
        except Exception as error:  # of parquet, of the Hub or of the network: a dozen types
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise DataError(f"{self.name} cannot be read any further ({reason}): download or write it again") from error

    def _decode(self, row: dict, position: int) -> tuple[np.ndarray, np.ndarray] | None:
        try:
            image = decode_picture(row[self.column], self.resolution)
        except DataError as error:
            self.broken[position] = str(error)
            return None
        return image, self.labels.encode(row[self.labels.column]) if self.labels else np.empty(0, np.float32)

    def _as_tensors(self, image: np.ndarray, label: np.ndarray, position: int) -> tuple[Tensor, Tensor]:
        if self.horizontal_flip and np.random.default_rng([self.seed, self.rank, position]).random() < 0.5:
            image = image[:, :, ::-1]
        return torch.from_numpy(np.ascontiguousarray(image)), torch.from_numpy(label)


def read_batches(
    dataset: PortraitDataset | StreamedPortraits, batch_size: int, *, sampler: Sampler | None, num_workers: int = 0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Return batches of (images [B, 3, R, R] uint8, labels [B, c_dim] float32), without end.

    Pictures that the workers could not read are noted in `dataset.broken` with the batch in which they were missing.

    Raises:
        DataError: too few pictures can be read, whichever process has found that out.
    """
    loader = DataLoader(
        dataset,
        batch_size=batch_size,
        sampler=sampler,
        num_workers=num_workers,
        collate_fn=_BatchWithBroken(dataset),
        drop_last=True,
        pin_memory=torch.cuda.is_available(),
        persistent_workers=num_workers > 0,
        worker_init_fn=_leave_signals_to_the_loop,
        # A generator of its own: otherwise the loader draws from torch's, and the run depends on when it was made.
        generator=torch.Generator().manual_seed(0),
    )
    try:
        for images, labels, broken in loader:
            dataset.broken.update(broken)
            if isinstance(dataset, PortraitDataset):
                dataset.check_broken()
            yield images, labels
    except DataError as error:  # with the traceback of the worker in it, if there was one
        raise DataError(str(error).rpartition(f"{DataError.__name__}: ")[2].strip()) from error


class _BatchWithBroken:
    """Collates the samples of a batch, and adds what this process has found broken since its last one."""

    def __init__(self, dataset: PortraitDataset | StreamedPortraits):
        self.dataset = dataset  # in a worker: the worker's copy
        self.reported = 0

    def __call__(self, samples: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, dict[int, str]]:
        broken = dict(itertools.islice(self.dataset.broken.items(), self.reported, None))
        self.reported += len(broken)
        images, labels = default_collate(samples)
        return images, labels, broken


def _leave_signals_to_the_loop(worker_id: int) -> None:
    """Terminals and launchers send their signals to a whole group; the workers must live until the loop has saved."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the loop's own way to end them, which it has handled otherwise
