"""GenerationPipeline: from seeds to portraits, with truncation, style mixing and interpolation."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import DiffusionPipeline
from diffusers.utils import BaseOutput
from PIL import Image
from torch import Tensor

from gan_space.errors import InputError, WeightsError, raise_all
from gan_space.formats import hub
from gan_space.images import to_pil
from gan_space.latents.layers import parse_layers
from gan_space.latents.mixing import interpolation_positions, lerp_codes, mix_styles
from gan_space.models.generator import Generator
from gan_space.pipelines.loading import ModelSource, resolve_model
from gan_space.pipelines.recipe import (
    InterpolationRecipe,
    PortraitRecipe,
    decode_w_plus,
    encode_w_plus,
    parse_recipe,
    seed_faults,
    settings_faults,
)
from gan_space.pipelines.release import copy_records, prepare_release
from gan_space.seeding import MAX_SEED, latents_from_seeds, noise_from_seed

MAX_SHARD_SIZE = "9MB"
OUTPUT_TYPES = ("pil", "pt", "np")
Progress = Callable[[int, int], None]


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


class GenerationPipeline(DiffusionPipeline):
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
        super().__init__()
        self.register_modules(generator=generator)
        self.source = ModelSource()

    @property
    def model_name(self) -> str:
        """Hub id or name of the model, for recipes; "" for a pipeline built in memory."""
        return self.source.name

    @property
    def revision(self) -> str:
        """Commit on the Hub, or hash of the weights; "" for a pipeline built in memory."""
        return self.source.revision

    @property
    def credit(self) -> str:
        """Line that credits the training data, to be shown with the pictures; "" if the model names none."""
        return self.source.credit

    @property
    def resolution(self) -> int:
        """Width and height in px of a picture at upscale_factor 1."""
        return self.generator.config.resolution

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str | Path | None = None,
        revision: str | None = None,
        *,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        torch_dtype: torch.dtype | None = None,
    ) -> GenerationPipeline:
        """Load a model; no code that comes with it is executed.

        Args:
            name_or_path: None for the model inside the package (offline), a folder, or a Hub id "user/name".
            revision: branch, tag or commit of a Hub repository.
            token, cache_dir, local_files_only: as in huggingface_hub.
            torch_dtype: format to hold the weights in; float32 if None.

        Raises:
            WeightsError: the model is missing, damaged, or for another program; says which file.
            InputError: a name that is neither folder nor Hub id.
        """
        source = resolve_model(
            name_or_path, revision, token=token, cache_dir=cache_dir, local_files_only=local_files_only
        )
        components = {}
        for name, component_class in cls._component_classes.items():
            if (source.folder / name).is_dir():
                components[name] = component_class.from_pretrained(str(source.folder), subfolder=name).eval()
            elif name in cls._optional_components:
                components[name] = None
            else:
                raise WeightsError(f"{source.folder} has no folder {name!r}, which {cls.__name__} needs")
        pipe = cls(**components)
        pipe.source = source
        return pipe if torch_dtype is None else pipe.to(torch_dtype)

    @classmethod
    def from_pipe(cls, pipeline: DiffusionPipeline, **components) -> GenerationPipeline:
        """Make a pipeline of this class that shares the networks (and the memory) of another one.

        Args:
            pipeline: any of our pipelines.
            **components: networks that replace or complete the shared ones.
        """
        shared = {name: pipeline.components.get(name) for name in cls._component_classes}
        new = cls(**{**shared, **components})
        new.source = getattr(pipeline, "source", ModelSource())
        return new

    def save_pretrained(self, save_directory: str | Path, **kwargs) -> None:
        """Write model_index.json, metadata.json and one folder a network; safetensors in shards of at most 9 MB."""
        super().save_pretrained(str(save_directory), **{"max_shard_size": MAX_SHARD_SIZE, **kwargs})
        text = json.dumps(self.source.metadata(), indent=2, ensure_ascii=False)
        (Path(save_directory) / "metadata.json").write_text(text + "\n", encoding="utf-8")

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
        noise_mode: str = "const",
        w_plus: Tensor | np.ndarray | None = None,
        style_mixing_seeds: Sequence[int] | None = None,
        style_mixing_layers: str | None = None,
        labels: int | Sequence[int] | None = None,
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
            noise_mode: "const" (same grain in every picture), "random" (grain from the seed), "none".
            w_plus: [N, num_ws, w_dim] codes to draw instead of those of the seeds; taken as they are.
            style_mixing_seeds: N seeds, or one for all, whose codes take over `style_mixing_layers`.
            style_mixing_layers: such as "coarse", "middle+fine" or "3-7", see `parse_layers`.
            labels: class number, or one a picture, for a network with labels.
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
        )
        faults += self._output_faults(output_type, batch_size, upscale_factor)
        codes, code_faults = self._check_codes(w_plus)
        seeds, more_faults = _choose_seeds(seeds, num_images, codes, noise_mode)
        faults += code_faults + more_faults
        total = len(seeds)
        style_seeds, more_faults = _check_style_mixing(style_mixing_seeds, style_mixing_layers, total)
        faults += more_faults
        if style_mixing_layers is not None:
            try:
                parse_layers(style_mixing_layers, self.generator.num_ws)
            except InputError as error:
                faults.append(str(error))
        class_numbers, more_faults = self._check_labels(labels, total, needed=codes is None or style_seeds is not None)
        raise_all(faults + more_faults, InputError)

        if codes is None:
            codes = self._codes(seeds, truncation_psi, truncation_cutoff, class_numbers)
            recipes = [{"seed": seed} for seed in seeds]
        else:
            recipes = [{} if seed is None else {"seed": seed} for seed in seeds]
        if style_seeds is not None:
            styles = self._codes(style_seeds, truncation_psi, truncation_cutoff, class_numbers)
            codes = mix_styles(codes, styles, style_mixing_layers)
            for recipe, style_seed in zip(recipes, style_seeds, strict=True):
                recipe |= {"style_mixing_seed": style_seed, "style_mixing_layers": style_mixing_layers}
        if w_plus is not None:
            recipes = [
                {**({} if seed is None else {"seed": seed}), "w_plus": encode_w_plus(code)}
                for seed, code in zip(seeds, codes, strict=True)
            ]
        recipe = [
            PortraitRecipe(
                model=self.model_name,
                revision=self.revision,
                truncation_psi=float(truncation_psi),
                truncation_cutoff=truncation_cutoff,
                noise_mode=noise_mode,
                label=class_number if self.generator.config.c_dim else None,
                upscale_factor=upscale_factor,
                **entries,
            ).to_dict()
            for entries, class_number in zip(recipes, class_numbers, strict=True)
        ]
        images = self._draw(codes, seeds, noise_mode, upscale_factor, batch_size, output_type, callback)
        return GenerationPipelineOutput(images=images, w_plus=codes.cpu(), seeds=seeds, recipe=recipe)

    @torch.no_grad()
    def interpolate(
        self,
        seeds: Sequence[int],
        frames_between: int = 11,
        loop: bool = True,
        truncation_psi: float = 0.7,
        truncation_cutoff: int | None = None,
        noise_mode: str = "const",
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

        Other arguments are those of `__call__`. The output also has `animation_recipe`.

        Raises:
            InputError: an argument that does not work; all faults at once.
        """
        seeds = [int(seed) if isinstance(seed, np.integer) else seed for seed in seeds]
        faults = self._output_faults(output_type, batch_size, upscale_factor)
        class_numbers, more_faults = self._check_labels(label, len(seeds), needed=True)
        faults += more_faults
        try:
            animation = InterpolationRecipe(
                model=self.model_name,
                revision=self.revision,
                truncation_psi=truncation_psi,
                truncation_cutoff=truncation_cutoff,
                noise_mode=noise_mode,
                label=label,
                upscale_factor=upscale_factor,
                seeds=seeds,
                frames_between=frames_between,
                loop=loop,
            )
        except InputError as error:
            faults.append(str(error))
        raise_all(faults, InputError)

        keys = self._codes(seeds, truncation_psi, truncation_cutoff, class_numbers)
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
        images = self._draw(codes, frame_seeds, noise_mode, upscale_factor, batch_size, output_type, callback)
        return GenerationPipelineOutput(
            images=images,
            w_plus=codes.cpu(),
            seeds=frame_seeds,
            recipe=recipe,
            animation_recipe=animation.to_dict(),
        )

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
        made_with, here = (parsed.model, parsed.revision), (self.model_name, self.revision)
        if made_with != here and not allow_other_model:
            raise InputError(
                f"this recipe was made with {' at '.join(filter(None, made_with)) or 'an unnamed model'}, "
                f"but this is {' at '.join(filter(None, here)) or 'an unnamed model'}; load that model, "
                "or pass allow_other_model=True to draw a different picture"
            )
        settings = {
            "truncation_psi": parsed.truncation_psi,
            "truncation_cutoff": parsed.truncation_cutoff,
            "noise_mode": parsed.noise_mode,
            "upscale_factor": parsed.upscale_factor,
            **output_options,
        }
        if isinstance(parsed, InterpolationRecipe):
            return self.interpolate(parsed.seeds, parsed.frames_between, parsed.loop, label=parsed.label, **settings)
        seeds = None if parsed.seed is None else [parsed.seed]
        if parsed.w_plus is not None:
            return self(seeds=seeds, w_plus=decode_w_plus(parsed.w_plus)[None], labels=parsed.label, **settings)
        if parsed.to_seed is not None:
            return self._draw_between(parsed, settings)
        return self(
            seeds=seeds,
            style_mixing_seeds=None if parsed.style_mixing_seed is None else [parsed.style_mixing_seed],
            style_mixing_layers=parsed.style_mixing_layers,
            labels=parsed.label,
            **settings,
        )

    @torch.no_grad()
    def _draw_between(self, recipe: PortraitRecipe, settings: dict) -> GenerationPipelineOutput:
        """Draw one frame of an interpolation, with its own recipe rather than that of a bare code."""
        class_numbers, faults = self._check_labels(recipe.label, 2, needed=True)
        raise_all(faults, InputError)
        ends = [recipe.seed, recipe.to_seed]
        start, end = self._codes(ends, recipe.truncation_psi, recipe.truncation_cutoff, class_numbers)
        out = self(seeds=[recipe.seed], w_plus=lerp_codes(start, end, recipe.position)[None], **settings)
        out.recipe = [recipe.to_dict() | {"upscale_factor": settings["upscale_factor"]}]
        return out

    def _codes(self, seeds, truncation_psi, truncation_cutoff, class_numbers) -> Tensor:
        """[N, num_ws, w_dim] of N seeds."""
        config = self.generator.config
        z = latents_from_seeds(seeds, config.z_dim, self.device)
        c = None
        if config.c_dim:
            c = torch.nn.functional.one_hot(torch.tensor(class_numbers), config.c_dim).float().to(self.device)
        return self.generator.mapping(z, c, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff)

    def _draw(self, codes, seeds, noise_mode, upscale_factor, batch_size, output_type, callback):
        codes = codes.to(self.device)
        # Random noise must come from the picture's own seed, whatever else is in the batch: so one by one.
        step = 1 if noise_mode == "random" else batch_size
        parts = []
        for start in range(0, len(codes), step):
            batch = codes[start : start + step]
            noise = noise_from_seed(seeds[start]) if noise_mode == "random" else None
            images = self.generator.synthesis(batch, noise_mode=noise_mode, generator=noise)
            images = images.float()
            parts.append(images.cpu() if output_type == "pt" else to_pil(images))
            if callback is not None:
                callback(min(start + step, len(codes)), len(codes))
        if output_type == "pt":
            return torch.cat(parts)
        pictures = [picture for part in parts for picture in part]
        if output_type == "np":
            return np.stack([np.asarray(picture) for picture in pictures])
        return [enlarge(picture, upscale_factor) for picture in pictures]

    def _check_codes(self, w_plus) -> tuple[Tensor | None, list[str]]:
        if w_plus is None:
            return None, []
        codes = torch.as_tensor(w_plus).detach().float()
        expected = (self.generator.num_ws, self.generator.config.w_dim)
        if codes.ndim != 3 or tuple(codes.shape[1:]) != expected or len(codes) == 0:
            shape = list(codes.shape)
            return None, [f"w_plus must have shape [N, {expected[0]}, {expected[1]}] with N of 1 or more, got {shape}"]
        return codes.to(self.device), []

    def _check_labels(self, labels, total: int, *, needed: bool) -> tuple[list[int | None], list[str]]:
        c_dim = self.generator.config.c_dim
        if labels is None:
            if c_dim and needed:
                return [None] * total, [f"this network draws {c_dim} classes: give labels from 0 to {c_dim - 1}"]
            return [None] * total, []
        if not c_dim:
            return [None] * total, [f"this network has no classes, leave labels out; got {labels!r}"]
        numbers = [labels] * total if isinstance(labels, int | np.integer) else list(labels)
        if len(numbers) != total:
            return [None] * total, [f"labels must be one number or {total}, got {len(numbers)}"]
        faults = [
            f"labels must be from 0 to {c_dim - 1}, got {number!r}"
            for number in numbers
            if isinstance(number, bool) or not isinstance(number, int | np.integer) or not 0 <= number < c_dim
        ]
        return [None] * total if faults else [int(number) for number in numbers], faults

    @staticmethod
    def _output_faults(output_type, batch_size, upscale_factor) -> list[str]:
        faults = []
        if output_type not in OUTPUT_TYPES:
            faults.append(f"output_type must be one of {', '.join(OUTPUT_TYPES)}, got {output_type!r}")
        elif output_type != "pil" and upscale_factor != 1:
            faults.append(f"upscale_factor works for output_type 'pil' only, got {output_type!r}")
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            faults.append(f"batch_size must be a whole number of 1 or more, got {batch_size!r}")
        return faults


