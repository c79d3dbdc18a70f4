"""Measure the landmarker: `python training/landmarker/evaluate.py --model FOLDER --dataset_name FOLDER ...`.

An error is the distance of a place from where the labels have it, over the distance of the middles of the eyes in the
labels, in percent. Everything runs through `find_landmarks`, as it does for users.
"""

from __future__ import annotations

import json
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
from gan_space.faces.align import PORTRAIT_FRAME, TIGHT_FRAME, AlignTransform
from gan_space.faces.detect import AlignerLike
from gan_space.faces.find import find_faces
from gan_space.faces.landmarks import (
    BROWS,
    JAW,
    LEFT_EYE_CORNERS,
    LIDS,
    LIPS,
    MOUTH_CORNERS,
    RIGHT_EYE_CORNERS,
    LandmarkerLike,
    Landmarks,
    find_landmarks,
)
from gan_space.models.aligner import Aligner
from gan_space.models.landmarker import Landmarker
from gan_space.whole_files import write_json
from training.aligner.scenes import make_scene, roll_portrait
from training.common.command import script
from training.landmarker.crops import EXACT, ROUGH, Disturbance, cover
from training.landmarker.data import LabelOrigin, LandmarkFaces, load_landmark_faces, split_turned

REGIONS = {"lips": LIPS, "lids": LIDS, "brows": BROWS, "jaw": JAW}
GROUPS = ("male", "age_group", "race")
MIN_GROUP = 20  # smaller groups say nothing
FRAMES = {"tight": TIGHT_FRAME, "portrait": PORTRAIT_FRAME}
STARTS = {"exact": EXACT, "rough": ROUGH}
MAX_DISTANCE = 0.5  # in eye distances; what is further from the face than this is another one


def disturbed(transform: AlignTransform, disturbance: Disturbance, random: np.random.Generator) -> AlignTransform:
    """Return the tight frame of another face around it: rolled, scaled and shifted by up to the bounds."""
    roll_deg = disturbance.roll_deg * random.uniform(-1, 1)
    scale = np.exp(np.log(disturbance.scale) * random.uniform(-1, 1))
    x, y = 0.5 + disturbance.shift * random.uniform(-1, 1, 2) - scale / 2
    return transform.then(AlignTransform.from_box(x, y, scale, roll_deg))


def three_points(points: np.ndarray) -> np.ndarray:
    """Return middles of the corners of left eye, right eye and mouth: [468, 2] -> [3, 2]."""
    return np.stack([points[list(pair)].mean(axis=0) for pair in (LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS, MOUTH_CORNERS)])


def eye_distance(points: np.ndarray) -> float:
    """Measure between the middles of the eyes' corners of [468, 2] points."""
    left, right, _ = three_points(points)
    return float(np.linalg.norm(right - left))


