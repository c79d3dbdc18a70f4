"""The photographic grade of a whole photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from gan_space.errors import InputError, raise_all
from gan_space.faces.landmarks import Landmarks
from gan_space.looks.amounts import Amount, amount_faults
from gan_space.photos.opening import check_photo

# Name -> what it does; a look's `grade`.
AMOUNTS: dict[str, Amount] = {}


def grade(pixels: Tensor, marks: Sequence[Landmarks], amounts: Mapping[str, float], seed: int = 0) -> Tensor:
    """Grade a photo.

    Args:
        pixels: [3, H, W] uint8.
        marks: the places of each face; may be empty.
        amounts: name -> amount, see `AMOUNTS`.
        seed: of what is drawn at random, such as grain.

    Returns:
        [3, H, W] uint8; the photo itself without amounts.

    Raises:
        InputError: an unknown name, an amount out of range, or another form of photo; all faults at once.
    """
    check_photo(pixels)
    raise_all(amount_faults(AMOUNTS, amounts), InputError)
    return pixels
