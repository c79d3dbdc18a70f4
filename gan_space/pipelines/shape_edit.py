"""Change the shape of faces in a photo: find them, move their landmarks, warp the photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from gan_space.errors import InputError, NoFaceError
from gan_space.faces.landmarks import Landmarks
from gan_space.faces.shape import ShapeModel, check_values, edit_shape
from gan_space.pipelines.loading import default_model_folder, resolve_model


def load_shape_model(name_or_path: str | Path | None = None, revision: str | None = None) -> ShapeModel:
    """The shape sliders of a model; the embedded ones where it has none, since they fit every face.

    Raises:
        WeightsError: the model is damaged.
        InputError: a name that is neither folder nor Hub id.
    """
    folder = resolve_model(name_or_path, revision).folder / "shape"
    return ShapeModel.load(folder if folder.is_dir() else default_model_folder() / "shape")


def choose_faces(found: Sequence[Landmarks], which: str | int) -> list[Landmarks]:
    """ "largest", "all", or a number from 0; the faces come the largest first.

    Raises:
        NoFaceError: there is none, or none of that number.
        InputError: another word.
    """
    if not found:
        raise NoFaceError("no face is seen in the photo; take one in which a face is larger, or less turned")
    if which == "all":
        return list(found)
    number = 0 if which == "largest" else which
    if not isinstance(number, int):
        raise InputError(f"faces is largest, all, or a number from 0, got {which!r}")
    if not 0 <= number < len(found):
        raise NoFaceError(f"the photo shows {len(found)} faces, numbers 0 to {len(found) - 1}; got {number}")
    return [found[number]]


def edit_faces(photo: Tensor, faces: Sequence[Landmarks], values: Mapping[str, float], model: ShapeModel) -> Tensor:
    """Change the shape of several faces of a photo [3, H, W] uint8, one after the other.

    Raises:
        InputError: an unknown slider or an amount out of range.
    """
    check_values(values)
    for face in faces:
        photo = edit_shape(photo, face.points, values, model)
    return photo
