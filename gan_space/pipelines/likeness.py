"""How alike two faces are, and what that is worth: read beside pairs of photos whose people are known.

A cosine alone says nothing. `training/identity/evaluate.py` compares photos of people that the network never saw and
writes what it found into identity/metrics.json of the model folder; a `LikenessScale` is read from there, so that 0.5
becomes "3 in 100 pairs of strangers are as alike". The judge errs, and its error stands beside every verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from gan_space.errors import InputError, raise_all
from gan_space.foreign_files import read_json_file
from gan_space.images import from_pil, resize_faces
from gan_space.models.face_identity import FaceIdentity
from gan_space.models.hashing import weights_sha256
from gan_space.packs.attaching import attached
from gan_space.packs.identity import IdentityPack

if TYPE_CHECKING:
    from gan_space.faces.align import AlignTransform
    from gan_space.models.generator import Generator

METRICS_FILE = "metrics.json"
CLEARLY = 0.05  # share of pairs of strangers that may be as alike as a pair that is called clearly alike
VERDICTS = ("alike", "rather_alike", "undecided", "strangers")


@dataclass(frozen=True)
class LikenessScale:
    """What cosines mean, as it was measured on pairs of photos of people whom the network never saw.

    Args:
        threshold: cosine at which as many pairs of one person are refused as pairs of two are accepted.
        error_rate: the share of both that is wrong there (equal-error rate).
        mean_same, mean_different: mean cosine of pairs of one person, and of two.
        num_people: with two photos or more.
        num_same, num_different: pairs.
        shares: ascending from 0 to 1.
        same, different: cosine below which that share of the pairs lies.
    """

    threshold: float
    error_rate: float
    mean_same: float
    mean_different: float
    num_people: int
    num_same: int
    num_different: int
    shares: tuple[float, ...]
    same: tuple[float, ...]
    different: tuple[float, ...]

    def strangers_as_alike(self, cosine: float) -> float:
        """Return the share of pairs of two people whose cosine is at least this."""
        return 1 - float(np.interp(cosine, self.different, self.shares))

    def same_less_alike(self, cosine: float) -> float:
        """Return the share of pairs of one person whose cosine is below this."""
        return float(np.interp(cosine, self.same, self.shares))

    def verdict(self, cosine: float) -> str:
        """Return one of VERDICTS; only the first is more than a hint, and not even that is a proof."""
        if cosine < self.threshold:
            return "undecided" if cosine > self.mean_different else "strangers"
        return "alike" if self.strangers_as_alike(cosine) <= CLEARLY else "rather_alike"

    @classmethod
    def from_metrics(cls, metrics: object) -> LikenessScale | None:
        """Read what `training/identity/evaluate.py` wrote; None where identities or their quantiles are not in it."""
        try:
            found = metrics["identity"]
            quantiles = found["quantiles"]
            numbers = {
                "threshold": found["eer_threshold"],
                "error_rate": found["eer"],
                "mean_same": found["mean_same"],
                "mean_different": found["mean_different"],
            }
            counts = {
                "num_people": found["num_people_with_pairs"],
                "num_same": found["num_same"],
                "num_different": found["num_different"],
            }
            lines = {name: tuple(map(float, quantiles[name])) for name in ("shares", "same", "different")}
            scale = cls(
                **{name: float(value) for name, value in numbers.items()},
                **{name: int(value) for name, value in counts.items()},
                **lines,
            )
        except (KeyError, TypeError, ValueError):  # a record made by hand, or by an older version
            return None
        rows = (scale.shares, scale.same, scale.different)
        whole = len({len(row) for row in rows}) == 1 and len(scale.shares) > 1
        return scale if whole and all((np.diff(row) >= 0).all() for row in rows) else None


@dataclass(frozen=True)
class Likeness:
    """How alike a face is to a person.

    Args:
        cosine: of the two vectors, from -1 to 1; the mean over the person's pictures where there are several.
        verdict: one of VERDICTS, or "" without a scale.
        strangers_as_alike, same_less_alike: see `LikenessScale`; None without a scale.
        error_rate: how often the judge is wrong at its threshold; None without a scale.
        of_drawings: cosine of the drawings that it was compared with to the photos that they stand for; None where it
            was compared with pictures themselves, or nothing is known of it.
    """

    cosine: float
    verdict: str = ""
    strangers_as_alike: float | None = None
    same_less_alike: float | None = None
    error_rate: float | None = None
    of_drawings: float | None = None


class FaceJudge:
    """Compares aligned faces.

    Args:
        identity: the network, in evaluation mode.
        scale: what its cosines mean; None where nothing was measured for these very weights.

    Example:
        >>> judge = FaceJudge(FaceIdentity(resolution=32, width=4, embedding_dim=8).eval())
        >>> faces = torch.rand(2, 3, 64, 64)
        >>> judge.likeness(faces[:1], judge.embed(faces))[0].verdict
        ''
    """

    def __init__(self, identity: FaceIdentity, scale: LikenessScale | None = None):
        self.identity, self.scale = identity, scale

    @classmethod
    def from_folder(cls, folder: str | Path, identity: FaceIdentity | None = None) -> FaceJudge | None:
        """Make the judge of a model folder; None where it has no identity/; `identity` if that is loaded already."""
        place = Path(folder) / "identity"
        if not (place / "config.json").is_file():
            return None
        if identity is None:
            identity = FaceIdentity.from_pretrained(place).eval().requires_grad_(False)
        try:
            metrics = read_json_file(place / METRICS_FILE)
        except (OSError, ValueError):
            return cls(identity)
        # Numbers of other weights would be no measure of these.
        fits = metrics.get("model_sha256") == weights_sha256(identity)
        return cls(identity, LikenessScale.from_metrics(metrics) if fits else None)

    @torch.no_grad()
    def embed(self, faces: Tensor | Sequence[Image.Image]) -> Tensor:
        """Return the unit vectors [N, E] of faces in the tight frame: [N, 3, S, S] in [-1, 1], or N square pictures."""
        if not isinstance(faces, Tensor):
            faces = torch.cat([resize_faces(from_pil(face), self.identity.resolution) for face in faces])
        return self.identity(faces.to(self.identity.device).float().clamp(-1, 1)).cpu()

    @torch.no_grad()
    def embed_pack(self, pack: IdentityPack, generator: Generator) -> Tensor:
        """Embed what the model draws of each photo of a profile, which are not kept: [K, E]."""
        with attached(generator, [(pack.delta, 1.0)]):
            drawn = generator.synthesis(pack.anchors.to(generator.device), noise_mode="const")
        return self.embed(drawn)

    @torch.no_grad()
    def embed_photo(self, photo: Tensor, transform: AlignTransform) -> Tensor:
        """Return [1, E] of the face that `transform` frames in a photo [3, H, W] uint8."""
        return self.embed(transform.crop(photo, self.identity.resolution))

    def likeness(self, faces: Tensor | Sequence[Image.Image], person: Tensor) -> list[Likeness]:
        """Say how alike each face is to a person.

        Args:
            faces: as in `embed`.
            person: embeddings [K, E] of pictures of that person, K of 1 or more.
        """
        return self.of_embeddings(self.embed(faces), person)

    def of_embeddings(self, embeddings: Tensor, person: Tensor) -> list[Likeness]:
        """Return the same for faces that are embedded already, [N, E].

        Raises:
            InputError: embeddings of another shape, or of nobody.
        """
        shapes = list(embeddings.shape), list(person.shape)
        faults = []
        if embeddings.ndim != 2 or person.ndim != 2 or not len(person) or embeddings.shape[1] != person.shape[1]:
            faults.append(f"expected embeddings [N, E] and [K, E] with K of 1 or more, got {shapes[0]} and {shapes[1]}")
        raise_all(faults, InputError)
        return [self.judged(cosine) for cosine in (embeddings @ person.T).mean(dim=1).tolist()]

    def judged(self, cosine: float) -> Likeness:
        """Return what a cosine is worth."""
        scale = self.scale
        if scale is None:
            return Likeness(cosine)
        return Likeness(
            cosine,
            scale.verdict(cosine),
            scale.strangers_as_alike(cosine),
            scale.same_less_alike(cosine),
            scale.error_rate,
        )
