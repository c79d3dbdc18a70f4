"""Make-up: colour on lips, lids, lashes, brows and cheeks, at the photo's own size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gan_space.faces.eyes import find_irises
from gan_space.faces.landmarks import Landmarks
from gan_space.faces.mesh import check_landmarks
from gan_space.faces.snap import snap_outlines
from gan_space.looks import cheeks, eyes, lips
from gan_space.looks.face_patch import FacePatch
from gan_space.looks.layers import Blush, Contour, Highlight, Iris, Layer, read_layers
from gan_space.photos.opening import check_photo, to_rows

_PAINT_LAYER = {
    "eye_shadow": eyes.paint_eye_shadow,
    "brow": eyes.paint_brow,
    "eye_liner": eyes.paint_eye_liner,
    "lashes": eyes.paint_lashes,
    "lip_liner": lips.paint_lip_liner,
    "lipstick": lips.paint_lipstick,
}


def make_up(
    pixels: Tensor,
    marks: Landmarks | Sequence[Landmarks],
    layers: Mapping[str, Mapping[str, Any] | Layer],
    patches: Sequence[FacePatch] | None = None,
) -> Tensor:
    """Put make-up on faces; all that no layer reaches stays as it is, to the bit.

    Args:
        pixels: [3, H, W] uint8.
        marks: of one face or of several.
        layers: name of a layer -> its fields, or a row of `gan_space.looks.layers`.
        patches: of each face in this photo before its retouch, which know what was found for another look, see
            `cut_patches`; None: what is to be known is found in these very pixels.

    Returns:
        A new photo of the same size.

    Raises:
        InputError: an unknown layer or field, a value that is none for it, or another form of photo or landmarks.

    Example:
        >>> make_up(photo, marks, {"lipstick": {"color": "#7a1f2b", "finish": "gloss"}, "blush": {}})  # doctest: +SKIP
    """
    check_photo(pixels)
    rows = [row for row in read_layers(layers) if row.amount > 0]
    faces = [marks] if isinstance(marks, Landmarks) else list(marks)
    if not rows:
        return pixels.clone()
    photo = to_rows(pixels.clone())
    for number, face in enumerate(faces):
        patch = _cut(photo, face) if patches is None else patches[number].over(photo)
        left, top, right, bottom = patch.box
        if left >= right or top >= bottom:
            continue
        cheeks.paint_powders(patch, [row for row in rows if isinstance(row, Contour | Blush | Highlight)])
        for row in rows:
            if isinstance(row, Iris):
                eyes.paint_iris(patch, row, find_irises(patch.points, pixels))
            elif row.name in _PAINT_LAYER:
                _PAINT_LAYER[row.name](patch, row)
        (left, top, right, bottom), painted = patch.codes_after()
        photo[top:bottom, left:right] = painted
    return torch.from_numpy(photo).permute(2, 0, 1).to(pixels.device)


def cut_patches(pixels: Tensor, marks: Sequence[Landmarks]) -> list[FacePatch]:
    """Cut every face out of a photo [3, H, W] uint8, for `make_up` in several looks."""
    photo = to_rows(pixels)
    return [_cut(photo, face).kept() for face in marks]


def _cut(photo: np.ndarray, face: Landmarks) -> FacePatch:
    return FacePatch(photo, snap_outlines(photo, check_landmarks(face.points)))
