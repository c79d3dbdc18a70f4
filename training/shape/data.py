"""Landmarks of labelled faces, joined by the name of the file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gan_space.errors import DataError
from gan_space.faces.landmarks import LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS
from gan_space.faces.mesh import NUM_LANDMARKS
from gan_space.faces.shape import (
    brow_height_of,
    eye_opening_of,
    mouth_gap_of,
    tilt_of,
    turn_of,
)
from training.common.tables import open_table

AGES = {"20-29": 25, "30-39": 35, "40-49": 45, "50-59": 55, "60-69": 65, "70+": 75}
ATTRIBUTES = ("smile", "mouth_open", "eyes_open", "brows_up", "age", "male", "turn", "tilt")
FREE_ATTRIBUTES = ("faint", "grin", "age", "male", "turn", "tilt")  # the smile score below and above even; no openings
MIN_PRESENCE = 0.9
MAX_LOGIT = 5.0  # of the smile score, which says little more near 0 and 1


@dataclass
class LabelledShapes:
    """Landmarks in the face's frame, and what is known of each face."""

    places: np.ndarray  # [N, 468, 2] face units
    attributes: dict[str, np.ndarray]  # each of ATTRIBUTES and FREE_ATTRIBUTES -> [N]


def in_face_frame(points: np.ndarray) -> np.ndarray:
    """Bring [N, 468, 2] landmarks in any frame to the face's own, as `gan_space.faces.mesh.face_frame` does for one."""
    left, right = (points[:, list(pair)].mean(axis=1) for pair in (LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS))
    # A similarity of the plane is one complex factor.
    line = (right - left) @ (1, 1j)
    middle = ((left + right) / 2) @ (1, 1j)
    places = (points @ (1, 1j) - middle[:, None]) / line[:, None]
    return np.stack([places.real, places.imag], axis=-1)


def load_shapes(dataset_name: str, labels_name: str, split: str) -> LabelledShapes:
    """Join labels and landmarks by source_file; raises DataError where a column is missing."""
    needed = ("source_file", "smile_score", "age_group", "male")
    table, labels = open_table(dataset_name, split), open_table(labels_name, split)
    missing = [column for column in needed if column not in (table.features or {})]
    missing += [one for one in ("source_file", "landmarks", "presence") if one not in (labels.features or {})]
    if missing:
        raise DataError(f"{dataset_name} and {labels_name} lack {', '.join(missing)}")
    known = table.select_columns(list(needed)).with_format("arrow")[:]
    found = labels.select_columns(["source_file", "landmarks", "presence"]).with_format("arrow")[:]
    points = np.asarray(found["landmarks"].combine_chunks().flatten(), np.float64).reshape(-1, NUM_LANDMARKS, 2)
    presence = found["presence"].to_numpy()
    number = {file: row for row, file in enumerate(found["source_file"].to_pylist())}
    ages, files = known["age_group"].to_pylist(), known["source_file"].to_pylist()
    rows = [
        (row, number[file])
        for row, (file, age) in enumerate(zip(files, ages, strict=True))
        if age in AGES and file in number and presence[number[file]] >= MIN_PRESENCE
    ]
    if not rows:
        raise DataError(f"no face of {dataset_name} (split {split}) has landmarks in {labels_name}")
    here, there = np.array(rows).T
    places = in_face_frame(points[there])
    score = known["smile_score"].to_numpy()[here].astype(np.float64).clip(1e-6, 1 - 1e-6)
    attributes = {
        "smile": np.log(score / (1 - score)).clip(-MAX_LOGIT, MAX_LOGIT),
        "mouth_open": mouth_gap_of(places),
        "eyes_open": eye_opening_of(places),
        "brows_up": brow_height_of(places),
        "age": np.array([AGES[ages[row]] for row in here], np.float64),
        "male": np.array(known["male"].to_pylist(), np.float64)[here],
        "turn": turn_of(places),
        "tilt": tilt_of(places),
    }
    smile = attributes["smile"]
    attributes |= {"faint": np.minimum(smile, 0), "grin": np.maximum(smile, 0)}
    return LabelledShapes(places, attributes)


def mirrored(shapes: LabelledShapes, mirror: np.ndarray) -> LabelledShapes:
    """Return the same faces in a mirror."""
    places = shapes.places[:, mirror] * (-1, 1)
    return LabelledShapes(places, shapes.attributes | {"turn": -shapes.attributes["turn"]})
