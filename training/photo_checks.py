"""From one photo to the faces worth training on, each checked; and why the others are not."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from gan_space.errors import InputError
from gan_space.faces.align import PORTRAIT_FRAME, TIGHT_FRAME, AlignTransform
from gan_space.faces.find import Face, find_faces
from gan_space.faces.quality import (
    CHECK_PX,
    MAX_BRIGHTNESS,
    MIN_BRIGHTNESS,
    MIN_CHROMA,
    chroma,
    sharpness,
    thumbnail,
)
from gan_space.images import luminance, to_uint8
from gan_space.models.aligner import Aligner
from gan_space.models.landmarker import Landmarker
from gan_space.photos.opening import open_photo, to_picture
from training.photo_source import SourceRow


@dataclass(frozen=True)
class Limits:
    """What a face must be to be kept; see `PrepareConfig`."""

    min_face_px: float
    min_score: float
    max_error: float
    max_yaw: float
    max_outside: float
    min_sharpness: float
    allow_gray: bool


@dataclass
class Made:
    """A face that is kept, or the reason why it (or the whole photo) is not."""

    reason: str = ""
    detail: str = ""
    columns: dict[str, Any] = field(default_factory=dict)
    thumbnail: np.ndarray | None = None  # [256] float32, mean zero and length one


class FaceMaker:
    """Makes and checks the faces of one photo.

    Args:
        aligner, landmarker: folders of the networks, see `find_faces`; None for pictures that are aligned already.
        resolution: side of the pictures made, in px.
        framing: "tight", or "portrait" for head and shoulders.
        faces: "largest" or "all".
        jpeg_quality: of the pictures made.
        limits: what is kept.
        wanted: for each label the values that are wanted; photos with others are not even opened.
    """

    def __init__(
        self, aligner: str | None, landmarker: str | None, resolution: int, framing: str, faces: str,
        jpeg_quality: int, limits: Limits, wanted: Mapping[str, tuple[str, ...]],
    ):  # fmt: skip
        self.aligner = None if aligner is None else Aligner.from_pretrained(Path(aligner)).eval()
        self.landmarker = None if landmarker is None else Landmarker.from_pretrained(Path(landmarker)).eval()
        self.resolution, self.framing, self.faces, self.jpeg_quality = resolution, framing, faces, jpeg_quality
        self.limits, self.wanted = limits, wanted

    def __call__(self, row: SourceRow) -> list[Made]:
        if any(str(row.labels.get(column)) not in values for column, values in self.wanted.items()):
            return [Made("not wanted")]
        try:
            # datasets gives an empty path for bytes it keeps itself.
            source = io.BytesIO(row.cell["bytes"] or b"") if row.cell.get("bytes") is not None else row.cell["path"]
            photo = open_photo(source)
        except InputError as error:
            return [Made("broken", str(error))]
        if self.aligner is None:
            return [self._aligned(photo)]
        faces = find_faces(photo, self.aligner, landmarker=self.landmarker, thorough=self.faces == "all")
        if not faces:
            return [Made("no face")]
        return [self._found(photo, face) for face in (faces if self.faces == "all" else faces[:1])]

    def _aligned(self, photo: Tensor) -> Made:
        height, width = photo.shape[1:]
        side = min(height, width)
        if side < self.limits.min_face_px:
            return Made("too small")
        transform = AlignTransform.from_box((width - side) / 2, (height - side) / 2, side)
        return self._checked(photo, transform, {})

    def _found(self, photo: Tensor, face: Face) -> Made:
        limits = self.limits
        if face.frame_px < limits.min_face_px:
            return Made("too small")
        if face.score < limits.min_score or face.error > limits.max_error:
            return Made("unsure")
        if abs(face.yaw) > limits.max_yaw:
            return Made("turned")
        transform = face.transform
        if self.framing == "portrait":
            transform = AlignTransform.fit(transform.inverse.apply(TIGHT_FRAME), PORTRAIT_FRAME)
        if transform.outside_share(photo.shape[2], photo.shape[1]) > limits.max_outside:
            return Made("cut off")
        columns = {"face_px": face.frame_px, "roll_deg": face.transform.roll_deg, "yaw": face.yaw}
        columns |= {"face_score": face.score, "face_error": face.error}
        return self._checked(photo, transform, {name: round(value, 4) for name, value in columns.items()})

    def _checked(self, photo: Tensor, transform: AlignTransform, columns: dict[str, Any]) -> Made:
        crop = transform.crop(photo, self.resolution)
        at_check_px = crop if self.resolution == CHECK_PX else transform.crop(photo, CHECK_PX)
        looks = (at_check_px[0] + 1) / 2  # [3, 128, 128] in [0, 1]
        gray = luminance(looks)[0]
        sharp = sharpness(gray)
        if not MIN_BRIGHTNESS <= float(gray.mean()) <= MAX_BRIGHTNESS:
            return Made("too dark or bright")
        if sharp < self.limits.min_sharpness:
            return Made("blurred")
        if not self.limits.allow_gray and chroma(looks) < MIN_CHROMA:
            return Made("gray")
        stream = io.BytesIO()
        to_picture(to_uint8(crop)[0]).save(stream, "JPEG", quality=self.jpeg_quality, subsampling=0)
        columns = {"image": {"bytes": stream.getvalue(), "path": None}, "sharpness": round(sharp, 4), **columns}
        return Made(columns=columns, thumbnail=thumbnail(gray))
