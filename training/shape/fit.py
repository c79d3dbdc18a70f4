"""Fit the shape sliders: `python training/shape/fit.py --dataset_name FOLDER --labels_name FOLDER --output_dir FOLDER`.

Landmarks of labelled faces, each in its own frame, are regressed on all attributes at once (smile, opening of the
mouth and of the eyes, height of the brows, age, sex, turn and tilt of the head), so that each has its own part: what
one attribute moves with the others held still. Products with the turn tell how a field looks on a turned head. Every
face is used twice, as it is and mirrored. A broad smile is more than its own part: lips part upwards, cheeks rise,
lids narrow. So "grin" is what a high smile score moves with openings left free.

What a regression cannot tell apart is how a head is held and how it is built: part of "smile" is a nod, part of "eyes
open" a smaller face. So from each field that movement is taken off which keeps the parts still that the attribute has
no business with (shift, size, nod; least squares over bones), and what is left there is weighted to zero.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import training.common.start  # noqa: F401

import numpy as np
from safetensors.numpy import save_file

from gan_space.errors import ConfigError, raise_all
from gan_space.faces.landmarks import FACE_OVAL
from gan_space.faces.mesh import NUM_LANDMARKS
from gan_space.faces.shape import READINGS, STEPS
from gan_space.images import smooth_step
from gan_space.whole_files import whole_file, write_json
from training.common.command import script
from training.common.files import folder_faults
from training.landmarker.data import load_mirror
from training.shape.data import ATTRIBUTES, FREE_ATTRIBUTES, LabelledShapes, load_shapes, mirrored

RIDGE = 1e-4
LIMITS = (0.5, 99.5)  # percentiles of the readings that a slider does not leave

CREDIT = (
    "Fitted on landmarks of faces of FairFace (Karkkainen and Joo, WACV 2021, CC BY 4.0); "
    "the landmarks were found by MediaPipe's face mesh (Apache-2.0)."
)

# Bones and what hangs on them: bridge of the nose, forehead, temples, ears.
_SKULL = (168, 6, 197, 195, 10, 109, 338, 67, 297, 127, 356, 162, 389, 21, 251, 234, 454, 93, 323)
_JAW = (132, 361, 58, 288, 172, 397, 152, 148, 377, 175, 171, 396)
_STILL = {"smile": _SKULL + _JAW, "mouth_open": (*_SKULL, 1, 4, 5), "eyes_open": _SKULL, "brows_up": _SKULL + _JAW}
_STILL |= {"age": _SKULL, "male": _SKULL, "grin": _SKULL}


@dataclass
class FitShapeConfig:
    """What to fit on, and where to."""

    dataset_name: str  # faces in the tight frame with smile_score, age_group and male
    labels_name: str  # their landmarks, and topology.json
    output_dir: str
    train_split: str = "train"
    test_split: str = "test"


@dataclass
class Regression:
    """Landmarks as a sum of fields, one for each column of the design."""

    mean: dict[str, float]  # of each attribute
    spread: dict[str, float]
    fields: dict[tuple[str, ...], np.ndarray]  # (), ("smile",), ("smile", "turn") ... -> [468, 2]

    def predict(self, attributes: dict[str, np.ndarray]) -> np.ndarray:
        """Return the landmarks, [N, 468, 2] in face units."""
        columns = design(attributes, list(self.fields), self.mean, self.spread)
        return np.einsum("nk,kpd->npd", columns, np.stack(list(self.fields.values())))


def terms(kind: str) -> list[tuple[str, ...]]:
    """List columns of a design: "linear", "turned" (with products of all with the turn), "products" (of all pairs), or
    "free" ("turned", with openings left free).
    """
    names = FREE_ATTRIBUTES if kind == "free" else ATTRIBUTES
    single = [(), *((name,) for name in names)]
    if kind == "linear":
        return single
    if kind in ("turned", "free"):
        return [*single, ("tilt", "tilt"), *((name, "turn") for name in names)]
    pairs = [(a, b) for i, a in enumerate(ATTRIBUTES) for b in ATTRIBUTES[i:] if (a, b) != ("male", "male")]
    return [*single, *pairs]


def design(attributes, columns, mean, spread) -> np.ndarray:
    """Return the design, [N, K]: products of the attributes in deviations from their mean."""
    scaled = {name: (values - mean[name]) / spread[name] for name, values in attributes.items()}
    ones = np.ones(len(attributes["turn"]))
    return np.stack([np.prod([ones, *(scaled[name] for name in column)], axis=0) for column in columns], axis=1)


def regress(shapes: LabelledShapes, kind: str) -> Regression:
    """Fit all fields at once, with a slight ridge."""
    mean = {name: float(values.mean()) for name, values in shapes.attributes.items()}
    mean["turn"] = 0.0  # of mirrored pairs, but for rounding
    spread = {name: float(values.std()) for name, values in shapes.attributes.items()}
    columns = terms(kind)
    matrix = design(shapes.attributes, columns, mean, spread)
    gram = matrix.T @ matrix + RIDGE * len(matrix) * np.eye(len(columns))
    fields = np.linalg.solve(gram, matrix.T @ shapes.places.reshape(len(matrix), -1))
    return Regression(mean, spread, dict(zip(columns, fields.reshape(-1, NUM_LANDMARKS, 2), strict=True)))


def explained(regression: Regression, shapes: LabelledShapes) -> float:
    """Return the share of the variance of landmarks of unseen faces that the attributes explain."""
    missed = np.square(shapes.places - regression.predict(shapes.attributes)).sum()
    return 1 - missed / np.square(shapes.places - regression.fields[()]).sum()


def steady(field: np.ndarray, mean: np.ndarray, nod: np.ndarray, still: tuple[int, ...]) -> np.ndarray:
    """Take off the shift, size and nod that come closest to a field at the places that should not move."""
    ones = np.ones(len(mean))
    modes = np.stack([np.outer(ones, (1, 0)), np.outer(ones, (0, 1)), mean, nod])  # [4, 468, 2]
    rows = list(still)
    amounts = np.linalg.lstsq(modes[:, rows].reshape(len(modes), -1).T, field[rows].ravel(), rcond=None)[0]
    return field - np.tensordot(amounts, modes, 1)


def weigh(name: str, field: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Leave of a field what belongs to the attribute, with soft edges on the average face."""
    x, y = mean.T
    if name == "smile":
        nose = (1 - smooth_step(np.abs(x), 0.1, 0.35)) * (1 - smooth_step(y, 0.6, 0.85))
        return field * (smooth_step(y, -0.02, 0.3) * (1 - nose))[:, None]  # a nose that goes down is a nod
    if name == "grin":  # lower lids and cheeks come along, the jaw's outline and the ears stay
        outline = 1 - np.exp(-((distance_to(FACE_OVAL, mean) / 0.3) ** 2))
        return field * (smooth_step(y, -0.03, 0.06) * outline)[:, None]
    if name == "mouth_open":
        return field * smooth_step(y, 0.72, 0.95)[:, None]
    if name == "eyes_open":
        far = np.min([np.hypot(x - side, 1.2 * y) for side in (-0.5, 0.5)], axis=0)
        return field * (1 - smooth_step(far, 0.2, 0.42))[:, None] * (0, 1)  # sideways it is the size of the face
    if name == "brows_up":
        return field * ((1 - smooth_step(y, -0.21, -0.1)) * smooth_step(y, -0.82, -0.5))[:, None] * (0.3, 1)
    if name in ("turn", "tilt"):
        # The outline of the head stays, as do the hair and what is behind it; the features move inside it.
        field = field - field[list(FACE_OVAL)].mean(axis=0)
        return field * (1 - np.exp(-((distance_to(FACE_OVAL, mean) / 0.45) ** 2)))[:, None]
    return field


