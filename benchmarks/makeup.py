"""Measure make-up: does the colour stay in its region, is it the same person, is the skin as light as before.

    python -m benchmarks.makeup draw --photos FOLDER [FOLDER ...] --output_dir DRAWN
    WITNESS_PYTHON training/shape/witness.py DRAWN
    python -m benchmarks.makeup table --output_dir DRAWN
    python -m benchmarks.makeup lips --photos FOLDER [FOLDER ...]
    python -m benchmarks.makeup lids --photos FOLDER [FOLDER ...]
    python -m benchmarks.makeup time --photos FOLDER [FOLDER ...]

The witness finds landmarks and identity with networks that know nothing of this project; regions are drawn from its
landmarks. They are off by 2.5 % of the eye distance themselves, so the share of colour outside is given twice: against
the outline as it is, and against one that is so much wider. `lips` needs no witness: it measures a full matte red
against `lip_outlines.json`, which was drawn by eye on 24 faces enlarged eightfold or so, from corner to corner. `lids`
measures full shadow and liner against `lid_outlines.json`: the eye's opening from corner to corner, and the lower edge
of the brow, of the same faces. Powder is allowed below the brow and above `BELOW_LID` under the eye, to `BESIDE_EYE`.
`time` is CPU time of one thread for all ten layers on photos brought to 1024 px.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch
from PIL import Image

from benchmarks.tones import TONES, tone_of
from gan_space.errors import FaceError
from gan_space.faces.find import choose_face, find_faces
from gan_space.faces.landmarks import FACE_OVAL, LEFT_BROW, LEFT_EYE, LIPS_OUTER, RIGHT_BROW, RIGHT_EYE, find_landmarks
from gan_space.faces.masks import draw_soft, smooth_outline
from gan_space.faces.mesh import face_frame
from gan_space.faces.regions import find_region
from gan_space.looks.layers import LAYERS
from gan_space.looks.makeup import make_up
from gan_space.photos.folders import find_pictures
from gan_space.photos.opening import open_photo, to_picture
from gan_space.pipelines.inspection import load_face_networks

LOOKS = {
    "day": {
        "blush": {"amount": 0.3},
        "eye_shadow": {"amount": 0.35},
        "eye_liner": {"amount": 0.5, "thickness": 0.2, "wing": 0.0},
        "lashes": {},
        "brow": {},
        "lipstick": {"color": "#b5545a", "amount": 0.45},
        "highlight": {"amount": 0.3},
    },
    "evening": {
        "contour": {},
        "blush": {},
        "highlight": {"amount": 0.45},
        "eye_shadow": {"color": "#b08d57", "crease_color": "#4a2c2a", "amount": 0.7, "finish": "shimmer"},
        "eye_liner": {"amount": 0.85},
        "lashes": {"amount": 0.8, "length": 0.6},
        "brow": {},
        "lip_liner": {"color": "#6a1f2b"},
        "lipstick": {"color": "#7a1f2b", "amount": 0.75},
    },
    "smoky": {
        "contour": {},
        "eye_shadow": {"color": "#5f4a40", "crease_color": "#2e211d", "amount": 0.75, "lower": 0.6},
        "eye_liner": {"amount": 0.9, "lower": 0.5, "wing": 0.2},
        "lashes": {"amount": 0.8, "length": 0.6},
        "brow": {},
        "lipstick": {"color": "#a8706a", "amount": 0.55, "finish": "matte"},
        "blush": {"amount": 0.2},
    },
    "glossy red": {
        "blush": {"amount": 0.25},
        "eye_liner": {"amount": 0.9, "wing": 0.6},
        "lashes": {"amount": 0.7},
        "brow": {},
        "lip_liner": {"color": "#8a1018"},
        "lipstick": {"color": "#b3101c", "amount": 0.85, "finish": "gloss"},
        "highlight": {},
    },
}
DEFAULTS = {name: {name: {}} for name in LAYERS} | {"all layers": {name: {} for name in LAYERS}}
OUTLINES = Path(__file__).with_name("lip_outlines.json")
LID_OUTLINES = Path(__file__).with_name("lid_outlines.json")
BELOW_LID, BESIDE_EYE = 0.1, (0.1, 0.2)  # eye distances below the lower lid; beside the inner and the outer corner
LOOSE = 0.025  # face units that the witness may err by
ORBIT_ROOM = 0.12  # face units around brow and eye that shadow and lashes may reach
SAME_PERSON = 0.6


def draw(photos: list[Path], output_dir: Path) -> None:
    """Write every photo with every make-up, and what it cost."""
    output_dir.mkdir(parents=True, exist_ok=True)
    aligner, landmarker = load_face_networks()
    for path in [file for folder in photos for file in find_pictures(folder).files]:
        photo = open_photo(path)
        try:
            marks = find_landmarks(photo, choose_face(find_faces(photo, aligner)).transform, landmarker)
        except FaceError:
            continue
        pictures, cpu_sec = [photo], []
        for layers in (DEFAULTS | LOOKS).values():
            begin = time.thread_time()
            pictures.append(make_up(photo, marks, layers))
            cpu_sec.append(time.thread_time() - begin)
        np.savez_compressed(
            output_dir / f"{path.stem}.npz",
            pictures=torch.stack(pictures).permute(0, 2, 3, 1).numpy(),
            wanted=marks.points[None],
            cpu_sec=cpu_sec,
        )


def timing(photos: list[Path], repeats: int = 7, side_px: int = 1024) -> str:
    """Measure the CPU time of all layers together, in turns over the photos."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    aligner, landmarker = load_face_networks()
    faces = []
    for path in [file for folder in photos for file in find_pictures(folder).files]:
        picture = to_picture(open_photo(path))
        scale = side_px / max(picture.size)
        photo = open_photo(picture.resize([round(side * scale) for side in picture.size], Image.Resampling.LANCZOS))
        marks = find_landmarks(photo, choose_face(find_faces(photo, aligner)).transform, landmarker)
        faces.append((path.stem, photo, marks, []))
    for _ in range(repeats):
        for _, photo, marks, cpu_sec in faces:
            begin = time.thread_time()
            make_up(photo, marks, DEFAULTS["all layers"])
            cpu_sec.append(time.thread_time() - begin)
    rows = [(name, 1 / face_frame(marks.points).scale, 1000 * median(cpu_sec)) for name, _, marks, cpu_sec in faces]
    lines = [f"{name}: eyes {unit:.0f} px apart, {msec:.0f} ms" for name, unit, msec in rows]
    return "\n".join([*lines, f"median of the photos {median(row[2] for row in rows):.0f} ms; goal 120 ms"])


