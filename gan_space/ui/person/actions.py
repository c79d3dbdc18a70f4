"""What the buttons of "Personalised" do, without any gradio: a face, its attributes, and labelled files."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from gan_space.errors import InputError, PackError
from gan_space.faces.shape import SLIDERS
from gan_space.images import to_pil
from gan_space.latents.directions import Direction, Directions
from gan_space.latents.layers import LAYER_GROUPS, group_layers
from gan_space.output.provenance import save_image
from gan_space.packs.attaching import attached
from gan_space.packs.consent import Consent
from gan_space.packs.identity import IdentityPack
from gan_space.packs.identity_tuning import IdentitySettings
from gan_space.pipelines.drawing import enlarge
from gan_space.pipelines.generation import GenerationPipeline
from gan_space.pipelines.likeness import Likeness
from gan_space.pipelines.personalization import PersonalizationPipeline
from gan_space.pipelines.saving import save_portrait
from gan_space.pipelines.style_transfer import StyleTransferPipeline
from gan_space.portraits.portrait import Portrait
from gan_space.ui.create.actions import CreateActions
from gan_space.ui.explore.actions import MAX_COUNT, ExploreActions
from gan_space.ui.last_used import LastUsed
from gan_space.ui.opened_photos import OpenedPhoto
from gan_space.ui.person.likeness import KnownPerson, comparisons_for
from gan_space.ui.person.own_directions import digest
from gan_space.ui.person.own_portraits import OwnPortraits, PortraitSet
from gan_space.ui.person.own_profiles import (
    AGREED,
    Deleted,
    FitStep,
    ProfileEntry,
    delete_profile,
    delete_traces,
    fit_profile,
    keep_profile,
    unzip_profile,
)
from gan_space.ui.person.pipes import PipeShelf, limit_layers
from gan_space.ui.person.request import SOURCES, PersonRequest
from gan_space.ui.server.files import FileFolder, Shown, suffix_of
from gan_space.ui.server.folder import mark_used
from gan_space.ui.server.jobs import Stops, StopSign

KEPT_PROFILES = 4  # in memory; the others are read from their folders again


@dataclass(frozen=True)
class ProfileStep:
    """How far the making of a profile is.

    Args:
        stage, done, total, refused: see `FitStep`.
        preview: labelled picture, or None for no new one.
        entry: the finished profile.
    """

    stage: str
    done: int
    total: int
    refused: tuple[tuple[str, str], ...] = ()
    preview: str | None = None
    entry: ProfileEntry | None = None


class Steering(NamedTuple):
    """What attributes can be named, and what they may change; see `PipeShelf.get`."""

    layers: tuple[str, ...]
    own: tuple[Direction, ...]

    def record(self) -> dict:
        """Return what a recipe has to say about it."""
        record = {"attribute_layers": "+".join(self.layers)} if self.layers else {}
        own = {one.name: {"label": one.text("en"), "sha256": digest(one)} for one in self.own}
        return record | ({"own_directions": own} if own else {})


class Drawn(NamedTuple):
    """What the functions on the device hand back."""

    images: list[Image.Image]
    recipes: list[dict]
    likeness: Likeness | None  # of the first one


def person_pipeline(pipe: GenerationPipeline, style: StyleTransferPipeline | None) -> PersonalizationPipeline | None:
    """Make the pipeline for photos and profiles of these two; None where the model lacks networks.

    What is known of an opened photo is known for the very networks, so both tabs have to use the same.
    """
    if style is None or pipe.generator.config.c_dim:
        return None
    shared = {name: style.components.get(name) for name in PersonalizationPipeline._component_classes}
    return PersonalizationPipeline.from_pipe(pipe, **{name: part for name, part in shared.items() if part is not None})


class PersonActions:
    """Draws faces with other attributes for the app.

    Args:
        explore: of "Explore"; its pipeline draws random faces.
        style: of "Create a look", which opens photos and knows the looks; None where the model takes no photos.
        gpu: wraps the functions that use the networks, such as `spaces.GPU`; None leaves them as they are.
        identity_settings: how profiles are fitted.
    """

    def __init__(
        self,
        explore: ExploreActions,
        style: CreateActions | None = None,
        gpu: Callable[[Callable], Callable] | None = None,
        identity_settings: IdentitySettings | None = None,
    ):
        self.pipe, self.style, self.shown_factor = explore.pipe, style, explore.shown_factor
        self.is_from_here = explore.is_from_here
        self.person = None if style is None else person_pipeline(self.pipe, style.pipe)
        self.comparisons = comparisons_for(self.pipe, self.person)
        self.settings = identity_settings or IdentitySettings(preview_every=20)
        self.directions: Directions | None = self.pipe.directions
        self.shapes = self._shape_sliders()
        has = {"random": True, "photo": self.person, "profile": self.person}
        self.sources = [source for source in SOURCES if has[source]]
        self.examples = [] if style is None else style.examples
        self.looks = list(style.looks) if style is not None and self.person is not None else []
        self.groups = [name for name in LAYER_GROUPS if group_layers(name, self.pipe.generator.num_ws)]
        self._files = FileFolder()
        self._stops = Stops("profile")
        self._profiles: LastUsed[str, KnownPerson] = LastUsed(KEPT_PROFILES, KnownPerson.forget)
        self.shelf = PipeShelf(self.pipe, self.person)
        able = self.person is not None and self.person.landmarker is not None and self.person.identity is not None
        self.own_portraits = OwnPortraits(self.person, self._files, gpu) if able else None

        # Only pictures and recipes come back: another process must not hand over GPU tensors.
        def draw(steering: Steering, looks: dict[str, float], judged: bool, arguments: dict) -> Drawn:
            drawer, likeness = self.shelf.get("random", *steering), None
            as_drawn = {"output_type": "pt", "upscale_factor": 1} if looks else {}
            with attached(drawer.generator, []):  # no pack of another thread may get into the drawing
                out = drawer(**arguments | as_drawn)
                if looks:
                    factor = arguments["upscale_factor"]
                    styled = to_pil(self._with_looks(self.person, looks).restyle(out.images, looks))
                    packs = [{"name": name, "weight": weight} for name, weight in looks.items()]
                    recipes = [recipe | {"upscale_factor": factor, "packs": packs} for recipe in out.recipe]
                    out = replace(out, images=[enlarge(picture, factor) for picture in styled], recipe=recipes)
                if judged:
                    likeness = self.comparisons.with_plain(drawer, arguments, out.images[0])
            return Drawn(out.images, out.recipe, likeness)

        def portray(steering: Steering, folder: str, judged: bool, arguments: dict) -> Drawn:
            drawer, likeness = self._with_looks(self.shelf.get("profile", *steering), arguments["style"]), None
            with self._profiles.using(folder, lambda: KnownPerson(IdentityPack.from_pretrained(folder))) as person:
                out = drawer(person.pack, **arguments)
                if judged:
                    likeness = self.comparisons.with_person(person, drawer, out.images[0])
            return Drawn(out.images, out.recipe, likeness)

        def edit(steering: Steering, portrait: Portrait, judged: bool, amounts: dict[str, float]) -> Drawn:
            out = self.shelf.get("photo", *steering).edit(portrait, amounts)
            likeness = self.comparisons.with_photo(out) if judged else None
            return Drawn([out.image], [out.recipe], likeness)

        def fit(paths: Sequence[str], consent: Consent, stop: StopSign) -> Iterator[FitStep]:
            yield from fit_profile(self.person, paths, consent, stop, self.settings)

        self._draw, self._portray, self._edit, self._fit = (
            (function if gpu is None else gpu(function)) for function in (draw, portray, edit, fit)
        )

    @property
    def is_useful(self) -> bool:
        """Whether there is anything to personalise: attributes, or profiles."""
        return self.directions is not None or self.person is not None

    @property
    def can_keep(self) -> bool:
        """Whether it was measured what every attribute does to every other one."""
        directions = list(self.directions or ())
        names = {one.name for one in directions}
        return len(names) > 1 and all(names <= set(one.effects) for one in directions)

    # Drawing

    def preview(self, request: PersonRequest) -> Shown:
        """Draw for the screen, as a labelled file.

        Raises:
            FaceError: the photo has no face that can be used.
            InputError: an attribute out of range, or nothing to start from.
            PackError: the profile cannot be used, or is no longer there.
        """
        if request.source == "photo":
            return self._edited(request, full_size=False, image_format="jpeg", visible_label=False)
        return self.variations(request, [request.seed], judged=True)[0]

    def file(self, request: PersonRequest, image_format: str, visible_label: bool) -> Shown:
        """Draw for saving, as a labelled file of one of FORMATS; a photo at its own size. Raises as `preview`."""
        if request.source == "photo":
            return self._edited(request, full_size=True, image_format=image_format, visible_label=visible_label)
        return self.variations(request, [request.seed], image_format=image_format, visible_label=visible_label)[0]

    def variations(
        self,
        request: PersonRequest,
        seeds: Sequence[int],
        *,
        image_format: str = "png",
        visible_label: bool = False,
        judged: bool = False,
    ) -> list[Shown]:
        """Draw the same attributes on 1 to 16 seeds; a photo has no seeds. Raises as `preview`.

        `judged` compares the first picture with what it was drawn from.
        """
        if request.source not in ("random", "profile"):
            raise InputError(f"{request.source!r} has no variations; start from a random face or a profile")
        if not 1 <= len(seeds) <= MAX_COUNT:
            raise InputError(f"expected 1 to {MAX_COUNT} seeds, got {len(seeds)}")
        self._forget_the_swept()
        amounts, steering = self._asked(request)
        looks = {request.look: request.look_weight} if request.look else {}
        arguments = {
            "seeds": list(seeds),
            "attributes": amounts or None,
            "truncation_psi": request.truncation_psi,
            "upscale_factor": self.shown_factor,
        }
        if request.source == "random":
            labels = {"labels": 0} if self.pipe.generator.config.c_dim else {}
            drawn = self._draw(steering, looks, judged, arguments | labels)
        else:
            arguments["identity_strength"] = request.identity_strength
            arguments["style"] = looks
            drawn = self._portray(steering, self._folder_of(request.profile), judged, arguments)
            self._folder_of(request.profile)  # raises where it was deleted meanwhile: no file of it comes after that
        shown = []
        for seed, picture, recipe in zip(seeds, drawn.images, drawn.recipes, strict=True):
            recipe |= steering.record()
            name = f"face-{seed}" if request.source == "random" else f"portrait-{request.profile.token}-{seed}"
            path = self._files.new_folder() / (name + suffix_of(image_format))
            save_image(picture, path, recipe=recipe, visible_label=visible_label)
            shown.append(Shown(str(path), recipe, str(seed), None if shown else drawn.likeness))
        return shown

    def open(self, path: str, *, own: bool = True) -> OpenedPhoto:
        """Read a photo and find its faces; there may be none."""
        return self.style.open(path, own=own)

    # Profiles

    def make_profile(
        self, paths: Sequence[str], whose_face: str, job: str, asked_ns: int | None = None
    ) -> Iterator[ProfileStep]:
        """Fit a profile to 1 to 20 photos of one person; where none is of use, the last step brings no profile.

        Args:
            paths: picture files.
            whose_face: in the visitor's own words; part of the record of consent.
            job: name under which `stop_making` stops it: letters and digits.
            asked_ns: when it was asked for, if not now; a stop since then keeps it from starting.

        Raises:
            InputError: no or too many photos, or no name.
            Cancelled: it was stopped; nothing is left.
        """
        return self._make_profile(paths, whose_face, self._stops.sign(job, asked_ns))

    def _make_profile(self, paths: Sequence[str], whose_face: str, stop: StopSign) -> Iterator[ProfileStep]:
        stop.check()
        consent = Consent(" ".join((whose_face or "").split()), AGREED)
        base = self._files.new_folder()
        finished = False
        try:
            for step in self._fit(list(paths), consent, stop):
                entry = preview = None
                if step.pack is not None:
                    entry = self._own(keep_profile(step.pack, base, paths), step.pack)
                    finished = True
                elif step.preview is not None:
                    name = f"fitting-{base.name[:8]}-{step.done}.png"
                    recipe = {"model": self.pipe.model_name, "profile": "in the making", "step": step.done}
                    preview = str(save_image(step.preview, self._files.new_folder() / name, recipe=recipe))
                yield ProfileStep(step.stage, step.done, step.total, step.refused, preview, entry)
        finally:
            if not finished:
                delete_traces(base.name[:8], [self._files.path])

    def stop_making(self, job: str) -> None:
        """Stop the profile of that name, if one is being made or waits for its turn."""
        self._stops.stop(job)

    def make_portraits(
        self, photos: Sequence[str], whose_face: str, job: str, asked_ns: int | None = None, **options
    ) -> Iterator[PortraitSet]:
        """Make portraits from a visitor's photos, see `OwnPortraits.make`; `stop_making` stops it by the job's name."""
        return self.own_portraits.make(photos, whose_face, stop=self._stops.sign(job, asked_ns), **options)

    def delete_portraits(self, made: PortraitSet, caches: Sequence[Path] = (), *, photos: bool = True) -> None:
        """Delete a set, here and in `caches`, and the photos that were sent for it."""
        self.own_portraits.delete(made, caches, photos=photos)

    def add_profile(self, archive: str) -> ProfileEntry:
        """Take the zip of a profile; PackError if it is none, or for another model."""
        base = self._files.new_folder()
        pack = self.person.load_identity_pack(unzip_profile(archive, base))
        return self._own(keep_profile(pack, base, [archive]), pack)

    def delete_profile(self, entry: ProfileEntry, caches: Sequence[Path] = ()) -> Deleted:
        """Delete a profile, what was drawn with it, and what was sent for it, here and in `caches`."""
        self._profiles.pop(entry.folder)  # which overwrites it
        return delete_profile(entry, [self._files.path, *caches])

    def drop_profile(self, entry: ProfileEntry) -> None:
        """Delete a profile, but not what was drawn with it, which somebody is about to fetch."""
        self._profiles.pop(entry.folder)  # which overwrites it
        shutil.rmtree(Path(entry.folder).parent, ignore_errors=True)
        for path in map(Path, entry.uploads):
            path.unlink(missing_ok=True)

    # Inside

    def _with_looks(self, drawer: PersonalizationPipeline, looks: Mapping[str, float]) -> PersonalizationPipeline:
        """The same pipeline, which has these looks of the tab "Create a look" now."""
        for key in looks:
            if key not in drawer.packs:
                drawer.load_style_pack(self.style.pipe.get_pack(key), key)
        return drawer

    def _asked(self, request: PersonRequest) -> tuple[dict[str, float], Steering]:
        """Amounts with those that keep others still; the groups of layers if not all, and own directions in use."""
        amounts = {name: amount for name, amount in request.amounts if amount}
        shapes = {name: amounts.pop(name) for name in self.shapes if name in amounts}
        if request.source == "photo":
            amounts = {name: amount for name, amount in amounts.items() if name not in self.hidden_on_photos}
        else:  # a mesh moves photos alone
            shapes = {}
        own = tuple(one for one in request.own if one.name in amounts)
        held = [*self.hidden_on_photos, *self.moved_on_photos] if request.source == "photo" else []
        keep = [name for name in request.keep if name not in amounts and name not in held]
        directions = self.shelf.directions(own)
        if amounts and directions is None:
            raise InputError("this model has no directions, so attributes cannot be changed")
        if amounts and keep:
            # What a visitor's direction does to the others may not have been measured; then it is left alone.
            known = {name: amount for name, amount in amounts.items() if set(keep) <= set(directions[name].effects)}
            amounts |= directions.compensated(known, keep)
        layers = tuple(name for name in self.groups if name in request.layers)
        if not amounts or not layers or layers == tuple(self.groups):
            return amounts | shapes, Steering((), own)
        limited = limit_layers(directions, "+".join(layers), self.pipe.generator.num_ws)
        kept = {name: amount for name, amount in amounts.items() if name in (limited or ())}
        return kept | shapes, Steering(layers, own)

    @property
    def hidden_on_photos(self) -> list[str]:
        """Attributes of drawn faces that photos have no slider for."""
        offered = {} if self.person is None else self.person.photo_sliders
        return [name for name in (self.directions.names if self.directions else ()) if name not in offered]

    @property
    def moved_on_photos(self) -> list[str]:
        """Attributes whose slider changes the photo's own pixels in photos, and is drawn by networks elsewhere."""
        offered = {} if self.person is None else self.person.photo_sliders
        drawn = self.directions.names if self.directions else ()
        return [name for name in drawn if name in offered and not self.directions[name].on_photos]

    def _shape_sliders(self) -> list[str]:
        """Names of what only the mesh of a photo's face can change; a smile has a slider already."""
        if self.person is None or self.person.landmarker is None or self.person.shapes is None:
            return []
        return [name for name in SLIDERS if self.directions is None or name not in self.directions]

    def _edited(self, request: PersonRequest, *, full_size: bool, image_format: str, visible_label: bool) -> Shown:
        photo = request.photo
        if photo is None:
            raise InputError("choose a photo first")
        amounts, steering = self._asked(request)
        portrait = self.style.photos.portrait(photo, request.face, full_size=full_size)
        drawn = self._edit(steering, portrait, not full_size, amounts)
        (picture,), (recipe,) = drawn.images, drawn.recipes
        recipe |= steering.record() | photo.record()
        name = re.sub(r"[^\w-]+", "-", f"{Path(photo.path).stem[:40]}-changed").strip("-")
        target = self._files.new_folder() / (name + suffix_of(image_format))
        save_portrait(picture, target, portrait=portrait, recipe=recipe, visible_label=visible_label, photo=photo.path)
        return Shown(str(target), recipe, Path(photo.path).name, drawn.likeness)

    def _folder_of(self, entry: ProfileEntry | None) -> str:
        if entry is None:
            raise InputError("make or bring a profile first")
        if not Path(entry.folder).is_dir():
            raise PackError("this profile is no longer on the server: bring its zip again, or make it anew")
        mark_used(Path(entry.folder).parent)
        return entry.folder

    def _forget_the_swept(self) -> None:
        """Overwrite profiles whose visits are over."""
        self._profiles.drop(lambda folder: not Path(folder).is_dir())

    def _own(self, entry: ProfileEntry, pack: IdentityPack) -> ProfileEntry:
        self._profiles.put(entry.folder, KnownPerson(pack))
        return entry
