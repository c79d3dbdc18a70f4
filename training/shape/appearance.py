"""What something does to how faces look on average, beside where landmarks are: shared by the fits of age and smile.

Every labelled face is brought to the average face by its landmarks, as it is and mirrored. The logarithm of its
lightness and its colours, less those of its own skin, are regressed pixel by pixel on age, with a bend at 45, on sex,
their product, smile, openings, pose, glasses and group, so that each has its own part. The same is done for how strong
dark lines are around a pixel. What changes slowly over the face is taken off: it is light, or skin tone.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from gan_space.errors import DataError
from gan_space.faces.landmarks import FACE_OVAL, LEFT_BROW, LEFT_EYE, LIPS_OUTER, RIGHT_BROW, RIGHT_EYE
from gan_space.faces.mesh import NUM_LANDMARKS, find_places
from gan_space.faces.shape import brow_height_of, eye_opening_of, mouth_gap_of, tilt_of, turn_of
from gan_space.portraits.folds import BOX
from training.common.tables import open_table
from training.shape.data import AGES, in_face_frame

GROUPS = ("White", "Black", "Indian", "East Asian", "Southeast Asian", "Middle Eastern")
UNIT_PX = 56  # of a face unit in the maps: a little more than faces of 128 px have
BEND = 45  # years: skin ages faster from there
MIN_PRESENCE = 0.9
SLOW = 0.2  # face units: changes over more than this are light or skin tone
OFFSET = 6.0  # of lightness in its logarithm
RIDGE = 1e-3
BATCH = 200
COLUMNS = ("source_file", "smile_score", "age_group", "male", "race", "glasses", "image")
AGE, AGE_BENT, SMILE, TURN = 1, 2, 5, 10  # columns of `design`; that of the turn changes its sign in a mirror


@dataclass
class FitConfig:
    """What to fit on, and where to."""

    dataset_name: str  # faces in the tight frame with age_group, male, race, smile_score and glasses
    labels_name: str  # their landmarks
    output_dir: str  # holds the shape model
    train_split: str = "train"
    limit: int = 0  # faces at most; 0: all


class AverageFace:
    """Pixels of the maps, and where they lie on other faces."""

    def __init__(self, mean: np.ndarray):
        self.size = (round((BOX[3] - BOX[1]) * UNIT_PX), round((BOX[2] - BOX[0]) * UNIT_PX))
        self.places = (mean - BOX[:2]) * UNIT_PX
        box = (0, 0, self.size[1], self.size[0])
        # Where a pixel lies on a face is linear in that face's landmarks: the weights are read off once, two at a time.
        columns = np.eye(NUM_LANDMARKS).reshape(NUM_LANDMARKS, -1, 2)
        weights = [find_places(self.places, columns[:, pair], box) for pair in range(NUM_LANDMARKS // 2)]
        self.weights = np.concatenate(weights, axis=2).reshape(-1, NUM_LANDMARKS).astype(np.float32)
        self.inside = self.filled([FACE_OVAL]) & (self.weights.sum(axis=1) > 0.9).reshape(self.size)
        self.skin = self.inside & ~self.filled([LIPS_OUTER, LEFT_EYE, RIGHT_EYE, LEFT_BROW, RIGHT_BROW])

    @property
    def positions(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the pixels stand in the face's frame, x and y, [h, w] each."""
        y, x = (np.mgrid[: self.size[0], : self.size[1]] + 0.5) / UNIT_PX
        return x + BOX[0], y + BOX[1]

    def filled(self, outlines: list[tuple[int, ...]]) -> np.ndarray:
        """Tell which pixels lie inside of outlines of landmarks, [h, w] bool."""
        canvas = np.zeros(self.size, np.uint8)
        for outline in outlines:
            cv2.fillPoly(canvas, [self.places[list(outline)].round().astype(np.int32)], 1)
        return canvas.astype(bool)

    def read(self, picture: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Read [h, w, 3] of a face, given its landmarks in pixels of the picture."""
        where = (self.weights @ points.astype(np.float32)).reshape(*self.size, 2) - np.float32(0.5)
        return cv2.remap(picture, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)

    def measured(self, face: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what is regressed: [h, w, 3] lightness and colours against the skin's, [h, w, 2] strength of lines."""
        lab = cv2.cvtColor(face, cv2.COLOR_RGB2LAB).astype(np.float32) * (100 / 255, 1, 1)
        middle = np.median(lab[self.skin], axis=0)
        light = 100 * np.log((lab[..., :1] + OFFSET) / (middle[0] + OFFSET))
        colors = lab[..., 1:] - middle[1:]
        lines = []
        for fine, coarse in ((0.02, 0.05), (0.012, 0.025)):
            near, far = (cv2.GaussianBlur(light[..., 0], (0, 0), sigma * UNIT_PX) for sigma in (fine, coarse))
            energy = cv2.GaussianBlur(np.minimum(near - far, 0) ** 2, (0, 0), 0.03 * UNIT_PX)
            lines.append(np.log(energy + 0.05))
        return np.concatenate([light, colors], axis=2), np.stack(lines, axis=2)

    def fast_part(self, change: np.ndarray, slow: float = SLOW) -> np.ndarray:
        """Take the mean of the skin around each place off, [h, w, K]."""
        weight = self.skin.astype(np.float32)
        around = cv2.GaussianBlur(change * weight[..., None], (0, 0), slow * UNIT_PX)
        return change - around / cv2.GaussianBlur(weight, (0, 0), slow * UNIT_PX).clip(1e-3)[..., None]

    def filled_out(self, change: np.ndarray) -> np.ndarray:
        """Continue a map beyond the mesh, so that its edge can be read between pixels, [h, w, K]."""
        inner = cv2.erode(self.inside.astype(np.uint8), np.ones((5, 5))).astype(np.float32)
        around = cv2.GaussianBlur(change * inner[..., None], (0, 0), 6)
        around /= cv2.GaussianBlur(inner, (0, 0), 6).clip(1e-3)[..., None]
        return np.where(inner[..., None] > 0, change, around)


def load_faces(config: FitConfig) -> Iterator[tuple[dict, np.ndarray]]:
    """Yield each face and its landmarks, [468, 2] as shares of the picture; DataError where a column is missing."""
    table = open_table(config.dataset_name, config.train_split)
    labels = open_table(config.labels_name, config.train_split)
    missing = [column for column in COLUMNS if column not in (table.features or {})]
    missing += [one for one in ("source_file", "landmarks", "presence") if one not in (labels.features or {})]
    if missing:
        raise DataError(f"{config.dataset_name} and {config.labels_name} lack {', '.join(missing)}")
    found = labels.select_columns(["source_file", "landmarks", "presence"]).with_format("arrow")[:]
    points = np.asarray(found["landmarks"].combine_chunks().flatten(), np.float64).reshape(-1, NUM_LANDMARKS, 2)
    files, presence = found["source_file"].to_pylist(), found["presence"].to_numpy()
    known = {file: points[row] for row, file in enumerate(files) if presence[row] >= MIN_PRESENCE}
    rows = table.select_columns(list(COLUMNS)).with_format("arrow")
    taken = 0
    for batch in rows.iter(batch_size=200):
        for row in batch.to_pylist():
            if row["age_group"] in AGES and row["source_file"] in known:
                taken += 1
                yield row, known[row["source_file"]]
                if taken == config.limit:
                    return


def design(row: dict, points: np.ndarray) -> np.ndarray:
    """Return what explains a face; the first is the constant, then age, its bend, and all that is held still."""
    place = in_face_frame(points[None])
    years, male = AGES[row["age_group"]], float(row["male"]) - 0.5
    score = np.clip(row["smile_score"], 1e-6, 1 - 1e-6)
    turn = float(turn_of(place)[0])
    return np.array(
        [
            *(1.0, (years - 35) / 10, max(years - BEND, 0) / 10, male, male * (years - 35) / 10),
            *(np.clip(np.log(score / (1 - score)), -5, 5) / 3, mouth_gap_of(place)[0]),
            *(eye_opening_of(place)[0] - 0.2, brow_height_of(place)[0] - 0.4, tilt_of(place)[0], turn, turn * turn),
            0.3 if row["glasses"] is None else float(row["glasses"]),
            *(float(row["race"] == group) for group in GROUPS),
        ]
    )


def fit_parts(
    config: FitConfig,
    face: AverageFace,
    columns_of: Callable[[dict, np.ndarray], np.ndarray] = design,
    reading_of: Callable[[np.ndarray], float] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit what each column of a design does to faces, and to a reading of their landmarks.

    Args:
        columns_of: gives [K] of a labelled face and its landmarks; the first are those of `design`.
        reading_of: reads landmarks, [468, 2] as shares of the picture; without one the second result is zeros.

    Returns:
        [K, h, w, 5], lightness, two colours, two strengths of lines; and [K].

    Raises:
        DataError: there is nothing to fit on.
    """
    products, sums, readings = 0.0, 0.0, 0.0
    known, seen = [], []

    def add() -> None:
        nonlocal products, sums
        columns = np.stack(known)
        products, sums = products + columns.T @ columns, sums + columns.T.astype(np.float32) @ np.stack(seen)
        known.clear(), seen.clear()

    for row, points in load_faces(config):
        picture = np.array(Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB"))
        change, lines = face.measured(face.read(picture, points * picture.shape[0]))
        both = np.concatenate([change, lines], axis=2)
        columns = columns_of(row, points)
        mirrored = columns.copy()
        mirrored[TURN] *= -1
        readings = readings + (reading_of(points) if reading_of else 0.0) * (columns + mirrored)
        known += [columns, mirrored]
        seen += [both.ravel().astype(np.float32), both[:, ::-1].ravel().astype(np.float32)]
        if len(known) >= BATCH:
            add()
    if known:
        add()
    if not np.any(products):
        raise DataError(f"no face of {config.dataset_name} has landmarks in {config.labels_name}")
    products = products + RIDGE * np.eye(len(products))
    parts = np.linalg.solve(products, sums).reshape(-1, *face.size, 5)
    return parts, np.linalg.solve(products, readings)
