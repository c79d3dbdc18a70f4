"""Measure the shape sliders by witnesses that know nothing of this project.

    python training/shape/evaluate.py draw --photos FOLDER --points POINTS.npz --output_dir DRAWN
    WITNESS_PYTHON training/shape/witness.py DRAWN          (elsewhere: with its own landmarks and embedding)
    python training/shape/evaluate.py table --output_dir DRAWN

`draw` edits every photo with every slider at -1, +1 and both ends and writes pictures and wanted landmarks; POINTS.npz
holds the landmarks [468, 2] of each photo under its file name, in photo pixels. `witness.py` reads them with a landmark
finder and an embedding from outside; `table` puts the numbers together.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch

from gan_space.errors import DataError
from gan_space.faces.eyes import find_eyes, snap_lids
from gan_space.faces.landmarks import Landmarks
from gan_space.faces.mesh import face_frame
from gan_space.faces.regions import lips_are_closed
from gan_space.faces.shape import READINGS, ShapeModel, Slider
from gan_space.faces.shape import SLIDERS as SHAPES
from gan_space.photos.opening import open_photo
from gan_space.portraits.aging import AGE_SLIDER, AgeModel, change_age
from gan_space.portraits.glasses import FRAMES, put_on_glasses
from gan_space.portraits.shape import reshape_face
from training.common.command import exit_code
from training.shape.texture import texture_moved

SLIDERS = SHAPES | {"age": AGE_SLIDER}
GLASSES = dict.fromkeys(FRAMES, Slider(0.0, 1.0, "glasses"))
ALL = SLIDERS | GLASSES
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
NEAR = 0.02  # of the eye distance: where landmarks should be found
RISING = 0.003  # eye distances that the witness's own noise may take back from one amount to the next
STEPS = {"smile": 0.12, "mouth_open": 0.08, "eyes_open": 0.02, "brows_up": 0.03, "turn": 0.06, "tilt": 0.06}
_TOGETHER = {"smile": ("mouth_open",), "mouth_open": ("smile",), "tilt": ("brows_up",), "eye_size": ("eyes_open",)}


@dataclass
class Draw:
    """Which photos, with whose landmarks."""

    photos: str
    points: str
    output_dir: str
    every: int = 1  # takes each so manieth photo, by name
    model: str = "gan_space/assets/default/shape"
    sliders: str = ""  # names joined by commas, or kinds of glasses; all sliders if left out
    limit: int = 1000  # at most so many photos
    ends: bool = False  # leaves out the single steps


@dataclass
class Table:
    """Where `draw` and the witness have written."""

    output_dir: str


def amounts(name: str, ends: bool = False) -> list[float]:
    """Both ends of a slider and, unless those are enough, a step to each side."""
    slider = ALL[name]
    if name in GLASSES:
        return [1.0]
    if ends:
        return [slider.low, slider.high]
    return sorted({slider.low, max(-1.0, slider.low), min(1.0, slider.high), slider.high})


def draw(config: Draw) -> None:
    """Write NAME.npz for every photo: pictures [K, H, W, 3], wanted points [K, 468, 2], names and amounts."""
    folder = Path(config.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    known = np.load(config.points)
    model = ShapeModel.load(config.model)
    ages = AgeModel.load(config.model, model.mean)
    names = config.sliders.split(",") if config.sliders else list(SLIDERS)
    files = sorted(path for path in Path(config.photos).iterdir() if path.suffix in SUFFIXES and path.stem in known)
    if not files:
        raise DataError(f"{config.photos} holds no photo that {config.points} has landmarks of")
    milliseconds = []
    files = files[:: config.every][: config.limit]
    for file in files:
        photo, points = open_photo(file), known[file.stem]
        closed = lips_are_closed(points, photo)
        before, eyes = photo.permute(1, 2, 0).numpy(), find_eyes(photo, points)
        lids, eyeballs = snap_lids(points, eyes), tuple(eye.outline() for eye in eyes)
        pictures, wanted, edits = [photo], [points], [("", 0.0, True, 1.0, 1.0, 1.0)]
        for name in names:
            for amount in amounts(name, config.ends):
                began = time.thread_time()
                if name not in SHAPES:  # nothing moves
                    if name == "age":
                        edited = change_age(photo, points, amount, ages)
                    else:
                        marks = Landmarks(points, np.zeros(len(points)), 1.0, np.zeros(3))
                        edited = put_on_glasses(photo, marks, name)
                    milliseconds.append(1000 * (time.thread_time() - began))
                    pictures.append(edited)
                    wanted.append(points)
                    edits.append((name, amount, outside_stays(photo, edited, points), 1.0, np.nan, np.nan))
                    continue
                edited, flow, _ = reshape_face(photo, points, {name: amount}, model)
                milliseconds.append(1000 * (time.thread_time() - began))
                changed = (edited != photo).any(dim=0)
                left, top, right, bottom = flow.box
                changed[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = False
                pictures.append(edited)
                moves = model.displace(points, {name: amount}, closed)
                moves = flow.share(points + moves) * moves
                wanted.append(points + moves)
                texture = texture_moved(before, edited.permute(1, 2, 0).numpy(), lids, moves, eyeballs)
                edits.append((name, amount, not bool(changed.any()), flow.amount, *texture))
        np.savez(
            folder / f"{file.stem}.npz",
            pictures=torch.stack(pictures).permute(0, 2, 3, 1).numpy(),
            wanted=np.stack(wanted),
            names=np.array([one[0] for one in edits]),
            amounts=np.array([one[1] for one in edits]),
            outside_equal=np.array([one[2] for one in edits]),
            unfolded=np.array([one[3] for one in edits]),
            texture=np.array([one[4:] for one in edits]),
        )
    print(f"{len(files)} photos, {np.median(milliseconds):.0f} ms of one core an edit in the middle")


def outside_stays(photo: torch.Tensor, edited: torch.Tensor, points: np.ndarray) -> bool:
    """Whether nothing changed outside of the box around the face, and what may hang over its edge: glasses."""
    changed = (edited != photo).any(dim=0)
    over = 0.5 * face_frame(points).frame_px
    low, high = points.min(axis=0) - np.array([over, 0]), points.max(axis=0) + np.array([over, 0])
    (left, top), (right, bottom) = np.floor(low).astype(int), np.ceil(high).astype(int)
    changed[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)] = False
    return not bool(changed.any())


def widths(places: np.ndarray) -> dict[str, float]:
    """What the free sliders change, read off landmarks in the face's frame."""

    def distance(a: int, b: int) -> float:
        return float(np.linalg.norm(places[a] - places[b]))

    eyes = (distance(33, 133) + distance(263, 362) + 2 * (distance(159, 145) + distance(386, 374))) / 4
    skull = places[[234, 454, 10]].mean(axis=0)
    return {
        "face_width": distance(123, 352) + distance(213, 433),
        "v_line": -distance(172, 397) - distance(150, 379),
        "face_length": distance(2, 152),
        "nose_size": distance(129, 358) + distance(6, 2),
        "eye_size": eyes,
        "lip_fullness": distance(0, 13) + distance(14, 17),
        "turn": float(places[1, 0] - skull[0]),
        "tilt": float(places[1, 1] - skull[1]),
    }


