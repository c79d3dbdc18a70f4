"""Photos as they come from people: turned by EXIF, with transparency, of any mode, and sometimes broken."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from gan_space.errors import InputError

MAX_PIXELS = 100_000_000


def open_photo(source: Image.Image | str | Path | BinaryIO | Tensor) -> Tensor:
    """Read a photo upright, as RGB, transparency on white.

    Args:
        source: an opened picture, a file name, an opened file, or a tensor that is one already.

    Returns:
        [3, H, W] uint8.

    Raises:
        InputError: not a picture, cut short, of more than 100 million pixels, or a tensor of another form.
    """
    if isinstance(source, Tensor):
        return check_photo(source)
    if isinstance(source, Image.Image):
        return _upright_rgb(source)
    name = source if isinstance(source, str | Path) else getattr(source, "name", "the upload")
    try:
        with Image.open(source) as picture:
            return _upright_rgb(picture)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{name} cannot be read as a picture ({error}): save it as JPEG or PNG again") from error


def check_photo(photo: Tensor) -> Tensor:
    """Return `photo` if it is [3, H, W] uint8, or raise InputError."""
    if photo.dtype != torch.uint8 or photo.ndim != 3 or photo.shape[0] != 3 or 0 in photo.shape:
        raise InputError(f"a photo is a tensor [3, H, W] of uint8, got {list(photo.shape)} of {photo.dtype}")
    return photo


def to_picture(photo: Tensor) -> Image.Image:
    """Turn [3, H, W] uint8 into an RGB picture."""
    return Image.fromarray(np.ascontiguousarray(check_photo(photo).permute(1, 2, 0).cpu().numpy()))


def _upright_rgb(picture: Image.Image) -> Tensor:
    if picture.width * picture.height > MAX_PIXELS:
        raise InputError(f"the picture has {picture.width} x {picture.height} px; send one below {MAX_PIXELS:,} in all")
    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    if picture.mode.startswith("I") or picture.mode == "F":  # 16 bits or more; convert("RGB") would clip them
        values = np.asarray(picture, dtype=np.float64)
        top = 65535.0 if values.max(initial=0) > 255 else 255.0
        picture = Image.fromarray((values / top * 255).clip(0, 255).astype(np.uint8))
    return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1).contiguous()
