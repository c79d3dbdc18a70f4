"""The last steps of an analyzer's training, without gradients: fit the embedding, calibrate the probabilities."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.images import from_uint8
from gan_space.models.analyzer import Analyzer
from training.analyzer.contrastive import discriminants
from training.analyzer.measure import predict
from training.common.face_labels import LabelledFaces


@torch.no_grad()
def fit_embedding(model: Analyzer, batches: Iterable[Tensor]) -> None:
    """Replace the projection to the embedding by the best one for the trunk as it is, see `discriminants`.

    Steps of gradients leave few strong directions and many weak ones; here all count alike.

    Args:
        model: in evaluation mode; is changed.
        batches: views [2 N, 3, R, R] of N training faces, the first views before the second.
    """
    seen = [[model.trunk(part) for part in images.chunk(2)] for images in batches]
    first, second = (torch.cat(parts) for parts in zip(*seen, strict=True))
    rows, mean, variance = discriminants(first, second, model.config.embedding_dim)
    model.to_embedding.weight.copy_(rows)
    model.embedding_norm.running_mean.copy_(mean)
    model.embedding_norm.running_var.copy_(variance)


@torch.no_grad()
def calibrate(model: Analyzer, faces: LabelledFaces) -> dict[str, dict]:
    """Fit one scale and the limits of each probability on faces never trained on (Platt 1999), into the weights.

    Returns:
        {name: {"num", "scale", "limits"}} for those with 20 known labels or more of each side.
    """
    scores = predict(model, from_uint8(faces.images)).scores
    done = {}
    for name in model.learned:
        label = faces.labels[name]
        known = label.isfinite()
        if name == "yaw":
            continue
        num_limits = len(model.age_limits) if name == "age" else 1
        above = (label[known][:, None] > torch.arange(num_limits)).double()
        if min(above.sum(dim=0).min(), (1 - above).sum(dim=0).min()) < (5 if name == "age" else 20):
            continue
        start = model.age_limits.double() if name == "age" else torch.zeros(1, dtype=torch.float64)
        scale, limits = _fit_scale(scores[name][known].double(), above, start)
        model.calibrate(name, scale, limits)
        done[name] = {"num": int(known.sum()), "scale": scale, "limits": limits}
    return done


def _fit_scale(score: Tensor, above: Tensor, limits: Tensor) -> tuple[float, list[float]]:
    """Least cross-entropy of sigmoid(scale * score - limits) over `above` [N, K], held gently to scale 1."""
    middle = score.mean()  # a score far from zero would tie scale and limits together and stop the search early
    with torch.enable_grad():
        log_scale = torch.zeros(1, dtype=torch.float64, requires_grad=True)
        limits = (limits - middle).requires_grad_()
        optimizer = torch.optim.LBFGS([log_scale, limits], max_iter=100, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            optimizer.zero_grad()
            logits = log_scale.exp() * (score - middle)[:, None] - limits
            loss = F.binary_cross_entropy_with_logits(logits, above) + 0.001 * log_scale.square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)
    scale = float(log_scale.exp())
    return scale, (limits.detach() + scale * middle).tolist()
