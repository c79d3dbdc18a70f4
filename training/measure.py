"""What is measured of a generator against real images.

Every number is stored with what it depends on: how many images, which seed, extractor, resolution, truncation and
weights. Two numbers may be compared when all of these but the weights agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gan_space.errors import ConfigError, DataError, InputError
from gan_space.images import from_uint8, to_uint8
from gan_space.latents.truncation import TruncationCenters
from gan_space.metrics import distances, diversity, swd
from gan_space.metrics.features import FeatureExtractor, check_images, weights_sha256
from gan_space.metrics.memorisation import memorisation
from gan_space.pipelines.rejection import draw_accepted
from gan_space.seeding import check_seed, latents_from_seeds
from training.common.columns import weighted_rows
from training.config import MIN_EVALUATED

if TYPE_CHECKING:
    from gan_space.models.generator import Generator
    from gan_space.models.landmarker import Landmarker

SEEDS_APART = 1_000_000  # evaluation seed s uses latent seeds s * 1,000,000 + 0, 1, 2, …
SHEET_PAIRS = 32


class Reals:
    """Real images and what was measured on them, kept from one evaluation to the next.

    Args:
        images: [M, 3, S, S] uint8, the training images that samples are compared with.
        heldout: [L, 3, S, S] uint8 never trained on; without them there is no test for copies.
        labels: [M, c_dim] of the images, which conditional generators are sampled with.

    Raises:
        InputError: images or labels that do not fit each other.
    """

    def __init__(self, images: Tensor, heldout: Tensor | None = None, labels: Tensor | None = None) -> None:
        check_images(images, "the evaluation")
        if len(images) < 2:
            raise InputError(f"an evaluation needs 2 real images or more, got {len(images)}")
        if heldout is not None and (heldout.shape[1:] != images.shape[1:] or len(heldout) < 1):
            raise InputError(f"held-out images {list(heldout.shape)} do not fit training images {list(images.shape)}")
        if labels is not None and len(labels) != len(images):
            raise InputError(f"got {len(labels)} labels for {len(images)} images")
        self.images = images
        self.heldout = heldout
        self.labels = labels
        self._measured: dict[tuple, Any] = {}

    @classmethod
    def from_datasets(
        cls,
        train,
        heldout=None,
        *,
        num_images: int,
        seed: int = 0,
        use_labels: bool = False,
        weights: np.ndarray | None = None,
        num_weighted: int = 0,
    ) -> Reals:
        """Draw images of map-style data sets whose items are (uint8 [3, S, S], label).

        Args:
            train: the training images.
            heldout: real images never trained on, or None; at most `num_images` of them are used.
            num_images: how many to draw from `train`; all of them if it has fewer.
            seed: of the draw.
            use_labels: keep the labels, [c_dim] tensors, for a conditional generator.
            weights: of the images of `train`, [N]; the first `num_weighted` that are drawn are drawn by them.
            num_weighted: how many.

        Raises:
            DataError: a data set has fewer than two images, or too few to draw by weights without drawing one twice.
        """
        images, labels = _draw(train, num_images, seed, weights, num_weighted)
        unseen = None if heldout is None else _draw(heldout, num_images, seed)[0]
        return cls(images, unseen, torch.stack(labels) if use_labels else None)

    def shrunk(self, resolution: int) -> Reals:
        """Return the same images at a lower resolution."""
        heldout = None if self.heldout is None else shrink(self.heldout, resolution)
        return Reals(shrink(self.images, resolution), heldout, self.labels)

    def once(self, key: tuple, measure: Callable[[], Any]) -> Any:
        """Return what `measure()` gave when `key` was first asked for."""
        if key not in self._measured:
            self._measured[key] = measure()
        return self._measured[key]

    def features(self, extractor: FeatureExtractor, heldout: bool = False) -> Tensor:
        """Return the features of all training or all held-out images, [M or L, F]."""
        images = self.heldout if heldout else self.images
        return self.once(("features", extractor.sha256, heldout), lambda: extractor(images))

    def moments(self, extractor: FeatureExtractor, count: int) -> distances.Moments:
        """Return mean and covariance of the features of the first `count` training images."""
        features = self.features(extractor)
        return self.once(("moments", extractor.sha256, count), lambda: distances.feature_moments(features[:count]))

    def patches(self, count: int, seed: int) -> swd.PatchDescriptors:
        """Return the patches of the first `count` training images."""
        return self.once(("patches", count, seed), lambda: swd.patch_descriptors(self.images[:count], seed=seed))


def _draw(
    dataset, count: int, seed: int, weights: np.ndarray | None = None, num_weighted: int = 0
) -> tuple[Tensor, list]:
    if len(dataset) < 2:
        raise DataError(f"an evaluation needs 2 images or more in each split, got {len(dataset)}")
    rows = np.random.RandomState(check_seed(seed)).permutation(len(dataset))
    if weights is not None:
        most = int(len(weights) * weights.mean() / weights.max())
        if num_weighted > most:
            raise DataError(
                f"of {len(weights)} images at most {most} can be drawn by these weights without drawing one twice, "
                f"got num_images {num_weighted}: lower --num_images or --balance_power"
            )
        first = weighted_rows(weights, num_weighted, np.random.default_rng(check_seed(seed)))
        rows = np.concatenate([first, rows[~np.isin(rows, first)]])
    rows = rows[:count]
    items = [dataset[int(row)] for row in rows]
    return torch.stack([item[0] for item in items]), [item[1] for item in items]


def shrink(images: Tensor, resolution: int) -> Tensor:
    """Resize uint8 [N, 3, S, S] to a resolution <= S with an anti-aliasing filter; unchanged if it is S already."""
    if images.shape[-1] == resolution:
        return images
    parts = (
        F.interpolate(from_uint8(batch), size=(resolution, resolution), mode="bilinear", antialias=True)
        for batch in images.split(256)
    )
    return torch.cat([to_uint8(part.clamp(-1, 1)) for part in parts])


def sample_seeds(seed: int, count: int) -> list[int]:
    """Return the latent seeds of an evaluation; different evaluation seeds share none of their first million."""
    return [(check_seed(seed) * SEEDS_APART + index) % 2**32 for index in range(count)]


@torch.no_grad()
def sample(
    generator: Generator,
    seeds: list[int],
    *,
    truncation_psi: float = 1.0,
    centers: TruncationCenters | None = None,
    labels: Tensor | None = None,
    landmarker: Landmarker | None = None,
    batch_size: int = 32,
) -> Tensor:
    """Generate one image a seed and round to 8 bits, as a saved image would be.

    Args:
        generator: our Generator, on any device.
        seeds: N latent seeds.
        truncation_psi: 1 samples the whole distribution.
        centers: to truncate towards, in place of the average face.
        labels: [M, c_dim], taken in turn; needed by a conditional generator.
        landmarker: for rejection sampling: faces that it finds broken are replaced.
        batch_size: images at once.

    Returns:
        [N, 3, H, W] uint8 on the CPU.

    Raises:
        ConfigError: labels are missing, or of another length than the generator's.
    """
    if generator.config.c_dim > 0 and labels is None:
        raise ConfigError(f"the generator takes labels [N, {generator.config.c_dim}], got none: give labelled reals")
    if generator.config.c_dim > 0 and labels.shape[1] != generator.config.c_dim:
        raise ConfigError(
            f"the generator takes labels [N, {generator.config.c_dim}], got {list(labels.shape)}: the data set must "
            "have the classes that the model was trained with"
        )
    device = next(generator.parameters()).device

    def codes_of(offset: int, some: Sequence[int], positions: Sequence[int]) -> Tensor:
        z = latents_from_seeds(some, generator.config.z_dim, device)
        c = None
        if generator.config.c_dim > 0:
            c = labels[(torch.as_tensor(positions) + offset) % len(labels)].to(device, torch.float32)
        if centers is None:
            return generator.mapping(z, c, truncation_psi=truncation_psi)
        return centers.truncate(generator.mapping(z, c), truncation_psi)

    drawing = {"noise_mode": "const", "batch_size": batch_size, "upscale_factor": 1, "output_type": "pt"}
    parts = []
    for start in range(0, len(seeds), batch_size):
        some = seeds[start : start + batch_size]
        if landmarker is None:
            images = generator.synthesis(codes_of(start, some, range(len(some))), noise_mode="const")
        else:
            codes = partial(codes_of, start)
            images, _, _ = draw_accepted(generator, landmarker, some, codes, **drawing, callback=None)
        parts.append(to_uint8(torch.nan_to_num(images, nan=0.0)).cpu())
    return torch.cat(parts)


def evaluate_generator(
    generator: Generator,
    reals: Reals,
    *,
    num_images: int,
    seed: int = 0,
    extractor: FeatureExtractor,
    truncation_psi: float = 1.0,
    centers: TruncationCenters | None = None,
    landmarker: Landmarker | None = None,
    batch_size: int = 32,
) -> dict[str, Any]:
    """Measure everything that this package measures of a generator.

    Costs a few seconds for 500 to 1000 images of 64 px on a CPU; what concerns the reals is measured once.

    Args:
        generator: usually the EMA weights; is left as it is.
        reals: real images at the resolution to measure at, which may be below the generator's.
        num_images: generated images; the first `num_images` of the reals stand against them, or all if fewer.
        seed: of latents, subsets, patches and directions.
        extractor: network of the feature distances.
        truncation_psi: 1 measures the whole distribution.
        centers: to truncate towards, in place of the average face.
        landmarker: for rejection sampling: faces that it finds broken are replaced.
        batch_size: images the generator makes at once.

    Returns:
        {"metrics": {name: {"value", "num_real", "num_fake", "seed", "extractor", "extractor_sha256", "resolution",
        "truncation_psi", "model_sha256", "compute_dtype", …}}, "neighbours": [{"seed", "train_index", "distance"}, …]}.
        Plain numbers and strings, fit for JSON. Names ending in `_of_heldout` measure held-out reals in place of fakes:
        what a perfect generator would get at that N.

    Raises:
        InputError: fewer than ten images, a resolution above the generator's, or a failing extractor.
    """
    if min(num_images, len(reals.images)) < MIN_EVALUATED:
        raise InputError(
            f"metrics need {MIN_EVALUATED} images or more, got {num_images} fake and {len(reals.images)} real"
        )
    resolution = reals.images.shape[-1]
    if resolution > generator.config.resolution:
        raise InputError(f"cannot measure at {resolution} px a generator of {generator.config.resolution} px")
    seeds = sample_seeds(seed, num_images)
    drawing = {"truncation_psi": truncation_psi, "centers": centers, "landmarker": landmarker, "batch_size": batch_size}
    fakes = shrink(sample(generator, seeds, labels=reals.labels, **drawing), resolution)
    num_real = min(num_images, len(reals.images))
    about: dict[str, Any] = {
        "seed": seed,
        "resolution": resolution,
        "truncation_psi": truncation_psi,
        "truncation": "mean" if centers is None else "centers",
        "rejection_sampling": landmarker is not None,
        "model_sha256": weights_sha256(generator),
        "compute_dtype": str(generator.compute_dtype or "auto").removeprefix("torch."),
    }
    fake_features = extractor(fakes)
    metrics = _feature_metrics(reals, num_real, fake_features, extractor, about)
    metrics |= _pixel_metrics(reals, num_real, fakes, about)
    report = {"metrics": metrics, "neighbours": []}
    if reals.heldout is not None:
        _add_copies(report, reals, fake_features, seeds, extractor, about)
    return report


def _feature_metrics(
    reals: Reals, num_real: int, fake: Tensor, extractor: FeatureExtractor, about: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    real = reals.features(extractor)[:num_real]
    about = about | {"extractor": extractor.name, "extractor_sha256": extractor.sha256}
    k_manifold, k_coverage = 3, 5

    def gaps(other: Tensor) -> dict[str, dict[str, float]]:
        moments = reals.moments(extractor, num_real), distances.feature_moments(other)
        kernel = distances.kernel_distance(real, other, seed=about["seed"])
        return {
            extractor.metric_name("fd"): {"value": distances.frechet_from_moments(*moments)},
            extractor.metric_name("kid"): {"value": kernel.mean, "std": kernel.std},
        }

    counts = {"num_real": num_real, "num_fake": len(fake)} | about
    metrics = {name: parts | counts for name, parts in gaps(fake).items()}
    if reals.heldout is not None and len(reals.heldout) >= MIN_EVALUATED:
        key = ("gaps of heldout", extractor.sha256, num_real, about["seed"])
        unseen = reals.once(key, lambda: gaps(reals.features(extractor, heldout=True)))
        unseen_counts = {"num_real": num_real, "num_heldout": len(reals.heldout)} | about
        metrics |= {f"{name}_of_heldout": parts | unseen_counts for name, parts in unseen.items()}
    manifold = distances.precision_recall(real, fake, k_manifold)
    density = distances.density_coverage(real, fake, k_coverage)
    for k, parts in ((k_manifold, manifold), (k_coverage, density)):
        for name, value in parts._asdict().items():
            metrics[extractor.metric_name(name)] = {"value": value, "k": k} | counts
    return metrics


def _pixel_metrics(reals: Reals, num_real: int, fakes: Tensor, about: dict[str, Any]) -> dict[str, dict[str, Any]]:
    count = min(num_real, len(fakes))  # these measures need sets of equal size
    counts = {"num_real": count, "num_fake": count} | about
    fake_patches = swd.patch_descriptors(fakes[:count], seed=about["seed"] + 1)  # other places than the reals'
    levels = swd.distance_of_descriptors(reals.patches(count, about["seed"]), fake_patches, about["seed"])
    metrics = {f"swd_{level}": {"value": value} | counts for level, value in levels.items()}
    fake, real = diversity.thumbnails(fakes[:count]), diversity.thumbnails(reals.images[:count])
    measured = diversity.diversity_against(real, fake)
    metrics["diversity"] = {"value": measured.mean_distance} | counts
    metrics["duplicate_rate"] = {"value": measured.duplicate_rate} | counts
    return metrics


def _add_copies(
    report: dict, reals: Reals, fake: Tensor, seeds: list[int], extractor: FeatureExtractor, about: dict[str, Any]
) -> None:
    """Search all training images that `reals` holds for copies."""
    found = memorisation(fake, reals.features(extractor), reals.features(extractor, heldout=True))
    counts = {"num_real": len(reals.images), "num_heldout": len(reals.heldout), "num_fake": len(fake)} | about
    counts |= {"extractor": extractor.name, "extractor_sha256": extractor.sha256}
    report["metrics"][extractor.metric_name("copy_ratio")] = {"value": found.median_ratio} | counts
    report["metrics"][extractor.metric_name("copy_share")] = {"value": found.share_closer} | counts
    report["neighbours"] = [
        {"seed": seeds[row], "sample_index": row, "train_index": index, "distance": distance}
        for row, index, distance in found.closest_pairs(SHEET_PAIRS)
    ]


def scalars(report: dict[str, Any]) -> dict[str, float]:
    """Return the bare values of a report, for trackers and logs."""
    return {name: record["value"] for name, record in report["metrics"].items()}
