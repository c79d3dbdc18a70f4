"""Writing what was made of a photo: labelled, the visible mark away from faces, labels of the photo passed on."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from PIL import Image

from gan_space.errors import InputError
from gan_space.output.provenance import read_provenance, save_image
from gan_space.portraits.portrait import Portrait


def save_portrait(
    picture: Image.Image,
    path: str | Path,
    *,
    portrait: Portrait,
    recipe: dict,
    visible_label: bool = True,
    photo: str | Path | None = None,
) -> Path:
    """Write a changed photo as a labelled file, in full or not at all.

    Args:
        picture: what was made of the photo, or of the frame of a face.
        path: ends in .png, .jpg, .jpeg or .webp; an existing file is replaced.
        portrait: the photo, opened; the visible label stays away from its faces.
        recipe: how the picture was made.
        visible_label: also draw a small "AI生成" into a corner.
        photo: the file that the photo came from; labels that it carries are passed on.

    Raises:
        InputError: the suffix, or the place to write to, cannot be used.
    """
    height, width = portrait.pixels.shape[1:]
    faces = portrait.face_boxes() if picture.size == (width, height) else []
    inherited = None
    if photo is not None:
        with suppress(InputError):  # a damaged label is no reason to refuse a photo that can be read
            inherited = read_provenance(photo)
    return save_image(
        picture,
        path,
        recipe=recipe,
        source="edited",
        visible_label=visible_label,
        keep_clear=faces,
        inherited=inherited,
    )
