"""Faces to put looks on: painted ones whose parts are known, and people on photos."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch

import gan_space
from gan_space.faces import landmarks as at
from gan_space.faces.align import AlignTransform
from gan_space.faces.landmarks import Landmarks, find_landmarks
from gan_space.faces.shape import ShapeModel
from gan_space.faces.snap import LOWER_INNER, UPPER_INNER
from gan_space.models.landmarker import Landmarker
from gan_space.photos.opening import open_photo
from tests.faces.conftest import LANDMARKS, SAMPLES
from tests.faces.drawn_face import LIPS, OPENING, OVAL, drawn_face

UNIT, MIDDLE, SIZE = 80.0, (200.0, 150.0), 400
SKINS = {"dark": (74, 47, 36), "middle": (168, 120, 92), "light": (232, 196, 174)}
TEETH = (236, 230, 218)


def marks_of(points) -> Landmarks:
    return Landmarks(points, np.full(468, 0.02), 1.0, np.zeros(3))


def fill(photo: np.ndarray, ellipse_, color) -> None:
    """Paint an ellipse of face units."""
    (x, y), half = ellipse_
    center = tuple(int(16 * (part * UNIT + offset - 0.5)) for part, offset in zip((x, y), MIDDLE, strict=True))
    axes = tuple(int(16 * part * UNIT) for part in half)
    cv2.ellipse(photo, center, axes, 0, 0, 360, color, -1, cv2.LINE_8, 4)


def where(ellipse_) -> np.ndarray:
    inside = np.zeros((SIZE, SIZE), np.uint8)
    fill(inside, ellipse_, 1)
    return inside.astype(bool)


def face_photo(skin=SKINS["middle"], background=(90, 110, 130)) -> torch.Tensor:
    """A face of flat colours with pores, an open mouth and teeth; [3, H, W] uint8."""
    photo = np.empty((SIZE, SIZE, 3), np.uint8)
    photo[:] = background
    fill(photo, OVAL, skin)
    fill(photo, LIPS, tuple(int(part * share) for part, share in zip(skin, (0.92, 0.62, 0.68), strict=True)))
    fill(photo, OPENING, TEETH)
    pores = np.random.RandomState(0).normal(0, 2, photo.shape[:2])[..., None]
    return torch.from_numpy((photo + pores).clip(0, 255).astype(np.uint8)).permute(2, 0, 1).contiguous()


def moved(before: torch.Tensor, after: torch.Tensor) -> np.ndarray:
    """How far each pixel's colour went, [H, W] in CIE Lab."""
    labs = [
        cv2.cvtColor(photo.permute(1, 2, 0).numpy().astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        for photo in (before, after)
    ]
    return np.linalg.norm(labs[1] - labs[0], axis=2)


def lightness(photo: torch.Tensor) -> np.ndarray:
    return cv2.cvtColor(photo.permute(1, 2, 0).numpy().astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 0]


@lru_cache
def person(name: str) -> tuple[torch.Tensor, Landmarks]:
    """A photo of somebody and the landmarks found in it."""
    folder = Path(gan_space.__file__).parent / "assets" / "default" / "landmarker"
    landmarker = Landmarker.from_pretrained(folder).eval()
    photo = open_photo(SAMPLES / f"{name}.jpg")
    return photo, find_landmarks(photo, AlignTransform.from_landmarks(LANDMARKS[name]), landmarker)


def turned(photo: torch.Tensor, face: Landmarks, quarters: int) -> tuple[torch.Tensor, Landmarks]:
    """Turn a photo and its landmarks counterclockwise by quarters of a whole turn, without any loss."""
    points = face.points
    for width in (photo.shape[2], photo.shape[1], photo.shape[2])[:quarters]:
        points = np.stack([points[:, 1], width - points[:, 0]], axis=1)
    return torch.rot90(photo, quarters, (1, 2)).contiguous(), replace(face, points=points)


def rolled(photo: torch.Tensor, face: Landmarks, degrees: float) -> tuple[torch.Tensor, Landmarks]:
    """Turn a photo and its landmarks counterclockwise by any angle, in a larger photo."""
    height, width = photo.shape[1:]
    side = int(1.5 * max(height, width))
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    matrix[:, 2] += side / 2 - np.array([width / 2, height / 2])
    pixels = photo.permute(1, 2, 0).numpy()
    pixels = cv2.warpAffine(pixels, matrix, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    points = face.points @ matrix[:, :2].T + matrix[:, 2]
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), replace(face, points=points)


def portrait(px: int, skin: int = 170, ground: int = 205) -> tuple[torch.Tensor, list[Landmarks]]:
    """A face painted on the average landmarks, [3, px, px], with its landmarks."""
    mean = ShapeModel.load(Path(gan_space.__file__).parent / "assets" / "default" / "shape").mean  # face units
    unit = 0.2 * px
    points = mean * unit + (0.5 * px, 0.42 * px)
    marks = Landmarks(points, np.full(468, 0.02), 1.0, np.zeros(3))
    big = np.full((1024, 1024, 3), ground, np.uint8)
    scale = 1024 / px

    def paint(places, colour):
        cv2.fillPoly(big, [np.round(marks.of(places) * scale).astype(np.int32)], colour, lineType=cv2.LINE_AA)

    cv2.ellipse(big, (512, 470), (330, 430), 0, 0, 360, (60, 40, 30), -1, cv2.LINE_AA)
    paint(at.FACE_OVAL, (skin, int(0.75 * skin), int(0.62 * skin)))
    for brow in (at.LEFT_BROW, at.RIGHT_BROW):
        paint(brow, (50, 35, 30))
    paint(at.LIPS_OUTER, (int(0.8 * skin), 60, 70))
    for eye in (at.LEFT_EYE, at.RIGHT_EYE):
        paint(eye, (235, 232, 228))
        middle = np.round(marks.of(eye).mean(axis=0) * scale).astype(int)
        cv2.circle(big, tuple(int(v) for v in middle), 19, (60, 40, 25), -1, cv2.LINE_AA)
    big = cv2.resize(big, (px, px), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(big).permute(2, 0, 1).contiguous(), [marks]


def two_tones(rim=(108, 68, 54)) -> tuple[torch.Tensor, np.ndarray, np.ndarray]:
    """Paint closed lips of which the lower one is pale inside and brown outside.

    Returns:
        [3, H, W] uint8; landmarks [468, 2]; [H, W] where the brown rim of the lower lip is, away from the corners.
    """
    photo, points = np.empty((SIZE, SIZE, 3), np.float64), drawn_face(UNIT, MIDDLE)
    photo[:] = (120, 78, 58)
    (x, y), (width, height) = LIPS
    across, down = np.meshgrid(*((np.arange(SIZE) + 0.5 - middle) / UNIT for middle in MIDDLE))
    inner, outer = (np.hypot((across - x) / width, (down - y) / high) < 1 for high in (0.65 * height, height))
    photo[outer] = rim
    photo[inner & (down > y)] = (180, 90, 90)
    photo[outer & (np.abs(down - y) < 0.012)] = (40, 22, 20)
    photo += np.random.RandomState(1).normal(0, 3, (SIZE, SIZE, 1))
    for places in (UPPER_INNER, LOWER_INNER):  # closed
        points[list(places), 1] = MIDDLE[1] + y * UNIT
    pixels = torch.from_numpy(photo.clip(0, 255).astype(np.uint8)).permute(2, 0, 1).contiguous()
    return pixels, points, outer & ~inner & (down > y) & (np.abs(across - x) < 0.5 * width)
