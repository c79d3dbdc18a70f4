"""Searching the faces of a photo, and choosing those that are meant."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from gan_space.errors import FaceTooSmallError, FaceTooTurnedError, InputError, raise_all
from gan_space.faces.align import TIGHT_FRAME, AlignTransform
from gan_space.faces.detect import ROLLED_MIN_SHARE, AlignerLike, FaceBox, FaceDetector, HaarDetector, suppress_overlaps
from gan_space.faces.find import MIN_FRAME_PX, Face, align_boxes, choose_face, find_faces, others_than
from gan_space.faces.landmarks import LandmarkerLike
from gan_space.faces.overview import Overview
from gan_space.settings import as_list, brief, is_one_of

Which = str | int  # "largest", "all", or the number of a face from 0, the largest first
WHICH = ("largest", "all")
QUICK_MIN_SHARE = ROLLED_MIN_SHARE  # where the largest face is asked for, small ones are tried if there is no other
MIN_BOX_PX = 16.0
MIN_FRAME_OF_ALL_PX = 32.0  # who asks for all faces of a group wants the small ones, too
SURE_SCORE, SURE_ERROR = 0.9, 0.07  # else a box drawn by hand stays where it was drawn


def search(
    photo: Tensor,
    aligner: AlignerLike,
    landmarker: LandmarkerLike | None = None,
    *,
    which: Which = "largest",
    boxes: Sequence[FaceBox | Sequence[float]] | None = None,
    detector: FaceDetector | None = None,
) -> list[Face]:
    """Find the faces of a photo, the largest first; nothing is chosen yet.

    Args:
        photo: [3, H, W] uint8.
        aligner, landmarker: the networks, see `find_faces`.
        which: "largest" lets a quick search for larger faces do where it finds a usable one.
        boxes: squares drawn by hand instead of a search: `FaceBox`, or x, y, size in px and perhaps roll in degrees.
        detector: instead of OpenCV's cascade.

    Raises:
        InputError: boxes that are none; all faults at once.
    """
    if boxes is not None:
        return _from_boxes(photo, aligner, parse_boxes(boxes))
    overview = Overview.of(photo)
    if which == "largest" and detector is None:
        larger = HaarDetector(min_share=QUICK_MIN_SHARE)(overview)
        quick = find_faces(overview, aligner, larger, landmarker=landmarker)
        if any(face.usable for face in quick):
            return quick
        # Leaning faces are no smaller than these, see `ROLLED_MIN_SHARE`: the upright ones are left.
        detector = lambda _: suppress_overlaps(larger + HaarDetector(rolls_deg=())(overview))  # noqa: E731
    return find_faces(overview, aligner, landmarker=landmarker, detector=detector, thorough=which == "all")


def choose(faces: Sequence[Face], which: Which = "largest", *, by_hand: bool = False) -> tuple[int, ...]:
    """Choose among faces, the largest first.

    Args:
        faces: from `search`.
        which: "largest" usable one, "all" usable ones and small ones of 32 px and more, or a number, counted from
            0: named so, a small or turned face is taken, too.
        by_hand: somebody marked them, so small and turned faces are usable.

    Returns:
        Their numbers.

    Raises:
        NoFaceError, FaceTooSmallError, FaceTooTurnedError: nothing usable is among them; says what to do.
        InputError: a number that no face has.
    """
    if which not in WHICH and faces:
        if not 0 <= int(which) < len(faces):
            raise InputError(
                f"the photo has {len(faces)} face(s), numbered from 0, the largest first; got number {which}"
            )
        return (which,)
    least = MIN_FRAME_OF_ALL_PX if which == "all" else MIN_FRAME_PX
    able = [n for n, face in enumerate(faces) if by_hand or (face.frame_px >= least and not face.too_turned)]
    if which == "all" and able:
        return tuple(able)
    try:
        best = faces[able[0]] if by_hand and able else choose_face(list(faces))
    except (FaceTooSmallError, FaceTooTurnedError) as error:
        raise type(error)(f"{error}; faces=0 takes the largest one all the same") from None
    return (next(number for number, face in enumerate(faces) if face is best),)


def which_faults(which: object) -> list[str]:
    """Say what is wrong with the argument `faces`; empty if nothing."""
    if is_one_of(which, WHICH) or (isinstance(which, int) and not isinstance(which, bool) and which >= 0):
        return []
    return [f"faces must be 'largest', 'all' or the number of a face from 0, got {brief(which)}"]


def parse_boxes(boxes: Sequence[FaceBox | Sequence[float]]) -> list[FaceBox]:
    """Turn (x, y, size) or (x, y, size, roll_deg) into `FaceBox`; InputError with all faults at once."""
    parsed, faults = [], []
    given, boxes = boxes, as_list(boxes, max_dimensions=2)
    if boxes is None:
        raise InputError(f"boxes must be a list of faces marked by hand, got {brief(given)}")
    for box in boxes:
        if not isinstance(box, FaceBox):
            try:
                numbers = [float(number) for number in box]
            except (TypeError, ValueError):
                numbers = []
            if len(numbers) not in (3, 4) or not np.isfinite(numbers).all():
                faults.append(f"a box is x, y, size in px and, if wanted, roll in degrees; got {brief(box)}")
                continue
            box = FaceBox(*numbers[:3], roll_deg=numbers[3] if len(numbers) == 4 else 0.0)
        if not box.size >= MIN_BOX_PX:
            faults.append(f"a box must be {MIN_BOX_PX:.0f} px or more wide, got {box.size:.0f}")
        parsed.append(box)
    faults += [] if len(boxes) else ["boxes is empty: give one for each face, or None to search"]
    raise_all(faults, InputError)
    return parsed


def _from_boxes(photo: Tensor, aligner: AlignerLike, boxes: list[FaceBox]) -> list[Face]:
    """Place a face for each box; where the aligner sees none, the box itself is the frame."""
    faces = []
    for face in align_boxes(photo, aligner, boxes):
        if face.score < SURE_SCORE or face.error > SURE_ERROR:
            transform = face.box.transform
            landmarks = transform.inverse.apply(TIGHT_FRAME)
            face = Face(face.box, transform, landmarks, face.score, face.error, yaw=0.0)
        faces.append(face)
    return sorted(faces, key=lambda one: -one.frame_px)


def scaled_face(face: Face, scale: float) -> Face:
    """Return the same face in a photo that is `scale` times as large."""
    if scale == 1:
        return face
    box = replace(face.box, x=face.box.x * scale, y=face.box.y * scale, size=face.box.size * scale)
    transform = AlignTransform(1 / scale, 0.0, 0.0, 0.0).then(face.transform)
    return replace(face, box=box, transform=transform, landmarks=face.landmarks * scale)


class LeftOut:
    """The faces that a search left out, content with a large one: searched at first use, for all copies of a photo.

    A copy in another process knows what was found before; the networks stay behind, so it searches no more.

    Args:
        aligner, landmarker: the networks, see `find_faces`.
    """

    def __init__(self, aligner: AlignerLike, landmarker: LandmarkerLike | None = None) -> None:
        self._networks: tuple[AlignerLike, LandmarkerLike | None] | None = (aligner, landmarker)
        self._found: tuple[list[Face], int] | None = None  # faces, width of the photo in px
        self._lock = threading.Lock()

    def beside(self, known: Sequence[Face], photo: Tensor) -> list[Face]:
        """Return all faces but those that are known, in px of `photo` [3, H, W] uint8, which may have any size."""
        with self._lock:
            if self._found is None and self._networks is not None:
                aligner, landmarker = self._networks
                self._found = find_faces(photo, aligner, landmarker=landmarker, thorough=True), photo.shape[2]
            found, width = self._found or ([], 1)
        return others_than(known, [scaled_face(face, photo.shape[2] / width) for face in found])

    def __getstate__(self) -> dict:
        return {"_networks": None, "_found": self._found}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state, _lock=threading.Lock())
