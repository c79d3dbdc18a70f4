"""What stands in the controls of "Personalised"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
        left: what the browser says of the photo that is open on the page for a photo, see `read_left`.
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
    left: str
    language: str
    recipe_text: str = ""

    @property
    def moved(self) -> dict[str, float]:
        """Amounts other than 0, by attribute or name of the visitor's direction."""
        # Sliders behind the last own direction belong to nobody.
        own = {one.name: self.own_amounts[number] for number, one in enumerate(self.own)}
        return {name: amount for name, amount in (self.amounts | own).items() if amount}

    def request(self, groups: Sequence[str]) -> PersonRequest | None:
        """Return what the controls ask for; None where there is nothing to start from.

        Args:
            groups: names of all groups of layers.
        """
        if self.source == "photo" and self.opened is None:
            return None
        if self.source == "profile" and self.profile is None:
            return None
        everywhere = len(self.layers) in (0, len(groups))
        return PersonRequest(
            source=self.source,
            seed=self.seed,
            photo=self.opened if self.source == "photo" else None,
            face=self.face,
            profile=self.profile if self.source == "profile" else None,
            amounts=tuple(self.moved.items()),
            keep=tuple(self.keep),
            layers=() if everywhere else tuple(name for name in groups if name in self.layers),
            truncation_psi=self.truncation_psi,
            identity_strength=self.identity_strength,
            look=self.look,
            look_weight=self.look_weight,
            own=tuple(one.direction for one in self.own),
        )

    def restored(self, request: PersonRequest, groups: Sequence[str]) -> Controls:
        """Set the controls as they stood when `request` was drawn; directions removed since then are left out."""
        wanted = dict(request.amounts)
        return replace(
            self,
            source=request.source,
            seed=request.seed,
            opened=request.photo or self.opened,
            face=request.face,
            profile=request.profile or self.profile,
            keep=list(request.keep),
            layers=list(request.layers or groups),
            truncation_psi=request.truncation_psi,
            identity_strength=request.identity_strength,
            look=request.look,
            look_weight=request.look_weight,
            amounts={name: wanted.get(name, 0.0) for name in self.amounts},
            own_amounts={number: wanted.get(one.name, 0.0) for number, one in enumerate(self.own)},
        )
