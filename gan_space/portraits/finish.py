"""Post-processing of a whole photo, or of its faces alone."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gan_space.faces.align import AlignTransform
from gan_space.images import from_uint8, to_uint8
from gan_space.output.postprocess import apply_steps
from gan_space.portraits.detail import PIXELS_AT_ONCE, frame_bounds
from gan_space.portraits.paste import soft_mask
from gan_space.portraits.portrait import Portrait

Steps = tuple[tuple[str, float], ...]


def finish(portrait: Portrait, result: Tensor, steps: Steps, seed: int, *, whole: bool) -> Tensor:
    """Post-process what was made of a portrait: [3, H, W] uint8; itself without steps.

    Args:
        portrait: the photo, of the same size.
        result: what was made of it.
        steps: from `parse_steps`.
        seed: of what is drawn at random, such as film grain.
        whole: everything, or the chosen faces under their soft masks alone; outside not a bit changes then.
    """
    if whole:
        return finish_photo(result, steps, seed)
    for face in portrait.chosen_faces:
        result = finish_face(result, face.transform, steps, seed)
    return result


def finish_photo(photo: Tensor, steps: Steps, seed: int) -> Tensor:
    """Post-process a whole photo, [3, H, W] uint8; the photo itself without steps."""
    return to_uint8(apply_steps(from_uint8(photo), steps, seed)) if steps else photo


def finish_face(photo: Tensor, transform: AlignTransform, steps: Steps, seed: int) -> Tensor:
    """Post-process a photo inside a face's soft mask only; outside not a bit changes."""
    left, top, right, bottom = frame_bounds(transform, photo.shape[2], photo.shape[1])
    if not steps or right <= left or bottom <= top:
        return photo
    old = photo[:, top:bottom, left:right]
    colors = from_uint8(old)
    done = apply_steps(colors, steps, seed)
    result = photo.clone()
    step = max(1, PIXELS_AT_ONCE // (right - left))
    for first in range(top, bottom, step):
        rows = slice(first - top, min(first + step, bottom) - top)
        x, y = np.arange(left, right) + 0.5, np.arange(first, first + rows.stop - rows.start) + 0.5
        mask = soft_mask(transform.apply(np.stack(np.meshgrid(x, y), axis=-1)))
        mask = torch.from_numpy(mask.astype(np.float32))
        new = to_uint8(torch.lerp(colors[:, rows], done[:, rows], mask))
        result[:, first : first + rows.stop - rows.start, left:right] = torch.where(mask > 0, new, old[:, rows])
    return result
