"""The flow of a photo for sliders that change the shape of a face, and what a flow cannot carry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from torch import Tensor

from gan_space.faces.eyes import EYES, Eye, Eyeball, find_eyes, snap_lids
from gan_space.faces.landmarks import ABOVE_LEFT_EYE, ABOVE_RIGHT_EYE, LIPS_INNER
from gan_space.faces.mesh import Flow, check_landmarks, face_frame, find_flow
from gan_space.faces.mouth import LIP_RINGS, Opening, how_ajar, how_closed, snap_mouth
from gan_space.faces.shape import EYE_STEP, OPENING_BY, SMILE_PARTS, ShapeModel, parts_lips
from gan_space.faces.snap import LOWER_INNER, UPPER_INNER
from gan_space.photos.opening import check_photo

_ACROSS_THE_SEAM = dict(zip(UPPER_INNER, LOWER_INNER, strict=True))
_ACROSS_THE_SEAM |= {lower: upper for upper, lower in _ACROSS_THE_SEAM.items()}
_CORNERS_OF_LIPS = [place for ring in LIP_RINGS for place in (ring[0], ring[10])]
LIDS_MOVE = 0.004  # face units, less than which lids and eyeball go together
_UPPER_LIDS = [list(edge[9:16]) for edge, _ in EYES]
# Shares of what a searched lid lies beside the landmarks that skin above it does, too, and of its height that it keeps.
_LIES_BESIDE, _SKIN_KEEPS = (1.0, 0.5), 0.8


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
    if found:
        places, displacement = skin_above(landmarks, snap_lids(places, found), displacement)
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
    # again. It is read where they are sent: lips that tear, and lids, have no one place that they come from.
    short = np.zeros_like(displacement)
    for exact in ([*lids, *mouth], lids):
        if exact:
            sent = flow.share(places[exact] + displacement[exact]) * displacement[exact]
            short[exact] += sent + flow.at(places[exact] + sent)
            flow = find_flow(places, displacement, size, torn=torn, more=short)
    opening = None
    if parts:
        after = lips + flow.share(lips + displacement[inner]) * displacement[inner]
        dropped, bared = (max(values.get(name, 0.0), 0.0) * most for name, most in OPENING_BY.items())
        opening = Opening(lips, after, ajar, drawn, dropped / max(dropped + bared, 1e-6))
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


def skin_above(landmarks, places, displacement) -> tuple[np.ndarray, np.ndarray]:
    """Place the skin above searched lids, and let it rise before lids that would be pushed into it.

    A lid that opens slides below its fold, so in labelled faces the skin above stays. A warp cannot hide it.

    Args:
        landmarks: [468, 2] photo pixels.
        places: [468, 2] the same, with lids where the photo has them.
        displacement: [468, 2] photo pixels.

    Returns:
        Places and displacement, [468, 2] photo pixels.
    """
    frame, places, displacement = face_frame(landmarks), places.copy(), displacement.copy()
    up = -frame.inverse.matrix[:, 1] / np.hypot(*frame.inverse.matrix[:, 1])
    for lid, rings in zip(_UPPER_LIDS, (ABOVE_LEFT_EYE, ABOVE_RIGHT_EYE), strict=True):
        beside, below = places[lid] - landmarks[lid], lid
        for share, ring in zip(_LIES_BESIDE, map(list, rings), strict=True):
            places[ring] += share * beside
            height = (places[ring] - places[below]) @ up
            after = height + (displacement[ring] - displacement[below]) @ up
            displacement[ring] += np.maximum(_SKIN_KEEPS * height - after, 0)[:, None] * up
            below = ring
    return places, displacement


def _lids_move(landmarks, displacement, places, corners, scale: float) -> bool:
    """Whether lids move up or down over the eyeball, which goes with the corners of the eye."""
    places, corners = list(places), list(corners)
    along = displacement[corners].mean(axis=0) + (scale - 1) * (landmarks[places] - landmarks[corners].mean(axis=0))
    x, y = landmarks[corners[1]] - landmarks[corners[0]]
    across = (displacement[places] - along) @ (-y, x) / max(np.hypot(x, y), 1e-6)
    return bool(np.abs(across).max() > LIDS_MOVE * face_frame(landmarks).frame_px)
