"""What the app's buttons do, without any gradio: draw with the pipeline, and write labelled files."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Callable, Sequence

from PIL import Image

from gan_space.errors import InputError
from gan_space.foreign_files import read_json_file
from gan_space.output.provenance import save_animation, save_image
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.recipe import UPSCALE_FACTORS, InterpolationRecipe, parse_recipe
from gan_space.ui.server.files import FileFolder, Shown

MAX_COUNT = 16
MAX_FRAMES = 47
FRAMES_BETWEEN = 15  # of two stops, if nothing else is asked for
MIN_SHOWN_PX = 256  # smaller pictures are enlarged for the screen
FPS = 16
STRIP_FRAMES = 7
MAX_LINK_CHARS = 4096
SEED_SPAN = 2**32


class ExploreActions:
    """Draws for the app.

    Args:
        pipe: the loaded pipeline.
        gpu: wraps the functions that draw, such as `spaces.GPU`; None leaves them as they are.
    """

    def __init__(self, pipe: GenerationPipeline, gpu: Callable[[Callable], Callable] | None = None):
        self.pipe = pipe
        self.classes = _class_names(pipe)
        enough = [factor for factor in UPSCALE_FACTORS if pipe.resolution * factor >= MIN_SHOWN_PX]
        self.shown_factor = enough[0] if enough else UPSCALE_FACTORS[-1]
        self._files = FileFolder()

        # Only pictures and recipes come back: what is drawn in another process must not hand over GPU tensors.
        def draw(**arguments) -> tuple[list[Image.Image], list[dict]]:
            out = pipe(**arguments)
            return out.images, out.recipe

        def walk(seeds, **arguments) -> tuple[list[Image.Image], list[dict], dict]:
            out = pipe.interpolate(seeds, **arguments)
            return out.images, out.recipe, out.animation_recipe

        def redraw(recipe: dict, upscale_factor: int) -> list[Image.Image]:
            return pipe.generate_from_recipe(recipe, upscale_factor=upscale_factor, allow_other_model=True).images

        self._draw, self._walk, self._redraw = (
            (function if gpu is None else gpu(function)) for function in (draw, walk, redraw)
        )

    @property
    def can_reject(self) -> bool:
        """Whether the model can tell broken faces, which `rejection_sampling` needs."""
        return self.pipe.landmarker is not None

    def portraits(
        self,
        seed: int,
        count: int,
        truncation_psi: float,
        label: int | None = None,
        truncation: str = "mean",
        rejection_sampling: bool = False,
    ) -> list[Shown]:
        """Draw `count` portraits (1 to 16) from `seed` on; seeds start again at 0 after the last one.

        `label`, here and below, is the class of a model that has classes; its first one if None.
        """
        if not isinstance(count, int) or not 1 <= count <= MAX_COUNT:
            raise InputError(f"expected 1 to {MAX_COUNT} portraits, got {count!r}")
        seeds = [_wrap(seed, offset) for offset in range(count)]
        settings = {"truncation": truncation, "truncation_psi": truncation_psi, "label": label}
        settings |= {"rejection_sampling": rejection_sampling, "upscale_factor": self.shown_factor}
        return self.from_seeds(seeds, **settings)

    def from_seeds(
        self, seeds: Sequence[int], *, visible_label: bool = False, label: int | None = None, **arguments
    ) -> list[Shown]:
        """Draw one portrait a seed, at most 16; `arguments` are those of the pipeline."""
        _check_seeds(seeds, 1)
        images, recipes = self._draw(seeds=seeds, labels=self._label(label), **arguments)
        return [
            self._save(image, recipe, str(recipe["seed"]), visible_label)
            for image, recipe in zip(images, recipes, strict=True)
        ]

    def mix(
        self,
        seed: int,
        style_seed: int,
        layers: str,
        truncation_psi: float,
        label: int | None = None,
        truncation: str = "mean",
    ) -> list[Shown]:
        """Draw [mixed, A, B]."""
        shared = {"truncation": truncation, "truncation_psi": truncation_psi}
        shared |= {"upscale_factor": self.shown_factor, "label": label}
        (mixed,) = self.mixed_portrait(seed, style_seed, layers, **shared)
        a, b = self.from_seeds([seed, style_seed], **shared)
        return [mixed, Shown(a.path, a.recipe, f"A · {seed}"), Shown(b.path, b.recipe, f"B · {style_seed}")]

    def mixed_portrait(
        self,
        seed: int,
        style_seed: int,
        layers: str,
        *,
        visible_label: bool = False,
        label: int | None = None,
        **arguments,
    ) -> list[Shown]:
        """Draw the one portrait of `seed` that takes `layers` from `style_seed`."""
        images, recipes = self._draw(
            seeds=[seed],
            style_mixing_seeds=[style_seed],
            style_mixing_layers=layers,
            labels=self._label(label),
            **arguments,
        )
        return [self._save(images[0], recipes[0], "A + B", visible_label)]

    def morph(
        self,
        seed: int,
        to_seed: int,
        frames_between: int,
        loop: bool,
        truncation_psi: float,
        label: int | None = None,
        truncation: str = "mean",
    ) -> list[Shown]:
        """Draw [animation, frame, frame, ...], the frames evenly spaced from one end to the other."""
        _check_frames(frames_between)
        images, recipes, recipe = self._walk(
            [seed, to_seed],
            frames_between=frames_between,
            loop=loop,
            label=self._label(label),
            truncation=truncation,
            truncation_psi=truncation_psi,
            upscale_factor=self.shown_factor,
        )
        animation = self._save_animation(images, recipe, False)
        steps = min(STRIP_FRAMES, frames_between + 2) - 1
        chosen = [round(step * (frames_between + 1) / steps) for step in range(steps + 1)]
        strip = [
            self._save(images[index], recipes[index], f"{index / (frames_between + 1):.0%}", False) for index in chosen
        ]
        return [animation, *strip]

    def animation(
        self,
        seeds: Sequence[int],
        frames_between: int,
        *,
        visible_label: bool = False,
        label: int | None = None,
        **arguments,
    ) -> Shown:
        """Draw the animated walk through 2 to 16 seeds."""
        _check_seeds(seeds, 2)
        _check_frames(frames_between)
        images, _, recipe = self._walk(seeds, frames_between=frames_between, label=self._label(label), **arguments)
        return self._save_animation(images, recipe, visible_label)

    def draw_again(self, recipe: dict, upscale_factor: int | None = None, visible_label: bool = False) -> Shown:
        """Draw what a recipe describes with this model, and write it at another size or with a visible label."""
        parsed = parse_recipe(recipe)
        factor = self.shown_factor if upscale_factor is None else upscale_factor
        images = self._redraw(recipe, upscale_factor=factor)
        made = recipe | {
            "model": self.pipe.model_name,
            "revision": self.pipe.revision_of(parsed.truncation, bool(parsed.attributes)),
            "upscale_factor": factor,
        }
        if isinstance(parsed, InterpolationRecipe):
            _check_frames(parsed.frames_between)
            return self._save_animation(images, made, visible_label)
        return self._save(images[0], made, str(recipe.get("seed", "")), visible_label)

    def is_from_here(self, recipe: dict) -> bool:
        """Tell whether a recipe was made with this very model."""
        return self.pipe.made(parse_recipe(recipe))

    def _label(self, label: int | None) -> int | None:
        return 0 if label is None and self.classes else label

    def _save(self, image: Image.Image, recipe: dict, caption: str, visible_label: bool) -> Shown:
        path = self._files.new_folder() / f"portrait-{recipe.get('seed', 'code')}.png"
        save_image(image, path, recipe=recipe, visible_label=visible_label)
        return Shown(str(path), recipe, caption)

    def _save_animation(self, frames: list[Image.Image], recipe: dict, visible_label: bool) -> Shown:
        path = self._files.new_folder() / f"morph-{'-'.join(map(str, recipe['seeds'][:4]))}.webp"
        save_animation(frames, path, recipe=recipe, fps=FPS, visible_label=visible_label)
        return Shown(str(path), recipe, "▶")


def recipe_to_text(recipe: dict) -> str:
    """Return the recipe as text that may stand in a link: URL-safe base64 of JSON."""
    text = json.dumps(recipe, separators=(",", ":"), sort_keys=True)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def recipe_from_text(text: str) -> dict:
    """Undo `recipe_to_text`. InputError for anything that is not a recipe, or asks for too much work."""
    if len(text) > MAX_LINK_CHARS:
        raise InputError(f"a recipe in a link has at most {MAX_LINK_CHARS} characters, got {len(text)}")
    try:
        recipe = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise InputError("the recipe in the link is cut or garbled") from error
    parsed = parse_recipe(recipe)
    if isinstance(parsed, InterpolationRecipe):
        _check_frames(parsed.frames_between)
        _check_seeds(parsed.seeds, 2)
    return recipe


def random_seed() -> int:
    """Return a seed that is short enough to read aloud."""
    return secrets.randbelow(1_000_000)


def _class_names(pipe: GenerationPipeline) -> list[str]:
    """Names of the classes as the training data called them, or their numbers; [] for a model without classes."""
    numbers = [str(number) for number in range(pipe.generator.config.c_dim)]
    record = pipe.source.folder / "training.json" if pipe.source.folder else None
    if not numbers or record is None or not record.is_file():
        return numbers
    try:
        names = read_json_file(record)["labels"]["classes"]
        return [str(name) for name in names] if len(names) == len(numbers) else numbers
    except (OSError, ValueError, KeyError, TypeError):  # a record made by hand; the numbers still work
        return numbers


def _wrap(seed: object, offset: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < SEED_SPAN:
        raise InputError(f"a seed is a whole number from 0 to {SEED_SPAN - 1}, got {seed!r}")
    return (seed + offset) % SEED_SPAN


def _check_seeds(seeds: object, least: int) -> None:
    if not isinstance(seeds, list) or not least <= len(seeds) <= MAX_COUNT:
        got = len(seeds) if isinstance(seeds, list) else type(seeds).__name__
        raise InputError(f"expected a list of {least} to {MAX_COUNT} seeds, got {got}")


def _check_frames(frames_between: object) -> None:
    if isinstance(frames_between, bool) or not isinstance(frames_between, int) or not 0 <= frames_between <= MAX_FRAMES:
        raise InputError(f"expected 0 to {MAX_FRAMES} frames between, got {frames_between!r}")