def place_errors(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return the error of each place in percent of the wanted eye distance: two [468, 2] -> [468]."""
    return 100 * np.linalg.norm(found - wanted, axis=1) / eye_distance(wanted)


def photo_of(faces: LandmarkFaces, row: int) -> tuple[Tensor, np.ndarray]:
    """Return a picture as a photo [3, S, S] uint8, and its places in pixels [468, 2]."""
    photo = torch.from_numpy(faces.images[row]).permute(2, 0, 1).contiguous()
    return photo, faces.points[row].astype(np.float64) * photo.shape[-1]


def measure_passes(
    model: LandmarkerLike, faces: LandmarkFaces, framing: str, start: Disturbance, num_passes: int = 3
) -> tuple[np.ndarray, list[Landmarks]]:
    """Measure errors after each pass, the same each time: [P, N, 468] in percent; and the last places."""
    errors, last = np.empty((num_passes, len(faces), faces.points.shape[1])), []
    for row in range(len(faces)):
        photo, wanted = photo_of(faces, row)
        right = AlignTransform.from_landmarks(FRAMES[framing] * photo.shape[-1])
        transform = disturbed(right, start, np.random.default_rng([row, 7]))
        for number in range(num_passes):
            found = find_landmarks(photo, transform, model, num_passes=number + 1)
            errors[number, row] = place_errors(found.points, wanted)
        last.append(found)
    return errors, last


def by_region(errors: np.ndarray) -> dict[str, float]:
    """Return the mean error over all places and over each region of [N, 468]."""
    return {"all": float(errors.mean())} | {
        name: float(errors[:, list(places)].mean()) for name, places in REGIONS.items()
    }


def by_group(errors: np.ndarray, labels: dict[str, list]) -> dict[str, dict[str, float]]:
    """Return the mean error of each group of MIN_GROUP faces or more, for every label of GROUPS that the data has."""
    mean, groups = errors.mean(axis=1), {}
    for name in GROUPS:
        values = labels.get(name, [])
        counts = {value: values.count(value) for value in set(values) if value is not None}
        groups[name] = {
            str(value): float(mean[[one == value for one in values]].mean())
            for value, count in sorted(counts.items(), key=lambda pair: str(pair[0]))
            if count >= MIN_GROUP
        }
    return {name: group for name, group in groups.items() if group}


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return Spearman's, without ties."""
    return float(np.corrcoef(first.argsort().argsort(), second.argsort().argsort())[0, 1])


def area_under_curve(scores: np.ndarray, positive: np.ndarray) -> float:
    """Return the probability that a positive one has the higher score."""
    ranks = scores.argsort().argsort() + 1
    num = positive.sum()
    return float((ranks[positive].sum() - num * (num + 1) / 2) / (num * (~positive).sum()))


def measure_covers(model: LandmarkerLike, faces: LandmarkFaces, framing: str) -> dict[str, float]:
    """Draw something over every face and ask which of eyes and mouth are covered: area under the ROC curve of each.

    `error_grows` is the expected error of covered parts over that of the same parts with nothing over them.
    """
    scores, truth, growth = [], [], []
    parts = (LIDS[:16], LIDS[16:], LIPS)
    for row in range(len(faces)):
        photo, wanted = photo_of(faces, row)
        random = np.random.default_rng([row, 11])
        size = photo.shape[-1]
        other = faces.images[(row + 1) % len(faces)]
        crop, covered = cover(faces.images[row], (wanted / size).astype(np.float32), other, random)
        right = AlignTransform.from_landmarks(FRAMES[framing] * size)
        before = find_landmarks(photo, right, model)
        after = find_landmarks(torch.from_numpy(crop).permute(2, 0, 1).contiguous(), right, model)
        scores.append(after.covered)
        truth.append(covered > 0)
        growth += [
            after.error_of(part) / before.error_of(part)
            for part, hidden in zip(parts, covered, strict=True)
            if hidden > 0
        ]
    scores, truth = np.array(scores), np.array(truth)
    names = ("left_eye", "right_eye", "mouth")
    known = [n for n in range(3) if 0 < truth[:, n].sum() < len(truth)]
    numbers = {names[n]: area_under_curve(scores[:, n], truth[:, n]) for n in known}
    return numbers | ({"error_grows": float(np.median(growth))} if growth else {})


def measure_photos(model: LandmarkerLike, aligner: AlignerLike, faces: LandmarkFaces, framing: str) -> dict[str, float]:
    """Measure from whole photos, with the finder: a scene around each face, or the portrait rolled.

    Returns:
        found_share: faces that the finder sees. Mean errors in percent: `places` of the 468; `points_aligner` and
        `points_landmarker` of the middles of eyes and mouth, by either network, and their 95th percentiles.
    """
    places, aligner_points, own_points = [], [], []
    images = torch.from_numpy(faces.images).permute(0, 3, 1, 2).contiguous()
    for row in range(len(faces)):
        if framing == "tight":
            scene = make_scene(images[row], images[[row - 1, row - 2]], row)
        else:
            scene = roll_portrait(images[row], row)
        # Labels -> tight frame -> scene.
        to_frame = AlignTransform.from_landmarks(FRAMES[framing])
        wanted = scene.transform.inverse.apply(to_frame.apply(faces.points[row]))
        three, unit = three_points(wanted), eye_distance(wanted)
        near = [
            face
            for face in find_faces(scene.photo, aligner)
            if np.linalg.norm(face.landmarks - three, axis=1).mean() < MAX_DISTANCE * unit
        ]
        if not near:
            continue
        found = find_landmarks(scene.photo, near[0].transform, model)
        places.append(place_errors(found.points, wanted).mean())
        aligner_points.append(100 * np.linalg.norm(near[0].landmarks - three, axis=1).mean() / unit)
        own_points.append(100 * np.linalg.norm(three_points(found.points) - three, axis=1).mean() / unit)
    numbers = {"found_share": len(places) / len(faces)}
    for name, values in {"places": places, "points_aligner": aligner_points, "points_landmarker": own_points}.items():
        if values:
            numbers |= {name: float(np.mean(values)), f"{name}_p95": float(np.quantile(values, 0.95))}
    return numbers


@torch.no_grad()
def milliseconds(model: Landmarker, repeats: int = 100) -> float:
    """Return the median CPU time of one crop on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    crop = torch.zeros(1, 3, model.resolution, model.resolution).contiguous(memory_format=torch.channels_last)
    seconds = []
    for _ in range(repeats):
        start = time.thread_time()
        model(crop)
        seconds.append(time.thread_time() - start)
    torch.set_num_threads(threads)
    return 1000 * float(np.median(seconds))


def evaluate_landmarker(
    model: LandmarkerLike, faces: LandmarkFaces, framing: str, aligner: AlignerLike | None = None
) -> dict:
    """Return all measurements on one set of faces; `aligner` adds those from whole photos."""
    numbers: dict = {"num_faces": len(faces), "passes": {}}
    for name, start in STARTS.items():
        errors, found = measure_passes(model, faces, framing, start)
        numbers["passes"][name] = errors.mean(axis=(1, 2)).tolist()
    final = errors[1]  # of the rough start, as many passes as `find_landmarks` makes by itself
    numbers["median"] = float(np.median(final.mean(axis=1)))
    numbers["p95"] = float(np.quantile(final.mean(axis=1), 0.95))
    numbers["regions"] = by_region(final)
    numbers["groups"] = by_group(final, faces.labels)
    worst = [value for group in numbers["groups"].values() for value in group.values()]
    if worst:
        numbers["worst_group_over_mean"] = max(worst) / numbers["regions"]["all"]
    expected = np.array([face.error.mean() for face in found])
    numbers["expected_error_correlation"] = rank_correlation(expected, errors[-1].mean(axis=1))
    numbers["expected_over_real"] = float(100 * expected.mean() / errors[-1].mean())
    numbers["presence"] = float(np.mean([face.presence > 0.5 for face in found]))
    for label in ("nose_turn", "yaw"):
        if label in faces.labels and None not in faces.labels[label]:
            turn = np.array([face.turn for face in found])
            numbers[f"turn_against_{label}"] = float(np.abs(turn - np.array(faces.labels[label])).mean())
    numbers["covers"] = measure_covers(model, faces, framing)
    if aligner is not None:
        numbers["photos"] = measure_photos(model, aligner, faces, framing)
    return numbers


@dataclass(frozen=True)
class EvaluateLandmarkerConfig:
    """Measure a landmarker on faces with known landmarks."""

    model: str
    """Folder with config.json and weights of the landmarker."""
    dataset_name: str
    """Folder, parquet or Hub data set of faces with the column source_file."""
    labels_name: str | None = None
    """Folder with landmarks; left out where the faces' own rows have them."""
    label_origin: LabelOrigin = "corner"
    """What the labels call (0, 0): the corner of the first pixel, or its middle, as OpenCV does."""
    split: str = "test"
    """Split to measure on."""
    framing: Literal["tight", "portrait"] = "tight"
    """How the faces lie in their pictures."""
    held_back: bool = False
    """Measure on the turned faces that training holds back of such a set."""
    aligner: str | None = None
    """Folder of an aligner: measure from whole photos as well."""
    limit: int | None = None
    """At most so many faces."""
    output: str | None = None
    """Write the numbers there as JSON."""

    def check(self) -> None:
        """Raise ConfigError with all faults at once."""
        faults = []
        if self.limit is not None and self.limit < 2:
            faults.append(f"--limit must be 2 or more, got {self.limit}")
        raise_all(faults, ConfigError)


def evaluate(config: EvaluateLandmarkerConfig) -> dict:
    """Load, measure, and write the numbers."""
    config.check()
    model = Landmarker.from_pretrained(config.model).eval()
    aligner = Aligner.from_pretrained(config.aligner).eval() if config.aligner else None
    limit = None if config.held_back else config.limit
    faces = load_landmark_faces(
        config.dataset_name, config.split, labels_name=config.labels_name, label_origin=config.label_origin, limit=limit
    )
    if config.held_back:
        faces = split_turned(faces)[1]
        faces = faces.select(range(len(faces))[: config.limit])
    numbers = evaluate_landmarker(model, faces, config.framing, aligner)
    numbers["milliseconds"] = milliseconds(model)
    if config.output:
        write_json(Path(config.output), numbers)
    return numbers


main = script(EvaluateLandmarkerConfig, evaluate, lambda _, report: json.dumps(report, indent=1))


if __name__ == "__main__":
    sys.exit(main())
