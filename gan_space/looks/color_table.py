"""A table of colours: what becomes of every colour, worked out once and then applied to a picture of any size."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from gan_space.photos.opening import to_picture
from gan_space.photos.strips import in_strips

STEPS, FEWER_STEPS = 33, 17  # of red, green and blue
SMALL_PIXELS = 50_000  # of a picture with fewer pixels than the full table has colours
STRIP_PIXELS = 500_000  # taken through a table at once


def all_colors(pixels: int = SMALL_PIXELS) -> Tensor:
    """Return every colour of a table in [-1, 1], as a picture [3, steps, steps²].

    Args:
        pixels: of the picture that goes through it; for a small one the full table would cost more than it does.
    """
    steps = torch.linspace(-1, 1, STEPS if pixels >= SMALL_PIXELS else FEWER_STEPS)
    blue, green, red = torch.meshgrid(steps, steps, steps, indexing="ij")
    return torch.stack([red, green, blue]).flatten(2)


def table_of(colors: Tensor) -> np.ndarray:
    """Return what became of `all_colors`, in about [-1, 1] -> [B, G, R, 3] float32 in [0, 1]."""
    table = ((colors + 1) / 2).clamp(0, 1)
    steps = table.shape[-2]
    return table.reshape(3, steps, steps, steps).permute(1, 2, 3, 0).contiguous().numpy()


def codes_through(codes: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Take [H, W, 3] uint8 through a table -> the same."""
    return np.array(_through(Image.fromarray(codes), table))


def photo_through(pixels: Tensor, table: np.ndarray) -> Tensor:
    """Take [3, H, W] uint8 through a table -> the same."""
    height, width = pixels.shape[1:]
    done = np.empty((height, width, 3), np.uint8)

    def through(rows: slice) -> None:
        done[rows] = np.asarray(_through(to_picture(pixels[:, rows]), table))

    in_strips(through, height, max(1, STRIP_PIXELS // width))
    return torch.from_numpy(done).permute(2, 0, 1)


def _through(picture: Image.Image, table: np.ndarray) -> Image.Image:
    return picture.filter(ImageFilter.Color3DLUT(len(table), table.reshape(-1), _copy_table=False))
