"""StyleTransferPipeline: a photo in, the same photo in another look out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from gan_space.errors import ConfigError, InputError, raise_all
from gan_space.faces.detect import FaceBox, FaceDetector
from gan_space.faces.shape import ShapeModel
from gan_space.images import from_pil, to_pil
from gan_space.looks.makeup_reference import MakeupReference
from gan_space.looks.recipe import LookRecipe
from gan_space.looks.sharing import load_look
from gan_space.models.aligner import Aligner
from gan_space.models.discriminator import Discriminator
from gan_space.models.editor import Editor
from gan_space.models.encoder import Encoder
from gan_space.models.generator import Generator
from gan_space.models.guided_upscaler import GuidedUpscaler
from gan_space.models.landmarker import Landmarker
from gan_space.models.segmenter import Segmenter
from gan_space.packs.attaching import attached
from gan_space.photos.opening import PhotoLike, list_photos, to_picture
from gan_space.pipelines import looks as photo_looks
from gan_space.pipelines.base import PhotoMixin, PortraitPipeline, editor_mismatches, encoder_mismatches
from gan_space.pipelines.style_output import Clock, StyleTransferPipelineOutput, style_record
from gan_space.pipelines.style_packs import StylePackMixin
from gan_space.portraits.choosing import Which, which_faults
from gan_space.portraits.finish import finish
from gan_space.portraits.portrait import Portrait
from gan_space.portraits.refinement import (
    GOOD_REFINE_STEPS,
    Refinement,
    StepCallback,
    refine_faults,
    refine_portrait,
    refined_code,
)
from gan_space.styles.apply import NetworkLook, Renderer, into_photo
from gan_space.styles.reference import LookLayers, ReferenceLook
from gan_space.styles.settings import StyleSettings

Progress = Callable[[int, int], None]


class StyleTransferPipeline(StylePackMixin, PhotoMixin, PortraitPipeline):
    """Give photos a look: that of a reference picture, or of style packs.

    A face is found, cut out in the tight frame and encoded; the look comes in behind the encoder's feature map (see
    `styles.reference` and `packs.style`), so the person stays by construction; and the result goes back into the photo,
    either as the drawn picture or as the change between two drawn pictures, which leaves the photo its own pixels (see
    `portraits.detail`).

    Args:
        generator, encoder, aligner: the networks; the encoder was trained for this generator.
        discriminator: only for tuning packs; may be None.
        upscaler: enlarges what is drawn; may be None, then plain filters do.
        editor: puts the shape that a reference's coarse layers ask for where the face is; may be None.
        landmarker: finds the parts of a face; may be None.
        segmenter: finds hair and person; may be None.

    Raises:
        ConfigError: an encoder or editor for another generator; all faults at once.

    Example:
        >>> style = StyleTransferPipeline.from_pretrained("user/portraits-128")  # doctest: +SKIP
        >>> portrait = style.open("me.jpg")  # doctest: +SKIP
        >>> style(portrait, reference="painting.jpg", strength=0.7).save("out.png")  # doctest: +SKIP
    """

    _component_classes = {  # noqa: RUF012
        "generator": Generator,
        "encoder": Encoder,
        "aligner": Aligner,
        "discriminator": Discriminator,
        "guided_upscaler": GuidedUpscaler,
        "editor": Editor,
        "landmarker": Landmarker,
        "segmenter": Segmenter,
    }
    _optional_components = ["discriminator", "guided_upscaler", "editor", "landmarker", "segmenter"]  # noqa: RUF012

    def __init__(
        self,
        generator: Generator,
        encoder: Encoder,
        aligner: Aligner,
        discriminator: Discriminator | None = None,
        guided_upscaler: GuidedUpscaler | None = None,
        editor: Editor | None = None,
        landmarker: Landmarker | None = None,
        segmenter: Segmenter | None = None,
    ):
        super().__init__(
            generator=generator,
            encoder=encoder,
            aligner=aligner,
            discriminator=discriminator,
            guided_upscaler=guided_upscaler,
            editor=editor,
            landmarker=landmarker,
            segmenter=segmenter,
        )
        raise_all(encoder_mismatches(generator, encoder) + editor_mismatches(encoder, editor), ConfigError)
        self.added_looks: dict[str, LookRecipe] = {}
        self.shapes: ShapeModel | None = None  # read when a look first asks for it

    @property
    def resolution(self) -> int:
        """Width and height in px of a face as the networks draw it."""
        return self.generator.config.resolution

    # References

    @torch.no_grad()
    def read_look(self, reference: PhotoLike | Portrait | ReferenceLook) -> ReferenceLook:
        """Take the look of a picture once, to use it for many photos.

        The largest face counts; where none is found, as in many paintings, the middle square is taken for one.

        Raises:
            InputError: not a picture.
        """
        if isinstance(reference, ReferenceLook):
            return reference
        portrait = self.open(reference)
        digest = hashlib.sha256(portrait.pixels.numpy().tobytes()).hexdigest()[:16]
        return ReferenceLook.read(self.encoder, *self.reference_frame(portrait), digest)

    def reference_frame(self, reference: PhotoLike | Portrait) -> tuple[Tensor, bool]:
        """Return the part of a reference that `read_look` looks at, and whether it is a face.

        Returns:
            [1, 3, R, R] in [-1, 1] on the networks' device: the largest face's frame, else the middle square.
        """
        portrait, R = self.open(reference), self.resolution
        if not portrait.faces:
            return from_pil(to_picture(portrait.pixels), R).to(self.device), False
        return portrait.choose(0).crops(R).to(self.device), True  # also of a small or turned face

    # The trip

    @torch.no_grad()
    def __call__(
        self,
        image: PhotoLike | Portrait | Sequence[PhotoLike | Portrait],
        reference: PhotoLike | Portrait | ReferenceLook | None = None,
        *,
        look: photo_looks.LookLike | None = None,
        makeup_from: photo_looks.MakeupLike | None = None,
        makeup_strength: float | Mapping[str, float] = 1.0,
        pack: str | None = None,
        packs: Mapping[str, float] | None = None,
        strength: float | None = None,
        layers: str = "middle+fine",
        preserve_color: bool = False,
        keep_identity: float | bool | None = None,
        paste_back: bool = True,
        scope: str = "auto",
        transfer: str = "auto",
        upscale: str = "auto",
        faces: Which | None = None,
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
            image: pictures, file names, files opened as bytes, tensors [3, H, W] uint8, or what `open` made of one; one
                or a list.
            reference: picture whose look is taken, or what `read_look` made of it.
            look: name of one of `looks`, a JSON file of one, or a `LookRecipe`, in place of a reference and packs.
            makeup_from: picture whose make-up, tone and light are taken, alone or into a look; or what `read_makeup`
                made of it.
            makeup_strength: 0 to 1, one for all of it or {"lips": 1, "eyes": 0.5, "skin": 0, "tone": 0.5}, what is left
                out is 1; times `strength`.
            pack: name of a loaded pack, or of one in the model's folder.
            packs: {name: weight}, several at once; without both, those of `set_packs`.
            strength: 0 (the reconstruction; with a look, or transfer "change", the photo itself) to 1 (all of it); up
                to 1.5; None: what the look says, else 0.8.
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
            faces: "largest", "all", or a number, counted from 0, the largest first; None: the largest, or what an
                opened photo says.
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
            NoFaceError, FaceTooSmallError, FaceTooTurnedError: nothing to work on; `open(image).picture()` shows what
                was found.
            PackError: a pack that cannot be loaded.
        """
        recipe = photo_looks.choose_look(self, look, makeup_from, makeup_strength)
        settings = StyleSettings(
            strength=photo_looks.choose_strength(strength, recipe),
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
        several = list_photos(image)
        images = [image] if several is None else several
        rows = settings.rows(self.generator.num_ws)
        look_layers = LookLayers.split(rows, self.generator.synthesis, self.encoder.feature_resolution)
        faults = [] if images else ["image is an empty list: give one photo or more"]
        if boxes is not None and len(images) > 1:
            faults.append(f"boxes belong to one photo, got {len(images)} photos: give them one by one")
        if refined is not None and (len(images) > 1 or refine_steps):
            faults.append("refined belongs to one photo and takes the place of refine_steps: give it alone")
        if pack is not None and packs is not None:
            faults.append("give either pack or packs, not both")
        if recipe is not None:
            faults += photo_looks.faults_beside(
                self, recipe, reference=reference, pack=pack, packs=packs, refined=refined, settings=settings
            )
        if upscale == "network" and self.guided_upscaler is None:
            faults.append("upscale='network' needs a model with an upscaler, this one has none; leave it at 'auto'")
        raise_all(faults, InputError)
        chosen = self._check_weights(packs if packs is not None else pack, load=True)
        if pack is None and packs is None and recipe is None:
            chosen = list(self._pack_weights.items())
        if recipe is None and reference is None and not chosen and not settings.post_processing:
            raise InputError("no look is given: name one, or a pack, a reference picture, or a step of post_processing")
        clock = Clock()
        with clock("reference"):
            network_look = NetworkLook(
                None if reference is None else self.read_look(reference),
                tuple((self._packs[name], weight) for name, weight in chosen),
            )
        if upscale == "auto":
            settings = replace(settings, upscale="plain" if self.guided_upscaler is None else "network")
        settings = network_look.decide(settings)
        out = StyleTransferPipelineOutput([], [], [], [], [], clock.seconds)
        for number, source in enumerate(images):
            with clock("open"), _photo_named(number, len(images)):
                portrait = self.open(source, faces, boxes=boxes, detector=detector)
                if recipe is None or recipe.needs_faces:
                    _ = portrait.chosen_faces  # raises where there is nothing to work on
            if settings.refine_steps:
                with clock("refine"):
                    refined = self.refine(portrait, settings.refine_steps, callback=refine_callback)
            if recipe is None:
                result, reconstruction = self._redraw(portrait, network_look, look_layers, settings, refined, clock)
            else:
                with clock("look"):
                    result, reconstruction = photo_looks.draw_look(self, portrait, recipe, settings), None
            with clock("finish"):
                everything = recipe is not None or settings.scope == "photo" or not settings.paste_back
                result = finish(portrait, result, settings.post_processing, settings.seed, whole=everything)
                picture = to_picture(result)
                opaque = not settings.paste_back or (recipe is not None and recipe.has_wall and bool(settings.strength))
                out.images.append(picture if opaque else portrait.opened.with_alpha(picture))
                out.reconstruction.append(reconstruction)
            out.portraits.append(portrait)
            out.refinement.append(refined)
            if recipe is None:
                out.recipe.append(style_record(self, portrait, network_look, dict(chosen), settings, refined))
            else:
                out.recipe.append(photo_looks.look_record(self, portrait, recipe, settings))
            if callback is not None:
                callback(number + 1, len(images))
        return out

    def _redraw(
        self,
        portrait: Portrait,
        network_look: NetworkLook,
        layers: LookLayers,
        settings: StyleSettings,
        refined: Refinement | None,
        clock: Clock,
    ) -> tuple[Tensor, Image.Image]:
        """The photo [3, H, W] uint8 with what the networks drew, and the first face as they redraw it."""
        # The lock of `attached` is held even without packs: those of another thread must not get into the drawing.
        with clock("networks"), attached(self.generator, []):
            code = None
            if refined is not None:
                code = refined_code(refined, self.generator, self.encoder, len(portrait.chosen_faces))
            renderer = Renderer(self.generator, self.encoder, self.editor)
            styled, whole = renderer.portrait(portrait, network_look, layers, settings, code)
        with clock("transfer"):
            upscaler = self.guided_upscaler if settings.upscale == "network" else None
            return into_photo(portrait, styled, whole, settings, upscaler), to_pil(styled.reconstruction[:1])[0]

    # Looks

    def read_makeup(self, picture: photo_looks.MakeupLike) -> MakeupReference:
        """Read the make-up of a picture's largest face once, to use it for many photos; NoFaceError without one."""
        return photo_looks.makeup_of(self, picture)

    @property
    def looks(self) -> dict[str, LookRecipe]:
        """The looks that this model can give, by name, in the order in which they are shown."""
        return photo_looks.list_looks(self)

    def load_look(self, source: str | Path | LookRecipe, revision: str | None = None, **options) -> str:
        """Add a look to `looks`; one of that name is replaced.

        Args:
            source: a `LookRecipe`, a JSON file, a folder with a look.json, or a Hub id "user/name".
            revision: branch, tag or commit of a Hub id.
            options: token, cache_dir, local_files_only, as in huggingface_hub.

        Returns:
            Its name.

        Raises:
            InputError: nothing there, no look, or one that needs what this model lacks.
        """
        look = source if isinstance(source, LookRecipe) else load_look(source, revision, **options)
        raise_all([f"the look {look.name} needs {part}" for part in photo_looks.missing_parts(self, look)], InputError)
        self.added_looks[look.name] = look
        return look.name

    def thumbnails(
        self, image: PhotoLike | Portrait, px: int = 96, looks: Mapping[str, LookRecipe] | None = None
    ) -> Iterator[tuple[str, Image.Image]]:
        """Draw the head of a photo small in every look: yields (name, picture), each as soon as it is ready.

        Args:
            px: width and height of a thumbnail, 16 to 1024.
            looks: name -> look; None: all of `looks` that the photo has faces for.
        """
        return photo_looks.draw_thumbnails(self, self.open(image), px, looks)

    def refine(
        self,
        image: PhotoLike | Portrait,
        num_steps: int = GOOD_REFINE_STEPS,
        *,
        faces: Which | None = None,
        boxes: Sequence[FaceBox | Sequence[float]] | None = None,
        detector: FaceDetector | None = None,
        callback: StepCallback | None = None,
    ) -> Refinement:
        """Refine what the encoder says about faces of a photo, to style it with `refined=` as often as wanted.

        Args:
            image: a picture, a file name, a tensor [3, H, W] uint8, or what `open` made of one.
            num_steps: steps of optimisation; 0 only measures what the encoder loses.
            faces, boxes, detector: as in `__call__`.
            callback: called as callback(step, num_steps, loss) after each step; False stops, and what was reached so
                far is returned.

        Raises:
            InputError: an argument that does not work; all faults at once.
            NoFaceError, FaceTooSmallError, FaceTooTurnedError: nothing to work on.
        """
        raise_all([*refine_faults(num_steps), *([] if faces is None else which_faults(faces))], InputError)
        portrait = self.open(image, faces, boxes=boxes, detector=detector)
        return refine_portrait(self.generator, self.encoder, portrait, num_steps, callback=callback)


@contextmanager
def _photo_named(number: int, total: int) -> Iterator[None]:
    """Say in an error which of several photos it is about."""
    try:
        yield
    except InputError as error:
        if total == 1:
            raise
        raise type(error)(f"photo {number + 1} of {total}: {error}") from error
