"""Sheets of pictures that a run or a measurement leaves to be looked at, labelled as what a machine has drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor

from gan_space.images import image_grid
from gan_space.output.provenance import FORMATS, Source, encode_image
from gan_space.whole_files import write_whole


def save_samples(
    file: Path, images: Tensor, recipe: dict[str, Any], *, columns: int | None = None, source: Source = "generated"
) -> None:
    """Write pictures as one sheet that carries the labels of `gan_space.output.provenance`.

    Args:
        file: ends in .png, .jpg or .webp; its folder is made.
        images: [N, 3, H, W] in [-1, 1], on any device.
        recipe: what is on the sheet, anything that JSON can express.
        columns: None makes the sheet as square as can be.
        source: "generated" from latents alone, or "edited" where photos went in.

    Raises:
        InputError: the file's ending.
        OSError: it cannot be written.
    """
    data = encode_image(image_grid(images.cpu(), columns), file.suffix, recipe=recipe, source=source)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, data)


def ending_faults(name: str, file: Path | None) -> list[str]:
    """Return what is wrong with the name of a sheet, given as the setting `name`, before anything is measured."""
    if file is None or file.suffix.lower() in FORMATS:
        return []
    return [f"{name}: {file.name} must end in {', '.join(FORMATS)}"]
