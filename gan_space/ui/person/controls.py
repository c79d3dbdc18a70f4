"""What stands in the controls of "Personalised"."""

from __future__ import annotations

from dataclasses import dataclass

from gan_space.ui.opened_photos import OpenedPhoto
from gan_space.ui.person.own_directions import OwnDirection
from gan_space.ui.person.own_profiles import ProfileEntry
from gan_space.ui.person.request import PersonRequest
from gan_space.ui.server.files import Shown


@dataclass(frozen=True)
class Controls:
    """Values of the controls, and what the visit remembers; see `PersonLayout`.

    Args:
        amounts: of the model's sliders, by attribute.
        own_amounts: of the sliders for the visitor's own directions, by number.
        recipe_text: of the link that opened the page, where an event is about it.
    """

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
    varied: list[Shown]
    own: tuple[OwnDirection, ...]
    amounts: dict[str, float]
    own_amounts: dict[int, float]
    language: str
    recipe_text: str = ""

    @property
    def moved(self) -> dict[str, float]:
        """Amounts other than 0, by attribute or name of the visitor's direction."""
        # Sliders behind the last own direction belong to nobody.
        own = {one.name: self.own_amounts[number] for number, one in enumerate(self.own)}
        return {name: amount for name, amount in (self.amounts | own).items() if amount}
