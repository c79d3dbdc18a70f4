"""Skin, eyes and teeth of a face, retouched in its own box of the photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from gan_space.errors import InputError, raise_all
from gan_space.faces.landmarks import Landmarks
from gan_space.looks.amounts import Amount, amount_faults
from gan_space.photos.opening import check_photo

# Name -> what it does; a look's `skin`.
AMOUNTS: dict[str, Amount] = {}


def retouch(pixels: Tensor, marks: Sequence[Landmarks], amounts: Mapping[str, float]) -> Tensor:
    """Retouch the skin of faces.

    Args:
        pixels: [3, H, W] uint8.
        marks: the places of each face.
        amounts: name -> amount, see `AMOUNTS`.

    Returns:
        [3, H, W] uint8; the photo itself without amounts.

    Raises:
        InputError: an unknown name, an amount out of range, or another form of photo; all faults at once.
    """
    check_photo(pixels)
    raise_all(amount_faults(AMOUNTS, amounts), InputError)
    return pixels
