"""Fit what a smile does to the light on faces: `python training/shape/fit_smile.py --dataset_name FOLDER --labels_name
FOLDER --output_dir FOLDER`, where the output folder holds the shape model. How: see `training/shape/appearance.py`.

The smile is the labels' score, with a bend where it is even. How much a reading of the mouth grows with it is fitted as
well, since a slider is asked for that.
"""

from __future__ import annotations

import sys
from pathlib import Path

import training.common.start  # noqa: F401

import cv2
import numpy as np
from safetensors.numpy import save_file

from gan_space.faces.landmarks import LEFT_BROW, LEFT_EYE, LIPS_OUTER, RIGHT_BROW, RIGHT_EYE
from gan_space.faces.shape import SMILE_FILE, ShapeModel, smile_of
from gan_space.images import smooth_step
from gan_space.whole_files import whole_file
from training.common.command import exit_code
from training.shape.appearance import SMILE, UNIT_PX, AverageFace, FitConfig, design, fit_parts
from training.shape.data import in_face_frame

FAINT, GRIN = -3.0, 5.0  # logarithms of the score's odds that the map is from and to
SCORE = 3.0  # of those logarithms are one in the design
SLOW = 0.25  # face units: cheeks are wider than the folds of age
CRISP, FOLD = (
    1.0,
    0.08,
)  # folds lie elsewhere on each face: how much of the average's own edges is added, of which width
BRIGHTEST = 30.0  # hundredths of the logarithm per face unit: beside the lips skin shows where lips were
MOST_LINES = 2.0
# Face units from what is no skin to where the map is whole.
EDGES = {LEFT_EYE: 0.12, RIGHT_EYE: 0.12, LEFT_BROW: 0.08, RIGHT_BROW: 0.08, LIPS_OUTER: 0.06}
FOREHEAD, OUTLINE = (-0.25, -0.05), 0.3  # it begins below the brows, and fades at the outline
NOSE = ((0.22, 0.36), (0.68, 0.8))  # the nose keeps its light: where that ends to the sides and down


def columns_of(row: dict, points: np.ndarray) -> np.ndarray:
    """Return what explains a face, with a bend of the smile as the last."""
    columns = design(row, points)
    return np.array([*columns, max(columns[SMILE], 0.0)])


def skin_of(face: AverageFace) -> np.ndarray:
    """Tell where a smile's light is drawn, [h, w] from 0 to 1."""
    x, y = face.positions
    skin = smooth_step(y, *FOREHEAD) * smooth_step(away_from(~face.inside), 0.0, OUTLINE)
    for outline, width in EDGES.items():
        skin *= smooth_step(away_from(face.filled([outline])), 0.0, width)
    nose = (1 - smooth_step(np.abs(x), *NOSE[0])) * (1 - smooth_step(y, *NOSE[1]))
    return (skin * (1 - nose)).astype(np.float32)


def away_from(part: np.ndarray) -> np.ndarray:
    """Return face units from the nearest pixel of a part, [h, w]."""
    return cv2.distanceTransform((~part).astype(np.uint8), cv2.DIST_L2, 5) / UNIT_PX


def light_of(face: AverageFace, smile: np.ndarray, reading: float) -> np.ndarray:
    """Turn what a whole smile does into what is drawn, [2, h, w] for a face unit of its reading.

    Args:
        smile: [h, w, 5] as `fit_parts` finds it.
        reading: face units that a whole smile has.
    """
    fast = face.fast_part(smile[..., :3], SLOW)
    light = face.filled_out(fast + CRISP * face.fast_part(fast, FOLD))[..., 0] / reading
    lines = face.filled_out(smile[..., 3:]).mean(axis=2).clip(0, MOST_LINES) / reading
    return np.stack([light.clip(None, BRIGHTEST), lines]) * skin_of(face)


def fit(config: FitConfig) -> np.ndarray:
    """Fit the map of a smile, [2, h, w], as `ShapeModel.smile_light` says."""
    face = AverageFace(ShapeModel.load(config.output_dir).mean)
    parts, readings = fit_parts(config, face, columns_of, lambda points: smile_of(in_face_frame(points[None]))[0])
    smile, reading = (((GRIN - FAINT) * one[SMILE] + GRIN * one[-1]) / SCORE for one in (parts, readings))
    return light_of(face, smile, float(reading))


@exit_code
def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    import tyro

    cv2.setNumThreads(1)
    config = tyro.cli(FitConfig, args=arguments, use_underscores=True)
    found = np.ascontiguousarray(fit(config), dtype=np.float16)
    with whole_file(Path(config.output_dir) / SMILE_FILE) as partial:
        save_file({"light": found}, partial)
    print(f"wrote {Path(config.output_dir) / SMILE_FILE}")


if __name__ == "__main__":
    sys.exit(main())
