"""What the landmarker is trained by."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.faces.landmarks import BROWS, LEFT_EYE, LIPS, OPENINGS, RIGHT_EYE
from gan_space.models.landmarker import NUM_LANDMARKS, LandmarkerOutput
from training.landmarker.crops import CropBatch

FINE_WEIGHT = 2.0  # of lips, lids and brows: they move, and edits depend on them
TERM_WEIGHTS = {"openings": 0.3, "spread": 0.03, "face": 0.04, "cover": 0.04}  # so that the points lead


def point_weights() -> Tensor:
    """Return the weight of each place, [468], 1 on average."""
    weights = torch.ones(NUM_LANDMARKS)
    weights[[*LIPS, *LEFT_EYE, *RIGHT_EYE, *BROWS]] = FINE_WEIGHT
    return weights / weights.mean()


def landmarker_loss(output: LandmarkerOutput, batch: CropBatch, weights: Tensor) -> dict[str, Tensor]:
    """Return the parts of the loss, unweighted.

    Args:
        output: of the network, for N crops.
        batch: the N crops.
        weights: [468] of the places.

    Returns:
        points: mean distance of a place from where it should be, in eye distances, over the faces.
        openings: mean error of the vectors across lids and lips, in eye distances.
        spread: negative log-likelihood of these distances under the predicted error (Laplace); moves only that output.
        face: cross-entropy of face or not. cover: cross-entropy of covered or not.
    """
    faces = batch.is_face.nonzero().flatten()
    offset = (output.points[faces] - batch.points[faces]) / batch.eye_distance[faces, None, None]
    distance = (offset.square().sum(dim=-1) + 1e-8).sqrt()  # [faces, 468]
    log_error = output.log_error[faces]
    first, second = zip(*OPENINGS, strict=True)
    across = offset[:, list(first)] - offset[:, list(second)]
    return {
        "points": (distance * weights).mean(),
        "openings": (across.square().sum(dim=-1) + 1e-8).sqrt().mean(),
        "spread": (log_error + distance.detach() / log_error.exp()).mean(),
        "face": F.binary_cross_entropy_with_logits(output.face_logit, batch.is_face.float()),
        "cover": F.binary_cross_entropy_with_logits(output.cover_logit[faces], batch.covered[faces]),
    }
