"""468 places of a face in a photo, in the published face-mesh topology, from a rough place of the face.

"Left" and "right" are as they stand in the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from gan_space.errors import InputError
from gan_space.faces.align import EYE_DISTANCE, TIGHT_FRAME, AlignTransform
from gan_space.faces.mirror import MIRROR
from gan_space.faces.overview import Overview
from gan_space.photos.opening import check_photo

# Outlines, each in the order in which it is drawn.
LIPS_OUTER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
LIPS_INNER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
LEFT_EYE = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
RIGHT_EYE = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
# Two rings of skin above each upper lid, from its crease to below the brow; in step with places 9 to 15 of the outline.
ABOVE_LEFT_EYE = (190, 56, 28, 27, 29, 30, 247), (189, 221, 222, 223, 224, 225, 113)
ABOVE_RIGHT_EYE = (414, 286, 258, 257, 259, 260, 467), (413, 441, 442, 443, 444, 445, 342)
LEFT_BROW = (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
RIGHT_BROW = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276)
FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
LIPS = LIPS_OUTER + LIPS_INNER
LIDS = LEFT_EYE + RIGHT_EYE
BROWS = LEFT_BROW + RIGHT_BROW
JAW = (454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234)
LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS, MOUTH_CORNERS = (33, 133), (263, 362), (61, 291)
NOSE_TIP, CHIN, FOREHEAD_TOP = 1, 152, 10
# Pairs whose distance opens and closes: lids, lips, corners of the mouth, brow over lid.
OPENINGS = (
    *((159, 145), (158, 153), (160, 144), (386, 374), (385, 380), (387, 373)),
    *((13, 14), (82, 87), (312, 317), (81, 178), (311, 402), (0, 17), (61, 291), (78, 308), (105, 159), (334, 386)),
)
NUM_PASSES = 2
NEAR = 0.04  # of a frame's side: where a pass moves it by less, another pass finds the same
LEVEL_NOSE = 0.565  # height of the nose tip in the tight frame of an average face
_MIRROR, _MIRRORED_COVERS = np.array(MIRROR), np.array((1, 0, 2))  # of places; of left eye, right eye and mouth


class LandmarkerLike(Protocol):
    """What `find_landmarks` needs of `gan_space.models.landmarker.Landmarker`."""

    @property
    def resolution(self) -> int: ...

    @property
    def view(self) -> float: ...

    def __call__(self, images: Tensor): ...


@dataclass(frozen=True)
class Landmarks:
    """Where the parts of one face are in a photo, and how far that may be trusted."""

    points: np.ndarray  # [468, 2] float64, photo pixels
    error: np.ndarray  # [468] float64, expected distance from the right place, as a fraction of the eye distance
    presence: float  # probability that there is a face, in [0, 1]
    covered: np.ndarray  # [3] probability that something covers left eye, right eye and mouth, in [0, 1]

    @property
    def anchors(self) -> np.ndarray:
        """Left eye, right eye and mouth, [3, 2] photo pixels: the middles of their corners."""
        corners = (LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS, MOUTH_CORNERS)
        return np.stack([self.points[list(pair)].mean(axis=0) for pair in corners])

    @property
    def transform(self) -> AlignTransform:
        """Photo pixels -> tight frame, by the corners of eyes and mouth."""
        return AlignTransform.from_landmarks(self.anchors)

    @property
    def eye_distance(self) -> float:
        """Between the middles of the eyes' corners, in photo pixels."""
        left, right = (self.points[list(pair)].mean(axis=0) for pair in (LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS))
        return float(np.linalg.norm(right - left))

    @property
    def turn(self) -> float:
        """Sideways offset of the nose tip in eye distances of the frame: 0 is frontal, 0.5 about a half profile.

        Above 0 the nose points to the right of the picture.
        """
        return float((self.transform.apply(self.points[NOSE_TIP])[0] - 0.5) / EYE_DISTANCE)

    @property
    def tilt(self) -> float:
        """How much lower than usual the nose tip lies, in eye distances of the frame; above 0 looks down."""
        return float((self.transform.apply(self.points[NOSE_TIP])[1] - LEVEL_NOSE) / EYE_DISTANCE)

    def of(self, places: Sequence[int]) -> np.ndarray:
        """Return points of a list such as LIPS_OUTER, [K, 2] photo pixels."""
        return self.points[list(places)]

    def error_of(self, places: Sequence[int]) -> float:
        """Return the expected error over a list of places, as a fraction of the eye distance."""
        return float(self.error[list(places)].mean())