def table(output_dir: Path) -> str:
    """Return one line a make-up, over all photos that the witness has seen."""
    rows: dict[str, list[dict]] = {name: [] for name in DEFAULTS | LOOKS}
    for file in sorted(output_dir.glob("*.npz")):
        drawn, seen = np.load(file), json.loads(file.with_suffix(".json").read_text())
        points = np.array(seen["points"][0])
        labs = [cv2.cvtColor(np.float32(picture) / 255, cv2.COLOR_RGB2LAB) for picture in drawn["pictures"]]
        size = labs[0].shape[:2]
        skin = find_region(points, "skin", size).full(*size).numpy()
        cheeks = find_region(points, "cheeks", size).full(*size).numpy()
        tone = float((labs[0][..., 0] * cheeks).sum() / cheeks.sum())
        for number, name in enumerate(rows, start=1):
            change = np.linalg.norm(labs[number] - labs[0], axis=2)
            lighter = ((labs[number] - labs[0])[..., 0] * skin).sum() / skin.sum()
            rows[name].append(
                {
                    "tone": tone_of(tone),
                    "lighter": float(lighter),
                    "identity": seen["identity"][number],
                    "outside": [outside(name, change, points, loose) for loose in (0.0, LOOSE)],
                }
            )
    lines = [
        "| make-up | outside | outside, wider | same person | identity, worst | dL* dark, middle, light |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, cases in rows.items():
        shares = np.array([case["outside"] for case in cases], float)
        places = ["", ""] if np.isnan(shares).all() else [f"{100 * np.nanmedian(part):.1f} %" for part in shares.T]
        identity = np.array([case["identity"] for case in cases])
        tones = []
        for tone in TONES:
            of_tone = [case["lighter"] for case in cases if case["tone"] == tone]
            tones.append(f"{np.mean(of_tone):+.1f}" if of_tone else "-")
        same = f"{100 * (identity < SAME_PERSON).mean():.0f} %"
        spread = f"{np.median(identity):.2f}, {identity.max():.2f}"
        lines.append(f"| {name} | {' | '.join(places)} | {same} | {spread} | {', '.join(tones)} |")
    return f"{len(cases)} photos\n\n" + "\n".join(lines)


def outside(name: str, change: np.ndarray, points: np.ndarray, loose: float) -> float:
    """Return the share of a layer's colour that lies outside of its region; nan for what has no sharp one."""
    unit = face_frame(points).frame_px
    if name == "lipstick":
        allowed = _filled(change.shape, [points[list(LIPS_OUTER)]], loose * unit)
    elif name == "iris":
        allowed = _filled(change.shape, [points[list(LEFT_EYE)], points[list(RIGHT_EYE)]], loose * unit)
    elif name in ("eye_shadow", "eye_liner", "lashes"):
        orbits = [
            cv2.convexHull(np.float32(points[list(eye + brow)]))[:, 0]
            for eye, brow in ((LEFT_EYE, LEFT_BROW), (RIGHT_EYE, RIGHT_BROW))
        ]
        allowed = _filled(change.shape, orbits, ORBIT_ROOM * unit)
        if name == "eye_shadow":  # none of it belongs into the eye itself
            allowed &= ~_filled(change.shape, [points[list(LEFT_EYE)], points[list(RIGHT_EYE)]], -loose * unit)
    elif name in ("blush", "contour", "highlight"):
        allowed = _filled(change.shape, [points[list(FACE_OVAL)]], loose * unit)
    else:
        return float("nan")
    return float(change[~allowed].sum() / max(change.sum(), 1e-6))


def lips(photos: list[Path]) -> str:
    """Return one line a photo: how much of a lipstick's colour lies outside of the outline drawn by hand."""
    lipstick = {"lipstick": {"color": "#c00018", "amount": 1.0, "finish": "matte"}}

    def inside(outline: list[list[float]], size: tuple[int, int], unit: float) -> np.ndarray:
        return _mask(_curve(outline), size)

    return _by_hand(photos, OUTLINES, {"lipstick": lipstick}, inside)


def lids(photos: list[Path]) -> str:
    """Return one line a photo: how much of a shadow's and a liner's colour lies on brow, eyeball, temple or cheek."""
    layers = {
        "shadow": {"eye_shadow": {"color": "#4a3a8a", "crease_color": "#2a1a4a", "amount": 1.0}},
        "liner": {"eye_liner": {"amount": 1.0}},
    }

    def inside(outline: dict, size: tuple[int, int], unit: float) -> np.ndarray:
        allowed = np.zeros(size, np.float32)
        for side, eye in outline.items():
            opening, brow = np.array(eye["eye"]), np.array(eye["brow"])
            first, last = opening[opening[:, 0].argmin()], opening[opening[:, 0].argmax()]
            beside = BESIDE_EYE[::-1] if side == "left" else BESIDE_EYE
            along = (last - first) / np.linalg.norm(last - first) * unit
            down = np.array([-along[1], along[0]]) * BELOW_LID
            lower = opening[opening.tolist().index(last.tolist()) :] + down
            around = [brow, last[None] + beside[1] * along, lower, first[None] - beside[0] * along]
            allowed = np.maximum(allowed, _mask(np.concatenate(around), size) * (1 - _mask(_curve(eye["eye"]), size)))
        return allowed

    return _by_hand(photos, LID_OUTLINES, layers, inside)


def _by_hand(photos: list[Path], file: Path, makeups: dict[str, dict], inside: Callable) -> str:
    """Share of the change of colour outside of what a hand has outlined, a line a photo, a column a make-up."""
    outlines = json.loads(file.read_text())
    aligner, landmarker = load_face_networks()
    shares, lines = [], [f"{'':<16}" + "".join(f"{name:>10}" for name in makeups)]
    for path in [file for folder in photos for file in find_pictures(folder).files if file.stem in outlines]:
        photo = open_photo(path)
        marks = find_landmarks(photo, choose_face(find_faces(photo, aligner)).transform, landmarker)
        allowed = inside(outlines[path.stem], photo.shape[1:], face_frame(marks.points).frame_px)
        shares.append([])
        for layers in makeups.values():
            before, after = (
                cv2.cvtColor(np.ascontiguousarray(one.permute(1, 2, 0).numpy(), np.float32) / 255, cv2.COLOR_RGB2LAB)
                for one in (photo, make_up(photo, marks, layers))
            )
            change = np.linalg.norm(after - before, axis=2)
            shares[-1].append(float((change * (1 - allowed)).sum() / max(change.sum(), 1e-6)))
        lines.append(f"{path.stem:<16}" + "".join(f"{100 * share:8.1f} %" for share in shares[-1]))
    for name, column in zip(makeups, np.array(shares).T, strict=True):
        few = int((column <= 0.05).sum())
        lines.append(f"{name}: median of {len(column)} {100 * np.median(column):.1f} %; {few} at most 5 %")
    return "\n".join(lines)


def _mask(outline: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return draw_soft([outline], size, 0.0, (0, 0, *size[::-1])).values


def _curve(outline: list[list[float]]) -> np.ndarray:
    """The smooth curve through an outline's places, [K, 2], which breaks at its corners left and right."""
    places = np.array(outline)
    corners = (int(places[:, 0].argmin()), int(places[:, 0].argmax()))
    return smooth_outline(places, (tuple(range(len(places))), corners))


def _filled(shape, polygons: list[np.ndarray], wider_px: float) -> np.ndarray:
    """Polygons filled and made wider, or narrower below 0."""
    drawn = np.zeros(shape, np.uint8)
    for polygon in polygons:
        cv2.fillPoly(drawn, [np.round((polygon - 0.5) * 16).astype(np.int32)], 1, cv2.LINE_8, 4)
    reach = 2 * round(abs(wider_px)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
    return (cv2.dilate if wider_px > 0 else cv2.erode)(drawn, kernel).astype(bool)


def main(arguments: list[str] | None = None) -> None:
    """Run one of the steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("draw", "table", "lips", "lids", "time"))
    parser.add_argument("--photos", type=Path, nargs="+", default=[], help="folders with photos")
    parser.add_argument("--output_dir", type=Path, help="where the drawn photos are")
    config = parser.parse_args(arguments)
    if config.step in ("draw", "table") and config.output_dir is None:
        parser.error("--output_dir is needed: the folder of the drawn photos")
    if config.step == "draw":
        draw(config.photos, config.output_dir)
    elif config.step == "lips":
        print(lips(config.photos))
    elif config.step == "lids":
        print(lids(config.photos))
    elif config.step == "time":
        print(timing(config.photos))
    else:
        print(table(config.output_dir))


if __name__ == "__main__":
    main()
