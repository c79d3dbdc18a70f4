"""GenerationPipeline: from seeds to portraits, with truncation, style mixing and interpolation."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import BaseOutput
from PIL import Image
from torch import Tensor

from gan_space import hub
from gan_space.errors import InputError, raise_all
from gan_space.latents.directions import DIRECTIONS_FOLDER
from gan_space.latents.mixing import interpolation_positions, lerp_codes, mix_styles
from gan_space.latents.truncation import TRUNCATION_FOLDER, TruncationCenters
from gan_space.models.generator import Generator
from gan_space.models.landmarker import Landmarker
from gan_space.pipelines import arguments
from gan_space.pipelines.drawing import Progress, codes_of_seeds, draw_codes
from gan_space.pipelines.recipe import (
    InterpolationRecipe,
    PortraitRecipe,
    decode_w_plus,
    encode_w_plus,
    parse_recipe,
    settings_faults,
)
from gan_space.pipelines.rejection import draw_accepted, load_landmarker
from gan_space.pipelines.release import copy_records, prepare_release
from gan_space.pipelines.steered import SteeredPipeline
from gan_space.settings import is_one_of

Attributes = Mapping[str, float] | Sequence[Mapping[str, float]] | None


@dataclass
class GenerationPipelineOutput(BaseOutput):
    """What a pipeline drew.

    Args:
        images: N pictures; or [N, 3, R, R] float32 in [-1, 1] for "pt"; or [N, R, R, 3] uint8 for "np".
        w_plus: [N, num_ws, w_dim], the codes as they were drawn, on the CPU.
        seeds: the seed of each picture; None where it came from a code without one.
        recipe: one JSON-able dict a picture, see `GenerationPipeline.generate_from_recipe`.
        animation_recipe: from `interpolate` only, one dict for all frames together.
    """

    images: list[Image.Image] | Tensor | np.ndarray
    w_plus: Tensor
    seeds: list[int | None]
    recipe: list[dict]
    animation_recipe: dict | None = None


class GenerationPipeline(SteeredPipeline):
    """Draw portraits from seeds.

    Example:
        >>> pipe = GenerationPipeline(Generator(resolution=16, z_dim=8, w_dim=8, channel_base=64))
        >>> out = pipe(seeds=[1, 2], truncation_psi=0.7)
        >>> out.images[0].size, out.recipe[0]["seed"]
        ((16, 16), 1)
    """

    # Folder name -> class. A later component is one more row here, its name in _optional_components if it may be
    # missing, and an argument of __init__.
    _component_classes: dict[str, type] = {"generator": Generator}  # noqa: RUF012
    _optional_components: list[str] = []  # noqa: RUF012

    def __init__(self, generator: Generator):
        super().__init__(generator=generator)
        self._truncation_centers: TruncationCenters | None = None

    @classmethod
    def from_pipe(cls, pipeline: DiffusionPipeline, **components) -> Self:
        """Make a pipeline that shares networks, directions and centres of another one; see `PortraitPipeline`."""
        new = super().from_pipe(pipeline, **components)
        if new.generator is pipeline.components.get("generator"):
            new._truncation_centers = getattr(pipeline, "truncation_centers", new._truncation_centers)
            if new._truncation_centers is None and new.source.folder is not None:
                new._load_centers(new.source.folder)
        return new

    @property
    def truncation_centers(self) -> TruncationCenters | None:
        """What `truncation="centers"` truncates towards; None where the model has none."""
        return self._truncation_centers

    @truncation_centers.setter
    def truncation_centers(self, centers: TruncationCenters | None) -> None:
        if centers is not None:
            centers.check_fits(self.generator)
        self._truncation_centers = centers

    @cached_property
    def landmarker(self) -> Landmarker | None:
        """Judges faces for `rejection_sampling`; loaded when it is first needed, None where the model has none."""
        return load_landmarker(self.source.folder)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        token: str | bool | None = None,
        tag: str | None = None,
        parent_commit: str | None = None,
    ) -> hub.Upload:
        """Push the model with its records, sample grids and card to the Hub, as one commit.

        Calling it again after a failure goes on with what is missing; nothing is committed twice.

        Args:
            repo_id: "user/name"; made if it does not exist.
            private: True for a repository that only you can see.
            token: with write access; None takes the one of `hf auth login` or HF_TOKEN.
            tag: name of this release, which never moves.
            parent_commit: push only if this is still the newest commit.

        Raises:
            InputError: the Hub did not take it; says why and what to do.
        """
        raise_all(hub.address_faults(repo_id, tag, parent_commit), InputError)  # before drawing sample grids for it
        with tempfile.TemporaryDirectory(prefix="gan-space-push-") as name:
            folder = Path(name)
            self.save_pretrained(folder)
            if self.source.folder is not None:
                copy_records(self.source.folder, folder)
            prepare_release(self, folder, repo_id)
            return hub.upload(folder, repo_id, private=private, token=token, tag=tag, parent_commit=parent_commit)

    @torch.no_grad()
    def __call__(
        self,
        seeds: Sequence[int] | None = None,
        num_images: int | None = None,
        truncation_psi: float = 0.7,
        truncation_cutoff: int | None = None,
        truncation: str = "mean",
        noise_mode: str = "const",
        w_plus: Tensor | np.ndarray | None = None,
        style_mixing_seeds: Sequence[int] | None = None,
        style_mixing_layers: str | None = None,
        attributes: Attributes = None,
        labels: int | Sequence[int] | None = None,
        rejection_sampling: bool = False,
        upscale_factor: int = 1,
        batch_size: int = 8,
        output_type: str = "pil",
        callback: Progress | None = None,
    ) -> GenerationPipelineOutput:
        """Draw one picture a seed.

        Args:
            seeds: N seeds in [0, 2**32 - 1]; None draws `num_images` of them at random.
            num_images: how many, where no seeds are given; 1 if None.
            truncation_psi: 0 (the average face) to 1 (all of the variety); above 1 exaggerates.
            truncation_cutoff: truncate only the first so many layers; None: all.
            truncation: towards the "mean", the average face, or towards the nearest of several "centers", which leaves
                rare kinds of faces more of their share, see `gan_space.latents.truncation`.
            noise_mode: "const" (same grain in every picture), "random" (grain from the seed), "none".
            w_plus: [N, num_ws, w_dim] codes to draw instead of those of the seeds; taken as they are.
            style_mixing_seeds: N seeds, or one for all, whose codes take over `style_mixing_layers`.
            style_mixing_layers: such as "coarse", "middle+fine" or "3-7", see `parse_layers`.
            attributes: such as {"smile": 1.5, "age": -1}, one dict for all pictures or a list with one for each; comes
                after truncation and mixing. 1 is a visible step; see `pipe.directions` for names and ranges.
            labels: class number, or one a picture, for a network with labels.
            rejection_sampling: where the landmarker of the model finds that a face came out broken, draw another one
                from a seed derived from the first; the recipe then has both, as `seed` and `replaces_seed`.
            upscale_factor: enlarge the finished picture 1, 2, 4, 8 or 16 times (Lanczos); only for "pil".
            batch_size: pictures at once; changes memory and speed, not the pictures.
            output_type: "pil", "pt" or "np".
            callback: called as callback(done, total) after every batch.

        Raises:
            InputError: an argument that does not work; all faults at once.
        """
        faults = settings_faults(
            truncation_psi=truncation_psi,
            truncation_cutoff=truncation_cutoff,
            noise_mode=noise_mode,
            upscale_factor=upscale_factor,
            truncation=truncation,
        )
        faults += self.truncation_faults(truncation)
        c_dim = self.generator.config.c_dim
        faults += arguments.output_faults(output_type, batch_size, upscale_factor)
        codes, code_faults = arguments.check_codes(w_plus, self.generator)
        seeds, more_faults = arguments.choose_seeds(seeds, num_images, codes, noise_mode)
        faults += code_faults + more_faults
        total = len(seeds)
        style_seeds, more_faults = arguments.check_style_mixing(
            style_mixing_seeds, style_mixing_layers, total, self.generator.num_ws
        )
        faults += more_faults
        amounts, more_faults = arguments.check_attributes(attributes, total, self.directions)
        faults += more_faults
        needs_labels = codes is None or style_seeds is not None
        class_numbers, more_faults = arguments.check_labels(labels, total, c_dim, needed=needs_labels)
        faults += self.rejection_faults(rejection_sampling, codes)
        raise_all(faults + more_faults, InputError)

        def codes_of(seeds: Sequence[int], positions: Sequence[int]) -> Tensor:
            """Return codes of seeds that are drawn as the pictures at these positions are to be."""
            at = list(positions)
            numbers = [class_numbers[position] for position in at]
            own = (
                self._codes(seeds, truncation, truncation_psi, truncation_cutoff, numbers)
                if codes is None
                else codes[at]
            )
            if style_seeds is not None:
                style = [style_seeds[position] for position in at]
                own = mix_styles(
                    own, self._codes(style, truncation, truncation_psi, truncation_cutoff, numbers), style_mixing_layers
                )
            if any(amounts):
                own = own + torch.stack([self.directions.shift(amounts[position]) for position in at]).to(own)
            return own

        how = {"noise_mode": noise_mode, "upscale_factor": upscale_factor, "batch_size": batch_size}
        how |= {"output_type": output_type, "callback": callback}
        if rejection_sampling:
            images, drawn_seeds, drawn = draw_accepted(self.generator, self.landmarker, seeds, codes_of, **how)
        else:
            drawn_seeds, drawn = seeds, codes_of(seeds, range(total))
            images = draw_codes(self.generator, drawn, seeds, **how)
        recipe = [
            PortraitRecipe(
                model=self.model_name,
                revision=self.revision_of(truncation, any(amounts)),
                truncation=truncation,
                truncation_psi=float(truncation_psi),
                truncation_cutoff=truncation_cutoff,
                noise_mode=noise_mode,
                label=class_numbers[index] if c_dim else None,
                upscale_factor=upscale_factor,
                seed=seed,
                replaces_seed=None if seed == seeds[index] else seeds[index],
                **(
                    {"w_plus": encode_w_plus(drawn[index])}
                    if codes is not None
                    else {
                        "style_mixing_seed": None if style_seeds is None else style_seeds[index],
                        "style_mixing_layers": style_mixing_layers,
                        "attributes": amounts[index] or None,
                    }
                ),
            ).to_dict()
            for index, seed in enumerate(drawn_seeds)
        ]
        return GenerationPipelineOutput(images=images, w_plus=drawn.cpu(), seeds=drawn_seeds, recipe=recipe)

    @torch.no_grad()
    def interpolate(
        self,
        seeds: Sequence[int],
        frames_between: int = 11,
        loop: bool = True,
        truncation_psi: float = 0.7,
        truncation_cutoff: int | None = None,
        truncation: str = "mean",
        noise_mode: str = "const",
        attributes: Mapping[str, float] | None = None,
        label: int | None = None,
        upscale_factor: int = 1,
        batch_size: int = 8,
        output_type: str = "pil",
        callback: Progress | None = None,
    ) -> GenerationPipelineOutput:
        """Walk from face to face on straight lines in W.

        Args:
            seeds: 2 or more stops.
            frames_between: frames between two stops.
            loop: return to the first stop, so that the animation can repeat without a jump.
            attributes: one dict for all frames.

        Other arguments are those of `__call__`. The output also has `animation_recipe`.

        Raises:
            InputError: an argument that does not work; all faults at once.
        """
        seeds, faults = arguments.check_stops(seeds)
        faults += arguments.output_faults(output_type, batch_size, upscale_factor)
        class_numbers, more_faults = arguments.check_labels(label, len(seeds), self.generator.config.c_dim, needed=True)
        faults += more_faults + self.truncation_faults(truncation)
        if attributes is not None and not isinstance(attributes, Mapping):
            faults.append(f"attributes must be one dict for all frames, got {attributes!r}")
            attributes = None
        (amounts,), more_faults = arguments.check_attributes(attributes, 1, self.directions)
        faults += more_faults
        try:
            animation = InterpolationRecipe(
                model=self.model_name,
                revision=self.revision_of(truncation, bool(amounts)),
                truncation=truncation,
                truncation_psi=truncation_psi,
                truncation_cutoff=truncation_cutoff,
                noise_mode=noise_mode,
                label=label,
                upscale_factor=upscale_factor,
                attributes=amounts or None,
                seeds=seeds,
                frames_between=frames_between,
                loop=loop,
            )
        except InputError as error:
            faults.append(str(error))
        raise_all(faults, InputError)

        codes = self._codes(seeds, truncation, truncation_psi, truncation_cutoff, class_numbers)
        keys = self._apply(codes, amounts)
        walk = interpolation_positions(len(seeds), frames_between, loop)
        codes = torch.stack([lerp_codes(keys[start], keys[end], position) for start, end, position in walk])
        shared = {k: v for k, v in animation.to_dict().items() if k not in ("seeds", "frames_between", "loop")}
        recipe = [
            PortraitRecipe(
                **shared,
                seed=seeds[start],
                **({"to_seed": seeds[end], "position": position} if position else {}),
            ).to_dict()
            for start, end, position in walk
        ]
        frame_seeds = [seeds[start] for start, _, _ in walk]
        images = draw_codes(
            self.generator,
            codes,
            frame_seeds,
            noise_mode=noise_mode,
            upscale_factor=upscale_factor,
            batch_size=batch_size,
            output_type=output_type,
            callback=callback,
        )
        return GenerationPipelineOutput(
            images=images,
            w_plus=codes.cpu(),
            seeds=frame_seeds,
            recipe=recipe,
            animation_recipe=animation.to_dict(),
        )

    def revision_of(self, truncation: str = "mean", with_attributes: bool = False) -> str:
        """Return what a recipe says of the weights that draw such a picture; see `ModelSource.revision_of`."""
        parts = ["generator"]
        parts += [TRUNCATION_FOLDER] if is_one_of(truncation, ("centers",)) else []
        parts += [DIRECTIONS_FOLDER] if with_attributes else []
        return self.source.revision_of(*parts)

    def made(self, recipe: PortraitRecipe | InterpolationRecipe) -> bool:
        """Tell whether a recipe was made with this very model, or one whose drawing parts are the same."""
        # Recipes of earlier versions hold the hash of all parts.
        revisions = (self.revision_of(recipe.truncation, bool(recipe.attributes)), self.revision)
        return recipe.model == self.model_name and recipe.revision in revisions

    def generate_from_recipe(
        self, recipe: dict, *, allow_other_model: bool = False, **output_options
    ) -> GenerationPipelineOutput:
        """Draw the picture, or the animation, that a recipe describes.

        Args:
            recipe: an entry of `out.recipe`, or `out.animation_recipe`.
            allow_other_model: draw it even if it was made with another model or revision; it will then look different.
            **output_options: `upscale_factor` (replaces the recipe's), `batch_size`, `output_type`, `callback`.

        Raises:
            InputError: the recipe is no recipe, or was made with another model.
        """
        parsed = parse_recipe(recipe)
        if not self.made(parsed) and not allow_other_model:
            made_with = (parsed.model, parsed.revision)
            here = (self.model_name, self.revision_of(parsed.truncation, bool(parsed.attributes)))
            raise InputError(
                f"this recipe was made with {' at '.join(filter(None, made_with)) or 'an unnamed model'}, "
                f"but this is {' at '.join(filter(None, here)) or 'an unnamed model'}; load that model, "
                "or pass allow_other_model=True to draw a different picture"
            )
        settings = {
            "truncation": parsed.truncation,
            "truncation_psi": parsed.truncation_psi,
            "truncation_cutoff": parsed.truncation_cutoff,
            "noise_mode": parsed.noise_mode,
            "upscale_factor": parsed.upscale_factor,
            **output_options,
        }
        if isinstance(parsed, InterpolationRecipe):
            settings |= {"attributes": parsed.attributes, "label": parsed.label}
            return self.interpolate(parsed.seeds, parsed.frames_between, parsed.loop, **settings)
        seeds = None if parsed.seed is None else [parsed.seed]
        if parsed.w_plus is not None:
            return self(seeds=seeds, w_plus=decode_w_plus(parsed.w_plus)[None], labels=parsed.label, **settings)
        if parsed.to_seed is not None:
            return self._draw_between(parsed, settings)
        return self(
            seeds=seeds,
            style_mixing_seeds=None if parsed.style_mixing_seed is None else [parsed.style_mixing_seed],
            style_mixing_layers=parsed.style_mixing_layers,
            attributes=parsed.attributes,
            labels=parsed.label,
            **settings,
        )

    @torch.no_grad()
    def _draw_between(self, recipe: PortraitRecipe, settings: dict) -> GenerationPipelineOutput:
        """Draw one frame of an interpolation, with its own recipe rather than that of a bare code."""
        class_numbers, faults = arguments.check_labels(recipe.label, 2, self.generator.config.c_dim, needed=True)
        (amounts,), more_faults = arguments.check_attributes(recipe.attributes, 1, self.directions)
        raise_all(faults + more_faults + self.truncation_faults(recipe.truncation), InputError)
        ends = [recipe.seed, recipe.to_seed]
        codes = self._codes(ends, recipe.truncation, recipe.truncation_psi, recipe.truncation_cutoff, class_numbers)
        start, end = self._apply(codes, amounts)
        out = self(seeds=[recipe.seed], w_plus=lerp_codes(start, end, recipe.position)[None], **settings)
        out.recipe = [recipe.to_dict() | {"upscale_factor": settings["upscale_factor"]}]
        return out

    def rejection_faults(self, rejection_sampling, codes: Tensor | None = None) -> list[str]:
        """Say why `rejection_sampling` cannot be had with this model and these `codes`; empty if it can."""
        if not isinstance(rejection_sampling, bool):
            return [f"rejection_sampling must be True or False, got {rejection_sampling!r}"]
        if rejection_sampling and codes is not None:
            return ["rejection_sampling draws from other seeds, so it works without w_plus only; leave one of them out"]
        if rejection_sampling and self.landmarker is None:
            return [
                "rejection_sampling needs a landmarker, and this model's folder has none; leave it out, or train one "
                "with training/landmarker (see docs/landmarks.md)"
            ]
        return []

    def truncation_faults(self, truncation) -> list[str]:
        """Say why codes cannot be truncated in this way with this model; empty if they can."""
        if is_one_of(truncation, ("centers",)) and self.truncation_centers is None:
            return [
                'truncation="centers" needs a model with centres (its folder has no truncation/); take "mean", or make '
                "centres with training/fit_centers.py"
            ]
        return []

    def _load_extras(self, folder: Path) -> None:
        super()._load_extras(folder)
        self._load_centers(folder)

    def _load_centers(self, folder: Path) -> None:
        if (folder / TRUNCATION_FOLDER).is_dir():
            self.truncation_centers = TruncationCenters.from_pretrained(folder / TRUNCATION_FOLDER)

    def _save_extras(self, folder: Path) -> tuple[str, ...]:
        if self.truncation_centers is not None:
            self.truncation_centers.made_for(self.generator).save_pretrained(folder / TRUNCATION_FOLDER)
        return (*super()._save_extras(folder), TRUNCATION_FOLDER)

    def _codes(self, seeds, truncation, truncation_psi, truncation_cutoff, class_numbers) -> Tensor:
        centers = self.truncation_centers if truncation == "centers" else None
        return codes_of_seeds(self.generator, seeds, truncation_psi, truncation_cutoff, class_numbers, centers)

    def _apply(self, codes: Tensor, amounts: Mapping[str, float]) -> Tensor:
        return codes if self.directions is None or not amounts else self.directions.apply(codes, amounts)
