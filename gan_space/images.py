"""Between tensors in [-1, 1] and pictures of 8 bits."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from gan_space.errors import InputError

MIN_FACE_PX = 16  # that networks look at


def to_uint8(images: Tensor) -> Tensor:
    """Map float [-1, 1] to uint8 [0, 255], values outside clipped; same shape and device."""
    return (images.float() * 127.5 + 128).clamp(0, 255).to(torch.uint8)


def from_uint8(images: Tensor) -> Tensor:
    """Map uint8 [0, 255] to float32 [-1, 1]; same shape and device."""
    return images.float() / 127.5 - 1


def to_pil(images: Tensor) -> list[Image.Image]:
    """Turn [N, 3, H, W] float in [-1, 1] into N RGB pictures."""
    array = to_uint8(images).permute(0, 2, 3, 1).cpu().numpy()  # [N, H, W, 3]
    return [Image.fromarray(np.ascontiguousarray(picture)) for picture in array]


def from_pil(picture: Image.Image, resolution: int | None = None) -> Tensor:
    """Turn a picture into [1, 3, H, W] float in [-1, 1].

    A picture that is not square is cropped to its middle square when `resolution` is given, then resized with an
    anti-aliasing Lanczos filter; transparency is put on white.
    """
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    picture = picture.convert("RGB")
    if resolution is not None and picture.size != (resolution, resolution):
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        box = (left, top, left + side, top + side)
        picture = picture.resize((resolution, resolution), Image.Resampling.LANCZOS, box=box)
    return from_uint8(torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None])


def resize_faces(faces: Tensor, resolution: int) -> Tensor:
    """Bring [N, 3, S, S] to [N, 3, R, R] with an anti-aliasing filter.

    Raises:
        InputError: the faces are not square, have other than 3 channels, or are below 16 px.
    """
    if faces.ndim != 4 or faces.shape[1] != 3 or faces.shape[2] != faces.shape[3] or faces.shape[3] < MIN_FACE_PX:
        raise InputError(
            f"faces must be [N, 3, S, S] of {MIN_FACE_PX} px or more, got {list(faces.shape)}: align and crop first"
        )
    if faces.shape[3] == resolution:
        return faces
    size = (resolution, resolution)
    return F.interpolate(faces, size=size, mode="bilinear", align_corners=False, antialias=True)


def luminance(images: Tensor) -> Tensor:
    """Map [..., 3, H, W] -> [..., 1, H, W], in the same range (ITU-R BT.601 weights)."""
    red, green, blue = images.split(1, dim=-3)
    return (0.299 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114)


def gaussian_blur(x: Tensor, sigma: float, radius: int) -> Tensor:
    """Blur [N, 1, H, W] by a Gaussian of `radius` px to each side, less than H and W; mirrored at the edges."""
    taps = torch.exp(-(torch.arange(-radius, radius + 1, device=x.device) / sigma).square() / 2)
    taps = (taps / taps.sum()).to(x)
    padded = F.pad(x, (radius,) * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, taps[None, None, None]), taps[None, None, :, None])


def smooth_step(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return 0 up to `low`, 1 from `high` on, and a soft rise between."""
    t = ((x - low) / (high - low)).clip(0, 1)
    return t * t * (3 - 2 * t)


def image_grid(images: Tensor, columns: int | None = None) -> Image.Image:
    """Lay [N, 3, H, W] in [-1, 1] out as one picture, row by row; without `columns`, as square as can be."""
    count, _, height, width = images.shape
    if count == 0:
        raise InputError("an image grid needs at least one image, got none")
    columns = min(count, columns or int(np.ceil(np.sqrt(count))))
    rows = -(-count // columns)
    sheet = Image.new("RGB", (columns * width, rows * height))
    for index, picture in enumerate(to_pil(images)):
        sheet.paste(picture, (index % columns * width, index // columns * height))
    return sheet
