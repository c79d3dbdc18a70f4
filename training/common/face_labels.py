"""Aligned faces in memory with the labels that the analyzer learns from and is measured by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gan_space.faces.align import PORTRAIT_FRAME, AlignTransform
from gan_space.images import to_uint8
from gan_space.models.analyzer import RACE_GROUPS
from training.common.tables import decode_picture, read_pictures

AGE_GROUPS = ("20-29", "30-39", "40-49", "50-59", "60-69", "70+")
# Limits of our own on distances between landmarks, in eye distances, set by looking at pictures on both sides of them.
SMILE_LIFT, SMILE_LIFT_UNIT = 0.045, 0.055  # corners of the mouth above its middle
SMILE_WIDTH, SMILE_WIDTH_UNIT = 0.86, 0.125  # corner to corner
MOUTH_OPEN_GAP = 0.07
COLUMNS = (
    *("male", "age_group", "race", "glasses", "yaw", "brightness", "skin_tone", "identity"),
    *("mouth_width", "mouth_corner_lift", "mouth_gap"),
)


@dataclass
class LabelledFaces:
    """Faces in the tight frame; everything unknown is nan, or -1 for a person."""

    images: Tensor  # [N, 3, S, S] uint8
    # Each [N] float32. 0 or 1: male, smile, mouth_open, glasses. Number of the group: age (in AGE_GROUPS), race (in
    # RACE_GROUPS). As measured: yaw, brightness, skin_tone, smile_degree and mouth_gap (what the limits are set on).
    labels: dict[str, Tensor]
    person: Tensor  # [N] int64, the same number for the same name

    def __len__(self) -> int:
        return len(self.images)

    def select(self, rows: Tensor | slice) -> LabelledFaces:
        """Return the faces in `rows`."""
        labels = {name: values[rows] for name, values in self.labels.items()}
        return LabelledFaces(self.images[rows], labels, self.person[rows])


def load_labelled_faces(
    name: str,
    split: str,
    *,
    face_px: int,
    framing: str = "tight",
    image_column: str | None = None,
    limit: int | None = None,
) -> LabelledFaces:
    """Decode a data set into memory; broken pictures are passed over, missing columns leave labels unknown.

    Args:
        name: folder, parquet file or Hub id.
        split: of it.
        face_px: side of the faces in memory.
        framing: "tight", or "portrait" for head-and-shoulders pictures, which are cropped to the tight frame.
        image_column: None finds it.
        limit: at most so many faces, the first ones.

    Raises:
        DataError: the data cannot be opened, or fewer than two pictures can be read.
    """
    options = {"image_column": image_column, "limit": limit, "decode": _DECODE[framing]}
    images, rows = read_pictures(name, split, face_px, COLUMNS, **options)
    people = {person: number for number, person in enumerate(dict.fromkeys(row["identity"] for row in rows))}
    person = torch.tensor([-1 if row["identity"] is None else people[row["identity"]] for row in rows])
    return LabelledFaces(images, labels_from_rows(rows), person)


def labels_from_rows(rows: Sequence[dict]) -> dict[str, Tensor]:
    """Return labels of `LabelledFaces` from rows with the columns of COLUMNS, any of them None."""
    raw = {name: _numbers([row[name] for row in rows]) for name in COLUMNS if name not in ("age_group", "race")}
    degree = (raw["mouth_corner_lift"] - SMILE_LIFT) / SMILE_LIFT_UNIT
    degree = degree + (raw["mouth_width"] - SMILE_WIDTH) / SMILE_WIDTH_UNIT
    labels = {name: raw[name] for name in ("male", "glasses", "yaw", "brightness", "skin_tone", "mouth_gap")}
    labels["smile_degree"] = degree
    labels["smile"] = _above(degree, 0.0)
    labels["mouth_open"] = _above(raw["mouth_gap"], MOUTH_OPEN_GAP)
    labels["age"] = _numbers([_index(AGE_GROUPS, row["age_group"]) for row in rows])
    labels["race"] = _numbers([_index(RACE_GROUPS, row["race"]) for row in rows])
    return labels


def _decode_portrait(cell: dict, face_px: int) -> np.ndarray:
    picture = torch.from_numpy(np.ascontiguousarray(decode_picture(cell, 2 * face_px)))
    return to_uint8(AlignTransform.from_landmarks(PORTRAIT_FRAME * 2 * face_px).crop(picture, face_px))[0].numpy()


_DECODE = {"tight": decode_picture, "portrait": _decode_portrait}


def _numbers(values: Sequence) -> Tensor:
    return torch.tensor([v if isinstance(v, bool | int | float) else float("nan") for v in values], dtype=torch.float32)


def _index(names: Sequence[str], name: str | None) -> int | None:
    return names.index(name) if name in names else None


def _above(values: Tensor, limit: float) -> Tensor:
    return torch.where(values.isnan(), values, (values > limit).float())
