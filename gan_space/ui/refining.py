"""Refining the faces of an opened photo, with progress and a way to stop, and the picture of what was lost."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Queue
from typing import TYPE_CHECKING

from torch import Tensor

from gan_space.errors import InputError
from gan_space.faces.detect import FaceBox
from gan_space.output.provenance import save_image
from gan_space.photos.opening import open_photo
from gan_space.pipelines.refinement import Refinement
from gan_space.pipelines.style_transfer import StyleTransferPipeline

if TYPE_CHECKING:
    from gan_space.ui.style_studio import OpenedPhoto, StyleStudio


@dataclass(frozen=True)
class RefinedFaces:
    """What was refined, and of which faces of which photo: numbers, the largest first."""

    path: str
    numbers: tuple[int, ...]
    refinement: Refinement

    def fits(self, path: str, numbers: list[int]) -> bool:
        """Whether it is of these faces of this photo."""
        return self.path == path and self.numbers == tuple(numbers)


@dataclass(frozen=True)
class RefineStep:
    """How far the refinement is; the last step brings what was reached."""

    done: int
    total: int
    refined: RefinedFaces | None = None


def refine_in_steps(
    pipe: StyleTransferPipeline, photo: Tensor, boxes: list[FaceBox], num_steps: int, stop_file: Path
) -> Iterator[tuple[int, Refinement | None]]:
    """Refine in a thread of its own and tell how far it is: (steps done, None), at last (steps done, what came of it).

    Args:
        photo: [3, H, W] uint8.
        boxes: the exact frames of the faces.
        stop_file: once it exists, whichever process made it, the steps end, and what was reached is given.
    """
    told: Queue[int | Refinement | Exception] = Queue()
    left = threading.Event()

    def tell(step: int, total: int, loss: float) -> bool:
        told.put(step)
        return not (left.is_set() or stop_file.exists())

    def work() -> None:
        try:
            told.put(pipe.refine(photo, num_steps, boxes=boxes, callback=tell))
        except Exception as error:  # handed to the thread that waits for it
            told.put(error)

    threading.Thread(target=work, daemon=True, name="refine").start()
    try:
        while isinstance(news := told.get(), int):
            yield news, None
    finally:
        left.set()  # nobody listens any more
    if isinstance(news, Exception):
        raise news
    yield news.num_steps, news


class Refiner:
    """What the buttons about refinement do.

    Args:
        studio: opens photos and writes files.
        gpu: as for `StyleStudio`.
    """

    def __init__(self, studio: StyleStudio, gpu: Callable[[Callable], Callable] | None):
        self.studio = studio
        pipe = studio.pipe

        def steps(photo: Tensor, boxes: list[FaceBox], num_steps: int, stop_file: Path):
            yield from refine_in_steps(pipe, photo, boxes, num_steps, stop_file)

        self._steps = steps if gpu is None else gpu(steps)

    def run(self, opened: OpenedPhoto, which: str | int, num_steps: int, job: str) -> Iterator[RefineStep]:
        """Refine the faces that are meant; the last step carries what was reached, also where it was stopped.

        Args:
            which: "largest", "all", or the number of a face.
            job: name under which `stop` stops it: letters and digits.

        Raises:
            FaceError: no face of the photo can be used.
            InputError: the photo is gone, or `num_steps` is out of range.
        """
        stop_file = self.studio.stop_file(f"refine{job}")
        stop_file.unlink(missing_ok=True)
        numbers, photo, boxes = self._faces(opened, which)
        yield RefineStep(0, num_steps)
        for done, refinement in self._steps(photo, boxes, num_steps, stop_file):
            refined = None
            if refinement is not None:
                refined = RefinedFaces(opened.path, tuple(numbers), refinement)
            yield RefineStep(done, num_steps, refined)

    def stop(self, job: str) -> None:
        """End the steps of that name; what they reached is used."""
        self.studio.stop_file(f"refine{job}").touch()

    def lost(self, opened: OpenedPhoto, which: str | int) -> tuple[str, Refinement]:
        """File with face, redrawn face and what was lost, and the numbers behind it; raises as `run`."""
        numbers, photo, boxes = self._faces(opened, which)
        if opened.refined is not None and opened.refined.fits(opened.path, numbers):
            refinement = opened.refined.refinement
        else:  # zero steps only measure
            *_, (_, refinement) = self._steps(photo, boxes, 0, self.studio.stop_file("measure"))
        recipe = {"kind": "what was lost", "model": self.studio.pipe.model_name}
        recipe |= {"revision": self.studio.pipe.revision, "refine_steps": refinement.num_steps}
        path = self.studio.new_folder() / "what-was-lost.png"
        save_image(refinement.picture(), path, recipe=recipe, source="edited")
        return str(path), refinement

    def _faces(self, opened: OpenedPhoto, which: str | int) -> tuple[list[int], Tensor, list[FaceBox]]:
        numbers = self.studio.numbers(opened, which)
        if not Path(opened.before).is_file():  # swept away after an hour
            raise InputError("the photo is no longer on the server: choose it again")
        photo = open_photo(opened.before)
        return numbers, photo, self.studio.boxes(opened, numbers, photo)


def use_refined(opened: OpenedPhoto | None, refined: RefinedFaces | None) -> OpenedPhoto | None:
    """The photo with what was refined, if it is still the same one."""
    if opened is None or refined is None or refined.path != opened.path:
        return opened
    return replace(opened, refined=refined)
