"""Measure the sliders for photos by witnesses that know nothing of this project.

    python training/shape/evaluate.py draw --photos FOLDER,FOLDER --dataset_name FAIRFACE128 --output_dir DRAWN
    WITNESS_PYTHON training/shape/witness.py DRAWN          (elsewhere: with its own landmarks and embedding)
    python training/shape/evaluate.py table --output_dir DRAWN

`draw` edits photos and labelled test faces with every slider at -1, +1 and both ends, as `gan-space edit` does, with
the embedded model or the one in `--model FOLDER`; it writes pictures and wanted landmarks. `witness.py` reads them with
a landmark finder and an embedding from outside; `table` puts the numbers together.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import training.common.start  # noqa: F401

import cv2
import numpy as np
import torch

from gan_space import PersonalizationPipeline
from gan_space.errors import DataError, GlassesError
from gan_space.faces.eyes import find_eyes, snap_lids
from gan_space.faces.mesh import face_frame
from gan_space.faces.mouth import how_closed
from gan_space.faces.shape import PARTED_BY, READINGS, Slider
from gan_space.faces.shape import SLIDERS as SHAPES
from gan_space.faces.shape import STEPS as FITTED_STEPS
from gan_space.faces.shape_flow import find_shape_flow, skin_above
from gan_space.portraits.aging import AGE_SLIDER, shape_of_age
from gan_space.portraits.glasses import FRAMES
from gan_space.portraits.portrait import Portrait
from training.common.command import exit_code
from training.common.tables import decode_picture, open_table
from training.shape.texture import texture_moved

SLIDERS = SHAPES | {"age": AGE_SLIDER}
GLASSES = dict.fromkeys(FRAMES, Slider(0.0, 1.0, "glasses"))
ALL = SLIDERS | GLASSES
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
FACE_PX, AROUND = 128, 1.0  # side of a labelled face; face units around a face that are kept
NEAR = 0.02  # of the eye distance: where landmarks should be found
SAME_PERSON = 0.30  # identity distance up to which it is the same picture of a person, changed
RISING = 0.003  # eye distances that the witness's own noise may take back from one amount to the next
STEPS = FITTED_STEPS | {"mouth_open": PARTED_BY}  # closed lips part by more than an open mouth opens
_TOGETHER = {"smile": ("mouth_open",), "mouth_open": ("smile",), "tilt": ("brows_up",), "eye_size": ("eyes_open",)}


@dataclass
class Draw:
    """Which model, photos and faces."""

    output_dir: str
    model: str = ""  # a folder as `from_pretrained` takes it; the embedded model if left out
    photos: str = ""  # folders joined by commas
    dataset_name: str = ""  # of tight faces; of its test split some are drawn, too
    faces: int = 96  # so many of those, evenly spread
    every: int = 1  # takes each so manieth photo, by name
    limit: int = 1000  # at most so many photos
    sliders: str = ""  # names joined by commas, or kinds of glasses; all sliders if left out
    ends: bool = False  # leaves out the single steps


@dataclass
class Table:
    """Where `draw` and the witness have written."""

    output_dir: str


def amounts(name: str, ends: bool = False) -> list[float]:
    """Return both ends of a slider and, unless those are enough, a step to each side."""
    slider = ALL[name]
    if name in GLASSES:
        return [1.0]
    if ends:
        return [slider.low, slider.high]
    return sorted({slider.low, max(-1.0, slider.low), min(1.0, slider.high), slider.high})


def open_all(config: Draw, person: PersonalizationPipeline) -> Iterator[tuple[str, Portrait]]:
    """Open every photo and labelled face once, under its name; those without a face are told and left out.

    Raises:
        DataError: two photos of one name.
    """
    folders = [Path(one) for one in config.photos.split(",") if one]
    files = sorted(file for folder in folders for file in folder.iterdir() if file.suffix in SUFFIXES)
    files = files[:: config.every][: config.limit]
    named: dict[str, list[str]] = {}
    for file in files:
        named.setdefault(file.stem, []).append(str(file))
    twice = [" and ".join(same) for same in named.values() if len(same) > 1]
    if twice:  # the files that are written have the names of photos
        raise DataError(f"photos need names of their own, got {'; '.join(twice)}; rename one of each")
    for file in files:
        portrait = person.open(file)
        if portrait.chosen:
            yield file.stem, portrait
        else:
            print(f"{file.name}: no face found")
    if config.dataset_name:
        import datasets

        rows = open_table(config.dataset_name, "test").cast_column("image", datasets.Image(decode=False))
        for row in np.linspace(0, len(rows) - 1, min(config.faces, len(rows))).astype(int).tolist():
            face = torch.from_numpy(decode_picture(rows[row]["image"], FACE_PX))
            yield f"face_{row:05d}", person.open(face, boxes=[(0, 0, FACE_PX)])


def draw(config: Draw) -> None:
    """Write NAME.npz for every photo: pictures [K, h, w, 3] around its face, wanted points [K, 468, 2], and so on."""
    folder = Path(config.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    person = PersonalizationPipeline.from_pretrained(config.model or None)
    names = config.sliders.split(",") if config.sliders else list(SLIDERS)
    milliseconds, count = [], 0
    for stem, portrait in open_all(config, person):
        count += 1
        photo, points = portrait.pixels, portrait.landmarks(person.landmarker)[0].points
        low, high = window(points, photo)
        cut = (slice(None), slice(low[1], high[1]), slice(low[0], high[0]))
        closed, eyes = how_closed(points, photo), find_eyes(photo, points)
        worn = person.wears_glasses(portrait)  # `edit` then leaves the rims where they are
        lids, eyeballs = snap_lids(points, eyes) - low, tuple(eye.outline() - low for eye in eyes)
        before = photo[cut].permute(1, 2, 0).numpy()
        pictures, wanted, edits = [before], [points - low], [("", 0.0, True, 1.0, 1.0, 1.0)]
        for name, amount in [(one, amount) for one in names for amount in amounts(one, config.ends)]:
            values, glasses = ({}, name) if name in GLASSES else ({name: amount}, "none")
            began = time.thread_time()
            try:
                edited = person.edit(portrait, values, glasses=glasses).changed.pixels
            except GlassesError:
                continue
            milliseconds.append(1000 * (time.thread_time() - began))
            after = edited[cut].permute(1, 2, 0).numpy()
            pictures.append(after)
            if name in GLASSES:  # nothing moves
                wanted.append(points - low)
                edits.append((name, amount, outside_stays(photo, edited, points), 1.0, np.nan, np.nan))
                continue
            values = values if name in SHAPES else shape_of_age(amount)
            flow = find_shape_flow(photo, points, values, person.shapes, lambda eyes=eyes: eyes, worn).flow
            moves = person.shapes.displace(points, values, closed, worn)
            if name == "eyes_open":
                _, moves = skin_above(points, lids + low, moves)
            moves = flow.share(points + moves) * moves
            wanted.append(points + moves - low)
            # New folds are no texture that moved.
            texture = texture_moved(before, after, lids, moves, eyeballs) if name in SHAPES else (np.nan, np.nan)
            box = flow.box
            if name == "age" and person.segmenter is not None:  # which turns hair grey: nothing but the head
                (head,) = portrait.heads(person.segmenter)
                low_box, high_box = np.minimum(box[:2], head.box[:2]), np.maximum(box[2:], head.box[2:])
                box = (*low_box.tolist(), *high_box.tolist())
            edits.append((name, amount, equal_outside(photo, edited, box), flow.amount, *texture))
        np.savez(
            folder / f"{stem}.npz",
            pictures=np.stack(pictures),
            wanted=np.stack(wanted),
            names=np.array([one[0] for one in edits]),
            amounts=np.array([one[1] for one in edits]),
            outside_equal=np.array([one[2] for one in edits]),
            unfolded=np.array([one[3] for one in edits]),
            texture=np.array([one[4:] for one in edits]),
        )
    if not count:
        raise DataError(f"there is no face to draw in {config.photos or config.dataset_name or 'nothing'}")
    print(f"{count} photos and faces, {np.median(milliseconds):.0f} ms of one core an edit in the middle")


def window(points: np.ndarray, photo: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the corners, in whole photo pixels, of what is kept around a face."""
    room, size = AROUND * face_frame(points).frame_px, np.array(photo.shape[:0:-1])
    low, high = points.min(axis=0) - room, points.max(axis=0) + room
    return np.floor(low).astype(int).clip(0, size), np.ceil(high).astype(int).clip(0, size)


