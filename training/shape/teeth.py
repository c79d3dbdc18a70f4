"""Draw teeth over the teeth of open smiles, and tell how far their light is off.

    python training/shape/teeth.py --photos FOLDER --points POINTS.npz

POINTS.npz holds the landmarks [468, 2] of each photo under its file name, in photo pixels. Each photo is also looked at
with light from one side and in dim, warm light, which falls on its own teeth and on what the drawing is made from.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import training.common.start  # noqa: F401

import cv2
import numpy as np
import torch
from torch import Tensor

from gan_space.faces.landmarks import LIPS_INNER
from gan_space.faces.masks import smooth_outline
from gan_space.faces.mesh import face_frame
from gan_space.faces.mouth import lips_are_closed
from gan_space.faces.shape import mouth_gap_of
from gan_space.photos.opening import open_photo
from gan_space.portraits.mouth import draw_opening
from training.common.command import exit_code

MIN_GAP = 0.06  # face units, from which teeth are seen
MIN_PIXELS, MAX_COLOUR = 40, 0.26  # of a mouth; of its brightest part, which is tongue or lip where it has more colour
WARM = (0.138, 0.12, 0.096)  # of the light, linear


@dataclass
class Config:
    """Which photos, with whose landmarks."""

    photos: str
    points: str


def relit(photo: Tensor, kind: str) -> Tensor:
    """Return the photo in other light."""
    linear = (photo.float() / 255) ** 2.2
    if kind == "side":
        linear = linear * (0.05 + 0.95 * torch.sigmoid(torch.linspace(-5, 5, photo.shape[2])))
    elif kind == "dim":
        linear = linear * torch.tensor(WARM)[:, None, None]
    return (255 * linear ** (1 / 2.2)).round().to(torch.uint8)


def brightest(photo: Tensor, landmarks: np.ndarray) -> np.ndarray | None:
    """Return the colour, [3], of the brighter teeth between the lips; None where hardly any are seen."""
    outline = smooth_outline(landmarks, (LIPS_INNER, (78, 308)))
    mask = cv2.fillPoly(np.zeros(photo.shape[1:], np.uint8), [outline.round().astype(np.int32)], 1)
    pixels = photo.permute(1, 2, 0).numpy()[cv2.erode(mask, np.ones((3, 3))) > 0].astype(float)
    if len(pixels) < MIN_PIXELS:
        return None
    light = pixels.mean(axis=1)
    return np.median(pixels[light >= np.percentile(light, 60)], axis=0)


def table(config: Config) -> str:
    """Return a table with one row for each kind of light."""
    known = np.load(config.points)
    rows: dict[str, list[np.ndarray]] = {"as it is": [], "side": [], "dim": []}
    for file in sorted(Path(config.photos).iterdir()):
        if file.stem not in known:
            continue
        photo, landmarks = open_photo(file), known[file.stem]
        gap = mouth_gap_of(face_frame(landmarks).apply(landmarks))
        real = brightest(photo, landmarks)
        if gap < MIN_GAP or real is None or lips_are_closed(landmarks, photo):
            continue
        if np.ptp(real) > MAX_COLOUR * real.max():
            continue
        for kind, found in rows.items():
            lit = relit(photo, kind)
            found.append(np.log(brightest(draw_opening(lit, landmarks), landmarks) / brightest(lit, landmarks)))
    lines = ["| light | photos | drawn against real: red, green, blue | spread |", "| --- | --- | --- | --- |"]
    for kind, found in rows.items():
        if found:
            means = ", ".join(f"{one:.2f}" for one in np.exp(np.mean(found, axis=0)))
            lines.append(f"| {kind} | {len(found)} | {means} | {np.mean(np.std(found, axis=0)):.2f} |")
    return "\n".join(lines)


@exit_code
def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    import tyro

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    print(table(tyro.cli(Config, args=arguments, use_underscores=True)))


if __name__ == "__main__":
    sys.exit(main())
