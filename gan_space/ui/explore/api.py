"""Endpoints `/generate`, `/mix` and `/interpolate` for programs: seeds in, labelled files and their recipes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import gradio as gr

from gan_space.pipelines.recipe import MAX_TRUNCATION_PSI, TRUNCATION_PSI, UPSCALE_FACTORS
from gan_space.ui.explore.actions import FRAMES_BETWEEN, MAX_FRAMES, SEED_SPAN, ExploreActions
from gan_space.ui.server.endpoints import Between, OneOf, add_endpoint
from gan_space.ui.server.files import Shown

Seed = Annotated[int, Between(0, SEED_SPAN - 1)]
Seeds = Annotated[list[int], Between(0, SEED_SPAN - 1)]
Psi = Annotated[float, Between(0, MAX_TRUNCATION_PSI)]
Truncation = Literal["mean", "centers"]
Factor = Annotated[int, OneOf(UPSCALE_FACTORS)]
Frames = Annotated[int, Between(0, MAX_FRAMES)]
ClassNumber = Annotated[int | None, Between(0, 1_000_000)]


def add_portrait_endpoints(actions: ExploreActions) -> None:
    """Offer them inside the current gr.Blocks."""

    def generate(
        seeds: Seeds,
        truncation_psi: Psi = TRUNCATION_PSI,
        noise_mode: Literal["const", "random", "none"] = "const",
        upscale_factor: Factor = 1,
        visible_label: bool = True,
        label: ClassNumber = None,
        truncation: Truncation = "mean",
        rejection_sampling: bool = False,
    ) -> tuple[list[dict], list[dict]]:
        """Draw one portrait a seed; returns labelled PNG files and their recipes.

        Args:
            seeds: 1 to 16 whole numbers from 0 to 4294967295; the same seed gives the same face.
            truncation_psi: 0 (the average face) to 1 (all of the variety).
            noise_mode: const, random or none; fine grain of the picture.
            upscale_factor: 1, 2, 4, 8 or 16 times the network's size.
            visible_label: also write small into a corner that it was made by AI.
            label: class of a model that has classes, counted from 0; null is its first one.
            truncation: towards the mean, or towards the nearest of several centers; the model must have some.
            rejection_sampling: draw a face that came out broken from another seed; its recipe then has replaces_seed.
        """
        return _reply(
            actions.from_seeds(
                seeds,
                truncation_psi=truncation_psi,
                noise_mode=noise_mode,
                upscale_factor=upscale_factor,
                visible_label=visible_label,
                label=label,
                truncation=truncation,
                rejection_sampling=rejection_sampling,
            )
        )

    def mix(
        seed: Seed,
        style_seed: Seed,
        layers: str = "middle+fine",
        truncation_psi: Psi = TRUNCATION_PSI,
        upscale_factor: Factor = 1,
        visible_label: bool = True,
        label: ClassNumber = None,
        truncation: Truncation = "mean",
    ) -> tuple[list[dict], list[dict]]:
        """Draw the portrait of one seed with some layers of another; returns one labelled PNG file and its recipe.

        Args:
            seed: whose face.
            style_seed: whose layers it takes over.
            layers: coarse (pose, shape), middle (features), fine (colours), joined by +, or numbers such as 3-7.
            truncation_psi: 0 (the average face) to 1 (all of the variety).
            upscale_factor: 1, 2, 4, 8 or 16 times the network's size.
            visible_label: also write small into a corner that it was made by AI.
            label: class of a model that has classes, counted from 0; null is its first one.
            truncation: towards the mean, or towards the nearest of several centers; the model must have some.
        """
        return _reply(
            actions.mixed_portrait(
                seed,
                style_seed,
                layers,
                truncation_psi=truncation_psi,
                upscale_factor=upscale_factor,
                visible_label=visible_label,
                label=label,
                truncation=truncation,
            )
        )

    def interpolate(
        seeds: Seeds,
        frames_between: Frames = FRAMES_BETWEEN,
        loop: bool = True,
        truncation_psi: Psi = TRUNCATION_PSI,
        upscale_factor: Factor = 1,
        visible_label: bool = True,
        label: ClassNumber = None,
        truncation: Truncation = "mean",
    ) -> tuple[list[dict], list[dict]]:
        """Let faces turn into one another; returns one labelled, animated WebP file and its recipe.

        Args:
            seeds: 2 to 16 stops.
            frames_between: 0 to 47 frames between two stops.
            loop: return to the first stop.
            truncation_psi: 0 (the average face) to 1 (all of the variety).
            upscale_factor: 1, 2, 4, 8 or 16 times the network's size.
            visible_label: also write small into a corner that it was made by AI.
            label: class of a model that has classes, counted from 0; null is its first one.
            truncation: towards the mean, or towards the nearest of several centers; the model must have some.
        """
        return _reply(
            [
                actions.animation(
                    seeds,
                    frames_between,
                    loop=loop,
                    truncation_psi=truncation_psi,
                    upscale_factor=upscale_factor,
                    visible_label=visible_label,
                    label=label,
                    truncation=truncation,
                )
            ]
        )

    for endpoint in (generate, mix, interpolate):
        add_endpoint(endpoint)


def _reply(shown: Sequence[Shown]) -> tuple[list[dict], list[dict]]:
    return [gr.FileData(path=item.path).model_dump() for item in shown], [item.recipe for item in shown]