def equal_outside(photo: torch.Tensor, edited: torch.Tensor, box: tuple[int, int, int, int]) -> bool:
    """Tell whether two photos are equal to the bit outside of a box."""
    changed = (edited != photo).any(dim=0)
    left, top, right, bottom = (max(edge, 0) for edge in box)
    changed[top:bottom, left:right] = False
    return not bool(changed.any())


def outside_stays(photo: torch.Tensor, edited: torch.Tensor, points: np.ndarray) -> bool:
    """Tell whether nothing changed outside of the box around the face, and what may hang over its edge: glasses."""
    over = np.array([0.5 * face_frame(points).frame_px, 0])
    low, high = np.floor(points.min(axis=0) - over), np.ceil(points.max(axis=0) + over)
    return equal_outside(photo, edited, (*low.astype(int), *high.astype(int)))


def widths(places: np.ndarray) -> dict[str, float]:
    """Read what the free sliders change off landmarks in the face's frame."""

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
    """Measure the quantity that a slider should move, in eye distances, from landmarks in pixels."""
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
                    "went": float(np.sign(amount) * largest * drawn["texture"][number][0]),
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
    lines += [
        "",
        "| slider | faces | arrives | near | monotone; by texture | leak, most "
        "| identity | same person | sharpness | lowest |",
        f"| {' | '.join(['---'] * 10)} |",
        *(summary(name, rows) for name in dict.fromkeys(name for name, _ in rows)),
        "\nPairs: the worse of -1 and +1, then the worse end.",
    ]
    ends = rows.get(("smile", SLIDERS["smile"].high))
    if ends:
        share = np.mean([case["moved"] >= 0.12 for case in ends])
        corners = np.median([case["corners"] for case in ends])
        lines.append(
            f"\nAt the end of smile the mouth moves by 0.12 or more on {100 * share:.0f} % of {len(ends)} "
            f"(each corner by {corners:.3f} in the middle)."
        )
    return "\n".join(lines)