@torch.no_grad()
def find_landmarks(
    photo: Tensor | Overview,
    transforms: AlignTransform | Sequence[AlignTransform],
    landmarker: LandmarkerLike,
    *,
    num_passes: int = NUM_PASSES,
) -> Landmarks | list[Landmarks]:
    """Find the places of faces of which the rough place is known, in passes from crop to better crop.

    Each pass takes the mean of what the network says about the crop and its mirror image, which err less than one.

    Args:
        photo: [3, H, W] uint8; an `Overview` is faster where it is large.
        transforms: photo pixels -> tight frame, of one face or of several; may be off by a third of a face.
        landmarker: the network, in evaluation mode.
        num_passes: at most so many; a face whose frame a pass hardly moves needs no further one.

    Returns:
        One `Landmarks` for one transform, a list for several.

    Raises:
        InputError: `photo` has another form, or `num_passes` is below 1.

    Example:
        >>> found = find_landmarks(photo, face.transform, landmarker)  # doctest: +SKIP
        >>> found.of(LIPS_OUTER)  # doctest: +SKIP
    """
    if not isinstance(photo, Overview):
        check_photo(photo)
    if num_passes < 1:
        raise InputError(f"num_passes must be 1 or more, got {num_passes}")
    one = isinstance(transforms, AlignTransform)
    transforms = [transforms] if one else list(transforms)
    if not transforms:
        return []
    found: dict[int, Landmarks] = {}
    left = list(range(len(transforms)))
    for _ in range(num_passes):
        found |= zip(left, _look(photo, [transforms[n] for n in left], landmarker), strict=True)
        left = [n for n in left if _moved(transforms[n], found[n].transform) > NEAR]
        if not left:
            break
        for n in left:
            transforms[n] = found[n].transform
    return found[0] if one else [found[n] for n in range(len(transforms))]


def _look(photo: Tensor | Overview, transforms: list[AlignTransform], landmarker: LandmarkerLike) -> list[Landmarks]:
    """One pass: the mean of what the network says about each crop and its mirror image."""
    views = [transform.then(_widened(landmarker.view)) for transform in transforms]
    r = landmarker.resolution
    crops = [photo.crop(view, r) if isinstance(photo, Overview) else view.crop(photo, r) for view in views]
    crops = torch.cat(crops)  # [N, 3, R, R]
    output = landmarker(torch.cat([crops, crops.flip(3)]))

    def mean(part: Tensor, order: np.ndarray | None = None) -> np.ndarray:
        """Average both halves, [2 N, ...] -> [N, ...]; the mirrored one in another `order`."""
        plain, mirrored = np.split(part.cpu().numpy().astype(np.float64), 2)
        return (plain + (mirrored if order is None else mirrored[:, order])) / 2

    places = output.points.clone()
    places[len(views) :, :, 0] = 1 - places[len(views) :, :, 0]
    points, error = mean(places, _MIRROR), mean(output.error, _MIRROR)
    presence, covered = mean(output.presence), mean(output.covered, _MIRRORED_COVERS)
    return [
        Landmarks(view.inverse.apply(points[n]), error[n], float(presence[n]), covered[n])
        for n, view in enumerate(views)
    ]


def _moved(before: AlignTransform, after: AlignTransform) -> float:
    """How far eyes or mouth of a frame lie from their places in another one, at most, in widths of the frame."""
    return float(np.linalg.norm(after.apply(before.inverse.apply(TIGHT_FRAME)) - TIGHT_FRAME, axis=1).max())


def _widened(view: float) -> AlignTransform:
    """Tight frame -> a crop `view` times as wide, with the same middle."""
    return AlignTransform(1 / view, 0.0, 0.5 - 0.5 / view, 0.5 - 0.5 / view)
