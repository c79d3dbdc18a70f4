"""What a user may ask of style transfer, checked all at once, and what a recipe remembers of it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gan_space.errors import InputError, raise_all
from gan_space.latents.layers import parse_layers
from gan_space.output.postprocess import parse_steps
from gan_space.pipelines.found_faces import which_faults
from gan_space.pipelines.recipe import seed_faults
from gan_space.pipelines.refinement import refine_faults

MAX_STRENGTH = 1.5
SCOPES = ("auto", "face", "photo")
TRANSFERS = ("auto", "change", "picture")
UPSCALES = ("auto", "network", "plain")
KEEP_IDENTITY = 0.8  # with a reference; packs were tuned to keep the person and are left alone


@dataclass(frozen=True)
class StyleSettings:
    """How a look is applied; the arguments of `StyleTransferPipeline.__call__`.

    Raises:
        InputError: a value of the wrong type or out of range; all faults at once.
    """

    strength: float = 0.7
    layers: str = "middle+fine"
    preserve_color: bool = False
    keep_identity: float | bool | None = None
    paste_back: bool = True
    scope: str = "auto"
    transfer: str = "auto"
    upscale: str = "auto"
    faces: str | int = "largest"
    post_processing: tuple[tuple[str, float], ...] = ()
    seed: int = 0
    refine_steps: int = 0

    def __post_init__(self) -> None:
        faults = which_faults(self.faces)
        if not _is_number(self.strength) or not 0 <= self.strength <= MAX_STRENGTH:
            faults.append(f"strength must be a number from 0 to {MAX_STRENGTH:g}, got {self.strength!r}")
        for name in ("preserve_color", "paste_back"):
            if not isinstance(getattr(self, name), bool):
                faults.append(f"{name} must be True or False, got {getattr(self, name)!r}")
        keep = self.keep_identity
        if keep is not None and not isinstance(keep, bool) and not (_is_number(keep) and 0 <= keep <= 1):
            faults.append(f"keep_identity must be a number from 0 to 1, True, False or None, got {keep!r}")
        for name, choices in (("scope", SCOPES), ("transfer", TRANSFERS), ("upscale", UPSCALES)):
            if getattr(self, name) not in choices:
                faults.append(f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}")
        if self.faces == "all" and self.paste_back is False:
            faults.append("paste_back=False returns one face a photo: choose faces='largest' or a number")
        if self.paste_back is False and self.scope == "photo":
            faults.append("paste_back=False returns the face's frame, scope='photo' the whole photo: choose one")
        faults += seed_faults("seed", [self.seed]) + refine_faults(self.refine_steps)
        try:
            object.__setattr__(self, "post_processing", parse_steps(self.post_processing))
        except InputError as error:
            faults.append(str(error))
        raise_all(faults, InputError)

    def identity(self, *, has_reference: bool) -> float:
        """`keep_identity` as a number in [0, 1]."""
        if self.keep_identity is None:
            return KEEP_IDENTITY if has_reference else 0.0
        return float(self.keep_identity)

    def rows(self, num_ws: int) -> tuple[int, ...]:
        """Rows of w_plus that `layers` names; InputError if there are none."""
        return parse_layers(self.layers, num_ws)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
