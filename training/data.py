"""Pictures and labels for training, from a folder, parquet files or the Hub, in an order that can be resumed.

Every picture of the run has a position, counted over all processes from 0. What is at a position depends on the seed
alone, so a resumed run goes on with exactly the picture where the killed one stopped.
"""

from __future__ import annotations

import io
import itertools
import math
import os
import signal
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler, default_collate

from gan_space.errors import DataError, InputError
from gan_space.photos.folders import find_pictures, is_data
from gan_space.photos.opening import open_picture, to_picture
from training.columns import Labels, balancing_weights, find_image_column, find_labels, weighted_rows
from training.config import MIN_EVALUATED

if TYPE_CHECKING:
    from training.config import TrainConfig

CACHE_MB = 1024  # decoded pictures kept in memory by one process
MIN_PICTURES = 2  # fewer are no data set to train on
MAX_BROKEN_SHARE = 0.5  # more broken pictures than this and the data set is refused
STAND_INS = 32  # good pictures kept to take the place of broken ones when streaming
LOOK_BACK = 8 * STAND_INS  # pictures before the start of a resumed stream that are looked through for them
SHUFFLE_BUFFER = 2048  # pictures held back for shuffling when streaming


def open_table(name: str, split: str = "train", *, config_name: str | None = None, streaming: bool = False):
    """Open a data set with the `datasets` library, undecoded.

    Args:
        name: a folder with parquet files named after their split, a folder of pictures, one parquet file, or a Hub id.
        split: "train", "test", …; a folder without that split is an error, one without any split has only "train".
        config_name: of a Hub data set that has several.
        streaming: read as it comes instead of preparing the whole on disk.

    Raises:
        DataError: nothing there, no pictures, no such split, or one of several that was not named.
    """
    import datasets

    path = Path(name).expanduser()
    datasets.disable_progress_bars()
    if config_name is not None and path.exists():
        raise DataError(f"{name} is a file or folder here and has no configurations; got {config_name!r}")
    try:
        if path.is_file():
            if path.suffix != ".parquet":
                raise DataError(f"{name} is a file, but no .parquet; give a folder of pictures, parquet, or a Hub id")
            table = datasets.load_dataset("parquet", data_files={split: str(path)}, split=split, streaming=streaming)
        elif path.is_dir():
            table = _open_folder(path, split, streaming)
        elif path.is_absolute() or name.startswith(".") or name.count("/") != 1:
            raise DataError(
                f"no such data set: {name} is neither a folder, a parquet file, nor a Hub id like user/name"
            )
        else:
            table = datasets.load_dataset(name, config_name, split=split, streaming=streaming)
    except DataError:
        raise
    except Exception as error:  # datasets raises many kinds; whichever it is, the data cannot be used
        lines = str(error).strip().splitlines() or [type(error).__name__]
        message = " ".join(lines[:2]) if "Config name is missing" in lines[0] else lines[0]  # the second line has them
        raise DataError(f"cannot open the data set {name} (split {split}): {message}") from error
    return table


def _open_folder(path: Path, split: str, streaming: bool):
    import datasets

    parquet = _parquet_files(path)
    if parquet:
        chosen = [file for file in parquet if file.stem == split or file.stem.startswith(f"{split}-")]
        splits = sorted({file.stem.split("-")[0] for file in parquet})
        if not chosen and split == "train" and not {"train", "test", "validation"} & set(splits):
            chosen = parquet  # files with names of their own are all training data
        if not chosen:
            raise DataError(f"{path} has no split {split!r}; its parquet files are for {splits}")
        files = [str(file) for file in chosen]
        return datasets.load_dataset("parquet", data_files={split: files}, split=split, streaming=streaming)
    root = path / split if (path / split).is_dir() else path
    if root == path and split != "train":
        raise DataError(f"{path} has no split {split!r}: expected a sub-folder of that name or {split}-*.parquet")
    found = find_pictures(root, deep=True)
    pictures = found.files
    if not pictures:
        remark = f"; {found.remark()}" if found.passed_over else ""
        raise DataError(f"{root} holds no pictures and no parquet files{remark}")
    # The files are listed by us rather than by `imagefolder`: sorted, so that positions mean the same on every
    # machine, and never opened before their turn, so that one broken file does not stop the rest.
    rows = {"image": [str(file) for file in pictures]}
    labels = [file.parent.relative_to(root).as_posix() for file in pictures]
    if len(set(labels)) > 1:
        rows["label"] = labels
    table = datasets.Dataset.from_dict(rows).cast_column("image", datasets.Image(decode=False))
    return table.to_iterable_dataset() if streaming else table


