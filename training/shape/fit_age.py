"""Fit what age does to faces on average: `python training/shape/fit_age.py --dataset_name FOLDER --labels_name FOLDER
--output_dir FOLDER`, where the output folder holds the shape model. How: see `training/shape/appearance.py`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import training.common.start  # noqa: F401

import cv2
import numpy as np
from safetensors.numpy import save_file

from gan_space.faces.shape import ShapeModel
from gan_space.portraits.aging import AGE_FILE
from gan_space.whole_files import whole_file
from training.common.command import exit_code
from training.shape.appearance import AGE, AGE_BENT, AverageFace, FitConfig, fit_parts


def fit(config: FitConfig) -> dict[str, np.ndarray]:
    """Fit the maps from 25 to 65 years: change [3, h, w], lines [h, w]."""
    face = AverageFace(ShapeModel.load(config.output_dir).mean)
    parts, _ = fit_parts(config, face)
    old = 4 * parts[AGE] + 2 * parts[AGE_BENT]  # four decades, two of them beyond the bend
    change = face.filled_out(face.fast_part(old[..., :3]))
    lines = (face.filled_out(old[..., 3:]).mean(axis=2) / 1.2 + 0.1).clip(0, 1)
    return {
        "change": np.ascontiguousarray(change.transpose(2, 0, 1), dtype=np.float16),
        "lines": np.ascontiguousarray(lines, dtype=np.float16),
    }


@exit_code
def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    import tyro

    cv2.setNumThreads(1)
    config = tyro.cli(FitConfig, args=arguments, use_underscores=True)
    found = fit(config)
    with whole_file(Path(config.output_dir) / AGE_FILE) as partial:
        save_file(found, partial)
    print(f"wrote {Path(config.output_dir) / AGE_FILE}")


if __name__ == "__main__":
    sys.exit(main())
