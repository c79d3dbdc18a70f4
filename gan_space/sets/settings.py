"""How a set of portraits is made, said once for code, command line and page."""

from __future__ import annotations

from dataclasses import dataclass

from gan_space.errors import InputError, raise_all
from gan_space.settings import MAX_SEED, setting, setting_faults

MAX_PORTRAITS = 32


@dataclass(frozen=True)
class PortraitSetSettings:
    """The settings of `PersonalizationPipeline.portraits`.

    Raises:
        InputError: a value of the wrong type or out of range; all faults at once.
    """

    num: int = setting(8, "How many portraits.", low=1, high=MAX_PORTRAITS, whole=True)
    seed: int = setting(1, "Of the plan; the same seed makes the same set.", low=0, high=MAX_SEED, whole=True)
    expression: float = setting(1.0, "Times smiles, brows, turn and tilt; 0: none of them.", low=0, high=1.25)
    age: float = setting(1.0, "Decades older or younger at most; 0: no other age.", low=0, high=1.5)
    min_likeness: float = setting(
        0.58, "Cosine to the photo, by the identity network, that a portrait has to keep.", low=0, high=0.95
    )

    def __post_init__(self) -> None:
        raise_all(setting_faults(self), InputError)
