"""From a photo to exactly placed faces: boxes, rough crops, the aligner's word on each, a second one where in doubt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gan_space.errors import FaceTooSmallError, FaceTooTurnedError, InputError, NoFaceError
from gan_space.faces.align import AlignTransform
from gan_space.faces.detect import AlignerLike, FaceBox, FaceDetector, HaarDetector, suppress_overlaps
from gan_space.faces.landmarks import LandmarkerLike, find_landmarks
from gan_space.faces.overview import Overview
from gan_space.faces.scan import ScanDetector

NUM_PASSES = 3
MIN_SCORE = 0.5
MAX_ERROR = 0.2
MIN_SCORE_SCANNED = 0.9  # where no other detector vouches for the face
MAX_ERROR_SCANNED = 0.07  # 19 of 20 faces stay below 0.055, necks and half faces are above
# Places from which a face is looked for once more: shift of the frame in its widths, size, roll in degrees. The aligner
# comes back to a face from all of them (120 portraits: median deviation at most 0.03 eye distances), but strays by 0.08
# and more from what only looked like one: lines of text, folds, a mosaic.
_DISTURBANCES = (
    (0.12, 0.0, 1.0, 0.0), (-0.12, 0.0, 1.0, 0.0), (0.0, 0.12, 1.0, 0.0), (0.0, -0.12, 1.0, 0.0),
    (0.0, 0.0, 1.25, 12.0), (0.0, 0.0, 0.8, -12.0),
)  # fmt: skip
MAX_STRAYING = 0.06
# What the landmarker calls a face: in 999 pictures nobody chose, all 109 doubtful ones within these limits were faces,
# some of them drawn or carved; what only looked like one to the aligner came to 0.058 and more.
MIN_PRESENCE, MAX_ERROR_RECOGNISED = 0.999, 0.056
SURE_ERROR = 0.045  # what the aligner is so sure of need not be looked at again: 198 of 200 portraits
MIN_FRAME_PX = 64.0  # smaller faces show little but blur when made anew
MAX_YAW = 0.40  # the networks were trained on faces turned by less than 0.35
SAME_FACE_DISTANCE = 0.6  # of the larger face's width
# What bounds the time: boxes that are looked at, two thirds of which are placed exactly, and faces that are placed once
# more from around; the surest first. Of a photo that lies on its side or its head fewer, and no small ones.
MAX_BOXES, MAX_DOUBTFUL = 48, 12
MAX_BOXES_LYING, MAX_DOUBTFUL_LYING, LYING_SHARE = 12, 3, 0.2
PROMISING_SCORE, PROMISING_ERROR = 0.2, 0.5  # after the first pass
CROPS_AT_ONCE = 64
MIN_SIDE_PX = 16  # of a photo that is searched
SMALL_SHARE = 0.03  # of the photo's shorter side, half as much as else: in rows of people


@dataclass(frozen=True)
class Face:
    """One face in a photo."""

    box: FaceBox  # where the search began
    transform: AlignTransform  # photo pixels -> tight frame
    landmarks: np.ndarray  # [3, 2] left eye, right eye, mouth in photo pixels
    score: float  # the aligner's probability that it is a face, in [0, 1]
    error: float  # its own estimate of how far a landmark may be off, as a fraction of the eye distance
    yaw: float  # sideways offset of the nose tip over the eye distance, 0 is frontal, about 0.35 a half profile

    @property
    def frame_px(self) -> float:
        """Width of the tight frame in photo pixels."""
        return self.transform.frame_px

    @property
    def too_small(self) -> bool:
        """Fewer than 64 px across."""
        return self.frame_px < MIN_FRAME_PX

    @property
    def too_turned(self) -> bool:
        """Turned further to the side than the faces that the networks know."""
        return abs(self.yaw) > MAX_YAW

    @property
    def sure(self) -> bool:
        """Placed by an aligner that needs no second opinion."""
        return self.error <= SURE_ERROR and self.score >= MIN_SCORE

    @property
    def usable(self) -> bool:
        """Neither too small nor too turned."""
        return not (self.too_small or self.too_turned)


@torch.no_grad()
def find_faces(
    photo: Tensor | Overview,
    aligner: AlignerLike,
    boxes: list[FaceBox] | None = None,
    *,
    landmarker: LandmarkerLike | None = None,
    detector: FaceDetector | None = None,
    thorough: bool = False,
    num_passes: int = NUM_PASSES,
) -> list[Face]:
    """Find and place all faces of a photo.

    Args:
        photo: [3, H, W] uint8, upright, see `gan_space.photos.opening.open_photo`.
        aligner: the network, in evaluation mode.
        boxes: where to look; None asks the detector, and where that finds nothing, the aligner looks everywhere; where
            it finds nothing either, in the photo turned on its side or its head.
        landmarker: decides where the aligner is in doubt, which finds more faces, and next to none where none is; None
            leaves the aligner to itself.
        detector: `HaarDetector()` by default. Of its boxes the first `MAX_BOXES` are looked at.
        thorough: look for smaller faces, and let the aligner look everywhere in any case; for groups, and takes longer.
        num_passes: times that a face is cropped and its place corrected.

    Returns:
        The faces, the largest first; an empty list if there is none. Some may be flagged `too_small` or `too_turned`.

    Raises:
        InputError: `photo` has another form, or `num_passes` is below 1.

    Example:
        >>> faces = find_faces(open_photo("family.jpg"), aligner)  # doctest: +SKIP
        >>> crop = faces[0].transform.crop(photo, 128)  # doctest: +SKIP
    """
    overview = Overview.of(photo)
    if num_passes < 1:
        raise InputError(f"num_passes must be 1 or more, got {num_passes}")
    search = _Search(overview, aligner, landmarker, num_passes)
    if boxes is not None:
        return search.judged(align_boxes(overview, aligner, boxes, num_passes), len(boxes))
    if min(overview.photo.shape[1:]) < MIN_SIDE_PX:
        return []
    boxes = HaarDetector()(overview) if detector is None else detector(overview.photo)
    if thorough and detector is None:  # in a larger copy; some that the smaller one shows are not found there
        boxes = suppress_overlaps(boxes + HaarDetector(SMALL_SHARE, rolls_deg=())(overview))
    faces = search.vouched_for(boxes)
    if thorough:
        faces = _one_each(faces + search.scanned())
    elif not faces:
        faces = sure_ones(search.scanned())
    for quarter_turns in (1, 3, 2):
        if faces:
            break
        faces = search.scanned(quarter_turns)
    return faces


@dataclass(frozen=True)
class _Search:
    """One search: where faces may be, and who decides whether one is there."""

    overview: Overview
    aligner: AlignerLike
    landmarker: LandmarkerLike | None
    num_passes: int

    def vouched_for(self, boxes: list[FaceBox]) -> list[Face]:
        """Faces in the boxes of a detector."""
        return self.judged(_align_promising(self.overview, self.aligner, boxes, self.num_passes))

    def scanned(self, quarter_turns: int = 0) -> list[Face]:
        """Faces that the aligner alone sees, in the photo as it is, on its side or on its head."""
        share = (LYING_SHARE,) if quarter_turns else ()
        boxes = ScanDetector(self.aligner, *share, quarter_turns=quarter_turns)(self.overview)
        most, most_doubtful = (MAX_BOXES_LYING, MAX_DOUBTFUL_LYING) if quarter_turns else (MAX_BOXES, MAX_DOUBTFUL)
        faces = _align_promising(self.overview, self.aligner, boxes, self.num_passes, most)
        return self.judged(faces, most_doubtful, MAX_ERROR_SCANNED, MIN_SCORE_SCANNED)

    def judged(
        self, faces: list[Face], most: int = MAX_DOUBTFUL, max_error: float = MAX_ERROR, min_score: float = MIN_SCORE
    ) -> list[Face]:
        """Keep the faces of which the aligner is sure; of the `most` likeliest others those that are confirmed.

        Without a landmarker nothing is left of those that exceed the limits, in which nobody vouches for a scanned one.
        """
        if self.landmarker is None:
            faces = [face for face in faces if face.score >= min_score and face.error <= max_error]
        faces = _one_each(faces)
        sure = [face for face in faces if face.sure]
        doubtful = sorted((face for face in faces if not face.sure), key=lambda face: face.error)[:most]
        if self.landmarker is None:
            confirmed = _steady(self.overview, self.aligner, doubtful)
        else:
            confirmed = _recognised(self.overview, self.landmarker, doubtful)
        return _one_each(sure + confirmed)


@torch.no_grad()
def align_boxes(
    photo: Tensor | Overview, aligner: AlignerLike, boxes: list[FaceBox], num_passes: int = NUM_PASSES
) -> list[Face]:
    """Place one face for every box, whatever the aligner thinks of it; the order stays."""
    overview = Overview.of(photo)
    faces = [Face(box, box.transform, np.zeros((3, 2)), 0.0, 0.0, 0.0) for box in boxes]
    for _ in range(num_passes):
        faces = _one_pass(overview, aligner, faces)
    return faces


def _one_pass(overview: Overview, aligner: AlignerLike, faces: list[Face], *, rough: bool = False) -> list[Face]:
    """Crop every face where it is taken to be, and let the aligner correct its place."""
    placed: list[Face] = []
    for start in range(0, len(faces), CROPS_AT_ONCE):
        batch = faces[start : start + CROPS_AT_ONCE]
        crops = torch.cat([overview.crop(face.transform, aligner.resolution, rough=rough) for face in batch])
        output = aligner(crops)
        points = output.points.double().cpu().numpy()  # [N, 3, 2]
        landmarks = [face.transform.inverse.apply(one) for face, one in zip(batch, points, strict=True)]
        numbers = zip(output.score.tolist(), output.error.tolist(), output.yaw.tolist(), strict=True)
        placed += [
            Face(face.box, AlignTransform.from_landmarks(points_px), points_px, *three)
            for face, points_px, three in zip(batch, landmarks, numbers, strict=True)
        ]
    return placed


def _align_promising(
    overview: Overview, aligner: AlignerLike, boxes: list[FaceBox], num_passes: int, most: int = MAX_BOXES
) -> list[Face]:
    """Place a face for every box that still looks like one after a first, rough pass."""
    faces = _one_pass(overview, aligner, align_boxes(overview, aligner, boxes[:most], 0), rough=num_passes > 1)
    faces = [face for face in faces if face.score >= PROMISING_SCORE and face.error <= PROMISING_ERROR]
    faces = sorted(faces, key=lambda face: face.error)[: 2 * most // 3]
    for _ in range(num_passes - 1):
        faces = _one_pass(overview, aligner, faces)
    return faces


def sure_ones(faces: list[Face]) -> list[Face]:
    """Keep those of which the aligner is sure, or all if there is none: beside one, most doubtful ones are none."""
    return [face for face in faces if face.sure] or faces


def choose_face(faces: list[Face]) -> Face:
    """Return the largest usable face.

    Raises:
        NoFaceError: `faces` is empty.
        FaceTooSmallError, FaceTooTurnedError: none is usable; says what the largest one lacks.
    """
    if not faces:
        raise NoFaceError(
            "no face was found: use a photo in which a face looks at the camera, is lit evenly, and is not covered"
        )
    usable = [face for face in faces if face.usable]
    if usable:
        return max(usable, key=lambda face: face.frame_px)
    largest = max(faces, key=lambda face: face.frame_px)
    if largest.too_small:
        raise FaceTooSmallError(
            f"the largest face is {largest.frame_px:.0f} px wide, expected {MIN_FRAME_PX:.0f} px or more: use a photo "
            "taken from nearer, or of a higher resolution"
        )
    side = "left" if largest.yaw < 0 else "right"
    raise FaceTooTurnedError(
        f"the face is turned too far to the {side} of the picture (yaw {abs(largest.yaw):.2f}, expected at most "
        f"{MAX_YAW:.2f}): use a photo in which both eyes look at the camera"
    )


def _recognised(overview: Overview, landmarker: LandmarkerLike, faces: list[Face]) -> list[Face]:
    """Keep the faces whose parts the landmarker finds, in the frame that they give."""
    marks = find_landmarks(overview, [face.transform for face in faces], landmarker)
    return [
        Face(face.box, found.transform, found.anchors, found.presence, float(found.error.mean()), found.turn)
        for face, found in zip(faces, marks, strict=True)
        if found.presence >= MIN_PRESENCE and found.error.mean() <= MAX_ERROR_RECOGNISED
    ]


def _steady(overview: Overview, aligner: AlignerLike, faces: list[Face]) -> list[Face]:
    """Keep the faces to which the aligner comes back from places around them."""
    boxes = []
    for face in faces:
        middle = face.transform.inverse.apply([0.5, 0.5])
        for right, down, scale, roll_deg in _DISTURBANCES:
            side = face.frame_px * scale
            x, y = middle + np.array([right, down]) * face.frame_px - side / 2
            boxes.append(FaceBox(float(x), float(y), side, roll_deg=face.transform.roll_deg + roll_deg))
    again = iter(align_boxes(overview, aligner, boxes))
    kept = []
    for face in faces:
        eye_distance = np.linalg.norm(face.landmarks[0] - face.landmarks[1])
        straying = [np.linalg.norm(next(again).landmarks - face.landmarks, axis=1).max() for _ in _DISTURBANCES]
        if np.median(straying) <= MAX_STRAYING * eye_distance:
            kept.append(face)
    return kept


def _one_each(faces: list[Face]) -> list[Face]:
    """Of several boxes that led to one face, keep the one of least expected error; the largest face first."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda one: (one.error, -one.score)):
        kept += others_than(kept, [face])
    return sorted(kept, key=lambda face: -face.frame_px)


def others_than(known: Sequence[Face], found: Sequence[Face]) -> list[Face]:
    """Return those of `found` that are none of the faces in `known`."""

    def apart(one: Face, other: Face) -> bool:
        away = np.linalg.norm(one.landmarks.mean(axis=0) - other.landmarks.mean(axis=0))
        return away > SAME_FACE_DISTANCE * max(one.frame_px, other.frame_px)

    return [face for face in found if all(apart(face, other) for other in known)]
