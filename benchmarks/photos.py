"""Photos at the size that a benchmark asks for."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from gan_space.errors import InputError
from gan_space.photos.folders import find_pictures
from gan_space.photos.opening import open_photo, to_picture


def sized_photos(photos: Path, folder: Path, long_side: int, num_photos: int) -> list[Path]:
    """Write the photos of a folder as JPEG, `long_side` px long; fewer than `num_photos` are taken again in turn.

    Raises:
        InputError: no pictures there.
    """
    sources = find_pictures(photos).files
    if not sources:
        raise InputError(f"{photos} holds no pictures")
    files = []
    for source in sources[:num_photos]:
        picture = to_picture(open_photo(source))
        scale = long_side / max(picture.size)
        size = tuple(max(1, round(side * scale)) for side in picture.size)
        files.append(folder / f"{source.stem}.jpg")
        picture.resize(size, Image.Resampling.LANCZOS).save(files[-1], quality=92)
    return [files[index % len(files)] for index in range(num_photos)]
