"""What stands in the controls of "Personalised generation"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gan_space.ui.opened_photos import OpenedPhoto
from gan_space.ui.person.own_directions import OwnDirection
from gan_space.ui.person.own_profiles import ProfileEntry
from gan_space.ui.person.request import PersonRequest
from gan_space.ui.server.files import Shown


@dataclass(frozen=True)
class Controls:
    """Values in the order in which gradio hands them over."""

    source: str
    seed: int
    opened: OpenedPhoto | None
    photo: str | None
    face: str | int
    profile: ProfileEntry | None
    keep: list[str]
    layers: list[str]
    truncation_psi: float
    identity_strength: float
    look: str
    look_weight: float
    count: int
    image_format: str
    visible_label: bool
    shown: Shown | None
    history: list[PersonRequest]
    own: tuple[OwnDirection, ...]
    amounts: tuple[float, ...]  # of the model's sliders, then of the visitor's own
    language: str

    @classmethod
    def read(cls, values: Sequence[Any]) -> Controls:
        """From the values of `PersonTab.inputs`: one for each slider stands before the language."""
        return cls(*values[:18], tuple(values[18:-1]), values[-1])
