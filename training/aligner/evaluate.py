"""Measure the aligner: `python training/aligner/evaluate.py --model FOLDER --dataset_name FOLDER`.

Faces whose place is known are put into larger scenes, or taken as they stand in head-and-shoulders pictures. An error
is the mean distance of eyes and mouth from where they should be, in percent of the eye distance.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import training.common.start  # noqa: F401

import numpy as np
import torch
from torch import Tensor

from gan_space.errors import ConfigError, raise_all
from gan_space.faces.align import EYE_DISTANCE, TIGHT_FRAME, AlignTransform
from gan_space.faces.detect import FaceBox
from gan_space.faces.find import align_boxes, find_faces
from gan_space.faces.landmarks import LandmarkerLike
from gan_space.models.aligner import Aligner
from gan_space.models.landmarker import Landmarker
from gan_space.settings import least_faults, values_of
from gan_space.whole_files import write_json
from training.aligner.scenes import FACE_PX, make_scene, roll_portrait
from training.common.command import script
from training.common.disturb import MAX_ROLL_DEG, MAX_SHIFT, MAX_VIEW, MIN_VIEW
from training.common.files import no_folder_faults
from training.data import open_dataset


def framing_error(found: AlignTransform, wanted: AlignTransform) -> float:
    """Return the mean distance of eyes and mouth in the photo between two transforms, over the wanted eye distance."""
    distance = np.linalg.norm(found.inverse.apply(TIGHT_FRAME) - wanted.inverse.apply(TIGHT_FRAME), axis=-1)
    return float(distance.mean() / (EYE_DISTANCE * wanted.frame_px))


def rough_box(wanted: AlignTransform, seed: int) -> FaceBox:
    """Draw a wrong box: rolled by up to 45 degrees, 0.6 to 1.6 times as large, shifted by up to a fifth of its side."""
    random = np.random.default_rng([seed, 1])
    frame_px = wanted.frame_px
    size = frame_px * float(np.exp(random.uniform(np.log(MIN_VIEW), np.log(MAX_VIEW))))
    center = wanted.inverse.apply([0.5, 0.5]) + random.uniform(-MAX_SHIFT, MAX_SHIFT, size=2) * size
    # Undo the roll of the scene, so that the rest is up to 45 degrees.
    roll_deg = wanted.roll_deg + random.uniform(-MAX_ROLL_DEG, MAX_ROLL_DEG)
    return FaceBox(float(center[0] - size / 2), float(center[1] - size / 2), size, 1.0, roll_deg)


def evaluate_aligner(
    model: Aligner,
    images: Tensor,
    framing: str = "tight",
    num_passes: int = 3,
    landmarker: LandmarkerLike | None = None,
) -> dict[str, float]:
    """Measure on one scene for each picture.

    Args:
        model: in evaluation mode.
        images: [N, 3, S, S] uint8.
        framing: "tight" pastes faces into scenes; "portrait" rolls whole pictures.
        num_passes: corrections of a rough box, each measured.
        landmarker: decides where the aligner is in doubt; the numbers of detection are theirs together.

    Returns:
        In percent of the eye distance: pass_K_median, pass_K_p95 from rough boxes, found_median, found_p95 with
        detection, over the faces found. found_share: faces within half an eye distance. extra_per_photo: faces where
        none is. seconds_per_photo: of detection and placing together.
    """
    rough = np.empty((len(images), num_passes))
    found, extra, seconds = [], 0, 0.0
    for index, picture in enumerate(images):
        scene = (
            make_scene(picture, images[[index - 1, index - 2]], index)
            if framing == "tight"
            else roll_portrait(picture, index)
        )
        for number in range(num_passes):
            face = align_boxes(scene.photo, model, [rough_box(scene.transform, index)], number + 1)[0]
            rough[index, number] = framing_error(face.transform, scene.transform)
        start = time.perf_counter()
        faces = find_faces(scene.photo, model, landmarker=landmarker)
        seconds += time.perf_counter() - start
        errors = [framing_error(face.transform, scene.transform) for face in faces]
        right = [error for error in errors if error < 0.5]
        found += right[:1]
        extra += len(errors) - len(right[:1])
    numbers: dict[str, float] = {"num_photos": len(images)}
    for number in range(num_passes):
        numbers[f"pass_{number + 1}_median"] = 100 * float(np.median(rough[:, number]))
        numbers[f"pass_{number + 1}_p95"] = 100 * float(np.quantile(rough[:, number], 0.95))
    if found:
        numbers["found_median"] = 100 * float(np.median(found))
        numbers["found_p95"] = 100 * float(np.quantile(found, 0.95))
    numbers["found_share"] = len(found) / len(images)
    numbers["extra_per_photo"] = extra / len(images)
    numbers["seconds_per_photo"] = seconds / len(images)
    return numbers


@dataclass(frozen=True)
class EvaluateAlignerConfig:
    """Measure an aligner on faces whose place is known."""

    model: str
    """Folder with config.json and weights of the aligner."""
    dataset_name: str
    """Folder, parquet or Hub data set of faces."""
    landmarker: str | None = None
    """Folder of a landmarker that decides where the aligner is in doubt, as in the pipelines."""
    split: str = "test"
    """Split to measure on."""
    framing: Literal["tight", "portrait"] = "tight"
    """tight: aligned faces, pasted into scenes; portrait: heads, eyes at (0.375, 0.477) and (0.625, 0.477), rolled."""
    num_images: int = 500
    """Faces to measure on."""
    output: Path | None = None
    """JSON file for the numbers."""

    def check(self) -> None:
        """Raise ConfigError with all faults at once."""
        faults = least_faults(3, values_of(self, "num_images"), "--")
        faults += no_folder_faults(self, "output")
        raise_all(faults, ConfigError)


def run(config: EvaluateAlignerConfig) -> dict[str, float]:
    """Measure as configured, print the numbers and return them."""
    config.check()
    model = Aligner.from_pretrained(config.model).eval()
    dataset = open_dataset(config.dataset_name, FACE_PX, config.split)
    count = min(config.num_images, dataset.num_pictures)
    if count < 3:
        raise ConfigError(f"{config.dataset_name} (split {config.split}) has {count} pictures, expected 3 or more")
    images = torch.stack([dataset[index][0] for index in range(count)])
    landmarker = Landmarker.from_pretrained(config.landmarker).eval() if config.landmarker else None
    numbers = evaluate_aligner(model, images, config.framing, landmarker=landmarker)
    for name, value in numbers.items():
        print(f"{name:20s} {value:.4g}")
    if config.output is not None:
        write_json(config.output, numbers)
    return numbers


main = script(EvaluateAlignerConfig, run)


if __name__ == "__main__":
    sys.exit(main())
