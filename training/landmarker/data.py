"""Aligned faces in memory with 468 landmarks each, and which of them are held back."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from gan_space.errors import DataError
from gan_space.models.landmarker import NUM_LANDMARKS
from training.common.columns import find_image_column
from training.common.tables import decode_picture, open_table

TURNED = 0.4  # |nose_turn| of the part that is held back
NUM_HELD_BACK = 1000
LABELS = ("male", "age_group", "race", "nose_turn", "yaw")
LabelOrigin = Literal["corner", "middle"]


@dataclass
class LandmarkFaces:
    """Faces in the tight frame, or any frame that the points belong to."""

    images: np.ndarray  # [N, S, S, 3] uint8
    points: np.ndarray  # [N, 468, 2] float32, fractions of the width; may lie outside
    presence: np.ndarray  # [N] float32, the teacher's belief that there is a face
    files: list[str]
    labels: dict[str, list]  # those of LABELS that the data has

    def __len__(self) -> int:
        return len(self.images)

    def select(self, rows: Sequence[int] | np.ndarray) -> LandmarkFaces:
        """Return the faces in `rows`."""
        rows = np.asarray(rows, dtype=int)
        labels = {name: [values[row] for row in rows] for name, values in self.labels.items()}
        files = [self.files[row] for row in rows]
        return LandmarkFaces(self.images[rows], self.points[rows], self.presence[rows], files, labels)


def load_landmark_faces(
    name: str,
    split: str,
    *,
    labels_name: str | None = None,
    label_origin: LabelOrigin = "corner",
    face_px: int = 128,
    limit: int | None = None,
) -> LandmarkFaces:
    """Decode pictures into memory and join them with their landmarks; 49 MB for a thousand faces of 128 px.

    Args:
        name: folder, parquet file or Hub id of pictures, with the column source_file.
        split: of both.
        labels_name: the same with the columns source_file, landmarks and presence; None where the pictures' own data
            set has them.
        label_origin: what the labels call (0, 0): the corner of the first pixel, as we do, or its middle, as OpenCV
            does. Then they are half a pixel too small.
        face_px: side of the pictures in memory, and of those that were labelled.
        limit: at most so many, the first ones.

    Raises:
        DataError: the data cannot be opened, a column is missing, or no picture has landmarks.
    """
    import datasets

    table = open_table(name, split)
    labels = table if labels_name is None else open_table(labels_name, split)
    missing = [column for column in ("source_file", "landmarks", "presence") if column not in (labels.features or {})]
    if missing or "source_file" not in (table.features or {}):
        raise DataError(f"{labels_name or name} lacks {missing or 'source_file of the pictures'}: landmarks need all")
    known = labels.select_columns(["source_file", "landmarks", "presence"]).with_format("arrow")[:]
    # Column by column: a row at a time takes longer than decoding the pictures.
    places = np.asarray(known["landmarks"].combine_chunks().flatten(), np.float32).reshape(-1, NUM_LANDMARKS, 2)
    beliefs = known["presence"].to_numpy().astype(np.float32)
    number = {file: row for row, file in enumerate(known["source_file"].to_pylist())}
    column = find_image_column(table, None, name)
    present = [one for one in LABELS if one in table.features]
    table = table.select_columns([column, "source_file", *present]).cast_column(column, datasets.Image(decode=False))
    if limit is not None:
        table = table.select(range(min(limit, len(table))))
    images = np.empty((len(table), face_px, face_px, 3), np.uint8)
    rows, broken = [], ""
    for row in table:
        if row["source_file"] not in number:
            continue
        try:
            images[len(rows)] = decode_picture(row[column], face_px).transpose(1, 2, 0)
        except DataError as error:
            broken = broken or str(error)
            continue
        rows.append(row)
    if not rows:
        raise DataError(f"{name} (split {split}) has no readable picture with landmarks. {broken}")
    files = [row["source_file"] for row in rows]
    order = [number[file] for file in files]
    named = {one: [row[one] for row in rows] for one in present}
    half = 0.5 / face_px if label_origin == "middle" else 0.0
    return LandmarkFaces(images[: len(rows)], places[order] + np.float32(half), beliefs[order], files, named)


def joined(*parts: LandmarkFaces) -> LandmarkFaces:
    """Return one set of several; a label that a part lacks is None there."""
    names = {name for part in parts for name in part.labels}
    return LandmarkFaces(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.points for part in parts]),
        np.concatenate([part.presence for part in parts]),
        [file for part in parts for file in part.files],
        {name: [v for part in parts for v in part.labels.get(name, [None] * len(part))] for name in sorted(names)},
    )


def split_turned(faces: LandmarkFaces, num: int = NUM_HELD_BACK) -> tuple[LandmarkFaces, LandmarkFaces]:
    """Hold back turned faces to measure on: those whose file names have the lowest checksums, on every machine alike.

    Returns:
        The rest, and up to `num` faces with |nose_turn| above TURNED.
    """
    turns = faces.labels.get("nose_turn", [None] * len(faces))
    turned = [row for row, turn in enumerate(turns) if turn is not None and abs(turn) > TURNED]
    held_back = set(sorted(turned, key=lambda row: (zlib.crc32(faces.files[row].encode()), faces.files[row]))[:num])
    rest = [row for row in range(len(faces)) if row not in held_back]
    return faces.select(rest), faces.select(sorted(held_back))


def load_mirror(labels_name: str) -> np.ndarray:
    """Read what each place becomes in a mirrored picture, [468] int, from topology.json in the labels' folder.

    Raises:
        DataError: the file is missing or no such map.
    """
    file = Path(labels_name) / "topology.json"
    try:
        mirror = np.array(json.loads(file.read_text())["mirror"])
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{file} has no map `mirror`, which mirrored pictures need: {error!r}") from error
    if mirror.shape != (NUM_LANDMARKS,) or not (mirror[mirror] == np.arange(NUM_LANDMARKS)).all():
        raise DataError(f"`mirror` in {file} must send {NUM_LANDMARKS} places to their partners and back")
    return mirror
