"""What a user may ask of style transfer, checked all at once, and what a recipe remembers of it."""

from __future__ import annotations

from dataclasses import dataclass, fields

from gan_space.errors import InputError, raise_all
from gan_space.latents.layers import parse_layers
from gan_space.output.postprocess import parse_steps
from gan_space.portraits.choosing import Which, which_faults
from gan_space.portraits.refinement import refine_faults
from gan_space.seeding import seed_faults
from gan_space.settings import Setting, setting, setting_faults

MAX_STRENGTH = 1.5
KEEP_IDENTITY = 0.8  # with a reference; packs were tuned to keep the person and are left alone


@dataclass(frozen=True)
class StyleSettings:
    """How a look is applied; the arguments of `StyleTransferPipeline.__call__`.

    Raises:
        InputError: a value of the wrong type or out of range; all faults at once.
    """

    strength: float = setting(
        0.8,
        "0 leaves the photo (drawn looks: redraws it), 1 is all of the look, up to 1.5.",
        low=0,
        high=MAX_STRENGTH,
    )
    layers: str = setting("middle+fine", "Of a reference: coarse, middle, fine, joined by +.")
    preserve_color: bool = setting(False, "Keep the photo's colours.")
    keep_identity: float | bool | None = setting(None, "0 to 1: how firmly features are held.", optional=True)
    paste_back: bool = setting(True, "Put the face back into its photo; without it, the face's frame is returned.")
    scope: str = setting("auto", "face, photo (everything takes the look), or auto.", choices=("auto", "face", "photo"))
    transfer: str = setting(
        "auto",
        "change (the photo's own pixels, changed), picture (the drawn face), or auto.",
        choices=("auto", "change", "picture"),
    )
    upscale: str = setting(
        "auto",
        "Of a drawn picture: network (crisper), plain (bicubic, softer), or auto.",
        choices=("auto", "network", "plain"),
    )
    faces: Which | None = setting(None, "largest, all, or a number from 0, the largest first.", optional=True)
    post_processing: tuple[tuple[str, float], ...] = setting(
        (), "Finishing steps, such as sharpen:0.5,film; in this order."
    )
    seed: int = setting(0, "Of what is drawn at random, such as film grain.")
    refine_steps: int = setting(0, "Steps of optimisation that keep more of each face; 60 is a good number.")

    def __post_init__(self) -> None:
        faults = [] if self.faces is None else which_faults(self.faces)
        faults += setting_faults(self)
        keep = self.keep_identity
        if keep is not None and not isinstance(keep, bool) and _SHARE.fault("", keep):
            faults.append(f"keep_identity must be a number from 0 to 1, True, False or None, got {keep!r}")
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

    def arguments(self) -> dict:
        """Return the arguments of `StyleTransferPipeline.__call__` for an open photo, refined where it shall be."""
        names = [one.name for one in fields(self) if one.name not in ("faces", "refine_steps")]
        return {name: getattr(self, name) for name in names}

    def identity(self, *, has_reference: bool) -> float:
        """Return `keep_identity` as a number in [0, 1]."""
        if self.keep_identity is None:
            return KEEP_IDENTITY if has_reference else 0.0
        return float(self.keep_identity)

    def rows(self, num_ws: int) -> tuple[int, ...]:
        """Return the rows of w_plus that `layers` names; InputError if there are none."""
        return parse_layers(self.layers, num_ws)


_SHARE = Setting("", low=0, high=1)
