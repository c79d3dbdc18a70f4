"""Measure how much lighter or darker drawn looks make skin, by its tone.

    python -m benchmarks.drawn_skin --photos FOLDER [FOLDER ...] --faces fairface128/test.parquet

Photos are drawn at their own size; faces of the parquet file, `PER_RACE` of each race in even steps from dark to light
skin, enlarged to `FACE_PX`. The numbers are dL* (CIE, the drawing less the photo) of the mean over the skin of a face
without eyes, brows and lips, after a blur of 2 % of the picture's width, since an eye averages dots and strokes: the
mean of the faces of a tone, and the one that got lightest.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.tones import TONES, tone_of
from gan_space.errors import FaceError
from gan_space.faces.find import choose_face, find_faces
from gan_space.faces.landmarks import Landmarks, find_landmarks
from gan_space.faces.regions import find_region
from gan_space.looks.drawing.blocks import blur
from gan_space.looks.drawing.canvas import Canvas
from gan_space.looks.drawing.draw import DRAWINGS, draw
from gan_space.output.lab import rgb_to_lab
from gan_space.photos.folders import find_pictures
from gan_space.photos.opening import open_photo
from gan_space.pipelines.inspection import load_face_networks

PER_RACE, FACE_PX = 5, 448


def pictures(folders: list[Path], faces: Path | None) -> Iterator[Tensor]:
    """Yield every photo, and the faces picked from a data set, [3, H, W] uint8."""
    for folder in folders:
        yield from (open_photo(file) for file in find_pictures(folder).files)
    if faces is None:
        return
    import pyarrow.parquet as parquet

    rows = parquet.read_table(faces, columns=["image", "race", "skin_lightness", "sharpness", "yaw"]).to_pylist()
    rows = [row for row in rows if row["sharpness"] > 200 and abs(row["yaw"]) < 0.25]
    for race in sorted({row["race"] for row in rows}):
        of_race = sorted((row for row in rows if row["race"] == race), key=lambda row: row["skin_lightness"])
        for step in range(PER_RACE):
            picked = of_race[int((step + 0.5) * len(of_race) / PER_RACE)]
            face = Image.open(io.BytesIO(picked["image"]["bytes"]))
            yield open_photo(face.resize((FACE_PX, FACE_PX), Image.Resampling.LANCZOS))


def changes(photo: Tensor, marks: Landmarks, looks: list[str]) -> tuple[float, dict[str, float]]:
    """Return L* of the skin in the photo, and by how much each look changes it."""
    skin = find_region(marks.points, "skin", tuple(photo.shape[1:])).full(*photo.shape[1:]) > 0.9
    canvas = Canvas.of(photo, [marks], 0)

    def lightness(picture: Tensor) -> float:
        return float(rgb_to_lab(2 * blur(picture[None] / 255.0, 0.02) - 1)[0, 0][skin].mean())

    own = lightness(photo)
    return own, {name: lightness(draw(photo, name, [marks], canvas=canvas)) - own for name in looks}


def cell(changed: list[float]) -> str:
    """Write the mean of the faces of a tone, and the one that got lightest; a dash where there were none."""
    return f"{np.mean(changed):+.1f}, {max(changed):+.1f}" if changed else "–"


def main(arguments: list[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, nargs="+", default=[], help="folders with photos")
    parser.add_argument("--faces", type=Path, help="parquet file with image, race, skin_lightness, sharpness and yaw")
    parser.add_argument("--looks", nargs="+", choices=list(DRAWINGS), default=list(DRAWINGS))
    config = parser.parse_args(arguments)
    aligner, landmarker = load_face_networks()
    tones: dict[str, list[dict[str, float]]] = {tone: [] for tone in TONES}
    for photo in pictures(config.photos, config.faces):
        try:
            marks = find_landmarks(photo, choose_face(find_faces(photo, aligner)).transform, landmarker)
        except FaceError:
            continue
        with torch.no_grad():
            own, found = changes(photo, marks, config.looks)
        tones[tone_of(own)].append(found)
    print(f"| look | {' | '.join(f'{tone} ({len(faces)})' for tone, faces in tones.items())} |")
    print("| --- |" + " --- |" * len(tones))
    for name in config.looks:
        cells = [cell([face[name] for face in faces]) for faces in tones.values()]
        print(f"| `{name}` | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
