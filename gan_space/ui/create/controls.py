"""What stands in the controls of "Create a look", and what it asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gan_space.latents.layers import LAYER_GROUPS
from gan_space.styles.settings import StyleSettings
from gan_space.ui.create.actions import LookEntry, StyleRequest
from gan_space.ui.opened_photos import OpenedPhoto, RefinedFaces


@dataclass(frozen=True)
class Controls:
    """Values of the controls, and what the visit remembers; see `CreateLayout`.

    Args:
        steps: amount of each step of post-processing.
        left: what the browser says of the photo that is open on the page for a photo, see `read_left`.
        photos: of "Several photos"; this and the following only where an event brings them.
        refined, refine_steps, show_lost: of `RefineControls`.
    """

    opened: OpenedPhoto | None
    photo: str | None
    look_source: str
    look_key: str
    own_looks: list[LookEntry]
    reference: str | None
    layers: list[str]
    keep_identity: float
    strength: float
    preserve_color: bool
    scope: str
    transfer: str
    upscale: bool
    faces: str | int
    steps: dict[str, float]
    image_format: str
    visible_label: bool
    left: str
    language: str
    photos: list[str] | None = None
    refined: RefinedFaces | None = None
    refine_steps: float = 0
    show_lost: bool = False


def request_of(controls: Controls, looks: Sequence[LookEntry]) -> StyleRequest | None:
    """Return what the controls ask for, of everybody's `looks` or the visitor's own; None where no look is chosen."""
    look = reference = None
    if controls.look_source == "picture":
        reference = controls.reference
    else:
        entries = {entry.key: entry for entry in [*looks, *controls.own_looks]}
        look = entries.get(controls.look_key)
    steps = tuple((name, amount) for name, amount in controls.steps.items() if amount)
    if look is None and reference is None and not steps:
        return None
    layers = "+".join(name for name in LAYER_GROUPS if name in controls.layers)
    settings = StyleSettings(
        strength=controls.strength,
        layers=layers or "fine",
        preserve_color=controls.preserve_color,
        keep_identity=controls.keep_identity,
        scope=controls.scope,
        transfer=controls.transfer,
        upscale="auto" if controls.upscale else "plain",
        faces=controls.faces,
        post_processing=steps,
    )
    return StyleRequest(look, reference, settings)
