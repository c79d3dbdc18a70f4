"""Making a profile of one person: photos are checked, a profile is fitted; and the one way to push it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from diffusers.utils import BaseOutput
from PIL import Image
from torch import Tensor

from gan_space import hub
from gan_space.errors import InputError, PackError
from gan_space.faces.detect import FaceDetector
from gan_space.images import image_grid
from gan_space.models.aligner import Aligner
from gan_space.models.discriminator import Discriminator
from gan_space.models.encoder import Encoder
from gan_space.models.face_identity import FaceIdentity
from gan_space.models.generator import Generator
from gan_space.models.landmarker import Landmarker
from gan_space.output.provenance import save_image
from gan_space.packs.attaching import attached
from gan_space.packs.consent import Consent
from gan_space.packs.identity import IdentityPack
from gan_space.packs.identity_tuning import IdentitySettings, tune_identity
from gan_space.packs.low_rank import LowRankDelta
from gan_space.pipelines.photo_filter import CheckedPhotos, PhotoLike, PhotoLimits, check_photos

PREVIEW_PX = 256
PREVIEW_SEEDS = (1, 2, 3, 4)
Progress = Callable[[int, int], None]
FitCallback = Callable[[int, int, Image.Image | None], bool | None]


@dataclass(frozen=True, eq=False)
class ProfileMaker:
    """Makes profiles with these networks; landmarker, identity and discriminator may be None.

    Args:
        resolution: of a face's frame in px.
        model_name: what a profile says that it was made for.
        hash_of_generator: gives the hash of the weights without any pack.
        draw: draws portraits from a profile, as `PersonalizationPipeline` does.
    """

    generator: Generator
    encoder: Encoder
    aligner: Aligner
    landmarker: Landmarker | None
    identity: FaceIdentity | None
    discriminator: Discriminator | None
    resolution: int
    model_name: str
    hash_of_generator: Callable[[], str]
    draw: Callable[..., BaseOutput]

    def check_photos(
        self,
        photos: Sequence[PhotoLike],
        *,
        limits: PhotoLimits | None = None,
        detector: FaceDetector | None = None,
        callback: Progress | None = None,
    ) -> CheckedPhotos:
        """Say which photos a profile would be made from, and why not from the others; `fit` takes the result too.

        Arguments, and what is raised, are those of `photo_filter.check_photos`.
        """
        return check_photos(
            photos,
            self.aligner,
            self.resolution,
            landmarker=self.landmarker,
            identity=self.identity,
            limits=limits,
            detector=detector,
            callback=callback,
        )

    def fit(
        self,
        photos: Sequence[PhotoLike] | CheckedPhotos,
        *,
        consent: Consent,
        num_steps: int = 300,
        rank: int = 8,
        seed: int = 0,
        settings: IdentitySettings | None = None,
        limits: PhotoLimits | None = None,
        detector: FaceDetector | None = None,
        callback: FitCallback | None = None,
    ) -> IdentityPack:
        """Make a profile of one person; nothing is written and no photo is kept.

        Args:
            photos: 1 to 20 photos of one person, or what `check_photos` made of them; those that are of no use are
                passed over, with the reason in `check_photos(...).lines()`.
            consent: whose face it is and who agreed.
            num_steps: of optimisation, in all.
            rank: of the change of the weights; more keeps more of the person and makes a larger profile.
            seed: of everything random.
            settings: all details; num_steps, rank and seed still count.
            limits, detector: see `photo_filter.check_photos`.
            callback: called as callback(step, num_steps, preview or None) after every step; False stops.

        Raises:
            InputError: not one photo can be used; gives the reason for each.
            Cancelled: the callback answered False.
        """
        check_consent(consent)
        if not isinstance(photos, CheckedPhotos):
            photos = self.check_photos(photos, limits=limits, detector=detector)
        options = {"num_steps": num_steps, "rank": rank, "seed": seed, "settings": settings, "callback": callback}
        pack = self.fit_faces(photos.crops, consent=consent, **options)
        return replace(pack, training=pack.training | {"refused": photos.count()})

    def fit_faces(
        self,
        faces: Tensor,
        *,
        consent: Consent,
        num_steps: int = 300,
        rank: int = 8,
        seed: int = 0,
        settings: IdentitySettings | None = None,
        callback: FitCallback | None = None,
    ) -> IdentityPack:
        """Make a profile of faces that are aligned already.

        Args:
            faces: [K, 3, R, R] in [-1, 1], K from 1 to 20, in the tight frame.
            consent, num_steps, rank, seed, settings, callback: as in `fit`.

        Raises:
            InputError: faces of another shape or number.
            Cancelled: the callback answered False.
        """
        check_consent(consent)
        settings = replace(settings or IdentitySettings(), num_steps=num_steps, rank=rank, seed=seed)
        faces = faces.to(self.generator.device)

        def say(step: int, total: int, preview: Tensor | None) -> bool | None:
            return callback(step, total, None if preview is None else image_grid(preview.cpu()))

        with torch.no_grad():
            start = self.encoder(faces).w_plus
        tuned = tune_identity(
            self.generator,
            faces,
            start,
            discriminator=self.discriminator,
            identity=self.identity,
            settings=settings,
            callback=None if callback is None else say,
        )
        pack = IdentityPack(
            anchors=tuned.anchors,
            delta=tuned.delta,
            base_model=self.model_name or "a model in memory",
            base_hash=self.hash_of_generator(),
            consent=consent,
            num_photos=len(faces),
            quality=tuned.quality | self._similarity(faces, start, tuned.anchors, tuned.delta),
            training=tuned.training,
        )
        return replace(pack, preview=self._preview(pack))

    @torch.no_grad()
    def _similarity(self, faces: Tensor, start: Tensor, anchors: Tensor, delta: LowRankDelta) -> dict[str, float]:
        """Mean cosine of the photos with what is drawn of them, before and after tuning."""
        if self.identity is None:
            return {}
        wanted = self.identity(faces)
        numbers = {}
        for name, codes, deltas in (
            ("similarity_start", start, []),
            ("similarity", anchors.to(self.generator.device), [(delta, 1.0)]),
        ):
            with attached(self.generator, deltas):
                drawn = self.generator.synthesis(codes, noise_mode="const").float().clamp(-1, 1)
            numbers[name] = round((self.identity(drawn) * wanted).sum(dim=1).mean().item(), 4)
        return numbers

    def _preview(self, pack: IdentityPack) -> bytes:
        """preview.png: four portraits that were drawn, none of the photos; labelled as every picture is."""
        drawn = self.draw(pack, seeds=PREVIEW_SEEDS, style={}, output_type="pt")
        sheet = image_grid(drawn.images)
        sheet = sheet.resize((PREVIEW_PX, PREVIEW_PX), Image.Resampling.LANCZOS)
        with tempfile.TemporaryDirectory() as folder:
            recipe = drawn.recipe[0] | {"seed": None, "seeds": list(PREVIEW_SEEDS)}
            return save_image(sheet, Path(folder) / "preview.png", recipe=recipe).read_bytes()


def push_identity_pack(
    pack: IdentityPack,
    repo_id: str,
    *,
    i_have_consent: bool = False,
    private: bool = True,
    token: str | bool | None = None,
) -> hub.Upload:
    """Put a profile on the Hub: the only way by which one leaves this machine.

    Args:
        pack: the profile; its record of consent goes along.
        repo_id: "user/name"; made if it does not exist.
        i_have_consent: has to be True: the person agreed to this too.
        private: False lets everybody who finds it draw portraits of the person.
        token: with write access; None takes the one of `hf auth login` or HF_TOKEN.

    Raises:
        PackError: `i_have_consent` is not True.
        InputError: the repository is public where a private one is wanted, or the Hub did not take it.
    """
    if i_have_consent is not True:
        raise PackError(
            "a profile shows a real person, so it is not pushed unless they agreed to that: ask them, then call "
            "push_identity_pack(..., i_have_consent=True)"
        )
    with tempfile.TemporaryDirectory(prefix="gan-space-push-") as name:
        folder = pack.save_pretrained(Path(name) / "pack")
        return hub.upload(folder, repo_id, private=private, token=token, message="Push an identity profile")


def check_consent(consent: object) -> None:
    """Raise InputError for anything but a record of consent."""
    if not isinstance(consent, Consent):
        raise InputError(
            "portraits of a person need a record of consent: consent=Consent(whose_face='my own face', "
            f"agreed_by='myself'); got {type(consent).__name__}"
        )
