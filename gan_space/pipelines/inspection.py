"""What is seen in a photo: its faces, their landmarks, and a picture that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from gan_space.errors import WeightsError
from gan_space.faces.detect import AlignerLike
from gan_space.faces.find import Face, find_faces
from gan_space.faces.landmarks import (
    BROWS,
    FACE_OVAL,
    LEFT_BROW,
    LEFT_EYE,
    LIDS,
    LIPS,
    LIPS_INNER,
    LIPS_OUTER,
    RIGHT_BROW,
    RIGHT_EYE,
    LandmarkerLike,
    Landmarks,
    find_landmarks,
)
from gan_space.models.aligner import Aligner
from gan_space.models.landmarker import Landmarker
from gan_space.photos.opening import to_picture
from gan_space.pipelines.loading import resolve_model

OUTLINES = (FACE_OVAL, LEFT_EYE, RIGHT_EYE, LEFT_BROW, RIGHT_BROW, LIPS_OUTER, LIPS_INNER)
REGIONS = {"lips": LIPS, "lids": LIDS, "brows": BROWS, "oval": FACE_OVAL}
COVERABLE = {"left eye": (LEFT_EYE,), "right eye": (RIGHT_EYE,), "mouth": (LIPS_OUTER, LIPS_INNER)}  # outlines
COVERED = 0.5
SURE, UNSURE = 0.02, 0.08  # expected errors, as fractions of the eye distance, at which dots are of either colour
_SURE_COLOR, _UNSURE_COLOR = (120, 235, 160), (255, 120, 40)
_OUTLINE_COLOR, _COVERED_COLOR = (255, 214, 90), (255, 60, 80)
_SMOOTH, _LARGE_PX = 4, 1500  # lines are drawn so many times as large and then shrunk; of large faces twice as large


@dataclass(frozen=True)
class SeenFace:
    """A face and what is known of its parts."""

    face: Face
    landmarks: Landmarks

    @property
    def covered(self) -> list[str]:
        """Names of the parts that something seems to cover."""
        return [name for name, chance in zip(COVERABLE, self.landmarks.covered, strict=True) if chance > COVERED]

    def __str__(self) -> str:
        marks = self.landmarks
        errors = ", ".join(f"{name} {100 * marks.error_of(places):.1f} %" for name, places in REGIONS.items())
        hidden = f"; covered: {', '.join(self.covered)}" if self.covered else ""
        return (
            f"{self.face.frame_px:.0f} px wide, leans {marks.transform.roll_deg:+.0f} degrees, turn {marks.turn:+.2f}, "
            f"tilt {marks.tilt:+.2f}, presence {marks.presence:.2f}; "
            f"expected error, of the eye distance: {errors}{hidden}"
        )


def load_face_networks(name_or_path: str | Path | None = None, revision: str | None = None):
    """Return aligner and landmarker of a model, in evaluation mode.

    Args:
        name_or_path, revision: as in `from_pretrained` of the pipelines; None is the embedded model.

    Raises:
        WeightsError: the model is damaged, or has no such network; says which.
        InputError: a name that is neither folder nor Hub id.
    """
    folder = resolve_model(name_or_path, revision).folder
    networks = {"aligner": Aligner, "landmarker": Landmarker}
    missing = [name for name in networks if not (folder / name).is_dir()]
    if missing:
        raise WeightsError(
            f"the model {folder.name} has no {' and no '.join(missing)}, which faces are read with; use another model, "
            "or copy them from the embedded one: they fit every model of faces in the tight frame"
        )
    return tuple(kind.from_pretrained(str(folder), subfolder=name).eval() for name, kind in networks.items())


def inspect_photo(photo: Tensor, aligner: AlignerLike, landmarker: LandmarkerLike) -> list[SeenFace]:
    """Find all faces of a photo [3, H, W] uint8 and their landmarks, the largest first."""
    return inspect_faces(photo, find_faces(photo, aligner, landmarker=landmarker, thorough=True), landmarker)


def inspect_faces(photo: Tensor, faces: Sequence[Face], landmarker: LandmarkerLike) -> list[SeenFace]:
    """Find the landmarks of faces that were found in a photo [3, H, W] uint8."""
    marks = find_landmarks(photo, [face.transform for face in faces], landmarker)
    return [SeenFace(*pair) for pair in zip(faces, marks, strict=True)]


def draw_seen(photo: Tensor, seen: Sequence[SeenFace]) -> Image.Image:
    """Return the photo with what was seen drawn over it, see `seen_layer`."""
    picture = to_picture(photo)
    layer = seen_layer(picture.size, seen)
    picture.paste(layer, mask=layer)
    return picture


def seen_layer(size: tuple[int, int], seen: Sequence[SeenFace]) -> Image.Image:
    """Draw all places as dots and the outlines of face, eyes, brows and lips, on nothing.

    Dots go from green to orange as the expected error grows; outlines are yellow, those of covered parts red.

    Args:
        size: (width, height) of the photo.
        seen: its faces, in px of it.

    Returns:
        RGBA.
    """
    layer = Image.new("RGBA", size)
    for face in seen:
        _draw(layer, face)
    return layer


def _draw(layer: Image.Image, face: SeenFace) -> None:
    """Draw one face into the part of the layer that it takes."""
    marks = face.landmarks
    unit = marks.eye_distance
    low = np.floor(marks.points.min(axis=0) - 0.1 * unit).astype(int).clip(0)
    high = np.ceil(marks.points.max(axis=0) + 0.1 * unit).astype(int).clip(0, layer.size)
    if (high <= low).any():
        return
    width, height = (high - low).tolist()
    smooth = _SMOOTH if max(width, height) <= _LARGE_PX else _SMOOTH // 2
    large = Image.new("RGBA", (width * smooth, height * smooth))
    draw, points = ImageDraw.Draw(large), (marks.points - low) * smooth
    hidden = {outline for part in face.covered for outline in COVERABLE[part]}
    for outline in OUTLINES:
        line = [tuple(points[place]) for place in (*outline, outline[0])]
        color = _COVERED_COLOR if outline in hidden else _OUTLINE_COLOR
        draw.line(line, fill=color, width=max(1, round(unit * smooth / 90)), joint="curve")
    radius = max(1.0, unit * smooth / 110)
    doubts = ((marks.error - SURE) / (UNSURE - SURE)).clip(0, 1)[:, None]
    colors = np.round((1 - doubts) * _SURE_COLOR + doubts * _UNSURE_COLOR).astype(int)
    for (x, y), color in zip(points, colors.tolist(), strict=True):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=tuple(color))
    layer.alpha_composite(large.resize((width, height), Image.Resampling.LANCZOS), tuple(low.tolist()))
