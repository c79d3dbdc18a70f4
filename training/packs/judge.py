"""Whether an identity network may say who somebody is: only where its own measurement says that it can."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.errors import GanSpaceError
from gan_space.models.face_identity import FaceIdentity
from gan_space.models.hashing import weights_sha256

USELESS_EER = 0.3  # a network that is as often wrong is not asked


@dataclass(frozen=True)
class IdentityVerdict:
    """What is known of an identity network.

    usable: it may judge. reason: why not. eer: its error on pairs of real pictures. threshold: the cosine where both
    errors are equal. mean_same, mean_different: cosines of real pictures of one person, and of two, to read others by.
    """

    usable: bool
    reason: str = ""
    eer: float | None = None
    threshold: float | None = None
    mean_same: float | None = None
    mean_different: float | None = None


@dataclass(frozen=True)
class IdentityJudge:
    """An identity network, if there is one, and the verdict on it."""

    verdict: IdentityVerdict
    network: FaceIdentity | None = None

    @property
    def usable(self) -> bool:
        """It may judge."""
        return self.verdict.usable

    @torch.no_grad()
    def similarity(self, images: Tensor, photos: Tensor) -> Tensor:
        """Return the cosine of the vectors, [N]."""
        return F.cosine_similarity(self.network(images), self.network(photos))


def identity_judge(folder: Path) -> IdentityJudge:
    """Load the identity network in `folder` and read in its metrics.json how well it knows people.

    One that is missing, was measured with other weights, or has an equal-error rate above `USELESS_EER` is not used,
    and the verdict says so; nothing is raised.
    """

    def refuse(reason: str, **known: float) -> IdentityJudge:
        return IdentityJudge(IdentityVerdict(False, reason, **known))

    try:
        network = FaceIdentity.from_pretrained(folder).eval()
        metrics = json.loads((folder / "metrics.json").read_text())
        measured = metrics["identity"]
        known = {key: float(measured[key]) for key in ("eer", "mean_same", "mean_different")}
        known["threshold"] = float(measured["eer_threshold"])
        sha256 = metrics["model_sha256"]
    except (GanSpaceError, OSError, ValueError, KeyError, TypeError) as error:
        return refuse(f"no identity network with a measurement of it: {str(error).splitlines()[0]}")
    if sha256 != weights_sha256(network):
        return refuse("the measurement beside the network is of other weights")
    if known["eer"] > USELESS_EER:
        return refuse(
            f"it takes {known['eer']:.0%} of pairs of real pictures for the wrong kind, expected "
            f"{USELESS_EER:.0%} at most", **known,
        )  # fmt: skip
    return IdentityJudge(IdentityVerdict(True, **known), network)
