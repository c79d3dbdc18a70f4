"""The last layer of an identity network, fitted without gradients.

Steps of gradients on disturbed views leave a last layer that a linear fit on the faces as they are beats. What the fit
is unsure of, it makes small; spread out again, all directions in which people differ count more alike.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.images import from_uint8, resize_faces
from gan_space.models.face_identity import FaceIdentity
from training.identity.data import TaughtFaces

RIDGE = 0.3  # of the fit, in mean variances of a feature
SPREAD = 0.5  # 0 leaves the vectors as they are, 1 gives every direction the same variance
FLOOR = 1e-4  # variance below which a direction is noise


@torch.no_grad()
def finish(model: FaceIdentity, faces: TaughtFaces, *, ridge: float = RIDGE, spread: float = SPREAD) -> None:
    """Replace the last layer by the ridge regression from what the trunk sees to the teacher's vectors, spread out.

    Args:
        model: in evaluation mode; is changed.
        faces: that it learned from.
        ridge, spread: see RIDGE and SPREAD.
    """
    features = torch.cat([_features(model, part) for part in torch.from_numpy(faces.images).split(128)])  # [N, F]
    targets = F.normalize(faces.vectors - faces.vectors.mean(dim=0), dim=1).double()
    weight, bias = ridge_regression(features, targets, ridge)
    vectors = F.normalize(features.double() @ weight.T + bias, dim=1)
    spreading = spread_matrix(vectors, spread)
    model.to_embedding.weight.copy_(spreading @ weight)
    model.to_embedding.bias.copy_(spreading @ bias)


def last_layer_record(faces: TaughtFaces, ridge: float = RIDGE, spread: float = SPREAD) -> dict[str, float]:
    """Return what training.json says of it."""
    return {"faces": len(faces), "ridge": ridge, "spread": spread}


def _features(model: FaceIdentity, images: Tensor) -> Tensor:
    """Mean of what the trunk sees in faces [N, S, S, 3] uint8 and in their mirror images: [N, F] float32."""
    images = resize_faces(from_uint8(images.permute(0, 3, 1, 2)), model.resolution)
    both = model.trunk(torch.cat([images, images.flip(3)])).float().flatten(1)
    return both.unflatten(0, (2, len(images))).mean(dim=0)


def ridge_regression(features: Tensor, targets: Tensor, ridge: float) -> tuple[Tensor, Tensor]:
    """Return the weight [D, F] and bias [D], float64, of the map from [N, F] to [N, D] with the least squared error.

    Args:
        features, targets: rows that belong together.
        ridge: holds the weight small, in mean variances of a feature.
    """
    middle, target_middle = features.double().mean(dim=0), targets.mean(dim=0)
    centred = features.double() - middle
    covariance = centred.T @ centred / len(centred)
    covariance.diagonal().add_(ridge * covariance.diagonal().mean() + 1e-12)
    weight = torch.linalg.solve(covariance, centred.T @ (targets - target_middle) / len(centred)).T
    return weight, target_middle - weight @ middle


def spread_matrix(vectors: Tensor, power: float) -> Tensor:
    """Return the symmetric [D, D] that divides each principal direction of [N, D] by its deviation to the `power`."""
    variances, directions = torch.linalg.eigh(vectors.T @ vectors / len(vectors))
    return directions * (variances.clamp(min=0) + FLOOR) ** (-power / 2) @ directions.T
