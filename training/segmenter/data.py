"""Heads in memory, each with masks of hair and person and where those are known."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from gan_space.errors import DataError
from training.common.columns import find_image_column
from training.common.tables import decode_picture, open_table

MASKS = ("hair", "person", "weight")
MOSTLY = 0.5  # of a picture


@dataclass
class SegmentedHeads:
    """Pictures in the head frame, or larger ones that the masks belong to."""

    images: np.ndarray  # [N, S, S, 3] uint8
    masks: np.ndarray  # [N, S, S, 3] uint8: hair, person, and how sure both are; 0 where nobody knows

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def with_person(self) -> np.ndarray:
        """Rows of pictures that show somebody; the others are scenery alone."""
        return np.flatnonzero(self.masks[..., 1].any(axis=(1, 2)))

    @cached_property
    def rooms(self) -> np.ndarray:
        """Rows of pictures that are mostly known to be no person."""
        shares = [((mask[..., 2] > 127) & (mask[..., 1] <= 127)).mean() for mask in self.masks]  # one by one: memory
        found = np.flatnonzero(np.array(shares) > MOSTLY)
        return found if len(found) else np.arange(len(self))


def load_segmented_heads(name: str, split: str, *, side_px: int = 320, limit: int | None = None) -> SegmentedHeads:
    """Decode pictures and masks into memory; 0.6 MB each at 320 px.

    Args:
        name: folder, parquet file or Hub id with pictures of heads and the columns hair, person and weight: grey
            pictures of the same size, 255 for yes.
        split: of it.
        side_px: side of the squares in memory.
        limit: at most so many, the first ones.

    Raises:
        DataError: the data cannot be opened, a column is missing, or no picture can be read.
    """
    import datasets

    table = open_table(name, split)
    missing = [column for column in MASKS if column not in (table.features or {})]
    if missing:
        raise DataError(f"{name} lacks {', '.join(missing)}: masks of hair and person, and where they are known")
    column = find_image_column(table.remove_columns(list(MASKS)), None, name)
    for one in (column, *MASKS):
        table = table.cast_column(one, datasets.Image(decode=False))
    if limit is not None:
        table = table.select(range(min(limit, len(table))))
    images = np.empty((len(table), side_px, side_px, 3), np.uint8)
    masks = np.empty((len(table), side_px, side_px, len(MASKS)), np.uint8)
    number, broken = 0, ""
    for row in table:
        try:
            images[number] = decode_picture(row[column], side_px).transpose(1, 2, 0)
            masks[number] = np.stack([_decode_mask(row[one], one, side_px) for one in MASKS], axis=-1)
        except DataError as error:
            broken = broken or str(error)
            continue
        number += 1
    if not number:
        raise DataError(f"{name} (split {split}) has no readable picture with masks. {broken}")
    return SegmentedHeads(images[:number], masks[:number])


def _decode_mask(cell: dict | None, name: str, side_px: int) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(cell["bytes"]), formats=("PNG",)) as picture:
            return np.asarray(picture.convert("L").resize((side_px, side_px), Image.Resampling.BILINEAR))
    except (OSError, ValueError, TypeError, KeyError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"a mask in the column {name} is no PNG picture: {error}") from error
