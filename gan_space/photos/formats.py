"""The formats that are read: known by content, never by name, and all decoded within this process.

Nothing here ever starts another program, as Pillow does for PostScript.
"""

from __future__ import annotations

import io
from typing import BinaryIO

import pi_heif
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    ImageFile,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from gan_space.errors import InputError
from gan_space.foreign_files import HEAD_BYTES, stand_in

READ_FORMATS = "JPEG, PNG, WebP, HEIC, AVIF, GIF, BMP, TIFF or JPEG 2000"
# HEIC shares its container with films, such as phones keep beside a photo; how the brand of one begins.
FILM_BRANDS = (b"iso", b"mp4", b"qt", b"M4V", b"MSNV", b"avc1", b"3g")
# Not through Pillow's `Image.open(formats=...)`: that holds every picture against one limit of the whole process,
# whatever its format, and gives up at the first plugin that fails.
OPENERS = {
    "JPEG": (JpegImagePlugin.jpeg_factory, JpegImagePlugin._accept),  # and MPO, the pictures of two lenses in one JPEG
    "PNG": (PngImagePlugin.PngImageFile, PngImagePlugin._accept),
    "WEBP": (WebPImagePlugin.WebPImageFile, WebPImagePlugin._accept),
    "AVIF": (AvifImagePlugin.AvifImageFile, AvifImagePlugin._accept),
    "HEIF": (pi_heif.HeifImageFile, lambda prefix: prefix[4:8] == b"ftyp" and not _is_film(prefix)),
    "GIF": (GifImagePlugin.GifImageFile, GifImagePlugin._accept),
    "BMP": (BmpImagePlugin.BmpImageFile, BmpImagePlugin._accept),
    "TIFF": (TiffImagePlugin.TiffImageFile, TiffImagePlugin._accept),
    "JPEG2000": (Jpeg2KImagePlugin.Jpeg2KImageFile, Jpeg2KImagePlugin._accept),
}


class Refused(InputError):
    """Refused in words that follow the name of the file, and say what to do."""


def identify(stream: BinaryIO) -> ImageFile.ImageFile:
    """Open a file by its content without decoding it; its labels and profile can be read from `.info`.

    Raises:
        InputError: none of the formats that are read here, or a broken one.
        Refused: no picture at all, but something known in its place.
    """
    if not stream.seekable():
        stream = io.BytesIO(stream.read())
    stream.seek(0)
    head = stream.read(HEAD_BYTES)
    fault: Exception | None = None
    for factory, accepts in OPENERS.values():
        if accepts(head[:16]) is not True:
            continue
        stream.seek(0)
        try:
            return factory(stream, "")
        except Exception as error:  # plugins raise a dozen types on damaged files
            fault = fault or error
    if fault is not None:
        raise InputError(f"it is damaged, or of a kind that is not read: {fault}") from fault
    if not head:
        raise Refused("is empty: choose the photo again")
    if kind := stand_in(head):
        raise Refused(kind)
    if _is_film(head):
        raise Refused("is a film: save one of its pictures as JPEG or PNG")
    raise InputError(f"it is none of {READ_FORMATS}")


def _is_film(head: bytes) -> bool:
    return head[4:8] == b"ftyp" and head[8:12].startswith(FILM_BRANDS)
