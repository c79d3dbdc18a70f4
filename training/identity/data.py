"""Aligned faces with a teacher's vectors, and the ways in which they are shown to the network that learns from them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.errors import DataError
from training.common.columns import find_image_column
from training.common.tables import decode_picture, open_table

NAME_COLUMN, LABEL_COLUMN = "source_file", "embedding"
# Of the views. The aligner errs by about 3 % of the eye distance, a hundredth of the frame; two passes of it seldom by
# three times as much.
MAX_SHIFT, MAX_SCALE, MAX_ROLL_DEG = 0.045, 1.1, 9.0
COVERED_SHARE, SOFT_SHARE, BLURRED_SHARE, NOISY_SHARE, JPEG_SHARE = 0.25, 0.4, 0.15, 0.3, 0.5
GREY_SHARE, LIT_SHARE = 0.08, 0.4
MIN_SOFT_PX = 18
JPEG_QUALITY = (12, 85)


class TaughtFaces(NamedTuple):
    """Faces in the tight frame and what the teacher says of them."""

    images: np.ndarray  # [N, S, S, 3] uint8
    vectors: Tensor  # [N, D] float32, as the teacher gave them

    def __len__(self) -> int:
        return len(self.images)


def load_taught_faces(
    dataset_names: Sequence[str], label_names: Sequence[str], split: str, *, face_px: int, limit: int | None = None
) -> TaughtFaces:
    """Decode pictures into memory, and find the teacher's vector of each.

    Args:
        dataset_names: folders, parquet files or Hub ids; those without the split are passed over.
        label_names: the same, with the columns `source_file` and `embedding`, for pictures that come without.
        split: of all of them.
        face_px: side of the faces in memory.
        limit: at most so many faces, the first ones.

    Raises:
        DataError: the data cannot be opened, or fewer than two pictures can be read and have a vector.
    """
    known: dict[str, Sequence[float]] = {}
    for name in label_names:
        table = open_table(name, split)
        known |= zip(table[NAME_COLUMN], table[LABEL_COLUMN], strict=True)
    images, vectors, faults = [], [], []
    for name in dataset_names:
        try:
            table, column = _open(name, split)
        except DataError as error:
            faults.append(str(error))
            continue
        for row in table:
            if len(images) == limit:
                break
            own, source_file = row.get(LABEL_COLUMN), row.get(NAME_COLUMN)
            vector = own if own is not None else known.get(source_file)
            if vector is None:
                faults.append(f"{name}: no vector for {source_file}")
                continue
            try:
                images.append(decode_picture(row[column], face_px).transpose(1, 2, 0))
            except DataError as error:
                faults.append(str(error))
                continue
            vectors.append(vector)
    if len(images) < 2:
        first = f" First fault: {faults[0]}" if faults else ""
        raise DataError(
            f"{', '.join(dataset_names)} (split {split}): {len(images)} pictures with a teacher's vector, "
            f"expected 2 or more.{first}"
        )
    return TaughtFaces(np.stack(images), torch.from_numpy(np.asarray(vectors, np.float32)))


def _open(name: str, split: str):
    """The table with undecoded pictures, names and vectors, as far as it has them, and the column of pictures."""
    import datasets

    table = open_table(name, split)
    column = find_image_column(table, None, name)
    present = [one for one in (NAME_COLUMN, LABEL_COLUMN) if one in (table.features or {})]
    return table.select_columns([column, *present]).cast_column(column, datasets.Image(decode=False)), column


def view_batch(images: np.ndarray, resolution: int, seed: Sequence[int]) -> Tensor:
    """Show each face in another way: mirrored, a little out of place, in other light, worse quality, partly covered.

    Args:
        images: [N, S, S, 3] uint8 in the tight frame.
        resolution: R, of the views.
        seed: numbers that decide all of it.

    Returns:
        [N, 3, R, R] float32 in [-1, 1].
    """
    random = np.random.default_rng(seed)
    views = [_view(image, images[k - 1], resolution, random) for k, image in enumerate(images)]
    return torch.from_numpy(np.stack(views)).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def _view(image: np.ndarray, other: np.ndarray, resolution: int, random: np.random.Generator) -> np.ndarray:
    view = _move(image, resolution, random)
    if random.random() < COVERED_SHARE:
        view = _cover(view, other, random)
    view = _recolour(view, random)
    if random.random() < SOFT_SHARE:
        view = _soften(view, random)
    if random.random() < BLURRED_SHARE:
        view = cv2.GaussianBlur(view, (0, 0), random.uniform(0.5, 1.6))
    if random.random() < NOISY_SHARE:
        noise = random.standard_normal(view.shape, dtype=np.float32) * random.uniform(2, 16)
        view = np.clip(view + noise, 0, 255).astype(np.uint8)
    if random.random() < JPEG_SHARE:
        view = _compress(view, int(random.integers(*JPEG_QUALITY)))
    return view


def _move(image: np.ndarray, resolution: int, random: np.random.Generator) -> np.ndarray:
    """Cut a view out of the face, turned, scaled and shifted by little; half of them mirrored."""
    side = image.shape[0]
    scale = side / resolution * np.exp(random.uniform(-1, 1) * np.log(MAX_SCALE))
    angle = np.deg2rad(random.uniform(-1, 1) * MAX_ROLL_DEG)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    if random.random() < 0.5:
        turn[:, 0] *= -1
    middle = side / 2 - 0.5 + random.uniform(-1, 1, 2) * MAX_SHIFT * side
    shift = middle - turn @ np.full(2, resolution / 2 - 0.5)
    to_image = np.column_stack([turn, shift])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, to_image, (resolution, resolution), flags=flags, borderMode=cv2.BORDER_REFLECT)


def _cover(view: np.ndarray, other: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Put a box of plain colour or of another picture somewhere."""
    side = view.shape[0]
    height, width = (int(side * share) for share in random.uniform(0.1, 0.4, 2))
    y, x = int(random.integers(side - height + 1)), int(random.integers(side - width + 1))
    filling = random.integers(0, 256, 3) if random.random() < 0.5 else other[:height, :width]
    view = view.copy()
    view[y : y + height, x : x + width] = filling
    return view


