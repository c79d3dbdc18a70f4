"""Refining the faces of an opened photo, with progress and a way to stop, and the picture of what was lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from gan_space.output.provenance import save_image
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from gan_space.portraits.portrait import Portrait
from gan_space.portraits.refinement import Refinement
from gan_space.ui.opened_photos import OpenedPhoto, OpenedPhotos, RefinedFaces
from gan_space.ui.server.files import FileFolder
from gan_space.ui.server.jobs import Job, Stops, StopSign


@dataclass(frozen=True)
class RefineStep:
    """How far the refinement is; the last step brings what was reached."""

    done: int
    total: int
    refined: RefinedFaces | None = None


def refine_in_steps(
    pipe: StyleTransferPipeline, portrait: Portrait, num_steps: int, stop: StopSign | None
) -> Iterator[tuple[int, Refinement | None]]:
    """Refine and tell how far it is: (steps done, None), at last (steps done, what was reached).

    Args:
        portrait: the photo, with the faces that are meant.
        stop: once it is given, whichever process does it, the steps end, and what was reached is given; None: never.
    """

    def work(job: Job) -> None:
        job.tell(pipe.refine(portrait, num_steps, callback=lambda step, total, loss: job.tell(step)))

    for step in Job(stop).steps(work, "refine"):
        yield (step, None) if isinstance(step, int) else (step.num_steps, step)


class Refiner:
    """What the buttons about refinement do.

    Args:
        photos: opened, by the pipeline that refines.
        files: where pictures go.
        gpu: wraps the function that uses the networks; None leaves it as it is.
    """

    def __init__(self, photos: OpenedPhotos, files: FileFolder, gpu: Callable[[Callable], Callable] | None):
        self.photos, self._files = photos, files
        self._stops = Stops("refine")
        pipe = photos.pipe

        def steps(portrait: Portrait, num_steps: int, stop: StopSign | None):
            yield from refine_in_steps(pipe, portrait, num_steps, stop)

        self._steps = steps if gpu is None else gpu(steps)

    def run(
        self, opened: OpenedPhoto, which: str | int, num_steps: int, job: str, asked_ns: int | None = None
    ) -> Iterator[RefineStep]:
        """Refine the faces that are meant; the last step carries what was reached, also where it was stopped.

        Args:
            which: "largest", "all", or the number of a face.
            job: name under which `stop` stops it: letters and digits.
            asked_ns: when it was asked for, if not now; a stop since then keeps it from starting.

        Raises:
            FaceError: no face of the photo can be used.
            InputError: the photo is gone, or `num_steps` is out of range.
            Cancelled: it was stopped before it began.
        """
        return self._run(opened, which, num_steps, self._stops.sign(job, asked_ns))

    def _run(self, opened: OpenedPhoto, which: str | int, num_steps: int, stop: StopSign) -> Iterator[RefineStep]:
        stop.check()
        portrait = self.photos.portrait(opened, which)
        yield RefineStep(0, num_steps)
        for done, refinement in self._steps(portrait, num_steps, stop):
            refined = None
            if refinement is not None:
                refined = RefinedFaces(opened.path, portrait.chosen, refinement)
            yield RefineStep(done, num_steps, refined)

    def stop(self, job: str) -> None:
        """End the steps of that name; what they reached is used."""
        self._stops.stop(job)

    def lost(self, opened: OpenedPhoto, which: str | int) -> tuple[str, Refinement]:
        """Return the file with face, redrawn face and what was lost, and the numbers behind it; raises as `run`."""
        portrait = self.photos.portrait(opened, which)
        if opened.refined is not None and opened.refined.fits(opened.path, portrait.chosen):
            refinement = opened.refined.refinement
        else:  # zero steps only measure
            *_, (_, refinement) = self._steps(portrait, 0, None)
        recipe = {"kind": "what was lost", "model": self.photos.pipe.model_name}
        recipe |= {"revision": self.photos.pipe.revision, "refine_steps": refinement.num_steps}
        path = self._files.new_folder() / "what-was-lost.png"
        save_image(refinement.picture(), path, recipe=recipe, source="edited")
        return str(path), refinement


def use_refined(opened: OpenedPhoto | None, refined: RefinedFaces | None) -> OpenedPhoto | None:
    """Return the photo with what was refined, if it is still the same one."""
    if opened is None or refined is None or refined.path != opened.path:
        return opened
    return replace(opened, refined=refined)
