"""One way in for pictures: whatever a file holds becomes upright pixels of 8 bits in sRGB, or an error in words."""

from __future__ import annotations

import io
import itertools
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import torch
from PIL import Image, ImageFile, ImageOps, Jpeg2KImagePlugin, JpegImagePlugin
from torch import Tensor

from gan_space.errors import InputError
from gan_space.photos.color import to_srgb
from gan_space.photos.formats import OPENERS, READ_FORMATS, Refused, identify
from gan_space.settings import as_list

log = logging.getLogger(__name__)

WHOLE_PIXELS = 65_000_000  # more, and a photo is read at half its width and height
MAX_PIXELS = 100_000_000  # of what has to be decoded whole first
MAX_JPEG_PIXELS = 200_000_000  # of a baseline JPEG, which is decoded at half its size straight away

MAX_SCANS = 100  # of a JPEG; each goes over all of its pixels, and a small file has room for 100,000
MAX_COUNTED = 1000  # frames or pages; each of a TIFF is read to get to the next one

_MARKER = re.compile(rb"\xff+([^\xff\0\xd0-\xd7])")  # of JPEG; those between scans have nothing after them

_STRIP_PIXELS = 4_000_000  # converted at a time
_PHOTOMETRIC = 262  # tag of TIFF: 0 where white is 0
_SAMPLE_BITS, _SAMPLE_FORMAT, _SIGNED = 258, 339, 2  # tags of TIFF, and the value of a format with negative numbers
_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")


