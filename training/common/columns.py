"""Columns of a data set: which one holds the pictures, which one the labels, and how rows are balanced by one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gan_space.errors import DataError

# What a column of single values holds, and how the names of its Arrow types begin.
VALUE_KINDS = {
    "text": ("string", "large_string"),
    "whole numbers": ("int", "uint"),
    "numbers": ("float",),
    "truth values": ("bool",),
    "bytes": ("binary", "large_binary"),
    "nothing": ("null",),
}


def find_image_column(table, wanted: str | None, name: str) -> str:
    """Return the name of the column of pictures; DataError where it is not clear which."""
    import datasets

    features = table.features or {}
    images = [column for column, feature in features.items() if isinstance(feature, datasets.Image)]
    images = images or [column for column, feature in features.items() if _holds(feature) == "pictures"]
    lists = [column for column, feature in features.items() if _holds(feature) == "lists of pictures"]
    if wanted is not None:
        if wanted not in features:
            raise DataError(_no_column(name, wanted, features))
        if _holds(features[wanted]) not in ("pictures", "bytes", "text"):  # text: paths
            raise DataError(
                f"column {wanted!r} of {name} holds {_holds(features[wanted])}, expected one picture a row; "
                "write one row for each picture"
            )
        return wanted
    if not images and lists:
        raise DataError(
            f"column {lists[0]!r} of {name} holds lists of pictures, expected one picture a row; write one row for "
            "each picture"
        )
    if not images:
        raise DataError(
            f"{name} has no column of pictures; its columns are {sorted(features)}. Name one: --image_column"
        )
    return images[0]


def _holds(feature) -> str:
    """What the cells of a column are, in words."""
    import datasets

    if isinstance(feature, datasets.Image) or (isinstance(feature, dict) and {"bytes", "path"} <= feature.keys()):
        return "pictures"
    if isinstance(feature, list | datasets.List | datasets.LargeList):
        return f"lists of {_holds(feature[0] if isinstance(feature, list) else feature.feature)}"
    if isinstance(feature, datasets.ClassLabel):
        return "classes"
    if isinstance(feature, datasets.Value):
        for kind, start in VALUE_KINDS.items():
            if feature.dtype.startswith(start):
                return kind
        return f"values of type {feature.dtype}"
    return f"values of type {type(feature).__name__}"


def _no_column(name: str, column: str, features) -> str:
    """Say that a column is missing and what there is instead."""
    fault = f"{name} has no column {column!r}; its columns are {sorted(features)}"
    path = Path(name).expanduser()
    beside = sorted(file for start in ("", "*/") for file in path.glob(f"{start}metadata.*")) if path.is_dir() else []
    return f"{fault}; {beside[0].name} is not read: labels are sub-folders or columns of parquet" if beside else fault


class Labels:
    """Turns the values of a label column into vectors: classes one-hot, numbers as they are.

    Args:
        classes: all values of a class column, sorted; None if the column holds numbers.
    """

    def __init__(self, column: str, classes: list | None):
        self.column = column
        self.classes = classes
        self.c_dim = len(classes) if classes is not None else 1
        self._index = {value: index for index, value in enumerate(classes or [])}

    def encode(self, value) -> np.ndarray:
        """Return a label as the networks take it, [c_dim] float32."""
        if self.classes is None:
            return np.asarray([value], dtype=np.float32)
        vector = np.zeros(self.c_dim, dtype=np.float32)
        vector[self._index[value]] = 1
        return vector


def find_labels(table, column: str, name: str) -> Labels:
    """Look at a label column once and choose how it is encoded.

    Raises:
        DataError: no such column, rows without a label, numbers that are not finite, or anything but one class or one
            number a row.
    """
    features = table.features or {}
    if column not in features:
        raise DataError(_no_column(name, column, features))
    kind = _holds(features[column])
    if kind not in ("classes", "text", "whole numbers", "truth values", "numbers", "nothing"):
        raise DataError(
            f"column {column!r} of {name} holds {kind}, expected one class or one number a row; make such a column of "
            "it, for several classes a picture one that names the combination"
        )
    if hasattr(table, "unique"):
        values = table.unique(column)
    else:  # without the other columns, whose pictures would be decoded
        values = list({row[column] for row in table.select_columns([column])})
    if not values or any(_is_missing(value, kind) for value in values):
        raise DataError(f"column {column!r} of {name} has rows without a label; fill or drop them")
    if kind == "numbers":
        if not np.isfinite(values).all():
            raise DataError(f"column {column!r} of {name} has numbers that are not finite; fill or drop them")
        return Labels(column, None)
    return Labels(column, sorted(values))


def _is_missing(value, kind: str) -> bool:
    is_blank = isinstance(value, str) and not value.strip()  # an empty cell of a spreadsheet
    return value is None or value != value or is_blank or (kind == "classes" and value == -1)


def balancing_weights(table, column: str, power: float, name: str) -> np.ndarray:
    """Say how often each row is to be shown, so that rare values of a column are seen more often: [N] float64, mean 1.

    A value that n rows share is shown in proportion to n^(1 - power): power 0 leaves the data as they are, 1 shows
    every value equally often, 0.5 is the square-root sampling of Mahajan et al. (https://arxiv.org/abs/1805.00932).

    Raises:
        DataError: no such column, rows without a value, or a column of measurements.
    """
    labels = find_labels(table, column, name)
    if labels.classes is None:
        raise DataError(f"cannot balance {name} by {column!r}: it holds measurements, not groups")
    groups, counts = np.unique(np.asarray(table[column]), return_inverse=True, return_counts=True)[1:]
    weights = counts[groups] ** -float(power)
    return weights / weights.mean()


def weighted_rows(weights: np.ndarray, count: int, chance: np.random.Generator) -> np.ndarray:
    """Draw rows by their weights: [count] int64, in no order that matters.

    Systematic resampling: marks at equal distances on a line where each row takes up as much as it weighs. So each row
    comes as many times as its share of the count says, rounded up or down by chance.
    """
    order = chance.permutation(len(weights))
    ends = np.cumsum(weights[order])
    marks = (np.arange(count) + chance.random()) * (ends[-1] / count)
    return order[np.searchsorted(ends, marks, side="right").clip(max=len(weights) - 1)]
