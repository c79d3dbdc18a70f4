"""What "Personalised" is asked to draw, and which of it fits into a link."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from gan_space.errors import InputError, raise_all
from gan_space.latents.directions import Direction
from gan_space.pipelines.recipe import TRUNCATION_PSI
from gan_space.settings import default_of
from gan_space.styles.settings import StyleSettings
from gan_space.ui.explore.actions import SEED_SPAN
from gan_space.ui.opened_photos import OpenedPhoto
from gan_space.ui.person.own_profiles import ProfileEntry

SOURCES = ("random", "photo", "profile")
SLIDERS = ("truncation_psi", "identity_strength", "look_weight")  # beside those of `amounts`
MAX_HISTORY = 40


@dataclass(frozen=True)
class PersonRequest:
    """A face, and what is to be different about it.

    Args:
        source: one of SOURCES.
        seed: of a random face, or of a portrait of the profile.
        photo: for source "photo".
        face: which one in the photo: "largest", or a number from 0, the largest first.
        profile: for source "profile".
        amounts: ((attribute, amount), ...), those at 0 left out.
        keep: attributes that must not change with the others.
        layers: groups of layers that attributes may change; all of them if empty.
        truncation_psi: variety of random faces.
        identity_strength: 1 the person of the profile, 0 a random face.
        look: name of a style pack on top of a random face or a profile; "" for none.
        look_weight: how much of it.
        own: directions that the visitor found, which `amounts` may name as well.
    """

    source: str = "random"
    seed: int = 1
    photo: OpenedPhoto | None = None
    face: str | int = "largest"
    profile: ProfileEntry | None = None
    amounts: tuple[tuple[str, float], ...] = ()
    keep: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    truncation_psi: float = TRUNCATION_PSI
    identity_strength: float = 1.0
    look: str = ""
    look_weight: float = default_of(StyleSettings, "strength")
    own: tuple[Direction, ...] = ()


def with_step(history: Sequence[PersonRequest], request: PersonRequest) -> list[PersonRequest]:
    """Return the history with `request` as its last step.

    Moves of one slider that follow one another are one step: how many of them were drawn on the way depends on the
    machine's speed, and taking back has to lead to what stood there before the hand touched the slider.
    """
    steps = list(history)
    moved = _moved_slider(steps[-1], request) if steps else None
    if moved and len(steps) > 1 and _moved_slider(steps[-2], steps[-1]) == moved:
        steps.pop()
    if not steps or steps[-1] != request:
        steps.append(request)
    return steps[-MAX_HISTORY:]


def _moved_slider(before: PersonRequest, after: PersonRequest) -> str | None:
    """Name of the slider that alone stands elsewhere; None where more is different, or nothing."""
    moved = {name for name, _ in set(before.amounts) ^ set(after.amounts)}
    others = [one.name for one in fields(PersonRequest) if one.name != "amounts"]
    moved |= {name for name in others if getattr(before, name) != getattr(after, name)}
    name = moved.pop() if len(moved) == 1 else None
    return None if name in others and name not in SLIDERS else name


def is_shareable(recipe: dict) -> bool:
    """Tell whether anybody with the model can draw this again from a link: a random face, attributes on all layers."""
    return "seed" in recipe and not {"kind", "attribute_layers", "own_directions", "packs", "w_plus"} & set(recipe)


def is_personal(recipe: dict) -> bool:
    """Tell whether a recipe is one of this tab's, with no setting that it has no control for."""
    known = {"model", "revision", "seed", "attributes", "truncation_psi", "noise_mode", "upscale_factor"}
    return {"seed", "attributes"} <= set(recipe) <= known and recipe.get("noise_mode", "const") == "const"


def request_of(recipe: dict) -> PersonRequest:
    """Return the settings that draw the recipe of a random face; see `is_personal`."""
    seed, amounts = recipe.get("seed"), recipe.get("attributes") or {}
    faults = []
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < SEED_SPAN:
        faults.append(f"a seed is a whole number from 0 to {SEED_SPAN - 1}, got {seed!r}")
    raise_all(faults, InputError)
    return PersonRequest(
        seed=seed, amounts=tuple(sorted(amounts.items())), truncation_psi=recipe.get("truncation_psi", TRUNCATION_PSI)
    )