def distance_to(outline: tuple[int, ...], mean: np.ndarray) -> np.ndarray:
    """Return the distance, [468], of each place of the average face to the nearest one of an outline."""
    return np.linalg.norm(mean[:, None] - mean[list(outline)], axis=2).min(axis=1)


def make_fields(regression: Regression, free: Regression, mirror: np.ndarray) -> dict[str, np.ndarray]:
    """Make slider -> [2, 468, 2], scaled to one step: on a frontal face, and the change with the turn."""
    mean = symmetric(regression.fields[()], mirror)
    nod = regression.fields["tilt",]
    fields = {}
    for name, step in (STEPS | {"grin": STEPS["smile"]}).items():
        found = free if name == "grin" else regression
        straight, turned = found.fields[name,], found.fields[name, "turn"] / found.spread["turn"]
        if name in _STILL:
            straight, turned = (steady(one, mean, nod, _STILL[name]) for one in (straight, turned))
        straight, turned = (weigh(name, one, mean) for one in (straight, turned))
        if name in ("grin", *READINGS):
            reading = READINGS["smile" if name == "grin" else name]
            size = 10 * (reading(mean + 0.1 * straight) - reading(mean))
        else:
            size = straight[1, 0 if name == "turn" else 1]
        fields[name] = np.stack([straight, turned]) * step / size
    for name in ("turn", "tilt"):  # lips and lids stay as far open as they are
        for held in ("mouth_open", "eyes_open"):
            opens = [READINGS[held](part) / STEPS[held] for part in fields[name]]
            fields[name] -= np.multiply.outer(opens, fields[held][0])
    return fields