def summary(name: str, rows: dict[tuple[str, float], list[dict]]) -> str:
    """Write one line for a slider; of two numbers, the first is of the single steps, the second of the ends."""
    steps = sorted(amount for one, amount in rows if one == name)
    single = [step for step in steps if abs(step) == 1] or steps
    ends = [steps[0], steps[-1]]

    def worse(value: Callable[[list[dict]], float], amounts: list[float], worst: Callable = min) -> float:
        found = [value(rows[name, amount]) for amount in amounts]
        return worst((one for one in found if np.isfinite(one)), default=float("nan"))

    def arrives(cases: list[dict]) -> float:
        went = np.array([case["texture"][0] for case in cases], np.float64)
        went = went[np.isfinite(went)]
        return 100 * float((went > 0.5).mean()) if len(went) else float("nan")

    def of(key: str, how: Callable) -> Callable[[list[dict]], float]:
        return lambda cases: float(how(np.array([case[key] for case in cases if case[key] is not None] or [np.nan])))

    def rising(key: str, noise: float) -> str:
        seen = np.array([[case[key] for case in rows[name, one]] for one in steps])
        seen = np.concatenate([np.zeros_like(seen[:1]), seen])[np.argsort([0.0, *steps])]
        rises = (np.diff(seen[:, np.isfinite(seen).all(axis=0)], axis=0) > -noise).all(axis=0)
        return f"{100 * rises.mean():.0f} %" if rises.size else "none asked"

    leaks = {
        other: worse(lambda cases, other=other: float(np.median([case["leak"][other] for case in cases])), single, max)
        for other in rows[name, single[0]][0]["leak"]
    }
    most = max(leaks, key=leaks.get)
    same = of("identity", lambda one: 100 * np.mean(one <= SAME_PERSON))
    pairs = [
        (arrives, min, ".0f", " %"),
        (of("missed", lambda one: 100 * np.mean(one <= NEAR)), min, ".0f", " %"),
        (of("identity", np.max), max, ".2f", ""),
        (same, min, ".0f", " %"),
        (of("sharpness", np.median), min, ".2f", ""),
        (of("sharpness", np.min), min, ".2f", ""),
    ]
    cells = []
    for value, worst, form, unit in pairs:
        found = [worse(value, amounts, worst) for amounts in (single, ends)]
        cells.append(", ".join(f"{one:{form}}" for one in found) + unit if np.isfinite(found).all() else "none asked")
    cells[2:2] = [f"{rising('moved', RISING)}; {rising('went', 0.0)}", f"{leaks[most]:.2f} {most}"]
    return f"| {' | '.join([name, str(len(rows[name, steps[0]])), *cells])} |"


def leaked(name: str, before: np.ndarray, after: np.ndarray) -> dict[str, float]:
    """Measure how far other sliders' readings move, in their own steps; parts that a slider is made of are left out."""
    own = {name, *_TOGETHER.get(name, ())}
    return {
        other: abs(witnessed(other, after) - witnessed(other, before)) / step
        for other, step in STEPS.items()
        if other not in own
    }


def mouth_moved(before: np.ndarray, after: np.ndarray) -> float:
    """Measure how far the corners of the mouth move in the face's frame, the mean of both, in eye distances."""
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
