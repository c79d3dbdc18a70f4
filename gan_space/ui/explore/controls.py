"""What stands in the controls of "Explore"."""

from __future__ import annotations

from dataclasses import dataclass

from gan_space.ui.server.files import Shown

TRUNCATION_KEYS = {"mean": "settings.truncation_mean", "centers": "settings.truncation_centers"}


@dataclass(frozen=True)
class Controls:
    """Values of the controls, and what the visit remembers; see `ExploreLayout`.

    Args:
        mode, shown, chosen: what was drawn, the pictures, and the number of the chosen one.
        recipe_text: of the link that opened the page, where an event is about it.
    """

    seed: int
    count: int
    mix_seed: int
    mix_style_seed: int
    mix_layers: list[str]
    morph_seed: int
    morph_to_seed: int
    morph_frames: int
    morph_loop: bool
    truncation_psi: float
    truncation: str
    label: int | None
    rejection_sampling: bool
    download_factor: int
    visible_label: bool
    mode: str
    shown: list[Shown]
    chosen: int
    language: str
    recipe_text: str = ""
