"""What stands in the controls of "New sliders"."""

from __future__ import annotations

from dataclasses import dataclass

from gan_space.latents.directions import Direction
from gan_space.ui.person.own_directions import OwnDirection
from gan_space.ui.server.files import Shown


@dataclass(frozen=True)
class Controls:
    """Values of the controls, and what the visit remembers; see `DiscoverLayout`.

    Args:
        own: the visitor's directions.
        archive: a zip of directions, where an event brings one.
    """

    method: str
    layers: list[str]
    count: int
    reach: float
    found: list[Direction]
    faces: list[Shown]
    marks: dict[int, int]
    chosen: Direction | None
    origin: str
    accuracy: float | None
    seed: int
    name: str
    turned: bool
    which: str | None
    own: tuple[OwnDirection, ...]
    language: str
    archive: str | None = None