def _parquet_files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("**/*.parquet") if is_data(file.relative_to(folder)))


def passed_over(name: str, split: str) -> str:
    """Which files of a folder of pictures are not looked at, in one line; empty where there are none."""
    path = Path(name).expanduser()
    if not path.is_dir() or _parquet_files(path):
        return ""
    return find_pictures(path / split if (path / split).is_dir() else path, deep=True).remark()


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


def decode_picture(cell: dict | None, resolution: int) -> np.ndarray:
    """Decode {"bytes", "path"} to [3, R, R] uint8: as `open_photo` does, then middle square, Lanczos.

    Raises:
        DataError: no picture there, not a picture, or cut short.
    """
    cell = cell or {}
    content, path = cell.get("bytes"), cell.get("path")
    if not content and not path:
        raise DataError("a row without a picture")
    try:
        photo = open_picture(io.BytesIO(content) if content else path, enough_px=resolution).over_white()
    except InputError as error:
        raise DataError(f"{path}: {error}" if content and path else str(error)) from error
    if photo.shape[1:] == (resolution, resolution):
        return photo.numpy()
    picture = to_picture(photo)
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    box = (left, top, left + side, top + side)
    picture = picture.resize((resolution, resolution), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)
    return np.asarray(picture).transpose(2, 0, 1)


def stand_ins(row: int, count: int) -> Iterator[int]:
    """The rows to try in place of a broken one, in order: every other row once, and no two broken rows the same first.

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


class EndlessSampler(Sampler[int]):
    """Indices for one of several processes, shuffled anew each epoch, from any position on.

    Process r of W gets positions start + r, start + r + W, …; together they see every index once an epoch, or, given
    weights ([length], mean 1), as many times as its weight says, rounded up or down by chance.
    """

    def __init__(
        self,
        length: int,
        *,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        start: int = 0,
        weights: np.ndarray | None = None,
    ):
        self.length, self.seed, self.rank, self.world_size, self.start = length, seed, rank, world_size, start
        self.weights = weights

    def __iter__(self) -> Iterator[int]:
        epoch, order = -1, None
        position = self.start + self.rank
        while True:
            if position // self.length != epoch:
                epoch = position // self.length
                order = self._order(np.random.default_rng([self.seed, epoch]))
            yield int(order[position % self.length])
            position += self.world_size

    def _order(self, chance: np.random.Generator) -> np.ndarray:
        if self.weights is None:
            return chance.permutation(self.length)
        return chance.permutation(weighted_rows(self.weights, self.length, chance))


def rows_of_step(length: int, seed: int, start: int, count: int) -> Tensor:
    """The `count` indices from position `start` on, in the order of `EndlessSampler`: [count] int64."""
    return torch.tensor(list(itertools.islice(EndlessSampler(length, seed=seed, start=start), count)))


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
            for row in self.table.shuffle(seed=self.seed + epoch, buffer_size=SHUFFLE_BUFFER):
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
                raise DataError(f"{self.name} gives no readable picture to process {self.rank}")
            epoch += 1

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
    """Batches of (images [B, 3, R, R] uint8, labels [B, c_dim] float32), without end.

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
        self.told = 0

    def __call__(self, samples: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, dict[int, str]]:
        broken = dict(itertools.islice(self.dataset.broken.items(), self.told, None))
        self.told += len(broken)
        images, labels = default_collate(samples)
        return images, labels, broken


def _leave_signals_to_the_loop(worker_id: int) -> None:
    """Terminals and launchers send their signals to a whole group; the workers must live until the loop has saved."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the loop's own way to end them, which it has handled otherwise
