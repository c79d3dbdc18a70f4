"""Frames: the crops of a photo that people post, placed by the landmarks of the face, with the photo's own pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from gan_space.faces.align import AlignTransform
from gan_space.faces.landmarks import CHIN, LEFT_EYE_CORNERS, RIGHT_EYE_CORNERS, LandmarkerLike, Landmarks
from gan_space.output.visible_label import Box
from gan_space.portraits.portrait import Portrait, moved_face

WHOLE = "photo"  # the frame that leaves the photo as it is
LEAST_OF_SIDE, ENOUGH_PX = 0.55, 640  # of the photo's shorter side that a crop keeps, unless it has this many px
MOST_OF_PHOTO = 0.9  # a crop of more than this share of the photo is the photo
CROWN = 1.05  # the crown lies as far above the eyes as the chin below, and hair on top of it
MAX_SHIFT = 0.07  # of the frame's height, by which it may leave its place to stay inside the photo


@dataclass(frozen=True)
class Frame:
    """A crop of a photo around its face.

    Args:
        width, height: its sides to each other.
        head: chin to crown as a share of its height.
        eyes: height of the eyes in it, from the top.
        whole_head: the crown has to be in it.
        room: by how much the head may become larger in it where the photo ends.
        aside: how far the face stands from its middle, as a share of its width; on either side.
    """

    width: int
    height: int
    head: float
    eyes: float
    whole_head: bool = True
    room: float = 1.35
    aside: float = 0.0


FRAMES = {
    "passport": Frame(35, 45, 0.70, 0.46, room=1.1),
    "avatar": Frame(1, 1, 0.62, 0.45, room=1.25),
    "close": Frame(4, 5, 0.70, 0.43, whole_head=False, room=1.5),
    "4x5": Frame(4, 5, 0.46, 0.40),
    "half-length": Frame(3, 4, 0.29, 0.28),
    "wide": Frame(3, 2, 0.52, 0.42, aside=0.12),
}
FRAME_NAMES = (WHOLE, *FRAMES)


def find_frames(marks: Landmarks, size: tuple[int, int]) -> dict[str, Box]:
    """Place every frame that a photo has room for.

    Args:
        marks: of the face.
        size: height and width of the photo in px.

    Returns:
        Frame -> box in whole px; the photo itself always, and no crop that hardly differs from it.
    """
    height, width = size
    found = {WHOLE: Box(0, 0, width, height)}
    for name, frame in FRAMES.items():
        box = _place(frame, marks, size)
        if box is None:
            continue
        area = (box.right - box.left) * (box.bottom - box.top)
        if area <= MOST_OF_PHOTO * width * height:
            found[name] = box
    return found


def crop_to(portrait: Portrait, box: Box, landmarker: LandmarkerLike) -> Portrait:
    """Cut a box out of a photo whose landmarks are known; faces and landmarks come along."""
    left, top, right, bottom = (int(side) for side in (box.left, box.top, box.right, box.bottom))
    back = AlignTransform(1.0, 0.0, float(left), float(top))  # px of the crop -> px of the photo
    pixels = portrait.pixels[:, top:bottom, left:right].contiguous().clone()
    marks = [replace(one, points=back.inverse.apply(one.points)) for one in portrait.landmarks(landmarker)]
    faces = tuple(moved_face(face, back) for face in portrait.faces)
    opened = replace(portrait.opened, pixels=pixels, alpha=None)
    return Portrait(opened, faces, portrait.which, portrait.by_hand, portrait.as_found).knows(landmarker, marks)


def _place(frame: Frame, marks: Landmarks, size: tuple[int, int]) -> Box | None:
    """The largest picture of a frame that fits, with the head as the frame wants it or somewhat larger."""
    height, width = size
    eyes = marks.of((*LEFT_EYE_CORNERS, *RIGHT_EYE_CORNERS)).mean(axis=0)
    chin = marks.points[CHIN]
    below = float(np.linalg.norm(chin - eyes))
    head = below * (1 + CROWN)
    middle = float((eyes[0] + chin[0]) / 2)
    crown = float(eyes[1] - CROWN * below)
    for larger in np.linspace(1.0, frame.room, 8):
        h = head / (frame.head * larger)
        w = h * frame.width / frame.height
        if w > width or h > height:
            continue
        wanted_top = float(eyes[1]) - frame.eyes * h
        for aside in (0.0,) if not frame.aside else (frame.aside, -frame.aside, 0.0):
            wanted_left = middle - w / 2 - aside * w
            left, top = min(max(wanted_left, 0.0), width - w), min(max(wanted_top, 0.0), height - h)
            if max(abs(left - wanted_left), abs(top - wanted_top)) > MAX_SHIFT * h:
                continue
            if frame.whole_head and crown < top:
                continue
            if chin[1] > top + 0.97 * h or min(w, h) < min(ENOUGH_PX, LEAST_OF_SIDE * min(height, width)):
                continue
            whole = Box(round(left), round(top), round(left) + int(w), round(top) + int(h))
            return Box(whole.left, whole.top, min(whole.right, width), min(whole.bottom, height))
    return None
