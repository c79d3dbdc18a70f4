"""Change the shape of the chosen faces of a portrait: the photo's own pixels move, nothing is drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from gan_space.faces.landmarks import LandmarkerLike
from gan_space.faces.mesh import warp_photo
from gan_space.faces.shape import ShapeModel, check_values, find_shape_flow
from gan_space.portraits.portrait import Portrait


def reshape(portrait: Portrait, landmarker: LandmarkerLike, model: ShapeModel, values: Mapping[str, float]) -> Portrait:
    """Move the landmarks of the chosen faces, and the photo with them.

    Args:
        values: slider -> amount, see `gan_space.faces.shape.SLIDERS`.

    Returns:
        A portrait of the changed photo, its faces where they stand now; the same one where nothing is to be changed.

    Raises:
        InputError: an unknown slider, or an amount out of range.
        NoFaceError, FaceTooSmallError, FaceTooTurnedError: nothing to work on.
    """
    check_values(values)
    if not any(values.values()):
        return portrait
    pixels, faces, found = portrait.opened.pixels, list(portrait.faces), []
    for number, marks in zip(portrait.chosen, portrait.landmarks(landmarker), strict=True):
        flow = find_shape_flow(pixels, marks.points, values, model)
        pixels = warp_photo(pixels, flow)
        moved = replace(marks, points=flow.move(marks.points))
        found.append(moved)
        # The frame goes with eyes and mouth, as it would if the face were found anew.
        face = faces[number]
        transform = moved.transform.then(marks.transform.inverse).then(face.transform)
        faces[number] = replace(face, transform=transform, landmarks=flow.move(face.landmarks))
    opened = replace(portrait.opened, pixels=pixels)
    changed = Portrait(opened, tuple(faces), portrait.which, portrait.by_hand, portrait._as_found)
    changed.remember("landmarks", [landmarker], lambda: (found, pixels.shape[2]))
    return changed
