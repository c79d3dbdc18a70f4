"""Change the shape of faces: the photo's own pixels move, and only what lips and lids uncover is drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import numpy as np
from torch import Tensor

from gan_space.faces.eyes import Eye, find_eyes
from gan_space.faces.landmarks import LIPS_INNER, LandmarkerLike, Landmarks
from gan_space.faces.mesh import Flow, face_frame, warp_photo
from gan_space.faces.shape import ShapeModel, check_values
from gan_space.faces.shape_flow import find_shape_flow
from gan_space.faces.stretch import restore_detail
from gan_space.portraits.eyeballs import draw_eyeballs
from gan_space.portraits.mouth import draw_opening
from gan_space.portraits.portrait import Portrait
from gan_space.portraits.smiling import added_smile, shade_smile


def reshape(
    portrait: Portrait,
    landmarker: LandmarkerLike,
    model: ShapeModel,
    values: Mapping[str, float],
    glasses: bool = False,
    moved: Callable[[Flow], object] | None = None,
    painted: Tensor | None = None,
) -> Portrait:
    """Move the landmarks of the chosen faces, and the photo with them.

    Args:
        values: slider -> amount, see `gan_space.faces.shape.SLIDERS`.
        glasses: whether the faces wear some, which then stay straight.
        moved: told the flow of each face, so that what is known of the photo can go along.
        painted: [3, H, W] uint8, what was made of `Portrait.pixels` and moves in their place; what is known of the
            portrait says where eyes and lips are.

    Returns:
        A portrait of the changed photo, its faces where they stand now; the same one where nothing is to be changed.

    Raises:
        InputError: an unknown slider, or an amount out of range.
        NoFaceError, FaceTooSmallError, FaceTooTurnedError: nothing to work on.
    """
    check_values(values)
    if painted is None and not any(values.values()):
        return portrait
    pixels, faces, found = portrait.opened.pixels if painted is None else painted, list(portrait.faces), []
    for number, marks in zip(portrait.chosen, portrait.landmarks(landmarker), strict=True):
        known = partial(_known_eyes, portrait, landmarker, number, marks)
        pixels, flow, points = reshape_face(pixels, marks.points, values, model, known, glasses)
        found.append(replace(marks, points=points))
        if moved is not None:
            moved(flow)
        # The frame goes with eyes and mouth, as it would if the face were found anew.
        face = faces[number]
        transform = found[-1].transform.then(marks.transform.inverse).then(face.transform)
        faces[number] = replace(face, transform=transform, landmarks=flow.move(face.landmarks))
    changed = portrait.painted_over(pixels, on_white=painted is not None)
    return replace(changed, faces=tuple(faces)).knows(landmarker, found)


def _known_eyes(portrait: Portrait, landmarker: LandmarkerLike, number: int, marks: Landmarks) -> tuple[Eye, Eye]:
    name = ("eyes", number, portrait.pixels.shape[2])
    return portrait.remember(name, [landmarker], lambda: find_eyes(portrait.pixels, marks.points))


def reshape_face(
    photo: Tensor,
    landmarks: np.ndarray,
    values: Mapping[str, float],
    model: ShapeModel,
    eyes: Callable[[], tuple[Eye, Eye]] | None = None,
    glasses: bool = False,
) -> tuple[Tensor, Flow, np.ndarray]:
    """Change the shape of one face and leave everything outside its frame as it is, to the bit.

    Args:
        photo: [3, H, W] uint8.
        landmarks: [468, 2] photo pixels.
        values: slider -> amount, see `gan_space.faces.shape.SLIDERS`.
        model: from `ShapeModel.load`.
        eyes: gives what `gan_space.faces.eyes.find_eyes` finds in this photo, where it is known already.
        glasses: whether the face wears some.

    Returns:
        A new photo of the same size, the flow, and where the landmarks stand now.

    Raises:
        InputError: an unknown slider, an amount out of range, or another form of photo or landmarks.
    """
    flow, opening, eyeballs = find_shape_flow(photo, landmarks, values, model, eyes, glasses)
    warped = restore_detail(warp_photo(photo, flow), flow, face_frame(landmarks).frame_px)
    changed, moved = draw_eyeballs(photo, warped, flow, eyeballs), flow.move(landmarks)
    if values.get("smile") and model.smile_light is not None:  # before teeth are drawn, after all skin
        moves = model.displace(landmarks, {"smile": values["smile"]})
        changed = shade_smile(changed, moved, added_smile(landmarks, flow.amount * moves, model), model)
    if opening is not None:  # a flow is smooth where lips tear: they stand where they were sent, not where it took them
        inner, taken = list(LIPS_INNER), moved[list(LIPS_INNER)]
        moved[inner] = opening.after
        changed = draw_opening(changed, moved, (photo, opening))
        moved[inner] = taken + opening.drawn * (opening.after - taken)  # open lips stay as the mesh sees them
    return changed, flow, moved