def _recolour(view: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Change contrast, brightness, colour cast, saturation and the light from one side."""
    levels = np.arange(256, dtype=np.float32)[:, None] / 255
    gamma = np.exp(random.normal(0, 0.3) + random.normal(0, 0.06, 3))
    gain = np.exp(random.normal(0, 0.15) + random.normal(0, 0.06, 3))
    levels = (levels ** np.clip(gamma, 0.4, 2.5) - 0.5) * gain + 0.5 + random.normal(0, 0.08)
    table = np.clip(levels * 255 + 0.5, 0, 255).astype(np.uint8)[None]  # [1, 256, 3]
    view = cv2.LUT(view, table)
    grey = cv2.cvtColor(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    saturation = 0.0 if random.random() < GREY_SHARE else random.uniform(0.4, 1.4)
    view = cv2.addWeighted(view, saturation, grey, 1 - saturation, 0)
    if random.random() < LIT_SHARE:
        axis = np.linspace(-0.5, 0.5, view.shape[0], dtype=np.float32)
        across, down = random.normal(0, 0.6, 2).astype(np.float32)
        light = np.exp(across * axis[None, :] + down * axis[:, None])[..., None]
        view = np.clip(view * light, 0, 255).astype(np.uint8)
    return view


def _soften(view: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Take it through fewer pixels, as a face that is small in its photo."""
    side = view.shape[0]
    small = int(random.integers(min(MIN_SOFT_PX, side - 1), side))
    how = cv2.INTER_CUBIC if random.random() < 0.5 else cv2.INTER_LINEAR
    return cv2.resize(cv2.resize(view, (small, small), interpolation=cv2.INTER_AREA), (side, side), interpolation=how)


def _compress(view: np.ndarray, quality: int) -> np.ndarray:
    """Take it through a JPEG file."""
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality]
    file = cv2.imencode(".jpg", cv2.cvtColor(view, cv2.COLOR_RGB2BGR), settings)[1]  # OpenCV counts from blue
    return cv2.cvtColor(cv2.imdecode(file, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
