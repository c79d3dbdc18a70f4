"""Dye the hair of all heads in a photo; roots at the forehead stay darker."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gan_space.faces.hair_colors import with_missed
from gan_space.faces.head import Head
from gan_space.faces.landmarks import Landmarks
from gan_space.faces.monochrome import find_tone
from gan_space.faces.pigment import parse_color
from gan_space.looks.layers import HairColor
from gan_space.photos.opening import to_rows
from gan_space.portraits.hair_dye import HairColors, dye

_DARK_ROOTS = 0.45  # of the dye, what roots lack where it lightens


def dye_hair(pixels: Tensor, heads: Sequence[Head], color: HairColor, marks: Sequence[Landmarks] = ()) -> Tensor:
    """Return the photo with dyed hair.

    In a photo in one tone the hair's lightness alone changes.

    Args:
        pixels: [3, H, W] uint8.
        heads: where hair is.
        color: colour and amount.
        marks: the places of each head's face, which tell the light and what is skin; may be empty.

    Returns:
        [3, H, W] uint8; the photo itself without hair or amount.
    """
    if not color.amount:
        return pixels
    photo = to_rows(pixels)
    faces = [one.points for one in marks] if len(marks) == len(heads) else [None] * len(heads)
    hairs = []
    for head, face in zip(heads, faces, strict=True):
        whole = head if face is None else with_missed(photo, head, face)
        if (hair := HairColors.measure(photo, whole, face)) is not None:
            hairs.append((hair, face))
    if not hairs:
        return pixels
    done = photo.copy()
    for number, (hair, face) in enumerate(hairs):
        pot = parse_color(color.color) * hair.white
        amount = color.amount * (1 - _DARK_ROOTS * hair.lift(pot) * hair.edge.roots)
        others = [other.head for other, _ in hairs[:number] + hairs[number + 1 :]]
        dye(photo, done, hair, pot, amount, others, None if face is None else find_tone(pixels, face))
    return torch.from_numpy(done).permute(2, 0, 1)
