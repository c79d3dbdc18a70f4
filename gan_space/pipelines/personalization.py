"""PersonalizationPipeline: a profile from a few photos of one person, and portraits of that person from seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Self

import torch
from diffusers import DiffusionPipeline
from diffusers.utils import BaseOutput
from PIL import Image
from torch import Tensor

from gan_space import hub
from gan_space.errors import ConfigError, InputError, PackError, raise_all
from gan_space.faces.shape import SHAPE_FOLDER, ShapeModel, Slider
from gan_space.images import to_pil
from gan_space.models.aligner import Aligner
from gan_space.models.analyzer import Analyzer
from gan_space.models.discriminator import Discriminator
from gan_space.models.editor import Editor
from gan_space.models.encoder import Encoder
from gan_space.models.face_identity import FaceIdentity
from gan_space.models.generator import Generator
from gan_space.models.guided_upscaler import GuidedUpscaler
from gan_space.models.hashing import weights_sha256
from gan_space.models.landmarker import Landmarker
from gan_space.models.segmenter import Segmenter
from gan_space.packs.attaching import attached
from gan_space.packs.identity import MAX_BEYOND, IdentityPack, hull_codes
from gan_space.pipelines import arguments
from gan_space.pipelines.base import PhotoMixin, editor_mismatches, encoder_mismatches, part_of
from gan_space.pipelines.drawing import codes_of_seeds, enlarge
from gan_space.pipelines.own_portraits import OwnPortrait, PortraitSetMaker, PortraitSetOutput
from gan_space.pipelines.photo_edit import PhotoEditor, PhotoEditOutput
from gan_space.pipelines.photo_filter import CheckedPhotos
from gan_space.pipelines.profiles import ProfileMaker
from gan_space.pipelines.recipe import settings_faults
from gan_space.pipelines.steered import SteeredPipeline
from gan_space.pipelines.style_packs import StylePackMixin
from gan_space.portraits.aging import AGE_FILE, AgeModel
from gan_space.portraits.portrait import Portrait
from gan_space.styles.apply import NetworkLook, Renderer

Progress = Callable[[int, int], None]
Attributes = Mapping[str, float] | Sequence[Mapping[str, float]] | None


@dataclass
class PersonalizationPipelineOutput(BaseOutput):
    """Portraits of a person.

    Args:
        images: N pictures; or [N, 3, R, R] float32 in [-1, 1] for "pt".
        w_plus: [N, num_ws, w_dim], the codes as they were drawn, on the CPU.
        seeds: the seed of each picture.
        recipe: one JSON-able dict a picture; of the profile it holds a hash alone.
    """

    images: list[Image.Image] | Tensor
    w_plus: Tensor
    seeds: list[int]
    recipe: list[dict]


class PersonalizationPipeline(StylePackMixin, PhotoMixin, SteeredPipeline):
    """Make a profile of one person, draw portraits from it, and edit the attributes of a photo.

    Args:
        generator, encoder, aligner: the networks; the encoder was trained for this generator.
        identity: compares faces, to tell whose they are; without one, photos of other people are not noticed.
        discriminator: for the perceptual loss of `fit`; without one, the pixels alone count.
        editor: carries changes of the code over to the features of a photo; without one, `edit` does little.
        upscaler: enlarges a face that `edit` draws anew; may be None, then plain filters do.
        landmarker: finds the parts of a face; may be None.
        segmenter: finds hair and person; may be None.
        analyzer: tells who wears glasses already; may be None.

    Raises:
        ConfigError: an encoder or editor for another generator, or a generator with classes; all faults at once.

    Example:
        >>> person = PersonalizationPipeline.from_pretrained("user/portraits-128")  # doctest: +SKIP
        >>> me = person.fit(photos, consent=Consent("my own face", "myself"))  # doctest: +SKIP
        >>> person(pack=me, seeds=[7, 8], attributes={"smile": 1}).images[0].save("me.png")  # doctest: +SKIP
    """

    _component_classes = {  # noqa: RUF012
        "generator": Generator,
        "encoder": Encoder,
        "aligner": Aligner,
        "identity": FaceIdentity,
        "discriminator": Discriminator,
        "editor": Editor,
        "guided_upscaler": GuidedUpscaler,
        "landmarker": Landmarker,
        "segmenter": Segmenter,
        "analyzer": Analyzer,
    }
    _optional_components = [  # noqa: RUF012
        "identity",
        "discriminator",
        "editor",
        "guided_upscaler",
        "landmarker",
        "segmenter",
        "analyzer",
    ]

    def __init__(
        self,
        generator: Generator,
        encoder: Encoder,
        aligner: Aligner,
        identity: FaceIdentity | None = None,
        discriminator: Discriminator | None = None,
        editor: Editor | None = None,
        guided_upscaler: GuidedUpscaler | None = None,
        landmarker: Landmarker | None = None,
        segmenter: Segmenter | None = None,
        analyzer: Analyzer | None = None,
    ):
        super().__init__(
            generator=generator,
            encoder=encoder,
            aligner=aligner,
            identity=identity,
            discriminator=discriminator,
            editor=editor,
            guided_upscaler=guided_upscaler,
            landmarker=landmarker,
            segmenter=segmenter,
            analyzer=analyzer,
        )
        faults = encoder_mismatches(generator, encoder) + editor_mismatches(encoder, editor)
        if generator.config.c_dim:
            faults.append(f"profiles are for generators without classes, this one has {generator.config.c_dim}")
        raise_all(faults, ConfigError)
        self._generator_hash: str | None = None
        self.shapes: ShapeModel | None = None
        self.ages: AgeModel | None = None

    @torch.no_grad()
    def __call__(
        self,
        pack: IdentityPack | str | Path,
        seeds: Sequence[int] | None = None,
        num_images: int | None = None,
        *,
        attributes: Attributes = None,
        identity_strength: float = 1.0,
        beyond: float = 0.02,
        truncation_psi: float = 0.7,
        style: Mapping[str, float] | str | None = None,
        upscale_factor: int = 1,
        batch_size: int = 8,
        output_type: str = "pil",
        callback: Progress | None = None,
    ) -> PersonalizationPipelineOutput:
        """Draw one portrait of the person a seed.

        Args:
            pack: the profile, or its folder.
            seeds: N seeds in [0, 2**32 - 1]; None draws `num_images` of them at random.
            num_images: how many, where no seeds are given; 1 if None.
            attributes: such as {"smile": 1.5}, one dict for all pictures or a list with one for each; see
                `pipe.directions` for names and ranges.
            identity_strength: 1 draws the person, 0 the seed's plain random face, anything between a relative.
            beyond: how far outside of the photos' hull pictures may lie, 0 to 0.5: more variety, less likeness.
            truncation_psi: of the random faces that `identity_strength` below 1 mixes in.
            style: style packs on top, {name: weight} or one name; see `load_style_pack`. None: those of `set_packs`.
                Portraits get them through the encoder, as photos do.
            upscale_factor: enlarge the finished picture 1, 2, 4, 8 or 16 times (Lanczos); only for "pil".
            batch_size: pictures at once; changes memory and speed, not the pictures.
            output_type: "pil" or "pt".
            callback: called as callback(done, total) after every batch.

        Raises:
            InputError: an argument that does not work; all faults at once.
            PackError: a profile that is damaged, forgotten, or was made for another model.
        """
        faults = settings_faults(
            truncation_psi=truncation_psi, truncation_cutoff=None, noise_mode="const", upscale_factor=upscale_factor
        )
        faults += arguments.output_faults(output_type, batch_size, upscale_factor)
        faults += arguments.range_faults(identity_strength=(identity_strength, 1.0), beyond=(beyond, MAX_BEYOND))
        if output_type == "np":
            faults.append("output_type must be 'pil' or 'pt', got 'np'")
        seeds, more_faults = arguments.choose_seeds(seeds, num_images, None, "const")
        amounts, even_more = arguments.check_attributes(attributes, len(seeds), self.directions)
        raise_all(faults + more_faults + even_more, InputError)
        pack = self.load_identity_pack(pack)
        weights = dict(self._check_weights(style, load=True)) if style is not None else dict(self._pack_weights)

        random_codes = codes_of_seeds(self.generator, seeds, truncation_psi, None, [])
        codes = torch.lerp(random_codes, hull_codes(pack, seeds, beyond).to(random_codes), identity_strength)
        if any(amounts):
            codes = codes + torch.stack([self.directions.shift(wanted) for wanted in amounts]).to(codes)
        parts = []
        for part in codes.split(batch_size):
            with attached(self.generator, [(pack.delta, identity_strength)]):
                portraits = self.generator.synthesis(part, noise_mode="const")
            parts.append(self._restyled(portraits, weights))
            if callback is not None:
                callback(sum(map(len, parts)), len(codes))
        images = torch.cat(parts)
        recipe = [
            self._recipe(pack, seed, wanted, identity_strength, beyond, truncation_psi, weights, upscale_factor)
            for seed, wanted in zip(seeds, amounts, strict=True)
        ]
        if output_type == "pil":
            images = [enlarge(picture, upscale_factor) for picture in to_pil(images)]
        return PersonalizationPipelineOutput(images=images, w_plus=codes.cpu(), seeds=seeds, recipe=recipe)

    @property
    def photo_sliders(self) -> dict[str, Slider]:
        """What `edit` offers for photos: sliders that convince there, by name."""
        return part_of(self, PhotoEditor).photo_sliders

    @wraps(PhotoEditor.edit)
    def edit(self, *args, **kwargs) -> PhotoEditOutput:
        return part_of(self, PhotoEditor).edit(*args, **kwargs)

    @wraps(PhotoEditor.wears_glasses)
    def wears_glasses(self, portrait: Portrait) -> bool:
        return part_of(self, PhotoEditor).wears_glasses(portrait)

    @wraps(ProfileMaker.check_photos)
    def check_photos(self, *args, **kwargs) -> CheckedPhotos:
        return self._profile_maker().check_photos(*args, **kwargs)

    @wraps(ProfileMaker.fit)
    def fit(self, *args, **kwargs) -> IdentityPack:
        return self._profile_maker().fit(*args, **kwargs)

    @wraps(ProfileMaker.fit_faces)
    def fit_faces(self, *args, **kwargs) -> IdentityPack:
        return self._profile_maker().fit_faces(*args, **kwargs)

    def _profile_maker(self) -> ProfileMaker:
        return part_of(self, ProfileMaker, hash_of_generator=self._hash_of_generator, draw=self)

    @wraps(PortraitSetMaker.portraits)
    def portraits(self, *args, **kwargs) -> PortraitSetOutput:
        return part_of(self, PortraitSetMaker).portraits(*args, **kwargs)

    @wraps(PortraitSetMaker.each_portrait)
    def each_portrait(self, *args, **kwargs) -> Iterator[OwnPortrait]:
        return part_of(self, PortraitSetMaker).each_portrait(*args, **kwargs)

    @wraps(PortraitSetMaker.check_own_photos)
    def check_own_photos(self, *args, **kwargs) -> CheckedPhotos:
        return part_of(self, PortraitSetMaker).check_own_photos(*args, **kwargs)

    @torch.no_grad()
    def restyle(self, faces: Tensor, style: Mapping[str, float] | str) -> Tensor:
        """Give faces in their frames style packs, such as random ones that `GenerationPipeline` drew.

        Args:
            faces: [N, 3, R, R] in [-1, 1], R as the generator draws.
            style: as in `__call__`.

        Returns:
            [N, 3, R, R] float32, about [-1, 1], on the CPU.

        Raises:
            InputError: faces of another shape, or a weight that is no number.
            PackError: a pack that is not there or does not fit.
        """
        R = self.resolution
        if faces.ndim != 4 or tuple(faces.shape[1:]) != (3, R, R):
            raise InputError(f"expected faces [N, 3, {R}, {R}] in [-1, 1], got {list(faces.shape)}")
        weights = dict(self._check_weights(style, load=True))
        parts = faces.to(self.generator.device).split(8)
        return torch.cat([self._restyled(part, weights) for part in parts])

    def _restyled(self, faces: Tensor, weights: Mapping[str, float]) -> Tensor:
        look = NetworkLook(packs=tuple((self._packs[name], weight) for name, weight in weights.items()))
        with attached(self.generator, []):  # nor a pack of another thread
            return Renderer(self.generator, self.encoder).over(faces, look).float().cpu()

    def load_identity_pack(self, pack: IdentityPack | str | Path) -> IdentityPack:
        """Read a profile from its folder, or take one in memory, and check that it is for this model.

        Raises:
            PackError: none there, damaged, forgotten, or made for another model; names both.
        """
        if not isinstance(pack, IdentityPack):
            if not hub.is_folder(pack):  # never the Hub: a mistyped path may be the name of a person
                raise PackError(
                    f"there is no pack at {pack}: expected a folder; a profile on the Hub is loaded first, with "
                    "IdentityPack.from_pretrained"
                )
            pack = IdentityPack.from_pretrained(pack)
        pack.check_base(self._hash_of_generator(), self.model_name or "a model in memory")
        pack.check_fits(self.generator)
        return pack

    def _recipe(self, pack, seed, amounts, identity_strength, beyond, truncation_psi, looks, upscale_factor) -> dict:
        recipe = {
            "kind": "portrait of a profile",
            "model": self.model_name,
            "revision": self.revision,
            "profile": pack.digest,
            "seed": seed,
            "identity_strength": float(identity_strength),
            "beyond": float(beyond),
            "truncation_psi": float(truncation_psi),
            "upscale_factor": upscale_factor,
        }
        recipe |= {"attributes": amounts} if amounts else {}
        return recipe | (
            {"packs": [{"name": name, "weight": weight} for name, weight in looks.items()]} if looks else {}
        )

    @classmethod
    def from_pipe(cls, pipeline: DiffusionPipeline, **components) -> Self:
        """Make a pipeline that shares networks, directions and shape sliders of another one."""
        new = super().from_pipe(pipeline, **components)
        if new.shapes is None:
            new.shapes, new.ages = getattr(pipeline, "shapes", None), getattr(pipeline, "ages", None)
        if new.shapes is None and new.source.folder is not None:
            new._load_shapes(new.source.folder)
        return new

    def _load_extras(self, folder: Path) -> None:
        super()._load_extras(folder)
        self._load_shapes(folder)

    def _load_shapes(self, folder: Path) -> None:
        if (folder / SHAPE_FOLDER).is_dir():
            self.shapes = ShapeModel.load(folder / SHAPE_FOLDER)
            if (folder / SHAPE_FOLDER / AGE_FILE).is_file():
                self.ages = AgeModel.load(folder / SHAPE_FOLDER, self.shapes.mean)

    def _hash_of_generator(self) -> str:
        if self._generator_hash is None:
            with attached(self.generator, []):  # the weights as they are without any pack
                self._generator_hash = weights_sha256(self.generator)
        return self._generator_hash
