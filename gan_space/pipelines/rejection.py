"""Rejection sampling: faces that came out broken are replaced, so that none of them is shown.

The landmarker says how far off it expects to be, and on faces that fell apart that is far: of 280 seeds at psi 1 its
forerunner told those that are plainly broken with an area under the curve of 0.94 (docs/results/model.md). The
discriminator, by which the field rejects (Azadi et al. 2019, "Discriminator Rejection Sampling"), does not: 0.41.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from gan_space.models.generator import Generator
from gan_space.models.landmarker import Landmarker
from gan_space.pipelines.drawing import Pictures, Progress, draw_codes, join_outputs, to_output

MAX_EXPECTED_ERROR = 0.024  # eye distances; above, a face counts as broken
MAX_TRIES = 8  # seeds that are tried for one picture; after them the best one stays

CodesOf = Callable[[Sequence[int], Sequence[int]], Tensor]


def load_landmarker(folder: Path | None) -> Landmarker | None:
    """Return the landmarker in a model folder; None where there is none."""
    if folder is None or not (folder / "landmarker" / "config.json").is_file():
        return None
    return Landmarker.from_pretrained(str(folder), subfolder="landmarker").eval().requires_grad_(False)


@torch.no_grad()
def expected_error(images: Tensor, landmarker: Landmarker) -> Tensor:
    """Say how far off the landmarker expects to be on faces in the tight frame, each face judged by itself.

    Args:
        images: [N, 3, R, R] in [-1, 1].
        landmarker: in evaluation mode.

    Returns:
        [N] float32, geometric mean over all places, in eye distances; about 0.021 on most generated faces.
    """
    side = images.shape[-1]
    margin = round(side * (landmarker.view - 1) / 2)  # what the crop shows past the frame
    crops = F.pad(images.float().clamp(-1, 1), (margin,) * 4, mode="replicate")
    size = (landmarker.resolution, landmarker.resolution)
    crops = F.interpolate(crops, size=size, mode="bilinear", antialias=True, align_corners=False)
    return landmarker(crops.to(landmarker.device)).log_error.mean(dim=1).exp().to(images.device)


def derived_seed(seed: int, attempt: int) -> int:
    """Return the seed that stands in for a rejected one at the attempt 1, 2, …; follows from both alone.

    Example:
        >>> derived_seed(47, 1) == derived_seed(47, 1) != derived_seed(47, 2)
        True
    """
    return int(np.random.SeedSequence([seed, attempt]).generate_state(1)[0])


@torch.no_grad()
def draw_accepted(
    generator: Generator,
    landmarker: Landmarker,
    seeds: Sequence[int],
    codes_of: CodesOf,
    *,
    noise_mode: str,
    upscale_factor: int,
    batch_size: int,
    output_type: str,
    callback: Progress | None,
) -> tuple[Pictures, list[int], Tensor]:
    """Draw one picture a seed; where it came out broken, one of a seed derived from it.

    Args:
        codes_of: called with seeds and with the positions in `seeds` that they are for; the codes to draw,
            [N, num_ws, w_dim].

    Other arguments are those of `draw_codes`.

    Returns:
        The pictures as `GenerationPipelineOutput.images` holds them, the seeds they were drawn from, and their codes.
    """

    def draw(tried: Sequence[int], positions: Sequence[int]) -> tuple[Tensor, Tensor, Tensor]:
        codes = codes_of(tried, positions)
        options = {"noise_mode": noise_mode, "upscale_factor": 1, "batch_size": batch_size}
        images = draw_codes(generator, codes, tried, **options, output_type="pt", callback=None)
        return codes, images, expected_error(images, landmarker)

    drawn_seeds, all_codes, pictures = list(seeds), [], []
    for start in range(0, len(seeds), batch_size):
        positions = list(range(start, min(start + batch_size, len(seeds))))
        codes, images, errors = draw([seeds[position] for position in positions], positions)
        for attempt in range(1, MAX_TRIES):
            broken = (errors > MAX_EXPECTED_ERROR).nonzero()[:, 0].tolist()
            if not broken:
                break
            at = [start + index for index in broken]
            tried = [derived_seed(seeds[position], attempt) for position in at]
            for index, position, seed, *new in zip(broken, at, tried, *draw(tried, at), strict=True):
                if new[2] < errors[index]:
                    codes[index], images[index], errors[index] = new
                    drawn_seeds[position] = seed
        all_codes.append(codes)
        pictures.append(to_output(images, output_type, upscale_factor))
        if callback is not None:
            callback(positions[-1] + 1, len(seeds))
    return join_outputs(pictures, output_type), drawn_seeds, torch.cat(all_codes)