@dataclass(frozen=True)
class OpenedPicture:
    """A picture as it came.

    Attributes:
        pixels: [3, H, W] uint8, upright, sRGB; what lies under transparency is there as the file has it.
        alpha: [H, W] uint8, or None where nothing shows through.
        notes: what is to be said about it, such as "first of 12 frames".
        reduced_by: 2 where it was read at half its width and height, else 1.
        whole_size: (width, height) upright, had `enough_px` not let it be read smaller; None: that of `pixels`.
        frames: of the animation, or pages of the file, of which this is the first.
    """

    pixels: Tensor
    alpha: Tensor | None = None
    notes: tuple[str, ...] = ()
    reduced_by: int = 1
    whole_size: tuple[int, int] | None = None
    frames: int = 1

    def over_white(self) -> Tensor:
        """Return the pixels as seen on white paper: [3, H, W] uint8."""
        if self.alpha is None:
            return self.pixels
        seen = self.pixels.clone()
        clear = self.alpha < 255
        alpha = self.alpha[clear].int()
        seen[:, clear] = ((self.pixels[:, clear].int() * alpha + 255 * (255 - alpha) + 127) // 255).to(torch.uint8)
        return seen

    def with_alpha(self, result: Image.Image) -> Image.Image:
        """Give what was made of `over_white()` its transparency back; without any, or at another size, `result` itself.

        Where `result` has the very colour of `over_white()`, the file's own colour comes back.
        """
        if self.alpha is None or result.size != (self.alpha.shape[1], self.alpha.shape[0]):
            return result
        made = torch.from_numpy(np.array(result.convert("RGB"))).permute(2, 0, 1)
        clear = self.alpha < 255
        share = self.alpha[clear].float().div(255)  # [K]
        paper = 255 * (1 - share)
        taken_off = (made[:, clear].float() - paper) / share.clamp(min=1 / 16)  # below that, rounding is all there is
        taken_off = taken_off.round().clamp(0, 255).to(torch.uint8)
        same = (made[:, clear] == self.over_white()[:, clear]).all(dim=0) | (share == 0)
        made[:, clear] = torch.where(same, self.pixels[:, clear], taken_off)
        return Image.fromarray(torch.cat([made, self.alpha[None]]).permute(1, 2, 0).contiguous().numpy())


PhotoLike = Image.Image | str | Path | Tensor | OpenedPicture


def open_picture(
    source: Image.Image | str | Path | BinaryIO | Tensor | OpenedPicture, *, enough_px: int | None = None
) -> OpenedPicture:
    """Read a picture upright, in sRGB, with its transparency beside it.

    An ICC profile is applied (relative colorimetric, black to black). Of an animation the first frame is taken. 16 bits
    and floats from 0 to 1 are scaled to 8 bits. Above 65 million pixels a picture is read at half its width and height.

    Args:
        source: a file name, an opened file, an opened picture, or pixels [3, H, W] uint8.
        enough_px: a JPEG may be read at 1/2, 1/4 or 1/8 as long as its shorter side keeps this many px: much faster.

    Raises:
        InputError: not a picture of a format that is read here, cut short, of more than 100 million pixels (200 million
            of a baseline JPEG), of values whose range says nothing, or a tensor of another form.
    """
    if isinstance(source, OpenedPicture):
        return source
    if isinstance(source, Tensor):
        return OpenedPicture(check_photo(source))
    if isinstance(source, Image.Image):
        if isinstance(source, ImageFile.ImageFile) and source.tile and source.format not in (*OPENERS, "MPO"):
            raise InputError(f"the picture is {source.format}, expected {READ_FORMATS}: save it as JPEG or PNG")
        return _in_words("the picture", lambda: _decode(source))
    if isinstance(source, str | Path):
        try:
            with open(source, "rb") as stream:
                return _in_words(Path(source).name, lambda: _decode(identify(stream), enough_px))
        except (OSError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{Path(source).name} cannot be read as a picture ({reason})") from error
    if not hasattr(source, "seekable") or isinstance(source, io.TextIOBase):
        hint = "; Image.fromarray makes a picture of an array" if hasattr(source, "__array__") else ""
        raise InputError(
            f"expected a picture of Pillow, a file name, a file opened as bytes, or pixels [3, H, W] uint8, "
            f"got {type(source).__name__}{hint}"
        )
    name = Path(str(getattr(source, "name", None) or "the upload")).name
    return _in_words(name, lambda: _decode(identify(source), enough_px))


def open_photo(source: Image.Image | str | Path | BinaryIO | Tensor | OpenedPicture) -> Tensor:
    """Read a photo upright, in sRGB, transparency on white: the pixels [3, H, W] uint8 of `open_picture`.

    Raises:
        InputError: see `open_picture`.
    """
    return open_picture(source).over_white()


def list_photos(photos: object) -> list | None:
    """Return several photos, such as a list or a set of file names, as a list; None for one photo, or for numbers."""
    is_numbers = isinstance(photos, Tensor) or (isinstance(photos, np.ndarray) and photos.dtype.kind in "biufc")
    return None if is_numbers else as_list(photos)


def without_name(error: Exception, name: str) -> str:
    """Return what `open_picture` says of a file, for a list in which its name stands already."""
    return str(error).removeprefix(f"{name} ")


def check_photo(photo: Tensor) -> Tensor:
    """Return `photo` if it is [3, H, W] uint8, or raise InputError."""
    if photo.dtype != torch.uint8 or photo.ndim != 3 or photo.shape[0] != 3 or 0 in photo.shape:
        raise InputError(f"a photo is a tensor [3, H, W] of uint8, got {list(photo.shape)} of {photo.dtype}")
    return photo


def to_picture(photo: Tensor) -> Image.Image:
    """Turn [3, H, W] uint8 into an RGB picture."""
    return Image.fromarray(to_rows(photo))


def to_rows(photo: Tensor) -> np.ndarray:
    """Return the pixels of [3, H, W] uint8, or of a part of it, as OpenCV wants them: [H, W, 3] in one piece.

    A photo read from a file lies in memory like that, and is not copied.
    """
    rows = check_photo(photo).cpu().permute(1, 2, 0)
    if rows.stride(2) == 1:
        return np.ascontiguousarray(rows.numpy())
    # OpenCV puts planes together several times faster than a copy of the permuted tensor is made.
    return cv2.merge(list(photo.cpu().numpy()))


def _in_words(name: str, read) -> OpenedPicture:
    try:
        return read()
    except Refused as error:
        raise InputError(f"{name} {error}") from error
    except Exception as error:  # decoders raise a dozen types on damaged files, MemoryError among them
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise InputError(f"{name} cannot be read as a picture ({reason}): save it as JPEG or PNG again") from error


def _decode(picture: Image.Image, enough_px: int | None = None) -> OpenedPicture:
    width, height = picture.size
    step, frames = _shrink(picture, enough_px), _count_frames(picture)
    number = f"{frames:,}" if frames <= MAX_COUNTED else f"more than {MAX_COUNTED:,}"
    notes = (f"first of {number} {'pages' if picture.format == 'TIFF' else 'frames'}",) if frames > 1 else ()
    reduced_by = 1
    if width * height > WHOLE_PIXELS:
        reduced_by = 2
        notes = (*notes, f"read at half of its {width:,} x {height:,} px")
    # Pillow takes the high byte of 16 bits of colour and forgets the rest.
    is_deep = any(";16" in str(tile[3]) for tile in getattr(picture, "tile", ()))
    picture.load()
    if is_deep and picture.mode not in _DEEP_MODES:
        brightest = max(high for _, high in _bands(picture.getextrema()))
        _check_depth(256 * brightest + 255, "colour")
    pixels, alpha = _convert(picture, step)
    orientation = _orientation(picture)
    if alpha is not None and bool((alpha == 255).all()):
        alpha = None
    pixels = _turn(pixels, orientation)
    whole = -(-width // reduced_by), -(-height // reduced_by)
    whole = whole[::-1] if orientation >= 5 else whole
    is_whole = whole == (pixels.shape[2], pixels.shape[1])
    alpha = None if alpha is None else _turn(alpha, orientation)
    return OpenedPicture(pixels, alpha, notes, reduced_by, None if is_whole else whole, frames)


def _shrink(picture: Image.Image, enough_px: int | None) -> int:
    """Have the decoder read less where it can; returns 2 where the decoded picture is to be halved, else 1."""
    width, height = picture.size
    is_jpeg = isinstance(picture, JpegImagePlugin.JpegImageFile) and bool(picture.tile)
    if is_jpeg and _has_many_scans(picture.fp):
        raise Refused(f"has more than {MAX_SCANS} scans, which would take hours: save it as a baseline JPEG or PNG")
    is_plain_jpeg = is_jpeg and "progressive" not in picture.info  # a progressive one is held whole, at 6 bytes a pixel
    limit = MAX_JPEG_PIXELS if is_plain_jpeg else MAX_PIXELS
    if width * height > limit:
        raise Refused(
            f"has {width} x {height} px; send one of at most {limit:,} px in all"
            + ("" if is_plain_jpeg else f", or a baseline JPEG of at most {MAX_JPEG_PIXELS:,}")
        )
    is_large = width * height > WHOLE_PIXELS
    if is_jpeg:
        scale = 1 if enough_px is None else max(1, min(width, height) // enough_px)
        if scale > 1 or is_large:
            scale = max(scale, 2 if is_large else 1)
            picture.draft(None, (width // scale, height // scale))
        return 1
    if is_large and isinstance(picture, Jpeg2KImagePlugin.Jpeg2KImageFile) and picture.tile:
        picture.reduce = 1
        return 1
    return 2 if is_large else 1


def _has_many_scans(stream: BinaryIO) -> bool:
    """Whether a JPEG has more scans than any real one; what comes after its end, such as a film, does not count."""
    place = stream.tell()
    stream.seek(0)
    content = stream.read()
    stream.seek(place)
    scans, at = 0, 2
    while scans <= MAX_SCANS and (marker := _MARKER.search(content, at)) and marker[1] != b"\xd9":
        scans += marker[1] == b"\xda"
        at = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2])  # past what the marker holds
    return scans > MAX_SCANS


def _count_frames(picture: Image.Image) -> int:
    """Frames or pages; MAX_COUNTED + 1 stands for more of a TIFF, whose pages have to be read one by one."""
    if picture.format in (None, "JPEG", "MPO", "HEIF"):  # what else these hold belongs to the photo: depth, a preview
        return 1
    try:
        if picture.format != "TIFF":
            return getattr(picture, "n_frames", 1)
        return 1 + sum(1 for _ in itertools.islice(_later_pages(picture), MAX_COUNTED))
    except Exception as error:  # of a file that is broken further on
        log.debug("frames cannot be counted: %s", error)
        return 1


def _later_pages(picture: Image.Image) -> Iterator[int]:
    try:
        for number in itertools.count(1):
            picture.seek(number)
            yield number
    except EOFError:
        return
    finally:
        picture.seek(0)


def _orientation(picture: Image.Image) -> int:
    """How the camera was held, 1 to 8 as in EXIF; asked after loading, since TIFF and HEIC are turned by then."""
    try:
        orientation = picture.getexif().get(0x0112, 1)
    except Exception as error:
        log.debug("EXIF cannot be read: %s", error)
        return 1
    return orientation if orientation in range(1, 9) else 1


def _turn(pixels: Tensor, orientation: int) -> Tensor:
    """[..., H, W], as stored, upright."""
    if orientation == 1:
        return pixels
    turned = pixels.transpose(-1, -2) if orientation >= 5 else pixels
    across = [-1] if orientation in (2, 3, 6, 7) else []
    down = [-2] if orientation in (3, 4, 7, 8) else []
    turned = turned.flip(across + down)
    return turned.contiguous() if turned.dim() == 2 else turned.permute(1, 2, 0).contiguous().permute(2, 0, 1)


def _convert(picture: Image.Image, step: int) -> tuple[Tensor, Tensor | None]:
    """Pixels [3, H, W] and alpha [H, W], converted strip by strip, so that little is held twice."""
    profile = picture.info.get("icc_profile")
    if _is_signed(picture) and picture.mode not in _DEEP_MODES:
        raise Refused("has signed values of 8 bits, of which nobody can tell which one is white: save them unsigned")
    top = _deepest_value(picture) if picture.mode in _DEEP_MODES else None
    is_negative = top is not None and getattr(picture, "tag_v2", {}).get(_PHOTOMETRIC) == 0  # Pillow forgets it
    height, width = -(-picture.height // step), -(-picture.width // step)
    pixels = torch.empty(height, width, 3, dtype=torch.uint8)  # as files, Pillow and OpenCV have them
    alpha = None
    row = 0
    for strip in _strips(picture, step):
        color, clear = _color_and_alpha(strip, top)
        color = ImageOps.invert(color) if is_negative else color
        color = to_srgb(color, profile)
        color = color if color.mode == "RGB" else color.convert("RGB")  # which copies what is RGB already
        if strip.width > width:
            color, clear = color.reduce(step), None if clear is None else clear.reduce(step)
        below = row + color.height
        pixels[row:below].numpy()[...] = np.asarray(color)
        if clear is not None:
            alpha = torch.full((height, width), 255, dtype=torch.uint8) if alpha is None else alpha
            alpha[row:below] = torch.from_numpy(np.array(clear))
        row = below
    return pixels.permute(2, 0, 1), alpha


def _strips(picture: Image.Image, step: int = 1) -> Iterator[Image.Image]:
    """Whole rows from above; already reduced by `step` where their pixels are colours and no codes for them."""
    reduced = step > 1 and picture.mode in ("L", "LA", "RGB", "RGBA", "CMYK") and "transparency" not in picture.info
    rows = max(1, _STRIP_PIXELS // (picture.width * step)) * step
    for row in range(0, picture.height, rows):
        box = (0, row, picture.width, min(row + rows, picture.height))
        if reduced:  # cut out first where there is alpha: Pillow would multiply all of the picture by it every time
            yield picture.crop(box).reduce(step) if "A" in picture.mode else picture.reduce(step, box)
        else:
            yield picture if box[3] - row == picture.height else picture.crop(box)


def _color_and_alpha(picture: Image.Image, top: float | None) -> tuple[Image.Image, Image.Image | None]:
    """An L, RGB, CMYK or LAB picture, and an L picture of what shows through, if anything does."""
    clear_value = picture.info.get("transparency")
    if top is not None:
        values = np.asarray(picture)
        gray = Image.fromarray((values * (255.0 / top)).round().clip(0, 255).astype(np.uint8))
        is_marked = isinstance(clear_value, int)
        return gray, Image.fromarray(np.where(values == clear_value, 0, 255).astype(np.uint8)) if is_marked else None
    if picture.mode == "P":
        picture = picture.convert("RGBA" if clear_value is not None else "RGB")
    elif picture.mode == "1" or (picture.mode in ("L", "RGB") and clear_value is not None):
        marked = {"1": "LA", "L": "LA", "RGB": "RGBA"}[picture.mode]
        picture = picture.convert(marked if clear_value is not None else "L")
    elif picture.mode in ("PA", "RGBa", "La"):
        picture = picture.convert("LA" if picture.mode == "La" else "RGBA")
    alpha = picture.getchannel("A") if picture.mode in ("LA", "RGBA") else None
    if picture.mode not in ("L", "RGB", "CMYK", "LAB"):
        picture = picture.convert("L" if picture.mode == "LA" else "RGB")
    return picture, alpha


def _deepest_value(picture: Image.Image) -> float:
    """The value that stands for white in a grey picture of more than 8 bits."""
    ends = [(values.min(), values.max()) for values in map(np.asarray, _strips(picture))]
    low, high = float(min(low for low, _ in ends)), float(max(high for _, high in ends))
    if not np.isfinite([low, high]).all() or low < 0:
        raise Refused(f"has grey values from {low:g} to {high:g}, expected 0 to 1, 255 or 65,535: scale them")
    if picture.mode == "F" and high <= 1:
        return 1.0
    if picture.mode in ("I", "F") and high <= 255:  # Pillow's own way to hold 8 bits in these modes
        if picture.mode == "F" and high < 16:
            raise Refused(f"has grey values up to {high:g}, expected 0 to 1, 255 or 65,535: scale them")
        return 255.0
    white = 32767.0 if _is_signed(picture) and picture.tag_v2.get(_SAMPLE_BITS) == (16,) else 65535.0
    _check_depth(high, "grey", white)
    return white


def _is_signed(picture: Image.Image) -> bool:
    return _SIGNED in (getattr(picture, "tag_v2", {}).get(_SAMPLE_FORMAT) or ())


def _check_depth(brightest: float, what: str, white: float = 65535.0) -> None:
    """Refuse 16 bits of which 12 or fewer are in use: nobody could see anything, or the values mean something else."""
    if 0 < brightest < (white + 1) / 16 or brightest > white:
        raise Refused(
            f"has {what} values up to {brightest:,.0f}, where white would be {white:,.0f}: it was saved with "
            "fewer or more bits than its format says; scale the values, or save it with 8 bits"
        )


def _bands(extrema) -> tuple[tuple[int, int], ...]:
    return extrema if isinstance(extrema[0], tuple) else (extrema,)
