"""What the aligner is trained by."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from gan_space.models.aligner import AlignerOutput
from training.common.disturb import DisturbedBatch


def aligner_loss(output: AlignerOutput, batch: DisturbedBatch, yaw: Tensor) -> dict[str, Tensor]:
    """Return the parts of the loss, unweighted.

    Args:
        output: of the network, for N crops.
        batch: the N crops.
        yaw: [N], nan where unknown.

    Returns:
        points: mean distance of a point from its place, in eye distances, over the faces.
        spread: negative log-likelihood of these distances under the predicted error (Laplace); moves only that output.
        face: cross-entropy of face or not. yaw: mean absolute error.
    """
    distance = point_errors(output.points, batch)[batch.is_face]
    log_error = output.log_error[batch.is_face]
    spread = log_error + distance.detach() / log_error.exp()
    known = batch.is_face & yaw.isfinite()
    # A sum over an empty selection is zero, where its mean would be nan.
    return {
        "points": distance.sum() / max(len(distance), 1),
        "spread": spread.sum() / max(len(spread), 1),
        "face": F.binary_cross_entropy_with_logits(output.face_logit, batch.is_face.float()),
        "yaw": (output.yaw - yaw)[known].abs().sum() / max(int(known.sum()), 1),
    }


def point_errors(points: Tensor, batch: DisturbedBatch) -> Tensor:
    """Return the mean distance of the three points from their places, over the eye distance: [N]."""
    squares = (points - batch.points).square().sum(dim=-1)
    return (squares + 1e-12).sqrt().mean(dim=-1) / batch.eye_distance
