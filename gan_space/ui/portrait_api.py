"""Endpoints `/generate`, `/mix` and `/interpolate` for programs: seeds in, labelled files and their recipes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import gradio as gr

from gan_space.errors import GanSpaceError
from gan_space.ui.endpoints import add_endpoint
from gan_space.ui.files import Shown
from gan_space.ui.studio import Studio


def add_portrait_endpoints(studio: Studio) -> None:
    """Offer them inside the current gr.Blocks."""

    def generate(
        seeds: list[int],
        truncation_psi: float = 0.7,
        noise_mode: Literal["const", "random", "none"] = "const",
        upscale_factor: int = 1,
        visible_label: bool = False,
        label: int | None = None,
    ) -> tuple[list[dict], list[dict]]:
        """Draw one portrait a seed; returns labelled PNG files and their recipes.

        Args:
            seeds: 1 to 16 whole numbers from 0 to 4294967295; the same seed gives the same face.
            truncation_psi: 0 (the average face) to 1 (all of the variety).
            noise_mode: const, random or none; fine grain of the picture.
            upscale_factor: 1, 2, 4, 8 or 16 times the network's size.
            visible_label: also write into the picture that it was made by AI.
            label: class of a model that has classes, counted from 0; null is its first one.
        """
        return _reply(
            lambda: studio.from_seeds(
                seeds,
                truncation_psi=truncation_psi,
                noise_mode=noise_mode,
                upscale_factor=upscale_factor,
                visible_label=visible_label,
                label=label,
            )
        )

    def mix(
        seed: int,
        style_seed: int,
        layers: str = "middle+fine",
        truncation_psi: float = 0.7,
        upscale_factor: int = 1,
        visible_label: bool = False,
        label: int | None = None,
    ) -> tuple[list[dict], list[dict]]:
        """Draw the portrait of one seed with some layers of another; returns one labelled PNG file and its recipe.

        Args:
            seed: whose face.
            style_seed: whose layers it takes over.
            layers: coarse (pose, shape), middle (features), fine (colours), joined by +, or numbers such as 3-7.
            truncation_psi: 0 (the average face) to 1 (all of the variety).
            upscale_factor: 1, 2, 4, 8 or 16 times the network's size.
            visible_label: also write into the picture that it was made by AI.
            label: class of a model that has classes, counted from 0; null is its first one.
        """
        return _reply(
            lambda: studio.mixed_portrait(
                seed,
                style_seed,
                layers,
                truncation_psi=truncation_psi,
                upscale_factor=upscale_factor,
                visible_label=visible_label,
                label=label,
            )
        )

    def interpolate(
        seeds: list[int],
        frames_between: int = 15,
        loop: bool = True,
        truncation_psi: float = 0.7,
        upscale_factor: int = 1,
        visible_label: bool = False,
        label: int | None = None,
    ) -> tuple[list[dict], list[dict]]:
        """Let faces turn into one another; returns one labelled, animated WebP file and its recipe.

        Args:
            seeds: 2 to 16 stops.
            frames_between: 0 to 47 frames between two stops.
            loop: return to the first stop.
            truncation_psi: 0 (the average face) to 1 (all of the variety).
            upscale_factor: 1, 2, 4, 8 or 16 times the network's size.
            visible_label: also write into the picture that it was made by AI.
            label: class of a model that has classes, counted from 0; null is its first one.
        """
        return _reply(
            lambda: [
                studio.animation(
                    seeds,
                    frames_between,
                    loop=loop,
                    truncation_psi=truncation_psi,
                    upscale_factor=upscale_factor,
                    visible_label=visible_label,
                    label=label,
                )
            ]
        )

    for endpoint in (generate, mix, interpolate):
        add_endpoint(endpoint)


def _reply(draw: Callable[[], list[Shown]]) -> tuple[list[dict], list[dict]]:
    try:
        shown = draw()
    except GanSpaceError as error:
        raise gr.Error(str(error), print_exception=False) from error
    return [gr.FileData(path=item.path).model_dump() for item in shown], [item.recipe for item in shown]