def enlarge(picture: Image.Image, factor: int) -> Image.Image:
    """Enlarge a picture `factor` times with a Lanczos filter; the picture itself for 1."""
    if factor == 1:
        return picture
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.LANCZOS)


def _choose_seeds(seeds, num_images, codes, noise_mode) -> tuple[list[int | None], list[str]]:
    """One seed a picture: those given, those drawn, or None for codes that need no seed."""
    faults = []
    if num_images is not None and (isinstance(num_images, bool) or not isinstance(num_images, int) or num_images < 1):
        faults.append(f"num_images must be a whole number of 1 or more, got {num_images!r}")
        num_images = None
    if seeds is None:
        wanted = len(codes) if codes is not None else num_images or 1
        if codes is not None and num_images not in (None, wanted):
            faults.append(f"num_images is {num_images}, but w_plus holds {wanted} codes; leave num_images out")
        needs_seed = codes is None or noise_mode == "random"
        return [secrets.randbelow(MAX_SEED + 1) if needs_seed else None for _ in range(wanted)], faults
    if isinstance(seeds, int | str) or not hasattr(seeds, "__len__"):
        return [], [*faults, f"seeds must be a list of numbers, got {seeds!r}"]
    if len(seeds) == 0:
        faults.append("seeds is empty: give one seed a picture, or None for random ones")
    if codes is not None and len(seeds) != len(codes):
        faults.append(f"w_plus holds {len(codes)} codes, but there are {len(seeds)} seeds")
    if num_images is not None and num_images != len(seeds):
        faults.append(f"num_images is {num_images}, but there are {len(seeds)} seeds; leave num_images out")
    wrong = seed_faults("seeds", seeds)
    return ([0] * len(seeds) if wrong else [int(seed) for seed in seeds]), faults + wrong


def _check_style_mixing(style_seeds, layers, total: int) -> tuple[list[int] | None, list[str]]:
    if style_seeds is None and layers is None:
        return None, []
    if style_seeds is None or layers is None:
        given, missing = ("style_mixing_layers", "style_mixing_seeds")[:: 1 if style_seeds is None else -1]
        return None, [f"{given} is given without {missing}; give both"]
    if isinstance(style_seeds, int | np.integer):
        style_seeds = [style_seeds]
    faults = seed_faults("style_mixing_seeds", style_seeds)
    if not isinstance(layers, str):
        faults.append(f"style_mixing_layers must be text such as 'coarse' or '3-7', got {layers!r}")
    if len(style_seeds) not in (1, total):
        faults.append(f"style_mixing_seeds must be 1 or {total}, got {len(style_seeds)}")
    if faults:
        return None, faults
    return [int(seed) for seed in style_seeds] * (total if len(style_seeds) == 1 else 1), []
