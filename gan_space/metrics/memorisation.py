"""Does a generator copy its training images? Nearest neighbours and a test against held-out images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gan_space.metrics.distances import check_features, nearest

CLOSE_PERCENTILE = 1.0


@dataclass(frozen=True, eq=False)
class Memorisation:
    """How near samples lie to the training set, measured by how near unseen real images lie.

    Args:
        median_ratio: median sample-to-train distance over median held-out-to-train distance. About 1 for a model that
            learned the distribution, well below 1 for one that copies, above 1 for samples that look like nothing real.
        share_closer: share of the samples nearer to the training set than the 1st percentile of the held-out images;
            about 0.01 for a clean model.
        threshold: that percentile, a distance in feature space.
        distances: [N] float64, of every sample to its nearest training image.
        indices: [N] int64, that training image.
    """

    median_ratio: float
    share_closer: float
    threshold: float
    distances: Tensor
    indices: Tensor

    def closest_pairs(self, count: int) -> list[tuple[int, int, float]]:
        """Return up to `count` of (sample, training image, distance), the most suspicious first."""
        order = self.distances.argsort(stable=True)[:count].tolist()
        return [(row, int(self.indices[row]), float(self.distances[row])) for row in order]


def memorisation(samples: Tensor, train: Tensor, heldout: Tensor) -> Memorisation:
    """Compare distances of samples to the training set with those of held-out real images (after Meehan 2020).

    Args:
        samples: [N, F] features of generated images.
        train: [M, F] features of the training images, all of them if that can be afforded: a copy of an image that is
            not among them is not found.
        heldout: [L, F] features of real images that were not trained on.

    Raises:
        InputError: an empty set, other feature lengths, or numbers that are not finite.
    """
    check_features(1, samples=samples, train=train, heldout=heldout)
    distances, indices = (part[:, 0] for part in nearest(samples, train))
    unseen = nearest(heldout, train)[0][:, 0]
    threshold = torch.quantile(unseen, CLOSE_PERCENTILE / 100).item()
    tiny = torch.finfo(torch.float64).tiny
    return Memorisation(
        median_ratio=distances.median().item() / max(unseen.median().item(), tiny),
        share_closer=(distances < threshold).double().mean().item(),
        threshold=threshold,
        distances=distances,
        indices=indices,
    )
