"""Post-processing of a whole photo, or of its faces alone."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from gan_space.faces.align import AlignTransform
from gan_space.images import from_uint8, to_uint8
from gan_space.output.postprocess import apply_steps
from gan_space.portraits.paste import frame_bounds, frame_strips, soft_mask
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
    for rows, columns, places in frame_strips(transform, photo.shape[2], photo.shape[1]):
        mask = torch.from_numpy(soft_mask(places).astype(np.float32))
        inside = slice(rows.start - top, rows.stop - top)
        new = to_uint8(torch.lerp(colors[:, inside], done[:, inside], mask))
        result[:, rows, columns] = torch.where(mask > 0, new, old[:, inside])
    return result
