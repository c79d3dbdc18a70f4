"""StyleTransferPipeline: a photo in, the same photo in another look out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from diffusers.utils import BaseOutput
from PIL import Image
from torch import Tensor

from gan_space.errors import ConfigError, FaceError, InputError, raise_all
from gan_space.faces.detect import FaceBox, FaceDetector
from gan_space.images import from_pil, to_pil
from gan_space.models.aligner import Aligner
from gan_space.models.discriminator import Discriminator
from gan_space.models.editor import Editor
from gan_space.models.encoder import Encoder
from gan_space.models.generator import Generator
from gan_space.models.landmarker import Landmarker
from gan_space.models.upscaler import Upscaler
from gan_space.output.lab import palette, rgb_to_lab
from gan_space.packs.low_rank import attached
from gan_space.photos.opening import open_photo, to_picture
from gan_space.pipelines.base import PortraitPipeline, editor_mismatches, encoder_mismatches
from gan_space.pipelines.found_faces import FoundFaces, choose, search
from gan_space.pipelines.looks import LookLayers, ReferenceLook, frame_weight, weighted_moments
from gan_space.pipelines.painter import Look, Painter
from gan_space.pipelines.photo_layers import finish_face, finish_photo
from gan_space.pipelines.put_back import put_back, put_back_photo
from gan_space.pipelines.refinement import Refinement, RefineMixin, StepCallback
from gan_space.pipelines.style_packs import StylePackMixin
from gan_space.pipelines.style_settings import StyleSettings

PhotoLike = Image.Image | str | Path | Tensor
Progress = Callable[[int, int], None]


@dataclass
class StyleTransferPipelineOutput(BaseOutput):
    """What came of N photos.

    Args:
        images: N pictures: the photo with its new look, or with paste_back=False the face's frame.
        faces: for each photo what was found, and which faces were meant; `.picture()` shows it.
        reconstruction: for each photo the largest of the chosen faces as the networks redraw it, [R x R]; what
            strength 0 gives with transfer "picture".
        refinement: for each photo what `refine_steps` or `refined` brought, None without either.
        recipe: one JSON-able dict a photo.
        seconds: where the time went, in all: stage -> seconds.
    """

    images: list[Image.Image]
    faces: list[FoundFaces]
    reconstruction: list[Image.Image]
    refinement: list[Refinement | None]
    recipe: list[dict]
    seconds: dict[str, float]


@dataclass
class _Clock:
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


class StyleTransferPipeline(StylePackMixin, RefineMixin, PortraitPipeline):
    """Give photos a look: that of a reference picture, or of style packs.

    A face is found, cut out in the tight frame and encoded; the look comes in behind the encoder's feature map (see
    `pipelines.looks` and `packs.style`), so the person stays by construction; and the result goes back into the photo,
    either as the drawn picture or as the change between two drawn pictures, which leaves the photo its own pixels (see
    `output.detail`).

    Args:
        generator, encoder, aligner: the networks; the encoder was trained for this generator.
        discriminator: only for tuning packs; may be None.
        upscaler: enlarges what is drawn; may be None, then plain filters do.
        editor: puts the shape that a reference's coarse layers ask for where the face is; may be None.
        landmarker: finds the parts of a face; may be None.

    Raises:
        ConfigError: an encoder or editor for another generator; all faults at once.

    Example:
        >>> style = StyleTransferPipeline.from_pretrained("user/portraits-128")  # doctest: +SKIP
        >>> style("me.jpg", reference="painting.jpg", strength=0.7).images[0].save("out.png")  # doctest: +SKIP
    """

    _component_classes = {  # noqa: RUF012
        "generator": Generator,
        "encoder": Encoder,
        "aligner": Aligner,
        "discriminator": Discriminator,
        "upscaler": Upscaler,
        "editor": Editor,
        "landmarker": Landmarker,
    }
    _optional_components = ["discriminator", "upscaler", "editor", "landmarker"]  # noqa: RUF012

    def __init__(
        self,
        generator: Generator,
        encoder: Encoder,
        aligner: Aligner,
        discriminator: Discriminator | None = None,
        upscaler: Upscaler | None = None,
        editor: Editor | None = None,
        landmarker: Landmarker | None = None,
    ):
        super().__init__(
            generator=generator,
            encoder=encoder,
            aligner=aligner,
            discriminator=discriminator,
            upscaler=upscaler,
            editor=editor,
            landmarker=landmarker,
        )
        raise_all(encoder_mismatches(generator, encoder) + editor_mismatches(encoder, editor), ConfigError)

    @property
    def resolution(self) -> int:
        """Width and height in px of a face as the networks draw it."""
        return self.generator.config.resolution

    # References and faces

    def find_faces(
        self,
        image: PhotoLike,
        faces: str | int = "all",
        boxes: Sequence[FaceBox | Sequence[float]] | None = None,
        detector: FaceDetector | None = None,
    ) -> FoundFaces:
        """Find the faces of a photo without styling any; `.picture()` shows them, also when none is usable.

        Args:
            image: a picture, a file name, or a tensor [3, H, W] uint8.
            faces, boxes, detector: as in `__call__`.
        """
        found = search(open_photo(image), self.aligner, which=faces, boxes=boxes, detector=detector)
        try:
            return choose(found, faces, by_hand=boxes is not None)
        except FaceError:
            return found

    @torch.no_grad()
    def read_look(self, reference: PhotoLike | ReferenceLook) -> ReferenceLook:
        """Take the look of a picture once, to use it for many photos.

        The largest face counts; where none is found, as in many paintings, the middle square is taken for one.

        Raises:
            InputError: not a picture.
        """
        if isinstance(reference, ReferenceLook):
            return reference
        photo = open_photo(reference)
        digest = hashlib.sha256(photo.numpy().tobytes()).hexdigest()[:16]
        crop, has_face = self.reference_frame(photo)
        code = self.encoder(crop)
        weight = frame_weight(*code.state.x.shape[2:])
        colors = palette(rgb_to_lab(crop).cpu())
        return ReferenceLook(
            code.w_plus,
            *weighted_moments(code.state.x, weight),
            *weighted_moments(code.state.rgb, weight),
            colors,
            digest,
            has_face,
        )

    def reference_frame(self, photo: Tensor) -> tuple[Tensor, bool]:
        """The part of a reference that `read_look` looks at, and whether it is a face.

        Args:
            photo: [3, H, W] uint8.

        Returns:
            [1, 3, R, R] in [-1, 1] on the networks' device: the largest face's frame, else the middle square.
        """
        found = search(photo, self.aligner).faces
        R = self.resolution
        crop = found[0].transform.crop(photo, R) if found else from_pil(to_picture(photo), R)
        return crop.to(self.device), bool(found)

    # The trip

    @torch.no_grad()
    def __call__(
        self,
        image: PhotoLike | Sequence[PhotoLike],
        reference: PhotoLike | ReferenceLook | None = None,
        *,
        pack: str | None = None,
        packs: Mapping[str, float] | None = None,
        strength: float = 0.7,
        layers: str = "middle+fine",
        preserve_color: bool = False,
        keep_identity: float | bool | None = None,
        paste_back: bool = True,
        scope: str = "auto",
        transfer: str = "auto",
        upscale: str = "auto",
        faces: str | int = "largest",
        boxes: Sequence[FaceBox | Sequence[float]] | None = None,
        post_processing: Sequence | str | None = None,
        seed: int = 0,
        refine_steps: int = 0,
        refined: Refinement | None = None,
        refine_callback: StepCallback | None = None,
        detector: FaceDetector | None = None,
        callback: Progress | None = None,
    ) -> StyleTransferPipelineOutput:
        """Give one photo or several a look.

        Args:
            image: pictures, file names or tensors [3, H, W] uint8; one or a list.
            reference: picture whose look is taken, or what `read_look` made of it.
            pack: name of a loaded pack, or of one in the model's folder.
            packs: {name: weight}, several at once; without both, those of `set_packs`.
            strength: 0 (the reconstruction; with transfer "change" the photo itself) to 1 (all of it); up to 1.5.
            layers: what is taken of a reference: "coarse" (shape), "middle" (features), "fine" (colours, texture),
                joined by "+"; see `gan_space.latents.layers.parse_layers`.
            preserve_color: keep the photo's colours and take the lights and darks alone.
            keep_identity: 0 to 1, how firmly the light and dark of the features is held; None: 0.8 with a reference, 0
                with packs alone.
            paste_back: put the face back into its photo; False returns the styled frame.
            scope: "face", "photo" (everything takes the look), or "auto": what the packs ask for; with a
                reference, "photo".
            transfer: "change" (the photo's own pixels, changed), "picture" (the drawn picture, enlarged), or "auto":
                what the packs ask for, else "change".
            upscale: what enlarges a drawn picture to the photo's size: "network" (the upscaler, crisper), "plain"
                (bicubic or Lanczos, softer), or "auto": the network where the model has one.
            faces: "largest", "all", or a number, counted from 0, the largest first.
            boxes: faces marked by hand, for one photo: `FaceBox` or (x, y, size[, roll in degrees]) in px.
            post_processing: steps such as "sharpen:0.5,film", see `gan_space.output.postprocess.parse_steps`.
            seed: of what is drawn at random, such as film grain.
            refine_steps: steps of optimisation on each photo's faces, so that more of the person is redrawn; 0: none,
                60 is a good number. A step takes about 20 ms for a face of 128 px on two cores.
            refined: instead, what `refine` made of the same faces of the photo, for one photo.
            refine_callback: called as refine_callback(step, refine_steps, loss) after each step; False ends the steps
                of this photo, which is styled with what was reached.
            detector: finds faces instead of OpenCV's cascade.
            callback: called as callback(done, total) after every photo.

        Raises:
            InputError: an argument that does not work; all faults at once.
            NoFaceError, FaceTooSmallError, FaceTooTurnedError: nothing to work on; `find_faces(image).picture()` shows
                what was found.
            PackError: a pack that cannot be loaded.
        """
        settings = StyleSettings(
            strength=strength,
            layers=layers,
            preserve_color=preserve_color,
            keep_identity=keep_identity,
            paste_back=paste_back,
            scope=scope,
            transfer=transfer,
            upscale=upscale,
            faces=faces,
            post_processing=post_processing,
            seed=seed,
            refine_steps=refine_steps,
        )
        images = [image] if isinstance(image, Image.Image | str | Path | Tensor) else list(image)
        rows = settings.rows(self.generator.num_ws)
        look_layers = LookLayers.split(rows, self.generator.synthesis, self.encoder.feature_resolution)
        faults = [] if images else ["image is an empty list: give one photo or more"]
        if boxes is not None and len(images) > 1:
            faults.append(f"boxes belong to one photo, got {len(images)} photos: give them one by one")
        if refined is not None and (len(images) > 1 or refine_steps):
            faults.append("refined belongs to one photo and takes the place of refine_steps: give it alone")
        if pack is not None and packs is not None:
            faults.append("give either pack or packs, not both")
        if upscale == "network" and self.upscaler is None:
            faults.append("upscale='network' needs a model with an upscaler, this one has none; leave it at 'auto'")
        raise_all(faults, InputError)
        chosen = self._check_weights(packs if packs is not None else pack, load=True)
        if pack is None and packs is None:
            chosen = list(self._pack_weights.items())
        if reference is None and not chosen and not settings.post_processing:
            raise InputError("no look is given: name a pack, give a reference picture, or a step of post_processing")
        clock = _Clock()
        with clock("reference"):
            look = Look(
                None if reference is None else self.read_look(reference),
                tuple((self._packs[name], weight) for name, weight in chosen),
            )
        if upscale == "auto":
            settings = replace(settings, upscale="plain" if self.upscaler is None else "network")
        settings = look.decide(settings)
        results = []
        for number, source in enumerate(images):
            try:
                with clock("open"):
                    photo = open_photo(source)
                with clock("find"):
                    found = search(photo, self.aligner, which=faces, boxes=boxes, detector=detector)
                    found = choose(found, faces, by_hand=boxes is not None)
            except InputError as error:
                if len(images) == 1:
                    raise
                raise type(error)(f"photo {number + 1} of {len(images)}: {error}") from error
            own = refined
            if settings.refine_steps:
                with clock("refine"):
                    crops = [face.transform.crop(found.photo, self.resolution) for face in found.chosen_faces]
                    own = self.refine_crops(torch.cat(crops), settings.refine_steps, callback=refine_callback)
            results.append((found, *self._style_photo(found, look, look_layers, settings, own, clock), own))
            if callback is not None:
                callback(number + 1, len(images))
        recipe = self._recipe(look, dict(chosen), settings)
        return StyleTransferPipelineOutput(
            images=[result[1] for result in results],
            faces=[result[0] for result in results],
            reconstruction=[result[2] for result in results],
            refinement=[result[3] for result in results],
            recipe=[
                recipe
                | {"faces_in_photo": len(found.faces)}
                | ({"refine_steps": own.num_steps} if own is not None and own.num_steps else {})
                for found, _, _, own in results
            ],
            seconds=clock.seconds,
        )

    def _style_photo(
        self,
        found: FoundFaces,
        look: Look,
        layers: LookLayers,
        settings: StyleSettings,
        refined: Refinement | None,
        clock: _Clock,
    ) -> tuple[Image.Image, Image.Image]:
        """The finished picture, and the largest chosen face as redrawn."""
        faces, photo = found.chosen_faces, found.photo
        painter = Painter(self.generator, self.encoder, self.editor)
        with clock("crop"):
            crops = torch.cat([face.transform.crop(photo, self.resolution) for face in faces]).to(self.device)
        # The lock of `attached` is held even without packs: those of another thread must not get into the drawing.
        with clock("networks"), attached(self.generator, []):
            code = None if refined is None else self.refined_code(refined, len(faces))
            styled = painter.faces(crops, look, layers, settings, code)
            if settings.scope == "photo":
                canvas, before, after = painter.photo(photo, faces, styled, look, settings)
        how = {"transfer": settings.transfer, "upscaler": self.upscaler if settings.upscale == "network" else None}
        with clock("transfer"):
            if settings.scope == "photo":
                result = put_back_photo(photo, canvas, before, after, self.resolution, **how)
            else:
                result = photo
                for index, face in enumerate(faces if settings.paste_back else faces[:1]):
                    one = slice(index, index + 1)
                    drawn = (styled.crops[one], styled.reconstruction[one], styled.styled[one])
                    result = put_back(result, face.transform, *drawn, paste_back=settings.paste_back, **how)
        with clock("finish"):
            if settings.scope == "photo" or not settings.paste_back:
                result = finish_photo(result, settings.post_processing, settings.seed)
            else:
                for face in faces:
                    result = finish_face(result, face.transform, settings.post_processing, settings.seed)
            return to_picture(result), to_pil(styled.reconstruction[:1])[0]

    # Odds and ends

    def _recipe(self, look: Look, weights: dict[str, float], settings: StyleSettings) -> dict:
        recipe = {
            "kind": "style",
            "model": self.model_name,
            "revision": self.revision,
            "strength": float(settings.strength),
            "scope": settings.scope,
            "transfer": settings.transfer,
            "faces": settings.faces,
            "preserve_color": settings.preserve_color,
            "keep_identity": settings.identity(has_reference=look.reference is not None),
            "paste_back": settings.paste_back,
        }
        recipe |= {"upscale": settings.upscale} if settings.transfer == "picture" else {}
        if look.reference is not None:
            recipe |= {"reference_sha256": look.reference.digest, "layers": settings.layers}
        if look.packs:
            named = zip(weights, look.packs, strict=True)
            recipe["packs"] = [{"name": name, "id": pack.id, "weight": float(weight)} for name, (pack, weight) in named]
            recipe["pack"] = ", ".join(weights)
            credits = [pack.credit for pack, _ in look.packs if pack.credit]
            recipe |= {"pack_credit": "; ".join(dict.fromkeys(credits))} if credits else {}
        if settings.post_processing:
            recipe["post_processing"] = [list(step) for step in settings.post_processing]
            recipe["seed"] = int(settings.seed)
        return recipe
