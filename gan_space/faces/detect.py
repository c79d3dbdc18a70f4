"""Find faces in a photo as squares; exact places come later, from `gan_space.faces.find`.

The detector at hand is OpenCV's Haar cascade, which is in the package and needs no download. It knows upright faces
only, so the photo is searched rolled to both sides as well. Anything that follows `FaceDetector` may take its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Protocol

import numpy as np
from torch import Tensor

from gan_space.errors import ConfigError, raise_all
from gan_space.faces.align import AlignTransform
from gan_space.faces.overview import Overview

CASCADE = "haarcascade_frontalface_alt2.xml"
SMALLEST_WINDOW_PX = 24  # of a face in the shrunk photo that the cascade searches; it was trained at 20
MIN_NEIGHBORS = 4  # overlapping hits for a face
SCALE_STEP = 1.15
HALF_SCORE_NEIGHBORS = 10
# The middle of a box in the tight frame, and its side: means over 300 head-and-shoulders portraits, with a deviation
# of 0.02 and 0.06.
BOX_CENTER, BOX_SIDE = (0.502, 0.411), 1.006
ROLLED_MIN_SHARE = 0.12
MAX_ASPECT = 3.0  # of a picture that is searched rolled
SAME_FACE_DISTANCE = 0.5  # middles nearer than this, in sides of the larger box, belong to one face


class AlignerLike(Protocol):
    """What `find_faces` needs of `gan_space.models.aligner.Aligner`."""

    @property
    def resolution(self) -> int: ...

    def __call__(self, images: Tensor): ...

    def scan(self, picture: Tensor, stride_px: int): ...


@dataclass(frozen=True)
class FaceBox:
    """A square around a face, roughly the tight frame: forehead to chin.

    x, y: top left corner in px of the upright photo; may lie outside it. size: side in px. score: in [0, 1], higher is
    surer. roll_deg: how far the square is turned clockwise about its middle.
    """

    x: float
    y: float
    size: float
    score: float = 1.0
    roll_deg: float = 0.0

    @property
    def center(self) -> tuple[float, float]:
        """Middle of the square in px."""
        return self.x + self.size / 2, self.y + self.size / 2

    @property
    def transform(self) -> AlignTransform:
        """Photo pixels -> the square; a first guess of the tight frame."""
        return AlignTransform.from_box(self.x, self.y, self.size, self.roll_deg)


def search_side(photo: Tensor) -> float:
    """Return the side in px that sizes of faces are shares of: the shorter one, or more in pictures longer than 3:2.

    So a picture in which a face of a given share has a given number of pixels has a bounded number in all.
    """
    height, width = photo.shape[1:]
    return max(min(height, width), (height * width / 1.5) ** 0.5)


class FaceDetector(Protocol):
    """Whatever finds faces: called with a photo [3, H, W] uint8, it returns one box a face, the surest first."""

    def __call__(self, photo: Tensor) -> list[FaceBox]: ...


class HaarDetector:
    """OpenCV's frontal face cascade (Viola & Jones 2001), upright and rolled.

    Args:
        min_share: side of the smallest face that is looked for, as a share of `search_side`. The time goes with its
            inverse square.
        rolls_deg: how far faces may lean besides upright; each value is one more search, for faces of
            `ROLLED_MIN_SHARE` and more. The cascade itself takes about 15 degrees either way.
        min_neighbors: overlapping hits that make a face; fewer find more faces and more of what is none.

    Raises:
        ConfigError: values out of range.
    """

    def __init__(
        self, min_share: float = 0.06, rolls_deg: tuple[float, ...] = (-28.0, 28.0), min_neighbors: int = MIN_NEIGHBORS
    ):
        faults = []
        if not 0.01 <= min_share <= 1:
            faults.append(f"min_share must be from 0.01 to 1, got {min_share}")
        if min_neighbors < 1:
            faults.append(f"min_neighbors must be 1 or more, got {min_neighbors}")
        raise_all(faults, ConfigError)
        self.min_share, self.rolls_deg, self.min_neighbors = min_share, tuple(rolls_deg), min_neighbors

    def __call__(self, photo: Tensor | Overview) -> list[FaceBox]:
        overview = Overview.of(photo)
        found = self._search(overview, self.min_share, 0.0)
        # A long picture grows several times when it is turned; leaning faces in one are left to the aligner.
        if max(overview.photo.shape[1:]) <= MAX_ASPECT * min(overview.photo.shape[1:]):
            for roll_deg in self.rolls_deg:
                found += self._search(overview, max(self.min_share, ROLLED_MIN_SHARE), roll_deg)
        return suppress_overlaps(found)

    def _search(self, overview: Overview, min_share: float, roll_deg: float) -> list[FaceBox]:
        import cv2

        photo = overview.photo
        shrink = min(1.0, SMALLEST_WINDOW_PX / (min_share * search_side(photo)))
        gray = cv2.equalizeHist(cv2.cvtColor(overview.resized(shrink), cv2.COLOR_RGB2GRAY))
        size = gray.shape[::-1]
        # Turning the photo against the lean makes the face upright.
        to_photo, turned = _turn(gray, roll_deg)
        with _cascade_lock:
            hits, neighbors = _cascade().detectMultiScale2(
                turned, SCALE_STEP, self.min_neighbors, minSize=(SMALLEST_WINDOW_PX, SMALLEST_WINDOW_PX)
            )
        found = []
        for (x, y, side, _), count in zip(hits, neighbors, strict=True):
            frame = side / BOX_SIDE
            # From the middle of Haar's box to that of the tight frame, in the turned picture.
            middle = np.array([x + side / 2, y + side / 2]) + (0.5 - np.array(BOX_CENTER)) * frame
            # x and y shrank by slightly different factors, since sizes are whole.
            center = (to_photo @ np.array([*middle, 1])) * (photo.shape[2] / size[0], photo.shape[1] / size[1])
            frame_px = float(frame * photo.shape[2] / size[0])
            # An upright search that hits is surer of the lean than a rolled one.
            score = float(count / (count + HALF_SCORE_NEIGHBORS))
            corner = center - frame_px / 2
            found.append(FaceBox(float(corner[0]), float(corner[1]), frame_px, score, roll_deg))
        return found


def suppress_overlaps(boxes: list[FaceBox]) -> list[FaceBox]:
    """Keep the surest of boxes that lie on one face; the surest first."""
    kept: list[FaceBox] = []
    for box in sorted(boxes, key=lambda one: (-one.score, -one.size, one.x, one.y)):
        if all(_apart(box, other) for other in kept):
            kept.append(box)
    return kept


def _apart(one: FaceBox, other: FaceBox) -> bool:
    (x1, y1), (x2, y2) = one.center, other.center
    return float(np.hypot(x1 - x2, y1 - y2)) >= SAME_FACE_DISTANCE * max(one.size, other.size)


def _turn(gray: np.ndarray, roll_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """Turn a picture counter-clockwise, canvas grown to hold it: ([2, 3] from turned to old pixels, picture)."""
    import cv2

    if roll_deg == 0:
        return np.eye(2, 3), gray
    height, width = gray.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), roll_deg, 1.0)  # [2, 3], old -> turned
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    new_width, new_height = int(height * sin + width * cos), int(height * cos + width * sin)
    matrix[:, 2] += (new_width - width) / 2, (new_height - height) / 2
    turned = cv2.warpAffine(gray, matrix, (new_width, new_height), borderMode=cv2.BORDER_REPLICATE)
    return cv2.invertAffineTransform(matrix), turned


_cascade_lock = Lock()  # a cascade keeps the photo's pyramid in itself: two threads in it at once break each other


@lru_cache(maxsize=1)
def _cascade():
    import cv2

    cascade = cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / CASCADE))
    if cascade.empty():
        raise ConfigError(
            f"this OpenCV {cv2.__version__} comes without {CASCADE}: "
            "install it anew with pip install 'opencv-python-headless<5'"
        )
    return cascade
