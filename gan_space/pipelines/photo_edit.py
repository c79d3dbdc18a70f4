"""Changing attributes of one face in a photo, and putting the redrawn face back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from diffusers.utils import BaseOutput
from PIL import Image
from torch import Tensor

from gan_space.errors import InputError, raise_all
from gan_space.faces.detect import FaceBox, FaceDetector
from gan_space.images import to_pil
from gan_space.latents.editing import edit_state
from gan_space.packs.low_rank import attached
from gan_space.photos.opening import open_photo, to_picture
from gan_space.pipelines import arguments
from gan_space.pipelines.found_faces import FoundFaces, choose, search, which_faults
from gan_space.pipelines.photo_filter import PhotoLike
from gan_space.pipelines.photo_layers import LIGHT_ATTRIBUTE, keep_light, settle
from gan_space.pipelines.put_back import put_back
from gan_space.pipelines.style_settings import UPSCALES

TRANSFERS = ("change", "picture")


@dataclass
class PhotoEditOutput(BaseOutput):
    """A photo with other attributes.

    Args:
        image: the photo, or with paste_back=False the face's frame.
        reconstruction: the face as the networks redraw it without the edit, R x R.
        face: the same with the edit.
        w_plus: [1, num_ws, w_dim] of the edited face, on the CPU.
        found: which faces the photo shows, and which one was meant.
        recipe: JSON-able.
    """

    image: Image.Image
    reconstruction: Image.Image
    face: Image.Image
    w_plus: Tensor
    found: FoundFaces
    recipe: dict


class PhotoEditMixin:
    """For a pipeline with generator, encoder, aligner, `editor` and `upscaler` (each or None), and `directions`."""

    @torch.no_grad()
    def edit(
        self,
        photo: PhotoLike,
        attributes: Mapping[str, float],
        *,
        strength: float = 1.0,
        transfer: str = "change",
        upscale: str = "auto",
        paste_back: bool = True,
        faces: str | int = "largest",
        boxes: Sequence[FaceBox | Sequence[float]] | None = None,
        detector: FaceDetector | None = None,
    ) -> PhotoEditOutput:
        """Change attributes of one face in a photo, without any profile.

        The encoder's feature map moves by what the change of the code means for this face (see `latents.editing`), so
        what no code can say, such as a mole, stays.

        Args:
            photo: a picture, a file name, or a tensor [3, H, W] uint8.
            attributes: such as {"smile": 1.5}.
            strength: times all amounts; 0 gives the photo, or with transfer "picture" its reconstruction.
            transfer: "change" (the photo's own pixels, changed) or "picture" (the drawn face, enlarged).
            upscale: what enlarges it: "network" (the upscaler), "plain" (a filter), or "auto": the network if there is
                one.
            paste_back: put the face back into its photo; False returns the frame.
            faces: "largest", or the number of a face, counted from 0, the largest first.
            boxes: a face marked by hand instead: `FaceBox` or (x, y, size[, roll in degrees]) in px.
            detector: finds faces instead of OpenCV's cascade.

        Raises:
            InputError: an argument that does not work; all faults at once.
            NoFaceError, FaceTooSmallError, FaceTooTurnedError: nothing to work on.
        """
        faults = which_faults(faces) if faces != "all" else ["one face is edited at a time, got faces='all'"]
        faults += arguments.range_faults(strength=(strength, 2.0))
        for name, value, choices in (("transfer", transfer, TRANSFERS), ("upscale", upscale, UPSCALES)):
            if value not in choices:
                faults.append(f"{name} must be one of {', '.join(choices)}, got {value!r}")
        if upscale == "network" and self.upscaler is None:
            faults.append("upscale='network' needs a model with an upscaler, this one has none; leave it at 'auto'")
        if upscale == "auto":
            upscale = "plain" if self.upscaler is None else "network"
        if not isinstance(attributes, Mapping):
            faults.append(f"attributes must be a dict such as {{'smile': 1}}, got {attributes!r}")
        raise_all(faults, InputError)
        scaled = {name: amount * strength for name, amount in attributes.items() if isinstance(amount, int | float)}
        (amounts,), faults = arguments.check_attributes(attributes | scaled, 1, self.directions)
        raise_all(faults, InputError)
        pixels = open_photo(photo)
        found = search(pixels, self.aligner, which=faces, boxes=boxes, detector=detector)
        found = choose(found, faces, by_hand=boxes is not None)
        transform = found.chosen_faces[0].transform

        synthesis, r = self.generator.synthesis, self.encoder.feature_resolution
        crop = transform.crop(pixels, self.resolution).to(self.device)
        with attached(self.generator, []):  # no pack of another thread may get into the drawing
            w_plus, state = self.encoder(crop)
            before = after = synthesis.finish(state, w_plus, r)
            new_w_plus = w_plus
            if amounts:
                new_w_plus = self.directions.for_photos().apply(w_plus, amounts)
                moved = edit_state(synthesis, state, w_plus, new_w_plus, r, self.editor)
                after = synthesis.finish(moved, new_w_plus, r)
                if all(self._leaves_light_alone(name) for name in amounts):
                    after = keep_light(before, after)
        missing = settle(before, crop, self.resolution)  # the photo's broad colours, where the encoder was off
        before, after = before + missing, after + missing
        upscaler = self.upscaler if upscale == "network" else None
        result = put_back(
            pixels, transform, crop, before, after, transfer=transfer, paste_back=paste_back, upscaler=upscaler
        )
        recipe = {
            "kind": "attributes",
            "model": self.model_name,
            "revision": self.revision,
            "attributes": amounts,
            "transfer": transfer,
            "paste_back": paste_back,
            "faces_in_photo": len(found.faces),
        }
        recipe |= {"upscale": upscale} if transfer == "picture" else {}
        reconstruction, face = to_pil(torch.cat([before, after]))
        return PhotoEditOutput(
            image=to_picture(result),
            reconstruction=reconstruction,
            face=face,
            w_plus=new_w_plus.float().cpu(),
            found=found,
            recipe=recipe,
        )

    def _leaves_light_alone(self, name: str) -> bool:
        """Whether a slider is for something else: an attribute by its name, not a find that may be anything."""
        return name != LIGHT_ATTRIBUTE and bool(self.directions[name].effects.get(name))