def symmetric(shape: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Return the mean of a shape and its mirror image."""
    return (shape + shape[mirror] * (-1, 1)) / 2


def fit(config: FitShapeConfig) -> dict:
    """Fit, write shape.safetensors and shape.json; returns what was measured."""
    raise_all(folder_faults(config, "output_dir"), ConfigError)
    mirror = load_mirror(config.labels_name)
    train = load_shapes(config.dataset_name, config.labels_name, config.train_split)
    test = load_shapes(config.dataset_name, config.labels_name, config.test_split)
    other = mirrored(train, mirror)
    both = LabelledShapes(
        np.concatenate([train.places, other.places]),
        {name: np.concatenate([values, other.attributes[name]]) for name, values in train.attributes.items()},
    )
    regressions = {kind: regress(both, kind) for kind in ("linear", "turned", "products")}
    regression = regressions["turned"]
    mean = symmetric(regression.fields[()], mirror)
    fields = make_fields(regression, regress(both, "free"), mirror)
    limits = {name: np.percentile(reading(train.places), LIMITS).tolist() for name, reading in READINGS.items()}
    # What 30 years and the other sex move, at most, with size and pose taken off.
    nod = regression.fields["tilt",]
    small = {
        "age_30_years": 30 / regression.spread["age"] * steady(regression.fields["age",], mean, nod, _SKULL),
        "male": 1 / regression.spread["male"] * steady(regression.fields["male",], mean, nod, _SKULL),
    }
    measured = {
        "faces": len(train.places),
        "explained_test": {kind: round(float(explained(one, test)), 4) for kind, one in regressions.items()},
        "moved": {name: round(float(np.linalg.norm(field, axis=1).max()), 3) for name, field in small.items()},
        "mean_moved": {name: round(float(np.linalg.norm(field, axis=1).mean()), 4) for name, field in small.items()},
    }
    folder = Path(config.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {f"field.{name}": field.astype(np.float32) for name, field in fields.items()}
    tensors |= {"mean": mean.astype(np.float32), "mirror": mirror.astype(np.int32)}
    with whole_file(folder / "shape.safetensors") as partial:
        save_file(tensors, partial)
    record = {"limits": limits, "credit": CREDIT, "measured": measured}
    write_json(folder / "shape.json", record)
    teacher = {"teacher": "landmarks that MediaPipe's face mesh (Apache-2.0) found in them"}  # for the model's card
    write_json(folder / "training.json", teacher)
    return measured


main = script(
    FitShapeConfig, fit, lambda _, measured: "\n".join(f"{name}: {value}" for name, value in measured.items())
)


if __name__ == "__main__":
    sys.exit(main())
