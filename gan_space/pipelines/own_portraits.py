"""Portraits of a person from the person's own photos, at their full size: no network draws the face."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from diffusers.utils import BaseOutput
from PIL import Image

from gan_space.errors import InputError, raise_all
from gan_space.faces.shape import SLIDERS, ShapeModel
from gan_space.faces.shape import value_faults as slider_faults
from gan_space.looks.recipe import LookRecipe, no_such_look, shipped_looks
from gan_space.models.aligner import Aligner
from gan_space.models.analyzer import Analyzer
from gan_space.models.face_identity import FaceIdentity
from gan_space.models.landmarker import Landmarker
from gan_space.models.segmenter import Segmenter
from gan_space.packs.consent import Consent
from gan_space.photos.opening import PhotoLike, to_picture
from gan_space.pipelines.photo_filter import CheckedPhotos, PhotoLimits, check_photos, photos_of_person
from gan_space.pipelines.profiles import check_consent
from gan_space.pipelines.saving import save_portrait
from gan_space.portraits.aging import AGE_SLIDER, AgeModel
from gan_space.portraits.portrait import Portrait, open_portrait
from gan_space.sets.drawing import Drawn, alike, draw_variation
from gan_space.sets.framing import FRAME_NAMES
from gan_space.sets.plan import Planner, Variation
from gan_space.sets.settings import PortraitSetSettings
from gan_space.sets.traits import PhotoTraits, read_traits
from gan_space.settings import brief, is_one_of, value_faults
from gan_space.whole_files import make_folder

Progress = Callable[[int, int], None]
MAX_BASES = 6  # the best photos; more would cost memory and bring little
GOOD_ENOUGH = 0.4  # of the best photo's quality
MAX_TRIES = 8  # a portrait
WRITTEN_AS = ("jpg", "png", "webp")


@dataclass(eq=False)
class Base:
    """A photo that portraits are made from.

    Args:
        portrait: the photo with the person's face chosen.
        face: what it allows.
        photo: where it came from, as it was given.
        name: of the file, or "photo 3".
    """

    portrait: Portrait
    face: PhotoTraits
    photo: PhotoLike
    name: str


@dataclass(frozen=True, eq=False)
class OwnPortrait:
    """One portrait of a set.

    Args:
        image: at the photo's own size, or the size of its frame.
        recipe: JSON-able; of the photo it holds a number alone.
        portrait: the picture with its face where it stands now.
        base: the photo that it was made from.
    """

    image: Image.Image
    recipe: dict
    portrait: Portrait
    base: Base

    @property
    def likeness(self) -> float:
        """Cosine of its face to that of the photo, before any drawing."""
        return self.recipe["likeness"]

    def save(self, path: str | Path, *, visible_label: bool = True) -> Path:
        """Write it as a labelled file, see `pipelines.saving.save_portrait`; labels of its photo are passed on."""
        photo = self.base.photo if isinstance(self.base.photo, str | Path) else None
        options = {"recipe": self.recipe, "visible_label": visible_label, "photo": photo}
        return save_portrait(self.image, path, portrait=self.portrait, **options)


@dataclass
class PortraitSetOutput(BaseOutput):
    """A set of portraits from a person's own photos.

    Args:
        images: N pictures at the photo's own size, or the size of their frames.
        recipes: one JSON-able dict a picture.
        portraits: the same with what they were made from.
        checked: all photos that were given, with the reason for each that was refused.
        fault: why there are fewer than were asked for; "" where there are not.
    """

    images: list[Image.Image]
    recipes: list[dict]
    portraits: list[OwnPortrait] = field(repr=False)
    checked: CheckedPhotos = field(repr=False)
    fault: str = ""

    def save(self, folder: str | Path, *, image_format: str = "jpg", visible_label: bool = True) -> list[Path]:
        """Write the pictures as labelled files portrait01.jpg, … into a folder, which is made if missing.

        Args:
            folder: existing files of these names are replaced.
            image_format: jpg, png or webp.
            visible_label: also draw a small "AI生成" into a corner where no face is.
        """
        if not is_one_of(image_format, WRITTEN_AS):
            raise InputError(f"image_format must be one of {', '.join(WRITTEN_AS)}, got {brief(image_format)}")
        folder = make_folder(folder)
        return [
            one.save(folder / f"portrait{number:02d}.{image_format}", visible_label=visible_label)
            for number, one in enumerate(self.portraits, 1)
        ]


@dataclass(frozen=True, eq=False)
class PortraitSetMaker:
    """Makes sets of portraits with these networks; what may be missing is None.

    Args:
        identity, landmarker: no set is made without them, but photos are checked.
        segmenter: finds hair and persons, for dyes, backgrounds and age.
        analyzer: reads what a photo shows.
        shapes, ages: for other expressions and ages.
        resolution: of a face's frame in px.
        model_name, revision: for the recipes.
    """

    aligner: Aligner
    identity: FaceIdentity | None
    landmarker: Landmarker | None
    segmenter: Segmenter | None
    analyzer: Analyzer | None
    shapes: ShapeModel | None
    ages: AgeModel | None
    resolution: int
    model_name: str
    revision: str

    def portraits(
        self, photos: Sequence[PhotoLike], *, consent: Consent, callback: Progress | None = None, **options
    ) -> PortraitSetOutput:
        """Make a set of portraits of one person from the person's own photos; one photo is enough.

        Where a portrait cannot be made, those before it are given, and `fault` says why there are no more.

        Args:
            photos, consent: as in `each_portrait`.
            callback: called as callback(done, num) after every portrait.
            **options: num, seed, looks and all else that `each_portrait` takes. Raises as it does before the first.
        """
        check_consent(consent)  # before all photos are looked at
        photos = photos_of_person(photos)
        checked = self.check_own_photos(photos, options.pop("limits", None))
        made, fault = [], ""
        try:
            for portrait in self.each_portrait(photos, consent=consent, checked=checked, **options):
                made.append(portrait)
                if callback is not None:
                    callback(len(made), portrait.recipe["of"])
        except InputError as error:
            if not made:
                raise
            fault = str(error)
        return PortraitSetOutput(
            images=[one.image for one in made],
            recipes=[one.recipe for one in made],
            portraits=made,
            checked=checked,
            fault=fault,
        )

    def check_own_photos(self, photos: Sequence[PhotoLike], limits: PhotoLimits | None = None) -> CheckedPhotos:
        """Say which photos a set may be made from; without colours they make no profile, but portraits.

        Arguments, and what is raised, are those of `photo_filter.check_photos`.
        """
        limits = limits or PhotoLimits(min_chroma=0)
        networks = {"landmarker": self.landmarker, "identity": self.identity}
        return check_photos(photos, self.aligner, self.resolution, **networks, limits=limits)

    def each_portrait(
        self,
        photos: Sequence[PhotoLike],
        *,
        consent: Consent,
        num: int = 8,
        seed: int = 1,
        looks: Sequence[str | Path | LookRecipe] | None = None,
        frames: Sequence[str] | None = None,
        attributes: Mapping[str, float] | None = None,
        expression: float = 1.0,
        age: float = 1.0,
        min_likeness: float = 0.58,
        checked: CheckedPhotos | None = None,
    ) -> Iterator[OwnPortrait]:
        """Make the portraits of a set, each as soon as it is ready.

        Each is a photo with another expression, age, light, look or frame, at its own size and with its own pixels.
        No two are alike, and each has to stay as like its photo as `min_likeness` says; where it is not, it is made
        again with half of the change, or another is drawn in its place.

        Args:
            photos: 1 to 100 pictures or files of one person; those that are of no use are passed over, the best used.
            consent: whose face it is and who agreed.
            num: N, how many portraits.
            seed: of the plan; the same photos and seed give the same pictures.
            looks: names, JSON files or recipes of looks, all portraits get one of them; None: photos as they are and
                looks of all kinds that suit the face; []: no looks.
            frames: those that may be used, see `gan_space.sets.framing.FRAME_NAMES`; None: all that there is room for.
            attributes: sliders that all portraits get, such as {"smile": 1}, see `photo_sliders`; others vary.
            expression, age, min_likeness: see `PortraitSetSettings`.
            checked: what `check_own_photos` made of the photos, if it was asked already.

        Raises:
            InputError: an argument that does not work, not one photo of use, a model without what it takes, or fewer
                portraits that differ than were asked for.
        """
        check_consent(consent)
        values = {"num": num, "seed": seed, "expression": expression, "age": age, "min_likeness": min_likeness}
        raise_all(value_faults(PortraitSetSettings, **values) + self._set_faults(frames, attributes), InputError)
        settings, wanted = PortraitSetSettings(**values), self._looks_of_set(looks)
        photos = photos_of_person(photos)
        bases = self._choose_bases(photos, self.check_own_photos(photos) if checked is None else checked)
        planner = Planner(
            [base.face for base in bases],
            wanted,
            seed=settings.seed,
            fixed=attributes,
            frames=frames,
            expression=settings.expression if self.shapes is not None else 0,
            age=settings.age if self._can_age else 0,
            chosen_looks=bool(looks),
        )
        return self._draw_set(planner, bases, settings)

    def _draw_set(self, planner: Planner, bases: list[Base], settings: PortraitSetSettings) -> Iterator[OwnPortrait]:
        taken: list[Variation] = []  # also those that were refused: nothing like them is drawn again
        summaries: list[np.ndarray] = []
        for number, kind in enumerate(planner.kinds(settings.num)):
            for tries in range(MAX_TRIES):
                one_kind = kind if tries < MAX_TRIES / 2 else None
                variation = planner.next(one_kind, taken, number, settings.num)
                taken.append(variation)
                made = self._draw_like(bases[variation.photo], variation, settings)
                if made is not None and not any(alike(made[1].summary, other) for other in summaries):
                    break
            else:
                raise InputError(
                    f"portrait {number + 1} came out unlike the photo or like another portrait {MAX_TRIES} times: "
                    "ask for fewer, lower min_likeness, or give a sharper photo"
                )
            variation, drawn = made
            summaries.append(drawn.summary)
            yield OwnPortrait(
                image=to_picture(drawn.portrait.pixels),
                recipe=self._set_recipe(variation, drawn, number, settings),
                portrait=drawn.portrait,
                base=bases[variation.photo],
            )

    def _draw_like(
        self, base: Base, variation: Variation, settings: PortraitSetSettings
    ) -> tuple[Variation, Drawn] | None:
        """A portrait that is like its photo, made with half of the change where the whole is too much; else None."""
        for one in (variation, variation.weaker()):
            drawn = draw_variation(
                base.portrait,
                one,
                base.face.frames[one.frame],
                landmarker=self.landmarker,
                segmenter=self.segmenter,
                identity=self.identity,
                shapes=self.shapes,
                ages=self.ages,
                seed=settings.seed,
                glasses=base.face.glasses,
            )
            if drawn.likeness >= settings.min_likeness:
                return one, drawn
        return None

    def _choose_bases(self, photos: Sequence[PhotoLike], checked: CheckedPhotos) -> list[Base]:
        """The photos that serve best, the best first: sharp, frontal, lit and large."""
        _ = checked.crops  # raises with all reasons where no photo can be used
        bases = []
        for photo, result in zip(photos, checked.photos, strict=True):
            if not result.accepted:
                continue
            with torch.no_grad():
                portrait = open_portrait(photo, self.aligner, landmarker=self.landmarker).choose(result.face)
                traits = read_traits(portrait, self.landmarker, self.analyzer, self.segmenter)
            bases.append(Base(portrait, traits, photo, result.name))
            bases.sort(key=lambda base: -base.face.quality)
            del bases[MAX_BASES:]
        return [base for base in bases if base.face.quality >= GOOD_ENOUGH * bases[0].face.quality]

    def _looks_of_set(self, looks: Sequence[str | Path | LookRecipe] | None) -> dict[str, LookRecipe]:
        """Looks without style packs; of the package where none are named."""
        shipped = shipped_looks()
        of_sets = {name: look for name, look in shipped.items() if self._can_draw(look)}
        if looks is None:
            return of_sets
        faults, found = [], {}
        for look in looks:
            if isinstance(look, Path) or (isinstance(look, str) and look.endswith(".json")):
                look = LookRecipe.load(look)
            elif not isinstance(look, LookRecipe):
                if look not in shipped:
                    faults.append(no_such_look(look, of_sets))
                    continue
                look = shipped[look]
            if look.packs:
                faults.append(f"the look {look.name} needs style packs, which a set does not load")
            elif not self._can_draw(look):
                faults.append(f"the look {look.name} needs a model with a segmenter, this one has none")
            found[look.name] = look
        raise_all(faults, InputError)
        return found

    def _can_draw(self, look: LookRecipe) -> bool:
        return not look.packs and (self.segmenter is not None or not (look.hair or look.background))

    @property
    def _can_age(self) -> bool:
        return self.ages is not None and self.shapes is not None  # a shape goes with it

    def _set_faults(self, frames: Sequence[str] | None, attributes: Mapping[str, float] | None) -> list[str]:
        faults = [
            f"a set of portraits needs a model with {what}, this one has none"
            for what, part in (("a landmarker", self.landmarker), ("identity/", self.identity))
            if part is None
        ]
        unknown = [name for name in frames or () if name not in FRAME_NAMES]
        faults += [f"frames must be some of {', '.join(FRAME_NAMES)}, got {brief(unknown)}"] if unknown else []
        if attributes is not None and not isinstance(attributes, Mapping):
            return [*faults, f"attributes must be a dict such as {{'smile': 1}}, got {brief(attributes)}"]
        sliders = SLIDERS if self.shapes is not None else {}
        sliders = sliders | ({"age": AGE_SLIDER} if self._can_age else {})
        return faults + slider_faults(attributes or {}, sliders)

    def _set_recipe(self, variation: Variation, drawn: Drawn, number: int, settings: PortraitSetSettings) -> dict:
        height, width = drawn.portrait.pixels.shape[1:]
        return {
            "kind": "portrait from a photo",
            "model": self.model_name,
            "revision": self.revision,
            "seed": settings.seed,
            "number": number,
            "of": settings.num,
            **variation.to_dict(),
            "likeness": round(drawn.likeness, 4),
            "size": [int(width), int(height)],
        }
