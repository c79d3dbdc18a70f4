"""A table of colours: what becomes of every colour, worked out once and then applied to a picture of any size."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from gan_space.photos.opening import to_picture

STEPS = 33  # of red, green and blue


def all_colors() -> Tensor:
    """Return every colour of a table in [-1, 1], as a picture [3, steps, steps²]."""
    steps = torch.linspace(-1, 1, STEPS)
    blue, green, red = torch.meshgrid(steps, steps, steps, indexing="ij")
    return torch.stack([red, green, blue]).flatten(2)


def table_of(colors: Tensor) -> np.ndarray:
    """Return what became of `all_colors`, in about [-1, 1] -> [B, G, R, 3] float32 in [0, 1]."""
    table = ((colors + 1) / 2).clamp(0, 1)
    return table.reshape(3, STEPS, STEPS, STEPS).permute(1, 2, 3, 0).contiguous().numpy()


def codes_through(codes: np.ndarray, table: np.ndarray) -> np.ndarray:
    """[H, W, 3] uint8 through a table -> the same."""
    return np.array(_through(Image.fromarray(codes), table))


def photo_through(pixels: Tensor, table: np.ndarray) -> Tensor:
    """[3, H, W] uint8 through a table -> the same."""
    return torch.from_numpy(np.array(_through(to_picture(pixels), table))).permute(2, 0, 1)


def _through(picture: Image.Image, table: np.ndarray) -> Image.Image:
    return picture.filter(ImageFilter.Color3DLUT(STEPS, table.reshape(-1), _copy_table=False))
