"""What comes of style transfer: pictures that save themselves with their labels, and the recipes that are in them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from diffusers.utils import BaseOutput
from PIL import Image

from gan_space.pipelines.base import PortraitPipeline
from gan_space.pipelines.saving import save_portrait
from gan_space.portraits.portrait import Portrait
from gan_space.portraits.refinement import Refinement
from gan_space.styles.apply import NetworkLook
from gan_space.styles.settings import StyleSettings


@dataclass
class StyleTransferPipelineOutput(BaseOutput):
    """N photos in their looks.

    Args:
        images: N pictures: the photo with its new look and its own transparency, or with paste_back=False the face's
            frame.
        portraits: each photo as it was opened, to be styled again without another search; `.picture()` shows the faces.
        reconstruction: for each photo the largest of the chosen faces as the networks redraw it, [R x R]; what
            strength 0 gives with transfer "picture"; None with `look`, which redraws nothing.
        refinement: for each photo what `refine_steps` or `refined` brought, None without either.
        recipe: one JSON-able dict a photo.
        seconds: where the time went, in all: stage -> seconds.
    """

    images: list[Image.Image]
    portraits: list[Portrait]
    reconstruction: list[Image.Image | None]
    refinement: list[Refinement | None]
    recipe: list[dict]
    seconds: dict[str, float]

    def save(
        self, path: str | Path, number: int = 0, *, visible_label: bool = True, photo: str | Path | None = None
    ) -> Path:
        """Write one of the pictures as a labelled file; see `pipelines.saving.save_portrait`.

        Args:
            path: ends in .png, .jpg, .jpeg or .webp.
            number: of the picture, counted from 0.
            visible_label: also draw a small "AI生成" into a corner where no face is.
            photo: the file that the photo came from; labels that it carries are passed on.
        """
        picture, portrait = self.images[number], self.portraits[number]
        options = {"visible_label": visible_label, "photo": photo}
        return save_portrait(picture, path, portrait=portrait, recipe=self.recipe[number], **options)


@dataclass
class Clock:
    """Adds up where the time goes: `with clock("stage")`."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


def style_record(
    pipe: PortraitPipeline,
    portrait: Portrait,
    look: NetworkLook,
    weights: dict[str, float],
    settings: StyleSettings,
    refined: Refinement | None,
) -> dict:
    """Return what a saved file says about how the networks drew it.

    Args:
        weights: of the packs, by name.
    """
    recipe = {
        "kind": "style",
        "model": pipe.model_name,
        "revision": pipe.revision,
        "strength": float(settings.strength),
        "scope": settings.scope,
        "transfer": settings.transfer,
        "faces": portrait.which,
        "faces_in_photo": len(portrait.faces),
        "preserve_color": settings.preserve_color,
        "keep_identity": settings.identity(has_reference=look.reference is not None),
        "paste_back": settings.paste_back,
    }
    recipe |= {"upscale": settings.upscale} if settings.transfer == "picture" else {}
    if look.reference is not None:
        recipe |= {"reference_sha256": look.reference.digest, "layers": settings.layers}
    if look.packs:
        named = zip(weights, look.packs, strict=True)
        recipe["packs"] = [{"name": name, "id": pack.id, "weight": float(weight)} for name, (pack, weight) in named]
        recipe["pack"] = ", ".join(weights)
        credits = [pack.credit for pack, _ in look.packs if pack.credit]
        recipe |= {"pack_credit": "; ".join(dict.fromkeys(credits))} if credits else {}
    if settings.post_processing:
        recipe["post_processing"] = [list(step) for step in settings.post_processing]
        recipe["seed"] = int(settings.seed)
    if refined is not None and refined.num_steps:
        recipe["refine_steps"] = refined.num_steps
    return recipe
