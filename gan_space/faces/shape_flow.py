"""The flow of a photo for sliders that change the shape of a face, and what a flow cannot carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from torch import Tensor

from gan_space.faces.eyes import EYES, Eye, Eyeball, find_eyes, snap_lids
from gan_space.faces.landmarks import LIPS_INNER
from gan_space.faces.mesh import Flow, check_landmarks, face_frame, find_flow
from gan_space.faces.mouth import LIP_RINGS, Opening, how_ajar, how_closed, snap_mouth
from gan_space.faces.shape import EYE_STEP, SMILE_PARTS, ShapeModel, parts_lips
from gan_space.faces.snap import LOWER_INNER, UPPER_INNER
from gan_space.photos.opening import check_photo

_ACROSS_THE_SEAM = dict(zip(UPPER_INNER, LOWER_INNER, strict=True))
_ACROSS_THE_SEAM |= {lower: upper for upper, lower in _ACROSS_THE_SEAM.items()}
_CORNERS_OF_LIPS = [place for ring in LIP_RINGS for place in (ring[0], ring[10])]
LIDS_MOVE = 0.004  # face units, less than which lids and eyeball go together


class ShapeFlow(NamedTuple):
    """The flow of a change of shape, and what it cannot carry."""

    flow: Flow
    opening: Opening | None  # None: nothing to fill
    eyeballs: tuple[Eyeball, ...]  # of eyes whose lids move over them


def find_shape_flow(
    photo: Tensor,
    landmarks,
    values: Mapping[str, float],
    model: ShapeModel,
    eyes: Callable[[], tuple[Eye, Eye]] | None = None,
    glasses: bool = False,
) -> ShapeFlow:
    """Find the flow of several sliders at once.

    `Flow.move` tells where landmarks go, and the same flow warps whatever else lies over the photo.

    Args:
        photo: [3, H, W] uint8.
        landmarks: [468, 2] photo pixels.
        values: slider -> amount, see `SLIDERS`.
        model: from `ShapeModel.load`.
        eyes: gives what `find_eyes` finds in this photo, where it is known already.
        glasses: whether the face wears some.

    Raises:
        InputError: an unknown slider, an amount out of range, or another form of photo or landmarks.
    """
    check_photo(photo)
    landmarks = check_landmarks(landmarks)
    asked = any(values.get(name) for name in ("mouth_open", "smile"))
    closed = how_closed(landmarks, photo) if asked else None
    displacement = model.displace(landmarks, values, closed, glasses)
    scale = EYE_STEP * values.get("eye_size", 0.0)
    moved = [_lids_move(landmarks, displacement, places, corners, 1 + scale) for places, corners in EYES]
    found = (eyes() if eyes else find_eyes(photo, landmarks)) if any(moved) else ()
    # Landmarks of lids and lips lie beside the photo's, by up to as much as those move.
    ajar = how_ajar(landmarks, closed) if asked else 0.0
    places = snap_mouth(photo, landmarks, closed, ajar) if asked else landmarks
    places = snap_lids(places, found) if found else places
    size, inner = tuple(photo.shape[1:]), list(LIPS_INNER)
    drawn = closed if asked and parts_lips(values) else 0.0
    parts = drawn > 0 or ajar > 0
    torn = [(places + displacement)[list(edge)] for edge, _ in EYES] if found else []
    if parts:
        # Where closed lips meet; the mesh may see a gap between them.
        seam = (places[inner] + places[[_ACROSS_THE_SEAM.get(place, place) for place in inner]]) / 2
        lips = places[inner] + closed * (seam - places[inner])
        torn.append(lips + displacement[inner])
    elif asked and parts_lips(values):  # what is between open lips has no pores to smear
        torn.append((places + displacement)[inner])
    flow = find_flow(places, displacement, size, torn=torn)
    lids = [place for edge, _ in EYES for place in edge] if found else []
    mouth = inner if parts else []
    if values.get("smile", 0.0) > SMILE_PARTS:  # with the edges between them, corners would go less far apart
        mouth = _CORNERS_OF_LIPS
    # A flow is too smooth for lids and corners of a mouth: what they fall short by is asked for once more, of lids
    # again. Lips that tear would fold.
    short = np.zeros_like(displacement)
    for exact in ([*lids, *mouth], lids):
        if exact:
            sent = flow.share(places[exact] + displacement[exact]) * displacement[exact]
            short[exact] += sent - (flow.move(places[exact]) - places[exact])
            flow = find_flow(places, displacement + short, size, torn=torn)
    opening = None
    if parts:
        after = lips + flow.share(lips + displacement[inner]) * displacement[inner]
        opening = Opening(lips, after, ajar, drawn)
    eyeballs = tuple(
        Eyeball(
            eye,
            landmarks[list(corners)].mean(axis=0),
            flow.amount * displacement[list(corners)].mean(axis=0),
            1 + flow.amount * scale,
        )
        for eye, (_, corners), moves in zip(found, EYES, moved, strict=bool(found))
        if moves
    )
    return ShapeFlow(flow, opening, eyeballs)


def _lids_move(landmarks, displacement, places, corners, scale: float) -> bool:
    """Whether lids move up or down over the eyeball, which goes with the corners of the eye."""
    places, corners = list(places), list(corners)
    along = displacement[corners].mean(axis=0) + (scale - 1) * (landmarks[places] - landmarks[corners].mean(axis=0))
    x, y = landmarks[corners[1]] - landmarks[corners[0]]
    across = (displacement[places] - along) @ (-y, x) / max(np.hypot(x, y), 1e-6)
    return bool(np.abs(across).max() > LIDS_MOVE * face_frame(landmarks).frame_px)
