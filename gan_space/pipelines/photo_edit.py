"""Changing attributes of one face in a photo, and putting the redrawn face back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers.utils import BaseOutput
from PIL import Image
from torch import Tensor

from gan_space.errors import GlassesError, InputError, raise_all
from gan_space.faces.bridge import bridge_seen
from gan_space.faces.detect import FaceBox, FaceDetector
from gan_space.faces.landmarks import Landmarks
from gan_space.faces.shape import SLIDERS, ShapeModel, Slider
from gan_space.faces.shape import value_faults as slider_faults
from gan_space.images import to_pil
from gan_space.latents.directions import Directions
from gan_space.latents.editing import edit_state
from gan_space.models.aligner import Aligner
from gan_space.models.analyzer import Analyzer
from gan_space.models.editor import Editor
from gan_space.models.encoder import Encoder
from gan_space.models.generator import Generator
from gan_space.models.guided_upscaler import GuidedUpscaler
from gan_space.models.landmarker import Landmarker
from gan_space.models.segmenter import Segmenter
from gan_space.packs.attaching import attached
from gan_space.photos.opening import PhotoLike, to_picture
from gan_space.pipelines import arguments
from gan_space.pipelines.saving import save_portrait
from gan_space.portraits.aging import AGE_SLIDER, AgeModel, change_age, shape_of_age
from gan_space.portraits.choosing import Which
from gan_space.portraits.colors import LIGHT_ATTRIBUTE, keep_light
from gan_space.portraits.glasses import FRAMES, Surroundings, look_around, put_on_glasses
from gan_space.portraits.hair_age import hair_of
from gan_space.portraits.portrait import Portrait, open_portrait
from gan_space.portraits.put_back import put_back
from gan_space.portraits.shape import reshape
from gan_space.settings import brief, is_number, is_one_of, setting, setting_faults, value_faults
from gan_space.styles.apply import Renderer

MAX_STRENGTH = 2.0
REMEMBERED_PX = 1600  # wide: of larger photos nothing is kept that has the size of a face
WEARS_GLASSES = 0.5  # probability; see docs/results/shape.md


@dataclass(frozen=True)
class EditSettings:
    """How attributes of a face in a photo are changed; the arguments of `PersonalizationPipeline.edit`.

    Raises:
        InputError: a value of the wrong type or out of range; all faults at once.
    """

    strength: float = setting(1.0, "Times all amounts; 0 gives the photo.", low=0, high=MAX_STRENGTH)
    transfer: str = setting(
        "change", "change (the photo's own pixels, changed) or picture (the drawn face).", choices=("change", "picture")
    )
    upscale: str = setting(
        "auto",
        "Of a drawn picture: network (crisper), plain (bicubic, softer), or auto.",
        choices=("auto", "network", "plain"),
    )
    glasses: str = setting(
        "none", "Glasses to put on: none, round, square, aviator or cat-eye.", choices=("none", *FRAMES)
    )
    paste_back: bool = setting(True, "Put the face back into its photo; without it, the face's frame is returned.")

    def __post_init__(self) -> None:
        raise_all(setting_faults(self), InputError)


@dataclass
class PhotoEditOutput(BaseOutput):
    """A photo with other attributes.

    Args:
        image: the photo, or with paste_back=False the face's frame.
        reconstruction: the face as the networks redraw it without the edit, R x R.
        face: the same with what was drawn.
        w_plus: [1, num_ws, w_dim] of `face`, on the CPU.
        portrait: the photo as it was opened, to be edited again without another search.
        recipe: JSON-able.
        changed: the changed photo with its faces where they are now, to be given a look without another search; None
            with paste_back=False.
    """

    image: Image.Image
    reconstruction: Image.Image
    face: Image.Image
    w_plus: Tensor
    portrait: Portrait
    recipe: dict
    changed: Portrait | None = None

    def save(self, path: str | Path, *, visible_label: bool = True, photo: str | Path | None = None) -> Path:
        """Write the picture as a labelled file; see `pipelines.saving.save_portrait`.

        Args:
            path: ends in .png, .jpg, .jpeg or .webp.
            visible_label: also draw a small "AI生成" into a corner where no face is.
            photo: the file that the photo came from; labels that it carries are passed on.
        """
        portrait = self.changed or self.portrait
        options = {"visible_label": visible_label, "photo": photo}
        return save_portrait(self.image, path, portrait=portrait, recipe=self.recipe, **options)


@dataclass(frozen=True, eq=False)
class PhotoEditor:
    """Edits photos with these networks; what may be missing is None.

    Args:
        editor: carries changes of the code over to the features of a photo.
        guided_upscaler: enlarges what is drawn.
        landmarker, shapes, ages: for what changes the photo's own pixels.
        segmenter: finds hair, which changes with age.
        analyzer: tells who wears glasses already.
        directions: of the generator, for what is drawn.
        model_name, revision: for the recipe.
    """

    generator: Generator
    encoder: Encoder
    aligner: Aligner
    editor: Editor | None
    guided_upscaler: GuidedUpscaler | None
    landmarker: Landmarker | None
    segmenter: Segmenter | None
    analyzer: Analyzer | None
    shapes: ShapeModel | None
    ages: AgeModel | None
    directions: Directions | None
    model_name: str
    revision: str

    @property
    def photo_sliders(self) -> dict[str, Slider]:
        """What `edit` offers for photos: sliders that convince there, by name."""
        moved = self._own_pixels
        drawn = {
            one.name: Slider(*one.safe_range, "one standard deviation among drawn faces")
            for one in self.directions or ()
            if one.on_photos and one.name not in moved
        }
        return moved | drawn

    @property
    def _own_pixels(self) -> dict[str, Slider]:
        """Sliders that change the photo's own pixels, no network's picture of them."""
        found = {}
        if self.landmarker is not None and self.shapes is not None:
            found |= SLIDERS
            found |= {"age": AGE_SLIDER} if self.ages is not None else {}  # a shape goes with it
        return found

    @torch.no_grad()
    def edit(
        self,
        photo: PhotoLike | Portrait,
        attributes: Mapping[str, float],
        *,
        strength: float = 1.0,
        transfer: str = "change",
        upscale: str = "auto",
        glasses: str = "none",
        paste_back: bool = True,
        faces: Which | None = None,
        boxes: Sequence[FaceBox | Sequence[float]] | None = None,
        detector: FaceDetector | None = None,
    ) -> PhotoEditOutput:
        """Change attributes of one face in a photo, without any profile.

        Shape (a smile, a slimmer face, see `gan_space.faces.shape`) is moved by the face's mesh, and age deepens or
        softens lines (`gan_space.portraits.aging`); the photo keeps its pixels. The rest is drawn: the encoder's map of
        features moves by what the change of the code means for this face (see `latents.editing`), so what no code can
        say, such as a mole, stays. Directions whose change does not convince in a photo (`Direction.on_photos`) are for
        transfer "picture" alone.

        Args:
            photo: a picture, a file name, a tensor [3, H, W] uint8, or what `open` made of one.
            attributes: such as {"smile": 1.5, "face_width": -0.5, "age": 1}.
            strength: times all amounts; 0 gives the photo, or with transfer "picture" its reconstruction.
            transfer: "change" (the photo's own pixels, changed) or "picture" (the drawn face, enlarged).
            upscale: what enlarges it: "network" (the upscaler), "plain" (a filter), or "auto": the network if there is
                one.
            glasses: "none", or a kind of frame, see `gan_space.portraits.glasses.FRAMES`; needs a landmarker.
            paste_back: put the face back into its photo; False returns the frame.
            faces: "largest", or the number of a face, counted from 0, the largest first; None: the largest, or the
                first that an opened photo says.
            boxes: a face marked by hand instead: `FaceBox` or (x, y, size[, roll in degrees]) in px.
            detector: finds faces instead of OpenCV's cascade.

        Raises:
            InputError: an argument that does not work, all faults at once.
            GlassesError: glasses for a face that wears some, or is turned too far.
            NoFaceError, FaceTooSmallError, FaceTooTurnedError: nothing to work on.
        """
        faults = value_faults(
            EditSettings,
            strength=strength,
            transfer=transfer,
            upscale=upscale,
            glasses=glasses,
            paste_back=paste_back,
        )
        faults += ["one face is edited at a time, got faces='all'"] if is_one_of(faces, ("all",)) else []
        if is_one_of(upscale, ("network",)) and self.guided_upscaler is None:
            faults.append("upscale='network' needs a model with an upscaler, this one has none; leave it at 'auto'")
        if is_one_of(glasses, FRAMES) and self.landmarker is None:
            faults.append(f"glasses={glasses!r} needs a model with a landmarker, this one has none")
        if not isinstance(attributes, Mapping):
            faults.append(f"attributes must be a dict such as {{'smile': 1}}, got {attributes!r}")
        raise_all(faults, InputError)
        own, drawn = self._split(attributes, strength)
        unknown = [name for name in drawn if self._own_pixels and name not in (self.directions or ())]
        known = {name: amount for name, amount in drawn.items() if name not in unknown}
        (amounts,), faults = arguments.check_attributes(known, 1, self.directions)
        works = [*self.photo_sliders, *(one.name for one in self.directions or () if transfer == "picture")]
        there_are = ", ".join(dict.fromkeys(works))
        faults += [f"there is no slider {brief(name)}; there are {there_are}" for name in unknown]
        raise_all(faults + slider_faults(own, self._own_pixels) + self._unconvincing(amounts, transfer), InputError)
        portrait = open_portrait(photo, self.aligner, faces, landmarker=self.landmarker, boxes=boxes, detector=detector)
        portrait = _first_chosen(portrait)
        bends = any(own.get(name) for name in ("brows_up", "face_width"))
        worn = (bends or glasses != "none") and self.wears_glasses(portrait)
        if glasses != "none" and worn:
            # A second pair over the first is no edit.
            sure = self._sure_of_glasses(portrait)
            raise GlassesError(f"this face seems to wear glasses already ({sure:.0%} sure); leave glasses at 'none'")
        # Photo and redrawing get the new shape first, so that what is drawn afterwards stands in the right place.
        shapes = {name: amount for name, amount in own.items() if name in SLIDERS}
        shapes = shape_of_age(own.get("age", 0.0), shapes)
        shaped, flows = portrait, []
        if any(shapes.values()):
            shaped = reshape(portrait, self.landmarker, self.shapes, shapes, worn, flows.append)
        photo = shaped.pixels
        if own.get("age"):
            (marks,) = shaped.landmarks(self.landmarker)
            hair = hair_of(portrait, self.landmarker, self.segmenter, flows)
            years = self._looks_aged(portrait) if own["age"] < 0 else None
            photo = change_age(photo, marks.points, own["age"], self.ages, hair, years)

        with attached(self.generator, []):  # no pack of another thread may get into the drawing
            # Where nothing is drawn, what is known of the photo will do.
            drawn_from = shaped if amounts or transfer == "picture" else portrait
            crop, before, after, w_plus = self._draw_change(drawn_from, amounts)
        result = put_back(
            photo,
            shaped.chosen_faces[0].transform,
            crop,
            before,
            after,
            transfer=transfer,
            paste_back=paste_back,
            upscaler=None if upscale == "plain" else self.guided_upscaler,
        )
        if glasses != "none":
            (marks,), frame = shaped.landmarks(self.landmarker), shaped.chosen_faces[0].transform
            if not paste_back:
                marks = replace(marks, points=frame.apply(marks.points) * result.shape[2])
            around = None
            if shaped is portrait and paste_back and torch.equal(result, portrait.pixels):
                around = self._known_surroundings(portrait, marks)
            result = put_on_glasses(result, marks, glasses, around)
        recipe = {
            "kind": "attributes",
            "model": self.model_name,
            "revision": self.revision,
            "attributes": amounts | own,
            "transfer": transfer,
            "paste_back": paste_back,
            "faces_in_photo": len(portrait.faces),
        }
        recipe |= {"glasses": glasses} if glasses != "none" else {}
        if transfer == "picture":
            recipe["upscale"] = "plain" if upscale == "plain" or self.guided_upscaler is None else "network"
        image = to_picture(result)
        reconstruction, face = to_pil(torch.cat([before, after]))
        changed = replace(shaped.opened, pixels=result) if paste_back else None
        return PhotoEditOutput(
            image=portrait.opened.with_alpha(image) if paste_back else image,
            reconstruction=reconstruction,
            face=face,
            w_plus=w_plus.float().cpu(),
            portrait=portrait,
            recipe=recipe,
            changed=changed and Portrait(changed, shaped.faces, shaped.which, shaped.by_hand),
        )

    @torch.no_grad()
    def wears_glasses(self, portrait: Portrait) -> bool:
        """Tell whether the face that `edit` changes seems to wear glasses, which stay as they are.

        Args:
            portrait: what `open` made of a photo; of several chosen faces the first counts.

        Returns:
            False also for a model without an analyzer and a landmarker.

        Raises:
            NoFaceError, FaceTooSmallError, FaceTooTurnedError: nothing to look at.
        """
        return self._sure_of_glasses(_first_chosen(portrait)) > WEARS_GLASSES

    def _split(self, attributes: Mapping[str, float], strength: float) -> tuple[dict[str, float], dict[str, float]]:
        """Amounts that change the photo's own pixels, and those that are drawn.

        A slider of the photo's own pixels goes before a direction of the same name, to the end of its range.
        """
        scaled = {name: amount * strength if is_number(amount) else amount for name, amount in attributes.items()}
        sliders = self._own_pixels
        own = {name: amount for name, amount in scaled.items() if name in sliders}
        for name in own:
            if self.directions is not None and name in self.directions and is_number(own[name]):
                own[name] = min(max(own[name], sliders[name].low), sliders[name].high)
        return own, {name: amount for name, amount in scaled.items() if name not in sliders}

    def _sure_of_glasses(self, portrait: Portrait) -> float:
        """How sure it is that the face wears glasses, 0 to 1, by a network or by what crosses the nose."""
        sure = 0.0 if self.analyzer is None else self._attributes_of(portrait)["glasses"]
        if sure > WEARS_GLASSES or self.landmarker is None:
            return sure
        (marks,) = portrait.landmarks(self.landmarker)
        return max(sure, bridge_seen(portrait.pixels, marks.points))

    def _looks_aged(self, portrait: Portrait) -> float | None:
        """How many years old the face looks; None where a model has no analyzer, or one that does not read it."""
        return None if self.analyzer is None else self._attributes_of(portrait).get("age")

    def _attributes_of(self, portrait: Portrait) -> dict[str, float]:
        """What the analyzer reads off the face that `edit` changes."""

        def look() -> dict[str, float]:
            crops = portrait.crops(self.encoder.resolution).to(self.analyzer.device)
            return {name: float(one[0]) for name, one in self.analyzer(crops).attributes.items()}

        return portrait.remember("attributes", [self.analyzer], look)

    def _known_surroundings(self, portrait: Portrait, marks: Landmarks) -> Surroundings | None:
        """What glasses are drawn into, so that the next kind of frame comes at once; None for a very large photo."""
        width = portrait.pixels.shape[2]
        if width > REMEMBERED_PX:
            return None
        name = ("around glasses", width)
        return portrait.remember(name, [self.landmarker], lambda: look_around(portrait.pixels, marks))

    def _unconvincing(self, amounts: Mapping[str, float], transfer: str) -> list[str]:
        if transfer == "picture":
            return []
        return [
            f"{name} as the networks draw it smears in a photo, so it is for drawn faces (transfer='picture'); "
            f"photos have {', '.join(self.photo_sliders) or 'no sliders'}"
            for name in amounts
            if not self.directions[name].on_photos
        ]

    def _draw_change(self, portrait: Portrait, amounts: Mapping[str, float]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The face as it is, redrawn without and with the change, [1, 3, R, R] each, and the code of the last."""
        synthesis, r = self.generator.synthesis, self.encoder.feature_resolution
        code = portrait.code(self.encoder)
        plain = Renderer(self.generator, self.encoder).reconstruction_of(portrait)
        after, w_plus = plain.drawn, code.w_plus
        if amounts:
            w_plus = self.directions.for_photos().apply(w_plus, amounts)
            moved = edit_state(synthesis, code.state, code.w_plus, w_plus, r, self.editor)
            after = synthesis.finish(moved, w_plus, r)
            if all(self._leaves_light_alone(name) for name in amounts):
                after = keep_light(plain.drawn, after)
        crop = portrait.crops(self.encoder.resolution).to(self.encoder.device)
        return crop, plain.image, after + plain.missing, w_plus

    def _leaves_light_alone(self, name: str) -> bool:
        """Whether a slider is for something else: an attribute by its name, not a find that may be anything."""
        return name != LIGHT_ATTRIBUTE and bool(self.directions[name].effects.get(name))


def _first_chosen(portrait: Portrait) -> Portrait:
    """The same photo with the one face that is edited; raises where there is nothing to work on."""
    _ = portrait.chosen_faces
    return portrait.choose(portrait.chosen[0])