def witnessed(name: str, points: np.ndarray) -> float:
    """The quantity that a slider should move, in eye distances, from landmarks in pixels."""
    places = face_frame(points).apply(points)
    if name not in SHAPES:  # landmarks do not tell it
        return 0.0
    return float(READINGS[name](places)) if name in READINGS else widths(places)[name]


def table(config: Table) -> str:
    """Put the witness's word on all photos together; one row for each slider and amount."""
    rows: dict[tuple[str, float], list[dict]] = {}
    for file in sorted(Path(config.output_dir).glob("*.npz")):
        seen_file = file.with_suffix(".json")
        if not seen_file.exists():
            continue
        drawn, seen = np.load(file), json.loads(seen_file.read_text())
        before = np.array(seen["points"][0])
        unit = face_frame(before).frame_px
        for number in range(1, len(drawn["names"])):
            name, amount = str(drawn["names"][number]), float(drawn["amounts"][number])
            after = np.array(seen["points"][number])
            # The witness's own opinion of the photo is not ours: its landmarks should move as ours were sent.
            sent = drawn["wanted"][number] - drawn["wanted"][0]
            missed = np.linalg.norm(after - before - sent, axis=1) / unit
            largest = np.linalg.norm(sent, axis=1).max() / unit
            rows.setdefault((name, amount), []).append(
                {
                    "moved": witnessed(name, after) - witnessed(name, before),
                    "sent": witnessed(name, before + sent) - witnessed(name, before),
                    "corners": mouth_moved(before, after),
                    "missed": float(missed.mean()),
                    "largest": float(largest),
                    "identity": seen["identity"][number],
                    "sharpness": seen["sharpness"][number],
                    "equal": bool(drawn["outside_equal"][number]),
                    "unfolded": float(drawn["unfolded"][number]),
                    "texture": drawn["texture"][number].tolist(),
                    "leak": leaked(name, before, after),
                    "photo": file.stem,
                }
            )
    lines = [
        "| slider | amount | sent | seen | texture | arrives | near | identity, worst | sharpness, lowest | outside |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (name, amount), cases in sorted(rows.items(), key=lambda row: (list(ALL).index(row[0][0]), row[0][1])):

        def of(key: str, cases=cases) -> np.ndarray:
            return np.array([case[key] for case in cases])

        went = np.array([case["texture"][0] for case in cases], np.float64)
        went = went[np.isfinite(went)]  # a face at its limit is not asked to move
        share = f"{100 * (went > 0.5).mean():.0f} % of {len(went)}" if len(went) else "none asked"
        identity = np.array([case["identity"] for case in cases if case["identity"] is not None] or [np.nan])
        cells = [
            *(name, f"{amount:+g}", f"{np.median(of('sent')):+.3f}", f"{np.median(of('moved')):+.3f}"),
            *(f"{np.median(went):.2f}" if len(went) else "", share),
            f"{100 * (of('missed') <= NEAR).mean():.0f} %",
            f"{np.median(identity):.2f}, {identity.max():.2f}",
            f"{np.median(of('sharpness')):.2f}, {of('sharpness').min():.2f}",
            f"{100 * of('equal').mean():.0f} %",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "| slider | monotone | leak, most |", "| --- | --- | --- |"]
    for name in dict.fromkeys(name for name, _ in rows):
        steps = sorted(amount for one, amount in rows if one == name)
        moved = np.array(
            [[0.0] * len(rows[name, steps[0]]), *([case["moved"] for case in rows[name, one]] for one in steps)]
        )
        order = np.argsort([0.0, *steps])
        rising = (np.diff(moved[order], axis=0) > -RISING).all(axis=0).mean()
        at_one = [case["leak"] for case in rows[name, min(steps, key=lambda one: abs(one - 1))]]
        leaks = {other: float(np.median([one[other] for one in at_one])) for other in at_one[0]}
        most = max(leaks, key=leaks.get)
        lines.append(f"| {name} | {100 * rising:.0f} % | {leaks[most]:.2f} {most} |")
    ends = rows.get(("smile", SLIDERS["smile"].high))
    if ends:
        share = np.mean([case["moved"] >= 0.12 for case in ends])
        corners = np.median([case["corners"] for case in ends])
        lines.append(
            f"\nAt the end of smile the mouth moves by 0.12 or more on {100 * share:.0f} % of {len(ends)} "
            f"(each corner by {corners:.3f} in the middle)."
        )
    return "\n".join(lines)


def leaked(name: str, before: np.ndarray, after: np.ndarray) -> dict[str, float]:
    """How far the readings of other sliders move, in their own steps; parts that a slider is made of are left out."""
    own = {name, *_TOGETHER.get(name, ())}
    return {
        other: abs(witnessed(other, after) - witnessed(other, before)) / step
        for other, step in STEPS.items()
        if other not in own
    }


def mouth_moved(before: np.ndarray, after: np.ndarray) -> float:
    """How far the corners of the mouth move in the face's frame, the mean of both, in eye distances."""
    places = [face_frame(points).apply(points)[[61, 291]] for points in (before, after)]
    return float(np.linalg.norm(places[1] - places[0], axis=1).mean())


@exit_code
def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    import tyro

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    kinds = Annotated[Draw, tyro.conf.subcommand("draw")] | Annotated[Table, tyro.conf.subcommand("table")]
    config = tyro.cli(kinds, args=arguments, use_underscores=True)
    if isinstance(config, Draw):
        draw(config)
    else:
        print(table(config))


if __name__ == "__main__":
    sys.exit(main())
